//! Which addresses belong to one router. A router shows another address on each way into it;
//! when it dies, that is one cause and not as many as it has ports.
//!
//! Three signs, all of stretches that join two routers alone: addresses before the same next
//! address stand on one router; two addresses of one small network are the two ends of a
//! stretch, so that what comes back through it shows the other address; and what alone leads
//! from one router to another and back is one router between them. A sign may mislead (on
//! a network shared by many). Then a router is a suspect that does not exist, and what works
//! clears it.

use super::points::Point;
use std::net::IpAddr;

/// Most addresses of one router. A chassis has fewer ports in use; a larger group is a network
/// shared by many, and no router.
const ROUTER_ADDRESSES_MAX: usize = 256;
/// Addresses up to which two that are alone in a network of 256 count as the ends of one
/// stretch: beyond it, of random addresses some pair would be.
const NETWORKS_WIDE_MAX: usize = 64;
/// Rounds in which routers between known ones are found, each from those of the last.
const BETWEEN_ROUNDS: usize = 6;

/// Groups of points that may be one router: by hops that follow them alone, and by far ends as
/// well. A far end with two gateways joins what is not one, so both are tried.
///
/// `shared`: points that follow several ways out of one point, sorted: a router that answers by
/// the address nearest to the asker shows it behind each of its neighbours, and what leads to
/// it is not one router. `host`: the member or target whose way out or in a point is.
pub fn groups(
    stretches: &[(Point, Point)],
    shared: &[Point],
    address: impl Fn(Point) -> Option<IpAddr>,
    host: impl Fn(Point) -> Option<u32>,
) -> Vec<Vec<Point>> {
    let mut groups = joined(stretches, shared, &address, &host, false);
    for group in joined(stretches, shared, &address, &host, true) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn joined(
    stretches: &[(Point, Point)],
    shared: &[Point],
    address: &impl Fn(Point) -> Option<IpAddr>,
    host: &impl Fn(Point) -> Option<u32>,
    ends_too: bool,
) -> Vec<Vec<Point>> {
    let mut sets = Sets::default();
    // (next, this): all that lead to one next address stand together.
    let mut by_next: Vec<(Point, Point)> = stretches
        .iter()
        .filter(|(this, next)| address(*this).is_some() && address(*next).is_some())
        .filter(|(_, next)| shared.binary_search(next).is_err())
        .map(|(this, next)| (*next, *this))
        .collect();
    by_next.sort_unstable();
    by_next.dedup();
    for lead in by_next.chunk_by(|a, b| a.0 == b.0) {
        for pair in lead.windows(2) {
            sets.join(pair[0].1, pair[1].1);
        }
    }
    if ends_too {
        // What a host sends to first and what comes to it last is its gateway.
        let mut gateways: Vec<(u32, Point)> = stretches
            .iter()
            .filter_map(|(a, b)| match (host(*a), host(*b)) {
                (Some(host), None) => Some((host, *b)),
                (None, Some(host)) => Some((host, *a)),
                _ => None,
            })
            .collect();
        gateways.sort_unstable();
        for own in gateways.chunk_by(|a, b| a.0 == b.0) {
            for pair in own.windows(2) {
                sets.join(pair[0].1, pair[1].1);
            }
        }
    }
    for (this, other) in opposite(&by_next, address) {
        sets.join(this, other);
    }
    for _ in 0..BETWEEN_ROUNDS {
        let found = between(&by_next, &mut sets);
        for (this, other) in &found {
            sets.join(*this, *other);
        }
        if found.is_empty() {
            break;
        }
    }
    sets.groups()
}

/// The only address that leads from one router to another, and the only one that leads back,
/// are on one router between them.
fn between(by_next: &[(Point, Point)], sets: &mut Sets) -> Vec<(Point, Point)> {
    // (router before, router after, address in between).
    let mut middles: Vec<(Point, Point, Point)> = Vec::new();
    for (next, this) in by_next {
        let begin = by_next.partition_point(|(point, _)| point < this);
        let Some((_, before)) = by_next.get(begin).filter(|(point, _)| point == this) else {
            continue;
        };
        middles.push((sets.find(*before), sets.find(*next), *this));
    }
    middles.sort_unstable();
    middles.dedup();
    let only = |from: Point, to: Point| {
        let begin = middles.partition_point(|(a, b, _)| (*a, *b) < (from, to));
        match &middles[begin..] {
            [(a, b, point), rest @ ..] if (*a, *b) == (from, to) => {
                let more = rest.first().is_some_and(|(a, b, _)| (*a, *b) == (from, to));
                (!more).then_some(*point)
            }
            _ => None,
        }
    };
    let mut pairs = Vec::new();
    for (from, to, point) in &middles {
        if from < to
            && only(*from, *to) == Some(*point)
            && let Some(back) = only(*to, *from)
            && sets.find(*point) != sets.find(back)
        {
            pairs.push((*point, back));
        }
    }
    pairs
}

/// Pairs of addresses on one router, seen from its two sides.
fn opposite(
    by_next: &[(Point, Point)],
    address: &impl Fn(Point) -> Option<IpAddr>,
) -> Vec<(Point, Point)> {
    let mut points: Vec<Point> = by_next
        .iter()
        .flat_map(|(next, this)| [*next, *this])
        .filter(|point| address(*point).is_some())
        .collect();
    points.sort_unstable();
    points.dedup();
    let mates = mates(&points, address);
    let mate = |point: Point| {
        let at = mates.binary_search_by_key(&point, |pair| pair.0).ok()?;
        Some(mates[at].1)
    };
    let leads = |this: Point, next: Point| by_next.binary_search(&(next, this)).is_ok();
    // `this` leads to `next`; the other end of that stretch is on the router of `this`. It must
    // lead back by the other end of the stretch that leads to `this`: chance alone makes pairs.
    by_next
        .iter()
        .filter_map(|(next, this)| Some((*this, mate(*next)?)))
        .filter(|(this, other)| this != other)
        .filter(|(this, other)| mate(*this).is_some_and(|back| leads(*other, back)))
        .collect()
}

/// The two ends of stretches, by their addresses alone, both ways round: addresses that are alone with each other in a network of two, four, or 256.
pub fn mates(points: &[Point], address: &impl Fn(Point) -> Option<IpAddr>) -> Vec<(Point, Point)> {
    let mut mates = Vec::new();
    // Many addresses make pairs in large networks by chance.
    let widths = if points.len() <= NETWORKS_WIDE_MAX {
        &[1, 2, 8][..]
    } else {
        &[1, 2]
    };
    for host_bits in widths {
        let host_bits = *host_bits;
        let mut networks: Vec<(u128, Point)> = points
            .iter()
            .filter_map(|point| Some((network(address(*point)?, host_bits), *point)))
            .collect();
        networks.sort_unstable();
        for network in networks.chunk_by(|a, b| a.0 == b.0) {
            if let [(_, a), (_, b)] = network {
                mates.extend([(*a, *b), (*b, *a)]);
            }
        }
    }
    mates.sort_by_key(|pair| pair.0);
    mates.dedup_by_key(|pair| pair.0);
    mates
}

/// The network of an address that has this many bits for hosts (IPv6: 64 where IPv4 has 8).
fn network(address: IpAddr, host_bits: u32) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits() >> host_bits) | 1 << 127,
        IpAddr::V6(address) if host_bits == 8 => address.to_bits() >> 64,
        IpAddr::V6(address) => address.to_bits() >> host_bits,
    }
}

/// Disjoint sets.
#[derive(Default)]
struct Sets {
    /// Sorted by point; the second is the leader's place.
    leader: std::collections::BTreeMap<Point, Point>,
}

impl Sets {
    fn find(&mut self, point: Point) -> Point {
        let mut at = point;
        while let Some(next) = self.leader.get(&at).copied().filter(|next| *next != at) {
            at = next;
        }
        self.leader.insert(point, at);
        at
    }

    fn join(&mut self, a: Point, b: Point) {
        let (a, b) = (self.find(a), self.find(b));
        self.leader.insert(a.max(b), a.min(b));
        self.leader.insert(a.min(b), a.min(b));
    }

    /// Sets of two or more, by their first point.
    fn groups(mut self) -> Vec<Vec<Point>> {
        let points: Vec<Point> = self.leader.keys().copied().collect();
        let mut by_leader: Vec<(Point, Point)> = points
            .into_iter()
            .map(|point| (self.find(point), point))
            .collect();
        by_leader.sort_unstable();
        by_leader
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|group| (2..=ROUTER_ADDRESSES_MAX).contains(&group.len()))
            .map(|group| group.iter().map(|(_, point)| *point).collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stretches written `10.0.1.1>10.0.2.1`, groups as the tests' expectation writes them.
    #[track_caller]
    fn check(stretches: &str, expected: &str) {
        check_shared(stretches, "", expected);
    }

    #[track_caller]
    fn check_shared(stretches: &str, shared: &str, expected: &str) {
        let mut names: Vec<&str> = stretches.split([' ', '>']).collect();
        names.sort_unstable();
        names.dedup();
        let point = |name: &str| names.iter().position(|n| *n == name).unwrap() as Point;
        let pairs: Vec<(Point, Point)> = stretches
            .split(' ')
            .map(|pair| pair.split_once('>').unwrap())
            .map(|(this, next)| (point(this), point(next)))
            .collect();
        let mut shared: Vec<Point> = shared
            .split(' ')
            .filter(|n| !n.is_empty())
            .map(point)
            .collect();
        shared.sort_unstable();
        let groups = groups(
            &pairs,
            &shared,
            |point| names[point as usize].parse().ok(),
            |point| names[point as usize].strip_prefix(['+', '-'])?.parse().ok(),
        );
        let text: Vec<String> = groups
            .iter()
            .map(|group| {
                let group: Vec<&str> = group.iter().map(|point| names[*point as usize]).collect();
                group.join(" ")
            })
            .collect();
        assert_eq!(text.join(", "), expected);
    }

    #[test]
    fn what_leads_to_one_address_is_one_router() {
        check(
            "10.0.1.1>10.0.3.1 10.0.2.1>10.0.3.1 10.0.2.1>10.0.4.1",
            "10.0.1.1 10.0.2.1",
        );
        check(
            "10.0.1.1>+7 10.0.2.1>+7 -7>10.0.3.1",
            "10.0.1.1 10.0.2.1 10.0.3.1",
        );
        check_shared("10.0.1.1>10.0.3.1 10.0.2.1>10.0.3.1", "10.0.3.1", "");
        check("10.0.1.1>+7 -8>10.0.3.1", "");
        check("10.0.1.1>10.0.3.1 10.0.2.1>10.0.4.1", "");
    }

    #[test]
    fn a_router_seen_from_both_sides_is_one_by_its_networks() {
        check("10.0.2.2>10.0.4.2 10.0.4.1>10.0.2.1", "10.0.2.2 10.0.4.1");
    }

    #[test]
    fn a_router_seen_from_both_sides_is_one_by_its_neighbours() {
        let there = "-1>20.1.0.1 20.1.0.1>20.2.0.1 20.2.0.1>20.3.0.1 20.3.0.1>+2";
        let back = "-2>30.3.0.1 30.3.0.1>30.2.0.1 30.2.0.1>30.1.0.1 30.1.0.1>+1";
        let routers = "20.1.0.1 30.1.0.1, 20.2.0.1 30.2.0.1, 20.3.0.1 30.3.0.1";
        check(&format!("{there} {back}"), routers);
        // Of two side by side nobody knows which is which.
        let aside = "20.1.0.1>20.2.9.1 20.2.9.1>20.3.9.1";
        let text = format!("{there} {back} {aside} 20.3.9.1>+2");
        check(&text, "20.1.0.1 30.1.0.1, 20.3.0.1 20.3.9.1 30.3.0.1");
    }
}
