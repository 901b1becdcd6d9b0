//! What a store is asked: a question whose times, names and limits are settled, so that every
//! store can answer it without a clock and their answers can be added up.

use andon_model::event::{Value, key};
use andon_model::query::{Calc, CalcOp, LIMIT_DEFAULT};
use andon_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Name of the column that holds the begin of each time bucket, and of raw events' moments.
pub const TIME_COLUMN: &str = "time";
/// Time buckets of one question at most: a month by ten minutes is 4,464.
pub const BUCKETS_MAX: u64 = 100_000;

/// A question ready to be asked of a store.
///
/// Without `calcs` it asks for raw events, newest first, unless `group_by` is given: then it
/// asks for the combinations that occur.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedQuery {
    /// The dataset to look in.
    pub dataset: String,
    /// The first moment that counts.
    pub from: Timestamp,
    /// The first moment after it that counts no more.
    pub to: Timestamp,
    /// All must hold.
    pub filters: Vec<Condition>,
    /// Keys whose combinations of values make the groups; an event without a key is in the
    /// group where that key is null.
    pub group_by: Vec<String>,
    /// Width of a time bucket; buckets begin at multiples of it since 1970. None: no buckets.
    pub bucket: Option<Duration>,
    /// What to work out for each group.
    pub calcs: Vec<Calc>,
    /// Values of another dataset to take beside, already looked up.
    pub lookup: Option<Lookup>,
    /// Order of the rows of an answer; empty for time, then the first calculation, largest first.
    pub order_by: Vec<Order>,
    /// Rows of the answer at most.
    pub limit: usize,
    /// Raw events beside the answer: of each of the slowest, failed and typical so many.
    pub exemplars: usize,
}

impl ResolvedQuery {
    /// Everything of a dataset between two moments, as raw events; more is set by fields.
    pub fn new(dataset: &str, from: Timestamp, to: Timestamp) -> Self {
        Self {
            dataset: dataset.to_owned(),
            from,
            to,
            filters: Vec::new(),
            group_by: Vec::new(),
            bucket: None,
            calcs: Vec::new(),
            lookup: None,
            order_by: Vec::new(),
            limit: LIMIT_DEFAULT,
            exemplars: 0,
        }
    }

    /// Whether it asks for raw events rather than for groups of them.
    pub fn wants_events(&self) -> bool {
        self.calcs.is_empty() && self.group_by.is_empty() && self.bucket.is_none()
    }

    /// Names of the answer's columns in their order: time, keys, calculations.
    pub fn column_names(&self) -> Vec<String> {
        let time = self.bucket.map(|_| TIME_COLUMN.to_owned());
        let keys = self.group_by.iter().cloned();
        let calcs = self.calcs.iter().map(calc_name);
        time.into_iter().chain(keys).chain(calcs).collect()
    }
}

/// How a calculation's column is called: `count`, `p99(duration_ms)`.
pub fn calc_name(calc: &Calc) -> String {
    let op = match calc.op {
        CalcOp::Count => "count",
        CalcOp::Rate => "rate",
        CalcOp::Sum => "sum",
        CalcOp::Avg => "avg",
        CalcOp::Min => "min",
        CalcOp::Max => "max",
        CalcOp::P50 => "p50",
        CalcOp::P90 => "p90",
        CalcOp::P95 => "p95",
        CalcOp::P99 => "p99",
        CalcOp::P999 => "p999",
        CalcOp::ErrorShare => "error_share",
        CalcOp::Distinct => "distinct",
        CalcOp::Percent => "percent",
        CalcOp::Heatmap => "heatmap",
    };
    match &calc.key {
        Some(key) => format!("{op}({key})"),
        None => op.to_owned(),
    }
}

/// One condition on one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The attribute; `<dataset>.<key>` or the bare key for values of a [`Lookup`].
    pub key: String,
    /// What must hold of its value.
    pub test: Test,
}

/// What must hold of a value. Numbers compare as numbers whatever their type, texts by their
/// bytes, false comes before true; a value of another kind fails every test but `NotEqual`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// The same.
    Equal(Value),
    /// Not the same; also where the key is absent.
    NotEqual(Value),
    /// Below.
    Less(Value),
    /// Below or the same.
    AtMost(Value),
    /// Above.
    More(Value),
    /// Above or the same.
    AtLeast(Value),
    /// One of these.
    In(Vec<Value>),
    /// The text holds this one, whatever the case of ASCII letters.
    Contains(String),
    /// This regular expression (syntax of the `regex` crate) finds something in the text.
    Matches(String),
    /// The event has the key.
    Exists,
}

/// One column to order by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// A column's name, as [`ResolvedQuery::column_names`] tells it.
    pub column: String,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end comes first; nulls come last in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The smallest.
    Ascending,
    /// The largest.
    Descending,
}

/// Another dataset's values by the text of a key that both have.
///
/// Events take over `take` as `<dataset>.<key>`, and as `<key>` where they have none of that
/// name. Keys of texts, numbers and truth values are compared by how they are displayed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lookup {
    /// The dataset that the values are from.
    pub dataset: String,
    /// Key that both have.
    pub on: String,
    /// Keys to take over.
    pub take: Vec<String>,
    /// By the displayed value of `on`: rows, oldest first. Of several the last one not after
    /// the event counts, else the first.
    pub rows: BTreeMap<String, Vec<LookupRow>>,
}

/// One row of a [`Lookup`].
#[derive(Debug, Clone, PartialEq)]
pub struct LookupRow {
    /// Since when it holds.
    pub at: Timestamp,
    /// Values in the order of [`Lookup::take`].
    pub values: Vec<Option<Value>>,
}

impl Lookup {
    /// Which of `take` a name stands for where the event itself has no such key: `version`
    /// as well as `hosts.version`.
    pub fn column(&self, name: &str) -> Option<usize> {
        let bare = name.strip_prefix(self.dataset.as_str());
        let bare = bare.and_then(|rest| rest.strip_prefix('.'));
        let qualified = bare.and_then(|bare| self.take.iter().position(|take| take == bare));
        qualified.or_else(|| self.take.iter().position(|take| take == name))
    }

    /// Whether a name is `<dataset>.<key>`, which never means an event's own key.
    pub fn is_qualified(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.dataset.as_str());
        let bare = rest.and_then(|rest| rest.strip_prefix('.'));
        bare.is_some_and(|bare| self.take.iter().any(|take| take == bare))
    }
}

/// The key whose size makes an event slow or typical.
pub const EXEMPLAR_KEY: &str = key::DURATION_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_time_first_then_keys_then_calculations() {
        let mut query = ResolvedQuery::new("web", Timestamp(0), Timestamp(1));
        query.bucket = Some(Duration::from_secs(60));
        query.group_by = vec!["region".into()];
        query.calcs = vec![
            Calc {
                op: CalcOp::Count,
                key: None,
            },
            Calc {
                op: CalcOp::P99,
                key: Some("duration_ms".into()),
            },
        ];
        let names = ["time", "region", "count", "p99(duration_ms)"];
        assert_eq!(query.column_names(), names);
    }

    #[test]
    fn a_looked_up_key_is_found_by_both_its_names() {
        let lookup = Lookup {
            dataset: "hosts".into(),
            take: vec!["kernel".into(), "hosts.kernel".into()],
            ..Lookup::default()
        };
        assert_eq!(lookup.column("kernel"), Some(0));
        assert_eq!(lookup.column("hosts.kernel"), Some(0));
        assert_eq!(lookup.column("region"), None);
        assert!(lookup.is_qualified("hosts.kernel"));
        assert!(!lookup.is_qualified("kernel"));
    }
}
