//! Conditions over single events, for what no store has answered yet: the live tail.

use crate::pattern;
use andon_model::event::{Event, Value};
use andon_store::{Condition, Test};
use regex::Regex;
use std::cmp::Ordering;

/// Conditions made ready. All must hold.
#[derive(Debug, Clone)]
pub struct Predicate {
    tests: Vec<(String, Ready)>,
}

#[derive(Debug, Clone)]
enum Ready {
    Plain(Test),
    /// What is looked for, its ASCII letters small.
    Contains(Vec<u8>),
    Matches(Regex),
}

impl Predicate {
    /// Makes conditions ready; a wrong expression is told in a line.
    pub fn new(conditions: &[Condition]) -> Result<Self, String> {
        let ready = |condition: &Condition| {
            let test = match &condition.test {
                Test::Contains(text) => Ready::Contains(text.to_ascii_lowercase().into_bytes()),
                Test::Matches(text) => Ready::Matches(pattern::compile(text)?),
                other => Ready::Plain(other.clone()),
            };
            Ok((condition.key.clone(), test))
        };
        let tests = conditions.iter().map(ready);
        Ok(Self {
            tests: tests.collect::<Result<_, String>>()?,
        })
    }

    /// Whether all conditions hold for an event.
    pub fn matches(&self, event: &Event) -> bool {
        self.holds(|key| event.get(key))
    }

    /// Whether all conditions hold for the values that `get` finds.
    pub fn holds<'v>(&self, get: impl Fn(&str) -> Option<&'v Value>) -> bool {
        let mut tests = self.tests.iter();
        tests.all(|(key, test)| test.holds(get(key)))
    }
}

impl Ready {
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Plain(Test::NotEqual(other)), None) => {
                let _ = other;
                true
            }
            (_, None) => false,
            (Self::Plain(test), Some(value)) => plain(test, value),
            (Self::Contains(wanted), Some(Value::Text(text))) => contains(text, wanted),
            (Self::Matches(pattern), Some(Value::Text(text))) => pattern.is_match(text),
            (Self::Contains(_) | Self::Matches(_), Some(_)) => false,
        }
    }
}

fn plain(test: &Test, value: &Value) -> bool {
    let is = |other: &Value, wanted: &[Ordering]| {
        compare(value, other).is_some_and(|order| wanted.contains(&order))
    };
    match test {
        Test::Equal(other) => is(other, &[Ordering::Equal]),
        Test::NotEqual(other) => !is(other, &[Ordering::Equal]),
        Test::Less(other) => is(other, &[Ordering::Less]),
        Test::AtMost(other) => is(other, &[Ordering::Less, Ordering::Equal]),
        Test::More(other) => is(other, &[Ordering::Greater]),
        Test::AtLeast(other) => is(other, &[Ordering::Greater, Ordering::Equal]),
        Test::In(others) => others.iter().any(|other| is(other, &[Ordering::Equal])),
        Test::Exists => true,
        // Made ready in their own forms.
        Test::Contains(_) | Test::Matches(_) => false,
    }
}

/// How two values of one kind compare; none if they are of two kinds, or not a number.
pub fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        _ => left.number()?.partial_cmp(&right.number()?),
    }
}

/// Whether a text holds another whose ASCII letters are small, whatever its own case.
fn contains(text: &str, wanted: &[u8]) -> bool {
    find(text.as_bytes(), wanted).is_some()
}

/// Where a text first holds another, whatever the case of ASCII letters.
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    let mut windows = text.windows(wanted.len());
    windows.position(|window| window.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::resolve::conditions;
    use andon_model::time::Timestamp;

    #[test]
    fn conditions_hold_as_the_model_says() {
        let event = Event::new(Timestamp(0))
            .with("body", "Connection RESET by peer")
            .with("status", Value::Integer(503))
            .with("ratio", Value::Float(503.0))
            .with("odd", Value::Float(f64::NAN))
            .with("ok", Value::Bool(false))
            .with("empty", "");
        let check = |text: &str, expected: bool| {
            let query = parse(&format!("logs | where {text}")).unwrap();
            let predicate = Predicate::new(&conditions(&query)).unwrap();
            assert_eq!(predicate.matches(&event), expected, "{text}");
        };
        check("status = 503", true);
        check("status = 503.0", true);
        check("ratio = 503", true);
        check("status = \"503\"", false);
        check("status != \"503\"", true);
        check("status >= 500 and status < 600", true);
        check("status > \"a\"", false);
        check("body contains reset", true);
        check("body contains \"\"", true);
        check("status contains 5", false);
        check("body matches \"(?i)reset\\b\"", true);
        check("body matches reset", false);
        check("missing != 5", true);
        check("missing = 5", false);
        check("missing exists", false);
        check("empty exists", true);
        check("empty = \"\"", true);
        check("ok = false", true);
        check("ok in (true, 503)", false);
        check("status in (1, 503)", true);
        check("odd = 1", false);
        check("odd != 1", true);
        check("odd < 1", false);
        check("body >= Connection", true);
    }
}
