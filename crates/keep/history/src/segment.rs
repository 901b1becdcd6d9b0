//! Segments as files.
//!
//! ```text
//! 0000000012.open   head "ANDONLOG", version u32, zero u32; then frames as they were written
//! 0000000012.seal   head (64 bytes), frames as zlib, news as zlib (JSON)
//! 0000000012.bad    what could not be read, kept for whoever wants to look
//! *.part            a seal in the making; deleted at the next start
//! ```
//! A seal is written beside the open file, synced and renamed; only then the open file goes.
//! Killed anywhere in between, either both are there, and the seal counts, or the open file is.

use crate::bytes::{Rubbish, Take};
use crate::news::{Change, NewsReader};
use crate::record::{FRAME_HEAD, Record, checksum, payload_length};
use andon_model::Timestamp;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const OPEN_MAGIC: &[u8; 8] = b"ANDONLOG";
const SEAL_MAGIC: &[u8; 8] = b"ANDONSEG";
const VERSION: u32 = 1;
/// Length of an open file's head.
pub(crate) const OPEN_HEAD: u64 = 16;
const SEAL_HEAD: usize = 64;
/// Frames of one segment uncompressed. A file that claims more is not ours.
const RAW_BYTES_MAX: u64 = 256 << 20;
/// The news of one segment uncompressed.
const NEWS_BYTES_MAX: u64 = 16 << 20;

/// Why a segment's file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// The system's word.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what a segment is.
    #[error("it is damaged")]
    Damaged,
    /// A later version wrote it.
    #[error("it was written by a later version (format {0})")]
    Later(u32),
}

impl From<Rubbish> for SegmentError {
    fn from(_: Rubbish) -> Self {
        Self::Damaged
    }
}

/// The file of a segment in one of its forms.
pub(crate) fn path(dir: &Path, number: u32, ending: &str) -> PathBuf {
    dir.join(format!("{number:010}.{ending}"))
}

/// Number and ending of a file's name, if it is one of ours.
pub(crate) fn parse_name(name: &str) -> Option<(u32, &str)> {
    let (number, ending) = name.split_once('.')?;
    Some((number.parse().ok()?, ending))
}

/// Makes the file of a new segment.
pub(crate) fn create(dir: &Path, number: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path(dir, number, "open"))?;
    let mut head = Vec::with_capacity(OPEN_HEAD as usize);
    head.extend_from_slice(OPEN_MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    file.write_all_at(&head, 0)?;
    Ok(file)
}

/// Syncs a folder, so that files made, renamed or deleted in it stay so.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// All of an open segment, its head checked and taken off, up to `good` bytes of file.
pub(crate) fn read_open(dir: &Path, number: u32, good: u64) -> Result<Vec<u8>, SegmentError> {
    let (file, length) = begin_reading(dir, number, good)?;
    let mut raw = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(length).read_to_end(&mut raw)?;
    Ok(raw)
}

/// An open segment after its head, and how many bytes of it there are to read.
fn begin_reading(dir: &Path, number: u32, good: u64) -> Result<(File, u64), SegmentError> {
    let mut file = File::open(path(dir, number, "open"))?;
    let mut head = [0; OPEN_HEAD as usize];
    file.read_exact(&mut head).map_err(or_damaged)?;
    let mut take = Take(&head);
    if take.exactly(8)? != OPEN_MAGIC {
        return Err(SegmentError::Damaged);
    }
    known(u32::from_le_bytes(take.array()?))?;
    let length = file.metadata()?.len().min(good).saturating_sub(OPEN_HEAD);
    Ok((file, length.min(RAW_BYTES_MAX)))
}

fn or_damaged(error: io::Error) -> SegmentError {
    if is_damage(&error) {
        SegmentError::Damaged
    } else {
        error.into()
    }
}

fn known(version: u32) -> Result<(), SegmentError> {
    match version {
        VERSION => Ok(()),
        0 => Err(SegmentError::Damaged),
        later => Err(SegmentError::Later(later)),
    }
}

/// What a sealed segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SealHead {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Bytes of its frames, uncompressed.
    pub(crate) raw_bytes: u64,
    body_bytes: u64,
    news_bytes: u64,
}

impl SealHead {
    fn encode(&self) -> [u8; SEAL_HEAD] {
        let mut head = Vec::with_capacity(SEAL_HEAD);
        head.extend_from_slice(SEAL_MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&self.from.0.to_le_bytes());
        head.extend_from_slice(&self.until.0.to_le_bytes());
        for count in [self.raw_bytes, self.body_bytes, self.news_bytes] {
            head.extend_from_slice(&count.to_le_bytes());
        }
        head.resize(SEAL_HEAD - 4, 0);
        head.extend_from_slice(&checksum(&head).to_le_bytes());
        let mut fixed = [0; SEAL_HEAD];
        fixed.copy_from_slice(&head);
        fixed
    }

    fn decode(head: &[u8; SEAL_HEAD]) -> Result<Self, SegmentError> {
        let (content, sum) = head.split_at(SEAL_HEAD - 4);
        let mut take = Take(content);
        if take.exactly(8)? != SEAL_MAGIC || checksum(content).to_le_bytes() != sum {
            return Err(SegmentError::Damaged);
        }
        known(u32::from_le_bytes(take.array()?))?;
        let decoded = Self {
            from: Timestamp(i64::from_le_bytes(take.array()?)),
            until: Timestamp(i64::from_le_bytes(take.array()?)),
            raw_bytes: u64::from_le_bytes(take.array()?),
            body_bytes: u64::from_le_bytes(take.array()?),
            news_bytes: u64::from_le_bytes(take.array()?),
        };
        if decoded.raw_bytes > RAW_BYTES_MAX {
            return Err(SegmentError::Damaged);
        }
        Ok(decoded)
    }

    /// The head of a sealed segment's file; the file must be as long as the head says.
    pub(crate) fn read(file: &mut File) -> Result<Self, SegmentError> {
        let mut head = [0; SEAL_HEAD];
        file.read_exact(&mut head).map_err(or_damaged)?;
        let decoded = Self::decode(&head)?;
        let whole = (SEAL_HEAD as u64)
            .saturating_add(decoded.body_bytes)
            .saturating_add(decoded.news_bytes);
        if file.metadata()?.len() < whole {
            return Err(SegmentError::Damaged);
        }
        Ok(decoded)
    }
}

/// All frames of a sealed segment.
pub(crate) fn read_sealed(dir: &Path, number: u32) -> Result<Vec<u8>, SegmentError> {
    let mut file = File::open(path(dir, number, "seal"))?;
    let head = SealHead::read(&mut file)?;
    inflate(file.take(head.body_bytes), head.raw_bytes)
}

/// What changed in a sealed segment, without reading its frames.
pub(crate) fn read_news(dir: &Path, number: u32) -> Result<Vec<Change>, SegmentError> {
    let mut file = File::open(path(dir, number, "seal"))?;
    let head = SealHead::read(&mut file)?;
    file.seek(SeekFrom::Start(SEAL_HEAD as u64 + head.body_bytes))?;
    let json = inflate(file.take(head.news_bytes), NEWS_BYTES_MAX)?;
    serde_json::from_slice(&json).map_err(|_| SegmentError::Damaged)
}

fn inflate(packed: impl Read, bytes_max: u64) -> Result<Vec<u8>, SegmentError> {
    let mut raw = Vec::with_capacity(usize::try_from(bytes_max.min(8 << 20)).unwrap_or(0));
    let read = ZlibDecoder::new(packed)
        .take(bytes_max)
        .read_to_end(&mut raw);
    match read {
        Ok(_) => {
            raw.shrink_to_fit();
            Ok(raw)
        }
        Err(error) => Err(or_damaged(error)),
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

/// What a look over frames found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Bytes of good frames from the front.
    pub(crate) good: u64,
    /// Bytes of the first record alone.
    pub(crate) first: u64,
}

/// Looks over an open segment, one frame in memory at a time; `None` if not even the first is
/// good and whole. `each` is shown every good frame. Also says how long the file's frames are,
/// good and torn.
fn scan(
    dir: &Path,
    number: u32,
    good: u64,
    mut each: impl FnMut(&[u8], &Record<'_>) -> io::Result<()>,
) -> Result<(Option<Scan>, u64), SegmentError> {
    let (file, length) = begin_reading(dir, number, good)?;
    let mut file = BufReader::new(file.take(length));
    let mut scan: Option<Scan> = None;
    let mut frame = Vec::new();
    while next_frame(&mut file, &mut frame)? {
        let Ok((record, bytes)) = Record::first(&frame) else {
            break;
        };
        if scan.is_none() && !record.whole {
            break;
        }
        each(&frame, &record)?;
        let bytes = bytes as u64;
        let scan = scan.get_or_insert(Scan {
            from: record.at,
            until: record.at,
            good: 0,
            first: bytes,
        });
        scan.until = record.at;
        scan.good += bytes;
    }
    Ok((scan, length))
}

/// Reads a frame; `false` at the end, and where it is torn or not a frame.
fn next_frame(file: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; FRAME_HEAD];
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let [a, b, c, d, ..] = head;
    let Ok(length) = payload_length([a, b, c, d]) else {
        return Ok(false);
    };
    frame.clear();
    frame.extend_from_slice(&head);
    file.take(length as u64).read_to_end(frame)?;
    Ok(frame.len() == FRAME_HEAD + length)
}

/// Takes stock of an open segment: what is good in it, and how long its frames are in all.
pub(crate) fn look(dir: &Path, number: u32) -> Result<(Option<Scan>, u64), SegmentError> {
    scan(dir, number, u64::MAX, |_, _| Ok(()))
}

/// Seals a segment: compresses it, writes down what changed in it, and deletes the open file.
/// On error the open file is as it was.
pub(crate) fn seal(dir: &Path, number: u32, good: u64) -> Result<(SealHead, u64), SegmentError> {
    let part = path(dir, number, "part");
    let sealed = write_seal(dir, number, good, &part);
    if sealed.is_err() {
        let _ = fs::remove_file(&part);
    }
    let (head, disk_bytes) = sealed?;
    fs::rename(&part, path(dir, number, "seal"))?;
    sync_dir(dir)?;
    fs::remove_file(path(dir, number, "open"))?;
    Ok((head, disk_bytes))
}

fn write_seal(
    dir: &Path,
    number: u32,
    good: u64,
    part: &Path,
) -> Result<(SealHead, u64), SegmentError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)?;
    file.seek(SeekFrom::Start(SEAL_HEAD as u64))?;
    let mut news = NewsReader::default();
    let mut body = ZlibEncoder::new(BufWriter::new(&mut file), Compression::default());
    let (scan, _) = scan(dir, number, good, |frame, record| {
        // What cannot be understood here is not understood by a reader either.
        let _ = news.apply(record);
        body.write_all(frame)
    })?;
    let scan = scan.ok_or(SegmentError::Damaged)?;
    body.finish()?.flush()?;
    let body_bytes = file.stream_position()? - SEAL_HEAD as u64;
    let news = serde_json::to_vec(&news.take()).map_err(|_| SegmentError::Damaged)?;
    let news_bytes = deflate(&mut file, &news)?;
    let head = SealHead {
        from: scan.from,
        until: scan.until,
        raw_bytes: scan.good,
        body_bytes,
        news_bytes,
    };
    file.write_all_at(&head.encode(), 0)?;
    file.sync_all()?;
    Ok((head, SEAL_HEAD as u64 + body_bytes + news_bytes))
}

fn deflate(file: &mut File, raw: &[u8]) -> io::Result<u64> {
    let before = file.stream_position()?;
    let mut encoder = ZlibEncoder::new(BufWriter::new(&mut *file), Compression::default());
    encoder.write_all(raw)?;
    encoder.finish()?.flush()?;
    Ok(file.stream_position()? - before)
}
