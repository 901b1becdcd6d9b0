//! A trace as a waterfall: the spans of one trace id as a tree, each with when it began and
//! how long it took.

use andon_model::event::{Event, Value, key};
use andon_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Spans of one trace that are shown; a longer one is cut and says so.
pub const SPANS_MAX: usize = 10_000;
/// Deepest nesting that is shown as such.
const DEPTH_MAX: usize = 256;

/// A trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Waterfall {
    /// When the first span began.
    pub start: Timestamp,
    /// From there to the end of the last.
    pub duration_us: u64,
    /// Parents before their children, and these by their begin.
    pub spans: Vec<Span>,
    /// Spans that are left out, beyond [`SPANS_MAX`].
    pub left_out: usize,
}

/// One span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// 0 for a root.
    pub depth: usize,
    /// After the trace's start.
    pub offset_us: u64,
    /// 0 for what has no duration, such as a log line.
    pub duration_us: u64,
    /// Time that none of its children covers.
    pub own_us: u64,
    /// What it is about; the message of a log line.
    pub name: String,
    /// Whose it is.
    pub service: String,
    /// Whether it failed.
    pub failed: bool,
    /// Why it is where it is.
    pub place: Place,
    /// When it began.
    pub at: Timestamp,
    /// All its attributes.
    pub attributes: BTreeMap<String, Value>,
}

/// Where a span stands in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It names no parent.
    Root,
    /// Below its parent.
    Child,
    /// It names a parent that is not among the events: not sent, not kept, or not yet here.
    Orphan,
    /// It is its own ancestor; shown as if it were a root.
    Loop,
}

impl Waterfall {
    /// Builds the tree of the events of one trace, in whatever order they come. A span's begin
    /// and end as two events (`kind` is `begin`, `end`) are one.
    pub fn of(events: &[Event]) -> Self {
        let records = records(events);
        let left_out = records.len().saturating_sub(SPANS_MAX);
        let records = &records[..records.len() - left_out];
        let Some(start) = records.iter().map(|record| record.at).min() else {
            return Self::default();
        };
        let end = records
            .iter()
            .map(|record| record.end())
            .max()
            .unwrap_or(start.0);
        let tree = Tree::of(records);
        let mut spans = Vec::with_capacity(records.len());
        let mut stack: Vec<(usize, usize, Place)> = tree.roots();
        while let Some((index, depth, place)) = stack.pop() {
            let record = &records[index];
            spans.push(Span {
                depth,
                offset_us: (record.at.0.saturating_sub(start.0)).unsigned_abs(),
                duration_us: record.duration_us,
                own_us: tree.own_us(index, records),
                name: record.name(),
                service: record.text(key::SERVICE),
                failed: failed(record.event),
                place,
                at: record.at,
                attributes: record.attributes.clone(),
            });
            let children = tree.children[index].iter().rev();
            stack.extend(children.map(|child| (*child, (depth + 1).min(DEPTH_MAX), Place::Child)));
        }
        Self {
            start,
            duration_us: end.saturating_sub(start.0).unsigned_abs(),
            spans,
            left_out,
        }
    }
}

struct Record<'e> {
    event: &'e Event,
    at: Timestamp,
    duration_us: u64,
    id: Option<String>,
    parent: Option<String>,
    attributes: BTreeMap<String, Value>,
}

impl Record<'_> {
    fn end(&self) -> i64 {
        let duration = i64::try_from(self.duration_us).unwrap_or(i64::MAX);
        self.at.0.saturating_add(duration)
    }

    fn text(&self, key: &str) -> String {
        self.attributes
            .get(key)
            .map(Value::to_string)
            .unwrap_or_default()
    }

    fn name(&self) -> String {
        let name = self.text(key::NAME);
        if name.is_empty() {
            self.text(key::BODY)
        } else {
            name
        }
    }
}

/// Begins and ends of one span put together; by time, then as they came.
fn records(events: &[Event]) -> Vec<Record<'_>> {
    let text = |event: &Event, key: &str| match event.get(key) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let is = |event: &Event, kind: &str| text(event, key::KIND).as_deref() == Some(kind);
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut begins: BTreeMap<String, usize> = BTreeMap::new();
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| event.at);
    for event in sorted {
        let id = text(event, key::SPAN_ID);
        let known = id.as_ref().and_then(|id| begins.get(id)).copied();
        if let (true, Some(begun)) = (is(event, "end"), known) {
            let record = &mut records[begun];
            record.duration_us = event.at.since(record.at).as_micros() as u64;
            for (name, value) in &event.attributes {
                if name != key::KIND {
                    record.attributes.insert(name.clone(), value.clone());
                }
            }
            record.event = event;
            continue;
        }
        if let (true, Some(id)) = (is(event, "begin"), &id) {
            begins.insert(id.clone(), records.len());
        }
        let duration = event.get(key::DURATION_MS).and_then(Value::number);
        records.push(Record {
            event,
            at: event.at,
            duration_us: duration.map_or(0, |ms| (ms.max(0.0) * 1_000.0) as u64),
            parent: text(event, key::PARENT_ID),
            id,
            attributes: event.attributes.iter().cloned().collect(),
        });
    }
    records
}

struct Tree {
    children: Vec<Vec<usize>>,
    places: Vec<Place>,
}

impl Tree {
    fn of(records: &[Record<'_>]) -> Self {
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            // A log line carries the id of the span that it was written in.
            let is_span = is_span(record);
            if let (true, Some(id)) = (is_span, &record.id) {
                by_id.entry(id).or_insert(index);
            }
        }
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(records.len());
        let mut places = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let own = record.id.as_deref().and_then(|id| by_id.get(id)).copied();
            let (parent, named) = match own {
                // A line, or a second record of a span: below the span itself.
                Some(span) if span != index => (Some(span), true),
                _ => {
                    let named = record.parent.as_deref();
                    let parent = named.and_then(|id| by_id.get(id)).copied();
                    (parent, named.is_some())
                }
            };
            places.push(match (parent, named) {
                (Some(_), _) => Place::Child,
                (None, true) => Place::Orphan,
                (None, false) => Place::Root,
            });
            parents.push(parent);
        }
        cut_loops(&mut parents, &mut places);
        let mut children = vec![Vec::new(); records.len()];
        for (index, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(index);
            }
        }
        Self { children, places }
    }

    fn roots(&self) -> Vec<(usize, usize, Place)> {
        let places = self.places.iter().enumerate().rev();
        let roots = places.filter(|(_, place)| **place != Place::Child);
        roots.map(|(index, place)| (index, 0, *place)).collect()
    }

    fn own_us(&self, index: usize, records: &[Record<'_>]) -> u64 {
        let record = &records[index];
        let mut covered = 0;
        let mut until = record.at.0;
        // Children come by their begin, so that what overlaps counts once.
        for child in &self.children[index] {
            let begin = records[*child].at.0.max(until);
            let end = records[*child].end().min(record.end());
            if end > begin {
                covered += (end - begin).unsigned_abs();
                until = end;
            }
        }
        record.duration_us.saturating_sub(covered)
    }
}

/// Logs carry a span's id without being one.
fn is_span(record: &Record<'_>) -> bool {
    let kind = record.text(key::KIND);
    kind != "log" && kind != "event" && kind != "metric"
}

/// Whoever is their own ancestor loses the parent, and with it the loop is open.
fn cut_loops(parents: &mut [Option<usize>], places: &mut [Place]) {
    let mut safe: BTreeSet<usize> = BTreeSet::new();
    for start in 0..parents.len() {
        let mut way = BTreeSet::new();
        let mut at = start;
        while !safe.contains(&at) && way.insert(at) {
            match parents[at] {
                Some(parent) if way.contains(&parent) => {
                    parents[at] = None;
                    places[at] = Place::Loop;
                }
                Some(parent) => at = parent,
                None => {}
            }
        }
        safe.extend(way);
    }
}

/// Whether an event failed, as `error_share` counts it.
pub fn failed(event: &Event) -> bool {
    let status = match event.get(key::STATUS) {
        Some(Value::Text(text)) => text == "error",
        Some(value) => value.number().is_some_and(|number| number >= 500.0),
        None => false,
    };
    let severity = match event.get(key::SEVERITY) {
        Some(Value::Text(text)) => text == "error" || text == "fatal",
        _ => false,
    };
    status || severity || event.get("error") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(at: i64, id: &str, parent: &str, ms: f64) -> Event {
        let mut event = Event::new(Timestamp(at))
            .with("name", id)
            .with("kind", "span");
        event.set("span_id", id);
        event.set("duration_ms", Value::Float(ms));
        if !parent.is_empty() {
            event.set("parent_span_id", parent);
        }
        event
    }

    fn drawn(events: &[Event]) -> Vec<String> {
        let waterfall = Waterfall::of(events);
        let spans = waterfall.spans.iter();
        let line = |span: &Span| {
            format!(
                "{}{} +{} {}/{} {:?}",
                " ".repeat(span.depth),
                span.name,
                span.offset_us,
                span.own_us,
                span.duration_us,
                span.place
            )
        };
        spans.map(line).collect()
    }

    #[test]
    fn spans_stand_below_their_parents_by_their_begin() {
        let events = [
            span(3_000, "b2", "a", 4.0),
            span(1_000, "a", "", 10.0),
            span(2_000, "b1", "a", 3.0),
            span(2_500, "c", "b1", 1.0),
            span(9_000, "lost", "gone", 1.0),
            Event::new(Timestamp(2_600))
                .with("kind", "log")
                .with("body", "hello")
                .with("span_id", "c"),
        ];
        assert_eq!(
            drawn(&events),
            [
                "a +0 5000/10000 Root",
                " b1 +1000 2000/3000 Child",
                "  c +1500 1000/1000 Child",
                "   hello +1600 0/0 Child",
                " b2 +2000 4000/4000 Child",
                "lost +8000 1000/1000 Orphan",
            ]
        );
        assert_eq!(Waterfall::of(&events).duration_us, 10_000);
    }

    #[test]
    fn a_begin_and_its_end_are_one_span_and_the_end_tells_how_it_went() {
        let begin = Event::new(Timestamp(0))
            .with("kind", "begin")
            .with("name", "x")
            .with("span_id", "x");
        let end = Event::new(Timestamp(7_000))
            .with("kind", "end")
            .with("span_id", "x")
            .with("status", "error");
        let waterfall = Waterfall::of(&[end, begin]);
        assert_eq!(waterfall.spans.len(), 1);
        assert_eq!(waterfall.spans[0].duration_us, 7_000);
        assert!(waterfall.spans[0].failed);
    }

    #[test]
    fn loops_and_spans_that_are_their_own_parent_are_shown_and_end() {
        let events = [
            span(0, "a", "b", 1.0),
            span(1, "b", "a", 1.0),
            span(2, "c", "c", 1.0),
            span(3, "d", "c", 1.0),
        ];
        let all = drawn(&events);
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(
            all.iter().filter(|line| line.contains("Loop")).count(),
            2,
            "{all:?}"
        );
        assert!(Waterfall::of(&[]).spans.is_empty());
    }

    #[test]
    fn a_deep_trace_is_bounded_and_says_what_is_left_out() {
        let chain = |index: usize| {
            span(
                index as i64,
                &format!("s{index}"),
                &format!("s{}", index.wrapping_sub(1)),
                1.0,
            )
        };
        let events: Vec<Event> = (0..SPANS_MAX + 5).map(chain).collect();
        let waterfall = Waterfall::of(&events);
        assert_eq!((waterfall.spans.len(), waterfall.left_out), (SPANS_MAX, 5));
    }
}
