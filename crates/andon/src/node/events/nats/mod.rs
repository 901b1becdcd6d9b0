//! Events over NATS JetStream: `send` brings what is queued on this node to JetStream, `take`
//! brings what is there for this keeper to its disk.

mod send;
mod take;

pub use send::NatsLane;
pub use take::NatsTaker;

use andon_api::nats::{NatsFigures, Way, add};
use andon_grid::{GridKey, KeyRing};
use andon_nats::{NatsError, Seal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pauses after failures double from here.
const PAUSE_LEAST: Duration = Duration::from_millis(250);
/// To here: how long after its return NATS waits for this node at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The grid's keys as they seal events.
fn seal(keys: &KeyRing) -> Seal {
    let key = |key: &GridKey| (key.id().0, key.events_key());
    let keys: Vec<_> = keys.keys().map(key).collect();
    Seal::new(&keys)
}

/// How one connection to NATS fares: said once when it breaks down, and once when it is well.
struct Fare {
    way: Way,
    figures: Arc<NatsFigures>,
    pause: Duration,
    is_told: bool,
}

impl Fare {
    fn new(way: Way, figures: Arc<NatsFigures>) -> Self {
        figures.of(way).is_used.store(true, Ordering::Relaxed);
        Self {
            way,
            figures,
            pause: PAUSE_LEAST,
            is_told: false,
        }
    }

    fn connected(&self, is_connected: bool) {
        let figure = &self.figures.of(self.way).is_connected;
        figure.store(is_connected, Ordering::Relaxed);
    }

    fn well(&mut self) {
        if self.is_told {
            tracing::info!(way = self.way.word(), "events go over NATS again");
        }
        (self.pause, self.is_told) = (PAUSE_LEAST, false);
    }

    /// Returns how long to wait.
    fn failed(&mut self, error: &NatsError) -> Duration {
        self.connected(false);
        add(&self.figures.of(self.way).failures, 1);
        let way = self.way.word();
        match (self.is_told, error) {
            (true, _) => tracing::debug!(way, %error, "events do not go over NATS"),
            // These do not mend themselves.
            (false, NatsError::Denied { .. } | NatsError::Foreign { .. }) => {
                tracing::error!(way, %error, "events wait where they are: they do not go over NATS");
            }
            (false, _) => {
                tracing::warn!(way, %error, "events wait where they are: they do not go over NATS");
            }
        }
        self.is_told = true;
        let wait = self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        wait
    }
}
