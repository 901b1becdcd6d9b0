//! Groups, time buckets and what is worked out for them.

use super::order::order;
use super::rows::rows;
use super::{Output, Select, Tables};
use crate::bins;
use crate::condition::failed;
use crate::error::ClickHouseError;
use crate::key::Key;
use crate::literal;
use andon_model::query::{Calc, CalcOp};
use andon_store::ResolvedQuery;

/// SQL for a question about groups.
pub fn groups(query: &ResolvedQuery, from: &Tables) -> Result<Select, ClickHouseError> {
    let rows = rows(query, from)?;
    let lookup = query.lookup.as_ref();
    let mut writer = Writer::default();
    let mut group_by = Vec::new();
    if let Some(bucket) = query.bucket {
        writer.column(
            format!("{} AS t", bucket_of(query, bucket.as_micros())),
            Output::Time,
        );
        group_by.push("t".to_owned());
    }
    for (index, key) in query.group_by.iter().enumerate() {
        let grouped = Key::named(key, lookup).grouped;
        writer.column(format!("{grouped} AS g{index}"), Output::Key);
        group_by.push(format!("g{index}"));
    }
    for calc in &query.calcs {
        writer.calc(calc, query);
    }
    let mut sql = format!(
        "SELECT {} FROM {} WHERE {}",
        writer.select.join(", "),
        rows.source,
        rows.conditions.join(" AND ")
    );
    if !group_by.is_empty() {
        sql.push_str(&format!(" GROUP BY {}", group_by.join(", ")));
        let order = order(query, &writer.calc_sql);
        if !order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        }
        sql.push_str(&format!(" LIMIT {}", query.limit));
    }
    Ok(Select {
        sql,
        outputs: writer.outputs,
    })
}

fn bucket_of(query: &ResolvedQuery, width_us: u128) -> String {
    let width = i64::try_from(width_us).unwrap_or(i64::MAX).max(1);
    // Division is towards zero; before 1970 the bucket begins one earlier.
    let moment = match query.from.0 < 0 {
        false => "at_us".to_owned(),
        true => format!("at_us - if(at_us < 0, {}, 0)", width - 1),
    };
    format!("intDiv({moment}, {width}) * {width}")
}

/// Seconds that a rate is over: of the bucket as far as it is asked for, or of the whole time.
fn seconds(query: &ResolvedQuery) -> String {
    let (from, to) = (literal::integer(query.from.0), literal::integer(query.to.0));
    let span = match query.bucket {
        None => format!("{to} - {from}"),
        Some(bucket) => {
            let width = literal::integer(i64::try_from(bucket.as_micros()).unwrap_or(i64::MAX));
            format!("least(t + {width}, {to}) - greatest(t, {from})")
        }
    };
    format!("(({span}) / 1000000)")
}

#[derive(Default)]
struct Writer {
    select: Vec<String>,
    outputs: Vec<(Output, usize)>,
    /// What to sort by for each calculation.
    calc_sql: Vec<String>,
    /// The column with the quantiles of a key.
    quantiles: Vec<(String, usize)>,
}

impl Writer {
    fn column(&mut self, sql: String, output: Output) {
        self.outputs.push((output, self.select.len()));
        self.select.push(sql);
    }

    fn calc(&mut self, calc: &Calc, query: &ResolvedQuery) {
        let lookup = query.lookup.as_ref();
        let key = calc.key.as_deref().map(|name| Key::named(name, lookup));
        let alias = format!("c{}", self.select.len());
        let (sql, output) = match (calc.op, &key) {
            (CalcOp::Count, None) => ("count()".to_owned(), Output::Whole),
            (CalcOp::Count, Some(key)) => (format!("countIf({})", key.present), Output::Whole),
            (CalcOp::Rate, None) => (format!("count() / {}", seconds(query)), Output::Number),
            (CalcOp::Rate, Some(key)) => (
                format!("countIf({}) / {}", key.present, seconds(query)),
                Output::Number,
            ),
            (CalcOp::ErrorShare, _) => (format!("countIf({}) / count()", failed()), Output::Number),
            (CalcOp::Percent, None) => ("toFloat64(count())".to_owned(), Output::Part),
            (CalcOp::Percent, Some(key)) => (added(&key.number), Output::Part),
            (CalcOp::Distinct, Some(key)) => (
                format!("uniqCombinedIf({}, {})", key.grouped, key.present),
                Output::Whole,
            ),
            (CalcOp::Sum, Some(key)) => (filled("sum", &key.number), Output::Number),
            (CalcOp::Min, Some(key)) => (filled("min", &key.number), Output::Number),
            (CalcOp::Max, Some(key)) => (filled("max", &key.number), Output::Number),
            (CalcOp::Avg, Some(key)) => (filled("avg", &key.number), Output::Number),
            (CalcOp::Heatmap, Some(key)) => (
                format!(
                    "sumMapIf([{}], [toUInt64(1)], isFinite({}))",
                    bins::bin(&key.number),
                    key.number
                ),
                Output::Bins,
            ),
            (op, Some(key)) => return self.quantile(op, calc, key, query),
            // The check of the question refuses calculations that lack their key.
            (_, None) => ("nan".to_owned(), Output::Number),
        };
        self.calc_sql.push(match output {
            Output::Bins => String::new(),
            _ => alias.clone(),
        });
        self.column(format!("{sql} AS {alias}"), output);
    }

    /// All quantiles of one key are read off one column.
    fn quantile(&mut self, op: CalcOp, calc: &Calc, key: &Key, query: &ResolvedQuery) {
        let levels = levels(calc.key.as_deref(), query);
        let name = calc.key.clone().unwrap_or_default();
        let known = self.quantiles.iter().find(|(other, _)| *other == name);
        let column = match known {
            Some((_, column)) => *column,
            None => {
                let column = self.select.len();
                let shares: Vec<String> =
                    levels.iter().map(|(_, share)| share.to_string()).collect();
                self.select.push(format!(
                    "quantilesExactWeightedIf({})({}, 1, isFinite({number})) AS c{column}",
                    shares.join(", "),
                    bins::bin(&key.number),
                    number = key.number,
                ));
                self.quantiles.push((name, column));
                column
            }
        };
        let place = levels
            .iter()
            .position(|(other, _)| *other == op)
            .unwrap_or(0);
        self.calc_sql.push(format!("c{column}[{}]", place + 1));
        self.outputs.push((Output::Quantile { place }, column));
    }
}

fn levels(key: Option<&str>, query: &ResolvedQuery) -> Vec<(CalcOp, f64)> {
    let all = [
        (CalcOp::P50, 0.5),
        (CalcOp::P90, 0.9),
        (CalcOp::P95, 0.95),
        (CalcOp::P99, 0.99),
        (CalcOp::P999, 0.999),
    ];
    let asked = |op: CalcOp| {
        let mut calcs = query.calcs.iter();
        calcs.any(|calc| calc.op == op && calc.key.as_deref() == key)
    };
    all.into_iter().filter(|(op, _)| asked(*op)).collect()
}

/// The sum of numbers; zero where there are none.
fn added(number: &str) -> String {
    format!("toFloat64(sumIf({number}, NOT isNaN({number})))")
}

/// An aggregate of numbers that is not a number where there are none.
fn filled(aggregate: &str, number: &str) -> String {
    let valid = format!("NOT isNaN({number})");
    format!("if(countIf({valid}) = 0, nan, toFloat64({aggregate}If({number}, {valid})))")
}

/// SQL for the wholes that `percent` is a part of: for each bucket one number for each
/// calculation of that kind.
pub fn totals(query: &ResolvedQuery, from: &Tables) -> Result<Option<String>, ClickHouseError> {
    let parts: Vec<&Calc> = query
        .calcs
        .iter()
        .filter(|calc| calc.op == CalcOp::Percent)
        .collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let rows = rows(query, from)?;
    let lookup = query.lookup.as_ref();
    let mut select = vec![match query.bucket {
        Some(bucket) => format!("{} AS t", bucket_of(query, bucket.as_micros())),
        None => "toInt64(0) AS t".to_owned(),
    }];
    for (index, calc) in parts.into_iter().enumerate() {
        select.push(match &calc.key {
            None => format!("toFloat64(count()) AS w{index}"),
            Some(name) => {
                let number = Key::named(name, lookup).number;
                format!("{} AS w{index}", added(&number))
            }
        });
    }
    Ok(Some(format!(
        "SELECT {} FROM {} WHERE {} GROUP BY t",
        select.join(", "),
        rows.source,
        rows.conditions.join(" AND ")
    )))
}
