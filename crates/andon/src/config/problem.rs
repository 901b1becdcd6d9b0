//! A mistake in the configuration, told so that it can be mended: what is wrong, where
//! (file, line, column, the line itself), and what was expected.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest line of a file that is shown; a longer one is cut.
const LINE_CHARS_MAX: usize = 160;
/// Most problems shown at once; a file that is no configuration at all would fill the screen.
const PROBLEMS_MAX: usize = 20;

/// A file's name and text, shared by all spots in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name as the person knows it.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub source: Arc<Source>,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

impl Spot {
    /// Line and column, both counted from 1, the column in characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.before();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    fn before(&self) -> &str {
        let mut start = self.start.min(self.source.text.len());
        while !self.source.text.is_char_boundary(start) {
            start -= 1;
        }
        &self.source.text[..start]
    }

    fn line(&self) -> &str {
        let from = self.before().rfind('\n').map_or(0, |at| at + 1);
        self.source.text[from..]
            .split('\n')
            .next()
            .unwrap_or("")
            .trim_end_matches('\r')
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.path.display())
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A command-line flag, with its dashes.
    Flag(&'static str),
    /// The line given to `--invite`.
    Invite,
    /// A variable of the environment.
    Env(String),
    /// A file.
    File(Spot),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Flag(flag) => write!(f, "flag --{flag}"),
            Origin::Invite => f.write_str("invite"),
            Origin::Env(name) => write!(f, "environment {name}"),
            Origin::File(spot) => spot.fmt(f),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// Where it stands.
    pub origin: Origin,
    /// What was expected, or what to do.
    pub help: String,
    /// The line holds a secret and is not shown.
    pub secret: bool,
}

impl Problem {
    /// A mistake at a place, with a way out.
    pub fn new(what: impl Into<String>, origin: Origin, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            origin,
            help: help.into(),
            secret: false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        match &self.origin {
            Origin::File(spot) => {
                writeln!(f, "  --> {spot}")?;
                if !self.secret && !holds_secret(spot.line()) {
                    write_line(f, spot)?;
                }
            }
            Origin::Default => {}
            other => writeln!(f, "  --> {other}")?,
        }
        if !self.help.is_empty() {
            writeln!(f, "  help: {}", self.help)?;
        }
        Ok(())
    }
}

/// Also a line that is no TOML may hold a key.
fn holds_secret(line: &str) -> bool {
    let word = line
        .trim_start()
        .split([' ', '\t', '=', '.'])
        .next()
        .unwrap_or("");
    let secrets = ["key", "secret", "password", "url", "headers"];
    secrets.contains(&word) || line.contains("gridbug") || line.contains("notify")
}

fn write_line(f: &mut fmt::Formatter<'_>, spot: &Spot) -> fmt::Result {
    let (number, column) = spot.line_column();
    let shown: String = spot
        .line()
        .chars()
        .take(LINE_CHARS_MAX)
        .map(printable)
        .collect();
    let width = number.to_string().len();
    writeln!(f, "{:width$} |", "")?;
    writeln!(f, "{number} | {shown}")?;
    if column <= LINE_CHARS_MAX {
        let marked = spot.source.text.get(spot.start..spot.end).unwrap_or("");
        let marked = marked.split('\n').next().unwrap_or("").chars().count();
        let carets = "^".repeat(marked.clamp(1, LINE_CHARS_MAX + 1 - column));
        writeln!(
            f,
            "{:width$} | {:indent$}{carets}",
            "",
            "",
            indent = column - 1
        )?;
    }
    Ok(())
}

fn printable(c: char) -> char {
    if c == '\t' {
        ' '
    } else if andon_model::id::is_plain_text(c.encode_utf8(&mut [0; 4]), 4) {
        c
    } else {
        '\u{fffd}'
    }
}

/// All mistakes found, told together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(PROBLEMS_MAX).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        let hidden = self.0.len().saturating_sub(PROBLEMS_MAX);
        if hidden > 0 {
            writeln!(f, "\n{hidden} more problems are not shown")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that most resembles `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).collect();
    let far = word.len() / 3 + 1;
    let with_distance = candidates
        .into_iter()
        .map(|candidate| (edits(&word, candidate), candidate));
    with_distance
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and substitutions between two words (Levenshtein).
fn edits(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
