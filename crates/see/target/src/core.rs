//! Which target is asked when. Knows no sockets, no clock, no tasks: the caller brings time,
//! a seed and answers, and carries out what `poll` returns.

use crate::answer::Answer;
use crate::assign::{Me, mine};
use crate::question::{self, Question};
use crate::state::{TargetDetail, TargetState};
use andon_model::{Instant, LinkReport, NodeKey, TargetId, TargetSpec, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Targets that one node asks. Beyond it targets are not asked, and counted.
pub const TARGETS_MAX: usize = 1_000;
/// Questions under way at once. Doubled, silent targets could hold 128 sockets.
pub const ASKING_MAX: usize = 64;
/// Within this time of its declaration a target is asked for the first time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// Wait before a question that confirms a change of state.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// Both kinds of time at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For deciding.
    pub now: Instant,
    /// For people.
    pub utc: Timestamp,
}

/// What comes in.
#[derive(Debug)]
pub enum Event {
    /// All targets declared in the grid, with who declared each.
    Declared(Vec<(NodeKey, TargetSpec)>),
    /// What came of a question.
    Answered(Ticket, Box<Answer>),
}

/// Which question of which declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The target.
    pub id: TargetId,
    generation: u64,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Ask, wait at most `timeout`, and bring back what came of it.
    Ask {
        /// To be brought back with the answer.
        ticket: Ticket,
        /// What to ask.
        question: Arc<Question>,
        /// How long to wait.
        timeout: Duration,
    },
    /// All reports, since one of them changed.
    Report(Vec<LinkReport>),
}

/// What was not done, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions asked.
    pub asked: u64,
    /// Questions that had to wait since [`ASKING_MAX`] were under way.
    pub delayed: u64,
    /// Targets left out of the last declaration since there were [`TARGETS_MAX`].
    pub left_out: u64,
    /// Targets of the last declaration that clash with another of the same name.
    pub clashes: u64,
}

struct Entry {
    spec: TargetSpec,
    question: Option<Arc<Question>>,
    state: TargetState,
    generation: u64,
    due: Option<Instant>,
    asked_at: Instant,
}

/// The targets that this node asks.
pub struct Targets {
    me: Me,
    rng: StdRng,
    entries: BTreeMap<TargetId, Entry>,
    due: BTreeSet<(Instant, TargetId)>,
    outputs: VecDeque<Output>,
    asking: usize,
    generation: u64,
    counters: Counters,
}

impl Targets {
    /// No targets yet. The same seed gives the same moments.
    pub fn new(me: Me, seed: u64) -> Self {
        Self {
            me,
            rng: StdRng::seed_from_u64(seed),
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            outputs: VecDeque::new(),
            asking: 0,
            generation: 0,
            counters: Counters::default(),
        }
    }

    /// Something came in.
    pub fn handle(&mut self, at: Moment, event: Event) {
        match event {
            Event::Declared(declared) => self.declare(at, declared),
            Event::Answered(ticket, answer) => self.answered(at, &ticket, *answer),
        }
        self.wake(at);
    }

    /// Time has passed.
    pub fn wake(&mut self, at: Moment) {
        while let Some((due, id)) = self.due.first().cloned() {
            if due > at.now {
                return;
            }
            if self.asking >= ASKING_MAX {
                self.counters.delayed += 1;
                return;
            }
            self.due.pop_first();
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let Some(question) = entry.question.clone() else {
                continue;
            };
            entry.due = None;
            entry.asked_at = at.now;
            self.asking += 1;
            self.counters.asked += 1;
            self.outputs.push_back(Output::Ask {
                ticket: Ticket {
                    id,
                    generation: entry.generation,
                },
                question,
                timeout: question::timeout(&entry.spec),
            });
        }
    }

    /// When to wake it; `None` while only an answer or a declaration can change anything.
    pub fn next_wake(&self) -> Option<Instant> {
        if self.asking >= ASKING_MAX {
            return None;
        }
        self.due.first().map(|(due, _)| *due)
    }

    /// What to do next, until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// All reports, by target.
    pub fn view(&self) -> Vec<LinkReport> {
        self.entries
            .values()
            .map(|entry| entry.state.report().clone())
            .collect()
    }

    /// Everything known of one target.
    pub fn detail(&self, id: &TargetId) -> Option<TargetDetail> {
        let entry = self.entries.get(id)?;
        Some(entry.state.detail(&entry.spec.address))
    }

    /// What was asked, and what was not.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn declare(&mut self, at: Moment, declared: Vec<(NodeKey, TargetSpec)>) {
        let wanted = self.wanted(declared);
        let before = self.entries.len();
        self.entries
            .retain(|id, entry| wanted.get(id).is_some_and(|spec| *spec == entry.spec));
        let mut changed = self.entries.len() != before;
        for (id, spec) in wanted {
            if !self.entries.contains_key(&id) {
                changed = true;
                let entry = self.entry(at, spec);
                self.entries.insert(id, entry);
            }
        }
        self.due = self
            .entries
            .iter()
            .filter_map(|(id, entry)| Some((entry.due?, id.clone())))
            .collect();
        if changed {
            self.outputs.push_back(Output::Report(self.view()));
        }
    }

    /// The declarations that concern this node, one per name: its own first, then that of
    /// the lowest key, so that all nodes choose alike.
    fn wanted(&mut self, declared: Vec<(NodeKey, TargetSpec)>) -> BTreeMap<TargetId, TargetSpec> {
        let mut ours: Vec<_> = declared
            .into_iter()
            .filter(|(by, spec)| mine(spec, *by, &self.me))
            .collect();
        ours.sort_by_key(|(by, _)| (*by != self.me.key, *by));
        let mut wanted: BTreeMap<TargetId, TargetSpec> = BTreeMap::new();
        (self.counters.clashes, self.counters.left_out) = (0, 0);
        for (_, spec) in ours {
            if let Some(chosen) = wanted.get(&spec.id) {
                self.counters.clashes += u64::from(*chosen != spec);
            } else if wanted.len() >= TARGETS_MAX {
                self.counters.left_out += 1;
            } else {
                wanted.insert(spec.id.clone(), spec);
            }
        }
        wanted
    }

    fn entry(&mut self, at: Moment, spec: TargetSpec) -> Entry {
        let mut state = TargetState::new(spec.id.clone(), Question::transport(&spec.probe), at.utc);
        let question = match Question::from_spec(&spec) {
            Ok(question) => Some(Arc::new(question)),
            Err(error) => {
                state.set_detail(&error.to_string());
                None
            }
        };
        self.generation += 1;
        let first = at.now + FIRST_WITHIN.mul_f64(self.rng.random_range(0.0..1.0));
        let due = question.is_some().then_some(first);
        Entry {
            spec,
            question,
            state,
            generation: self.generation,
            due,
            asked_at: at.now,
        }
    }

    fn answered(&mut self, at: Moment, ticket: &Ticket, answer: Answer) {
        self.asking = self.asking.saturating_sub(1);
        let Some(entry) = self
            .entries
            .get_mut(&ticket.id)
            .filter(|e| e.generation == ticket.generation)
        else {
            return;
        };
        let first_answer = entry.state.is_new();
        let changed = entry.state.handle(at, answer);
        // A random part of every interval: nodes started together drift apart at once.
        let spread = if first_answer { 0.5..1.5 } else { 0.9..1.1 };
        let interval = question::interval(&entry.spec);
        let pause = if entry.state.wants_confirmation() {
            interval.min(CONFIRM_AFTER)
        } else {
            interval
        };
        let due = (entry.asked_at + pause.mul_f64(self.rng.random_range(spread))).max(at.now);
        entry.due = Some(due);
        self.due.insert((due, ticket.id.clone()));
        if changed {
            self.outputs.push_back(Output::Report(self.view()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{LinkReason, LinkState, NodeId, ProbeKind, SiteId};

    fn me() -> Me {
        Me {
            key: NodeKey(1),
            id: NodeId::new("a").unwrap(),
            site: SiteId::new("s").unwrap(),
        }
    }

    fn spec(id: &str, address: &str) -> TargetSpec {
        TargetSpec {
            id: TargetId::new(id).unwrap(),
            address: address.into(),
            probe: ProbeKind::Tcp,
            from_nodes: vec![],
            from_sites: vec![],
            interval_ms: 10_000,
            timeout_ms: 2_000,
        }
    }

    fn moment(us: u64) -> Moment {
        Moment {
            now: Instant(us),
            utc: Timestamp(us as i64),
        }
    }

    /// Runs for `seconds`, answering every question at once; returns when each was asked.
    fn run(
        targets: &mut Targets,
        seconds: u64,
        answer: impl Fn(&TargetId, u64) -> Answer,
    ) -> Vec<u64> {
        let mut asked = Vec::new();
        let mut now = 0;
        while let Some(wake) = targets
            .next_wake()
            .filter(|wake| wake.0 < seconds * 1_000_000)
        {
            now = wake.0.max(now);
            targets.wake(moment(now));
            while let Some(output) = targets.poll() {
                if let Output::Ask { ticket, .. } = output {
                    asked.push(now);
                    let answer = answer(&ticket.id, now);
                    targets.handle(moment(now), Event::Answered(ticket, Box::new(answer)));
                }
            }
        }
        asked
    }

    #[test]
    fn nodes_that_start_together_do_not_beat_together() {
        let moments = |seed| {
            let mut targets = Targets::new(me(), seed);
            targets.handle(
                moment(0),
                Event::Declared(vec![(NodeKey(1), spec("t", "h:1"))]),
            );
            run(&mut targets, 100, |_, _| Answer::good(1_000, ""))
        };
        let (one, other) = (moments(1), moments(2));
        assert!((9..=12).contains(&one.len()), "{one:?}");
        assert!(
            one.iter().zip(&other).all(|(a, b)| a.abs_diff(*b) > 1_000),
            "{one:?} {other:?}"
        );
        assert_eq!(moments(1), one);
    }

    #[test]
    fn a_failure_is_confirmed_within_seconds_of_a_long_interval() {
        let mut targets = Targets::new(me(), 7);
        targets.handle(
            moment(0),
            Event::Declared(vec![(NodeKey(1), spec("t", "h:1"))]),
        );
        let fail_from = 30_000_000;
        let asked = run(&mut targets, 60, |_, now| match now >= fail_from {
            true => Answer::failed(LinkReason::Silent, "no answer"),
            false => Answer::good(1_000, ""),
        });
        let failed: Vec<_> = asked.iter().filter(|at| **at >= fail_from).collect();
        assert!(failed[1] - failed[0] < 1_500_000, "{failed:?}");
        assert_eq!(targets.view()[0].state, LinkState::Down);
    }

    #[test]
    fn silent_targets_hold_back_nothing_but_their_own_place() {
        let mut targets = Targets::new(me(), 7);
        let many = (0..200)
            .map(|n| (NodeKey(1), spec(&format!("t{n}"), "h:1")))
            .collect();
        targets.handle(moment(0), Event::Declared(many));
        targets.wake(moment(2_000_000));
        let mut tickets = Vec::new();
        while let Some(output) = targets.poll() {
            if let Output::Ask { ticket, .. } = output {
                tickets.push(ticket);
            }
        }
        assert_eq!(tickets.len(), ASKING_MAX);
        assert!(targets.next_wake().is_none());
        targets.handle(
            moment(3_000_000),
            Event::Answered(tickets.remove(0), Box::new(Answer::good(1, ""))),
        );
        assert!(
            std::iter::from_fn(|| targets.poll())
                .any(|output| matches!(output, Output::Ask { .. }))
        );
        assert!(targets.counters().delayed > 0);
    }

    #[test]
    fn a_changed_declaration_forgets_the_old_answers() {
        let mut targets = Targets::new(me(), 7);
        targets.handle(
            moment(0),
            Event::Declared(vec![(NodeKey(1), spec("t", "h:1"))]),
        );
        run(&mut targets, 50, |_, _| Answer::good(1_000, ""));
        assert_eq!(targets.view()[0].state, LinkState::Up);
        targets.wake(moment(100_000_000));
        let Some(Output::Ask { ticket, .. }) = targets.poll() else {
            panic!("due")
        };
        targets.handle(
            moment(100_000_000),
            Event::Declared(vec![(NodeKey(1), spec("t", "h:2"))]),
        );
        targets.handle(
            moment(100_000_001),
            Event::Answered(ticket, Box::new(Answer::good(1_000, ""))),
        );
        assert_eq!(targets.view()[0].state, LinkState::Unknown);
        targets.handle(moment(100_000_002), Event::Declared(vec![]));
        assert!(targets.view().is_empty() && targets.next_wake().is_none());
    }

    #[test]
    fn what_cannot_be_asked_is_unknown_and_says_why() {
        let mut targets = Targets::new(me(), 7);
        let declared = vec![
            (NodeKey(1), spec("t", "no port")),
            (NodeKey(2), spec("u", "h:1")),
        ];
        targets.handle(moment(0), Event::Declared(declared));
        let view = targets.view();
        assert_eq!((view.len(), view[0].state), (1, LinkState::Unknown));
        assert!(
            view[0].detail.as_deref().unwrap().contains("host:port"),
            "{view:?}"
        );
    }

    #[test]
    fn of_two_declarations_of_one_name_the_own_counts() {
        let mut targets = Targets::new(me(), 7);
        let mut foreign = spec("t", "foreign:1");
        foreign.from_sites = vec![SiteId::new("s").unwrap()];
        targets.handle(
            moment(0),
            Event::Declared(vec![
                (NodeKey(0), foreign),
                (NodeKey(1), spec("t", "own:1")),
            ]),
        );
        assert_eq!(
            targets
                .detail(&TargetId::new("t").unwrap())
                .unwrap()
                .address,
            "own:1"
        );
        assert_eq!(targets.counters().clashes, 1);
    }
}
