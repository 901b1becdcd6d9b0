//! The task that writes: gathers batches, sends them, and tells each caller when its events
//! are there. What cannot be sent is tried again, calmer each time, until the caller gives up.

use crate::clickhouse::ClickHouse;
use crate::collector::{Collector, Gathered};
use crate::error::ClickHouseError;
use crate::insert::Attempt;
use andon_model::event::Event;
use andon_model::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Batches that callers may hand over before they wait.
const QUEUE: usize = 256;
/// Batches that are on their way at a time: one is encoded while another is written.
const ON_THEIR_WAY_MAX: usize = 4;
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Attempts before the callers are told; their spool holds on to the events and comes again.
const ATTEMPTS_MAX: u32 = 6;

type Told = oneshot::Sender<Result<(), ClickHouseError>>;

struct Handed {
    dataset: String,
    events: Vec<Event>,
    told: Told,
}

/// Hands events to the task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Handed>,
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events of {}", self.events.len(), self.dataset)
    }
}

impl Writer {
    /// Starts the task; it ends, with what it holds written, when `stop` is cancelled.
    pub fn start(
        clickhouse: Arc<ClickHouse>,
        stop: CancellationToken,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, handed) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(clickhouse, handed, stop));
        (Self { queue }, task)
    }

    /// Returns once ClickHouse has the events. On an error it may have a part of them: an
    /// attempt under a token of the caller's own ([`ClickHouse::insert`]) is the way to never
    /// write twice over a restart.
    pub async fn accept(&self, dataset: &str, events: Vec<Event>) -> Result<(), ClickHouseError> {
        let (told, answer) = oneshot::channel();
        let handed = Handed {
            dataset: dataset.to_owned(),
            events,
            told,
        };
        let gone = |_| ClickHouseError::Cancelled;
        self.queue
            .send(handed)
            .await
            .map_err(|_| ClickHouseError::Cancelled)?;
        answer.await.map_err(gone)?
    }
}

async fn run(
    clickhouse: Arc<ClickHouse>,
    mut handed: mpsc::Receiver<Handed>,
    stop: CancellationToken,
) {
    let started = tokio::time::Instant::now();
    let now = || Instant(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut collector: Collector<Told> = Collector::default();
    let mut on_their_way = tokio::task::JoinSet::new();
    loop {
        while on_their_way.len() < ON_THEIR_WAY_MAX {
            let Some((dataset, gathered)) = collector.poll(now()) else {
                break;
            };
            on_their_way.spawn(send(Arc::clone(&clickhouse), dataset, gathered));
        }
        let wake = match (collector.next_wake(), on_their_way.len() < ON_THEIR_WAY_MAX) {
            (Some(wake), true) => wake.since(now()),
            _ => Duration::from_secs(3_600),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = on_their_way.join_next() => {}
            Some(batch) = handed.recv() => {
                let Handed { dataset, events, told } = batch;
                if let Err(told) = collector.add(now(), &dataset, events, told) {
                    let waiting = collector.waiting();
                    told.send(Err(ClickHouseError::Full { waiting })).ok();
                }
            }
            () = tokio::time::sleep(wake) => {}
        }
    }
    handed.close();
    while let Ok(Handed {
        dataset,
        events,
        told,
    }) = handed.try_recv()
    {
        collector.add(now(), &dataset, events, told).ok();
    }
    while let Some((dataset, gathered)) = collector.drain() {
        on_their_way.spawn(send(Arc::clone(&clickhouse), dataset, gathered));
    }
    while on_their_way.join_next().await.is_some() {}
}

async fn send(clickhouse: Arc<ClickHouse>, dataset: String, gathered: Gathered<Told>) {
    let token = clickhouse.statement_name();
    let mut pause = Duration::from_millis(200);
    let mut attempts = 0;
    let outcome = loop {
        // The token is this task's own: what became of each block is remembered.
        let sent = clickhouse.insert(&dataset, &gathered.events, &token, Attempt::First);
        match sent.await {
            Ok(inserted) => {
                debug!(%dataset, written = inserted.written, "events written to ClickHouse");
                break Ok(());
            }
            Err(error) if error.is_passing() && attempts < ATTEMPTS_MAX => {
                attempts += 1;
                warn!(%dataset, %error, again_in = ?pause, "ClickHouse does not take events");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => break Err(error),
        }
    };
    for told in gathered.told {
        told.send(outcome.clone()).ok();
    }
}
