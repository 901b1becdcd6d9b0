//! CSV with a header (RFC 4180), for imports: quotes, doubled quotes and line breaks inside
//! quotes. Words that are numbers become numbers (see [`crate::record::infer`]).

use super::StreamDecoder;
use super::json::TIME_KEYS;
use crate::limits::LINE_BYTES_MAX;
use crate::record::{Record, infer};
use crate::reject::{Decoded, Reason};
use crate::when;
use andon_model::time::Timestamp;

/// Reads CSV in pieces. The separator is the one among `,`, `;` and tab that the header has most.
#[derive(Debug, Default)]
pub struct Csv {
    header: Vec<String>,
    time_column: Option<usize>,
    separator: u8,
    row: Vec<u8>,
    is_quoted: bool,
    is_over: bool,
    line: u64,
    row_line: u64,
}

impl Csv {
    fn row(&mut self, received: Timestamp, out: &mut Decoded) {
        let row = std::mem::take(&mut self.row);
        let row_bytes = row.strip_suffix(b"\r").unwrap_or(&row);
        let number = self.row_line;
        if std::mem::take(&mut self.is_over) {
            let error = format!("row is longer than {LINE_BYTES_MAX} bytes");
            out.reject(number, Reason::TooLong, error);
        } else if row_bytes.is_empty() {
        } else if self.header.is_empty() {
            self.begin(row_bytes);
        } else {
            self.take(row_bytes, number, received, out);
        }
        self.row = row;
        self.row.clear();
        self.row.shrink_to(64 * 1024);
    }

    fn begin(&mut self, row: &[u8]) {
        let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
        let count = |separator: &u8| row.iter().filter(|byte| *byte == separator).count();
        let most = [b'\t', b';', b','].into_iter().max_by_key(count);
        self.separator = most.unwrap_or(b',');
        let names = fields(row, self.separator);
        self.header = names
            .map(|name| String::from_utf8_lossy(&name).trim().to_owned())
            .collect();
        let places = TIME_KEYS.iter().filter_map(|key| {
            let mut names = self.header.iter();
            names.position(|name| name.eq_ignore_ascii_case(key))
        });
        self.time_column = { places }.next();
    }

    fn take(&self, row: &[u8], number: u64, received: Timestamp, out: &mut Decoded) {
        let mut record = Record::with_capacity(received, self.header.len());
        let mut columns = 0;
        for (place, field) in fields(row, self.separator).enumerate() {
            columns += 1;
            let Some(name) = self.header.get(place) else {
                continue;
            };
            let text = record.text(&field).into_owned();
            if self.time_column == Some(place) && !text.is_empty() {
                match when::parse(&text) {
                    Some(at) => record.happened(at),
                    None => {
                        let error = format!("{name} is neither RFC 3339 nor a number since 1970");
                        return out.reject(number, Reason::BadTime, error);
                    }
                }
            } else if !text.is_empty() {
                record.put(name, infer(name, &text));
            }
        }
        if columns > self.header.len() {
            let error = format!("{columns} fields under {} names", self.header.len());
            return out.reject(number, Reason::Malformed, error);
        }
        out.push(record);
    }
}

/// The fields of a row, quotes taken away.
fn fields(row: &[u8], separator: u8) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let row = rest?;
        let mut field = Vec::new();
        let mut place = 0;
        let mut is_quoted = false;
        while let Some(byte) = row.get(place) {
            match byte {
                b'"' if is_quoted && row.get(place + 1) == Some(&b'"') => {
                    field.push(b'"');
                    place += 1;
                }
                b'"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
                byte if *byte == separator && !is_quoted => break,
                byte => field.push(*byte),
            }
            place += 1;
        }
        rest = row.get(place + 1..).filter(|_| place < row.len());
        Some(field)
    })
}

impl StreamDecoder for Csv {
    fn push(&mut self, bytes: &[u8], received: Timestamp, out: &mut Decoded) {
        for byte in bytes {
            if self.row.is_empty() && !self.is_over {
                self.row_line = self.line + 1;
            }
            self.line += u64::from(*byte == b'\n');
            match byte {
                b'\n' if !self.is_quoted || self.is_over => {
                    self.is_quoted = false;
                    self.row(received, out);
                }
                _ if self.row.len() >= LINE_BYTES_MAX => self.is_over = true,
                byte => {
                    self.is_quoted ^= *byte == b'"';
                    self.row.push(*byte);
                }
            }
        }
    }

    fn finish(&mut self, received: Timestamp, out: &mut Decoded) {
        if std::mem::take(&mut self.is_quoted) && !self.is_over {
            let error = "a quote is never closed";
            out.reject(self.row_line, Reason::Malformed, error);
            self.row.clear();
        } else if !self.row.is_empty() || self.is_over {
            self.row(received, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::event::Value;
    use proptest::prelude::*;

    fn decode(text: &[u8], piece: usize) -> Decoded {
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        let mut out = Decoded::default();
        let mut decoder = Csv::default();
        for piece in text.chunks(piece.max(1)) {
            decoder.push(piece, now, &mut out);
        }
        decoder.finish(now, &mut out);
        out
    }

    #[test]
    fn rows_become_events_by_the_header() {
        let text = "\u{feff}ts,host,\"took, ms\",note\r\n\
            2026-11-20T03:20:00Z,web-1,1.5,\"two\nlines, \"\"quoted\"\"\"\r\n\
            1763604000000,web-2,,plain\n";
        for piece in [1, 5, 1000] {
            let out = decode(text.as_bytes(), piece);
            assert_eq!(out.rejected, []);
            assert_eq!(out.events[0].get("took, ms"), Some(&Value::Float(1.5)));
            assert_eq!(
                out.events[0].get("note"),
                Some(&"two\nlines, \"quoted\"".into())
            );
            assert_eq!(out.events[1].at.to_string(), "2025-11-20T02:00:00.000Z");
            assert_eq!(out.events[1].attributes.len(), 2);
        }
    }

    #[test]
    fn bad_rows_are_told_with_their_line() {
        let out = decode(
            b"a;b;time\n1;2;3;4\n\n5;6;never\n7;8;1763604000\n\"open",
            1000,
        );
        let told: Vec<_> = out
            .rejected
            .iter()
            .map(|r| (r.line, r.error.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (2, "4 fields under 3 names"),
                (4, "time is neither RFC 3339 nor a number since 1970"),
                (6, "a quote is never closed"),
            ]
        );
        assert_eq!(out.events.len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab,\"\n\r1]{0,80}", piece in 1usize..9) {
            let text = format!("a,b\n{text}");
            let (whole, pieces) = (decode(text.as_bytes(), 1000), decode(text.as_bytes(), piece));
            prop_assert_eq!(whole.events, pieces.events);
            prop_assert_eq!(whole.rejected, pieces.rejected);
        }
    }
}
