//! Steps of a node's start: sockets, names, limits, the parts' configurations.

use super::NodeError;
use super::clock::Clock;
use crate::config::settings::{Advertise, NodeSettings};
use andon_api::ApiConfig;
use andon_grid::{Grid, GridConfig, KeyRing, StoreLimits};
use andon_model::NodeKey;
use andon_probe::WireConfig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// Descriptors that a node wants: connections, flow sockets and files, with room.
const DESCRIPTORS: u64 = 16_384;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Raises the soft limit of open files as far as wanted and allowed.
pub fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = DESCRIPTORS.min(hard);
        if soft < wanted {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        }
    }
}

/// Binds the one port, UDP and TCP. `[::]` takes IPv4 too. Port 0 picks a free one.
pub fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener), NodeError> {
    let tcp = bind_tcp(listen).map_err(|source| refused(listen, "TCP", source))?;
    let bound = tcp.local_addr().map_err(|source| refused(listen, "TCP", source))?;
    let udp = bind_udp(bound).map_err(|source| refused(bound, "UDP", source))?;
    Ok((udp, tcp))
}

fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted node takes its port back while old connections linger.
    socket.set_reuse_address(true)?;
    if listen.ip().is_unspecified() && listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&listen.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.ip().is_unspecified() && listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

fn refused(address: SocketAddr, protocol: &'static str, source: io::Error) -> NodeError {
    let help = match source.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has this port, perhaps another andon node; stop it, or choose another with --listen"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose a higher one with --listen",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address; `ip address` shows those it has",
        _ => "choose another address or port with --listen",
    };
    NodeError::Listen { address, protocol, source, help }
}

/// Names that the node's certificate carries.
pub fn certificate_names(settings: &NodeSettings) -> Vec<String> {
    let mut names = vec![settings.id.to_string(), "localhost".to_owned()];
    if let Advertise::At(addresses) = &settings.advertise {
        names.extend(addresses.iter().map(|address| address.ip().to_string()));
    }
    if !settings.listen.ip().is_unspecified() {
        names.push(settings.listen.ip().to_string());
    }
    names.extend(settings.allowed_hosts.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// The keys as a ring; `None` if there is no key.
pub fn key_ring(settings: &NodeSettings) -> Option<KeyRing> {
    let (primary, accepted) = settings.keys.split_first()?;
    Some(KeyRing { primary: primary.clone(), accepted: accepted.to_vec() })
}

/// The grid core.
pub fn grid(seed: &[u8; 32], keys: KeyRing, clock: Clock) -> Grid {
    let config = GridConfig {
        signing_seed: *seed,
        keys,
        epoch: u64::try_from(clock.utc().0).unwrap_or(0),
        random_seed: rand::random(),
        limits: StoreLimits::default(),
    };
    Grid::new(config, clock.now())
}

/// The probe thread's configuration.
pub fn wire_config(settings: &NodeSettings, socket: UdpSocket, keys: &KeyRing, me: NodeKey) -> WireConfig {
    WireConfig {
        socket,
        flows: settings.probe.flows,
        round: settings.probe.round,
        budget_pps: settings.probe.budget_pps,
        stamp_keys: stamp_keys(keys),
        me,
        rng_seed: rand::random(),
    }
}

/// Keys of the probes, the one that signs first.
pub fn stamp_keys(keys: &KeyRing) -> Vec<[u8; 32]> {
    keys.keys().map(andon_grid::GridKey::stamp_key).collect()
}

/// The API's configuration.
pub fn api_config(settings: &NodeSettings) -> ApiConfig {
    ApiConfig {
        id: settings.id.to_string(),
        site: settings.site.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        allowed_hosts: settings.allowed_hosts.clone(),
        loopback_viewer: settings.loopback_viewer,
        demo_control: settings.demo_control,
        has_seeds: !settings.seeds.is_empty(),
        connections_max: andon_api::sources::CONNECTIONS_MAX_DEFAULT,
    }
}

/// Tells the person who starts the node how to get in.
#[allow(clippy::print_stderr)] // meant for the person at the terminal, and must not enter log files
pub fn announce_first_link(listen: SocketAddr, secret: &str) {
    let host = if listen.ip().is_unspecified() {
        let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        name.unwrap_or_else(|| "localhost".to_owned())
    } else if listen.is_ipv6() {
        format!("[{}]", listen.ip())
    } else {
        listen.ip().to_string()
    };
    let scheme = if listen.ip().is_loopback() { "http" } else { "https" };
    eprintln!(
        "Open the console as its admin (once, within 15 minutes):\n  {scheme}://{host}:{}/login#{secret}",
        listen.port()
    );
}
