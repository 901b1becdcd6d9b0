//! Events on this node: the store, what takes them in, and the tasks that own both. A store
//! that cannot be opened is told and does without: a node watches also while its disk is sick.

mod clickhouse;
mod heartbeats;
mod reapply;
mod ship;
mod sink;
mod tidy;

use super::NodeError;
use super::clock::Clock;
use crate::config::settings::{Keep, NodeSettings};
use andon_api::events::{EventSources, Keeping, STORE_LABEL};
use andon_api::{ApiCommand, PeerClient, tls};
use andon_clickhouse::{ClickHouse, Writer};
use andon_ingest::sink::Sink;
use andon_ingest::{Gate, HttpIntake, Inputs, InputsConfig};
use andon_model::{Heartbeat, PictureView};
use andon_spool::Spool;
use andon_store::Store;
use ship::Shipper;
use sink::{ClickHouseSink, NoSink, QueueSink, StoreSink};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
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
        (_, Some(_)) | (Keep::No, _) => None,
        (Keep::Yes, _) => Some(Keeping::Keeper),
        (Keep::Auto, _) => Some(Keeping::Own),
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
    let sink: Arc<dyn Sink> = match (&clickhouse, &store, &spool) {
        (Some(clickhouse), ..) => {
            let (writer, task) = Writer::start(Arc::clone(clickhouse), cancel.clone());
            others.push(task);
            others.push(tokio::spawn(clickhouse::look_after(
                Arc::clone(clickhouse),
                settings.store.clone(),
                cancel.clone(),
            )));
            Arc::new(ClickHouseSink::new(
                Arc::clone(clickhouse),
                writer,
                settings.id.as_str(),
            ))
        }
        (None, store, Some(spool)) => {
            let news = Arc::new(Notify::new());
            match PeerClient::new(identity) {
                Ok(peers) => {
                    let shipper = Shipper {
                        spool: Arc::clone(spool),
                        news: Arc::clone(&news),
                        store: store.clone(),
                        peers,
                        view: around.view.clone(),
                        commands: around.commands,
                        me: settings.id.to_string(),
                    };
                    others.push(tokio::spawn(shipper.run(cancel.clone())));
                }
                Err(error) => {
                    tracing::error!(%error, "events wait on this node: its certificate cannot be shown");
                }
            }
            Arc::new(QueueSink {
                store: store.clone().map(StoreSink),
                spool: Arc::clone(spool),
                news,
                view: around.view,
            })
        }
        (None, Some(store), None) => Arc::new(StoreSink(Arc::clone(store))),
        (None, None, None) => Arc::new(NoSink),
    };
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
        intake: HttpIntake::new(Arc::clone(&gate), cancel),
        gate,
        store,
        spool,
        clickhouse,
        loopback_may_send: settings.ingest.loopback_may_send,
    };
    Ok(Events {
        sources: Some(sources),
        heartbeats,
        inputs: wanted,
        tasks: EventTasks(others),
    })
}

/// Opens the queues of a node that may have to send its events to another.
async fn queues(settings: &NodeSettings, data_dir: &Path) -> Option<Arc<Spool>> {
    if settings.store.keep == Keep::Yes || settings.store.clickhouse.is_some() {
        return None;
    }
    let path = data_dir.join("spool");
    let options = settings.spool.clone();
    let opening = tokio::task::spawn_blocking(move || Spool::open(&path, options));
    match opening.await {
        Ok(Ok(spool)) => Some(Arc::new(spool)),
        Ok(Err(error)) => {
            tracing::error!(%error, "events cannot be queued for a keeper; mend it and start the node again");
            None
        }
        Err(error) => {
            tracing::error!(%error, "events cannot be queued for a keeper");
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
