//! A JSON object as a record: nested names joined by dots, lists as JSON text, nothing where
//! `null` is. Walks the text once and builds no tree.

use crate::limits::DEPTH_MAX;
use crate::record::{Record, floor};
use crate::reject::Mend;
use crate::when;
use andon_model::event::Value;
use andon_model::time::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Names under which a record says when it happened, the one that counts first.
pub const TIME_KEYS: [&str; 4] = ["ts", "timestamp", "@timestamp", "time"];

/// Why a text is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON object.
    #[error("no JSON object: {0}")]
    Malformed(String),
    /// Its time cannot be read.
    #[error("{key} is neither RFC 3339 nor a number since 1970: {said}")]
    BadTime {
        /// The name under which it is.
        key: &'static str,
        /// What is there, its beginning.
        said: String,
    },
}

/// What to do with a time that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTime {
    /// The record is refused: its sender gets an answer.
    Refuse,
    /// It stays an attribute like any other: nobody would hear of a refusal.
    Keep,
}

/// Reads one object.
pub fn record(line: &[u8], received: Timestamp, bad_time: BadTime) -> Result<Record, JsonError> {
    let (text, is_mended) = match std::str::from_utf8(line) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (String::from_utf8_lossy(line), true),
    };
    let mut walk = Walk {
        record: Record::with_capacity(received, 16),
        path: String::new(),
        depth: 0,
        said: [const { None }; TIME_KEYS.len()],
    };
    if is_mended {
        walk.record.mend(Mend::Utf8);
    }
    let mut parser = serde_json::Deserializer::from_str(&text);
    let parsed = Root(&mut walk).deserialize(&mut parser);
    let parsed = parsed.and_then(|()| parser.end());
    parsed.map_err(|error| JsonError::Malformed(plain(&error)))?;
    walk.settle(bad_time)
}

/// The parser's words without its line, which is always the first.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or(&text);
    format!("{words} at column {}", error.column())
}

struct Walk {
    record: Record,
    path: String,
    depth: usize,
    said: [Option<Value>; TIME_KEYS.len()],
}

impl Walk {
    fn put(&mut self, value: Value) {
        if self.depth == 1
            && let Some(rank) = TIME_KEYS.iter().position(|key| *key == self.path)
        {
            self.said[rank] = Some(value);
            return;
        }
        self.record.put(&self.path, value);
    }

    fn settle(mut self, bad_time: BadTime) -> Result<Record, JsonError> {
        let mut has_time = false;
        for (rank, said) in std::mem::take(&mut self.said).into_iter().enumerate() {
            let (key, Some(said)) = (TIME_KEYS[rank], said) else {
                continue;
            };
            let time = match &said {
                Value::Integer(number) => Some(when::epoch_integer(*number)),
                Value::Float(number) => when::epoch(*number),
                Value::Text(text) => when::parse(text),
                Value::Bool(_) => None,
            };
            // `time` often says how long something took.
            let is_doubtful = key == "time" && !matches!(said, Value::Text(_));
            match time {
                Some(time) if !has_time => {
                    if is_doubtful && !when::is_sane(time, self.record.received()) {
                        self.record.put(key, said);
                        continue;
                    }
                    self.record.happened(time);
                    has_time = true;
                }
                None if bad_time == BadTime::Refuse && key == "ts" => {
                    let mut said = said.to_string();
                    said.truncate(floor(&said, 60));
                    return Err(JsonError::BadTime { key, said });
                }
                _ => self.record.put(key, said),
            }
        }
        Ok(self.record)
    }
}

struct Root<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(Node(self.0))
    }
}

struct Node<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.put(Value::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.put(Value::Integer(value));
        Ok(())
    }

    /// Beyond what an integer holds it is an id rather than an amount, and stays exact as text.
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.put(match i64::try_from(value) {
            Ok(value) => Value::Integer(value),
            Err(_) => Value::Text(value.to_string()),
        });
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.put(Value::Float(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.put(Value::Text(value.to_owned()));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element::<serde_json::Value>()? {
            values.push(value);
        }
        let text = serde_json::to_string(&values).map_err(A::Error::custom)?;
        self.0.put(Value::Text(text));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.0;
        if walk.depth >= DEPTH_MAX {
            let rest =
                std::iter::from_fn(|| map.next_entry::<String, serde_json::Value>().transpose());
            let rest: serde_json::Map<_, _> = rest.collect::<Result<_, _>>()?;
            walk.put(Value::Text(serde_json::Value::from(rest).to_string()));
            return Ok(());
        }
        walk.depth += 1;
        let length = walk.path.len();
        while let Some(()) = map.next_key_seed(Name(&mut walk.path))? {
            map.next_value_seed(Node(&mut *walk))?;
            walk.path.truncate(length);
        }
        walk.depth -= 1;
        Ok(())
    }
}

/// Appends a name to the path.
struct Name<'p>(&'p mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        Ok(())
    }
}
