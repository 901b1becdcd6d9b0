//! What is asked of events, and what comes back: one model for the API, the text form, the
//! console, the embedded store and ClickHouse. JSON names are a promise.

use crate::event::Value;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Groups of one answer at most where no `limit` is given.
pub const LIMIT_DEFAULT: usize = 1_000;
/// Groups of one answer at most.
pub const LIMIT_MAX: usize = 100_000;
/// Raw events beside one answer at most.
pub const EXEMPLARS_MAX: usize = 1_000;
/// Keys in `group_by` at most.
pub const GROUP_BY_MAX: usize = 8;

/// One question. Without `calc` the answer is raw events, newest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Query {
    /// The dataset to look in.
    pub dataset: String,
    /// RFC 3339, epoch milliseconds, or a time before now (`-1h`). From inclusive, to
    /// exclusive. Absent: the last hour, until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<When>,
    /// As `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<When>,
    /// All must hold.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// One row for each combination of values of these keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// Width of a time bucket: `10s`, `1m`, `1h`, `1d`; `auto` for about a hundred of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// What to work out for each group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calc: Vec<Calc>,
    /// Values of another dataset to take beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// Columns of the answer, `-` before one for the largest first. Absent: time, then the
    /// first calculation, largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<String>,
    /// Rows at most; [`LIMIT_DEFAULT`] if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Raw events to show beside the answer: of each of the slowest, failed and typical so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemplars: Option<usize>,
    /// The same question at an earlier time, beside: `-1d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<String>,
    /// Rows that are left out before the first: with `limit` and a fixed time, page after page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<usize>,
    /// What sets some of the events apart from the others: the answer is the values that are
    /// more frequent among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differ: Option<Differ>,
}

/// Some of a question's events, held against its others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Differ {
    /// All hold for them.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// They are not older than this; as the question's `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<When>,
    /// They are older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<When>,
}

/// A moment as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum When {
    /// Milliseconds since 1970.
    EpochMs(i64),
    /// RFC 3339, or before now: `-90m`.
    Text(String),
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Filter {
    /// The attribute.
    pub key: String,
    /// How it is held against the value.
    pub op: FilterOp,
    /// One value; a list for `in`; none for `exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub value: Option<Operand>,
}

/// What a key is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    /// For all operators but `in`.
    One(Value),
    /// For `in`.
    Many(Vec<Value>),
}

/// How a condition compares. Numbers compare as numbers, texts as texts; a key of the other kind fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum FilterOp {
    /// The same.
    #[serde(rename = "=")]
    Equal,
    /// Also where the key is absent.
    #[serde(rename = "!=")]
    NotEqual,
    /// Below.
    #[serde(rename = "<")]
    Less,
    /// Below or the same.
    #[serde(rename = "<=")]
    AtMost,
    /// Above.
    #[serde(rename = ">")]
    More,
    /// Above or the same.
    #[serde(rename = ">=")]
    AtLeast,
    /// One of a list.
    #[serde(rename = "in")]
    In,
    /// The text holds this one, whatever the case of its letters.
    #[serde(rename = "contains")]
    Contains,
    /// A regular expression finds something in the text.
    #[serde(rename = "matches")]
    Matches,
    /// The event has the key.
    #[serde(rename = "exists")]
    Exists,
}

/// One calculation over the events of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Calc {
    /// What is worked out.
    pub op: CalcOp,
    /// Needed by all but `count`, `rate`, `error_share` and `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What can be worked out. Quantiles are within 1 % of the exact value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum CalcOp {
    /// Events; with a key, those that have it.
    Count,
    /// Events a second of the bucket, or of the whole time asked for.
    Rate,
    /// Of all numbers.
    Sum,
    /// Their mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// Share of events that failed, 0..=1: `status` is `error` or a number from 500 on, or
    /// `severity_text` is `error` or `fatal`, or `error` is true.
    ErrorShare,
    /// Distinct values; exact to 1,024, then within about 1 %.
    Distinct,
    /// What part of the whole a group is, 0..=100: of all events of its time bucket, or with a
    /// key, of that key's sum over them. The whole counts all groups, also those beyond `limit`.
    Percent,
    /// Counts by log-scaled value: a list of `[lower bound, count]` for each group.
    Heatmap,
}

/// Values of another dataset beside each event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Join {
    /// Where to look it up.
    pub dataset: String,
    /// Key that both have. Of several rows with it the last one not after the event counts,
    /// else the first.
    pub on: String,
    /// Keys to take over; they can be filtered, grouped and calculated by as
    /// `<dataset>.<key>`, and as `<key>` where the event has none of that name.
    pub take: Vec<String>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Answer {
    /// What the cells of each row are.
    pub columns: Vec<Column>,
    /// Cells in the order of the columns; `null` where there is nothing.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<Vec<serde_json::Value>>))]
    pub rows: Vec<Vec<Cell>>,
    /// Raw events that stand for others, as many as were asked for.
    #[serde(default)]
    pub exemplars: Vec<Exemplar>,
    /// Something that belongs to it is missing; `notes` say what.
    pub partial: bool,
    /// What is missing and why, and what else is good to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Begin of the time that was asked about, settled; with [`Answer::to`] the same events can
    /// be asked about again while time goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub from: Option<Timestamp>,
    /// Its end; events at this moment do not belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub to: Option<Timestamp>,
    /// What it cost.
    pub stats: QueryStats,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Column {
    /// `time`, a key of `group_by`, or a calculation such as `p99(duration_ms)`.
    pub name: String,
    /// What its cells are.
    pub kind: ColumnKind,
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ColumnKind {
    /// Cells are RFC 3339.
    Time,
    /// Values of a key.
    Key,
    /// Results of a calculation.
    Number,
    /// Cells are lists of `[lower bound, count]`.
    Heatmap,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing was there.
    Null,
    /// One value.
    Value(Value),
    /// Lower bound and count of each bin that is not empty, lowest first.
    Bins(Vec<(f64, u64)>),
}

/// A raw event that stands for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exemplar {
    /// Why it was picked.
    pub why: ExemplarKind,
    /// When it happened.
    pub at: Timestamp,
    /// All its attributes.
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, serde_json::Value>))]
    pub attributes: std::collections::BTreeMap<String, Value>,
}

/// Why an exemplar was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ExemplarKind {
    /// Among the largest durations.
    Slowest,
    /// It failed.
    Failed,
    /// Its duration is near the median.
    Typical,
}

/// What an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QueryStats {
    /// Events looked at.
    pub rows_scanned: u64,
    /// Bytes of columns read.
    pub bytes_scanned: u64,
    /// From question to answer, milliseconds.
    pub elapsed_ms: f64,
}
