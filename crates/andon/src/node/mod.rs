//! The wiring of one node: its tasks, the typed channels between them, and their common end.
//! Read [`run`] from top to bottom to see everything a node consists of.

mod clock;
mod data_dir;
mod events;
mod frames;
mod grid_task;
mod gridbug;
mod history_task;
mod incident_task;
mod notify_task;
mod reach;
mod seeds;
mod start;
mod stats;
mod trace_ask;
mod view_task;
mod wire_link;

use crate::config::settings::NodeSettings;
use andon_model::{NodeKey, Picture};
use clock::Clock;
use data_dir::{DataDir, DataDirError};
use grid_task::{GridTask, GridTaskSources};
use incident_task::{IncidentSources, OwnIncidents};
use notify_task::NotifySources;
pub use start::{can_start, raise_descriptor_limit};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long a leaving node keeps telling its peers.
const LEAVE_TIME: Duration = Duration::from_millis(600);

/// After so long nothing that belongs to the start runs any more.
const START_OVER: Duration = Duration::from_secs(3);
/// After so much more it is known to all.
const JOIN_OVER: Duration = Duration::from_secs(27);
/// Code that people's questions and faults woke is forgotten this often; it costs a millisecond.
const FORGET_EVERY: Duration = Duration::from_secs(300);

/// Why a node does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The one port cannot be had.
    #[error("cannot listen on {address} ({protocol}): {source}\n  {help}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// UDP or TCP.
        protocol: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do.
        help: &'static str,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The certificate cannot be made or read.
    #[error("cannot prepare the node's certificate: {0}")]
    Certificate(#[from] andon_api::IdentityError),
    /// The tokens cannot be read.
    #[error("cannot read the tokens: {0}")]
    Tokens(#[from] andon_api::TokenError),
    /// The audit log cannot be continued.
    #[error("cannot continue the audit log: {0}")]
    Audit(#[from] andon_api::AuditError),
    /// A thread or a socket cannot be had.
    #[error("cannot start the prober: {0}")]
    Prober(io::Error),
    /// No key, no grid.
    #[error(
        "no grid key is configured\n  make one with `andon keygen > grid.key` and name it with --key-file"
    )]
    NoKey,
    /// What is to be taken in cannot be.
    #[error(
        "cannot take events in: {0}\n  change it in [ingest] of the configuration; `andon config check` says where each value comes from"
    )]
    Ingest(#[from] andon_ingest::InputsError),
    /// The system refused a thread.
    #[error(
        "cannot start a thread: {0}\n  raise the limit of processes of this user (`ulimit -u`, TasksMax=)"
    )]
    Thread(io::Error),
    /// The task that holds the picture panicked; what it said is in the log.
    #[error("the grid task stopped by itself")]
    Grid,
    /// The API ended by itself.
    #[error("the API stopped: {0}")]
    Api(String),
}

/// Asks anew for the settings (flags, environment, file), for SIGHUP.
pub type Reload = Arc<dyn Fn() -> Result<NodeSettings, String> + Send + Sync>;

/// Why a life of the node ended politely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It was asked to.
    Asked,
    /// Another node runs with a copy of its identity: it goes on as somebody else.
    Copied,
}

/// Runs a node until `shutdown` completes, then leaves the grid politely.
pub async fn run(
    mut settings: NodeSettings,
    reload: Reload,
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    start::raise_descriptor_limit();
    tokio::spawn(async {
        let _page_by_page = crate::memory::map_code_page_by_page();
        for wait in [START_OVER, JOIN_OVER] {
            tokio::time::sleep(wait).await;
            crate::memory::forget_start_code();
        }
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            crate::memory::forget_start_code();
        }
    });

    tokio::spawn(crate::memory::give_back_for_ever());

    tokio::pin!(shutdown);
    while live(&settings, &reload, shutdown.as_mut()).await? == Ended::Copied {
        // SIGHUP may have changed them since the start.
        if let Ok(fresh) = reload() {
            settings = fresh;
        }
    }
    Ok(())
}

/// One life of a node: from its sockets to their end.
async fn live(
    settings: &NodeSettings,
    reload: &Reload,
    shutdown: impl Future<Output = ()>,
) -> Result<Ended, NodeError> {
    let clock = Clock::start();
    let data_dir = DataDir::open(&settings.data_dir)?;
    let seed = data_dir.identity()?;
    let (udp, tcp) = start::bind(settings.listen)?;
    let listen = tcp.local_addr().map_err(NodeError::Prober)?;
    let tls = andon_api::TlsIdentity::load_or_create(
        data_dir.path(),
        &start::certificate_names(settings),
    )?;
    let access = Arc::new(andon_api::Access::open(data_dir.path()));
    let (audit, broken) = andon_api::AuditLog::open_or_set_aside(
        &data_dir.path().join(andon_api::audit::AUDIT_FILE),
        clock.utc(),
    )?;
    if let Some(error) = broken {
        tracing::error!(%error, "the audit log does not hold; it was set aside and another begun, find out who changed it");
    }
    let keys = start::key_ring(settings).ok_or(NodeError::NoKey)?;

    let cancel = CancellationToken::new();
    let (frames_tx, accepted) = mpsc::channel(64);
    let (commands_tx, commands) = mpsc::channel(64);
    let (picture_tx, picture_rx) = watch::channel(Picture::default());
    let (stats_tx, stats_rx) = watch::channel(Arc::default());
    let (incidents_tx, incidents_rx) = watch::channel(Arc::default());
    let (own_incidents_tx, own_incidents) = watch::channel(OwnIncidents::default());
    let (remarks_tx, remarks) = mpsc::channel(64);
    let (seeds_tx, seeds_rx) = watch::channel(settings.seeds.clone());
    let (found_tx, found_seeds) = watch::channel(Vec::new());
    let (target_tx, target_reports) = watch::channel(Vec::new());
    let (neighbours_tx, neighbours) = watch::channel(Vec::new());

    let grid = start::grid(&seed, keys.clone(), clock);
    let me: NodeKey = grid.me();
    let wire = wire_link::start(start::wire_config(settings, udp, &keys, me))
        .map_err(NodeError::Prober)?;
    let (targets, targets_task) = andon_target::spawn(
        andon_target::Me {
            key: me,
            id: settings.id.clone(),
            site: settings.site.clone(),
        },
        move || clock.utc(),
        move |reports| drop(target_tx.send_replace(reports)),
        cancel.child_token(),
    );
    let (view_tx, view_rx) = watch::channel(Arc::new(view_task::derive(
        &Picture::default(),
        me,
        clock.utc(),
    )));
    let gridbug = gridbug::start(
        settings,
        listen,
        clock,
        neighbours_tx,
        view_rx.clone(),
        &cancel,
    );
    let incident_task = tokio::spawn(incident_task::run(
        IncidentSources {
            views: view_rx.clone(),
            pictures: picture_rx.clone(),
            remarks,
            incidents: incidents_tx,
            published: own_incidents_tx,
        },
        settings.id.to_string(),
        me,
        data_dir.path().to_owned(),
        clock,
        cancel.child_token(),
    ));
    let (history, history_task) = history_task::start(
        settings,
        data_dir.path(),
        view_rx.clone(),
        incidents_rx.clone(),
        clock,
        cancel.child_token(),
    );
    let (event_limits, new_limits) = watch::channel(None);
    let (event_keys, new_keys) = watch::channel(keys.clone());
    let events = events::start(
        settings,
        data_dir.path(),
        &tls,
        events::Around {
            view: view_rx.clone(),
            commands: commands_tx.clone(),
            clock,
            limits: new_limits,
            keys: new_keys,
        },
        cancel.child_token(),
    )
    .await?;
    let events_tasks = events.tasks;
    let (plan_tx, plans) = watch::channel(settings.notify.clone());
    let (notify_tx, notify) = watch::channel(Arc::default());
    let notify_task = tokio::spawn(notify_task::run(
        NotifySources {
            incidents: incidents_rx.clone(),
            pictures: picture_rx.clone(),
            views: view_rx.clone(),
            plans,
            remarks: remarks_tx.clone(),
            view: notify_tx,
        },
        settings.id.to_string(),
        me,
        data_dir.path().to_owned(),
        clock,
        cancel.child_token(),
    ));
    let grid_task = GridTask::new(
        settings,
        listen,
        tls.fingerprint(),
        clock,
        data_dir,
        grid,
        GridTaskSources {
            wire,
            accepted,
            commands,
            found_seeds,
            seeds: seeds_tx,
            target_reports,
            targets,
            neighbours,
            heartbeats: events.heartbeats,
            inputs: events.inputs,
            own_incidents,
            remarks: remarks_tx,
            notify_plan: plan_tx,
            event_limits,
            event_keys,
            notify,
            reload: Arc::clone(reload),
            picture: picture_tx,
            stats: stats_tx,
        },
    );
    if access.is_new() {
        start::announce_first_link(listen, &tls.fingerprint(), &access.first_link()?);
    }
    let api = andon_api::serve(
        start::api_config(settings),
        andon_api::Sources {
            listener: tcp,
            frames: frames_tx,
            view: view_rx,
            incidents: incidents_rx,
            stats: stats_rx,
            commands: commands_tx,
            identity: tls,
            access,
            audit: Arc::new(audit),
            gridbug,
            history,
            events: events.sources,
        },
        cancel.child_token(),
    );

    let seeds_task = tokio::spawn(seeds::follow(seeds_rx, found_tx, cancel.child_token()));
    let view_task = tokio::spawn(view_task::run(
        picture_rx,
        view_tx,
        me,
        clock,
        cancel.child_token(),
    ));
    let mut grid_task = start::on_its_own_thread("andon-grid", grid_task.run(cancel.child_token()))
        .map_err(NodeError::Thread)?;
    let mut api = tokio::spawn(api);
    tracing::info!(id = %settings.id, site = %settings.site, %listen, key = %me, "node started");

    tokio::pin!(shutdown);
    let ended = tokio::select! {
        () = &mut shutdown => Ok(Ended::Asked),
        ended = &mut grid_task => ended.map_err(|_| NodeError::Grid),
        ended = &mut api => Err(match ended {
            Ok(Ok(())) => NodeError::Api("it ended early".into()),
            Ok(Err(error)) => NodeError::Api(error.to_string()),
            Err(panic) => NodeError::Api(panic.to_string()),
        }),
    };
    cancel.cancel();
    if !grid_task.is_terminated() {
        let _ = tokio::time::timeout(LEAVE_TIME * 2, grid_task).await;
    }
    let rest = async {
        tokio::join!(
            seeds_task,
            view_task,
            targets_task,
            incident_task,
            history_task,
            notify_task,
            events_tasks.ended()
        )
    };
    let _ = tokio::time::timeout(LEAVE_TIME, rest).await;
    if ended.is_ok() {
        let _ = tokio::time::timeout(LEAVE_TIME * 4, api).await;
    }
    tracing::info!("node stopped");
    ended
}
