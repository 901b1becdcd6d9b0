//! The picture on a terminal: `andon status`, and `curl` on a node. Like the console's first
//! screen: how the grid is, in words; the incidents that people work on; what is wrong, in
//! sentences; the nodes by site; who reaches whom. Every state has a shape and a word; colour
//! only repeats them.
//!
//! Reads the documents alone: no clock, no terminal. Ages are as of the picture's making.
//! One file a block, in the order of the screen; [`page`] writes, `words` has the words. The
//! drawing of a trace stands beside it ([`mod@trace`]).

mod headline;
mod incidents;
mod links;
mod nodes;
mod outside;
pub mod page;
mod summary;
pub mod trace;
mod verdicts;
mod words;

#[cfg(test)]
mod tests;

use andon_model::{Incident, LinkState, LinkView, PictureView};
use page::Page;

/// Most verdicts in full, most sick nodes named per site, most targets listed.
const LIST_MAX: usize = 12;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// ANSI colours. Off, nothing is lost but the colour.
    pub color: bool,
    /// Columns; taken as within 40..=120.
    pub width: usize,
    /// Shapes and arrows beyond ASCII.
    pub unicode: bool,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self {
            color: false,
            width: 80,
            unicode: true,
        }
    }
}

/// How the grid is, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing to mend.
    Well,
    /// At least one verdict is a fault.
    Wrong,
    /// No other node is known, or nothing was measured yet.
    Unclear,
}

/// How the grid is, from its verdicts and from whether anything is known at all.
pub fn health(view: &PictureView) -> Health {
    if view.verdicts.iter().any(|verdict| verdict.kind.is_fault()) {
        return Health::Wrong;
    }
    let known = |link: &LinkView| {
        matches!(
            link.state,
            LinkState::Up | LinkState::Partial | LinkState::Degraded | LinkState::Down
        )
    };
    if view.links.iter().any(known) {
        Health::Well
    } else {
        Health::Unclear
    }
}

/// Exit code of `andon status`: 0 all is well, 1 something is wrong, 2 cannot tell.
pub fn exit_code(view: &PictureView) -> u8 {
    match health(view) {
        Health::Well => 0,
        Health::Wrong => 1,
        Health::Unclear => 2,
    }
}

/// Draws the picture, with the incidents that are open. Every line ends with a line feed and is
/// at most `width` columns wide.
pub fn render(view: &PictureView, incidents: &[Incident], options: &TerminalOptions) -> String {
    let mut page = Page::new(options);
    headline::draw(&mut page, view);
    incidents::draw(&mut page, view, incidents);
    verdicts::draw(&mut page, view);
    nodes::draw(&mut page, view);
    outside::draw(&mut page, view);
    links::draw(&mut page, view);
    page.into_text()
}
