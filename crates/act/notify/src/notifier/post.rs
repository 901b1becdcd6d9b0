//! Letters on their way: one of a route at a time, and what comes of each.

use super::{Moment, Notifier, Output, plain};
use crate::letter::{Answer, Letter};
use crate::plan::Route;
use crate::thread::Thread;
use andon_model::{Incident, Instant, RemarkKind};
use std::sync::Arc;
use std::time::Duration;

/// A sender that says nothing for so long is taken to have failed. Above any sender's limit.
pub const IN_FLIGHT_MAX: Duration = Duration::from_secs(180);

impl Notifier {
    pub(super) fn send_next(&mut self, route: &str, now: Instant) {
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

    pub(super) fn free_stuck(&mut self, route: &Route, at: Moment) {
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

    pub(super) fn answered(&mut self, id: u64, answer: Answer, at: Moment) {
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

    pub(super) fn delivered(&mut self, id: u64, route: &Route, now: Instant) {
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

    pub(super) fn undeliverable(&mut self, id: u64, route: &Route, why: &str, now: Instant) {
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

    pub(super) fn finish(
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
