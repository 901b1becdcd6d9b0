//! Where events go on this node: its store, ClickHouse, or nowhere.

use andon_clickhouse::{Attempt, ClickHouse, ClickHouseError, Writer};
use andon_ingest::Batch;
use andon_ingest::sink::{Accepting, Sink, SinkError};
use andon_model::PictureView;
use andon_spool::{Spool, SpoolError};
use andon_store::{Origin, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// When to ask a full or sick disk again.
const DISK_AGAIN: Duration = Duration::from_secs(1);
/// When to ask a busy ClickHouse again.
const CLICKHOUSE_AGAIN: Duration = Duration::from_secs(2);

/// This node's store.
pub struct StoreSink(pub Arc<Store>);

impl Sink for StoreSink {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        let store = Arc::clone(&self.0);
        let events = andon_store::Batch::of(&batch.events);
        let dataset = batch.dataset.clone();
        let origin = batch.id.as_ref().map(|id| Origin {
            source: id.source.clone(),
            sequence: id.until,
        });
        Box::pin(async move {
            let stored = tokio::task::spawn_blocking(move || match origin {
                Some(origin) => store.append_once(&dataset, events, origin),
                None => store.append_batch(&dataset, events),
            });
            match stored.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(refused(error)),
                Err(error) => Err(SinkError::Failed(error.to_string())),
            }
        })
    }
}

/// What a store's error means to who sends: a disk may have room again, the rest stays.
pub fn refused(error: StoreError) -> SinkError {
    match error {
        StoreError::Disk { .. } => SinkError::Full {
            retry_after: DISK_AGAIN,
        },
        StoreError::Closed => SinkError::Closed,
        other => SinkError::Failed(other.to_string()),
    }
}

/// ClickHouse.
pub struct ClickHouseSink {
    clickhouse: Arc<ClickHouse>,
    writer: Writer,
    /// Before the names of this node's sources.
    node: String,
}

impl ClickHouseSink {
    /// Small batches are gathered by the writer; those that a source may send again go under
    /// their own name, so that they come once.
    pub fn new(clickhouse: Arc<ClickHouse>, writer: Writer, node: &str) -> Self {
        Self {
            clickhouse,
            writer,
            node: node.to_owned(),
        }
    }
}

impl Sink for ClickHouseSink {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        Box::pin(async move {
            let written = match &batch.id {
                None => {
                    let events = batch.events.clone();
                    self.writer.accept(&batch.dataset, events).await
                }
                Some(id) => {
                    let token = format!("{}\u{0}{}\u{0}{}", self.node, id.source, id.until);
                    let inserted = self.clickhouse.insert(
                        &batch.dataset,
                        &batch.events,
                        &token,
                        Attempt::Again,
                    );
                    inserted.await.map(drop)
                }
            };
            written.map_err(|error| match error {
                ClickHouseError::Cancelled => SinkError::Closed,
                error => {
                    tracing::warn!(%error, "events are not on ClickHouse yet");
                    SinkError::Full {
                        retry_after: CLICKHOUSE_AGAIN,
                    }
                }
            })
        })
    }
}

/// The queue for a keeper; or this node's own store, as long as the grid has no keeper and
/// nothing waits.
pub struct QueueSink {
    pub store: Option<StoreSink>,
    pub spool: Arc<Spool>,
    /// Told when something is queued.
    pub news: Arc<Notify>,
    pub view: watch::Receiver<Arc<PictureView>>,
}

impl Sink for QueueSink {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        let has_keeper = !super::ship::keepers(&self.view.borrow()).is_empty();
        if let Some(store) = &self.store
            && !has_keeper
            // What waits comes first: a source's events keep their order.
            && self.spool.is_empty()
        {
            return store.accept(batch);
        }
        let spool = Arc::clone(&self.spool);
        let news = Arc::clone(&self.news);
        let batch = batch.clone();
        Box::pin(async move {
            let queued = tokio::task::spawn_blocking(move || {
                let id = batch.id.map(|id| (id.source, id.until));
                spool.push(&batch.dataset, batch.events, id)
            });
            match queued.await {
                Ok(Ok(_)) => {
                    news.notify_one();
                    Ok(())
                }
                Ok(Err(SpoolError::Codec(error))) => Err(SinkError::Failed(error.to_string())),
                Ok(Err(SpoolError::Full { .. } | SpoolError::Disk { .. })) => {
                    Err(SinkError::Full {
                        retry_after: DISK_AGAIN,
                    })
                }
                Err(error) => Err(SinkError::Failed(error.to_string())),
            }
        })
    }
}

/// Nowhere: sources wait, clients are told.
pub struct NoSink;

impl Sink for NoSink {
    fn accept<'a>(&'a self, _: &'a Batch) -> Accepting<'a> {
        Box::pin(async {
            Err(SinkError::Full {
                retry_after: Duration::from_secs(5),
            })
        })
    }
}
