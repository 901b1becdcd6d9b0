//! What each input took in, left out and mended since it started.

use crate::reject::{Decoded, Mend, Mends, Reason};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// One input's counters. Cheap to share; they only grow.
#[derive(Debug, Default)]
pub struct InputCounters {
    accepted: AtomicU64,
    bytes: AtomicU64,
    connections: AtomicU64,
    full: AtomicU64,
    rejected: [AtomicU64; Reason::ALL.len()],
    mended: [AtomicU64; Mend::ALL.len()],
}

/// What the counters say at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InputFigures {
    /// Events that the sink keeps.
    pub accepted: u64,
    /// Bytes read, as sent.
    pub bytes: u64,
    /// Connections, requests or files begun.
    pub connections: u64,
    /// How often the sink was full and the input waited.
    pub full: u64,
    /// Records left out, by reason; only reasons that occurred.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Records taken in with a change, by what it was; only what occurred.
    pub mended: BTreeMap<&'static str, u64>,
}

impl InputCounters {
    /// Events that the sink keeps.
    pub fn accept(&self, events: usize) {
        self.accepted.fetch_add(events as u64, Relaxed);
    }

    /// Bytes read.
    pub fn read(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A connection, request or file begun.
    pub fn connect(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// The sink was full.
    pub fn wait(&self) {
        self.full.fetch_add(1, Relaxed);
    }

    /// Records left out.
    pub fn reject(&self, reason: Reason, records: u64) {
        self.rejected[reason as usize].fetch_add(records, Relaxed);
    }

    /// Records mended.
    pub fn mend(&self, mends: &Mends) {
        for (sum, more) in self.mended.iter().zip(mends.0) {
            if more > 0 {
                sum.fetch_add(more, Relaxed);
            }
        }
    }

    /// All that decoding says but the events, which count once they are kept.
    pub fn note(&self, decoded: &Decoded) {
        self.mend(&decoded.mends);
        for (sum, more) in self.rejected.iter().zip(decoded.rejected_counts) {
            if more > 0 {
                sum.fetch_add(more, Relaxed);
            }
        }
    }

    /// What they say at this moment.
    pub fn figures(&self) -> InputFigures {
        let named = |(name, count): (&'static str, &AtomicU64)| {
            let count = count.load(Relaxed);
            (count > 0).then_some((name, count))
        };
        InputFigures {
            accepted: self.accepted.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            connections: self.connections.load(Relaxed),
            full: self.full.load(Relaxed),
            rejected: (Reason::ALL.iter().map(|reason| reason.name()))
                .zip(&self.rejected)
                .filter_map(named)
                .collect(),
            mended: (Mend::ALL.iter().map(|mend| mend.name()))
                .zip(&self.mended)
                .filter_map(named)
                .collect(),
        }
    }
}

/// The counters of all inputs, by the input's name.
#[derive(Debug, Default)]
pub struct Registry {
    inputs: Mutex<BTreeMap<String, Arc<InputCounters>>>,
}

impl Registry {
    /// The counters of one input; the same ones for the same name.
    pub fn input(&self, name: &str) -> Arc<InputCounters> {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.entry(name.to_owned()).or_default().clone()
    }

    /// What all of them say at this moment.
    pub fn figures(&self) -> BTreeMap<String, InputFigures> {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = inputs.iter();
        figures
            .map(|(name, counters)| (name.clone(), counters.figures()))
            .collect()
    }
}
