//! Events as bytes of ClickHouse's RowBinary: no names, no text, columns in their order.

use crate::layout::{EXACT_MAX, HOT, HOUR_US, Hot, PARTITION_HOURS, hot};
use andon_model::event::{Event, Value};

/// The hour that a moment is in, counted since 1970; before it, downwards.
pub fn hour(at_us: i64) -> i64 {
    at_us.div_euclid(HOUR_US)
}

/// The partition that a moment is in: its day since 1970. As the server divides, towards zero.
pub fn partition(at_us: i64) -> i64 {
    hour(at_us) / PARTITION_HOURS
}

/// Appends one event as a row.
pub fn row(dataset: &str, block: u64, event: &Event, out: &mut Vec<u8>) {
    text(dataset, out);
    out.extend_from_slice(&event.at.0.to_le_bytes());
    out.extend_from_slice(&hour(event.at.0).to_le_bytes());
    out.extend_from_slice(&block.to_le_bytes());
    for (key, kind) in HOT {
        match (kind, event.get(key)) {
            (Hot::Word | Hot::Text, Some(Value::Text(value))) => text(value, out),
            (Hot::Word | Hot::Text, _) => text("", out),
            (Hot::Number, Some(Value::Float(value))) => number(*value, false, out),
            (Hot::Number, Some(Value::Integer(value))) => number(*value as f64, true, out),
            (Hot::Number, _) => number(f64::NAN, false, out),
        }
    }
    Arrays::of(event).write(out);
}

fn number(value: f64, whole: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
    out.push(u8::from(whole));
}

fn text(text: &str, out: &mut Vec<u8>) {
    length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn length(length: usize, out: &mut Vec<u8>) {
    let mut rest = length;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What has no column of its own.
#[derive(Default)]
struct Arrays<'e> {
    texts: Vec<(&'e str, &'e str)>,
    numbers: Vec<(&'e str, f64, bool)>,
    bools: Vec<(&'e str, bool)>,
    exact: Vec<(&'e str, i64)>,
}

impl<'e> Arrays<'e> {
    fn of(event: &'e Event) -> Self {
        let mut arrays = Self::default();
        for (key, value) in &event.attributes {
            let key = key.as_str();
            let hot = hot(key);
            match value {
                Value::Bool(value) => arrays.bools.push((key, *value)),
                Value::Text(value) => {
                    let kept = matches!(hot, Some(Hot::Word | Hot::Text)) && !value.is_empty();
                    if !kept {
                        arrays.texts.push((key, value));
                    }
                }
                Value::Integer(value) => {
                    if hot != Some(Hot::Number) {
                        arrays.numbers.push((key, *value as f64, true));
                    }
                    if !(-EXACT_MAX..=EXACT_MAX).contains(value) {
                        arrays.exact.push((key, *value));
                    }
                }
                Value::Float(value) => {
                    if hot != Some(Hot::Number) || value.is_nan() {
                        arrays.numbers.push((key, *value, false));
                    }
                }
            }
        }
        arrays
    }

    fn write(&self, out: &mut Vec<u8>) {
        keys(self.texts.iter().map(|(key, _)| *key), out);
        length(self.texts.len(), out);
        for (_, value) in &self.texts {
            text(value, out);
        }
        keys(self.numbers.iter().map(|(key, ..)| *key), out);
        length(self.numbers.len(), out);
        for (_, value, _) in &self.numbers {
            out.extend_from_slice(&value.to_le_bytes());
        }
        length(self.numbers.len(), out);
        out.extend(self.numbers.iter().map(|(.., whole)| u8::from(*whole)));
        keys(self.bools.iter().map(|(key, _)| *key), out);
        length(self.bools.len(), out);
        out.extend(self.bools.iter().map(|(_, value)| u8::from(*value)));
        keys(self.exact.iter().map(|(key, _)| *key), out);
        length(self.exact.len(), out);
        for (_, value) in &self.exact {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

fn keys<'e>(keys: impl ExactSizeIterator<Item = &'e str>, out: &mut Vec<u8>) {
    length(keys.len(), out);
    for key in keys {
        text(key, out);
    }
}
