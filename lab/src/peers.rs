//! mtr and traceroute in the same fault, from the same host, at the same time: what each
//! shows, and how long it takes to show it.

use crate::layout::Layout;
use crate::scenario::{Family, Place, Scenario};
use crate::world::command::{inside, installed};
use crate::world::{LabError, World};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The tools, as somebody who is looking for a fault would call them. `ADDRESS` is the target.
const TOOLS: &[&str] = &[
    "mtr --report --report-wide --no-dns --report-cycles 10 ADDRESS",
    "mtr --report --report-wide --no-dns --report-cycles 10 --udp ADDRESS",
    "mtr --report --report-wide --no-dns --report-cycles 10 --tcp --port 8777 ADDRESS",
    "traceroute -n ADDRESS",
    "traceroute -n -I ADDRESS",
    "traceroute -n -T -p 8777 ADDRESS",
];

/// What one tool showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its command line.
    pub command: String,
    /// How long it took.
    pub took: Duration,
    /// What it printed.
    pub output: String,
    /// What that says, in short.
    pub summary: String,
}

/// The tools, while they run.
pub struct Race {
    running: Vec<JoinHandle<Finding>>,
}

impl Race {
    /// Whether all have ended.
    pub fn is_over(&self) -> bool {
        self.running.iter().all(JoinHandle::is_finished)
    }

    /// What they found.
    pub fn finish(self) -> Vec<Finding> {
        let ended = self.running.into_iter().map(JoinHandle::join);
        ended.flatten().collect()
    }
}

/// Starts all tools that are installed between the scenario's two peers.
pub fn start(scenario: &Scenario, layout: &Layout, world: &World) -> Result<Race, LabError> {
    let (from, to) = scenario.peers;
    let path = world.netns(Place::Node(from)).path();
    let Some(address) = layout.address(to) else {
        return Ok(Race {
            running: Vec::new(),
        });
    };
    let mut running = Vec::new();
    for line in TOOLS {
        let mut words: Vec<String> = line
            .replace("ADDRESS", &address.to_string())
            .split(' ')
            .map(str::to_owned)
            .collect();
        let name = words.remove(0);
        if !installed(&name) {
            continue;
        }
        if scenario.family == Family::V6 {
            words.insert(0, "-6".into());
        }
        let mut command = inside(&path, &name);
        command.args(&words);
        let shown = line.replace("ADDRESS", &scenario.nodes[to].id);
        let target = address.to_string();
        let work = move || race(command, shown, &target);
        let thread = std::thread::Builder::new().name(name).spawn(work);
        running.push(thread.map_err(LabError::io("start a tool"))?);
    }
    Ok(Race { running })
}

fn race(mut command: Command, shown: String, target: &str) -> Finding {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let took = began.elapsed();
    let output = match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Finding {
        summary: summary(&output, target),
        command: shown,
        took,
        output,
    }
}

/// What a report says of the way: hops with loss, and how the target fares.
pub fn summary(output: &str, target: &str) -> String {
    let mtr: Vec<(String, f64)> = output
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("|--")?;
            let mut words = rest.split_whitespace();
            let host = words.next()?.to_owned();
            let loss = words.next()?.trim_end_matches('%').parse().ok()?;
            Some((host, loss))
        })
        .collect();
    if !mtr.is_empty() {
        return of_mtr(&mtr, target);
    }
    let hops: Vec<Vec<&str>> = output
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            words.next()?.parse::<u8>().ok()?;
            Some(words.collect())
        })
        .collect();
    if hops.is_empty() {
        let first = output.lines().next().unwrap_or("nothing");
        return andon_model::id::to_plain_text(first, 120);
    }
    let reached = hops.iter().any(|words| words.contains(&target));
    let stars = |words: &Vec<&str>| words.iter().filter(|word| **word == "*").count();
    let dead = hops.iter().position(|words| stars(words) == 3);
    match (reached, dead) {
        (true, None) => "reaches the target; nothing is wrong".into(),
        (true, Some(hop)) => format!("reaches the target; hop {} is silent", hop + 1),
        (false, Some(hop)) => {
            let last = hops[..hop].last().and_then(|words| words.first());
            format!(
                "nothing after hop {hop} ({}), and the target never",
                last.unwrap_or(&"none")
            )
        }
        (false, None) => "does not reach the target".into(),
    }
}

fn of_mtr(hops: &[(String, f64)], target: &str) -> String {
    let lossy: Vec<String> = hops
        .iter()
        .filter(|(_, loss)| *loss > 0.0)
        .map(|(host, loss)| format!("{host} {loss} %"))
        .collect();
    let end = hops.iter().rev().find(|(host, _)| host == target);
    match (end, lossy.as_slice()) {
        (Some(_), []) => "nothing is wrong".into(),
        (Some((_, loss)), lossy) => format!("target {loss} % lost; loss at {}", lossy.join(", ")),
        (None, []) => "ends before the target, without loss".into(),
        (None, lossy) => format!("does not reach the target; loss at {}", lossy.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn reports_are_told_in_short() {
        let mtr = "HOST: x   Loss%   Snt   Last\n  1.|-- 10.0.1.2   0.0%    10    0.1\n  2.|-- 10.0.9.1  40.0%    10    0.1\n";
        assert_eq!(
            summary(mtr, "10.0.9.1"),
            "target 40 % lost; loss at 10.0.9.1 40 %"
        );
        let traced = "traceroute to 10.0.9.1, 30 hops max\n 1  10.0.1.2  0.1 ms  0.1 ms  0.1 ms\n 2  * * *\n";
        assert_eq!(
            summary(traced, "10.0.9.1"),
            "nothing after hop 1 (10.0.1.2), and the target never"
        );
        let well = " 1  10.0.1.2  0.1 ms\n 2  10.0.9.1  0.2 ms  0.1 ms  0.1 ms\n";
        assert_eq!(
            summary(well, "10.0.9.1"),
            "reaches the target; nothing is wrong"
        );
        assert_eq!(summary("no route", "10.0.9.1"), "no route");
    }
}
