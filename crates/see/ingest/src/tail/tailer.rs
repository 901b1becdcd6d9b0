//! All files together: which there are, which of them are new, truncated, moved or copies of
//! one another, and what is to be delivered next.

use super::checkpoint::{Checkpoint, FileKey, Mark, PRINT_BYTES, Print};
use super::file::OpenFile;
use super::glob::{FILES_MAX, expand, matches_path};
use super::records::{Cutting, cut};
use super::{Beginning, FileInput};
use crate::counters::InputCounters;
use crate::decode::line::{Joiner, LineDecoder};
use crate::reject::{Decoded, Reason};
use crate::sink::{Batch, BatchId};
use andon_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::{debug, warn};

/// Bytes read of one file in one round; more than [`crate::limits::LINE_BYTES_MAX`], so that every line that
/// is not too long fits.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Bytes read of all files in one round: as many are decoded in memory at the same time.
const ROUND_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often patterns are expanded.
const DISCOVER_EVERY_S: i64 = 2;
/// A record whose next line may still come is let go after this long.
const HOLD_S: f64 = 1.0;
/// A file that vanished is read until it has been quiet for so long, then closed.
const GONE_QUIET_S: i64 = 10;
/// A packed file that changed more recently may still be written.
const PACKED_QUIET_S: i64 = 3;
/// What files were is remembered for so long: copies and packed ones turn up within a day.
const PAST_S: i64 = 8 * 24 * 3600;
/// And so many of them.
const PAST_MAX: usize = 4096;

/// One file's events, ready to be delivered.
#[derive(Debug)]
pub struct Read {
    /// Which one.
    pub file: FileKey,
    /// Its events.
    pub batch: Batch,
}

struct Tailed {
    file: OpenFile,
    input: usize,
    decoder: LineDecoder,
    /// When it grew last, by size.
    size: u64,
    grew: Timestamp,
    /// Whether no pattern leads to it any more.
    is_gone: bool,
    /// Read to its end, and it never grows.
    is_done: bool,
    /// It holds the same as this one, which is still being written.
    shadow_of: Option<FileKey>,
    /// What ends at the batch that is being delivered, as it was when it was read: the file may
    /// be truncated meanwhile, and its copy is known by this.
    last: Print,
}

/// Reads files by patterns. Blocking.
pub struct Tailer {
    inputs: Vec<FileInput>,
    state: PathBuf,
    counters: Arc<InputCounters>,
    checkpoint: Checkpoint,
    open: BTreeMap<FileKey, Tailed>,
    is_dirty: bool,
    is_first: bool,
    discovered_s: i64,
    life: u64,
    warned: BTreeSet<PathBuf>,
    next: Option<FileKey>,
}

impl Tailer {
    /// Goes on where the checkpoint says.
    pub fn open(
        inputs: Vec<FileInput>,
        state: PathBuf,
        counters: Arc<InputCounters>,
        now: Timestamp,
    ) -> io::Result<Self> {
        let checkpoint = Checkpoint::read(&state)?;
        let is_first = !state.exists();
        let lives = checkpoint
            .files
            .values()
            .chain(checkpoint.past.iter().map(|(_, mark)| mark));
        let life = lives.map(|mark| mark.life).max().unwrap_or(0);
        Ok(Self {
            inputs,
            state,
            counters,
            checkpoint,
            open: BTreeMap::new(),
            is_dirty: is_first,
            is_first,
            discovered_s: i64::MIN,
            // Lives only grow, even if the checkpoint was lost: a sink may remember old ones.
            life: life.max(now.0.unsigned_abs()),
            warned: BTreeSet::new(),
            next: None,
        })
    }

    /// Reads what there is, and notes in the checkpoint what is about to be delivered. The
    /// caller delivers each and says so with [`Tailer::delivered`] before the next round.
    ///
    /// Errors when the checkpoint cannot be written; nothing may be delivered then.
    pub fn round(&mut self, now: Timestamp) -> io::Result<Vec<Read>> {
        let now_s = now.0.div_euclid(1_000_000);
        if now_s >= self.discovered_s.saturating_add(DISCOVER_EVERY_S) || now_s < self.discovered_s
        {
            self.discovered_s = now_s;
            self.discover(now);
        }
        let mut reads = Vec::new();
        let mut room = ROUND_BYTES_MAX;
        // Where the last round had no room left this one begins, so that none starves.
        let from = self.next.take();
        let (before, after): (Vec<FileKey>, Vec<FileKey>) = self
            .open
            .keys()
            .partition(|key| from.is_some_and(|from| **key < from));
        for key in after.into_iter().chain(before) {
            if room < CHUNK_BYTES {
                self.next = Some(key);
                break;
            }
            match self.read(key, now) {
                Ok(Some((read, bytes))) => {
                    room = room.saturating_sub(bytes);
                    reads.push(read);
                }
                Ok(None) => {}
                Err(error) => self.broken(key, &error),
            }
        }
        self.close_gone(now_s);
        if self.is_dirty {
            self.checkpoint.write(&self.state)?;
            self.is_dirty = false;
        }
        Ok(reads)
    }

    /// A batch is kept.
    pub fn delivered(&mut self, key: FileKey) {
        let Some(mark) = self.checkpoint.files.get_mut(&key) else {
            return;
        };
        let Some(until) = mark.pending.take() else {
            return;
        };
        mark.offset = until;
        if let Some(tailed) = self.open.get(&key) {
            mark.last = tailed.last;
        }
        self.is_dirty = true;
    }

    fn discover(&mut self, now: Timestamp) {
        let mut seen = BTreeSet::new();
        let mut room = FILES_MAX;
        for input in 0..self.inputs.len() {
            let patterns = self.inputs[input].paths.clone();
            for pattern in patterns {
                let paths = expand(&pattern, room + 1);
                for path in paths {
                    let text = path.to_string_lossy();
                    let excluded = self.inputs[input].exclude.iter();
                    if { excluded }.any(|pattern| matches_path(pattern, &text)) {
                        continue;
                    }
                    if room == 0 {
                        self.counters.reject(Reason::TooMany, 1);
                        break;
                    }
                    match self.meet(&path, input, now) {
                        Ok(Some(key)) if seen.insert(key) => room -= 1,
                        Ok(_) => {}
                        Err(error) => {
                            if self.warned.len() < FILES_MAX && self.warned.insert(path.clone()) {
                                warn!(path = %path.display(), %error, "a file cannot be read");
                            }
                        }
                    }
                }
            }
        }
        for (key, tailed) in &mut self.open {
            tailed.is_gone = !seen.contains(key);
        }
        self.is_first = false;
    }

    /// Sees a path: a file that is known, perhaps under another name, or a new one.
    fn meet(&mut self, path: &Path, input: usize, now: Timestamp) -> io::Result<Option<FileKey>> {
        use std::os::unix::fs::MetadataExt;
        let data = std::fs::metadata(path)?;
        let key = FileKey {
            device: data.dev(),
            inode: data.ino(),
        };
        let now_s = now.0.div_euclid(1_000_000);
        if self.open.contains_key(&key) {
            if let Some(mark) = self.checkpoint.files.get_mut(&key) {
                mark.seen_s = now_s;
                if mark.path != path {
                    mark.path = path.to_owned();
                    self.is_dirty = true;
                }
            }
            return Ok(Some(key));
        }
        let mut file = OpenFile::open(path)?;
        if file.key()? != key {
            // Moved between two looks; the next one will tell.
            return Ok(None);
        }
        let (size, changed_s, _) = file.stat()?;
        let is_known = self.checkpoint.files.contains_key(&key);
        let settings = &self.inputs[input];
        let age_s = now_s.saturating_sub(changed_s);
        if !is_known && age_s > i64::try_from(settings.ignore_older_h * 3600).unwrap_or(i64::MAX) {
            return Ok(None);
        }
        if file.is_packed() && age_s < PACKED_QUIET_S {
            return Ok(None);
        }
        let mut shadow_of = None;
        if !is_known {
            let from_end = settings.from == Beginning::End && self.is_first;
            let (mark, shadows) = self.first_mark(path, &mut file, size, from_end, now_s)?;
            shadow_of = shadows;
            self.checkpoint.files.insert(key, mark);
            self.is_dirty = true;
            debug!(path = %path.display(), "a file is read");
        }
        self.counters.connect();
        let decoder = LineDecoder::new(&self.inputs[input].format).map_err(io::Error::other)?;
        let tailed = Tailed {
            file,
            input,
            decoder,
            size,
            grew: now,
            is_gone: false,
            is_done: false,
            shadow_of,
            last: Print::of(&[]),
        };
        self.open.insert(key, tailed);
        Ok(Some(key))
    }

    /// Where to begin with a file that was never seen: a copy, or a packed one, of a file that
    /// was read goes on where reading stopped.
    fn first_mark(
        &mut self,
        path: &Path,
        file: &mut OpenFile,
        size: u64,
        from_end: bool,
        now_s: i64,
    ) -> io::Result<(Mark, Option<FileKey>)> {
        self.life += 1;
        let head = file.head(PRINT_BYTES)?;
        let mut mark = Mark {
            path: path.to_owned(),
            life: self.life,
            offset: 0,
            pending: None,
            head: Print::of(&head),
            last: Print::of(&[]),
            skipping: false,
            seen_s: now_s,
        };
        if from_end && !file.is_packed() {
            mark.offset = size;
            mark.last = file.last(size)?;
            return Ok((mark, None));
        }
        let live = self
            .checkpoint
            .files
            .iter()
            .map(|(key, mark)| (Some(*key), mark));
        let past = self.checkpoint.past.iter().map(|(_, mark)| (None, mark));
        // The one that was read furthest, of all that this may be a copy of.
        let mut copied: Vec<_> = past.chain(live).collect();
        copied.sort_by_key(|(_, mark)| std::cmp::Reverse(mark.offset));
        for (key, known) in copied {
            let bytes = known.head.bytes as usize;
            let is_same = bytes >= 32
                && head.len() >= bytes
                && Print::of(&head[..bytes]) == known.head
                && known.offset > 0
                && file.last(known.offset)? == known.last;
            if !is_same {
                continue;
            }
            mark.offset = known.offset;
            mark.skipping = known.skipping;
            mark.last = known.last;
            // It is still being written, or was not read to its end: wait until that is done.
            let is_open = key.filter(|key| self.open.contains_key(key));
            return Ok((mark, is_open));
        }
        Ok((mark, None))
    }

    fn read(&mut self, key: FileKey, now: Timestamp) -> io::Result<Option<(Read, usize)>> {
        let Some(tailed) = self.open.get_mut(&key) else {
            return Ok(None);
        };
        if tailed.is_done {
            return Ok(None);
        }
        if let Some(original) = tailed.shadow_of {
            return self.leave_shadow(key, original).map(|()| None);
        }
        let Some(mark) = self.checkpoint.files.get_mut(&key) else {
            return Ok(None);
        };
        let (size, _, _) = tailed.file.stat()?;
        if size != tailed.size {
            tailed.size = size;
            tailed.grew = now;
        }
        if !tailed.file.is_packed() {
            let head_bytes = mark.head.bytes as usize;
            let is_longer = head_bytes < PRINT_BYTES && size > mark.head.bytes;
            // A quiet file is not opened for comparing.
            if size == mark.offset && mark.pending.is_none() && !is_longer {
                return Ok(None);
            }
            let head = tailed.file.head(PRINT_BYTES)?;
            let is_other = head.len() < head_bytes || Print::of(&head[..head_bytes]) != mark.head;
            if size < mark.offset || is_other {
                self.begin_anew(key, now);
                return Ok(None);
            }
            if is_longer {
                mark.head = Print::of(&head);
            }
        }
        // After a kill: the very same bytes again.
        let (chunk_bytes, is_again) = match mark.pending {
            Some(until) => ((until.saturating_sub(mark.offset)) as usize, true),
            None => (CHUNK_BYTES, false),
        };
        let chunk = tailed.file.chunk(mark.offset, chunk_bytes)?;
        let quiet_s = now.since(tailed.grew).as_secs_f64();
        let is_final = tailed.file.is_packed() || (tailed.is_gone && quiet_s > HOLD_S);
        let settings = &self.inputs[tailed.input];
        let mut joiner = Joiner::new(&settings.multiline).map_err(io::Error::other)?;
        let cutting = Cutting {
            is_at_end: chunk.is_at_end,
            is_complete: is_again || (chunk.is_at_end && is_final),
            lets_go: quiet_s > HOLD_S,
        };
        let (taken, records) = cut(&chunk.bytes, cutting, mark.skipping, &mut joiner);
        if taken.bytes == 0 {
            if chunk.is_at_end && tailed.file.is_packed() {
                tailed.is_done = true;
            }
            return Ok(None);
        }
        mark.skipping = taken.is_skipping;
        let mut out = Decoded::default();
        for (record, cut_bytes) in records {
            tailed.decoder.decode(&record, cut_bytes, now, &mut out);
        }
        let path = mark.path.to_string_lossy();
        for event in &mut out.events {
            if event.get("log.file.path").is_none() {
                event
                    .attributes
                    .push(("log.file.path".into(), path.as_ref().into()));
            }
            for (name, value) in &settings.attributes {
                if event.get(name).is_none() {
                    event.attributes.push((name.clone(), value.as_str().into()));
                }
            }
        }
        self.counters.read(taken.bytes);
        self.counters.note(&out);
        let until = mark.offset + taken.bytes as u64;
        let end = &chunk.bytes[..taken.bytes];
        tailed.last = match end.len().checked_sub(PRINT_BYTES) {
            Some(start) => Print::of(&end[start..]),
            None => tailed.file.last(until)?,
        };
        mark.pending = Some(until);
        self.is_dirty = true;
        let batch = Batch {
            dataset: settings.dataset.clone(),
            events: out.events,
            id: Some(BatchId {
                source: mark.source(key),
                until,
            }),
        };
        Ok(Some((Read { file: key, batch }, chunk.bytes.len())))
    }

    /// A file was truncated, or is another one in the place of the old: read from its
    /// beginning. What it was is remembered, for its copy.
    fn begin_anew(&mut self, key: FileKey, now: Timestamp) {
        self.life += 1;
        let life = self.life;
        let Some(mark) = self.checkpoint.files.get_mut(&key) else {
            return;
        };
        let old = mark.clone();
        mark.life = life;
        mark.offset = 0;
        mark.pending = None;
        mark.skipping = false;
        mark.head = Print::of(&[]);
        mark.last = Print::of(&[]);
        if let Some(tailed) = self.open.get_mut(&key) {
            tailed.grew = now;
        }
        self.remember(key, old);
    }

    fn remember(&mut self, key: FileKey, mark: Mark) {
        self.checkpoint.past.push((key, mark));
        let over = self.checkpoint.past.len().saturating_sub(PAST_MAX);
        self.checkpoint.past.drain(..over);
        self.is_dirty = true;
    }

    /// A copy is read from where its original stopped, once that is another file.
    fn leave_shadow(&mut self, key: FileKey, original: FileKey) -> io::Result<()> {
        let read_until = self.checkpoint.files.get(&original).map(|mark| mark.offset);
        let is_live = match self.open.get(&original) {
            // Whichever of the two comes first in a round, the original's end is read from itself.
            Some(open) => {
                let (size, _, _) = open.file.stat()?;
                !open.is_gone || read_until.is_some_and(|until| until < size)
            }
            None => false,
        };
        let own = self.checkpoint.files.get(&key).map(|mark| mark.head);
        let theirs = self.checkpoint.files.get(&original).map(|mark| mark.head);
        let is_same = match (own, theirs) {
            (Some(own), Some(theirs)) => {
                own.bytes >= theirs.bytes && theirs.bytes > 0 && {
                    let tailed = self.open.get_mut(&key);
                    let head = tailed.map(|tailed| tailed.file.head(theirs.bytes as usize));
                    head.transpose()?
                        .is_some_and(|head| Print::of(&head) == theirs)
                }
            }
            _ => false,
        };
        if is_live && is_same {
            return Ok(());
        }
        // How far the original had been read in the life that was copied.
        let past = self
            .checkpoint
            .past
            .iter()
            .rev()
            .find(|(past, _)| *past == original);
        let known = match is_same {
            true => self.checkpoint.files.get(&original),
            false => past.map(|(_, mark)| mark),
        };
        let (offset, last) = known.map_or((0, Print::of(&[])), |known| {
            (known.pending.unwrap_or(known.offset), known.last)
        });
        if let Some(mark) = self.checkpoint.files.get_mut(&key) {
            mark.offset = mark.offset.max(offset);
            mark.last = last;
        }
        if let Some(tailed) = self.open.get_mut(&key) {
            tailed.shadow_of = None;
        }
        self.is_dirty = true;
        Ok(())
    }

    /// A file that cannot be read any more is left alone.
    fn broken(&mut self, key: FileKey, error: &io::Error) {
        let path = self
            .checkpoint
            .files
            .get(&key)
            .map(|mark| mark.path.clone());
        warn!(path = %path.unwrap_or_default().display(), %error, "reading a file fails");
        self.counters.reject(Reason::BadPacking, 1);
        if let Some(tailed) = self.open.get_mut(&key) {
            tailed.is_done = true;
        }
    }

    fn close_gone(&mut self, now_s: i64) {
        let mut closed = Vec::new();
        self.open.retain(|key, tailed| {
            let quiet_s = now_s - tailed.grew.0.div_euclid(1_000_000);
            let mark = self.checkpoint.files.get(key);
            let is_read = mark.is_none_or(|mark| mark.pending.is_none());
            let keep = !(tailed.is_gone && quiet_s > GONE_QUIET_S && is_read);
            if !keep {
                closed.push(*key);
            }
            keep
        });
        for key in closed {
            if let Some(mark) = self.checkpoint.files.remove(&key) {
                self.remember(key, mark);
            }
        }
        let before = self.checkpoint.past.len();
        self.checkpoint
            .past
            .retain(|(_, mark)| now_s - mark.seen_s < PAST_S);
        self.is_dirty |= self.checkpoint.past.len() != before;
    }
}

#[cfg(test)]
mod tests;
