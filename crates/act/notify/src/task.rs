//! The task that joins the core with the world: incidents and the company of nodes come in by
//! channels, each letter is sent by a task of its own, remarks go out, the state goes to disk.
//!
//! The core lets one letter of a route be under way at a time, so there are at most as many
//! sending tasks as routes, and an endpoint that hangs holds up nobody else.

use crate::case::Case;
use crate::counters::NotifyView;
use crate::letter::Answer;
use crate::notifier::{Event, Me, Moment, Notifier, Output, Saved};
use crate::plan::Plan;
use crate::send::Sender;
use crate::state_file;
use crate::turn::Company;
use andon_model::RemarkKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Shortest time between two writes of the state.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);
/// After the disk refused it.
const SAVE_RETRY: Duration = Duration::from_secs(30);

/// What stays the same.
pub struct Setup {
    /// This node.
    pub me: Me,
    /// Where the state is kept; `None` keeps none.
    pub state_file: Option<PathBuf>,
    /// Reads both clocks.
    pub clock: Arc<dyn Fn() -> Moment + Send + Sync>,
    /// Seeds the spread of retries.
    pub seed: u64,
    /// Sends.
    pub sender: Sender,
}

/// What comes in and goes out.
pub struct Channels {
    /// All incidents, whenever one changes.
    pub cases: watch::Receiver<Arc<Vec<Case>>>,
    /// Who else lives.
    pub company: watch::Receiver<Company>,
    /// The configuration.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Remarks on incidents (by id), for the grid.
    pub remarks: mpsc::Sender<(String, RemarkKind)>,
    /// How the routes fare.
    pub view: watch::Sender<Arc<NotifyView>>,
}

/// Runs until cancelled; what is under way then is tried again by the next life.
pub async fn run(setup: Setup, mut channels: Channels, cancel: CancellationToken) {
    let saved = match &setup.state_file {
        Some(path) => {
            let path = path.clone();
            let loading = tokio::task::spawn_blocking(move || state_file::load(&path));
            loading.await.unwrap_or_default()
        }
        None => Saved::default(),
    };
    let plan = channels.plan.borrow_and_update().clone();
    let moment = (setup.clock)();
    let mut core = Notifier::new(setup.me.clone(), plan, saved, setup.seed, moment);
    let mut sending: JoinSet<(u64, Answer)> = JoinSet::new();
    let mut keeper = Keeper::new(setup.state_file.clone());
    let company = channels.company.borrow_and_update().clone();
    core.handle((setup.clock)(), Event::Company(company));
    let cases = channels.cases.borrow_and_update().clone();
    core.handle((setup.clock)(), Event::Incidents(cases));
    loop {
        carry_out(&mut core, &setup, &mut channels, &mut sending).await;
        keeper.keep(&core, &setup);
        let mut view = core.view();
        view.state_write_failures = keeper.failures;
        channels.view.send_if_modified(|shown| {
            let changed = **shown != view;
            if changed {
                *shown = Arc::new(view);
            }
            changed
        });
        let now = (setup.clock)().now;
        let sleep = core.next_wake().map(|at| at.since(now));
        let event = tokio::select! {
            () = cancel.cancelled() => break,
            Some(ended) = sending.join_next() => match ended {
                Ok((letter, answer)) => Some(Event::Answered { letter, answer }),
                // The core takes a sender that does not come back for one that failed.
                Err(error) => {
                    tracing::error!(%error, "a sender of notifications broke");
                    None
                }
            },
            changed = channels.cases.changed() => match changed {
                Ok(()) => Some(Event::Incidents(channels.cases.borrow_and_update().clone())),
                Err(_) => break,
            },
            changed = channels.company.changed() => match changed {
                Ok(()) => Some(Event::Company(channels.company.borrow_and_update().clone())),
                Err(_) => break,
            },
            changed = channels.plan.changed() => match changed {
                Ok(()) => Some(Event::Plan(channels.plan.borrow_and_update().clone())),
                Err(_) => break,
            },
            () = keeper.again() => None,
            () = rest(sleep) => None,
        };
        match event {
            Some(event) => core.handle((setup.clock)(), event),
            None => core.wake((setup.clock)()),
        }
    }
    sending.shutdown().await;
    keeper.finish(&core, &setup).await;
}

async fn rest(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

async fn carry_out(
    core: &mut Notifier,
    setup: &Setup,
    channels: &mut Channels,
    sending: &mut JoinSet<(u64, Answer)>,
) {
    let plan = channels.plan.borrow().clone();
    while let Some(output) = core.poll() {
        match output {
            Output::Send(letter) => {
                let (sender, plan) = (setup.sender.clone(), Arc::clone(&plan));
                let utc = (setup.clock)().utc;
                sending.spawn(async move {
                    let answer = match plan.route(&letter.route) {
                        Some(route) => sender.send(route, &letter.message, utc).await,
                        None => Answer::Refused {
                            why: "the route is gone".into(),
                        },
                    };
                    tell(
                        &letter.route,
                        letter.phase().as_str(),
                        &letter.message.key,
                        &answer,
                    );
                    (letter.id, answer)
                });
            }
            Output::Remark { incident, what } => {
                // Whoever takes them has its own bound; without them others would tell again.
                if channels.remarks.send((incident, what)).await.is_err() {
                    tracing::warn!("nobody takes remarks on incidents any more");
                }
            }
        }
    }
}

fn tell(route: &str, phase: &str, incident: &str, answer: &Answer) {
    match answer {
        Answer::Taken { said } => {
            tracing::info!(route, phase, incident, said, "people were told");
        }
        Answer::Again { why, .. } => {
            tracing::warn!(
                route,
                phase,
                incident,
                why,
                "people could not be told; it is tried again"
            );
        }
        Answer::Refused { why } => {
            tracing::error!(route, phase, incident, why, "people could not be told");
        }
    }
}

/// Writes the state when it changed: beside the loop, one write at a time, and without ever
/// stopping it. A disk that is full is tried again later; until then the memory holds it all.
struct Keeper {
    path: Option<PathBuf>,
    kept: Option<u64>,
    writing: Option<(u64, JoinHandle<std::io::Result<()>>)>,
    not_before: Option<tokio::time::Instant>,
    failures: u64,
}

impl Keeper {
    fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            kept: None,
            writing: None,
            not_before: None,
            failures: 0,
        }
    }

    fn keep(&mut self, core: &Notifier, setup: &Setup) {
        let Some(path) = &self.path else { return };
        let early = self
            .not_before
            .is_some_and(|at| tokio::time::Instant::now() < at);
        if self.writing.is_some() || self.kept == Some(core.revision()) {
            return;
        }
        if early {
            return;
        }
        let (path, saved) = (path.clone(), core.save((setup.clock)().now));
        let writing = tokio::task::spawn_blocking(move || state_file::store(&path, &saved));
        self.writing = Some((core.revision(), writing));
    }

    /// Completes when there is something to look at again.
    async fn again(&mut self) {
        if let Some((revision, writing)) = &mut self.writing {
            let written = writing.await;
            let revision = *revision;
            self.writing = None;
            self.note(
                revision,
                written.unwrap_or_else(|error| Err(std::io::Error::other(error))),
            );
        } else if let Some(at) = self.not_before {
            tokio::time::sleep_until(at).await;
            self.not_before = None;
        } else {
            std::future::pending().await
        }
    }

    fn note(&mut self, revision: u64, written: std::io::Result<()>) {
        let pause = match written {
            Ok(()) => {
                self.kept = Some(revision);
                SAVE_INTERVAL
            }
            Err(error) => {
                self.failures += 1;
                tracing::warn!(%error, "the state of notifications cannot be written; a restart would forget what is under way");
                SAVE_RETRY
            }
        };
        self.not_before = Some(tokio::time::Instant::now() + pause);
    }

    async fn finish(mut self, core: &Notifier, setup: &Setup) {
        if let Some((revision, writing)) = self.writing.take()
            && matches!(writing.await, Ok(Ok(())))
        {
            self.kept = Some(revision);
        }
        self.not_before = None;
        self.keep(core, setup);
        if let Some((_, writing)) = self.writing.take() {
            let _ = writing.await;
        }
    }
}
