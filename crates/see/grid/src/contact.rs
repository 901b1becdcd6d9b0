//! Where each node is reached: which of its addresses answer, whether UDP passes at all, which
//! connection carries frames instead, which seed still owes an answer.

use crate::io::{ConnectionId, Endpoint, Route};
use andon_model::{Instant, NodeId, NodeKey, Presence, Reach, Slice};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Questions over UDP in a row without an answer after which a node counts as silent.
const SILENT_ASKS: u32 = 3;
/// And how long none was answered. Doubled, a node behind a closed firewall joins a second later.
const SILENT_FOR: Duration = Duration::from_millis(1_000);
/// First pause between two dials of one address; doubles up to [`DIAL_PAUSE_MAX`].
const DIAL_PAUSE: Duration = Duration::from_secs(1);
const DIAL_PAUSE_MAX: Duration = Duration::from_secs(60);
/// While a connection carries a node's gossip, every so many questions go over UDP, to see
/// whether it passes again.
const UDP_RETRY: u32 = 10;
/// A connection on which nobody speaks for this long after being asked is given up.
const CONNECTION_SILENT: Duration = Duration::from_secs(10);
/// A dialled connection is closed when UDP has passed for this long.
const CONNECTION_SPARE: Duration = Duration::from_secs(60);
/// Frame connections held at most, both directions; beyond, new ones are closed.
pub const CONNECTIONS_MAX: usize = 256;
/// Questions whose answers are awaited at most; beyond, the oldest is given up.
const QUESTIONS_MAX: usize = 1_024;
/// A seed is asked every round for this long, then ever more slowly.
const SEED_EAGER: Duration = Duration::from_secs(5);
const SEED_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A seed that answered is asked again this often even while all is well.
const SEED_CONTENT_PAUSE: Duration = Duration::from_secs(30);
/// Seeds and remembered addresses kept at most.
pub const SEEDS_MAX: usize = 256;
/// Senders that are not in the picture yet, kept at most.
const STRANGERS_MAX: usize = 1_024;
const STRANGER_KEPT: Duration = Duration::from_secs(30);

/// To whom a question went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A node.
    Node(NodeKey),
    /// A seed or remembered address.
    Seed(SocketAddr),
    /// Whoever is behind a connection.
    Connection(ConnectionId),
}

struct Question {
    asked: Asked,
    to: Endpoint,
}

#[derive(Clone, Copy)]
struct Dialling {
    next: Instant,
    pause: Duration,
    count: usize,
}

impl Default for Dialling {
    fn default() -> Self {
        Self {
            next: Instant(0),
            pause: DIAL_PAUSE,
            count: 0,
        }
    }
}

impl Dialling {
    fn dialled(&mut self, now: Instant) {
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(DIAL_PAUSE_MAX);
        self.count += 1;
    }
}

#[derive(Default)]
struct Contact {
    id: Option<NodeId>,
    is_member: bool,
    is_left: bool,
    reach: Reach,
    advertised: Vec<SocketAddr>,
    via: Option<SocketAddr>,
    learned: Option<SocketAddr>,
    confirmed: Option<(SocketAddr, Instant)>,
    connection: Option<ConnectionId>,
    reachable: Option<bool>,
    is_probed: bool,
    heard: Option<Instant>,
    asks: u32,
    unanswered: u32,
    silent_since: Option<Instant>,
    dialling: Dialling,
}

impl Contact {
    fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for address in self.via.iter().chain(&self.advertised).chain(&self.learned) {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses
    }

    /// The address to try next: the one that answers, else each in turn.
    fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses();
        let confirmed = self
            .confirmed
            .map(|(address, _)| address)
            .filter(|address| addresses.contains(address));
        match confirmed {
            Some(address) if self.unanswered < 2 => Some(self.stated(address).unwrap_or(address)),
            _ if addresses.is_empty() => None,
            _ => addresses
                .get(self.unanswered as usize % addresses.len())
                .copied(),
        }
    }

    /// Now and then, where only a learned address is known to answer: the one that the node
    /// states. NAT may let our one port alone through at the learned one, and no probes.
    fn stated(&self, confirmed: SocketAddr) -> Option<SocketAddr> {
        let mut stated = self.via.iter().chain(&self.advertised);
        let is_due = self.asks.is_multiple_of(UDP_RETRY);
        let first = stated.clone().next().copied();
        first.filter(|_| is_due && !stated.any(|address| *address == confirmed))
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.unanswered >= SILENT_ASKS
            && self
                .silent_since
                .is_some_and(|at| now.since(at) >= SILENT_FOR)
    }

    fn udp(&self, now: Instant) -> Option<bool> {
        if self.is_silent(now) {
            return Some(false);
        }
        self.confirmed.map(|_| true)
    }
}

struct Seed {
    is_configured: bool,
    first_asked: Option<Instant>,
    next_ask: Instant,
    pause: Duration,
    answered_by: Option<NodeKey>,
    is_told: bool,
    dialling: Dialling,
    connection: Option<ConnectionId>,
}

impl Seed {
    fn new(is_configured: bool) -> Self {
        Self {
            is_configured,
            first_asked: None,
            next_ask: Instant(0),
            pause: Duration::from_millis(200),
            answered_by: None,
            is_told: false,
            dialling: Dialling::default(),
            connection: None,
        }
    }
}

struct Connection {
    remote: SocketAddr,
    dialled: bool,
    since: Instant,
    node: Option<NodeKey>,
    asked_since: Option<Instant>,
}

/// All nodes, seeds and connections that this node knows how to reach.
pub struct Contacts {
    me: NodeKey,
    contacts: BTreeMap<NodeKey, Contact>,
    via: BTreeMap<NodeId, SocketAddr>,
    seeds: BTreeMap<SocketAddr, Seed>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Those of them that carry probes.
    carrying: BTreeSet<ConnectionId>,
    questions: BTreeMap<u64, Question>,
    next_token: u64,
    udp_heard: Option<Instant>,
    udp_asked_since: Option<Instant>,
}

impl Contacts {
    /// Nobody yet.
    pub fn new(me: NodeKey) -> Self {
        Self {
            me,
            contacts: BTreeMap::new(),
            via: BTreeMap::new(),
            seeds: BTreeMap::new(),
            connections: BTreeMap::new(),
            carrying: BTreeSet::new(),
            questions: BTreeMap::new(),
            next_token: 1,
            udp_heard: None,
            udp_asked_since: None,
        }
    }

    /// How many things are remembered, for tests of bounds: contacts, seeds, connections, questions.
    pub fn sizes(&self) -> [usize; 4] {
        [
            self.contacts.len(),
            self.seeds.len(),
            self.connections.len(),
            self.questions.len(),
        ]
    }

    /// Takes over what the picture says of the nodes that changed.
    pub fn set_members(
        &mut self,
        now: Instant,
        slices: &BTreeMap<NodeKey, Arc<Slice>>,
        changed: &BTreeSet<NodeKey>,
    ) {
        let me = self.me;
        for key in changed.iter().filter(|key| **key != me) {
            let Some(slice) = slices.get(key) else {
                self.drop_member(now, *key);
                continue;
            };
            let identity = &slice.identity;
            let contact = self.contacts.entry(*key).or_default();
            contact.is_member = true;
            contact.is_left = identity.presence == Presence::Left;
            contact.reach = identity.reach;
            contact.advertised = identity
                .addresses
                .iter()
                .copied()
                .map(canonical)
                .filter(is_usable)
                .collect();
            contact.via = self.via.get(&identity.id).copied();
            if contact.id.as_ref() != Some(&identity.id) {
                contact.id = Some(identity.id.clone());
            }
        }
    }

    fn drop_member(&mut self, now: Instant, key: NodeKey) {
        if let Some(contact) = self.contacts.get_mut(&key) {
            contact.is_member = false;
            contact.id = None;
        }
        self.tidy(now);
    }

    /// Forgets who is no member and has not been heard for a while.
    pub fn tidy(&mut self, now: Instant) {
        self.contacts.retain(|_, contact| {
            contact.is_member
                || contact
                    .heard
                    .is_some_and(|at| now.since(at) < STRANGER_KEPT)
        });
    }

    /// Takes over the configured *via* addresses.
    pub fn set_via(&mut self, via: BTreeMap<NodeId, SocketAddr>) {
        self.via = via;
        for contact in self.contacts.values_mut() {
            contact.via = contact.id.as_ref().and_then(|id| self.via.get(id)).copied();
        }
    }

    /// Takes over seeds (`is_configured`) or remembered addresses; others of that kind are dropped.
    pub fn set_seeds(&mut self, addresses: Vec<SocketAddr>, is_configured: bool) {
        let addresses: BTreeSet<SocketAddr> = addresses
            .into_iter()
            .map(canonical)
            .filter(is_usable)
            .take(SEEDS_MAX)
            .collect();
        self.seeds.retain(|address, seed| {
            seed.is_configured != is_configured || addresses.contains(address)
        });
        for address in addresses {
            let seed = self
                .seeds
                .entry(address)
                .or_insert_with(|| Seed::new(is_configured));
            seed.is_configured |= is_configured;
        }
    }

    /// Takes over what the probes reach.
    pub fn set_reachable(&mut self, reachable: &BTreeMap<NodeKey, bool>) {
        for (key, contact) in &mut self.contacts {
            contact.reachable = reachable.get(key).copied();
        }
    }

    /// Takes over whom this node probes.
    pub fn set_probed(&mut self, probed: &BTreeSet<NodeKey>) {
        for (key, contact) in &mut self.contacts {
            contact.is_probed = probed.contains(key);
        }
    }

    /// Whether the probes say that a node is not reached.
    pub fn is_unreached(&self, key: NodeKey) -> bool {
        self.contacts
            .get(&key)
            .is_some_and(|contact| contact.reachable == Some(false))
    }

    /// A connection is open. `false` where it is one too many.
    pub fn connected(
        &mut self,
        now: Instant,
        id: ConnectionId,
        remote: SocketAddr,
        dialled: bool,
    ) -> bool {
        if self.connections.len() >= CONNECTIONS_MAX {
            return false;
        }
        let remote = canonical(remote);
        if let Some(seed) = self.seeds.get_mut(&remote).filter(|_| dialled) {
            seed.connection = Some(id);
        }
        self.connections.insert(
            id,
            Connection {
                remote,
                dialled,
                since: now,
                node: None,
                asked_since: None,
            },
        );
        true
    }

    /// The far end of a connection.
    pub fn remote(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.connections
            .get(&id)
            .map(|connection| connection.remote)
    }

    /// A connection is closed.
    pub fn disconnected(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        for contact in self
            .contacts
            .values_mut()
            .filter(|contact| contact.connection == Some(id))
        {
            contact.connection = None;
        }
        for seed in self
            .seeds
            .values_mut()
            .filter(|seed| seed.connection == Some(id))
        {
            seed.connection = None;
        }
    }

    /// A node spoke.
    pub fn heard(&mut self, now: Instant, key: NodeKey, from: Endpoint) {
        if !self.contacts.contains_key(&key) {
            let strangers = self
                .contacts
                .values()
                .filter(|contact| !contact.is_member)
                .count();
            if strangers >= STRANGERS_MAX {
                return;
            }
        }
        let contact = self.contacts.entry(key).or_default();
        contact.heard = Some(now);
        match from {
            Endpoint::Udp(address) => {
                contact.learned = Some(address);
                self.udp_heard = Some(now);
            }
            Endpoint::Tcp(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.node = Some(key);
                    connection.asked_since = None;
                    contact.connection = Some(id);
                }
            }
        }
    }

    /// A question was answered, by `key`.
    pub fn answered(&mut self, now: Instant, token: u64, key: NodeKey, from: Endpoint) {
        let Some(question) = self.questions.remove(&token) else {
            return;
        };
        if let Asked::Seed(address) = question.asked
            && let Some(seed) = self.seeds.get_mut(&address)
        {
            seed.answered_by = Some(key);
            seed.is_told = false;
            seed.dialling = Dialling::default();
        }
        let Some(contact) = self.contacts.get_mut(&key) else {
            return;
        };
        contact.dialling = Dialling::default();
        if let (Endpoint::Udp(asked), Endpoint::Udp(_)) = (question.to, from) {
            contact.unanswered = 0;
            contact.silent_since = None;
            contact.confirmed = Some((asked, now));
            self.udp_asked_since = None;
        }
    }

    /// A seed or connection turned out to lead to this node itself.
    pub fn found_myself(&mut self, token: u64) {
        let asked = self.questions.remove(&token).map(|question| question.asked);
        if let Some(Asked::Seed(address)) = asked
            && let Some(seed) = self.seeds.get_mut(&address)
        {
            seed.answered_by = Some(self.me);
        }
    }

    /// Where to send to a node; `None` where no way is known.
    pub fn endpoint(&self, now: Instant, key: NodeKey) -> Option<Endpoint> {
        let contact = self.contacts.get(&key)?;
        let connection = contact.connection.map(Endpoint::Tcp);
        let udp = contact.address().map(Endpoint::Udp);
        if contact.udp(now) == Some(true) {
            udp.or(connection)
        } else {
            connection.or(udp)
        }
    }

    /// Where to put a question to a node: as [`Contacts::endpoint`], but now and then over UDP
    /// although a connection is in use.
    pub fn ask_endpoint(&self, now: Instant, key: NodeKey) -> Option<Endpoint> {
        let contact = self.contacts.get(&key)?;
        let udp = contact.address().map(Endpoint::Udp);
        if contact.asks % UDP_RETRY == UDP_RETRY - 1 && udp.is_some() {
            return udp;
        }
        self.endpoint(now, key)
    }

    /// Notes a question and returns its token.
    pub fn ask(&mut self, now: Instant, asked: Asked, to: Endpoint) -> u64 {
        match (asked, to) {
            (Asked::Node(key), Endpoint::Udp(_)) => {
                if let Some(contact) = self.contacts.get_mut(&key) {
                    contact.asks = contact.asks.wrapping_add(1);
                    contact.unanswered = contact.unanswered.saturating_add(1);
                    contact.silent_since.get_or_insert(now);
                }
            }
            (Asked::Node(key), Endpoint::Tcp(_)) => {
                if let Some(contact) = self.contacts.get_mut(&key) {
                    contact.asks = contact.asks.wrapping_add(1);
                }
            }
            (Asked::Seed(_) | Asked::Connection(_), _) => {}
        }
        match to {
            Endpoint::Udp(_) => {
                self.udp_asked_since.get_or_insert(now);
            }
            Endpoint::Tcp(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.asked_since.get_or_insert(now);
                }
            }
        }
        let token = self.next_token;
        self.next_token += 1;
        self.questions.insert(token, Question { asked, to });
        if self.questions.len() > QUESTIONS_MAX {
            self.questions.pop_first();
        }
        token
    }

    /// Nodes that are likely to answer.
    pub fn live(&self, now: Instant) -> Vec<NodeKey> {
        let udp_closed = self.is_udp_closed(now);
        let is_live = |contact: &Contact| {
            let ways = if udp_closed || contact.is_silent(now) {
                contact.connection.is_some()
            } else {
                contact.connection.is_some() || contact.address().is_some()
            };
            ways && !contact.is_left && contact.reachable != Some(false)
        };
        self.keys_where(is_live)
    }

    /// Members that are not likely to answer, but might again.
    pub fn lost(&self, now: Instant) -> Vec<NodeKey> {
        let live: BTreeSet<NodeKey> = self.live(now).into_iter().collect();
        let mut lost = self.keys_where(|contact| contact.is_member && !contact.is_left);
        lost.retain(|key| !live.contains(key));
        lost
    }

    fn keys_where(&self, matches: impl Fn(&Contact) -> bool) -> Vec<NodeKey> {
        self.contacts
            .iter()
            .filter(|(_, contact)| matches(contact))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Nothing at all came over UDP although asked for: it is closed for this node.
    fn is_udp_closed(&self, now: Instant) -> bool {
        self.udp_asked_since.is_some_and(|at| {
            now.since(at) > SILENT_FOR
                && self
                    .udp_heard
                    .is_none_or(|heard| now.since(heard) > SILENT_FOR)
        })
    }

    /// Seeds to ask in this round, and where.
    pub fn due_seeds(&mut self, now: Instant, is_alone: bool) -> Vec<(SocketAddr, Endpoint)> {
        let mut due = Vec::new();
        for (address, seed) in &mut self.seeds {
            let is_me = seed.answered_by == Some(self.me);
            let node = seed.answered_by.and_then(|key| self.contacts.get(&key));
            let is_content =
                !is_alone && node.is_some_and(|node| !node.is_silent(now) && node.heard.is_some());
            let is_needed = seed.is_configured || is_alone;
            if is_me || !is_needed || seed.next_ask > now {
                continue;
            }
            let first = *seed.first_asked.get_or_insert(now);
            let is_eager = seed.answered_by.is_none() && now.since(first) < SEED_EAGER;
            if is_content {
                seed.next_ask = now + SEED_CONTENT_PAUSE;
                seed.pause = Duration::from_millis(200);
            } else if !is_eager {
                let longest = if is_alone {
                    SEED_PAUSE_MAX / 5
                } else {
                    SEED_PAUSE_MAX
                };
                seed.pause = (seed.pause * 2).min(longest);
                seed.next_ask = now + seed.pause;
            }
            due.push((*address, Endpoint::Udp(*address)));
            due.extend(seed.connection.map(|id| (*address, Endpoint::Tcp(id))));
        }
        due
    }

    /// Addresses to open a connection to.
    pub fn due_dials(&mut self, now: Instant, dials_max: usize) -> Vec<SocketAddr> {
        let udp_closed = self.is_udp_closed(now);
        let mut dials = BTreeSet::new();
        for (address, seed) in &mut self.seeds {
            let is_silent = seed
                .first_asked
                .is_some_and(|at| now.since(at) >= SILENT_FOR);
            let node = seed.answered_by.and_then(|key| self.contacts.get(&key));
            let is_reached = seed.answered_by == Some(self.me)
                || seed.connection.is_some()
                || node.is_some_and(|node| {
                    node.connection.is_some() || (node.is_member && !node.is_silent(now))
                });
            if is_silent && !is_reached && seed.dialling.next <= now && dials.len() < dials_max {
                seed.dialling.dialled(now);
                dials.insert(*address);
            }
        }
        for contact in self.contacts.values_mut() {
            let is_wanted = contact.is_silent(now)
                || (contact.is_probed && contact.reachable == Some(false))
                || (udp_closed && (contact.is_probed || contact.unanswered > 0));
            let may = contact.is_member
                && !contact.is_left
                && contact.connection.is_none()
                && contact.reach != Reach::Outbound;
            if !is_wanted || !may || contact.dialling.next > now || dials.len() >= dials_max {
                continue;
            }
            // Who says *via* means it: other addresses lead elsewhere, or past what is looked at.
            let addresses = match contact.via {
                Some(via) => vec![via],
                None => contact.addresses(),
            };
            if let Some(address) = addresses.get(contact.dialling.count % addresses.len().max(1)) {
                contact.dialling.dialled(now);
                dials.insert(*address);
            }
        }
        dials.retain(|address| {
            !self
                .connections
                .values()
                .any(|c| c.dialled && c.remote == *address)
        });
        dials.into_iter().collect()
    }

    /// Connections that carry probes are not spare, however well gossip passes beside them.
    pub fn set_carrying(&mut self, connections: BTreeSet<ConnectionId>) {
        self.carrying = connections;
    }

    /// Connections on which nobody answers, or that are no longer needed.
    pub fn useless_connections(&self, now: Instant) -> Vec<ConnectionId> {
        let is_useless = |id: &ConnectionId, connection: &Connection| {
            let is_mute = connection
                .asked_since
                .is_some_and(|at| now.since(at) > CONNECTION_SILENT);
            let node = connection.node.and_then(|key| self.contacts.get(&key));
            let udp_passes = node
                .and_then(|node| node.confirmed.filter(|_| node.udp(now) == Some(true)))
                .is_some_and(|(_, at)| now.since(at) < CONNECTION_SPARE);
            let is_spare =
                connection.dialled && now.since(connection.since) > CONNECTION_SPARE && udp_passes;
            is_mute || is_spare && !self.carrying.contains(id)
        };
        self.connections
            .iter()
            .filter(|(id, c)| is_useless(id, c))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Configured seeds that have not answered for `waited`, each told once.
    pub fn silent_seeds(&mut self, now: Instant, waited: Duration) -> Vec<(SocketAddr, Duration)> {
        let mut silent = Vec::new();
        for (address, seed) in &mut self.seeds {
            let Some(first) = seed.first_asked else {
                continue;
            };
            let since = now.since(first);
            if seed.is_configured && !seed.is_told && seed.answered_by.is_none() && since >= waited
            {
                seed.is_told = true;
                silent.push((*address, since));
            }
        }
        silent
    }

    /// How each member is reached.
    pub fn routes(&self, now: Instant) -> BTreeMap<NodeKey, Route> {
        self.contacts
            .iter()
            .filter(|(_, contact)| contact.is_member)
            .map(|(key, contact)| {
                let route = Route {
                    addresses: contact.addresses(),
                    via: contact.via,
                    connection: contact.connection,
                    udp: contact.udp(now),
                    confirmed: contact.confirmed.map(|(address, _)| address),
                };
                (*key, route)
            })
            .collect()
    }
}

/// An IPv4 address is one, also where a dual-stack socket shows it as IPv6.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What no node can be reached at, whatever an identity says.
fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, std::net::IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}
