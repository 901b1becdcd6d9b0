//! A lab that stands and whose nodes are watched: what both a run and a standing lab need.

use crate::judge::{is_well, knows_all};
use crate::layout::Layout;
use crate::scenario::{Place, Scenario};
use crate::watch::{Heard, Said, WAITING_MAX, Watcher};
use crate::world::switchboard::{Switchboard, start_node};
use crate::world::{LabError, Means, World};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How long nodes may take to find each other and agree that all is well.
pub const WELL_MAX: Duration = Duration::from_secs(90);
/// Between two looks at whether a process ended or somebody wants to stop.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// A lab that stands and whose nodes are watched.
pub struct Lab<'s> {
    scenario: &'s Scenario,
    layout: &'s Layout,
    /// Before the world: watchers end before the namespaces go.
    _watchers: Vec<Watcher>,
    heard: Receiver<Heard>,
    /// What each node said last while it was waited for.
    latest: Vec<Heard>,
    /// Namespaces and processes.
    pub world: World,
    /// The faults.
    pub switchboard: Switchboard,
}

impl<'s> Lab<'s> {
    /// Builds it, and starts the nodes.
    pub fn up(scenario: &'s Scenario, layout: &'s Layout, means: &Means) -> Result<Self, LabError> {
        let mut world = World::build(scenario, layout, means)?;
        let mut switchboard = Switchboard::default();
        for fault in &scenario.before {
            switchboard.on(&mut world, scenario, layout, *fault)?;
        }
        let (sink, heard) = sync_channel(WAITING_MAX);
        let mut watchers = Vec::new();
        for node in 0..scenario.nodes.len() {
            start_node(&mut world, scenario, layout, node)?;
            let netns = world.netns(Place::Node(node)).clone();
            watchers.push(Watcher::start(node, &netns, sink.clone())?);
        }
        Ok(Self {
            scenario,
            layout,
            _watchers: watchers,
            heard,
            latest: Vec::new(),
            world,
            switchboard,
        })
    }

    /// Waits until every node says that all is well, or where something is wrong from the
    /// beginning, until every node knows of all.
    pub fn wait_until_well(&mut self, stop: &AtomicBool) -> Result<Duration, LabError> {
        let began = Instant::now();
        let none = |node: usize| Err(format!("{} does not answer", self.scenario.nodes[node].id));
        let mut well: Vec<Result<(), String>> = (0..self.scenario.nodes.len()).map(none).collect();
        loop {
            for heard in self.listen(TICK, stop)? {
                if let Said::Picture(view) = &heard.what {
                    well[heard.node] = match self.scenario.before.as_slice() {
                        [] => is_well(self.scenario, view),
                        _ => knows_all(self.scenario, view),
                    };
                }
                let same = |other: &Heard| {
                    let kind = std::mem::discriminant(&other.what);
                    other.node == heard.node && kind == std::mem::discriminant(&heard.what)
                };
                self.latest.retain(|other| !same(other));
                self.latest.push(heard);
            }
            let Some(why) = well.iter().find_map(|one| one.as_ref().err()) else {
                return Ok(began.elapsed());
            };
            if began.elapsed() > WELL_MAX {
                return Err(LabError::NotWell {
                    waited: WELL_MAX,
                    why: why.clone(),
                });
            }
        }
    }

    /// What each node said last before it was well. Watchers tell changes only.
    pub fn take_latest(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.latest)
    }

    /// Carries out what is due, and returns what the nodes said within `wait` or until
    /// something else is due.
    pub fn listen(&mut self, wait: Duration, stop: &AtomicBool) -> Result<Vec<Heard>, LabError> {
        if stop.load(Ordering::Relaxed) {
            return Err(LabError::Stopped);
        }
        self.switchboard
            .wake(&mut self.world, self.scenario, self.layout)?;
        if let Some(error) = self.world.nodes.fallen(self.scenario) {
            return Err(error);
        }
        let due = self.switchboard.next_wake();
        let due = due.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = wait.min(TICK).min(due.unwrap_or(TICK));
        let mut all = Vec::new();
        match self.heard.recv_timeout(wait) {
            Ok(heard) => all.push(heard),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
        all.extend(self.heard.try_iter());
        Ok(all)
    }
}
