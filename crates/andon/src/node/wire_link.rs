//! The bridge between the probe thread and the tasks: its events never wait, so a slow task
//! cannot hold up a probe.

use andon_model::{HostHealth, LinkReport, PathReport};
use andon_probe::{WireConfig, WireEvent, WireHandle, WireStats};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};

/// Gossip datagrams waiting for the grid task; beyond it they are dropped and counted, and
/// anti-entropy repeats them.
const GOSSIP_QUEUE_MAX: usize = 2_048;

/// The probe thread as the grid task sees it.
pub struct WireLink {
    /// Orders to the thread.
    pub handle: WireHandle,
    /// Gossip that arrived.
    pub gossip: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
    /// Probes and answers to go out on frame connections.
    pub frames: mpsc::Receiver<(u64, Vec<u8>)>,
    /// The latest link reports.
    pub links: watch::Receiver<Vec<LinkReport>>,
    /// The ways that flows take.
    pub paths: watch::Receiver<Vec<PathReport>>,
    /// How the host fares.
    pub host: watch::Receiver<HostHealth>,
    /// Gossip and frames dropped since the tasks were too busy to take them.
    pub dropped: Arc<AtomicU64>,
    /// The thread's counters.
    pub stats: watch::Receiver<WireStats>,
}

/// Starts the probe thread.
pub fn start(config: WireConfig) -> io::Result<WireLink> {
    let (gossip_tx, gossip) = mpsc::channel(GOSSIP_QUEUE_MAX);
    let (frames_tx, frames) = mpsc::channel(GOSSIP_QUEUE_MAX);
    let (links_tx, links) = watch::channel(Vec::new());
    let (paths_tx, paths) = watch::channel(Vec::new());
    let (host_tx, host) = watch::channel(HostHealth::default());
    let (stats_tx, stats) = watch::channel(WireStats::default());
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = dropped.clone();
    let count = move |is_taken: bool| {
        counter.fetch_add(u64::from(!is_taken), Ordering::Relaxed);
    };
    let handle = andon_probe::spawn(
        config,
        Box::new(move |event| match event {
            WireEvent::Gossip { from, bytes } => count(gossip_tx.try_send((from, bytes)).is_ok()),
            WireEvent::SendFrame { connection, bytes } => {
                count(frames_tx.try_send((connection, bytes)).is_ok())
            }
            WireEvent::Links(reports) => drop(links_tx.send_replace(reports)),
            WireEvent::Paths(reports) => drop(paths_tx.send_replace(reports)),
            WireEvent::Host(health) => drop(host_tx.send_replace(health)),
            WireEvent::Stats(figures) => drop(stats_tx.send_replace(figures)),
        }),
    )?;
    Ok(WireLink {
        handle,
        gossip,
        frames,
        links,
        paths,
        host,
        dropped,
        stats,
    })
}
