//! Whether a link has been silent for too long: enough time, enough probes, enough flows.

use crate::now::Attentive;
use andon_model::LinkReason;
use std::time::Duration;

/// Silence that makes a link down, if enough probes were lost in it. Halved, a far host that
/// is busy for a moment would be drawn as a dead one.
pub const DOWN_AFTER: Duration = Duration::from_millis(1_100);
/// The same where the far host says itself that nobody listens.
const REFUSED_AFTER: Duration = Duration::from_millis(500);
/// Refusals in a row that make a link down.
const REFUSED_RUN: u32 = 4;
/// Flows that must have lost a probe, if there are so many.
const FLOWS_MIN: usize = 3;

/// What came of the probes since the last answer.
#[derive(Debug)]
pub struct Silence {
    last_answer: Option<Attentive>,
    lost_run: u32,
    refused_run: u32,
    lost_flows: Vec<bool>,
}

impl Silence {
    /// A link of so many flows that never answered.
    pub fn new(flows: usize) -> Self {
        Self {
            last_answer: None,
            lost_run: 0,
            refused_run: 0,
            lost_flows: vec![false; flows.max(1)],
        }
    }

    /// An answer came.
    pub fn answered(&mut self, now: Attentive) {
        self.last_answer = Some(now);
        self.lost_run = 0;
        self.refused_run = 0;
        self.lost_flows.fill(false);
    }

    /// A probe of this flow was lost.
    pub fn lost(&mut self, flow: usize, refused: bool) {
        self.lost_run = self.lost_run.saturating_add(1);
        self.refused_run = self.refused_run.saturating_add(u32::from(refused));
        if let Some(lost) = self.lost_flows.get_mut(flow) {
            *lost = true;
        }
    }

    /// Other flows carry the link from here on; when it last answered stays known.
    pub fn carried_by(&mut self, flows: usize) {
        *self = Self {
            last_answer: self.last_answer,
            ..Self::new(flows)
        };
    }

    /// Probes lost since the last answer.
    pub fn lost_run(&self) -> u32 {
        self.lost_run
    }

    /// Whether the link ever answered.
    pub fn ever_answered(&self) -> bool {
        self.last_answer.is_some()
    }

    /// Time since the last answer; `None` if there was none.
    pub fn since_answer(&self, now: Attentive) -> Option<Duration> {
        self.last_answer.map(|last| now.since(last))
    }

    /// Whether an answering link fell silent. `run`: losses in a row that are no chance.
    pub fn is_too_long(&self, now: Attentive, run: u32) -> bool {
        let Some(silence) = self.since_answer(now) else {
            return false;
        };
        let refused = self.refused_run >= REFUSED_RUN && silence >= REFUSED_AFTER;
        let lost = self.lost_run >= run && silence >= DOWN_AFTER;
        let flows = self.lost_flows.iter().filter(|lost| **lost).count();
        (refused || lost) && flows >= FLOWS_MIN.min(self.lost_flows.len())
    }

    /// Why it is silent: most of its last probes were refused, or nothing came back.
    pub fn reason(&self) -> LinkReason {
        if self.refused_run * 2 > self.lost_run {
            LinkReason::Refused
        } else {
            LinkReason::Silent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(losses: &[(usize, bool)], waited_ms: u64, too_long: bool) {
        let mut silence = Silence::new(8);
        silence.answered(Attentive(5_000_000));
        losses
            .iter()
            .for_each(|(flow, refused)| silence.lost(*flow, *refused));
        let now = Attentive(5_000_000 + waited_ms * 1_000);
        assert_eq!(
            silence.is_too_long(now, 6),
            too_long,
            "{losses:?} {waited_ms}"
        );
    }

    #[test]
    fn silence_needs_time_probes_and_flows() {
        let spread: Vec<(usize, bool)> = (0..6).map(|n| (n, false)).collect();
        check(&spread, 1_100, true);
        check(&spread, 1_000, false);
        check(&spread[..5], 5_000, false);
        check(&[(0, false); 20], 5_000, false);
        let refused: Vec<(usize, bool)> = (0..4).map(|n| (n, true)).collect();
        check(&refused, 500, true);
        check(&refused[..3], 500, false);
    }
}
