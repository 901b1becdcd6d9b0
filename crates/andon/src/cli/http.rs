//! Asks a running node over its API: one connection a question, everything bounded.

use super::url::NodeUrl;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Method;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Largest answer that is read; the picture of a thousand nodes is about a third.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Whom to believe over TLS. Nodes have certificates of their own and no authority signs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// This certificate only: SHA-256 of it.
    Pinned([u8; 32]),
    /// Any certificate.
    Anyone,
    /// None yet: the error tells the fingerprint, for the person to compare.
    Ask,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nobody answers there.
    #[error("cannot reach {node}: {reason}")]
    Unreachable {
        /// Who was asked.
        node: String,
        /// The system's word.
        reason: String,
    },
    /// It accepted and then said nothing.
    #[error("{node} accepted the connection and did not answer within {waited:?}")]
    Silent {
        /// Who was asked.
        node: String,
        /// For how long.
        waited: Duration,
    },
    /// The certificate is not the pinned one, or none is pinned.
    #[error("{node} shows the certificate {fingerprint}")]
    Certificate {
        /// Who was asked.
        node: String,
        /// SHA-256 of what it shows, hex.
        fingerprint: String,
    },
    /// It speaks something else.
    #[error("{node} does not answer as a node does: {reason}")]
    Protocol {
        /// Who was asked.
        node: String,
        /// What was odd.
        reason: String,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// What a node says of a request that it did not serve: its message, then its help.
    pub fn refusal(&self) -> (String, String) {
        #[derive(serde::Deserialize, Default)]
        struct Refusal {
            error: Words,
        }
        #[derive(serde::Deserialize, Default)]
        struct Words {
            message: String,
            help: String,
        }
        match serde_json::from_slice::<Refusal>(&self.body) {
            Ok(refusal) => (refusal.error.message, refusal.error.help),
            Err(_) => (
                format!("it answers {}", self.status),
                "is it an Andon node, of about this version?".to_owned(),
            ),
        }
    }
}

/// Where to ask, as whom, and whom to believe.
#[derive(Debug, Clone)]
pub struct Client {
    /// The node.
    pub url: NodeUrl,
    /// Bearer token.
    pub token: Option<String>,
    /// Over TLS.
    pub trust: Trust,
    /// For connecting and answering together.
    pub timeout: Duration,
}

impl Client {
    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a JSON document to a path.
    pub async fn post(
        &self,
        path: &str,
        document: &serde_json::Value,
    ) -> Result<Answer, HttpError> {
        self.send(Method::POST, path, Some(document)).await
    }

    /// Sends a JSON document to a path, and hears what is told before the answer: events and their
    /// data. Those called `answer` and `error` are the answer, as without a stream.
    pub async fn post_and_hear(
        &self,
        path: &str,
        document: &serde_json::Value,
        hear: &mut (dyn FnMut(&str, &[u8]) + Send),
    ) -> Result<Answer, HttpError> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .header("accept", "text/event-stream, application/json");
        let body = Bytes::from(document.to_string());
        self.send_within(request.body(Full::new(body)), hear).await
    }

    /// Sends events under a name: sent again under the same one, they are kept once.
    pub async fn send_bytes(
        &self,
        path: &str,
        body: Bytes,
        name: &str,
    ) -> Result<Answer, HttpError> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-ndjson")
            .header("idempotency-key", name);
        self.send_within(request.body(Full::new(body)), &mut unheard)
            .await
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.url.authority())
            .header("user-agent", concat!("andon/", env!("CARGO_PKG_VERSION")));
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        document: Option<&serde_json::Value>,
    ) -> Result<Answer, HttpError> {
        let mut request = self.request(method, path);
        if document.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = document.map_or_else(Bytes::new, |document| document.to_string().into());
        self.send_within(request.body(Full::new(body)), &mut unheard)
            .await
    }

    async fn send_within(
        &self,
        request: Result<hyper::Request<Full<Bytes>>, hyper::http::Error>,
        hear: &mut (dyn FnMut(&str, &[u8]) + Send),
    ) -> Result<Answer, HttpError> {
        let request = request.map_err(|error| self.odd(error.to_string()))?;
        match tokio::time::timeout(self.timeout, self.send_unbounded(request, hear)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Silent {
                node: self.url.to_string(),
                waited: self.timeout,
            }),
        }
    }

    async fn send_unbounded(
        &self,
        request: hyper::Request<Full<Bytes>>,
        hear: &mut (dyn FnMut(&str, &[u8]) + Send),
    ) -> Result<Answer, HttpError> {
        let node = self.url.to_string();
        let unreachable = |error: std::io::Error| HttpError::Unreachable {
            node: node.clone(),
            reason: reason(&error),
        };
        let stream = TcpStream::connect((self.url.host.as_str(), self.url.port))
            .await
            .map_err(unreachable)?;
        if !self.url.tls {
            return self.ask(stream, request, hear).await;
        }
        let seen = Arc::new(Mutex::new(None));
        let config = self.tls(Arc::clone(&seen))?;
        let name = ServerName::try_from(self.url.host.clone())
            .map_err(|error| self.odd(error.to_string()))?;
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        let refused = seen.lock().ok().and_then(|mut seen| seen.take());
        match (stream, refused) {
            (_, Some(fingerprint)) => Err(HttpError::Certificate {
                node,
                fingerprint: hex(&fingerprint),
            }),
            (Ok(stream), None) => self.ask(stream, request, hear).await,
            (Err(error), None) => Err(self.odd(error.to_string())),
        }
    }

    fn odd(&self, reason: String) -> HttpError {
        HttpError::Protocol {
            node: self.url.to_string(),
            reason,
        }
    }

    fn tls(
        &self,
        refused: Arc<Mutex<Option<[u8; 32]>>>,
    ) -> Result<rustls::ClientConfig, HttpError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = NodeVerifier {
            trust: self.trust.clone(),
            provider: Arc::clone(&provider),
            refused,
        };
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| self.odd(error.to_string()))?;
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }

    async fn ask<S>(
        &self,
        stream: S,
        request: hyper::Request<Full<Bytes>>,
        hear: &mut (dyn FnMut(&str, &[u8]) + Send),
    ) -> Result<Answer, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.odd(error.to_string()))?;
        let driver = tokio::spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| self.odd(error.to_string()));
        let result = match answer {
            Ok(answer) if is_stream(&answer) => self.heard(answer.into_body(), hear).await,
            Ok(answer) => {
                let status = answer.status().as_u16();
                let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                    .collect()
                    .await;
                body.map(|body| Answer {
                    status,
                    body: body.to_bytes(),
                })
                .map_err(|error| self.odd(error.to_string()))
            }
            Err(error) => Err(error),
        };
        driver.abort();
        result
    }

    /// Reads a stream up to its answer.
    async fn heard(
        &self,
        mut body: hyper::body::Incoming,
        hear: &mut (dyn FnMut(&str, &[u8]) + Send),
    ) -> Result<Answer, HttpError> {
        let mut held = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.odd(error.to_string()))?;
            let mut look = held.len().saturating_sub(1);
            held.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = held[look..].windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = held.drain(..look + end + 2).collect();
                look = 0;
                let (name, data) = event(&block);
                match name {
                    "answer" => {
                        return Ok(Answer {
                            status: 200,
                            body: Bytes::copy_from_slice(data),
                        });
                    }
                    "error" => {
                        let error = String::from_utf8_lossy(data);
                        return Ok(Answer {
                            status: 422,
                            body: format!("{{\"error\":{error}}}").into(),
                        });
                    }
                    name => hear(name, data),
                }
            }
            if held.len() > ANSWER_BYTES_MAX {
                return Err(self.odd("it says too much at once".to_owned()));
            }
        }
        Err(self.odd("it broke off before its answer".to_owned()))
    }
}

/// Nobody waits for anything but the answer.
fn unheard(_: &str, _: &[u8]) {}

fn is_stream(answer: &hyper::Response<hyper::body::Incoming>) -> bool {
    let kind = answer.headers().get("content-type");
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Name and data of a stream's event.
fn event(block: &[u8]) -> (&str, &[u8]) {
    let mut found = ("", &[][..]);
    for line in block.split(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"event: ") {
            found.0 = std::str::from_utf8(name).unwrap_or_default();
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            found.1 = data;
        }
    }
    found
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "nobody listens there".into(),
        _ => error.to_string(),
    }
}

/// SHA-256 in hex, 64 digits, as the picture writes fingerprints.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a fingerprint: 64 hexadecimal digits, colons and upper case forgiven.
pub fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err("a certificate's fingerprint has 64 hexadecimal digits".into());
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[index * 2..index * 2 + 2], 16)
            .map_err(|_| "a certificate's fingerprint has 64 hexadecimal digits")?;
    }
    Ok(bytes)
}

/// Believes by fingerprint. The handshake's signature is checked in each case: whoever shows
/// a certificate must also hold its key.
#[derive(Debug)]
struct NodeVerifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    refused: Arc<Mutex<Option<[u8; 32]>>>,
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: [u8; 32] = Sha256::digest(end_entity.as_ref()).into();
        let believed = match &self.trust {
            Trust::Pinned(pin) => *pin == shown,
            Trust::Anyone => true,
            Trust::Ask => false,
        };
        if believed {
            return Ok(ServerCertVerified::assertion());
        }
        if let Ok(mut refused) = self.refused.lock() {
            *refused = Some(shown);
        }
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
