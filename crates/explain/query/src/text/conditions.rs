//! Conditions: `status >= 500 and zone in (a, b)`.

use super::error::TextError;
use super::parse::{Expect, Parser, Read};
use super::token::TokenKind;
use crate::words::nearest;
use andon_model::event::Value;
use andon_model::query::{Filter, FilterOp, Operand};

impl Parser {
    /// Conditions up to the end of the stage, or to the time that follows them. Their places are
    /// noted under `field`, counted from `first`.
    pub(super) fn filters(&mut self, field: &str, first: usize) -> Read<Vec<Filter>> {
        let mut found = Vec::new();
        loop {
            found.push(self.filter(&format!("{field}[{}]", first + found.len()))?);
            if self.word("and") || self.word("&&") {
                continue;
            }
            let is_time = |word: &str| ["from", "to"].contains(&word.to_ascii_lowercase().as_str());
            let timed = matches!(self.peek(), Some(TokenKind::Word(word)) if is_time(word));
            if timed && field != "where" {
                return Ok(found);
            }
            if let Some(TokenKind::Word(word)) = self.peek() {
                let word = word.to_ascii_lowercase();
                let error = self.odd("conditions are joined by `and`");
                return Err(match word.as_str() {
                    "or" => error.help("for one of several values write `key in (a, b)`"),
                    _ => error.help("a value with blanks needs quotes"),
                });
            }
            if self.peek() == Some(&TokenKind::Comma) {
                return Err(self.odd("conditions are joined by `and`"));
            }
            return Ok(found);
        }
    }

    fn filter(&mut self, path: &str) -> Read<Filter> {
        let start = self.here().start;
        let name = self.key(Expect::Key)?;
        self.noted(format!("{path}.key"), start);
        if name.eq_ignore_ascii_case("not") && matches!(self.peek(), Some(TokenKind::Word(_))) {
            let error = TextError::new(self.last(), "conditions are not turned round by `not`");
            return Err(error.help("write `key != value`"));
        }
        let at = self.here().start;
        let op = self.operator()?;
        self.noted(format!("{path}.op"), at);
        let at = self.here().start;
        let value = match op {
            FilterOp::Exists => None,
            FilterOp::In => Some(Operand::Many(self.list(&name, path)?)),
            FilterOp::Contains | FilterOp::Matches => {
                let text = self.bare(
                    Expect::Value { key: name.clone() },
                    "a text to look for is missing",
                );
                Some(Operand::One(Value::Text(text?)))
            }
            _ => Some(Operand::One(self.value(&name)?)),
        };
        if value.is_some() {
            self.noted(format!("{path}.value"), at);
        }
        self.noted(path, start);
        Ok(Filter {
            key: name,
            op,
            value,
        })
    }

    fn operator(&mut self) -> Read<FilterOp> {
        self.at_end(Expect::Operator);
        let op = match self.peek() {
            Some(TokenKind::Operator(sign)) => match *sign {
                "=" | "==" => FilterOp::Equal,
                "!=" => FilterOp::NotEqual,
                "<" => FilterOp::Less,
                "<=" => FilterOp::AtMost,
                ">" => FilterOp::More,
                ">=" => FilterOp::AtLeast,
                "~" => FilterOp::Matches,
                _ => {
                    let help = "only `~` (matches) exists";
                    return Err(self
                        .odd("there is no way to ask for what does not match")
                        .help(help));
                }
            },
            Some(TokenKind::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "in" => FilterOp::In,
                "contains" => FilterOp::Contains,
                "matches" => FilterOp::Matches,
                "exists" => FilterOp::Exists,
                other => {
                    let valid = ["in", "contains", "matches", "exists"];
                    let error = self.odd(format!("`{other}` compares nothing"));
                    return Err(match nearest(other, valid) {
                        Some(word) => error.nearest(Some(word)),
                        None => error.help(
                            "use = != < <= > >= in contains matches exists; a key with blanks needs backticks",
                        ),
                    });
                }
            },
            _ => {
                let help = "such as `status >= 500` or `trace_id exists`";
                return Err(self
                    .odd("a condition compares a key with a value")
                    .help(help));
            }
        };
        self.at += 1;
        Ok(op)
    }

    fn list(&mut self, name: &str, path: &str) -> Read<Vec<Value>> {
        self.at_end(Expect::Word("("));
        if !self.eat(&TokenKind::Open) {
            let help = "write `key in (a, b)`";
            return Err(self.odd("a list of values begins with `(`").help(help));
        }
        let mut values = Vec::new();
        loop {
            let at = self.here().start;
            let value = self.value(name)?;
            self.noted(format!("{path}.value[{}]", values.len()), at);
            values.push(value);
            if self.comma() {
                continue;
            }
            self.at_end(Expect::Word(")"));
            if self.eat(&TokenKind::Close) {
                return Ok(values);
            }
            return Err(self.odd("a list of values goes on with `,` or ends with `)`"));
        }
    }

    fn value(&mut self, name: &str) -> Read<Value> {
        self.at_end(Expect::Value {
            key: name.to_owned(),
        });
        let value = match self.peek() {
            Some(TokenKind::Text(text)) => Value::Text(text.clone()),
            Some(TokenKind::Word(word)) => bare_value(word),
            _ => return Err(self.odd(format!("a value of `{name}` is missing"))),
        };
        self.at += 1;
        Ok(value)
    }
}

/// The value that a word without quotes is: a number, true, false, else a text.
pub(super) fn bare_value(word: &str) -> Value {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit());
    match word {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ if !numeric => return Value::Text(word.to_owned()),
        _ => {}
    }
    if let Ok(integer) = word.parse() {
        return Value::Integer(integer);
    }
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::Float(number),
        _ => Value::Text(word.to_owned()),
    }
}
