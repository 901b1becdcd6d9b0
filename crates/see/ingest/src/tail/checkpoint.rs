//! What was read of each file, on disk. Written as a whole to a file beside it, synced and
//! moved into its place: at every moment there is one that is whole.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How much of a file's beginning, and of what was read last, tells it from others.
pub const PRINT_BYTES: usize = 1024;

/// What some bytes are, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Print {
    /// How many bytes.
    pub bytes: u64,
    /// Their hash.
    pub hash: u64,
}

impl Print {
    /// Of some bytes (FNV-1a; it only has to tell neighbours apart).
    pub fn of(bytes: &[u8]) -> Self {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            bytes: bytes.len() as u64,
            hash,
        }
    }
}

/// A file as the disk knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileKey {
    /// Its disk.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// How far a file was read. Offsets count unpacked bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Where it was seen last, for people.
    pub path: PathBuf,
    /// Tells lives of one inode apart: a file that was truncated begins a new one.
    pub life: u64,
    /// All before it is kept.
    pub offset: u64,
    /// Where the batch ends that is being delivered: after a kill the very same one is
    /// delivered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// The file's first bytes.
    pub head: Print,
    /// The last bytes before `offset`.
    pub last: Print,
    /// Whether `offset` lies within a line that was too long.
    #[serde(default)]
    pub skipping: bool,
    /// When it was seen last, in seconds since 1970.
    pub seen_s: i64,
}

impl Mark {
    /// The batch's source: the same for the same bytes, whatever the file is called.
    pub fn source(&self, key: FileKey) -> String {
        format!("file/{:x}-{:x}-{:x}", key.device, key.inode, self.life)
    }
}

/// The marks of all files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Files that are there.
    pub files: BTreeMap<FileKey, Mark>,
    /// What files were before they were truncated or vanished: their copies may turn up.
    pub past: Vec<(FileKey, Mark)>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    files: Vec<(FileKey, Mark)>,
    past: Vec<(FileKey, Mark)>,
}

impl Checkpoint {
    /// Reads it; empty if there is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let document: Document = serde_json::from_slice(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if document.version != 1 {
            let error = format!("written by a newer version: {}", document.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(Self {
            files: document.files.into_iter().collect(),
            past: document.past,
        })
    }

    /// Writes it, durably.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let document = Document {
            version: 1,
            files: self
                .files
                .iter()
                .map(|(key, mark)| (*key, mark.clone()))
                .collect(),
            past: self.past.clone(),
        };
        write_durably(
            path,
            &serde_json::to_vec(&document).map_err(io::Error::other)?,
        )
    }
}

/// Puts a file into its place so that at every moment the old or the new one is there, whole.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_a_damaged_one_is_an_error() {
        let folder = std::env::temp_dir().join(format!("andon-checkpoint-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("files.json");
        assert_eq!(Checkpoint::read(&path).unwrap(), Checkpoint::default());
        let key = FileKey {
            device: 1,
            inode: 2,
        };
        let mark = Mark {
            path: "/var/log/a.log".into(),
            life: 7,
            offset: 10,
            pending: Some(20),
            head: Print::of(b"head"),
            last: Print::of(b"last"),
            skipping: false,
            seen_s: 5,
        };
        let checkpoint = Checkpoint {
            files: [(key, mark.clone())].into(),
            past: vec![(key, mark)],
        };
        checkpoint.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap(), checkpoint);
        fs::write(&path, b"{\"version\":1,").unwrap();
        assert!(Checkpoint::read(&path).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
