//! What every request may read.

use crate::access::Access;
use crate::audit::{AuditEntry, AuditLog};
use crate::counters::Counters;
use crate::documents::Documents;
use crate::error::ApiError;
use crate::gate::Caller;
use crate::peer::PeerClient;
use crate::slots::Slots;
use crate::sources::{ApiCommand, ApiConfig, GridBugHandler, NodeStats};
use crate::stream::Hub;
use crate::turns::Turns;
use andon_model::{Incident, PictureView};
use hyper::StatusCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, watch};

/// The state of the API.
pub(crate) struct Shared {
    pub(crate) config: ApiConfig,
    pub(crate) view: watch::Receiver<Arc<PictureView>>,
    pub(crate) incidents: watch::Receiver<Arc<Vec<Incident>>>,
    pub(crate) stats: watch::Receiver<Arc<NodeStats>>,
    pub(crate) commands: mpsc::Sender<ApiCommand>,
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) gridbug: Option<GridBugHandler>,
    pub(crate) history: Option<andon_history::Reader>,
    pub(crate) events: Option<crate::events::EventSources>,
    /// Bounds the parcels that are taken at once.
    pub(crate) parcels: Arc<Semaphore>,
    /// Bounds the live tails.
    pub(crate) tails: Arc<Semaphore>,
    /// Bounds the questions about events.
    pub(crate) questions: Arc<Semaphore>,
    /// Bounds the parts of questions that are asked of other nodes.
    pub(crate) parts: Arc<Semaphore>,
    /// Bounds the reading of the history.
    pub(crate) reads: Arc<Semaphore>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) peers: PeerClient,
    /// Bounds the questions to others that are on their way.
    pub(crate) relays: Semaphore,
    /// Who may start a trace.
    pub(crate) turns: Turns,
    /// When our certificate ends, seconds since 1970; `None` if it does not say.
    pub(crate) certificate_ends: Option<i64>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) started: Instant,
    /// Differs from node to node, since cookies do not tell ports apart and several nodes may
    /// run on one host.
    pub(crate) cookie_name: String,
}

impl Shared {
    /// Records a change before it is made. If that fails the change must not be made.
    pub(crate) async fn record(
        &self,
        caller: &Caller,
        action: &'static str,
        subject: &str,
        detail: &str,
    ) -> Result<(), ApiError> {
        let entry = AuditEntry {
            ts: crate::access::now(),
            actor: caller.named(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        };
        let audit = Arc::clone(&self.audit);
        let written = tokio::task::spawn_blocking(move || audit.append(entry)).await;
        let reason = match written {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.counters.audit_errors.count();
        tracing::error!(%reason, action, "audit log not written, change refused");
        Err(ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "audit",
            format!("the change was not made since it could not be recorded: {reason}"),
            "make room on the disk of the node's data directory, then try again",
        ))
    }
}
