//! What the fleet says: log lines, metric samples, spans and other records, all of one shape.
//! Names of attributes are OpenTelemetry's where it has one (`service.name`, `host.name`,
//! `severity_text`, `body`, `duration_ms`); see [`key`].

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Attributes of one event at most; what is over is counted and left out.
pub const ATTRIBUTES_MAX: usize = 512;
/// Bytes of one attribute's name.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of one text value; longer ones are cut at a character and marked.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a dataset's name: letters, digits, `-`, `_` and `.`, begun by a letter or digit.
pub const DATASET_BYTES_MAX: usize = 64;

/// Names of attributes that Andon itself gives a meaning to.
pub mod key {
    /// What kind of record it is: `log`, `metric`, `begin`, `end`, `atomic`, `event`,
    /// `heartbeat`, `span`.
    pub const KIND: &str = "kind";
    /// What the record is about, in one word or path: a transaction's, span's or metric's name.
    pub const NAME: &str = "name";
    /// The line or message itself.
    pub const BODY: &str = "body";
    /// `trace`, `debug`, `info`, `warn`, `error`, `fatal`.
    pub const SEVERITY: &str = "severity_text";
    /// `ok`, `error`, or a number such as an HTTP status code.
    pub const STATUS: &str = "status";
    /// Milliseconds, with fractions.
    pub const DURATION_MS: &str = "duration_ms";
    /// A metric sample's value.
    pub const VALUE: &str = "value";
    /// Hexadecimal, 32 digits.
    pub const TRACE_ID: &str = "trace_id";
    /// Hexadecimal, 16 digits.
    pub const SPAN_ID: &str = "span_id";
    /// The span or transaction that this one is part of.
    pub const PARENT_ID: &str = "parent_span_id";
    /// The service that says it.
    pub const SERVICE: &str = "service.name";
    /// The machine it runs on.
    pub const HOST: &str = "host.name";
    /// Where Andon took it in: the node's id, and its site.
    pub const NODE: &str = "andon.node";
    /// The service that says it.
    pub const SITE: &str = "andon.site";
}

/// One value. Integers and floats are kept apart as they came; they compare as numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number; not a number and infinities stay what they are.
    Float(f64),
    /// Anything else.
    Text(String),
}

impl Value {
    /// The number that it is, or stands for nothing: texts are none, however they look.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// When it happened, by whoever said so.
    pub at: Timestamp,
    /// In the order they came; a name occurs once, nested objects are flattened with dots.
    pub attributes: Vec<(String, Value)>,
}

impl Event {
    /// One that says nothing yet.
    pub fn new(at: Timestamp) -> Self {
        Self {
            at,
            attributes: Vec::new(),
        }
    }

    /// With one attribute more.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Gives an attribute a value, in its place if it has one.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key.to_owned(), value)),
        }
    }

    /// The value of an attribute, if it has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }
}

/// Whether a text may name a dataset.
pub fn is_dataset_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= DATASET_BYTES_MAX
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
