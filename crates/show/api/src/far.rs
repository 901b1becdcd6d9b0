//! Stores to ask together: this node's own, and those of others over the nodes' TLS. Where a
//! keeper is away, or lacks something, the copies that other keepers hold of its events answer
//! for it. What nobody can say is missing from the answer, and the answer says so.

use crate::copied::{Copied, OWN};
use crate::peer::Question;
use crate::relay;
use crate::shared::Shared;
use crate::wire::{self, Of, PART_BYTES_MAX, Part};
use andon_model::query::Answer;
use andon_model::{NodeState, NodeView};
use andon_query::Limits;
use andon_query::run::dataset::OnEarly;
use andon_query::run::embedded::Embedded;
use andon_query::run::{Asking, Dataset, DatasetError, Found, RunError, Source};
use andon_store::{Cancel, PartialAnswer, ResolvedQuery, Store};
use hyper::{Method, StatusCode};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Where a node answers parts of other nodes' questions.
pub(crate) const PART_PATH: &str = "/api/v1/query/part";
/// How often it is looked whether the question is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// More time than the other has itself, for the way.
const WAY: Duration = Duration::from_secs(1);
/// What a keeper says that holds no copy of another's events.
pub(crate) const NO_COPY: &str = "no_copy";

/// One store of those that are asked, and who has copies of it.
pub(crate) struct Keeper<'s> {
    pub(crate) place: Place<'s>,
    /// Other keepers that can be asked for copies.
    pub(crate) holders: Vec<NodeView>,
    /// What this node holds of others.
    pub(crate) copied: Option<Arc<Copied>>,
    pub(crate) far: Far,
}

/// Where a store is.
pub(crate) enum Place<'s> {
    /// This node's own.
    Here(Embedded<'s>),
    /// Another node's.
    There(Box<NodeView>),
    /// Here, the copy of events of a keeper that nobody knows any more.
    Left(String, Arc<Store>),
}

/// The way to other nodes' stores.
#[derive(Clone)]
pub(crate) struct Far {
    pub(crate) shared: Arc<Shared>,
    pub(crate) runtime: Handle,
    /// Keepers that are asked, or whose copies are.
    pub(crate) known: Arc<BTreeSet<String>>,
}

/// What was found, and why it is not all.
type Said = (PartialAnswer, Option<String>);

impl Dataset for Keeper<'_> {
    type Partial = PartialAnswer;

    fn label(&self) -> String {
        match &self.place {
            Place::Here(embedded) => embedded.label(),
            Place::There(node) => node.id.clone(),
            Place::Left(name, _) => name.clone(),
        }
    }

    fn scan(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        cancel: &Cancel,
        early: Option<OnEarly<'_, PartialAnswer>>,
    ) -> Result<PartialAnswer, DatasetError> {
        let said = match &self.place {
            Place::Here(embedded) => {
                let found = embedded.scan(query, limits, cancel, early);
                found.map(|found| (found, self.lacks(OWN, query)))
            }
            Place::There(node) if is_away(node) => Err(away(&node.id)),
            Place::There(node) => {
                let of = Of::Own {
                    known: BTreeSet::clone(&self.far.known),
                };
                let asked = self.far.ask(node, query, limits, of);
                self.far.runtime.block_on(unless(cancel, asked))
            }
            Place::Left(name, store) => {
                let found = embedded(name, store).scan(query, limits, cancel, early);
                return Ok(noted(found?, self.lacks(name, query), name));
            }
        };
        match said {
            Ok((found, None)) => Ok(found),
            Err(DatasetError::Cancelled) => Err(DatasetError::Cancelled),
            Ok((found, Some(lacks))) => match self.copies(query, limits, cancel) {
                Ok(Some((copies, None))) => Ok(copies),
                Err(DatasetError::Cancelled) => Err(DatasetError::Cancelled),
                _ => Ok(noted(found, Some(lacks), &self.label())),
            },
            Err(failed) => match self.copies(query, limits, cancel)? {
                None => Err(failed),
                Some((copies, lacks)) => {
                    let lacks = lacks.map(|lacks| format!("{failed}, and of its copies {lacks}"));
                    Ok(noted(copies, lacks, &self.label()))
                }
            },
        }
    }
}

impl Keeper<'_> {
    fn lacks(&self, of: &str, query: &ResolvedQuery) -> Option<String> {
        let copied = self.copied.as_ref()?;
        copied.lacks(of, &query.dataset, query.from.0, query.to.0)
    }

    /// What the other keepers have of this one's events, together: those of one node are copied
    /// to one of them, those of another to another. None if nobody has any.
    fn copies(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<Option<Said>, DatasetError> {
        let name = self.label();
        let mut sum: Option<PartialAnswer> = None;
        let mut lacks: Option<String> = None;
        let here = self.copied.as_ref();
        if let Some(store) = here.and_then(|copied| copied.copies.get(&name)) {
            sum = Some(embedded(&name, &store).scan(query, limits, cancel, None)?);
            lacks = self.lacks(&name, query);
        }
        let holders = self.holders.iter().filter(|holder| holder.id != name);
        let asked = holders.map(|holder| {
            let of = Of::Copy(name.clone());
            async move { (holder, self.far.ask(holder, query, limits, of).await) }
        });
        let asked = async { Ok(futures_util::future::join_all(asked).await) };
        for (holder, said) in self.far.runtime.block_on(unless(cancel, asked))? {
            match said {
                Ok((found, missing)) => {
                    match &mut sum {
                        None => sum = Some(found),
                        Some(sum) => sum.merge(found),
                    }
                    lacks = lacks.or(missing);
                }
                Err(DatasetError::Failed { help, .. }) if help == NO_COPY => {}
                Err(error) => lacks = lacks.or(Some(format!("those at {}: {error}", holder.id))),
            }
        }
        Ok(sum.map(|sum| (sum, lacks)))
    }
}

/// Whether asking is of no use.
pub(crate) fn is_away(node: &NodeView) -> bool {
    matches!(node.state, NodeState::Down | NodeState::Left)
}

fn away(id: &str) -> DatasetError {
    DatasetError::Failed {
        reason: format!("{id} is away, and nobody who can be asked has a copy of its events"),
        help: "look why it is down; what is sent meanwhile waits for it".to_owned(),
    }
}

fn embedded<'s>(label: &str, store: &'s Store) -> Embedded<'s> {
    Embedded {
        label: label.to_owned(),
        store,
    }
}

/// With a note of what is missing.
pub(crate) fn noted(mut found: PartialAnswer, lacks: Option<String>, of: &str) -> PartialAnswer {
    if let Some(lacks) = lacks {
        found.is_partial = true;
        found
            .notes
            .insert(format!("not all events of {of} are here: {lacks}"));
    }
    found
}

/// Waits for an answer as long as it is wanted. Dropping the question closes its connection,
/// which ends it there too.
async fn unless<T>(
    cancel: &Cancel,
    asked: impl Future<Output = Result<T, DatasetError>>,
) -> Result<T, DatasetError> {
    tokio::pin!(asked);
    loop {
        tokio::select! {
            answered = &mut asked => return answered,
            () = tokio::time::sleep(LOOK_EVERY) => {
                if cancel.is_cancelled() {
                    return Err(DatasetError::Cancelled);
                }
            }
        }
    }
}

impl Far {
    async fn ask(
        &self,
        node: &NodeView,
        query: &ResolvedQuery,
        limits: &Limits,
        of: Of,
    ) -> Result<Said, DatasetError> {
        let body = self.get(node, query, limits, of).await?;
        wire::unpack_answer(&body).map_err(odd)
    }

    async fn get(
        &self,
        node: &NodeView,
        query: &ResolvedQuery,
        limits: &Limits,
        of: Of,
    ) -> Result<bytes::Bytes, DatasetError> {
        let part = Part::new(query, limits.time_max, limits.bytes_max, of);
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
        let answered = relay::ask_in_place(&self.shared, node, &question).await;
        drop(place);
        let (status, body) =
            answered.map_err(|error| failed(error.message.into_owned(), &error.help))?;
        if status != StatusCode::OK {
            let refusal = relay::refusal(node, status, &body);
            return Err(failed(refusal.message.into_owned(), &refusal.help));
        }
        Ok(body)
    }
}

fn failed(reason: String, help: &str) -> DatasetError {
    DatasetError::Failed {
        reason,
        help: help.to_owned(),
    }
}

fn odd(error: wire::WireError) -> DatasetError {
    failed(error.to_string(), "is it of this version?")
}

/// ClickHouse, asked by another node that knows where it is.
pub(crate) struct AskedThere {
    /// Nodes that do; the first that answers counts.
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) far: Far,
}

impl AskedThere {
    fn ask(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError> {
        let mut failure = RunError::Nobody;
        for node in &self.nodes {
            let asked = async {
                let of = Of::ClickHouse;
                let body = self.far.get(node, query, &asking.limits, of).await?;
                wire::unpack::<Answer>(&body).map_err(odd)
            };
            match self.far.runtime.block_on(unless(asking.cancel, asked)) {
                Ok(answer) => return Ok(answer),
                Err(DatasetError::Cancelled) => return Err(RunError::Cancelled),
                Err(DatasetError::Failed { reason, help }) => {
                    failure = RunError::Failed {
                        label: node.id.clone(),
                        reason,
                        help,
                    };
                }
            }
        }
        Err(failure)
    }
}

impl Source for AskedThere {
    fn answer(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError> {
        self.ask(query, asking)
    }

    fn events(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Found, RunError> {
        let answer = self.ask(query, asking)?;
        Ok(Found {
            events: crate::routes::traces::events_of(&answer),
            notes: answer.notes,
        })
    }
}
