//! How one event comes to be: attributes put one by one, within the model's limits, with a
//! note of whatever had to be changed.

use crate::reject::{Mend, Mends};
use crate::when;
use andon_model::event::{ATTRIBUTES_MAX, Event, KEY_BYTES_MAX, TEXT_BYTES_MAX, Value};
use andon_model::time::Timestamp;
use std::borrow::Cow;

/// The attribute that tells what was changed: names of [`Mend`]s, with commas.
pub const MENDED: &str = "andon.mended";
/// The attribute that tells which time was said where an absurd one was.
pub const SAID_TS: &str = "andon.said_ts";

/// What is put before a foreign name that Andon gives another meaning to.
pub const LABEL: &str = "label.";

/// An event in the making.
#[derive(Debug, Clone)]
pub struct Record {
    event: Event,
    received: Timestamp,
    mends: u8,
    /// So many attributes at the beginning keep their meaning.
    protected: usize,
}

impl Record {
    /// Nothing yet; it happened when it was received, until it says otherwise.
    pub fn new(received: Timestamp) -> Self {
        Self {
            event: Event::new(received),
            received,
            mends: 0,
            protected: 0,
        }
    }

    /// The same, with room for `attributes`.
    pub fn with_capacity(received: Timestamp, attributes: usize) -> Self {
        let mut record = Self::new(received);
        let attributes = attributes.min(ATTRIBUTES_MAX);
        record.event.attributes.reserve_exact(attributes);
        record
    }

    /// An event that is to be changed further.
    pub fn from_event(event: Event, received: Timestamp) -> Self {
        Self {
            event,
            received,
            mends: 0,
            protected: 0,
        }
    }

    /// From here on, whoever puts something under a name that is taken (a label called `name`)
    /// puts it under [`LABEL`] and the name.
    pub fn protect(&mut self) {
        self.protected = self.event.attributes.len();
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let of = |(key, value): &(String, Value)| {
            let text = match value {
                Value::Text(text) => text.len(),
                _ => 0,
            };
            64 + key.len() + text
        };
        64 + self.event.attributes.iter().map(of).sum::<usize>()
    }

    /// How many attributes it has.
    pub fn len(&self) -> usize {
        self.event.attributes.len()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.event.attributes.is_empty()
    }

    /// Something about it was changed.
    pub fn mend(&mut self, mend: Mend) {
        self.mends |= 1 << mend as u8;
    }

    /// Gives an attribute a value; a later one of the same name counts.
    pub fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.place(key, value.into());
    }

    /// The same with text, without copying what is over the limit.
    pub fn put_text(&mut self, key: &str, text: &str) {
        let cut = self.cut(text);
        self.place(key, Value::Text(cut.to_owned()));
    }

    /// The same with bytes; what is no UTF-8 becomes replacement characters.
    pub fn put_bytes(&mut self, key: &str, bytes: &[u8]) {
        match self.text(bytes) {
            Cow::Borrowed(text) => self.put_text(key, text),
            Cow::Owned(text) => self.put_text(key, &text),
        }
    }

    /// Bytes as text; what is no UTF-8 becomes replacement characters, and is noted.
    pub fn text<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            self.mend(Mend::Utf8);
        }
        text
    }

    /// Gives an attribute a value unless it has one. Returns whether it did.
    pub fn put_absent(&mut self, key: &str, value: impl Into<Value>) -> bool {
        let absent = self.event.get(key).is_none();
        if absent {
            self.place(key, value.into());
        }
        absent
    }

    /// The value of an attribute.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.event.get(key)
    }

    /// All that was put so far.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &Value)> {
        let attributes = self.event.attributes.iter();
        attributes.map(|(key, value)| (key.as_str(), value))
    }

    /// The same record with other names or values; of equal names the first counts.
    #[must_use]
    pub fn renamed(mut self, mut rename: impl FnMut(&str, Value) -> (String, Value)) -> Self {
        for (key, value) in std::mem::take(&mut self.event.attributes) {
            let (key, value) = rename(&key, value);
            self.put_absent(&key, value);
        }
        self
    }

    /// Takes over what another record says, but for names in `kept` that this one has. Its time
    /// counts if it says one.
    pub fn absorb(&mut self, other: Record, kept: &[&str]) {
        self.mends |= other.mends;
        if other.event.at != other.received {
            self.event.at = other.event.at;
        }
        for (name, value) in other.event.attributes {
            if !(kept.contains(&name.as_str()) && self.event.get(&name).is_some()) {
                self.place(&name, value);
            }
        }
    }

    /// When it happened, as it says. An absurd time (before 2000, or more than a day ahead)
    /// is told in [`SAID_TS`], and the time it was received counts.
    pub fn happened(&mut self, said: Timestamp) {
        if when::is_sane(said, self.received) {
            self.event.at = said;
        } else {
            self.event.at = self.received;
            self.mend(Mend::Time);
            let text = match jiff::Timestamp::from_microsecond(said.0) {
                Ok(time) => format!("{time:.3}"),
                Err(_) => format!("{} us", said.0),
            };
            self.place(SAID_TS, Value::Text(text));
        }
    }

    /// When it was received.
    pub fn received(&self) -> Timestamp {
        self.received
    }

    /// The event, with a note of what was changed.
    pub fn finish(mut self, mends: &mut Mends) -> Event {
        if self.mends != 0 {
            let changed = Mend::ALL.iter().copied();
            let changed = changed.filter(|mend| self.mends & (1 << *mend as u8) != 0);
            let mut names = String::new();
            for mend in changed {
                mends.add(mend);
                names.push_str(if names.is_empty() { "" } else { "," });
                names.push_str(mend.name());
            }
            self.event.set(MENDED, names);
        }
        self.event
    }

    fn place(&mut self, key: &str, value: Value) {
        let key = match key {
            "" => "_",
            _ if key.len() > KEY_BYTES_MAX => {
                self.mend(Mend::Attributes);
                &key[..floor(key, KEY_BYTES_MAX)]
            }
            _ => key,
        };
        let value = match value {
            Value::Text(mut text) if text.len() > TEXT_BYTES_MAX => {
                self.mend(Mend::Cut);
                text.truncate(floor(&text, TEXT_BYTES_MAX));
                Value::Text(text)
            }
            value => value,
        };
        let attributes = &mut self.event.attributes;
        if attributes.len() >= ATTRIBUTES_MAX {
            self.mend(Mend::Attributes);
            return;
        }
        match attributes.iter().position(|(name, _)| name == key) {
            Some(place) if place < self.protected && !key.starts_with(LABEL) => {
                self.place(&format!("{LABEL}{key}"), value);
            }
            Some(place) => attributes[place].1 = value,
            None => attributes.push((key.to_owned(), value)),
        }
    }

    fn cut<'a>(&mut self, text: &'a str) -> &'a str {
        if text.len() <= TEXT_BYTES_MAX {
            return text;
        }
        self.mend(Mend::Cut);
        &text[..floor(text, TEXT_BYTES_MAX)]
    }
}

/// The last place of a text that is at most `at` and not within a character.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    let places = (at.saturating_sub(3)..=at).rev();
    { places }
        .find(|place| text.is_char_boundary(*place))
        .unwrap_or(0)
}

/// What a word of a text format means: a whole number, a number, true or false, or text.
/// A number that would read differently when written again (`007`, `+1`, 20 digits) stays
/// text, and so does one whose name says that it only looks like one (`version`, `release`,
/// `kernel`, `build`, `id`).
pub fn infer(key: &str, text: &str) -> Value {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'0'..=b'9' | b'-') if bytes.len() <= 32 => {}
        Some(b't' | b'f') => {
            return match text {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => text.into(),
            };
        }
        _ => return text.into(),
    }
    let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let is_plain = match unsigned {
        [b'0', next, ..] => !next.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    if !is_plain || names_a_name(key) {
        return text.into();
    }
    if unsigned.iter().all(u8::is_ascii_digit) {
        let number = text.parse().ok().map(Value::Integer);
        return number.unwrap_or_else(|| text.into());
    }
    let looks_float = unsigned
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    match looks_float.then(|| text.parse::<f64>()) {
        Some(Ok(number)) if number.is_finite() => Value::Float(number),
        _ => text.into(),
    }
}

fn names_a_name(key: &str) -> bool {
    let last = key.rsplit(['.', '_', '-']).next().unwrap_or(key);
    ["version", "release", "kernel", "build", "id"].contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T14:00:00Z").unwrap()
    }

    #[test]
    fn words_become_numbers_only_where_nothing_is_lost() {
        let check = |key: &str, text: &str, expected: Value| {
            assert_eq!(infer(key, text), expected, "{key}={text}");
        };
        check("n", "42", Value::Integer(42));
        check("n", "-7", Value::Integer(-7));
        check("n", "0", Value::Integer(0));
        check("n", "12.50", Value::Float(12.5));
        check("n", "1e3", Value::Float(1000.0));
        check("n", "true", Value::Bool(true));
        for text in [
            "007",
            "+1",
            "99999999999999999999",
            "0x1f",
            "1.2.3",
            "nan",
            "-",
            "truely",
            "1e999",
        ] {
            check("n", text, text.into());
        }
        check("app.version", "1.10", "1.10".into());
        check("kernel", "6.1", "6.1".into());
        check("order_id", "12", "12".into());
    }

    #[test]
    fn an_absurd_time_is_told_and_the_time_of_receipt_counts() {
        for said in ["1970-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z"] {
            let mut mends = Mends::default();
            let mut record = Record::new(now());
            record.happened(Timestamp::parse(said).unwrap());
            let event = record.finish(&mut mends);
            assert_eq!(event.at, now());
            assert_eq!(event.get(SAID_TS), Some(&said.into()));
            assert_eq!(event.get(MENDED), Some(&"time".into()));
            assert_eq!(mends.0[Mend::Time as usize], 1);
        }
        let mut record = Record::new(now());
        record.happened(Timestamp(i64::MIN));
        assert!(record.finish(&mut Mends::default()).get(SAID_TS).is_some());
    }

    #[test]
    fn what_is_over_the_limits_is_cut_and_told() {
        let mut mends = Mends::default();
        let mut record = Record::new(now());
        record.put_text("body", &"ä".repeat(TEXT_BYTES_MAX));
        record.put_bytes("bad", b"caf\xe9");
        record.put(&"k".repeat(1000), 1i64.to_string());
        for number in 0..2000 {
            record.put(&format!("key{number}"), "x");
        }
        let event = record.finish(&mut mends);
        assert_eq!(event.get(MENDED), Some(&"cut,utf8,attributes".into()));
        assert!(event.attributes.len() <= ATTRIBUTES_MAX + 1);
        assert_eq!(event.get("bad"), Some(&"caf\u{fffd}".into()));
    }
}
