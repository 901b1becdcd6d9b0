//! The calls that one poll makes. Each has its own timeout and a bound on what it reads, so
//! that a bug which accepts and never answers costs a few seconds of its own poll and
//! nothing of anybody else's.

use crate::core::{Poll, Polled};
use crate::document::{DOCUMENT_BYTES_MAX, Document};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Wait for a ping's answer, connecting included: longer than any healthy bug takes, much
/// shorter than the poll.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Wait for each of the other calls.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of headers that are read.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an answer to ping or post that are read.
const STATUS_BYTES_MAX: usize = 4 * 1024;
/// Name lookups under way at once: a dead resolver holds a thread for each.
const LOOKUPS_MAX: usize = 8;

/// Makes calls.
#[derive(Clone)]
pub struct Caller {
    key: String,
    lookups: Arc<Semaphore>,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing came in time.
    #[error("no answer in {0:?}")]
    Silent(Duration),
    /// The name does not resolve.
    #[error("the name does not resolve")]
    Name,
    /// The connection failed.
    #[error("connecting failed: {0}")]
    Connect(#[from] std::io::Error),
    /// What came is not HTTP, or broke off.
    #[error("the answer broke: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    /// Not 200.
    #[error("answered {0}")]
    Status(StatusCode),
    /// Larger than the call's answer may be.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Caller {
    /// Calls that show this GRIDKEY, to bugs that answered a ping.
    pub fn new(key: String) -> Self {
        Self {
            key,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }

    /// Ping, post, bugs. Those after an unanswered ping are not made: the key is shown to
    /// nobody who is no bug.
    pub async fn poll(&self, poll: &Poll) -> Polled {
        let host = poll.host.as_str();
        let started = Instant::now();
        let ping = self
            .call(
                host,
                Method::GET,
                "/ping",
                None,
                STATUS_BYTES_MAX,
                PING_TIMEOUT,
            )
            .await;
        let ping_us = u32::try_from(started.elapsed().as_micros()).ok();
        match ping {
            Ok(body) if says_ok(&body) => {}
            Ok(_) => return silent(host, "the answer to /ping is not GridBug's"),
            Err(error) => return silent(host, &error.to_string()),
        }
        let mut posted = None;
        if let Some(document) = &poll.document {
            let result = self
                .call(
                    host,
                    Method::POST,
                    "/post",
                    Some(document),
                    STATUS_BYTES_MAX,
                    CALL_TIMEOUT,
                )
                .await;
            if let Err(error) = &result {
                tracing::debug!(%host, %error, "gridbug did not take our view");
            }
            posted = Some(result.is_ok());
        }
        let bugs = self
            .call(
                host,
                Method::GET,
                "/bugs",
                None,
                DOCUMENT_BYTES_MAX,
                CALL_TIMEOUT,
            )
            .await;
        let bugs = match bugs.map(|body| Document::read(&body)) {
            Ok(Ok(reading)) => Some(reading),
            Ok(Err(error)) => {
                tracing::debug!(%host, %error, "gridbug's view was not taken");
                None
            }
            Err(error) => {
                tracing::debug!(%host, %error, "gridbug gave no view");
                None
            }
        };
        Polled {
            ping_us,
            posted,
            bugs,
        }
    }

    async fn call(
        &self,
        host: &str,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        answer_bytes_max: usize,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let exchange = self.exchange(host, method, path, body, answer_bytes_max);
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or(Err(CallError::Silent(timeout)))
    }

    async fn exchange(
        &self,
        host: &str,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        answer_bytes_max: usize,
    ) -> Result<Bytes, CallError> {
        let stream = TcpStream::connect(self.lookup(host).await?.as_slice()).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEADER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(
                header::USER_AGENT,
                concat!("andon/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close");
        if body.is_some() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .header("key", self.key.as_str());
        }
        let body = Full::new(Bytes::copy_from_slice(body.unwrap_or_default()));
        let response = sender.send_request(request.body(body)?).await?;
        if response.status() != StatusCode::OK {
            return Err(CallError::Status(response.status()));
        }
        read_body(response.into_body(), answer_bytes_max).await
    }

    async fn lookup(&self, host: &str) -> Result<Vec<SocketAddr>, CallError> {
        if let Ok(address) = host.parse::<SocketAddr>() {
            return Ok(vec![address]);
        }
        let permit = self
            .lookups
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| CallError::Name)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let found = host
                .to_socket_addrs()
                .map(|all| all.take(2).collect::<Vec<_>>());
            drop(permit);
            found
        });
        match lookup.await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(CallError::Name),
        }
    }
}

async fn read_body(mut body: Incoming, bytes_max: usize) -> Result<Bytes, CallError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if read.len() + data.len() > bytes_max {
            return Err(CallError::TooLarge(bytes_max));
        }
        read.extend_from_slice(data);
    }
    Ok(read.freeze())
}

fn says_ok(body: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    value.is_some_and(|value| value.get("status").and_then(serde_json::Value::as_str) == Some("OK"))
}

fn silent(host: &str, why: &str) -> Polled {
    tracing::debug!(%host, why, "gridbug does not answer");
    Polled {
        ping_us: None,
        posted: None,
        bugs: None,
    }
}
