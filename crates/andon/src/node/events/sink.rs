//! Where events go on this node: its store, its queue, or nowhere.

use andon_ingest::Batch;
use andon_ingest::sink::{Accepting, Sink, SinkError};
use andon_model::PictureView;
use andon_spool::{Lane, Spool, SpoolError};
use andon_store::{Origin, Store, StoreError, Tails};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// When to ask a full or sick disk again.
const DISK_AGAIN: Duration = Duration::from_secs(1);

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

/// Told when something is queued; each lane has its own ear.
#[derive(Debug, Clone, Default)]
pub struct News {
    pub main: Arc<Notify>,
    pub copy: Arc<Notify>,
}

impl News {
    fn tell(&self) {
        self.main.notify_one();
        self.copy.notify_one();
    }
}

/// The queue on this node's disk, from which tasks bring events to where they are kept; or this
/// node's own store at once, where they go nowhere else and nothing waits.
pub struct QueueSink {
    pub store: Option<StoreSink>,
    pub spool: Arc<Spool>,
    pub news: News,
    pub view: watch::Receiver<Arc<PictureView>>,
    /// Shown what is queued, where no store shows it.
    pub tails: Option<Arc<Tails>>,
}

impl Sink for QueueSink {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        if let Some(store) = &self.store
            && super::ship::keepers(&self.view.borrow()).is_empty()
            && self.spool.keeper(Lane::Copy).is_none()
            // What waits comes first: a source's events keep their order.
            && self.spool.is_empty()
        {
            return store.accept(batch);
        }
        let spool = Arc::clone(&self.spool);
        let own = batch.clone();
        Box::pin(async move {
            let queued = tokio::task::spawn_blocking(move || {
                let id = own.id.map(|id| (id.source, id.until));
                spool.push(&own.dataset, own.events, id)
            });
            match queued.await {
                Ok(Ok(_)) => {
                    self.news.tell();
                    if let Some(tails) = &self.tails {
                        tails.show(&batch.dataset, &batch.events);
                    }
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
