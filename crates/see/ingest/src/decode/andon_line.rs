//! Andon's own plain-text lines, for programs that can only print:
//!
//! ```text
//! andon begin order.pay id=42 customer=7
//! andon atomic cache.get duration_ms=0.8 status=ok
//! andon end order.pay id=42 status=ok items=3
//! andon event deploy version=1.4.2
//! andon heartbeat nightly.backup every=24h
//! ```
//!
//! A time (RFC 3339, or `ts=`) may come first, and anything else a logger puts before `andon`.

use super::pairs::{Word, words};
use super::transaction::{Naming, Transactions};
use super::words::{duration_ms, put_usual, status};
use crate::heartbeat;
use crate::record::{Record, infer};
use crate::when;
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;
use std::borrow::Cow;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Begin,
    End,
    Atomic,
    Event,
    Heartbeat,
}

impl Verb {
    fn by_name(text: &str) -> Option<Self> {
        match text {
            "begin" => Some(Self::Begin),
            "end" => Some(Self::End),
            "atomic" => Some(Self::Atomic),
            "event" => Some(Self::Event),
            "heartbeat" => Some(Self::Heartbeat),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
            Self::Atomic => "atomic",
            Self::Event => "event",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Where `andon VERB NAME` begins in a line, and what follows: the verb's word, then the rest.
fn find(line: &str) -> Option<(usize, Verb, &str)> {
    let mut from = 0;
    while let Some(place) = line[from..].find("andon ") {
        let place = from + place;
        let is_word = place == 0 || line.as_bytes()[place - 1].is_ascii_whitespace();
        let after = line[place + 6..].trim_start();
        let (word, rest) = after.split_once(' ').unwrap_or((after, ""));
        if let Some(verb) = Verb::by_name(word).filter(|_| is_word) {
            return Some((place, verb, rest.trim_start()));
        }
        from = place + 6;
    }
    None
}

/// Whether a line is one of Andon's own.
pub fn is_andon_line(line: &str) -> bool {
    find(line).is_some_and(|(_, _, rest)| !rest.is_empty())
}

/// Reads one line into `record`. Returns whether it is one of Andon's own; if not, the record
/// is as it was.
pub fn parse(line: &str, record: &mut Record, transactions: &mut Transactions) -> bool {
    let Some((place, verb, rest)) = find(line) else {
        return false;
    };
    let (name, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    if name.is_empty() || name.contains('=') {
        return false;
    }
    let mut at = None;
    let prefix = line[..place].trim();
    if !prefix.is_empty() {
        match when::rfc3339_prefix(prefix.as_bytes()) {
            Some((time, taken)) if taken == prefix.len() => at = Some(time),
            Some((time, _)) => {
                at = Some(time);
                record.put_text("prefix", prefix);
            }
            None => record.put_text("prefix", prefix),
        }
    }
    let said = Said::read(rest);
    let at = at.or(said.at).unwrap_or(record.received());
    record.happened(at);
    record.put(key::KIND, verb.name());
    record.put(key::NAME, name);
    let naming = Naming {
        name,
        id: said.id.as_deref(),
        parent: said.parent.as_deref(),
        trace_id: said.trace_id.as_deref(),
    };
    if let Some(id) = naming.id {
        record.put("id", id);
    }
    record.protect();
    for (name, text) in &said.others {
        put_usual(record, name, text);
    }
    if let Some(duration) = said.duration {
        record.put(key::DURATION_MS, Value::Float(duration));
    }
    if let Some(text) = &said.status {
        record.put(key::STATUS, status(text));
    }
    if verb == Verb::Heartbeat {
        for (name, span) in [
            (heartbeat::EVERY, said.every),
            (heartbeat::GRACE, said.grace),
        ] {
            if let Some(span) = span {
                record.put(name, Value::Float(span / 1000.0));
            }
        }
    }
    place_in_trace(verb, at, naming, &said, record, transactions);
    true
}

fn place_in_trace(
    verb: Verb,
    at: Timestamp,
    naming: Naming<'_>,
    said: &Said<'_>,
    record: &mut Record,
    transactions: &mut Transactions,
) {
    match verb {
        Verb::Begin => {
            let others = said.others.iter();
            let attributes = others.map(|(name, text)| ((*name).to_owned(), infer(name, text)));
            let open = transactions.begin(at, naming, attributes.collect());
            record.put(key::TRACE_ID, open.trace_id.as_str());
            record.put(key::SPAN_ID, open.span_id.as_str());
            if let Some(parent) = &open.parent_span_id {
                record.put(key::PARENT_ID, parent.as_str());
            }
        }
        Verb::End => match transactions.end(naming) {
            Some(open) => {
                record.put(key::TRACE_ID, open.trace_id);
                record.put(key::SPAN_ID, open.span_id);
                if let Some(parent) = open.parent_span_id {
                    record.put(key::PARENT_ID, parent);
                }
                let took = at.0.saturating_sub(open.began.0) as f64 / 1000.0;
                record.put_absent(key::DURATION_MS, Value::Float(took.max(0.0)));
                for (name, value) in open.attributes {
                    record.put_absent(super::words::usual_key(&name), value);
                }
            }
            // Its beginning was in an older life of the reader, or never.
            None => record.put("andon.unmatched", Value::Bool(true)),
        },
        Verb::Atomic | Verb::Event => {
            if let Some(trace_id) = naming.trace_id {
                record.put(key::TRACE_ID, trace_id);
            }
            if let Some(open) = transactions.parent(naming) {
                record.put_absent(key::TRACE_ID, open.trace_id.as_str());
                record.put(key::PARENT_ID, open.span_id.as_str());
            }
        }
        Verb::Heartbeat => {}
    }
}

/// What the pairs of a line say.
#[derive(Default)]
struct Said<'a> {
    id: Option<Cow<'a, str>>,
    parent: Option<Cow<'a, str>>,
    trace_id: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    duration: Option<f64>,
    every: Option<f64>,
    grace: Option<f64>,
    at: Option<Timestamp>,
    others: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Said<'a> {
    fn read(rest: &'a str) -> Self {
        let mut said = Self::default();
        let mut bare = String::new();
        for word in words(rest) {
            match word {
                Word::Pair("id", text) => said.id = Some(text),
                Word::Pair("parent", text) => said.parent = Some(text),
                Word::Pair(key::TRACE_ID, text) => said.trace_id = Some(text),
                Word::Pair(key::STATUS, text) => said.status = Some(text),
                Word::Pair("ts", text) if when::parse(&text).is_some() => {
                    said.at = when::parse(&text);
                }
                Word::Pair("duration" | "took" | key::DURATION_MS, text)
                    if duration_ms(&text).is_some() =>
                {
                    said.duration = duration_ms(&text);
                }
                Word::Pair("grace", text) if duration_ms(&text).is_some() => {
                    said.grace = duration_ms(&text);
                }
                Word::Pair("every", text) if duration_ms(&text).is_some() => {
                    said.every = duration_ms(&text);
                }
                Word::Pair(name, text) => said.others.push((name, text)),
                Word::Bare(word) => {
                    bare.push_str(if bare.is_empty() { "" } else { " " });
                    bare.push_str(word);
                }
            }
        }
        if !bare.is_empty() {
            said.others.push((key::BODY, Cow::Owned(bare)));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::Mends;
    use andon_model::event::Event;

    fn read(lines: &[&str]) -> Vec<Event> {
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        let mut transactions = Transactions::default();
        let one = |line: &&str| {
            let mut record = Record::new(now);
            assert!(parse(line, &mut record, &mut transactions), "{line}");
            record.finish(&mut Mends::default())
        };
        lines.iter().map(one).collect()
    }

    #[test]
    fn a_transaction_has_its_duration_its_nesting_and_what_its_beginning_said() {
        let events = read(&[
            "2026-11-20T03:20:00.000Z andon begin order.pay customer=7 amount=12.50",
            "2026-11-20T03:20:00.010Z andon begin db.insert table=orders",
            "2026-11-20T03:20:00.015Z andon atomic cache.get duration=800us status=ok",
            "2026-11-20T03:20:00.030Z INFO pool-1 andon end db.insert status=ok",
            "2026-11-20T03:20:00.125Z andon end order.pay status=error it went wrong",
        ]);
        let text = |event: usize, key: &str| events[event].get(key).unwrap().to_string();
        assert_eq!(text(4, "duration_ms"), "125");
        assert_eq!(text(3, "duration_ms"), "20");
        assert_eq!(text(2, "duration_ms"), "0.8");
        assert_eq!(text(4, "customer"), "7");
        assert_eq!(text(4, "body"), "it went wrong");
        assert_eq!(text(4, "status"), "error");
        assert_eq!(text(3, "prefix"), "2026-11-20T03:20:00.030Z INFO pool-1");
        assert_eq!(text(1, "parent_span_id"), text(0, "span_id"));
        assert_eq!(text(2, "parent_span_id"), text(1, "span_id"));
        assert_eq!(text(3, "span_id"), text(1, "span_id"));
        assert!(
            events
                .iter()
                .all(|event| event.get("trace_id") == events[0].get("trace_id"))
        );
        assert_eq!(events[4].at.to_string(), "2026-11-20T03:20:00.125Z");
    }

    #[test]
    fn ends_without_beginnings_and_heartbeats_are_events_too() {
        let events = read(&[
            "andon end never.begun id=9",
            "andon heartbeat nightly.backup every=24h grace=30m files=10",
            "ts=x andon event deploy ts=1763604000000 version=1.10",
        ]);
        assert_eq!(events[0].get("andon.unmatched"), Some(&Value::Bool(true)));
        assert_eq!(events[1].get("every_s"), Some(&Value::Float(86_400.0)));
        assert_eq!(events[1].get("grace_s"), Some(&Value::Float(1_800.0)));
        assert_eq!(events[2].get("version"), Some(&"1.10".into()));
        assert_eq!(events[2].at.to_string(), "2025-11-20T02:00:00.000Z");
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "andon",
            "andon begin",
            "andon node up",
            "pandon begin x",
            "andon begin a=1",
            "",
        ] {
            let mut record = Record::new(Timestamp(1));
            assert!(
                !parse(line, &mut record, &mut Transactions::default()),
                "{line}"
            );
            assert!(record.is_empty());
        }
    }
}
