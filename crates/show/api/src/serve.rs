//! The API from start to stop, in one readable function.

use crate::counters::Counters;
use crate::documents::Documents;
use crate::listener::{self, Service};
use crate::peer::PeerClient;
use crate::shared::Shared;
use crate::slots::Slots;
use crate::sources::{ApiConfig, Sources};
use crate::stream::Hub;
use crate::turns::Turns;
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

/// How often it is looked whether they are done.
const STOP_LOOK: Duration = Duration::from_millis(20);

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
    let listener = TcpListener::from_std(sources.listener.try_clone()?)?;
    let service = assemble(config, sources, &cancel)?;
    let shared = Arc::clone(&service.shared);
    let following = tokio::spawn(Arc::clone(&shared.hub).run(
        shared.view.clone(),
        shared.incidents.clone(),
        Arc::clone(&shared.documents),
        Arc::clone(&shared.slots),
    ));
    listener::run(listener, service, cancel).await;

    let deadline = Instant::now() + STOP_MAX;
    while shared.slots.close(false) > 0 && Instant::now() < deadline {
        tokio::time::sleep(STOP_LOOK).await;
    }
    shared.slots.close(true);
    // It ends with the same cancellation; a panic in it has been reported already.
    let _ = following.await;
    Ok(())
}

/// Everything that a connection is served with.
pub(crate) fn assemble(
    config: ApiConfig,
    sources: Sources,
    cancel: &CancellationToken,
) -> Result<Service, ServeError> {
    let local_port = sources.listener.local_addr()?.port();
    let counters = Arc::new(Counters::default());
    let first = sources.view.borrow().clone();
    let incidents = sources.incidents.borrow().clone();
    let shared = Arc::new(Shared {
        cookie_name: format!(
            "andon_{}",
            base32::hex(&sources.identity.fingerprint()[..4])
        ),
        peers: PeerClient::new(&sources.identity)?,
        certificate_ends: sources.identity.ends(),
        documents: Arc::new(Documents::new(
            sources.view.clone(),
            sources.incidents.clone(),
            Arc::clone(&counters),
        )),
        hub: Hub::new(first, incidents, Arc::clone(&counters), cancel.clone()),
        slots: Slots::new(config.connections_max, Arc::clone(&counters)),
        view: sources.view,
        incidents: sources.incidents,
        stats: sources.stats,
        commands: sources.commands,
        access: sources.access,
        audit: sources.audit,
        gridbug: sources.gridbug,
        history: sources.history,
        events: sources.events,
        parcels: Arc::new(Semaphore::new(routes::spool::PARCELS_MAX)),
        tails: Arc::new(Semaphore::new(routes::tail::TAILS_MAX)),
        questions: Arc::new(Semaphore::new(routes::query::QUESTIONS_MAX)),
        parts: Arc::new(Semaphore::new(routes::query::PARTS_MAX)),
        reads: Arc::new(Semaphore::new(routes::history::READS_MAX)),
        turns: Turns::default(),
        relays: Semaphore::new(RELAYS_MAX),
        counters,
        started: Instant::now(),
        config,
    });
    Ok(Service {
        router: routes::router(&shared),
        tls: TlsAcceptor::from(tls::server(&sources.identity)?),
        frames: sources.frames,
        shared,
        local_port,
    })
}
