//! Tells what happens, as it happens: what was done, and what the nodes say of it.

use andon_model::{PictureView, VerdictKind};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Widest line on the terminal.
const WIDTH: usize = 100;
/// Where the text begins, after time and speaker.
const INDENT: usize = 17;

/// Where the story goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Standard output.
    Out,
    /// Standard error: standard output is for a machine.
    Err,
}

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// What was done.
    Lab,
    /// What the nodes say.
    Andon,
}

/// Tells one run.
#[derive(Debug)]
pub struct Narrator {
    stage: Stage,
    coloured: bool,
    /// Who says each verdict, by its id.
    said: BTreeMap<String, BTreeSet<usize>>,
}

impl Narrator {
    /// Begins.
    pub fn new(stage: Stage) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = match stage {
            Stage::Out => io::stdout().is_terminal(),
            Stage::Err => io::stderr().is_terminal(),
        };
        Self {
            stage,
            coloured: terminal && !plain,
            said: BTreeMap::new(),
        }
    }

    /// Forgets what was said: another run begins.
    pub fn begin(&mut self) {
        self.said.clear();
    }

    /// Text as it is. A reader that went away is no error.
    pub fn print(&self, text: &str) {
        let _ = match self.stage {
            Stage::Out => io::stdout().lock().write_all(text.as_bytes()),
            Stage::Err => io::stderr().lock().write_all(text.as_bytes()),
        };
    }

    /// A line with its time; before 0 s that is negative.
    pub fn line(&self, seconds: f64, who: Who, text: &str) {
        let speaker = match (who, self.coloured) {
            (Who::Lab, false) => "lab  ",
            (Who::Andon, false) => "andon",
            (Who::Lab, true) => "\x1b[1;33mlab\x1b[0m  ",
            (Who::Andon, true) => "\x1b[1;36mandon\x1b[0m",
        };
        let mut shown = String::new();
        for (number, part) in wrap(text, WIDTH - INDENT).into_iter().enumerate() {
            shown += &match number {
                0 => format!("{seconds:7.1} s  {speaker}  {part}\n"),
                _ => format!("{:INDENT$}{part}\n", ""),
            };
        }
        self.print(&shown);
    }

    /// A node's picture changed: tells verdicts that came and went.
    pub fn picture(&mut self, seconds: f64, node: usize, nodes: usize, view: &PictureView) {
        let mut lines = Vec::new();
        for verdict in &view.verdicts {
            let by = self.said.entry(verdict.id.clone()).or_default();
            let is_new = by.is_empty();
            if !by.insert(node) {
                continue;
            }
            if is_new {
                let hops = match verdict.kind {
                    VerdictKind::PathFault => format!(" [{}]", verdict.hops.join(" ")),
                    _ => String::new(),
                };
                lines.push(format!("{}: {}{hops}", view.me, verdict.sentence));
            } else if by.len() == nodes {
                lines.push(format!("all {nodes} nodes say so: {}", verdict.id));
            }
        }
        for (id, by) in &mut self.said {
            let gone = !view.verdicts.iter().any(|verdict| verdict.id == *id);
            if gone && by.remove(&node) && by.is_empty() {
                lines.push(format!("no longer said: {id}"));
            }
        }
        self.said.retain(|_, by| !by.is_empty());
        for line in lines {
            self.line(seconds, Who::Andon, &line);
        }
    }
}

/// Seconds with one decimal.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
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
