//! What a node keeps on its disk: who it is and whom it last knew. Each file is written whole
//! beside its place and renamed, so that a crash or a full disk leaves the old one.

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Most peers remembered; enough to find a grid again, small enough to read at start.
const PEERS_MAX: usize = 256;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or written.
    #[error(
        "cannot write to the data directory {path}: {source}\n  give this user write access to it, or choose another with --data-dir"
    )]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another node runs with it.
    #[error(
        "another andon node already runs with the data directory {path}\n  stop that one, or give this node its own --data-dir"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The identity file holds something else.
    #[error(
        "{path} is not a node identity (64 hexadecimal digits)\n  restore it from a backup, or delete it: the node then gets a new identity"
    )]
    BadIdentity {
        /// The file.
        path: PathBuf,
    },
}

/// A peer of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    /// Its id, for people who read the file.
    pub id: String,
    /// Where it was reached.
    pub addresses: Vec<SocketAddr>,
}

/// The open, locked data directory of one running node.
pub struct DataDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes the directory if need be and locks it against a second node.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let not_writable = |source| DataDirError::NotWritable {
            path: path.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(not_writable)?;
        let lock_path = path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(not_writable)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
            DataDirError::InUse {
                path: path.to_owned(),
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The seed of the node's Ed25519 key; made on first use.
    pub fn identity(&self) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        let path = self.path.join("identity");
        match fs::read_to_string(&path) {
            Ok(text) => parse_seed(text.trim()).ok_or(DataDirError::BadIdentity { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.new_identity(),
            Err(source) => Err(DataDirError::NotWritable { path, source }),
        }
    }

    /// Replaces the node's identity: after somebody was found to run a copy of this one.
    pub fn new_identity(&self) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        let mut seed = Zeroizing::new([0; 32]);
        let path = self.path.join("identity");
        getrandom::fill(seed.as_mut()).map_err(|error| DataDirError::NotWritable {
            path: path.clone(),
            source: io::Error::other(error),
        })?;
        let text: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        write_atomically(&path, Zeroizing::new(text).as_bytes())
            .map_err(|source| DataDirError::NotWritable { path, source })?;
        Ok(seed)
    }

    /// Peers of the last run; none if there was none or the file cannot be read.
    pub fn known_peers(&self) -> Vec<KnownPeer> {
        let Ok(text) = fs::read(self.path.join("peers.json")) else {
            return Vec::new();
        };
        match serde_json::from_slice::<Vec<KnownPeer>>(&text) {
            Ok(mut peers) => {
                peers.truncate(PEERS_MAX);
                peers
            }
            Err(error) => {
                tracing::warn!(%error, "peers.json is unreadable and is ignored");
                Vec::new()
            }
        }
    }

    /// Remembers peers for the next run.
    pub fn remember_peers(&self, peers: &[KnownPeer]) -> io::Result<()> {
        let peers = &peers[..peers.len().min(PEERS_MAX)];
        write_atomically(
            &self.path.join("peers.json"),
            &serde_json::to_vec_pretty(peers)?,
        )
    }
}

fn parse_seed(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(seed)
}

/// Writes a private file whole or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("andon-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn identity_and_peers_survive_a_restart_and_a_second_node_is_refused() {
        let path = scratch("data-dir");
        let dir = DataDir::open(&path).expect("fresh");
        let seed = dir.identity().expect("made");
        let peers = vec![KnownPeer {
            id: "a".into(),
            addresses: vec!["127.0.0.1:1".parse().expect("valid")],
        }];
        dir.remember_peers(&peers).expect("written");
        assert!(matches!(
            DataDir::open(&path),
            Err(DataDirError::InUse { .. })
        ));
        drop(dir);
        let dir = DataDir::open(&path).expect("free again");
        assert_eq!(*dir.identity().expect("read"), *seed);
        assert_eq!(dir.known_peers(), peers);
        fs::write(path.join("identity"), "rubbish").expect("written");
        assert!(matches!(
            dir.identity(),
            Err(DataDirError::BadIdentity { .. })
        ));
        fs::write(path.join("peers.json"), "{").expect("written");
        assert!(dir.known_peers().is_empty());
        let _ = fs::remove_dir_all(&path);
    }
}
