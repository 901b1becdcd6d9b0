//! A path fault as a sentence that a stranger understands at three in the morning, with who
//! says so.

use super::candidates::Element;
use super::cause::{HOPS_NAMED_MAX, PathCause};
use super::points::Point;
use super::reports::{LinkPaths, Reports};
use super::services::services;
use super::sightings::{Ailment, Sightings};
use crate::roster::Roster;
use crate::standing::Standing;
use crate::targets::Target;
use crate::verdicts::{LINKS_MAX, confidence, evidence, verdict};
use crate::words::{count, list, milliseconds, percent};
use andon_model::{Evidence, FlowHits, LinkState, PathEffect, Timestamp, Verdict, VerdictKind};
use std::collections::{BTreeMap, BTreeSet};

/// Links whose observers are quoted, those hit most first.
const QUOTED_MAX: usize = 6;
/// Observers quoted against it.
const AGAINST_MAX: usize = 3;
/// Ways around the fault named in the sentence.
const VIAS_MAX: usize = 2;
/// Confidence below which the sentence says that it is a guess.
const SURE_MIN: f32 = 0.5;
/// What is left of confidence where it may be the node at the end of the way.
const NODE_ITSELF: f32 = 0.8;
/// What is left of confidence where no far end tells on which way the flows die.
const WAY_UNKNOWN: f32 = 0.8;

/// All that sentences are made of.
pub struct Phrasing<'p, 'a> {
    pub roster: &'p Roster<'a>,
    pub standing: &'p Standing<'p>,
    pub targets: &'p [Target<'a>],
    pub reports: &'p Reports<'a>,
    pub sightings: &'p Sightings,
}

/// What one link lost to the fault.
#[derive(Clone, Copy, Default)]
struct Hit {
    failed: u32,
    /// Of these, those that the far end misses too.
    there: u32,
    /// It was hit on the way there; else answers to it are.
    direct: bool,
}

impl Phrasing<'_, '_> {
    pub fn verdict(&self, cause: &PathCause) -> Verdict {
        let hits = self.hits(cause);
        let direct = || hits.iter().filter(|(_, hit)| hit.direct);
        let most = direct().max_by_key(|(link, hit)| (hit.failed, std::cmp::Reverse(**link)));
        let (worst, worst_hit) = most.map_or((0, Hit::default()), |(link, hit)| (*link, *hit));
        let (observer, far) = self.ends(worst);

        let could = cause.agree.len() + cause.against.len();
        let mut sure = confidence(cause.agree.len(), could);
        let way_known = direct().any(|(_, hit)| hit.there > 0);
        if cause.end.is_some() {
            sure = (sure * NODE_ITSELF * 100.0).round() / 100.0;
        }
        if !way_known {
            sure = (sure * WAY_UNKNOWN * 100.0).round() / 100.0;
        }
        let mut sentence = self.sentence(cause, &hits, worst, worst_hit);
        if sure < SURE_MIN {
            sentence = format!("Perhaps: {sentence}");
        }
        let anchor = self.address(cause.anchor);
        let since = self.since(&hits);
        let evidence = self.evidence(cause, &hits, way_known);
        let mut verdict = verdict(
            VerdictKind::PathFault,
            &anchor,
            sentence,
            sure,
            evidence,
            since,
        );
        verdict.from = Some(self.name(observer).to_owned());
        verdict.to = Some(self.name(far).to_owned());
        let named = cause.hops.iter().take(HOPS_NAMED_MAX);
        verdict.hops = named.map(|hop| self.address(*hop)).collect();
        verdict.effect = Some(match cause.ailment {
            Ailment::Blackhole => PathEffect::Blackhole,
            Ailment::Loss => PathEffect::Loss,
            Ailment::Mtu => PathEffect::Mtu,
            Ailment::Latency => PathEffect::Latency,
        });
        let mut flows = FlowHits {
            failed: hits.values().map(|hit| hit.failed).sum(),
            total: hits.keys().map(|link| self.flows_of(*link)).sum(),
        };
        let mut ends: Vec<(u32, u32)> = hits.keys().map(|link| self.ends(*link)).collect();
        for (from, to, back) in self.hit_on_the_way_back(cause, &hits) {
            ends.push((from, to));
            flows.failed += back.failed;
            flows.total += back.total;
        }
        verdict.flows = Some(flows);
        verdict.services = services(self.roster, self.targets, &ends);
        verdict.links = ends
            .iter()
            .map(|(from, to)| format!("{}→{}", self.name(*from), self.name(*to)))
            .collect();
        verdict.links.sort_unstable();
        verdict.links.truncate(LINKS_MAX);
        verdict
    }

    /// What each link lost, by index of the link.
    fn hits(&self, cause: &PathCause) -> BTreeMap<u32, Hit> {
        let mut hits: BTreeMap<u32, Hit> = BTreeMap::new();
        let there = cause.failing.iter().map(|at| (*at, true));
        let back = cause.failing_back.iter().map(|at| (*at, false));
        for (at, direct) in there.chain(back) {
            let sighting = &self.sightings.all[at as usize];
            let counts = sighting.counts(cause.ailment);
            let hit = hits.entry(sighting.link).or_default();
            hit.direct |= direct;
            hit.failed += match cause.ailment {
                Ailment::Blackhole | Ailment::Mtu => counts.bad(),
                Ailment::Loss | Ailment::Latency => u32::from(sighting.flows),
            };
            hit.there += counts.there;
        }
        if cause.ailment == Ailment::Blackhole {
            for (link, hit) in hits.iter_mut().filter(|(_, hit)| hit.direct) {
                let (failed, there) = self.failed_by_unknown_ways(cause, *link);
                hit.failed += failed;
                hit.there += there;
            }
        }
        hits
    }

    /// Opposite links whose flows arrive and whose answers die, where no sighting tells of them.
    fn hit_on_the_way_back(
        &self,
        cause: &PathCause,
        hits: &BTreeMap<u32, Hit>,
    ) -> Vec<(u32, u32, FlowHits)> {
        if cause.ailment != Ailment::Blackhole {
            return Vec::new();
        }
        let known: BTreeSet<(u32, u32)> = hits.keys().map(|link| self.ends(*link)).collect();
        let direct = hits.iter().filter(|(_, hit)| hit.direct);
        let back = |(link, _): (&u32, &Hit)| {
            let (to, from) = self.ends(*link);
            if known.contains(&(from, to)) {
                return None;
            }
            let report = self.reports.find(from, to)?;
            let routes = self.sightings.of_report(self.roster, self.reports, report);
            let flows = FlowHits {
                failed: routes.iter().map(|route| route.dead_otherwise).sum(),
                total: report
                    .routes()
                    .iter()
                    .map(|route| route.flows.len() as u32)
                    .sum(),
            };
            (flows.failed > 0).then_some((from, to, flows))
        };
        direct.filter_map(back).collect()
    }

    /// Dead flows of a link that is hit whose ways no trace shows: what is known to be at fault
    /// kills them too, as far as anybody can tell. All, and those that the far end misses.
    fn failed_by_unknown_ways(&self, cause: &PathCause, link: u32) -> (u32, u32) {
        let own = self.sightings.links.get(link as usize);
        let (Some(report), Some(own)) = (self.report(link), own) else {
            return (0, 0);
        };
        let routes = self.sightings.of_report(self.roster, self.reports, report);
        let (mut failed, mut there) = (0, 0);
        for route in routes {
            let counted = (own.begin..own.end).any(|at| {
                usize::from(self.sightings.all[at as usize].route) == route.number
                    && cause.failing.binary_search(&at).is_ok()
            });
            let counts = route.counts[Ailment::Blackhole as usize];
            if !counted && !route.is_whole {
                failed += counts.bad();
                there += counts.there;
            }
        }
        (failed, there)
    }

    fn ends(&self, link: u32) -> (u32, u32) {
        let link = self.sightings.links.get(link as usize);
        link.map_or((0, 0), |link| (link.observer, link.far))
    }

    fn flows_of(&self, link: u32) -> u32 {
        let link = self.sightings.links.get(link as usize);
        link.map_or(0, |link| link.flows)
    }

    /// Name of a member or target.
    fn name(&self, end: u32) -> &str {
        let (end, members) = (end as usize, self.roster.members.len());
        match self.roster.members.get(end) {
            Some(member) => &member.id,
            None => self
                .targets
                .get(end - members)
                .map_or("unknown", |target| &target.id),
        }
    }

    fn address(&self, hop: Point) -> String {
        let address = self.sightings.addresses.get(hop);
        address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }

    /// An address, or the node at the end of a way.
    fn place_name(&self, point: Point) -> String {
        match self.sightings.end_of(point) {
            Some(end) => self.name(end).to_owned(),
            None => self.address(point),
        }
    }

    fn report(&self, link: u32) -> Option<&LinkPaths<'_>> {
        let (observer, far) = self.ends(link);
        self.reports.find(observer, far)
    }

    fn since(&self, hits: &BTreeMap<u32, Hit>) -> Timestamp {
        let started = |link: &u32| {
            let (observer, report) = (self.ends(*link).0, self.report(*link)?);
            let troubled = report.link.state != LinkState::Up;
            let at = if troubled {
                report.link.since
            } else {
                report.path.traced_at
            };
            Some((!troubled, self.standing.started(observer as usize, at)))
        };
        // Links that are up have been so for long; only the others date the fault.
        let first = hits.keys().filter_map(started).min();
        first.map_or(Timestamp::default(), |(_, at)| at)
    }

    fn sentence(
        &self,
        cause: &PathCause,
        hits: &BTreeMap<u32, Hit>,
        worst: u32,
        hit: Hit,
    ) -> String {
        let mut place = self.place(cause);
        if let Some(end) = cause.end {
            place += &format!(", or at {} itself", self.name(end));
        }
        let (from, to) = self.ends(worst);
        let (from, to) = (self.name(from), self.name(to));
        let links: Vec<u32> = hits
            .iter()
            .filter(|(_, hit)| hit.direct)
            .map(|(link, _)| *link)
            .collect();
        let total: u32 = links.iter().map(|link| self.flows_of(*link)).sum();
        let failed: u32 = links.iter().map(|link| hits[link].failed).sum();
        let way = match links.len() {
            1 => format!("from {from} to {to}"),
            links => format!("on {}", count(links, "link")),
        };
        let mostly = match links.len() {
            1 => String::new(),
            _ => format!(", most of them from {from} to {to}"),
        };
        let around = self.around(cause, &links, worst, failed < total);
        match cause.ailment {
            Ailment::Blackhole => {
                let flows = share_of(failed, total, "flow");
                let die = if failed == 1 { "dies" } else { "die" };
                let who = self.who(cause, &links, from, to, hit);
                format!("{flows} {way} {die} {place}{mostly}{around}.{who}")
            }
            Ailment::Loss => {
                let share = cause.failed as f32 / cause.passed.max(1) as f32;
                let usual = percent(self.sightings.usual_loss as f32);
                format!(
                    "Packets {way} are lost {place}: {} of {} probes that pass there ({}), usual here is at most {usual}{mostly}{around}.{}",
                    cause.failed,
                    cause.passed,
                    percent(share),
                    self.seen_by(cause),
                )
            }
            Ailment::Mtu => format!(
                "Large packets {way} die {place} and small ones pass: {}{mostly}{around}. Look there for an MTU that is too small \
                 and for a filter that stops ICMP.{}",
                share_of(failed, total, "flow").to_lowercase(),
                self.seen_by(cause),
            ),
            Ailment::Latency => {
                let more = self.delay(cause);
                let more = more.map_or_else(String::new, |more| {
                    format!(" by about {}", milliseconds(more))
                });
                format!(
                    "Packets {way} are delayed {place}{more}: {}{mostly}{around}.{}",
                    share_of(failed, total, "flow").to_lowercase(),
                    self.seen_by(cause),
                )
            }
        }
    }

    /// Where it is, to follow "die" or "are lost".
    fn place(&self, cause: &PathCause) -> String {
        let hops: Vec<String> = cause.hops.iter().map(|hop| self.address(*hop)).collect();
        match (&hops[..], cause.kept.first()) {
            ([first, others @ ..], _) if cause.is_router => format!(
                "at the router {first} (also seen as {})",
                list(others.iter().map(String::as_str))
            ),
            ([hop], Some(Element::Stretch(a, b) | Element::Hole(a, b)))
                if self.sightings.is_end(*a) =>
            {
                format!(
                    "between {} and {}",
                    self.place_name(*a),
                    self.or_hop(*b, hop)
                )
            }
            ([_], Some(Element::Stretch(a, b) | Element::Hole(a, b)))
                if self.sightings.is_end(*b) =>
            {
                format!(
                    "after {}, before {}",
                    self.place_name(*a),
                    self.place_name(*b)
                )
            }
            ([hop], _) if self.has_gap_before(cause) => {
                format!("at {hop} or before it (hops there answer no trace)")
            }
            ([hop], _) => format!("at {hop}"),
            ([at, next @ ..], _) if cause.is_behind => {
                format!("at {at} or right behind it, before {}", next.join(" or "))
            }
            ([near, far], _) => {
                let silent = if self.has_gap(cause) {
                    " (hops in between answer no trace)"
                } else {
                    ""
                };
                if cause.traced {
                    format!("after {near}, before {far}{silent}")
                } else {
                    format!("between {near} and {far}{silent}")
                }
            }
            _ => format!(
                "somewhere among {}, which the evidence cannot tell apart",
                list(hops.iter().map(String::as_str))
            ),
        }
    }

    fn or_hop(&self, point: Point, hop: &str) -> String {
        if self.sightings.is_end(point) {
            hop.to_owned()
        } else {
            self.address(point)
        }
    }

    /// Silent hops before the only one that is named, on most of what fails.
    fn has_gap_before(&self, cause: &PathCause) -> bool {
        let [only] = cause.hops[..] else { return false };
        let steps = |at: &u32| {
            self.sightings
                .steps(&self.sightings.all[*at as usize])
                .find(|step| step.point == Some(only))
        };
        let arrivals = cause.failing.iter().filter_map(steps);
        let (mut gaps, mut all) = (0, 0);
        for step in arrivals {
            all += 1;
            gaps += usize::from(step.after_gap);
        }
        gaps * 2 > all
    }

    /// Silent hops between the two that are named.
    fn has_gap(&self, cause: &PathCause) -> bool {
        let [near, far] = cause.hops[..] else {
            return false;
        };
        cause.failing.iter().any(|at| {
            let mut before = None;
            self.sightings
                .steps(&self.sightings.all[*at as usize])
                .any(|step| {
                    let found = before == Some(near) && step.point == Some(far) && step.after_gap;
                    before = step.point;
                    found
                })
        })
    }

    /// `; the others pass via 10.0.3.1`.
    fn around(&self, cause: &PathCause, links: &[u32], worst: u32, some_pass: bool) -> String {
        if !some_pass || cause.ailment == Ailment::Loss && links.len() > 1 {
            return String::new();
        }
        let vias = self.vias(cause, worst);
        match &vias[..] {
            [] => "; the others pass".to_owned(),
            _ if links.len() > 1 => format!(
                "; flows that go another way pass, for example via {}",
                list(vias.iter().take(1).map(String::as_str))
            ),
            _ => format!(
                "; the others pass via {}",
                list(vias.iter().map(String::as_str))
            ),
        }
    }

    /// Where the link's healthy ways leave the failing ones.
    fn vias(&self, cause: &PathCause, worst: u32) -> Vec<String> {
        let Some(link) = self.sightings.links.get(worst as usize) else {
            return Vec::new();
        };
        let points = |at: u32| -> Vec<Option<Point>> {
            let steps = self.sightings.steps(&self.sightings.all[at as usize]);
            steps.map(|step| step.point).collect()
        };
        let fails = |at: &u32| cause.failing.binary_search(at).is_ok();
        let (failing, passing): (Vec<u32>, Vec<u32>) = (link.begin..link.end).partition(fails);
        let bad: Vec<Point> = failing.into_iter().flat_map(points).flatten().collect();
        let Some(report) = self.report(worst) else {
            return Vec::new();
        };
        let mut vias = Vec::new();
        for at in passing {
            let sighting = &self.sightings.all[at as usize];
            if sighting.counts(cause.ailment).bad() > 0 || cause.is_on(&points(at)) {
                continue;
            }
            let Some(route) = report.routes().get(usize::from(sighting.route)) else {
                continue;
            };
            let other = report.path.hops(route).flatten().find(|hop| {
                let point = self.sightings.addresses.find(*hop);
                point.is_none_or(|point| !bad.contains(&point))
            });
            vias.extend(other);
        }
        vias.sort_unstable();
        vias.dedup();
        let more = vias.len().saturating_sub(VIAS_MAX + 1);
        let mut names: Vec<String> = vias.iter().map(ToString::to_string).collect();
        if more > 0 {
            names.truncate(VIAS_MAX);
            names.push(format!("{} more", more + 1));
        }
        names
    }

    /// Who says so, of dead flows.
    fn who(&self, cause: &PathCause, links: &[u32], from: &str, to: &str, hit: Hit) -> String {
        if links.len() > 1 {
            return self.seen_by(cause);
        }
        match hit.there {
            0 => {
                format!(" {from} gets no answer on them; whether they arrive, {to} does not tell.")
            }
            _ => format!(" {from} gets no answer on them, and {to} no longer receives them."),
        }
    }

    fn seen_by(&self, cause: &PathCause) -> String {
        let names = list(cause.agree.iter().map(|member| self.name(*member)));
        format!(" Seen by {names}.")
    }

    /// Median of what the failing ways take longer than usual, microseconds.
    fn delay(&self, cause: &PathCause) -> Option<u32> {
        let mut more: Vec<u32> = cause
            .failing
            .iter()
            .filter_map(|at| {
                let sighting = &self.sightings.all[*at as usize];
                let report = self.report(sighting.link)?;
                let route = report.routes().get(usize::from(sighting.route))?;
                let usual = route.rtt_usual_us.or(report.link.rtt_baseline_us)?;
                Some(route.rtt_us?.saturating_sub(usual))
            })
            .collect();
        more.sort_unstable();
        more.get(more.len() / 2).copied()
    }

    fn evidence(
        &self,
        cause: &PathCause,
        hits: &BTreeMap<u32, Hit>,
        way_known: bool,
    ) -> Vec<Evidence> {
        let mut said = Vec::new();
        let mut order: Vec<(&u32, &Hit)> = hits.iter().filter(|(_, hit)| hit.direct).collect();
        order.sort_by_key(|(link, hit)| (std::cmp::Reverse(hit.failed), **link));
        for (link, hit) in order.into_iter().take(QUOTED_MAX) {
            said.extend(self.words_on(cause, *link, *hit));
        }
        for observer in cause.against.iter().take(AGAINST_MAX) {
            let hops = cause.core.iter().map(|hop| self.address(*hop));
            let hops: Vec<String> = hops.collect();
            said.push(evidence(
                self.name(*observer),
                format!(
                    "its flows through {} pass",
                    list(hops.iter().map(String::as_str))
                ),
                false,
                None,
            ));
        }
        if !way_known && cause.ailment == Ailment::Blackhole {
            said.push(evidence(
                self.roster.me.map_or("unknown", |me| &self.roster.members[me].id),
                "no far end tells which of these flows still arrive, so the way back may be at fault".to_owned(),
                false,
                None,
            ));
        }
        said
    }

    /// What the two ends of one link say.
    fn words_on(&self, cause: &PathCause, link: u32, hit: Hit) -> Vec<Evidence> {
        let (observer, far) = self.ends(link);
        let Some(report) = self.report(link) else {
            return Vec::new();
        };
        let (from, to) = (self.name(observer), self.name(far));
        let since = (report.link.state != LinkState::Up)
            .then(|| self.standing.started(observer as usize, report.link.since));
        let flows = share_of(hit.failed, self.flows_of(link), "flow").to_lowercase();
        let through = self.address(cause.anchor);
        let mut words = match cause.ailment {
            Ailment::Blackhole => {
                format!("gets no answer on {flows} to {to}, all by way of {through}")
            }
            Ailment::Loss => {
                let (lost, sent) = self.lost(cause, link);
                format!("loses {lost} of {sent} probes to {to} by way of {through}")
            }
            Ailment::Mtu => {
                format!("loses the large packets of {flows} to {to}, all by way of {through}")
            }
            Ailment::Latency => {
                format!("waits longer than usual on {flows} to {to}, all by way of {through}")
            }
        };
        if let Some(end) = self.trace_end(cause, link) {
            words += &format!("; their traces end after {end}");
        }
        let mut said = vec![evidence(from, words, true, since)];
        if cause.ailment == Ailment::Blackhole && hit.there > 0 {
            said.push(evidence(
                to,
                format!(
                    "no longer receives {} of {from}",
                    count(hit.there as usize, "flow")
                ),
                true,
                None,
            ));
        }
        said
    }

    fn lost(&self, cause: &PathCause, link: u32) -> (u32, u32) {
        let own = cause
            .failing
            .iter()
            .map(|at| &self.sightings.all[*at as usize])
            .filter(|sighting| sighting.link == link)
            .map(|sighting| sighting.counts(cause.ailment));
        own.fold((0, 0), |(lost, sent), counts| {
            (lost + counts.bad(), sent + counts.total())
        })
    }

    /// Where most traces of a link's dead flows end.
    fn trace_end(&self, cause: &PathCause, link: u32) -> Option<String> {
        let mut ends: BTreeMap<Point, usize> = BTreeMap::new();
        for at in &cause.failing {
            let sighting = &self.sightings.all[*at as usize];
            if sighting.link == link
                && let Some(stop) = sighting.stop
                && let Some(point) = self.sightings.steps(sighting).nth(usize::from(stop))
            {
                *ends.entry(point.point?).or_default() += 1;
            }
        }
        let (end, _) = ends.into_iter().max_by_key(|(_, count)| *count)?;
        Some(self.place_name(end))
    }
}

/// `All 16 flows`, `7 of 16 flows`.
fn share_of(failed: u32, total: u32, thing: &str) -> String {
    if failed >= total && total > 1 {
        format!("All {}", count(failed as usize, thing))
    } else {
        format!("{failed} of {}", count(total as usize, thing))
    }
}
