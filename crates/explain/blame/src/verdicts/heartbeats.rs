//! Jobs that should be heard of every so often, and are not. Which node hears one may change:
//! a living node that hears it outweighs all others, and else the newest word counts.

use super::{evidence, verdict};
use crate::roster::Roster;
use crate::standing::Standing;
use crate::words::span;
use andon_model::{Heartbeat, HeartbeatState, NodeState, Verdict, VerdictKind};
use std::collections::BTreeMap;

/// One node listens: nobody can contradict it, and it knows its own clock best.
const CONFIDENCE: f32 = 0.9;

/// One verdict for each heartbeat that stopped.
pub fn all(roster: &Roster<'_>, standing: &Standing<'_>) -> Vec<Verdict> {
    let mut by_name: BTreeMap<&str, Vec<(usize, &Heartbeat)>> = BTreeMap::new();
    for (index, member) in roster.members.iter().enumerate() {
        for heartbeat in &member.slice.heartbeats {
            if !member.left && !heartbeat.name.is_empty() {
                let words = by_name.entry(&heartbeat.name).or_default();
                words.push((index, heartbeat));
            }
        }
    }
    let judged = by_name.values().map(|words| judge(roster, standing, words));
    judged.flatten().collect()
}

fn judge(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    words: &[(usize, &Heartbeat)],
) -> Option<Verdict> {
    let is_heard = |(index, heartbeat): &(usize, &Heartbeat)| {
        standing.alive[*index] && heartbeat.state == HeartbeatState::Beating
    };
    if words.iter().any(is_heard) {
        return None;
    }
    let newest = |(index, heartbeat): &&(usize, &Heartbeat)| (heartbeat.since, *index);
    let (index, heartbeat) = *words.iter().max_by_key(newest)?;
    if heartbeat.state != HeartbeatState::Missing || is_explained(roster, standing, heartbeat) {
        return None;
    }
    let (name, node) = (&heartbeat.name, &roster.members[index].id);
    let last = standing.started(index, heartbeat.last);
    let from = match heartbeat.from.as_str() {
        "" => String::new(),
        from => format!(" from {from}"),
    };
    let every = span(heartbeat.every_ms.saturating_mul(1_000));
    let sentence = format!(
        "Heartbeat {name} has stopped: one should come every {every}, and the last came{from} at {last}, to {node}. \
         Look whether what sends it still runs, and still reaches {node}."
    );
    let observation = format!("heard {name} last at {last}, and has waited since the next was due");
    let since = standing.started(index, heartbeat.since);
    let evidence = vec![evidence(node, observation, true, Some(since))];
    Some(verdict(
        VerdictKind::HeartbeatMissing,
        name,
        sentence,
        CONFIDENCE,
        evidence,
        since,
    ))
}

/// It comes from a node that is down: that verdict says it.
fn is_explained(roster: &Roster<'_>, standing: &Standing<'_>, heartbeat: &Heartbeat) -> bool {
    let source = roster.index_of_id(&heartbeat.from);
    source.is_some_and(|index| standing.state[index] == NodeState::Down)
}
