//! How many different names of attributes a dataset has. Each name may cost the store a column,
//! so a client that writes ids into names is bounded: its further attributes go as text into
//! one attribute, where they can still be searched.

use crate::limits::{
    DATASET_KEYS_MAX, DATASETS_MAX, KEYS_FORGOTTEN_AFTER, OVERFLOW_TEXT_BYTES_MAX,
};
use crate::record::floor;
use andon_model::event::{Event, Value, key};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The attribute that takes what has no room: `name=value`, with spaces between.
pub const OVERFLOW: &str = "andon.overflow";

/// Shapes of events that are remembered; a dataset of logs has a few dozen.
const SHAPES_MAX: usize = 512;

/// Names that always have room: those to which Andon gives a meaning.
const ALWAYS: [&str; 14] = [
    key::KIND,
    key::NAME,
    key::BODY,
    key::SEVERITY,
    key::STATUS,
    key::DURATION_MS,
    key::VALUE,
    key::TRACE_ID,
    key::SPAN_ID,
    key::PARENT_ID,
    key::SERVICE,
    key::HOST,
    crate::record::MENDED,
    crate::record::SAID_TS,
];

/// The names of one dataset.
#[derive(Debug, Default)]
pub struct KeyGuard {
    recent: BTreeSet<String>,
    older: BTreeSet<String>,
    rotated: Duration,
    /// Names of an event that had room as a whole: most events look like the one before.
    last: Vec<String>,
    /// Hashes of the names of others that had.
    shapes: BTreeSet<u64>,
    hash: RandomState,
}

impl KeyGuard {
    /// Forgets names that nobody sent for long; `now` since any fixed moment.
    pub fn age(&mut self, now: Duration) {
        if now.saturating_sub(self.rotated) >= KEYS_FORGOTTEN_AFTER {
            self.older = std::mem::take(&mut self.recent);
            self.rotated = now;
            self.last.clear();
            self.shapes.clear();
        }
    }

    /// Whether all names of an event have room. Those that have are remembered.
    pub fn admits(&mut self, event: &Event) -> bool {
        let names = event.attributes.iter().map(|(name, _)| name);
        if names.clone().eq(&self.last) {
            return true;
        }
        let shape = self.shape(event);
        if self.shapes.contains(&shape) {
            return true;
        }
        let mut all = true;
        for name in names {
            all &= self.admits_name(name);
        }
        if all {
            let names = event.attributes.iter().map(|(name, _)| name.clone());
            self.last = names.collect();
            if self.shapes.len() >= SHAPES_MAX {
                self.shapes.clear();
            }
            self.shapes.insert(shape);
        }
        all
    }

    /// The hash is keyed by chance, so that nobody can make names that look like others.
    fn shape(&self, event: &Event) -> u64 {
        let mut hasher = self.hash.build_hasher();
        for (name, _) in &event.attributes {
            name.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn admits_name(&mut self, name: &str) -> bool {
        if self.recent.contains(name) {
            return true;
        }
        if let Some(name) = self.older.take(name) {
            self.recent.insert(name);
            return true;
        }
        if ALWAYS.contains(&name) {
            return true;
        }
        let has_room = self.recent.len() + self.older.len() < DATASET_KEYS_MAX;
        if has_room {
            self.recent.insert(name.to_owned());
        }
        has_room
    }
}

/// Moves attributes that have no room into one text.
pub fn fold(guard: &mut KeyGuard, event: &mut Event) {
    let mut text = String::new();
    event.attributes.retain(|(name, value)| {
        let keep = guard.admits_name(name);
        if !keep && text.len() < OVERFLOW_TEXT_BYTES_MAX {
            let gap = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{gap}{name}={value}"));
        }
        keep
    });
    text.truncate(floor(&text, OVERFLOW_TEXT_BYTES_MAX));
    event.set(OVERFLOW, Value::Text(text));
}

/// The guards of all datasets; beyond [`DATASETS_MAX`] they share the one without a name.
#[derive(Debug, Default)]
pub struct KeyGuards {
    guards: Mutex<BTreeMap<String, Arc<Mutex<KeyGuard>>>>,
}

impl KeyGuards {
    /// The guard of one dataset.
    pub fn of(&self, dataset: &str) -> Arc<Mutex<KeyGuard>> {
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = guards.contains_key(dataset) || guards.len() < DATASETS_MAX;
        let name = if is_known { dataset } else { "" };
        guards.entry(name.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::time::Timestamp;

    #[test]
    fn a_million_names_become_text_and_usual_names_stay() {
        let mut guard = KeyGuard::default();
        let mut folded = 0;
        for number in 0..1_000_000 {
            let mut event = Event::new(Timestamp(1))
                .with("body", "x")
                .with(&format!("user-{number}"), 1.to_string());
            if !guard.admits(&event) {
                fold(&mut guard, &mut event);
                folded += 1;
                assert_eq!(event.get("body"), Some(&"x".into()));
                assert_eq!(
                    event.get(OVERFLOW),
                    Some(&format!("user-{number}=1").into())
                );
            }
        }
        assert!(guard.recent.len() <= DATASET_KEYS_MAX);
        assert_eq!(folded, 1_000_000 - guard.recent.len());
    }

    #[test]
    fn events_of_other_shapes_in_turn_are_admitted_and_strangers_still_are_not() {
        let mut guard = KeyGuard::default();
        let event = |name: &str| Event::new(Timestamp(1)).with("body", "x").with(name, "y");
        for _ in 0..3 {
            for name in ["a", "b", "c"] {
                assert!(guard.admits(&event(name)));
            }
        }
        assert_eq!(guard.shapes.len(), 3);
        for number in 0..DATASET_KEYS_MAX {
            guard.admits_name(&format!("filler-{number}"));
        }
        assert!(guard.admits(&event("b")) && !guard.admits(&event("d")));
        guard.age(2 * KEYS_FORGOTTEN_AFTER);
        guard.age(4 * KEYS_FORGOTTEN_AFTER);
        assert!(guard.admits(&event("d")));
    }

    #[test]
    fn names_that_nobody_sends_make_room() {
        let mut guard = KeyGuard::default();
        for number in 0..DATASET_KEYS_MAX {
            assert!(guard.admits_name(&number.to_string()));
        }
        assert!(!guard.admits_name("late"));
        guard.age(KEYS_FORGOTTEN_AFTER);
        assert!(guard.admits_name("0"));
        assert!(!guard.admits_name("late"));
        guard.age(2 * KEYS_FORGOTTEN_AFTER);
        assert!(guard.admits_name("late") && guard.admits_name("0"));
    }
}
