//! Watches the heartbeats that this node hears, tells the grid of those that stop, and keeps
//! them across restarts.

use crate::node::clock::Clock;
use crate::node::data_dir::write_atomically;
use crate::node::view_task::wait_until;
use andon_ingest::heartbeat::{HeartbeatWatch, Now, SavedHeartbeat};
use andon_model::{Heartbeat, Instant};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The file in the data directory.
const FILE: &str = "heartbeats.json";
/// A larger file was not written by this program.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Beats are looked at together, at most this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// When each was last heard is written this often; a kill costs a late word of as much.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The watch for the inputs, and what the grid is told.
pub fn start(
    data_dir: &Path,
    clock: Clock,
    cancel: CancellationToken,
) -> (
    Arc<HeartbeatWatch>,
    watch::Receiver<Vec<Heartbeat>>,
    JoinHandle<()>,
) {
    let file = data_dir.join(FILE);
    let watch = HeartbeatWatch::new(load(&file), move || Now {
        at: clock.now(),
        utc: clock.utc(),
    });
    let heartbeats = Arc::new(watch);
    let (told, telling) = watch::channel(Vec::new());
    let task = run(Arc::clone(&heartbeats), told, file, clock, cancel);
    (heartbeats, telling, tokio::spawn(task))
}

async fn run(
    heartbeats: Arc<HeartbeatWatch>,
    told: watch::Sender<Vec<Heartbeat>>,
    file: PathBuf,
    clock: Clock,
    cancel: CancellationToken,
) {
    let mut written = None;
    let mut save_after = clock.now() + SAVE_EVERY;
    loop {
        let (news, wake) = look(&heartbeats);
        if news.is_some() || clock.now() >= save_after {
            let saved = heartbeats.core().saved();
            save(&file, saved, &mut written).await;
            save_after = clock.now() + SAVE_EVERY;
        }
        if let Some(news) = news {
            told.send_replace(news);
        }
        let wake = wake.map_or(save_after, |at| at.min(save_after));
        tokio::select! {
            () = cancel.cancelled() => break,
            () = wait_until(Some(wake), clock) => {}
            () = heartbeats.news.notified() => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    let saved = heartbeats.core().saved();
    save(&file, saved, &mut written).await;
}

/// What changed, and when to look again.
fn look(heartbeats: &HeartbeatWatch) -> (Option<Vec<Heartbeat>>, Option<Instant>) {
    let now = heartbeats.now();
    let mut core = heartbeats.core();
    for name in core.wake(now) {
        tracing::info!(%name, "a heartbeat has stopped");
    }
    (core.poll(), core.next_wake())
}

fn load(file: &Path) -> Vec<SavedHeartbeat> {
    let size = std::fs::metadata(file).map(|meta| meta.len());
    if size.is_err() || size.is_ok_and(|size| size > FILE_BYTES_MAX) {
        return Vec::new();
    }
    let read = std::fs::read(file).map_err(|error| error.to_string());
    let parsed =
        read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    parsed.unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.display(), "the heartbeats of the last run are unreadable and are forgotten");
        Vec::new()
    })
}

/// Writes them where they are others than `written`.
async fn save(file: &Path, saved: Vec<SavedHeartbeat>, written: &mut Option<Vec<SavedHeartbeat>>) {
    if written.as_ref() == Some(&saved) || (written.is_none() && saved.is_empty()) {
        return;
    }
    let (path, list) = (file.to_owned(), saved.clone());
    let done = tokio::task::spawn_blocking(move || {
        let text = serde_json::to_vec(&list).map_err(std::io::Error::other)?;
        write_atomically(&path, &text)
    });
    match done.await {
        Ok(Ok(())) => *written = Some(saved),
        Ok(Err(error)) => {
            tracing::warn!(%error, "heartbeats cannot be written to the data directory; they are kept in memory");
        }
        Err(panic) => tracing::error!(%panic, "writing the heartbeats failed"),
    }
}
