//! How much each stream may hold, and what happens when it is full.

use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes of one stream's queue unless said otherwise: an hour of some thousand lines a second.
pub const STREAM_BYTES_MAX: u64 = 1 << 30;
/// Streams at most; what comes for more shares one.
pub const STREAMS_MAX: usize = 256;

/// What happens to events for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Whoever sends waits; nothing is lost here.
    #[default]
    Block,
    /// The oldest in the queue go.
    DropOldest,
    /// They go themselves.
    DropNewest,
}

impl Policy {
    /// By its name in the configuration.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "block" => Some(Self::Block),
            "drop_oldest" => Some(Self::DropOldest),
            "drop_newest" => Some(Self::DropNewest),
            _ => None,
        }
    }
}

/// Which streams are sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    High,
    /// As most.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// By its name in the configuration.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "high" => Some(Self::High),
            "normal" => Some(Self::Normal),
            "low" => Some(Self::Low),
            _ => None,
        }
    }
}

/// How one stream is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Bytes on disk at most.
    pub bytes_max: u64,
    /// When they are reached.
    pub policy: Policy,
    /// Before or after others.
    pub priority: Priority,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            bytes_max: STREAM_BYTES_MAX,
            policy: Policy::default(),
            priority: Priority::default(),
        }
    }
}

/// How all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where `streams` does not name it.
    pub usual: StreamOptions,
    /// By dataset.
    pub streams: BTreeMap<String, StreamOptions>,
}

impl Options {
    /// Those of one stream.
    pub fn of(&self, stream: &str) -> StreamOptions {
        self.streams.get(stream).copied().unwrap_or(self.usual)
    }
}
