//! The wires of the demo: for each ordered pair of nodes a relay with one port, UDP and TCP,
//! which delays, loses and cuts as the weather says.
//!
//! A relay A→B works as a NAT does: each source address of A gets a socket of its own towards
//! B, and what B answers there goes back to it. So a flow stays a flow, and the direction A→B
//! is the way there of relay A→B together with the way back of relay B→A.

use super::weather::{Fate, Way, Weather};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// Source addresses held per relay; a node has nine, and 64 more while it looks closely.
const SOURCES_MAX: usize = 160;
/// A source that is silent for so long is forgotten. Longer than any freeze of the script.
const SOURCE_IDLE: Duration = Duration::from_secs(120);
/// Packets on their way at once, over all relays; beyond it they are lost.
const IN_FLIGHT_MAX: usize = 20_000;
/// TCP connections per relay.
const STREAMS_MAX: usize = 64;
/// Largest datagram carried.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// How often a stream that is cut looks whether it flows again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What all relays share.
#[derive(Clone)]
pub struct Sky {
    weather: Arc<RwLock<Weather>>,
    in_flight: Arc<Semaphore>,
}

impl Sky {
    /// Fair weather.
    pub fn new() -> Self {
        Self {
            weather: Arc::default(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        }
    }

    /// Changes the weather for all relays at once.
    pub fn set(&self, weather: Weather) {
        *self
            .weather
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = weather;
    }

    fn fate(&self, way: Way, flow: Option<usize>) -> Fate {
        let weather = self
            .weather
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        weather.fate(way, flow, rand::random::<f64>())
    }

    fn flows(&self, way: Way) -> bool {
        self.weather
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .flows(way)
    }
}

/// A relay's port before it is in use.
pub struct Port {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Port {
    /// A loopback port that is free for UDP and TCP alike.
    pub async fn take() -> io::Result<Self> {
        let mut last = io::Error::other("no port is free for UDP and TCP alike");
        for _ in 0..32 {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Self { udp, tcp }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where clients send to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Carries from `way.0` to the node `way.1` at `server` until the runtime ends. A source
    /// with port `gossip_port` is the client's main port and no probe flow.
    pub fn carry(self, way: Way, server: SocketAddr, gossip_port: u16, sky: Sky) {
        let Port { udp, tcp } = self;
        tokio::spawn(datagrams(
            Arc::new(udp),
            way,
            server,
            gossip_port,
            sky.clone(),
        ));
        tokio::spawn(streams(tcp, way, server, sky));
    }
}

struct Source {
    upstream: Arc<UdpSocket>,
    flow: Option<usize>,
    heard: Instant,
    task: tokio::task::AbortHandle,
}

async fn datagrams(
    socket: Arc<UdpSocket>,
    way: Way,
    server: SocketAddr,
    gossip_port: u16,
    sky: Sky,
) {
    let mut sources: HashMap<SocketAddr, Source> = HashMap::new();
    let mut flows = 0;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error here is an ICMP answer to an earlier datagram: the client is gone for a while.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let now = Instant::now();
        if !sources.contains_key(&client) {
            forget_idle(&mut sources, now);
            if sources.len() >= SOURCES_MAX {
                continue;
            }
            let Ok(upstream) = upstream(server).await else {
                continue;
            };
            let flow = (client.port() != gossip_port).then_some(flows);
            flows += usize::from(flow.is_some());
            let back = (way.1, way.0);
            let task = tokio::spawn(answers(
                Arc::clone(&upstream),
                Arc::clone(&socket),
                client,
                back,
                flow,
                sky.clone(),
            ));
            sources.insert(
                client,
                Source {
                    upstream,
                    flow,
                    heard: now,
                    task: task.abort_handle(),
                },
            );
        }
        let Some(source) = sources.get_mut(&client) else {
            continue;
        };
        source.heard = now;
        deliver(
            &sky,
            way,
            source.flow,
            Arc::clone(&source.upstream),
            None,
            &buffer[..length],
        )
        .await;
    }
}

fn forget_idle(sources: &mut HashMap<SocketAddr, Source>, now: Instant) {
    sources.retain(|_, source| {
        let keep = now.duration_since(source.heard) < SOURCE_IDLE;
        if !keep {
            source.task.abort();
        }
        keep
    });
}

async fn upstream(server: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    Ok(Arc::new(socket))
}

async fn answers(
    upstream: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    way: Way,
    flow: Option<usize>,
    sky: Sky,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match upstream.recv(&mut buffer).await {
            Ok(length) => {
                deliver(
                    &sky,
                    way,
                    flow,
                    Arc::clone(&socket),
                    Some(client),
                    &buffer[..length],
                )
                .await
            }
            // The node is down and its host says so; a moment's rest keeps this from spinning.
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Sends a datagram after its delay, to `client`, or to whom the socket is connected.
async fn deliver(
    sky: &Sky,
    way: Way,
    flow: Option<usize>,
    socket: Arc<UdpSocket>,
    client: Option<SocketAddr>,
    bytes: &[u8],
) {
    let Fate::Arrives(delay) = sky.fate(way, flow) else {
        return;
    };
    if delay.is_zero() {
        let _ = send(&socket, client, bytes).await;
        return;
    }
    let Ok(place) = Arc::clone(&sky.in_flight).try_acquire_owned() else {
        return;
    };
    let arrival = Instant::now() + delay;
    let bytes = bytes.to_vec();
    tokio::spawn(async move {
        sleep_until(arrival).await;
        let _ = send(&socket, client, &bytes).await;
        drop(place);
    });
}

async fn send(socket: &UdpSocket, client: Option<SocketAddr>, bytes: &[u8]) -> io::Result<usize> {
    match client {
        Some(client) => socket.send_to(bytes, client).await,
        None => socket.send(bytes).await,
    }
}

async fn streams(listener: TcpListener, way: Way, server: SocketAddr, sky: Sky) {
    let places = Arc::new(Semaphore::new(STREAMS_MAX));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let sky = sky.clone();
        tokio::spawn(async move {
            let connect = timeout(Duration::from_secs(3), TcpStream::connect(server));
            if let Ok(Ok(server)) = connect.await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::select! {
                    () = stream(from_client, to_server, way, &sky) => {}
                    () = stream(from_server, to_client, (way.1, way.0), &sky) => {}
                }
            }
            drop(place);
        });
    }
}

/// Carries bytes one way. A cut holds them back, as retransmission would, until it is healed.
async fn stream(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, sky: &Sky) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Fate::Arrives(delay) = sky.fate(way, None) {
            tokio::time::sleep(delay).await;
        }
        while !sky.flows(way) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cast::index;
    use super::*;
    use std::collections::BTreeSet;

    struct Line {
        client: UdpSocket,
        server: UdpSocket,
        relay: SocketAddr,
        sky: Sky,
    }

    async fn line(from: &str, to: &str, gossip_port: u16) -> Line {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = Port::take().await.unwrap();
        let relay = port.address().unwrap();
        let sky = Sky::new();
        port.carry(
            (index(from), index(to)),
            server.local_addr().unwrap(),
            gossip_port,
            sky.clone(),
        );
        Line {
            client,
            server,
            relay,
            sky,
        }
    }

    impl Line {
        fn fault(&self, id: &'static str) {
            self.sky.set(Weather::of(&BTreeSet::from([id])));
        }

        /// Sends there and back; how far the packet came, and how long it took.
        async fn ping(&self, client: &UdpSocket) -> (&'static str, Duration) {
            let start = Instant::now();
            client.send_to(b"ping", self.relay).await.unwrap();
            let mut buffer = [0; 16];
            let wait = Duration::from_millis(700);
            let Ok(Ok((_, from))) = timeout(wait, self.server.recv_from(&mut buffer)).await else {
                return ("lost there", start.elapsed());
            };
            self.server.send_to(b"pong", from).await.unwrap();
            match timeout(wait, client.recv_from(&mut buffer)).await {
                Ok(Ok((4, from))) if from == self.relay && &buffer[..4] == b"pong" => {
                    ("back", start.elapsed())
                }
                _ => ("lost back", start.elapsed()),
            }
        }
    }

    #[tokio::test]
    async fn packets_take_as_long_as_between_the_cities() {
        let line = line("fra-web", "nyc-web", 0).await;
        let (came, took) = line.ping(&line.client).await;
        assert_eq!(came, "back");
        assert!(
            (Duration::from_millis(80)..Duration::from_millis(600)).contains(&took),
            "{took:?}"
        );
    }

    #[tokio::test]
    async fn a_cut_direction_loses_all_and_the_other_nothing() {
        let there = line("fra-web", "nyc-web", 0).await;
        there.fault("cut");
        assert_eq!(there.ping(&there.client).await.0, "lost there");
        there.sky.set(Weather::default());
        assert_eq!(there.ping(&there.client).await.0, "back");
        let back = line("nyc-web", "fra-web", 0).await;
        back.fault("cut");
        assert_eq!(back.ping(&back.client).await.0, "lost back");
    }

    #[tokio::test]
    async fn half_of_the_flows_die_and_gossip_passes() {
        let gossip = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let line = line("nyc-web", "sgp-ship", gossip.local_addr().unwrap().port()).await;
        let second = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(line.ping(&line.client).await.0, "back");
        assert_eq!(line.ping(&second).await.0, "back");
        line.fault("flows");
        assert_eq!(line.ping(&line.client).await.0, "back");
        assert_eq!(line.ping(&second).await.0, "lost there");
        assert_eq!(line.ping(&gossip).await.0, "back");
    }

    #[tokio::test]
    async fn a_lossy_way_loses_about_its_share() {
        let line = line("fra-web", "sgp-ship", 0).await;
        line.fault("loss");
        for _ in 0..200 {
            line.client.send_to(b"ping", line.relay).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut arrived = 0;
        let mut buffer = [0; 16];
        while let Ok(Ok(_)) = timeout(
            Duration::from_millis(400),
            line.server.recv_from(&mut buffer),
        )
        .await
        {
            arrived += 1;
        }
        // 160 expected with a deviation of 6; a share of 0 or of a half would be far outside.
        assert!((110..198).contains(&arrived), "{arrived} of 200 arrived");
    }

    #[tokio::test]
    async fn a_stream_is_held_by_a_cut_and_goes_on_after_it() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = Port::take().await.unwrap();
        let relay = port.address().unwrap();
        let sky = Sky::new();
        port.carry(
            (index("fra-web"), index("nyc-web")),
            server.local_addr().unwrap(),
            0,
            sky.clone(),
        );
        let mut client = TcpStream::connect(relay).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        sky.set(Weather::of(&BTreeSet::from(["cut"])));
        client.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        let held = timeout(Duration::from_millis(300), accepted.read_exact(&mut buffer)).await;
        assert!(held.is_err());
        sky.set(Weather::default());
        timeout(Duration::from_secs(5), accepted.read_exact(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&buffer, b"hello");
    }
}
