//! Limits of the store and the queues that change while the node runs, after SIGHUP.

use crate::config::settings::StoreSettings;
use andon_api::copied::Copied;
use andon_spool::Spool;
use andon_store::Store;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What was read again; `None` until something was.
pub type Limits = Option<(StoreSettings, andon_spool::Options)>;

/// Until it is cancelled.
pub async fn run(
    mut limits: watch::Receiver<Limits>,
    store: Option<Arc<Store>>,
    copied: Option<Arc<Copied>>,
    spool: Option<Arc<Spool>>,
    cancel: CancellationToken,
) {
    loop {
        let changed = tokio::select! {
            () = cancel.cancelled() => return,
            changed = limits.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        let Some((settings, queues)) = limits.borrow_and_update().clone() else {
            continue;
        };
        let options = settings.options();
        if let Some(store) = &store {
            store.set_retention(&options);
        }
        if let Some(copied) = &copied {
            copied.copies.set_retention(&options);
        }
        if let Some(spool) = &spool {
            spool.set_options(queues);
        }
        tracing::info!("retention of events and limits of queues are as configured");
    }
}
