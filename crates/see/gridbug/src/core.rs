//! Which bugs are known and when each is polled. Knows no sockets, no clock, no tasks: the
//! caller brings time, a seed and what came of polls, and carries out what `poll` returns.

use crate::document::{BUGS_MAX, Document, Entry, ID_BYTES_MAX, Reading};
use andon_model::id::to_plain_text;
use andon_model::{Instant, Neighbour, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Polls under way at once. Doubled, silent bugs could hold 128 sockets.
pub const POLLS_MAX: usize = 64;
/// What all bugs together report of others. Doubled, a hostile grid could fill twice the
/// memory, and our slice with it.
pub const SEEN_MAX: usize = 10_000;
/// A learned bug that has not answered for so long is forgotten.
pub const FORGET_AFTER: Duration = Duration::from_secs(600);
/// A forgotten bug is not taken up again within this time by mere mention as dead.
pub const FORGOTTEN_FOR: Duration = Duration::from_secs(3_600);
/// Shortest time between polls of a bug. Halved, we would be the heaviest client of a peer
/// that answers 2,000 requests a second at best.
pub const POLL_MIN: Duration = Duration::from_secs(1);
/// Unanswered pings in a row until a bug that was alive is not.
const SILENT_IN_A_ROW: u32 = 2;
/// Wait before the ping that decides.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// What others reported is let go when the reporter has not answered for so long.
const SEES_FOR: Duration = Duration::from_secs(60);

/// Both kinds of time at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For deciding.
    pub now: Instant,
    /// For people.
    pub utc: Timestamp,
}

/// How this node takes part.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bugs' shared GRIDKEY.
    pub key: String,
    /// Our id among them.
    pub id: String,
    /// Our advertised host:port; `None` until it is known, and until then we do not post.
    pub host: Option<String>,
    /// Our version.
    pub build: String,
    /// First bugs, host:port; never forgotten.
    pub seeds: Vec<String>,
    /// Time between polls of a bug, at least [`POLL_MIN`]. GridBug's own is 10 s.
    pub poll: Duration,
}

/// What came of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// Time of the answer to `/ping`; `None` without one.
    pub ping_us: Option<u32>,
    /// Whether it took our view; `None` where it was not offered.
    pub posted: Option<bool>,
    /// Its view; `None` where it could not be had or read.
    pub bugs: Option<Reading>,
}

/// Poll this bug: ping, post `document` if there is one, get its bugs; one after the other,
/// while others are polled beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// host:port.
    pub host: String,
    /// What to post.
    pub document: Option<Vec<u8>>,
}

/// What happened, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bugs polled.
    pub polls: u64,
    /// Pings without an answer.
    pub pings_failed: u64,
    /// Views that a bug which answers pings did not take.
    pub posts_failed: u64,
    /// Bugs not taken up since [`BUGS_MAX`] are known.
    pub bugs_refused: u64,
    /// Entries of documents passed over: unusable, or too many.
    pub entries_passed_over: u64,
    /// Polls delayed since [`POLLS_MAX`] were under way.
    pub polls_delayed: u64,
    /// Requests answered.
    pub gets: u64,
    /// Views taken.
    pub posts: u64,
    /// Requests refused, whatever for.
    pub refused: u64,
}

#[derive(Debug)]
struct Bug {
    /// `None` for a seed that has not said its id and is not known to others.
    id: Option<String>,
    build: String,
    seed: bool,
    alive: Option<bool>,
    since: Timestamp,
    rtt_us: Option<u32>,
    sees: BTreeMap<String, Option<bool>>,
    silent_in_a_row: u32,
    /// When it was learned of, or last answered or spoke.
    heard: Instant,
    due: Instant,
    polling: bool,
}

/// Our part in a GridBug grid.
#[derive(Debug)]
pub struct GridBug {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) grid: crate::answers::GridSummary,
    pub(crate) started: Moment,
    rng: StdRng,
    bugs: BTreeMap<String, Bug>,
    forgotten: BTreeMap<String, Instant>,
    outputs: VecDeque<Poll>,
    polling: usize,
    turn: u64,
}

impl GridBug {
    /// Knows its seeds; those that are no host:port are passed over and counted. The same
    /// seed of randomness gives the same moments.
    pub fn new(at: Moment, config: Config, seed: u64) -> Self {
        let config = Config {
            id: to_plain_text(&config.id, ID_BYTES_MAX),
            poll: config.poll.max(POLL_MIN),
            ..config
        };
        let mut gridbug = Self {
            counters: Counters::default(),
            grid: crate::answers::GridSummary::default(),
            started: at,
            rng: StdRng::seed_from_u64(seed),
            bugs: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            outputs: VecDeque::new(),
            polling: 0,
            turn: 0,
            config,
        };
        for host in gridbug.config.seeds.clone() {
            if crate::document::is_host_port(&host) {
                gridbug.meet(at, &host, None, true);
            } else {
                gridbug.counters.entries_passed_over += 1;
            }
        }
        gridbug
    }

    /// What came of polling `host`. Returns whether the neighbours changed.
    pub fn handle(&mut self, at: Moment, host: &str, polled: Polled) -> bool {
        self.polling = self.polling.saturating_sub(1);
        let spread = self.rng.random_range(0.9..1.1);
        let poll = self.config.poll;
        let Some(bug) = self.bugs.get_mut(host) else {
            return false;
        };
        bug.polling = false;
        if polled.ping_us.is_some() {
            (bug.rtt_us, bug.heard) = (dead_band(bug.rtt_us, polled.ping_us), at.now);
            bug.silent_in_a_row = 0;
        } else {
            bug.silent_in_a_row = bug.silent_in_a_row.saturating_add(1);
            self.counters.pings_failed += 1;
        }
        // One lost ping of a bug that was alive is no outage: a second one soon decides.
        let in_doubt =
            bug.alive == Some(true) && (1..SILENT_IN_A_ROW).contains(&bug.silent_in_a_row);
        let pause = if in_doubt { CONFIRM_AFTER } else { poll };
        bug.due = at.now + pause.mul_f64(spread);
        let alive = Some(in_doubt || polled.ping_us.is_some());
        let changed = bug.alive != alive;
        if changed {
            (bug.alive, bug.since) = (alive, at.utc);
        }
        self.counters.posts_failed += u64::from(polled.posted == Some(false));
        let learned = polled
            .bugs
            .is_some_and(|reading| self.learn(at, host, reading));
        let forgot = self.forget(at);
        changed || learned || forgot
    }

    /// Time has passed.
    pub fn wake(&mut self, at: Moment) {
        if self.next_wake().is_none_or(|due| due > at.now) {
            return;
        }
        let document = self.config.host.is_some().then(|| self.document());
        for (host, bug) in &mut self.bugs {
            if bug.polling || bug.due > at.now {
                continue;
            }
            if self.polling >= POLLS_MAX {
                self.counters.polls_delayed += 1;
                continue;
            }
            (bug.polling, self.polling) = (true, self.polling + 1);
            self.counters.polls += 1;
            self.turn += 1;
            let document = document
                .clone()
                .map(|document| document.write_bounded(self.turn));
            self.outputs.push_back(Poll {
                host: host.clone(),
                document,
            });
        }
    }

    /// When to wake it; `None` while only the end of a poll can change anything.
    pub fn next_wake(&self) -> Option<Instant> {
        if self.polling >= POLLS_MAX {
            return None;
        }
        self.bugs
            .values()
            .filter(|bug| !bug.polling)
            .map(|bug| bug.due)
            .min()
    }

    /// Whom to poll next, until `None`.
    pub fn poll(&mut self) -> Option<Poll> {
        self.outputs.pop_front()
    }

    /// The bugs for our slice, by host. A bug known by its host alone bears that as its id.
    pub fn view(&self) -> Vec<Neighbour> {
        let neighbour = |(host, bug): (&String, &Bug)| Neighbour {
            host: host.clone(),
            id: to_plain_text(bug.id.as_ref().unwrap_or(host), ID_BYTES_MAX),
            alive: bug.alive,
            build: bug.build.clone(),
            since: bug.since,
            rtt_us: bug.rtt_us,
            sees: bug.sees.clone(),
        };
        self.bugs.iter().map(neighbour).collect()
    }

    /// Where we are reached, once it is known. What is no host:port is passed over.
    pub fn set_host(&mut self, host: &str) {
        if crate::document::is_host_port(host) {
            self.bugs.remove(host);
            self.config.host = Some(host.to_owned());
        }
    }

    /// Our own grid, for `/graph`.
    pub fn set_grid(&mut self, grid: crate::answers::GridSummary) {
        self.grid = grid;
    }

    /// What happened, and how often.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Our view, as bugs exchange it: ourselves first. Bugs whose id nobody has told us are
    /// left out: GridBug tells bugs apart by id, and would hold them twice.
    pub(crate) fn document(&self) -> Document {
        let own = self.config.host.clone().map(|host| Entry {
            host,
            id: self.config.id.clone(),
            alive: Some(true),
        });
        let others = self.bugs.iter().filter_map(|(host, bug)| {
            Some(Entry {
                host: host.clone(),
                id: bug.id.clone()?,
                alive: bug.alive,
            })
        });
        Document {
            version: 1,
            gridbugs: own.into_iter().chain(others).collect(),
            node_id: self.config.id.clone(),
            node_role: "node".to_owned(),
            node_build: self.config.build.clone(),
            node_host: self.config.host.clone().unwrap_or_default(),
        }
    }

    /// Takes a view that was posted to us with the right key. Returns whether the
    /// neighbours changed.
    pub(crate) fn posted(&mut self, at: Moment, reading: Reading) -> bool {
        let host = reading.document.node_host.clone();
        if host.is_empty() || self.is_me(&host, &reading.document.node_id) {
            self.counters.entries_passed_over += reading.passed_over;
            return false;
        }
        let met = self.meet(at, &host, Some(&reading.document.node_id), false);
        self.learn(at, &host, reading) | met
    }

    /// Takes what `reporter` says of itself and of others.
    fn learn(&mut self, at: Moment, reporter: &str, reading: Reading) -> bool {
        self.counters.entries_passed_over += reading.passed_over;
        let document = reading.document;
        let mut changed = false;
        for entry in &document.gridbugs {
            if !self.is_me(&entry.host, &entry.id) && self.may_return(at, entry) {
                changed |= self.meet(at, &entry.host, Some(&entry.id), false);
            }
        }
        let room = SEEN_MAX.saturating_sub(self.seen_by_others_than(reporter));
        let Some(bug) = self.bugs.get_mut(reporter) else {
            return changed;
        };
        let sees: BTreeMap<_, _> = document
            .gridbugs
            .into_iter()
            .take(room)
            .map(|e| (e.id, e.alive))
            .collect();
        let id = Some(document.node_id);
        changed |= bug.id != id || bug.build != document.node_build || bug.sees != sees;
        (bug.id, bug.build, bug.sees) = (id, document.node_build, sees);
        bug.heard = at.now;
        changed | self.unite(reporter, &document.node_host)
    }

    /// A bug polled at one host may name itself by another (a name and its address). The
    /// one that was learned goes; a seed stays.
    fn unite(&mut self, polled_at: &str, named: &str) -> bool {
        let id = |host: &str| self.bugs.get(host).and_then(|bug| bug.id.clone());
        let same = polled_at != named && id(named).is_some() && id(polled_at) == id(named);
        let learned = self
            .bugs
            .get(named)
            .is_some_and(|bug| !bug.seed && !bug.polling);
        same && learned && self.bugs.remove(named).is_some()
    }

    /// Takes up a bug if it is not known, and its id. Returns whether either was new.
    fn meet(&mut self, at: Moment, host: &str, id: Option<&str>, seed: bool) -> bool {
        if let Some(bug) = self.bugs.get_mut(host) {
            let named = bug.id.is_none() && id.is_some();
            if named {
                bug.id = id.map(str::to_owned);
            }
            return named;
        }
        // GridBug tells bugs apart by id: what answers under this id elsewhere is this bug.
        let elsewhere = id.is_some()
            && self
                .bugs
                .values()
                .any(|bug| bug.alive == Some(true) && bug.id.as_deref() == id);
        if elsewhere || self.config.host.as_deref() == Some(host) {
            return false;
        }
        if self.bugs.len() >= BUGS_MAX {
            self.counters.bugs_refused += 1;
            return false;
        }
        let bug = Bug {
            id: id.map(str::to_owned),
            build: String::new(),
            seed,
            alive: None,
            since: at.utc,
            rtt_us: None,
            sees: BTreeMap::new(),
            silent_in_a_row: 0,
            heard: at.now,
            due: at.now + Duration::from_secs(1).mul_f64(self.rng.random_range(0.0..1.0)),
            polling: false,
        };
        self.bugs.insert(host.to_owned(), bug);
        self.forgotten.remove(host);
        true
    }

    /// Forgets learned bugs after a long silence, and what the silent reported.
    fn forget(&mut self, at: Moment) -> bool {
        let silent: Vec<String> = self
            .bugs
            .iter()
            .filter(|(_, bug)| !bug.seed && !bug.polling && at.now.since(bug.heard) > FORGET_AFTER)
            .map(|(host, _)| host.clone())
            .collect();
        self.forgotten
            .retain(|_, since| at.now.since(*since) <= FORGOTTEN_FOR);
        let mut changed = !silent.is_empty();
        for host in silent {
            self.bugs.remove(&host);
            if self.forgotten.len() < BUGS_MAX {
                self.forgotten.insert(host, at.now);
            }
        }
        for bug in self
            .bugs
            .values_mut()
            .filter(|bug| at.now.since(bug.heard) > SEES_FOR)
        {
            changed |= !bug.sees.is_empty();
            bug.sees.clear();
        }
        changed
    }

    /// Dead bugs live on in others' lists for ever; a mention as dead revives none.
    fn may_return(&self, at: Moment, entry: &Entry) -> bool {
        let forgotten = self
            .forgotten
            .get(&entry.host)
            .is_some_and(|since| at.now.since(*since) <= FORGOTTEN_FOR);
        !forgotten || entry.alive == Some(true)
    }

    fn is_me(&self, host: &str, id: &str) -> bool {
        self.config.host.as_deref() == Some(host) || self.config.id == id
    }

    fn seen_by_others_than(&self, reporter: &str) -> usize {
        self.bugs
            .iter()
            .filter(|(host, _)| *host != reporter)
            .map(|(_, bug)| bug.sees.len())
            .sum()
    }
}

/// Keeps a published time while the measured one is within half of it or 1 ms: a figure that
/// changed with every ping would travel through the grid with every ping.
fn dead_band(published: Option<u32>, measured: Option<u32>) -> Option<u32> {
    let (Some(old), Some(new)) = (published, measured) else {
        return measured;
    };
    let apart = old.abs_diff(new);
    Some(if apart <= 1_000 || apart <= old / 2 {
        old
    } else {
        new
    })
}

#[cfg(test)]
mod tests;
