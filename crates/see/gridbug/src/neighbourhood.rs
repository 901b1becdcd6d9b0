//! The task that joins the core with the calls. The core sits behind a mutex, since the
//! HTTP server answers from it at once; no call is awaited while it is held.

use crate::answers::{GridBugAnswer, GridBugRequest, GridSummary};
use crate::call::Caller;
use crate::core::{Config, Counters, GridBug, Moment, Polled};
use andon_model::{Instant, Neighbour, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{self, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

struct Shared {
    core: Mutex<GridBug>,
    changed: Notify,
    start: std::time::Instant,
    utc: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, GridBug> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment {
        let now = Instant(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX));
        Moment {
            now,
            utc: (self.utc)(),
        }
    }
}

/// The neighbourhood's far end: cheap to clone, shared with the HTTP server.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Answers one of GridBug's calls (see [`crate::answers::is_gridbug_path`]). Never waits.
    pub fn respond(&self, request: &GridBugRequest) -> GridBugAnswer {
        let at = self.shared.moment();
        let (answer, changed) = self.shared.lock().respond(at, request);
        if changed {
            self.shared.changed.notify_one();
        }
        answer
    }

    /// Where we are reached, once it is known.
    pub fn set_host(&self, host: &str) {
        self.shared.lock().set_host(host);
    }

    /// Our own grid, for `/graph`.
    pub fn set_grid(&self, grid: GridSummary) {
        self.shared.lock().set_grid(grid);
    }

    /// The bugs as of now.
    pub fn neighbours(&self) -> Vec<Neighbour> {
        self.shared.lock().view()
    }

    /// What happened, and how often.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters()
    }
}

/// Takes part in a GridBug grid; must be called within a tokio runtime. `utc` tells the time
/// for people; `publish` gets all neighbours whenever one changed. Ends on `cancel`; the
/// task can be waited for.
pub fn spawn(
    config: Config,
    utc: impl Fn() -> Timestamp + Send + Sync + 'static,
    publish: impl Fn(Vec<Neighbour>) + Send + 'static,
    cancel: CancellationToken,
) -> (Handle, JoinHandle<()>) {
    let caller = Caller::new(config.key.clone());
    let at = Moment {
        now: Instant(0),
        utc: utc(),
    };
    let shared = Arc::new(Shared {
        core: Mutex::new(GridBug::new(at, config, rand::random())),
        changed: Notify::new(),
        start: std::time::Instant::now(),
        utc: Box::new(utc),
    });
    let task = tokio::spawn(run(shared.clone(), caller, Box::new(publish), cancel));
    (Handle { shared }, task)
}

async fn run(
    shared: Arc<Shared>,
    caller: Caller,
    publish: Box<dyn Fn(Vec<Neighbour>) + Send>,
    cancel: CancellationToken,
) {
    let mut polls: JoinSet<Polled> = JoinSet::new();
    let mut hosts: HashMap<task::Id, String> = HashMap::new();
    let mut published = None;
    loop {
        let neighbours = shared.lock().view();
        if published.as_ref() != Some(&neighbours) {
            published = Some(neighbours.clone());
            publish(neighbours);
        }
        let wake = shared
            .lock()
            .next_wake()
            .map(|at| shared.start + Duration::from_micros(at.0));
        let sleep = tokio::time::sleep_until(wake.unwrap_or(shared.start).into());
        tokio::select! {
            () = cancel.cancelled() => return,
            () = sleep, if wake.is_some() => {}
            () = shared.changed.notified() => {}
            Some(done) = polls.join_next_with_id() => {
                let (id, polled) = match done {
                    Ok(done) => done,
                    Err(error) => {
                        tracing::error!(%error, "a poll broke off");
                        (error.id(), Polled { ping_us: None, posted: None, bugs: None })
                    }
                };
                if let Some(host) = hosts.remove(&id) {
                    let at = shared.moment();
                    shared.lock().handle(at, &host, polled);
                }
            }
        }
        let due = {
            let at = shared.moment();
            let mut core = shared.lock();
            core.wake(at);
            std::iter::from_fn(|| core.poll()).collect::<Vec<_>>()
        };
        for poll in due {
            let (caller, host) = (caller.clone(), poll.host.clone());
            let poll = polls.spawn(async move { caller.poll(&poll).await });
            hosts.insert(poll.id(), host);
        }
    }
}
