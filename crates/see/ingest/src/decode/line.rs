//! One line of a log, whatever its format: named by the user, or found by looking at the
//! line. Nothing is refused: what is not of the format stays as a plain line, and is counted.

use super::json::{self, BadTime};
use super::pairs::{Word, is_logfmt, words};
use super::pattern::{CaptureType, Pattern, PatternError};
use super::transaction::Transactions;
use super::words::{put_usual, severity, usual_key};
use super::{StreamDecoder, access, andon_line, syslog};
use crate::limits::LINE_BYTES_MAX;
use crate::lines::LineSplitter;
use crate::record::{LABEL, Record, floor};
use crate::reject::{Decoded, Mend};
use crate::when;
use andon_model::event::{Event, Value, key};
use andon_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use super::multiline::{Joiner, Multiline, MultilineError};

/// What a line's own `kind` may say, so that it is taken for one of Andon's events.
const KINDS: [&str; 9] = [
    "log",
    "metric",
    "begin",
    "end",
    "atomic",
    "event",
    "heartbeat",
    "span",
    "exemplar",
];

/// How the lines of a log are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// Found for each line: JSON, Andon's own, syslog, access logs, logfmt, else plain.
    #[default]
    Auto,
    /// The line is the body; a time at its beginning and a level near it are read.
    Plain,
    /// One JSON object a line.
    Json,
    /// `key=value` and nothing else.
    Logfmt,
    /// Text with `key=value` in it; the line is the body.
    KeyValue,
    /// Andon's own lines; others stay plain.
    Andon,
    /// Apache's and nginx' access logs, common and combined.
    Access,
    /// HAProxy's HTTP and TCP logs.
    Haproxy,
    /// Syslog with or without priority, such as `/var/log/syslog`.
    Syslog,
    /// See [`Pattern::parse`].
    Pattern(String),
    /// See [`Pattern::regex`].
    Regex {
        /// With named groups.
        regex: String,
        /// Types of groups that are not `auto`.
        #[serde(default)]
        types: BTreeMap<String, CaptureType>,
    },
}

/// Reads lines of one source, in their order.
#[derive(Debug, Default)]
pub struct LineDecoder {
    format: LineFormat,
    pattern: Option<Pattern>,
    transactions: Transactions,
}

impl LineDecoder {
    /// For a format.
    ///
    /// Errors when its pattern cannot be used.
    pub fn new(format: &LineFormat) -> Result<Self, PatternError> {
        let pattern = match format {
            LineFormat::Pattern(text) => Some(Pattern::parse(text)?),
            LineFormat::Regex { regex, types } => Some(Pattern::regex(regex, types)?),
            _ => None,
        };
        Ok(Self {
            format: format.clone(),
            pattern,
            transactions: Transactions::default(),
        })
    }

    /// One line or joined record; `cut_bytes` were left out at its end.
    pub fn decode(&mut self, line: &[u8], cut_bytes: u64, received: Timestamp, out: &mut Decoded) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return;
        }
        let mut record = self.record(line, received);
        if cut_bytes > 0 {
            record.mend(Mend::Cut);
            record.put("andon.cut_bytes", Value::Integer(cut_bytes as i64));
        }
        // A line may be an event of Andon's own; else its word is a label.
        let is_kind =
            |value: &Value| matches!(value, Value::Text(text) if KINDS.contains(&text.as_str()));
        match record.get(key::KIND) {
            Some(value) if is_kind(value) => {}
            Some(_) => {
                record = record.renamed(|name, value| match name {
                    key::KIND => (format!("{LABEL}{name}"), value),
                    name => (name.to_owned(), value),
                })
            }
            None => {}
        }
        record.put_absent(key::KIND, "log");
        out.push(record);
    }

    fn record(&mut self, line: &[u8], received: Timestamp) -> Record {
        let mut record = Record::new(received);
        let text = record.text(line).into_owned();
        let text = text.trim_start_matches('\u{feff}');
        let is_read = match &self.format {
            LineFormat::Auto => match self.find(text, line, received, &mut record, false) {
                Some(found) => return found,
                None => {
                    plain(text, &mut record);
                    true
                }
            },
            LineFormat::Plain => {
                plain(text, &mut record);
                true
            }
            LineFormat::Json => match json_record(line, received) {
                Some(found) => return found,
                None => false,
            },
            LineFormat::Logfmt => pairs(text, &mut record, false),
            LineFormat::KeyValue => pairs(text, &mut record, true),
            LineFormat::Andon => andon_line::parse(text, &mut record, &mut self.transactions),
            LineFormat::Access => access::parse_access(text, &mut record),
            LineFormat::Haproxy => {
                access::parse_haproxy(text, &mut record, when::local_offset(received))
            }
            LineFormat::Syslog => {
                syslog::parse(line, &mut record, when::local_offset(received));
                return self.refine(record);
            }
            LineFormat::Pattern(_) | LineFormat::Regex { .. } => {
                let pattern = self.pattern.as_ref();
                pattern.is_some_and(|pattern| pattern.read(text, &mut record))
            }
        };
        if !is_read {
            record.mend(Mend::Unparsed);
            plain(text, &mut record);
        }
        record
    }

    /// Reads what the body of a record says that came in a wrapping of its own (syslog, the
    /// journal, Fluent): what the wrapping says about the sender stays.
    #[must_use]
    pub fn refine(&mut self, mut record: Record) -> Record {
        let Some(Value::Text(body)) = record.get(key::BODY).cloned() else {
            return record;
        };
        let received = record.received();
        let mut inner = Record::new(received);
        let Some(inner) = self.find(&body, body.as_bytes(), received, &mut inner, true) else {
            return record;
        };
        record.absorb(inner, &[key::HOST, key::SERVICE, "process.pid"]);
        record
    }

    /// The format that a line seems to be of. Looks at its beginning first, so that most
    /// formats cost nothing where they are not used. `is_inside` a wrapping there is no other one.
    fn find(
        &mut self,
        text: &str,
        line: &[u8],
        received: Timestamp,
        record: &mut Record,
        is_inside: bool,
    ) -> Option<Record> {
        if text.starts_with('{') && text.ends_with('}') {
            return json_record(line, received);
        }
        let take = |record: &mut Record| std::mem::replace(record, Record::new(received));
        if andon_line::is_andon_line(text)
            && andon_line::parse(text, record, &mut self.transactions)
        {
            return Some(take(record));
        }
        if is_logfmt(text) && pairs(text, record, false) {
            return Some(take(record));
        }
        if access::parse_access(text, record) {
            return Some(take(record));
        }
        let offset = when::local_offset(received);
        if text.contains('/') && access::parse_haproxy(text, record, offset) {
            return Some(take(record));
        }
        let is_old_syslog = when::rfc3164_prefix(text.as_bytes(), received, offset).is_some();
        if !is_inside && (syslog::has_priority(line) || is_old_syslog) {
            syslog::parse(line, record, offset);
            let record = take(record);
            return Some(self.refine(record));
        }
        None
    }
}

/// A JSON object of a log, its usual names made ours.
fn json_record(line: &[u8], received: Timestamp) -> Option<Record> {
    let record = json::record(line, received, BadTime::Keep).ok()?;
    let needs_names = |(name, value): (&str, &Value)| {
        usual_key(name) != name || (name == key::SEVERITY && severity_of(value).is_some())
    };
    if !record.attributes().any(needs_names) {
        return Some(record);
    }
    Some(record.renamed(|name, value| {
        let usual = usual_key(name);
        let value = match severity_of(&value).filter(|_| usual == key::SEVERITY) {
            Some(severity) => severity.into(),
            None => value,
        };
        (usual.to_owned(), value)
    }))
}

/// Words, and the numbers that bunyan and pino write for them.
fn severity_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::Text(text) => severity(text),
        Value::Integer(10) => Some("trace"),
        Value::Integer(20) => Some("debug"),
        Value::Integer(30) => Some("info"),
        Value::Integer(40) => Some("warn"),
        Value::Integer(50) => Some("error"),
        Value::Integer(60) => Some("fatal"),
        _ => None,
    }
}

/// Puts the pairs of a line. Returns whether there is one.
fn pairs(text: &str, record: &mut Record, is_prose: bool) -> bool {
    let has_pair = words(text).any(|word| matches!(word, Word::Pair(..)));
    if !has_pair {
        return false;
    }
    for word in words(text) {
        match word {
            Word::Pair(name, value) => {
                let is_time = json::TIME_KEYS.contains(&name) || name == "t";
                match when::parse(&value).filter(|_| is_time) {
                    Some(at) => record.happened(at),
                    None => put_usual(record, name, &value),
                }
            }
            Word::Bare(word) if !is_prose => record.put(word, Value::Bool(true)),
            Word::Bare(_) => {}
        }
    }
    if is_prose {
        record.put_text(key::BODY, text);
        leading_time(text, record);
    }
    true
}

/// The whole line as the body, with the time at its beginning and the level near it.
pub fn plain(text: &str, record: &mut Record) {
    record.put_text(key::BODY, text);
    let taken = leading_time(text, record);
    let head = &text[taken..floor(text, taken + 80)];
    let words = head.split(|c: char| !c.is_ascii_alphabetic());
    let words = words.filter(|word| !word.is_empty());
    // A level is written large, or first: "error" within prose is no level.
    let mut levels = words.enumerate().filter(|(place, word)| {
        word.len() >= 3 && (word.bytes().all(|byte| byte.is_ascii_uppercase()) || *place <= 1)
    });
    if let Some(level) = levels.find_map(|(_, word)| severity(word)) {
        record.put(key::SEVERITY, level);
    }
}

/// Reads a time at a line's beginning, in brackets or not; returns its bytes.
fn leading_time(text: &str, record: &mut Record) -> usize {
    let open = usize::from(text.starts_with('['));
    let said = &text.as_bytes()[open..];
    match when::rfc3339_prefix(said).or_else(|| when::local_prefix(said)) {
        Some((at, taken)) => {
            record.happened(at);
            floor(text, open + taken)
        }
        None => 0,
    }
}

/// Lines in pieces of bytes, joined and read.
#[derive(Debug)]
pub struct LineStream {
    splitter: LineSplitter,
    joiner: Joiner,
    decoder: LineDecoder,
}

/// Why a log cannot be read as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Its format.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Its rule for joining lines.
    #[error(transparent)]
    Multiline(#[from] MultilineError),
}

impl LineStream {
    /// Lines of a format, joined by a rule.
    pub fn new(format: &LineFormat, multiline: &Multiline) -> Result<Self, LineError> {
        Ok(Self {
            splitter: LineSplitter::new(LINE_BYTES_MAX),
            joiner: Joiner::new(multiline)?,
            decoder: LineDecoder::new(format)?,
        })
    }

    /// Whether a record is held that may go on with the next line.
    pub fn is_holding(&self) -> bool {
        self.joiner.is_holding()
    }

    /// Bytes of what has begun and not ended.
    pub fn held_bytes(&self) -> usize {
        self.joiner.held_bytes() + self.splitter.begun_bytes().min(LINE_BYTES_MAX as u64) as usize
    }

    /// Lets go of a record that is held, but not of a line without its end.
    pub fn flush(&mut self, received: Timestamp, out: &mut Decoded) {
        let decoder = &mut self.decoder;
        self.joiner
            .flush(|record, cut| decoder.decode(record, cut, received, out));
    }
}

impl Default for LineStream {
    /// Any format, traces joined.
    fn default() -> Self {
        Self {
            splitter: LineSplitter::new(LINE_BYTES_MAX),
            joiner: Joiner::default(),
            decoder: LineDecoder::default(),
        }
    }
}

impl StreamDecoder for LineStream {
    fn push(&mut self, bytes: &[u8], received: Timestamp, out: &mut Decoded) {
        let (joiner, decoder) = (&mut self.joiner, &mut self.decoder);
        self.splitter.push(bytes, |line| {
            joiner.push(line.bytes, line.cut_bytes, |record, cut| {
                decoder.decode(record, cut, received, out);
            });
        });
    }

    fn finish(&mut self, received: Timestamp, out: &mut Decoded) {
        let (joiner, decoder) = (&mut self.joiner, &mut self.decoder);
        self.splitter.finish(|line| {
            joiner.push(line.bytes, line.cut_bytes, |record, cut| {
                decoder.decode(record, cut, received, out);
            });
        });
        self.flush(received, out);
    }
}

/// Reads one line by itself.
pub fn decode_one(decoder: &mut LineDecoder, line: &[u8], received: Timestamp) -> Option<Event> {
    let mut out = Decoded::default();
    decoder.decode(line, 0, received, &mut out);
    out.events.pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(format: LineFormat, line: &str) -> Event {
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        decode_one(
            &mut LineDecoder::new(&format).unwrap(),
            line.as_bytes(),
            now,
        )
        .unwrap()
    }

    fn check(line: &str, expected: &[(&str, &str)]) {
        let event = read(LineFormat::Auto, line);
        for (key, value) in expected {
            let said = event.get(key).map(ToString::to_string);
            assert_eq!(said.as_deref(), Some(*value), "{key} of {line}: {event:?}");
        }
    }

    #[test]
    fn formats_are_found_by_looking() {
        check(
            r#"{"time":"2026-11-20T03:20:00Z","level":"WARNING","msg":"x","n":1}"#,
            &[("severity_text", "warn"), ("body", "x"), ("n", "1")],
        );
        check(
            r#"{"level":30,"msg":"pino"}"#,
            &[("severity_text", "info"), ("body", "pino")],
        );
        check(
            "ts=2026-11-20T03:20:00Z level=error msg=\"it broke\" took=1.5",
            &[
                ("severity_text", "error"),
                ("body", "it broke"),
                ("took", "1.5"),
            ],
        );
        check(
            "andon heartbeat backup every=1h",
            &[
                ("kind", "heartbeat"),
                ("name", "backup"),
                ("every_s", "3600"),
            ],
        );
        check(
            "1.2.3.4 - - [20/Nov/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 5",
            &[("status", "200"), ("kind", "log")],
        );
        check(
            "Nov 20 03:20:00 web-1 sshd[7]: Failed password",
            &[
                ("host.name", "web-1"),
                ("service.name", "sshd"),
                ("body", "Failed password"),
            ],
        );
        check(
            "<13>Nov 20 03:20:00 web-1 x: y",
            &[("severity_text", "info"), ("body", "y")],
        );
        check(
            "1.2.3.4:5 [20/Nov/2026:12:14:14.655] in b/s 1/0/3/6/10 200 27 - - ---- 1/1/1/1/0 0/0 \"GET / HTTP/1.1\"",
            &[("duration_ms", "10")],
        );
        check(
            "2026-11-20 03:20:00,123 ERROR [main] c.e.App - it broke",
            &[("severity_text", "error"), ("kind", "log")],
        );
        check(
            "[Fri Nov 20 13:55:36.1 2026] [core:error] [pid 7] AH00124: it broke",
            &[("severity_text", "error"), ("kind", "log")],
        );
        check(
            "2026/11/20 13:55:36 [warn] 7#7: *9 it broke",
            &[("severity_text", "warn")],
        );
        check(
            "[2026-11-20T03:20:00Z WARN  app] it broke",
            &[("severity_text", "warn")],
        );
        check(
            "warning: low space",
            &[("severity_text", "warn"), ("body", "warning: low space")],
        );
        check(
            "there was no error at all",
            &[("body", "there was no error at all")],
        );
        assert_eq!(
            read(LineFormat::Auto, "there was no error at all").get("severity_text"),
            None
        );
        assert_eq!(
            read(LineFormat::Auto, "2026-11-20 03:20:00,123 x")
                .at
                .to_string(),
            "2026-11-20T03:20:00.123Z"
        );
        check("{not json}", &[("body", "{not json}")]);
        check(
            "kind=Pod level=info",
            &[("kind", "log"), ("label.kind", "Pod")],
        );
        check(
            r#"{"kind":"heartbeat","name":"x"}"#,
            &[("kind", "heartbeat")],
        );
    }

    #[test]
    fn a_line_of_another_format_stays_and_is_told() {
        let formats = [
            LineFormat::Json,
            LineFormat::Access,
            LineFormat::Haproxy,
            LineFormat::Logfmt,
            LineFormat::Andon,
            LineFormat::Pattern("<a:int> <b>".into()),
        ];
        for format in formats {
            let event = read(format, "a plain line");
            assert_eq!(event.get("body"), Some(&"a plain line".into()));
            assert_eq!(event.get("andon.mended"), Some(&"unparsed".into()));
        }
        let event = read(LineFormat::KeyValue, "user 5 logged in ip=1.2.3.4 ok=true");
        assert_eq!(event.get("ip"), Some(&"1.2.3.4".into()));
        assert_eq!(event.get("ok"), Some(&Value::Bool(true)));
    }

    #[test]
    fn formats_are_written_as_words_and_tables() {
        let check = |text: &str, expected: LineFormat| {
            assert_eq!(serde_json::from_str::<LineFormat>(text).unwrap(), expected);
        };
        check("\"auto\"", LineFormat::Auto);
        check("\"key_value\"", LineFormat::KeyValue);
        check("{\"pattern\":\"<a>\"}", LineFormat::Pattern("<a>".into()));
        let types = BTreeMap::from([("n".to_owned(), CaptureType::Int)]);
        let regex = "(?P<n>\\d+)".to_owned();
        check(
            r#"{"regex":{"regex":"(?P<n>\\d+)","types":{"n":"int"}}}"#,
            LineFormat::Regex { regex, types },
        );
    }

    #[test]
    fn a_line_of_a_hundred_megabytes_is_cut_and_told() {
        let mut stream = LineStream::new(&LineFormat::Auto, &Multiline::default()).unwrap();
        let mut out = Decoded::default();
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        for _ in 0..1600 {
            stream.push(&[b'x'; 65536], now, &mut out);
        }
        stream.push(b"\nnext\n", now, &mut out);
        stream.finish(now, &mut out);
        assert_eq!(out.events.len(), 2);
        let cut = out.events[0].get("andon.cut_bytes");
        assert_eq!(
            cut,
            Some(&Value::Integer(1600 * 65536 - LINE_BYTES_MAX as i64))
        );
        assert_eq!(out.mends.0[Mend::Cut as usize], 1);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, text in "[a-c<>{}\\[\\]\":=/ 0-9\\\\äT:.-]{0,80}") {
            let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
            let mut decoder = LineDecoder::new(&LineFormat::Auto).unwrap();
            decode_one(&mut decoder, &bytes, now);
            decode_one(&mut decoder, text.as_bytes(), now);
        }
    }
}
