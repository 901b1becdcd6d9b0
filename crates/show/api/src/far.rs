//! Stores to ask together: this node's own, and those of others over the nodes' TLS. What one
//! of them cannot say is missing from the answer, and the answer says so.

use crate::peer::Question;
use crate::relay;
use crate::shared::Shared;
use crate::wire::{self, PART_BYTES_MAX, Part};
use andon_model::NodeView;
use andon_query::Limits;
use andon_query::run::dataset::OnEarly;
use andon_query::run::embedded::Embedded;
use andon_query::run::{Dataset, DatasetError};
use andon_store::{Cancel, PartialAnswer, ResolvedQuery};
use hyper::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Where a node answers parts of other nodes' questions.
pub(crate) const PART_PATH: &str = "/api/v1/query/part";
/// How often it is looked whether the question is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// More time than the other has itself, for the way.
const WAY: Duration = Duration::from_secs(1);

/// One store of those that are asked.
pub(crate) enum Keeper<'s> {
    /// This node's.
    Here(Embedded<'s>),
    /// Another node's.
    There(Box<Far>),
}

/// Another node's store.
pub(crate) struct Far {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: NodeView,
    pub(crate) runtime: Handle,
}

impl Dataset for Keeper<'_> {
    type Partial = PartialAnswer;

    fn label(&self) -> String {
        match self {
            Self::Here(embedded) => embedded.label(),
            Self::There(far) => far.node.id.clone(),
        }
    }

    fn scan(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        cancel: &Cancel,
        early: Option<OnEarly<'_, PartialAnswer>>,
    ) -> Result<PartialAnswer, DatasetError> {
        match self {
            Self::Here(embedded) => embedded.scan(query, limits, cancel, early),
            Self::There(far) => far.runtime.block_on(far.scan(query, limits, cancel)),
        }
    }
}

impl Far {
    async fn scan(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<PartialAnswer, DatasetError> {
        let asked = self.ask(query, limits);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answered = &mut asked => return answered,
                // Dropping the question closes its connection, which ends it there too.
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if cancel.is_cancelled() {
                        return Err(DatasetError::Cancelled);
                    }
                }
            }
        }
    }

    async fn ask(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
    ) -> Result<PartialAnswer, DatasetError> {
        let failed = |reason: String, help: &str| DatasetError::Failed {
            reason,
            help: help.to_owned(),
        };
        let odd = |error: wire::WireError| failed(error.to_string(), "is it of this version?");
        let part = Part::new(query, limits.time_max, limits.bytes_max);
        let body = wire::pack(&part).map_err(odd)?;
        if body.len() > PART_BYTES_MAX {
            return Err(failed(
                "the question is too large".to_owned(),
                "join with a smaller dataset",
            ));
        }
        let question = Question {
            method: Method::POST,
            path: PART_PATH,
            body: body.into(),
            asked_by: None,
            limit: limits.time_max + WAY,
            bytes_max: PART_BYTES_MAX,
        };
        let place = self.shared.parts.acquire().await;
        let answered = relay::ask_in_place(&self.shared, &self.node, &question).await;
        drop(place);
        let (status, body) =
            answered.map_err(|error| failed(error.message.into_owned(), &error.help))?;
        if status != StatusCode::OK {
            let refusal = relay::refusal(&self.node, status, &body);
            return Err(failed(refusal.message.into_owned(), &refusal.help));
        }
        wire::unpack_answer(&body).map_err(odd)
    }
}
