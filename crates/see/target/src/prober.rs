//! The task that joins the core with the asking. The core sits behind a mutex, so that who
//! looks at a target is answered at once; nothing is awaited while it is held.

use crate::answer::Answer;
use crate::ask::Asker;
use crate::assign::Me;
use crate::core::{Counters, Event, Moment, Output, Targets, Ticket};
use crate::state::TargetDetail;
use andon_model::{Instant, LinkReport, NodeKey, TargetId, TargetSpec, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{self, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type Declared = Vec<(NodeKey, TargetSpec)>;

/// The prober's far end: cheap to clone, shared by who declares and who looks.
#[derive(Clone)]
pub struct TargetHandle {
    declared: Arc<watch::Sender<Declared>>,
    core: Arc<Mutex<Targets>>,
}

impl TargetHandle {
    /// Sets all targets declared in the grid, each with who declared it. Those that do not
    /// concern this node are passed over; unchanged ones keep their state.
    pub fn set_targets(&self, declared: Declared) {
        self.declared.send_if_modified(|current| {
            let changed = *current != declared;
            *current = declared;
            changed
        });
    }

    /// Everything known of one target; `None` where this node does not ask it.
    pub fn detail(&self, id: &TargetId) -> Option<TargetDetail> {
        lock(&self.core).detail(id)
    }

    /// What was asked, and what was not.
    pub fn counters(&self) -> Counters {
        lock(&self.core).counters()
    }
}

/// Starts asking the targets that concern this node; must be called within a tokio runtime.
/// `utc` tells the time for people; `reports` gets all reports whenever one changed. Ends on
/// `cancel` or when every handle is gone; the task can be waited for.
pub fn spawn(
    me: Me,
    utc: impl Fn() -> Timestamp + Send + Sync + 'static,
    reports: impl Fn(Vec<LinkReport>) + Send + 'static,
    cancel: CancellationToken,
) -> (TargetHandle, JoinHandle<()>) {
    let (declared, declared_rx) = watch::channel(Declared::new());
    let core = Arc::new(Mutex::new(Targets::new(me, rand::random())));
    let driver = Driver {
        core: core.clone(),
        asker: Arc::new(Asker::new()),
        start: std::time::Instant::now(),
        utc: Box::new(utc),
        reports: Box::new(reports),
        questions: JoinSet::new(),
        tickets: HashMap::new(),
    };
    let task = tokio::spawn(driver.run(declared_rx, cancel));
    (
        TargetHandle {
            declared: Arc::new(declared),
            core,
        },
        task,
    )
}

fn lock(core: &Mutex<Targets>) -> MutexGuard<'_, Targets> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Driver {
    core: Arc<Mutex<Targets>>,
    asker: Arc<Asker>,
    start: std::time::Instant,
    utc: Box<dyn Fn() -> Timestamp + Send + Sync>,
    reports: Box<dyn Fn(Vec<LinkReport>) + Send>,
    questions: JoinSet<Answer>,
    tickets: HashMap<task::Id, Ticket>,
}

impl Driver {
    async fn run(mut self, mut declared: watch::Receiver<Declared>, cancel: CancellationToken) {
        loop {
            let wake = lock(&self.core)
                .next_wake()
                .map(|at| self.start + Duration::from_micros(at.0));
            let sleep = tokio::time::sleep_until(wake.unwrap_or(self.start).into());
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep, if wake.is_some() => {
                    let at = self.moment();
                    lock(&self.core).wake(at);
                }
                changed = declared.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let specs = declared.borrow_and_update().clone();
                    self.handle(Event::Declared(specs));
                }
                Some(done) = self.questions.join_next_with_id() => self.answered(done),
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

    fn handle(&self, event: Event) {
        let at = self.moment();
        lock(&self.core).handle(at, event);
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
        let outputs: Vec<Output> = {
            let mut core = lock(&self.core);
            std::iter::from_fn(|| core.poll()).collect()
        };
        for output in outputs {
            match output {
                Output::Report(reports) => (self.reports)(reports),
                Output::Ask {
                    ticket,
                    question,
                    timeout,
                } => {
                    let (asker, utc) = (self.asker.clone(), (self.utc)());
                    let question = self
                        .questions
                        .spawn(async move { asker.ask(&question, timeout, utc).await });
                    self.tickets.insert(question.id(), ticket);
                }
            }
        }
    }
}
