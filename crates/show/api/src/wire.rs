//! A question that one node asks of another's store, and what that store found, as bytes:
//! JSON, packed. Floats travel by their bits, since JSON knows no infinity.

use andon_model::event::{Event, Value};
use andon_model::query::{Calc, ExemplarKind, QueryStats};
use andon_model::time::Timestamp;
use andon_store::{
    Condition, Distinct, ExemplarRow, GroupKey, GroupState, Histogram, KeyState, KeyValue, Lookup,
    LookupRow, Numbers, Order, PartialAnswer, ResolvedQuery,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::Duration;

/// Packed bytes of a question or of what was found at most.
pub(crate) const PART_BYTES_MAX: usize = 32 << 20;
/// Bytes of the same unpacked: hundred thousand groups with a histogram each.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// Fast: both ends wait for it.
const LEVEL: i32 = 1;

/// Why bytes are no question or no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// They cannot be unpacked, or it would be too much.
    #[error("it cannot be unpacked: {0}")]
    Packing(#[from] std::io::Error),
    /// They mean something else.
    #[error("it cannot be read: {0}")]
    Meaning(#[from] serde_json::Error),
}

/// A question, and what it may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    query: WireQuery,
    /// Time for it.
    pub(crate) time_ms: u64,
    /// Memory for it.
    pub(crate) bytes_max: u64,
    /// Of what it is asked.
    #[serde(default)]
    pub(crate) of: Of,
}

/// Which events of a keeper's are meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Of {
    /// Its own, and copies of keepers that are not among these: nobody else is asked for them.
    Own {
        /// Keepers that are asked themselves, or whose copies are.
        known: BTreeSet<String>,
    },
    /// The copy of this keeper's.
    Copy(String),
    /// All that ClickHouse has, as an answer that does not add up with others.
    ClickHouse,
}

/// Nodes of an earlier version ask for what is their own alone.
impl Default for Of {
    fn default() -> Self {
        Self::Own {
            known: BTreeSet::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WireQuery {
    dataset: String,
    from_us: i64,
    to_us: i64,
    filters: Vec<Condition>,
    group_by: Vec<String>,
    bucket_us: Option<u64>,
    calcs: Vec<Calc>,
    lookup: Option<WireLookup>,
    order_by: Vec<Order>,
    limit: usize,
    exemplars: usize,
}

type WireRow = (i64, Vec<Option<WireValue>>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WireLookup {
    dataset: String,
    on: String,
    take: Vec<String>,
    rows: BTreeMap<String, Vec<WireRow>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum WireValue {
    B(bool),
    I(i64),
    F(u64),
    T(String),
}

type WireEvent = (i64, Vec<(String, WireValue)>);

#[derive(Debug, Serialize, Deserialize)]
struct WireKey {
    present: u64,
    /// Count, and the bits of sum, smallest and largest.
    numbers: (u64, u64, u64, u64),
    histogram: Option<Histogram>,
    distinct: Option<Distinct>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireGroup {
    time_us: Option<i64>,
    values: Vec<KeyValue>,
    count: u64,
    errors: u64,
    keys: Vec<WireKey>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireAnswer {
    groups: Vec<WireGroup>,
    events: Vec<WireEvent>,
    exemplars: Vec<(ExemplarKind, Option<u64>, WireEvent)>,
    sizes: Histogram,
    is_partial: bool,
    notes: BTreeSet<String>,
    rows_left_out: u64,
    stats: QueryStats,
    #[serde(default)]
    lacks: Option<String>,
}

impl Part {
    pub(crate) fn new(query: &ResolvedQuery, time: Duration, bytes_max: usize, of: Of) -> Self {
        Self {
            query: WireQuery::of(query),
            time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            bytes_max: bytes_max as u64,
            of,
        }
    }

    pub(crate) fn query(self) -> ResolvedQuery {
        self.query.into()
    }
}

/// Packs anything.
pub(crate) fn pack(what: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let json = serde_json::to_vec(what)?;
    Ok(zstd::bulk::compress(&json, LEVEL)?)
}

/// Unpacks it, within bounds.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let reader = zstd::stream::read::Decoder::new(bytes)?;
    let mut json = Vec::new();
    reader.take(UNPACKED_BYTES_MAX).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// What a store found, packed; and why that is not all, if it is known not to be.
pub(crate) fn pack_answer(
    answer: PartialAnswer,
    lacks: Option<String>,
) -> Result<Vec<u8>, WireError> {
    let answer = WireAnswer {
        lacks,
        ..WireAnswer::from(answer)
    };
    pack(&answer)
}

/// What another's store found, and why that is not all.
pub(crate) fn unpack_answer(bytes: &[u8]) -> Result<(PartialAnswer, Option<String>), WireError> {
    let mut answer = unpack::<WireAnswer>(bytes)?;
    let lacks = answer.lacks.take();
    Ok((answer.into(), lacks))
}

impl From<Value> for WireValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Bool(value) => Self::B(value),
            Value::Integer(value) => Self::I(value),
            Value::Float(value) => Self::F(value.to_bits()),
            Value::Text(text) => Self::T(text),
        }
    }
}

impl From<WireValue> for Value {
    fn from(value: WireValue) -> Self {
        match value {
            WireValue::B(value) => Self::Bool(value),
            WireValue::I(value) => Self::Integer(value),
            WireValue::F(bits) => Self::Float(f64::from_bits(bits)),
            WireValue::T(text) => Self::Text(text),
        }
    }
}

fn wire_event(event: Event) -> WireEvent {
    let attributes = event.attributes.into_iter();
    let attributes = attributes.map(|(key, value)| (key, value.into()));
    (event.at.0, attributes.collect())
}

fn plain_event((at, attributes): WireEvent) -> Event {
    let attributes = attributes.into_iter();
    Event {
        at: Timestamp(at),
        attributes: attributes.map(|(key, value)| (key, value.into())).collect(),
    }
}

impl WireQuery {
    fn of(query: &ResolvedQuery) -> Self {
        let row = |row: &LookupRow| {
            let values = row.values.iter().cloned();
            (
                row.at.0,
                values.map(|value| value.map(Into::into)).collect(),
            )
        };
        let lookup = query.lookup.as_ref().map(|lookup| WireLookup {
            dataset: lookup.dataset.clone(),
            on: lookup.on.clone(),
            take: lookup.take.clone(),
            rows: lookup
                .rows
                .iter()
                .map(|(name, rows)| (name.clone(), rows.iter().map(row).collect()))
                .collect(),
        });
        Self {
            dataset: query.dataset.clone(),
            from_us: query.from.0,
            to_us: query.to.0,
            filters: query.filters.clone(),
            group_by: query.group_by.clone(),
            bucket_us: query
                .bucket
                .map(|width| u64::try_from(width.as_micros()).unwrap_or(u64::MAX)),
            calcs: query.calcs.clone(),
            lookup,
            order_by: query.order_by.clone(),
            limit: query.limit,
            exemplars: query.exemplars,
        }
    }
}

impl From<WireQuery> for ResolvedQuery {
    fn from(wire: WireQuery) -> Self {
        let row = |(at, values): WireRow| LookupRow {
            at: Timestamp(at),
            values: values
                .into_iter()
                .map(|value| value.map(Into::into))
                .collect(),
        };
        let lookup = wire.lookup.map(|lookup| Lookup {
            dataset: lookup.dataset,
            on: lookup.on,
            take: lookup.take,
            rows: lookup
                .rows
                .into_iter()
                .map(|(name, rows)| (name, rows.into_iter().map(row).collect()))
                .collect(),
        });
        let mut query = Self::new(
            &wire.dataset,
            Timestamp(wire.from_us),
            Timestamp(wire.to_us),
        );
        query.filters = wire.filters;
        query.group_by = wire.group_by;
        query.bucket = wire.bucket_us.map(Duration::from_micros);
        query.calcs = wire.calcs;
        query.lookup = lookup;
        query.order_by = wire.order_by;
        query.limit = wire.limit;
        query.exemplars = wire.exemplars;
        query
    }
}

impl From<KeyState> for WireKey {
    fn from(state: KeyState) -> Self {
        let Numbers {
            count,
            sum,
            min,
            max,
        } = state.numbers;
        Self {
            present: state.present,
            numbers: (count, sum.to_bits(), min.to_bits(), max.to_bits()),
            histogram: state.histogram,
            distinct: state.distinct,
        }
    }
}

impl From<WireKey> for KeyState {
    fn from(wire: WireKey) -> Self {
        let (count, sum, min, max) = wire.numbers;
        Self {
            present: wire.present,
            numbers: Numbers {
                count,
                sum: f64::from_bits(sum),
                min: f64::from_bits(min),
                max: f64::from_bits(max),
            },
            histogram: wire.histogram,
            distinct: wire.distinct,
        }
    }
}

impl From<PartialAnswer> for WireAnswer {
    fn from(answer: PartialAnswer) -> Self {
        let groups = answer.groups.into_iter().map(|(key, state)| WireGroup {
            time_us: key.time,
            values: key.values,
            count: state.count,
            errors: state.errors,
            keys: state.keys.into_iter().map(Into::into).collect(),
        });
        let exemplars = answer.exemplars.into_iter();
        let exemplars = exemplars
            .map(|row| (row.why, row.size.map(f64::to_bits), wire_event(row.event)))
            .collect();
        Self {
            groups: groups.collect(),
            events: answer.events.into_iter().map(wire_event).collect(),
            exemplars,
            sizes: answer.sizes,
            is_partial: answer.is_partial,
            notes: answer.notes,
            rows_left_out: answer.rows_left_out,
            stats: answer.stats,
            lacks: None,
        }
    }
}

impl From<WireAnswer> for PartialAnswer {
    fn from(wire: WireAnswer) -> Self {
        let group = |group: WireGroup| {
            let key = GroupKey {
                time: group.time_us,
                values: group.values,
            };
            let state = GroupState {
                count: group.count,
                errors: group.errors,
                keys: group.keys.into_iter().map(Into::into).collect(),
            };
            (key, state)
        };
        let exemplar = |(why, size, event): (_, Option<u64>, _)| ExemplarRow {
            why,
            size: size.map(f64::from_bits),
            event: plain_event(event),
        };
        Self {
            groups: wire.groups.into_iter().map(group).collect(),
            events: wire.events.into_iter().map(plain_event).collect(),
            exemplars: wire.exemplars.into_iter().map(exemplar).collect(),
            sizes: wire.sizes,
            is_partial: wire.is_partial,
            notes: wire.notes,
            rows_left_out: wire.rows_left_out,
            stats: wire.stats,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::query::CalcOp;

    #[test]
    fn a_question_and_what_was_found_come_back_as_they_were() {
        let mut query = ResolvedQuery::new("web", Timestamp(1), Timestamp(2));
        query.bucket = Some(Duration::from_secs(60));
        query.calcs = vec![Calc {
            op: CalcOp::P99,
            key: Some("duration_ms".into()),
        }];
        query.lookup = Some(Lookup {
            dataset: "hosts".into(),
            on: "host".into(),
            take: vec!["kernel".into()],
            rows: BTreeMap::from([(
                "a".to_owned(),
                vec![LookupRow {
                    at: Timestamp(3),
                    values: vec![None, Some(Value::Float(f64::NEG_INFINITY))],
                }],
            )]),
        });
        let part = Part::new(&query, Duration::from_secs(1), 9, Of::Copy("p".to_owned()));
        let bytes = pack(&part).unwrap();
        assert_eq!(unpack::<Part>(&bytes).unwrap().query(), query);

        let mut histogram = Histogram::default();
        histogram.add(-3.5);
        let state = GroupState {
            count: 4,
            errors: 1,
            keys: vec![KeyState {
                histogram: Some(histogram.clone()),
                distinct: Some(Distinct::default()),
                // Nothing seen yet: the ends are infinite.
                ..KeyState::default()
            }],
        };
        let key = GroupKey {
            time: Some(60),
            values: vec![KeyValue::Null, KeyValue::Float(7)],
        };
        let event = Event::new(Timestamp(5))
            .with("x", Value::Float(f64::INFINITY))
            .with("y", "z");
        let answer = PartialAnswer {
            groups: BTreeMap::from([(key, state)]),
            events: vec![event.clone()],
            exemplars: vec![ExemplarRow {
                why: ExemplarKind::Slowest,
                size: Some(1.5),
                event,
            }],
            sizes: histogram,
            is_partial: true,
            notes: BTreeSet::from(["n".to_owned()]),
            rows_left_out: 2,
            stats: QueryStats::default(),
        };
        let lacks = Some("much".to_owned());
        let bytes = pack_answer(answer.clone(), lacks.clone()).unwrap();
        assert_eq!(unpack_answer(&bytes).unwrap(), (answer, lacks));
        assert!(unpack_answer(b"rubbish").is_err());
        assert!(unpack_answer(&bytes[..bytes.len() / 2]).is_err());
    }
}
