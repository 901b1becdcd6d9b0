//! Whether a question makes sense, whoever wrote it and in whichever form. Each problem names
//! the field by its path in JSON (`where[1].op`); the text form turns the path into a place.

use crate::when::{self, MOMENT_HELP};
use crate::words::{calc_name, calc_word, nearest};
use andon_model::event::{KEY_BYTES_MAX, TEXT_BYTES_MAX, Value, is_dataset_name};
use andon_model::query::{
    Calc, CalcOp, EXEMPLARS_MAX, Filter, FilterOp, GROUP_BY_MAX, LIMIT_DEFAULT, LIMIT_MAX, Operand,
    Query, When,
};
use andon_model::time::Timestamp;
use serde::Serialize;

/// Conditions of one question at most; each costs every event a look.
pub const FILTERS_MAX: usize = 64;
/// Calculations of one question at most.
pub const CALCS_MAX: usize = 32;
/// Values in one `in (…)` at most.
pub const IN_VALUES_MAX: usize = 10_000;
/// Columns to sort by at most.
pub const ORDER_MAX: usize = 16;
/// Keys that a join takes over at most.
pub const TAKE_MAX: usize = 32;
/// Name of the column with time buckets.
pub const TIME_COLUMN: &str = "time";

/// What is wrong with one field of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Where: `where[1].op`; `.` for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// One without help.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            help: None,
        }
    }

    /// With what to write.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All problems of a question, in the order of its fields; empty if it makes sense.
pub fn check(query: &Query) -> Vec<Problem> {
    let mut problems = Vec::new();
    dataset(&query.dataset, "dataset", &mut problems);
    for (path, when) in [("from", &query.from), ("to", &query.to)] {
        if let Some(when) = when {
            moment(when, path, &mut problems);
        }
    }
    filters(&query.filters, "where", &mut problems);
    groups(query, &mut problems);
    calcs(query, &mut problems);
    join(query, &mut problems);
    order(query, &mut problems);
    amounts(query, &mut problems);
    differ(query, &mut problems);
    problems
}

fn dataset(name: &str, path: &str, problems: &mut Vec<Problem>) {
    if name.is_empty() {
        problems.push(
            Problem::new(path, "no dataset is named")
                .help("begin with the name of a dataset, such as `logs`"),
        );
    } else if !is_dataset_name(name) {
        problems.push(
            Problem::new(path, format!("`{}` cannot name a dataset", shown(name)))
                .help("letters, digits, `-`, `_` and `.`, at most 64, begun by a letter or digit"),
        );
    }
}

fn moment(when: &When, path: &str, problems: &mut Vec<Problem>) {
    // Which moment `now` is does not matter for whether the text is one.
    if when::moment(when, Timestamp(0)).is_none() {
        let text = match when {
            When::EpochMs(ms) => ms.to_string(),
            When::Text(text) => shown(text),
        };
        problems.push(Problem::new(path, format!("`{text}` is no moment")).help(MOMENT_HELP));
    }
}

fn key(name: &str, path: &str, problems: &mut Vec<Problem>) {
    if name.is_empty() {
        problems.push(Problem::new(path, "a key has at least one letter"));
    } else if name.len() > KEY_BYTES_MAX {
        problems.push(Problem::new(
            path,
            format!("a key has at most {KEY_BYTES_MAX} bytes"),
        ));
    }
}

fn too_many(count: usize, max: usize, what: &str, path: &str, problems: &mut Vec<Problem>) {
    if count > max {
        let message = format!("{count} {what}; at most {max} are possible");
        problems.push(Problem::new(path, message));
    }
}

fn filters(filters: &[Filter], field: &str, problems: &mut Vec<Problem>) {
    too_many(filters.len(), FILTERS_MAX, "conditions", field, problems);
    for (index, filter) in filters.iter().enumerate() {
        key(&filter.key, &format!("{field}[{index}].key"), problems);
        let path = format!("{field}[{index}].value");
        match (filter.op, &filter.value) {
            (FilterOp::Exists, None) => {}
            (FilterOp::Exists, Some(_)) => {
                problems.push(Problem::new(path, "`exists` takes no value"));
            }
            (_, None) => {
                problems.push(Problem::new(path, "a value is missing to compare with"));
            }
            (FilterOp::In, Some(Operand::Many(values))) => {
                if values.is_empty() {
                    problems.push(Problem::new(&*path, "the list is empty: nothing is in it"));
                }
                too_many(values.len(), IN_VALUES_MAX, "values", &path, problems);
                for (number, value) in values.iter().enumerate() {
                    operand(value, filter.op, &format!("{path}[{number}]"), problems);
                }
            }
            (FilterOp::In, Some(Operand::One(_))) => {
                problems.push(Problem::new(path, "`in` takes a list").help("write `in (a, b)`"));
            }
            (_, Some(Operand::Many(_))) => {
                problems.push(
                    Problem::new(path, "a list is compared with by `in` only")
                        .help("write `in (a, b)`"),
                );
            }
            (op, Some(Operand::One(value))) => operand(value, op, &path, problems),
        }
    }
}

fn operand(value: &Value, op: FilterOp, path: &str, problems: &mut Vec<Problem>) {
    let ordered = matches!(
        op,
        FilterOp::Less | FilterOp::AtMost | FilterOp::More | FilterOp::AtLeast
    );
    match (op, value) {
        (_, Value::Float(number)) if !number.is_finite() => {
            problems.push(Problem::new(path, "a number has an end"));
        }
        (_, Value::Text(text)) if text.len() > TEXT_BYTES_MAX => {
            let message = format!("a text has at most {TEXT_BYTES_MAX} bytes");
            problems.push(Problem::new(path, message));
        }
        (FilterOp::Matches, Value::Text(pattern)) => {
            if let Err(why) = crate::pattern::compile(pattern) {
                problems.push(
                    Problem::new(path, format!("no regular expression: {why}"))
                        .help("for a plain text use `contains`"),
                );
            }
        }
        (FilterOp::Contains | FilterOp::Matches, value) if !matches!(value, Value::Text(_)) => {
            problems.push(
                Problem::new(path, "this is looked for in texts, and must be one")
                    .help(format!("put it in quotes: \"{value}\"")),
            );
        }
        (_, Value::Bool(_)) if ordered => {
            problems.push(Problem::new(path, "true and false are in no order"));
        }
        _ => {}
    }
}

fn groups(query: &Query, problems: &mut Vec<Problem>) {
    let keys = &query.group_by;
    too_many(
        keys.len(),
        GROUP_BY_MAX,
        "keys to group by",
        "group_by",
        problems,
    );
    for (index, name) in keys.iter().enumerate() {
        let path = format!("group_by[{index}]");
        key(name, &path, problems);
        if keys[..index].contains(name) {
            problems.push(Problem::new(
                &*path,
                format!("`{}` is here twice", shown(name)),
            ));
        }
        if name == TIME_COLUMN && query.bucket.is_some() {
            problems.push(
                Problem::new(path, "the column of time buckets has this name already")
                    .help("leave the key or the bucket out"),
            );
        }
    }
    if let Some(bucket) = &query.bucket
        && bucket != "auto"
        && when::span_us(bucket).is_none()
    {
        problems.push(
            Problem::new("bucket", format!("`{}` is no width of time", shown(bucket)))
                .help("write `10s`, `1m`, `1h30m`, or `auto` for about a hundred of them"),
        );
    }
}

/// Whether a calculation cannot do without a key.
pub fn needs_key(op: CalcOp) -> bool {
    !matches!(
        op,
        CalcOp::Count | CalcOp::Rate | CalcOp::ErrorShare | CalcOp::Percent
    )
}

fn calcs(query: &Query, problems: &mut Vec<Problem>) {
    too_many(
        query.calc.len(),
        CALCS_MAX,
        "calculations",
        "calc",
        problems,
    );
    for (index, calc) in query.calc.iter().enumerate() {
        let word = calc_word(calc.op);
        match &calc.key {
            Some(name) if calc.op == CalcOp::ErrorShare => {
                problems.push(
                    Problem::new(
                        format!("calc[{index}].key"),
                        format!("`{word}` looks at whole events, not at `{}`", shown(name)),
                    )
                    .help(format!("write `{word}`")),
                );
            }
            Some(name) => key(name, &format!("calc[{index}].key"), problems),
            None if needs_key(calc.op) => {
                problems.push(
                    Problem::new(format!("calc[{index}]"), format!("`{word}` of what?"))
                        .help(format!("name a key: `{word}(duration_ms)`")),
                );
            }
            None => {}
        }
        if query.calc[..index].contains(calc) {
            problems.push(Problem::new(
                format!("calc[{index}]"),
                format!("`{}` is asked for twice", shown(&calc_name(calc))),
            ));
        }
    }
}

fn join(query: &Query, problems: &mut Vec<Problem>) {
    let Some(join) = &query.join else { return };
    dataset(&join.dataset, "join.dataset", problems);
    key(&join.on, "join.on", problems);
    if join.take.is_empty() {
        problems.push(
            Problem::new("join.take", "nothing is taken from the other dataset")
                .help("name keys: `join hosts on host take kernel`"),
        );
    }
    too_many(
        join.take.len(),
        TAKE_MAX,
        "keys to take",
        "join.take",
        problems,
    );
    for (index, name) in join.take.iter().enumerate() {
        let path = format!("join.take[{index}]");
        key(name, &path, problems);
        if join.take[..index].contains(name) {
            problems.push(Problem::new(
                path,
                format!("`{}` is here twice", shown(name)),
            ));
        }
    }
}

/// Names of an answer's columns in their order. Raw events have the columns that they have.
pub fn columns(query: &Query) -> Vec<String> {
    let bucket = query.bucket.as_ref().map(|_| TIME_COLUMN.to_owned());
    let mut names: Vec<String> = bucket.into_iter().collect();
    names.extend(query.group_by.iter().cloned());
    let implied = [Calc {
        op: CalcOp::Count,
        key: None,
    }];
    let calcs = if query.calc.is_empty() {
        &implied[..]
    } else {
        &query.calc
    };
    for calc in calcs {
        let name = calc_name(calc);
        if query.compare.is_some() && calc.op != CalcOp::Heatmap {
            let beside = [format!("{name}.before"), format!("{name}.change")];
            names.push(name);
            names.extend(beside);
        } else {
            names.push(name);
        }
    }
    names
}

/// Whether the answer is raw events: nothing is calculated or grouped.
pub fn is_raw(query: &Query) -> bool {
    query.calc.is_empty() && query.group_by.is_empty() && query.bucket.is_none()
}

fn order(query: &Query, problems: &mut Vec<Problem>) {
    too_many(
        query.order_by.len(),
        ORDER_MAX,
        "columns to sort by",
        "order_by",
        problems,
    );
    let valid = columns(query);
    for (index, column) in query.order_by.iter().enumerate() {
        let path = format!("order_by[{index}]");
        let name = column.strip_prefix('-').unwrap_or(column);
        if name.is_empty() {
            problems.push(Problem::new(path, "a column has a name"));
        } else if is_raw(query) {
            if name != TIME_COLUMN {
                problems.push(
                    Problem::new(path, "raw events come by time").help("write `time` or `-time`"),
                );
            }
        } else if !valid.iter().any(|other| other == name) {
            let meant = nearest(name, valid.iter().map(String::as_str));
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("columns are {}", list(&valid)),
            };
            let message = format!("the answer has no column `{}`", shown(name));
            problems.push(Problem::new(path, message).help(help));
        }
    }
}

fn amounts(query: &Query, problems: &mut Vec<Problem>) {
    if let Some(limit) = query.limit
        && !(1..=LIMIT_MAX).contains(&limit)
    {
        let message = format!("{limit} rows; from 1 to {LIMIT_MAX} are possible");
        problems.push(Problem::new("limit", message));
    }
    if let Some(skip) = query.skip
        && skip.saturating_add(query.limit.unwrap_or(LIMIT_DEFAULT)) > LIMIT_MAX
    {
        let message = format!("rows are reached up to the {LIMIT_MAX}th");
        problems.push(Problem::new("skip", message).help("end the time earlier instead"));
    }
    if query.skip.is_some() && query.compare.is_some() {
        let message = "rows of a comparison are not skipped";
        problems.push(Problem::new("skip", message).help("ask for `top N`"));
    }
    if let Some(count) = query.exemplars {
        too_many(count, EXEMPLARS_MAX, "exemplars", "exemplars", problems);
    }
    if let Some(compare) = &query.compare {
        if when::compare_us(compare).is_none() {
            problems.push(
                Problem::new("compare", format!("`{}` is no time before", shown(compare)))
                    .help("write `-1d` for the same time a day earlier"),
            );
        }
        if is_raw(query) {
            problems.push(
                Problem::new("compare", "raw events are not compared")
                    .help("calculate something: `count`"),
            );
        }
    }
}

/// What sets events apart is an answer of its own form.
fn differ(query: &Query, problems: &mut Vec<Problem>) {
    let Some(differ) = &query.differ else { return };
    filters(&differ.filters, "differ.where", problems);
    for (path, when) in [("differ.from", &differ.from), ("differ.to", &differ.to)] {
        if let Some(when) = when {
            moment(when, path, problems);
        }
    }
    if differ.filters.is_empty() && differ.from.is_none() && differ.to.is_none() {
        problems.push(
            Problem::new("differ", "which events are to be set apart?")
                .help("write `differ duration_ms >= 500`"),
        );
    }
    let others = [
        ("calc", !query.calc.is_empty()),
        ("group_by", !query.group_by.is_empty()),
        ("bucket", query.bucket.is_some()),
        ("order_by", !query.order_by.is_empty()),
        ("exemplars", query.exemplars.is_some()),
        ("compare", query.compare.is_some()),
        ("skip", query.skip.is_some()),
    ];
    for (path, _) in others.into_iter().filter(|(_, is_there)| *is_there) {
        let message = "`differ` goes through all keys itself";
        problems.push(Problem::new(path, message).help("leave this out, or `differ`"));
    }
}

/// A name in a message: control characters out, and not longer than a line.
fn shown(name: &str) -> String {
    let plain = name.chars().filter(|c| !c.is_control());
    let mut text: String = plain.take(60).collect();
    if name.chars().count() > 60 {
        text.push('…');
    }
    text
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", shown(name)))
        .collect();
    quoted.join(", ")
}
