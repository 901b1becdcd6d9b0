//! Patterns that users write for their own lines, with typed captures: either
//! `<ts:time> <level> [<thread>] took <duration_ms:duration>: <body>`, or a regular
//! expression with named groups and a type for those that are no text.

use super::words::{duration_ms, put_usual};
use crate::record::Record;
use crate::reject::Mend;
use crate::when;
use andon_model::event::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a captured text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureType {
    /// A number where it is one, else text.
    #[default]
    Auto,
    /// Text, whatever it looks like.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true`, `yes`, `on`, `1` or their opposites.
    Bool,
    /// `1.5s`, `20ms`; kept in milliseconds.
    Duration,
    /// When it happened: RFC 3339, a number since 1970, or a web server's time.
    Time,
    /// Text without spaces.
    Word,
    /// Left out.
    Skip,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `<` without its `>`.
    #[error("\"<\" at byte {at} is never closed")]
    Open {
        /// Where it stands.
        at: usize,
    },
    /// Two captures with nothing between them.
    #[error("nothing stands between <{first}> and <{second}>: nobody knows where one ends")]
    Adjacent {
        /// The one before.
        first: String,
        /// The one after.
        second: String,
    },
    /// A type that does not exist.
    #[error(
        "<{name}> has the unknown type \"{found}\"; there are auto, text, int, float, bool, duration, time, word and skip"
    )]
    Type {
        /// The capture.
        name: String,
        /// What was written.
        found: String,
    },
    /// No capture at all.
    #[error("the pattern captures nothing")]
    Empty,
    /// A regular expression that is none, or is too large.
    #[error("the regular expression cannot be used: {0}")]
    Regex(String),
}

/// A pattern, ready to be used.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Captures(Vec<Piece>),
    Regex(Box<regex::bytes::Regex>, Vec<(String, CaptureType)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Capture(String, CaptureType),
}

impl Pattern {
    /// Reads `<name>` and `<name:type>` between literal text. `<_>` is left out.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('<') {
            if open > 0 {
                pieces.push(Piece::Literal(rest[..open].to_owned()));
            }
            let Some(close) = rest[open..].find('>') else {
                let at = text.len() - rest.len() + open;
                return Err(PatternError::Open { at });
            };
            let inner = &rest[open + 1..open + close];
            let (name, kind) = inner.split_once(':').unwrap_or((inner, ""));
            let kind = match (name, kind) {
                ("" | "_", _) => CaptureType::Skip,
                (_, "") => CaptureType::Auto,
                (name, kind) => capture_type(name, kind)?,
            };
            if let Some(Piece::Capture(first, _)) = pieces.last() {
                let (first, second) = (first.clone(), name.to_owned());
                return Err(PatternError::Adjacent { first, second });
            }
            pieces.push(Piece::Capture(name.to_owned(), kind));
            rest = &rest[open + close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        let captures = pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Capture(..)));
        captures
            .then_some(Self(Kind::Captures(pieces)))
            .ok_or(PatternError::Empty)
    }

    /// A regular expression with named groups; `types` for groups that are not `auto`.
    /// Takes linear time, whatever the line.
    pub fn regex(text: &str, types: &BTreeMap<String, CaptureType>) -> Result<Self, PatternError> {
        // Classes such as \d mean ASCII: Unicode's tables would cost a megabyte.
        let mut builder = regex::bytes::RegexBuilder::new(text);
        builder.unicode(false);
        let built = builder.size_limit(1 << 20).build();
        let regex = built.map_err(|error| PatternError::Regex(error.to_string()))?;
        let names = regex.capture_names().flatten();
        let captures = names.map(|name| {
            let kind = types.get(name).copied().unwrap_or_default();
            (name.to_owned(), kind)
        });
        let captures: Vec<_> = captures.collect();
        if captures.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Self(Kind::Regex(Box::new(regex), captures)))
    }

    /// Puts what a line says into `record`. Returns whether the line is of this pattern; if
    /// not, the record is as it was.
    pub fn read(&self, line: &str, record: &mut Record) -> bool {
        match &self.0 {
            Kind::Captures(pieces) => {
                let Some(captures) = captures(pieces, line) else {
                    return false;
                };
                for (name, kind, text) in captures {
                    put(record, name, kind, text);
                }
            }
            Kind::Regex(regex, names) => {
                let Some(captures) = regex.captures(line.as_bytes()) else {
                    return false;
                };
                for (name, kind) in names {
                    if let Some(text) = captures.name(name) {
                        let text = record.text(text.as_bytes()).into_owned();
                        put(record, name, *kind, &text);
                    }
                }
            }
        }
        true
    }
}

fn capture_type(name: &str, text: &str) -> Result<CaptureType, PatternError> {
    let value = serde_json::Value::from(text);
    serde_json::from_value(value).map_err(|_| PatternError::Type {
        name: name.to_owned(),
        found: text.to_owned(),
    })
}

type Captured<'p, 'l> = (&'p str, CaptureType, &'l str);

/// Each capture lasts until the literal after it occurs for the first time.
fn captures<'p, 'l>(pieces: &'p [Piece], line: &'l str) -> Option<Vec<Captured<'p, 'l>>> {
    let mut captured = Vec::new();
    let mut rest = line;
    for (place, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
            Piece::Capture(name, kind) => {
                let end = match pieces.get(place + 1) {
                    Some(Piece::Literal(text)) => rest.find(text.as_str())?,
                    _ => rest.len(),
                };
                let (text, after) = rest.split_at(end);
                rest = after;
                if !fits(*kind, text) {
                    return None;
                }
                captured.push((name.as_str(), *kind, text));
            }
        }
    }
    rest.is_empty().then_some(captured)
}

fn fits(kind: CaptureType, text: &str) -> bool {
    let text = text.trim();
    match kind {
        CaptureType::Auto | CaptureType::Text | CaptureType::Skip => true,
        CaptureType::Word => !text.is_empty() && !text.contains([' ', '\t']),
        CaptureType::Int => text.parse::<i64>().is_ok(),
        CaptureType::Float => text.parse::<f64>().is_ok(),
        CaptureType::Bool => truth(text).is_some(),
        CaptureType::Duration => duration_ms(text).is_some(),
        CaptureType::Time => time(text).is_some(),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn time(text: &str) -> Option<andon_model::time::Timestamp> {
    when::parse(text).or_else(|| when::access_log(text.as_bytes(), 0))
}

fn put(record: &mut Record, name: &str, kind: CaptureType, text: &str) {
    let text = text.trim();
    let value = match kind {
        CaptureType::Skip => return,
        CaptureType::Auto => return put_usual(record, name, text),
        CaptureType::Time => match time(text) {
            Some(at) => return record.happened(at),
            None => None,
        },
        CaptureType::Text | CaptureType::Word => Some(text.into()),
        CaptureType::Int => text.parse().ok().map(Value::Integer),
        CaptureType::Float => text.parse().ok().map(Value::Float),
        CaptureType::Bool => truth(text).map(Value::Bool),
        CaptureType::Duration => duration_ms(text).map(Value::Float),
    };
    match value {
        Some(value) => record.put(name, value),
        // A regular expression's group may be wider than its type.
        None => {
            record.mend(Mend::Unparsed);
            record.put_text(name, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::Mends;
    use andon_model::time::Timestamp;
    use proptest::prelude::*;

    fn read(pattern: &Pattern, line: &str) -> Option<String> {
        let mut record = Record::new(Timestamp::parse("2026-11-21T14:00:00Z").unwrap());
        if !pattern.read(line, &mut record) {
            assert!(record.is_empty());
            return None;
        }
        let event = record.finish(&mut Mends::default());
        let attributes = event.attributes.iter();
        let attributes = attributes.map(|(key, value)| format!("{key}={value:?}"));
        Some(format!(
            "{} {}",
            event.at,
            attributes.collect::<Vec<_>>().join(" ")
        ))
    }

    #[test]
    fn captures_are_typed() {
        let pattern =
            "<ts:time> <level> [<thread>] <_> took <took_ms:duration>, <n:int> rows: <body>";
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(
            read(
                &pattern,
                "2026-11-20T03:20:00Z WARN [pool-1] x took 1.5s, 42 rows: all, well"
            )
            .unwrap(),
            "2026-11-20T03:20:00.000Z severity_text=Text(\"warn\") thread=Text(\"pool-1\") \
             took_ms=Float(1500.0) n=Integer(42) body=Text(\"all, well\")"
        );
        assert_eq!(
            read(
                &pattern,
                "2026-11-20T03:20:00Z WARN [pool-1] x took 1.5s, many rows: x"
            ),
            None
        );
        assert_eq!(read(&pattern, ""), None);
    }

    #[test]
    fn groups_of_regular_expressions_are_typed_too() {
        let types = BTreeMap::from([("code".to_owned(), CaptureType::Text)]);
        let regex = r"^(?P<user>\w+) did (?P<code>\d+) in (?P<took>\d+)(?: for (?P<who>\S+))?";
        let pattern = Pattern::regex(regex, &types).unwrap();
        assert_eq!(
            read(&pattern, "ann did 007 in 12").unwrap(),
            "2026-11-21T14:00:00.000Z user=Text(\"ann\") code=Text(\"007\") took=Integer(12)"
        );
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused_with_the_reason() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Pattern::parse(text).unwrap_err().to_string(), expected);
        };
        check("a <b", "\"<\" at byte 2 is never closed");
        check("plain", "the pattern captures nothing");
        check(
            "<a><b>",
            "nothing stands between <a> and <b>: nobody knows where one ends",
        );
        check(
            "<a:integer>",
            "<a> has the unknown type \"integer\"; there are auto, text, int, float, bool, duration, time, word and skip",
        );
        assert!(Pattern::regex("(?P<a>x", &BTreeMap::new()).is_err());
        assert!(Pattern::regex("(?P<a>(x{1000}){1000})", &BTreeMap::new()).is_err());
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(pattern in "[<>:a _int]{0,30}", line in "[a 1ä:]{0,30}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                read(&pattern, &line);
            }
        }
    }
}
