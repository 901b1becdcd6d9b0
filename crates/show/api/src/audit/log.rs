//! Writing the log: one record at a time, by whoever holds its lock.

use super::chain::{DROPPED, Point, Scan, beginning, line_of};
use super::files::{base, full, full_name, open, open_alone, read_full, read_full_on};
use super::{AUDIT_FILE, AuditEntry, AuditError, AuditRecord, FILE_BYTES_MAX, FILES_MAX};
use crate::file;
use andon_model::Timestamp;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much of the end of the log is read for showing it.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// What is known of the log's end.
#[derive(Debug)]
struct Writer {
    /// Device and inode of the file being written.
    identity: (u64, u64),
    /// How far that is known.
    known: Scan,
}

/// The log of one node, for writing.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file_bytes_max: u64,
    writer: Mutex<Writer>,
}

impl AuditLog {
    /// Opens the log at `path`, or begins one (mode 0600). A last line that was cut short is
    /// removed and the removal recorded; a log that is broken elsewhere is an error. Of full
    /// files only the newest is read, [`verify`](super::verify()) reads all.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, AuditError> {
        Self::open_with(path, now, FILE_BYTES_MAX)
    }

    /// As [`AuditLog::open`]; `file_bytes_max` is when a file is full.
    pub(super) fn open_with(
        path: &Path,
        now: Timestamp,
        file_bytes_max: u64,
    ) -> Result<Self, AuditError> {
        let fail = |source| AuditError::File {
            path: path.to_owned(),
            source,
        };
        let file = open_alone(path).map_err(fail)?;
        let known = Scan::begin(base(path)?).read_on(path, &file)?;
        let meta = file.metadata().map_err(fail)?;
        let cut = meta.len() - known.length;
        let writer = Writer {
            identity: file::identity(&meta),
            known,
        };
        if cut > 0 {
            writer.repair(&file).map_err(fail)?;
        }
        drop(file);
        let log = Self {
            path: path.to_owned(),
            file_bytes_max,
            writer: Mutex::new(writer),
        };
        if cut > 0 {
            let detail = format!("removed {cut} bytes of a record that was cut short");
            log.append(note(now, "audit.repair", AUDIT_FILE, detail))?;
        }
        Ok(log)
    }

    /// Opens the log, and where it is broken sets the broken file aside as
    /// `<name>.broken-<seconds>` and goes on in another that says so: a node must start even
    /// after its disk lost a part of the log. Returns what was wrong, which is for an operator
    /// to look into.
    pub fn open_or_set_aside(
        path: &Path,
        now: Timestamp,
    ) -> Result<(Self, Option<AuditError>), AuditError> {
        let mut set_aside: Vec<(PathBuf, AuditError)> = Vec::new();
        let log = loop {
            let (broken, error) = match Self::open(path, now) {
                Ok(log) => break log,
                Err(error) => match &error {
                    AuditError::Broken { path, .. } if set_aside.len() <= FILES_MAX => {
                        (path.clone(), error)
                    }
                    _ => return Err(error),
                },
            };
            let mut aside = broken.as_os_str().to_owned();
            aside.push(format!(".broken-{}", now.0 / 1_000_000));
            std::fs::rename(&broken, &aside).map_err(|source| AuditError::File {
                path: broken,
                source,
            })?;
            set_aside.push((PathBuf::from(aside), error));
        };
        for (aside, error) in &set_aside {
            let detail = format!("the log before this one is broken: {error}");
            log.append(note(
                now,
                "audit.begin",
                &aside.display().to_string(),
                detail,
            ))?;
        }
        let first = set_aside.into_iter().next();
        Ok((log, first.map(|(_, error)| error)))
    }

    /// Appends a record and waits until it is on disk; returns its number. Blocks.
    /// On error the log is as it was, and what was to be recorded must not be done.
    ///
    /// A log that was removed, replaced or cut since the last record is continued as it is now,
    /// with a record that says so and holds the hash that is missing.
    pub fn append(&self, entry: AuditEntry) -> Result<u64, AuditError> {
        let mut writer = self.lock();
        let path = &self.path;
        let fail = |source| AuditError::File {
            path: path.clone(),
            source,
        };
        let mut file = open_alone(path).map_err(fail)?;
        writer.note_changes(path, &file, entry.ts)?;
        if writer.known.length >= self.file_bytes_max {
            std::fs::rename(path, full_name(path, writer.known.first())).map_err(fail)?;
            file = open_alone(path).map_err(fail)?;
            writer.note_changes(path, &file, entry.ts)?;
            writer.let_go(path, &file, entry.ts)?;
        }
        writer.write(path, &file, &entry)
    }

    /// The last records, newest first, at most `limit`. Blocks.
    pub fn tail(&self, limit: usize) -> Result<Vec<AuditRecord>, AuditError> {
        let mut records = Vec::new();
        let mut room = TAIL_BYTES_MAX;
        let mut files = full(&self.path)?;
        files.push(self.path.clone());
        while let Some(path) = files.pop()
            && room > 0
            && records.len() < limit
        {
            let fail = |source| AuditError::File {
                path: path.clone(),
                source,
            };
            let mut file = open(&path)?;
            let length = file.metadata().map_err(fail)?.len();
            let start = length.saturating_sub(room);
            room -= length - start;
            file.seek(SeekFrom::Start(start)).map_err(fail)?;
            let mut content = Vec::new();
            file.take(length - start)
                .read_to_end(&mut content)
                .map_err(fail)?;
            // A line of which only a part was read does not parse.
            let lines = content.split(|byte| *byte == b'\n').rev();
            let found = lines.filter_map(|line| serde_json::from_slice(line).ok());
            records.extend(found.take(limit - records.len()));
        }
        Ok(records)
    }

    /// A log whose disk is full.
    #[cfg(test)]
    pub(crate) fn on_a_full_disk() -> Self {
        let path = Path::new("/dev/full");
        let writer = Writer {
            identity: file::identity(&std::fs::metadata(path).unwrap()),
            known: Scan::begin(Point::genesis()),
        };
        Self {
            path: path.to_owned(),
            file_bytes_max: FILE_BYTES_MAX,
            writer: Mutex::new(writer),
        }
    }

    /// Number of the last record that this writer knows.
    #[cfg(test)]
    pub(super) fn seq(&self) -> u64 {
        self.lock().known.at.seq
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record of the log about itself.
fn note(ts: Timestamp, action: &str, subject: &str, detail: String) -> AuditEntry {
    AuditEntry {
        ts,
        actor: "andon".to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    }
}

impl Writer {
    /// Reads what others have written, and records it if something is there that no writer does.
    fn note_changes(&mut self, path: &Path, file: &File, now: Timestamp) -> Result<(), AuditError> {
        if let Some((action, detail)) = self.follow(path, file)? {
            tracing::error!(log = %path.display(), detail, "the audit log was changed by somebody");
            self.write(path, file, &note(now, action, AUDIT_FILE, detail))?;
        }
        Ok(())
    }

    /// Reads what others have written. Returns an action and a detail to record, if something
    /// is there that no writer does.
    fn follow(
        &mut self,
        path: &Path,
        file: &File,
    ) -> Result<Option<(&'static str, String)>, AuditError> {
        let fail = |source| AuditError::File {
            path: path.to_owned(),
            source,
        };
        let meta = file.metadata().map_err(fail)?;
        let identity = file::identity(&meta);
        if identity == self.identity && meta.len() == self.known.length {
            return Ok(None);
        }
        let is_longer = identity == self.identity && meta.len() > self.known.length;
        let continued = if is_longer {
            Some(self.known.clone())
        } else {
            self.through_full_files(path)?.map(Scan::begin)
        };
        let is_continued = continued.is_some();
        let start = match continued {
            Some(start) => start,
            None => Scan::begin(base(path)?),
        };
        let scan = start.read_on(path, file)?;
        let cut = meta.len() - scan.length;
        let note = if !is_continued {
            let Point { seq, head, .. } = &self.known.at;
            let detail = format!(
                "the log of {seq} records that ended with {head} was removed, replaced or cut"
            );
            Some(("audit.replaced", detail))
        } else if cut > 0 {
            let detail = format!("removed {cut} bytes of a record that was cut short");
            Some(("audit.repair", detail))
        } else {
            None
        };
        *self = Self {
            identity,
            known: scan,
        };
        if cut > 0 {
            self.repair(file).map_err(fail)?;
        }
        Ok(note)
    }

    /// If the file that was being written has become a full one: where the newest full one
    /// ends, after reading all that lies between.
    fn through_full_files(&self, path: &Path) -> Result<Option<Point>, AuditError> {
        let full = full(path)?;
        let is_ours = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|meta| file::identity(&meta) == self.identity)
        };
        let Some(ours) = full.iter().position(is_ours) else {
            return Ok(None);
        };
        let file = open(&full[ours])?;
        let mut at = read_full_on(&full[ours], &file, self.known.clone())?.at;
        for path in &full[ours + 1..] {
            at = read_full(path, at)?.at;
        }
        Ok(Some(at))
    }

    /// Removes the oldest files beyond [`FILES_MAX`], after recording that.
    fn let_go(&mut self, path: &Path, file: &File, now: Timestamp) -> Result<(), AuditError> {
        let full = full(path)?;
        for pair in full
            .windows(2)
            .take((full.len() + 1).saturating_sub(FILES_MAX))
        {
            let [oldest, next] = pair else { continue };
            let begins = |path: &PathBuf| beginning(path, &open(path)?);
            // A file without a record that is whole cannot be told of, so it stays.
            let (Some(from), Some(to)) = (begins(oldest)?, begins(next)?) else {
                continue;
            };
            let subject = format!("{}-{}", from.seq + 1, to.seq);
            self.write(path, file, &note(now, DROPPED, &subject, to.head))?;
            std::fs::remove_file(oldest).map_err(|source| AuditError::File {
                path: oldest.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Writes one record at the end, which is known.
    fn write(
        &mut self,
        path: &Path,
        mut file: &File,
        entry: &AuditEntry,
    ) -> Result<u64, AuditError> {
        let fail = |source| AuditError::File {
            path: path.to_owned(),
            source,
        };
        let (line, hash) =
            line_of(entry, &self.known.at).map_err(|error| fail(io::Error::from(error)))?;
        let written = file
            .write_all(line.as_bytes())
            .and_then(|()| file.sync_data());
        if let Err(source) = written {
            // Part of the line may be on disk. If it cannot be removed now, the next append does.
            let _ = self.repair(file);
            return Err(fail(source));
        }
        self.known.length += line.len() as u64;
        self.known.lines += 1;
        self.known.at = Point {
            seq: self.known.at.seq + 1,
            head: hash,
            last: Some(entry.ts),
        };
        Ok(self.known.at.seq)
    }

    /// Cuts the file back to the last whole record.
    fn repair(&self, file: &File) -> io::Result<()> {
        file.set_len(self.known.length)?;
        file.sync_data()
    }
}
