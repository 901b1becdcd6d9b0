//! Who should be heard of every so often, and is not. Knows no clock: the caller brings the
//! time, and asks again at [`Heartbeats::next_wake`].
//!
//! A beat counts when it comes in; one that is older than its own interval then (a log that is
//! read from its beginning) only tells of the past, and starts or ends nothing.

use andon_model::event::{Event, Value, key};
use andon_model::heartbeat::{
    HEARTBEAT_FROM_BYTES_MAX, HEARTBEAT_NAME_BYTES_MAX, Heartbeat, HeartbeatState,
};
use andon_model::id::to_plain_text;
use andon_model::{Instant, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The value of [`key::KIND`] that makes an event a beat.
pub const KIND: &str = "heartbeat";
/// The attribute that says how often it comes, seconds; 0 says that it comes no more.
pub const EVERY: &str = "every_s";
/// The attribute that says how late it may be, seconds.
pub const GRACE: &str = "grace_s";

/// Heartbeats that one node listens for. All of them fit the rows that a node has for them;
/// later ones are refused and counted.
pub const HEARTBEATS_MAX: usize = 1_000;
/// Shortest interval: a shorter one would call a busy machine a dead job.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// Longest interval and longest grace.
const EVERY_MAX: Duration = Duration::from_secs(366 * 86_400);
/// A beat may be late by a quarter of its interval, within these bounds, unless it says more.
const GRACE_MIN: Duration = Duration::from_secs(2);
/// The other bound: a nightly job that is a quarter of an hour late is worth a look.
const GRACE_MAX: Duration = Duration::from_secs(15 * 60);
/// A beat that says a time no longer ago than this is of this moment: clocks differ.
const SKEW_MAX: Duration = Duration::from_secs(60);
/// After a restart of this node senders have at least so long to be heard again, or their
/// interval if that is shorter.
const RESTART_PATIENCE: Duration = Duration::from_secs(60);
/// A heartbeat that has been silent for so long is not waited for any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// The time, to decide by and to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub at: Instant,
    /// For people.
    pub utc: Timestamp,
}

/// What one beat says.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// Plain text; `name/id` where it has an id.
    pub name: String,
    /// How often it comes; zero if it comes no more, `None` if it does not say.
    pub every: Option<Duration>,
    /// How late it may be.
    pub grace: Option<Duration>,
    /// When, as it says.
    pub at: Timestamp,
    /// Its host or service; may be empty.
    pub from: String,
}

impl Beat {
    /// What an event says, if it is a heartbeat with a name.
    pub fn of(event: &Event) -> Option<Self> {
        let text = |name: &str| match event.get(name) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        if text(key::KIND) != Some(KIND) {
            return None;
        }
        let mut name = text(key::NAME)?.to_owned();
        if let Some(id) = event.get("id") {
            name = format!("{name}/{id}");
        }
        let name = to_plain_text(&name, HEARTBEAT_NAME_BYTES_MAX);
        let seconds = |name: &str| {
            let seconds = event.get(name)?.number()?;
            Duration::try_from_secs_f64(seconds).ok()
        };
        let from = text(key::HOST).or(text(key::SERVICE)).unwrap_or_default();
        (!name.is_empty()).then(|| Self {
            name,
            every: seconds(EVERY),
            grace: seconds(GRACE),
            at: event.at,
            from: to_plain_text(from, HEARTBEAT_FROM_BYTES_MAX),
        })
    }
}

/// What outlives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedHeartbeat {
    name: String,
    state: HeartbeatState,
    since: Timestamp,
    every_ms: u64,
    grace_ms: u64,
    last: Timestamp,
    from: String,
}

/// How many were heard, and were not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeartbeatFigures {
    /// Listened for, in time.
    pub beating: usize,
    /// Overdue.
    pub missing: usize,
    /// Beats that came.
    pub beats: u64,
    /// Beats refused, since [`HEARTBEATS_MAX`] others are listened for.
    pub refused: u64,
    /// Heartbeats forgotten after thirty days of silence.
    pub forgotten: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    state: HeartbeatState,
    since: Timestamp,
    every: Duration,
    grace: Duration,
    last: Timestamp,
    from: String,
    /// When it is overdue, while it beats.
    due: Instant,
}

/// The heartbeats that one node listens for.
#[derive(Debug, Default)]
pub struct Heartbeats {
    entries: BTreeMap<String, Entry>,
    beats: u64,
    refused: u64,
    forgotten: u64,
    is_news: bool,
}

impl Heartbeats {
    /// As an earlier life left them. Nobody is called overdue for what came while this node was
    /// not there: each has some time to be heard again.
    pub fn load(now: Now, saved: Vec<SavedHeartbeat>) -> Self {
        let entry = |saved: SavedHeartbeat| {
            let every = Duration::from_millis(saved.every_ms).clamp(EVERY_MIN, EVERY_MAX);
            let grace = Duration::from_millis(saved.grace_ms).clamp(GRACE_MIN, EVERY_MAX);
            let left = (saved.last + every + grace).since(now.utc);
            let left = left.clamp(RESTART_PATIENCE.min(every) + grace, every + grace);
            let entry = Entry {
                state: saved.state,
                since: saved.since,
                every,
                grace,
                last: saved.last,
                from: saved.from,
                due: now.at + left,
            };
            (saved.name, entry)
        };
        let entries = saved.into_iter().take(HEARTBEATS_MAX).map(entry);
        Self {
            entries: entries.collect(),
            is_news: true,
            ..Self::default()
        }
    }

    /// A beat came in.
    pub fn handle(&mut self, now: Now, beat: Beat) {
        self.beats += 1;
        let known = self.entries.get(&beat.name);
        if beat.every == Some(Duration::ZERO) {
            self.stop(now, &beat.name);
            return;
        }
        let said = beat.every.map(|every| every.clamp(EVERY_MIN, EVERY_MAX));
        let Some(every) = said.or(known.map(|entry| entry.every)) else {
            return;
        };
        let usual = || match known {
            Some(entry) if said.is_none() => entry.grace,
            _ => (every / 4).clamp(GRACE_MIN, GRACE_MAX),
        };
        let grace = beat.grace.map(|grace| grace.clamp(GRACE_MIN, EVERY_MAX));
        let grace = grace.unwrap_or_else(usual);
        let age = Some(now.utc.since(beat.at)).filter(|age| *age > SKEW_MAX);
        let age = age.unwrap_or_default();
        if age > every + grace {
            return;
        }
        if known.is_none() && self.entries.len() >= HEARTBEATS_MAX {
            self.refused += 1;
            return;
        }
        let last = beat.at.min(now.utc);
        let due = now.at + (every + grace).saturating_sub(age);
        let entry = self.entries.entry(beat.name).or_insert_with(|| Entry {
            state: HeartbeatState::Stopped,
            since: last,
            every,
            grace,
            last,
            from: String::new(),
            due,
        });
        let is_repeated = last < entry.last;
        if entry.state != HeartbeatState::Beating && !is_repeated {
            entry.state = HeartbeatState::Beating;
            entry.since = last;
            entry.due = due;
            self.is_news = true;
        }
        self.is_news |= entry.every != every || entry.from != beat.from;
        let is_slower = entry.every + entry.grace > every + grace;
        entry.due = if is_slower { due } else { due.max(entry.due) };
        (entry.every, entry.grace, entry.from) = (every, grace, beat.from);
        entry.last = last.max(entry.last);
    }

    fn stop(&mut self, now: Now, name: &str) {
        let is_new = !self.entries.contains_key(name);
        if is_new && self.entries.len() >= HEARTBEATS_MAX {
            self.refused += 1;
            return;
        }
        // Kept also where it is unknown: another node may have called it missing.
        let entry = self.entries.entry(name.to_owned()).or_insert(Entry {
            state: HeartbeatState::Beating,
            since: now.utc,
            every: EVERY_MIN,
            grace: GRACE_MIN,
            last: now.utc,
            from: String::new(),
            due: now.at,
        });
        if entry.state != HeartbeatState::Stopped {
            entry.state = HeartbeatState::Stopped;
            entry.since = now.utc;
            self.is_news = true;
        }
    }

    /// Time has passed. Returns the names of those that became overdue.
    pub fn wake(&mut self, now: Now) -> Vec<String> {
        let mut overdue = Vec::new();
        for (name, entry) in &mut self.entries {
            if entry.state == HeartbeatState::Beating && entry.due <= now.at {
                entry.state = HeartbeatState::Missing;
                entry.since = entry.last + entry.every;
                overdue.push(name.clone());
            }
        }
        let before = self.entries.len();
        self.entries.retain(|_, entry| {
            entry.state == HeartbeatState::Beating || now.utc.since(entry.since) < FORGOTTEN_AFTER
        });
        let gone = before - self.entries.len();
        self.forgotten += gone as u64;
        self.is_news |= gone > 0 || !overdue.is_empty();
        overdue
    }

    /// When the next one is overdue.
    pub fn next_wake(&self) -> Option<Instant> {
        let beating = self.entries.values();
        let beating = beating.filter(|entry| entry.state == HeartbeatState::Beating);
        beating.map(|entry| entry.due).min()
    }

    /// What others should know, if it changed since it was last asked for.
    pub fn poll(&mut self) -> Option<Vec<Heartbeat>> {
        if !std::mem::take(&mut self.is_news) {
            return None;
        }
        let told = |(name, entry): (&String, &Entry)| Heartbeat {
            name: name.clone(),
            state: entry.state,
            since: entry.since,
            every_ms: millis(entry.every),
            last: entry.last,
            from: entry.from.clone(),
        };
        Some(self.entries.iter().map(told).collect())
    }

    /// What is to outlive a restart.
    pub fn saved(&self) -> Vec<SavedHeartbeat> {
        let saved = |(name, entry): (&String, &Entry)| SavedHeartbeat {
            name: name.clone(),
            state: entry.state,
            since: entry.since,
            every_ms: millis(entry.every),
            grace_ms: millis(entry.grace),
            last: entry.last,
            from: entry.from.clone(),
        };
        self.entries.iter().map(saved).collect()
    }

    /// For `/metrics`.
    pub fn figures(&self) -> HeartbeatFigures {
        let count = |state| {
            let entries = self.entries.values();
            entries.filter(|entry| entry.state == state).count()
        };
        HeartbeatFigures {
            beating: count(HeartbeatState::Beating),
            missing: count(HeartbeatState::Missing),
            beats: self.beats,
            refused: self.refused,
            forgotten: self.forgotten,
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The heartbeats of a node, shared by its inputs and by whoever wakes them.
pub struct HeartbeatWatch {
    core: Mutex<Heartbeats>,
    clock: Box<dyn Fn() -> Now + Send + Sync>,
    /// Told when beats came.
    pub news: Notify,
}

impl HeartbeatWatch {
    /// Over what an earlier life left, by this clock.
    pub fn new(
        saved: Vec<SavedHeartbeat>,
        clock: impl Fn() -> Now + Send + Sync + 'static,
    ) -> Self {
        Self {
            core: Mutex::new(Heartbeats::load(clock(), saved)),
            clock: Box::new(clock),
            news: Notify::new(),
        }
    }

    /// Events came in: beats among them are noted.
    pub fn hear(&self, events: &[Event]) {
        let mut beats = events.iter().filter_map(Beat::of).peekable();
        if beats.peek().is_none() {
            return;
        }
        let now = (self.clock)();
        let mut core = self.core();
        for beat in beats {
            core.handle(now, beat);
        }
        drop(core);
        self.news.notify_one();
    }

    /// The time by its clock.
    pub fn now(&self) -> Now {
        (self.clock)()
    }

    /// What it knows.
    pub fn core(&self) -> MutexGuard<'_, Heartbeats> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: i64 = 1_795_000_000_000_000;

    fn at(second: u64) -> Now {
        Now {
            at: Instant(second * 1_000_000),
            utc: Timestamp(UTC + second as i64 * 1_000_000),
        }
    }

    fn beat(name: &str, every_s: f64, said: Now) -> Beat {
        let event = Event::new(said.utc)
            .with(key::KIND, KIND)
            .with(key::NAME, name)
            .with(EVERY, Value::Float(every_s))
            .with(key::HOST, "db1");
        Beat::of(&event).unwrap()
    }

    fn states(core: &mut Heartbeats) -> String {
        let told = core.poll().unwrap_or_default();
        let told = told
            .iter()
            .map(|beat| format!("{} {:?}", beat.name, beat.state));
        told.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn one_that_stops_is_missed_once_and_comes_back() {
        let mut core = Heartbeats::default();
        for second in [0, 100, 200] {
            core.handle(at(second), beat("job", 100.0, at(second)));
            assert!(core.wake(at(second)).is_empty());
        }
        assert_eq!(states(&mut core), "job Beating");
        assert_eq!(core.next_wake(), Some(at(325).at));
        assert!(core.wake(at(324)).is_empty());
        assert!(core.poll().is_none(), "beats themselves are no news");
        assert_eq!(core.wake(at(325)), ["job"]);
        let told = core.poll().unwrap();
        assert_eq!((told[0].since, told[0].last), (at(300).utc, at(200).utc));
        assert_eq!((told[0].every_ms, told[0].from.as_str()), (100_000, "db1"));
        assert!(core.wake(at(400)).is_empty() && core.poll().is_none());
        core.handle(at(500), beat("job", 100.0, at(500)));
        assert_eq!(states(&mut core), "job Beating");
        core.handle(at(510), beat("job", 0.0, at(510)));
        assert_eq!(states(&mut core), "job Stopped");
        assert!(core.wake(at(9_000)).is_empty());
    }

    #[test]
    fn beats_of_the_past_start_and_end_nothing() {
        let mut core = Heartbeats::default();
        core.handle(at(100_000), beat("old", 10.0, at(0)));
        assert!(core.poll().is_none());
        core.handle(at(100_000), beat("job", 10.0, at(99_950)));
        assert_eq!(
            states(&mut core),
            "job Beating",
            "clocks differ by a minute"
        );
        core.wake(at(100_020));
        assert_eq!(states(&mut core), "job Missing");
        core.handle(at(100_021), beat("job", 10.0, at(99_000)));
        core.handle(at(100_021), beat("job", 10.0, at(99_940)));
        assert!(core.poll().is_none(), "a log is read again");
    }

    #[test]
    fn a_restart_forgets_nothing_and_gives_time_to_be_heard_again() {
        let mut core = Heartbeats::default();
        core.handle(at(0), beat("quick", 10.0, at(0)));
        core.handle(at(0), beat("nightly", 86_400.0, at(0)));
        core.wake(at(60));
        core.handle(at(60), beat("other", 10.0, at(60)));
        let saved = serde_json::to_string(&core.saved()).unwrap();
        let saved: Vec<SavedHeartbeat> = serde_json::from_str(&saved).unwrap();
        let mut core = Heartbeats::load(at(3_600), saved);
        assert_eq!(
            states(&mut core),
            "nightly Beating, other Beating, quick Missing"
        );
        assert_eq!(core.wake(at(3_613)), ["other"]);
        assert!(core.wake(at(86_400 + 899)).is_empty());
        assert_eq!(core.wake(at(86_400 + 900)), ["nightly"]);
    }

    #[test]
    fn grace_ids_and_intervals_are_taken_as_said() {
        let mut core = Heartbeats::default();
        let event = |id: i64| {
            Event::new(at(0).utc)
                .with(key::KIND, KIND)
                .with(key::NAME, "backup\u{202e}")
                .with("id", Value::Integer(id))
        };
        core.handle(at(0), Beat::of(&event(1)).unwrap());
        assert!(core.poll().is_none(), "no interval, nothing to wait for");
        for id in [1, 2] {
            let event = event(id)
                .with(EVERY, Value::Integer(60))
                .with(GRACE, Value::Integer(600));
            core.handle(at(0), Beat::of(&event).unwrap());
        }
        core.handle(at(50), Beat::of(&event(1)).unwrap());
        assert!(core.wake(at(659)).is_empty());
        assert_eq!(core.wake(at(660)), ["backup/2"]);
        assert_eq!(core.wake(at(710)), ["backup/1"]);
        // Absurd intervals do no harm.
        for every in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            core.handle(at(800), beat("absurd", every, at(800)));
        }
        assert_eq!(states(&mut core).matches("absurd").count(), 0);
    }

    #[test]
    fn a_million_names_are_bounded_and_the_long_silent_make_room() {
        let mut core = Heartbeats::default();
        for number in 0..1_000_000 {
            core.handle(at(0), beat(&format!("job-{number}"), 10.0, at(0)));
        }
        core.handle(at(1), beat("job-0", 10.0, at(1)));
        assert_eq!(core.wake(at(100)).len(), HEARTBEATS_MAX);
        let figures = core.figures();
        assert_eq!(figures.missing, HEARTBEATS_MAX);
        assert_eq!(figures.refused, 1_000_000 - HEARTBEATS_MAX as u64);
        core.wake(at(31 * 86_400));
        assert_eq!(core.poll().map(|told| told.len()), Some(0));
        assert_eq!(core.figures().forgotten, HEARTBEATS_MAX as u64);
    }
}
