//! From steps to letters: few one by one, many together, no more than the rate allows.

use super::{Moment, Notifier};
use crate::letter::Letter;
use crate::message::Message;
use crate::phase::Phase;
use crate::plan::Route;
use andon_model::{Incident, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many that become due together are told one by one; more in one message.
const ONE_BY_ONE_MAX: usize = 3;
/// Undelivered messages of a route beyond which further incidents wait to be told together.
const BACKLOG_MAX: usize = 4;
/// Undelivered closings of a route whose other side keeps alerts; each alert needs its own.
const CLOSINGS_MAX: usize = 64;
/// Incidents in one message; the rest goes into the next.
const MEMBERS_MAX: usize = 1_000;

impl Notifier {
    /// Makes letters of steps whose time has come: few one by one, many together, and no more
    /// than the route's rate allows.
    pub(super) fn write(&mut self, route: &Route, ready: BTreeMap<Phase, Vec<String>>, at: Moment) {
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

    pub(super) fn waiting(&self, route: &str) -> usize {
        self.letters
            .values()
            .filter(|letter| letter.route == route)
            .count()
    }

    pub(super) fn write_by_rate(
        &mut self,
        route: &Route,
        phase: Phase,
        mut ids: Vec<String>,
        at: Moment,
    ) {
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
    pub(super) fn write_by_key(
        &mut self,
        route: &Route,
        phase: Phase,
        ids: Vec<String>,
        at: Moment,
    ) {
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

    pub(super) fn write_letter(
        &mut self,
        route: &Route,
        phase: Phase,
        members: Vec<String>,
        at: Moment,
    ) {
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
    pub(super) fn incident(&self, route: &str, id: &str) -> Option<Arc<Incident>> {
        if let Some(case) = self.cases.get(id) {
            return Some(Arc::clone(&case.incident));
        }
        let thread = self.routes.get(route)?.threads.get(id)?;
        Some(Arc::new(thread.ghost(id)))
    }

    pub(super) fn post(
        &mut self,
        route: &Route,
        mut message: Message,
        members: Vec<String>,
        now: Instant,
    ) {
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
}
