//! One node's part in the grid: takes what came in, says what to send and when to be woken,
//! and holds the picture.

use crate::contact::{Asked, Contacts, canonical};
use crate::io::{
    Endpoint, GridConfig, GridCounters, GridInput, GridNotice, GridOutput, OwnSlice, Route,
};
use crate::outside::OutsideVotes;
use crate::publish::Publisher;
use crate::reconcile;
use crate::row::{Claim, Row, RowIndex, RowKey};
use crate::rumours::Rumours;
use crate::seal::{SealError, Sealer};
use crate::store::{Entered, Store, StoreEvent};
use crate::teller::{Subject, Teller};
use crate::wire::{self, Head, Outgoing, Part};
use andon_model::{Identity, Instant, NodeId, NodeKey, Picture, Presence, Slice};
use ed25519_dalek::SigningKey;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Time between gossip rounds while something changes; ±25 %, so that nodes never beat together.
pub const ROUND: Duration = Duration::from_millis(200);
/// Time between rounds of a quiet grid: changes travel by push, rounds only mop up.
pub const QUIET_ROUND: Duration = Duration::from_secs(1);
/// After this long without news, rounds slow down: as long as news are mentioned. Tripled, five
/// nodes that publish their figures in turn would never be quiet.
const QUIET_AFTER: Duration = Duration::from_secs(1);
/// Nodes asked in each round, and nodes that news are pushed to at once.
pub const FANOUT: usize = 3;
/// In a grid of up to so many peers, news go to all of them at once.
const PUSH_ALL_MAX: usize = 6;
/// One lost node is tried this often, so that grids that were cut apart find each other.
const LOST_EVERY: Duration = Duration::from_secs(1);
/// Connections dialled in one round.
const DIALS_PER_ROUND: usize = 8;
/// A seed that has not answered for this long is told.
const SEED_PATIENCE: Duration = Duration::from_secs(5);
/// A node that said that more is to come is asked again at once, but not more often than this.
const MORE_PAUSE: Duration = Duration::from_millis(5);
/// When the words of leaving are repeated.
const LEAVE_REPEATS: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(300),
];
/// Signs of a copied identity within [`CLONE_WINDOW`] that make it certain. One is a clock
/// that went back; two a restart in bad luck.
const CLONE_SIGNS: usize = 3;
const CLONE_WINDOW: Duration = Duration::from_secs(60);
/// Outputs that wait to be fetched.
const OUTPUTS_MAX: usize = 8_192;
/// How far a grave may move the epoch: a clock that was two days ahead, in microseconds.
const EPOCH_STEP_MAX: u64 = 2 * 86_400 * 1_000_000;
/// And how often.
const RISE_PAUSE: Duration = Duration::from_secs(10);
/// Reading slices may take about a fifth of a core: a row takes about 10 us, so each read row
/// asks for this much rest. Without it, an owner of 1,000 rows that come one by one is read
/// 1,000 times over, which holds up everything else.
const READ_REST: Duration = Duration::from_micros(50);
/// Rest that may be owed before reading waits: changes of a small grid are read at once.
const READ_OWED_MAX: Duration = Duration::from_millis(20);
/// Most rest after one reading, however much was read.
const READ_REST_MAX: Duration = Duration::from_millis(500);
/// How often things are tidied.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// The sans-io core of gossip: `handle` what came in, `wake` it at `next_wake`, carry out what
/// `poll` returns until it returns nothing.
pub struct Grid {
    signing: SigningKey,
    me: NodeKey,
    epoch: u64,
    version: u64,
    sealer: Sealer,
    store: Store,
    contacts: Contacts,
    publisher: Publisher,
    random: ChaCha12Rng,
    now: Instant,
    next_round: Instant,
    next_tidy: Instant,
    next_lost: Instant,
    next_rise: Instant,
    last_news: Instant,
    rumours: Rumours,
    more_asked: BTreeMap<NodeKey, Instant>,
    outside: OutsideVotes,
    clone_signs: VecDeque<Instant>,
    leaving: Leaving,
    identity: Option<Identity>,
    is_unread: bool,
    rested_at: Instant,
    is_changed: bool,
    outputs: VecDeque<GridOutput>,
    teller: Teller,
    told_same_ids: BTreeMap<NodeId, Vec<NodeKey>>,
    counters: GridCounters,
}

enum Leaving {
    No,
    Repeating(VecDeque<Instant>),
    Done,
}

impl Grid {
    /// A node that knows nobody yet.
    pub fn new(config: GridConfig, now: Instant) -> Self {
        let signing = SigningKey::from_bytes(&config.signing_seed);
        let me = NodeKey::of(signing.verifying_key().as_bytes());
        let mut random = ChaCha12Rng::from_seed(config.random_seed);
        let mut tag = [0; 16];
        random.fill_bytes(&mut tag);
        Self {
            sealer: Sealer::new(&config.keys, tag),
            store: Store::new(config.limits),
            contacts: Contacts::new(me),
            publisher: Publisher::default(),
            signing,
            me,
            epoch: config.epoch,
            version: 0,
            random,
            now,
            next_round: now,
            next_tidy: now + TIDY_EVERY,
            next_lost: now,
            next_rise: now,
            last_news: now,
            rumours: Rumours::new(now),
            more_asked: BTreeMap::new(),
            outside: OutsideVotes::default(),
            clone_signs: VecDeque::new(),
            leaving: Leaving::No,
            identity: None,
            is_unread: false,
            rested_at: now,
            is_changed: false,
            outputs: VecDeque::new(),
            teller: Teller::default(),
            told_same_ids: BTreeMap::new(),
            counters: GridCounters::default(),
        }
    }

    /// This node's key.
    pub fn me(&self) -> NodeKey {
        self.me
    }

    /// The life that this node publishes in.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What this node holds of the grid. Cheap: slices are shared.
    pub fn picture(&self) -> Picture {
        self.store.picture()
    }

    /// What is held, row by row.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How each node is reached.
    pub fn routes(&self) -> BTreeMap<NodeKey, Route> {
        self.contacts.routes(self.now)
    }

    /// Where each node is reached, and how many things are remembered of that.
    pub fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// How often what happened.
    pub fn counters(&self) -> GridCounters {
        GridCounters {
            seal: *self.sealer.counters(),
            store: *self.store.counters(),
            left_out: self.publisher.left_out(),
            ..self.counters
        }
    }

    /// Whether the words of leaving were said often enough.
    pub fn has_left(&self) -> bool {
        matches!(self.leaving, Leaving::Done)
    }

    /// Forgets a node that has been down for long. Should it come back, it is taken up again.
    pub fn forget(&mut self, now: Instant, key: NodeKey) {
        self.now = now;
        if key != self.me {
            self.store.forget(now, key);
            self.read_picture(now);
        }
    }

    /// Takes rows that are proved already: shared within one process, as simulations do.
    pub fn adopt(&mut self, now: Instant, rows: impl Iterator<Item = Arc<Row>>) {
        for row in rows {
            self.store.take(row);
        }
        self.read_picture(now);
    }

    /// As [`Grid::adopt`], with the slices read from these rows: a simulation of a thousand
    /// nodes holds them once.
    pub fn adopt_shared(
        &mut self,
        now: Instant,
        rows: &[Arc<Row>],
        slices: &BTreeMap<NodeKey, Arc<Slice>>,
    ) {
        for row in rows {
            self.store.take(row.clone());
        }
        self.store.share_slices(slices);
        self.read_picture(now);
    }

    /// Something came in.
    pub fn handle(&mut self, now: Instant, input: GridInput) {
        self.now = now;
        match input {
            GridInput::Datagram { from, bytes } => self.receive(now, from, &bytes),
            GridInput::Publish(slice) => self.publish(now, slice),
            GridInput::Seeds(seeds) => {
                self.contacts.set_seeds(seeds, true);
                self.next_round = now;
            }
            GridInput::Remembered(addresses) => {
                self.contacts.set_seeds(addresses, false);
                self.next_round = now;
            }
            GridInput::Via(via) => self.contacts.set_via(via),
            GridInput::Reachable(reachable) => self.contacts.set_reachable(&reachable),
            GridInput::Probed(probed) => self.contacts.set_probed(&probed),
            GridInput::Carrying(connections) => self.contacts.set_carrying(connections),
            GridInput::Connected {
                connection,
                remote,
                dialled,
            } => {
                if !self.contacts.connected(now, connection, remote, dialled) {
                    self.output(GridOutput::Close(connection));
                } else if dialled {
                    self.ask(
                        now,
                        Asked::Connection(connection),
                        Endpoint::Tcp(connection),
                        None,
                    );
                }
            }
            GridInput::Disconnected { connection } => self.contacts.disconnected(connection),
            GridInput::Keys(ring) => self.sealer.set_keys(&ring),
            GridInput::Leave => self.leave(now),
        }
        self.push_news(now);
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Instant) {
        self.now = now;
        let rows = self.publisher.wake(now);
        self.write_rows(now, rows);
        if let Leaving::Repeating(times) = &mut self.leaving
            && times.front().is_some_and(|at| *at <= now)
        {
            times.pop_front();
            if times.is_empty() {
                self.leaving = Leaving::Done;
            }
            self.say_left(now);
        }
        if self.next_tidy <= now {
            self.next_tidy = now + TIDY_EVERY;
            self.tidy(now);
        }
        if self.is_unread {
            self.picture_changed(now);
        }
        if self.next_round <= now {
            self.round(now);
        }
        self.push_news(now);
    }

    /// When to call [`Grid::wake`].
    pub fn next_wake(&self) -> Option<Instant> {
        let leave = match &self.leaving {
            Leaving::Repeating(times) => times.front().copied(),
            Leaving::No | Leaving::Done => None,
        };
        let base = self.next_round.min(self.next_tidy);
        let read = self.is_unread.then(|| self.next_read());
        let times = [Some(base), self.publisher.next_wake(), leave, read];
        times.into_iter().flatten().min()
    }

    /// What to do now; call until it returns `None`.
    pub fn poll(&mut self) -> Option<GridOutput> {
        if std::mem::take(&mut self.is_changed) {
            return Some(GridOutput::PictureChanged);
        }
        self.outputs.pop_front()
    }

    // --- What this node publishes -------------------------------------------------------

    fn publish(&mut self, now: Instant, slice: Box<OwnSlice>) {
        if !matches!(self.leaving, Leaving::No) {
            return;
        }
        let before = self.publisher.left_out();
        self.identity = Some(slice.identity.clone());
        let rows = self.publisher.publish(now, slice);
        self.write_rows(now, rows);
        let left_out = self.publisher.left_out();
        if left_out > before {
            self.tell(now, Subject::TooLarge, GridNotice::TooLarge { left_out });
        }
    }

    fn write_rows(&mut self, now: Instant, rows: Vec<(RowIndex, Vec<u8>)>) {
        if rows.is_empty() {
            return;
        }
        for (index, payload) in rows {
            self.version += 1;
            let row = Row::sign(&self.signing, self.epoch, self.version, index, &payload);
            let Some(row) = row.map(Arc::new) else {
                continue;
            };
            let key = row.key();
            self.store.take(row);
            self.note_news(now, key, None);
        }
        self.picture_changed(now);
    }

    fn leave(&mut self, now: Instant) {
        if !matches!(self.leaving, Leaving::No) {
            return;
        }
        let Some(mut identity) = self.identity.take() else {
            self.leaving = Leaving::Done;
            return;
        };
        identity.presence = Presence::Left;
        let rows = self.publisher.set_identity(&identity);
        self.write_rows(now, rows);
        self.leaving = Leaving::Repeating(LEAVE_REPEATS.iter().map(|after| now + *after).collect());
        self.say_left(now);
    }

    fn say_left(&mut self, now: Instant) {
        let key = RowKey {
            owner: self.me,
            index: crate::row::IDENTITY,
        };
        let Some(row) = self.store.row(key).cloned() else {
            return;
        };
        let peers = self.contacts.live(now);
        for peer in self.choose(peers, PUSH_ALL_MAX * 8) {
            self.push(now, peer, &[Part::Row(row.clone())]);
        }
    }

    /// A row of this node came in that this life did not write: from a life whose clock was
    /// ahead, or from a copy of this identity.
    fn own_row_from_elsewhere(&mut self, now: Instant, claim: &Claim<'_>) {
        let ours = self.store.version(claim.key());
        let is_past = claim.epoch() < self.epoch
            || (claim.epoch() == self.epoch && ours.is_some_and(|ours| claim.version() <= ours));
        if is_past || claim.prove().is_err() {
            return;
        }
        self.move_epoch(now, claim.epoch());
        self.sign_of_clone(now);
        let epoch = self.epoch;
        self.tell(
            now,
            Subject::ClockWentBack,
            GridNotice::ClockWentBack { epoch },
        );
    }

    fn sign_of_clone(&mut self, now: Instant) {
        self.clone_signs.push_back(now);
        while self
            .clone_signs
            .front()
            .is_some_and(|at| now.since(*at) > CLONE_WINDOW)
            || self.clone_signs.len() > CLONE_SIGNS
        {
            self.clone_signs.pop_front();
        }
        if self.clone_signs.len() >= CLONE_SIGNS {
            self.tell(now, Subject::Cloned, GridNotice::ClonedIdentity);
        }
    }

    /// Others have forgotten this node, which lives: a later life is news to all. Graves are
    /// not signed, so how far and how often one can move the epoch is bounded.
    fn rise_from_grave(&mut self, now: Instant, buried: u64) {
        let is_plausible =
            (self.epoch..=self.epoch.saturating_add(EPOCH_STEP_MAX)).contains(&buried);
        if is_plausible && self.next_rise <= now {
            self.next_rise = now + RISE_PAUSE;
            self.move_epoch(now, buried);
        }
    }

    /// Goes on in a life above `seen`.
    fn move_epoch(&mut self, now: Instant, seen: u64) {
        self.epoch = seen.max(self.epoch).saturating_add(1);
        let rows = self.publisher.rows();
        self.write_rows(now, rows);
    }

    // --- What comes in ------------------------------------------------------------------

    fn receive(&mut self, now: Instant, from: Endpoint, datagram: &[u8]) {
        self.counters.received += 1;
        self.counters.received_bytes += datagram.len() as u64;
        let from = match from {
            Endpoint::Udp(address) => Endpoint::Udp(canonical(address)),
            tcp @ Endpoint::Tcp(_) => tcp,
        };
        let opened = match self.sealer.open(datagram) {
            Ok(opened) => opened,
            Err(SealError::ForeignKey) => {
                self.meet_foreigner(now, from);
                return;
            }
            Err(_) => return,
        };
        let Some((head, parts)) = wire::read(&opened.message) else {
            self.counters.malformed += 1;
            return;
        };
        if head.from == self.me {
            if opened.sender == *self.sealer.tag() {
                self.contacts.found_myself(head.token);
            }
            return;
        }
        if head.to.is_some_and(|to| to != self.me) {
            return;
        }
        self.contacts.heard(now, head.from, from);
        if head.answer {
            self.contacts.answered(now, head.token, head.from, from);
        }
        self.take_parts(now, &head, &parts, from);
        self.reply(now, &head, &parts, from);
    }

    /// Tells people here, and once in a while the other side, which then tells its people.
    /// The word is shorter than any question, so that nobody is flooded by a forged source.
    fn meet_foreigner(&mut self, now: Instant, from: Endpoint) {
        let remote = match from {
            Endpoint::Udp(address) => Some(address),
            Endpoint::Tcp(id) => self.contacts.remote(id),
        };
        let subject = Subject::ForeignKey(remote.map(|remote| remote.ip()));
        if self.tell(now, subject, GridNotice::ForeignKey { from }) {
            let head = Head {
                from: self.me,
                to: None,
                ask: false,
                answer: false,
                push: false,
                more: false,
                token: 0,
            };
            self.send_message(from, head, &[]);
        }
    }

    fn take_parts(&mut self, now: Instant, head: &Head, parts: &[Part<Claim<'_>>], from: Endpoint) {
        let mut is_news = false;
        for part in parts {
            match part {
                Part::Row(claim) if claim.key().owner == self.me => {
                    self.own_row_from_elsewhere(now, claim)
                }
                Part::Row(claim) => {
                    let entered = self.store.offer(claim);
                    self.rumours.arrived(claim.key());
                    let Entered::News { replaced } = entered else {
                        continue;
                    };
                    is_news = true;
                    // A newcomer's bulk of rows is news to it alone and not passed on.
                    if head.push || replaced || claim.key().owner == head.from {
                        self.note_news(now, claim.key(), Some(head.from));
                    }
                }
                Part::Observed(address)
                    if head.to == Some(self.me) && matches!(from, Endpoint::Udp(_)) =>
                {
                    if let Some(address) = self.outside.vote(head.from, canonical(*address)) {
                        self.output(GridOutput::OutsideAddress(address));
                    }
                }
                Part::Grave(grave) if grave.owner == self.me => {
                    self.rise_from_grave(now, grave.epoch)
                }
                Part::Grave(grave) => {
                    let is_gone = self.contacts.is_unreached(grave.owner);
                    self.store.hear_of_grave(now, *grave, is_gone);
                    is_news = true;
                }
                _ => {}
            }
        }
        if is_news {
            self.last_news = now;
            self.next_round = self.next_round.min(now + ROUND);
            self.picture_changed(now);
        }
    }

    fn reply(&mut self, now: Instant, head: &Head, parts: &[Part<Claim<'_>>], from: Endpoint) {
        let start = self.random.random::<u64>();
        let mut answer = reconcile::answer(&self.store, parts, start);
        answer.parts.retain(|part| match part {
            Part::Want(key) => self.rumours.may_want(now, *key),
            _ => true,
        });
        let is_mismatch = !answer.parts.is_empty();
        if is_mismatch {
            self.last_news = now;
        }
        if head.ask || is_mismatch {
            let mut parts = Vec::new();
            if head.ask {
                if let Endpoint::Udp(address) = from {
                    parts.push(Part::Observed(address));
                }
                if is_mismatch {
                    parts.extend(self.hints());
                }
            }
            parts.extend(answer.parts);
            let head = Head {
                from: self.me,
                to: Some(head.from),
                ask: false,
                answer: head.ask,
                push: false,
                more: answer.more,
                token: head.token,
            };
            self.send_message(from, head, &parts);
        }
        if head.more {
            let may = self
                .more_asked
                .get(&head.from)
                .is_none_or(|at| now.since(*at) >= MORE_PAUSE);
            if may {
                self.more_asked.insert(head.from, now);
                self.ask(now, Asked::Node(head.from), from, Some(head.from));
            }
        }
    }

    // --- What goes out ------------------------------------------------------------------

    fn note_news(&mut self, now: Instant, key: RowKey, from: Option<NodeKey>) {
        self.last_news = now;
        self.next_round = self.next_round.min(now + ROUND);
        self.rumours.learned(now, key, from);
    }

    /// Passes on what was learned just now.
    fn push_news(&mut self, now: Instant) {
        let groups = self.rumours.take_fresh();
        if groups.is_empty() {
            return;
        }
        let live = self.contacts.live(now);
        let fanout = if live.len() <= PUSH_ALL_MAX {
            PUSH_ALL_MAX
        } else {
            FANOUT
        };
        for (from, keys) in groups {
            // Others of the same small grid got it from the owner as well: pass on to a few.
            let fanout = if from.is_some() {
                fanout.min(FANOUT)
            } else {
                fanout
            };
            let owners: BTreeSet<NodeKey> = keys.iter().map(|key| key.owner).collect();
            let mut peers = live.clone();
            peers.retain(|peer| {
                Some(*peer) != from && !(owners.len() == 1 && owners.contains(peer))
            });
            let peers = self.choose(peers, fanout);
            let mut parts = Vec::new();
            for row in keys.into_iter().filter_map(|key| self.store.row(key)) {
                let cost = (row.bytes().len() * peers.len()) as u64;
                if !self.rumours.spend(now, cost) {
                    self.counters.push_deferred += 1;
                    continue;
                }
                self.counters.pushed_rows += peers.len() as u64;
                parts.push(Part::Row(row.clone()));
            }
            for peer in peers {
                self.push(now, peer, &parts);
            }
        }
    }

    fn push(&mut self, now: Instant, peer: NodeKey, parts: &[Outgoing]) {
        let Some(to) = self
            .contacts
            .endpoint(now, peer)
            .filter(|_| !parts.is_empty())
        else {
            return;
        };
        let head = Head {
            from: self.me,
            to: Some(peer),
            ask: false,
            answer: false,
            push: true,
            more: false,
            token: 0,
        };
        self.send_message(to, head, parts);
    }

    fn round(&mut self, now: Instant) {
        self.counters.rounds += 1;
        let live = self.contacts.live(now);
        let is_alone = live.is_empty();
        for peer in self.choose(live, FANOUT) {
            if let Some(to) = self.contacts.ask_endpoint(now, peer) {
                self.ask(now, Asked::Node(peer), to, Some(peer));
            }
        }
        if self.next_lost <= now {
            self.next_lost = now + LOST_EVERY;
            let lost = self.contacts.lost(now);
            for peer in self.choose(lost, if is_alone { FANOUT } else { 1 }) {
                if let Some(to) = self.contacts.ask_endpoint(now, peer) {
                    self.ask(now, Asked::Node(peer), to, Some(peer));
                }
            }
        }
        for (seed, to) in self.contacts.due_seeds(now, is_alone) {
            self.ask(now, Asked::Seed(seed), to, None);
        }
        for address in self.contacts.due_dials(now, DIALS_PER_ROUND) {
            self.output(GridOutput::Dial(address));
        }
        self.rumours.cool();
        let is_quiet = now.since(self.last_news) > QUIET_AFTER && !is_alone;
        let round = if is_quiet { QUIET_ROUND } else { ROUND };
        let jitter = self.random.random_range(750..1_250);
        self.next_round = now + round * jitter / 1_000;
    }

    /// Asks whether the other side holds the same.
    fn ask(&mut self, now: Instant, asked: Asked, to: Endpoint, peer: Option<NodeKey>) {
        let token = self.contacts.ask(now, asked, to);
        let is_quiet = now.since(self.last_news) > QUIET_AFTER;
        let mut parts = self.hints();
        parts.extend(reconcile::summary(&self.store, !is_quiet || peer.is_none()));
        let head = Head {
            from: self.me,
            to: peer,
            ask: true,
            answer: false,
            push: false,
            more: false,
            token,
        };
        self.send_message(to, head, &parts);
    }

    /// Rows that changed lately, the latest first.
    fn hints(&self) -> Vec<Outgoing> {
        let hot = self.rumours.hot().into_iter();
        hot.filter_map(|key| {
            self.store
                .version(key)
                .map(|version| Part::Hint(key, version))
        })
        .collect()
    }

    fn send_message(&mut self, to: Endpoint, head: Head, parts: &[Outgoing]) {
        for message in wire::pack(head, parts) {
            let Some(bytes) = self.sealer.seal(&message) else {
                continue;
            };
            self.counters.sent += 1;
            self.counters.sent_bytes += bytes.len() as u64;
            self.output(GridOutput::Send { to, bytes });
        }
    }

    fn output(&mut self, output: GridOutput) {
        if self.outputs.len() >= OUTPUTS_MAX {
            self.counters.outputs_dropped += 1;
            return;
        }
        self.outputs.push_back(output);
    }

    /// Some of these, by chance.
    fn choose(&mut self, mut from: Vec<NodeKey>, count: usize) -> Vec<NodeKey> {
        let count = count.min(from.len());
        for index in 0..count {
            let other = self.random.random_range(index..from.len());
            from.swap(index, other);
        }
        from.truncate(count);
        from
    }

    // --- What is told -------------------------------------------------------------------

    /// Rows changed: reads them now, or after the rest that earlier readings asked for.
    fn picture_changed(&mut self, now: Instant) {
        self.is_unread = true;
        if self.next_read() <= now {
            self.read_picture(now);
        }
    }

    /// What was handled just now took long on this machine: changed slices are not read for
    /// this span, at most two seconds. For callers that have a clock to see that with.
    pub fn rest(&mut self, now: Instant, span: Duration) {
        let until = now + span.min(READ_REST_MAX * 4) + READ_OWED_MAX;
        self.rested_at = self.rested_at.max(until);
    }

    fn next_read(&self) -> Instant {
        self.rested_at - READ_OWED_MAX
    }

    fn read_picture(&mut self, now: Instant) {
        self.is_unread = false;
        let (changed, events) = self.store.read_changes(now);
        let rows: usize = changed.iter().map(|key| self.store.rows_of(*key)).sum();
        let rest = READ_REST.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
        self.rested_at = self.rested_at.max(now) + rest.min(READ_REST_MAX);
        for event in events {
            match event {
                StoreEvent::Appeared(key) if key != self.me => {
                    self.output(GridOutput::Notice(GridNotice::Joined { key }));
                }
                StoreEvent::Left(key) if key != self.me => {
                    self.output(GridOutput::Notice(GridNotice::Left { key }));
                }
                StoreEvent::Invalid(RowKey { owner, index }) => {
                    self.tell(
                        now,
                        Subject::InvalidRow(owner),
                        GridNotice::InvalidRow { owner, index },
                    );
                }
                StoreEvent::Appeared(_) | StoreEvent::Left(_) => {}
            }
        }
        self.contacts
            .set_members(now, self.store.slices(), &changed);
        let refused = self.store.counters().limit_hit;
        if refused > 0 {
            self.tell(now, Subject::StoreFull, GridNotice::StoreFull { refused });
        }
        self.is_changed = true;
    }

    fn tidy(&mut self, now: Instant) {
        if self.store.tidy(now) {
            self.picture_changed(now);
        }
        self.tell_same_ids();
        for (seed, waited) in self.contacts.silent_seeds(now, SEED_PATIENCE) {
            self.output(GridOutput::Notice(GridNotice::SeedSilent { seed, waited }));
        }
        for connection in self.contacts.useless_connections(now) {
            self.contacts.disconnected(connection);
            self.output(GridOutput::Close(connection));
        }
        self.rumours.tidy(now);
        self.contacts.tidy(now);
        self.more_asked.retain(|_, at| now.since(*at) < MORE_PAUSE);
        self.teller.tidy(now);
    }

    fn tell_same_ids(&mut self) {
        let mut by_id: BTreeMap<&NodeId, Vec<NodeKey>> = BTreeMap::new();
        for (key, slice) in self.store.slices() {
            if slice.identity.presence == Presence::Here {
                by_id.entry(&slice.identity.id).or_default().push(*key);
            }
        }
        let same: BTreeMap<NodeId, Vec<NodeKey>> = by_id
            .into_iter()
            .filter(|(_, keys)| keys.len() > 1)
            .map(|(id, keys)| (id.clone(), keys))
            .collect();
        for (id, keys) in &same {
            if self.told_same_ids.get(id) != Some(keys) {
                let notice = GridNotice::SameId {
                    id: id.clone(),
                    keys: keys.clone(),
                };
                self.output(GridOutput::Notice(notice));
            }
        }
        self.told_same_ids = same;
    }

    /// Whether it was told: the same is not told twice within a while.
    fn tell(&mut self, now: Instant, subject: Subject, notice: GridNotice) -> bool {
        let is_told = self.teller.may_tell(now, subject);
        if is_told {
            self.output(GridOutput::Notice(notice));
        }
        is_told
    }
}
