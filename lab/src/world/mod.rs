//! The lab on this machine: namespaces joined by cables, packet filters that are switched,
//! relays that delay, and the node processes. All it makes carries one name, so that all of it
//! can be found and removed, also by another process after a crash.

mod build;
mod checksum;
pub mod command;
pub mod netns;
pub mod nodes;
pub mod privilege;
mod relay;
mod relay_queue;
pub mod sweep;
pub mod switchboard;

pub use build::{Means, World, folder as build_folder};

use std::io;
use std::time::Duration;

/// Why the lab cannot do what a scenario asks.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A tool said no.
    #[error("`{command}` failed: {said}")]
    Command {
        /// The command line.
        command: String,
        /// What it printed to standard error, one line.
        said: String,
    },
    /// A tool is not installed.
    #[error("`{tool}` is not installed\n  install it (Debian: apt-get install {package})")]
    Missing {
        /// Its name.
        tool: String,
        /// What brings it.
        package: &'static str,
    },
    /// This user may not make networks.
    #[error(
        "the lab makes network namespaces, and this user may not: {why}\n  run it with sudo, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)"
    )]
    NotAllowed {
        /// The system's word.
        why: String,
    },
    /// The system said no.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's word.
        source: io::Error,
    },
    /// A node ended by itself.
    #[error("node {id} ended by itself: {said}")]
    NodeEnded {
        /// Which.
        id: String,
        /// The end of its log.
        said: String,
    },
    /// The nodes did not find each other.
    #[error("the grid was not well within {} s: {why}", .waited.as_secs())]
    NotWell {
        /// How long was waited.
        waited: Duration,
        /// What was missing.
        why: String,
    },
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
}

impl LabError {
    /// For `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| LabError::Io { what, source }
    }
}
