//! A segment is read piece by piece, each checked before it is believed.

use super::footer::{ColumnMeta, Footer, Piece, RowOrder};
use super::{MAGIC, SUFFIX, SegmentError, TAIL_BYTES, id_of, rollup_name, rollup_of};
use crate::batch::{Batch, NamedColumn, add_attribute};
use crate::coding::bloom::Bloom;
use crate::coding::bytes::Bytes;
use crate::coding::{Damaged, column as coding, ints, pick};
use crate::column::{Column, Dict};
use crate::pool;
use crate::rollup::STEPS_US;
use andon_model::event::Event;
use andon_model::time::Timestamp;
use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// One segment that is there. What it says of itself is read when asked for and forgotten
/// when memory is short.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) id: u64,
    /// Its number among all that were ever opened; what is kept of it goes by that.
    pub(crate) serial: u64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) at_min: i64,
    pub(crate) at_max: i64,
    pub(crate) sealed_at: i64,
    pub(crate) wal: u64,
    pub(crate) replaces: Vec<u64>,
    /// The same samples at coarser steps, coarsest first, each with its width.
    pub(crate) rollups: Vec<(i64, Arc<Segment>)>,
    /// Whether each row stands for many.
    pub(crate) is_rollup: bool,
    footer: Mutex<Option<Arc<Footer>>>,
    damage: OnceLock<String>,
    /// Delete the file once nobody reads it any more.
    doomed: AtomicBool,
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(file = %self.path.display(), %error, "segment not removed");
        }
    }
}

impl Segment {
    /// Reads what a segment says of itself.
    pub(crate) fn open(path: &Path) -> Result<Self, SegmentError> {
        let file = File::open(path).map_err(|source| disk(path, source))?;
        let length = file.metadata().map_err(|source| disk(path, source))?.len();
        let footer = read_footer(path, &file, length)?;
        let named = path.file_name().and_then(|name| {
            let name = name.to_string_lossy();
            id_of(&name).or_else(|| rollup_of(&name))
        });
        if named != Some(footer.id) {
            return Err(damaged(path, "its name is another segment's"));
        }
        Ok(Self::of(path, length, footer))
    }

    /// A segment just written.
    pub(crate) fn of(path: &Path, bytes: u64, footer: Footer) -> Self {
        Self {
            path: path.to_owned(),
            id: footer.id,
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            bytes,
            rows: footer.rows(),
            at_min: footer.at_min(),
            at_max: footer.at_max(),
            sealed_at: footer.sealed_at,
            wal: footer.wal,
            replaces: footer.replaces.clone(),
            rollups: rollups(path, &footer),
            is_rollup: false,
            footer: Mutex::new(Some(Arc::new(footer))),
            damage: OnceLock::new(),
            doomed: AtomicBool::new(false),
        }
    }

    /// Bytes on disk, with those of its rollups.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let rollups = self.rollups.iter().map(|(_, rollup)| rollup.bytes);
        self.bytes + rollups.sum::<u64>()
    }

    /// Its file's name and its dataset's, as people are told of it.
    pub(crate) fn label(&self) -> String {
        label(&self.path)
    }

    /// What is damaged, if that is known.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Leaves it out from here on; the first reason stays.
    pub(crate) fn isolate(&self, error: &SegmentError) {
        let reason = error.to_string();
        if self.damage.set(reason.clone()).is_ok() {
            tracing::error!(segment = self.label(), reason, "segment isolated");
        }
    }

    /// Removes its file once the last reader is done.
    pub(crate) fn doom(&self) {
        self.rollups.iter().for_each(|(_, rollup)| rollup.doom());
        self.doomed.store(true, Ordering::Release);
    }

    /// Frees what it says of itself until that is asked for again.
    pub(crate) fn forget(&self) {
        self.rollups.iter().for_each(|(_, rollup)| rollup.forget());
        *self.footer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bytes of memory that [`forget`](Self::forget) would free.
    pub(crate) fn footer_bytes(&self) -> usize {
        let footer = self.footer.lock().unwrap_or_else(PoisonError::into_inner);
        footer.as_ref().map_or(0, |footer| footer.bytes())
    }

    /// Opens it for reading.
    pub(crate) fn reader(&self) -> Result<Reader, SegmentError> {
        let file = File::open(&self.path).map_err(|source| disk(&self.path, source))?;
        Ok(Reader {
            path: self.path.clone(),
            file,
            footer: self.footer()?,
            bytes_read: AtomicU64::new(0),
        })
    }

    /// What it says of itself.
    pub(crate) fn footer(&self) -> Result<Arc<Footer>, SegmentError> {
        let mut known = self.footer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(footer) = &*known {
            return Ok(footer.clone());
        }
        let file = File::open(&self.path).map_err(|source| disk(&self.path, source))?;
        let footer = Arc::new(read_footer(&self.path, &file, self.bytes)?);
        *known = Some(footer.clone());
        Ok(footer)
    }
}

/// What stands beside a segment. One that cannot be read is left out: the samples answer.
fn rollups(path: &Path, footer: &Footer) -> Vec<(i64, Arc<Segment>)> {
    let mut found = Vec::new();
    if footer.order != RowOrder::Series || path.extension().is_none_or(|end| end != SUFFIX) {
        return found;
    }
    for width in STEPS_US {
        let path = path.with_file_name(rollup_name(footer.id, width));
        if !path.exists() {
            continue;
        }
        match Segment::open(&path) {
            Ok(mut rollup) => {
                // What counts is when its samples were, not when its steps begin.
                (rollup.at_min, rollup.at_max) = (footer.at_min(), footer.at_max());
                rollup.is_rollup = true;
                found.push((width, Arc::new(rollup)));
            }
            Err(error) => tracing::error!(%error, "rollup left out"),
        }
    }
    found
}

fn label(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let dataset = path.parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{file}", dataset.to_string_lossy())
}

fn disk(path: &Path, source: std::io::Error) -> SegmentError {
    SegmentError::Disk {
        file: label(path),
        source,
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> SegmentError {
    SegmentError::Damaged {
        file: label(path),
        what: what.into(),
    }
}

fn read_footer(path: &Path, file: &File, length: u64) -> Result<Footer, SegmentError> {
    let least = (MAGIC.len() + TAIL_BYTES) as u64;
    if length < least {
        return Err(damaged(path, "the file is too short to be one"));
    }
    let mut head = [0; MAGIC.len()];
    let mut tail = [0; TAIL_BYTES];
    file.read_exact_at(&mut head, 0)
        .map_err(|source| disk(path, source))?;
    let from = length - TAIL_BYTES as u64;
    file.read_exact_at(&mut tail, from)
        .map_err(|source| disk(path, source))?;
    let (piece, crc) = read_tail(&tail).map_err(|what| damaged(path, format!("tail: {what}")))?;
    let said = &tail[..16];
    if &head != MAGIC || &tail[20..] != MAGIC || crc != crc32fast::hash(said) {
        return Err(damaged(path, "its begin or its tail is not a segment's"));
    }
    if piece.offset.checked_add(u64::from(piece.len)) != Some(from) {
        return Err(damaged(path, "the footer is not where the tail says"));
    }
    let sealed = read_piece(path, file, length, &piece, "footer")?;
    let raw = coding::unseal(&sealed).map_err(|what| damaged(path, format!("footer: {what}")))?;
    Footer::decode(&raw).map_err(|what| damaged(path, format!("footer: {what}")))
}

fn read_tail(tail: &[u8]) -> Result<(Piece, u32), Damaged> {
    let mut bytes = Bytes::new(tail);
    let piece = Piece {
        offset: bytes.fixed_u64()?,
        len: bytes.fixed_u32()?,
        crc: bytes.fixed_u32()?,
    };
    Ok((piece, bytes.fixed_u32()?))
}

fn read_piece(
    path: &Path,
    file: &File,
    length: u64,
    piece: &Piece,
    what: &str,
) -> Result<Vec<u8>, SegmentError> {
    let end = piece.offset.checked_add(u64::from(piece.len));
    if end.is_none_or(|end| end > length) {
        return Err(damaged(path, format!("{what}: it lies beyond the file")));
    }
    let mut bytes = pool::take(piece.len as usize);
    bytes.resize(piece.len as usize, 0);
    file.read_exact_at(&mut bytes, piece.offset)
        .map_err(|source| disk(path, source))?;
    if crc32fast::hash(&bytes) != piece.crc {
        let at = piece.offset;
        return Err(damaged(
            path,
            format!("{what}: the checksum at byte {at} differs"),
        ));
    }
    Ok(bytes)
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    pub(crate) footer: Arc<Footer>,
    bytes_read: AtomicU64,
}

impl Reader {
    /// Bytes read from disk so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Counts a piece that need not be read as it is still known.
    pub(crate) fn count_read(&self, piece: &Piece) {
        self.bytes_read
            .fetch_add(u64::from(piece.len), Ordering::Relaxed);
    }

    fn piece(&self, piece: &Piece, what: &str) -> Result<Vec<u8>, SegmentError> {
        self.count_read(piece);
        read_piece(&self.path, &self.file, u64::MAX, piece, what)
    }

    fn decode<T>(
        &self,
        piece: &Piece,
        what: &str,
        decode: impl FnOnce(&mut Bytes<'_>) -> Result<T, Damaged>,
    ) -> Result<T, SegmentError> {
        let sealed = self.piece(piece, what)?;
        let decoded = coding::unseal(&sealed).and_then(|raw| {
            let decoded = decode(&mut Bytes::new(&raw));
            if let Cow::Owned(raw) = raw {
                pool::give(raw);
            }
            decoded
        });
        pool::give(sealed);
        decoded.map_err(|error| damaged(&self.path, format!("{what}: {error}")))
    }

    /// When the rows of a block happened.
    pub(crate) fn at(&self, block: usize) -> Result<Vec<i64>, SegmentError> {
        let meta = &self.footer.blocks[block];
        let what = format!("times of block {block}");
        self.decode(&meta.at, &what, |bytes| {
            ints::decode(bytes, meta.rows as usize)
        })
    }

    /// The dictionary of a column, if it has one.
    pub(crate) fn dict(&self, column: &ColumnMeta) -> Result<Option<Arc<Dict>>, SegmentError> {
        let Some(piece) = &column.dict else {
            return Ok(None);
        };
        let what = format!("dictionary of {:?}", column.name);
        let dict = self.decode(piece, &what, coding::decode_dict)?;
        Ok(Some(Arc::new(dict)))
    }

    /// A block's part of a column; none if no row of it has a value.
    pub(crate) fn column(
        &self,
        column: &ColumnMeta,
        block: usize,
        dict: Option<&Arc<Dict>>,
    ) -> Result<Option<Column>, SegmentError> {
        let Some(part) = &column.blocks[block] else {
            return Ok(None);
        };
        let rows = self.footer.blocks[block].rows as usize;
        let what = format!("block {block} of {:?}", column.name);
        let decoded = self.decode(&part.piece, &what, |bytes| {
            coding::decode(bytes, rows, dict)
        })?;
        if decoded.values.kind() != column.kind {
            return Err(damaged(&self.path, format!("{what}: it has another type")));
        }
        Ok(Some(decoded))
    }

    /// Some rows of a block, ascending, as they were taken in. `dict` tells the dictionary of
    /// the column at a place.
    pub(crate) fn rows(
        &self,
        block: usize,
        rows: &[u32],
        mut dict: impl FnMut(usize) -> Result<Option<Arc<Dict>>, SegmentError>,
    ) -> Result<Vec<Event>, SegmentError> {
        let meta = &self.footer.blocks[block];
        let count = meta.rows as usize;
        let what = format!("times of block {block}");
        let places: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        let at = self.decode(&meta.at, &what, |bytes| ints::pick(bytes, count, &places))?;
        let mut events: Vec<Event> = at.into_iter().map(|at| Event::new(Timestamp(at))).collect();
        for (place, column) in self.footer.columns.iter().enumerate() {
            let Some(part) = &column.blocks[block] else {
                continue;
            };
            let dict = dict(place)?;
            let what = format!("block {block} of {:?}", column.name);
            let picked = self.decode(&part.piece, &what, |bytes| {
                pick::pick(bytes, count, dict.as_ref(), rows)
            })?;
            for (event, value) in events.iter_mut().zip(picked) {
                if let Some(value) = value {
                    add_attribute(event, &column.name, value);
                }
            }
        }
        Ok(events)
    }

    /// Whether a block's part of a column may have all of these words.
    pub(crate) fn may_have(
        &self,
        column: &ColumnMeta,
        block: usize,
        words: &[u64],
    ) -> Result<bool, SegmentError> {
        let part = column.blocks[block].as_ref();
        let Some(piece) = part.and_then(|part| part.bloom.as_ref()) else {
            return Ok(true);
        };
        if words.is_empty() {
            return Ok(true);
        }
        let what = format!("words of block {block} of {:?}", column.name);
        Ok(self.decode(piece, &what, Bloom::decode)?.may_have(words))
    }

    /// A whole block.
    pub(crate) fn batch(&self, block: usize) -> Result<Batch, SegmentError> {
        let mut columns = Vec::new();
        for column in &self.footer.columns {
            if column.blocks[block].is_none() {
                continue;
            }
            let dict = self.dict(column)?;
            if let Some(decoded) = self.column(column, block, dict.as_ref())? {
                columns.push(NamedColumn {
                    name: column.name.clone(),
                    column: decoded,
                });
            }
        }
        Ok(Batch::from_parts(self.at(block)?, columns))
    }

    /// Reads every piece and says all that is damaged.
    pub(crate) fn check(&self) -> Vec<SegmentError> {
        let mut found = Vec::new();
        for block in 0..self.footer.blocks.len() {
            found.extend(self.at(block).err());
        }
        for column in &self.footer.columns {
            let dict = match self.dict(column) {
                Ok(dict) => dict,
                Err(error) => {
                    found.push(error);
                    continue;
                }
            };
            for block in 0..self.footer.blocks.len() {
                found.extend(self.column(column, block, dict.as_ref()).err());
                let part = column.blocks[block].as_ref();
                if let Some(piece) = part.and_then(|part| part.bloom.as_ref()) {
                    let what = format!("words of block {block} of {:?}", column.name);
                    found.extend(self.decode(piece, &what, Bloom::decode).err());
                }
            }
        }
        found
    }
}
