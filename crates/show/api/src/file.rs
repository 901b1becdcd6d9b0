//! Files that hold secrets: readable by their owner alone, and never half written.
//!
//! The node may run as a user of its own while root manages its files from the command line.
//! What root makes then belongs to the node's user, who could not read it otherwise.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Replaces a file in one step, mode 0600: whoever reads it sees the old content or the new.
/// It keeps its owner, unless that is root; then, and if it is new, it gets that of its folder.
/// On error the old file is untouched.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.part", std::process::id()));
    let draft = Path::new(&draft);
    let _ = fs::remove_file(draft);
    // At mode 0600 a file of root's is of no use to a node that runs as somebody else.
    let before = fs::symlink_metadata(path).ok();
    let owner = before
        .filter(|owner| owner.uid() != 0)
        .or_else(|| fs::metadata(folder(path)).ok());
    let written =
        write_private(draft, content, owner.as_ref()).and_then(|()| fs::rename(draft, path));
    if let Err(error) = written {
        let _ = fs::remove_file(draft);
        return Err(error);
    }
    // The rename itself is on disk only once the folder is.
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn write_private(path: &Path, content: &[u8], owner: Option<&fs::Metadata>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Some(owner) = owner {
        give(&file, owner);
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Opens a file that several processes share, or makes it (mode 0600, owner of its folder).
pub(crate) fn shared(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.create(true).mode(0o600).open(path)?;
    if let (Ok(opened), Ok(named), Ok(folder)) = (
        file.metadata(),
        fs::symlink_metadata(path),
        fs::metadata(folder(path)),
    ) {
        // The folder's owner must not get hold of a file elsewhere by putting a link here.
        let is_here = identity(&opened) == identity(&named) && opened.nlink() == 1;
        if is_here && opened.is_file() && opened.len() == 0 {
            give(&file, &folder);
        }
    }
    Ok(file)
}

/// Which file it is, whatever its name: device and inode.
pub(crate) fn identity(meta: &fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// Only root may give files away. Whoever else writes here goes on as the owner.
fn give(file: &File, owner: &fs::Metadata) {
    if file.metadata().is_ok_and(|meta| meta.uid() != owner.uid()) {
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}
