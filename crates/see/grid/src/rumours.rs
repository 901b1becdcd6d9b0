//! News on their way: what was learned just now and is to be pushed on, what changed lately
//! and is worth a mention, what was asked for a moment ago, and how much may be pushed.

use crate::row::RowKey;
use andon_model::{Instant, NodeKey};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rounds in which a changed row is mentioned to whoever is asked. By then, at 20 % loss, all
/// but one in a million of a thousand nodes have heard it.
const HOT_ROUNDS: u8 = 5;
/// Changed rows mentioned in one message; the latest come first.
const HINTS_MAX: usize = 24;
/// Changed rows, and rows asked for, that are remembered.
const ROWS_MAX: usize = 4_096;
/// A row asked for is not asked for again within this time.
const WANT_PAUSE: Duration = Duration::from_millis(150);
/// Bytes of rows pushed on per second, and at once. Beyond, anti-entropy carries what push did not.
const PUSH_BYTES_PER_SECOND: u64 = 128 * 1024;
const PUSH_BURST: u64 = 128 * 1024;

/// Which rows are news.
pub struct Rumours {
    fresh: BTreeMap<RowKey, Option<NodeKey>>,
    hot: BTreeMap<RowKey, Hot>,
    wanted: BTreeMap<RowKey, Instant>,
    budget: u64,
    refilled: Instant,
}

#[derive(Clone, Copy)]
struct Hot {
    rounds_left: u8,
    since: Instant,
}

impl Rumours {
    /// No news.
    pub fn new(now: Instant) -> Self {
        Self {
            fresh: BTreeMap::new(),
            hot: BTreeMap::new(),
            wanted: BTreeMap::new(),
            budget: PUSH_BURST,
            refilled: now,
        }
    }

    /// A row changed; `from` told it, or this node itself did.
    pub fn learned(&mut self, now: Instant, key: RowKey, from: Option<NodeKey>) {
        self.fresh.insert(key, from);
        if self.hot.len() < ROWS_MAX || self.hot.contains_key(&key) {
            self.hot.insert(
                key,
                Hot {
                    rounds_left: HOT_ROUNDS,
                    since: now,
                },
            );
        }
    }

    /// Rows to push on, by who told them.
    pub fn take_fresh(&mut self) -> BTreeMap<Option<NodeKey>, Vec<RowKey>> {
        let mut groups: BTreeMap<Option<NodeKey>, Vec<RowKey>> = BTreeMap::new();
        for (key, from) in std::mem::take(&mut self.fresh) {
            groups.entry(from).or_default().push(key);
        }
        groups
    }

    /// Rows worth a mention, the latest first.
    pub fn hot(&self) -> Vec<RowKey> {
        let mut hot: Vec<(RowKey, Instant)> = self
            .hot
            .iter()
            .map(|(key, hot)| (*key, hot.since))
            .collect();
        hot.sort_by_key(|(key, since)| (std::cmp::Reverse(*since), *key));
        hot.into_iter()
            .take(HINTS_MAX)
            .map(|(key, _)| key)
            .collect()
    }

    /// A round is over: every mention has one round less to go.
    pub fn cool(&mut self) {
        self.hot.retain(|_, hot| {
            hot.rounds_left = hot.rounds_left.saturating_sub(1);
            hot.rounds_left > 0
        });
    }

    /// Whether to ask for a row, which was not asked for a moment ago.
    pub fn may_want(&mut self, now: Instant, key: RowKey) -> bool {
        let is_due = self
            .wanted
            .get(&key)
            .is_none_or(|at| now.since(*at) >= WANT_PAUSE);
        if is_due && self.wanted.len() < ROWS_MAX {
            self.wanted.insert(key, now);
        }
        is_due
    }

    /// A row came in.
    pub fn arrived(&mut self, key: RowKey) {
        self.wanted.remove(&key);
    }

    /// Forgets requests that may be repeated anyway.
    pub fn tidy(&mut self, now: Instant) {
        self.wanted.retain(|_, at| now.since(*at) < WANT_PAUSE);
    }

    /// Whether so many bytes may be pushed; if so, they are spent.
    pub fn spend(&mut self, now: Instant, bytes: u64) -> bool {
        let micros = u64::try_from(now.since(self.refilled).as_micros()).unwrap_or(u64::MAX);
        self.refilled = now;
        let gained = micros.saturating_mul(PUSH_BYTES_PER_SECOND) / 1_000_000;
        self.budget = self.budget.saturating_add(gained).min(PUSH_BURST);
        let may = bytes <= self.budget;
        if may {
            self.budget -= bytes;
        }
        may
    }
}
