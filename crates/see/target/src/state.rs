//! What a row of answers means: the state of one target, with hysteresis, and the summary
//! that is published. Figures are published by dead-band, so that a quiet target is quiet.

use crate::answer::{Answer, Certificate, Outcome, Phases};
use crate::core::Moment;
use andon_model::{
    FlowCount, LinkReason, LinkReport, LinkState, LossPair, Peer, TargetId, Timestamp, Transport,
};
use serde::Serialize;
use std::collections::VecDeque;

/// Answers that figures and loss are taken over.
pub const WINDOW: usize = 30;
/// Answers kept for who looks closer. Doubled, 1,000 targets would hold 25 MB.
pub const HISTORY: usize = 300;
/// Failures in a row until a target is down, and answers in a row until it is back.
/// One lost packet is no outage; the second question follows soon after the first.
pub const IN_A_ROW: u32 = 2;
/// Unanswered questions of the window from which a target is lossy, and from which it is not.
const LOST_FROM: usize = 3;
const LOST_UNTIL: usize = 1;
/// Answers that the usual latency is first learned from.
const BASELINE_ANSWERS: usize = 10;
/// Answers whose median is judged against the usual latency.
const RECENT: usize = 5;
/// Slower by less than this is never a fault, whatever the ratio: a busy host adds as much.
const SLOWER_US_MIN: u32 = 50_000;
/// A slow target is usual again below twice its usual latency, or within this of it.
const USUAL_AGAIN_US: u32 = 10_000;
/// Answers in a row at which the median must be slow until the target is. Halved, one burst
/// of work on the asking host is told as a slow target; doubled, a slow one is told late.
const SLOW_IN_A_ROW: u32 = 4;

/// One answer, as kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// When it came.
    pub at: Timestamp,
    /// Whether it was a right answer; `None` where this node could not ask.
    pub ok: Option<bool>,
    /// Round-trip time, microseconds.
    pub rtt_us: Option<u32>,
    /// In words, where it was not good.
    pub detail: Option<String>,
}

/// A target as who looks closer sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetDetail {
    /// Its name.
    pub id: TargetId,
    /// Its address, as declared.
    pub address: String,
    /// What carries the probes.
    pub transport: Transport,
    /// Its state.
    pub state: LinkState,
    /// Why, where it is not up.
    pub reason: Option<LinkReason>,
    /// Since when.
    pub since: Timestamp,
    /// In words.
    pub detail: Option<String>,
    /// Usual round-trip time, microseconds.
    pub rtt_baseline_us: Option<u32>,
    /// Where the time of the last answer went.
    pub phases: Phases,
    /// The certificate last shown.
    pub certificate: Option<Certificate>,
    /// Last answers, oldest first, at most [`HISTORY`].
    pub samples: Vec<Sample>,
}

/// State of one target.
#[derive(Debug)]
pub struct TargetState {
    report: LinkReport,
    window: VecDeque<(Outcome, Option<u32>)>,
    samples: VecDeque<Sample>,
    baseline_us: Option<f64>,
    failed_in_a_row: u32,
    good_in_a_row: u32,
    not_asked_in_a_row: u32,
    slow_in_a_row: u32,
    phases: Phases,
    certificate: Option<Certificate>,
}

impl TargetState {
    /// A target of which nothing is known.
    pub fn new(id: TargetId, transport: Transport, since: Timestamp) -> Self {
        Self {
            report: LinkReport::unknown(Peer::Target(id), transport, since),
            window: VecDeque::new(),
            samples: VecDeque::new(),
            baseline_us: None,
            failed_in_a_row: 0,
            good_in_a_row: 0,
            not_asked_in_a_row: 0,
            slow_in_a_row: 0,
            phases: Phases::default(),
            certificate: None,
        }
    }

    /// What is published.
    pub fn report(&self) -> &LinkReport {
        &self.report
    }

    /// A target that cannot be asked, and why.
    pub fn set_detail(&mut self, detail: &str) {
        self.report.detail = Some(Answer::not_asked(detail).detail);
    }

    /// No question has been answered yet.
    pub fn is_new(&self) -> bool {
        self.samples.is_empty()
    }

    /// The last answer spoke against the state: ask again soon.
    pub fn wants_confirmation(&self) -> bool {
        let down = self.report.state == LinkState::Down;
        (!down && (1..IN_A_ROW).contains(&self.failed_in_a_row))
            || (down && (1..IN_A_ROW).contains(&self.good_in_a_row))
    }

    /// Takes an answer. Returns whether what is published changed.
    pub fn handle(&mut self, now: Moment, answer: Answer) -> bool {
        let before = self.report.clone();
        self.count(answer.outcome);
        self.keep(now, &answer);
        self.slow_in_a_row = match (self.exceeds_usual(), answer.rtt_us) {
            (true, Some(_)) => self.slow_in_a_row.saturating_add(1),
            (true, None) => self.slow_in_a_row, // No answer, no news of latency.
            (false, _) => 0,
        };
        let (state, reason) = self.judge(answer.outcome);
        if state != LinkState::Down && before.state == LinkState::Down {
            // Failures of an outage that is over are not the loss of what came after it.
            self.window
                .retain(|(outcome, _)| !matches!(outcome, Outcome::Failed(_)));
        }
        self.learn(state);
        self.publish(now, state, reason, &answer);
        self.phases = answer.phases;
        if answer.certificate.is_some() {
            self.certificate = answer.certificate;
        }
        self.report != before
    }

    /// Everything known, for who looks closer.
    pub fn detail(&self, address: &str) -> TargetDetail {
        let Peer::Target(id) = self.report.to.clone() else {
            unreachable!("made with a target's id")
        };
        TargetDetail {
            id,
            address: address.to_owned(),
            transport: self.report.transport,
            state: self.report.state,
            reason: self.report.reason,
            since: self.report.since,
            detail: self.report.detail.clone(),
            rtt_baseline_us: self.baseline(),
            phases: self.phases,
            certificate: self.certificate.clone(),
            samples: self.samples.iter().cloned().collect(),
        }
    }

    fn count(&mut self, outcome: Outcome) {
        let (failed, good, not_asked) = (
            self.failed_in_a_row,
            self.good_in_a_row,
            self.not_asked_in_a_row,
        );
        (
            self.failed_in_a_row,
            self.good_in_a_row,
            self.not_asked_in_a_row,
        ) = match outcome {
            Outcome::Failed(_) => (failed.saturating_add(1), 0, 0),
            Outcome::Good | Outcome::Poor => (0, good.saturating_add(1), 0),
            Outcome::NotAsked => (failed, good, not_asked.saturating_add(1)),
        };
    }

    fn keep(&mut self, now: Moment, answer: &Answer) {
        let ok = match answer.outcome {
            Outcome::Good | Outcome::Poor => Some(true),
            Outcome::Failed(_) => Some(false),
            Outcome::NotAsked => None,
        };
        if ok.is_some() {
            push_bounded(&mut self.window, (answer.outcome, answer.rtt_us), WINDOW);
        }
        let detail = (answer.outcome != Outcome::Good).then(|| answer.detail.clone());
        push_bounded(
            &mut self.samples,
            Sample {
                at: now.utc,
                ok,
                rtt_us: answer.rtt_us,
                detail,
            },
            HISTORY,
        );
    }

    fn judge(&self, outcome: Outcome) -> (LinkState, Option<LinkReason>) {
        let stay = (self.report.state, self.report.reason);
        match outcome {
            Outcome::NotAsked if self.not_asked_in_a_row < IN_A_ROW => stay,
            Outcome::NotAsked => (LinkState::Unknown, None),
            Outcome::Failed(_) if self.failed_in_a_row < IN_A_ROW => stay,
            Outcome::Failed(reason) => (LinkState::Down, Some(reason)),
            _ if stay.0 == LinkState::Down && self.good_in_a_row < IN_A_ROW => stay,
            Outcome::Poor => (LinkState::Degraded, Some(LinkReason::Answer)),
            Outcome::Good if self.is_lossy() => (LinkState::Degraded, Some(LinkReason::Loss)),
            Outcome::Good if self.is_slow() => (LinkState::Degraded, Some(LinkReason::Latency)),
            Outcome::Good => (LinkState::Up, None),
        }
    }

    fn lost(&self) -> usize {
        self.window
            .iter()
            .filter(|(outcome, _)| matches!(outcome, Outcome::Failed(_)))
            .count()
    }

    fn is_lossy(&self) -> bool {
        if self.report.state == LinkState::Down {
            return false;
        }
        let already = self.report.reason == Some(LinkReason::Loss);
        self.lost() >= if already { LOST_UNTIL + 1 } else { LOST_FROM }
    }

    fn recent_us(&self) -> Option<u32> {
        let recent: Vec<u32> = self
            .window
            .iter()
            .rev()
            .filter_map(|(_, rtt_us)| *rtt_us)
            .take(RECENT)
            .collect();
        (recent.len() == RECENT)
            .then(|| quantile(recent, 50))
            .flatten()
    }

    /// The recent median is slow: from three times the usual on, until less than twice. In
    /// between, the answers of the window are mixed and their own median says nothing.
    fn exceeds_usual(&self) -> bool {
        let (Some(recent), Some(usual)) = (self.recent_us(), self.baseline()) else {
            return false;
        };
        let already = self.report.reason == Some(LinkReason::Latency);
        let (factor, slower) = if already {
            (2, USUAL_AGAIN_US)
        } else {
            (3, SLOWER_US_MIN)
        };
        recent > usual.saturating_mul(factor) && recent > usual.saturating_add(slower)
    }

    fn is_slow(&self) -> bool {
        let already = self.report.reason == Some(LinkReason::Latency);
        self.slow_in_a_row >= if already { 1 } else { SLOW_IN_A_ROW }
    }

    fn baseline(&self) -> Option<u32> {
        self.baseline_us.map(|us| us as u32)
    }

    /// The usual latency follows slowly, and slower still while the target is slow: what
    /// lasts for hours is the new usual, a bad quarter of an hour is not.
    fn learn(&mut self, state: LinkState) {
        let answered: Vec<u32> = self
            .window
            .iter()
            .filter_map(|(_, rtt_us)| *rtt_us)
            .collect();
        let Some(last) = self.window.back().and_then(|(_, rtt_us)| *rtt_us) else {
            return;
        };
        match &mut self.baseline_us {
            None if answered.len() >= BASELINE_ANSWERS => {
                self.baseline_us = quantile(answered, 50).map(f64::from)
            }
            None => {}
            Some(usual) => {
                let pace = if state == LinkState::Up { 64.0 } else { 512.0 };
                *usual += (f64::from(last).min(*usual * 2.0 + 1000.0) - *usual) / pace;
            }
        }
    }

    fn publish(
        &mut self,
        now: Moment,
        state: LinkState,
        reason: Option<LinkReason>,
        answer: &Answer,
    ) {
        let answered: Vec<u32> = self
            .window
            .iter()
            .filter_map(|(_, rtt_us)| *rtt_us)
            .collect();
        let lost = self.lost();
        let window = self.window.len().max(1);
        let usual = self.baseline();
        // A slow target publishes the median that it was judged by: that of the whole window
        // still holds the answers from before, and would contradict the verdict.
        let decisive = self
            .recent_us()
            .filter(|_| reason == Some(LinkReason::Latency));
        let middle = decisive.or_else(|| quantile(answered.clone(), 50));
        let report = &mut self.report;
        if report.state != state {
            report.since = now.utc;
        }
        report.rtt_us.p50 = dead_band(report.rtt_us.p50, middle, 25);
        report.rtt_us.p99 = dead_band(report.rtt_us.p99, quantile(answered, 99), 50);
        report.rtt_baseline_us = dead_band(report.rtt_baseline_us, usual, 25);
        report.flows = match state {
            LinkState::Unknown => FlowCount::default(),
            LinkState::Down => FlowCount { ok: 0, total: 1 },
            _ => FlowCount { ok: 1, total: 1 },
        };
        // One answer per question: which way a lost one was lost is not known.
        report.loss = LossPair::default();
        let answer_speaks = match answer.outcome {
            Outcome::Failed(_) => state == LinkState::Down || report.detail.is_none(),
            Outcome::NotAsked => state == LinkState::Unknown,
            Outcome::Good | Outcome::Poor => state != LinkState::Down,
        };
        if reason == Some(LinkReason::Loss) {
            let tenths = (lost * 10).div_ceil(window) * 10;
            report.detail = Some(format!("up to {tenths} % of questions unanswered"));
        } else if reason == Some(LinkReason::Latency) {
            let (slow, usual) = (
                report.rtt_us.p50.unwrap_or(0),
                report.rtt_baseline_us.unwrap_or(0),
            );
            report.detail = Some(format!(
                "answers take {}, usually {}",
                milliseconds(slow),
                milliseconds(usual)
            ));
        } else if answer_speaks {
            report.detail = (!answer.detail.is_empty()).then(|| answer.detail.clone());
        }
        (report.state, report.reason) = (state, reason);
    }
}

fn milliseconds(us: u32) -> String {
    if us < 10_000 {
        format!("{:.1} ms", f64::from(us) / 1000.0)
    } else {
        format!("{} ms", us / 1000)
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, length_max: usize) {
    if queue.len() == length_max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Nearest-rank quantile, `percent` of 100.
fn quantile(mut values: Vec<u32>, percent: usize) -> Option<u32> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

/// Keeps the published figure while the measured one is within `percent` of it (or 200 us),
/// else publishes the measured one with two significant digits.
fn dead_band(published: Option<u32>, measured: Option<u32>, percent: u64) -> Option<u32> {
    let (Some(old), Some(new)) = (published, measured) else {
        return measured.map(two_digits);
    };
    let apart = u64::from(old.abs_diff(new));
    let keep = apart * 100 <= u64::from(old) * percent || apart <= 200;
    Some(if keep { old } else { two_digits(new) })
}

fn two_digits(value: u32) -> u32 {
    let mut unit = 1;
    while value / unit >= 100 {
        unit *= 10;
    }
    value / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Instant;

    /// Plays a script (`g` good 1 ms, `s` slow 200 ms, `p` poor, `f` silent, `r` refused,
    /// `n` not asked) and compares the states after each step.
    fn check(script: &str, expected: &str) {
        let mut target = TargetState::new(
            TargetId::new("t").unwrap(),
            Transport::TcpConnect,
            Timestamp(0),
        );
        let mut states = String::new();
        for (second, step) in script.chars().enumerate() {
            let answer = match step {
                'g' => Answer::good(1_000, ""),
                's' => Answer::good(200_000, ""),
                'p' => Answer {
                    outcome: Outcome::Poor,
                    ..Answer::good(1_000, "certificate expires in 3 days")
                },
                'f' => Answer::failed(LinkReason::Silent, "no answer"),
                'r' => Answer::failed(LinkReason::Refused, "refused"),
                _ => Answer::not_asked("not permitted"),
            };
            let at = Timestamp(second as i64 * 1_000_000);
            target.handle(
                Moment {
                    now: Instant(0),
                    utc: at,
                },
                answer,
            );
            states.push(match target.report().state {
                LinkState::Up => 'U',
                LinkState::Degraded => 'D',
                LinkState::Down => 'x',
                _ => '?',
            });
        }
        assert_eq!(states, expected, "{script}");
    }

    #[test]
    fn states_change_on_two_in_a_row_and_not_on_one() {
        check("gfgfg", "UUUUU");
        check("ggff", "UUUx");
        check("ffgg", "?xxU");
        check("ggrrgrg", "UUUxxxx");
        check("fg", "?U");
        check("gpg", "UDU");
        check("nn", "??");
        check("gnn", "UU?");
        check("ffnfg", "?xxxx");
    }

    #[test]
    fn scattered_loss_degrades_and_an_outage_that_is_over_does_not() {
        check("gggfgggfgggfg", "UUUUUUUUUUUUD");
        check("gfffffffffgggg", "UUxxxxxxxxxUUU");
    }

    #[test]
    fn slower_than_its_own_usual_is_degraded_until_it_is_usual_again() {
        check("ggggggggggggssssssssggg", "UUUUUUUUUUUUUUUUUDDDDDU");
    }

    #[test]
    fn a_burst_of_slow_answers_is_no_slow_target() {
        check("ggggggggggggsssgggggsssggg", &"U".repeat(26));
    }

    /// One answer a second of so many milliseconds each.
    fn answered(milliseconds: impl IntoIterator<Item = u32>) -> TargetState {
        let id = TargetId::new("t").unwrap();
        let mut target = TargetState::new(id, Transport::Http, Timestamp(0));
        for (second, ms) in (0_i64..).zip(milliseconds) {
            let (now, utc) = (Instant(0), Timestamp(second * 1_000_000));
            target.handle(Moment { now, utc }, Answer::good(ms * 1_000, ""));
        }
        target
    }

    #[test]
    fn what_is_published_of_a_slow_target_is_what_it_was_judged_by() {
        // Most of the window is still fast; its median would say that nothing is wrong.
        let slow = answered([vec![3; 25], vec![90; 8]].concat());
        let report = slow.report();
        assert_eq!(report.reason, Some(LinkReason::Latency));
        assert_eq!(report.rtt_us.p50, Some(90_000));
        assert_eq!(
            report.detail.as_deref(),
            Some("answers take 90 ms, usually 3.0 ms")
        );
        let over = answered([vec![3; 25], vec![90; 8], vec![4; 5]].concat());
        assert_eq!(over.report().state, LinkState::Up);
        assert_eq!(over.report().detail, None);
    }

    #[test]
    fn a_few_milliseconds_more_are_no_slow_target_whatever_the_ratio() {
        let busy = answered([vec![3; 25], vec![30; 20]].concat());
        assert_eq!(busy.report().state, LinkState::Up);
    }

    #[test]
    fn a_quiet_target_publishes_nothing_new() {
        let mut target =
            TargetState::new(TargetId::new("t").unwrap(), Transport::Icmp, Timestamp(0));
        let mut changes = 0;
        for step in 0..500_u32 {
            let answer = Answer::good(10_000 + (step * 37) % 1_500, "");
            changes += u32::from(target.handle(
                Moment {
                    now: Instant(0),
                    utc: Timestamp(step.into()),
                },
                answer,
            ));
        }
        assert!(changes <= 3, "{changes}");
        assert_eq!(target.detail("a").samples.len(), HISTORY);
    }

    #[test]
    fn figures_are_published_with_two_digits_and_none_without_answers() {
        assert_eq!(two_digits(123_456), 120_000);
        assert_eq!(two_digits(99), 99);
        assert_eq!(dead_band(Some(100_000), Some(120_000), 25), Some(100_000));
        assert_eq!(dead_band(Some(100_000), Some(140_000), 25), Some(140_000));
        assert_eq!(quantile(vec![], 50), None);
        assert_eq!(quantile((1..=100).collect(), 99), Some(99));
    }
}
