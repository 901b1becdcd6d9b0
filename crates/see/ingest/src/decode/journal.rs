//! The journal's export format, as `journalctl -o export` writes it: fields a line each,
//! binary ones with their length, an empty line after each entry.
//! Source: systemd.io, "Journal Export Formats".

use super::words::syslog_severity;
use crate::record::{Record, infer};
use crate::reject::{Decoded, Reason};
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;

/// Bytes of one entry; a larger one (a core dump's) is left out, and counted.
pub const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads entries in pieces.
#[derive(Debug, Default)]
pub struct Journal {
    held: Vec<u8>,
    skipping: bool,
    cursor: Option<String>,
    entries: u64,
}

impl Journal {
    /// The cursor of the last entry that was given out or refused.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// More bytes.
    pub fn push(&mut self, bytes: &[u8], received: Timestamp, out: &mut Decoded) {
        self.held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = entry_end(&self.held[start..]) {
            let entry = &self.held[start..start + end];
            start += end;
            if std::mem::take(&mut self.skipping) || entry.len() <= 1 {
                continue;
            }
            self.entries += 1;
            let (event, cursor) = read(entry, received);
            self.cursor = cursor.or(self.cursor.take());
            out.push(event);
        }
        self.held.drain(..start);
        if self.held.len() > ENTRY_BYTES_MAX {
            // Its end is found as that of whatever remains of it.
            self.held.clear();
            if !self.skipping {
                self.skipping = true;
                self.entries += 1;
                let error = format!("an entry is longer than {ENTRY_BYTES_MAX} bytes");
                out.reject(self.entries, Reason::TooLong, error);
            }
        }
    }
}

/// Bytes until after the empty line that ends an entry; `None` while it is not there.
fn entry_end(bytes: &[u8]) -> Option<usize> {
    let mut place = 0;
    loop {
        let (_, next) = field(&bytes[place..])?;
        let is_end = next == 1;
        place += next;
        if is_end {
            return Some(place);
        }
    }
}

/// One field, as name and value, and its bytes; the empty line has no name.
#[allow(clippy::type_complexity)]
fn field(bytes: &[u8]) -> Option<((&[u8], &[u8]), usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    if let Some(equals) = memchr::memchr(b'=', line) {
        return Some(((&line[..equals], &line[equals + 1..]), end + 1));
    }
    if line.is_empty() {
        return Some((Default::default(), 1));
    }
    let length = bytes.get(end + 1..end + 9)?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    // A length beyond all bounds stands for a damaged stream: the field ends at its line.
    let Ok(length @ ..=ENTRY_BYTES_MAX) = usize::try_from(length) else {
        return Some(((line, &[]), end + 1));
    };
    let value = bytes.get(end + 9..end + 9 + length)?;
    bytes.get(end + 9 + length)?;
    Some(((line, value), end + 10 + length))
}

fn read(mut entry: &[u8], received: Timestamp) -> (Record, Option<String>) {
    let mut record = Record::new(received);
    record.put(key::KIND, "log");
    let mut cursor = None;
    let mut unit = None;
    while let Some(((name, value), taken)) = field(entry) {
        entry = &entry[taken.min(entry.len())..];
        let text = String::from_utf8_lossy(value);
        match name {
            b"" => break,
            b"MESSAGE" => record.put_bytes(key::BODY, value),
            b"__CURSOR" => cursor = Some(text.into_owned()),
            b"__REALTIME_TIMESTAMP" => {
                if let Ok(micros) = text.parse() {
                    record.happened(Timestamp(micros));
                }
            }
            b"PRIORITY" => {
                if let Ok(priority) = text.parse() {
                    record.put(key::SEVERITY, syslog_severity(priority));
                }
            }
            b"SYSLOG_IDENTIFIER" => record.put_bytes(key::SERVICE, value),
            b"_SYSTEMD_UNIT" => unit = Some(text.into_owned()),
            b"_HOSTNAME" => record.put_bytes(key::HOST, value),
            b"_PID" => record.put("process.pid", infer("pid", &text)),
            b"_COMM" => record.put_bytes("process.executable.name", value),
            b"_EXE" => record.put_bytes("process.executable.path", value),
            b"_UID" => record.put("user.uid", infer("uid", &text)),
            b"_TRANSPORT" => record.put_bytes("journal.transport", value),
            b"CONTAINER_NAME" => record.put_bytes("container.name", value),
            b"CONTAINER_ID_FULL" => record.put_bytes("container.id", value),
            b"SYSLOG_TIMESTAMP" | b"SYSLOG_FACILITY" | b"SYSLOG_PID" | b"SYSLOG_RAW" => {}
            // What the journal itself adds says little that the unit does not.
            [b'_', ..] => {}
            name => {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                record.put(&format!("journal.{name}"), infer(&name, &text));
            }
        }
    }
    if let Some(unit) = unit {
        record.put_text("systemd.unit", &unit);
        let service = unit.strip_suffix(".service").unwrap_or(&unit);
        record.put_absent(key::SERVICE, Value::from(service));
    }
    (record, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8], piece: usize) -> (Journal, Decoded) {
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        let (mut journal, mut out) = (Journal::default(), Decoded::default());
        for piece in bytes.chunks(piece) {
            journal.push(piece, now, &mut out);
        }
        (journal, out)
    }

    fn export() -> Vec<u8> {
        let mut bytes =
            b"__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=1763604000125000\n_PID=7\nPRIORITY=3\n\
            SYSLOG_IDENTIFIER=sshd\n_BOOT_ID=x\nMESSAGE\n"
                .to_vec();
        let message = b"two\nlines=\n\nof it";
        bytes.extend((message.len() as u64).to_le_bytes());
        bytes.extend(message);
        bytes.extend(
            b"\nORDER_ID=5\n\n__CURSOR=s=1;i=2\nMESSAGE=next\n_SYSTEMD_UNIT=web.service\n\n",
        );
        bytes
    }

    #[test]
    fn entries_are_read_however_they_arrive() {
        for piece in [1, 7, 10_000] {
            let (journal, out) = decode(&export(), piece);
            assert_eq!(out.events.len(), 2);
            let first = &out.events[0];
            assert_eq!(first.at.to_string(), "2025-11-20T02:00:00.125Z");
            assert_eq!(first.get("body"), Some(&"two\nlines=\n\nof it".into()));
            assert_eq!(first.get("severity_text"), Some(&"error".into()));
            assert_eq!(first.get("process.pid"), Some(&Value::Integer(7)));
            assert_eq!(first.get("journal.order_id"), Some(&"5".into()));
            assert_eq!(out.events[1].get("service.name"), Some(&"web".into()));
            assert_eq!(journal.cursor(), Some("s=1;i=2"));
        }
    }

    #[test]
    fn an_entry_of_any_size_is_bounded() {
        let mut bytes = b"__CURSOR=a\nCOREDUMP=".to_vec();
        bytes.extend(vec![b'x'; 3 * ENTRY_BYTES_MAX]);
        bytes.extend(b"\n\n");
        bytes.extend(export());
        let (_, out) = decode(&bytes, 100_000);
        assert_eq!((out.events.len(), out.rejected_total()), (2, 1));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, text in "[A=\n\\x00a]{0,60}") {
            decode(&bytes, 10);
            decode(text.as_bytes(), 7);
        }
    }
}
