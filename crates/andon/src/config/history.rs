//! `[history]`: what a node keeps of what it showed.

use super::resolve::Reader;
use super::value;
use andon_history::{BYTES_MAX_DEFAULT, HistoryOptions, KEEP_DEFAULT};
use std::path::Path;
use std::time::Duration;

/// Least room: some hours of a small grid.
const BYTES_LEAST: u64 = 1_000_000;
/// Most room: beyond it somebody mistook the unit.
const BYTES_MOST: u64 = 10_000_000_000_000;

/// What is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistorySettings {
    /// Whether anything is.
    pub enabled: bool,
    /// For how long.
    pub keep: Duration,
    /// In how much room.
    pub bytes_max: u64,
}

impl HistorySettings {
    /// The same for the history's own crate; it has a folder within the node's data.
    pub fn options(&self, data_dir: &Path) -> HistoryOptions {
        let mut options = HistoryOptions::new(data_dir.join("history"));
        options.keep = self.keep;
        options.bytes_max = self.bytes_max;
        options
    }
}

/// Reads the table; `None` if something in it is wrong.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<HistorySettings> {
    let enabled = reader.one("history.enabled", |given| value::switch(&given.text));
    let keep = reader.one("history.keep", |given| {
        value::duration_in(
            &given.text,
            Duration::from_secs(3600),
            Duration::from_secs(3650 * 86_400),
        )
    });
    let bytes_max = reader.one("history.bytes_max", |given| bytes(&given.text));
    Some(HistorySettings {
        enabled: enabled.or_default(|| true)?,
        keep: keep.or_default(|| KEEP_DEFAULT)?,
        bytes_max: bytes_max.or_default(|| BYTES_MAX_DEFAULT)?,
    })
}

/// Units of bytes, the largest first; powers of ten as disks are sold, of two where `i` says so.
const UNITS: [(&str, u64); 8] = [
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A size such as `1GB`, `500 MB`, `64MiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "a size with its unit: 500MB, 1GB, 64MiB; 1MB to 10TB".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let name = text[digits..].trim_start();
    let unit = UNITS
        .iter()
        .find(|(unit, _)| unit.eq_ignore_ascii_case(name));
    unit.and_then(|(_, unit)| number.checked_mul(*unit))
        .filter(|bytes| (BYTES_LEAST..=BYTES_MOST).contains(bytes))
        .ok_or_else(expected)
}

/// The shortest way to write a size that reads back as the same.
pub fn write_bytes(bytes: u64) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_written_back() {
        for (text, expected) in [
            ("1GB", 1_000_000_000),
            ("500 MB", 500_000_000),
            ("64MiB", 64 << 20),
            ("2gib", 2 << 30),
            ("1000000B", 1_000_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
            assert_eq!(bytes(&write_bytes(expected)), Ok(expected));
        }
        assert_eq!(write_bytes(1_000_000_000), "1GB");
        for wrong in [
            "",
            "1",
            "GB",
            "1G",
            "-1GB",
            "1.5GB",
            "999kB",
            "11TB",
            "99999999999TB",
        ] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
