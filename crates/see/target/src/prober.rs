//! The task that joins the core with the asking.

use crate::answer::Answer;
use crate::ask::Asker;
use crate::assign::Me;
use crate::core::{Counters, Event, Moment, Output, Targets, Ticket};
use crate::state::TargetDetail;
use andon_model::{Instant, LinkReport, NodeKey, TargetId, TargetSpec, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Requests for details that may wait. Beyond it callers wait.
const LOOKS_MAX: usize = 64;

type Declared = Vec<(NodeKey, TargetSpec)>;

/// Asks the targets that concern this node.
pub struct TargetProber;

enum Look {
    Detail(TargetId, oneshot::Sender<Option<TargetDetail>>),
    Counters(oneshot::Sender<Counters>),
}

/// The prober's far end: cheap to clone, shared by who declares and who looks.
#[derive(Clone)]
pub struct Handle {
    targets: watch::Sender<Declared>,
    looks: mpsc::Sender<Look>,
}

impl Handle {
    /// Sets all targets declared in the grid, each with who declared it. Those that do not
    /// concern this node are passed over; unchanged ones keep their state.
    pub fn set_targets(&self, declared: Declared) {
        self.targets.send_if_modified(|current| {
            let changed = *current != declared;
            *current = declared;
            changed
        });
    }

    /// Everything known of one target; `None` where this node does not ask it.
    pub async fn detail(&self, id: TargetId) -> Option<TargetDetail> {
        let (tx, rx) = oneshot::channel();
        self.looks.send(Look::Detail(id, tx)).await.ok()?;
        rx.await.ok().flatten()
    }

    /// What was asked, and what was not.
    pub async fn counters(&self) -> Option<Counters> {
        let (tx, rx) = oneshot::channel();
        self.looks.send(Look::Counters(tx)).await.ok()?;
        rx.await.ok()
    }
}

impl TargetProber {
    /// Starts asking; must be called within a tokio runtime. `utc` tells the time for people;
    /// `reports` gets all reports whenever one changed. Ends on `cancel`; the task can be
    /// waited for.
    pub fn spawn(
        me: Me,
        utc: impl Fn() -> Timestamp + Send + Sync + 'static,
        reports: impl Fn(Vec<LinkReport>) + Send + 'static,
        cancel: CancellationToken,
    ) -> (Handle, JoinHandle<()>) {
        Self::spawn_with(Arc::new(Asker::new()), me, utc, reports, cancel)
    }

    /// The same with an asker of the caller's own (other trusted roots).
    pub fn spawn_with(
        asker: Arc<Asker>,
        me: Me,
        utc: impl Fn() -> Timestamp + Send + Sync + 'static,
        reports: impl Fn(Vec<LinkReport>) + Send + 'static,
        cancel: CancellationToken,
    ) -> (Handle, JoinHandle<()>) {
        let (targets, declared) = watch::channel(Declared::new());
        let (looks, looks_rx) = mpsc::channel(LOOKS_MAX);
        let driver = Driver {
            core: Targets::new(me, rand::random()),
            asker,
            start: std::time::Instant::now(),
            utc: Box::new(utc),
            reports: Box::new(reports),
            questions: JoinSet::new(),
            tickets: HashMap::new(),
        };
        let task = tokio::spawn(driver.run(declared, looks_rx, cancel));
        (Handle { targets, looks }, task)
    }
}

struct Driver {
    core: Targets,
    asker: Arc<Asker>,
    start: std::time::Instant,
    utc: Box<dyn Fn() -> Timestamp + Send + Sync>,
    reports: Box<dyn Fn(Vec<LinkReport>) + Send>,
    questions: JoinSet<Answer>,
    tickets: HashMap<task::Id, Ticket>,
}

impl Driver {
    async fn run(
        mut self,
        mut declared: watch::Receiver<Declared>,
        mut looks: mpsc::Receiver<Look>,
        cancel: CancellationToken,
    ) {
        loop {
            let wake = self
                .core
                .next_wake()
                .map(|at| self.start + Duration::from_micros(at.0));
            let sleep = tokio::time::sleep_until(wake.unwrap_or(self.start).into());
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep, if wake.is_some() => {
                    let at = self.moment();
                    self.core.wake(at);
                }
                changed = declared.changed() => match changed {
                    Ok(()) => {
                        let specs = declared.borrow_and_update().clone();
                        self.handle(Event::Declared(specs));
                    }
                    // Every handle is gone: nobody can declare or look any more.
                    Err(_) => return,
                },
                Some(done) = self.questions.join_next_with_id() => self.answered(done),
                Some(look) = looks.recv() => match look {
                    Look::Detail(id, tx) => drop(tx.send(self.core.detail(&id))),
                    Look::Counters(tx) => drop(tx.send(self.core.counters())),
                },
            }
            self.carry_out();
        }
    }

    fn moment(&self) -> Moment {
        let now = Instant(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX));
        Moment {
            now,
            utc: (self.utc)(),
        }
    }

    fn handle(&mut self, event: Event) {
        let at = self.moment();
        self.core.handle(at, event);
    }

    /// A question that broke off (a defect of ours) frees its place like any other.
    fn answered(&mut self, done: Result<(task::Id, Answer), task::JoinError>) {
        let (id, answer) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a question broke off");
                (error.id(), Answer::not_asked("the probe itself broke off"))
            }
        };
        if let Some(ticket) = self.tickets.remove(&id) {
            self.handle(Event::Answered(ticket, Box::new(answer)));
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Report(reports) => (self.reports)(reports),
                Output::Ask {
                    ticket,
                    question,
                    timeout,
                } => {
                    let asker = self.asker.clone();
                    let utc = (self.utc)();
                    let question = self
                        .questions
                        .spawn(async move { asker.ask(&question, timeout, utc).await });
                    self.tickets.insert(question.id(), ticket);
                }
            }
        }
    }
}
