//! Brings what is queued to a keeper, in order, until it is there. A record whose fate is
//! unknown goes to the same keeper again, which knows it; only records that were certainly not
//! taken may go to another.

use super::sink::refused;
use andon_api::events::{Keeping, PARCELS_PATH, ParcelsAnswer, join_parcels};
use andon_api::{ApiCommand, PeerClient};
use andon_ingest::sink::SinkError;
use andon_model::{NodeState, NodeView, PictureView};
use andon_spool::{Codec, Queued, Spool};
use andon_store::{Batch, Origin, Store};
use bytes::Bytes;
use hyper::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Bytes of one message to a keeper, about.
const MESSAGE_BYTES: usize = 2 << 20;
/// For one message.
const TIME_MAX: Duration = Duration::from_secs(15);
/// Pauses after failures double from here.
const PAUSE_LEAST: Duration = Duration::from_millis(250);
/// To here: how long after its return a keeper waits for its events at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Time that the grid is given to say where it reaches a node.
const ADDRESSES_WAIT: Duration = Duration::from_millis(500);
/// Addresses of a keeper that are tried.
const ADDRESSES_MAX: usize = 3;
/// A keeper that the picture has lost for so long is not waited for, also in doubt.
const LOST_MAX: Duration = Duration::from_secs(600);

/// What the task works with.
pub struct Shipper {
    pub spool: Arc<Spool>,
    /// Told when something is queued.
    pub news: Arc<Notify>,
    /// Where it goes while there is no keeper, if this node keeps its own.
    pub store: Option<Arc<Store>>,
    pub peers: PeerClient,
    pub view: watch::Receiver<Arc<PictureView>>,
    pub commands: mpsc::Sender<ApiCommand>,
    pub me: String,
}

/// The keepers of the grid.
pub fn keepers(view: &PictureView) -> Vec<&NodeView> {
    let others = view.nodes.iter().filter(|node| node.id != view.me);
    others
        .filter(|node| Keeping::of(node) == Some(Keeping::Keeper) && node.state != NodeState::Left)
        .collect()
}

/// What became of a message.
enum Sent {
    /// So many records are there; the next one will never be.
    Answered(ParcelsAnswer),
    /// It may have been taken.
    Unknown(String),
    /// It was certainly not.
    NotTaken(String),
}

impl Shipper {
    /// Until it is cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut pause = PAUSE_LEAST;
        // What an earlier life of this node sent may have been taken.
        let mut in_doubt = self.spool.keeper().is_some();
        let mut lost_since = None;
        loop {
            let heads = self.heads().await;
            if heads.is_empty() {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = self.news.notified() => continue,
                }
            }
            let sending = self.step(heads, &mut in_doubt, &mut lost_since);
            let went_well = tokio::select! {
                () = cancel.cancelled() => return,
                went_well = sending => went_well,
            };
            if went_well {
                pause = PAUSE_LEAST;
                continue;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn heads(&self) -> Vec<Queued> {
        let spool = Arc::clone(&self.spool);
        let heads = tokio::task::spawn_blocking(move || spool.heads(MESSAGE_BYTES));
        match heads.await {
            Ok(Ok(heads)) => heads,
            Ok(Err(error)) => {
                tracing::error!(%error, "queued events cannot be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Sends one message; says whether it is worth going on at once.
    async fn step(
        &mut self,
        heads: Vec<Queued>,
        in_doubt: &mut bool,
        lost_since: &mut Option<tokio::time::Instant>,
    ) -> bool {
        let view = self.view.borrow_and_update().clone();
        let keepers = keepers(&view);
        let bound = self.spool.keeper();
        if keepers.is_empty() && !*in_doubt {
            return match self.store.clone() {
                Some(store) => self.to_own_store(store, heads).await,
                None => false,
            };
        }
        let known = bound.as_ref().and_then(|id| {
            let mut keepers = keepers.iter();
            keepers.find(|keeper| keeper.id == *id).copied()
        });
        if known.is_none() && *in_doubt {
            let since = *lost_since.get_or_insert_with(tokio::time::Instant::now);
            if since.elapsed() < LOST_MAX {
                return false;
            }
            tracing::warn!(keeper = ?bound, "the keeper is gone for good; what it may have taken without a word goes to another, and may be there twice");
        }
        *lost_since = None;
        let keeper = match known {
            Some(keeper) if *in_doubt || keeper.state != NodeState::Down => Some(keeper),
            // By a number of its own for each pair, so that keepers share the nodes.
            known => {
                let alive = keepers.iter().filter(|node| node.state != NodeState::Down);
                let nearest = alive.max_by_key(|keeper| weight(&self.me, &keeper.id));
                nearest.copied().or(known)
            }
        };
        let Some(keeper) = keeper else {
            *in_doubt = false;
            return false;
        };
        if bound.as_deref() != Some(keeper.id.as_str()) {
            if let Err(error) = self.spool.set_keeper(&keeper.id) {
                tracing::error!(%error, "events wait on this node");
                return false;
            }
            tracing::info!(keeper = %keeper.id, "events go to this keeper");
        }
        match self.send(keeper, &heads).await {
            Sent::Answered(answer) => {
                *in_doubt = false;
                self.note(&heads, &answer);
                if let Some(reason) = &answer.full {
                    tracing::warn!(keeper = %keeper.id, %reason, "the keeper has no room; events wait on this node");
                }
                answer.full.is_none()
            }
            Sent::Unknown(reason) => {
                *in_doubt = true;
                tracing::debug!(keeper = %keeper.id, %reason, "events wait on this node");
                false
            }
            Sent::NotTaken(reason) => {
                tracing::debug!(keeper = %keeper.id, %reason, "events wait on this node");
                false
            }
        }
    }

    /// Lets go of what has arrived, and of what nobody will take.
    fn note(&self, heads: &[Queued], answer: &ParcelsAnswer) {
        let noted = || {
            if let Some(last) = answer.kept.checked_sub(1).and_then(|last| heads.get(last)) {
                self.spool.arrived(&last.stream, last.sequence)?;
            }
            if let (Some(reason), Some(next)) = (&answer.refused, heads.get(answer.kept)) {
                tracing::error!(stream = %next.stream, events = next.events, %reason, "events are lost: the keeper refuses them");
                self.spool.discard(&next.stream, next.sequence)?;
            }
            Ok::<_, andon_spool::SpoolError>(())
        };
        if let Err(error) = noted() {
            tracing::error!(%error, "what has arrived cannot be noted; it is sent again");
        }
    }

    async fn send(&self, keeper: &NodeView, heads: &[Queued]) -> Sent {
        let Some(fingerprint) = keeper.fingerprint.as_deref().and_then(unhex) else {
            return Sent::NotTaken("it publishes no certificate".to_owned());
        };
        let body = join_parcels(heads.iter().map(|head| head.parcel.as_slice()));
        let body = Bytes::from(body);
        let mut reason = "no address of it is known".to_owned();
        for address in self.addresses(keeper).await {
            let sent = self
                .peers
                .post(address, fingerprint, PARCELS_PATH, body.clone(), TIME_MAX);
            match sent.await {
                Ok((StatusCode::OK, answer)) => match serde_json::from_slice(&answer) {
                    Ok(answer) => return Sent::Answered(answer),
                    Err(error) => return Sent::Unknown(error.to_string()),
                },
                // Refused before anything was read.
                Ok((status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), _)) => {
                    return Sent::NotTaken(format!("it answers {status}"));
                }
                Ok((status, _)) => return Sent::Unknown(format!("it answers {status}")),
                Err(error) if error.was_asked() => return Sent::Unknown(error.to_string()),
                Err(error) => reason = error.to_string(),
            }
        }
        Sent::NotTaken(reason)
    }

    /// Where the grid reaches a node, then where it says that it is.
    async fn addresses(&self, node: &NodeView) -> Vec<SocketAddr> {
        let (reply, answer) = oneshot::channel();
        let of = node.id.clone();
        let mut addresses = Vec::new();
        let asked = self.commands.try_send(ApiCommand::Addresses { of, reply });
        if asked.is_ok()
            && let Ok(Ok(used)) = tokio::time::timeout(ADDRESSES_WAIT, answer).await
        {
            addresses = used;
        }
        for address in node.addresses.iter().filter_map(|text| text.parse().ok()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.truncate(ADDRESSES_MAX);
        addresses
    }

    /// Brings records to this node's own store: the keeper that they were queued for is none.
    async fn to_own_store(&self, store: Arc<Store>, heads: Vec<Queued>) -> bool {
        let (heads, answer) = match tokio::task::spawn_blocking(move || {
            let answer = keep(&store, &heads);
            (heads, answer)
        })
        .await
        {
            Ok(done) => done,
            Err(_) => return false,
        };
        self.note(&heads, &answer);
        answer.full.is_none()
    }
}

fn keep(store: &Store, heads: &[Queued]) -> ParcelsAnswer {
    let mut answer = ParcelsAnswer::default();
    for head in heads {
        let stored = match Codec::unpack(&head.parcel) {
            Ok(parcel) => {
                let origin = Origin {
                    source: parcel.source,
                    sequence: parcel.sequence,
                };
                let batch = Batch::of(&parcel.events);
                store
                    .append_once(&parcel.dataset, batch, origin)
                    .map_err(refused)
            }
            Err(error) => Err(SinkError::Failed(error.to_string())),
        };
        match stored {
            Ok(_) => answer.kept += 1,
            Err(SinkError::Failed(reason)) => {
                answer.refused = Some(reason);
                break;
            }
            Err(error) => {
                answer.full = Some(error.to_string());
                break;
            }
        }
    }
    answer
}

/// FNV-1a: the same on every node and in every version.
fn weight(node: &str, keeper: &str) -> u64 {
    let bytes = node.bytes().chain([0]).chain(keeper.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
