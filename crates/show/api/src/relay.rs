//! Asking another node of the grid: at the addresses that the grid really uses, then at those
//! that the node publishes; over TLS with its certificate pinned; a bounded number at once.

use crate::base32::unhex32;
use crate::error::ApiError;
use crate::peer::{Heard, Question};
use crate::shared::Shared;
use crate::sources::ApiCommand;
use andon_model::id::to_plain_text;
use andon_model::{NodeView, Reach};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::oneshot;

/// Addresses of a node that are tried, best first. Each may cost two seconds.
const ADDRESSES_MAX: usize = 3;

/// Time that the grid is given to say where it reaches a node; it holds that in memory.
const ADDRESSES_WAIT: Duration = Duration::from_millis(500);

/// Longest words of another node that are passed on.
const WORDS_BYTES_MAX: usize = 300;

/// What another node answered to `question`.
pub(crate) async fn ask(
    shared: &Shared,
    node: &NodeView,
    question: &Question<'_>,
) -> Result<(StatusCode, Bytes), ApiError> {
    let _place = shared.relays.try_acquire().map_err(|_| {
        ApiError::unavailable(
            "too many questions to other nodes are on their way",
            "try again",
        )
    })?;
    ask_in_place(shared, node, question).await
}

/// The same for who has a place already.
pub(crate) async fn ask_in_place(
    shared: &Shared,
    node: &NodeView,
    question: &Question<'_>,
) -> Result<(StatusCode, Bytes), ApiError> {
    let (fingerprint, addresses) = reached(shared, node).await?;
    let mut reason = String::new();
    for address in addresses {
        match shared.peers.ask(address, fingerprint, question).await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                reason = format!("{}: {error}", node.id);
                if error.was_asked() {
                    break;
                }
            }
        }
    }
    Err(failed(
        shared,
        reason,
        "ask it on its own machine, or at its own console",
    ))
}

/// Listens to what another node tells at `path` and goes on telling.
pub(crate) async fn listen(
    shared: &Shared,
    node: &NodeView,
    path: &str,
) -> Result<(StatusCode, Heard), ApiError> {
    let (fingerprint, addresses) = reached(shared, node).await?;
    let mut reason = String::new();
    for address in addresses {
        match shared.peers.listen(address, fingerprint, path).await {
            Ok(heard) => return Ok(heard),
            Err(error) => reason = format!("{}: {error}", node.id),
        }
    }
    Err(failed(shared, reason, "watch at that node itself"))
}

fn failed(shared: &Shared, message: String, help: &'static str) -> ApiError {
    shared.counters.relays_failed.count();
    ApiError::new(StatusCode::BAD_GATEWAY, "observer", message, help)
}

/// A node's certificate and where to try it.
async fn reached(
    shared: &Shared,
    node: &NodeView,
) -> Result<([u8; 32], Vec<SocketAddr>), ApiError> {
    let failed = |message, help| failed(shared, message, help);
    let fingerprint = node.fingerprint.as_deref().and_then(unhex32);
    let fingerprint = fingerprint.ok_or_else(|| {
        failed(
            format!("{} publishes no certificate", node.id),
            "ask it on its own machine",
        )
    })?;
    let addresses = addresses(shared, node).await;
    if addresses.is_empty() {
        let reason = match node.reach {
            Some(Reach::Outbound) => "it opens its connections itself, and nobody can call it",
            _ => "no address of it is known",
        };
        return Err(failed(
            format!("{} cannot be asked from here: {reason}", node.id),
            "ask it on its own machine, or at its own console",
        ));
    }
    Ok((fingerprint, addresses))
}

/// Where to try: what the grid uses first, since *via* addresses and NAT are in it.
async fn addresses(shared: &Shared, node: &NodeView) -> Vec<SocketAddr> {
    let (reply, answer) = oneshot::channel();
    let of = node.id.clone();
    let asked = shared
        .commands
        .try_send(ApiCommand::Addresses { of, reply });
    let mut addresses = Vec::new();
    if asked.is_ok()
        && let Ok(Ok(used)) = tokio::time::timeout(ADDRESSES_WAIT, answer).await
    {
        addresses = used;
    }
    let published = node.addresses.iter();
    for address in published.filter_map(|address| address.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// What a node says of a question that it did not answer, in its own words, made safe.
pub(crate) fn refusal(node: &NodeView, status: StatusCode, body: &[u8]) -> ApiError {
    #[derive(Deserialize, Default)]
    struct Refusal {
        error: Words,
    }
    #[derive(Deserialize, Default)]
    struct Words {
        message: String,
        help: String,
    }
    let words = serde_json::from_slice::<Refusal>(body)
        .unwrap_or_default()
        .error;
    let passed_on = matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::INSUFFICIENT_STORAGE
    );
    let message = match words.message.as_str() {
        "" => format!("{} answered {status}", node.id),
        said => format!("{} says: {}", node.id, to_plain_text(said, WORDS_BYTES_MAX)),
    };
    let status = if passed_on {
        status
    } else {
        StatusCode::BAD_GATEWAY
    };
    ApiError::new(
        status,
        "far_node",
        message,
        to_plain_text(&words.help, WORDS_BYTES_MAX),
    )
}
