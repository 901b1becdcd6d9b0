//! Datagrams inside the TCP port, for where UDP does not pass: a connection starts with
//! [`FRAMES_MAGIC`] and carries `[length, 2 bytes big endian][datagram]`, each datagram just as
//! it would go over UDP. Secrecy and replay protection are the datagrams' own.

use andon_model::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// First byte of a frame connection; no TLS record and no HTTP method starts with it.
pub const FRAMES_MAGIC: u8 = 0xA7;
/// Largest datagram; equal to what gossip and STAMP may send over UDP.
const FRAME_BYTES_MAX: usize = 1_400;
/// Frames waiting for a slow connection; beyond it they are dropped, as UDP would.
const QUEUE_FRAMES_MAX: usize = 256;
/// Connections held at once; doubled, strangers could hold twice the descriptors.
const CONNECTIONS_MAX: usize = 1_024;
/// Connections on which no member was met yet. Below what the grid core holds, so that strangers
/// cannot fill that; a member is known within a round trip and needs its place no longer.
const STRANGERS_MAX: usize = 128;
/// A connection on which nothing valid was heard for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Time for a stranger to show that it is of the grid.
const STRANGER_MAX: Duration = Duration::from_secs(10);
/// How long an answer to a dial is waited for.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// What happens on frame connections.
#[derive(Debug)]
pub enum FrameEvent {
    /// A connection stands.
    Connected {
        /// Its number.
        connection: u64,
        /// Its other end.
        remote: SocketAddr,
        /// Opened by us.
        dialled: bool,
    },
    /// A datagram came.
    Datagram {
        /// On which connection.
        connection: u64,
        /// Its other end.
        remote: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// A connection ended, or could not be opened.
    Disconnected {
        /// Its number.
        connection: u64,
    },
}

struct Connection {
    queue: mpsc::Sender<Vec<u8>>,
    task: AbortHandle,
    opened: Instant,
    dialled: bool,
    remote: SocketAddr,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Opened by somebody who has not shown yet to be of the grid.
    Stranger,
    /// Opened by us, or a member speaks on it.
    Known,
}

/// All frame connections of a node.
pub struct Frames {
    events: mpsc::Sender<FrameEvent>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// Frames dropped because a connection was too slow.
    pub dropped: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// Strangers' connections closed to make room for others.
    pub evicted: u64,
}

impl Frames {
    /// No connections yet; what happens on them goes to `events`.
    pub fn new(events: mpsc::Sender<FrameEvent>) -> Self {
        Self {
            events,
            connections: BTreeMap::new(),
            next: 1,
            dropped: 0,
            refused: 0,
            evicted: 0,
        }
    }

    /// Takes over a connection whose first byte was [`FRAMES_MAGIC`]. Returns another that was
    /// closed to make room; no event tells of it.
    pub fn accept(&mut self, now: Instant, stream: TcpStream, remote: SocketAddr) -> Option<u64> {
        let evicted = self.stranger_to_evict();
        if let Some(connection) = evicted {
            self.evicted += 1;
            self.close(connection);
        }
        self.start(now, remote, false, async move { Ok(stream) });
        evicted
    }

    /// Where there are too many strangers: the oldest of the address that holds most places, so
    /// that one host cannot push out another.
    fn stranger_to_evict(&self) -> Option<u64> {
        let mut by_host: BTreeMap<IpAddr, Vec<u64>> = BTreeMap::new();
        let strangers = self
            .connections
            .iter()
            .filter(|(_, c)| c.standing == Standing::Stranger);
        for (connection, held) in strangers {
            by_host
                .entry(held.remote.ip())
                .or_default()
                .push(*connection);
        }
        let count: usize = by_host.values().map(Vec::len).sum();
        if count < STRANGERS_MAX {
            return None;
        }
        by_host.into_values().max_by_key(Vec::len)?.first().copied()
    }

    /// Opens a connection, unless one to that address stands or is being opened.
    pub fn dial(&mut self, now: Instant, remote: SocketAddr) {
        let already = |c: &Connection| c.dialled && c.remote == remote;
        if self.connections.values().any(already) {
            return;
        }
        self.start(now, remote, true, async move {
            let connect = TcpStream::connect(remote);
            let mut stream = tokio::time::timeout(DIAL_TIMEOUT, connect).await??;
            stream.write_u8(FRAMES_MAGIC).await?;
            Ok(stream)
        });
    }

    fn start(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        dialled: bool,
        open: impl Future<Output = std::io::Result<TcpStream>> + Send + 'static,
    ) {
        if self.connections.len() >= CONNECTIONS_MAX {
            self.refused += 1;
            return;
        }
        let connection = self.next;
        self.next += 1;
        let (queue, outgoing) = mpsc::channel(QUEUE_FRAMES_MAX);
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            if let Ok(stream) = open.await {
                let connected = FrameEvent::Connected {
                    connection,
                    remote,
                    dialled,
                };
                if events.send(connected).await.is_ok() {
                    let ended = carry(stream, connection, remote, &events, outgoing).await;
                    tracing::debug!(connection, %remote, ?ended, "frame connection ended");
                }
            }
            let _ = events.send(FrameEvent::Disconnected { connection }).await;
        });
        let task = task.abort_handle();
        let standing = if dialled {
            Standing::Known
        } else {
            Standing::Stranger
        };
        self.connections.insert(
            connection,
            Connection {
                queue,
                task,
                opened: now,
                dialled,
                remote,
                standing,
            },
        );
    }

    /// Sends a datagram; a full or ended connection drops and counts it.
    pub fn send(&mut self, connection: u64, bytes: Vec<u8>) {
        let sent = self
            .connections
            .get(&connection)
            .map(|c| c.queue.try_send(bytes));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped += 1;
        }
    }

    /// Closes a connection that is of no use any more.
    pub fn close(&mut self, connection: u64) {
        if let Some(held) = self.connections.remove(&connection) {
            held.task.abort();
        }
    }

    /// Forgets a connection that ended.
    pub fn ended(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }

    /// Closes connections that strangers opened and on which no member was met in time, and
    /// returns them: no event tells of it.
    pub fn close_strangers(&mut self, now: Instant, is_member: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut closed = Vec::new();
        self.connections.retain(|&connection, held| {
            let known = held.dialled || is_member(connection);
            held.standing = if known {
                Standing::Known
            } else {
                Standing::Stranger
            };
            let late = !known && now.since(held.opened) > STRANGER_MAX;
            if late {
                held.task.abort();
                closed.push(connection);
            }
            !late
        });
        closed
    }

    /// Whether a connection stands or is being opened: an event of one that does not was on its
    /// way when it was closed.
    pub fn holds(&self, connection: u64) -> bool {
        self.connections.contains_key(&connection)
    }

    /// How many stand or are being opened.
    pub fn len(&self) -> usize {
        self.connections.len()
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        for connection in self.connections.values() {
            connection.task.abort();
        }
    }
}

async fn carry(
    stream: TcpStream,
    connection: u64,
    remote: SocketAddr,
    events: &mpsc::Sender<FrameEvent>,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let incoming = async {
        let mut reader = BufReader::with_capacity(2 * FRAME_BYTES_MAX, reader);
        loop {
            let frame = async {
                let length = usize::from(reader.read_u16().await?);
                if length == 0 || length > FRAME_BYTES_MAX {
                    return Err(std::io::Error::other("a frame of impossible length"));
                }
                let mut bytes = vec![0; length];
                reader.read_exact(&mut bytes).await?;
                Ok(bytes)
            };
            let bytes = tokio::time::timeout(IDLE_MAX, frame).await??;
            if events
                .send(FrameEvent::Datagram {
                    connection,
                    remote,
                    bytes,
                })
                .await
                .is_err()
            {
                return Ok(());
            }
        }
    };
    let sending = async {
        while let Some(bytes) = outgoing.recv().await {
            let length = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
            let mut frame = Vec::with_capacity(bytes.len() + 2);
            frame.extend_from_slice(&length.to_be_bytes());
            frame.extend_from_slice(&bytes);
            tokio::time::timeout(IDLE_MAX, writer.write_all(&frame)).await??;
        }
        Ok(())
    };
    tokio::select! {
        ended = incoming => ended,
        ended = sending => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_neither_fill_the_places_nor_push_out_another_host() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, mut happened) = mpsc::channel(16_384);
        let mut frames = Frames::new(events);
        let (mut far_ends, mut gone) = (Vec::new(), Vec::new());
        for number in 0..3 * STRANGERS_MAX as u16 {
            far_ends.push(TcpStream::connect(address).await.unwrap());
            let stream = listener.accept().await.unwrap().0;
            let host = if number == 0 {
                [10, 0, 0, 2]
            } else {
                [10, 0, 0, 1]
            };
            let remote = SocketAddr::from((host, 1 + number));
            gone.extend(frames.accept(Instant(1_000_000), stream, remote));
        }
        assert_eq!(
            (frames.len(), frames.evicted),
            (STRANGERS_MAX, 2 * STRANGERS_MAX as u64)
        );
        assert!(frames.holds(1), "the only one of its host");
        assert!(gone.iter().all(|connection| !frames.holds(*connection)));
        // A member keeps its place; the others are told of, each once.
        let late = Instant(1_000_000) + STRANGER_MAX * 2;
        gone.extend(frames.close_strangers(late, |connection| connection == 1));
        assert_eq!(frames.len(), 1);
        gone.sort_unstable();
        assert_eq!(gone, (2..=3 * STRANGERS_MAX as u64).collect::<Vec<_>>());
        drop(frames);
        while let Ok(event) = happened.try_recv() {
            assert!(
                matches!(event, FrameEvent::Connected { dialled: false, .. }),
                "{event:?}"
            );
        }
    }
}
