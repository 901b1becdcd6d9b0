//! Tokens for people and programs: a random secret that is shown once, and its hash in
//! `tokens.json`. The file is the whole truth, so that the command line can manage tokens
//! without a running node, and a running node follows.

use crate::access::Role;
use crate::base32::{hex, secret, sha256, unhex32};
use crate::file;
use andon_model::Timestamp;
use andon_model::id::{NameError, check_name};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Most tokens of one node. Doubled, each wrong credential would cost twice the comparisons.
pub const TOKENS_MAX: usize = 256;

/// Every token begins so, for scanners that look for leaked secrets.
pub const TOKEN_PREFIX: &str = "andon_";

const FILE_NAME: &str = "tokens.json";

/// Longest file that is read: [`TOKENS_MAX`] tokens take about 60 kB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why tokens could not be read or changed. The file is as it was in each case.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Another token has the name.
    #[error("a token named {0} exists")]
    Exists(String),
    /// There are [`TOKENS_MAX`] already.
    #[error("there are {TOKENS_MAX} tokens already; revoke some")]
    TooMany,
    /// The name cannot be used.
    #[error("the token's name is not usable: {0}")]
    Name(#[from] NameError),
    /// The file is no list of tokens.
    #[error("{} is no list of tokens: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        detail: String,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// What is known of a token. Its secret is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenInfo {
    /// Unique; letters, digits and `. _ -`.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// When it ends; `null` never.
    #[schema(value_type = Option<String>)]
    pub expires: Option<Timestamp>,
}

impl TokenInfo {
    /// Whether it has ended.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

/// A token just made: the only time that its secret is known.
#[derive(Debug)]
pub struct NewToken {
    /// `andon_` and 256 random bits in base 32.
    pub secret: Zeroizing<String>,
    /// The rest.
    pub info: TokenInfo,
}

/// A token as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredToken {
    #[serde(flatten)]
    pub(crate) info: TokenInfo,
    sha256: String,
}

impl StoredToken {
    /// SHA-256 of the secret; `None` if the file holds something else, which then matches nothing.
    pub(crate) fn hash(&self) -> Option<[u8; 32]> {
        unhex32(&self.sha256)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    tokens: Vec<StoredToken>,
}

/// The list of tokens in a data directory.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The list in this data directory; need not exist yet.
    pub fn at(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(FILE_NAME),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tokens, by name, ended ones included.
    pub fn list(&self) -> Result<Vec<TokenInfo>, TokenError> {
        Ok(self.read()?.into_iter().map(|token| token.info).collect())
    }

    /// Makes a token that ends after `life` (`None`: never).
    pub fn create(
        &self,
        name: &str,
        role: Role,
        life: Option<Duration>,
        now: Timestamp,
    ) -> Result<NewToken, TokenError> {
        check_name(name)?;
        let _alone = self.lock()?;
        let mut tokens = self.read()?;
        if tokens.iter().any(|token| token.info.name == name) {
            return Err(TokenError::Exists(name.to_owned()));
        }
        if tokens.len() >= TOKENS_MAX {
            return Err(TokenError::TooMany);
        }
        let secret = secret(TOKEN_PREFIX).map_err(TokenError::Randomness)?;
        let info = TokenInfo {
            name: name.to_owned(),
            role,
            created: now,
            expires: life.map(|life| now + life),
        };
        tokens.push(StoredToken {
            info: info.clone(),
            sha256: hex(&sha256(secret.as_bytes())),
        });
        tokens.sort_by(|one, other| one.info.name.cmp(&other.info.name));
        self.write(tokens)?;
        Ok(NewToken { secret, info })
    }

    /// Ends a token at once; says whether there was one of this name.
    pub fn revoke(&self, name: &str) -> Result<bool, TokenError> {
        let _alone = self.lock()?;
        let mut tokens = self.read()?;
        let before = tokens.len();
        tokens.retain(|token| token.info.name != name);
        if tokens.len() == before {
            return Ok(false);
        }
        self.write(tokens)?;
        Ok(true)
    }

    pub(crate) fn read(&self) -> Result<Vec<StoredToken>, TokenError> {
        let content = match fs::metadata(&self.path) {
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(self.malformed(format!("longer than {FILE_BYTES_MAX} bytes")));
            }
            Ok(_) => fs::read(&self.path).map_err(|source| self.file_error(source))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.file_error(source)),
        };
        let document: Document =
            serde_json::from_slice(&content).map_err(|error| self.malformed(error.to_string()))?;
        Ok(document.tokens)
    }

    /// Changes whenever the file or who may read it does; `None` while there is none.
    pub(crate) fn stamp(&self) -> Option<(u64, u64, i64, i64)> {
        let meta = fs::metadata(&self.path).ok()?;
        Some((meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
    }

    fn write(&self, tokens: Vec<StoredToken>) -> Result<(), TokenError> {
        let mut content = serde_json::to_vec_pretty(&Document { version: 1, tokens })
            .map_err(|error| self.malformed(error.to_string()))?;
        content.push(b'\n');
        file::replace(&self.path, &content).map_err(|source| self.file_error(source))
    }

    /// Keeps a second writer out (the node and the command line may both change the list).
    fn lock(&self) -> Result<File, TokenError> {
        let path = self.path.with_extension("lock");
        let lock = file::shared(&path, fs::OpenOptions::new().write(true).truncate(false));
        lock.and_then(|lock| lock.lock().map(|()| lock))
            .map_err(|source| TokenError::File { path, source })
    }

    fn malformed(&self, detail: String) -> TokenError {
        TokenError::Malformed {
            path: self.path.clone(),
            detail,
        }
    }

    fn file_error(&self, source: io::Error) -> TokenError {
        TokenError::File {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::chown;

    /// A user that owns nothing here.
    const SERVICE: u32 = 54_321;

    #[test]
    #[allow(clippy::print_stderr)] // says what was not tested
    fn what_root_makes_in_the_folder_of_a_service_belongs_to_the_service() {
        let dir = std::env::temp_dir().join(format!("andon-tokens-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        if chown(&dir, Some(SERVICE), Some(SERVICE)).is_err() {
            eprintln!("NOT TESTED: only root can give files away");
            fs::remove_dir_all(&dir).unwrap();
            return;
        }
        let elsewhere = dir.with_extension("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.join("tokens.lock")).unwrap();
        let tokens = TokenFile::at(&dir);
        let now = Timestamp(0);
        tokens.create("one", Role::Viewer, None, now).unwrap();
        let owner = |path: &Path| fs::metadata(path).unwrap().uid();
        assert_eq!(owner(&elsewhere), 0, "a link gives nothing away");
        fs::remove_file(dir.join("tokens.lock")).unwrap();
        tokens.create("two", Role::Viewer, None, now).unwrap();
        crate::AuditLog::open(&dir.join("audit.jsonl"), now).unwrap();
        for name in ["tokens.json", "tokens.lock", "audit.jsonl"] {
            assert_eq!(owner(&dir.join(name)), SERVICE, "{name}");
            let mode = fs::metadata(dir.join(name)).unwrap().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
        // Given to another by hand: it stays so.
        chown(tokens.path(), Some(SERVICE + 1), None).unwrap();
        assert!(tokens.revoke("one").unwrap());
        assert_eq!(owner(tokens.path()), SERVICE + 1);
        // Left by root, for whom alone it is readable: the next change mends it.
        chown(tokens.path(), Some(0), Some(0)).unwrap();
        assert!(tokens.revoke("two").unwrap());
        assert_eq!(owner(tokens.path()), SERVICE);
        fs::remove_dir_all(&dir).unwrap();
        fs::remove_file(elsewhere).unwrap();
    }
}
