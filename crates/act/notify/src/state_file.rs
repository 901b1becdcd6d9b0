//! What survives a restart, on disk: written whole beside its place and renamed, so that a
//! crash or a full disk leaves the last good state.

use crate::notifier::Saved;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Its name in the data directory.
pub const STATE_FILE: &str = "notify.json";
/// Largest state that is read or written; the core's own limits keep it far below.
const STATE_BYTES_MAX: usize = 64 << 20;

/// The state, or a fresh one where there is none. One that cannot be read is set aside, so
/// that nothing is lost for whoever looks.
pub fn load(path: &Path) -> Saved {
    let state = read(path).and_then(|bytes| match bytes {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        None => Ok(Saved::default()),
    });
    state.unwrap_or_else(|error| {
        let aside = path.with_extension("json.broken");
        let _ = fs::rename(path, &aside);
        tracing::error!(%error, aside = %aside.display(), "the state of notifications cannot be read; it was set aside and another begun, people may be told again");
        Saved::default()
    })
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(STATE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > STATE_BYTES_MAX {
        return Err(io::Error::other("it is too large"));
    }
    Ok(Some(bytes))
}

/// Writes the state whole or not at all.
pub fn store(path: &Path, saved: &Saved) -> io::Result<()> {
    let bytes = serde_json::to_vec(saved)?;
    if bytes.len() > STATE_BYTES_MAX {
        return Err(io::Error::other("the state is too large"));
    }
    let beside: PathBuf = path.with_extension("json.new");
    let written = write(&beside, &bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Private: messages name hosts and may quote what endpoints answered.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
