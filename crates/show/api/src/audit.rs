//! Who changed what, when: one JSON record a line, each bound to the one before it by a hash,
//! so that no line can be altered, removed or put in between unseen. (Lines cut off the end are
//! seen by comparing the last hash with one noted elsewhere.)
//!
//! A record is on disk before the change it tells of is made. A line that was cut short when
//! the power went had not been acknowledged: it is removed, and that is recorded.
//!
//! The node and the command line write the same log. Each append opens and locks it, and first
//! reads what another has written since; so there is one chain.

use crate::base32::{hex, sha256};
use crate::file;
use andon_model::Timestamp;
use andon_model::id::to_plain_text;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Name of the log in a data directory.
pub const AUDIT_FILE: &str = "audit.jsonl";

/// Longest text of one field; longer ones are cut.
const FIELD_BYTES_MAX: usize = 512;

/// Longest line: five fields, escaped.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// How much of the end of the log is read for showing it.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// How long another writer may hold the log. A record takes one disk flush; a change that
/// cannot be recorded by then is refused.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Between two looks whether the log is free.
const LOCK_LOOK: Duration = Duration::from_millis(5);

/// What the first record follows.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Between a record's content and its hash; the hash covers all before it.
const HASH_MARK: &str = ",\"hash\":\"";

/// Why the log could not be read, written or trusted.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A line is not what was written.
    #[error("{} line {line}: {reason}", path.display())]
    Broken {
        /// The log.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The log cannot be read or written; what was to be recorded is not.
    #[error("{}: {source}", path.display())]
    File {
        /// The log.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// Something that is about to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub ts: Timestamp,
    /// By whom: token name and address.
    pub actor: String,
    /// What is done, e.g. `token.create`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Anything else worth knowing.
    pub detail: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// Counts from 1.
    pub seq: u64,
    /// When.
    #[schema(value_type = String)]
    pub ts: Timestamp,
    /// By whom.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Anything else worth knowing.
    pub detail: String,
    /// Hash of the record before.
    pub prev: String,
    /// SHA-256 of this line up to the hash, hex.
    #[serde(default, skip_serializing)]
    pub hash: String,
}

/// What a verified log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSummary {
    /// Records.
    pub records: u64,
    /// Hash of the last; compare it with one noted elsewhere to see that none were cut off.
    pub head: String,
    /// When the last was written.
    pub last: Option<Timestamp>,
}

/// What is known of the log's end.
#[derive(Debug)]
struct Writer {
    /// Device and inode.
    identity: (u64, u64),
    /// End of the last whole record.
    length: u64,
    seq: u64,
    head: String,
}

/// The log of one node, for writing.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    writer: Mutex<Writer>,
}

impl AuditLog {
    /// Opens the log at `path`, or begins one (mode 0600). A last line that was cut short is
    /// removed and the removal recorded; a log that is broken elsewhere is an error.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, AuditError> {
        let fail = |source| AuditError::File {
            path: path.to_owned(),
            source,
        };
        let file = open_alone(path).map_err(fail)?;
        let scan = scan(path, &file, Scan::default())?;
        let meta = file.metadata().map_err(fail)?;
        let cut = meta.len() - scan.length;
        let writer = Writer {
            identity: file::identity(&meta),
            length: scan.length,
            seq: scan.summary.records,
            head: scan.summary.head,
        };
        if cut > 0 {
            writer.repair(&file).map_err(fail)?;
        }
        drop(file);
        let log = Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
        };
        if cut > 0 {
            log.append(AuditEntry {
                ts: now,
                actor: "andon".to_owned(),
                action: "audit.repair".to_owned(),
                subject: AUDIT_FILE.to_owned(),
                detail: format!("removed {cut} bytes of a record that was cut short"),
            })?;
        }
        Ok(log)
    }

    /// Opens the log, and where it is broken sets it aside as `<name>.broken-<seconds>` and begins
    /// another that says so: a node must start even after its disk lost a part of the log.
    /// Returns what was wrong, which is for an operator to look into.
    pub fn open_or_set_aside(
        path: &Path,
        now: Timestamp,
    ) -> Result<(Self, Option<AuditError>), AuditError> {
        let broken = match Self::open(path, now) {
            Ok(log) => return Ok((log, None)),
            Err(broken @ AuditError::Broken { .. }) => broken,
            Err(error) => return Err(error),
        };
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".broken-{}", now.0 / 1_000_000));
        std::fs::rename(path, &aside).map_err(|source| AuditError::File {
            path: path.to_owned(),
            source,
        })?;
        let log = Self::open(path, now)?;
        log.append(AuditEntry {
            ts: now,
            actor: "andon".to_owned(),
            action: "audit.begin".to_owned(),
            subject: Path::new(&aside).display().to_string(),
            detail: format!("the log before this one is broken: {broken}"),
        })?;
        Ok((log, Some(broken)))
    }

    /// Appends a record and waits until it is on disk; returns its number. Blocks.
    /// On error the log is as it was, and what was to be recorded must not be done.
    ///
    /// A log that was removed, replaced or cut since the last record is continued as it is now,
    /// with a record that says so and holds the hash that is missing.
    pub fn append(&self, entry: AuditEntry) -> Result<u64, AuditError> {
        let mut writer = self.lock();
        let file = open_alone(&self.path).map_err(|source| AuditError::File {
            path: self.path.clone(),
            source,
        })?;
        if let Some((action, detail)) = writer.follow(&self.path, &file)? {
            tracing::error!(log = %self.path.display(), detail, "the audit log was changed by somebody");
            let note = AuditEntry {
                ts: entry.ts,
                actor: "andon".to_owned(),
                action: action.to_owned(),
                subject: AUDIT_FILE.to_owned(),
                detail,
            };
            writer.write(&self.path, &file, note)?;
        }
        writer.write(&self.path, &file, entry)
    }

    /// The last records, newest first, at most `limit`. Blocks.
    pub fn tail(&self, limit: usize) -> Result<Vec<AuditRecord>, AuditError> {
        let fail = |source| AuditError::File {
            path: self.path.clone(),
            source,
        };
        let mut file = File::open(&self.path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let start = length.saturating_sub(TAIL_BYTES_MAX);
        file.seek(SeekFrom::Start(start)).map_err(fail)?;
        let mut content = Vec::new();
        file.take(length - start)
            .read_to_end(&mut content)
            .map_err(fail)?;
        let lines = content
            .split(|byte| *byte == b'\n')
            .rev()
            .filter(|line| !line.is_empty());
        // A line of which only a part was read does not parse.
        Ok(lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .take(limit)
            .collect())
    }

    /// A log whose disk is full.
    #[cfg(test)]
    pub(crate) fn on_a_full_disk() -> Self {
        let path = Path::new("/dev/full");
        let writer = Writer {
            identity: file::identity(&std::fs::metadata(path).unwrap()),
            length: 0,
            seq: 0,
            head: GENESIS.to_owned(),
        };
        Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
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
        if identity == self.identity && meta.len() == self.length {
            return Ok(None);
        }
        let is_longer = identity == self.identity && meta.len() > self.length;
        let known = Scan {
            summary: AuditSummary {
                records: self.seq,
                head: self.head.clone(),
                last: None,
            },
            length: self.length,
        };
        let start = if is_longer { known } else { Scan::default() };
        let scan = scan(path, file, start)?;
        let cut = meta.len() - scan.length;
        let note = if !is_longer {
            let (records, head) = (self.seq, &self.head);
            let detail = format!(
                "the log of {records} records that ended with {head} was removed, replaced or cut"
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
            length: scan.length,
            seq: scan.summary.records,
            head: scan.summary.head,
        };
        if cut > 0 {
            self.repair(file).map_err(fail)?;
        }
        Ok(note)
    }

    /// Writes one record at the end, which is known.
    fn write(
        &mut self,
        path: &Path,
        mut file: &File,
        entry: AuditEntry,
    ) -> Result<u64, AuditError> {
        let record = AuditRecord {
            seq: self.seq + 1,
            ts: entry.ts,
            actor: to_plain_text(&entry.actor, FIELD_BYTES_MAX),
            action: to_plain_text(&entry.action, FIELD_BYTES_MAX),
            subject: to_plain_text(&entry.subject, FIELD_BYTES_MAX),
            detail: to_plain_text(&entry.detail, FIELD_BYTES_MAX),
            prev: self.head.clone(),
            hash: String::new(),
        };
        let mut content = serde_json::to_string(&record).map_err(|error| AuditError::File {
            path: path.to_owned(),
            source: error.into(),
        })?;
        // The closing brace comes after the hash.
        content.pop();
        let hash = hex(&sha256(content.as_bytes()));
        let line = format!("{content}{HASH_MARK}{hash}\"}}\n");
        let written = file
            .write_all(line.as_bytes())
            .and_then(|()| file.sync_data());
        if let Err(source) = written {
            // Part of the line may be on disk. If it cannot be removed now, the next append does.
            let _ = self.repair(file);
            return Err(AuditError::File {
                path: path.to_owned(),
                source,
            });
        }
        self.length += line.len() as u64;
        self.seq = record.seq;
        self.head = hash;
        Ok(record.seq)
    }

    /// Cuts the file back to the last whole record.
    fn repair(&self, file: &File) -> io::Result<()> {
        file.set_len(self.length)?;
        file.sync_data()
    }
}

/// Opens the log for reading and appending, or makes it, and keeps other writers out until the
/// file is closed.
fn open_alone(path: &Path) -> io::Result<File> {
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

/// Checks every record of a log. A last line without line break is a record that was being
/// written; it is not counted.
pub fn verify(path: &Path) -> Result<AuditSummary, AuditError> {
    let file = File::open(path).map_err(|source| AuditError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(scan(path, &file, Scan::default())?.summary)
}

struct Scan {
    summary: AuditSummary,
    /// End of the last whole record.
    length: u64,
}

/// Nothing read yet.
impl Default for Scan {
    fn default() -> Self {
        let summary = AuditSummary {
            records: 0,
            head: GENESIS.to_owned(),
            last: None,
        };
        Self { summary, length: 0 }
    }
}

/// Reads on from where `known` ends.
fn scan(path: &Path, mut file: &File, known: Scan) -> Result<Scan, AuditError> {
    let Scan {
        mut summary,
        mut length,
    } = known;
    file.seek(SeekFrom::Start(length))
        .map_err(|source| AuditError::File {
            path: path.to_owned(),
            source,
        })?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)
            .map_err(|source| AuditError::File {
                path: path.to_owned(),
                source,
            })?;
        let broken = |reason| AuditError::Broken {
            path: path.to_owned(),
            line: summary.records + 1,
            reason,
        };
        if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(broken("longer than any record"));
        }
        if !line.ends_with(b"\n") {
            return Ok(Scan { summary, length });
        }
        let record = check(&line, summary.records + 1, &summary.head).map_err(broken)?;
        length += read as u64;
        summary = AuditSummary {
            records: record.seq,
            head: record.hash,
            last: Some(record.ts),
        };
    }
}

fn check(line: &[u8], seq: u64, head: &str) -> Result<AuditRecord, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "not text")?;
    let record: AuditRecord = serde_json::from_str(text).map_err(|_| "not a record")?;
    let (content, _) = text.rsplit_once(HASH_MARK).ok_or("without a hash")?;
    if hex(&sha256(content.as_bytes())) != record.hash {
        return Err("altered: its hash is not that of its content");
    }
    if text.len() != content.len() + HASH_MARK.len() + 64 + "\"}\n".len() {
        return Err("altered: something follows its hash");
    }
    if record.prev != head {
        return Err("does not follow the line before it: lines were removed, added or moved");
    }
    if record.seq != seq {
        return Err("out of sequence");
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(name: &str, records: usize) -> (PathBuf, AuditLog) {
        let path = std::env::temp_dir().join(format!("andon-audit-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let log = AuditLog::open(&path, Timestamp(0)).unwrap();
        for index in 0..records {
            log.append(entry(&format!("subject {index}"))).unwrap();
        }
        (path, log)
    }

    fn entry(subject: &str) -> AuditEntry {
        let text = |text: &str| text.to_owned();
        AuditEntry {
            ts: Timestamp(1),
            actor: text("ann@::1"),
            action: text("token.create"),
            subject: text(subject),
            detail: text("\"<b>\u{202e}\n"),
        }
    }

    #[test]
    fn every_altered_byte_is_found() {
        let (path, _) = log_of("bytes", 3);
        assert_eq!(verify(&path).unwrap().records, 3);
        let good = std::fs::read(&path).unwrap();
        for index in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[index] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let line = good[..index].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            match verify(&path) {
                Err(AuditError::Broken { line: found, .. }) => {
                    assert!(found == line || found == line + 1, "byte {index}")
                }
                other => panic!("byte {index}: {other:?}"),
            }
        }
    }

    #[test]
    fn removed_moved_and_doubled_lines_are_found() {
        let (path, _) = log_of("lines", 4);
        let good = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = good.split_inclusive('\n').collect();
        for (order, line) in [
            (vec![1, 2, 3], 1),
            (vec![0, 2, 3], 2),
            (vec![0, 2, 1, 3], 2),
            (vec![0, 0, 1], 2),
        ] {
            std::fs::write(
                &path,
                order.iter().map(|index| lines[*index]).collect::<String>(),
            )
            .unwrap();
            assert!(
                matches!(verify(&path), Err(AuditError::Broken { line: found, .. }) if found == line),
                "{order:?}"
            );
        }
    }

    #[test]
    fn a_forged_line_with_a_right_hash_is_betrayed_by_the_next() {
        let (path, _) = log_of("forged", 3);
        let good = std::fs::read_to_string(&path).unwrap();
        let forged: String = good
            .lines()
            .map(|line| match line.rsplit_once(HASH_MARK) {
                Some((content, _)) if content.contains("subject 1") => {
                    let content = content.replace("subject 1", "subject 9");
                    format!(
                        "{content}{HASH_MARK}{}\"}}\n",
                        hex(&sha256(content.as_bytes()))
                    )
                }
                _ => format!("{line}\n"),
            })
            .collect();
        std::fs::write(&path, forged).unwrap();
        assert!(matches!(
            verify(&path),
            Err(AuditError::Broken { line: 3, .. })
        ));
    }

    #[test]
    fn a_line_cut_short_anywhere_is_removed_and_that_is_recorded() {
        let (path, log) = log_of("cut", 3);
        drop(log);
        let good = std::fs::read(&path).unwrap();
        let last = good[..good.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap()
            + 1;
        for length in last + 1..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            assert_eq!(verify(&path).unwrap().records, 2);
            let log = AuditLog::open(&path, Timestamp(2)).unwrap();
            assert_eq!(verify(&path).unwrap().records, 3);
            assert_eq!(log.tail(1).unwrap()[0].action, "audit.repair");
        }
    }

    #[test]
    fn the_newest_records_come_first_and_a_reopened_log_goes_on() {
        let (path, log) = log_of("tail", 5);
        drop(log);
        let log = AuditLog::open(&path, Timestamp(0)).unwrap();
        assert_eq!(log.append(entry("sixth")).unwrap(), 6);
        let seqs: Vec<u64> = log
            .tail(3)
            .unwrap()
            .iter()
            .map(|record| record.seq)
            .collect();
        assert_eq!(seqs, [6, 5, 4]);
        assert!(!log.tail(1).unwrap()[0].detail.contains('\u{202e}'));
    }

    #[test]
    fn a_broken_log_is_set_aside_and_the_next_one_says_so() {
        let (path, log) = log_of("aside", 3);
        drop(log);
        let broken = std::fs::read_to_string(&path)
            .unwrap()
            .replace("subject 1", "subject 9");
        std::fs::write(&path, &broken).unwrap();
        let (log, reason) = AuditLog::open_or_set_aside(&path, Timestamp(5_000_000)).unwrap();
        assert!(matches!(reason, Some(AuditError::Broken { line: 2, .. })));
        assert_eq!(log.tail(9).unwrap().len(), 1);
        assert_eq!(verify(&path).unwrap().records, 1);
        let aside = PathBuf::from(format!("{}.broken-5", path.display()));
        assert_eq!(std::fs::read_to_string(aside).unwrap(), broken);
    }

    #[test]
    fn two_writers_keep_one_chain() {
        let (path, log) = log_of("two", 1);
        let other = AuditLog::open(&path, Timestamp(0)).unwrap();
        std::thread::scope(|scope| {
            for log in [&log, &other] {
                scope.spawn(|| {
                    for _ in 0..20 {
                        log.append(entry("x")).unwrap();
                    }
                });
            }
        });
        assert_eq!(verify(&path).unwrap().records, 41);
        assert_eq!(log.append(entry("last")).unwrap(), 42);
        assert_eq!(other.tail(1).unwrap()[0].subject, "last");
    }

    #[test]
    fn a_log_that_was_removed_replaced_or_cut_goes_on_and_says_so() {
        let (path, log) = log_of("replaced", 3);
        let head = verify(&path).unwrap().head;
        let first = std::fs::read_to_string(&path).unwrap();
        let first = first.split_inclusive('\n').next().unwrap();
        let beside = path.with_extension("beside");
        let changes: [(&dyn Fn(), u64); 3] = [
            (&|| std::fs::remove_file(&path).unwrap(), 2),
            (&|| std::fs::write(&path, first).unwrap(), 3),
            (
                &|| {
                    std::fs::write(&beside, first).unwrap();
                    std::fs::rename(&beside, &path).unwrap();
                },
                3,
            ),
        ];
        let mut missing = head;
        for (change, records) in changes {
            change();
            assert_eq!(log.append(entry("next")).unwrap(), records);
            let summary = verify(&path).unwrap();
            assert_eq!(summary.records, records);
            let note = &log.tail(2).unwrap()[1];
            assert_eq!(note.action, "audit.replaced");
            assert!(note.detail.contains(&missing), "{}", note.detail);
            missing = summary.head;
        }
    }

    #[test]
    fn what_another_writer_left_half_written_or_wrong_is_not_built_upon() {
        let (path, log) = log_of("half", 2);
        let good = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{good}{{\"seq\":3,")).unwrap();
        assert_eq!(log.append(entry("next")).unwrap(), 4);
        assert_eq!(log.tail(2).unwrap()[1].action, "audit.repair");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}nonsense\n")).unwrap();
        assert!(matches!(
            log.append(entry("refused")),
            Err(AuditError::Broken { line: 5, .. })
        ));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let log = AuditLog::on_a_full_disk();
        assert!(matches!(
            log.append(entry("x")),
            Err(AuditError::File { .. })
        ));
        assert_eq!(log.lock().seq, 0);
    }
}
