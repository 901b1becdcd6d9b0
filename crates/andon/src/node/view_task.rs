//! From picture to view: judged whenever the picture changes, and placed on the map.

use super::clock::Clock;
use andon_model::{NodeKey, Picture, PictureView, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Shortest time between two views; people see no difference below it.
const VIEW_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// A view costs at most one part in so many of a core, however large the grid.
const VIEW_SHARE: u32 = 8;

/// Judges a picture and places it on the map.
pub fn derive(picture: &Picture, me: NodeKey, now: Timestamp) -> PictureView {
    let mut view = andon_blame::judge(picture, me, now);
    andon_api::layout::place(&mut view);
    view
}

/// Turns pictures into views until cancelled.
pub async fn run(
    mut pictures: watch::Receiver<Picture>,
    views: watch::Sender<Arc<PictureView>>,
    me: NodeKey,
    clock: Clock,
    cancel: CancellationToken,
) {
    loop {
        let picture = pictures.borrow_and_update().clone();
        let started = clock.now();
        let view = derive(&picture, me, clock.utc());
        drop(picture);
        views.send_replace(Arc::new(view));
        let rest = (clock.now().since(started) * VIEW_SHARE).max(VIEW_INTERVAL_MIN);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = pictures.changed() => if changed.is_err() { return },
        }
    }
}
