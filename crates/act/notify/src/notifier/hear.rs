//! What comes in: incidents, other ids of the same, and what other nodes told of them.

use super::{Case, Moment, Notifier};
use crate::case::Word;
use crate::letter::Letter;
use crate::phase::Phase;
use crate::plan::Route;
use crate::thread::{Thread, answers};
use andon_model::{Instant, NodeKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Incidents that are kept account of, the worst first; more than a grid has in a bad week.
pub const CASES_MAX: usize = 2_000;

impl Notifier {
    pub(super) fn take_cases(&mut self, cases: &[Case], at: Moment) {
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
    pub(super) fn join_aliases(&mut self) {
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
    pub(super) fn hear(&mut self, route: &Route, now: Instant) {
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
    pub(super) fn take_back(&mut self, route: &str, letter: u64, member: &str) -> bool {
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
}
