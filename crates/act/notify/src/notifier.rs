//! What is told when, and by whom: the pure core. It takes incidents with what the grid says
//! of them, the company of living nodes and what came of each attempt; it gives letters to
//! send and remarks for the grid.
//!
//! Decides on the monotonic clock alone; the wall clock is read for hours, silences and words.

mod hear;
mod post;
mod ready;
mod write;

#[cfg(test)]
mod tests;

pub use post::IN_FLIGHT_MAX;

use crate::case::Case;
use crate::counters::{NotifyView, RouteView};
use crate::letter::{Answer, Letter};
use crate::plan::Plan;
use crate::rate::Rate;
use crate::thread::Thread;
use crate::turn::Company;
use andon_model::{Instant, NodeKey, RemarkKind, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

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
        let (kept, removed): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.letters)
            .into_iter()
            .partition(|(_, letter)| plan.route(&letter.route).is_some());
        self.letters = kept;
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
}

fn plain(text: &str) -> String {
    andon_model::id::to_plain_text(text, WHY_BYTES_MAX)
}
