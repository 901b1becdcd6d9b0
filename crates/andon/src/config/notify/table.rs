//! One table of `[[notify.…]]` as it stands in the file: values with their spots, checked key
//! by key.

use super::keys::{Form, Key};
use crate::config::document::{decimal, kind};
use crate::config::layers::read_text;
use crate::config::problem::{Origin, Problem, Source, Spot, nearest};
use andon_notify::Secret;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest file that holds a secret.
const SECRET_BYTES_MAX: usize = 4_096;

/// Where a secret is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// In the configuration.
    Here(Secret),
    /// In a file of its own.
    File(String),
    /// In the environment.
    Env(String),
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Texts(Vec<(String, Spot)>),
    Secrets(Vec<(String, Found, Spot)>),
}

/// One table as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    home: &'static str,
    held: BTreeMap<&'static str, (Value, Spot)>,
    spot: Spot,
}

impl Table {
    /// Takes the table apart; what is not understood goes to `problems`. `home` is its name in
    /// messages, such as `notify.route`.
    pub fn read(
        home: &'static str,
        keys: &'static [Key],
        table: &DeTable<'_>,
        span: Range<usize>,
        source: &Arc<Source>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let spot = |span: Range<usize>| Spot {
            source: Arc::clone(source),
            start: span.start,
            end: span.end,
        };
        let mut held = BTreeMap::new();
        for (name, value) in table {
            let text: &str = name.get_ref();
            let Some(key) = keys.iter().find(|key| key.name == text) else {
                let names = keys.iter().map(|key| key.name);
                let help = match nearest(text, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("valid here: {}", names.collect::<Vec<_>>().join(", ")),
                };
                let shown = andon_model::id::to_plain_text(text, 64);
                let what = format!("unknown key `{shown}` in [[{home}]]");
                // Whatever it was meant to be, it may be a secret.
                problems.push(Problem {
                    secret: true,
                    ..Problem::new(what, Origin::File(spot(name.span())), help)
                });
                continue;
            };
            let at = spot(value.span());
            match read_value(key, value, &spot) {
                Some(value) => drop(held.insert(key.name, (value, at))),
                None => {
                    let what = format!("`{text}` is not written as {}", kind(value.get_ref()));
                    let help = format!("for example: {text} = {}", key.sample);
                    problems.push(Problem {
                        secret: is_secret(key),
                        ..Problem::new(what, Origin::File(at), help)
                    });
                }
            }
        }
        Self {
            home,
            held,
            spot: spot(span),
        }
    }

    /// Where the table stands.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Whether the key is given.
    pub fn has(&self, key: &str) -> bool {
        self.held.contains_key(key)
    }

    /// Names of keys that are given, with their spots.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &Spot)> {
        self.held.iter().map(|(name, (_, spot))| (*name, spot))
    }
}

fn is_secret(key: &Key) -> bool {
    matches!(key.form, Form::Secret | Form::Secrets)
}

fn read_value(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    spot: &impl Fn(Range<usize>) -> Spot,
) -> Option<Value> {
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some((text.to_string(), spot(value.span()))),
        _ => None,
    };
    let one = |text: String| Some(Value::Texts(vec![(text, spot(value.span()))]));
    match (key.form, value.get_ref()) {
        (Form::Text | Form::List | Form::Moment, DeValue::String(text)) => one(text.to_string()),
        (Form::Number, DeValue::Integer(number)) => one(decimal(number)?),
        (Form::Switch, DeValue::Boolean(switch)) => one(switch.to_string()),
        (Form::Moment, DeValue::Datetime(moment)) => one(moment.to_string()),
        (Form::List, DeValue::Array(items)) => {
            let texts: Option<Vec<_>> = items.iter().map(text).collect();
            Some(Value::Texts(texts?))
        }
        (Form::Secret, _) => {
            let found = read_secret(value)?;
            Some(Value::Secrets(vec![(
                String::new(),
                found,
                spot(value.span()),
            )]))
        }
        (Form::Secrets, DeValue::Table(entries)) => {
            let entry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                Some((name.to_string(), read_secret(value)?, spot(value.span())))
            };
            let entries: Option<Vec<_>> = entries.iter().map(entry).collect();
            Some(Value::Secrets(entries?))
        }
        _ => None,
    }
}

fn read_secret(value: &Spanned<DeValue<'_>>) -> Option<Found> {
    match value.get_ref() {
        DeValue::String(text) => Some(Found::Here(Secret::new(text.to_string()))),
        DeValue::Table(table) if table.len() == 1 => {
            let (name, value) = table.iter().next()?;
            let text = value.get_ref().as_str()?.to_owned();
            match &**name.get_ref() {
                "file" => Some(Found::File(text)),
                "env" => Some(Found::Env(text)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Checks one table; mistakes go to `problems`, with what was expected.
pub struct Checker<'a> {
    /// The table.
    pub table: &'a Table,
    /// Its keys.
    pub keys: &'static [Key],
    /// The environment, for secrets.
    pub env: &'a BTreeMap<String, String>,
    /// Where mistakes go.
    pub problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    /// A mistake about the table as a whole.
    pub fn wrong(&mut self, what: impl Into<String>, help: impl Into<String>) {
        let origin = Origin::File(self.table.spot.clone());
        self.problems.push(Problem {
            // Its first line is `[[…]]`, but a table may also be written in one line.
            secret: true,
            ..Problem::new(what, origin, help)
        });
    }

    /// Complains if the key is not there.
    pub fn need(&mut self, key: &'static str) -> bool {
        if self.table.has(key) {
            return true;
        }
        let known = self.keys.iter().find(|known| known.name == key);
        let sample = known.map_or("", |known| known.sample);
        let what = format!("this [[{}]] has no `{key}`", self.table.home);
        self.wrong(what, format!("for example: {key} = {sample}"));
        false
    }

    /// All values of a key; wrong ones are told and left out.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some((Value::Texts(texts), _)) = self.table.held.get(key) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (text, spot) in texts {
            match check(text) {
                Ok(value) => all.push(value),
                Err(expected) => {
                    let shown = andon_model::id::to_plain_text(text, 80);
                    let what = format!("`{key}` of [[{}]] cannot be {shown:?}", self.table.home);
                    let origin = Origin::File(spot.clone());
                    let help = format!("expected: {expected}");
                    self.problems.push(Problem::new(what, origin, help));
                }
            }
        }
        all
    }

    /// A key's one value.
    pub fn one<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.list(key, check).into_iter().next()
    }

    /// A secret, read from where it is found.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.secrets(key).into_values().next()
    }

    /// Names with secrets.
    pub fn secrets(&mut self, key: &'static str) -> BTreeMap<String, Secret> {
        let Some((Value::Secrets(entries), _)) = self.table.held.get(key) else {
            return BTreeMap::new();
        };
        let mut all = BTreeMap::new();
        for (name, found, spot) in entries {
            let read = match found {
                Found::Here(secret) => Ok(secret.reveal().to_owned()),
                Found::Env(name) => self.env.get(name).cloned().ok_or_else(|| {
                    let name = andon_model::id::to_plain_text(name, 80);
                    (
                        format!("`{key}` names the environment variable {name}, which is not set"),
                        "set it for the node, or name a file instead: { file = \"…\" }".to_owned(),
                    )
                }),
                Found::File(path) => {
                    let base = spot.source.path.parent().unwrap_or(Path::new(""));
                    let path = base.join(path);
                    read_text(&path, SECRET_BYTES_MAX).map_err(|reason| {
                        let path = path.display();
                        (
                            format!("`{key}` names the file {path}, which cannot be read: {reason}"),
                            "let the node's user read it; relative paths are meant from this file's folder"
                                .to_owned(),
                        )
                    })
                }
            };
            let read = read.and_then(|text| match text.trim() {
                "" => Err((format!("`{key}` is empty"), "give it a value".to_owned())),
                text if text.contains(char::is_control) => Err((
                    format!("`{key}` has several lines or control characters"),
                    "a secret is one line".to_owned(),
                )),
                text => Ok(Secret::new(text)),
            });
            match read {
                Ok(secret) => drop(all.insert(name.clone(), secret)),
                Err((what, help)) => self.problems.push(Problem {
                    secret: true,
                    ..Problem::new(what, Origin::File(spot.clone()), help)
                }),
            }
        }
        all
    }
}
