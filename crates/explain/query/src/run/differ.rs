//! What sets some of the events apart from the others: for each key the values that are more
//! frequent inside than outside, the largest difference first. Finds in seconds which zone,
//! version or endpoint the slow ones have in common.

use super::Source;
use super::asking::{Asking, Early, RunError};
use crate::resolve::{Inside, Plan};
use andon_model::event::{Event, Value};
use andon_model::query::{Answer, Calc, CalcOp, Cell, Column, ColumnKind, QueryStats};
use andon_store::{Direction, Order, ResolvedQuery};
use std::collections::{BTreeMap, BTreeSet};

/// Events inside that are looked at for keys; a key that none of them has sets few apart.
const SAMPLE: usize = 1_000;
/// Keys that are gone through; each costs two counts.
const KEYS_MAX: usize = 48;
/// Values of a key that are counted; rarer ones explain little.
const VALUES_MAX: usize = 2_000;
/// Values of a key that are told.
const VALUES_TOLD: usize = 3;
/// Different values from which on a key may be a name of single events.
const NAMES_MIN: usize = 20;
/// Percent points below which a difference is noise.
const POINTS_MIN: f64 = 1.0;

/// Columns of the answer.
const COLUMNS: [(&str, ColumnKind); 5] = [
    ("key", ColumnKind::Key),
    ("value", ColumnKind::Key),
    ("inside", ColumnKind::Number),
    ("outside", ColumnKind::Number),
    ("difference", ColumnKind::Number),
];

/// One value that is more frequent inside.
struct Finding {
    key: String,
    value: Cell,
    inside: f64,
    outside: f64,
}

impl Finding {
    fn points(&self) -> f64 {
        self.inside - self.outside
    }
}

/// Shares are percents of the events inside, and of those outside.
pub(super) fn run(
    plan: &Plan,
    inside: &Inside,
    source: &dyn Source,
    asking: &Asking<'_>,
) -> Result<Answer, RunError> {
    let mut all = Counting {
        query: plan.query.clone(),
        source,
        asking,
        stats: QueryStats::default(),
        notes: BTreeSet::new(),
        is_partial: false,
    };
    all.query.exemplars = 0;
    let limit = all.query.limit;
    let mut query = all.query.clone();
    query.filters.extend(inside.filters.iter().cloned());
    (query.from, query.to) = (inside.from, inside.to);
    query.limit = SAMPLE;
    let sample = source.events(&query, asking)?;
    all.notes.extend(sample.notes);
    let (keys, names) = keys(&sample.events, &plan.query, inside);
    if !names.is_empty() {
        all.notes.insert(format!(
            "left out, since nearly each event has its own: {}",
            names.join(", ")
        ));
    }
    let total = all.total(&all.query.clone())?;
    let total_inside = all.total(&query)?;
    let total_outside = total.saturating_sub(total_inside);
    if total_outside == 0 && total_inside > 0 {
        all.notes
            .insert("every event of this time is inside: nothing is left to compare with".into());
    }
    let mut found = Vec::new();
    for (done, key) in keys.iter().enumerate() {
        if all
            .asking
            .limits
            .after(all.stats.elapsed_ms)
            .time_max
            .is_zero()
        {
            all.is_partial = true;
            let count = keys.len();
            all.notes.insert(format!(
                "stopped for time: {done} of {count} keys gone through"
            ));
            break;
        }
        let within = all.counts(&query, key)?;
        let overall = all.counts(&all.query.clone(), key)?;
        found.extend(findings(
            key,
            &within,
            &overall,
            (total_inside, total_outside),
        ));
        if let Some(tell) = asking.tell {
            let share = (done + 1) as f64 / keys.len() as f64;
            let mut answer = answer(&found, limit, &all);
            answer.partial = true;
            tell(Early { share, answer });
        }
    }
    all.notes.insert(format!(
        "{total_inside} events inside, {total_outside} outside"
    ));
    Ok(answer(&found, limit, &all))
}

/// Counts, with what they cost.
struct Counting<'a> {
    query: ResolvedQuery,
    source: &'a dyn Source,
    asking: &'a Asking<'a>,
    stats: QueryStats,
    notes: BTreeSet<String>,
    is_partial: bool,
}

impl Counting<'_> {
    fn ask(&mut self, query: &ResolvedQuery, key: Option<&str>) -> Result<Answer, RunError> {
        let mut query = query.clone();
        query.group_by = key.map(str::to_owned).into_iter().collect();
        query.calcs = vec![Calc {
            op: CalcOp::Count,
            key: None,
        }];
        query.order_by = vec![Order {
            column: "count".to_owned(),
            direction: Direction::Descending,
        }];
        query.limit = VALUES_MAX;
        let asking = self.asking.besides(self.stats.elapsed_ms);
        let answer = self.source.answer(&query, &asking)?;
        self.stats.rows_scanned += answer.stats.rows_scanned;
        self.stats.bytes_scanned += answer.stats.bytes_scanned;
        self.stats.elapsed_ms += answer.stats.elapsed_ms;
        self.is_partial |= answer.partial;
        self.notes.extend(answer.notes.iter().cloned());
        Ok(answer)
    }

    fn total(&mut self, query: &ResolvedQuery) -> Result<u64, RunError> {
        let answer = self.ask(query, None)?;
        let cell = answer.rows.first().and_then(|row| row.last());
        Ok(cell.map_or(0, count))
    }

    /// Events by value, the most frequent first.
    fn counts(&mut self, query: &ResolvedQuery, key: &str) -> Result<Vec<(Cell, u64)>, RunError> {
        let rows = self.ask(query, Some(key))?.rows.into_iter();
        let pair = |row: Vec<Cell>| match row.as_slice() {
            [value, number] => Some((value.clone(), count(number))),
            _ => None,
        };
        Ok(rows.filter_map(pair).collect())
    }
}

fn count(cell: &Cell) -> u64 {
    match cell {
        Cell::Value(value) => value.number().unwrap_or(0.0) as u64,
        Cell::Null | Cell::Bins(_) => 0,
    }
}

/// Keys to go through, those first that most events have; and those that are as good as names
/// of single events.
fn keys(sample: &[Event], query: &ResolvedQuery, inside: &Inside) -> (Vec<String>, Vec<String>) {
    let mut seen: BTreeMap<&str, (usize, BTreeSet<String>)> = BTreeMap::new();
    for (key, value) in sample.iter().flat_map(|event| &event.attributes) {
        let (events, values) = seen.entry(key).or_default();
        *events += 1;
        values.insert(value.to_string());
    }
    // What was asked for is no news.
    let asked = query.filters.iter().chain(&inside.filters);
    for condition in asked {
        seen.remove(condition.key.as_str());
    }
    let mut names = Vec::new();
    let mut keys: Vec<(usize, String)> = Vec::new();
    for (key, (events, values)) in seen {
        if values.len() > NAMES_MIN && values.len() * 2 > events {
            names.push(key.to_owned());
        } else {
            keys.push((events, key.to_owned()));
        }
    }
    keys.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    keys.truncate(KEYS_MAX);
    names.truncate(8);
    (keys.into_iter().map(|(_, key)| key).collect(), names)
}

fn findings(
    key: &str,
    within: &[(Cell, u64)],
    overall: &[(Cell, u64)],
    (inside, outside): (u64, u64),
) -> Vec<Finding> {
    // Cells have no order of their own; their look tells them apart, types included.
    let overall: BTreeMap<String, u64> = overall
        .iter()
        .map(|(value, count)| (format!("{value:?}"), *count))
        .collect();
    let mut found: Vec<Finding> = within
        .iter()
        .filter_map(|(value, count)| {
            let all = overall.get(&format!("{value:?}"))?;
            Some(Finding {
                key: key.to_owned(),
                value: value.clone(),
                inside: share(*count, inside),
                outside: share(all.saturating_sub(*count), outside),
            })
        })
        .filter(|finding| finding.points() >= POINTS_MIN)
        .collect();
    found.sort_by(|left, right| right.points().total_cmp(&left.points()));
    found.truncate(VALUES_TOLD);
    found
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64 * 100.0
}

/// Keys by their largest difference, each with its values below each other.
fn answer(found: &[Finding], limit: usize, all: &Counting<'_>) -> Answer {
    let mut best: BTreeMap<&str, f64> = BTreeMap::new();
    for finding in found {
        let most = best.entry(&finding.key).or_insert(f64::MIN);
        *most = most.max(finding.points());
    }
    let mut order: Vec<&Finding> = found.iter().collect();
    order.sort_by(|left, right| {
        let of = |finding: &Finding| best.get(finding.key.as_str()).copied().unwrap_or(0.0);
        of(right)
            .total_cmp(&of(left))
            .then_with(|| left.key.cmp(&right.key))
            .then_with(|| right.points().total_cmp(&left.points()))
    });
    let number = |number: f64| Cell::Value(Value::Float(number));
    Answer {
        columns: COLUMNS
            .iter()
            .map(|(name, kind)| Column {
                name: (*name).to_owned(),
                kind: *kind,
            })
            .collect(),
        rows: order
            .into_iter()
            .take(limit)
            .map(|finding| {
                vec![
                    Cell::Value(Value::Text(finding.key.clone())),
                    finding.value.clone(),
                    number(finding.inside),
                    number(finding.outside),
                    number(finding.points()),
                ]
            })
            .collect(),
        partial: all.is_partial,
        notes: all.notes.iter().cloned().collect(),
        stats: all.stats,
        ..Answer::default()
    }
}
