//! What carries a link: UDP, or frames inside the TCP port where UDP does not pass. Changed
//! reluctantly, so that a link does not waver between the two.

use crate::now::Attentive;
use andon_model::Transport;
use std::time::Duration;

/// A link that never answered over UDP is tried over frames after this.
const NEVER_AFTER: Duration = Duration::from_millis(1_500);
/// One that did, after it has been down for so long. Doubled, what TCP could carry looks dead
/// for longer; halved, a node that restarts is asked over connections first.
const DOWN_FOR: Duration = Duration::from_secs(10);
/// Frames must answer for so long before, with UDP silent all the while: where both come back
/// together, nothing changes.
const FRAMES_ALONE_FOR: Duration = Duration::from_secs(1);
/// UDP must answer for so long to carry the link again; twice as long each time that it then
/// failed again.
const STEADY_FOR: Duration = Duration::from_secs(5);
/// Answers needed in that time; it is tried once a second.
const STEADY_ANSWERS: u32 = 5;
/// Tries lost in a row that start the count anew. One dead flow of several is no reason.
const STEADY_LOST: u32 = 3;
/// Longest that a change back is put off, in doublings: some five minutes.
const RETURNS_MAX: u32 = 6;
/// A change back is forgotten after UDP has carried the link for so long.
const RETURN_FORGOTTEN: Duration = Duration::from_secs(600);

/// Ways to the far node that the plan gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// It has a UDP address.
    pub udp: bool,
    /// A frame connection to it is open.
    pub frames: bool,
}

/// Chooses.
#[derive(Debug)]
pub struct Carrier {
    transport: Transport,
    since: Attentive,
    udp_answered: bool,
    /// While frames carry: answers over UDP since when, and tries lost in a row.
    steady: Option<(Attentive, u32)>,
    lost_run: u32,
    returns: u32,
    /// Since when frames answer and UDP does not.
    frames_alone: Option<Attentive>,
}

impl Carrier {
    /// UDP, until it is known not to pass.
    pub fn new(now: Attentive) -> Self {
        Self {
            transport: Transport::Udp,
            since: now,
            udp_answered: false,
            steady: None,
            lost_run: 0,
            returns: 0,
            frames_alone: None,
        }
    }

    /// What carries it.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Since when.
    pub fn since(&self) -> Attentive {
        self.since
    }

    /// An answer came over UDP.
    pub fn udp_answered(&mut self, now: Attentive) {
        let (since, answers) = self.steady.unwrap_or((now, 0));
        self.steady = Some((since, answers.saturating_add(1)));
        self.lost_run = 0;
        self.frames_alone = None;
        if !std::mem::replace(&mut self.udp_answered, true) {
            self.carry(now, Transport::Udp);
        }
    }

    /// A try over UDP was lost.
    pub fn udp_lost(&mut self) {
        self.lost_run = self.lost_run.saturating_add(1);
        if self.lost_run >= STEADY_LOST {
            self.steady = None;
        }
    }

    /// Whether frames are to be tried beside UDP, because it has been silent for so long.
    pub fn tries_frames(&self, down_for: Option<Duration>) -> bool {
        self.transport == Transport::Udp && down_for.is_some_and(|span| span >= DOWN_FOR)
    }

    /// Chooses; returns whether it changed. `down_for`: how long the link has been down;
    /// `frames_answer`: the frame connection answers.
    pub fn choose(
        &mut self,
        now: Attentive,
        ways: Ways,
        down_for: Option<Duration>,
        frames_answer: bool,
    ) -> bool {
        let carried_for = now.since(self.since);
        if self.transport == Transport::Udp && carried_for >= RETURN_FORGOTTEN {
            self.returns = 0;
        }
        let never = !self.udp_answered && carried_for >= NEVER_AFTER;
        self.frames_alone = match self.frames_alone {
            _ if !frames_answer => None,
            since => since.or(Some(now)),
        };
        let alone = |since| now.since(since) >= FRAMES_ALONE_FOR;
        let fell = self.tries_frames(down_for) && self.frames_alone.is_some_and(alone);
        let to = match self.transport {
            Transport::Tcp if !ways.frames || (ways.udp && self.is_steady(now)) => Transport::Udp,
            Transport::Udp if ways.frames && (never || fell || !ways.udp) => Transport::Tcp,
            same => same,
        };
        let steady = to == Transport::Udp && ways.frames;
        let changed = self.carry(now, to);
        if changed && steady {
            self.returns = (self.returns + 1).min(RETURNS_MAX);
        }
        changed
    }

    fn is_steady(&self, now: Attentive) -> bool {
        let span = STEADY_FOR * 2u32.pow(self.returns);
        self.steady
            .is_some_and(|(since, answers)| answers >= STEADY_ANSWERS && now.since(since) >= span)
    }

    fn carry(&mut self, now: Attentive, transport: Transport) -> bool {
        if transport == self.transport {
            return false;
        }
        (self.transport, self.since) = (transport, now);
        (self.steady, self.lost_run, self.frames_alone) = (None, 0, None);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Ways = Ways {
        udp: true,
        frames: true,
    };

    fn second(n: u64) -> Attentive {
        Attentive(1_000_000 * (1_000 + n))
    }

    #[test]
    fn frames_step_in_after_ten_seconds_and_only_where_they_answer() {
        let mut carrier = Carrier::new(second(0));
        carrier.udp_answered(second(0));
        let down = |n| Some(Duration::from_secs(n));
        assert!(!carrier.choose(second(9), BOTH, down(9), true));
        assert!(!carrier.choose(second(11), BOTH, down(11), false));
        assert!(carrier.tries_frames(down(11)));
        // Both come back together.
        assert!(!carrier.choose(second(12), BOTH, down(12), true));
        carrier.udp_answered(second(12));
        assert!(!carrier.choose(second(13), BOTH, down(13), true));
        // Frames alone do.
        assert!(carrier.choose(second(14), BOTH, down(14), true));
        assert_eq!(carrier.transport(), Transport::Tcp);
    }

    #[test]
    fn udp_returns_when_steady_and_later_each_time() {
        let mut carrier = Carrier::new(second(0));
        carrier.udp_answered(second(0));
        let (mut at, mut took) = (100, Vec::new());
        for _ in 0..3 {
            assert!(!carrier.choose(second(at - 1), BOTH, Some(DOWN_FOR), true));
            assert!(carrier.choose(second(at), BOTH, Some(DOWN_FOR), true));
            (0..20).for_each(|_| carrier.udp_lost());
            let start = at;
            loop {
                at += 1;
                carrier.udp_answered(second(at));
                if carrier.choose(second(at), BOTH, None, true) {
                    break;
                }
            }
            took.push(at - start);
            at += 5;
        }
        assert_eq!(took, [6, 11, 21]);
        // Where the frames end, UDP is all there is.
        assert!(!carrier.choose(second(at + 1), BOTH, Some(DOWN_FOR), true));
        assert!(carrier.choose(second(at + 2), BOTH, Some(DOWN_FOR), true));
        let udp = Ways {
            udp: true,
            frames: false,
        };
        assert!(carrier.choose(second(at + 3), udp, None, true));
    }

    #[test]
    fn udp_that_answers_now_and_then_does_not_return() {
        let mut carrier = Carrier::new(second(0));
        carrier.udp_answered(second(0));
        carrier.choose(second(1), BOTH, Some(DOWN_FOR), true);
        carrier.choose(second(2), BOTH, Some(DOWN_FOR), true);
        assert_eq!(carrier.transport(), Transport::Tcp);
        for n in 2..200 {
            if n % 5 == 0 {
                carrier.udp_answered(second(n));
            } else {
                carrier.udp_lost();
            }
            assert!(!carrier.choose(second(n), BOTH, None, true), "{n}");
        }
    }
}
