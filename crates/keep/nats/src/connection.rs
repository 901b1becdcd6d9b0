//! One connection to a server. It has no task of its own: whoever holds it reads, and what the
//! server wants in between (PING) is answered while something is awaited.

use crate::error::{NatsError, one_line};
use crate::nkey::Credentials;
use crate::protocol::{self, Connect, Info, Message, Said};
use crate::settings::{Login, Server, Settings};
use bytes::BytesMut;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// For a connection, TLS, and the greeting, each.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// After so long without a word the server is asked whether it is there.
const QUIET_MAX: Duration = Duration::from_secs(20);
/// For the answer to that.
const PONG_MAX: Duration = Duration::from_secs(10);
/// Read at once.
const READ_BYTES: usize = 32 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A server that answered and took the login.
pub struct Connection {
    stream: Box<dyn Stream>,
    label: String,
    info: Info,
    read: BytesMut,
    out: BytesMut,
    /// Answers come here, with a number behind it.
    inbox: String,
    asked: u64,
    heard: Instant,
    is_pinged: bool,
}

impl Connection {
    /// Connects to the first server that answers.
    pub async fn open(settings: &Settings) -> Result<Self, NatsError> {
        let mut last = NatsError::Address {
            url: String::new(),
            reason: "no server is named".to_owned(),
        };
        for server in &settings.servers {
            match Self::to(server, settings).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn to(server: &Server, settings: &Settings) -> Result<Self, NatsError> {
        let label = server.label();
        let unreachable = |reason: String| NatsError::Unreachable {
            server: label.clone(),
            reason: one_line(&reason),
        };
        let connect = TcpStream::connect((server.host.as_str(), server.port));
        let tcp = match timeout(CONNECT_MAX, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("nobody takes the connection".to_owned())),
        };
        // A message is one write; waiting for more of it only costs time.
        tcp.set_nodelay(true).ok();
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|error| unreachable(error.to_string()))?;
        let tag: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut connection = Self {
            stream: Box::new(tcp),
            label: label.clone(),
            info: Info::default(),
            read: BytesMut::new(),
            out: BytesMut::new(),
            inbox: format!("_INBOX.andon-{tag}"),
            asked: 0,
            heard: Instant::now(),
            is_pinged: false,
        };
        match timeout(2 * CONNECT_MAX, connection.greet(server, settings)).await {
            Ok(Ok(())) => Ok(connection),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(unreachable("it does not greet as NATS does".to_owned())),
        }
    }

    async fn greet(&mut self, server: &Server, settings: &Settings) -> Result<(), NatsError> {
        match self.said().await? {
            Said::Info(info) => self.info = *info,
            other => return Err(self.odd(format!("{other:?} as its first word"))),
        }
        if server.secure || self.info.tls_required {
            self.secure(server).await?;
        }
        if !self.info.headers {
            return Err(self.odd("it knows no headers; 2.2 is the least".to_owned()));
        }
        let credentials = match &settings.credentials {
            None => None,
            Some(path) => {
                let unusable = |reason| NatsError::Credentials {
                    path: path.display().to_string(),
                    reason,
                };
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|error| unusable(error.to_string()))?;
                Some(Credentials::parse(&text).map_err(unusable)?)
            }
        };
        let mut connect = Connect {
            name: "andon",
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            protocol: 1,
            headers: true,
            no_responders: true,
            ..Connect::default()
        };
        match &server.login {
            Login::Nobody => {}
            Login::User { user, password } => {
                connect.user = Some(user);
                connect.pass = Some(password);
            }
            Login::Token(token) => connect.auth_token = Some(token),
        }
        let signed = credentials.as_ref().map(|key| key.sign(&self.info.nonce));
        if let (Some(credentials), Some(signed)) = (&credentials, &signed) {
            connect.jwt = Some(&credentials.jwt);
            connect.sig = Some(signed);
        }
        protocol::connect(&mut self.out, &connect);
        protocol::subscribe(&mut self.out, &format!("{}.*", self.inbox), 1);
        protocol::ping(&mut self.out);
        self.flush().await?;
        loop {
            match self.said().await? {
                Said::Pong => return Ok(()),
                Said::Ping => protocol::pong(&mut self.out),
                Said::Info(info) => self.info = *info,
                Said::Fine | Said::Message(_) => {}
                Said::Error(reason) => return Err(self.denied(&reason)),
            }
        }
    }

    async fn secure(&mut self, server: &Server) -> Result<(), NatsError> {
        let unreachable = |reason: String| NatsError::Unreachable {
            server: server.label(),
            reason: one_line(&reason),
        };
        let name = ServerName::try_from(server.host.clone());
        let name = name.map_err(|error| unreachable(error.to_string()))?;
        let config = tls().map_err(|error| unreachable(error.to_string()))?;
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let connector = tokio_rustls::TlsConnector::from(config);
        let secured = connector.connect(name, plain).await;
        self.stream = Box::new(secured.map_err(|error| unreachable(error.to_string()))?);
        Ok(())
    }

    /// What the server said when it greeted.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Host and port.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A subject on which answers come here, not used before.
    pub fn new_inbox(&mut self) -> String {
        self.asked += 1;
        format!("{}.{}", self.inbox, self.asked)
    }

    /// Sends a message; nobody says whether it arrives.
    pub async fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Result<(), NatsError> {
        protocol::publish(&mut self.out, subject, reply, headers, payload);
        self.flush().await
    }

    /// Sends a message and waits for what is answered to it. Whatever else comes is let go.
    pub async fn request(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
        time_max: Duration,
    ) -> Result<Message, NatsError> {
        let inbox = self.new_inbox();
        let answer = async {
            self.publish(subject, Some(&inbox), headers, payload)
                .await?;
            loop {
                let message = self.next().await?;
                if message.subject == inbox {
                    return Ok(message);
                }
            }
        };
        let answer = match timeout(time_max, answer).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(NatsError::Silent {
                    server: self.label.clone(),
                    waited: time_max,
                });
            }
        };
        match answer.status {
            Some(503) => Err(NatsError::Nobody {
                subject: subject.to_owned(),
            }),
            _ => Ok(answer),
        }
    }

    /// The next message. May be given up at any time without losing one. Fails where the server
    /// is silent for too long.
    pub async fn next(&mut self) -> Result<Message, NatsError> {
        loop {
            match self.said().await? {
                Said::Message(message) => return Ok(message),
                Said::Ping => {
                    protocol::pong(&mut self.out);
                    self.flush().await?;
                }
                Said::Info(info) => self.info = *info,
                Said::Pong | Said::Fine => {}
                Said::Error(reason) => return Err(self.denied(&reason)),
            }
        }
    }

    async fn said(&mut self) -> Result<Said, NatsError> {
        loop {
            // What was given up in the middle goes first.
            self.flush().await?;
            let said = protocol::decode(&mut self.read);
            if let Some(said) = said.map_err(|error| self.odd(error.to_string()))? {
                return Ok(said);
            }
            let patience = match self.is_pinged {
                false => QUIET_MAX,
                true => QUIET_MAX + PONG_MAX,
            };
            self.read.reserve(READ_BYTES);
            let reading = self.stream.read_buf(&mut self.read);
            match timeout_at(self.heard + patience, reading).await {
                Ok(Ok(0)) => return Err(self.gone("it hangs up")),
                Ok(Ok(_)) => (self.heard, self.is_pinged) = (Instant::now(), false),
                Ok(Err(error)) => return Err(self.gone(&error.to_string())),
                Err(_) if self.is_pinged => {
                    return Err(NatsError::Silent {
                        server: self.label.clone(),
                        waited: self.heard.elapsed(),
                    });
                }
                Err(_) => {
                    protocol::ping(&mut self.out);
                    self.is_pinged = true;
                }
            }
        }
    }

    async fn flush(&mut self) -> Result<(), NatsError> {
        if self.out.is_empty() {
            return Ok(());
        }
        while !self.out.is_empty() {
            let written = self.stream.write_buf(&mut self.out).await;
            match written {
                Ok(0) => return Err(self.gone("it takes nothing")),
                Ok(_) => {}
                Err(error) => return Err(self.gone(&error.to_string())),
            }
        }
        let flushed = self.stream.flush().await;
        flushed.map_err(|error| self.gone(&error.to_string()))
    }

    fn gone(&self, reason: &str) -> NatsError {
        NatsError::Gone {
            server: self.label.clone(),
            reason: one_line(reason),
        }
    }

    fn denied(&self, reason: &str) -> NatsError {
        NatsError::Denied {
            server: self.label.clone(),
            reason: one_line(reason),
        }
    }

    pub(crate) fn odd(&self, reason: String) -> NatsError {
        NatsError::Odd {
            server: self.label.clone(),
            reason: one_line(&reason),
        }
    }
}

/// The system's authorities, read once.
fn tls() -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}
