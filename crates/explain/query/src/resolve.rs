//! From a question to a plan: every time, width, limit and name settled, so that stores need
//! no clock.

use crate::check::{Problem, check, is_raw};
use crate::text::{self, TextError};
use crate::when;
use andon_model::event::Value;
use andon_model::query::{Calc, CalcOp, Filter, FilterOp, LIMIT_DEFAULT, Operand, Query, When};
use andon_model::time::Timestamp;
use andon_store::plan::BUCKETS_MAX;
use andon_store::{Condition, Direction, Lookup, Order, ResolvedQuery, Test};
use std::time::Duration;

/// What is asked for when no time is given: microseconds before now.
pub const RANGE_DEFAULT_US: i64 = 3_600_000_000;
/// About how many buckets `auto` makes.
const BUCKETS_WANTED: i64 = 100;
/// Widths that `auto` chooses from, in milliseconds: those that divide a clock's dial.
const WIDTHS_MS: [i64; 29] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
];

/// A question that can be asked of stores.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What stores are asked; the rows of its lookup are not filled in yet.
    pub query: ResolvedQuery,
    /// How much earlier the same question is asked beside.
    pub compare: Option<Duration>,
    /// Order of the answer's rows where it is by a column that only a comparison has.
    pub compare_order: Vec<Order>,
    /// Rows to leave out before the first; the query's limit counts them.
    pub skip: usize,
    /// The events that are held against the others.
    pub differ: Option<Inside>,
}

/// Some of the events that a question is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Inside {
    /// All hold for them.
    pub filters: Vec<Condition>,
    /// Not older than this.
    pub from: Timestamp,
    /// Older than this.
    pub to: Timestamp,
}

/// Settles a question at a moment. Problems name fields by their paths, as [`check()`] does.
pub fn resolve(query: &Query, now: Timestamp) -> Result<Plan, Vec<Problem>> {
    let problems = check(query);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (from, to) = range(query, now).map_err(|problem| vec![problem])?;
    let bucket = bucket(query, from, to).map_err(|problem| vec![problem])?;
    let mut resolved = ResolvedQuery::new(&query.dataset, from, to);
    resolved.filters = query.filters.iter().filter_map(condition).collect();
    resolved.group_by = query.group_by.clone();
    resolved.bucket = bucket;
    resolved.calcs = query.calc.clone();
    if query.calc.is_empty() && !is_raw(query) {
        resolved.calcs = vec![Calc {
            op: CalcOp::Count,
            key: None,
        }];
    }
    resolved.lookup = query.join.as_ref().map(|join| Lookup {
        dataset: join.dataset.clone(),
        on: join.on.clone(),
        take: join.take.clone(),
        ..Lookup::default()
    });
    let skip = query.skip.unwrap_or(0);
    resolved.limit = query.limit.unwrap_or(LIMIT_DEFAULT) + skip;
    resolved.exemplars = query.exemplars.unwrap_or(0);
    let mut plan = Plan {
        compare: None,
        compare_order: Vec::new(),
        query: resolved,
        skip,
        differ: inside(query, (from, to), now).map_err(|problem| vec![problem])?,
    };
    if let Some(before) = query.compare.as_deref().and_then(when::compare_us) {
        plan.compare = Some(Duration::from_micros(before.unsigned_abs()));
    }
    let orders: Vec<Order> = query.order_by.iter().map(|column| order(column)).collect();
    let known = plan.query.column_names();
    let raw = plan.query.wants_events();
    if raw || orders.iter().all(|order| known.contains(&order.column)) {
        plan.query.order_by = orders;
    } else {
        plan.compare_order = orders;
    }
    Ok(plan)
}

/// Reads and settles a text. Every error points at its place.
pub fn plan(text: &str, now: Timestamp) -> Result<(Query, Plan), TextError> {
    let query = text::parse(text)?;
    match resolve(&query, now) {
        Ok(plan) => Ok((query, plan)),
        Err(problems) => {
            let first = problems.into_iter().next();
            let first = first.unwrap_or_else(|| Problem::new(".", "this cannot be asked"));
            Err(text::locate(text, first))
        }
    }
}

fn order(column: &str) -> Order {
    match column.strip_prefix('-') {
        Some(column) => Order {
            column: column.to_owned(),
            direction: Direction::Descending,
        },
        None => Order {
            column: column.to_owned(),
            direction: Direction::Ascending,
        },
    }
}

fn range(query: &Query, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
    let moment = |when: &Option<When>, path: &str| match when {
        None => Ok(None),
        Some(when) => match when::moment(when, now) {
            Some(time) => Ok(Some(time)),
            None => Err(Problem::new(path, "this is no moment").help(when::MOMENT_HELP)),
        },
    };
    let to = moment(&query.to, "to")?.unwrap_or(now);
    let from = moment(&query.from, "from")?;
    let from = from.unwrap_or(Timestamp(to.0.saturating_sub(RANGE_DEFAULT_US)));
    if from >= to {
        let path = if query.from.is_some() { "from" } else { "to" };
        let message = format!("the time ends ({to}) before it begins ({from})");
        return Err(Problem::new(path, message).help("is the earlier moment the first?"));
    }
    Ok((from, to))
}

fn inside(
    query: &Query,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Option<Inside>, Problem> {
    let Some(differ) = &query.differ else {
        return Ok(None);
    };
    let moment = |when: &Option<When>| when.as_ref().and_then(|when| when::moment(when, now));
    let inside = Inside {
        filters: differ.filters.iter().filter_map(condition).collect(),
        from: moment(&differ.from).unwrap_or(from).max(from),
        to: moment(&differ.to).unwrap_or(to).min(to),
    };
    if inside.from >= inside.to {
        let message = "nothing of this time is in that of the question";
        return Err(Problem::new("differ", message).help("is the earlier moment the first?"));
    }
    Ok(Some(inside))
}

fn bucket(query: &Query, from: Timestamp, to: Timestamp) -> Result<Option<Duration>, Problem> {
    let Some(text) = &query.bucket else {
        return Ok(None);
    };
    let range_us = to.0.saturating_sub(from.0);
    let width_us = match when::span_us(text) {
        Some(width) => width,
        None => auto_us(range_us),
    };
    let count = (range_us / width_us).unsigned_abs().saturating_add(2);
    if count > BUCKETS_MAX {
        let message =
            format!("`{text}` cuts this time into {count} buckets; {BUCKETS_MAX} are possible");
        let help = format!(
            "`{}` makes about a hundred",
            when::span_text(auto_us(range_us))
        );
        return Err(Problem::new("bucket", message).help(help));
    }
    Ok(Some(Duration::from_micros(width_us.unsigned_abs())))
}

/// The narrowest common width that makes not many more than a hundred buckets.
fn auto_us(range_us: i64) -> i64 {
    let widths = WIDTHS_MS.iter().map(|ms| ms * 1_000);
    let mut fitting =
        widths.filter(|width| range_us / width <= BUCKETS_WANTED + BUCKETS_WANTED / 5);
    // Longer times than a decade are cut into a hundred, wherever that falls.
    fitting.next().unwrap_or(range_us / BUCKETS_WANTED)
}

/// The check has made sure that each operator has what it compares with.
fn condition(filter: &Filter) -> Option<Condition> {
    let one = || match &filter.value {
        Some(Operand::One(value)) => Some(value.clone()),
        _ => None,
    };
    let text = || match one() {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let test = match filter.op {
        FilterOp::Equal => Test::Equal(one()?),
        FilterOp::NotEqual => Test::NotEqual(one()?),
        FilterOp::Less => Test::Less(one()?),
        FilterOp::AtMost => Test::AtMost(one()?),
        FilterOp::More => Test::More(one()?),
        FilterOp::AtLeast => Test::AtLeast(one()?),
        FilterOp::In => match &filter.value {
            Some(Operand::Many(values)) => Test::In(values.clone()),
            _ => return None,
        },
        FilterOp::Contains => Test::Contains(text()?),
        FilterOp::Matches => Test::Matches(text()?),
        FilterOp::Exists => Test::Exists,
    };
    Some(Condition {
        key: filter.key.clone(),
        test,
    })
}

/// The conditions of a question, for a live tail or for highlighting.
pub fn conditions(query: &Query) -> Vec<Condition> {
    query.filters.iter().filter_map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn settled(text: &str) -> Result<Plan, Vec<Problem>> {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        resolve(&parse(text).unwrap(), now)
    }

    #[test]
    fn times_widths_and_limits_are_settled() {
        let hour = settled("logs").unwrap().query;
        assert_eq!(hour.to.since(hour.from), Duration::from_secs(3_600));
        assert_eq!(hour.limit, LIMIT_DEFAULT);
        assert!(hour.wants_events());
        let day = settled("logs | by host | last 1d").unwrap().query;
        assert_eq!(day.column_names(), ["host", "count"]);
        let check = |text: &str, seconds: u64| {
            let width = settled(text).unwrap().query.bucket;
            assert_eq!(width, Some(Duration::from_secs(seconds)), "{text}");
        };
        check("logs | by auto | last 1h", 30);
        check("logs | by auto | last 1d", 900);
        check("logs | by auto | last 30d", 21_600);
        check("logs | by 90s", 90);
    }

    #[test]
    fn a_time_that_ends_before_it_begins_and_too_many_buckets_are_refused() {
        let check = |text: &str, path: &str, words: &str| {
            let problems = settled(text).unwrap_err();
            assert_eq!(problems[0].path, path, "{text}");
            assert!(
                problems[0].message.contains(words),
                "{}",
                problems[0].message
            );
        };
        check("logs | from -1h to -2h", "from", "before it begins");
        check("logs | by 1ms | last 1h", "bucket", "3600002 buckets");
        let text = "logs | by 1ms | last 1h";
        let error = super::plan(text, Timestamp(0)).unwrap_err();
        assert_eq!(&text[error.span], "1ms");
    }

    #[test]
    fn an_order_by_what_a_comparison_adds_is_kept_for_it() {
        let plan = settled("logs | by host | count | compare -1d | top 5 by count.change");
        let plan = plan.unwrap();
        assert!(plan.query.order_by.is_empty());
        assert_eq!(plan.compare_order[0].column, "count.change");
        assert_eq!(plan.compare, Some(Duration::from_secs(86_400)));
    }
}
