//! Directs one run: the healthy time, the steps, and listening until all is settled.

use super::lab::{Lab, TICK};
use super::{Run, diagnose};
use crate::judge::{Judge, Violation};
use crate::layout::{Layout, rules};
use crate::narrate::{Narrator, Who, seconds};
use crate::peers::{self, Race};
use crate::scenario::{Moment, Scenario};
use crate::watch::{Heard, Said};
use crate::world::LabError;
use andon_model::{PictureView, VerdictKind};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Watched after all is settled, for what comes too late or goes again.
const LINGER: Duration = Duration::from_secs(3);

/// Directs one run of a lab that stands and is well.
pub(super) struct Director<'s, 'l> {
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

impl<'s, 'l> Director<'s, 'l> {
    /// 0 s is a settling time from now.
    pub fn new(
        scenario: &'s Scenario,
        layout: &'s Layout,
        lab: &'l mut Lab<'s>,
        narrator: &'l mut Narrator,
        stop: &'l AtomicBool,
    ) -> Self {
        Self {
            scenario,
            layout,
            lab,
            judge: Judge::new(scenario, layout),
            narrator,
            stop,
            zero: Instant::now() + scenario.settle,
            alarms: Vec::new(),
            diagnosis: Vec::new(),
        }
    }

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

    /// Tells who takes part.
    pub fn tell_beginning(&self, well_after: Duration) {
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
    pub fn settle(&mut self) -> Result<(), LabError> {
        for heard in self.lab.take_latest() {
            self.hand_over(heard);
        }
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
                at_s: self.clock(heard.at),
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

    /// Does what the steps say, and listens until all is settled.
    pub fn play(&mut self, with_peers: bool) -> Result<Option<Race>, LabError> {
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

    /// What was found.
    pub fn end(mut self) -> Run {
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
        let end = self.since_zero(Instant::now());
        let mut violations = std::mem::take(&mut self.alarms);
        violations.extend(self.judge.violations());
        let mut run = Run {
            outcomes: self.judge.outcomes(end),
            violations,
            incidents: self
                .judge
                .incidents_seen()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            dropped,
            ..Run::default()
        };
        if !run.passed() {
            self.diagnose("at the end");
            let pictures = self.judge.pictures().iter().flatten();
            let mut verdicts = pictures.flat_map(|picture| &picture.verdicts);
            run.was_starved = !self.scenario.starves_hosts()
                && verdicts.any(|verdict| verdict.kind == VerdictKind::HostBusy);
            run.diagnosis = self.diagnosis;
        }
        run
    }
}
