//! What is told when, and by whom: the pure core. It takes incidents with what the grid says
//! of them, the company of living nodes and what came of each attempt; it gives letters to
//! send and remarks for the grid.
//!
//! Decides on the monotonic clock alone; the wall clock is read for hours, silences and words.

use crate::case::{Case, Word};
use crate::counters::{NotifyView, RouteView};
use crate::letter::{Answer, Letter};
use crate::message::Message;
use crate::mute::muted;
use crate::phase::Phase;
use crate::plan::{Plan, Route};
use crate::rate::Rate;
use crate::thread::{Pending, Thread, answers};
use crate::turn::Company;
use andon_model::{Incident, IncidentState, Instant, NodeKey, RemarkKind, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Incidents that are kept account of, the worst first; more than a grid has in a bad week.
pub const CASES_MAX: usize = 2_000;
/// The end is not urgent: what ends together is told together.
const GATHER: Duration = Duration::from_secs(2);
/// So many that become due together are told one by one; more in one message.
const ONE_BY_ONE_MAX: usize = 3;
/// Undelivered messages of a route beyond which further incidents wait to be told together.
const BACKLOG_MAX: usize = 4;
/// Undelivered closings of a route whose other side keeps alerts; each alert needs its own.
const CLOSINGS_MAX: usize = 64;
/// Incidents in one message; the rest goes into the next.
const MEMBERS_MAX: usize = 1_000;
/// A sender that says nothing for so long is taken to have failed. Above any sender's limit.
pub const IN_FLIGHT_MAX: Duration = Duration::from_secs(180);
/// How often what is held back by hours, silences or maintenance is looked at again.
const MUTED_LOOK: Duration = Duration::from_secs(20);
/// How long an incident may be missing from the list before its alert is closed: a node that
/// starts knows none at first.
const ABSENT_MAX: Duration = Duration::from_secs(900);
/// Longest reason that is kept, bytes.
const WHY_BYTES_MAX: usize = 300;

/// Both times, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For deciding.
    pub now: Instant,
    /// For hours, and for people.
    pub utc: Timestamp,
}

/// What comes in.
#[derive(Debug, Clone)]
pub enum Event {
    /// All incidents that are known.
    Incidents(Arc<Vec<Case>>),
    /// Which living nodes stand before this one.
    Company(Company),
    /// What came of a letter.
    Answered {
        /// The letter.
        letter: u64,
        /// What came of it.
        answer: Answer,
    },
    /// The configuration was read again.
    Plan(Arc<Plan>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this. At most one letter of a route is under way at a time.
    Send(Box<Letter>),
    /// Say this of an incident in the grid.
    Remark {
        /// The incident.
        incident: String,
        /// What.
        what: RemarkKind,
    },
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Saved {
    next_letter: u64,
    routes: BTreeMap<String, SavedRoute>,
    letters: Vec<Letter>,
    noted: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct SavedRoute {
    view: RouteView,
    tokens: f64,
    threads: BTreeMap<String, Thread>,
}

/// One route's part of the state.
struct RouteState {
    view: RouteView,
    rate: Rate,
    threads: BTreeMap<String, Thread>,
    /// The letter under way, and since when.
    in_flight: Option<(u64, Instant)>,
}

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// By which its own remarks are known.
    pub key: NodeKey,
    /// What people call it.
    pub id: String,
}

/// The core. See the module.
pub struct Notifier {
    me: Me,
    plan: Arc<Plan>,
    company: Company,
    cases: BTreeMap<String, Case>,
    beyond: usize,
    routes: BTreeMap<String, RouteState>,
    letters: BTreeMap<u64, Letter>,
    next_letter: u64,
    /// Incidents of which the grid was told that nobody is told.
    noted: BTreeSet<String>,
    outputs: VecDeque<Output>,
    next_wake: Option<Instant>,
    revision: u64,
    random: StdRng,
}

impl Notifier {
    /// Goes on from what was saved; letters under way are tried again at once.
    pub fn new(me: Me, plan: Arc<Plan>, saved: Saved, seed: u64, at: Moment) -> Self {
        let now = at.now;
        let mut core = Self {
            me,
            plan: Arc::default(),
            company: Company::alone(),
            cases: BTreeMap::new(),
            beyond: 0,
            routes: BTreeMap::new(),
            letters: BTreeMap::new(),
            next_letter: saved.next_letter,
            noted: saved.noted,
            outputs: VecDeque::new(),
            next_wake: None,
            revision: 0,
            random: StdRng::seed_from_u64(seed),
        };
        for (name, route) in saved.routes {
            let mut threads = route.threads;
            for thread in threads.values_mut() {
                thread.next_remind = thread
                    .remind_in_ms
                    .map(|ms| now + Duration::from_millis(ms));
            }
            let state = RouteState {
                view: route.view,
                rate: Rate::new(route.tokens, now),
                threads,
                in_flight: None,
            };
            core.routes.insert(name, state);
        }
        for mut letter in saved.letters {
            (letter.due, letter.written) = (now, now);
            if let Some(state) = core.routes.get_mut(&letter.route) {
                for member in &letter.members {
                    if let Some(thread) = state.threads.get_mut(member) {
                        thread.letter = Some(letter.id);
                    }
                }
                core.next_letter = core.next_letter.max(letter.id + 1);
                core.letters.insert(letter.id, letter);
            }
        }
        core.take_plan(plan, now);
        core.wake(at);
        core
    }

    /// Something came in.
    pub fn handle(&mut self, at: Moment, event: Event) {
        match event {
            Event::Incidents(cases) => self.take_cases(&cases, at),
            Event::Company(company) => self.company = company,
            Event::Answered { letter, answer } => self.answered(letter, answer, at),
            Event::Plan(plan) => self.take_plan(plan, at.now),
        }
        self.wake(at);
    }

    /// Time has passed.
    pub fn wake(&mut self, at: Moment) {
        self.next_wake = None;
        let plan = Arc::clone(&self.plan);
        for route in &plan.routes {
            self.free_stuck(route, at);
            let ready = self.ready(route, at);
            self.write(route, ready, at);
            self.send_next(&route.name, at.now);
        }
    }

    /// When to wake it; `None` when only an event can change anything.
    pub fn next_wake(&self) -> Option<Instant> {
        self.next_wake
    }

    /// What to do; until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How the routes fare.
    pub fn view(&self) -> NotifyView {
        NotifyView {
            routes: self
                .routes
                .iter()
                .map(|(name, state)| (name.clone(), state.view.clone()))
                .collect(),
            beyond: self.beyond,
            state_write_failures: 0,
        }
    }

    /// Changes with everything that has to survive a restart.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What has to survive a restart.
    pub fn save(&self, now: Instant) -> Saved {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let routes = self.routes.iter().map(|(name, state)| {
            let mut threads = state.threads.clone();
            for thread in threads.values_mut() {
                thread.remind_in_ms = thread.next_remind.map(|at| millis(at.since(now)));
            }
            let route = SavedRoute {
                view: state.view.clone(),
                tokens: state.rate.tokens(),
                threads,
            };
            (name.clone(), route)
        });
        let letters = self.letters.values().map(|letter| Letter {
            age_ms: millis(letter.age(now)),
            ..letter.clone()
        });
        Saved {
            next_letter: self.next_letter,
            routes: routes.collect(),
            letters: letters.collect(),
            noted: self.noted.clone(),
        }
    }

    fn wake_at(&mut self, at: Instant) {
        self.next_wake = Some(self.next_wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// Routes come and go with the configuration; what was given up gets another chance,
    /// since a mended configuration is the likeliest reason to read it again.
    fn take_plan(&mut self, plan: Arc<Plan>, now: Instant) {
        self.routes.retain(|name, _| plan.route(name).is_some());
        let removed = self
            .letters
            .extract_if(.., |_, letter| plan.route(&letter.route).is_none());
        for (_, letter) in removed {
            for member in letter.members {
                self.outputs.push_back(Output::Remark {
                    incident: member,
                    what: RemarkKind::NotifyFailed {
                        route: letter.route.clone(),
                        why: "the route was taken out of the configuration".into(),
                    },
                });
            }
        }
        for route in &plan.routes {
            let state = self
                .routes
                .entry(route.name.clone())
                .or_insert_with(|| RouteState {
                    view: RouteView::default(),
                    rate: Rate::full(route.per_hour, now),
                    threads: BTreeMap::new(),
                    in_flight: None,
                });
            for thread in state.threads.values_mut() {
                thread.gave_up = None;
                thread.refused_by.clear();
            }
        }
        self.plan = plan;
        self.revision += 1;
    }

    fn take_cases(&mut self, cases: &[Case], at: Moment) {
        let mut order: Vec<&Case> = cases.iter().collect();
        if order.len() > CASES_MAX {
            order.sort_by_key(|case| {
                let incident = &case.incident;
                (
                    incident.state,
                    std::cmp::Reverse(incident.severity),
                    &incident.id,
                )
            });
        }
        self.beyond = order.len().saturating_sub(CASES_MAX);
        self.cases = order
            .into_iter()
            .take(CASES_MAX)
            .map(|case| (case.incident.id.clone(), case.clone()))
            .collect();
        self.noted.retain(|id| self.cases.contains_key(id));
        self.join_aliases();
        let plan = Arc::clone(&self.plan);
        for route in &plan.routes {
            self.hear(route, at.now);
        }
    }

    /// An incident that goes on under another id takes along what was told of it.
    fn join_aliases(&mut self) {
        let pairs: Vec<(String, String)> = self
            .cases
            .iter()
            .flat_map(|(id, case)| {
                case.incident
                    .aliases
                    .iter()
                    .map(|alias| (alias.clone(), id.clone()))
            })
            .collect();
        for (alias, id) in pairs {
            for state in self.routes.values_mut() {
                let Some(mut moved) = state.threads.remove(&alias) else {
                    continue;
                };
                moved.absent_since = None;
                match state.threads.get_mut(&id) {
                    Some(thread) => thread.join(moved),
                    None => drop(state.threads.insert(id.clone(), moved)),
                }
                self.revision += 1;
            }
            for letter in self.letters.values_mut() {
                if let Some(at) = letter.members.iter().position(|member| *member == alias) {
                    if letter.members.contains(&id) {
                        letter.members.remove(at);
                    } else {
                        letter.members[at] = id.clone();
                    }
                }
            }
        }
    }

    /// Takes the remarks of other nodes into account.
    fn hear(&mut self, route: &Route, now: Instant) {
        let Some(state) = self.routes.get_mut(&route.name) else {
            return;
        };
        let mut spoken_for: Vec<(u64, String)> = Vec::new();
        let mut heard: BTreeSet<(NodeKey, Phase, String)> = BTreeSet::new();
        for (id, case) in &self.cases {
            let fresh = !state.threads.contains_key(id);
            for told in case.told.iter().filter(|told| told.route == route.name) {
                let thread = state
                    .threads
                    .entry(id.clone())
                    .or_insert_with(|| Thread::new(&case.incident));
                // One's own remarks are news only to a node that lost its state.
                if !thread.hear(told) || (told.by == self.me.key && !fresh) {
                    continue;
                }
                self.revision += 1;
                let Word::Said(phase, key) = told.word.clone() else {
                    thread.refused_by.insert(told.by);
                    continue;
                };
                let key = key.unwrap_or_else(|| id.clone());
                heard.insert((told.by, phase, key.clone()));
                if phase.opens() {
                    thread.heard_key(key);
                }
                let planned = thread.pending.map(|pending| pending.phase);
                thread.heard_said(phase, &case.incident, route, now);
                let under_way = thread.letter.and_then(|id| self.letters.get(&id));
                let written = under_way.map(Letter::phase);
                if let Some(letter) = thread.letter
                    && written.is_some_and(|written| answers(phase, written))
                {
                    spoken_for.push((letter, id.clone()));
                } else if planned.is_some_and(|planned| answers(phase, planned)) {
                    state.view.counters.told_by_others += 1;
                }
            }
        }
        // Messages of others count: the rate is the grid's, as far as it is seen from here.
        state.rate.available(now, route.per_hour);
        state.rate.take(heard.len());
        for (letter, member) in spoken_for {
            if self.take_back(&route.name, letter, &member)
                && let Some(state) = self.routes.get_mut(&route.name)
            {
                state.view.counters.told_by_others += 1;
            }
        }
    }

    /// Takes an incident out of a letter that is not under way right now; says whether it was.
    fn take_back(&mut self, route: &str, letter: u64, member: &str) -> bool {
        let Some(state) = self.routes.get_mut(route) else {
            return false;
        };
        if state.in_flight.is_some_and(|(id, _)| id == letter) {
            return false;
        }
        if let Some(thread) = state.threads.get_mut(member) {
            thread.letter = None;
        }
        if let Some(written) = self.letters.get_mut(&letter) {
            written.members.retain(|id| id != member);
            if written.members.is_empty() {
                self.letters.remove(&letter);
            }
        }
        self.revision += 1;
        true
    }

    /// The steps of a route whose time has come, by phase.
    fn ready(&mut self, route: &Route, at: Moment) -> BTreeMap<Phase, Vec<String>> {
        let mut ready: BTreeMap<Phase, Vec<String>> = BTreeMap::new();
        let mut held = 0;
        self.give_up_on_stale_openings(route);
        let open_keys = self.open_keys(route);
        let patience = self.company.patience(&route.name);
        let first_speaker = self.company.rank(&route.name) == 0;
        let plan = Arc::clone(&self.plan);
        let Some(state) = self.routes.get_mut(&route.name) else {
            return ready;
        };
        let mut wakes: Vec<Instant> = Vec::new();
        let offered = state.rate.available(at.now, route.per_hour);
        let next_offer = state.rate.next(route.per_hour);
        for (id, case) in &self.cases {
            let incident = &case.incident;
            let known = state.threads.contains_key(id);
            if !known
                && (incident.state == IncidentState::Resolved || !route.filter.matches(incident))
            {
                continue;
            }
            let thread = state
                .threads
                .entry(id.clone())
                .or_insert_with(|| Thread::new(incident));
            thread.absent_since = None;
            if thread.settle_end(incident.state, at.now) {
                state.view.counters.told_by_others += 1;
                self.revision += 1;
            }
            if let Some(remind) = thread.next_remind.filter(|remind| *remind > at.now) {
                wakes.push(remind);
            }
            if thread.letter.is_some() {
                continue;
            }
            if !thread.told_open && !route.filter.matches(incident) {
                thread.pending = None;
                continue;
            }
            let wanted = thread.wanted(incident, route, at.now);
            let Some(pending) = wanted else {
                if thread.pending.take().is_some_and(|was| was.phase.opens()) && !thread.told_open {
                    state.view.counters.over_before_told += 1;
                }
                continue;
            };
            if thread.heard_early(pending.phase, at.now) {
                thread.said(pending.phase, incident, route, at.now);
                continue;
            }
            if pending.phase == Phase::Resolved {
                if !route.resolved && !route.medium.keeps_alerts() {
                    thread.said(Phase::Resolved, incident, route, at.now);
                    self.revision += 1;
                    continue;
                }
                if route.medium.keeps_alerts() && open_keys.contains(&thread.key) {
                    continue;
                }
            }
            let silence = match pending.phase.calms() {
                true => None,
                false => Some(muted(&plan, incident, at.utc)),
            };
            let why = silence.clone().flatten();
            if silence.is_some() && (why.is_some() || !route.hours.contain(at.utc)) {
                held += 1;
                thread.muted = true;
                thread.pending = Some(pending);
                wakes.push(at.now + until_look(at.utc));
                if !std::mem::replace(&mut thread.suppressed, true) {
                    state.view.counters.suppressed += 1;
                    self.revision += 1;
                }
                if let Some(why) = why.filter(|_| first_speaker)
                    && self.noted.insert(id.clone())
                {
                    let text = format!("nobody is told: {why}");
                    self.outputs.push_back(Output::Remark {
                        incident: id.clone(),
                        what: RemarkKind::Note(plain(&text)),
                    });
                }
                continue;
            }
            // Whoever was held back takes turns anew: all nodes are let go at one moment.
            let pending = match std::mem::take(&mut thread.muted) {
                true => Pending {
                    since: at.now,
                    ..pending
                },
                false => pending,
            };
            // Others told so much that the rate allows no more: it is still the first one's turn
            // when it does again.
            let by_rate = pending.phase.opens() || !route.medium.keeps_alerts();
            let pending = match by_rate && offered == 0 && !first_speaker {
                true => Pending {
                    since: pending.since.max(next_offer),
                    ..pending
                },
                false => pending,
            };
            thread.pending = Some(pending);
            let due = pending.since + settle(pending, route) + patience;
            if due > at.now {
                held += 1;
                wakes.push(due);
                continue;
            }
            ready.entry(pending.phase).or_default().push(id.clone());
        }
        // What no list holds any more is over as far as anybody knows.
        let (cases, now) = (&self.cases, at.now);
        state.threads.retain(|id, thread| {
            if cases.contains_key(id) || thread.letter.is_some() {
                return true;
            }
            let since = *thread.absent_since.get_or_insert(now);
            let gone_at = since + ABSENT_MAX;
            if now < gone_at {
                wakes.push(gone_at);
                return true;
            }
            let closes = route.resolved || route.medium.keeps_alerts();
            // Remarks on it lead nowhere any more, so nobody else could hear that it was told.
            if thread.told_open && closes && first_speaker {
                ready.entry(Phase::Resolved).or_default().push(id.clone());
                return true;
            }
            false
        });
        state.view.held = held;
        for wake in wakes {
            self.wake_at(wake);
        }
        ready
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

    /// Makes letters of steps whose time has come: few one by one, many together, and no more
    /// than the route's rate allows.
    fn write(&mut self, route: &Route, ready: BTreeMap<Phase, Vec<String>>, at: Moment) {
        for (phase, ids) in ready {
            let keyed = route.medium.keeps_alerts();
            if keyed && !phase.opens() {
                self.write_by_key(route, phase, ids, at);
            } else {
                self.write_by_rate(route, phase, ids, at);
            }
        }
        let waiting = self.waiting(&route.name);
        if let Some(state) = self.routes.get_mut(&route.name) {
            state.view.waiting = waiting;
        }
    }

    fn waiting(&self, route: &str) -> usize {
        self.letters
            .values()
            .filter(|letter| letter.route == route)
            .count()
    }

    fn write_by_rate(&mut self, route: &Route, phase: Phase, mut ids: Vec<String>, at: Moment) {
        let backlog = self.waiting(&route.name);
        let Some(state) = self.routes.get_mut(&route.name) else {
            return;
        };
        let offered = state.rate.available(at.now, route.per_hour);
        if backlog >= BACKLOG_MAX || offered == 0 {
            state.view.held += ids.len();
            if offered == 0 {
                let next = state.rate.next(route.per_hour);
                self.wake_at(next);
            }
            return;
        }
        let one_by_one = ids.len() <= ONE_BY_ONE_MAX.min(offered);
        if one_by_one {
            state.rate.take(ids.len());
            for id in ids {
                self.write_letter(route, phase, vec![id], at);
            }
            return;
        }
        state.rate.take(1);
        state.view.held += ids.len().saturating_sub(MEMBERS_MAX);
        ids.truncate(MEMBERS_MAX);
        state.view.counters.grouped += u64::try_from(ids.len()).unwrap_or(u64::MAX);
        self.write_letter(route, phase, ids, at);
    }

    /// The other side keeps one alert per key: one letter each, whatever the rate, since their
    /// number is bounded by that of the openings.
    fn write_by_key(&mut self, route: &Route, phase: Phase, ids: Vec<String>, at: Moment) {
        let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for id in ids {
            let state = self.routes.get(&route.name);
            let key = state
                .and_then(|state| state.threads.get(&id))
                .map(|thread| thread.key.clone());
            by_key
                .entry(key.unwrap_or_else(|| id.clone()))
                .or_default()
                .push(id);
        }
        for (_, members) in by_key {
            if self.waiting(&route.name) >= CLOSINGS_MAX {
                if let Some(state) = self.routes.get_mut(&route.name) {
                    state.view.held += members.len();
                }
                continue;
            }
            self.write_letter(route, phase, members, at);
        }
    }

    fn write_letter(&mut self, route: &Route, phase: Phase, members: Vec<String>, at: Moment) {
        let incidents: Vec<Arc<Incident>> = members
            .iter()
            .filter_map(|id| self.incident(&route.name, id))
            .collect();
        let incidents: Vec<&Incident> = incidents.iter().map(|one| &**one).collect();
        let plan = Arc::clone(&self.plan);
        let by = self.me.id.clone();
        let beyond = if incidents.len() > 1 { self.beyond } else { 0 };
        let message = Message::together(phase, &incidents, beyond, &plan, &by, at.utc);
        let Some(message) = message else { return };
        self.post(route, message, members, at.now);
    }

    /// The incident, or what the route knew of it.
    fn incident(&self, route: &str, id: &str) -> Option<Arc<Incident>> {
        if let Some(case) = self.cases.get(id) {
            return Some(Arc::clone(&case.incident));
        }
        let thread = self.routes.get(route)?.threads.get(id)?;
        Some(Arc::new(thread.ghost(id)))
    }

    fn post(&mut self, route: &Route, mut message: Message, members: Vec<String>, now: Instant) {
        let Some(state) = self.routes.get_mut(&route.name) else {
            return;
        };
        let id = self.next_letter;
        self.next_letter += 1;
        let lead = message.key.clone();
        for member in &members {
            let Some(thread) = state.threads.get_mut(member) else {
                continue;
            };
            match self.cases.get(member) {
                Some(case) => thread.wrote(id, &case.incident),
                None => thread.wrote(id, &thread.ghost(member)),
            }
            if message.phase.opens() {
                thread.key.clone_from(&lead);
                if members.len() == 1 && !thread.ever_told {
                    thread.subject.clone_from(&message.subject);
                }
            } else if *member == lead || members.len() == 1 {
                message.key.clone_from(&thread.key);
                message.subject.clone_from(&thread.subject);
            }
            if message.phase.calms() {
                message.late = message.late.or_else(|| thread.late.clone());
                message.close_also(std::iter::once(member.clone()));
                message.close_also(std::iter::once(thread.key.clone()));
                message.close_also(thread.other_keys.iter().cloned());
                if let Some(case) = self.cases.get(member) {
                    message.close_also(case.incident.aliases.iter().cloned());
                }
            }
        }
        let letter = Letter {
            id,
            route: route.name.clone(),
            members,
            message,
            attempts: 0,
            age_ms: 0,
            trouble: None,
            due: now,
            written: now,
        };
        self.letters.insert(id, letter);
        self.revision += 1;
    }

    fn send_next(&mut self, route: &str, now: Instant) {
        let Some(state) = self.routes.get_mut(route) else {
            return;
        };
        if let Some((_, since)) = state.in_flight {
            self.wake_at(since + IN_FLIGHT_MAX);
            return;
        }
        let next = self
            .letters
            .values()
            .filter(|letter| letter.route == route)
            .min_by_key(|letter| (letter.due, letter.id));
        let Some(letter) = next else { return };
        if letter.due > now {
            let due = letter.due;
            return self.wake_at(due);
        }
        state.in_flight = Some((letter.id, now));
        self.outputs
            .push_back(Output::Send(Box::new(letter.clone())));
        self.wake_at(now + IN_FLIGHT_MAX);
    }

    fn free_stuck(&mut self, route: &Route, at: Moment) {
        let Some(state) = self.routes.get(&route.name) else {
            return;
        };
        if let Some((letter, since)) = state.in_flight
            && at.now.since(since) >= IN_FLIGHT_MAX
        {
            let why = "the sender did not come back".to_owned();
            self.answered(letter, Answer::Again { why, after: None }, at);
        }
    }

    fn answered(&mut self, id: u64, answer: Answer, at: Moment) {
        let Some(letter) = self.letters.get_mut(&id) else {
            // Its route is gone.
            return;
        };
        let plan = Arc::clone(&self.plan);
        let (Some(route), Some(state)) = (
            plan.route(&letter.route),
            self.routes.get_mut(&letter.route),
        ) else {
            return;
        };
        if state.in_flight.is_none_or(|(flying, _)| flying != id) {
            return;
        }
        state.in_flight = None;
        self.revision += 1;
        let why = match answer {
            Answer::Taken { .. } => {
                state.view.counters.sent += 1;
                state.view.trouble = None;
                return self.delivered(id, route, at.now);
            }
            Answer::Again { why, after } => {
                let why = plain(&why);
                state.view.trouble = Some(why.clone());
                if letter.age(at.now) < route.give_up {
                    state.view.counters.retried += 1;
                    letter.trouble = Some(why);
                    letter.put_off(at.now, after, &mut self.random);
                    return;
                }
                format!(
                    "given up after {}: {why}",
                    crate::text::span(letter.age(at.now))
                )
            }
            Answer::Refused { why } => {
                let why = plain(&why);
                state.view.trouble = Some(why.clone());
                why
            }
        };
        state.view.counters.failed += 1;
        self.undeliverable(id, route, &why, at.now);
    }

    fn delivered(&mut self, id: u64, route: &Route, now: Instant) {
        let Some(letter) = self.letters.remove(&id) else {
            return;
        };
        let phase = letter.phase();
        self.finish(&letter, route, |thread, incident| {
            thread.delivered(phase, incident, route, now);
        });
        let lead = (letter.members.len() > 1).then_some(letter.message.key);
        for member in letter.members {
            let phase = phase.remark(&member, lead.as_ref().unwrap_or(&member));
            self.outputs.push_back(Output::Remark {
                incident: member,
                what: RemarkKind::Notified {
                    route: route.name.clone(),
                    phase,
                },
            });
        }
    }

    fn undeliverable(&mut self, id: u64, route: &Route, why: &str, now: Instant) {
        let Some(letter) = self.letters.remove(&id) else {
            return;
        };
        let phase = letter.phase();
        self.finish(&letter, route, |thread, incident| {
            thread.failed(phase, incident, route, now);
        });
        for member in letter.members {
            self.outputs.push_back(Output::Remark {
                incident: member,
                what: RemarkKind::NotifyFailed {
                    route: route.name.clone(),
                    why: plain(why),
                },
            });
        }
    }

    fn finish(
        &mut self,
        letter: &Letter,
        route: &Route,
        mut change: impl FnMut(&mut Thread, &Incident),
    ) {
        let Some(state) = self.routes.get_mut(&route.name) else {
            return;
        };
        for member in &letter.members {
            let Some(thread) = state.threads.get_mut(member) else {
                continue;
            };
            thread.letter = None;
            match self.cases.get(member) {
                Some(case) => change(thread, &case.incident),
                None => {
                    let ghost = thread.ghost(member);
                    change(thread, &ghost);
                }
            }
        }
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

fn plain(text: &str) -> String {
    andon_model::id::to_plain_text(text, WHY_BYTES_MAX)
}

#[cfg(test)]
mod tests;
