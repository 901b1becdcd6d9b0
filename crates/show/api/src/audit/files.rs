//! The files of a log: the one being written, and full ones before it, each named by the number
//! of its first record.

use super::chain::{Point, Scan, beginning};
use super::{AuditError, AuditSummary};
use crate::file;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another writer may hold the log. A record takes one disk flush; a change that
/// cannot be recorded by then is refused.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Between two looks whether the log is free.
const LOCK_LOOK: Duration = Duration::from_millis(5);

/// Digits of a full file's number, so that lists of names are in order.
const DIGITS: usize = 12;

/// Where a full file whose first record has this number goes.
pub(super) fn full_name(path: &Path, first: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{first:0DIGITS$}"));
    PathBuf::from(name)
}

/// The full files, oldest first.
pub(super) fn full(path: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let fail = |source| AuditError::File {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{name}.");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let candidate = entry.file_name().to_string_lossy().into_owned();
        let number = candidate.strip_prefix(&prefix).unwrap_or_default();
        if number.len() >= DIGITS && number.bytes().all(|byte| byte.is_ascii_digit()) {
            found.push((number.parse::<u64>().unwrap_or(u64::MAX), entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Where the file being written begins: behind the last record of the newest full one.
pub(super) fn base(path: &Path) -> Result<Point, AuditError> {
    let Some(newest) = full(path)?.pop() else {
        return Ok(Point::genesis());
    };
    let file = open(&newest)?;
    let begins = beginning(&newest, &file)?.ok_or_else(|| AuditError::Broken {
        path: newest.clone(),
        line: 1,
        reason: "not a record",
    })?;
    read_full(&newest, begins).map(|scan| scan.at)
}

/// Reads a full file, which ends with a whole record.
pub(super) fn read_full(path: &Path, from: Point) -> Result<Scan, AuditError> {
    let file = open(path)?;
    read_full_on(path, &file, Scan::begin(from))
}

/// Reads a full file on from where it is known.
pub(super) fn read_full_on(path: &Path, file: &File, known: Scan) -> Result<Scan, AuditError> {
    let scan = known.read_on(path, file)?;
    let length = file.metadata().map_err(|source| AuditError::File {
        path: path.to_owned(),
        source,
    })?;
    if scan.length != length.len() {
        return Err(AuditError::Broken {
            path: path.to_owned(),
            line: scan.lines + 1,
            reason: "cut short, although other files follow",
        });
    }
    Ok(scan)
}

pub(super) fn open(path: &Path) -> Result<File, AuditError> {
    File::open(path).map_err(|source| AuditError::File {
        path: path.to_owned(),
        source,
    })
}

/// Checks every record of a log, in all its files. A last line without line break is a record
/// that was being written; it is not counted. That the oldest records are gone must be
/// recorded by those that are kept.
pub fn verify(path: &Path) -> Result<AuditSummary, AuditError> {
    let full = full(path)?;
    let current = open(path);
    let begins = match full.first() {
        Some(oldest) => beginning(oldest, &open(oldest)?)?,
        None => None,
    };
    let begins = begins.unwrap_or_else(Point::genesis);
    let mut at = begins.clone();
    let mut dropped = Vec::new();
    for path in &full {
        let scan = read_full(path, at)?;
        dropped.extend(scan.dropped);
        at = scan.at;
    }
    let current = match current {
        // Between two files the power may go; then there is none being written.
        Err(AuditError::File { source, .. })
            if source.kind() == io::ErrorKind::NotFound && !full.is_empty() =>
        {
            None
        }
        current => Some(Scan::begin(at.clone()).read_on(path, &current?)?),
    };
    let files = full.len() + usize::from(current.is_some());
    if let Some(scan) = current {
        dropped.extend(scan.dropped);
        at = scan.at;
    }
    if begins.seq > 0 && !dropped.contains(&(begins.seq, begins.head)) {
        return Err(AuditError::Broken {
            path: full.first().map_or(path, PathBuf::as_path).to_owned(),
            line: 1,
            reason: "records before it are missing, and none says that they were let go",
        });
    }
    Ok(AuditSummary {
        records: at.seq,
        first: begins.seq + 1,
        files,
        head: at.head,
        last: at.last,
    })
}

/// Opens the log for reading and appending, or makes it, and keeps other writers out until the
/// file is closed.
pub(super) fn open_alone(path: &Path) -> io::Result<File> {
    let start = Instant::now();
    loop {
        let file = file::shared(path, OpenOptions::new().read(true).append(true))?;
        let is_free = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        // It may have been renamed between opening and locking.
        let opened = file::identity(&file.metadata()?);
        let is_named = std::fs::metadata(path).is_ok_and(|meta| file::identity(&meta) == opened);
        if is_free && is_named {
            return Ok(file);
        }
        if start.elapsed() >= LOCK_WAIT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("another process has held it for {} s", LOCK_WAIT.as_secs()),
            ));
        }
        std::thread::sleep(LOCK_LOOK);
    }
}
