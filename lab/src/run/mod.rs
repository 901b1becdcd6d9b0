//! One scenario from beginning to end: build, start, wait until the grid is well, let it
//! settle, do what the steps say, listen, judge, take down.

mod diagnose;
pub mod signals;

use crate::judge::{Judge, Outcome, Violation, is_well, knows_all};
use crate::layout::{Layout, rules};
use crate::narrate::{Narrator, Who, seconds};
use crate::peers::{self, Finding, Race};
use crate::scenario::{Moment, Place, Scenario};
use crate::watch::{Heard, Said, WAITING_MAX, Watcher};
use crate::world::switchboard::{Switchboard, start_node};
use crate::world::{LabError, Means, World};
use andon_model::PictureView;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How long nodes may take to find each other and agree that all is well.
pub const WELL_MAX: Duration = Duration::from_secs(90);
/// Watched after all is settled, for what comes too late or goes again.
const LINGER: Duration = Duration::from_secs(3);
/// Between two looks at whether a process ended or somebody wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// What one run found.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// How long the nodes took until all was well.
    pub well_after: Duration,
    /// One for each expectation.
    pub outcomes: Vec<Outcome>,
    /// What was said and must not be, before 0 s or after.
    pub violations: Vec<Violation>,
    /// Ids of all incidents seen.
    pub incidents: Vec<String>,
    /// Faults by name, with the packets that their filters dropped.
    pub dropped: Vec<(String, u64)>,
    /// What mtr and traceroute show.
    pub peers: Vec<Finding>,
    /// Where something is wrong: what each node said at the end.
    pub diagnosis: Vec<String>,
}

impl Run {
    /// Whether the nodes said all that they should and nothing that they should not.
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.outcomes.iter().all(|outcome| outcome.wrong.is_none())
    }
}

/// A lab that stands and whose nodes are watched.
pub struct Lab<'s> {
    scenario: &'s Scenario,
    layout: &'s Layout,
    /// Before the world: watchers end before the namespaces go.
    _watchers: Vec<Watcher>,
    heard: Receiver<Heard>,
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
                if let Said::Picture(view) = heard.what {
                    well[heard.node] = match self.scenario.before.as_slice() {
                        [] => is_well(self.scenario, &view),
                        _ => knows_all(self.scenario, &view),
                    };
                }
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

/// Runs a scenario once. The lab is gone when it returns.
pub fn once(
    scenario: &Scenario,
    means: &Means,
    with_peers: bool,
    narrator: &mut Narrator,
    stop: &AtomicBool,
) -> Result<Run, LabError> {
    let layout = Layout::plan(scenario);
    narrator.begin();
    let mut lab = Lab::up(scenario, &layout, means)?;
    let well_after = lab.wait_until_well(stop)?;
    let mut director = Director {
        scenario,
        layout: &layout,
        lab: &mut lab,
        judge: Judge::new(scenario, &layout),
        narrator,
        stop,
        zero: Instant::now() + scenario.settle,
        alarms: Vec::new(),
        diagnosis: Vec::new(),
    };
    director.tell_beginning(well_after);
    director.settle()?;
    let race = director.play(with_peers)?;
    let mut run = director.end();
    run.well_after = well_after;
    run.peers = race.map(Race::finish).unwrap_or_default();
    Ok(run)
}

struct Director<'s, 'l> {
    scenario: &'s Scenario,
    layout: &'s Layout,
    lab: &'l mut Lab<'s>,
    judge: Judge<'s>,
    narrator: &'l mut Narrator,
    stop: &'l AtomicBool,
    /// 0 s.
    zero: Instant,
    /// Faults that were seen before there were any.
    alarms: Vec<Violation>,
    /// What was said when something was not said in time.
    diagnosis: Vec<String>,
}

impl Director<'_, '_> {
    /// Seconds since 0 s; negative before.
    fn clock(&self, at: Instant) -> f64 {
        match at.checked_duration_since(self.zero) {
            Some(after) => after.as_secs_f64(),
            None => -self.zero.duration_since(at).as_secs_f64(),
        }
    }

    fn since_zero(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.zero)
    }

    fn tell(&self, text: &str) {
        let now = self.clock(Instant::now());
        self.narrator.line(now, Who::Lab, text);
    }

    fn tell_beginning(&self, well_after: Duration) {
        let nodes = self.scenario.nodes.len();
        let rights = match self.lab.world.nodes.rights(0) {
            Some((uid, caps)) => format!("uid {uid}, capabilities {caps}"),
            None => "unknown rights".into(),
        };
        self.tell(&format!(
            "{nodes} nodes ({rights}), {} routers; {} after {}",
            self.scenario.routers.len(),
            match self.scenario.before.as_slice() {
                [] => "all is well",
                _ => "they know each other",
            },
            seconds(well_after)
        ));
    }

    /// Healthy time. A fault that is seen in it is a false alarm.
    fn settle(&mut self) -> Result<(), LabError> {
        while Instant::now() < self.zero {
            let left = self.zero.saturating_duration_since(Instant::now());
            for heard in self.lab.listen(left, self.stop)? {
                let at = self.clock(heard.at);
                if let Said::Picture(view) = &heard.what {
                    self.narrate(at, heard.node, view);
                    self.watch_alarms(&heard, view);
                }
                self.hand_over(heard);
            }
        }
        Ok(())
    }

    fn watch_alarms(&mut self, heard: &Heard, view: &PictureView) {
        let mut verdicts = view.verdicts.iter();
        if let Some(verdict) = verdicts.find(|verdict| verdict.kind.is_fault())
            && self.alarms.is_empty()
            && self.scenario.before.is_empty()
        {
            self.alarms.push(Violation {
                text: "never a fault before there is one".into(),
                at: self.since_zero(heard.at),
                node: view.me.clone(),
                sentence: verdict.sentence.clone(),
            });
        }
    }

    fn narrate(&mut self, at: f64, node: usize, view: &PictureView) {
        let nodes = self.scenario.nodes.len();
        self.narrator.picture(at, node, nodes, view);
    }

    fn hand_over(&mut self, heard: Heard) {
        let at = self.since_zero(heard.at);
        match heard.what {
            Said::Picture(view) => self.judge.picture(at, heard.node, *view),
            Said::Incidents(incidents) => self.judge.incidents(at, heard.node, &incidents),
            Said::NoIncidents | Said::Nothing(_) => {}
        }
    }

    fn play(&mut self, with_peers: bool) -> Result<Option<Race>, LabError> {
        self.judge.happened(Duration::ZERO, Moment::Start);
        for fault in &self.scenario.before {
            self.judge.happened(Duration::ZERO, Moment::On(*fault));
        }
        let mut steps = self.scenario.steps.iter().peekable();
        let mut settled: Option<Instant> = None;
        let mut race = None;
        loop {
            let now = Instant::now();
            while let Some(step) = steps.next_if(|step| self.zero + step.at <= now) {
                for fault in &step.on {
                    self.switch(*fault, true)?;
                }
                for fault in &step.off {
                    self.switch(*fault, false)?;
                }
                if with_peers && race.is_none() && !step.on.is_empty() {
                    race = Some(peers::start(self.scenario, self.layout, &self.lab.world)?);
                }
            }
            if self.diagnosis.is_empty() && self.judge.is_overdue(self.since_zero(now)) {
                self.diagnose("when the first time limit had passed");
            }
            let silenced = self.lab.switchboard.silenced(self.scenario);
            self.judge.silenced(self.since_zero(now), silenced);
            let quiet = steps.peek().is_none() && self.judge.is_settled(self.since_zero(now));
            settled = match (quiet, settled) {
                (true, before) => before.or(Some(now)),
                (false, _) => None,
            };
            let long_enough = self.since_zero(now) >= self.scenario.length;
            let lingered = settled.is_some_and(|since| now >= since + LINGER);
            let raced = race.as_ref().is_none_or(Race::is_over);
            if long_enough && lingered && raced {
                return Ok(race);
            }
            let next = steps.peek().map(|step| self.zero + step.at);
            let wait = next.map_or(TICK, |at| at.saturating_duration_since(Instant::now()));
            for heard in self.lab.listen(wait, self.stop)? {
                if let Said::Picture(view) = &heard.what {
                    self.narrate(self.clock(heard.at), heard.node, view);
                }
                self.hand_over(heard);
            }
        }
    }

    fn switch(&mut self, fault: usize, on: bool) -> Result<(), LabError> {
        let (world, board) = (&mut self.lab.world, &mut self.lab.switchboard);
        match on {
            true => board.on(world, self.scenario, self.layout, fault)?,
            false => board.off(world, self.scenario, self.layout, fault)?,
        }
        let now = self.since_zero(Instant::now());
        let spec = &self.scenario.faults[fault];
        let what = rules::describe(self.scenario, spec);
        let word = if on { "on" } else { "off" };
        self.tell(&format!("{} {word}: {what}", spec.name));
        self.judge.happened(
            now,
            match on {
                true => Moment::On(fault),
                false => Moment::Off(fault),
            },
        );
        Ok(())
    }

    fn diagnose(&mut self, when: &str) {
        let at = self.clock(Instant::now());
        self.diagnosis
            .push(format!("what the nodes said at {at:.1} s, {when}:"));
        let lines = diagnose::diagnose(self.scenario, self.layout, self.judge.pictures());
        self.diagnosis.extend(lines);
    }

    fn end(mut self) -> Run {
        let world = &self.lab.world;
        let faults = self.scenario.faults.iter().enumerate();
        let dropped = faults
            .map(|(at, fault)| {
                let board = &self.lab.switchboard;
                let packets = board.dropped(world, self.scenario, self.layout, at);
                (fault.name.clone(), packets)
            })
            .filter(|(_, packets)| *packets > 0)
            .collect();
        let mut violations = std::mem::take(&mut self.alarms);
        violations.extend(self.judge.violations());
        let mut run = Run {
            outcomes: self.judge.outcomes(),
            violations,
            incidents: self.judge.incidents_seen().iter().cloned().collect(),
            dropped,
            ..Run::default()
        };
        if !run.passed() {
            self.diagnose("at the end");
            run.diagnosis = self.diagnosis;
        }
        run
    }
}
