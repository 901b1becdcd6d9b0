//! Telling people at this node: incidents, pictures and views become what the notifier knows,
//! and what it told goes back as remarks.

use super::clock::Clock;
use super::incident_task::NewRemark;
use andon_model::{Incident, NodeKey, Picture, PictureView, RemarkKind};
use andon_notify::notifier::{Me, Moment};
use andon_notify::state_file::STATE_FILE;
use andon_notify::task::{Channels, Setup};
use andon_notify::{Case, Company, NotifyView, Plan, Sender, cases, company};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Shortest time between two looks at the others' remarks: pictures change many times a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Remarks that wait for the incident task; a digest makes one for each of its incidents.
const REMARKS_MAX: usize = 64;

/// What the task hears from and speaks to.
pub struct NotifySources {
    /// All incidents.
    pub incidents: watch::Receiver<Arc<Vec<Incident>>>,
    /// What others publish: their remarks tell what was told.
    pub pictures: watch::Receiver<Picture>,
    /// What this node judges: who lives.
    pub views: watch::Receiver<Arc<PictureView>>,
    /// Whom to tell; changes when the configuration is read again.
    pub plans: watch::Receiver<Plan>,
    /// Remarks made here.
    pub remarks: mpsc::Sender<NewRemark>,
    /// How the routes fare, for metrics.
    pub view: watch::Sender<Arc<NotifyView>>,
}

/// Runs until cancelled; what is under way then is tried again by the next life.
pub async fn run(
    sources: NotifySources,
    id: String,
    key: NodeKey,
    data_dir: PathBuf,
    clock: Clock,
    cancel: CancellationToken,
) {
    let incidents = shared(&sources.incidents.borrow());
    let known = Known::of(&sources, &incidents);
    let (cases_tx, cases) = watch::channel(known.cases);
    let (company_tx, company) = watch::channel(known.company);
    let (plan_tx, plan) = watch::channel(known.plan);
    let (remarks_tx, remarks) = mpsc::channel(REMARKS_MAX);
    let setup = Setup {
        me: Me {
            key,
            id: id.clone(),
        },
        state_file: Some(data_dir.join(STATE_FILE)),
        clock: Arc::new(move || Moment {
            now: clock.now(),
            utc: clock.utc(),
        }),
        seed: rand::random(),
        sender: Sender::new(),
    };
    let channels = Channels {
        cases,
        company,
        plan,
        remarks: remarks_tx,
        view: sources.view.clone(),
    };
    let remarking = tokio::spawn(pass_on(remarks, sources.remarks.clone(), id));
    let telling = tokio::spawn(andon_notify::task::run(setup, channels, cancel.clone()));
    let outlets = Outlets {
        cases: cases_tx,
        company: company_tx,
        plan: plan_tx,
    };
    follow(sources, outlets, cancel).await;
    let _ = telling.await;
    let _ = remarking.await;
}

/// What the notifier is told.
struct Known {
    cases: Arc<Vec<Case>>,
    company: Company,
    plan: Arc<Plan>,
}

struct Outlets {
    cases: watch::Sender<Arc<Vec<Case>>>,
    company: watch::Sender<Company>,
    plan: watch::Sender<Arc<Plan>>,
}

impl Known {
    fn of(sources: &NotifySources, incidents: &[Arc<Incident>]) -> Self {
        let view = sources.views.borrow();
        let mut plan = sources.plans.borrow().clone();
        plan.console = plan.console.or_else(|| own_address(&view));
        let names = plan.routes.iter().map(|route| route.name.as_str());
        Self {
            // Nobody to tell: nothing to look at.
            cases: match plan.routes.is_empty() {
                true => Arc::default(),
                false => Arc::new(cases(incidents, &sources.pictures.borrow())),
            },
            company: company(&view, names),
            plan: Arc::new(plan),
        }
    }
}

/// Looks again when incidents or the plan change, and now and then at remarks and nodes.
async fn follow(mut sources: NotifySources, outlets: Outlets, cancel: CancellationToken) {
    let mut list = Arc::clone(&sources.incidents.borrow());
    let mut incidents = shared(&list);
    loop {
        let changed = tokio::select! {
            () = cancel.cancelled() => return,
            changed = sources.incidents.changed() => changed,
            changed = sources.plans.changed() => changed,
            // A view follows each picture, with its remarks and with who lives.
            changed = sources.views.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        // Incidents are large, and change far more seldom than views.
        let newest = Arc::clone(&sources.incidents.borrow_and_update());
        if !Arc::ptr_eq(&newest, &list) {
            incidents = shared(&newest);
            list = newest;
        }
        sources.plans.mark_unchanged();
        sources.views.mark_unchanged();
        let known = Known::of(&sources, &incidents);
        // Nodes and routes before incidents: whose turn it is has to be known by then.
        renew(&outlets.plan, known.plan);
        renew(&outlets.company, known.company);
        renew(&outlets.cases, known.cases);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// The incidents, each to be shared from here on.
fn shared(incidents: &[Incident]) -> Vec<Arc<Incident>> {
    incidents.iter().cloned().map(Arc::new).collect()
}

fn renew<T: PartialEq>(outlet: &watch::Sender<T>, value: T) {
    outlet.send_if_modified(|held| {
        let changed = *held != value;
        if changed {
            *held = value;
        }
        changed
    });
}

/// Where this node is reached, for links.
fn own_address(view: &PictureView) -> Option<String> {
    let me = view.nodes.iter().find(|node| node.id == view.me)?;
    me.addresses
        .first()
        .map(|address| format!("https://{address}"))
}

/// Remarks become the incident task's, until nobody makes any.
async fn pass_on(
    mut remarks: mpsc::Receiver<(String, RemarkKind)>,
    to: mpsc::Sender<NewRemark>,
    who: String,
) {
    while let Some((incident, what)) = remarks.recv().await {
        let (reply, done) = oneshot::channel();
        let remark = NewRemark {
            incident,
            who: who.clone(),
            what,
            reply,
        };
        if to.send(remark).await.is_err() {
            return;
        }
        if let Ok(Err(reason)) = done.await {
            tracing::debug!(reason, "a remark on a notification was not taken");
        }
    }
}
