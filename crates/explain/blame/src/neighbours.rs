//! GridBug neighbours: foreign boxes, marked as such, with what they report of others.

use crate::links;
use crate::nodes::TEXT_BYTES_MAX;
use crate::roster::Roster;
use crate::standing::Standing;
use andon_model::id::{NAME_BYTES_MAX, to_plain_text};
use andon_model::{
    FlowCount, LinkState, LinkView, Neighbour, NodeKind, NodeState, NodeView, RttUs, Timestamp,
    Transport,
};
use std::collections::BTreeMap;

/// Marks a link that a foreign node reports, and we did not measure.
const REPORTED: &str = "reported by GridBug";

/// One GridBug node, however many of ours talk to it.
pub struct Bug<'a> {
    /// Unique within the document.
    pub id: String,
    /// Its own id, as it reports it.
    name: &'a str,
    /// Who of ours sees it, and what they say.
    pub seen: Vec<(usize, &'a Neighbour)>,
    pub state: NodeState,
    pub since: Option<Timestamp>,
}

/// All neighbours that present nodes publish, each once per id and host.
pub fn gather<'a>(roster: &mut Roster<'a>, standing: &Standing<'a>) -> Vec<Bug<'a>> {
    let mut found: BTreeMap<(&'a str, &'a str), Vec<(usize, &'a Neighbour)>> = BTreeMap::new();
    for (observer, member) in roster
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| !member.left)
    {
        for neighbour in &member.slice.neighbours {
            let seen = found.entry((&neighbour.id, &neighbour.host)).or_default();
            if seen.last().is_none_or(|(last, _)| *last != observer) {
                seen.push((observer, neighbour));
            }
        }
    }
    found
        .into_iter()
        .map(|((name, host), seen)| {
            let plain_host = to_plain_text(host, NAME_BYTES_MAX);
            let plain = [
                to_plain_text(name, NAME_BYTES_MAX),
                plain_host.clone(),
                "gridbug".to_owned(),
            ];
            let wanted = plain
                .iter()
                .find(|text| !text.is_empty())
                .map_or("gridbug", String::as_str);
            let id = roster.name_for(wanted, "gridbug", &plain_host);
            let (state, since) = state(standing, &seen);
            Bug {
                id,
                name,
                seen,
                state,
                since,
            }
        })
        .collect()
}

fn state(standing: &Standing<'_>, seen: &[(usize, &Neighbour)]) -> (NodeState, Option<Timestamp>) {
    let said = |answer: bool| {
        seen.iter()
            .filter(move |(observer, bug)| standing.alive[*observer] && bug.alive == Some(answer))
    };
    let since = |answer: bool| {
        said(answer)
            .map(|(observer, bug)| standing.started(*observer, bug.since))
            .min()
    };
    match (said(true).count(), said(false).count()) {
        (0, 0) => (NodeState::Suspect, None),
        (0, _) => (NodeState::Down, since(false)),
        (reached, failed) if failed > reached => (NodeState::Suspect, since(false)),
        _ => (NodeState::Up, since(true)),
    }
}

impl Bug<'_> {
    /// Its host:port, fit for a screen.
    pub fn host(&self) -> String {
        self.seen.first().map_or_else(String::new, |(_, bug)| {
            to_plain_text(&bug.host, TEXT_BYTES_MAX)
        })
    }

    pub fn view(&self) -> NodeView {
        let host = self.host();
        let build = self
            .seen
            .iter()
            .map(|(_, bug)| to_plain_text(&bug.build, TEXT_BYTES_MAX));
        let build = build.into_iter().find(|build| !build.is_empty());
        let mut labels = BTreeMap::from([("host".to_owned(), host.clone())]);
        labels.extend(build.clone().map(|build| ("build".to_owned(), build)));
        NodeView {
            id: self.id.clone(),
            key: None,
            site: None,
            kind: NodeKind::GridBug,
            state: self.state,
            since: self.since,
            addresses: vec![host],
            labels,
            version: build,
            started_at: None,
            reach: None,
            host: None,
            clock_offset_us: None,
            fingerprint: None,
            position: None,
        }
    }
}

/// Adds the lines from ours to each neighbour, and what each neighbour reports of others.
pub fn link_views(
    bugs: &[Bug<'_>],
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    links: &mut Vec<LinkView>,
) {
    // Of several neighbours with one name the first is meant: GridBug knows them by name alone.
    let mut by_name: BTreeMap<&str, &str> = BTreeMap::new();
    for bug in bugs {
        by_name.entry(bug.name).or_insert(&bug.id);
    }
    for bug in bugs {
        for (observer, neighbour) in &bug.seen {
            links.push(ours(
                &roster.members[*observer].id,
                bug,
                neighbour,
                *observer,
                standing,
            ));
        }
        let Some((_, witness)) = bug
            .seen
            .iter()
            .find(|(observer, _)| standing.alive[*observer])
        else {
            continue;
        };
        let mut told: BTreeMap<&str, Option<bool>> = BTreeMap::new();
        for (name, answer) in &witness.sees {
            let member = roster
                .index_of_id(name)
                .map(|index| &roster.members[index])
                .filter(|member| !member.left)
                .map(|member| member.id.as_str());
            let Some(to) = by_name.get(name.as_str()).copied().or(member) else {
                continue;
            };
            if to != bug.id {
                told.entry(to).or_insert(*answer);
            }
        }
        for (to, answer) in told {
            let state = if bug.state == NodeState::Down {
                LinkState::Unknown
            } else {
                link_state(answer)
            };
            let mut view = links::bare(&bug.id, to, state, None);
            view.transport = Some(Transport::GridBug);
            view.detail = Some(REPORTED.into());
            links.push(view);
        }
    }
}

fn ours(
    from: &str,
    bug: &Bug<'_>,
    neighbour: &Neighbour,
    observer: usize,
    standing: &Standing<'_>,
) -> LinkView {
    if !standing.alive[observer] {
        return links::bare(from, &bug.id, LinkState::Unknown, standing.since[observer]);
    }
    let mut view = links::bare(
        from,
        &bug.id,
        link_state(neighbour.alive),
        Some(neighbour.since),
    );
    view.transport = Some(Transport::GridBug);
    view.rtt_us = RttUs {
        p50: neighbour.rtt_us.filter(|_| neighbour.alive == Some(true)),
        p99: None,
    };
    if let Some(alive) = neighbour.alive {
        view.flows = FlowCount {
            ok: u16::from(alive),
            total: 1,
        };
    }
    view
}

fn link_state(answer: Option<bool>) -> LinkState {
    match answer {
        Some(true) => LinkState::Up,
        Some(false) => LinkState::Down,
        None => LinkState::Unknown,
    }
}
