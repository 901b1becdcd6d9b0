//! Where the next machine reaches the grid: what goes into an invite as seeds.
//!
//! A node that listens on all addresses knows none of its own before a peer tells it one, and
//! the first node of a grid has no peer. The interfaces of this machine then say it.

use super::Failure;
use super::http::{Client, Trust};
use super::url::NodeUrl;
use crate::config::settings::{Advertise, NodeSettings};
use andon_model::{NodeKind, NodeState, NodeView, PictureView};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Most addresses in an invite; a few suffice, and the line is pasted by hand.
pub const SEEDS_MAX: usize = 4;
/// Addresses of the node itself that go before those of others: one may be its outside
/// address, the other that inside its network.
const OWN_MAX: usize = 2;
/// How long a node on this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a running node was heard to say of its grid's addresses.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Heard {
    own: Vec<String>,
    others: Vec<String>,
}

/// Addresses for an invite, best first, at most [`SEEDS_MAX`]; never none.
pub fn addresses(settings: &NodeSettings) -> Result<Vec<String>, Failure> {
    let listen = settings.listen;
    if let Advertise::At(addresses) = &settings.advertise
        && !listen.ip().is_unspecified()
    {
        return Ok(shortened(addresses.iter().map(ToString::to_string)));
    }
    if !asks_itself(listen.ip()) && settings.advertise == Advertise::Auto {
        return Ok(vec![listen.to_string()]);
    }
    let at = asked_at(listen);
    let heard = match ask(at) {
        Ok(heard) => heard,
        Err(_) if matches!(settings.advertise, Advertise::At(_)) => Heard::default(),
        Err(reason) => {
            return Err(Failure::new(format!(
                "the node does not answer at {at}: {reason}\n  start it (andon node), name its configuration with --config FILE, or give the grid's address with --address ADDR:PORT"
            )));
        }
    };
    let seeds = choose(settings, heard, &interfaces());
    if seeds.is_empty() {
        return Err(Failure::new(format!(
            "the node at {at} answers and knows no address that leads into the grid, so the line would lead nowhere\n  give one with --address ADDR:PORT, or tell the node its own with --advertise ADDR:PORT"
        )));
    }
    Ok(seeds)
}

/// Which of the known addresses go into the line. Loopback ones only if there is nothing else.
fn choose(settings: &NodeSettings, heard: Heard, interfaces: &[IpAddr]) -> Vec<String> {
    let listen = settings.listen;
    let own = match &settings.advertise {
        Advertise::At(addresses) => addresses.iter().map(ToString::to_string).collect(),
        Advertise::Auto => heard.own,
        Advertise::None => Vec::new(),
    };
    // Who listens on 0.0.0.0 hears no IPv6; who advertises none cannot be reached at all.
    let open = listen.ip().is_unspecified() && settings.advertise != Advertise::None;
    let mut interfaces = interfaces
        .iter()
        .filter(|address| open && (listen.is_ipv6() || address.is_ipv4()))
        .map(|address| SocketAddr::new(*address, listen.port()).to_string());
    let best: Vec<String> = interfaces.next().into_iter().collect();
    let known = own
        .into_iter()
        .filter(|seed| !is_loopback(seed))
        .take(OWN_MAX);
    let others = heard
        .others
        .iter()
        .filter(|seed| !is_loopback(seed))
        .cloned();
    let seeds = shortened(known.chain(best).chain(others).chain(interfaces));
    if !seeds.is_empty() || settings.advertise == Advertise::None {
        return seeds;
    }
    let own = SocketAddr::new(asked_at(listen).ip(), listen.port()).to_string();
    shortened(std::iter::once(own).chain(heard.others))
}

fn shortened(seeds: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for seed in seeds {
        if kept.len() < SEEDS_MAX && !kept.contains(&seed) {
            kept.push(seed);
        }
    }
    kept
}

/// Whether an address leads to this machine alone.
pub fn is_loopback(seed: &str) -> bool {
    seed.parse::<SocketAddr>()
        .is_ok_and(|at| at.ip().to_canonical().is_loopback())
}

/// Whether plain HTTP from this machine reaches a node that listens there.
fn asks_itself(listen: IpAddr) -> bool {
    listen.is_unspecified() || listen.to_canonical().is_loopback()
}

/// Where the node on this machine is asked.
fn asked_at(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port())
    } else {
        listen
    }
}

/// Asks the running node; a node that answers and shows nothing without a token was heard too.
fn ask(at: SocketAddr) -> Result<Heard, String> {
    let client = Client {
        url: NodeUrl {
            tls: false,
            host: at.ip().to_string(),
            port: at.port(),
        },
        token: std::env::var("ANDON_TOKEN").ok(),
        trust: Trust::Ask,
        timeout: PATIENCE,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let answer = runtime
        .block_on(client.get("/api/v1/picture"))
        .map_err(|error| error.to_string())?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map(|view| heard(&view))
            .map_err(|_| "something else than an andon node has that port".to_owned()),
        401 | 403 => Ok(Heard::default()),
        status => Err(format!("it answers with status {status}")),
    }
}

fn heard(view: &PictureView) -> Heard {
    let fit = |node: &&NodeView| node.kind == NodeKind::Andon && node.state == NodeState::Up;
    let (mine, others): (Vec<&NodeView>, Vec<&NodeView>) = view
        .nodes
        .iter()
        .filter(fit)
        .partition(|node| node.id == view.me);
    Heard {
        own: mine
            .into_iter()
            .flat_map(|node| node.addresses.clone())
            .collect(),
        others: others
            .into_iter()
            .filter_map(|node| node.addresses.first().cloned())
            .collect(),
    }
}

/// Addresses of this machine's interfaces, that of the default route first, IPv4 before IPv6.
/// Loopback and link-local ones lead nobody here.
fn interfaces() -> Vec<IpAddr> {
    let preferred = [
        routed(Ipv4Addr::UNSPECIFIED.into()),
        routed(Ipv6Addr::UNSPECIFIED.into()),
    ];
    let mut found: Vec<IpAddr> = Vec::new();
    if let Ok(listed) = nix::ifaddrs::getifaddrs() {
        for interface in listed {
            let Some(address) = interface.address else {
                continue;
            };
            let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
            found.extend(v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip()))));
        }
    }
    found.retain(|address| leads_here(*address));
    found.sort_by_key(|address| {
        (
            !preferred.contains(&Some(*address)),
            address.is_ipv6(),
            *address,
        )
    });
    found.dedup();
    found
}

/// The address that this machine takes for talking to the world. Connecting a UDP socket
/// only picks it; nothing is sent.
fn routed(from: IpAddr) -> Option<IpAddr> {
    // Documentation addresses: routed like any other, and nobody's.
    let to: IpAddr = match from {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn leads_here(address: IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::config::tests::inputs;

    fn settings(toml: &str) -> NodeSettings {
        load(&inputs(toml)).unwrap().settings
    }

    fn told(toml: &str, own: &[&str], others: &[&str], interfaces: &[&str]) -> Vec<String> {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let heard = Heard {
            own: texts(own),
            others: texts(others),
        };
        let interfaces: Vec<IpAddr> = interfaces
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        choose(&settings(toml), heard, &interfaces)
    }

    #[test]
    fn a_lone_node_on_all_addresses_is_found_at_those_of_its_interfaces() {
        let all = "listen = \"[::]:8777\"";
        assert_eq!(
            told(all, &[], &[], &["10.0.0.1", "fd00::1"]),
            ["10.0.0.1:8777", "[fd00::1]:8777"]
        );
        let v4 = "listen = \"0.0.0.0:9000\"";
        assert_eq!(
            told(v4, &[], &[], &["10.0.0.1", "fd00::1"]),
            ["10.0.0.1:9000"]
        );
        assert_eq!(
            told(all, &[], &[], &[]),
            ["127.0.0.1:8777"],
            "better than nothing, with a remark"
        );
    }

    #[test]
    fn what_the_node_learned_comes_first_and_loopback_never_beside_others() {
        let all = "listen = \"[::]:8777\"";
        let seeds = told(
            all,
            &["127.0.0.1:8777", "198.51.100.1:8777", "10.0.0.1:8777"],
            &["10.0.0.2:8777", "127.0.0.1:8778"],
            &["10.0.0.1", "172.17.0.1"],
        );
        assert_eq!(
            seeds,
            [
                "198.51.100.1:8777",
                "10.0.0.1:8777",
                "10.0.0.2:8777",
                "172.17.0.1:8777"
            ]
        );
        let hidden = "listen = \"[::]:8777\"\nadvertise = \"none\"";
        assert_eq!(
            told(hidden, &[], &["10.0.0.2:8777"], &["10.0.0.1"]),
            ["10.0.0.2:8777"]
        );
        assert!(told(hidden, &[], &[], &["10.0.0.1"]).is_empty());
    }

    #[test]
    fn a_node_on_one_address_is_invited_to_there_without_being_asked() {
        let seeds = addresses(&settings("listen = \"192.0.2.7:8777\"")).unwrap();
        assert_eq!(seeds, ["192.0.2.7:8777"]);
    }

    #[test]
    fn only_addresses_that_lead_here_from_elsewhere_count() {
        for bad in ["127.0.0.1", "::1", "169.254.3.4", "fe80::1", "0.0.0.0"] {
            assert!(!leads_here(bad.parse().unwrap()), "{bad}");
        }
        for good in ["10.0.0.1", "fd00::1", "2001:db8::1"] {
            assert!(leads_here(good.parse().unwrap()), "{good}");
        }
    }
}
