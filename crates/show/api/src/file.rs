//! Files that hold secrets: readable by their owner alone, and never half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file in one step, mode 0600: whoever reads it sees the old content or the new.
/// On error the old file is untouched.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.part", std::process::id()));
    let draft = Path::new(&draft);
    let _ = fs::remove_file(draft);
    let written = write_private(draft, content).and_then(|()| fs::rename(draft, path));
    if let Err(error) = written {
        let _ = fs::remove_file(draft);
        return Err(error);
    }
    // The rename itself is on disk only once the folder is.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
