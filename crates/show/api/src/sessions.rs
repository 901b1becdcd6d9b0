//! Who is logged in, in a browser: a random secret in a cookie, its hash here. Lost when the
//! node stops, on purpose.

use crate::access::Role;
use crate::base32::{secret, sha256};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A working day and a night shift's overlap; then people log in again.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);

/// Most sessions at once. Beyond it the oldest ends.
const SESSIONS_MAX: usize = 256;

/// A logged-in person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) role: Role,
    /// The token that it was made with, and ends with; `None` after a one-time link.
    pub(crate) token: Option<String>,
    started: Instant,
}

/// All sessions, by the hash of their secret.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: BTreeMap<[u8; 32], Session>,
}

impl Sessions {
    /// Starts a session; returns the cookie's value.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        role: Role,
        token: Option<String>,
    ) -> Result<Zeroizing<String>, getrandom::Error> {
        let cookie = secret("")?;
        self.open
            .retain(|_, session| now.saturating_duration_since(session.started) < SESSION_LIFE);
        if self.open.len() >= SESSIONS_MAX {
            let oldest = self
                .open
                .iter()
                .min_by_key(|(_, session)| session.started)
                .map(|(hash, _)| *hash);
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        self.open.insert(
            sha256(cookie.as_bytes()),
            Session {
                role,
                token,
                started: now,
            },
        );
        Ok(cookie)
    }

    /// The session of a cookie.
    pub(crate) fn find(&self, now: Instant, cookie: &str) -> Option<&Session> {
        let session = self.open.get(&sha256(cookie.as_bytes()))?;
        (now.saturating_duration_since(session.started) < SESSION_LIFE).then_some(session)
    }

    /// Ends a session; says whether there was one.
    pub(crate) fn end(&mut self, cookie: &str) -> bool {
        self.open.remove(&sha256(cookie.as_bytes())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_time_by_logout_and_by_crowding() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.start(now, Role::Viewer, None).unwrap();
        assert_eq!(
            sessions.find(now, &first).map(|session| session.role),
            Some(Role::Viewer)
        );
        assert_eq!(sessions.find(now + SESSION_LIFE, &first), None);
        for _ in 0..SESSIONS_MAX {
            sessions
                .start(now + Duration::from_secs(1), Role::Admin, None)
                .unwrap();
        }
        assert_eq!(sessions.find(now, &first), None);
        assert_eq!(sessions.open.len(), SESSIONS_MAX);
        let last = sessions.start(now, Role::Admin, None).unwrap();
        assert!(sessions.end(&last) && !sessions.end(&last));
    }
}
