//! A question as SQL. One form for all servers from 18.16 on: nothing is used that one of
//! them lacks, and names stand where positions would be shorter.

use crate::bins;
use crate::condition::{condition, failed};
use crate::encode::hour;
use crate::error::ClickHouseError;
use crate::key::Key;
use crate::layout::{Hot, columns, hot};
use crate::literal::{self, list};
use andon_model::query::{Calc, CalcOp};
use andon_model::time::Timestamp;
use andon_store::plan::TIME_COLUMN;
use andon_store::{Direction, Lookup, Order, ResolvedQuery};

/// Where to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The database.
    pub database: String,
    /// `events`, or `events_all` for all servers.
    pub table: &'static str,
}

impl Tables {
    /// As SQL.
    pub fn sql(&self) -> String {
        format!(
            "{}.{}",
            literal::name(&self.database),
            literal::name(self.table)
        )
    }
}

/// What a column of ClickHouse's answer is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Begin of the bucket, microseconds.
    Time,
    /// A key's value in the form of [`Key::typed`].
    Key,
    /// A whole number.
    Whole,
    /// A number; not a number where there is nothing.
    Number,
    /// One of the bins of a column with several of them.
    Quantile {
        /// Which of them.
        place: usize,
    },
    /// Bins and their counts.
    Bins,
    /// A part of a whole that [`totals`] tells.
    Part,
}

/// A statement and how its answer is read.
#[derive(Debug, Clone)]
pub struct Select {
    /// The statement, without `FORMAT`.
    pub sql: String,
    /// What is read where: for each column of the answer the column of the row.
    pub outputs: Vec<(Output, usize)>,
}

/// The part of a dataset between two moments.
pub fn between(dataset: &str, from: Timestamp, to: Timestamp) -> Vec<String> {
    let last = to.0.saturating_sub(1);
    vec![
        format!("dataset = {}", literal::text(dataset)),
        format!("hour >= {}", literal::integer(hour(from.0))),
        format!("hour <= {}", literal::integer(hour(last))),
        format!("at_us >= {}", literal::integer(from.0)),
        format!("at_us < {}", literal::integer(to.0)),
    ]
}

/// Rows that a question is about: the table with what a join brings, and the conditions.
struct Rows {
    source: String,
    conditions: Vec<String>,
}

fn rows(query: &ResolvedQuery, from: &Tables) -> Result<Rows, ClickHouseError> {
    let mut own = between(&query.dataset, query.from, query.to);
    let Some(lookup) = &query.lookup else {
        for filter in &query.filters {
            own.push(condition(filter, None)?);
        }
        return Ok(Rows {
            source: from.sql(),
            conditions: own,
        });
    };
    // What needs no join is sorted out before it.
    let mut joined = Vec::new();
    for filter in &query.filters {
        let sql = condition(filter, Some(lookup))?;
        match lookup.column(&filter.key) {
            Some(_) => joined.push(sql),
            None => own.push(sql),
        }
    }
    // The oldest servers look for this column only where it stands outside of a lambda.
    joined.push(format!("at_us >= {}", literal::integer(query.from.0)));
    let all = columns().into_iter().map(|(name, _)| literal::name(&name));
    let own_typed = lookup.take.iter().enumerate();
    let own_typed = own_typed.map(|(index, key)| format!("{} AS o_{index}", Key::own(key).typed));
    let all = list(all.chain(own_typed));
    let source = format!(
        "(SELECT {all}, {} AS j_on FROM {} WHERE {}) AS e ANY LEFT JOIN ({}) AS j USING j_on",
        Key::displayed(&lookup.on),
        from.sql(),
        own.join(" AND "),
        looked_up(lookup, query.to, from),
    );
    Ok(Rows {
        source,
        conditions: joined,
    })
}

/// For each value of the key that both have: since when which values hold, oldest first.
fn looked_up(lookup: &Lookup, to: Timestamp, from: &Tables) -> String {
    let mut outer = vec![
        "j_on".to_owned(),
        "arraySort(groupArray(since)) AS j_at".to_owned(),
    ];
    let mut inner = vec![
        format!("{} AS j_on", Key::displayed(&lookup.on)),
        "at_us AS since".to_owned(),
    ];
    for (index, name) in lookup.take.iter().enumerate() {
        inner.push(format!("{} AS v_{index}", Key::own(name).typed));
        outer.push(format!(
            "arraySort((value, time) -> time, groupArray(v_{index}), groupArray(since)) AS j_{index}"
        ));
    }
    let mut conditions = vec![
        format!("dataset = {}", literal::text(&lookup.dataset)),
        format!("hour <= {}", literal::integer(hour(to.0.saturating_sub(1)))),
        format!("at_us < {}", literal::integer(to.0)),
    ];
    conditions.push(Key::own(&lookup.on).present);
    format!(
        "SELECT {} FROM (SELECT {} FROM {} WHERE {}) AS v GROUP BY j_on",
        list(outer),
        list(inner),
        from.sql(),
        conditions.join(" AND ")
    )
}

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

fn order(query: &ResolvedQuery, calc_sql: &[String]) -> Vec<String> {
    let mut terms = Vec::new();
    let implied: Vec<Order>;
    let orders = if query.order_by.is_empty() {
        let time = query.bucket.map(|_| Order {
            column: TIME_COLUMN.to_owned(),
            direction: Direction::Ascending,
        });
        let first = query.calcs.first().map(|calc| Order {
            column: andon_store::calc_name(calc),
            direction: Direction::Descending,
        });
        implied = time.into_iter().chain(first).collect();
        &implied
    } else {
        &query.order_by
    };
    for order in orders {
        let way = match order.direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        };
        if query.bucket.is_some() && order.column == TIME_COLUMN {
            terms.push(format!("t {way}"));
        } else if let Some(index) = query.group_by.iter().position(|key| *key == order.column) {
            key_order(index, way, &mut terms);
        } else {
            let mut calcs = query.calcs.iter();
            let found = calcs.position(|calc| andon_store::calc_name(calc) == order.column);
            let sql = found.and_then(|index| calc_sql.get(index));
            if let Some(sql) = sql.filter(|sql| !sql.is_empty()) {
                // Quantiles of nothing are zero, which no number's bin is.
                let none = match sql.ends_with(']') {
                    true => format!("({sql} = 0 OR isNaN({sql}))"),
                    false => format!("isNaN(toFloat64({sql}))"),
                };
                terms.push(format!("{none}, {sql} {way}"));
            }
        }
    }
    // Rows that are equal so far come in the same order each time.
    if query.bucket.is_some() {
        terms.push("t ASC".to_owned());
    }
    for index in 0..query.group_by.len() {
        key_order(index, "ASC", &mut terms);
    }
    terms
}

/// Absent ones last; truth before numbers before texts, numbers by size.
fn key_order(index: usize, way: &str, terms: &mut Vec<String>) {
    let kind = format!("substring(g{index}, 1, 1)");
    terms.push(format!("g{index} = '' ASC"));
    terms.push(format!(
        "multiIf({kind} = 'b', 0, {kind} = 't', 2, 1) {way}"
    ));
    terms.push(format!(
        "if({kind} IN ('i', 'f'), toFloat64OrZero(substring(g{index}, 2)), 0) {way}"
    ));
    terms.push(format!("g{index} {way}"));
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

/// Which raw events to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pick {
    /// The newest, or the oldest.
    ByTime(Direction),
    /// Those with the largest durations.
    Slowest,
    /// The newest that failed.
    Failed,
    /// Those whose duration is nearest to this.
    Near(f64),
}

/// SQL for raw events: `at_us` and then the columns of [`event_columns`].
pub fn events(
    query: &ResolvedQuery,
    from: &Tables,
    pick: Pick,
    limit: usize,
) -> Result<String, ClickHouseError> {
    let rows = rows(query, from)?;
    let mut conditions = rows.conditions;
    let duration = Key::own(andon_store::plan::EXEMPLAR_KEY).number;
    let order = match pick {
        Pick::ByTime(Direction::Ascending) => "at_us ASC".to_owned(),
        Pick::ByTime(Direction::Descending) => "at_us DESC".to_owned(),
        Pick::Slowest => {
            conditions.push(format!("NOT isNaN({duration})"));
            format!("{duration} DESC, at_us DESC")
        }
        Pick::Failed => {
            conditions.push(failed());
            "at_us DESC".to_owned()
        }
        Pick::Near(middle) => {
            conditions.push(format!("isFinite({duration})"));
            format!(
                "abs({duration} - {}) ASC, at_us DESC",
                literal::number(middle)
            )
        }
    };
    let mut select: Vec<String> = event_columns().iter().map(|name| exact(name)).collect();
    if let Some(lookup) = &query.lookup {
        for (index, take) in lookup.take.iter().enumerate() {
            let qualified = format!("{}.{take}", lookup.dataset);
            let typed = Key::named(&qualified, Some(lookup)).typed;
            select.push(format!("{typed} AS x{index}"));
        }
    }
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {order} LIMIT {limit}",
        list(select),
        rows.source,
        conditions.join(" AND ")
    ))
}

/// A column as it is read: floats as texts, of which no reader of JSON rounds the last digit.
fn exact(name: &str) -> String {
    let column = literal::name(name);
    match hot(name) {
        Some(Hot::Number) => format!("toString({column})"),
        _ if name == "number_values" => format!("arrayMap(x -> toString(x), {column})"),
        _ => column,
    }
}

/// The columns that make up an event, in their order.
pub fn event_columns() -> Vec<String> {
    let all = columns().into_iter().map(|(name, _)| name);
    all.filter(|name| !["dataset", "hour", "block"].contains(&name.as_str()))
        .collect()
}

/// SQL for the median duration.
pub fn median(query: &ResolvedQuery, from: &Tables) -> Result<String, ClickHouseError> {
    let rows = rows(query, from)?;
    let duration = Key::own(andon_store::plan::EXEMPLAR_KEY).number;
    Ok(format!(
        "SELECT quantileExactWeightedIf(0.5)({}, 1, isFinite({duration})), countIf(isFinite({duration})) FROM {} WHERE {}",
        bins::bin(&duration),
        rows.source,
        rows.conditions.join(" AND ")
    ))
}
