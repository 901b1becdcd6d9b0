//! The picture as it changes, for everyone who watches: one task compares pictures, and each
//! change is serialised once, however many streams are open.

use crate::access::now;
use crate::counters::Counters;
use crate::delta::Delta;
use crate::documents::{Documents, Form};
use crate::slots::Slots;
use andon_model::{Incident, PictureView};
use bytes::Bytes;
use futures_util::Stream;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Streams at once: some wall screens and everyone on call. Each may hold a part of the
/// picture in socket buffers.
pub(crate) const STREAMS_MAX: usize = 128;

/// Changes closer together than this travel as one: five a second is as fast as an eye follows.
const COALESCE: Duration = Duration::from_millis(200);

/// Silence after which a page may call its picture stale is a few of these.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Events a slow stream may lag behind before it is given a whole picture instead.
const LAG_MAX: usize = 16;

/// Making news may take this share of a core's time at most, one part in so many.
const SHARE: u32 = 5;

/// What all streams have been told.
struct Published {
    view: Arc<PictureView>,
    incidents: Arc<Vec<Incident>>,
}

/// The source of all streams.
pub(crate) struct Hub {
    published: Mutex<Published>,
    events: broadcast::Sender<Bytes>,
    places: Arc<Semaphore>,
    counters: Arc<Counters>,
    cancel: CancellationToken,
}

impl Hub {
    pub(crate) fn new(
        view: Arc<PictureView>,
        incidents: Arc<Vec<Incident>>,
        counters: Arc<Counters>,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            published: Mutex::new(Published { view, incidents }),
            events: broadcast::channel(LAG_MAX).0,
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            counters,
            cancel,
        })
    }

    /// Streams open.
    pub(crate) fn open(&self) -> usize {
        STREAMS_MAX - self.places.available_permits()
    }

    /// Follows the picture until the end; also keeps house every few seconds.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut view: watch::Receiver<Arc<PictureView>>,
        mut incidents: watch::Receiver<Arc<Vec<Incident>>>,
        documents: Arc<Documents>,
        slots: Arc<Slots>,
    ) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return,
                _ = heartbeat.tick() => {
                    documents.tidy();
                    slots.sweep();
                    let beat = format!("event: heartbeat\ndata: {{\"generated_at\":\"{}\"}}\n\n", now());
                    let _ = self.events.send(beat.into());
                }
                changed = view.changed() => {
                    if changed.is_err() {
                        // The node no longer derives pictures: it is about to stop.
                        self.cancel.cancelled().await;
                        return;
                    }
                    let started = Instant::now();
                    let new = view.borrow_and_update().clone();
                    self.publish(new);
                    if incidents.has_changed().unwrap_or(false) {
                        let new = incidents.borrow_and_update().clone();
                        self.publish_incidents(new);
                    }
                    self.rest(started).await;
                }
                Ok(()) = incidents.changed() => {
                    let started = Instant::now();
                    let new = incidents.borrow_and_update().clone();
                    self.publish_incidents(new);
                    self.rest(started).await;
                }
            }
        }
    }

    async fn rest(&self, started: Instant) {
        let pause = COALESCE.max(started.elapsed() * (SHARE - 1));
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn publish_incidents(&self, new: Arc<Vec<Incident>>) {
        let mut published = self.lock();
        if published.incidents != new {
            if self.events.receiver_count() > 0 {
                let _ = self.events.send(incidents_event(&new));
            }
            published.incidents = new;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, new: Arc<PictureView>) {
        // Held while sending, so that a stream begins with the picture its first delta is from.
        let mut published = self.lock();
        if self.events.receiver_count() > 0
            && let Some(delta) = Delta::between(&published.view, &new)
            && let Ok(json) = serde_json::to_vec(&delta)
        {
            let _ = self.events.send(event("delta", &json));
        }
        published.view = new;
    }

    /// Opens a stream, which begins with a whole picture in `form`; `None` if too many are open.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        form: Form,
    ) -> Option<impl Stream<Item = Result<Bytes, Infallible>> + Send + use<>> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.counters.streams_refused.count();
            return None;
        };
        let watcher = Watcher {
            hub: Arc::clone(self),
            form,
            events: None,
            _place: place,
        };
        Some(futures_util::stream::unfold(watcher, Watcher::next))
    }

    fn begin(
        &self,
    ) -> (
        Arc<PictureView>,
        Arc<Vec<Incident>>,
        broadcast::Receiver<Bytes>,
    ) {
        let published = self.lock();
        let (view, incidents) = (&published.view, &published.incidents);
        (
            Arc::clone(view),
            Arc::clone(incidents),
            self.events.subscribe(),
        )
    }
}

struct Watcher {
    hub: Arc<Hub>,
    form: Form,
    /// `None` until the whole picture has been handed over.
    events: Option<broadcast::Receiver<Bytes>>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let Some(events) = &mut self.events else {
            return self.whole().await;
        };
        let received = tokio::select! {
            () = self.hub.cancel.cancelled() => return None,
            received = events.recv() => received,
        };
        match received {
            Ok(event) => Some((Ok(event), self)),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.hub.counters.streams_lagged.count();
                self.whole().await
            }
        }
    }

    async fn whole(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let (view, incidents, events) = self.hub.begin();
        self.events = Some(events);
        let json = crate::documents::json(self.form, view).await;
        let both = [event("picture", &json), incidents_event(&incidents)].concat();
        Some((Ok(both.into()), self))
    }
}

fn incidents_event(incidents: &[Incident]) -> Bytes {
    // The types hold nothing that JSON cannot.
    let json = serde_json::to_vec(incidents).unwrap_or_default();
    event("incidents", &json)
}

fn event(name: &str, json: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(json.len() + name.len() + 16);
    event.extend_from_slice(b"event: ");
    event.extend_from_slice(name.as_bytes());
    event.extend_from_slice(b"\ndata: ");
    event.extend_from_slice(json);
    event.extend_from_slice(b"\n\n");
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::view_of;
    use andon_model::PictureDigest;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn a_slow_watcher_is_given_the_whole_picture_again_and_watchers_are_bounded() {
        let counters = Arc::new(Counters::default());
        let view = view_of("a", &["a", "b"]);
        let hub = Hub::new(
            Arc::new(view.clone()),
            Arc::default(),
            Arc::clone(&counters),
            CancellationToken::new(),
        );
        let mut slow = Box::pin(hub.subscribe(Form::Whole).unwrap());
        let mut next =
            async || String::from_utf8(slow.next().await.unwrap().unwrap().to_vec()).unwrap();
        assert!(next().await.starts_with("event: picture\n"));
        for number in 0..LAG_MAX as u128 + 4 {
            hub.publish(Arc::new(PictureView {
                digest: PictureDigest(100 + number),
                ..view.clone()
            }));
        }
        let again = next().await;
        assert!(again.starts_with("event: picture\n"), "{again}");
        assert!(
            again.contains(&PictureDigest(100 + LAG_MAX as u128 + 3).to_string()),
            "the newest"
        );
        hub.publish(Arc::new(PictureView {
            digest: PictureDigest(5),
            ..view
        }));
        assert!(next().await.starts_with("event: delta\n"));
        assert_eq!(counters.streams_lagged.get(), 1);

        let held: Vec<_> = (1..STREAMS_MAX)
            .map(|_| hub.subscribe(Form::Whole).unwrap())
            .collect();
        assert!(hub.subscribe(Form::Whole).is_none());
        drop(held);
        assert_eq!(hub.open(), 1);
    }
}
