//! The whole way from incidents to endpoints, with a state on disk: restarts, a full disk,
//! routes that do not hold each other up, two halves of a partition.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use andon_model::{NodeKey, RemarkKind, Timestamp};
use andon_notify::counters::NotifyView;
use andon_notify::notifier::{Me, Moment};
use andon_notify::plan::{Medium, Plan, Secret};
use andon_notify::task::{Channels, Setup, run};
use andon_notify::turn::Company;
use andon_notify::{Case, Route};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::http::{Endpoint, Reply, status};
use support::{incident, route, sender};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Node {
    cases: watch::Sender<Arc<Vec<Case>>>,
    _company: watch::Sender<Company>,
    _plan: watch::Sender<Arc<Plan>>,
    remarks: mpsc::Receiver<(String, RemarkKind)>,
    view: watch::Receiver<Arc<NotifyView>>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Node {
    fn start(number: u64, routes: Vec<Route>, state_file: Option<PathBuf>) -> Self {
        let plan = Plan {
            routes,
            ..support::plan()
        };
        let (cases_tx, cases) = watch::channel(Arc::default());
        let (company_tx, company) = watch::channel(Company::alone());
        let (plan_tx, plan) = watch::channel(Arc::new(plan));
        let (remarks, remarks_rx) = mpsc::channel(64);
        let (view, view_rx) = watch::channel(Arc::default());
        let cancel = CancellationToken::new();
        let start = Instant::now();
        let clock = move || Moment {
            now: andon_model::Instant(1_000_000) + start.elapsed(),
            utc: Timestamp::parse("2026-11-20T03:20:30Z").unwrap() + start.elapsed(),
        };
        let setup = Setup {
            me: Me {
                key: NodeKey(number),
                id: format!("node-{number}"),
            },
            state_file,
            clock: Arc::new(clock),
            seed: number,
            sender: sender(),
        };
        let channels = Channels {
            cases,
            company,
            plan,
            remarks,
            view,
        };
        Self {
            cases: cases_tx,
            _company: company_tx,
            _plan: plan_tx,
            remarks: remarks_rx,
            view: view_rx,
            task: tokio::spawn(run(setup, channels, cancel.clone())),
            cancel,
        }
    }

    fn show(&self, ids: &[&str]) {
        let case = |id: &&str| Case {
            incident: Arc::new(incident(id)),
            told: Vec::new(),
        };
        self.cases
            .send_replace(Arc::new(ids.iter().map(case).collect()));
    }

    async fn stop(self) {
        self.cancel.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("it ends").expect("it does not panic");
    }

    async fn until(&mut self, what: &str, reached: impl Fn(&NotifyView) -> bool) {
        let waiting = self
            .view
            .wait_for(|view| !view.routes.is_empty() && reached(view));
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(matches!(waited, Ok(Ok(_))), "{what}");
    }
}

fn hook(name: &str, url: &str) -> Route {
    let medium = Medium::Webhook {
        url: Secret::new(url),
        secret: None,
        headers: Default::default(),
    };
    route(name, medium)
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("andon-notify-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn retries_go_on_after_a_restart_and_what_was_told_stays_told() {
    let folder = scratch("restart");
    let file = folder.join("notify.json");
    let endpoint = Endpoint::start(status("500 No", "")).await;
    let routes = || vec![hook("hook", &endpoint.url)];
    let mut node = Node::start(1, routes(), Some(file.clone()));
    node.show(&["a"]);
    node.until("an attempt failed", |view| {
        view.routes["hook"].counters.retried >= 1
    })
    .await;
    node.stop().await;
    let failed = endpoint.requests().len();
    endpoint.reply(status("200 OK", ""));
    // The next life knows no incident at first, and delivers all the same.
    let mut node = Node::start(1, routes(), Some(file.clone()));
    node.until("it is delivered", |view| {
        view.routes["hook"].counters.sent == 1
    })
    .await;
    let (id, what) = node.remarks.recv().await.unwrap();
    assert_eq!(id, "a");
    assert!(matches!(what, RemarkKind::Notified { phase, .. } if phase == "opened"));
    node.stop().await;
    let mut node = Node::start(1, routes(), Some(file.clone()));
    node.show(&["a", "b"]);
    node.until("the other is told", |view| {
        view.routes["hook"].counters.sent == 2
    })
    .await;
    node.stop().await;
    let told: Vec<_> = endpoint.requests()[failed..]
        .iter()
        .map(|r| r.json()["key"].clone())
        .collect();
    assert_eq!(told, ["a", "b"]);
    // What cannot be read is set aside, and nothing stops.
    std::fs::write(&file, "{").unwrap();
    let mut node = Node::start(1, routes(), Some(file.clone()));
    node.show(&["c"]);
    node.until("it goes on", |view| view.routes["hook"].counters.sent == 1)
        .await;
    node.stop().await;
    assert!(folder.join("notify.json.broken").exists());
    let _ = std::fs::remove_dir_all(&folder);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_holds_up_nothing() {
    let endpoint = Endpoint::start(status("200 OK", "")).await;
    let nowhere = PathBuf::from("/proc/self/no-such-folder/notify.json");
    let mut node = Node::start(1, vec![hook("hook", &endpoint.url)], Some(nowhere));
    node.show(&["a"]);
    node.until("it is told", |view| view.routes["hook"].counters.sent == 1)
        .await;
    node.until("it is counted", |view| view.state_write_failures >= 1)
        .await;
    node.stop().await;
}

#[tokio::test]
async fn a_route_that_hangs_or_fails_does_not_hold_up_the_others() {
    let hanging = Endpoint::start(Reply::Hang).await;
    let closing = Endpoint::start(Reply::Close).await;
    let well = Endpoint::start(status("200 OK", "")).await;
    let routes = vec![
        hook("a-hangs", &hanging.url),
        hook("b-closes", &closing.url),
        hook("c-well", &well.url),
    ];
    let mut node = Node::start(1, routes, None);
    let started = Instant::now();
    for count in 1..=5 {
        let ids: Vec<String> = (0..count).map(|n| format!("i{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        node.show(&ids);
        let sent = u64::try_from(count).unwrap();
        node.until("the well one is told", |view| {
            view.routes["c-well"].counters.sent == sent
        })
        .await;
    }
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    node.until("the hanging one is told of", |view| {
        view.routes["a-hangs"].trouble.as_deref() == Some("no answer within 3s")
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn both_halves_of_a_partition_speak_with_the_same_key() {
    let endpoint = Endpoint::start(status("202 Accepted", "")).await;
    let pager = || {
        let medium = Medium::PagerDuty {
            url: Secret::new(&endpoint.url),
            key: Secret::new("k"),
        };
        vec![route("oncall", medium)]
    };
    let (one, other) = (Node::start(1, pager(), None), Node::start(2, pager(), None));
    one.show(&["0a1b"]);
    other.show(&["0a1b"]);
    let requests = endpoint.until(2).await;
    assert!(
        requests
            .iter()
            .all(|request| request.json()["dedup_key"] == "0a1b")
    );
    one.stop().await;
    other.stop().await;
}
