//! Keeps notices rare: the same one about the same subject is told once in a while.

use andon_model::{Instant, NodeKey};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The same notice about the same subject is told this often.
pub const NOTICE_PAUSE: Duration = Duration::from_secs(60);
/// Subjects remembered; while there are more, further ones go untold.
const SUBJECTS_MAX: usize = 1_024;

/// What a notice is about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A foreign key is in use at this address.
    ForeignKey(Option<IpAddr>),
    /// A node's rows cannot be shown.
    InvalidRow(NodeKey),
    /// This node's identity is in use twice.
    Cloned,
    /// Rows of this node came in from a later life.
    ClockWentBack,
    /// The own slice does not fit.
    TooLarge,
    /// The store is full.
    StoreFull,
}

/// What was told when.
#[derive(Default)]
pub struct Teller {
    told: BTreeMap<Subject, Instant>,
}

impl Teller {
    /// Whether to tell it now; if so, not again for [`NOTICE_PAUSE`].
    pub fn may_tell(&mut self, now: Instant, subject: Subject) -> bool {
        let is_due = self
            .told
            .get(&subject)
            .is_none_or(|at| now.since(*at) >= NOTICE_PAUSE);
        let may = is_due && self.told.len() < SUBJECTS_MAX;
        if may {
            self.told.insert(subject, now);
        }
        may
    }

    /// Forgets what may be told again anyway.
    pub fn tidy(&mut self, now: Instant) {
        self.told.retain(|_, at| now.since(*at) < NOTICE_PAUSE);
    }
}
