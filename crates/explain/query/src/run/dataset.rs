//! What a store must be able to do to be asked together with others.

use super::asking::Limits;
use andon_model::event::Event;
use andon_model::query::Answer;
use andon_store::{Cancel, ResolvedQuery};

/// What one store found out, in a form that adds up.
pub trait Partial: Clone + Send {
    /// Takes in what another store found out.
    fn merge(&mut self, other: Self);
    /// The answer as it stands: ordered, limited, shares worked out.
    fn answer(self, query: &ResolvedQuery) -> Answer;
    /// Raw events that were found, where the question asks for them.
    fn events_mut(&mut self) -> &mut Vec<Event>;
    /// Milliseconds that it took.
    fn elapsed_ms(&self) -> f64;
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// It was called off.
    #[error("called off")]
    Cancelled,
    /// It could not.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
}

/// Hears what a store has found so far, and which share of its work that is.
pub type OnEarly<'a, P> = &'a mut dyn FnMut(&P, f64);

/// A store that can be asked together with others.
pub trait Dataset: Sync {
    /// Its kind of partial answer.
    type Partial: Partial;
    /// What people know it as: the keeper's name.
    fn label(&self) -> String;
    /// Looks through the events that a question is about, within the limits; what a limit
    /// leaves out makes the answer partial.
    fn scan(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        cancel: &Cancel,
        early: Option<OnEarly<'_, Self::Partial>>,
    ) -> Result<Self::Partial, DatasetError>;
}
