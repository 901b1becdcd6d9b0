//! Which running node a command asks, and as whom: the flags that `status`, `trace` and
//! `incident` share, and what is said when the node cannot be asked.

use super::http::{Client, HttpError, Trust, fingerprint};
use super::url::NodeUrl;
use std::time::Duration;

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
