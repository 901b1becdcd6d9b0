//! Which steps of a route are due, and which have to wait: for the incident to settle, for an
//! earlier node's turn, for the route's hours, for the end of a silence, for the rate.

use super::{Moment, Notifier, Output, plain};
use crate::mute::muted;
use crate::phase::Phase;
use crate::plan::{Plan, Route};
use crate::thread::{Pending, Thread};
use andon_model::{Incident, IncidentState, Instant, RemarkKind, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The end is not urgent: what ends together is told together.
const GATHER: Duration = Duration::from_secs(2);
/// How often what is held back by hours, silences or maintenance is looked at again.
const MUTED_LOOK: Duration = Duration::from_secs(20);
/// How long an incident may be missing from the list before its alert is closed: a node that
/// starts knows none at first.
const ABSENT_MAX: Duration = Duration::from_secs(900);

/// What is to be done about an incident on a route.
enum Step {
    /// Nothing.
    Nothing,
    /// Nothing any more: another node told it.
    ToldByOther,
    /// Nothing any more: it was over before its time had come.
    OverBeforeTold,
    /// It is held back; why, where not by the route's own hours.
    Muted(Option<String>),
    /// Not before.
    Until(Instant),
    /// This is to be told.
    Tell(Phase),
}

/// What all steps of a route depend on.
struct Sight<'a> {
    route: &'a Route,
    plan: &'a Plan,
    at: Moment,
    /// How much longer than the first node this one waits.
    patience: Duration,
    /// Messages that the rate allows now, and when it allows one more.
    offered: usize,
    next_offer: Instant,
    /// Keys of alerts that have to stay.
    open_keys: BTreeSet<String>,
}

impl Sight<'_> {
    fn step(&self, thread: &mut Thread, incident: &Incident) -> Step {
        let (route, now) = (self.route, self.at.now);
        if thread.settle_end(incident.state, now) {
            return Step::ToldByOther;
        }
        if thread.letter.is_some() {
            return Step::Nothing;
        }
        let wanted = match thread.told_open || route.filter.matches(incident) {
            true => thread.wanted(incident, route, now),
            false => None,
        };
        let Some(pending) = wanted else {
            let was_opening = thread.pending.take().is_some_and(|was| was.phase.opens());
            return match was_opening && !thread.told_open {
                true => Step::OverBeforeTold,
                false => Step::Nothing,
            };
        };
        let silent_end =
            pending.phase == Phase::Resolved && !route.resolved && !route.medium.keeps_alerts();
        if silent_end || thread.heard_early(pending.phase, now) {
            thread.said(pending.phase, incident, route, now);
            return Step::Nothing;
        }
        if pending.phase == Phase::Resolved
            && route.medium.keeps_alerts()
            && self.open_keys.contains(&thread.key)
        {
            return Step::Nothing;
        }
        self.time(thread, incident, pending)
    }

    /// Whether the time of a wanted step has come.
    fn time(&self, thread: &mut Thread, incident: &Incident, mut pending: Pending) -> Step {
        let (route, at) = (self.route, self.at);
        if !pending.phase.calms() {
            let why = muted(self.plan, incident, at.utc);
            if why.is_some() || !route.hours.contain(at.utc) {
                thread.muted = true;
                thread.pending = Some(pending);
                return Step::Muted(why);
            }
        }
        // Whoever was held back takes turns anew: all nodes are let go at one moment.
        if std::mem::take(&mut thread.muted) {
            pending.since = at.now;
        }
        // Others told so much that the rate allows no more: it is still the first one's turn
        // when it does again.
        let by_rate = pending.phase.opens() || !route.medium.keeps_alerts();
        if by_rate && self.offered == 0 && !self.patience.is_zero() {
            pending.since = pending.since.max(self.next_offer);
        }
        thread.pending = Some(pending);
        let due = pending.since + settle(pending, route) + self.patience;
        match due > at.now {
            true => Step::Until(due),
            false => Step::Tell(pending.phase),
        }
    }
}

impl Notifier {
    /// The steps of a route whose time has come, by phase.
    pub(super) fn ready(&mut self, route: &Route, at: Moment) -> BTreeMap<Phase, Vec<String>> {
        let mut ready: BTreeMap<Phase, Vec<String>> = BTreeMap::new();
        self.give_up_on_stale_openings(route);
        let open_keys = self.open_keys(route);
        let plan = Arc::clone(&self.plan);
        let first_speaker = self.company.rank(&route.name) == 0;
        let patience = self.company.patience(&route.name);
        let Some(state) = self.routes.get_mut(&route.name) else {
            return ready;
        };
        let sight = Sight {
            route,
            plan: &plan,
            at,
            patience,
            offered: state.rate.available(at.now, route.per_hour),
            next_offer: state.rate.next(route.per_hour),
            open_keys,
        };
        let (mut held, mut wakes) = (0, Vec::new());
        for (id, case) in &self.cases {
            let incident = &case.incident;
            let known = state.threads.contains_key(id);
            let is_over = incident.state == IncidentState::Resolved;
            if !known && (is_over || !route.filter.matches(incident)) {
                continue;
            }
            let thread = state
                .threads
                .entry(id.clone())
                .or_insert_with(|| Thread::new(incident));
            thread.absent_since = None;
            wakes.extend(thread.next_remind.filter(|remind| *remind > at.now));
            let counters = &mut state.view.counters;
            match sight.step(thread, incident) {
                Step::Nothing => {}
                Step::Tell(phase) => ready.entry(phase).or_default().push(id.clone()),
                Step::ToldByOther => {
                    counters.told_by_others += 1;
                    self.revision += 1;
                }
                Step::OverBeforeTold => counters.over_before_told += 1,
                Step::Until(due) => {
                    held += 1;
                    wakes.push(due);
                }
                Step::Muted(why) => {
                    held += 1;
                    wakes.push(at.now + until_look(at.utc));
                    if !std::mem::replace(&mut thread.suppressed, true) {
                        counters.suppressed += 1;
                        self.revision += 1;
                    }
                    if let Some(why) = why.filter(|_| first_speaker)
                        && self.noted.insert(id.clone())
                    {
                        self.revision += 1;
                        let text = format!("nobody is told: {why}");
                        self.outputs.push_back(Output::Remark {
                            incident: id.clone(),
                            what: RemarkKind::Note(plain(&text)),
                        });
                    }
                }
            }
        }
        state.view.held = held;
        for wake in wakes {
            self.wake_at(wake);
        }
        self.absent(route, at.now, first_speaker, &mut ready);
        ready
    }

    /// What no list holds any more is over as far as anybody knows. Remarks on it lead nowhere
    /// either, so the first speaker alone tells that.
    fn absent(
        &mut self,
        route: &Route,
        now: Instant,
        first_speaker: bool,
        ready: &mut BTreeMap<Phase, Vec<String>>,
    ) {
        let Some(state) = self.routes.get_mut(&route.name) else {
            return;
        };
        let (cases, mut wakes) = (&self.cases, Vec::new());
        state.threads.retain(|id, thread| {
            if cases.contains_key(id) || thread.letter.is_some() {
                return true;
            }
            let since = *thread.absent_since.get_or_insert(now);
            if now < since + ABSENT_MAX {
                wakes.push(since + ABSENT_MAX);
                return true;
            }
            let closes = route.resolved || route.medium.keeps_alerts();
            if thread.told_open && closes && first_speaker {
                ready.entry(Phase::Resolved).or_default().push(id.clone());
                return true;
            }
            false
        });
        for wake in wakes {
            self.wake_at(wake);
        }
    }

    /// An opening that could not be delivered while the incident lasted is not worth telling
    /// by itself: the end is told, with the reason for its being late.
    fn give_up_on_stale_openings(&mut self, route: &Route) {
        let Some(state) = self.routes.get(&route.name) else {
            return;
        };
        let flying = state.in_flight.map(|(id, _)| id);
        let mut stale = Vec::new();
        for letter in self.letters.values() {
            let tried = letter.route == route.name && letter.attempts > 0;
            if !tried || letter.phase().calms() || flying == Some(letter.id) {
                continue;
            }
            for member in &letter.members {
                let over = self
                    .cases
                    .get(member)
                    .is_some_and(|case| case.incident.state == IncidentState::Resolved);
                if over {
                    stale.push((
                        letter.id,
                        member.clone(),
                        letter.phase(),
                        letter.trouble.clone(),
                    ));
                }
            }
        }
        for (letter, member, phase, trouble) in stale {
            if self.take_back(&route.name, letter, &member)
                && phase.opens()
                && let Some(state) = self.routes.get_mut(&route.name)
                && let Some(thread) = state.threads.get_mut(&member)
            {
                thread.told_open = true;
                thread.ever_told = true;
                thread.late = Some(trouble.unwrap_or_default());
            }
        }
    }

    /// Keys of alerts that have to stay, since an incident told under them is not over.
    fn open_keys(&self, route: &Route) -> BTreeSet<String> {
        let Some(state) = self.routes.get(&route.name) else {
            return BTreeSet::new();
        };
        let open = |id: &str| {
            let case = self.cases.get(id);
            case.is_some_and(|case| case.incident.state != IncidentState::Resolved)
        };
        state
            .threads
            .iter()
            .filter(|(id, thread)| thread.told_open && open(id))
            .map(|(_, thread)| thread.key.clone())
            .collect()
    }
}

/// Nodes look at the same moments, so that the first of them also is the first to speak.
fn until_look(utc: Timestamp) -> Duration {
    let every = i64::try_from(MUTED_LOOK.as_micros()).unwrap_or(i64::MAX);
    let left = every - utc.0.rem_euclid(every);
    Duration::from_micros(u64::try_from(left).unwrap_or(0))
}

/// How long a step waits before the first speaker tells it.
fn settle(pending: Pending, route: &Route) -> Duration {
    match pending.phase {
        Phase::Opened | Phase::Reopened | Phase::Grew => route.wait,
        Phase::Resolved => GATHER,
        Phase::Acknowledged | Phase::Reminder | Phase::Test => Duration::ZERO,
    }
}
