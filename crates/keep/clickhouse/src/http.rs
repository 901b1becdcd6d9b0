//! One request to one server: bounded in time and size, over TCP or TLS.

use crate::error::{ClickHouseError, exception, one_line};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// For a connection and TLS.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: 100,000 groups of common size.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Bytes of the words of a refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    secure: bool,
    host: String,
    port: u16,
    user: String,
    password: String,
}

impl Server {
    /// Reads `http://user:password@host:8123`.
    pub fn parse(url: &str) -> Result<Self, ClickHouseError> {
        let wrong = |reason: &str| ClickHouseError::Address {
            // What is before an @ may be a password.
            url: one_line(url.rsplit('@').next().unwrap_or_default()),
            reason: reason.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("a path does not belong to it"));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let user = if user.is_empty() { "default" } else { user };
        let read =
            |text: &str| unpercent(text).ok_or_else(|| wrong("user or password is not UTF-8"));
        Ok(Self {
            secure,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if secure { 8443 } else { 8123 }),
            user: read(user)?,
            password: read(password)?,
        })
    }

    /// Host and port.
    pub fn label(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Sends a statement, or the rows of one in `body`, and reads what comes back.
    pub async fn send(
        &self,
        parameters: &[(&str, &str)],
        body: Bytes,
        time_max: Duration,
    ) -> Result<Bytes, ClickHouseError> {
        let path = format!("/?{}", encode(parameters));
        let exchange = async {
            let stream = self.connect().await?;
            if self.secure {
                let stream = self.secured(stream).await?;
                self.exchange(stream, &path, body).await
            } else {
                self.exchange(stream, &path, body).await
            }
        };
        match tokio::time::timeout(time_max, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(ClickHouseError::Silent {
                server: self.label(),
                waited: time_max,
            }),
        }
    }

    fn unreachable(&self, reason: impl fmt::Display) -> ClickHouseError {
        ClickHouseError::Unreachable {
            server: self.label(),
            reason: one_line(&reason.to_string()),
        }
    }

    fn broken(&self, reason: impl fmt::Display) -> ClickHouseError {
        ClickHouseError::Broken {
            server: self.label(),
            reason: one_line(&reason.to_string()),
        }
    }

    async fn connect(&self) -> Result<TcpStream, ClickHouseError> {
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let stream = match tokio::time::timeout(CONNECT_MAX, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(error)),
            Err(_) => return Err(self.unreachable("nobody takes the connection")),
        };
        // A statement is one write; waiting for more of it only costs time.
        stream.set_nodelay(true).ok();
        Ok(stream)
    }

    async fn secured(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClickHouseError> {
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| self.unreachable(error))?;
        let connector =
            tokio_rustls::TlsConnector::from(tls().map_err(|error| self.unreachable(error))?);
        match tokio::time::timeout(CONNECT_MAX, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(error)),
            Err(_) => Err(self.unreachable("TLS does not come about")),
        }
    }

    async fn exchange<S>(
        &self,
        stream: S,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClickHouseError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(error))?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::post(path)
            .header(header::HOST, self.label())
            .header(
                header::USER_AGENT,
                concat!("andon/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close")
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .body(Full::new(body))
            .map_err(|error| ClickHouseError::Address {
                url: self.label(),
                reason: error.to_string(),
            })?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| self.broken(error))?;
        let status = response.status();
        let bytes_max = if status.is_success() {
            ANSWER_BYTES_MAX
        } else {
            REFUSAL_BYTES_MAX
        };
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(error))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > bytes_max {
                    if status.is_success() {
                        let server = self.label();
                        return Err(ClickHouseError::TooLarge { server, bytes_max });
                    }
                    break;
                }
                bytes.extend_from_slice(data);
            }
        }
        if status.is_success() {
            return Ok(bytes.freeze());
        }
        let text = String::from_utf8_lossy(&bytes);
        let (code, message) = exception(&text)
            .unwrap_or_else(|| (0, format!("HTTP {}: {}", status.as_u16(), one_line(&text))));
        Err(ClickHouseError::Refused {
            server: self.label(),
            code,
            message,
        })
    }
}

/// Without the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}@{}", self.user, self.label())
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

fn encode(parameters: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in parameters {
        if !out.is_empty() {
            out.push('&');
        }
        percent(name, &mut out);
        out.push('=');
        percent(value, &mut out);
    }
    out
}

fn percent(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn unpercent(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_its_password_never_shown() {
        let server = Server::parse("https://andon:s%40crt@ch.example").unwrap();
        assert_eq!(server.label(), "ch.example:8443");
        assert_eq!(server.password, "s@crt");
        assert_eq!(format!("{server:?}"), "https://andon@ch.example:8443");
        assert_eq!(
            Server::parse("http://[::1]:9000").unwrap().label(),
            "[::1]:9000"
        );
        for wrong in [
            "ch:8123",
            "tcp://ch:9000",
            "http://ch/x",
            "http://",
            "",
            "http://u:secret@",
        ] {
            let error = Server::parse(wrong).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
