//! Which of a far node's flows no longer arrive here, while others do. The far node says which
//! of its flows get no answers ([`DeadFlow`]); whether those still arrive is what only this end
//! knows, and what tells the way there from the way back. A flow that is given up or gets
//! another port is named no more, so nothing stays silent by mistake.

use crate::note::{DeadFlow, Note};
use crate::now::Attentive;
use std::collections::BTreeMap;
use std::time::Duration;

/// Flows of one node at most: what its questions can name beyond it is passed over.
const FLOWS_MAX: usize = 64;
/// A flow that is told dead before this cannot be judged: its probes may be on their way.
const SILENT_MIN: Duration = Duration::from_millis(400);
/// How much earlier than its owner says a flow may have arrived last. A flow whose answers are
/// lost arrives later than that: it was dead only after more probes, 100 ms apart each.
const SLACK: Duration = Duration::from_millis(300);
/// A flow that was not told dead again for so long is forgotten. Doubled, a node that probes
/// seldom is served better, and one that went wrong longer.
const TOLD_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Arrived {
    port: u16,
    last: Attentive,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    port: u16,
    at: Attentive,
}

/// Arrivals by flow of one far node.
#[derive(Debug, Default)]
pub struct SilentFlows {
    /// By index; grows with the flows that arrive.
    arrived: Vec<Option<Arrived>>,
    silent: BTreeMap<u8, Told>,
    /// Dead for their owner, and yet they arrive.
    arriving: BTreeMap<u8, Told>,
}

impl SilentFlows {
    /// A probe arrived with this note. Returns whether the silent flows changed.
    pub fn arrived(&mut self, now: Attentive, note: &Note) -> bool {
        let flow = usize::from(note.flow);
        if note.flows == 0 || usize::from(note.flows) > FLOWS_MAX || note.flow >= note.flows {
            return false;
        }
        let before = (self.silent.len(), self.arriving.len());
        if self.arrived.len() <= flow {
            self.arrived.resize(flow + 1, None);
        }
        self.arrived.truncate(usize::from(note.flows));
        self.arrived[flow] = Some(Arrived {
            port: note.port,
            last: now,
        });
        self.silent.retain(|silent, told| {
            *silent != note.flow && *silent < note.flows && now.since(told.at) < TOLD_MAX
        });
        self.arriving
            .retain(|flow, told| *flow < note.flows && now.since(told.at) < TOLD_MAX);
        if let Some(dead) = note.dead.filter(|dead| dead.flow < note.flows) {
            return self.judge(now, dead) || (self.silent.len(), self.arriving.len()) != before;
        }
        (self.silent.len(), self.arriving.len()) != before
    }

    /// Source ports of flows that stopped arriving, as their owner names them; sorted.
    pub fn ports(&self, now: Attentive) -> Vec<u16> {
        ports_of(&self.silent, now)
    }

    /// Source ports of flows that are dead for their owner and arrive here; sorted.
    pub fn arriving(&self, now: Attentive) -> Vec<u16> {
        ports_of(&self.arriving, now)
    }

    fn judge(&mut self, now: Attentive, dead: DeadFlow) -> bool {
        let silent = Duration::from_millis(dead.silent_ms.into());
        if silent < SILENT_MIN {
            return false;
        }
        let last = self
            .arrived
            .get(usize::from(dead.flow))
            .copied()
            .flatten()
            .filter(|arrived| arrived.port == dead.port);
        let is_silent = last.is_none_or(|arrived| now.since(arrived.last) + SLACK >= silent);
        let told = Told {
            port: dead.port,
            at: now,
        };
        let (into, out_of) = if is_silent {
            (&mut self.silent, &mut self.arriving)
        } else {
            (&mut self.arriving, &mut self.silent)
        };
        out_of.remove(&dead.flow);
        let before = into.insert(dead.flow, told);
        before.is_none_or(|before| before.port != dead.port)
    }
}

fn ports_of(flows: &BTreeMap<u8, Told>, now: Attentive) -> Vec<u16> {
    let fresh = flows.values().filter(|told| now.since(told.at) < TOLD_MAX);
    let mut ports: Vec<u16> = fresh.map(|told| told.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Purpose;

    fn at(ms: u64) -> Attentive {
        Attentive(1_000_000 + ms * 1_000)
    }

    fn note(flow: u8, flows: u8, dead: Option<(u8, u16)>) -> Note {
        Note {
            purpose: Purpose::Probe,
            flow,
            flows,
            port: 40_000 + u16::from(flow),
            dead: dead.map(|(flow, silent_ms)| DeadFlow {
                flow,
                port: 40_000 + u16::from(flow),
                silent_ms,
            }),
        }
    }

    #[test]
    fn a_flow_that_is_dead_for_its_owner_and_does_not_arrive_is_silent() {
        let mut flows = SilentFlows::default();
        (0..8).for_each(|n| assert!(!flows.arrived(at(0), &note(n, 8, None))));
        assert!(flows.arrived(at(1_700), &note(0, 8, Some((3, 1_000)))));
        assert!(!flows.arrived(at(1_800), &note(1, 8, Some((3, 1_100)))));
        assert_eq!(flows.ports(at(1_700)), [40_003]);
        // It arrives again.
        assert!(flows.arrived(at(9_000), &note(3, 8, None)));
        assert!(flows.ports(at(9_000)).is_empty());
    }

    #[test]
    fn a_flow_whose_answers_are_lost_is_not_silent() {
        let mut flows = SilentFlows::default();
        let first_lost = 2_360;
        for ms in (0..100_000u64).step_by(10) {
            let confirms = [400, 500, 600].contains(&ms.saturating_sub(first_lost));
            if !(confirms || ms % 120 == 0 && ms % 1_000 < 960) {
                continue;
            }
            let flow = if confirms {
                3
            } else {
                (ms % 1_000 / 120) as u8
            };
            let silent_ms = ms.saturating_sub(first_lost).min(65_535) as u16;
            let dead = (silent_ms > 1_000).then_some((3, silent_ms));
            flows.arrived(at(ms), &note(flow, 8, dead));
            assert!(flows.ports(at(ms)).is_empty(), "{ms}");
        }
        assert_eq!(flows.arriving(at(100_000)), [40_003]);
    }

    #[test]
    fn flows_that_never_arrived_or_are_no_more_are_told_rightly() {
        let mut flows = SilentFlows::default();
        flows.arrived(at(0), &note(0, 64, Some((50, 1_200))));
        assert_eq!(flows.ports(at(0)), [40_050]);
        // The burst is over: its flows are no more.
        flows.arrived(at(5_000), &note(0, 8, None));
        assert!(flows.ports(at(5_000)).is_empty());
        // A flow that got another port is judged by that one.
        flows.arrived(at(6_000), &note(3, 8, None));
        let moved = Note {
            dead: Some(DeadFlow {
                flow: 3,
                port: 50_000,
                silent_ms: 900,
            }),
            ..note(0, 8, None)
        };
        flows.arrived(at(6_500), &moved);
        assert_eq!(flows.ports(at(6_500)), [50_000]);
        // And what nobody repeats is forgotten.
        assert!(flows.ports(at(70_000)).is_empty());
    }

    #[test]
    fn absurd_notes_take_no_room() {
        let mut flows = SilentFlows::default();
        for flow in 0..=255 {
            flows.arrived(at(0), &note(flow, 255, Some((flow, u16::MAX))));
            flows.arrived(at(0), &note(flow, 3, Some((flow, u16::MAX))));
            flows.arrived(at(0), &note(0, 64, Some((flow, u16::MAX))));
        }
        assert!(flows.ports(at(0)).len() <= FLOWS_MAX && flows.arrived.len() <= FLOWS_MAX);
    }
}
