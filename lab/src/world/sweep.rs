//! Removes what labs have left, by name alone: processes in their namespaces, the namespaces
//! with all cables and filters, and files.

use super::command::ip_batch;
use super::netns::{FOLDER, PREFIX};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long killed processes may take to be gone; a namespace with one inside would live on.
const DIE_MAX: Duration = Duration::from_secs(3);

/// What was removed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Processes killed.
    pub processes: usize,
    /// Namespaces removed.
    pub namespaces: usize,
    /// Folders removed.
    pub folders: usize,
    /// Tags of labs that somebody runs at this moment, which were left alone.
    pub alive: Vec<String>,
}

/// Removes all of one lab.
pub fn remove(tag: &str) -> Swept {
    let mut swept = Swept::default();
    let spaces = namespaces(&format!("{PREFIX}{tag}-"));
    let ids: Vec<u64> = spaces.iter().filter_map(|path| inode(path)).collect();
    let deadline = Instant::now() + DIE_MAX;
    loop {
        let inside = processes_in(&ids);
        for pid in &inside {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        swept.processes = swept.processes.max(inside.len());
        if inside.is_empty() || Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for path in &spaces {
        let Some(name) = path.file_name() else {
            continue;
        };
        let line = format!("netns delete {}", name.to_string_lossy());
        if ip_batch(None, &[line]).is_ok() {
            swept.namespaces += 1;
        }
    }
    let folder = super::build::folder(tag);
    if std::fs::remove_dir_all(folder).is_ok() {
        swept.folders += 1;
    }
    swept
}

/// Removes the standing lab and all labs whose process is gone.
pub fn remove_all(standing: &str) -> Swept {
    let mut total = Swept::default();
    for tag in tags() {
        if tag != standing && is_running(&tag) {
            total.alive.push(tag);
            continue;
        }
        let swept = remove(&tag);
        total.processes += swept.processes;
        total.namespaces += swept.namespaces;
        total.folders += swept.folders;
    }
    total
}

/// Tags of all labs that have left a name.
fn tags() -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let temp = std::env::temp_dir();
    for dir in [Path::new(FOLDER), temp.as_path()] {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(rest) = name.strip_prefix(PREFIX) {
                let tag = rest.split('-').next().unwrap_or_default();
                tags.push(tag.to_owned());
            }
        }
    }
    tags.sort();
    tags.dedup();
    tags
}

/// Whether somebody holds a lab's lock.
fn is_running(tag: &str) -> bool {
    match lock(&super::build::folder(tag)) {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// A lab at work holds this lock of its folder; the kernel lets go of it with the process.
pub(super) fn lock(folder: &Path) -> std::io::Result<Flock<File>> {
    let folder = File::open(folder)?;
    Flock::lock(folder, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

fn namespaces(prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.ino())
}

/// Processes whose network is one of these namespaces; never this one.
fn processes_in(namespaces: &[u64]) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(std::process::id()))
        .filter(|pid| {
            let own = inode(Path::new(&format!("/proc/{pid}/ns/net")));
            own.is_some_and(|own| namespaces.contains(&own))
        })
        .map(Pid::from_raw)
        .collect()
}
