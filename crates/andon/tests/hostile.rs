//! Two real nodes under attack by somebody without the grid key. What a holder of the key can
//! do is tried in `see/grid/tests/hostile.rs`, and what HTTP clients can do in `show/api`.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // timings, and what cannot be tested here

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::fleet::{Fleet, Node};
use support::sight::all_well;
use support::{free_address, hold, http, wait_for, wait_within};

/// First byte of gossip, and of a connection that carries frames.
const GOSSIP: u8 = 0xA9;
const FRAMES: u8 = 0xA7;
/// What the first round of an attack may cost for good: places, buffers, the allocator's rest.
const GROWTH_KB_MAX: u64 = 24 * 1024;
/// What each further round may cost: nothing, but for the allocator's mood.
const REPEATED_KB_MAX: u64 = 6 * 1024;
/// Longest wait for an ordinary answer in the middle of an attack.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[test]
fn two_nodes_under_attack_stay_well_small_and_silent() {
    raise_descriptor_limit();
    let fleet = Fleet::new("hostile");
    let first = fleet.node("victim").start();
    // What is sent to a node that does not listen yet is news when it is sent again.
    wait_for("a node that listens", || first.picture());
    let relay = Relay::before(first.address);
    let second = fleet.node("other").join(relay.address).start();
    let nodes = [first, second];
    let both = [&nodes[0], &nodes[1]];
    wait_for("two nodes that agree", || all_well(&both));
    let captured = wait_for("captured gossip", || {
        let captured = relay.captured.lock().unwrap().clone();
        hold(captured.len() >= 4, || {
            format!("{} captured", captured.len())
        })
        .map(|()| captured)
    });

    let calm = memory(&nodes);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (round, share) in [(0, 1), (1, 4)] {
        let (before, start) = (memory(&nodes), Instant::now());
        let heard = random_datagrams(&nodes, 200_000 / share, &mut random);
        // A datagram in our format with a foreign key's mark is answered once a minute, sealed
        // and empty, so that both ends can tell their operators of the two keys.
        assert!(heard <= nodes.len(), "{heard} answers to a stranger");
        println!("{:?} datagrams sent", start.elapsed());
        assert_eq!(
            replay(&nodes, &captured, &mut random),
            0,
            "answers to replayed gossip"
        );
        crowd(&nodes[0], 3_000 / share as usize);
        println!("{:?} connections done", start.elapsed());
        let (limit, pause) = (Duration::from_secs(90), Duration::from_millis(200));
        wait_within(
            limit,
            pause,
            "two nodes that are well after the attack",
            || all_well(&both),
        );
        let limit = if round == 0 {
            GROWTH_KB_MAX
        } else {
            REPEATED_KB_MAX
        };
        check_growth(&before, &memory(&nodes), limit);
    }
    check_growth(&calm, &memory(&nodes), GROWTH_KB_MAX + REPEATED_KB_MAX);
    check_doors(&nodes[0]);
}

#[test]
fn those_who_accept_and_never_answer_hold_up_nothing() {
    let fleet = Fleet::new("mute");
    let good = fleet.node("good").start();
    let (mute_tcp, mute_udp) = (Mute::tcp(), Mute::udp());
    let config = format!(
        "[[target]]\nid = \"web\"\naddress = \"http://{0}/\"\nprobe = \"http\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\
         [[target]]\nid = \"tls\"\naddress = \"{0}\"\nprobe = \"tls\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\
         [[target]]\nid = \"name\"\naddress = \"example.com\"\nprobe = \"dns\"\nserver = \"{1}\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\
         [[target]]\nid = \"router\"\naddress = \"{1}\"\nprobe = \"stamp\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n\
         [gridbug]\nkey = \"a\"\nseeds = [\"{0}\"]\n",
        mute_tcp.address, mute_udp.address
    );
    let url = format!("http://{}/list", mute_tcp.address);
    let patient = fleet
        .node("patient")
        .config(&config)
        .join(mute_tcp.address)
        .join(mute_udp.address)
        .args(&["--seeds", &url])
        .join(good.address)
        .start();
    let both = [&good, &patient];
    let looks = || {
        both.iter().try_for_each(|node| {
            let view = node.picture()?;
            for (from, to) in [("good", "patient"), ("patient", "good")] {
                support::sight::link_is(&view, from, to, andon_model::LinkState::Up)?;
            }
            for target in ["web", "tls", "name", "router"] {
                support::sight::link_is(&view, "patient", target, andon_model::LinkState::Down)?;
            }
            Ok(())
        })
    };
    wait_for("mute targets that are down, and a grid that is not", looks);
    let [before, descriptors] = [memory_of(&patient), descriptors_of(&patient)];
    std::thread::sleep(Duration::from_secs(4));
    looks().unwrap();
    check_growth(&[before], &[memory_of(&patient)], REPEATED_KB_MAX);
    let now = descriptors_of(&patient);
    assert!(
        now <= descriptors + 16,
        "{descriptors} descriptors became {now}"
    );
}

/// Datagrams of any size up to the largest, some of them in our formats' shapes.
/// Returns how many answers came.
fn random_datagrams(nodes: &[Node], count: u64, random: &mut Random) -> usize {
    const SIZES: [usize; 16] = [
        0, 1, 2, 13, 44, 80, 111, 112, 113, 128, 200, 1_399, 1_400, 1_401, 9_000, 65_507,
    ];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut noise = vec![0; 66_000];
    noise.fill_with(|| random.next() as u8);
    for number in 0..count {
        let pick = if number % 64 == 0 {
            SIZES.len()
        } else {
            SIZES.len() - 2
        };
        let size = SIZES[random.below(pick)];
        let start = random.below(noise.len() - size);
        let bytes = &mut noise[start..start + size];
        match (number % 4, bytes) {
            (1, [first, ..]) => *first = GOSSIP,
            (2, [first, second, ..]) => (*first, *second) = (GOSSIP, 1),
            (3, [first, ..]) => *first = number as u8,
            _ => {}
        }
        let to = nodes[number as usize % nodes.len()].address;
        let _ = socket.send_to(&noise[start..start + size], to);
    }
    answers(&socket)
}

/// Real gossip again, reversed, cut, swollen and with flipped bits, from an address of a
/// stranger. Returns how many answers came.
fn replay(nodes: &[Node], captured: &[Vec<u8>], random: &mut Random) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = nodes[0].address;
    for datagram in captured.iter().rev() {
        let _ = socket.send_to(datagram, to);
    }
    for number in 0..20_000 {
        let mut bytes = captured[random.below(captured.len())].clone();
        match number % 3 {
            // The key's mark stays, so that the cipher has to refuse it.
            0 => {
                let place = 10 + random.below(bytes.len() - 10);
                bytes[place] ^= 1 << random.below(8);
            }
            1 => bytes.truncate(random.below(bytes.len())),
            _ => bytes.extend([0; 40]),
        }
        let _ = socket.send_to(&bytes, to);
    }
    answers(&socket)
}

/// Idle connections, 300 that send their headers a byte at a time, and 300 that begin
/// with frames and say nothing. An ordinary client is answered all the while.
fn crowd(node: &Node, idle: usize) {
    let connect = || TcpStream::connect_timeout(&node.address, ANSWER_MAX);
    let mut held: Vec<TcpStream> = (0..idle).filter_map(|_| connect().ok()).collect();
    check_answer(node, "idle connections");
    let mut slow: Vec<TcpStream> = (0..300).filter_map(|_| connect().ok()).collect();
    for stream in &mut slow {
        let _ = write!(
            stream,
            "GET /api/v1/picture HTTP/1.1\r\nhost: {}\r\nx: ",
            node.address
        );
    }
    for _ in 0..5 {
        slow.iter_mut()
            .for_each(|stream| drop(stream.write_all(b"a")));
        check_answer(node, "300 slow ones");
    }
    for _ in 0..300 {
        if let Ok(mut stream) = connect() {
            let _ = stream.write_all(&[FRAMES]);
            held.push(stream);
        }
    }
    check_answer(node, "300 mute frame connections");
}

#[track_caller]
fn check_answer(node: &Node, among: &str) {
    let start = Instant::now();
    let answer = http::get(node.address, "/api/v1/picture").unwrap();
    assert_eq!(answer.status, 200, "among {among}");
    assert!(
        start.elapsed() < ANSWER_MAX,
        "{:?} among {among}",
        start.elapsed()
    );
}

/// Pages of other origins get nothing, by whatever name they call the node.
fn check_doors(node: &Node) {
    let ask = |method, path, headers: &[(&str, &str)]| {
        http::request(node.address, method, path, headers, "{}")
            .unwrap()
            .status
    };
    let local = node.address.to_string();
    for name in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ] {
        assert_eq!(
            ask("GET", "/api/v1/picture", &[("host", name)]),
            403,
            "{name}"
        );
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let headers = [("host", local.as_str()), ("origin", origin)];
        assert_eq!(ask("POST", "/api/v1/tokens", &headers), 403, "{origin}");
    }
    for path in ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd"] {
        assert_eq!(ask("GET", path, &[]), 404, "{path}");
    }
}

fn answers(socket: &UdpSocket) -> usize {
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut buffer = [0; 2_048];
    let lengths = std::iter::from_fn(|| socket.recv(&mut buffer).ok());
    lengths
        .inspect(|length| println!("{length} bytes came back"))
        .count()
}

#[track_caller]
fn check_growth(before: &[u64], after: &[u64], limit: u64) {
    println!("memory in kB: {before:?} -> {after:?}");
    for (before, after) in before.iter().zip(after) {
        assert!(*after <= before + limit, "{before} kB became {after} kB");
    }
}

fn memory(nodes: &[Node]) -> Vec<u64> {
    nodes.iter().map(memory_of).collect()
}

/// Resident memory, kB.
fn memory_of(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn descriptors_of(node: &Node) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", node.pid()))
        .unwrap()
        .count() as u64
}

fn raise_descriptor_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(8_192)), hard).unwrap();
}

/// The same numbers every time (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }
}

/// Passes datagrams between one node and another, and keeps the gossip it sees.
struct Relay {
    address: SocketAddr,
    captured: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    fn before(node: SocketAddr) -> Self {
        let socket = UdpSocket::bind(free_address()).unwrap();
        let address = socket.local_addr().unwrap();
        let captured: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&captured);
        // Ends with the test's process.
        std::thread::spawn(move || {
            let (mut buffer, mut client) = ([0; 2_048], None);
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let bytes = &buffer[..length];
                if bytes.first() == Some(&GOSSIP) {
                    kept.lock().unwrap().push(bytes.to_vec());
                }
                let to = if from == node { client } else { Some(node) };
                client = if from == node { client } else { Some(from) };
                let _ = to.map(|to| socket.send_to(bytes, to));
            }
        });
        Self { address, captured }
    }
}

/// Somebody who takes what comes and says nothing.
struct Mute {
    address: SocketAddr,
}

impl Mute {
    fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let held: Vec<TcpStream> = listener.incoming().map_while(Result::ok).collect();
            drop(held);
        });
        Self { address }
    }

    fn udp() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || while socket.recv(&mut [0; 2_048]).is_ok() {});
        Self { address }
    }
}
