//! A mistake in a scenario file, told so that it can be mended: what is wrong, where (file,
//! line, column, the line itself), what was expected, and the nearest valid name.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest line of a file that is shown; a longer one is cut.
const LINE_CHARS_MAX: usize = 160;
/// Most problems shown at once.
const PROBLEMS_MAX: usize = 20;

/// One mistake at a stretch of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// Where, in bytes of the file.
    pub at: Range<usize>,
    /// What was expected, or what to do.
    pub help: String,
}

/// All mistakes found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file as the person knows it.
    pub path: PathBuf,
    /// All of its text.
    pub text: String,
    /// In the order of the file.
    pub found: Vec<Problem>,
}

impl Problems {
    /// Of a file that has none yet.
    pub fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            found: Vec::new(),
        }
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = self.before(byte);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    fn before(&self, byte: usize) -> &str {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
        let (number, column) = self.line_column(problem.at.start);
        writeln!(f, "error: {}", problem.what)?;
        writeln!(f, "  --> {}:{number}:{column}", self.path.display())?;
        let from = self
            .before(problem.at.start)
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let line = self.text[from..].split('\n').next().unwrap_or("");
        let shown: String = line
            .trim_end_matches('\r')
            .chars()
            .take(LINE_CHARS_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let width = number.to_string().len();
        writeln!(f, "{:width$} |", "")?;
        writeln!(f, "{number} | {shown}")?;
        if column <= LINE_CHARS_MAX {
            let marked = self.text.get(problem.at.clone()).unwrap_or("");
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
        if !problem.help.is_empty() {
            writeln!(f, "  help: {}", problem.help)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.found.iter().take(PROBLEMS_MAX).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.write(f, problem)?;
        }
        let hidden = self.found.len().saturating_sub(PROBLEMS_MAX);
        if hidden > 0 {
            writeln!(f, "\n{hidden} more problems are not shown")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What to say of a name that is none of `valid`: the nearest one, or all.
pub fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    let far = word.chars().count() / 3 + 1;
    let near = valid
        .iter()
        .map(|candidate| (edits(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= far)
        .min();
    match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None if valid.is_empty() => "there is none to name".into(),
        None => format!("valid here: {}", valid.join(", ")),
    }
}

/// Insertions, deletions and substitutions between two words (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
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
