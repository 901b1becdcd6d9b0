//! All inputs of a node from one description: what listens where, which files and targets are
//! read. Reads no configuration file and no certificate; the caller brings them.

use crate::decode::line::{LineError, LineFormat, LineStream, Multiline};
use crate::listen::connection::{self, Protocol};
use crate::listen::datagram::{self, Datagrams};
use crate::listen::http::{self, HttpIntake};
use crate::listen::protocols::{FluentStream, Lines, LogLines, MetricLines, SyslogStream};
use crate::listen::scrape::{ScrapeTarget, ScrapeUrl, scrape};
use crate::listen::{Outlet, grpc};
use crate::sink::Gate;
use crate::system::{self, SystemInput};
use crate::tail::journal::{self, JournalInput};
use crate::tail::{self, FileInput};
use andon_model::event::is_dataset_name;
use rustls::{ClientConfig, ServerConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

/// What comes over a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// Andon's events, OTLP, Loki's push and Prometheus' remote-write, by their paths.
    Http,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// Syslog.
    Syslog,
    /// StatsD and DogStatsD.
    Statsd,
    /// Graphite's plain text.
    Graphite,
    /// Fluentd's and Fluent Bit's forward protocol.
    Fluent,
    /// Lines of logs.
    Lines,
}

/// How it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
    /// Connections, encrypted with the node's certificate or the one that was brought.
    Tls,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenInput {
    /// What comes.
    pub speaks: Speaks,
    /// How: `tcp` where nothing is said, but `udp` for StatsD.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// Where, such as `0.0.0.0:4318`.
    pub address: SocketAddr,
    /// Where events go: `logs` or `metrics`, as fits, where nothing is said. HTTP and gRPC have
    /// a dataset for each signal.
    #[serde(default)]
    pub dataset: Option<String>,
    /// What senders must hold (`Authorization: Bearer TOKEN`), for `http` and `otlp_grpc`.
    /// Without it, whoever reaches the address may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How lines are written, for `lines`.
    #[serde(default)]
    pub format: LineFormat,
}

/// Everything that a node takes in, but for what comes over its own port.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputsConfig {
    /// Sockets.
    pub listen: Vec<ListenInput>,
    /// Files.
    pub files: Vec<FileInput>,
    /// The systemd journal.
    pub journal: Option<JournalInput>,
    /// Targets that expose metrics.
    pub scrape: Vec<ScrapeTarget>,
    /// This machine.
    pub system: SystemInput,
}

/// Why inputs cannot start. None of them has started then.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// Somebody else listens there, or it is no address of this machine.
    #[error("cannot listen for {speaks:?} at {address}: {error}")]
    Listen {
        /// What was to come.
        speaks: Speaks,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// It comes over connections only, or over datagrams only.
    #[error("{speaks:?} does not come over {transport:?}")]
    Transport {
        /// What was to come.
        speaks: Speaks,
        /// How.
        transport: Transport,
    },
    /// TLS without a certificate.
    #[error("{0} is to use TLS, but no certificate was given")]
    NoCertificate(SocketAddr),
    /// A name that no dataset can have.
    #[error("\"{0}\" is no dataset's name")]
    Dataset(String),
    /// A target that cannot be asked.
    #[error("\"{0}\" is no URL that can be asked: http://host[:port][/path]")]
    Url(String),
    /// A format or rule of lines.
    #[error("{place}: {error}")]
    Lines {
        /// Which files or listener.
        place: String,
        /// What is wrong.
        error: LineError,
    },
}

/// Starts inputs.
pub struct Inputs {
    config: InputsConfig,
    shared: Shared,
}

/// What all inputs work with.
struct Shared {
    gate: Arc<Gate>,
    state: PathBuf,
    host: String,
    server_tls: Option<Arc<ServerConfig>>,
    client_tls: Option<Arc<ClientConfig>>,
}

/// One input: what is started and ended by itself.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Listen(ListenInput),
    /// All files together, since they share a checkpoint.
    Files(Vec<FileInput>),
    Journal(JournalInput),
    Scrape(ScrapeTarget),
    System(SystemInput),
}

/// A piece that runs.
struct Run {
    piece: Piece,
    address: Option<SocketAddr>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// Inputs that were started.
pub struct RunningInputs {
    shared: Shared,
    intake: HttpIntake,
    cancel: CancellationToken,
    runs: Vec<Run>,
}

/// What another description changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// Inputs that go on as they were.
    pub kept: usize,
    /// Inputs that began.
    pub started: usize,
    /// Inputs that ended.
    pub stopped: usize,
    /// Inputs that could not begin; the others run.
    pub failed: Vec<InputsError>,
}

impl RunningInputs {
    /// Where each listener listens, in the order of [`InputsConfig::listen`].
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.runs.iter().filter_map(|run| run.address).collect()
    }

    /// Goes on by another description: what it says as before is left alone, what it does not
    /// say any more ends, and then what it says anew begins.
    ///
    /// Errors when the description cannot work; nothing has changed then.
    pub async fn apply(&mut self, config: &InputsConfig) -> Result<Applied, InputsError> {
        Inputs::check(config)?;
        let mut applied = Applied::default();
        let mut before = std::mem::take(&mut self.runs);
        let mut wanted = Vec::new();
        for piece in pieces(config) {
            let place = before.iter().position(|run| run.piece == piece);
            wanted.push(match place {
                Some(place) => Ok(before.swap_remove(place)),
                None => Err(piece),
            });
        }
        applied.stopped = before.len();
        for run in &before {
            run.cancel.cancel();
        }
        for run in before {
            run.tasks.wait().await;
        }
        for wanted in wanted {
            match wanted {
                Ok(run) => {
                    applied.kept += 1;
                    self.runs.push(run);
                }
                Err(piece) => match self.shared.bind(&piece).await {
                    Ok(bound) => {
                        applied.started += 1;
                        self.start(piece, bound);
                    }
                    Err(error) => applied.failed.push(error),
                },
            }
        }
        Ok(applied)
    }

    /// Waits until all have ended, after their cancellation.
    pub async fn ended(self) {
        for run in self.runs {
            run.tasks.wait().await;
        }
    }

    fn start(&mut self, piece: Piece, bound: Bound) {
        let cancel = self.cancel.child_token();
        let tasks = TaskTracker::new();
        let shared = &self.shared;
        let mut address = None;
        match (&piece, bound) {
            (Piece::Listen(input), bound) => {
                let bound_to = match &bound {
                    Bound::Udp(socket) => socket.local_addr().ok(),
                    Bound::Tcp(listener, _) => listener.local_addr().ok(),
                    Bound::Nothing => None,
                };
                address = Some(bound_to.unwrap_or(input.address));
                shared.listen(input, bound, &self.intake, &cancel, &tasks);
            }
            (Piece::Files(files), _) => shared.files(files.clone(), &cancel, &tasks),
            (Piece::Journal(input), _) => shared.journal(input.clone(), &cancel, &tasks),
            (Piece::Scrape(target), _) => shared.scrape(target.clone(), &cancel, &tasks),
            (Piece::System(input), _) => {
                let outlet = shared.outlet("system", &input.dataset, &cancel);
                tasks.spawn(system::watch(input.clone(), shared.host.clone(), outlet));
            }
        }
        tasks.close();
        self.runs.push(Run {
            piece,
            address,
            cancel,
            tasks,
        });
    }
}

/// What a description consists of; listeners first, in their order.
fn pieces(config: &InputsConfig) -> Vec<Piece> {
    let listen = config.listen.iter().cloned().map(Piece::Listen);
    let files = (!config.files.is_empty()).then(|| Piece::Files(config.files.clone()));
    let journal = config.journal.clone().map(Piece::Journal);
    let scrape = config.scrape.iter().cloned().map(Piece::Scrape);
    let system = config.system.enabled;
    let system = system.then(|| Piece::System(config.system.clone()));
    let pieces = listen.chain(files).chain(journal).chain(scrape);
    pieces.chain(system).collect()
}

enum Bound {
    Nothing,
    Udp(UdpSocket),
    Tcp(TcpListener, Option<TlsAcceptor>),
}

impl Inputs {
    /// By a description; `state` is a folder that exists, for checkpoints; `host` is this
    /// machine's name in its own metrics.
    pub fn new(config: InputsConfig, gate: Arc<Gate>, state: &Path, host: &str) -> Self {
        Self {
            config,
            shared: Shared {
                gate,
                state: state.to_owned(),
                host: host.to_owned(),
                server_tls: None,
                client_tls: None,
            },
        }
    }

    /// The certificate of listeners with TLS.
    #[must_use]
    pub fn with_server_tls(mut self, tls: Arc<ServerConfig>) -> Self {
        self.shared.server_tls = Some(tls);
        self
    }

    /// Whom to trust when targets are asked over TLS.
    #[must_use]
    pub fn with_client_tls(mut self, tls: Arc<ClientConfig>) -> Self {
        self.shared.client_tls = Some(tls);
        self
    }

    /// Says what is wrong with the description, without starting anything.
    pub fn check(config: &InputsConfig) -> Result<(), InputsError> {
        let named = config
            .listen
            .iter()
            .filter_map(|input| input.dataset.as_ref());
        let datasets = named
            .chain(config.files.iter().map(|input| &input.dataset))
            .chain(config.journal.iter().map(|input| &input.dataset))
            .chain(config.scrape.iter().map(|target| &target.dataset))
            .chain([&config.system.dataset]);
        for dataset in datasets {
            if !is_dataset_name(dataset) {
                return Err(InputsError::Dataset(dataset.clone()));
            }
        }
        for input in &config.listen {
            let transport = transport(input);
            let fits = match input.speaks {
                Speaks::Syslog | Speaks::Statsd | Speaks::Graphite => true,
                Speaks::Http | Speaks::OtlpGrpc | Speaks::Fluent | Speaks::Lines => {
                    transport != Transport::Udp
                }
            };
            if !fits {
                let speaks = input.speaks.clone();
                return Err(InputsError::Transport { speaks, transport });
            }
            LineStream::new(&input.format, &Multiline::Off).map_err(|error| {
                let place = input.address.to_string();
                InputsError::Lines { place, error }
            })?;
        }
        for input in &config.files {
            let place = input.paths.join(", ");
            input
                .check()
                .map_err(|error| InputsError::Lines { place, error })?;
        }
        for target in &config.scrape {
            if ScrapeUrl::parse(&target.url).is_none() {
                return Err(InputsError::Url(target.url.clone()));
            }
        }
        Ok(())
    }

    /// Starts all. Listeners are bound when this returns.
    pub async fn start(self, cancel: CancellationToken) -> Result<RunningInputs, InputsError> {
        Self::check(&self.config)?;
        let mut bound = Vec::new();
        for piece in pieces(&self.config) {
            let socket = self.shared.bind(&piece).await?;
            bound.push((piece, socket));
        }
        let intake = HttpIntake::new(self.shared.gate.clone(), cancel.clone());
        let mut running = RunningInputs {
            shared: self.shared,
            intake,
            cancel,
            runs: Vec::new(),
        };
        for (piece, bound) in bound {
            running.start(piece, bound);
        }
        Ok(running)
    }
}

impl Shared {
    async fn bind(&self, piece: &Piece) -> Result<Bound, InputsError> {
        let Piece::Listen(input) = piece else {
            return Ok(Bound::Nothing);
        };
        let failed = |error| InputsError::Listen {
            speaks: input.speaks.clone(),
            address: input.address,
            error,
        };
        match transport(input) {
            Transport::Udp => Ok(Bound::Udp(
                UdpSocket::bind(input.address).await.map_err(failed)?,
            )),
            transport => {
                let listener = TcpListener::bind(input.address).await.map_err(failed)?;
                let tls = match (transport, &self.server_tls) {
                    (Transport::Tls, Some(tls)) => Some(TlsAcceptor::from(tls.clone())),
                    (Transport::Tls, None) => {
                        return Err(InputsError::NoCertificate(input.address));
                    }
                    _ => None,
                };
                Ok(Bound::Tcp(listener, tls))
            }
        }
    }

    fn outlet(&self, input: &str, dataset: &str, cancel: &CancellationToken) -> Outlet {
        Outlet {
            gate: self.gate.clone(),
            counters: self.gate.counters(input),
            dataset: dataset.to_owned(),
            cancel: cancel.clone(),
        }
    }

    fn listen(
        &self,
        input: &ListenInput,
        bound: Bound,
        intake: &HttpIntake,
        cancel: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let (name, dataset) = match input.speaks {
            Speaks::Http => ("http", "events"),
            Speaks::OtlpGrpc => ("otlp_grpc", "logs"),
            Speaks::Syslog => ("syslog", "logs"),
            Speaks::Statsd => ("statsd", "metrics"),
            Speaks::Graphite => ("graphite", "metrics"),
            Speaks::Fluent => ("fluent", "logs"),
            Speaks::Lines => ("lines", "logs"),
        };
        let dataset = input.dataset.as_deref().unwrap_or(dataset);
        let outlet = self.outlet(name, dataset, cancel);
        let (listener, tls) = match bound {
            Bound::Udp(socket) => {
                let kind = match input.speaks {
                    Speaks::Statsd => Datagrams::Statsd,
                    Speaks::Graphite => Datagrams::Graphite,
                    _ => Datagrams::Syslog,
                };
                tasks.spawn(datagram::serve(socket, kind, outlet));
                return;
            }
            Bound::Nothing => return,
            Bound::Tcp(listener, tls) => (listener, tls),
        };
        let format = input.format.clone();
        let token = input.token.as_deref().map(Arc::from);
        let protocol: Box<dyn Fn() -> Box<dyn Protocol> + Send + Sync> = match input.speaks {
            Speaks::Http => {
                tasks.spawn(http::serve(
                    listener,
                    tls,
                    intake.clone(),
                    token,
                    cancel.clone(),
                ));
                return;
            }
            Speaks::OtlpGrpc => {
                tasks.spawn(grpc::serve(
                    listener,
                    tls,
                    self.gate.clone(),
                    token,
                    cancel.clone(),
                ));
                return;
            }
            Speaks::Syslog => Box::new(|| Box::new(SyslogStream::default())),
            Speaks::Statsd => Box::new(|| Box::new(MetricLines::new(Lines::Statsd))),
            Speaks::Graphite => Box::new(|| Box::new(MetricLines::new(Lines::Graphite))),
            Speaks::Fluent => Box::new(|| Box::new(FluentStream::default())),
            Speaks::Lines => Box::new(move || {
                // Checked before anything started.
                let stream = LineStream::new(&format, &Multiline::default());
                Box::new(LogLines(stream.unwrap_or_default()))
            }),
        };
        tasks.spawn(connection::serve(listener, tls, outlet, protocol));
    }

    fn files(&self, files: Vec<FileInput>, cancel: &CancellationToken, tasks: &TaskTracker) {
        let state = self.state.join("files.json");
        let (gate, cancel) = (self.gate.clone(), cancel.clone());
        tasks.spawn(async move {
            if let Err(error) = tail::tail(files, state.clone(), gate, cancel).await {
                error!(state = %state.display(), %error, "files are not read: their checkpoint cannot be");
            }
        });
    }

    fn journal(&self, input: JournalInput, cancel: &CancellationToken, tasks: &TaskTracker) {
        let outlet = self.outlet("journal", &input.dataset, cancel);
        let state = self.state.join("journal.json");
        tasks.spawn(async move {
            if let Err(error) = journal::follow(input, state.clone(), outlet).await {
                error!(state = %state.display(), %error, "the journal is not read: its state cannot be");
            }
        });
    }

    fn scrape(&self, target: ScrapeTarget, cancel: &CancellationToken, tasks: &TaskTracker) {
        if let Some(url) = ScrapeUrl::parse(&target.url) {
            let outlet = self.outlet("scrape", &target.dataset, cancel);
            tasks.spawn(scrape(target, url, self.client_tls.clone(), outlet));
        }
    }
}

fn transport(input: &ListenInput) -> Transport {
    let usual = match input.speaks {
        Speaks::Statsd => Transport::Udp,
        _ => Transport::Tcp,
    };
    input.transport.unwrap_or(usual)
}

/// What the counters of all inputs say, as Prometheus' text: `andon_ingest_accepted_total`,
/// `_bytes_total`, `_connections_total`, `_full_total`, and by reason `_rejected_total` and
/// `_mended_total`.
pub fn metrics_text(figures: &BTreeMap<String, crate::InputFigures>) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, lines: Vec<(String, u64)>| {
        text.push_str(&format!(
            "# HELP andon_ingest_{name} {help}\n# TYPE andon_ingest_{name} counter\n"
        ));
        for (labels, value) in lines {
            text.push_str(&format!("andon_ingest_{name}{{{labels}}} {value}\n"));
        }
    };
    let each = |figure: fn(&crate::InputFigures) -> u64| {
        let lines = figures
            .iter()
            .map(|(input, figures)| (format!("input=\"{input}\""), figure(figures)));
        lines.collect::<Vec<_>>()
    };
    family(
        "accepted_total",
        "Events that are kept.",
        each(|figures| figures.accepted),
    );
    family(
        "bytes_total",
        "Bytes read, as sent.",
        each(|figures| figures.bytes),
    );
    family(
        "connections_total",
        "Connections, requests and files begun.",
        each(|figures| figures.connections),
    );
    family(
        "full_total",
        "Times that an input waited for room.",
        each(|figures| figures.full),
    );
    let by = |what: fn(&crate::InputFigures) -> &BTreeMap<&'static str, u64>, label: &str| {
        let mut lines = Vec::new();
        for (input, figures) in figures {
            for (reason, count) in what(figures) {
                lines.push((format!("input=\"{input}\",{label}=\"{reason}\""), *count));
            }
        }
        lines
    };
    family(
        "rejected_total",
        "Records left out.",
        by(|figures| &figures.rejected, "reason"),
    );
    family(
        "mended_total",
        "Records changed before they were kept.",
        by(|figures| &figures.mended, "change"),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let config: InputsConfig = serde_json::from_str(text).unwrap();
        assert_eq!(Inputs::check(&config).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_description_that_cannot_work_says_why() {
        check(
            r#"{"listen":[{"speaks":"fluent","transport":"udp","address":"127.0.0.1:1"}]}"#,
            "Fluent does not come over Udp",
        );
        check(
            r#"{"files":[{"paths":["/x"],"dataset":"a b"}]}"#,
            "\"a b\" is no dataset's name",
        );
        check(
            r#"{"files":[{"paths":["/x"],"format":{"pattern":"x"}}]}"#,
            "/x: the pattern captures nothing",
        );
        check(
            r#"{"scrape":[{"url":"web:9100"}]}"#,
            "\"web:9100\" is no URL that can be asked: http://host[:port][/path]",
        );
        assert!(serde_json::from_str::<InputsConfig>(r#"{"lisen":[]}"#).is_err());
        assert!(Inputs::check(&InputsConfig::default()).is_ok());
    }

    #[test]
    fn figures_are_shown_as_metrics() {
        let registry = crate::Registry::default();
        registry.input("syslog").reject(crate::Reason::TooLong, 3);
        let text = metrics_text(&registry.figures());
        assert!(
            text.contains("andon_ingest_rejected_total{input=\"syslog\",reason=\"too_long\"} 3\n")
        );
    }
}
