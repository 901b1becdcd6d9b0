//! Traces in a real network: namespaces, two equal paths, one of which breaks, and a prober
//! that runs as a user without any privilege. Needs root to build the network.
//!
//! ```text
//!               ra
//! s ── r1 ══<        >══ r2 ── d
//!               rb
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test with real processes, real time and a console"
)]

use andon_model::{LinkState, NodeKey, Peer};
use andon_probe::{PlannedLink, TraceTo, WireCommand, WireConfig, WireEvent, spawn};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PORT: u16 = 8777;
const FLOWS: u16 = 16;
const NODE: &str = "ANDON_TRACE_NODE";

// ---- the network ----

fn run(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(
        done.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Namespaces with a prefix of their own, removed at the end and before the beginning.
struct Network {
    prefix: String,
}

const NAMES: [&str; 6] = ["s", "r1", "ra", "rb", "r2", "d"];

impl Network {
    fn build(tag: &str) -> Self {
        let network = Self {
            prefix: format!("atr{tag}"),
        };
        network.remove();
        for name in NAMES {
            run(&format!("ip netns add {}", network.name(name)));
            network.inside(name, "ip link set lo up");
            network.inside(name, "sysctl -qw net.ipv4.ip_forward=1");
            network.inside(name, "sysctl -qw net.ipv6.conf.all.forwarding=1");
            network.inside(name, "sysctl -qw net.ipv6.conf.default.accept_dad=0");
            network.inside(name, "sysctl -qw net.ipv4.fib_multipath_hash_policy=1");
            network.inside(name, "sysctl -qw net.ipv6.fib_multipath_hash_policy=1");
        }
        for (number, (a, b)) in [
            ("s", "r1"),
            ("r1", "ra"),
            ("r1", "rb"),
            ("ra", "r2"),
            ("rb", "r2"),
            ("r2", "d"),
        ]
        .into_iter()
        .enumerate()
        {
            network.link(a, b, number + 1);
        }
        for (name, via4, via6) in [
            ("s", "10.77.1.2", "fd77:1::2"),
            ("d", "10.77.6.1", "fd77:6::1"),
        ] {
            network.inside(name, &format!("ip route add default via {via4}"));
            network.inside(name, &format!("ip -6 route add default via {via6}"));
        }
        for (name, id, via) in [
            ("r1", 1, "10.77.2.2 dev r1-ra"),
            ("r1", 2, "10.77.3.2 dev r1-rb"),
            ("r1", 3, "fd77:2::2 dev r1-ra"),
            ("r1", 4, "fd77:3::2 dev r1-rb"),
            ("r2", 1, "10.77.4.1 dev r2-ra"),
            ("r2", 2, "10.77.5.1 dev r2-rb"),
            ("r2", 3, "fd77:4::1 dev r2-ra"),
            ("r2", 4, "fd77:5::1 dev r2-rb"),
        ] {
            network.inside(name, &format!("ip nexthop add id {id} via {via}"));
        }
        for (name, far4, far6) in [
            ("r1", "10.77.6.0/24", "fd77:6::/64"),
            ("r2", "10.77.1.0/24", "fd77:1::/64"),
        ] {
            network.inside(name, "ip nexthop add id 10 group 1/2");
            network.inside(name, "ip nexthop add id 11 group 3/4");
            network.inside(name, &format!("ip route add {far4} nhid 10"));
            network.inside(name, &format!("ip -6 route add {far6} nhid 11"));
        }
        for (name, to_s4, to_d4, to_s6, to_d6) in [
            ("ra", "10.77.2.1", "10.77.4.2", "fd77:2::1", "fd77:4::2"),
            ("rb", "10.77.3.1", "10.77.5.2", "fd77:3::1", "fd77:5::2"),
        ] {
            network.inside(name, &format!("ip route add 10.77.1.0/24 via {to_s4}"));
            network.inside(name, &format!("ip route add 10.77.6.0/24 via {to_d4}"));
            network.inside(name, &format!("ip -6 route add fd77:1::/64 via {to_s6}"));
            network.inside(name, &format!("ip -6 route add fd77:6::/64 via {to_d6}"));
        }
        // What r2 says of packets whose time ran out goes back the way it came.
        network.inside("r2", "ip route add 10.77.2.0/24 via 10.77.4.1");
        network.inside("r2", "ip route add 10.77.3.0/24 via 10.77.5.1");
        network
    }

    fn link(&self, a: &str, b: &str, number: usize) {
        let (at, bt) = (format!("{a}-{b}"), format!("{b}-{a}"));
        run(&format!(
            "ip link add {at} netns {} type veth peer name {bt} netns {}",
            self.name(a),
            self.name(b)
        ));
        for (name, device, host) in [(a, &at, 1), (b, &bt, 2)] {
            self.inside(
                name,
                &format!("ip addr add 10.77.{number}.{host}/24 dev {device}"),
            );
            self.inside(
                name,
                &format!("ip addr add fd77:{number}::{host}/64 dev {device} nodad"),
            );
            self.inside(name, &format!("ip link set {device} up"));
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn inside(&self, name: &str, line: &str) {
        run(&format!("ip netns exec {} {line}", self.name(name)));
    }

    /// rb looks up and drops what it should pass on towards r2.
    fn break_rb(&self) {
        self.inside("rb", "nft add table inet fault");
        self.inside(
            "rb",
            "nft add chain inet fault fault { type filter hook forward priority 0 ; }",
        );
        self.inside("rb", "nft add rule inet fault fault oifname rb-r2 drop");
    }

    fn mend_rb(&self) {
        self.inside("rb", "nft delete table inet fault");
    }

    fn remove(&self) {
        for name in NAMES {
            let _ = Command::new("ip")
                .args(["netns", "del", &self.name(name)])
                .output();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

// ---- the nodes ----

/// One wire as a process in a namespace, as nobody, that tells what it sees in lines.
struct Node {
    child: Child,
    copy: std::path::PathBuf,
    lines: Receiver<String>,
    seen: Vec<String>,
    routes: Vec<Route>,
    state: String,
}

/// A route as the node printed it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Route {
    hops: Vec<String>,
    answered: usize,
    reached: bool,
    flows: usize,
    dead: usize,
}

impl Node {
    fn start(network: &Network, name: &str, number: u64, me: &str, far: &str) -> Self {
        let own = std::env::current_exe().unwrap();
        let copy = std::env::temp_dir().join(format!(
            "andon-trace-{}-{}",
            std::process::id(),
            network.name(name)
        ));
        std::fs::copy(&own, &copy).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &network.name(name)])
            .args(["setpriv", "--reuid", "65534", "--regid", "65534"])
            .args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
            .arg(&copy)
            .args(["a_node", "--exact", "--ignored", "--nocapture"])
            .env(NODE, format!("{number} {me} {far}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let (tx, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::Builder::new()
            .spawn(move || {
                out.lines()
                    .map_while(Result::ok)
                    .try_for_each(|l| tx.send(l))
            })
            .unwrap();
        Self {
            child,
            copy,
            lines,
            seen: Vec::new(),
            routes: Vec::new(),
            state: String::new(),
        }
    }

    fn until(&mut self, what: &str, limit: Duration, fits: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !fits(self) {
            let left = limit.checked_sub(start.elapsed());
            let line = left.and_then(|left| self.lines.recv_timeout(left).ok());
            let Some(line) = line else {
                panic!(
                    "{what}: not within {limit:?}; {} {:#?}\n{}",
                    self.state,
                    self.routes,
                    self.seen.join("\n")
                );
            };
            self.take(line);
        }
        start.elapsed()
    }

    fn take(&mut self, line: String) {
        let mut words = line.split(' ');
        match words.next() {
            Some("state") => self.state = words.collect::<Vec<_>>().join(" "),
            Some("paths") => self.routes.clear(),
            Some("route") => {
                let mut number = || words.next().unwrap().parse::<usize>().unwrap();
                let (answered, reached, flows, dead) = (number(), number(), number(), number());
                self.routes.push(Route {
                    answered,
                    reached: reached == 1,
                    flows,
                    dead,
                    hops: words.map(str::to_owned).collect(),
                });
            }
            _ => {}
        }
        self.seen.push(line);
    }

    /// A trace on request: hops by flow.
    fn trace(&mut self, to: &str, flows: u16) -> BTreeMap<u16, Vec<String>> {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "trace {to} {flows}").unwrap();
        let before = self.seen.len();
        self.until("trace", Duration::from_secs(20), |node| {
            node.seen[before..].iter().any(|line| line == "traced")
        });
        let lines = self.seen[before..].iter();
        lines
            .filter_map(|line| {
                let (port, hops) = line.strip_prefix("flow ")?.split_once(' ')?;
                let hops = hops.split(' ').map(str::to_owned).collect();
                Some((port.parse().unwrap(), hops))
            })
            .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.copy);
    }
}

/// The process inside: a wire that probes one far node and prints what it is told.
#[test]
#[ignore = "the process that the other tests start"]
fn a_node() {
    let Ok(spec) = std::env::var(NODE) else {
        return;
    };
    let words: Vec<&str> = spec.split(' ').collect();
    let number: u64 = words[0].parse().unwrap();
    let (me, far): (IpAddr, IpAddr) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().filter(|line| line.starts_with("Cap"));
    for line in capabilities {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    let (tx, rx) = channel();
    let wire = spawn(
        WireConfig {
            socket: UdpSocket::bind((me, PORT)).unwrap(),
            flows: FLOWS,
            round: Duration::from_secs(1),
            budget_pps: 2_000,
            stamp_keys: vec![[7; 32]],
            me: NodeKey(number),
            rng_seed: [number as u8; 32],
        },
        Box::new(move |event| drop(tx.send(event))),
    )
    .unwrap();
    let far_key = NodeKey(3 - number);
    wire.send(WireCommand::Members(vec![
        (NodeKey(number), vec![me]),
        (far_key, vec![far]),
    ]));
    wire.send(WireCommand::Plan(vec![PlannedLink {
        to: far_key,
        address: Some(SocketAddr::new(far, PORT)),
        connection: None,
        via: false,
    }]));
    let sender = wire.sender();
    let commands = move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            let to = match words[1].parse() {
                Ok(address) => TraceTo::Address(address),
                Err(_) => TraceTo::Node(far_key),
            };
            let reply = Box::new(|detail: Option<andon_probe::TraceDetail>| {
                for flow in detail.map(|detail| detail.flows).unwrap_or_default() {
                    let hops = flow.hops.iter().map(|hop| {
                        let told: Vec<String> =
                            hop.addresses.iter().map(IpAddr::to_string).collect();
                        if told.is_empty() {
                            "*".to_owned()
                        } else {
                            told.join(",")
                        }
                    });
                    let hops: Vec<String> = hops.collect();
                    println!("flow {} {}", flow.port, hops.join(" "));
                }
                println!("traced");
            });
            let flows = words[2].parse().unwrap();
            sender.send(WireCommand::Trace { to, flows, reply });
        }
    };
    let _commands = std::thread::Builder::new().spawn(commands).unwrap();
    let start = Instant::now();
    for event in rx {
        match event {
            WireEvent::Links(links) => {
                let link = links.iter().find(|link| link.to == Peer::Node(far_key));
                if let Some(link) = link {
                    let (state, flows) = (link.state, link.flows);
                    println!("state {state:?} {} {}", flows.ok, flows.total);
                    if state == LinkState::Partial {
                        println!("at {:?}", start.elapsed());
                    }
                }
            }
            WireEvent::Paths(reports) => {
                println!("paths {:?}", start.elapsed());
                for report in &reports {
                    for route in &report.routes {
                        let hops = report
                            .hops(route)
                            .map(|hop| hop.map_or("*".to_owned(), |hop| hop.to_string()));
                        println!(
                            "route {} {} {} {} {}",
                            route.answered,
                            u8::from(route.reached),
                            route.flows.len(),
                            route.dead.len(),
                            hops.collect::<Vec<_>>().join(" ")
                        );
                    }
                }
            }
            WireEvent::Stats(stats) => println!("stats {stats:?}"),
            _ => {}
        }
    }
}

fn is_root() -> bool {
    let root = nix_is_root();
    if !root {
        eprintln!("NOT RUN: namespaces need root");
    }
    root
}

fn nix_is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.is_some_and(|uids| uids.split_whitespace().nth(1) == Some("0"))
}

// ---- what is promised ----

struct Family {
    tag: &'static str,
    s: &'static str,
    d: &'static str,
    hops: [&'static str; 4],
}

const V4: Family = Family {
    tag: "4",
    s: "10.77.1.1",
    d: "10.77.6.2",
    hops: ["10.77.1.2", "10.77.2.2", "10.77.3.2", "10.77.4.2"],
};
const V6: Family = Family {
    tag: "6",
    s: "fd77:1::1",
    d: "fd77:6::2",
    hops: ["fd77:1::2", "fd77:2::2", "fd77:3::2", "fd77:4::2"],
};

fn one_of_two_paths_breaks(family: &Family) {
    if !is_root() {
        return;
    }
    let network = Network::build(family.tag);
    let mut s = Node::start(&network, "s", 1, family.s, family.d);
    let _d = Node::start(&network, "d", 2, family.d, family.s);
    let [r1, ra, rb, _] = family.hops;
    let passes = |routes: &[Route], by: &str| -> usize {
        let by = routes
            .iter()
            .filter(|r| r.hops.get(1).is_some_and(|hop| hop == by));
        by.map(|route| route.flows).sum()
    };
    let known = s.until("both ways known", Duration::from_secs(40), |s| {
        let whole = |route: &Route| {
            route.hops.len() == 3 && route.hops[0] == r1 && !route.hops.contains(&"*".to_owned())
        };
        s.routes
            .iter()
            .filter(|route| whole(route))
            .map(|route| route.flows)
            .sum::<usize>()
            >= usize::from(FLOWS)
    });
    let (by_a, by_b) = (passes(&s.routes, ra), passes(&s.routes, rb));
    assert_eq!(by_a + by_b, usize::from(FLOWS), "{:?}", s.routes);
    assert!(by_a > 0 && by_b > 0, "{:?}", s.routes);

    network.break_rb();
    let partial = s.until("partial", Duration::from_secs(5), |s| {
        s.state.starts_with("Partial")
    });
    let placed = s.until("placed", Duration::from_secs(8), |s| {
        // Flows of the burst that follows were dead from the start: nobody knows their ways.
        let known = s
            .routes
            .iter()
            .filter(|route| route.dead > 0 && route.hops.len() == 3);
        let told: Vec<&Route> = known.collect();
        !told.is_empty()
            && told
                .iter()
                .all(|route| route.hops[1] == rb && route.answered == 2 && !route.reached)
            && told.iter().map(|route| route.dead).sum::<usize>() == by_b
    });
    eprintln!(
        "IPv{}: ways of {FLOWS} flows ({by_a}/{by_b}) known after {known:?}; broken: partial after \
         {partial:?}, all dead flows end behind rb after {:?}",
        family.tag,
        partial + placed
    );
    assert!(partial < Duration::from_secs(3), "{partial:?}");

    let traced = s.trace("node", 32);
    assert_eq!(traced.len(), 32);
    let ends: BTreeSet<&str> = traced
        .values()
        .filter_map(|hops| hops.iter().rev().find(|hop| *hop != "*"))
        .map(String::as_str)
        .collect();
    assert_eq!(ends, BTreeSet::from([family.d, rb]), "{traced:?}");

    network.mend_rb();
    s.until("mended", Duration::from_secs(20), |s| {
        s.routes.iter().all(|route| route.dead == 0) && !s.routes.is_empty()
    });
    // A plain address: reached where it says that nobody listens.
    let to = SocketAddr::new(family.d.parse().unwrap(), 33_434);
    let traced = s.trace(&to.to_string(), 4);
    for hops in traced.values() {
        assert_eq!(hops.len(), 4, "{traced:?}");
        assert_eq!(hops[3], family.d, "{traced:?}");
    }
}

#[test]
fn a_user_without_privileges_sees_which_of_two_paths_broke() {
    one_of_two_paths_breaks(&V4);
}

#[test]
fn and_over_ipv6() {
    one_of_two_paths_breaks(&V6);
}
