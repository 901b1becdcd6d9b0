//! Who may do what: roles, and the three ways to prove one (token, session, one-time link).
//! Nodes prove theirs by certificate (see `gate`).

use crate::base32::{secret, sha256};
use crate::sessions::Sessions;
use crate::throttle::Throttle;
use crate::tokens::{StoredToken, TokenError, TokenFile};
use andon_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A one-time link is pasted at once or not at all.
const LINK_LIFE: Duration = Duration::from_secs(15 * 60);

/// Links that may be open at once; the oldest ends.
const LINKS_MAX: usize = 8;

/// How often the token file is looked at: a revoked token works no longer than this.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the file is looked at for a token that is not known: one that was just made works
/// at once. A look is one call of the system.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Longest credential looked at; ours have 58 characters.
const CREDENTIAL_BYTES_MAX: usize = 128;

/// What somebody may do. Each role may do what those before it may, but for
/// [`Role::Ingest`], whose events the others but the viewer may send too.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends events, sees nothing: for agents and applications.
    Ingest,
    /// Sees everything, changes nothing.
    Viewer,
    /// Acts on the grid.
    Operator,
    /// Gives and takes rights.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Ingest => "ingest",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        })
    }
}

impl std::str::FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "ingest" => Ok(Role::Ingest),
            "viewer" => Ok(Role::Viewer),
            "operator" => Ok(Role::Operator),
            "admin" => Ok(Role::Admin),
            other => Err(RoleError(other.chars().take(32).collect())),
        }
    }
}

/// A text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no role is called {0:?}; roles are ingest, viewer, operator, admin")]
pub struct RoleError(String);

/// A right credential: whose, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) role: Role,
    /// The token's name, or `first-link`.
    pub(crate) who: String,
    /// The token behind it, if any.
    pub(crate) token: Option<String>,
}

/// A wrong credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It is wrong, used up or ended.
    Wrong,
    /// It is wrong, and so were too many before it from the same source.
    TooMany,
}

#[derive(Debug, Default)]
struct State {
    stamp: Option<(u64, u64, i64, i64)>,
    looked: Option<Instant>,
    tokens: Vec<StoredToken>,
    links: Vec<([u8; 32], Instant)>,
    sessions: Sessions,
    throttle: Throttle,
}

/// Tokens, sessions and one-time links of one node.
#[derive(Debug)]
pub struct Access {
    file: TokenFile,
    state: Mutex<State>,
}

impl Access {
    /// Reads the tokens in `data_dir`; there need not be any. A list that cannot be read is told
    /// and counts as empty until it can: a node watches also while nobody from outside may look.
    pub fn open(data_dir: &Path) -> Self {
        let file = TokenFile::at(data_dir);
        let stamp = file.stamp();
        let tokens = file.read().unwrap_or_else(|error| {
            tracing::error!(%error, "no token is known, since their list cannot be read; make it readable for this user, it is then read without a restart");
            Vec::new()
        });
        let state = State {
            tokens,
            stamp,
            looked: Some(Instant::now()),
            ..State::default()
        };
        Self {
            file,
            state: Mutex::new(state),
        }
    }

    /// The list of tokens on disk.
    pub fn tokens(&self) -> &TokenFile {
        &self.file
    }

    /// A secret that makes its first user an admin, once, within 15 minutes. To be shown as
    /// `https://host:8777/login#<secret>`.
    pub fn first_link(&self) -> Result<Zeroizing<String>, TokenError> {
        let secret = secret("").map_err(TokenError::Randomness)?;
        let mut state = self.lock();
        if state.links.len() >= LINKS_MAX {
            state.links.remove(0);
        }
        state
            .links
            .push((sha256(secret.as_bytes()), Instant::now()));
        Ok(secret)
    }

    /// Whether nobody holds a token yet, which is when a first link is worth printing. Of a list
    /// that cannot be read that is not known.
    pub fn is_new(&self) -> bool {
        self.file.list().is_ok_and(|tokens| tokens.is_empty())
    }

    /// Judges a token.
    pub(crate) fn bearer(&self, credential: &str, source: IpAddr) -> Result<Grant, Denied> {
        let mut state = self.lock();
        match self.token(&mut state, credential) {
            Some(grant) => Ok(grant),
            None => Err(state.deny(source)),
        }
    }

    /// Judges a token or a one-time link, which is used up; starts a session.
    /// Returns the cookie's value.
    pub(crate) fn log_in(
        &self,
        credential: &str,
        source: IpAddr,
    ) -> Result<(Grant, Zeroizing<String>), Denied> {
        let mut state = self.lock();
        let grant = match self.token(&mut state, credential) {
            Some(grant) => grant,
            None if state.use_link(credential) => Grant {
                role: Role::Admin,
                who: "first-link".to_owned(),
                token: None,
            },
            None => return Err(state.deny(source)),
        };
        let cookie = state
            .sessions
            .start(Instant::now(), grant.role, grant.token.clone())
            .map_err(|_| Denied::Wrong)?;
        Ok((grant, cookie))
    }

    /// Whose token it is; looks once more before it says that it is nobody's.
    fn token(&self, state: &mut State, credential: &str) -> Option<Grant> {
        self.refresh(state, LOOK_EVERY);
        state.token(credential, now()).or_else(|| {
            self.refresh(state, LOOK_AGAIN);
            state.token(credential, now())
        })
    }

    /// Whose session a cookie is. It ends with the token that it was made with.
    pub(crate) fn session(&self, cookie: &str) -> Option<Grant> {
        if cookie.len() > CREDENTIAL_BYTES_MAX {
            return None;
        }
        let mut state = self.lock();
        self.refresh(&mut state, LOOK_EVERY);
        let session = state.sessions.find(Instant::now(), cookie)?.clone();
        let Some(name) = session.token else {
            return Some(Grant {
                role: session.role,
                who: "first-link".to_owned(),
                token: None,
            });
        };
        let now = now();
        let token = state
            .tokens
            .iter()
            .find(|token| token.info.name == name && !token.info.expired(now))?;
        Some(Grant {
            role: token.info.role.min(session.role),
            who: name.clone(),
            token: Some(name),
        })
    }

    /// Ends a session; says whether there was one.
    pub(crate) fn log_out(&self, cookie: &str) -> bool {
        self.lock().sessions.end(cookie)
    }

    /// Follows the token file, now rather than at the next look.
    pub(crate) fn reload(&self) {
        let mut state = self.lock();
        self.refresh(&mut state, Duration::ZERO);
    }

    /// Reads the file again if it changed and was not looked at within `every`. An unreadable file keeps the tokens known so far,
    /// so that a slip of an editor locks nobody out; a missing file means no tokens.
    fn refresh(&self, state: &mut State, every: Duration) {
        if state.looked.is_some_and(|looked| looked.elapsed() < every) {
            return;
        }
        state.looked = Some(Instant::now());
        let stamp = self.file.stamp();
        if stamp == state.stamp {
            return;
        }
        match self.file.read() {
            Ok(tokens) => (state.tokens, state.stamp) = (tokens, stamp),
            Err(error) => {
                tracing::error!(%error, "tokens not re-read, those known so far stay in force");
                state.stamp = stamp;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Looks at every token whichever matches, so that time tells nothing.
    fn token(&self, credential: &str, now: Timestamp) -> Option<Grant> {
        if credential.len() > CREDENTIAL_BYTES_MAX {
            return None;
        }
        let hash = sha256(credential.as_bytes());
        let mut found = None;
        for token in &self.tokens {
            let same = token
                .hash()
                .is_some_and(|kept| bool::from(kept.ct_eq(&hash)));
            if same && !token.info.expired(now) {
                found = Some(token);
            }
        }
        found.map(|token| Grant {
            role: token.info.role,
            who: token.info.name.clone(),
            token: Some(token.info.name.clone()),
        })
    }

    fn use_link(&mut self, credential: &str) -> bool {
        if credential.len() > CREDENTIAL_BYTES_MAX {
            return false;
        }
        self.links.retain(|(_, made)| made.elapsed() < LINK_LIFE);
        let hash = sha256(credential.as_bytes());
        let before = self.links.len();
        self.links
            .retain(|(kept, _)| !bool::from(kept.ct_eq(&hash)));
        self.links.len() < before
    }

    fn deny(&mut self, source: IpAddr) -> Denied {
        if self.throttle.fail(Instant::now(), source) {
            Denied::Wrong
        } else {
            Denied::TooMany
        }
    }
}

/// UTC.
pub(crate) fn now() -> Timestamp {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_made_by_the_command_line_works_at_once() {
        let dir = std::env::temp_dir().join(format!("andon-access-new-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        let access = Access::open(&dir);
        let here = IpAddr::from([127, 0, 0, 1]);
        for name in ["ann", "bob"] {
            // The list was looked at just now, and yet:
            assert_eq!(access.bearer("andon_wrong", here), Err(Denied::Wrong));
            let made = TokenFile::at(&dir).create(name, Role::Viewer, None, now());
            std::thread::sleep(LOOK_AGAIN);
            let secret = made.unwrap().secret;
            assert_eq!(access.bearer(&secret, here).unwrap().who, name);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_list_that_cannot_be_read_lets_nobody_in_and_is_read_once_it_can() {
        let dir = std::env::temp_dir().join(format!("andon-access-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        let made = TokenFile::at(&dir).create("ann", Role::Admin, None, now());
        let secret = made.unwrap().secret;
        let path = dir.join("tokens.json");
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        let access = Access::open(&dir);
        let here = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(access.bearer(&secret, here), Err(Denied::Wrong));
        assert!(!access.is_new(), "no link that makes an admin is shown");
        std::fs::write(&path, &good).unwrap();
        access.reload();
        assert_eq!(access.bearer(&secret, here).unwrap().who, "ann");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
