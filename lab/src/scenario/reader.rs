//! Typed access to the tables of a scenario file. Each value that is taken is remembered, so
//! that what nobody took is told as an unknown key; each mistake is told with its place, and
//! reading goes on.

use super::problem::{Problem, Problems, did_you_mean};
use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Text, with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Its bytes in the file.
    pub at: Range<usize>,
}

/// The mistakes found so far, shared by all readers of one file.
pub type Found<'a> = &'a RefCell<Problems>;

/// One table that is being read.
pub struct Table<'t, 'i> {
    name: &'static str,
    at: Range<usize>,
    entries: Vec<(String, Range<usize>, &'t Spanned<DeValue<'i>>)>,
    asked: RefCell<Vec<&'static str>>,
    found: Found<'t>,
}

impl<'t, 'i> Table<'t, 'i> {
    /// Begins to read a table; `name` is how the file writes it, as `[[wire]]`.
    pub fn new(
        name: &'static str,
        at: Range<usize>,
        table: &'t DeTable<'i>,
        found: Found<'t>,
    ) -> Self {
        let entries = table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), key.span(), value))
            .collect();
        Self {
            name,
            at,
            entries,
            asked: RefCell::default(),
            found,
        }
    }

    /// Where the table begins.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Notes a mistake.
    pub fn problem(&self, what: impl Into<String>, at: Range<usize>, help: impl Into<String>) {
        self.found.borrow_mut().found.push(Problem {
            what: what.into(),
            at,
            help: help.into(),
        });
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str, example: &str) {
        self.problem(
            format!("`{key}` is {expected}, not {}", kind(value.get_ref())),
            value.span(),
            format!("for example: {key} = {example}"),
        );
    }

    /// The value of a key as it stands.
    pub fn value(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().push(key);
        self.entries
            .iter()
            .find(|(name, ..)| name == key)
            .map(|(.., value)| *value)
    }

    /// Whether the key stands there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, ..)| name == key)
    }

    /// Text.
    pub fn word(&self, key: &'static str) -> Option<Word> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Word {
                text: text.to_string(),
                at: value.span(),
            }),
            _ => {
                self.wrong(key, value, "text in quotes", "\"…\"");
                None
            }
        }
    }

    /// Text that has to be there.
    pub fn needed(&self, key: &'static str, example: &str) -> Option<Word> {
        if !self.has(key) {
            self.asked.borrow_mut().push(key);
            self.problem(
                format!("{} lacks `{key}`", self.name),
                self.at(),
                format!("for example: {key} = {example}"),
            );
            return None;
        }
        self.word(key)
    }

    /// One text or a list of them.
    pub fn words(&self, key: &'static str) -> Vec<Word> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let one = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(text) => Some(Word {
                text: text.to_string(),
                at: item.span(),
            }),
            _ => {
                self.wrong(
                    key,
                    item,
                    "text in quotes, or a list of it",
                    "[\"…\", \"…\"]",
                );
                None
            }
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(one).collect(),
            _ => one(value).into_iter().collect(),
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, key: &'static str, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong(
                key,
                value,
                "a whole number without quotes",
                &bounds.start().to_string(),
            );
            return None;
        };
        let digits = number.as_str().replace('_', "");
        let read = u32::from_str_radix(&digits, number.radix()).ok();
        let read = read.filter(|number| bounds.contains(number));
        if read.is_none() {
            self.problem(
                format!("`{key}` is out of bounds"),
                value.span(),
                format!("from {} to {}", bounds.start(), bounds.end()),
            );
        }
        read
    }

    /// A number, whole or not, above 0 and up to `most`.
    pub fn share(&self, key: &'static str, most: f64) -> Option<f64> {
        let value = self.value(key)?;
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => {
                self.wrong(key, value, "a number without quotes", "0.5");
                return None;
            }
        };
        let read = text.replace('_', "").parse::<f64>().ok();
        let read = read.filter(|number| *number > 0.0 && *number <= most);
        if read.is_none() {
            self.problem(
                format!("`{key}` is out of bounds"),
                value.span(),
                format!("more than 0, at most {most}"),
            );
        }
        read
    }

    /// Yes or no; absent is no.
    pub fn switch(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(on) => Some(*on),
            _ => {
                self.wrong(key, value, "true or false without quotes", "true");
                None
            }
        }
    }

    /// A time as text, `"5s"` or `"200ms"`.
    pub fn time(&self, key: &'static str) -> Option<Duration> {
        let word = self.word(key)?;
        let read = read_time(&word.text);
        if read.is_none() {
            self.problem(
                format!("`{key}` is a time, and `{}` is none", word.text),
                word.at,
                "a number with its unit: \"200ms\", \"5s\", \"2m\", at most a day",
            );
        }
        read
    }

    /// One of a closed list of words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let word = self.word(key)?;
        self.chosen(key, &word, choices)
    }

    /// The same for a word that was already read.
    pub fn chosen<T: Copy>(&self, key: &str, word: &Word, choices: &[(&str, T)]) -> Option<T> {
        let chosen = choices.iter().find(|(name, _)| *name == word.text);
        if chosen.is_none() {
            self.problem(
                format!("`{}` is no {key}", word.text),
                word.at.clone(),
                did_you_mean(&word.text, choices.iter().map(|(name, _)| *name)),
            );
        }
        chosen.map(|(_, choice)| *choice)
    }

    /// A table in this one.
    pub fn table(&self, key: &'static str, name: &'static str) -> Option<Table<'t, 'i>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(name, value.span(), table, self.found)),
            _ => {
                self.wrong(key, value, "a table", "{ … = … }");
                None
            }
        }
    }

    /// A list of tables, written `[[key]]`.
    pub fn tables(&self, key: &'static str, name: &'static str) -> Vec<Table<'t, 'i>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.problem(
                format!("`{key}` is a list of tables, not {}", kind(value.get_ref())),
                value.span(),
                format!("write {name}, with two brackets, before each"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push(Table::new(name, item.span(), table, self.found)),
                None => self.problem(
                    format!("`{key}` holds tables, not {}", kind(item.get_ref())),
                    item.span(),
                    format!("write {name} before each"),
                ),
            }
        }
        tables
    }

    /// Ends reading: what nobody asked for is unknown.
    pub fn end(self) {
        let asked = self.asked.take();
        for (key, at, _) in &self.entries {
            if !asked.iter().any(|name| name == key) {
                let mut valid: Vec<&str> = asked.clone();
                valid.sort_unstable();
                valid.dedup();
                self.problem(
                    format!(
                        "unknown key `{}` in {}",
                        andon_model::id::to_plain_text(key, 64),
                        self.name
                    ),
                    at.clone(),
                    did_you_mean(key, valid),
                );
            }
        }
    }
}

/// Reads `"200ms"`, `"1.5s"`, `"2m"`; at most a day.
pub fn read_time(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return None,
    };
    (seconds <= 86_400.0).then(|| Duration::from_secs_f64(seconds))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
