//! What the demo tells: on the terminal as it happens, on the page as a list.

use crate::cli::screen;
use owo_colors::OwoColorize;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Instant;

/// Lines kept for the page.
const LINES_MAX: usize = 200;
/// Widest line on the terminal.
const WIDTH: usize = 96;

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// What was done.
    Demo,
    /// What the nodes say of it.
    Andon,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Seconds since the demo began.
    pub t_s: f64,
    /// Who.
    pub who: Who,
    /// What.
    pub text: String,
}

/// All that was told.
#[derive(Debug)]
pub struct Narration {
    start: Instant,
    coloured: bool,
    lines: VecDeque<Line>,
}

impl Narration {
    /// Begins to count the seconds.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            coloured: screen::coloured(),
            lines: VecDeque::new(),
        }
    }

    /// Tells a line.
    pub fn tell(&mut self, who: Who, text: &str) {
        let t_s = (self.start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let speaker = match (who, self.coloured) {
            (Who::Demo, false) => "demo ".to_owned(),
            (Who::Andon, false) => "andon".to_owned(),
            (Who::Demo, true) => "demo ".yellow().to_string(),
            (Who::Andon, true) => "andon".cyan().bold().to_string(),
        };
        let mut shown = String::new();
        for (number, part) in wrap(text, WIDTH - 16).into_iter().enumerate() {
            shown += &match number {
                0 => format!("{t_s:7.1} s  {speaker}  {part}\n"),
                _ => format!("{:18}{part}\n", ""),
            };
        }
        let _ = screen::print(&shown);
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(Line {
            t_s,
            who,
            text: text.to_owned(),
        });
    }

    /// The last lines, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.iter().cloned().collect()
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // A number and its unit stay on one line.
    let text = text
        .replace(" %", "\u{a0}%")
        .replace(" ms", "\u{a0}ms")
        .replace(" s)", "\u{a0}s)");
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && line.chars().count() + word.chars().count() + 1 > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
