//! The API from start to stop, in one readable function.

use crate::access::Role;
use crate::counters::Counters;
use crate::documents::Documents;
use crate::listener::{self, Service};
use crate::peer::PeerClient;
use crate::shared::Shared;
use crate::slots::Slots;
use crate::sources::{ApiConfig, Sources};
use crate::stream::Hub;
use crate::{base32, routes, tls};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Questions to other nodes at once. Each holds a connection and up to a megabyte.
const RELAYS_MAX: usize = 16;

/// Time that answers on their way are given when the node stops.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Why the API did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener cannot be used.
    #[error("the TCP port cannot be served: {0}")]
    Listener(#[from] io::Error),
    /// The certificate and its key do not serve for TLS.
    #[error("the node's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Serves until `cancel`; then idle connections end at once and answers on their way get two
/// seconds.
pub async fn serve(
    config: ApiConfig,
    sources: Sources,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    sources.listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(sources.listener)?;
    let local_port = listener.local_addr()?.port();
    let counters = Arc::new(Counters::default());
    let slots = Slots::new(config.connections_max, Arc::clone(&counters));
    let documents = Arc::new(Documents::new(sources.view.clone(), Arc::clone(&counters)));
    let hub = Hub::new(
        sources.view.borrow().clone(),
        Arc::clone(&counters),
        cancel.clone(),
    );
    let tls = TlsAcceptor::from(tls::server(&sources.identity)?);
    let shared = Arc::new(Shared {
        cookie_name: format!(
            "andon_{}",
            base32::hex(&sources.identity.fingerprint()[..4])
        ),
        peers: PeerClient::new(&sources.identity)?,
        view: sources.view.clone(),
        stats: sources.stats,
        commands: sources.commands,
        access: sources.access,
        audit: sources.audit,
        gridbug: sources.gridbug,
        documents: Arc::clone(&documents),
        hub: Arc::clone(&hub),
        relays: Semaphore::new(RELAYS_MAX),
        slots: Arc::clone(&slots),
        counters,
        started: Instant::now(),
        config,
    });
    tracing::debug!(port = local_port, loopback = %if shared.config.loopback_viewer { Role::Viewer.to_string() } else { "none".to_owned() }, "serving");

    let following = tokio::spawn(hub.run(sources.view, documents, Arc::clone(&slots)));
    let service = Service {
        router: routes::router(&shared),
        shared,
        tls,
        frames: sources.frames,
        local_port,
    };
    listener::run(listener, service, Arc::clone(&slots), cancel).await;

    let deadline = Instant::now() + STOP_MAX;
    while slots.close(false) > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    slots.close(true);
    // It ends with the same cancellation; a panic in it has been reported already.
    let _ = following.await;
    Ok(())
}
