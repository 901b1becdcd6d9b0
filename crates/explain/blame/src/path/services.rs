//! Which services a path fault hits, as far as that can be told: targets behind the links that
//! are hit, and targets on nodes there that answer badly.

use crate::roster::Roster;
use crate::targets::Target;
use andon_model::LinkState;
use std::net::{IpAddr, SocketAddr};

/// Ids of the targets hit; `ends`: observer and far end of each link hit. Sorted.
pub fn services(roster: &Roster<'_>, targets: &[Target<'_>], ends: &[(u32, u32)]) -> Vec<String> {
    let members = roster.members.len();
    let mut hit: Vec<String> = targets
        .iter()
        .enumerate()
        .filter(|(number, target)| {
            let host = host(&target.spec.address);
            ends.iter().any(|(observer, far)| {
                if *far as usize == members + number {
                    return true;
                }
                let there = roster.members.get(*far as usize).is_some_and(|member| {
                    let address: Option<IpAddr> = host.parse().ok();
                    let addresses = &member.slice.identity.addresses;
                    member.id == host
                        || address.is_some_and(|ip| addresses.iter().any(|own| own.ip() == ip))
                });
                there
                    && target.reports.iter().any(|(asker, report)| {
                        let poor = matches!(
                            report.state,
                            LinkState::Down | LinkState::Partial | LinkState::Degraded
                        );
                        *asker == *observer as usize && poor
                    })
            })
        })
        .map(|(_, target)| target.id.clone())
        .collect();
    hit.sort_unstable();
    hit.dedup();
    hit
}

/// The host of a URL, of host:port, or of a bare name.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    if rest.parse::<IpAddr>().is_ok() {
        return rest;
    }
    if rest.parse::<SocketAddr>().is_ok() || !rest.starts_with('[') {
        let name = rest.rsplit_once(':').map_or(rest, |(name, _)| name);
        return name.trim_matches(['[', ']']);
    }
    rest.trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_host_of_any_address_is_found() {
        let cases = [
            ("http://shop.example:8080/a?b", "shop.example"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("https://[2001:db8::1]:443/", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("router", "router"),
        ];
        for (address, expected) in cases {
            assert_eq!(host(address), expected);
        }
    }
}
