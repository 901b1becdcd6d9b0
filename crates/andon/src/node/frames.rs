//! Datagrams inside the TCP port, for where UDP does not pass: a connection starts with
//! [`FRAMES_MAGIC`] and carries `[length, 2 bytes big endian][datagram]`, each datagram just as
//! it would go over UDP. Secrecy and replay protection are the datagrams' own.

use andon_model::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
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
/// A connection on which nothing valid was heard for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
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
}

impl Frames {
    /// No connections yet; what happens on them goes to `events`.
    pub fn new(events: mpsc::Sender<FrameEvent>) -> Self {
        Self { events, connections: BTreeMap::new(), next: 1, dropped: 0, refused: 0 }
    }

    /// Takes over a connection whose first byte was [`FRAMES_MAGIC`].
    pub fn accept(&mut self, now: Instant, stream: TcpStream, remote: SocketAddr) {
        self.start(now, remote, false, async move { Ok(stream) });
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
                let connected = FrameEvent::Connected { connection, remote, dialled };
                if events.send(connected).await.is_ok() {
                    let ended = carry(stream, connection, remote, &events, outgoing).await;
                    tracing::debug!(connection, %remote, ?ended, "frame connection ended");
                }
            }
            let _ = events.send(FrameEvent::Disconnected { connection }).await;
        });
        let task = task.abort_handle();
        self.connections.insert(connection, Connection { queue, task, opened: now, dialled, remote });
    }

    /// Sends a datagram; a full or ended connection drops and counts it.
    pub fn send(&mut self, connection: u64, bytes: Vec<u8>) {
        let sent = self.connections.get(&connection).map(|c| c.queue.try_send(bytes));
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

    /// Closes connections that strangers opened and on which no member was met in time.
    pub fn close_strangers(&mut self, now: Instant, is_member: impl Fn(u64) -> bool) {
        self.connections.retain(|&connection, held| {
            let stranger = !held.dialled
                && now.since(held.opened) > Duration::from_secs(10)
                && !is_member(connection);
            if stranger {
                held.task.abort();
            }
            !stranger
        });
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
            if events.send(FrameEvent::Datagram { connection, remote, bytes }).await.is_err() {
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
