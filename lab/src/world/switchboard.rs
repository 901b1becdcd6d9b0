//! Switches faults on and off, and keeps those going that come and go by themselves.

use super::{LabError, World};
use crate::layout::{Layout, rules};
use crate::scenario::{FaultKind, Place, Scenario};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The faults that are on.
#[derive(Default)]
pub struct Switchboard {
    on: BTreeMap<usize, Active>,
    dropped: BTreeMap<usize, u64>,
}

struct Active {
    /// Whether it bites at this moment; a flapping one rests at times.
    bites: bool,
    /// When a flapping fault turns.
    turn: Option<Instant>,
    /// For a starved node: whether it is stopped, and when that changes.
    pulse: Option<(bool, Instant)>,
    burners: Burners,
}

impl Switchboard {
    /// Switches a fault on, unless it is.
    pub fn on(
        &mut self,
        world: &mut World,
        scenario: &Scenario,
        layout: &Layout,
        fault: usize,
    ) -> Result<(), LabError> {
        if self.on.contains_key(&fault) {
            return Ok(());
        }
        let now = Instant::now();
        let spec = &scenario.faults[fault];
        let mut active = Active {
            bites: false,
            turn: spec.flap.map(|(on, _)| now + on),
            pulse: None,
            burners: Burners::default(),
        };
        self.bite(world, scenario, layout, fault, &mut active)?;
        self.on.insert(fault, active);
        Ok(())
    }

    /// Switches a fault off, if it is on.
    pub fn off(
        &mut self,
        world: &mut World,
        scenario: &Scenario,
        layout: &Layout,
        fault: usize,
    ) -> Result<(), LabError> {
        match self.on.remove(&fault) {
            Some(mut active) => self.rest(world, scenario, layout, fault, &mut active),
            None => Ok(()),
        }
    }

    /// Whether a fault is on.
    pub fn is_on(&self, fault: usize) -> bool {
        self.on.contains_key(&fault)
    }

    /// Packets that a fault's filters have dropped so far: the proof that it did something.
    pub fn dropped(
        &self,
        world: &World,
        scenario: &Scenario,
        layout: &Layout,
        fault: usize,
    ) -> u64 {
        let bites = self.on.get(&fault).is_some_and(|active| active.bites);
        let mut dropped = self.dropped.get(&fault).copied().unwrap_or_default();
        if bites {
            for (place, _) in rules::rules(scenario, layout, fault) {
                let held = world.nft_list(place, &rules::table(fault));
                dropped += held.map_or(0, |held| rules::dropped(&held));
            }
        }
        dropped
    }

    /// Nodes that cannot speak at present.
    pub fn silenced(&self, scenario: &Scenario) -> Vec<usize> {
        let mut nodes = Vec::new();
        for (fault, active) in &self.on {
            if active.bites
                && let FaultKind::Freeze(these) | FaultKind::Kill(these) =
                    &scenario.faults[*fault].kind
            {
                nodes.extend(these);
            }
        }
        nodes
    }

    /// When something is to be turned.
    pub fn next_wake(&self) -> Option<Instant> {
        let actives = self.on.values();
        let times = actives.flat_map(|active| [active.turn, active.pulse.map(|(_, at)| at)]);
        times.flatten().min()
    }

    /// Turns what is due.
    pub fn wake(
        &mut self,
        world: &mut World,
        scenario: &Scenario,
        layout: &Layout,
    ) -> Result<(), LabError> {
        let now = Instant::now();
        let due: Vec<usize> = self
            .on
            .iter()
            .filter(|(_, active)| {
                active.turn.is_some_and(|at| at <= now)
                    || active.pulse.is_some_and(|(_, at)| at <= now)
            })
            .map(|(fault, _)| *fault)
            .collect();
        for fault in due {
            let Some(mut active) = self.on.remove(&fault) else {
                continue;
            };
            let spec = &scenario.faults[fault];
            if let (Some(at), Some((on, off))) = (active.turn, spec.flap)
                && at <= now
            {
                if active.bites {
                    self.rest(world, scenario, layout, fault, &mut active)?;
                    active.turn = Some(at + off);
                } else {
                    self.bite(world, scenario, layout, fault, &mut active)?;
                    active.turn = Some(at + on);
                }
            }
            if let (Some((stopped, at)), FaultKind::Starve { nodes, stop, run }) =
                (active.pulse, &spec.kind)
                && at <= now
            {
                let (signal, next) = match stopped {
                    true => (Signal::SIGCONT, *run),
                    false => (Signal::SIGSTOP, *stop),
                };
                nodes
                    .iter()
                    .for_each(|node| world.nodes.signal(*node, signal));
                active.pulse = Some((!stopped, now + next));
            }
            self.on.insert(fault, active);
        }
        Ok(())
    }

    fn bite(
        &mut self,
        world: &mut World,
        scenario: &Scenario,
        layout: &Layout,
        fault: usize,
        active: &mut Active,
    ) -> Result<(), LabError> {
        for (place, text) in rules::rules(scenario, layout, fault) {
            world.nft(place, &text)?;
        }
        match &scenario.faults[fault].kind {
            FaultKind::Mtu { wire, size } => world.mtu(scenario, *wire, Some(*size))?,
            FaultKind::Delay { wire, by, towards } => {
                world.delay(scenario, *wire, *by, origin(scenario, *wire, *towards));
            }
            FaultKind::Freeze(nodes) => {
                nodes
                    .iter()
                    .for_each(|node| world.nodes.signal(*node, Signal::SIGSTOP));
            }
            FaultKind::Kill(nodes) => nodes.iter().for_each(|node| world.nodes.kill(*node)),
            FaultKind::Starve { stop, nodes, .. } => {
                nodes
                    .iter()
                    .for_each(|node| world.nodes.signal(*node, Signal::SIGSTOP));
                active.pulse = Some((true, Instant::now() + *stop));
            }
            FaultKind::Busy { threads } => active.burners = Burners::start(*threads),
            _ => {}
        }
        active.bites = true;
        Ok(())
    }

    fn rest(
        &mut self,
        world: &mut World,
        scenario: &Scenario,
        layout: &Layout,
        fault: usize,
        active: &mut Active,
    ) -> Result<(), LabError> {
        if !std::mem::replace(&mut active.bites, false) {
            return Ok(());
        }
        let mut dropped = 0;
        for (place, _) in rules::rules(scenario, layout, fault) {
            dropped += rules::dropped(&world.nft_list(place, &rules::table(fault))?);
            world.nft_remove(place, &rules::table(fault))?;
        }
        *self.dropped.entry(fault).or_default() += dropped;
        match &scenario.faults[fault].kind {
            FaultKind::Mtu { wire, .. } => world.mtu(scenario, *wire, None)?,
            FaultKind::Delay { wire, .. } => {
                world.delay(scenario, *wire, Duration::ZERO, None);
            }
            FaultKind::Freeze(nodes) | FaultKind::Starve { nodes, .. } => {
                active.pulse = None;
                nodes
                    .iter()
                    .for_each(|node| world.nodes.signal(*node, Signal::SIGCONT));
            }
            FaultKind::Kill(nodes) => {
                for node in nodes {
                    start_node(world, scenario, layout, *node)?;
                }
            }
            FaultKind::Busy { .. } => active.burners = Burners::default(),
            _ => {}
        }
        Ok(())
    }
}

/// Starts a node in its namespace; all but the first join the first, and that one the second,
/// which answers where it was started again.
pub fn start_node(
    world: &mut World,
    scenario: &Scenario,
    layout: &Layout,
    node: usize,
) -> Result<(), LabError> {
    let seed = layout.address(usize::from(node == 0));
    let seed = seed.map(|address| SocketAddr::new(address, super::nodes::PORT));
    let netns = world.netns(Place::Node(node)).clone();
    world.nodes.start(scenario, node, &netns, seed)
}

/// The end that a delayed packet comes from.
fn origin(scenario: &Scenario, wire: usize, towards: Option<Place>) -> Option<Place> {
    let towards = towards?;
    let ends = scenario.wires[wire].ends;
    ends.into_iter().find(|end| *end != towards)
}

/// Threads that burn processors until they are dropped.
#[derive(Default)]
struct Burners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Burners {
    fn start(count: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .filter_map(|_| {
                let stop = Arc::clone(&stop);
                let burn = move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                };
                std::thread::Builder::new()
                    .name("burn".into())
                    .spawn(burn)
                    .ok()
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
