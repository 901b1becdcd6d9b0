//! Incidents of this node: views and the other nodes' claims go in, the list of incidents and
//! what travels in the grid come out, and a file keeps them across restarts.

use super::clock::Clock;
use super::data_dir::write_atomically;
use andon_learn::{Incidents, Input, Now, Output, Saved};
use andon_model::{
    Incident, IncidentClaim, NodeKey, NodeState, Picture, PictureView, Remark, RemarkKind,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The file in the data directory.
const FILE: &str = "incidents.json";
/// A larger file was not written by this program.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The file is written at most so often.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// What this node publishes of incidents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnIncidents {
    /// Incidents that it holds.
    pub claims: Vec<IncidentClaim>,
    /// What was added to incidents here.
    pub remarks: Vec<Remark>,
}

/// Somebody says something about an incident at this node.
#[derive(Debug)]
pub struct NewRemark {
    /// The incident, by any of its names.
    pub incident: String,
    /// Who says so.
    pub who: String,
    /// What.
    pub what: RemarkKind,
    /// Done, or why not.
    pub reply: oneshot::Sender<Result<(), String>>,
}

/// What the task hears from and speaks to.
pub struct IncidentSources {
    /// What this node judges.
    pub views: watch::Receiver<Arc<PictureView>>,
    /// What others publish.
    pub pictures: watch::Receiver<Picture>,
    /// Remarks made here.
    pub remarks: mpsc::Receiver<NewRemark>,
    /// Where the list goes.
    pub incidents: watch::Sender<Arc<Vec<Incident>>>,
    /// Where claims and remarks go, to be published.
    pub published: watch::Sender<OwnIncidents>,
}

/// Runs until cancelled; what was remarked is on disk when it returns.
pub async fn run(
    mut sources: IncidentSources,
    id: String,
    me: NodeKey,
    data_dir: PathBuf,
    clock: Clock,
    cancel: CancellationToken,
) {
    let file = data_dir.join(FILE);
    let mut core = Incidents::new(id, load(&file));
    let mut heard = Heard::default();
    let mut unsaved = false;
    let mut save_after = clock.now();
    core.wake(now(clock));
    loop {
        while let Some(output) = core.poll() {
            match output {
                Output::Incidents(list) => drop(sources.incidents.send_replace(list)),
                Output::Publish { claims, remarks } => {
                    let own = OwnIncidents { claims, remarks };
                    sources.published.send_replace(own);
                }
                Output::Save => unsaved = true,
            }
        }
        if unsaved && clock.now() >= save_after {
            unsaved = false;
            save(&file, core.saved()).await;
            save_after = clock.now() + SAVE_EVERY;
        }
        let wake = core
            .next_wake()
            .into_iter()
            .chain(unsaved.then_some(save_after))
            .min();
        tokio::select! {
            () = cancel.cancelled() => break,
            changed = sources.views.changed() => {
                if changed.is_err() {
                    break;
                }
                let view = sources.views.borrow_and_update().clone();
                if heard.listen(&sources.pictures.borrow(), &view, me) {
                    let (claims, remarks) = (heard.claims.clone(), heard.remarks.clone());
                    core.handle(now(clock), Input::Grid { claims, remarks });
                }
                core.handle(now(clock), Input::View(view));
            }
            Some(new) = sources.remarks.recv() => {
                let result = core.remark(now(clock), &new.incident, &new.who, new.what);
                let _ = new.reply.send(result.map_err(|error| error.to_string()));
            }
            () = super::view_task::wait_until(wake, clock) => core.wake(now(clock)),
        }
    }
    save(&file, core.saved()).await;
}

/// What the others publish, as last told to the core.
#[derive(Default)]
struct Heard {
    claims: Vec<(String, IncidentClaim)>,
    remarks: Vec<(String, Remark)>,
}

impl Heard {
    /// Looks at the others' slices; returns whether anything changed. Claims of a node that
    /// is not reached are old, its remarks stay true.
    fn listen(&mut self, picture: &Picture, view: &PictureView, me: NodeKey) -> bool {
        let others = || picture.slices.values().filter(|slice| slice.key() != me);
        if self.claims.is_empty()
            && self.remarks.is_empty()
            && others().all(|slice| slice.incidents.is_empty() && slice.remarks.is_empty())
        {
            return false;
        }
        let living: BTreeSet<NodeKey> = view
            .nodes
            .iter()
            .filter(|node| node.state == NodeState::Up)
            .filter_map(|node| node.key)
            .collect();
        let claims = others()
            .filter(|slice| living.contains(&slice.key()))
            .flat_map(|slice| {
                let id = slice.identity.id.to_string();
                let claims = slice.incidents.iter();
                claims.map(move |claim| (id.clone(), claim.clone()))
            })
            .collect();
        let remarks = others()
            .flat_map(|slice| {
                let id = slice.identity.id.to_string();
                let remarks = slice.remarks.iter();
                remarks.map(move |remark| (id.clone(), remark.clone()))
            })
            .collect();
        let changed = (&self.claims, &self.remarks) != (&claims, &remarks);
        (self.claims, self.remarks) = (claims, remarks);
        changed
    }
}

fn now(clock: Clock) -> Now {
    Now {
        at: clock.now(),
        utc: clock.utc(),
    }
}

fn load(file: &Path) -> Saved {
    let too_large = |meta: std::fs::Metadata| meta.len() > FILE_BYTES_MAX;
    if std::fs::metadata(file).map(too_large).unwrap_or(true) {
        return Saved::default();
    }
    let read = std::fs::read(file).map_err(|error| error.to_string());
    let parsed =
        read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    parsed.unwrap_or_else(|error| {
        let aside = file.with_extension("unreadable");
        let _ = std::fs::rename(file, &aside);
        tracing::warn!(%error, file = %aside.display(), "the incidents of the last run are unreadable; their file was set aside");
        Saved::default()
    })
}

async fn save(file: &Path, saved: Saved) {
    let file = file.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        let text = serde_json::to_vec(&saved).map_err(std::io::Error::other)?;
        write_atomically(&file, &text)
    });
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "incidents cannot be written to the data directory; they are kept in memory");
        }
        Err(panic) => tracing::error!(%panic, "writing the incidents failed"),
    }
}
