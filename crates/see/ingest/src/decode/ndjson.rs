//! One JSON object a line, as `POST /api/v1/events` and `andon import` take it.

use super::StreamDecoder;
use super::json::{self, BadTime, JsonError};
use crate::limits::LINE_BYTES_MAX;
use crate::lines::{Line, LineSplitter};
use crate::reject::{Decoded, Reason};
use andon_model::time::Timestamp;

/// Reads NDJSON in pieces. `ts` (or `timestamp`, `@timestamp`, `time`) says when; without it
/// the time of receipt counts. A line that is no object, or whose `ts` cannot be read, is
/// refused with its number; the others are taken.
#[derive(Debug)]
pub struct Ndjson {
    splitter: LineSplitter,
    line: u64,
}

impl Default for Ndjson {
    fn default() -> Self {
        Self {
            splitter: LineSplitter::new(LINE_BYTES_MAX),
            line: 0,
        }
    }
}

impl Ndjson {
    /// Lines read so far, empty ones too.
    pub fn lines(&self) -> u64 {
        self.line
    }
}

fn take(line: Line<'_>, number: &mut u64, received: Timestamp, out: &mut Decoded) {
    *number += 1;
    let bytes = line.bytes.trim_ascii();
    if bytes.is_empty() {
        return;
    }
    if line.cut_bytes > 0 {
        let error = format!("line is longer than {LINE_BYTES_MAX} bytes");
        return out.reject(*number, Reason::TooLong, error);
    }
    match json::record(bytes, received, BadTime::Refuse) {
        Ok(record) => out.push(record),
        Err(error @ JsonError::Malformed(_)) => {
            out.reject(*number, Reason::Malformed, error.to_string());
        }
        Err(error @ JsonError::BadTime { .. }) => {
            out.reject(*number, Reason::BadTime, error.to_string());
        }
    }
}

impl StreamDecoder for Ndjson {
    fn push(&mut self, bytes: &[u8], received: Timestamp, out: &mut Decoded) {
        let number = &mut self.line;
        self.splitter
            .push(bytes, |line| take(line, number, received, out));
    }

    fn finish(&mut self, received: Timestamp, out: &mut Decoded) {
        let number = &mut self.line;
        self.splitter
            .finish(|line| take(line, number, received, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::event::{Event, Value};
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T14:00:00Z").unwrap()
    }

    fn decode(text: &[u8]) -> Decoded {
        let mut out = Decoded::default();
        let mut decoder = Ndjson::default();
        decoder.push(text, now(), &mut out);
        decoder.finish(now(), &mut out);
        out
    }

    fn one(text: &str) -> Event {
        let out = decode(text.as_bytes());
        assert_eq!(out.rejected, [], "{text}");
        out.events[0].clone()
    }

    fn refused(text: &str, expected: &str) {
        let out = decode(text.as_bytes());
        assert_eq!(
            out.rejected.first().map(|reject| reject.error.as_str()),
            Some(expected)
        );
    }

    #[test]
    fn an_object_becomes_an_event() {
        let event = one(
            r#"{"ts":"2026-11-20T03:20:00.125Z","service":{"name":"web","v":null},
            "n":7,"f":0.5,"ok":true,"list":[1,"a",{"b":2}],"big":18446744073709551615}"#
                .replace('\n', " ")
                .as_str(),
        );
        assert_eq!(event.at.to_string(), "2026-11-20T03:20:00.125Z");
        let expected: [(&str, Value); 6] = [
            ("service.name", "web".into()),
            ("n", Value::Integer(7)),
            ("f", Value::Float(0.5)),
            ("ok", Value::Bool(true)),
            ("list", r#"[1,"a",{"b":2}]"#.into()),
            ("big", "18446744073709551615".into()),
        ];
        let expected: Vec<_> = expected.map(|(key, value)| (key.to_owned(), value)).into();
        assert_eq!(event.attributes, expected);
    }

    #[test]
    fn times_come_under_four_names() {
        for text in [
            r#"{"ts":1763604000125}"#,
            r#"{"timestamp":"2025-11-20T02:00:00.125Z","a":1}"#,
            r#"{"time":1763604000.125}"#,
            r#"{"@timestamp":"2025-11-20T03:00:00.125+01:00"}"#,
            r#"{"time":0.2,"ts":"1763604000125"}"#,
        ] {
            assert_eq!(
                one(text).at.to_string(),
                "2025-11-20T02:00:00.125Z",
                "{text}"
            );
        }
        let took = one(r#"{"time":0.25}"#);
        assert_eq!(
            (took.at, took.get("time")),
            (now(), Some(&Value::Float(0.25)))
        );
        let absurd = one(r#"{"ts":0}"#);
        assert_eq!(absurd.at, now());
        assert_eq!(
            absurd.get("andon.said_ts"),
            Some(&"1970-01-01T00:00:00.000Z".into())
        );
    }

    #[test]
    fn bad_lines_are_told_and_good_ones_taken() {
        let out = decode(b"{\"a\":1}\n\nnot json\n[1]\n{\"ts\":\"soon\"}\n{\"a\":2}");
        assert_eq!(out.events.len(), 2);
        let lines: Vec<_> = out.rejected.iter().map(|reject| reject.line).collect();
        assert_eq!(lines, [3, 4, 5]);
        refused(
            "{\"a\":1",
            "no JSON object: EOF while parsing an object at column 6",
        );
        refused(
            "{\"a\":1}x",
            "no JSON object: trailing characters at column 8",
        );
        refused(
            "{\"ts\":\"soon\"}",
            "ts is neither RFC 3339 nor a number since 1970: soon",
        );
    }

    #[test]
    fn deep_nesting_and_bytes_that_are_no_text_are_bounded() {
        let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
        let event = one(&deep);
        assert!(matches!(&event.attributes[0].1, Value::Text(text) if text.starts_with("{\"a\"")));
        refused(
            &"[".repeat(100_000),
            "no JSON object: invalid type: sequence, expected an object at column 0",
        );
        let hostile = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(decode(hostile.as_bytes()).rejected_total(), 1);
        let out = decode(b"{\"a\":\"caf\xe9\"}");
        assert_eq!(out.events[0].get("andon.mended"), Some(&"utf8".into()));
    }

    #[test]
    fn a_line_of_a_hundred_megabytes_costs_one_line() {
        let mut out = Decoded::default();
        let mut decoder = Ndjson::default();
        decoder.push(b"{\"a\":\"", now(), &mut out);
        for _ in 0..1600 {
            decoder.push(&[b'x'; 65536], now(), &mut out);
        }
        decoder.push(b"\"}\n{\"b\":1}\n", now(), &mut out);
        assert_eq!(
            (
                out.events.len(),
                out.rejected_counts[Reason::TooLong as usize]
            ),
            (1, 1)
        );
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(text in "[\\[{\\]}\",:a1.\\\\\n -]{0,200}", bytes: Vec<u8>) {
            decode(text.as_bytes());
            decode(&bytes);
        }
    }
}
