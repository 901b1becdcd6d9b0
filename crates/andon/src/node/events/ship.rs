//! Brings what is queued to keepers, in order, until it is there: one task for the keeper that
//! answers for this node's events, one for the keeper that holds the copies. A record whose fate
//! is unknown goes to the same keeper again, which knows it; only records that were certainly
//! not taken may go to another.

use super::sink::refused;
use crate::config::settings::Copies;
use andon_api::copied::{Copied, OWN};
use andon_api::events::{
    GAPS_PATH, Introduced, Keeping, PARCELS_PATH, ParcelsAnswer, join_parcels,
};
use andon_api::{ApiCommand, PeerClient};
use andon_ingest::sink::SinkError;
use andon_model::{NodeState, NodeView, PictureView, Timestamp};
use andon_spool::{Codec, Gap, Lane, Queued, Spool};
use andon_store::{Batch, Origin, Store};
use bytes::Bytes;
use hyper::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
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
pub const LOST_MAX: Duration = Duration::from_secs(600);

/// How often an idle task looks who the keepers are.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events that were being taken in while a keeper was found may be so much younger.
pub const SLACK_US: i64 = 5_000_000;

/// What the task works with.
pub struct Shipper {
    pub lane: Lane,
    pub spool: Arc<Spool>,
    /// Told when something is queued.
    pub news: Arc<Notify>,
    /// Where it goes while there is no keeper, if this node keeps its own; or always, where it is
    /// a keeper itself.
    pub store: Option<Arc<Store>>,
    /// What this node lacks and has of others, where it is a keeper.
    pub copied: Option<Arc<Copied>>,
    /// Whether this node is a keeper, and answers for its own events.
    pub is_keeper: bool,
    /// How many keepers have each event.
    pub copies: Copies,
    pub peers: PeerClient,
    pub view: watch::Receiver<Arc<PictureView>>,
    pub commands: mpsc::Sender<ApiCommand>,
    pub me: String,
}

/// The other keepers of the grid, with stores of their own or before ClickHouse.
pub fn keepers(view: &PictureView) -> Vec<&NodeView> {
    let others = view.nodes.iter().filter(|node| node.id != view.me);
    let is_keeper = |node: &&NodeView| {
        let keeping = Keeping::of(node);
        matches!(keeping, Some(Keeping::Keeper | Keeping::ClickHouse))
    };
    others
        .filter(|node| is_keeper(node) && node.state != NodeState::Left)
        .collect()
}

/// Why a message has no answer.
enum NotAnswered {
    /// It may have been taken.
    Unknown(String),
    /// It was certainly not.
    NotTaken(String),
    /// The keeper knows no such place: it is of an earlier version.
    NotThere,
}

/// What a task remembers from message to message.
struct Course {
    /// What was sent last may have been taken.
    in_doubt: bool,
    /// Since when the keeper is not in the picture.
    lost_since: Option<Instant>,
    /// The keeper that has heard of this node since it was started: that it has a copy of
    /// nothing, and that nothing is on its way, is knowledge too.
    introduced_to: Option<(String, Option<Timestamp>)>,
    /// It is known whether this keeper's own store is the one that it had.
    own_is_met: bool,
}

impl Course {
    fn knows_me(&self, keeper: &NodeView) -> bool {
        let known = self.introduced_to.as_ref();
        known.is_some_and(|(id, since)| *id == keeper.id && *since == keeper.started_at)
    }
}

/// Where a message goes.
enum Target {
    Keeper(Box<NodeView>),
    OwnStore,
    /// Nowhere at present.
    Wait,
}

impl Shipper {
    /// Until it is cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut pause = PAUSE_LEAST;
        let mut course = Course {
            // What an earlier life of this node sent may have been taken.
            in_doubt: self.spool.keeper(self.lane).is_some(),
            lost_since: None,
            introduced_to: None,
            own_is_met: false,
        };
        loop {
            let went_well = tokio::select! {
                () = cancel.cancelled() => return,
                went_well = self.step(&mut course) => went_well,
            };
            let wait = match went_well {
                Some(true) => {
                    pause = PAUSE_LEAST;
                    continue;
                }
                Some(false) => {
                    let wait = pause;
                    pause = (pause * 2).min(PAUSE_MAX);
                    wait
                }
                None => {
                    tokio::select! {
                        () = cancel.cancelled() => return,
                        () = self.news.notified() => {}
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                    continue;
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends one message. Whether it is worth going on at once; none if nothing waits.
    async fn step(&mut self, course: &mut Course) -> Option<bool> {
        let view = self.view.borrow_and_update().clone();
        let target = match self.lane {
            Lane::Main => self.main(&view, course),
            Lane::Copy => self.copy(&view, course),
        };
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                tracing::error!(%error, "events wait on this node");
                return Some(false);
            }
        };
        match target {
            Target::Wait => (self.spool.waiting(self.lane) > 0).then_some(false),
            Target::OwnStore => {
                let heads = self.heads().await;
                let store = self.store.clone().filter(|_| !heads.is_empty())?;
                Some(self.to_own_store(store, heads).await)
            }
            Target::Keeper(keeper) => {
                let gaps = self.spool.gaps(self.lane);
                let heads = self.heads().await;
                let is_known = course.knows_me(&keeper);
                match heads.is_empty() && gaps.is_empty() && is_known {
                    true => None,
                    false => Some(self.bring(&keeper, &gaps, heads, course).await),
                }
            }
        }
    }

    /// Where events go that this node took in, first of all.
    fn main(
        &self,
        view: &PictureView,
        course: &mut Course,
    ) -> Result<Target, andon_spool::SpoolError> {
        let bound = self.spool.keeper(Lane::Main);
        if self.is_keeper {
            if bound.as_deref() != Some(self.me.as_str()) {
                self.spool.set_keeper(&self.me)?;
            }
            if !course.own_is_met {
                course.own_is_met = self.met_own()?;
            }
            return Ok(Target::OwnStore);
        }
        let keepers = keepers(view);
        // ClickHouse, where there is any: stores beside it would be asked alone.
        let before_clickhouse = |node: &&NodeView| Keeping::of(node) == Some(Keeping::ClickHouse);
        let keepers = match keepers.iter().any(before_clickhouse) {
            true => keepers.into_iter().filter(before_clickhouse).collect(),
            false => keepers,
        };
        if keepers.is_empty() && !course.in_doubt {
            return Ok(match self.store {
                Some(_) => Target::OwnStore,
                None => Target::Wait,
            });
        }
        let known = bound.as_ref().and_then(|id| {
            let mut keepers = keepers.iter();
            keepers.find(|keeper| keeper.id == *id).copied()
        });
        let has_copy = self.spool.keeper(Lane::Copy).is_some();
        if known.is_none() && (course.in_doubt || has_copy) && bound.is_some() {
            let since = *course.lost_since.get_or_insert_with(Instant::now);
            if since.elapsed() < LOST_MAX {
                return Ok(Target::Wait);
            }
            tracing::warn!(keeper = ?bound, "the keeper is gone for good; what it may have taken without a word goes to another, and may be there twice");
        }
        course.lost_since = None;
        let keeper = match known {
            // Where there is a copy of what it lacks meanwhile, it is waited for.
            Some(keeper) if course.in_doubt || has_copy || keeper.state != NodeState::Down => {
                Some(keeper)
            }
            known => nearest(&self.me, &keepers).or(known),
        };
        let Some(keeper) = keeper else {
            course.in_doubt = false;
            return Ok(Target::Wait);
        };
        if bound.as_deref() != Some(keeper.id.as_str()) {
            self.spool.set_keeper(&keeper.id)?;
            tracing::info!(keeper = %keeper.id, "events go to this keeper");
        }
        Ok(Target::Keeper(Box::new(keeper.clone())))
    }

    /// Where the copies go.
    fn copy(
        &self,
        view: &PictureView,
        course: &mut Course,
    ) -> Result<Target, andon_spool::SpoolError> {
        let bound = self.spool.keeper(Lane::Copy);
        let Some(main) = self.spool.keeper(Lane::Main) else {
            return Ok(Target::Wait);
        };
        let all = keepers(view);
        let has_stores = all
            .iter()
            .all(|node| Keeping::of(node) == Some(Keeping::Keeper));
        let main_is_keeper = self.is_keeper || all.iter().any(|node| node.id == main);
        if self.copies == Copies::One || !has_stores {
            self.spool.set_copy(None, &[], 0)?;
            return Ok(Target::Wait);
        }
        let others: Vec<&NodeView> = all.into_iter().filter(|node| node.id != main).collect();
        let known = bound.as_ref().and_then(|id| {
            let mut others = others.iter();
            others.find(|node| node.id == *id).copied()
        });
        if let Some(known) = known {
            course.lost_since = None;
            return Ok(Target::Keeper(Box::new(known.clone())));
        }
        if bound.is_some() {
            let since = *course.lost_since.get_or_insert_with(Instant::now);
            if since.elapsed() < LOST_MAX {
                return Ok(Target::Wait);
            }
            tracing::warn!(keeper = ?bound, "the keeper of the copies is gone for good");
        }
        course.lost_since = None;
        let next = match main_is_keeper {
            true => nearest(&self.me, &others),
            false => None,
        };
        // What a keeper took in by itself alone is in no queue.
        let held: Vec<String> = match &self.store {
            Some(store) if self.is_keeper => {
                let held = store.datasets().into_iter();
                held.map(|dataset| dataset.name).collect()
            }
            _ => Vec::new(),
        };
        let name = next.map(|node| node.id.as_str());
        self.spool.set_copy(name, &held, now_us() + SLACK_US)?;
        Ok(match next {
            None => Target::Wait,
            Some(node) => {
                tracing::info!(keeper = %node.id, "copies of events go to this keeper");
                Target::Keeper(Box::new(node.clone()))
            }
        })
    }

    /// Sends one message to a keeper, after it knows what it will never get.
    async fn bring(
        &self,
        keeper: &NodeView,
        gaps: &[(String, Gap)],
        heads: Vec<Queued>,
        course: &mut Course,
    ) -> bool {
        if !gaps.is_empty() || !course.knows_me(keeper) {
            match self.introduce(keeper, gaps).await {
                true => course.introduced_to = Some((keeper.id.clone(), keeper.started_at)),
                false => return false,
            }
            if heads.is_empty() {
                return true;
            }
        }
        match self.send(keeper, &heads).await {
            Ok(answer) => {
                course.in_doubt = false;
                self.note(&heads, &answer);
                if let Some(reason) = &answer.full {
                    tracing::warn!(keeper = %keeper.id, %reason, "the keeper has no room; events wait on this node");
                }
                answer.full.is_none()
            }
            Err(error) => {
                let reason = match error {
                    NotAnswered::Unknown(reason) => {
                        course.in_doubt = true;
                        reason
                    }
                    NotAnswered::NotTaken(reason) => reason,
                    NotAnswered::NotThere => "it takes none".to_owned(),
                };
                tracing::debug!(keeper = %keeper.id, %reason, "events wait on this node");
                false
            }
        }
    }

    /// Tells a keeper that this node sends to it, and what it will never get. Whether it knows.
    async fn introduce(&self, keeper: &NodeView, gaps: &[(String, Gap)]) -> bool {
        let told: Vec<&Gap> = gaps.iter().map(|(_, gap)| gap).collect();
        let body = serde_json::to_vec(&told).unwrap_or_default();
        let path = self.path(GAPS_PATH, self.spool.waiting(self.lane));
        match self.post(keeper, &path, body.into()).await {
            Ok(answer) => {
                let known = self.spool.gaps_told(self.lane, gaps).is_ok();
                known && self.met(keeper, &answer)
            }
            // Of an earlier version.
            Err(NotAnswered::NotThere) => self.spool.gaps_told(self.lane, gaps).is_ok(),
            Err(NotAnswered::Unknown(reason) | NotAnswered::NotTaken(reason)) => {
                tracing::debug!(keeper = %keeper.id, %reason, "it does not know yet what it will never get");
                false
            }
        }
    }

    /// Looks whether a keeper has the store that it had, and whether this one has. Whether what
    /// follows from that is noted.
    fn met(&self, keeper: &NodeView, answer: &[u8]) -> bool {
        // An earlier version says how many gaps it took.
        let Ok(introduced) = serde_json::from_slice::<Introduced>(answer) else {
            return true;
        };
        if introduced.store.is_empty() {
            return true;
        }
        let made_at = Timestamp(introduced.made_at_us);
        match self.spool.met_store(self.lane, &introduced.store, made_at) {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(keeper = %keeper.id, %made_at, "the keeper has lost its store: of what was sent to it before that time it says that it is missing");
            }
            Err(error) => {
                tracing::error!(%error, "what the keeper lost cannot be noted");
                return false;
            }
        }
        match introduced.had.is_empty() {
            true => true,
            false => self.lost_own(introduced.had),
        }
    }

    /// Looks whether this keeper has the store that it had, and notes what it lacks. Whether that
    /// is done.
    fn met_own(&self) -> Result<bool, andon_spool::SpoolError> {
        let (Some(store), Some(copied)) = (&self.store, &self.copied) else {
            return Ok(true);
        };
        let identity = store.identity();
        let (id, made_at) = (&identity.id, identity.made_at);
        if self.spool.met_store(self.lane, id, made_at)? {
            tracing::warn!(%made_at, "this keeper has lost its store");
        }
        let gaps = self.spool.gaps(self.lane);
        let told: Vec<Gap> = gaps.iter().map(|(_, gap)| gap.clone()).collect();
        match copied.add_gaps(OWN, &self.me, &told) {
            Ok(_) => self.spool.gaps_told(self.lane, &gaps).map(|()| true),
            Err(error) => {
                tracing::error!(%error, "what is lost cannot be noted");
                Ok(false)
            }
        }
    }

    /// This keeper's own store is not the one that it had: what that had is missing here.
    fn lost_own(&self, datasets: Vec<String>) -> bool {
        let (Some(store), Some(copied)) = (&self.store, &self.copied) else {
            return true;
        };
        let made_at = store.identity().made_at;
        let lost = datasets.iter().map(|name| Gap::lost(name, made_at));
        let lost: Vec<Gap> = lost.collect();
        match copied.add_gaps(OWN, &self.me, &lost) {
            Ok(is_news) => {
                if is_news {
                    tracing::warn!(datasets = lost.len(), %made_at, "this keeper has lost its store: copies at other keepers answer for what happened before that time");
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "what is lost cannot be noted");
                false
            }
        }
    }

    /// With what the keeper has to know about a message after which so many events wait.
    fn path(&self, path: &str, waiting: u64) -> String {
        let main = self.spool.keeper(Lane::Main).unwrap_or_default();
        match self.lane {
            Lane::Main => format!("{path}?waiting={waiting}"),
            Lane::Copy => {
                let own = self.store.as_ref().filter(|_| main == self.me);
                let store = own.map(|store| format!("&store={}", store.identity().id));
                let store = store.unwrap_or_default();
                format!("{path}?waiting={waiting}&for={main}{store}")
            }
        }
    }

    async fn heads(&self) -> Vec<Queued> {
        let (spool, lane) = (Arc::clone(&self.spool), self.lane);
        let heads = tokio::task::spawn_blocking(move || spool.heads(lane, MESSAGE_BYTES));
        match heads.await {
            Ok(Ok(heads)) => heads,
            Ok(Err(error)) => {
                tracing::error!(%error, "queued events cannot be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Lets go of what has arrived, and of what nobody will take.
    fn note(&self, heads: &[Queued], answer: &ParcelsAnswer) {
        let noted = || {
            if let Some(last) = answer.kept.checked_sub(1).and_then(|last| heads.get(last)) {
                self.spool.arrived(self.lane, &last.stream, last.sequence)?;
            }
            if let (Some(reason), Some(next)) = (&answer.refused, heads.get(answer.kept)) {
                tracing::error!(stream = %next.stream, events = next.events, %reason, "events are lost: the keeper refuses them");
                self.spool.discard(self.lane, &next.stream, next.sequence)?;
            }
            Ok::<_, andon_spool::SpoolError>(())
        };
        if let Err(error) = noted() {
            tracing::error!(%error, "what has arrived cannot be noted; it is sent again");
        }
    }

    async fn send(
        &self,
        keeper: &NodeView,
        heads: &[Queued],
    ) -> Result<ParcelsAnswer, NotAnswered> {
        let body = join_parcels(heads.iter().map(|head| head.parcel.as_slice()));
        let sent: u64 = heads.iter().map(|head| u64::from(head.events)).sum();
        let waiting = self.spool.waiting(self.lane).saturating_sub(sent);
        let path = self.path(PARCELS_PATH, waiting);
        let answer = self.post(keeper, &path, Bytes::from(body)).await?;
        let odd = |error: serde_json::Error| NotAnswered::Unknown(error.to_string());
        serde_json::from_slice(&answer).map_err(odd)
    }

    /// The body of the answer, once it is one.
    async fn post(&self, keeper: &NodeView, path: &str, body: Bytes) -> Result<Bytes, NotAnswered> {
        use NotAnswered::{NotTaken, NotThere, Unknown};
        let Some(fingerprint) = keeper.fingerprint.as_deref().and_then(unhex) else {
            return Err(NotTaken("it publishes no certificate".to_owned()));
        };
        let mut reason = "no address of it is known".to_owned();
        for address in self.addresses(keeper).await {
            let sent = self
                .peers
                .post(address, fingerprint, path, body.clone(), TIME_MAX);
            match sent.await {
                Ok((StatusCode::OK, answer)) => return Ok(answer),
                // Refused before anything was read.
                Ok((status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), _)) => {
                    return Err(NotTaken(format!("it answers {status}")));
                }
                Ok((StatusCode::NOT_FOUND, _)) => return Err(NotThere),
                Ok((status, _)) => return Err(Unknown(format!("it answers {status}"))),
                Err(error) if error.was_asked() => return Err(Unknown(error.to_string())),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(NotTaken(reason))
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

/// The keeper of a node among those that live: by a number of its own for each pair, so that
/// keepers share the nodes.
fn nearest<'n>(me: &str, keepers: &[&'n NodeView]) -> Option<&'n NodeView> {
    let alive = keepers.iter().filter(|node| node.state != NodeState::Down);
    alive.max_by_key(|keeper| weight(me, &keeper.id)).copied()
}

pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// FNV-1a: the same on every node and in every version.
pub fn weight(node: &str, keeper: &str) -> u64 {
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
