//! Keeps a quiet node small: what came in is sealed now and then, also when it is little.

use andon_api::copied::Copied;
use andon_store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked. Sealed more often, small segments would be merged more often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Less than this waits in memory; a node at rest measures some hundred kilobytes a minute.
const BYTES_LEAST: u64 = 192 * 1024;

/// The same for copies of other keepers' events.
pub async fn run_copies(copied: Arc<Copied>, cancel: CancellationToken) {
    let mut tidied = BTreeMap::new();
    loop {
        for (name, store) in copied.copies.all() {
            let begin = || tokio::spawn(run(store, cancel.clone()));
            tidied.entry(name).or_insert_with(begin);
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    for task in tidied.into_values() {
        let _ = task.await;
    }
}

/// Until it is cancelled; then seals what there is, so that the next start reads no log.
pub async fn run(store: Arc<Store>, cancel: CancellationToken) {
    loop {
        let stopping = tokio::select! {
            () = cancel.cancelled() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let store = Arc::clone(&store);
        let sealing = tokio::task::spawn_blocking(move || {
            let unsealed = store.stats().bytes_unsealed;
            if unsealed >= BYTES_LEAST || stopping && unsealed > 0 {
                store.seal()
            } else {
                Ok(())
            }
        });
        if let Ok(Err(error)) = sealing.await {
            tracing::warn!(%error, "what is in memory is not sealed yet; it is safe in the log");
        }
        if stopping {
            return;
        }
    }
}
