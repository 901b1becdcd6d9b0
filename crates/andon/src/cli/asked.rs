//! Which running node a command asks, and as whom: the flags that `status`, `trace` and
//! `incident` share, and what is said when the node cannot be asked.

use super::flags::PlaceFlags;
use super::http::{Answer, Client, HttpError, Trust, fingerprint};
use super::token;
use super::url::NodeUrl;
use andon_api::audit::AUDIT_FILE;
use andon_api::{Role, TokenFile};
use std::time::Duration;

/// Life of a borrowed token, should the command be killed before it ends it.
const BORROWED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The node to ask, and how to be let in.
#[derive(Debug, Clone, clap::Args)]
pub struct AskedNode {
    /// The node to ask
    #[arg(long, value_name = "URL", env = "ANDON_NODE", default_value = "http://127.0.0.1:8777", value_parser = NodeUrl::parse)]
    node: NodeUrl,
    /// Token, needed from another machine and to change anything (`andon token create`)
    #[arg(
        long,
        value_name = "TOKEN",
        env = "ANDON_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// SHA-256 of the node's certificate, for https
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    fingerprint: Option<[u8; 32]>,
    /// Believe any certificate: whoever sits between reads the token
    #[arg(long, conflicts_with = "fingerprint")]
    insecure: bool,
}

impl AskedNode {
    /// A client for it; `timeout` bounds each question.
    pub fn client(&self, timeout: Duration) -> Client {
        Client {
            url: self.node.clone(),
            token: self.token.clone(),
            trust: match (self.fingerprint, self.insecure) {
                (Some(pin), _) => Trust::Pinned(pin),
                (None, true) => Trust::Anyone,
                (None, false) => Trust::Ask,
            },
            timeout,
        }
    }
}

/// Asks as somebody who may act. Whoever has no token but may write the node's files could make
/// one there: then it is made here, recorded like any other, and ended afterwards.
pub struct Pass {
    client: Client,
    place: PlaceFlags,
    borrowed: Option<Borrowed>,
}

/// A token made for this command.
struct Borrowed {
    file: TokenFile,
    name: String,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // Rights only shrink: it ends even if that cannot be recorded.
        let _ = token::record(
            &self.file,
            "token.revoke",
            &self.name,
            "its command is over".into(),
        );
        let _ = self.file.revoke(&self.name);
    }
}

impl Pass {
    /// `place` says where the node's files are.
    pub fn new(client: Client, place: PlaceFlags) -> Self {
        Self {
            client,
            place,
            borrowed: None,
        }
    }

    /// Asks; if that is not allowed and no token was given, once more with a borrowed one.
    pub async fn act(
        &mut self,
        ask: impl AsyncFn(&Client) -> Result<Answer, HttpError>,
    ) -> Result<Answer, HttpError> {
        let answer = ask(&self.client).await?;
        if !matches!(answer.status, 401 | 403) || self.client.token.is_some() {
            return Ok(answer);
        }
        let Some((borrowed, secret)) = self.borrow() else {
            return Ok(answer);
        };
        self.client.token = Some(secret);
        let again = ask(&self.client).await?;
        if again.status == 401 {
            // The files are those of another node.
            self.client.token = None;
            return Ok(answer);
        }
        self.borrowed = Some(borrowed);
        Ok(again)
    }

    fn borrow(&self) -> Option<(Borrowed, String)> {
        let is_here = self.client.url.host == "localhost"
            || self
                .client
                .url
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        let dir = self.place.data_dir().ok()?;
        if !is_here || !dir.join(AUDIT_FILE).is_file() {
            return None;
        }
        let file = TokenFile::at(&dir);
        let name = format!("cli-{}", std::process::id());
        token::record(
            &file,
            "token.create",
            &name,
            "operator, for one command".into(),
        )
        .ok()?;
        let made = file
            .create(&name, Role::Operator, Some(BORROWED_FOR), token::now())
            .ok()?;
        let secret = made.secret.to_string();
        Some((Borrowed { file, name }, secret))
    }
}

/// Why there is no answer and what to do about it.
pub fn told(error: &HttpError) -> String {
    let help = match error {
        HttpError::Unreachable { .. } => {
            "is the node running, and does it listen there? name another with --node URL".to_owned()
        }
        HttpError::Silent { .. } => {
            "the node is frozen or overloaded; look at its log, or ask another with --node URL"
                .to_owned()
        }
        HttpError::Certificate { fingerprint, .. } => format!(
            "compare it with the fingerprint on that node's panel, then: --fingerprint {fingerprint}"
        ),
        HttpError::Protocol { .. } => {
            "is it an Andon node? http:// is for the machine itself, https:// for others".to_owned()
        }
    };
    format!("{error}\n  {help}")
}
