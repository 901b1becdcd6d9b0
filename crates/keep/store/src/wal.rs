//! The write-ahead log: what is acknowledged is here first. A frame is one batch; a frame that
//! was only half written when the power went is cut off, one that went bad later is left out
//! and told, and the frames after it still count.

use crate::batch::{Batch, COLUMNS_MAX, NamedColumn};
use crate::coding::bytes::{Bytes, put_bytes, put_u64};
use crate::coding::{BLOCK_ROWS_MAX, Damaged, column, ints};
use andon_model::event::{DATASET_BYTES_MAX, is_dataset_name};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Begins each frame, so that the next good one is found after a bad one.
const MARK: &[u8; 4] = b"\xa5AWL";
pub(crate) const FRAME_HEAD: usize = 12;
/// Bytes of one frame at most.
pub(crate) const FRAME_BYTES_MAX: usize = 96 << 20;
const SUFFIX: &str = "wal";

/// One batch on its way in.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) dataset: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) batch: Batch,
}

/// Who sent a batch and its number there, so that one sent twice is kept once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whoever numbers its batches.
    pub source: String,
    /// Larger than that of every batch of this source before.
    pub sequence: u64,
}

/// Bytes of a source's name at most.
pub const SOURCE_BYTES_MAX: usize = 256;

impl Frame {
    /// The frame as it stands in the log.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; FRAME_HEAD];
        put_bytes(&mut out, self.dataset.as_bytes());
        match &self.origin {
            None => out.push(0),
            Some(origin) => {
                out.push(1);
                put_bytes(&mut out, origin.source.as_bytes());
                put_u64(&mut out, origin.sequence);
            }
        }
        put_u64(&mut out, self.batch.len() as u64);
        ints::encode(&mut out, &self.batch.at);
        put_u64(&mut out, self.batch.columns.len() as u64);
        let mut part = Vec::new();
        for named in &self.batch.columns {
            put_bytes(&mut out, named.name.as_bytes());
            part.clear();
            column::encode(&mut part, &named.column, self.batch.len());
            put_bytes(&mut out, &part);
        }
        let length = (out.len() - FRAME_HEAD) as u32;
        out[..4].copy_from_slice(MARK);
        out[4..8].copy_from_slice(&length.to_le_bytes());
        let crc = crc(&out[4..8], &out[FRAME_HEAD..]);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads what stands in a frame; its checksum is for the caller to look at.
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Damaged> {
        let mut bytes = Bytes::new(payload);
        let dataset = bytes.text()?.to_owned();
        if dataset.len() > DATASET_BYTES_MAX || !is_dataset_name(&dataset) {
            return Err(Damaged("a name that no dataset has"));
        }
        let origin = match bytes.u8()? {
            0 => None,
            _ => Some(Origin {
                source: bytes.text()?.to_owned(),
                sequence: bytes.u64()?,
            }),
        };
        let rows = bytes.count(BLOCK_ROWS_MAX)?;
        let at = ints::decode(&mut bytes, rows)?;
        let mut columns = Vec::new();
        // One column of each type for the rest is over the limit of columns.
        for _ in 0..bytes.count(COLUMNS_MAX + 1)? {
            let name = bytes.text()?.into();
            let part = bytes.bytes()?;
            let column = column::decode(&mut Bytes::new(part), rows, None)?;
            columns.push(NamedColumn { name, column });
        }
        Ok(Self {
            dataset,
            origin,
            batch: Batch::from_parts(at, columns),
        })
    }
}

fn crc(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// How a log's file is called.
pub(crate) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:012}.{SUFFIX}"))
}

/// The logs in a folder, oldest first.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let parts = name.split_once('.');
        if let Some((sequence, SUFFIX)) = parts
            && let Ok(sequence) = sequence.parse()
        {
            found.push(sequence);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The log being written.
#[derive(Debug)]
pub(crate) struct Wal {
    pub(crate) sequence: u64,
    file: File,
    /// Up to where it is known to be whole and on disk.
    pub(crate) bytes: u64,
    failed: bool,
}

impl Wal {
    /// Whether something could not be written to it.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed
    }

    /// Begins a log; its name is on disk when this returns.
    pub(crate) fn create(dir: &Path, sequence: u64) -> io::Result<Self> {
        let path = path(dir, sequence);
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self {
            sequence,
            file,
            bytes: 0,
            failed: false,
        })
    }

    /// Writes frames; they are on disk when this returns. After an error none of them is
    /// counted, and the log must be ended.
    pub(crate) fn append(&mut self, frames: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let mut end = self.bytes;
        let written = frames.iter().try_for_each(|frame| {
            self.file.write_all_at(frame.as_ref(), end)?;
            end += frame.as_ref().len() as u64;
            Ok(())
        });
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            self.failed = true;
            self.take_back();
            return Err(error);
        }
        self.bytes = end;
        Ok(())
    }

    /// Cuts off what was refused, so that it does not come back when the log is read.
    fn take_back(&mut self) {
        let cut = self.file.set_len(self.bytes);
        if let Err(error) = cut.and_then(|()| self.file.sync_data()) {
            tracing::error!(%error, sequence = self.sequence, "refused records may come back");
        }
    }
}

/// What reading a log brought to light.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Frames read.
    pub(crate) frames: u64,
    /// Bytes at the end that were never acknowledged; cut off.
    pub(crate) torn_bytes: u64,
    /// Stretches within that went bad: where, and how many bytes.
    pub(crate) damaged: Vec<(u64, u64)>,
}

/// Reads all frames of a log, oldest first, and cuts a torn end off.
pub(crate) fn replay(
    path: &Path,
    mut each: impl FnMut(Frame) -> io::Result<()>,
) -> io::Result<Replay> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut replay = Replay::default();
    let mut from = 0;
    while from < bytes.len() {
        if let Some(payload) = payload_at(&bytes[from..]) {
            let length = FRAME_HEAD + payload.len();
            match Frame::decode(payload) {
                Ok(frame) => {
                    replay.frames += 1;
                    each(frame)?;
                }
                Err(_) => replay.damaged.push((from as u64, length as u64)),
            }
            from += length;
            continue;
        }
        let next = next_frame(&bytes, from + 1);
        match next {
            Some(next) => {
                replay.damaged.push((from as u64, (next - from) as u64));
                from = next;
            }
            None => {
                replay.torn_bytes = (bytes.len() - from) as u64;
                file.set_len(from as u64)?;
                file.sync_all()?;
                break;
            }
        }
    }
    Ok(replay)
}

fn payload_at(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(FRAME_HEAD)?;
    let mut fields = Bytes::new(head.strip_prefix(MARK)?);
    let length = fields.fixed_u32().ok()? as usize;
    let expected = fields.fixed_u32().ok()?;
    if length > FRAME_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    (crc(&head[4..8], payload) == expected).then_some(payload)
}

fn next_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let mut marks = memchr::memmem::find_iter(rest, MARK);
    marks
        .find(|&mark| payload_at(&rest[mark..]).is_some())
        .map(|mark| from + mark)
}
