//! Connections out: TCP, then TLS where it is wanted, each within its time and the whole
//! within a number of bytes.

use super::{Limits, Ways};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Bytes that one exchange reads: the answer is bounded by its reader, this bounds also
/// certificates, headers and lines without an end.
const READ_BYTES_MAX: usize = 512 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name cannot be resolved, or nobody listens.
    #[error("cannot connect to {at}: {source}")]
    Connect {
        /// Where.
        at: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// No connection in time.
    #[error("no connection to {at} within {waited:?}")]
    ConnectTimeout {
        /// Where.
        at: String,
        /// For how long.
        waited: Duration,
    },
    /// It does not shake hands, or shows a certificate that is not trusted.
    #[error("TLS with {at}: {source}")]
    Tls {
        /// Where.
        at: String,
        /// What rustls said.
        source: std::io::Error,
    },
    /// No handshake in time.
    #[error("no TLS handshake with {at} within {waited:?}")]
    TlsTimeout {
        /// Where.
        at: String,
        /// For how long.
        waited: Duration,
    },
    /// There is nothing to check a certificate with.
    #[error("TLS cannot be set up: {reason}")]
    Setup {
        /// Why.
        reason: String,
    },
}

/// Which authorities are trusted: the machine's, read when first needed.
pub struct Trust {
    machine: OnceCell<Vec<CertificateDer<'static>>>,
}

impl Trust {
    /// The machine's own.
    pub fn of_this_machine() -> Self {
        Self {
            machine: OnceCell::new(),
        }
    }

    /// The machine's authorities and further ones. Read beside the other tasks: the machine's
    /// are a few hundred kilobytes of files.
    pub async fn certificates(
        &self,
        authorities: &[Vec<u8>],
    ) -> Result<Vec<CertificateDer<'static>>, DialError> {
        let read = || async {
            let reading = tokio::task::spawn_blocking(|| {
                let mut store = RootCertStore::empty();
                let mut certificates = rustls_native_certs::load_native_certs().certs;
                certificates.retain(|certificate| store.add(certificate.clone()).is_ok());
                certificates
            });
            reading.await.unwrap_or_default()
        };
        let mut all = self.machine.get_or_init(read).await.clone();
        for pem in authorities {
            all.extend(authorities_of(pem)?);
        }
        Ok(all)
    }

    async fn config(&self, authorities: &[Vec<u8>]) -> Result<ClientConfig, DialError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.certificates(authorities).await?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

/// The certificates of a PEM file.
pub fn authorities_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, DialError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| setup(format!("authorities: {error:?}")))?;
    if certificates.is_empty() {
        return Err(setup("the file of authorities holds no certificate".into()));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let added = store.add(certificate.clone());
        added.map_err(|error| setup(format!("authorities: {error}")))?;
    }
    Ok(certificates)
}

fn setup(reason: String) -> DialError {
    DialError::Setup { reason }
}

/// A stream that ends after [`READ_BYTES_MAX`] bytes.
#[derive(Debug)]
pub struct Bounded<S> {
    inner: S,
    left: usize,
}

/// A bounded TCP connection.
pub type Plain = Bounded<TcpStream>;
/// TLS over one.
pub type Secure = TlsStream<Plain>;

/// Connects.
pub async fn tcp(host: &str, port: u16, limits: Limits) -> Result<Plain, DialError> {
    let (at, waited) = (format!("{host}:{port}"), limits.connect);
    let connecting = tokio::time::timeout(waited, TcpStream::connect((host, port)));
    match connecting.await {
        Ok(Ok(inner)) => Ok(Bounded {
            inner,
            left: READ_BYTES_MAX,
        }),
        Ok(Err(source)) => Err(DialError::Connect { at, source }),
        Err(_) => Err(DialError::ConnectTimeout { at, waited }),
    }
}

/// Shakes hands and checks the certificate against the trusted authorities.
pub async fn tls(stream: Plain, host: &str, ways: &Ways<'_>) -> Result<Secure, DialError> {
    let config = ways.trust.config(ways.authorities).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| setup(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let (at, waited) = (host.to_owned(), ways.limits.tls);
    match tokio::time::timeout(waited, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(DialError::Tls { at, source }),
        Err(_) => Err(DialError::TlsTimeout { at, waited }),
    }
}

impl Plain {
    /// The other end.
    pub fn peer(&self) -> std::io::Result<std::net::SocketAddr> {
        self.inner.peer_addr()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(std::io::Error::other("the other side talks too much")));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let read = buffer.filled().len().saturating_sub(before);
        self.left = self.left.saturating_sub(read);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
