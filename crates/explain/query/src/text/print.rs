//! From question to text, always the same text for the same question.

use super::conditions::bare_value;
use super::stages::is_bucket;
use super::token::{ends_word, quote};
use crate::when;
use crate::words::{calc_op, calc_word, operator_word};
use andon_model::event::Value;
use andon_model::query::{Differ, Filter, Operand, Query, When};

/// Words that a key must not look like without backticks; each means something somewhere.
const RESERVED: [&str; 15] = [
    "from", "and", "or", "not", "in", "contains", "matches", "exists", "by", "on", "to", "take",
    "asc", "desc", "auto",
];

/// Writes a question. What [`super::parse()`] makes of it is the same question, if it makes
/// sense at all ([`crate::check()`]).
pub fn print(query: &Query) -> String {
    let mut stages = vec![dataset(&query.dataset)];
    if let Some(join) = &query.join {
        let take: Vec<String> = join.take.iter().map(|name| key(name)).collect();
        let on = key(&join.on);
        stages.push(format!(
            "join {} on {on} take {}",
            dataset(&join.dataset),
            take.join(", ")
        ));
    }
    if !query.filters.is_empty() {
        let filters: Vec<String> = query.filters.iter().map(filter).collect();
        stages.push(format!("where {}", filters.join(" and ")));
    }
    let mut by: Vec<String> = query.group_by.iter().map(|name| key(name)).collect();
    by.extend(query.bucket.clone());
    if !by.is_empty() {
        stages.push(format!("by {}", by.join(", ")));
    }
    if !query.calc.is_empty() {
        let calcs = query.calc.iter().map(|calc| match &calc.key {
            Some(name) => format!("{}({})", calc_word(calc.op), key(name)),
            None => calc_word(calc.op).to_owned(),
        });
        stages.push(calcs.collect::<Vec<_>>().join(", "));
    }
    stages.extend(time(query));
    stages.extend(rows(query));
    if let Some(count) = query.exemplars {
        stages.push(format!("exemplars {count}"));
    }
    if let Some(compare) = &query.compare {
        stages.push(format!("compare {compare}"));
    }
    if let Some(count) = query.skip {
        stages.push(format!("skip {count}"));
    }
    stages.extend(query.differ.as_ref().map(differ));
    stages.join(" | ")
}

fn dataset(name: &str) -> String {
    if name.is_empty() || name.contains(ends_word) {
        quote(name, '"')
    } else {
        name.to_owned()
    }
}

/// A key as it is written in a question: in backticks if it could be taken for something else.
pub fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-/:@$".contains(c);
    let begins = |c: char| c.is_ascii_alphabetic() || "_@$".contains(c);
    let bare = name.starts_with(begins)
        && name.chars().all(plain)
        && !RESERVED.contains(&name.to_ascii_lowercase().as_str())
        && !is_bucket(name);
    if bare {
        name.to_owned()
    } else {
        quote(name, '`')
    }
}

/// A value as it is written in a question.
pub fn value(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        // Debug keeps the point of a whole number, so that it reads back as what it is.
        Value::Float(value) => format!("{value:?}"),
        Value::Text(text) => quote(text, '"'),
    }
}

/// A condition as it is written in a question.
pub fn filter(filter: &Filter) -> String {
    let key = key(&filter.key);
    let op = operator_word(filter.op);
    match &filter.value {
        None => format!("{key} {op}"),
        Some(Operand::One(one)) => format!("{key} {op} {}", value(one)),
        Some(Operand::Many(many)) => {
            let many: Vec<String> = many.iter().map(value).collect();
            format!("{key} {op} ({})", many.join(", "))
        }
    }
}

fn differ(differ: &Differ) -> String {
    let filters: Vec<String> = differ.filters.iter().map(filter).collect();
    let mut text = "differ".to_owned();
    if !filters.is_empty() {
        text.push(' ');
        text.push_str(&filters.join(" and "));
    }
    for (word, when) in [("from", &differ.from), ("to", &differ.to)] {
        if let Some(when) = when {
            text.push_str(&format!(" {word} {}", moment(when)));
        }
    }
    text
}

fn moment(when: &When) -> String {
    match when {
        When::EpochMs(ms) => ms.to_string(),
        When::Text(text) => {
            let bare = !text.is_empty()
                && !text.contains(ends_word)
                && !matches!(bare_value(text), Value::Integer(_));
            if bare { text.clone() } else { quote(text, '"') }
        }
    }
}

fn time(query: &Query) -> Option<String> {
    match (&query.from, &query.to) {
        (Some(When::Text(text)), None)
            if text.strip_prefix('-').and_then(when::span_us).is_some() =>
        {
            Some(format!("last {}", &text[1..]))
        }
        (Some(from), None) => Some(format!("from {}", moment(from))),
        (Some(from), Some(to)) => Some(format!("from {} to {}", moment(from), moment(to))),
        (None, Some(to)) => Some(format!("to {}", moment(to))),
        (None, None) => None,
    }
}

fn rows(query: &Query) -> Vec<String> {
    if let (Some(limit), [only]) = (query.limit, query.order_by.as_slice())
        && let Some(name) = only.strip_prefix('-')
        && !name.starts_with('-')
    {
        return vec![format!("top {limit} by {}", column(name))];
    }
    let mut stages = Vec::new();
    if !query.order_by.is_empty() {
        let columns = query
            .order_by
            .iter()
            .map(|name| match name.strip_prefix('-') {
                Some(name) => format!("-{}", column(name)),
                None => column(name),
            });
        stages.push(format!("order {}", columns.collect::<Vec<_>>().join(", ")));
    }
    if let Some(limit) = query.limit {
        stages.push(format!("top {limit}"));
    }
    stages
}

/// A column's name: a calculation as it is written, else a key.
fn column(name: &str) -> String {
    if let Some((word, rest)) = name.split_once('(')
        && calc_op(word).is_some()
        && let Some((inside, beside)) = rest.rsplit_once(')')
        && ["", ".before", ".change"].contains(&beside)
    {
        return format!("{word}({}){beside}", key(inside));
    }
    key(name)
}
