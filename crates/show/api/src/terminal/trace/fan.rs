//! The ways of many flows as one drawing: what they share stands once, where they part there are
//! branches, where the branches meet again the trunk goes on. Pure: figures in, rows out.

use super::tally::{FlowTally, HopTally, Tally};
use crate::trace::TraceFlowState;
use std::collections::BTreeMap;

/// One line of the drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Lines that lead to it from the left.
    pub lead: String,
    /// What stands there.
    pub kind: RowKind,
    /// Flows that come by.
    pub flows: usize,
}

/// What stands on a line.
#[derive(Debug, Clone, PartialEq)]
pub enum RowKind {
    /// A hop.
    Hop {
        /// Its distance.
        ttl: usize,
        /// Of all these flows together.
        hop: HopTally,
        /// It is what was traced to.
        far_end: bool,
    },
    /// Some flows meet no hop of their own before the branches meet again.
    Straight,
    /// Flows go no farther.
    End {
        /// In what way.
        end: End,
        /// Who came next while they still went on.
        before: Vec<String>,
    },
}

/// How flows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// They are dead, and nothing from beyond answers.
    Dead,
    /// They are dead, and no hop of theirs ever answered.
    Nowhere,
    /// The last hop says that it cannot pass them on.
    TurnedBack,
    /// They live, but no trace gets farther.
    Hidden,
    /// Nothing is known but silence.
    Silent,
}

/// A flow on its way through the drawing.
#[derive(Clone, Copy)]
struct Walker<'a> {
    flow: &'a FlowTally,
    /// The next hop to draw.
    at: usize,
}

impl<'a> Walker<'a> {
    fn next(&self) -> Option<&'a HopTally> {
        self.flow.hops.get(..self.flow.length)?.get(self.at)
    }

    /// Where it meets a hop with these addresses, from here on.
    fn meets(&self, addresses: &[String]) -> Option<usize> {
        let rest = self.flow.hops.get(self.at..self.flow.length)?;
        let place = rest.iter().position(|hop| hop.addresses == addresses)?;
        Some(self.at + place)
    }
}

/// Draws the ways of all flows.
pub fn rows(tally: &Tally) -> Vec<Row> {
    let walkers: Vec<Walker<'_>> = tally
        .flows
        .values()
        .map(|flow| Walker { flow, at: 0 })
        .collect();
    let mut rows = Vec::new();
    let met = trunk(&mut rows, walkers, "", None);
    debug_assert!(met.is_empty());
    rows
}

/// Draws flows that stand at the same place, until each has ended or has met the hop `until`.
/// Returns those that have, standing before it.
fn trunk<'a>(
    rows: &mut Vec<Row>,
    mut walkers: Vec<Walker<'a>>,
    lead: &str,
    until: Option<&[String]>,
) -> Vec<Walker<'a>> {
    let mut met = Vec::new();
    loop {
        if let Some(until) = until {
            let is_there =
                |walker: &Walker<'_>| walker.next().is_some_and(|hop| hop.addresses == until);
            met.extend(walkers.iter().copied().filter(is_there));
            walkers.retain(|walker| !is_there(walker));
        }
        ends(rows, &walkers, lead);
        walkers.retain(|walker| walker.next().is_some());
        let mut branches: BTreeMap<Order<'_>, Vec<Walker<'a>>> = BTreeMap::new();
        for walker in &walkers {
            if let Some(hop) = walker.next() {
                branches.entry(order(hop)).or_default().push(*walker);
            }
        }
        if branches.len() <= 1 {
            if walkers.is_empty() {
                return met;
            }
            rows.push(hop_row(&walkers, lead));
            walkers.iter_mut().for_each(|walker| walker.at += 1);
            continue;
        }
        let again = meeting(&walkers, until);
        let last = branches.len() - 1;
        let mut onwards = Vec::new();
        for (place, branch) in branches.into_values().enumerate() {
            let (fork, beside) = if place == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let first = rows.len();
            let flows = branch.len();
            let found = trunk(
                rows,
                branch,
                &format!("{lead}{beside}"),
                again.as_deref().or(until),
            );
            if rows.len() == first {
                rows.push(Row {
                    lead: String::new(),
                    kind: RowKind::Straight,
                    flows,
                });
            }
            rows[first].lead = format!("{lead}{fork}");
            onwards.extend(found);
        }
        if again.is_none() {
            // They part for good; whoever has met `until` goes on with those who have.
            met.extend(onwards);
            return met;
        }
        walkers = onwards;
    }
}

/// Branches stand in the order of addresses, silence last.
type Order<'a> = (bool, Vec<Option<std::net::IpAddr>>, &'a [String]);

fn order(hop: &HopTally) -> Order<'_> {
    let parsed = hop
        .addresses
        .iter()
        .map(|address| address.parse().ok())
        .collect();
    (hop.addresses.is_empty(), parsed, &hop.addresses)
}

/// The first hop at which all flows that go through meet again, if their branches do.
fn meeting(walkers: &[Walker<'_>], until: Option<&[String]>) -> Option<Vec<String>> {
    // Those that came through; if none did, those that get farthest say where ways meet.
    let mut through: Vec<&Walker<'_>> = walkers
        .iter()
        .filter(|walker| walker.flow.reached)
        .collect();
    if through.len() < 2 {
        through = walkers.iter().collect();
    }
    let first = through.first()?;
    let parted = through.iter().any(|walker| {
        walker.next().map(|hop| &hop.addresses) != first.next().map(|hop| &hop.addresses)
    });
    if !parted {
        return None;
    }
    let rest = first.flow.hops.get(first.at..first.flow.length)?;
    let meeting = rest
        .iter()
        .take_while(|hop| until.is_none_or(|until| hop.addresses != until))
        .find(|hop| {
            !hop.addresses.is_empty()
                && through
                    .iter()
                    .all(|walker| walker.meets(&hop.addresses).is_some())
        })?;
    Some(meeting.addresses.clone())
}

/// The next hop of flows that all meet it.
fn hop_row(walkers: &[Walker<'_>], lead: &str) -> Row {
    let mut together = HopTally::default();
    let mut far_end = false;
    let mut ttl = 0;
    for walker in walkers {
        let Some(hop) = walker.next() else { continue };
        if together.addresses.is_empty() {
            together = HopTally {
                rtts_us: together.rtts_us,
                ..hop.clone()
            };
            together.rtts_us.clear();
            (together.sent, together.answered) = (0, 0);
        }
        together.sent += hop.sent;
        together.answered += hop.answered;
        together.rtts_us.extend(&hop.rtts_us);
        together.unreachable |= hop.unreachable;
        far_end |= walker.flow.reached && walker.at + 1 == walker.flow.length;
        ttl = if ttl == 0 {
            walker.at + 1
        } else {
            ttl.min(walker.at + 1)
        };
    }
    Row {
        lead: lead.to_owned(),
        kind: RowKind::Hop {
            ttl,
            hop: together,
            far_end,
        },
        flows: walkers.len(),
    }
}

/// Says how flows end that go no farther than here, unless they came through.
fn ends(rows: &mut Vec<Row>, walkers: &[Walker<'_>], lead: &str) {
    let mut by_end: BTreeMap<End, (usize, Vec<String>)> = BTreeMap::new();
    let ended = |walker: &&Walker<'_>| walker.next().is_none() && !walker.flow.reached;
    for walker in walkers.iter().filter(ended) {
        let last = walker
            .at
            .checked_sub(1)
            .and_then(|at| walker.flow.hops.get(at));
        let end = match walker.flow.state {
            _ if last.is_some_and(|hop| hop.unreachable) => End::TurnedBack,
            TraceFlowState::Dead if walker.at == 0 => End::Nowhere,
            TraceFlowState::Dead => End::Dead,
            TraceFlowState::Alive => End::Hidden,
            TraceFlowState::Unknown => End::Silent,
        };
        let beyond = walker.flow.hops.get(walker.at);
        let (flows, before) = by_end.entry(end).or_default();
        *flows += 1;
        for address in beyond.into_iter().flat_map(|hop| &hop.addresses) {
            if !before.contains(address) {
                before.push(address.clone());
            }
        }
    }
    for (end, (flows, before)) in by_end {
        rows.push(Row {
            lead: lead.to_owned(),
            kind: RowKind::End { end, before },
            flows,
        });
    }
}
