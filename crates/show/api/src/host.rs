//! Which `Host` and `Origin` a request may carry. A page that an attacker serves can point its
//! own name at this address (DNS rebinding); its requests then carry that name, and this is
//! where they end.

use std::net::IpAddr;

/// How a name or address in `Host` is judged, besides the node's own addresses and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literals {
    /// Loopback addresses only: plain HTTP, where loopback itself is a credential.
    Loopback,
    /// Any IP address: a name can be rebound, an address cannot, and a node behind NAT does
    /// not know all addresses that lead to it.
    Any,
}

/// The host of `host`, `host:port`, `[v6]:port`; `None` if it is neither.
pub(crate) fn without_port(authority: &str) -> Option<&str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').or(port.is_empty().then_some("0"))?;
        return is_port(port).then_some(address);
    }
    match authority.split_once(':') {
        None => (!authority.is_empty()).then_some(authority),
        Some((host, port)) => (!host.is_empty() && is_port(port)).then_some(host),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this `Host` may be served.
pub(crate) fn is_ours(
    authority: &str,
    literals: Literals,
    allowed: &[String],
    is_own_address: impl FnOnce(IpAddr) -> bool,
) -> bool {
    let Some(host) = without_port(authority) else {
        return false;
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return literals == Literals::Any
            || address.to_canonical().is_loopback()
            || is_own_address(address);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|name| host.eq_ignore_ascii_case(name))
}

/// Whether an `Origin` is the page's own: same host and port as asked for.
pub(crate) fn same_origin(origin: &str, authority: &str, tls: bool) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return false;
    };
    // Behind a proxy that ends TLS the page is https though the node speaks plain HTTP.
    let default_port = match scheme {
        "https" => ":443",
        "http" if !tls => ":80",
        _ => return false,
    };
    let bare = |text: &str| {
        text.strip_suffix(default_port)
            .unwrap_or(text)
            .to_ascii_lowercase()
    };
    bare(host) == bare(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_and_addresses_are_served() {
        let allowed = ["grid.example".to_owned()];
        let check = |authority: &str, literals| {
            is_ours(authority, literals, &allowed, |address| {
                address == IpAddr::from([10, 0, 0, 1])
            })
        };
        for good in [
            "localhost",
            "LocalHost:8777",
            "127.0.0.1:1",
            "[::1]:8777",
            "[::1]",
            "127.9.9.9",
            "grid.example",
            "GRID.example.:8777",
            "10.0.0.1:8777",
        ] {
            assert!(check(good, Literals::Loopback), "{good}");
        }
        for bad in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.2",
            "127.0.0.1.evil.example",
            "localhost:x",
            "localhost:+1",
            "[::1",
            "[::1]x",
            "a@localhost",
            "localhost:8777:1",
            "::1",
        ] {
            assert!(!check(bad, Literals::Loopback), "{bad}");
        }
        assert!(check("10.0.0.2:8777", Literals::Any) && !check("evil.example", Literals::Any));
    }

    #[test]
    fn an_origin_is_ours_only_with_the_same_host_and_port() {
        assert!(same_origin(
            "http://localhost:8777",
            "localhost:8777",
            false
        ));
        assert!(same_origin(
            "https://grid.example",
            "grid.example:443",
            true
        ));
        assert!(same_origin("https://Grid.example", "grid.example", false));
        for (origin, host, tls) in [
            ("http://localhost:1", "localhost:8777", false),
            ("null", "localhost", false),
            ("http://localhost:8777", "localhost:8777", true),
            ("http://evil.example", "localhost:8777", false),
            ("file://localhost", "localhost", false),
        ] {
            assert!(!same_origin(origin, host, tls), "{origin} {host}");
        }
    }
}
