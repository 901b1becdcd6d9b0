//! A trace that somebody asked for: from a name to an address, and from what the probe thread
//! found to the document.

use andon_model::NodeKey;
use andon_probe::{TraceDetail, TraceTo, WireCommand, WireSender};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::oneshot;

/// Where nobody listens, by the custom of traceroute.
const PORT: u16 = 33_434;
/// For the system's resolver.
const RESOLVE_MAX: Duration = Duration::from_secs(3);

/// What a name stands for.
#[derive(Debug)]
pub enum Goal {
    /// A node that the grid knows: its key, and where it is reached.
    Node(NodeKey, Option<SocketAddr>),
    /// A target's address (URL, host:port, host), or what a person typed.
    Named(String),
}

/// Traces and answers with the document, or says why not.
pub async fn trace(
    wire: WireSender,
    from: String,
    to: String,
    goal: Goal,
    flows: u16,
) -> Result<serde_json::Value, String> {
    let detail = match goal {
        Goal::Node(key, address) => match ask(&wire, TraceTo::Node(key), flows).await {
            Some(detail) => Some(detail),
            // The plan has others probe it; its port is known all the same.
            None => match address {
                Some(address) => ask(&wire, TraceTo::Address(address), flows).await,
                None => {
                    return Err(format!(
                        "{to} is not reached at any address from here; it only opens connections itself"
                    ));
                }
            },
        },
        Goal::Named(name) => {
            let address = resolve(host_of(&name)).await?;
            ask(&wire, TraceTo::Address(address), flows).await
        }
    };
    let detail = detail.ok_or("the prober is busy with other traces; try again in a moment")?;
    let mut document = serde_json::to_value(&detail).map_err(|error| error.to_string())?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("from".into(), from.into());
        fields.insert("to".into(), to.into());
    }
    Ok(document)
}

async fn ask(wire: &WireSender, to: TraceTo, flows: u16) -> Option<TraceDetail> {
    let (tx, rx) = oneshot::channel();
    wire.send(WireCommand::Trace {
        to,
        flows,
        reply: Box::new(move |detail| drop(tx.send(detail))),
    });
    rx.await.ok().flatten()
}

/// The host of a URL, of host:port, or the host itself.
fn host_of(name: &str) -> &str {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if let Some((inside, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inside;
    }
    match host.split_once(':') {
        // More colons are an IPv6 address.
        Some((before, port)) if !port.contains(':') => before,
        _ => host,
    }
}

async fn resolve(host: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT));
    }
    let found = tokio::time::timeout(RESOLVE_MAX, tokio::net::lookup_host((host, PORT))).await;
    match found {
        Ok(Ok(mut addresses)) => addresses
            .next()
            .ok_or_else(|| format!("{host} has no address")),
        Ok(Err(error)) => Err(format!(
            "{host} is no node, target or host that this node knows: {error}"
        )),
        Err(_) => Err(format!("the resolver does not answer for {host}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_what_targets_are_given_as() {
        for (name, host) in [
            ("https://user:pw@shop.example:8443/cart?x=1", "shop.example"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("http://[::1]/", "::1"),
            ("shop.example", "shop.example"),
        ] {
            assert_eq!(host_of(name), host, "{name}");
        }
    }
}
