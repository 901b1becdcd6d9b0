//! One condition, made ready to be asked of many values.

use crate::coding::bloom::{words_of, words_within};
use crate::error::ScanError;
use crate::plan::{Condition, Test};
use andon_model::event::Value;
use memchr::memmem::Finder;
use regex::Regex;
use std::cmp::Ordering;

/// Bytes that a compiled expression may take; common ones take a few thousand.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Depth of brackets in an expression.
const PATTERN_NEST_MAX: u32 = 50;

/// A condition made ready to be asked of many values.
pub(crate) struct Filter {
    pub(crate) key: String,
    matcher: Matcher,
    /// Words that each matching text has.
    pub(super) words: Vec<u64>,
}

enum Matcher {
    Equal(Value),
    NotEqual(Value),
    Order(Value, fn(Ordering) -> bool),
    In(Vec<Value>),
    /// In small letters.
    Contains(Box<Finder<'static>>),
    Matches(Regex),
    Exists,
}

impl Filter {
    pub(crate) fn new(condition: &Condition) -> Result<Self, ScanError> {
        let mut words = Vec::new();
        let matcher = match &condition.test {
            Test::Equal(value) => {
                if let Value::Text(text) = value {
                    words = words_of(text);
                }
                Matcher::Equal(value.clone())
            }
            Test::NotEqual(value) => Matcher::NotEqual(value.clone()),
            Test::Less(value) => Matcher::Order(value.clone(), Ordering::is_lt),
            Test::AtMost(value) => Matcher::Order(value.clone(), Ordering::is_le),
            Test::More(value) => Matcher::Order(value.clone(), Ordering::is_gt),
            Test::AtLeast(value) => Matcher::Order(value.clone(), Ordering::is_ge),
            Test::In(values) => Matcher::In(values.clone()),
            Test::Contains(part) => {
                words = words_within(part);
                let part = part.to_ascii_lowercase();
                Matcher::Contains(Box::new(Finder::new(part.as_bytes()).into_owned()))
            }
            Test::Matches(pattern) => Matcher::Matches(compile(pattern)?),
            Test::Exists => Matcher::Exists,
        };
        Ok(Self {
            key: condition.key.clone(),
            matcher,
            words,
        })
    }

    pub(super) fn holds_where_absent(&self) -> bool {
        matches!(self.matcher, Matcher::NotEqual(_))
    }

    pub(super) fn holds_for_text(&self, text: &str, scratch: &mut Vec<u8>) -> bool {
        match &self.matcher {
            Matcher::Contains(finder) => {
                scratch.clear();
                scratch.extend_from_slice(text.as_bytes());
                scratch.make_ascii_lowercase();
                finder.find(scratch).is_some()
            }
            Matcher::Matches(regex) => regex.is_match(text),
            Matcher::Exists => true,
            Matcher::Equal(Value::Text(value)) => value == text,
            Matcher::NotEqual(Value::Text(value)) => value != text,
            Matcher::NotEqual(_) => true,
            Matcher::Order(Value::Text(value), holds) => holds(text.cmp(value)),
            Matcher::In(values) => {
                let mut values = values.iter();
                values.any(|value| matches!(value, Value::Text(value) if value == text))
            }
            Matcher::Equal(_) | Matcher::Order(..) => false,
        }
    }

    pub(super) fn holds_for_bool(&self, value: bool) -> bool {
        match &self.matcher {
            Matcher::Exists => true,
            Matcher::Equal(Value::Bool(other)) => value == *other,
            Matcher::NotEqual(Value::Bool(other)) => value != *other,
            Matcher::NotEqual(_) => true,
            Matcher::Order(Value::Bool(other), holds) => holds(value.cmp(other)),
            Matcher::In(values) => values.contains(&Value::Bool(value)),
            _ => false,
        }
    }

    pub(super) fn holds_for_integer(&self, value: i64) -> bool {
        let compare = |other: &Value| match other {
            Value::Integer(other) => Some(value.cmp(other)),
            Value::Float(other) => (value as f64).partial_cmp(other),
            _ => None,
        };
        self.holds_for_number(compare)
    }

    pub(super) fn holds_for_float(&self, value: f64) -> bool {
        self.holds_for_number(|other| value.partial_cmp(&other.number()?))
    }

    pub(super) fn holds_for_number(&self, compare: impl Fn(&Value) -> Option<Ordering>) -> bool {
        match &self.matcher {
            Matcher::Exists => true,
            Matcher::Equal(other) => compare(other) == Some(Ordering::Equal),
            Matcher::NotEqual(other) => compare(other) != Some(Ordering::Equal),
            Matcher::Order(other, holds) => compare(other).is_some_and(holds),
            Matcher::In(others) => others
                .iter()
                .any(|other| compare(other) == Some(Ordering::Equal)),
            Matcher::Contains(_) | Matcher::Matches(_) => false,
        }
    }

    /// Whether a block's numbers between `low` and `high` may meet it.
    pub(super) fn may_hold_between(&self, low: f64, high: f64) -> bool {
        let number = |value: &Value| value.number();
        match &self.matcher {
            Matcher::Equal(value) => {
                number(value).is_some_and(|value| low <= value && value <= high)
            }
            Matcher::In(values) => {
                let mut numbers = values.iter().filter_map(number);
                numbers.any(|value| low <= value && value <= high)
            }
            Matcher::Order(value, holds) => number(value).is_some_and(|value| {
                let ends = [low.partial_cmp(&value), high.partial_cmp(&value)];
                ends.into_iter().flatten().any(holds)
            }),
            Matcher::Contains(_) | Matcher::Matches(_) => false,
            Matcher::NotEqual(_) | Matcher::Exists => true,
        }
    }
}

/// The same limits as where the question was checked.
fn compile(pattern: &str) -> Result<Regex, ScanError> {
    let built = regex::RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .nest_limit(PATTERN_NEST_MAX)
        .build();
    built.map_err(|error| ScanError::Pattern {
        pattern: pattern.to_owned(),
        reason: error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned(),
    })
}
