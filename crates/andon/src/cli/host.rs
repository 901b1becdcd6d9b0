//! What the configuration needs to know of this host.

use crate::config::Host;
use std::path::PathBuf;

/// Asks the system.
pub fn read() -> Host {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    Host {
        name: name.unwrap_or_default(),
        root: nix::unistd::geteuid().is_root(),
        ipv6: std::net::UdpSocket::bind("[::]:0").is_ok(),
        config_paths: vec![
            PathBuf::from("andon.toml"),
            PathBuf::from("/etc/andon/andon.toml"),
        ],
    }
}
