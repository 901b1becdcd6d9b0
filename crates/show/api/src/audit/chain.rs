//! The chain of records: how a line is made, and what must hold of every line that is read.

use super::{AuditEntry, AuditError, AuditRecord};
use crate::base32::{hex, sha256};
use andon_model::Timestamp;
use andon_model::id::to_plain_text;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Longest text of one field; longer ones are cut.
const FIELD_BYTES_MAX: usize = 512;

/// Longest line: five fields, escaped.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// What the first record follows.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Between a record's content and its hash; the hash covers all before it.
pub(super) const HASH_MARK: &str = ",\"hash\":\"";

/// What a record that tells of files let go has as its action.
pub(super) const DROPPED: &str = "audit.drop";

/// A place between two records: behind the one with this number and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) seq: u64,
    pub(super) head: String,
    /// When the record before it was written.
    pub(super) last: Option<Timestamp>,
}

impl Point {
    /// Before the first record of all.
    pub(super) fn genesis() -> Self {
        Self {
            seq: 0,
            head: GENESIS.to_owned(),
            last: None,
        }
    }
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    /// Behind its last whole record.
    pub(super) at: Point,
    /// End of that, bytes.
    pub(super) length: u64,
    /// Records of the file up to there.
    pub(super) lines: u64,
    /// What records found there say was let go: number and hash of the last record gone.
    pub(super) dropped: Vec<(u64, String)>,
}

impl Scan {
    /// Nothing read yet of a file that begins at `at`.
    pub(super) fn begin(at: Point) -> Self {
        Self {
            at,
            length: 0,
            lines: 0,
            dropped: Vec::new(),
        }
    }

    /// Number of the file's first record.
    pub(super) fn first(&self) -> u64 {
        (self.at.seq + 1).saturating_sub(self.lines)
    }

    /// Reads on. A last line without line break is a record that was being written; it is not
    /// counted.
    pub(super) fn read_on(mut self, path: &Path, mut file: &File) -> Result<Self, AuditError> {
        let fail = |source| AuditError::File {
            path: path.to_owned(),
            source,
        };
        file.seek(SeekFrom::Start(self.length)).map_err(fail)?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader)
                .take(LINE_BYTES_MAX as u64)
                .read_until(b'\n', &mut line)
                .map_err(fail)?;
            let broken = |reason| AuditError::Broken {
                path: path.to_owned(),
                line: self.lines + 1,
                reason,
            };
            if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
                return Err(broken("longer than any record"));
            }
            if !line.ends_with(b"\n") {
                return Ok(self);
            }
            let record = check(&line, &self.at).map_err(broken)?;
            self.dropped.extend(let_go(&record));
            self.length += read as u64;
            self.lines += 1;
            self.at = Point {
                seq: record.seq,
                head: record.hash,
                last: Some(record.ts),
            };
        }
    }
}

/// The place where a file begins, as its first record says; `None` if it has none that is whole.
pub(super) fn beginning(path: &Path, file: &File) -> Result<Option<Point>, AuditError> {
    let mut line = Vec::new();
    BufReader::new(file)
        .take(LINE_BYTES_MAX as u64)
        .read_until(b'\n', &mut line)
        .map_err(|source| AuditError::File {
            path: path.to_owned(),
            source,
        })?;
    let record = serde_json::from_slice::<AuditRecord>(&line).ok();
    Ok(record.map(|record| Point {
        seq: record.seq.saturating_sub(1),
        head: record.prev,
        last: None,
    }))
}

/// What a record says was let go.
fn let_go(record: &AuditRecord) -> Option<(u64, String)> {
    let (_, last) = record.subject.split_once('-')?;
    (record.action == DROPPED).then_some(())?;
    Some((last.parse().ok()?, record.detail.clone()))
}

fn check(line: &[u8], after: &Point) -> Result<AuditRecord, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "not text")?;
    let record: AuditRecord = serde_json::from_str(text).map_err(|_| "not a record")?;
    let (content, _) = text.rsplit_once(HASH_MARK).ok_or("without a hash")?;
    if hex(&sha256(content.as_bytes())) != record.hash {
        return Err("altered: its hash is not that of its content");
    }
    if text.len() != content.len() + HASH_MARK.len() + 64 + "\"}\n".len() {
        return Err("altered: something follows its hash");
    }
    if record.prev != after.head {
        return Err("does not follow the line before it: lines were removed, added or moved");
    }
    if record.seq != after.seq + 1 {
        return Err("out of sequence");
    }
    Ok(record)
}

/// The line of a record that follows `after`, and the hash that binds the next.
pub(super) fn line_of(entry: &AuditEntry, after: &Point) -> serde_json::Result<(String, String)> {
    let record = AuditRecord {
        seq: after.seq + 1,
        ts: entry.ts,
        actor: to_plain_text(&entry.actor, FIELD_BYTES_MAX),
        action: to_plain_text(&entry.action, FIELD_BYTES_MAX),
        subject: to_plain_text(&entry.subject, FIELD_BYTES_MAX),
        detail: to_plain_text(&entry.detail, FIELD_BYTES_MAX),
        prev: after.head.clone(),
        hash: String::new(),
    };
    let mut content = serde_json::to_string(&record)?;
    // The closing brace comes after the hash.
    content.pop();
    let hash = hex(&sha256(content.as_bytes()));
    Ok((format!("{content}{HASH_MARK}{hash}\"}}\n"), hash))
}
