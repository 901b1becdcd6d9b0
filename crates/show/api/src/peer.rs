//! Asking another node: HTTPS with both certificates checked by fingerprint, a limit on the
//! time of every phase and on what is read. A peer that accepts and never answers costs some
//! seconds, once.

use crate::identity::TlsIdentity;
use crate::tls;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CONNECT_MAX: Duration = Duration::from_secs(2);
const HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// Time for an answer that is held in memory.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Names the person on whose behalf a node asks another.
pub(crate) const ASKED_BY: &str = "andon-asked-by";

/// Longest answer read: a link's detail is some tens of kilobytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why another node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nothing in time.
    #[error("{peer} gave no answer while {phase}")]
    Timeout {
        /// Whom.
        peer: SocketAddr,
        /// Doing what.
        phase: &'static str,
    },
    /// No connection.
    #[error("{peer} is not reached: {source}")]
    Connect {
        /// Whom.
        peer: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// Somebody else answers there.
    #[error("{peer} shows another certificate than its node's slice names")]
    Fingerprint {
        /// Whom.
        peer: SocketAddr,
    },
    /// TLS failed otherwise.
    #[error("{peer} does not agree on TLS: {source}")]
    Tls {
        /// Whom.
        peer: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// Our own certificate cannot be shown.
    #[error("our certificate cannot be used: {0}")]
    Own(#[from] rustls::Error),
    /// HTTP failed.
    #[error("{peer} broke off: {detail}")]
    Http {
        /// Whom.
        peer: SocketAddr,
        /// What broke.
        detail: String,
    },
    /// The answer is too long.
    #[error("{peer} answered more than {bytes_max} bytes")]
    TooLong {
        /// Whom.
        peer: SocketAddr,
        /// What was allowed.
        bytes_max: usize,
    },
}

impl PeerError {
    /// Whether the question may have been heard, so that asking again could do it twice.
    pub fn was_asked(&self) -> bool {
        match self {
            Self::Timeout { phase, .. } => *phase == ANSWERING,
            Self::Http { .. } | Self::TooLong { .. } => true,
            Self::Connect { .. } | Self::Fingerprint { .. } | Self::Tls { .. } | Self::Own(_) => {
                false
            }
        }
    }
}

/// The phase from which on a question may have been heard.
const ANSWERING: &str = "answering";

/// What is asked of another node.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// JSON; empty for none.
    pub(crate) body: Bytes,
    /// The person behind the question.
    pub(crate) asked_by: Option<&'a str>,
    /// Time for the answer.
    pub(crate) limit: Duration,
    /// Bytes of the answer at most.
    pub(crate) bytes_max: usize,
}

impl<'a> Question<'a> {
    /// To be shown something.
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Bytes::new(),
            asked_by: None,
            limit: ANSWER_MAX,
            bytes_max: ANSWER_BYTES_MAX,
        }
    }
}

/// Asks other nodes.
#[derive(Debug, Clone)]
pub struct PeerClient {
    identity: Arc<TlsIdentity>,
    provider: Arc<CryptoProvider>,
}

impl PeerClient {
    /// Shows this identity to others.
    pub fn new(identity: &TlsIdentity) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        tls::client(&provider, identity, [0; 32])?;
        Ok(Self {
            identity: Arc::new(identity.clone()),
            provider,
        })
    }

    /// `GET https://peer/path` from the node whose certificate has this fingerprint.
    /// Returns status and body, at most a megabyte.
    pub async fn get(
        &self,
        peer: SocketAddr,
        fingerprint: [u8; 32],
        path: &str,
    ) -> Result<(StatusCode, Bytes), PeerError> {
        self.ask(peer, fingerprint, &Question::get(path)).await
    }

    /// Sends bytes to a path; see [`PeerClient::get`].
    pub async fn post(
        &self,
        peer: SocketAddr,
        fingerprint: [u8; 32],
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), PeerError> {
        let question = Question {
            method: Method::POST,
            path,
            body,
            asked_by: None,
            limit,
            bytes_max: ANSWER_BYTES_MAX,
        };
        self.ask(peer, fingerprint, &question).await
    }

    /// Any question; see [`PeerClient::get`].
    pub(crate) async fn ask(
        &self,
        peer: SocketAddr,
        fingerprint: [u8; 32],
        question: &Question<'_>,
    ) -> Result<(StatusCode, Bytes), PeerError> {
        let stream = self.meet(peer, fingerprint).await?;
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(question.path)
            .header(header::HOST, peer.to_string());
        if !question.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(who) = question.asked_by {
            request = request.header(ASKED_BY, who);
        }
        let request = request
            .body(Full::new(question.body.clone()))
            .map_err(|error| PeerError::Http {
                peer,
                detail: error.to_string(),
            })?;
        let (status, _, body) =
            exchange_up_to(peer, stream, request, question.limit, question.bytes_max).await?;
        Ok((status, body))
    }

    /// `GET` of what goes on and on: status, and the pieces of the body as they come.
    pub(crate) async fn listen(
        &self,
        peer: SocketAddr,
        fingerprint: [u8; 32],
        path: &str,
    ) -> Result<(StatusCode, Heard), PeerError> {
        let broken = |detail: String| PeerError::Http { peer, detail };
        let stream = self.meet(peer, fingerprint).await?;
        let request = Request::get(path)
            .header(header::HOST, peer.to_string())
            .body(Full::new(Bytes::new()))
            .map_err(|error| broken(error.to_string()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let driver = AbortOnDrop(tokio::spawn(connection).abort_handle());
        let response = within(peer, ANSWERING, ANSWER_MAX, sender.send_request(request))
            .await?
            .map_err(|error| broken(error.to_string()))?;
        let (head, body) = response.into_parts();
        Ok((
            head.status,
            Heard {
                body,
                _driver: driver,
            },
        ))
    }

    async fn meet(
        &self,
        peer: SocketAddr,
        fingerprint: [u8; 32],
    ) -> Result<TlsStream<TcpStream>, PeerError> {
        let config = tls::client(&self.provider, &self.identity, fingerprint)?;
        let stream = connect(peer).await?;
        let name = ServerName::IpAddress(peer.ip().into());
        let handshake = TlsConnector::from(config).connect(name, stream);
        within(peer, "agreeing on TLS", HANDSHAKE_MAX, handshake)
            .await?
            .map_err(|source| {
                let inner = source
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<rustls::Error>());
                match inner {
                    Some(rustls::Error::InvalidCertificate(_)) => PeerError::Fingerprint { peer },
                    _ => PeerError::Tls { peer, source },
                }
            })
    }
}

/// An answer that goes on. Dropped, its connection is closed.
pub(crate) struct Heard {
    body: Incoming,
    _driver: AbortOnDrop,
}

impl Heard {
    /// The next piece; none at the end, and where the connection breaks.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.body.frame().await?.ok()?;
            if let Ok(piece) = frame.into_data() {
                return Some(piece);
            }
        }
    }
}

pub(crate) async fn connect(peer: SocketAddr) -> Result<TcpStream, PeerError> {
    let stream = within(peer, "connecting", CONNECT_MAX, TcpStream::connect(peer)).await?;
    let stream = stream.map_err(|source| PeerError::Connect { peer, source })?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// One request and its answer on a fresh connection: status, media type, body.
pub(crate) async fn exchange<S>(
    peer: SocketAddr,
    stream: S,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<(StatusCode, Option<String>, Bytes), PeerError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    exchange_up_to(peer, stream, request, limit, ANSWER_BYTES_MAX).await
}

/// The same with an answer of another length at most.
async fn exchange_up_to<S>(
    peer: SocketAddr,
    stream: S,
    request: Request<Full<Bytes>>,
    limit: Duration,
    bytes_max: usize,
) -> Result<(StatusCode, Option<String>, Bytes), PeerError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| PeerError::Http {
        peer,
        detail: error.to_string(),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let _driver = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let talk = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let media_type = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = media_type.map(str::to_owned);
        let body = Limited::new(response.into_body(), bytes_max)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    PeerError::TooLong { peer, bytes_max }
                } else {
                    PeerError::Http {
                        peer,
                        detail: error.to_string(),
                    }
                }
            })?;
        Ok((status, media_type, body.to_bytes()))
    };
    within(peer, ANSWERING, limit, talk).await?
}

async fn within<F: Future>(
    peer: SocketAddr,
    phase: &'static str,
    limit: Duration,
    work: F,
) -> Result<F::Output, PeerError> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| PeerError::Timeout { peer, phase })
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
