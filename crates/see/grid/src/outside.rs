//! Which addresses this node is seen at from outside: what most peers say, for each family of
//! addresses, since a peer of one family says nothing of the other.

use andon_model::NodeKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Peers whose word counts; each has one vote, its latest.
const OBSERVERS_MAX: usize = 32;

/// Votes of peers for the address that this node's datagrams come from.
#[derive(Default)]
pub struct OutsideVotes {
    votes: BTreeMap<NodeKey, SocketAddr>,
    /// Of IPv4 and of IPv6.
    elected: [Option<SocketAddr>; 2],
}

impl OutsideVotes {
    /// Takes a vote. Returns the address of that family where it is another one than before; a
    /// tie changes nothing.
    pub fn vote(&mut self, by: NodeKey, address: SocketAddr) -> Option<SocketAddr> {
        if self.votes.len() >= OBSERVERS_MAX && !self.votes.contains_key(&by) {
            self.votes.pop_first();
        }
        self.votes.insert(by, address);
        let mut counts: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        let is_six = address.is_ipv6();
        for address in self.votes.values().filter(|vote| vote.is_ipv6() == is_six) {
            *counts.entry(*address).or_default() += 1;
        }
        let elected = &mut self.elected[usize::from(is_six)];
        let held = elected
            .and_then(|address| counts.get(&address).copied())
            .unwrap_or(0);
        let (address, count) = counts
            .into_iter()
            .max_by_key(|(address, count)| (*count, *address))?;
        if count <= held || *elected == Some(address) {
            return None;
        }
        *elected = Some(address);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_decides_and_one_liar_does_not() {
        let (inner, outer): (SocketAddr, SocketAddr) = (
            "10.0.0.1:1".parse().unwrap(),
            "198.51.100.1:1".parse().unwrap(),
        );
        let mut votes = OutsideVotes::default();
        assert_eq!(votes.vote(NodeKey(1), inner), Some(inner));
        assert_eq!(votes.vote(NodeKey(2), outer), None);
        assert_eq!(votes.vote(NodeKey(3), outer), Some(outer));
        assert_eq!(votes.vote(NodeKey(3), outer), None);
        let six: SocketAddr = "[2001:db8::1]:1".parse().unwrap();
        assert_eq!(votes.vote(NodeKey(4), six), Some(six), "another family");
        for liar in 100..1_000 {
            votes.vote(NodeKey(liar), outer);
        }
        assert_eq!(votes.votes.len(), OBSERVERS_MAX);
    }
}
