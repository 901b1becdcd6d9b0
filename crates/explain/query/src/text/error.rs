//! An error that points at the place.

use serde::Serialize;
use std::fmt::Write as _;
use std::ops::Range;

/// Characters of a line that are shown around the place.
const LINE_CHARS_MAX: usize = 100;

/// Why a text is no question, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct TextError {
    /// Bytes of the text that are meant; empty at its end where something is missing.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl TextError {
    /// One without help.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: None,
        }
    }

    /// With what to write.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With the valid word that was probably meant, if there is one.
    #[must_use]
    pub fn nearest(self, nearest: Option<&str>) -> Self {
        match nearest {
            Some(word) => self.help(format!("did you mean `{word}`?")),
            None => self,
        }
    }

    /// For a terminal: the message, the line with a caret under the place, and the help.
    pub fn pointed(&self, text: &str) -> String {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let before = text[line_start..start].chars().count();
        let width = text[start..end.min(line_end)].chars().count().max(1);
        // A long line is shown from a little before the place on.
        let skipped = (before + width.min(20)).saturating_sub(LINE_CHARS_MAX);
        let shown = text[line_start..line_end].chars().skip(skipped);
        let shown: String = shown
            .take(LINE_CHARS_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let width = width.min(LINE_CHARS_MAX - (before - skipped).min(LINE_CHARS_MAX - 1));
        let mut out = format!("{}\n  {}\n  ", self.message, shown.trim_end());
        let _ = write!(
            out,
            "{}{}",
            " ".repeat(before - skipped),
            "^".repeat(width.max(1))
        );
        if let Some(help) = &self.help {
            let _ = write!(out, "\n{help}");
        }
        out
    }
}

/// The last character boundary not after `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
