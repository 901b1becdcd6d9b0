//! Views and incidents to disk. All of it is done on a thread that may block: a disk that
//! hangs holds up the history and nothing else.

use super::clock::Clock;
use crate::config::settings::NodeSettings;
use andon_history::{Keeper, Reader};
use andon_model::{Incident, PictureView};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Recording costs at most one part in so many of a core, however large the grid.
const RECORD_SHARE: u32 = 50;

/// Starts recording; no reader and a task that is done where no history is kept.
pub fn start(
    settings: &NodeSettings,
    data_dir: &Path,
    views: watch::Receiver<Arc<PictureView>>,
    incidents: watch::Receiver<Arc<Vec<Incident>>>,
    clock: Clock,
    cancel: CancellationToken,
) -> (Option<Reader>, JoinHandle<()>) {
    if !settings.history.enabled {
        return (None, tokio::spawn(async {}));
    }
    let (keeper, reader) = Keeper::new(settings.history.options(data_dir));
    let task = tokio::spawn(run(keeper, views, incidents, clock, cancel));
    (Some(reader), task)
}

async fn run(
    mut keeper: Keeper,
    mut views: watch::Receiver<Arc<PictureView>>,
    mut incidents: watch::Receiver<Arc<Vec<Incident>>>,
    clock: Clock,
    cancel: CancellationToken,
) {
    while !cancel.is_cancelled() {
        let view = views.borrow_and_update().clone();
        let known = incidents.borrow_and_update().clone();
        let started = clock.now();
        let step = tokio::task::spawn_blocking(move || {
            let next = keeper.step(clock.now(), clock.utc(), &view, Some(&known));
            (keeper, next)
        });
        let next = match step.await {
            Ok((kept, next)) => {
                keeper = kept;
                next
            }
            Err(error) => {
                tracing::error!(%error, "the history is no longer recorded");
                return;
            }
        };
        let ended = clock.now();
        let rest = ended + ended.since(started) * RECORD_SHARE;
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep_until(clock.deadline(next.earliest.max(rest))) => {}
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep_until(clock.deadline(next.latest)) => {}
            changed = views.changed() => if changed.is_err() { break },
            changed = incidents.changed() => if changed.is_err() { break },
        }
    }
    let closed = tokio::task::spawn_blocking(move || keeper.close(clock.now())).await;
    if let Err(error) = closed {
        tracing::error!(%error, "the end of the history is not written");
    }
}
