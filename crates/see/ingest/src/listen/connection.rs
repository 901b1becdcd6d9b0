//! Connections over TCP and TLS that carry records one after the other.

use super::{HELD_BYTES_MAX, Outlet, wall_clock};
use crate::limits::{CONNECTION_IDLE_MAX, CONNECTIONS_MAX, HANDSHAKE_MAX};
use crate::reject::{Decoded, Reason};
use crate::sink::Patience;
use andon_model::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Bytes read at a time from one of many connections.
const PIECE_BYTES: usize = 64 * 1024;
/// A connection that holds no more than this is left alone, however much all hold together.
const HELD_FAIR: usize = 64 * 1024;

/// What one connection says. Made anew for each.
pub trait Protocol: Send {
    /// More bytes; answers with what to send back once the events are kept.
    ///
    /// Errors when nobody knows where the next record begins: the connection is closed.
    fn push(
        &mut self,
        bytes: &[u8],
        received: Timestamp,
        out: &mut Decoded,
    ) -> Result<Vec<u8>, String>;
    /// The sender has closed.
    fn finish(&mut self, received: Timestamp, out: &mut Decoded);
    /// Bytes of what has begun and not ended.
    fn held_bytes(&self) -> usize;
}

/// Accepts connections until it is cancelled, and then waits for them to end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    outlet: Outlet,
    protocol: impl Fn() -> Box<dyn Protocol> + Send + Sync,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let held = Arc::new(AtomicUsize::new(0));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = outlet.cancel.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            outlet.counters.reject(Reason::TooMany, 1);
            continue;
        };
        outlet.counters.connect();
        let (tls, outlet, held) = (tls.clone(), outlet.clone(), held.clone());
        let protocol = protocol();
        tasks.spawn(async move {
            match tls {
                None => converse(stream, protocol, &outlet, &held).await,
                Some(tls) => match timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, protocol, &outlet, &held).await,
                    _ => outlet.counters.reject(Reason::Forbidden, 1),
                },
            }
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut protocol: Box<dyn Protocol>,
    outlet: &Outlet,
    held: &AtomicUsize,
) {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut mine = 0;
    loop {
        let read = tokio::select! {
            read = timeout(CONNECTION_IDLE_MAX, stream.read(&mut buffer)) => read,
            () = outlet.cancel.cancelled() => break,
        };
        let Ok(Ok(bytes @ 1..)) = read else {
            break;
        };
        outlet.counters.read(bytes);
        let mut out = Decoded::default();
        let pushed = protocol.push(&buffer[..bytes], wall_clock(), &mut out);
        if !out.events.is_empty() || out.rejected_total() > 0 {
            let delivered = outlet.deliver(out, None, Patience::Forever).await;
            if delivered.is_err() {
                break;
            }
        }
        match pushed {
            Ok(answer) if answer.is_empty() => {}
            Ok(answer) => {
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                debug!(error, "a connection is closed: what it says cannot be read");
                outlet.counters.reject(Reason::Malformed, 1);
                break;
            }
        }
        let holds = protocol.held_bytes();
        held.fetch_add(holds, Relaxed);
        let all = held.fetch_sub(mine, Relaxed) - mine;
        mine = holds;
        if all > HELD_BYTES_MAX && mine > HELD_FAIR {
            outlet.counters.reject(Reason::TooMany, 1);
            break;
        }
    }
    held.fetch_sub(mine, Relaxed);
    let mut out = Decoded::default();
    protocol.finish(wall_clock(), &mut out);
    // When the node is stopping this is refused, and counted.
    let _ = outlet.deliver(out, None, Patience::Forever).await;
    let _ = stream.shutdown().await;
}
