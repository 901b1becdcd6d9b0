//! Who is not reached at all: this node alone, a whole site, single nodes.

use super::{confidence, evidence, verdict};
use crate::direction::{is_conclusive, reaches};
use crate::path::TraceEnds;
use crate::roster::Roster;
use crate::standing::{Standing, hang_together, outage_start};
use crate::targets::Target;
use crate::words::{count, list};
use andon_model::{Evidence, LinkReason, LinkState, Timestamp, Verdict, VerdictKind};

/// Nobody answers, though there are at least two others: the fault is most likely here. (Of
/// two nodes alone, neither can tell, and the other one is called down at low confidence.)
pub fn isolated(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    targets: &[Target<'_>],
) -> Option<Verdict> {
    let me = roster.me?;
    let others =
        || (0..roster.members.len()).filter(|index| *index != me && !roster.members[*index].left);
    if standing.living().count() > 1 || others().count() < 2 {
        return None;
    }
    let asked = |index: &usize| !standing.seen[*index].failed_by.is_empty();
    let silent: Vec<usize> = others().filter(asked).collect();
    let waiting = others()
        .filter(|index| standing.seen[*index].waiting > 0)
        .count();
    if silent.is_empty() || waiting > silent.len() {
        return None;
    }

    let id = &roster.members[me].id;
    let heard = others()
        .filter(|index| !standing.seen[*index].heard_by.is_empty())
        .count();
    let mut sentence = format!(
        "{id} reaches nobody: none of the {} that it probes answers. All of them at once, so the \
         fault is most likely here: look at this host's own network.",
        count(silent.len(), "node")
    );
    if heard > 0 {
        sentence +=
            &format!(" Probes of {heard} of them still arrive, so it is the way out that is cut.");
    }
    let tried = || {
        targets
            .iter()
            .flat_map(|target| &target.reports)
            .filter(|(observer, report)| *observer == me && is_conclusive(report.state))
    };
    let answering = tried().filter(|(_, report)| reaches(report.state)).count();
    if answering > 0 {
        sentence += &format!(
            " Targets still answer it ({answering} of {}), so it is not the whole network but what leads to the grid.",
            tried().count()
        );
    }
    let evidence = silent
        .iter()
        .flat_map(|index| observations(roster, standing, *index))
        .collect();
    let since = outage_start(silent.iter().filter_map(|index| standing.since[*index]))?;
    Some(verdict(
        VerdictKind::Isolated,
        id,
        sentence,
        confidence(silent.len(), silent.len()),
        evidence,
        since,
    ))
}

/// Sites cut off, and the nodes down that no cut site explains.
pub fn sites_and_nodes(roster: &Roster<'_>, standing: &Standing<'_>) -> Vec<Verdict> {
    let sites = Sites::of(roster, standing);
    if let Some((verdict, silent)) = sites.own_site_cut_off() {
        let mut verdicts = vec![verdict];
        verdicts.extend(nodes_down(roster, standing, |site| !silent.contains(&site)));
        return verdicts;
    }
    let cut: Vec<usize> = sites
        .silent
        .iter()
        .copied()
        .filter(|site| sites.fell_as_one(*site))
        .collect();
    let mut verdicts: Vec<Verdict> = cut.iter().filter_map(|site| sites.cut_off(*site)).collect();
    verdicts.extend(nodes_down(roster, standing, |site| !cut.contains(&site)));
    verdicts
}

struct Sites<'r, 'a> {
    roster: &'r Roster<'a>,
    standing: &'r Standing<'a>,
    /// Members per site, those that left not counted.
    sizes: Vec<usize>,
    /// Sites with a living node.
    living: Vec<usize>,
    /// Sites without a living node, of which somebody alive misses an answer.
    silent: Vec<usize>,
    /// Observed down, by site.
    down: Vec<Vec<usize>>,
}

impl<'r, 'a> Sites<'r, 'a> {
    fn of(roster: &'r Roster<'a>, standing: &'r Standing<'a>) -> Self {
        let sizes = roster.site_sizes();
        let mut lives = vec![false; sizes.len()];
        let mut down = vec![Vec::new(); sizes.len()];
        for (index, member) in roster.members.iter().enumerate() {
            lives[member.site] |= standing.alive[index];
            if standing.is_down(index) {
                down[member.site].push(index);
            }
        }
        let living = (0..sizes.len()).filter(|site| lives[*site]).collect();
        let silent = (0..sizes.len())
            .filter(|site| !lives[*site] && !down[*site].is_empty())
            .collect();
        Self {
            roster,
            standing,
            sizes,
            living,
            silent,
            down,
        }
    }

    fn name(&self, site: usize) -> &str {
        self.roster.sites[site].as_str()
    }

    /// Starts of the outages of these sites' nodes.
    fn starts(&self, sites: &[usize]) -> Vec<Timestamp> {
        sites
            .iter()
            .flat_map(|site| &self.down[*site])
            .filter_map(|index| self.standing.since[*index])
            .collect()
    }

    /// At least two of its nodes fell together: one cause, where else there would be two.
    fn fell_as_one(&self, site: usize) -> bool {
        let starts = self.starts(&[site]);
        let together = outage_start(starts.iter().copied()).map_or(0, |start| {
            starts
                .iter()
                .filter(|other| hang_together(start, **other))
                .count()
        });
        // Of a large site only representatives are probed from outside: one may stand for all.
        together >= 2 || (together == 1 && self.down[site].len() == 1 && self.sizes[site] >= 2)
    }

    /// Living observers that miss answers from these sites, and what they observe.
    fn witnesses(&self, sites: &[usize]) -> (usize, Vec<Evidence>) {
        let mut missed: Vec<(usize, usize)> = Vec::new();
        for site in sites {
            for index in &self.down[*site] {
                for (observer, _) in &self.standing.seen[*index].failed_by {
                    missed.push((*observer, *index));
                }
            }
        }
        missed.sort_unstable();
        let mut witnesses = Vec::new();
        let mut observers = 0;
        for group in missed.chunk_by(|a, b| a.0 == b.0) {
            observers += 1;
            let observer = &self.roster.members[group[0].0].id;
            let silent = list(
                group
                    .iter()
                    .map(|(_, index)| self.roster.members[*index].id.as_str()),
            );
            let since = outage_start(
                group
                    .iter()
                    .filter_map(|(_, index)| self.standing.since[*index]),
            );
            witnesses.push(evidence(
                observer,
                format!("gets no answer from {silent}"),
                true,
                since,
            ));
        }
        (observers, witnesses)
    }

    /// Every other site fell silent at once, and one fault here explains it best: then this
    /// site blames itself and not the others. Returns the sites that this explains.
    fn own_site_cut_off(&self) -> Option<(Verdict, Vec<usize>)> {
        let [own] = self.living[..] else { return None };
        let others = (0..self.sizes.len())
            .filter(|site| *site != own && self.sizes[*site] > 0)
            .count();
        if self.silent.is_empty() || self.silent.len() < others {
            return None;
        }
        let here = self.standing.living().count();
        let there: usize = self.silent.iter().map(|site| self.sizes[*site]).sum();
        let starts = self.starts(&self.silent);
        let start = outage_start(starts.iter().copied())?;
        let at_once = starts.iter().all(|other| hang_together(start, *other));
        if here < 2 || !at_once || (others < 2 && there <= here) {
            return None;
        }
        let name = self.name(own);
        let roll: Vec<String> = self
            .silent
            .iter()
            .map(|site| {
                format!(
                    "{} ({})",
                    self.name(*site),
                    count(self.sizes[*site], "node")
                )
            })
            .collect();
        let mut sentence = format!(
            "This side, site {name} with {}, is cut off from {}: nobody there answers, while {name}'s own nodes reach each other.",
            count(here, "node"),
            list(roll.iter().map(String::as_str)),
        );
        sentence += if others >= 2 {
            " All other sites fell silent at once, so the fault is most likely at "
        } else {
            " The larger part of the grid is on the other side, so the fault is most likely at "
        };
        sentence += &format!("{name}'s uplink.");
        let (observers, witnesses) = self.witnesses(&self.silent);
        let verdict = verdict(
            VerdictKind::SiteCutOff,
            name,
            sentence,
            confidence(observers, observers),
            witnesses,
            start,
        );
        let down: Vec<usize> = self
            .silent
            .iter()
            .flat_map(|site| self.down[*site].clone())
            .collect();
        let verdict = with_trace_ends(self.roster, self.standing, verdict, &down);
        Some((verdict, self.silent.clone()))
    }

    /// None of its nodes is reached.
    fn cut_off(&self, site: usize) -> Option<Verdict> {
        let name = self.name(site);
        let (observers, witnesses) = self.witnesses(&[site]);
        let start = outage_start(self.starts(&[site]).into_iter())?;
        let nodes = count(self.sizes[site], "node");
        let elsewhere = count(observers, "node");
        let here = self.standing.living().count();
        let undecided =
            self.living.len() == 1 && self.silent.len() == 1 && here == self.sizes[site];
        if let (true, [own]) = (undecided, &self.living[..]) {
            let own = self.name(*own);
            let sentence = format!(
                "Sites {own} and {name} are cut off from each other: none of {name}'s {nodes} answers the {elsewhere} of {own}. \
                 From one side alone it cannot be told which of them lost its uplink."
            );
            return Some(verdict(
                VerdictKind::SiteCutOff,
                name,
                sentence,
                0.5,
                witnesses,
                start,
            ));
        }
        let stopped = self.down[site]
            .iter()
            .all(|index| self.standing.seen[*index].heard_by.is_empty());
        let mut sentence = format!(
            "Site {name} is cut off: none of its {nodes} answers the {elsewhere} elsewhere that ask"
        );
        sentence += if stopped {
            ", and nothing arrives from there."
        } else {
            ", though probes from there still arrive: it is the way in that is cut."
        };
        if stopped {
            sentence += " All at once points to the site's uplink or power, not to each node.";
        }
        let verdict = verdict(
            VerdictKind::SiteCutOff,
            name,
            sentence,
            confidence(observers, observers),
            witnesses,
            start,
        );
        let verdict = with_trace_ends(self.roster, self.standing, verdict, &self.down[site]);
        Some(verdict)
    }
}

fn nodes_down(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    counts: impl Fn(usize) -> bool,
) -> Vec<Verdict> {
    (0..roster.members.len())
        .filter(|index| standing.is_down(*index) && counts(roster.members[*index].site))
        .filter_map(|index| node_down(roster, standing, index))
        .collect()
}

fn node_down(roster: &Roster<'_>, standing: &Standing<'_>, index: usize) -> Option<Verdict> {
    let (member, seen) = (&roster.members[index], &standing.seen[index]);
    let (id, site) = (&member.id, &member.slice.identity.site);
    let asked = seen.failed_by.len();
    let missing = match &seen.failed_by[..] {
        [(observer, _)] => format!(
            "{}, the only node that probes it, gets no answer",
            roster.members[*observer].id
        ),
        [_, _] => "both nodes that probe it get no answer".to_owned(),
        _ => format!("all {asked} nodes that probe it get no answer"),
    };
    let refused = seen
        .failed_by
        .iter()
        .filter(|(_, report)| report.reason == Some(LinkReason::Refused))
        .count();
    let alone = roster.members.iter().filter(|member| !member.left).count() == 2;

    let sentence = if !seen.heard_by.is_empty() {
        format!(
            "{id} in {site} is not reached: {missing}, though its own probes still arrive at {}. It runs; look \
             at what blocks the way in (firewall, route, listen address).",
            count(seen.heard_by.len(), "node")
        )
    } else if refused * 2 > asked {
        format!(
            "{id} in {site} is down: {missing}. Its host answers that nobody listens, so the host runs and the \
             program does not."
        )
    } else if alone {
        format!(
            "{id} in {site} is down: {missing}. With two nodes alone it cannot be told which of them is at fault."
        )
    } else if !seen.silent_at.is_empty() {
        format!("{id} in {site} is down: {missing}, and its own probes stopped too.")
    } else {
        format!("{id} in {site} is down: {missing}.")
    };
    let twin = roster
        .conflicts
        .iter()
        .find(|group| group.contains(&index))
        .and_then(|group| group.iter().find(|other| standing.alive[**other]));
    let twin = twin.map_or_else(String::new, |twin| {
        format!(" {} carries the same id and lives, so this may be the same host before it was set up anew.", roster.members[*twin].id)
    });
    let evidence = observations(roster, standing, index);
    let since = standing.since[index]?;
    let verdict = verdict(
        VerdictKind::NodeDown,
        id,
        sentence + &twin,
        confidence(asked, asked),
        evidence,
        since,
    );
    Some(with_trace_ends(roster, standing, verdict, &[index]))
}

/// The hop after which traces to what is not reached end, where they agree.
fn with_trace_ends(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    mut verdict: Verdict,
    unreached: &[usize],
) -> Verdict {
    if let Some(ends) = TraceEnds::of(roster, standing, unreached) {
        let words = ends.words();
        let mut sentence = words.clone();
        sentence.replace_range(..1, "T");
        verdict.sentence += &format!(" {sentence}.");
        verdict.hops = ends.hops();
        let observer = &roster.members[ends.observer].id;
        verdict.evidence.truncate(super::EVIDENCE_MAX - 1);
        verdict.evidence.push(evidence(observer, words, true, None));
    }
    verdict
}

/// What the living say of a node: those who miss answers, then those who still hear it.
fn observations(roster: &Roster<'_>, standing: &Standing<'_>, index: usize) -> Vec<Evidence> {
    let id = &roster.members[index].id;
    let seen = &standing.seen[index];
    let failures = seen.failed_by.iter().map(|(observer, report)| {
        let what = match report.reason {
            Some(LinkReason::Refused) => format!("is told by {id}'s host that nobody listens"),
            _ => format!("gets no answer from {id}"),
        };
        evidence(
            &roster.members[*observer].id,
            what,
            true,
            Some(standing.started(*observer, report.since)),
        )
    });
    let heard = seen.heard_by.iter().filter(|observer| {
        roster.members[**observer]
            .report_on(index)
            .is_some_and(|report| report.state == LinkState::Down)
    });
    let heard = heard.map(|observer| {
        evidence(
            &roster.members[*observer].id,
            format!("still receives {id}'s probes"),
            false,
            None,
        )
    });
    let mut all: Vec<Evidence> = heard.collect();
    all.extend(failures);
    all.sort_by_key(|evidence| !evidence.supports);
    all
}
