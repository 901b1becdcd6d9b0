//! Events on this node: the store, what takes them in, and the tasks that own both. A store
//! that cannot be opened is told and does without: a node watches also while its disk is sick.

mod clickhouse;
mod clickhouse_lane;
mod heartbeats;
mod limits;
mod nats;
mod reapply;
mod ship;
mod sink;
mod tidy;

use super::NodeError;
use super::clock::Clock;
use crate::config::settings::{Keep, NodeSettings};
use andon_api::copied::Copied;
use andon_api::events::{EventSources, Keeping, STORE_LABEL};
use andon_api::nats::NatsFigures;
use andon_api::{ApiCommand, PeerClient, tls};
use andon_clickhouse::ClickHouse;
use andon_grid::KeyRing;
use andon_ingest::sink::Sink;
use andon_ingest::{Gate, HttpIntake, Inputs, InputsConfig};
use andon_model::{Heartbeat, PictureView};
use andon_spool::{Lane, Spool};
use andon_store::{Store, Tails};
use clickhouse_lane::ClickHouseLane;
pub use limits::Limits;
use nats::{NatsLane, NatsTaker};
use ship::Shipper;
use sink::{News, NoSink, QueueSink, StoreSink};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the node has around it.
pub struct Around {
    /// Who keeps events.
    pub view: watch::Receiver<Arc<PictureView>>,
    /// Where another node is reached.
    pub commands: mpsc::Sender<ApiCommand>,
    /// What time it is.
    pub clock: Clock,
    /// Other limits of the store and the queues, while the node runs.
    pub limits: watch::Receiver<Limits>,
    /// What seals events that go over other people's queues.
    pub keys: watch::Receiver<KeyRing>,
}

/// What is started.
pub struct Events {
    /// For the API.
    pub sources: Option<EventSources>,
    /// For the grid.
    pub heartbeats: watch::Receiver<Vec<Heartbeat>>,
    /// Takes another description of what is to be taken in.
    pub inputs: watch::Sender<InputsConfig>,
    /// What ends with the node.
    pub tasks: EventTasks,
}

/// What ends with the node.
pub struct EventTasks(Vec<JoinHandle<()>>);

impl EventTasks {
    /// Waits for them, after their cancellation.
    pub async fn ended(self) {
        for task in self.0 {
            let _ = task.await;
        }
    }
}

/// What a node says of itself: its labels, and whether it keeps events.
pub fn labels(settings: &NodeSettings) -> BTreeMap<String, String> {
    let mut labels = settings.labels.clone();
    labels.remove(STORE_LABEL);
    let keeping = match (settings.store.keep, &settings.store.clickhouse) {
        (Keep::Yes, Some(_)) => Some(Keeping::ClickHouse),
        (_, Some(_)) | (Keep::No, None) => None,
        (Keep::Yes, None) => Some(Keeping::Keeper),
        (Keep::Auto, None) => Some(Keeping::Own),
    };
    if let Some(keeping) = keeping {
        labels.insert(STORE_LABEL.to_owned(), keeping.word().to_owned());
    }
    labels
}

/// Opens the store and starts all inputs.
pub async fn start(
    settings: &NodeSettings,
    data_dir: &Path,
    identity: &andon_api::TlsIdentity,
    around: Around,
    cancel: CancellationToken,
) -> Result<Events, NodeError> {
    let mut others = Vec::new();
    let store = open(settings, data_dir).await;
    let clickhouse = match &settings.store.clickhouse {
        Some(settings) => match ClickHouse::new(settings.clone()) {
            Ok(clickhouse) => Some(Arc::new(clickhouse)),
            Err(error) => {
                tracing::error!(%error, "ClickHouse cannot be used; mend [store] clickhouse");
                None
            }
        },
        None => None,
    };
    let spool = queues(settings, data_dir).await;
    let is_keeper = settings.store.keep == Keep::Yes && clickhouse.is_none();
    let copied = match is_keeper && store.is_some() {
        true => Some(copied(settings, data_dir).await),
        false => None,
    };
    let over_nats = settings.nats.clone();
    let over_nats = over_nats.map(|nats| (nats, Arc::<NatsFigures>::default()));
    let news = News::default();
    let tails = clickhouse.as_ref().map(|_| Arc::<Tails>::default());
    match (&clickhouse, &spool, &over_nats) {
        (Some(clickhouse), spool, _) => {
            others.push(tokio::spawn(clickhouse::look_after(
                Arc::clone(clickhouse),
                settings.store.clone(),
                around.limits.clone(),
                cancel.clone(),
            )));
            if let Some(spool) = spool {
                let lane = ClickHouseLane {
                    spool: Arc::clone(spool),
                    news: Arc::clone(&news.main),
                    clickhouse: Arc::clone(clickhouse),
                    dir: data_dir.join("spool"),
                    me: settings.id.to_string(),
                };
                others.push(tokio::spawn(lane.run(cancel.clone())));
            }
        }
        (None, Some(spool), Some((nats, figures))) if !is_keeper => {
            let lanes = [(Lane::Main, &news.main), (Lane::Copy, &news.copy)];
            for (lane, news) in lanes {
                let lane = NatsLane {
                    lane,
                    spool: Arc::clone(spool),
                    news: Arc::clone(news),
                    settings: nats.clone(),
                    keys: around.keys.clone(),
                    copies: settings.store.copies,
                    me: settings.id.to_string(),
                    site: settings.site.to_string(),
                    figures: Arc::clone(figures),
                };
                others.push(tokio::spawn(lane.run(cancel.clone())));
            }
        }
        (None, Some(spool), _) => match PeerClient::new(identity) {
            Ok(peers) => {
                let lanes = [(Lane::Main, &news.main), (Lane::Copy, &news.copy)];
                for (lane, news) in lanes {
                    let shipper = Shipper {
                        lane,
                        spool: Arc::clone(spool),
                        news: Arc::clone(news),
                        store: store.clone(),
                        copied: copied.clone(),
                        is_keeper,
                        copies: settings.store.copies,
                        peers: peers.clone(),
                        view: around.view.clone(),
                        commands: around.commands.clone(),
                        me: settings.id.to_string(),
                    };
                    others.push(tokio::spawn(shipper.run(cancel.clone())));
                }
            }
            Err(error) => {
                tracing::error!(%error, "events wait on this node: its certificate cannot be shown");
            }
        },
        (None, None, _) => {}
    }
    let sink: Arc<dyn Sink> = match (&store, &spool) {
        (store, Some(spool)) => Arc::new(QueueSink {
            store: store.clone().map(StoreSink),
            spool: Arc::clone(spool),
            news: news.clone(),
            view: around.view,
            tails: tails.clone(),
        }),
        (Some(store), None) => Arc::new(StoreSink(Arc::clone(store))),
        (None, None) => Arc::new(NoSink),
    };
    others.push(tokio::spawn(limits::run(
        around.limits,
        store.clone(),
        copied.clone(),
        spool.clone(),
        cancel.clone(),
    )));
    if let Some(copied) = &copied {
        let copied = Arc::clone(copied);
        others.push(tokio::spawn(tidy::run_copies(copied, cancel.clone())));
    }
    if let Some(store) = &store {
        others.push(tokio::spawn(tidy::run(Arc::clone(store), cancel.clone())));
    }
    let id = settings.id.to_string();
    let site = settings.site.to_string();
    let (watch, heartbeats, task) = heartbeats::start(data_dir, around.clock, cancel.clone());
    others.push(task);
    let gate = Gate::new(sink, Some(&id), Some(&site)).with_heartbeats(watch);
    let gate = Arc::new(gate);
    let state = data_dir.join("ingest");
    if let Err(error) = std::fs::create_dir_all(&state) {
        tracing::error!(folder = %state.display(), %error, "what was read of files will not be remembered");
    }
    let mut inputs = Inputs::new(
        settings.ingest.inputs.clone(),
        Arc::clone(&gate),
        &state,
        &host_name(&id),
    );
    match tls::server(identity) {
        Ok(config) => inputs = inputs.with_server_tls(config),
        Err(error) => tracing::error!(%error, "the node's certificate cannot serve inputs"),
    }
    let inputs = inputs.start(cancel.clone()).await?;
    let (wanted, wanting) = watch::channel(settings.ingest.inputs.clone());
    others.push(tokio::spawn(reapply::follow(
        inputs,
        wanting,
        cancel.clone(),
    )));
    let sources = EventSources {
        intake: HttpIntake::new(Arc::clone(&gate), cancel.clone()),
        gate,
        store,
        spool,
        news: news.main,
        copied,
        tails,
        clickhouse,
        nats: over_nats.as_ref().map(|(_, figures)| Arc::clone(figures)),
        loopback_may_send: settings.ingest.loopback_may_send,
    };
    if let (Some((nats, figures)), Keep::Yes) = (over_nats, settings.store.keep) {
        let taker = NatsTaker {
            settings: nats,
            keys: around.keys,
            events: sources.clone(),
            me: id,
            figures,
        };
        others.push(tokio::spawn(taker.run(cancel)));
    }
    Ok(Events {
        sources: Some(sources),
        heartbeats,
        inputs: wanted,
        tasks: EventTasks(others),
    })
}

/// Opens what a keeper has of others.
async fn copied(settings: &NodeSettings, data_dir: &Path) -> Arc<Copied> {
    let path = settings.store.copies_path(data_dir);
    let options = settings.store.options();
    let opening = {
        let (path, options) = (path.clone(), options.clone());
        tokio::task::spawn_blocking(move || Copied::open(&path, options))
    };
    match opening.await {
        Ok(copied) => Arc::new(copied),
        Err(error) => {
            tracing::error!(%error, "the copies cannot be read");
            Arc::new(Copied::open(&path, options))
        }
    }
}

/// Opens the queues between what takes events in and what keeps them.
async fn queues(settings: &NodeSettings, data_dir: &Path) -> Option<Arc<Spool>> {
    let path = data_dir.join("spool");
    let options = settings.spool.clone();
    let opening = tokio::task::spawn_blocking(move || Spool::open(&path, options));
    match opening.await {
        Ok(Ok(spool)) => Some(Arc::new(spool)),
        Ok(Err(error)) => {
            tracing::error!(%error, "events cannot be queued; mend it and start the node again");
            None
        }
        Err(error) => {
            tracing::error!(%error, "events cannot be queued");
            None
        }
    }
}

async fn open(settings: &NodeSettings, data_dir: &Path) -> Option<Arc<Store>> {
    if settings.store.keep == Keep::No || settings.store.clickhouse.is_some() {
        return None;
    }
    let path = settings.store.path(data_dir);
    let options = settings.store.options();
    let opening = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || Store::open(&path, options))
    };
    let reason = match opening.await {
        Ok(Ok(store)) => return Some(Arc::new(store)),
        Ok(Err(error)) => match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    tracing::error!(folder = %path.display(), %reason, "no events are kept here; mend it and start the node again, `andon store check` says more");
    None
}

fn host_name(otherwise: &str) -> String {
    let name = nix::unistd::gethostname().ok();
    let name = name.and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| otherwise.to_owned())
}
