//! Records to disk: one segment is written at a time, earlier ones are sealed, the oldest make
//! room. All that can go wrong with a disk ends here: the caller learns that it cannot write,
//! and may try again later with a fresh segment.

use crate::index::{Form, Segment, Shared};
use crate::options::HistoryOptions;
use crate::segment::{self, OPEN_HEAD, SealHead, SegmentError};
use andon_model::Timestamp;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Files at most, however small: a node that restarts all the time makes many. Beyond it the
/// oldest go; each costs memory and a look at the start.
const SEGMENTS_MAX: usize = 8_192;

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The system's word.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Others need what is left.
    #[error("the disk has {free} bytes free, and {free_min} are left to others")]
    Full { free: u64, free_min: u64 },
}

/// The segment that is written.
#[derive(Debug)]
struct Active {
    number: u32,
    file: File,
    /// Bytes of the file up to the end of the last good record.
    length: u64,
    first: u64,
    from: Timestamp,
    until: Timestamp,
    synced: bool,
}

/// The segments on disk, for writing.
#[derive(Debug)]
pub(crate) struct Log {
    options: HistoryOptions,
    shared: Arc<Shared>,
    active: Option<Active>,
    next: u32,
}

impl Log {
    /// Takes stock of a folder: finishes or undoes what a killed node left half done, cuts off
    /// torn tails, sets aside what it cannot read.
    pub(crate) fn open(options: &HistoryOptions, shared: Arc<Shared>) -> Result<Self, LogError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&options.dir)?;
        let mut log = Self {
            options: options.clone(),
            shared,
            active: None,
            next: 0,
        };
        let (mut open, mut sealed) = (BTreeSet::new(), BTreeSet::new());
        for entry in fs::read_dir(&options.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((number, ending)) = name.to_str().and_then(segment::parse_name) else {
                continue;
            };
            log.next = log.next.max(number.saturating_add(1));
            match ending {
                "open" => drop(open.insert(number)),
                "seal" => drop(sealed.insert(number)),
                "bad" => log.count_aside(number, "bad"),
                "part" => fs::remove_file(entry.path())?,
                _ => {}
            }
        }
        for number in &sealed {
            // Sealed and then killed: the open file was to be deleted next.
            if open.remove(number) {
                fs::remove_file(log.path(*number, "open"))?;
            }
            log.take_sealed(*number);
        }
        let newest = open.last().copied();
        for number in open {
            log.take_open(number, Some(number) == newest && number + 1 == log.next);
        }
        log.seal_all();
        Ok(log)
    }

    fn path(&self, number: u32, ending: &str) -> std::path::PathBuf {
        segment::path(&self.options.dir, number, ending)
    }

    fn take_sealed(&mut self, number: u32) {
        let head = File::open(self.path(number, "seal"))
            .map_err(SegmentError::from)
            .and_then(|mut file| {
                let disk_bytes = file.metadata()?.len();
                Ok((SealHead::read(&mut file)?, disk_bytes))
            });
        match head {
            Ok((head, disk_bytes)) => self.remember_sealed(number, head, disk_bytes),
            Err(error) => set_aside(&self.shared, number, "seal", &error),
        }
    }

    fn remember_sealed(&self, number: u32, head: SealHead, disk_bytes: u64) {
        let segment = Segment {
            form: Form::Sealed,
            from: head.from,
            until: head.until,
            raw_bytes: head.raw_bytes,
            disk_bytes,
        };
        self.shared.segments().insert(number, segment);
    }

    /// Takes stock of an open segment: the newest may be written on.
    fn take_open(&mut self, number: u32, newest: bool) {
        let (scan, written) = match segment::look(&self.options.dir, number) {
            Ok(found) => found,
            Err(error) => return set_aside(&self.shared, number, "open", &error),
        };
        let path = self.path(number, "open");
        let Some(scan) = scan else {
            // Killed before its first record was whole: there is nothing in it.
            self.count_cut(number, written);
            let _ = fs::remove_file(path);
            return;
        };
        self.count_cut(number, written - scan.good);
        let length = OPEN_HEAD + scan.good;
        let segment = Segment {
            form: Form::Open,
            from: scan.from,
            until: scan.until,
            raw_bytes: length,
            disk_bytes: length,
        };
        self.shared.segments().insert(number, segment);
        let file = fs::OpenOptions::new().read(true).write(true).open(path);
        if let Some(file) = file
            .ok()
            .filter(|file| newest && file.set_len(length).is_ok())
        {
            self.active = Some(Active {
                number,
                file,
                length,
                first: scan.first,
                from: scan.from,
                until: scan.until,
                synced: true,
            });
        }
    }

    fn count_cut(&self, number: u32, bytes: u64) {
        if bytes > 0 {
            tracing::warn!(segment = number, bytes, "cut a torn record off the history");
            let counter = &self.shared.counters.cut_bytes;
            counter.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn count_aside(&self, number: u32, ending: &str) {
        count_aside(&self.shared, number, ending);
    }

    /// The last moment written to the segment that is open, if one is.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.active.as_ref().map(|active| active.until)
    }

    /// Whether the segment is old or large enough to end, were a record of `at` to follow.
    pub(crate) fn is_done(&self, at: Timestamp) -> bool {
        self.active.as_ref().is_some_and(|active| {
            active.length >= self.options.segment_bytes_for(active.first)
                || at.since(active.from) >= self.options.segment_span
        })
    }

    /// Appends records; the first of a segment must be whole. After an error nothing of them
    /// is there, and the segment has ended.
    pub(crate) fn append(
        &mut self,
        records: &[u8],
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(), LogError> {
        let written = self.try_append(records, from, until);
        if written.is_err() {
            // What was torn lies beyond the good length: no reader looks there.
            self.active = None;
        }
        written
    }

    fn try_append(
        &mut self,
        records: &[u8],
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(), LogError> {
        self.check_room(records.len() as u64)?;
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.begin(records.len() as u64, from)?,
        };
        let written = active.file.write_all_at(records, active.length);
        if let Err(error) = written {
            let _ = active.file.set_len(active.length);
            if active.length == OPEN_HEAD {
                let _ = fs::remove_file(self.path(active.number, "open"));
            }
            return Err(error.into());
        }
        active.length += records.len() as u64;
        active.until = active.until.max(until);
        active.synced = false;
        let segment = Segment {
            form: Form::Open,
            from: active.from,
            until: active.until,
            raw_bytes: active.length,
            disk_bytes: active.length,
        };
        self.shared.segments().insert(active.number, segment);
        let counter = &self.shared.counters.written_bytes;
        counter.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.active = Some(active);
        Ok(())
    }

    fn begin(&mut self, first: u64, from: Timestamp) -> Result<Active, LogError> {
        let number = self.next;
        let file = match segment::create(&self.options.dir, number) {
            Ok(file) => file,
            Err(error) => {
                let _ = fs::remove_file(self.path(number, "open"));
                return Err(error.into());
            }
        };
        segment::sync_dir(&self.options.dir)?;
        self.next = number.saturating_add(1);
        Ok(Active {
            number,
            file,
            length: OPEN_HEAD,
            first,
            from,
            until: from,
            synced: false,
        })
    }

    fn check_room(&self, bytes: u64) -> Result<(), LogError> {
        let (free, free_min) = (free_bytes(&self.options.dir)?, self.options.free_min);
        if free < free_min.saturating_add(bytes) {
            return Err(LogError::Full { free, free_min });
        }
        Ok(())
    }

    /// Whether something was written that a power cut could take.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.active.as_ref().is_some_and(|active| !active.synced)
    }

    /// Brings what was written onto the disk itself.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        if let Some(active) = self.active.as_mut().filter(|active| !active.synced) {
            active.file.sync_data()?;
            active.synced = true;
        }
        Ok(())
    }

    /// Writes no more to the segment; it is sealed another time.
    pub(crate) fn abandon(&mut self) {
        self.active = None;
    }

    /// Ends the segment and seals it. If that fails it stays readable as it is, and is sealed
    /// another time.
    pub(crate) fn end_segment(&mut self) {
        self.active = None;
        self.seal_all();
    }

    fn seal_all(&mut self) {
        let active = self.active.as_ref().map(|active| active.number);
        let open: Vec<(u32, u64)> = self
            .shared
            .segments()
            .iter()
            .filter(|(number, segment)| segment.form == Form::Open && Some(**number) != active)
            .map(|(number, segment)| (*number, segment.raw_bytes))
            .collect();
        for (number, good) in open {
            match segment::seal(&self.options.dir, number, good) {
                Ok((head, disk_bytes)) => {
                    // Nothing, unless the disk itself lost something.
                    let good = good.saturating_sub(OPEN_HEAD);
                    self.count_cut(number, good.saturating_sub(head.raw_bytes));
                    self.remember_sealed(number, head, disk_bytes);
                }
                Err(SegmentError::Io(error)) => {
                    tracing::warn!(segment = number, %error, "a segment of the history is not compressed yet");
                }
                Err(error) => set_aside(&self.shared, number, "open", &error),
            }
        }
    }

    /// Deletes the oldest segments until all are within bounds. By age only where `now` is to
    /// be trusted: a clock that jumps must not cost a month.
    pub(crate) fn retire(&mut self, now: Option<Timestamp>) {
        let active = self.active.as_ref().map(|active| active.number);
        loop {
            let oldest = {
                let segments = self.shared.segments();
                let bytes: u64 = segments.values().map(|segment| segment.disk_bytes).sum();
                let crowded = bytes > self.options.bytes_max || segments.len() > SEGMENTS_MAX;
                let is_old = |segment: &Segment| {
                    now.is_some_and(|now| now.since(segment.until) > self.options.keep)
                };
                let mut others = segments
                    .iter()
                    .filter(|(number, _)| Some(**number) != active);
                let found = if crowded {
                    others.next()
                } else {
                    others.find(|(_, segment)| is_old(segment))
                };
                found.map(|(number, segment)| (*number, *segment))
            };
            let Some((number, _)) = oldest else { return };
            for ending in ["open", "seal", "bad"] {
                match fs::remove_file(self.path(number, ending)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(segment = number, %error, "an old segment of the history cannot be deleted");
                        // Not asked again and again; the next start finds it.
                        self.shared.segments().remove(&number);
                        return;
                    }
                    _ => {}
                }
            }
            self.shared.segments().remove(&number);
            self.shared.counters.retired.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Bytes that this user may still write.
fn free_bytes(dir: &std::path::Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(dir)?;
    // Their widths differ between systems.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (
        u64::from(disk.blocks_available()),
        u64::from(disk.fragment_size()),
    );
    Ok(blocks.saturating_mul(size))
}

/// Puts a segment that cannot be read out of the way; the others are read on. One of a later
/// version keeps its name, so that this version comes back to it.
pub(crate) fn set_aside(shared: &Shared, number: u32, ending: &'static str, error: &SegmentError) {
    tracing::warn!(segment = number, %error, "a segment of the history is set aside");
    shared.counters.set_aside.fetch_add(1, Ordering::Relaxed);
    let damaged = matches!(error, SegmentError::Damaged);
    let bad = segment::path(&shared.dir, number, "bad");
    let moved = damaged && fs::rename(segment::path(&shared.dir, number, ending), bad).is_ok();
    count_aside(shared, number, if moved { "bad" } else { ending });
}

fn count_aside(shared: &Shared, number: u32, ending: &str) {
    let Ok(meta) = fs::metadata(segment::path(&shared.dir, number, ending)) else {
        shared.segments().remove(&number);
        return;
    };
    let written = Timestamp(meta.mtime().saturating_mul(1_000_000));
    let segment = Segment {
        form: Form::Aside,
        from: written,
        until: written,
        raw_bytes: 0,
        disk_bytes: meta.len(),
    };
    shared.segments().insert(number, segment);
}
