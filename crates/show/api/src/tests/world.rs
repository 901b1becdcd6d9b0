//! A running API with a picture that the test may change, and a client that says what it is told.

use crate::access::Access;
use crate::audit::AuditLog;
use crate::identity::TlsIdentity;
use crate::serve::serve;
use crate::sources::{ApiCommand, ApiConfig, NodeStats, Sources, Stat, StatKind};
use andon_model::{
    FlowCount, Heard, Incident, LinkState, LinkView, LossPair, NodeKind, NodeState, NodeView,
    PictureDigest, PictureView, RttUs, SiteId, Timestamp, Transport,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An API at work.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) view: watch::Sender<Arc<PictureView>>,
    pub(crate) incidents: watch::Sender<Arc<Vec<Incident>>>,
    pub(crate) commands: mpsc::Receiver<ApiCommand>,
    pub(crate) frames: mpsc::Receiver<(TcpStream, SocketAddr)>,
    pub(crate) access: Arc<Access>,
    pub(crate) identity: TlsIdentity,
    pub(crate) dir: PathBuf,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    _stats: watch::Sender<Arc<NodeStats>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.cancel.cancel();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn fresh_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("andon-api-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// What an API would be started with, and the test's ends of it.
pub(crate) fn prepare(id: &str) -> (ApiConfig, Sources, World) {
    let dir = fresh_dir();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stats: NodeStats = BTreeMap::from([
        (
            "andon_gossip_packets_total{direction=\"in\"}",
            stat(StatKind::Counter, 7.0),
        ),
        (
            "andon_gossip_packets_total{direction=\"out\"}",
            stat(StatKind::Counter, 9.0),
        ),
        ("andon_probe_sent_total", stat(StatKind::Counter, 3.0)),
        ("andon_probe_budget_ratio", stat(StatKind::Gauge, 0.5)),
    ]);
    let (stats_tx, stats) = watch::channel(Arc::new(stats));
    let (view_tx, view) = watch::channel(Arc::new(view_of(id, &["a", "b", "c", "d", "e"])));
    let (incidents_tx, incidents) = watch::channel(Arc::default());
    let (commands_tx, commands) = mpsc::channel(8);
    let (frames_tx, frames) = mpsc::channel(1);
    let identity = TlsIdentity::load_or_create(&dir, &[id.to_owned()]).unwrap();
    let access = Arc::new(Access::open(&dir));
    let audit = Arc::new(AuditLog::open(&dir.join("audit.jsonl"), Timestamp(0)).unwrap());
    let config = ApiConfig {
        id: id.to_owned(),
        site: "here".to_owned(),
        version: "1.2.3".to_owned(),
        allowed_hosts: vec!["grid.example".to_owned()],
        loopback_viewer: true,
        demo_control: None,
        has_seeds: true,
        connections_max: 512,
    };
    let sources = Sources {
        listener,
        frames: frames_tx,
        view,
        incidents,
        stats,
        commands: commands_tx,
        identity: identity.clone(),
        access: Arc::clone(&access),
        audit,
        gridbug: None,
        history: None,
        events: None,
    };
    let world = World {
        address,
        view: view_tx,
        incidents: incidents_tx,
        commands,
        frames,
        access,
        identity,
        dir,
        cancel: CancellationToken::new(),
        task: tokio::spawn(async {}),
        _stats: stats_tx,
    };
    (config, sources, world)
}

fn stat(kind: StatKind, value: f64) -> Stat {
    Stat {
        help: "A figure of the test.",
        kind,
        value,
    }
}

impl World {
    /// A node `a` that lets loopback clients look.
    pub(crate) fn start() -> Self {
        Self::start_with("a", |_, _| {})
    }

    pub(crate) fn start_with(id: &str, change: impl FnOnce(&mut ApiConfig, &mut Sources)) -> Self {
        let (mut config, mut sources, mut world) = prepare(id);
        change(&mut config, &mut sources);
        let cancel = world.cancel.clone();
        world.task = tokio::spawn(async move { serve(config, sources, cancel).await.unwrap() });
        world
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        ask(
            stream,
            &self.address.to_string(),
            method,
            path,
            headers,
            body,
        )
        .await
    }

    /// A token's secret.
    pub(crate) fn token(&self, name: &str, role: crate::Role) -> String {
        let made = self
            .access
            .tokens()
            .create(name, role, None, crate::access::now())
            .unwrap();
        self.access.reload();
        made.secret.to_string()
    }
}

/// What the API said.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// One request over any stream; `host` unless the headers have another.
pub(crate) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", host);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: head.status,
        headers: head.headers,
        body,
    }
}

/// A full mesh where all is well.
pub(crate) fn view_of(me: &str, ids: &[&str]) -> PictureView {
    let node = |id: &&str| NodeView {
        id: (*id).to_owned(),
        key: None,
        site: Some(SiteId::new("here").unwrap()),
        kind: NodeKind::Andon,
        state: NodeState::Up,
        since: Some(Timestamp(1_000_000)),
        addresses: vec!["10.1.1.1:8777".to_owned()],
        labels: BTreeMap::new(),
        version: Some("1.2.3".to_owned()),
        started_at: Some(Timestamp(1_000_000)),
        reach: None,
        host: None,
        clock_offset_us: None,
        fingerprint: Some("ab".repeat(32)),
        position: None,
    };
    let mut links = Vec::new();
    for from in ids {
        for to in ids.iter().filter(|to| *to != from) {
            links.push(LinkView {
                from: (*from).into(),
                to: (*to).into(),
                state: LinkState::Up,
                reason: None,
                round_trip: None,
                transport: Some(Transport::Udp),
                flows: FlowCount { ok: 8, total: 8 },
                loss: LossPair {
                    forward: Some(0.0),
                    return_: None,
                },
                rtt_us: RttUs {
                    p50: Some(250),
                    p99: Some(900),
                },
                rtt_baseline_us: Some(240),
                heard: Heard::Arriving,
                since: Some(Timestamp(1_000_000)),
                via: false,
                detail: None,
            });
        }
    }
    PictureView {
        digest: PictureDigest(42),
        generated_at: Timestamp(1_700_000_000_000_000),
        me: me.to_owned(),
        nodes: ids.iter().map(node).collect(),
        links,
        verdicts: Vec::new(),
    }
}
