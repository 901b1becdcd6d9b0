//! One port for everything: the first byte of a connection tells TLS, plain HTTP and grid
//! frames apart.

use crate::connection::{self, Link};
use crate::shared::Shared;
use crate::slots::Claim;
use axum::Router;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// First byte of a TLS record that carries a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// First byte of a connection that carries grid frames.
const GRID_FRAMES: u8 = 0xA7;

/// Time until the first byte, which every client sends at once; then for the TLS handshake.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Pause after a failure to accept, so that a lack of file descriptors is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a connection is served with.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
    pub(crate) tls: TlsAcceptor,
    pub(crate) frames: mpsc::Sender<(TcpStream, SocketAddr)>,
    pub(crate) local_port: u16,
}

/// Accepts connections until cancelled.
pub(crate) async fn run(listener: TcpListener, service: Service, cancel: CancellationToken) {
    let slots = Arc::clone(&service.shared.slots);
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                service.shared.counters.connections.count();
                let Some(claim) = slots.claim() else { continue };
                let (id, service) = (claim.id, service.clone());
                let task = tokio::spawn(async move { service.serve(stream, remote, claim).await });
                slots.attach(id, task.abort_handle());
            }
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                service.shared.counters.accept_errors.count();
                tracing::warn!(%error, "no connection accepted");
                slots.evict_one();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_the_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

impl Service {
    async fn serve(self, mut stream: TcpStream, remote: SocketAddr, claim: Claim) {
        let counters = Arc::clone(&self.shared.counters);
        let mut first = [0];
        match timeout(FIRST_BYTE_MAX, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            Ok(_) => return,
            Err(_) => return counters.connections_silent.count(),
        }
        // Answers are written whole; waiting to fill packets only delays them.
        let _ = stream.set_nodelay(true);
        match first[0] {
            TLS_HANDSHAKE => self.serve_tls(stream, remote, &claim).await,
            GRID_FRAMES => {
                if stream.read_exact(&mut first).await.is_err() {
                    return;
                }
                drop(claim);
                if self.frames.try_send((stream, remote)).is_err() {
                    counters.frames_dropped.count();
                }
            }
            letter if letter.is_ascii_alphabetic() => {
                let link = Link {
                    remote,
                    local_port: self.local_port,
                    tls: false,
                    certificate: None,
                };
                let slot = Arc::clone(&claim.slot);
                // On the heap only from here on: a silent connection costs little.
                Box::pin(connection::serve(
                    stream,
                    link,
                    slot,
                    self.shared,
                    self.router,
                ))
                .await;
            }
            _ => counters.connections_unknown.count(),
        }
    }

    async fn serve_tls(self, stream: TcpStream, remote: SocketAddr, claim: &Claim) {
        let stream = match timeout(HANDSHAKE_MAX, Box::pin(self.tls.accept(stream))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%remote, %error, "TLS handshake failed");
                return self.shared.counters.tls_failed.count();
            }
            Err(_) => return self.shared.counters.connections_silent.count(),
        };
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first());
        let certificate = certificate.map(|certificate| crate::base32::sha256(certificate));
        let link = Link {
            remote,
            local_port: self.local_port,
            tls: true,
            certificate,
        };
        let slot = Arc::clone(&claim.slot);
        Box::pin(connection::serve(
            stream,
            link,
            slot,
            self.shared,
            self.router,
        ))
        .await;
    }
}
