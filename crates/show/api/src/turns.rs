//! Who may start a trace now. Traces cost packets of a shared budget and routers' patience, so
//! each person gets a few, and all together get some more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Traces of one person at once: a look at both directions of a link.
const AT_ONCE: usize = 2;
/// Traces of one person in [`WINDOW`]: `andon trace` that repeats every two seconds.
const IN_WINDOW: usize = 30;
/// Traces of everybody at once; each takes some seconds of the probe thread's spare packets.
const AT_ONCE_ALL: usize = 6;
/// Traces of everybody in [`WINDOW`].
const IN_WINDOW_ALL: usize = 120;
/// What is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// A trace repeated within this time is the one that has been recorded already.
const RECORDED_FOR: Duration = Duration::from_secs(600);
/// Repeated traces remembered per person.
const RECORDED_MAX: usize = 16;
/// People remembered; whoever has been idle longest is forgotten.
const PEOPLE_MAX: usize = 256;

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// This person has two running.
    Running,
    /// This person has started many within a minute.
    TooOften,
    /// Others keep the node busy.
    Others,
}

impl Full {
    pub(crate) fn words(self) -> String {
        match self {
            Self::Running => format!("{AT_ONCE} traces of yours are running"),
            Self::TooOften => format!("you have started {IN_WINDOW} traces within a minute"),
            Self::Others => "others keep this node busy with traces".to_owned(),
        }
    }
}

#[derive(Debug, Default)]
struct Person {
    running: usize,
    started: VecDeque<Instant>,
    recorded: BTreeMap<String, Instant>,
}

#[derive(Debug, Default)]
struct State {
    people: BTreeMap<String, Person>,
    running: usize,
    started: VecDeque<Instant>,
}

/// The turns of everybody.
#[derive(Debug, Default, Clone)]
pub(crate) struct Turns(Arc<Mutex<State>>);

/// One trace that is running; over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    who: String,
    what: String,
    /// This trace is to be recorded: no equal one was lately.
    pub(crate) is_new: bool,
}

impl Turns {
    /// Takes a turn of `who` for a trace described by `what`.
    pub(crate) fn take(&self, now: Instant, who: &str, what: &str) -> Result<Turn, Full> {
        let mut state = self.lock();
        forget(&mut state.started, now);
        if state.running >= AT_ONCE_ALL || state.started.len() >= IN_WINDOW_ALL {
            return Err(Full::Others);
        }
        state.make_room(who);
        let person = state.people.entry(who.to_owned()).or_default();
        forget(&mut person.started, now);
        person
            .recorded
            .retain(|_, at| now.saturating_duration_since(*at) < RECORDED_FOR);
        if person.running >= AT_ONCE {
            return Err(Full::Running);
        }
        if person.started.len() >= IN_WINDOW {
            return Err(Full::TooOften);
        }
        person.running += 1;
        person.started.push_back(now);
        let is_new = !person.recorded.contains_key(what);
        state.running += 1;
        state.started.push_back(now);
        Ok(Turn {
            turns: self.clone(),
            who: who.to_owned(),
            what: what.to_owned(),
            is_new,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The trace stands in the audit log.
    pub(crate) fn recorded(&self, now: Instant) {
        let mut state = self.turns.lock();
        if let Some(person) = state.people.get_mut(&self.who)
            && person.recorded.len() < RECORDED_MAX
        {
            person.recorded.insert(self.what.clone(), now);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.running = state.running.saturating_sub(1);
        if let Some(person) = state.people.get_mut(&self.who) {
            person.running = person.running.saturating_sub(1);
        }
    }
}

impl State {
    fn make_room(&mut self, who: &str) {
        if self.people.len() < PEOPLE_MAX || self.people.contains_key(who) {
            return;
        }
        let idle = self
            .people
            .iter()
            .filter(|(_, person)| person.running == 0)
            .min_by_key(|(_, person)| person.started.back().copied())
            .map(|(name, _)| name.clone());
        idle.map(|name| self.people.remove(&name));
    }
}

fn forget(started: &mut VecDeque<Instant>, now: Instant) {
    while started
        .front()
        .is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW)
    {
        started.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_two_at_once_and_thirty_a_minute_and_others_are_not_kept_waiting() {
        let (turns, start) = (Turns::default(), Instant::now());
        let (one, two) = (turns.take(start, "ann", "x"), turns.take(start, "ann", "x"));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(turns.take(start, "ann", "x").unwrap_err(), Full::Running);
        assert!(turns.take(start, "bob", "x").is_ok());
        drop((one, two));
        for _ in 2..IN_WINDOW {
            assert!(turns.take(start, "ann", "x").is_ok());
        }
        assert_eq!(turns.take(start, "ann", "x").unwrap_err(), Full::TooOften);
        assert!(turns.take(start + WINDOW, "ann", "x").is_ok());
    }

    #[test]
    fn all_together_are_bounded_too_and_so_is_what_is_remembered() {
        let (turns, start) = (Turns::default(), Instant::now());
        let held: Vec<_> = (0..AT_ONCE_ALL)
            .map(|number| turns.take(start, &number.to_string(), "x").unwrap())
            .collect();
        assert_eq!(turns.take(start, "ann", "x").unwrap_err(), Full::Others);
        drop(held);
        let started = (AT_ONCE_ALL..1000)
            .filter(|number| turns.take(start, &number.to_string(), "x").is_ok())
            .count();
        assert_eq!(started, IN_WINDOW_ALL - AT_ONCE_ALL);
        for round in 1..20_u32 {
            for number in 0..100 {
                let _ = turns.take(start + WINDOW * round, &format!("{round} {number}"), "x");
            }
        }
        assert_eq!(turns.lock().people.len(), PEOPLE_MAX);
    }

    #[test]
    fn a_repeated_trace_is_recorded_once_in_a_while() {
        let (turns, start) = (Turns::default(), Instant::now());
        let turn = turns.take(start, "ann", "x").unwrap();
        assert!(turn.is_new);
        turn.recorded(start);
        drop(turn);
        assert!(!turns.take(start, "ann", "x").unwrap().is_new);
        assert!(turns.take(start, "ann", "y").unwrap().is_new);
        assert!(turns.take(start, "bob", "x").unwrap().is_new);
        let later = start + RECORDED_FOR;
        assert!(turns.take(later, "ann", "x").unwrap().is_new);
    }
}
