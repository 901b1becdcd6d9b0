//! Records in a file of a queue: a head of 24 bytes (length, checksum, sequence, events) and
//! the packed parcel. A file is appended to and then read; it goes as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Length, checksum, sequence, events.
pub const HEAD_BYTES: usize = 24;
/// Longest record; a parcel packs to less.
const RECORD_BYTES_MAX: u32 = 128 << 20;

/// Where a record is, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the queue's records, from one up.
    pub sequence: u64,
    /// Its events.
    pub events: u32,
    /// Where its parcel begins.
    pub offset: u64,
    /// Bytes of its parcel.
    pub length: u32,
    /// Of its parcel.
    pub checksum: u32,
}

/// The name of a file whose first record has this sequence.
pub fn name(first: u64) -> String {
    format!("{first:020}.q")
}

/// The sequence in a file's name.
pub fn first_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".q")?.parse().ok()
}

/// The file that is written to.
#[derive(Debug)]
pub struct Writer {
    file: File,
    pub bytes: u64,
}

impl Writer {
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    /// Appends a record; it is on disk when this returns. On an error nothing is added.
    pub fn append(&mut self, sequence: u64, events: u32, parcel: &[u8]) -> io::Result<Place> {
        let length = u32::try_from(parcel.len()).map_err(io::Error::other)?;
        let checksum = crc32fast::hash(parcel);
        let mut record = Vec::with_capacity(HEAD_BYTES + parcel.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&checksum.to_le_bytes());
        record.extend_from_slice(&sequence.to_le_bytes());
        record.extend_from_slice(&events.to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
        record.extend_from_slice(parcel);
        let written = self.file.write_all(&record);
        let written = written.and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a record in the middle would hide all that come after it.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        let place = Place {
            sequence,
            events,
            offset: self.bytes + HEAD_BYTES as u64,
            length,
            checksum,
        };
        self.bytes += record.len() as u64;
        Ok(place)
    }
}

/// Records of a file, and where what is whole ends.
pub fn scan(path: &Path) -> io::Result<(Vec<Place>, u64)> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let (mut places, mut offset) = (Vec::new(), 0);
    loop {
        let mut head = [0; HEAD_BYTES];
        file.seek(SeekFrom::Start(offset))?;
        match file.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let four =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, checksum, events) = (four(0), four(4), four(16));
        let sequence = u64::from(four(8)) | u64::from(four(12)) << 32;
        let next = offset + HEAD_BYTES as u64 + u64::from(length);
        let is_head = crc32fast::hash(&head[..20]) == four(20) && length <= RECORD_BYTES_MAX;
        if !is_head || next > end {
            break;
        }
        places.push(Place {
            sequence,
            events,
            offset: offset + HEAD_BYTES as u64,
            length,
            checksum,
        });
        offset = next;
    }
    Ok((places, offset))
}

/// A record's parcel; `None` if it is damaged.
pub fn read(path: &Path, place: &Place) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let mut parcel = vec![0; place.length as usize];
    match file.read_exact_at(&mut parcel, place.offset) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok((crc32fast::hash(&parcel) == place.checksum).then_some(parcel))
}

/// Cuts a file off.
pub fn cut(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(bytes)?;
    file.sync_data()
}

/// A folder's files, by sequence.
pub fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(first) = first_of(&path) {
            files.push((first, path));
        }
    }
    files.sort();
    Ok(files)
}
