//! What a message says of an incident.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Between a phase and the key of the alert, in remarks that people read as well.
const TOGETHER: &str = ", together with ";

/// What a message says of an incident. The names travel in the grid's remarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is there.
    Opened,
    /// It was said to be over, and is there again.
    Reopened,
    /// It hits more, or harder, than was told.
    Grew,
    /// It is over.
    Resolved,
    /// Somebody has taken note of it.
    Acknowledged,
    /// Nobody has taken note of it yet.
    Reminder,
    /// Nothing is wrong: somebody tries the route.
    Test,
}

impl Phase {
    /// All that the grid's remarks can hold.
    pub const ALL: [Phase; 7] = [
        Phase::Opened,
        Phase::Reopened,
        Phase::Grew,
        Phase::Resolved,
        Phase::Acknowledged,
        Phase::Reminder,
        Phase::Test,
    ];

    /// Its name in remarks, webhooks and environment.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Opened => "opened",
            Phase::Reopened => "reopened",
            Phase::Grew => "grew",
            Phase::Resolved => "resolved",
            Phase::Acknowledged => "acknowledged",
            Phase::Reminder => "reminder",
            Phase::Test => "test",
        }
    }

    /// As a remark in the grid has it. Incidents that were told in one message name the one
    /// whose id stands for it: others count one message, and whoever closes the alert later
    /// knows its key.
    pub fn remark(self, incident: &str, key: &str) -> String {
        if incident != key {
            format!("{self}{TOGETHER}{key}")
        } else {
            self.as_str().to_owned()
        }
    }

    /// Reads a remark: the phase, and the key where it is not the incident's id; `None` for
    /// words that this version does not know.
    pub fn read_remark(text: &str) -> Option<(Self, Option<String>)> {
        match text.split_once(TOGETHER) {
            Some((phase, key)) => Some((Self::parse(phase)?, Some(key.to_owned()))),
            None => Some((Self::parse(text)?, None)),
        }
    }

    /// Reads its name; `None` for a word that this version does not know.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Tells that an incident is there.
    pub fn opens(self) -> bool {
        matches!(self, Phase::Opened | Phase::Reopened)
    }

    /// Good news: told also while the route is to be silent.
    pub fn calms(self) -> bool {
        matches!(self, Phase::Resolved | Phase::Acknowledged)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
