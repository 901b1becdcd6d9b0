//! From text to question. One parser serves reading and completion: where it runs into the
//! end of the text, it notes all that could follow.

use super::error::TextError;
use super::token::{Token, TokenKind, tokens};
use crate::check::{self, Problem};
use andon_model::query::Query;
use std::collections::BTreeMap;
use std::ops::Range;

/// What could stand at the end of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expect {
    Dataset,
    Stage,
    Operator,
    Calc,
    Key,
    JoinKey(String),
    Value { key: String },
    Span,
    Moment,
    Before,
    Count,
    Column,
    Bucket,
    Word(&'static str),
}

/// Reads a question: `requests | where status >= 500 | by region, 1m | p99(duration_ms)`.
/// The grammar is in `docs/query.md`.
pub fn parse(text: &str) -> Result<Query, TextError> {
    let (query, places) = Parser::new(text)?.read()?;
    match check::check(&query).into_iter().next() {
        None => Ok(query),
        Some(problem) => Err(placed(&places, problem, text)),
    }
}

/// The place in a text of what is wrong with the question that it says: for problems that
/// show later, such as a time that ends before it begins.
pub fn locate(text: &str, problem: Problem) -> TextError {
    match Parser::new(text).and_then(Parser::read) {
        Ok((_, places)) => placed(&places, problem, text),
        Err(error) => error,
    }
}

fn placed(places: &BTreeMap<String, Range<usize>>, problem: Problem, text: &str) -> TextError {
    let error = TextError::new(place(places, &problem.path, text), problem.message);
    match problem.help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// The place of a path, or of what it is part of.
fn place(places: &BTreeMap<String, Range<usize>>, path: &str, text: &str) -> Range<usize> {
    let mut path = path;
    loop {
        if let Some(span) = places.get(path) {
            return span.clone();
        }
        match path.rfind(['.', '[']) {
            Some(at) => path = &path[..at],
            None => return 0..text.len(),
        }
    }
}

/// What could follow a text that is begun, and the dataset it is about.
pub(super) fn expected(text: &str) -> (Vec<Expect>, Query) {
    let Ok(mut parser) = Parser::new(text) else {
        return (Vec::new(), Query::default());
    };
    // What is wrong at the end of the text is just that it ends.
    let _ = parser.stages();
    (parser.expects, parser.query)
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) query: Query,
    pub(super) places: BTreeMap<String, Range<usize>>,
    pub(super) expects: Vec<Expect>,
    pub(super) seen: Vec<&'static str>,
}

pub(super) type Read<T> = Result<T, TextError>;

impl Parser {
    fn new(text: &str) -> Read<Self> {
        Ok(Self {
            tokens: tokens(text)?,
            at: 0,
            end: text.trim_end().len(),
            query: Query::default(),
            places: BTreeMap::new(),
            expects: Vec::new(),
            seen: Vec::new(),
        })
    }

    fn read(mut self) -> Read<(Query, BTreeMap<String, Range<usize>>)> {
        self.stages()?;
        Ok((self.query, self.places))
    }

    fn stages(&mut self) -> Read<()> {
        self.dataset()?;
        while self.at < self.tokens.len() {
            if !self.eat(&TokenKind::Pipe) {
                let help = "stages are divided by `|`, the parts of a stage by `,`";
                return Err(self.odd("this belongs to nothing before it").help(help));
            }
            self.stage()?;
        }
        self.expects.push(Expect::Word("|"));
        Ok(())
    }

    // Looking at tokens

    pub(super) fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    pub(super) fn here(&self) -> Range<usize> {
        match self.tokens.get(self.at) {
            Some(token) => token.span.clone(),
            None => self.end..self.end,
        }
    }

    pub(super) fn last(&self) -> Range<usize> {
        match self.at.checked_sub(1).and_then(|at| self.tokens.get(at)) {
            Some(token) => token.span.clone(),
            None => 0..0,
        }
    }

    pub(super) fn odd(&self, message: impl Into<String>) -> TextError {
        TextError::new(self.here(), message)
    }

    pub(super) fn eat(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == Some(kind);
        self.at += usize::from(found);
        found
    }

    pub(super) fn comma(&mut self) -> bool {
        self.at_end(Expect::Word(","));
        self.eat(&TokenKind::Comma)
    }

    /// Notes what could stand here if this is the end.
    pub(super) fn at_end(&mut self, expect: Expect) -> bool {
        let ended = self.at >= self.tokens.len();
        if ended && !self.expects.contains(&expect) {
            self.expects.push(expect);
        }
        ended
    }

    pub(super) fn word(&mut self, word: &'static str) -> bool {
        self.at_end(Expect::Word(word));
        let found =
            matches!(self.peek(), Some(TokenKind::Word(other)) if other.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    pub(super) fn bare(&mut self, expect: Expect, missing: &str) -> Read<String> {
        self.at_end(expect);
        match self.peek() {
            Some(TokenKind::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            Some(TokenKind::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.odd(missing)),
        }
    }

    pub(super) fn key(&mut self, expect: Expect) -> Read<String> {
        self.at_end(expect);
        match self.peek() {
            Some(TokenKind::Word(word) | TokenKind::Key(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            Some(TokenKind::Text(text)) => {
                let help = format!("a key is written `{text}`, quotes are for values");
                Err(self.odd("a key is missing here").help(help))
            }
            _ => Err(self.odd("a key is missing here")),
        }
    }

    pub(super) fn noted(&mut self, path: impl Into<String>, from: usize) {
        let span = from..self.last().end;
        self.places.insert(path.into(), span);
    }
}
