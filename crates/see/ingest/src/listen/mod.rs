//! Sockets. A listener decodes what arrives and hands it through the [`Gate`]; while the sink
//! is full it reads nothing, so that senders wait in their turn. It holds no more than
//! [`HELD_BYTES_MAX`] of unfinished records in all its connections together.

pub mod body;
pub mod connection;
pub mod datagram;
pub mod events;
pub mod grpc;
pub mod http;
pub mod protocols;
pub mod scrape;

use crate::counters::InputCounters;
use crate::reject::{Decoded, Reason};
use crate::sink::{Batch, BatchId, Gate, Patience, SinkError};
use andon_model::time::Timestamp;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// Bytes of unfinished records and messages that one listener holds for all connections.
pub const HELD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What was read before an input ends is kept within this time, or counted as not kept.
const LAST_DELIVERY_MAX: Duration = Duration::from_millis(500);

/// What every input has: where its events go, under which name, and until when.
#[derive(Clone)]
pub struct Outlet {
    /// Before the sink.
    pub gate: Arc<Gate>,
    /// Its counters.
    pub counters: Arc<InputCounters>,
    /// Where its events go.
    pub dataset: String,
    /// Ends it.
    pub cancel: CancellationToken,
}

impl Outlet {
    /// Counts and delivers what was decoded. What the sink does not keep is counted as
    /// [`Reason::NotKept`].
    pub async fn deliver(
        &self,
        decoded: Decoded,
        id: Option<BatchId>,
        patience: Patience,
    ) -> Result<(), SinkError> {
        self.deliver_to(&self.dataset, decoded, id, patience).await
    }

    /// The same to another dataset.
    pub async fn deliver_to(
        &self,
        dataset: &str,
        decoded: Decoded,
        id: Option<BatchId>,
        patience: Patience,
    ) -> Result<(), SinkError> {
        self.counters.note(&decoded);
        let batch = Batch {
            dataset: dataset.to_owned(),
            events: decoded.events,
            id,
        };
        let events = batch.events.len() as u64;
        let delivered = self.gate.deliver(&self.counters, batch, patience);
        let over = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(LAST_DELIVERY_MAX).await;
        };
        let result = tokio::select! {
            result = delivered => result,
            () = over => Err(SinkError::Closed),
        };
        if result.is_err() {
            self.counters.reject(Reason::NotKept, events);
        }
        result
    }
}

/// The wall clock, for the time of receipt.
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }))
}
