//! The GridBug neighbourhood, joined to the node: neighbours into the slice, calls from the
//! port, our own grid into what neighbours may ask for.

use super::clock::Clock;
use crate::config::settings::{Advertise, NodeSettings};
use andon_api::{GridBugAnswer, GridBugHandler, GridBugRequest};
use andon_gridbug::{Config, GridSummary};
use andon_model::{Neighbour, PictureView};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Our own grid is told to neighbours at most this often; they poll every ten seconds.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Starts taking part, where configured; returns what answers GridBug's calls.
pub fn start(
    settings: &NodeSettings,
    listen: SocketAddr,
    clock: Clock,
    neighbours: watch::Sender<Vec<Neighbour>>,
    views: watch::Receiver<Arc<PictureView>>,
    cancel: &CancellationToken,
) -> Option<GridBugHandler> {
    let gridbug = settings.gridbug.as_ref()?;
    let config = Config {
        key: gridbug.key.clone(),
        id: settings.id.to_string(),
        host: host(settings, listen),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        seeds: gridbug.seeds.clone(),
        poll: gridbug.poll,
    };
    let (handle, _task) = andon_gridbug::spawn(
        config,
        move || clock.utc(),
        move |fresh| drop(neighbours.send_replace(fresh)),
        cancel.child_token(),
    );
    tokio::spawn(tell(
        handle.clone(),
        views,
        listen.port(),
        cancel.child_token(),
    ));
    Some(Arc::new(move |request: GridBugRequest| {
        let answer = handle.respond(&andon_gridbug::GridBugRequest {
            method: request.method,
            path: request.path,
            key: request.key_header,
            body: request.body,
            remote: request.remote,
        });
        GridBugAnswer {
            status: answer.status,
            content_type: answer.content_type,
            body: answer.body,
        }
    }))
}

/// Where we are reached, as far as configuration tells.
fn host(settings: &NodeSettings, listen: SocketAddr) -> Option<String> {
    match &settings.advertise {
        Advertise::At(addresses) => addresses.first().map(ToString::to_string),
        _ if !listen.ip().is_unspecified() => Some(listen.to_string()),
        _ => None,
    }
}

/// Keeps neighbours informed of our own grid, and of our address once peers have told it.
async fn tell(
    handle: andon_gridbug::Handle,
    mut views: watch::Receiver<Arc<PictureView>>,
    port: u16,
    cancel: CancellationToken,
) {
    loop {
        let view = views.borrow_and_update().clone();
        let own = view.nodes.iter().find(|node| node.id == view.me);
        if let Some(address) = own.and_then(|node| node.addresses.first()) {
            handle.set_host(address);
        }
        handle.set_grid(GridSummary::from(&*view));
        tracing::trace!(
            port,
            nodes = view.nodes.len(),
            "neighbours may ask for our grid"
        );
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = views.changed() => if changed.is_err() { return },
        }
    }
}
