//! Where events go: a [`Sink`] that keeps them, behind a [`Gate`] that every input passes.
//! The gate bounds names of attributes, says which node took an event in, and waits while the
//! sink is full, so that inputs stop reading.

use crate::counters::{InputCounters, Registry};
use crate::heartbeat::HeartbeatWatch;
use crate::keys::{KeyGuards, fold};
use crate::reject::{Mend, Mends};
use andon_model::event::{Event, Value, key};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events that are kept together or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// A name as of [`andon_model::event::is_dataset_name`].
    pub dataset: String,
    /// In the order they came.
    pub events: Vec<Event>,
    /// Where the source can send the same batch again.
    pub id: Option<BatchId>,
}

/// Names a batch so that the sink can tell when it comes twice.
///
/// Positions of one source only grow. A sink that has kept a batch of this source up to
/// `until` answers a later one with the same or a smaller `until` with success and keeps
/// nothing. A source sends a batch again with the very same events.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId {
    /// Unique within the node: a file, a journal, a client's own name for its request.
    pub source: String,
    /// Where in the source it ends: a byte, a line, a count.
    pub until: u64,
}

/// Why a batch is not kept. It is not kept in part either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// There is no room at the moment.
    #[error("the queue is full, room may be there in {retry_after:?}")]
    Full {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Nobody keeps events any more: the node is stopping.
    #[error("nobody keeps events: the node is stopping")]
    Closed,
    /// It cannot be kept, now or later.
    #[error("events cannot be kept: {0}")]
    Failed(String),
}

/// What a sink answers, once it knows.
pub type Accepting<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Who keeps events: a spool, a store.
pub trait Sink: Send + Sync {
    /// Keeps a batch. Returns once it is durable: what was accepted survives a kill.
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a>;
}

/// How long an input waits while the sink is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until there is room: files, connections that can be left unread.
    Forever,
    /// Somebody waits for an answer.
    AtMost(Duration),
    /// Not at all.
    None,
}

/// What all inputs of a node share.
pub struct Gate {
    sink: Arc<dyn Sink>,
    registry: Arc<Registry>,
    keys: KeyGuards,
    heartbeats: Option<Arc<HeartbeatWatch>>,
    stamps: Vec<(String, Value)>,
    started: Instant,
}

impl Gate {
    /// In front of `sink`; `node` and `site` are written into each event where given.
    pub fn new(sink: Arc<dyn Sink>, node: Option<&str>, site: Option<&str>) -> Self {
        let stamp = |key: &str, text: Option<&str>| text.map(|text| (key.to_owned(), text.into()));
        Self {
            sink,
            registry: Arc::default(),
            keys: KeyGuards::default(),
            heartbeats: None,
            stamps: [stamp(key::NODE, node), stamp(key::SITE, site)]
                .into_iter()
                .flatten()
                .collect(),
            started: Instant::now(),
        }
    }

    /// Who is told of the heartbeats that come in.
    #[must_use]
    pub fn with_heartbeats(mut self, heartbeats: Arc<HeartbeatWatch>) -> Self {
        self.heartbeats = Some(heartbeats);
        self
    }

    /// Who is told of the heartbeats that come in.
    pub fn heartbeats(&self) -> Option<&HeartbeatWatch> {
        self.heartbeats.as_deref()
    }

    /// The counters of all inputs.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The counters of one input.
    pub fn counters(&self, input: &str) -> Arc<InputCounters> {
        self.registry.input(input)
    }

    /// Hands a batch to the sink. Counts what was accepted; an empty batch is nothing.
    ///
    /// Errors leave the batch not kept; `Full` comes only after `patience`.
    pub async fn deliver(
        &self,
        counters: &InputCounters,
        mut batch: Batch,
        patience: Patience,
    ) -> Result<(), SinkError> {
        if batch.events.is_empty() {
            return Ok(());
        }
        self.prepare(counters, &mut batch);
        self.offer(counters, &batch, patience).await
    }

    /// Hands a prepared batch to the sink, as often as it takes; otherwise as
    /// [`deliver`](Self::deliver).
    pub async fn offer(
        &self,
        counters: &InputCounters,
        batch: &Batch,
        patience: Patience,
    ) -> Result<(), SinkError> {
        let since = Instant::now();
        loop {
            match self.sink.accept(batch).await {
                Ok(()) => {
                    counters.accept(batch.events.len());
                    return Ok(());
                }
                Err(SinkError::Full { retry_after }) => {
                    counters.wait();
                    let pause = retry_after.clamp(Duration::from_millis(5), Duration::from_secs(5));
                    let is_over = match patience {
                        Patience::Forever => false,
                        Patience::AtMost(most) => since.elapsed() + pause > most,
                        Patience::None => true,
                    };
                    if is_over {
                        return Err(SinkError::Full { retry_after });
                    }
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a batch fit to be kept; once for each.
    pub fn prepare(&self, counters: &InputCounters, batch: &mut Batch) {
        if let Some(heartbeats) = &self.heartbeats {
            heartbeats.hear(&batch.events);
        }
        let guard = self.keys.of(&batch.dataset);
        let mut guard = guard.lock().unwrap_or_else(|poison| poison.into_inner());
        guard.age(self.started.elapsed());
        let mut mends = Mends::default();
        for event in &mut batch.events {
            if !guard.admits(event) {
                fold(&mut guard, event);
                mends.add(Mend::Keys);
            }
            for (key, value) in &self.stamps {
                if event.get(key).is_none() {
                    event.attributes.push((key.clone(), value.clone()));
                }
            }
        }
        counters.mend(&mends);
    }
}

#[cfg(test)]
pub(crate) mod memory {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Keeps events in memory, removes duplicates as [`BatchId`] says, and is full on demand.
    #[derive(Debug, Default)]
    pub struct MemorySink {
        pub batches: Mutex<Vec<Batch>>,
        pub refusals: AtomicUsize,
        seen: Mutex<BTreeMap<String, u64>>,
    }

    impl MemorySink {
        pub fn events(&self) -> Vec<Event> {
            let batches = self.batches.lock().unwrap();
            batches
                .iter()
                .flat_map(|batch| batch.events.clone())
                .collect()
        }
    }

    impl Sink for MemorySink {
        fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
            Box::pin(async move {
                let refuse = |left: usize| left.checked_sub(1);
                if self
                    .refusals
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse)
                    .is_ok()
                {
                    return Err(SinkError::Full {
                        retry_after: Duration::from_millis(5),
                    });
                }
                if let Some(id) = &batch.id {
                    let mut seen = self.seen.lock().unwrap();
                    if seen.get(&id.source).is_some_and(|until| *until >= id.until) {
                        return Ok(());
                    }
                    seen.insert(id.source.clone(), id.until);
                }
                self.batches.lock().unwrap().push(batch.clone());
                Ok(())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::MemorySink;
    use super::*;
    use andon_model::time::Timestamp;
    use std::sync::atomic::Ordering;

    fn batch() -> Batch {
        Batch {
            dataset: "logs".into(),
            events: vec![Event::new(Timestamp(1)).with("body", "x")],
            id: None,
        }
    }

    #[tokio::test]
    async fn a_full_sink_is_asked_again_and_nothing_is_lost() {
        let sink = Arc::new(MemorySink::default());
        let gate = Gate::new(sink.clone(), Some("node-1"), None);
        let counters = gate.counters("test");
        sink.refusals.store(3, Ordering::SeqCst);
        gate.deliver(&counters, batch(), Patience::Forever)
            .await
            .unwrap();
        assert_eq!(sink.events()[0].get(key::NODE), Some(&"node-1".into()));
        let figures = counters.figures();
        assert_eq!((figures.accepted, figures.full), (1, 3));
    }

    #[tokio::test]
    async fn who_cannot_wait_is_told_that_it_is_full() {
        let sink = Arc::new(MemorySink::default());
        let gate = Gate::new(sink.clone(), None, None);
        sink.refusals.store(usize::MAX, Ordering::SeqCst);
        for patience in [Patience::None, Patience::AtMost(Duration::from_millis(20))] {
            let answer = gate
                .deliver(&gate.counters("test"), batch(), patience)
                .await;
            assert!(matches!(answer, Err(SinkError::Full { .. })));
        }
        assert_eq!(gate.counters("test").figures().accepted, 0);
    }
}
