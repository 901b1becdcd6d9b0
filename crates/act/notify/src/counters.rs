//! What was told and what was not, in numbers: for metrics and for people.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Since the state was begun; they survive restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Messages that the other side took.
    pub sent: u64,
    /// Attempts that came to nothing and were, or will be, repeated.
    pub retried: u64,
    /// Messages that were refused, or given up after hours.
    pub failed: u64,
    /// Incidents that were not told because of a silence, a maintenance window or hours.
    pub suppressed: u64,
    /// Incidents that were told in a message with others.
    pub grouped: u64,
    /// Incidents that another node told first.
    pub told_by_others: u64,
    /// Incidents that were over before their time to be told had come.
    pub over_before_told: u64,
}

/// How a route fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteView {
    /// Numbers since the state was begun.
    pub counters: Counters,
    /// Messages that wait to be delivered.
    pub waiting: usize,
    /// Incidents that wait for their turn, their hours or the route's rate.
    pub held: usize,
    /// Why the newest attempt failed; `None` after one that succeeded.
    pub trouble: Option<String>,
}

/// How all routes fare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifyView {
    /// By name of route.
    pub routes: BTreeMap<String, RouteView>,
    /// Incidents beyond what a node keeps account of; they are counted in digests.
    pub beyond: usize,
    /// Times that the state could not be written to the data directory.
    pub state_write_failures: u64,
}
