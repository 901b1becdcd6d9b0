//! Conditions as SQL.

use crate::error::ClickHouseError;
use crate::key::Key;
use crate::literal;
use andon_model::event::{Value, key};
use andon_store::{Condition, Lookup, Test};

/// SQL that is 1 for events that the condition holds for.
pub fn condition(
    condition: &Condition,
    lookup: Option<&Lookup>,
) -> Result<String, ClickHouseError> {
    let key = Key::named(&condition.key, lookup);
    Ok(match &condition.test {
        Test::Exists => key.present,
        Test::Equal(value) => equal(&key, value),
        Test::NotEqual(value) => format!("NOT {}", equal(&key, value)),
        Test::Less(value) => ordered(&key, "<", value),
        Test::AtMost(value) => ordered(&key, "<=", value),
        Test::More(value) => ordered(&key, ">", value),
        Test::AtLeast(value) => ordered(&key, ">=", value),
        Test::In(values) => any_of(&key, values),
        Test::Contains(text) => {
            let found = format!(
                "positionCaseInsensitive({}, {}) > 0",
                key.text,
                literal::text(text)
            );
            match text.is_empty() {
                true => key.has_text,
                false => format!("({found})"),
            }
        }
        Test::Matches(pattern) => {
            // In ClickHouse the dot is also an end of line unless it is told. The oldest
            // servers look for plain letters of a pattern first, in their case and whatever
            // `(?i)` says, but not within brackets.
            let pattern = literal::text(&format!("(?-s)(?:{pattern})"));
            format!("({} AND match({}, {pattern}))", key.has_text, key.text)
        }
    })
}

fn number_of(value: &Value) -> Option<f64> {
    value.number()
}

fn equal(key: &Key, value: &Value) -> String {
    match value {
        Value::Text(text) if text.is_empty() => format!("({} AND {} = '')", key.has_text, key.text),
        Value::Text(text) => format!("({} = {})", key.text, literal::text(text)),
        Value::Bool(truth) => format!(
            "({} AND {} = {})",
            key.has_truth,
            key.truth,
            u8::from(*truth)
        ),
        Value::Integer(_) | Value::Float(_) => match number_of(value) {
            Some(number) if !number.is_nan() => {
                format!("({} = {})", key.number, literal::number(number))
            }
            _ => "0".to_owned(),
        },
    }
}

fn ordered(key: &Key, sign: &str, value: &Value) -> String {
    match value {
        Value::Text(text) => {
            format!(
                "({} AND {} {sign} {})",
                key.has_text,
                key.text,
                literal::text(text)
            )
        }
        Value::Bool(truth) => {
            format!(
                "({} AND {} {sign} {})",
                key.has_truth,
                key.truth,
                u8::from(*truth)
            )
        }
        Value::Integer(_) | Value::Float(_) => match number_of(value) {
            Some(number) if !number.is_nan() => {
                format!("({} {sign} {})", key.number, literal::number(number))
            }
            _ => "0".to_owned(),
        },
    }
}

fn any_of(key: &Key, values: &[Value]) -> String {
    let mut alternatives = Vec::new();
    let texts = values.iter().filter_map(|value| match value {
        Value::Text(text) if !text.is_empty() => Some(literal::text(text)),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    if !texts.is_empty() {
        alternatives.push(format!("{} IN ({})", key.text, texts.join(", ")));
    }
    let numbers = values
        .iter()
        .filter_map(number_of)
        .filter(|number| !number.is_nan());
    let numbers: Vec<String> = numbers.map(literal::number).collect();
    if !numbers.is_empty() {
        alternatives.push(format!("{} IN ({})", key.number, numbers.join(", ")));
    }
    for value in values {
        match value {
            Value::Bool(_) => alternatives.push(equal(key, value)),
            Value::Text(text) if text.is_empty() => alternatives.push(equal(key, value)),
            _ => {}
        }
    }
    match alternatives.is_empty() {
        true => "0".to_owned(),
        false => format!("({})", alternatives.join(" OR ")),
    }
}

/// SQL that is 1 for events that failed, as the model defines it for `error_share`.
pub fn failed() -> String {
    let status = Key::own(key::STATUS);
    let severity = Key::own(key::SEVERITY);
    let error = Key::own("error");
    format!(
        "({} = 'error' OR {} >= 500 OR {} IN ('error', 'fatal') OR ({} AND {} = 1))",
        status.text, status.number, severity.text, error.has_truth, error.truth
    )
}
