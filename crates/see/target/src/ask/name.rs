//! Names to addresses by the system's resolver (so `/etc/hosts` counts), bounded: a resolver
//! that never returns holds a thread, and only so many of those are ours to lose.

use super::Failure;
use super::progress::Progress;
use andon_model::LinkReason;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Lookups under way at once. Doubled, a dead resolver would hold 32 threads.
const LOOKUPS_MAX: usize = 16;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Looks names up.
pub struct Resolver {
    lookups: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Resolver {
    /// The addresses of a host in the system's order of preference, at least one.
    pub async fn lookup(
        &self,
        host: &str,
        port: u16,
        progress: &Progress,
    ) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            progress.no_name();
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let Ok(permit) = self.lookups.clone().acquire_owned().await else {
            return Err(Failure::not_asked("name lookups have ended"));
        };
        let name = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), port)
                .to_socket_addrs()
                .map(|all| all.take(ADDRESSES_MAX).collect::<Vec<_>>());
            drop(permit);
            found
        });
        match lookup.await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(Failure::new(
                LinkReason::Answer,
                format!("name {host} does not resolve"),
            )),
            Err(_) => Err(Failure::not_asked("the name lookup broke off")),
        }
    }

    /// The first address of a host.
    pub async fn first(
        &self,
        host: &str,
        port: u16,
        progress: &Progress,
    ) -> Result<SocketAddr, Failure> {
        let addresses = self.lookup(host, port, progress).await?;
        addresses
            .first()
            .copied()
            .ok_or_else(|| Failure::new(LinkReason::Answer, "name without an address"))
    }
}
