//! Steps of a node's start: sockets, names, limits, the parts' configurations.

use super::NodeError;
use super::clock::Clock;
use super::data_dir::DataDir;
use crate::config::settings::{Advertise, NodeSettings};
use andon_api::ApiConfig;
use andon_grid::{Grid, GridConfig, KeyRing, StoreLimits};
use andon_model::NodeKey;
use andon_probe::WireConfig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use tokio::sync::oneshot;

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
    let bound = tcp
        .local_addr()
        .map_err(|source| refused(listen, "TCP", source))?;
    let udp = bind_udp(bound).map_err(|source| refused(bound, "UDP", source))?;
    Ok((udp, tcp))
}

/// Whether the data directory and the port can be had now. Both are given back.
pub fn can_start(settings: &NodeSettings) -> bool {
    DataDir::open(&settings.data_dir).is_ok() && bind(settings.listen).is_ok()
}

fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
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
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
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
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges; choose a higher one with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; `ip address` shows those it has"
        }
        _ => "choose another address or port with --listen",
    };
    NodeError::Listen {
        address,
        protocol,
        source,
        help,
    }
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
    names.extend(host_name());
    names.extend(settings.allowed_hosts.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// This machine's name, if it can stand in an address.
fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    is_dns_name(&name).then(|| name.to_ascii_lowercase())
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // A name of digits alone would be read as an address.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253
        && name.split('.').all(is_label)
        && !name.rsplit('.').next().is_none_or(is_number)
}

/// The keys as a ring; `None` if there is no key.
pub fn key_ring(settings: &NodeSettings) -> Option<KeyRing> {
    let (primary, accepted) = settings.keys.split_first()?;
    Some(KeyRing {
        primary: primary.clone(),
        accepted: accepted.to_vec(),
    })
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
pub fn wire_config(
    settings: &NodeSettings,
    socket: UdpSocket,
    keys: &KeyRing,
    me: NodeKey,
) -> WireConfig {
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
        allowed_hosts: settings
            .allowed_hosts
            .iter()
            .cloned()
            .chain(host_name())
            .collect(),
        loopback_viewer: settings.loopback_viewer,
        demo_control: settings.demo_control,
        has_seeds: !settings.seeds.is_empty(),
        connections_max: andon_api::sources::CONNECTIONS_MAX_DEFAULT,
    }
}

/// Tells the person who starts the node how to get in.
#[allow(clippy::print_stderr)] // meant for the person at the terminal, and must not enter log files
pub fn announce_first_link(listen: SocketAddr, fingerprint: &[u8; 32], secret: &str) {
    eprint!(
        "{}",
        first_link_text(listen, host_name().as_deref(), fingerprint, secret)
    );
}

fn first_link_text(
    listen: SocketAddr,
    host_name: Option<&str>,
    fingerprint: &[u8; 32],
    secret: &str,
) -> String {
    let port = listen.port();
    let mut text = "Open the console as its admin (once, within 15 minutes):\n".to_owned();
    let here = match listen.ip() {
        ip if ip.is_unspecified() => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        ip if ip.to_canonical().is_loopback() => Some(listen),
        _ => None,
    };
    if let Some(here) = here {
        let _ = writeln!(text, "  on this machine  http://{here}/login#{secret}");
    }
    let elsewhere = if listen.ip().is_unspecified() {
        host_name.map(|name| format!("{name}:{port}"))
    } else {
        here.is_none().then(|| listen.to_string())
    };
    if let Some(elsewhere) = elsewhere {
        let shown: Vec<String> = fingerprint
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let _ = writeln!(
            text,
            "  from elsewhere   https://{elsewhere}/login#{secret}"
        );
        let _ = writeln!(
            text,
            "  There the browser warns, since the node signed its certificate itself. Compare its SHA-256:\n  {}",
            shown.join(":")
        );
    }
    text
}

/// Runs a task on a thread of its own and tells when it has ended; an error where it panicked.
/// Gossip comes many times a second: between worker threads each datagram would wake two of
/// them, and it would wait for whatever the API has them do.
pub fn on_its_own_thread<T: Send + 'static>(
    name: &str,
    task: impl Future<Output = T> + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended_tx, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || drop(ended_tx.send(runtime.block_on(task))))?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listen: &str, host: Option<&str>) -> String {
        first_link_text(listen.parse().unwrap(), host, &[0xab; 32], "s3")
    }

    #[test]
    fn the_first_link_is_one_that_the_node_answers() {
        let all = told("[::]:8777", Some("web-1"));
        assert!(all.contains(" http://127.0.0.1:8777/login#s3\n"), "{all}");
        assert!(
            all.contains(" https://web-1:8777/login#s3\n") && all.contains("AB:AB:"),
            "{all}"
        );
        let nameless = told("[::]:8777", None);
        assert!(
            nameless.contains("127.0.0.1:8777") && !nameless.contains("https"),
            "{nameless}"
        );
        let loopback = told("[::1]:8777", Some("web-1"));
        assert!(loopback.contains(" http://[::1]:8777/login#s3\n") && !loopback.contains("https"));
        let one = told("192.0.2.1:8777", Some("web-1"));
        assert!(one.contains(" https://192.0.2.1:8777/login#s3\n") && !one.contains(" http:"));
    }

    #[test]
    fn a_host_name_is_used_only_where_it_can_stand_in_an_address() {
        for good in ["web-1", "WEB", "a.example.com", "3com", "0ea1f2c3"] {
            assert!(is_dns_name(good), "{good}");
        }
        for bad in [
            "", "a..b", "-a", "a-", "my_host", "a b", "10.0.0.1", "7", "a.", "\u{e4}",
        ] {
            assert!(!is_dns_name(bad), "{bad}");
        }
        assert!(!is_dns_name(&"a".repeat(64)));
    }
}
