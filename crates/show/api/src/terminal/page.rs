//! Writing for a terminal: lines cut to its width, coloured if it shows colour, and free of
//! anything that could move its cursor.

use super::TerminalOptions;
use andon_model::id::is_plain_text;

/// Least and most columns; the last keeps sentences readable on wide screens.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=120;

/// What a colour would say, if there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// A name or a title.
    Strong,
    /// Beside the point.
    Faint,
    /// As it should be.
    Good,
    /// Not as it should be.
    Poor,
    /// Broken.
    Bad,
}

impl Tone {
    pub(super) fn code(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Strong => "\x1b[1m",
            Tone::Faint => "\x1b[2m",
            Tone::Good => "\x1b[32m",
            Tone::Poor => "\x1b[33m",
            Tone::Bad => "\x1b[1;31m",
        }
    }
}

/// The text so far. Everything written goes through [`Page::line`], which makes it safe, cuts
/// it to the width and colours it.
pub struct Page {
    options: TerminalOptions,
    pub(super) width: usize,
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(options: &TerminalOptions) -> Self {
        Self {
            options: *options,
            width: options.width.clamp(*WIDTHS.start(), *WIDTHS.end()),
            text: String::new(),
        }
    }

    /// Columns that there are.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    /// One line: coloured parts from the left, and a faint note at the right if it fits.
    pub fn line(&mut self, parts: &[(&str, Tone)], note: &str) {
        let mut column = 0;
        let last = parts.len().saturating_sub(1);
        for (index, (part, tone)) in parts.iter().enumerate() {
            let mut safe = safe(part, self.options.unicode);
            if index == last && note.is_empty() {
                safe.truncate(safe.trim_end().len());
            }
            let safe = cut(&safe, self.width - column, self.options.unicode);
            column += safe.chars().count();
            self.paint(&safe, *tone);
        }
        let note = safe(note, self.options.unicode);
        let room = self.width.saturating_sub(column + note.chars().count());
        if !note.is_empty() && room >= 2 {
            self.text.extend(std::iter::repeat_n(' ', room));
            self.paint(&note, Tone::Faint);
        }
        self.text.push('\n');
    }

    /// A heading after an empty line.
    pub fn rule(&mut self, heading: &str) {
        let dashes = self.width.saturating_sub(heading.chars().count() + 2);
        let rule = if self.options.unicode { "─" } else { "-" }.repeat(dashes);
        self.text.push('\n');
        self.line(
            &[
                (" ", Tone::Faint),
                (heading, Tone::Faint),
                (" ", Tone::Faint),
                (&rule, Tone::Faint),
            ],
            "",
        );
    }

    /// That there is more than what was listed; nothing for none.
    pub(super) fn more(&mut self, more: usize, indent: usize) {
        if more > 0 {
            let words = format!("{}and {more} more", " ".repeat(indent));
            self.line(&[(&words, Tone::Faint)], "");
        }
    }

    /// Text wrapped at words and indented.
    pub fn paragraph(&mut self, text: &str, indent: usize) {
        let mut line = String::new();
        let room = self.width.saturating_sub(indent).max(1);
        for word in safe(text, self.options.unicode).split_whitespace() {
            let wide = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && wide > room {
                self.indented(&line, indent);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.indented(&line, indent);
        }
    }

    fn indented(&mut self, line: &str, indent: usize) {
        self.line(
            &[(&" ".repeat(indent), Tone::Plain), (line, Tone::Plain)],
            "",
        );
    }

    fn paint(&mut self, text: &str, tone: Tone) {
        if self.options.color && !tone.code().is_empty() && !text.trim().is_empty() {
            self.text.push_str(tone.code());
            self.text.push_str(text);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(text);
        }
    }
}

/// Names and sentences are checked where they enter; whatever slipped through cannot move the
/// cursor here. Without `unicode` shapes become letters.
fn safe(text: &str, unicode: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let mut buffer = [0; 4];
        match c {
            ' '..='~' => safe.push(c),
            _ if !is_plain_text(c.encode_utf8(&mut buffer), 4) => safe.push('?'),
            _ if unicode => safe.push(c),
            '→' => safe.push_str("->"),
            '↔' => safe.push_str("<->"),
            '“' | '”' => safe.push('"'),
            '●' => safe.push('o'),
            '◐' => safe.push('%'),
            '▲' => safe.push('!'),
            '✗' => safe.push('X'),
            '○' => safe.push('-'),
            '·' => safe.push('.'),
            '–' | '─' => safe.push('-'),
            '…' => safe.push('~'),
            '│' => safe.push('|'),
            '├' => safe.push('|'),
            '└' => safe.push('`'),
            _ => safe.push('?'),
        }
    }
    safe
}

pub(super) fn cut(text: &str, width: usize, unicode: bool) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 {
        kept
    } else {
        kept + if unicode { "…" } else { "~" }
    }
}
