//! What could come next at the cursor: words of the language, and keys and values of the data.

use super::parse::{Expect, expected};
use super::print;
use super::token::{ends_word, quote};
use crate::check::columns;
use crate::words::{CALCS, OPERATORS, STAGES};
use andon_model::event::Value;
use andon_model::query::Query;
use serde::Serialize;
use std::ops::Range;

/// Proposals at most; a list that nobody reads to its end helps nobody.
pub const COMPLETIONS_MAX: usize = 50;

/// What is known of the data. Answers may be bounded and a little old.
pub trait Catalogue {
    /// Names of datasets.
    fn datasets(&self) -> Vec<String>;
    /// Keys that events of a dataset have.
    fn keys(&self, dataset: &str) -> Vec<String>;
    /// Values of a key, those first that occur most; only texts that begin with `prefix`.
    fn values(&self, dataset: &str, key: &str, prefix: &str) -> Vec<Value>;
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Completion {
    /// What to put into the text.
    pub text: String,
    /// The bytes of the text that it replaces.
    pub replace: Range<usize>,
    /// What it is.
    pub kind: CompletionKind,
    /// A few words on it; empty for what comes from the data.
    pub about: String,
}

/// What a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompletionKind {
    /// A dataset's name.
    Dataset,
    /// A word of the language.
    Word,
    /// A calculation.
    Calc,
    /// An operator.
    Operator,
    /// An attribute's name.
    Key,
    /// An attribute's value.
    Value,
    /// A column of the answer.
    Column,
    /// A span of time.
    Span,
}

/// Proposals for the word at `cursor` (bytes from the start; the text after it is ignored), in
/// the order of the language, then as the catalogue has them. At most [`COMPLETIONS_MAX`].
pub fn complete(text: &str, cursor: usize, catalogue: &dyn Catalogue) -> Vec<Completion> {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let text = &text[..cursor];
    let begun = Begun::find(text);
    let (expects, query) = expected(&text[..begun.start]);
    let mut list = List {
        begun,
        cursor,
        found: Vec::new(),
    };
    for expect in &expects {
        list.propose(expect, &query, catalogue);
    }
    // Someone who has typed a whole word wants what is next, not the word itself.
    let whole = |one: &Completion| one.text == text[one.replace.clone()] && !one.replace.is_empty();
    list.found.retain(|one| !whole(one));
    list.found.truncate(COMPLETIONS_MAX);
    list.found
}

/// The word that is begun at the cursor.
struct Begun {
    start: usize,
    word: String,
    quote: Option<char>,
}

impl Begun {
    fn find(text: &str) -> Self {
        let mut open: Option<(usize, char)> = None;
        let mut start = text.len();
        let mut in_word = false;
        let mut escaped = false;
        for (at, character) in text.char_indices() {
            match open {
                Some((_, quote)) if !escaped && character == quote => open = None,
                Some(_) => escaped = !escaped && character == '\\',
                None if "\"'`".contains(character) => {
                    open = Some((at, character));
                    escaped = false;
                    in_word = false;
                }
                None if ends_word(character) => in_word = false,
                None if !in_word => {
                    in_word = true;
                    start = at;
                }
                None => {}
            }
        }
        match open {
            Some((start, quote)) => Self {
                start,
                word: text[start + 1..].to_owned(),
                quote: Some(quote),
            },
            None if in_word => Self {
                start,
                word: text[start..].to_owned(),
                quote: None,
            },
            None => Self {
                start: text.len(),
                word: String::new(),
                quote: None,
            },
        }
    }
}

struct List {
    begun: Begun,
    cursor: usize,
    found: Vec<Completion>,
}

impl List {
    fn propose(&mut self, expect: &Expect, query: &Query, catalogue: &dyn Catalogue) {
        use CompletionKind as Kind;
        match expect {
            Expect::Dataset => {
                for name in catalogue.datasets() {
                    self.bare(&name, Kind::Dataset, "");
                }
            }
            Expect::Stage => {
                for (word, about) in STAGES {
                    self.bare(word, Kind::Word, about);
                }
            }
            Expect::Calc => {
                for (word, op, about) in CALCS {
                    let open = if crate::check::needs_key(op) { "(" } else { "" };
                    self.bare(&format!("{word}{open}"), Kind::Calc, about);
                }
            }
            Expect::Operator => {
                for (word, _, about) in OPERATORS {
                    self.bare(word, Kind::Operator, about);
                }
            }
            Expect::Key => {
                self.keys(catalogue.keys(&query.dataset));
                if let Some(join) = &query.join {
                    let taken = join.take.iter();
                    self.keys(
                        taken
                            .map(|name| format!("{}.{name}", join.dataset))
                            .collect(),
                    );
                }
            }
            Expect::JoinKey(dataset) => self.keys(catalogue.keys(dataset)),
            Expect::Value { key } => {
                let values = catalogue.values(&query.dataset, key, &self.begun.word);
                for value in values {
                    self.value(&value);
                }
            }
            Expect::Column => {
                for name in columns(query) {
                    self.bare(&name, Kind::Column, "");
                }
            }
            Expect::Span => self.spans(&["15m", "1h", "6h", "1d", "7d"]),
            Expect::Bucket => self.spans(&["auto", "10s", "1m", "10m", "1h"]),
            Expect::Moment => self.spans(&["-1h", "-1d", "now"]),
            Expect::Before => self.spans(&["-1h", "-1d", "-7d"]),
            Expect::Count => self.spans(&["5", "10", "20", "100"]),
            Expect::Word(word) => {
                if self.begun.word.is_empty() || word.starts_with(|c: char| c.is_alphabetic()) {
                    self.bare(word, Kind::Word, "");
                }
            }
        }
    }

    fn spans(&mut self, spans: &[&str]) {
        for span in spans {
            self.bare(span, CompletionKind::Span, "");
        }
    }

    fn bare(&mut self, word: &str, kind: CompletionKind, about: &str) {
        let lower = self.begun.word.to_lowercase();
        if self.begun.quote.is_none() && word.to_lowercase().starts_with(&lower) {
            self.add(word.to_owned(), kind, about);
        }
    }

    fn keys(&mut self, keys: Vec<String>) {
        let lower = self.begun.word.to_lowercase();
        let wanted = matches!(self.begun.quote, None | Some('`'));
        for key in keys {
            if wanted && key.to_lowercase().starts_with(&lower) {
                self.add(print::key(&key), CompletionKind::Key, "");
            }
        }
    }

    fn value(&mut self, value: &Value) {
        let text = match (value, self.begun.quote) {
            (Value::Text(text), Some('\'')) => quote(text, '\''),
            (Value::Text(text), _) => quote(text, '"'),
            (_, Some(_)) => return,
            (other, None) => print::value(other),
        };
        let inside = value.to_string().to_lowercase();
        if inside.starts_with(&self.begun.word.to_lowercase()) && self.begun.quote != Some('`') {
            self.add(text, CompletionKind::Value, "");
        }
    }

    fn add(&mut self, text: String, kind: CompletionKind, about: &str) {
        if self.found.iter().any(|one| one.text == text) || self.found.len() > COMPLETIONS_MAX {
            return;
        }
        self.found.push(Completion {
            text,
            replace: self.begun.start..self.cursor,
            kind,
            about: about.to_owned(),
        });
    }
}
