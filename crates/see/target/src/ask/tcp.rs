//! TCP connect: the addresses of a name in turn, each with its share of the time left.

use super::Failure;
use super::name::Resolver;
use super::progress::{Phase, Progress};
use crate::question::HostPort;
use andon_model::LinkReason;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Connects; returns the stream and how long connecting took, without the name.
pub async fn connect(
    resolver: &Resolver,
    at: &HostPort,
    progress: &Progress,
) -> Result<(TcpStream, Duration), Failure> {
    let addresses = resolver.lookup(&at.host, at.port, progress).await?;
    progress.enter(Phase::Connect);
    let mut failure = None;
    for (tried, address) in addresses.iter().enumerate() {
        let others = addresses.len() - tried;
        let share = progress.left() / u32::try_from(others).unwrap_or(1);
        let started = Instant::now();
        // The last address has all that is left, and the question's own timeout ends it.
        let attempt = TcpStream::connect(address);
        let result = if others == 1 {
            Ok(attempt.await)
        } else {
            tokio::time::timeout(share, attempt).await
        };
        failure = Some(match result {
            Ok(Ok(stream)) => {
                // Delayed small packets would be measured as the server's latency.
                let _ = stream.set_nodelay(true);
                return Ok((stream, started.elapsed()));
            }
            Ok(Err(error)) => Failure::io(&error, &format!("connecting to {address}")),
            Err(_) => Failure::new(
                LinkReason::Silent,
                format!("connecting to {address}: no answer"),
            ),
        });
    }
    Err(failure.unwrap_or_else(|| Failure::new(LinkReason::Answer, "name without an address")))
}
