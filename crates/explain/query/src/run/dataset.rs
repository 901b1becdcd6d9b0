//! What a store must be able to do to be asked together with others.

use andon_model::event::Event;
use andon_model::query::Answer;
use andon_store::ResolvedQuery;

/// What one store found out, in a form that adds up.
pub trait Partial: Sized + Send {
    /// Takes in what another store, or the same one for another stretch of time, found out.
    /// Returns whether all of it found room.
    fn merge(&mut self, other: Self, query: &ResolvedQuery) -> bool;
    /// The answer as it stands: ordered, limited, shares and rates worked out over all of the
    /// time that `query` asks for.
    fn answer(&self, query: &ResolvedQuery) -> Answer;
    /// Raw events that were found, where the question asks for them.
    fn events(&self) -> Vec<Event>;
    /// How many raw events were found.
    fn event_count(&self) -> usize;
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// It could not.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
}

/// A store that can be asked in parts.
pub trait Dataset: Sync {
    /// Its kind of partial answer.
    type Partial: Partial;
    /// What people know it as: the keeper's name.
    fn label(&self) -> String;
    /// Looks through the events between `query.from` and `query.to`, holding at most
    /// `bytes_max` bytes of what it finds, and looks now and then whether to go on.
    fn scan(
        &self,
        query: &ResolvedQuery,
        bytes_max: u64,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self::Partial, ScanError>;
}
