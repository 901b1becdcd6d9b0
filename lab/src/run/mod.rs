//! One scenario from beginning to end: build, start, wait until the grid is well, let it
//! settle, do what the steps say, listen, judge, take down.

mod diagnose;
mod director;
mod lab;
pub mod signals;

pub use lab::{Lab, WELL_MAX};

use crate::judge::{Outcome, Violation};
use crate::layout::Layout;
use crate::narrate::Narrator;
use crate::peers::{Finding, Race};
use crate::scenario::Scenario;
use crate::world::{LabError, Means};
use director::Director;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

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
    /// Hosts were too busy for exact figures, and no fault of the scenario made them so.
    pub was_starved: bool,
}

impl Run {
    /// Whether the nodes said all that they should and nothing that they should not.
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.outcomes.iter().all(|outcome| outcome.wrong.is_none())
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
    let mut director = Director::new(scenario, &layout, &mut lab, narrator, stop);
    director.tell_beginning(well_after);
    director.settle()?;
    let race = director.play(with_peers)?;
    let mut run = director.end();
    run.well_after = well_after;
    run.peers = race.map(Race::finish).unwrap_or_default();
    Ok(run)
}
