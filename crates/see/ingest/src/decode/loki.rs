//! Loki's push: streams of lines with labels, as JSON or as protobuf packed with snappy. The
//! lines themselves are read like those of any log.

use super::line::LineDecoder;
use super::protobuf::{Fields, Wire, WireError};
use crate::record::{Record, floor};
use crate::reject::{Decoded, Reason};
use andon_model::event::{Event, key};
use andon_model::time::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;

/// Why a request is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LokiError {
    /// Not the JSON of a push.
    #[error("no push request: {0}")]
    Json(String),
    /// Not its protobuf.
    #[error("no push request: {0}")]
    Wire(#[from] WireError),
    /// Labels that cannot be read.
    #[error("labels cannot be read: {0}")]
    Labels(String),
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    streams: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(default)]
    stream: std::collections::BTreeMap<String, String>,
    #[serde(borrow, default)]
    values: Vec<Entry<'a>>,
}

/// Nanoseconds as text, the line, and optionally metadata.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry<'a> {
    WithMetadata(
        String,
        #[serde(borrow)] Cow<'a, str>,
        std::collections::BTreeMap<String, String>,
    ),
    Plain(String, #[serde(borrow)] Cow<'a, str>),
}

/// Reads the JSON form.
pub fn json(body: &[u8], received: Timestamp) -> Result<Decoded, LokiError> {
    let text = String::from_utf8_lossy(body);
    let push: Push<'_> =
        serde_json::from_str(&text).map_err(|error| LokiError::Json(error.to_string()))?;
    let mut out = Decoded::default();
    let mut decoder = LineDecoder::default();
    let mut number = 0;
    for stream in push.streams {
        let labels: Vec<_> = stream.stream.into_iter().collect();
        for entry in stream.values {
            number += 1;
            let (nanos, line, metadata) = match entry {
                Entry::WithMetadata(nanos, line, metadata) => (nanos, line, metadata),
                Entry::Plain(nanos, line) => (nanos, line, Default::default()),
            };
            let Ok(nanos) = nanos.parse::<i64>() else {
                out.reject(
                    number,
                    Reason::BadTime,
                    "the time is no number of nanoseconds",
                );
                continue;
            };
            let metadata: Vec<_> = metadata.into_iter().collect();
            let line = line.as_bytes();
            entry_event(
                &mut decoder,
                line,
                nanos / 1000,
                (&labels, &metadata),
                received,
                &mut out,
            );
        }
    }
    Ok(out)
}

/// Reads the protobuf form, unpacked.
pub fn protobuf(body: &[u8], received: Timestamp) -> Result<Decoded, LokiError> {
    let mut out = Decoded::default();
    let mut decoder = LineDecoder::default();
    for field in Fields::new(body) {
        let (1, Wire::Bytes(stream)) = field? else {
            continue;
        };
        let mut labels = Vec::new();
        for field in Fields::new(stream) {
            match field? {
                (1, Wire::Bytes(text)) => labels = self::labels(&String::from_utf8_lossy(text))?,
                (2, Wire::Bytes(entry)) => {
                    let (micros, line, metadata) = self::entry(entry)?;
                    let labels = (&labels, &metadata);
                    entry_event(&mut decoder, line, micros, labels, received, &mut out);
                }
                _ => {}
            }
        }
    }
    Ok(out)
}

type Pairs = Vec<(String, String)>;

fn entry(bytes: &[u8]) -> Result<(i64, &[u8], Pairs), WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut line: &[u8] = &[];
    let mut metadata = Vec::new();
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(time)) => {
                for field in Fields::new(time) {
                    match field? {
                        (1, value) => seconds = value.signed(),
                        (2, value) => nanos = value.signed(),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(text)) => line = text,
            (3, Wire::Bytes(pair)) => {
                let mut texts = [String::new(), String::new()];
                for field in Fields::new(pair) {
                    if let (number @ (1 | 2), Wire::Bytes(text)) = field? {
                        texts[number as usize - 1] = String::from_utf8_lossy(text).into_owned();
                    }
                }
                let [name, value] = texts;
                metadata.push((name, value));
            }
            _ => {}
        }
    }
    let micros = seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1000);
    Ok((micros, line, metadata))
}

fn entry_event(
    decoder: &mut LineDecoder,
    line: &[u8],
    micros: i64,
    (labels, metadata): (&Pairs, &Pairs),
    received: Timestamp,
    out: &mut Decoded,
) {
    let before = out.events.len();
    decoder.decode(line, 0, received, out);
    let event = match out.events.len() > before {
        true => out.events.pop(),
        false => Some(
            Event::new(received)
                .with(key::KIND, "log")
                .with(key::BODY, ""),
        ),
    };
    let Some(mut event) = event else {
        return;
    };
    event.at = received;
    let mut record = Record::from_event(event, received);
    record.happened(Timestamp(micros));
    for (name, value) in labels.iter().chain(metadata) {
        let name = match name.as_str() {
            "service_name" | "app" | "job" if record.get(key::SERVICE).is_none() => {
                record.put_absent(key::SERVICE, value.as_str());
                name
            }
            "level" | "detected_level" | "severity" => {
                let severity = super::words::severity(value).unwrap_or(value);
                record.put_absent(key::SEVERITY, severity);
                continue;
            }
            name => name,
        };
        record.put_absent(name, value.as_str());
    }
    out.push(record);
}

/// `{a="b", c="d"}`
fn labels(text: &str) -> Result<Pairs, LokiError> {
    let wrong = || LokiError::Labels(text[..floor(text, 80)].to_owned());
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let mut rest = inner.ok_or_else(wrong)?.trim();
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
        // Go's quotes are JSON's for all that labels hold.
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let value = values.next().and_then(Result::ok).ok_or_else(wrong)?;
        let taken = values.byte_offset();
        labels.push((name.trim().to_owned(), value));
        rest = after[taken..].trim_start_matches([',', ' ']);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::Message;
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T14:00:00Z").unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        let body = r#"{"streams":[{"stream":{"app":"web","level":"warning"},"values":[
            ["1763604000125000000","plain words"],["1763604000125000000","a=1 b=2",{"trace_id":"abc"}],["soon","x"]]}]}"#;
        let out = json(body.as_bytes(), now()).unwrap();
        assert_eq!((out.events.len(), out.rejected_total()), (2, 1));
        let event = &out.events[0];
        assert_eq!(event.at.to_string(), "2025-11-20T02:00:00.125Z");
        assert_eq!(event.get("service.name"), Some(&"web".into()));
        assert_eq!(event.get("severity_text"), Some(&"warn".into()));
        assert_eq!(event.get("body"), Some(&"plain words".into()));
        assert_eq!(out.events[1].get("trace_id"), Some(&"abc".into()));

        let mut time = Message::default();
        time.varint(1, 1_763_604_000);
        time.varint(2, 125_000_000);
        let mut entry = Message::default();
        entry.bytes(1, &time.0);
        entry.bytes(2, b"plain words");
        let mut stream = Message::default();
        stream.bytes(1, br#"{app="web", level="warning"}"#);
        stream.bytes(2, &entry.0);
        let mut push = Message::default();
        push.bytes(1, &stream.0);
        let same = protobuf(&push.0, now()).unwrap();
        assert_eq!(same.events[0], out.events[0]);
    }

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_no_panic(bytes: Vec<u8>, text in "[{}a=\",\\\\ ä]{0,40}") {
            let _ = json(&bytes, now());
            let _ = protobuf(&bytes, now());
            let _ = labels(&text);
        }
    }
}
