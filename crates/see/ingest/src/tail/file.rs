//! One file that is being read: its bytes from any place on, packed or not, and whether it is
//! still the file it was.

use super::checkpoint::{FileKey, PRINT_BYTES, Print};
use crate::inflate::{Encoding, Inflate};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// An open file.
pub struct OpenFile {
    file: Arc<File>,
    packed: Option<Packed>,
}

/// A packed file can only be read from front to back.
struct Packed {
    encoding: Encoding,
    reader: Inflate<BufReader<FromFront>>,
    /// Bytes that were read and not yet consumed, and where they begin.
    window: Vec<u8>,
    window_at: u64,
    is_at_end: bool,
}

/// Some bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// From the place that was asked for.
    pub bytes: Vec<u8>,
    /// Whether the file ends with them, for now.
    pub is_at_end: bool,
}

impl OpenFile {
    /// Opens a file; what its name ends in tells how it is packed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(File::open(path)?);
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let packed = match Encoding::by_file_name(&name.unwrap_or_default()) {
            Encoding::Plain => None,
            encoding => Some(Packed::new(encoding, file.clone())?),
        };
        Ok(Self { file, packed })
    }

    /// What the disk calls it.
    pub fn key(&self) -> io::Result<FileKey> {
        let data = self.file.metadata()?;
        Ok(FileKey {
            device: data.dev(),
            inode: data.ino(),
        })
    }

    /// Its size on disk, when it changed last (seconds since 1970), and its names.
    pub fn stat(&self) -> io::Result<(u64, i64, u64)> {
        let data = self.file.metadata()?;
        Ok((data.size(), data.mtime(), data.nlink()))
    }

    /// Whether it is packed, and so never grows.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// At most `bytes_max` bytes from `offset` on, unpacked.
    pub fn chunk(&mut self, offset: u64, bytes_max: usize) -> io::Result<Chunk> {
        match &mut self.packed {
            None => {
                let bytes = read_at(&self.file, offset, bytes_max)?;
                let is_at_end = bytes.len() < bytes_max;
                Ok(Chunk { bytes, is_at_end })
            }
            Some(packed) => {
                if offset < packed.window_at {
                    *packed = Packed::new(packed.encoding, self.file.clone())?;
                }
                packed.chunk(offset, bytes_max)
            }
        }
    }

    /// What the first bytes are, at most [`PRINT_BYTES`].
    pub fn head(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let bytes_max = bytes_max.min(PRINT_BYTES);
        match &self.packed {
            None => read_at(&self.file, 0, bytes_max),
            Some(packed) => {
                let mut fresh = Packed::new(packed.encoding, self.file.clone())?;
                Ok(fresh.chunk(0, bytes_max)?.bytes)
            }
        }
    }

    /// What the last bytes before `offset` are.
    pub fn last(&mut self, offset: u64) -> io::Result<Print> {
        let bytes = offset.min(PRINT_BYTES as u64);
        Ok(Print::of(
            &self.chunk(offset - bytes, bytes as usize)?.bytes,
        ))
    }
}

impl Packed {
    fn new(encoding: Encoding, file: Arc<File>) -> io::Result<Self> {
        let reader = Inflate::new(encoding, BufReader::new(FromFront { file, offset: 0 }))?;
        Ok(Self {
            encoding,
            reader,
            window: Vec::new(),
            window_at: 0,
            is_at_end: false,
        })
    }

    fn chunk(&mut self, offset: u64, bytes_max: usize) -> io::Result<Chunk> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            let skip = (offset - self.window_at).min(self.window.len() as u64);
            self.window.drain(..skip as usize);
            self.window_at += skip;
            if self.is_at_end || (self.window_at == offset && self.window.len() >= bytes_max) {
                break;
            }
            let bytes = self.reader.read(&mut piece)?;
            self.is_at_end = bytes == 0;
            self.window.extend_from_slice(&piece[..bytes]);
        }
        let bytes = self.window[..self.window.len().min(bytes_max)].to_vec();
        let is_at_end = self.is_at_end && bytes.len() == self.window.len();
        Ok(Chunk { bytes, is_at_end })
    }
}

/// Reads a file from its beginning with a position of its own: clones of a file share theirs.
struct FromFront {
    file: Arc<File>,
    offset: u64,
}

impl Read for FromFront {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(buffer, self.offset)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

fn read_at(file: &File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let mut filled = 0;
    while filled < bytes_max {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
