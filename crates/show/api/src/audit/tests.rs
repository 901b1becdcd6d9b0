//! Every way to meddle with a log, and every accident that may befall it.

use super::chain::HASH_MARK;
use super::*;
use crate::base32::{hex, sha256};
use std::path::Path;

/// A folder of its own, removed at the end of the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn place(name: &str) -> (PathBuf, Folder) {
    let folder = std::env::temp_dir().join(format!("andon-audit-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    (folder.join(AUDIT_FILE), Folder(folder))
}

fn log_of(name: &str, records: usize) -> (PathBuf, AuditLog, Folder) {
    let (path, folder) = place(name);
    let log = AuditLog::open(&path, Timestamp(0)).unwrap();
    for index in 0..records {
        log.append(entry(&format!("subject {index}"))).unwrap();
    }
    (path, log, folder)
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
    let (path, _log, _folder) = log_of("bytes", 3);
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
    let (path, _log, _folder) = log_of("lines", 4);
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
    let (path, _log, _folder) = log_of("forged", 3);
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
    let (path, log, _folder) = log_of("cut", 3);
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
    let (path, log, _folder) = log_of("tail", 5);
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
    let (path, log, _folder) = log_of("aside", 3);
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
    let (path, log, _folder) = log_of("two", 1);
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
    let (path, log, _folder) = log_of("replaced", 3);
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
    let (path, log, _folder) = log_of("half", 2);
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
    assert_eq!(log.seq(), 0);
}

/// As they lie there, oldest first, the one being written last.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names.rotate_left(1);
    names
}

/// A log whose files are full after a few records.
fn small(name: &str, records: usize) -> (PathBuf, AuditLog, Folder) {
    let (path, folder) = place(name);
    let log = AuditLog::open_with(&path, Timestamp(0), 1_000).unwrap();
    for index in 0..records {
        log.append(entry(&format!("subject {index}"))).unwrap();
    }
    (path, log, folder)
}

#[test]
fn a_full_file_is_followed_by_another_and_the_chain_goes_through_all() {
    let (path, log, _folder) = small("full", 10);
    let found = names(&path);
    assert!(found.len() > 2, "{found:?}");
    assert_eq!(found[0], "audit.jsonl.000000000001");
    assert_eq!(found.last().unwrap(), AUDIT_FILE);
    let summary = verify(&path).unwrap();
    assert_eq!(
        (summary.records, summary.first, summary.files),
        (10, 1, found.len())
    );
    // The end is shown across files, and a log opened anew goes on.
    let subjects: Vec<String> = log
        .tail(10)
        .unwrap()
        .into_iter()
        .map(|one| one.subject)
        .collect();
    assert_eq!(subjects.first().unwrap(), "subject 9");
    assert_eq!(subjects.last().unwrap(), "subject 0");
    drop(log);
    let log = AuditLog::open_with(&path, Timestamp(0), 1_000).unwrap();
    assert_eq!(log.append(entry("next")).unwrap(), 11);
    assert_eq!(verify(&path).unwrap().records, 11);
}

#[test]
fn the_log_is_bounded_and_says_what_it_let_go() {
    let (path, _log, _folder) = small("bounded", 100);
    assert_eq!(names(&path).len(), FILES_MAX);
    let summary = verify(&path).unwrap();
    assert_eq!(summary.files, FILES_MAX);
    assert!(summary.first > 1 && summary.records > 100, "{summary:?}");
    // A file more that is gone is a file that somebody removed.
    let oldest = path.with_file_name(&names(&path)[0]);
    std::fs::remove_file(&oldest).unwrap();
    let found = verify(&path);
    assert!(
        matches!(&found, Err(AuditError::Broken { line: 1, reason, .. }) if reason.contains("missing")),
        "{found:?}"
    );
}

#[test]
fn what_is_done_to_a_full_file_is_found() {
    let (path, _log, _folder) = small("meddled", 10);
    let full = path.with_file_name(&names(&path)[1]);
    let good = std::fs::read_to_string(&full).unwrap();
    let last = good.trim_end().rfind('\n').unwrap() + 1;
    for bad in [
        good.replacen("ann", "bob", 1),
        good[..last].to_owned(),
        good[..good.len() - 9].to_owned(),
        String::new(),
    ] {
        std::fs::write(&full, &bad).unwrap();
        assert!(
            matches!(verify(&path), Err(AuditError::Broken { .. })),
            "{bad}"
        );
    }
    std::fs::write(&full, &good).unwrap();
    assert!(verify(&path).is_ok());
    std::fs::remove_file(&full).unwrap();
    assert!(matches!(verify(&path), Err(AuditError::Broken { .. })));
}

#[test]
fn two_writers_share_full_files_too() {
    let (path, log, _folder) = small("shared", 1);
    let other = AuditLog::open_with(&path, Timestamp(0), 1_000).unwrap();
    for _ in 0..10 {
        log.append(entry("one")).unwrap();
        log.append(entry("one")).unwrap();
        log.append(entry("one")).unwrap();
        log.append(entry("one")).unwrap();
        other.append(entry("other")).unwrap();
    }
    assert!(verify(&path).is_ok());
    let records = other.tail(1_000).unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.action != "audit.replaced")
    );
    assert!(
        records
            .iter()
            .filter(|record| record.subject == "other")
            .count()
            > 2
    );
}

#[test]
fn power_that_goes_between_two_files_loses_nothing() {
    let (path, log, _folder) = small("between", 2);
    drop(log);
    let first = path.with_file_name("audit.jsonl.000000000001");
    std::fs::rename(&path, &first).unwrap();
    assert_eq!(verify(&path).unwrap().records, 2);
    let log = AuditLog::open(&path, Timestamp(0)).unwrap();
    assert_eq!(log.append(entry("third")).unwrap(), 3);
    assert_eq!(verify(&path).unwrap().records, 3);
}

#[test]
fn a_broken_full_file_is_set_aside_with_what_stands_on_it() {
    let (path, log, _folder) = small("aside-full", 10);
    drop(log);
    let found = names(&path);
    let newest_full = path.with_file_name(&found[found.len() - 2]);
    let broken = std::fs::read_to_string(&newest_full)
        .unwrap()
        .replacen("ann", "bob", 1);
    std::fs::write(&newest_full, broken).unwrap();
    let (log, reason) = AuditLog::open_or_set_aside(&path, Timestamp(5_000_000)).unwrap();
    assert!(
        matches!(reason, Some(AuditError::Broken { .. })),
        "{reason:?}"
    );
    assert_eq!(log.tail(1).unwrap()[0].action, "audit.begin");
    assert!(verify(&path).is_ok());
    let aside = names(&path)
        .into_iter()
        .filter(|name| name.contains(".broken-5"));
    assert_eq!(aside.count(), 2, "the file, and the one that followed it");
}
