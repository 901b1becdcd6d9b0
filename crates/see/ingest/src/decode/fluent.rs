//! Fluentd's and Fluent Bit's forward protocol: messages, forwards and packed forwards (plain
//! or gzip), each answered with an acknowledgement where the sender asks for one.
//! Source: fluent/fluentd wiki, "Forward Protocol Specification v1".

use super::msgpack::{MsgpackError, Token, put_text, token, value};
use super::words::{severity, usual_key};
use crate::inflate::{Encoding, InflateError, inflate};
use crate::limits::{BODY_UNPACKED_BYTES_MAX, DEPTH_MAX};
use crate::record::Record;
use crate::reject::{Decoded, Reason};
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;

/// Why bytes are no message of the protocol. The connection is closed then: nobody knows
/// where the next message begins.
#[derive(Debug, thiserror::Error)]
pub enum FluentError {
    /// No MessagePack.
    #[error(transparent)]
    Msgpack(#[from] MsgpackError),
    /// MessagePack, but not a message.
    #[error("no message of Fluent's forward protocol: {0}")]
    Shape(&'static str),
    /// Its packing is broken.
    #[error(transparent)]
    Packing(#[from] InflateError),
}

/// One message.
#[derive(Debug, Default)]
pub struct Message {
    /// What it says.
    pub decoded: Decoded,
    /// Bytes to send back once its events are kept.
    pub answer: Option<Vec<u8>>,
}

/// Takes one whole message off the bytes; `None` while it is not complete.
pub fn message(bytes: &mut &[u8], received: Timestamp) -> Result<Option<Message>, FluentError> {
    let mut rest = *bytes;
    let whole = match value(&mut rest) {
        Ok(whole) => whole,
        Err(MsgpackError::Short) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let message = read(whole, received)?;
    *bytes = rest;
    Ok(Some(message))
}

fn read(mut whole: &[u8], received: Timestamp) -> Result<Message, FluentError> {
    let bytes = &mut whole;
    let parts = match token(bytes)? {
        Token::List(parts) => parts,
        // A heartbeat over TCP.
        Token::Nil => return Ok(Message::default()),
        _ => return Err(FluentError::Shape("not a list")),
    };
    let Token::Text(tag) = token(bytes)? else {
        return Err(FluentError::Shape("no tag"));
    };
    let mut message = Message::default();
    let out = &mut message.decoded;
    let mut options = Options::default();
    match parts {
        2.. => {}
        _ => return Err(FluentError::Shape("no entries")),
    }
    let mut peek = *bytes;
    match token(&mut peek)? {
        Token::List(entries) => {
            *bytes = peek;
            for number in 0..entries {
                let entry = value(bytes)?;
                take_entry(entry, tag, number as u64 + 1, received, out);
            }
            if parts > 2 {
                options = Options::read(bytes)?;
            }
        }
        Token::Binary(packed) | Token::Text(packed) => {
            *bytes = peek;
            if parts > 2 {
                options = Options::read(bytes)?;
            }
            let encoding = match options.compressed.as_deref() {
                None | Some(b"text") => Encoding::Plain,
                Some(b"gzip") => Encoding::Gzip,
                Some(b"zstd") => Encoding::Zstd,
                Some(_) => return Err(FluentError::Shape("packed in an unknown way")),
            };
            let entries = inflate(encoding, packed, BODY_UNPACKED_BYTES_MAX)?;
            take_entries(&entries, tag, received, out);
        }
        _ => {
            // [tag, time, record, options?]
            if parts < 3 {
                return Err(FluentError::Shape("no record"));
            }
            let time = value(bytes)?;
            let record = value(bytes)?;
            take_record(time, record, tag, 1, received, out);
            if parts > 3 {
                options = Options::read(bytes)?;
            }
        }
    }
    message.answer = options.chunk.map(|chunk| {
        let mut answer = vec![0x81];
        put_text(&mut answer, b"ack");
        put_text(&mut answer, &chunk);
        answer
    });
    Ok(message)
}

#[derive(Default)]
struct Options {
    chunk: Option<Vec<u8>>,
    compressed: Option<Vec<u8>>,
}

impl Options {
    fn read(bytes: &mut &[u8]) -> Result<Self, MsgpackError> {
        let mut options = Self::default();
        let Token::Map(pairs) = token(bytes)? else {
            return Ok(options);
        };
        for _ in 0..pairs {
            let name = value(bytes)?;
            let found = value(bytes)?;
            let text = match token(&mut &found[..])? {
                Token::Text(text) | Token::Binary(text) => Some(text.to_vec()),
                _ => None,
            };
            match token(&mut &name[..])? {
                Token::Text(b"chunk") => options.chunk = text,
                Token::Text(b"compressed") => options.compressed = text,
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Entries one after the other.
fn take_entries(mut bytes: &[u8], tag: &[u8], received: Timestamp, out: &mut Decoded) {
    let mut number = 0;
    while !bytes.is_empty() {
        number += 1;
        match value(&mut bytes) {
            Ok(entry) => take_entry(entry, tag, number, received, out),
            Err(error) => {
                let error = format!("entries after this one are lost: {error}");
                return out.reject(number, Reason::Malformed, error);
            }
        }
    }
}

/// `[time, record]`, or `[[time, metadata], record]` of Fluent Bit.
fn take_entry(mut entry: &[u8], tag: &[u8], number: u64, received: Timestamp, out: &mut Decoded) {
    let parts = token(&mut entry);
    let (Ok(Token::List(2)), Ok(time)) = (parts, value(&mut entry)) else {
        return out.reject(
            number,
            Reason::Malformed,
            "an entry is no list of time and record",
        );
    };
    let mut inner = time;
    let time = match token(&mut inner) {
        Ok(Token::List(_)) => value(&mut inner).unwrap_or(time),
        _ => time,
    };
    take_record(time, entry, tag, number, received, out);
}

fn take_record(
    mut time: &[u8],
    mut bytes: &[u8],
    tag: &[u8],
    number: u64,
    received: Timestamp,
    out: &mut Decoded,
) {
    let at = match token(&mut time) {
        Ok(Token::Integer(seconds)) => Some(Timestamp(seconds.saturating_mul(1_000_000))),
        Ok(Token::Float(seconds)) => Some(Timestamp((seconds * 1e6) as i64)),
        // EventTime: seconds and nanoseconds.
        Ok(Token::Extension(0, [a, b, c, d, e, f, g, h])) => {
            let seconds = i64::from(u32::from_be_bytes([*a, *b, *c, *d]));
            let nanos = i64::from(u32::from_be_bytes([*e, *f, *g, *h]));
            Some(Timestamp(seconds * 1_000_000 + nanos / 1000))
        }
        _ => None,
    };
    let mut record = Record::new(received);
    record.put(key::KIND, "log");
    let is_map = matches!(token(&mut &bytes[..]), Ok(Token::Map(_)));
    if !is_map || put_value(&mut record, "", &mut bytes, 0).is_err() {
        return out.reject(number, Reason::Malformed, "a record is no map");
    }
    record.put_bytes("fluent.tag", tag);
    if let Some(at) = at {
        record.happened(at);
    }
    out.push(record);
}

fn put_value(
    record: &mut Record,
    path: &str,
    bytes: &mut &[u8],
    depth: usize,
) -> Result<(), MsgpackError> {
    let start = *bytes;
    let usual = usual_key(path);
    match token(bytes)? {
        Token::Nil => {}
        Token::Bool(value) => record.put(usual, Value::Bool(value)),
        Token::Integer(value) => record.put(usual, Value::Integer(value)),
        Token::Unsigned(value) => record.put(usual, value.to_string()),
        Token::Float(value) => record.put(usual, Value::Float(value)),
        Token::Text(text) | Token::Binary(text) => {
            let text = match usual {
                key::BODY => text.trim_ascii_end(),
                _ => text,
            };
            let level = std::str::from_utf8(text).ok().and_then(severity);
            match level.filter(|_| usual == key::SEVERITY) {
                Some(level) => record.put(usual, level),
                None => record.put_bytes(usual, text),
            }
        }
        Token::Map(pairs) if depth < DEPTH_MAX => {
            for _ in 0..pairs {
                let mut name = value(bytes)?;
                let name = match token(&mut name)? {
                    Token::Text(text) | Token::Binary(text) => record.text(text).into_owned(),
                    Token::Integer(number) => number.to_string(),
                    _ => "_".to_owned(),
                };
                let path = match path {
                    "" => name,
                    path => format!("{path}.{name}"),
                };
                put_value(record, &path, bytes, depth + 1)?;
            }
        }
        Token::List(_) | Token::Map(_) => {
            *bytes = start;
            let text = json(value(bytes)?)?.to_string();
            record.put(usual, text);
        }
        Token::Extension(kind, _) => record.put(usual, format!("extension {kind}")),
    }
    Ok(())
}

/// A value as JSON; `value` has bounded its depth.
fn json(mut bytes: &[u8]) -> Result<serde_json::Value, MsgpackError> {
    fn one(bytes: &mut &[u8]) -> Result<serde_json::Value, MsgpackError> {
        Ok(match token(bytes)? {
            Token::Nil => serde_json::Value::Null,
            Token::Bool(value) => value.into(),
            Token::Integer(value) => value.into(),
            Token::Unsigned(value) => value.into(),
            Token::Float(value) => value.into(),
            Token::Text(text) | Token::Binary(text) => String::from_utf8_lossy(text).into(),
            Token::List(count) => {
                let values = (0..count).map(|_| one(bytes));
                values.collect::<Result<Vec<_>, _>>()?.into()
            }
            Token::Map(count) => {
                let mut map = serde_json::Map::new();
                for _ in 0..count {
                    let name = match one(bytes)? {
                        serde_json::Value::String(text) => text,
                        other => other.to_string(),
                    };
                    map.insert(name, one(bytes)?);
                }
                map.into()
            }
            Token::Extension(kind, _) => format!("extension {kind}").into(),
        })
    }
    one(&mut bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T14:00:00Z").unwrap()
    }

    fn text(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, text.as_bytes());
        out
    }

    /// EventTime 2025-11-20T02:00:00.125Z, then {"message": "hi\n", "k8s": {"pod": "a"}, "l": [1, nil]}.
    fn entry() -> Vec<u8> {
        let mut entry = vec![0x92, 0xd7, 0];
        entry.extend(1_763_604_000u32.to_be_bytes());
        entry.extend(125_000_000u32.to_be_bytes());
        entry.push(0x83);
        entry.extend(
            [
                text("message"),
                text("hi\n"),
                text("k8s"),
                vec![0x81],
                text("pod"),
                text("a"),
            ]
            .concat(),
        );
        entry.extend([text("l"), vec![0x92, 1, 0xc0]].concat());
        entry
    }

    fn check(bytes: &[u8], has_answer: bool) {
        for end in 0..bytes.len() {
            assert!(
                message(&mut &bytes[..end], now()).unwrap().is_none(),
                "{end}"
            );
        }
        let mut rest = bytes;
        let read = message(&mut rest, now()).unwrap().unwrap();
        assert!(rest.is_empty());
        assert_eq!(read.decoded.rejected, []);
        assert_eq!(read.answer.is_some(), has_answer);
        let event = &read.decoded.events[0];
        assert_eq!(event.at.to_string(), "2025-11-20T02:00:00.125Z");
        for (key, expected) in [
            ("body", "hi"),
            ("k8s.pod", "a"),
            ("l", "[1,null]"),
            ("fluent.tag", "app"),
        ] {
            assert_eq!(event.get(key), Some(&expected.into()), "{key}");
        }
    }

    #[test]
    fn all_modes_are_read() {
        let options = [vec![0x81], text("chunk"), text("abc")].concat();
        check(
            &[
                vec![0x94],
                text("app"),
                entry()[1..].to_vec(),
                options.clone(),
            ]
            .concat(),
            true,
        );
        check(
            &[vec![0x92], text("app"), vec![0x91], entry()].concat(),
            false,
        );
        check(
            &[
                vec![0x93],
                text("app"),
                vec![0x91],
                entry(),
                options.clone(),
            ]
            .concat(),
            true,
        );
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&[entry(), entry()].concat()).unwrap();
        let packed = gzip.finish().unwrap();
        let mut binary = vec![0xc5];
        binary.extend((packed.len() as u16).to_be_bytes());
        binary.extend(packed);
        let options = [
            vec![0x82],
            text("chunk"),
            text("abc"),
            text("compressed"),
            text("gzip"),
        ]
        .concat();
        check(&[vec![0x93], text("app"), binary, options].concat(), true);
    }

    #[test]
    fn the_answer_names_the_chunk() {
        let options = [vec![0x81], text("chunk"), text("abc")].concat();
        let bytes = [vec![0x93], text("app"), vec![0x90], options].concat();
        let read = message(&mut &bytes[..], now()).unwrap().unwrap();
        assert_eq!(
            read.answer.unwrap(),
            [vec![0x81], text("ack"), text("abc")].concat()
        );
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, place: prop::sample::Index, byte: u8) {
            let _ = message(&mut &bytes[..], now());
            let mut damaged = [vec![0x92], text("app"), vec![0x91], entry()].concat();
            let place = place.index(damaged.len());
            damaged[place] = byte;
            let _ = message(&mut &damaged[..], now());
        }
    }
}
