//! What all nodes' flows met, route by route, as numbers: which points a way passes, how much
//! failed on it and how much passed. Only ways that share something with one that fails are
//! kept: a healthy grid costs one look at each route.

use super::fate::{FarWord, dead, flows};
use super::points::{Addresses, Point, mix};
use super::reports::{LinkPaths, Reports};
use crate::roster::Roster;
use andon_model::path::{PATH_HOPS_MAX, PathReport, Route};
use andon_model::{HostHealth, LinkReason, LinkState};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most routes that one judgement weighs. Beyond it whole links are left out, the same ones on
/// every node, half of them each time: twice as many take 15 MB and, where everything fails at
/// once, longer than a judgement may.
pub const SIGHTINGS_MAX: usize = 1 << 16;
/// Routes of links without failures that are weighed, about. They clear what works, and fewer
/// of them, each for several, clear it as well.
const HEALTHY_ROUTES_MAX: usize = 1 << 16;
/// Probes of one route that count at most: a hundred a second for a minute. A member that
/// claims billions shall not drown what others measured.
const SENT_MAX: u32 = 6_000;
/// A way is slow from this much above its usual round trip, microseconds, and a quarter of it:
/// the bounds at which links are called degraded.
const SLOW_US_MIN: u32 = 5_000;
/// Probes of a link from which its loss has a say in what is usual.
const USUAL_SENT_MIN: u32 = 50;
/// Loss that is taken for usual at least: below it, single losses would be evidence.
const USUAL_LOSS_MIN: f64 = 3e-4;
/// Loss that is taken for usual at most. Where all lose more, something is wrong everywhere.
const USUAL_LOSS_MAX: f64 = 0.02;

/// Most hops learnt for holes in other traces. Where there are more, holes stay.
const FILLS_MAX: usize = 1 << 18;

/// Earlier ways of its link that a healthy way is held against, to be one with it.
const UNITED_LOOKED_AT_MAX: usize = 4;
/// Lost probes from which a route, or one of a link, raises suspicion: single ones are lost
/// everywhere, and in a large grid they would make every hop a suspect.
const LOST_ROUTE_MIN: u32 = 2;
const LOST_LINK_MIN: u64 = 3;
/// Ways that show a hop, for each that has a hole in its place, from which the hole is a miss.
const SHOWN_PER_HOLE_MIN: usize = 3;

/// Set on a point before which a hop of the way is not known.
const GAP: u32 = 1 << 31;
/// Set on a point before which hops are not known that other ways of the link show: what is
/// in between differs, and is no stretch.
const VAGUE: u32 = 1 << 30;
/// An address that no failing way passes.
const ELSEWHERE: u32 = VAGUE - 1;

/// How a way can fail. Each is weighed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ailment {
    Blackhole,
    Loss,
    Mtu,
    Latency,
}

/// All of them, worst first.
pub const AILMENTS: [Ailment; 4] = [
    Ailment::Blackhole,
    Ailment::Loss,
    Ailment::Mtu,
    Ailment::Latency,
];

/// Flows (for loss: probes) that one route speaks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Failed on the way there.
    pub there: u32,
    /// Failed on the way there or back.
    pub open: u32,
    /// Came through, at least on the way there.
    pub good: u32,
}

impl Counts {
    pub fn bad(self) -> u32 {
        self.there + self.open
    }

    pub fn total(self) -> u32 {
        self.there + self.open + self.good
    }
}

/// One route of one link.
pub struct Sighting {
    /// Index into [`Sightings::links`].
    pub link: u32,
    begin: u32,
    len: u8,
    /// Index among its points of the last one that answered the trace of a dead flow.
    pub stop: Option<u8>,
    /// Which of the link's routes it is.
    pub route: u8,
    pub flows: u16,
    counts: [Counts; 4],
}

impl Sighting {
    pub fn counts(&self, ailment: Ailment) -> Counts {
        self.counts[ailment as usize]
    }
}

/// A link of which routes are kept.
pub struct Link {
    pub observer: u32,
    pub far: u32,
    /// The same link the other way round, as index into [`Sightings::links`].
    pub partner: Option<u32>,
    /// Flows on all its routes, and on those whose way is known.
    pub flows: u32,
    pub flows_known: u32,
    /// Its own part of the sightings.
    pub begin: u32,
    pub end: u32,
}

/// The evidence.
pub struct Sightings {
    pub addresses: Addresses,
    members: u32,
    fars: u32,
    pub all: Vec<Sighting>,
    points: Vec<u32>,
    fills: Fills,
    pub links: Vec<Link>,
    /// How many links told of their ways, healthy ones too.
    pub links_total: usize,
    /// Loss that is usual in this grid.
    pub usual_loss: f64,
    /// Links with failing ways, as indices into the reports, where not all of them are among
    /// the sightings.
    pub left_out: Vec<u32>,
}

/// One step of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// `None` where no failing way passes.
    pub point: Option<Point>,
    /// Hops before it are not known.
    pub after_gap: bool,
    /// Nor is it known whether they are always the same.
    pub is_vague: bool,
}

impl Sightings {
    /// Gathers them. `key`: the picture's digest.
    pub fn gather(roster: &Roster<'_>, reports: &Reports<'_>, key: u128) -> Self {
        let suspects = Suspects::of(roster, reports, key);
        let mut sightings = Self {
            addresses: suspects.addresses,
            members: roster.members.len() as u32,
            fars: reports.fars as u32,
            all: Vec::new(),
            points: Vec::new(),
            fills: Fills::default(),
            links: Vec::new(),
            links_total: reports.all.len(),
            usual_loss: suspects.usual_loss,
            left_out: Vec::new(),
        };
        if sightings.addresses.len() == 0 {
            return sightings; // Nothing fails, or no way has a name.
        }
        sightings.fills = Fills::of(&sightings, reports, &suspects.reports);
        // Ways that nobody knows the rest of say little, and mislead about what comes before.
        let rest = if suspects.whole_dead {
            Rest::Known
        } else {
            Rest::Any
        };
        let mut stride = sample(suspects.routes_failing, SIGHTINGS_MAX * 2);
        // Links without failures speak of what works. Some speak for all, with their weight.
        let speaks_for = sample(suspects.routes_healthy, HEALTHY_ROUTES_MAX);
        for (number, report) in reports.all.iter().enumerate() {
            let fails = suspects.reports.binary_search(&(number as u32)).is_ok();
            let one_in = if fails { stride } else { stride * speaks_for };
            if !is_kept(report.observer, report.far, one_in) {
                continue;
            }
            let scope = Scope {
                weight: if fails { 1 } else { speaks_for as u32 },
                ends: suspects.observers[report.observer as usize]
                    || suspects.fars[report.far as usize],
                fails,
                rest,
            };
            sightings.add(roster, reports, report, scope);
            while sightings.all.len() > SIGHTINGS_MAX {
                stride *= 2;
                sightings.thin(stride);
            }
        }
        sightings.find_partners();
        if stride > 1 {
            sightings.left_out = suspects.reports;
        }
        sightings
    }

    /// How many points there are.
    pub fn points_total(&self) -> usize {
        self.addresses.len() + self.members as usize + self.fars as usize
    }

    /// All that leaves a member.
    fn way_out(&self, member: u32) -> Point {
        self.addresses.len() as u32 + member
    }

    /// All that comes to a member or target.
    fn way_in(&self, far: u32) -> Point {
        self.addresses.len() as u32 + self.members + far
    }

    /// Whether a point is an end of links rather than a hop.
    pub fn is_end(&self, point: Point) -> bool {
        point as usize >= self.addresses.len()
    }

    /// The member or target whose way in or out a point is.
    pub fn end_of(&self, point: Point) -> Option<u32> {
        let end = (point as usize).checked_sub(self.addresses.len())? as u32;
        Some(end.checked_sub(self.members).unwrap_or(end))
    }

    /// The steps of a route: the observer, its known hops, the far end.
    pub fn steps(&self, sighting: &Sighting) -> impl Iterator<Item = Step> + '_ {
        let begin = sighting.begin as usize;
        self.points[begin..begin + usize::from(sighting.len)]
            .iter()
            .map(|entry| Step {
                point: Some(entry & !(GAP | VAGUE)).filter(|point| *point != ELSEWHERE),
                after_gap: entry & GAP != 0,
                is_vague: entry & VAGUE != 0,
            })
    }

    fn add(
        &mut self,
        roster: &Roster<'_>,
        reports: &Reports<'_>,
        report: &LinkPaths<'_>,
        scope: Scope,
    ) {
        let mut places = [ELSEWHERE; u8::MAX as usize];
        let known = report.path.addresses.len().min(places.len());
        for (place, address) in places.iter_mut().zip(&report.path.addresses) {
            *place = self.addresses.find(*address).unwrap_or(ELSEWHERE);
        }
        let places = &places[..known];
        if !scope.ends && places.iter().all(|place| *place == ELSEWHERE) {
            return;
        }
        let gauge = Gauge::of(roster, reports, report);
        let mut flows_known = 0;
        let begin = self.all.len() as u32;
        let link = self.links.len() as u32;
        for (number, route) in report.routes().iter().enumerate() {
            let way = Way::of(report, route);
            // One that works clears the first hop, which it must have passed; one that fails
            // would accuse it of what happened anywhere.
            let works = dead(route).is_empty()
                && route.large_lost.is_empty()
                && route.lost_forward == 0
                && gauge.is_slow(route) != Some(true);
            let first = self.fills.first(report.observer).filter(|_| works);
            let known = way.hops.iter().any(|place| *place != 0)
                || (first.is_some() && !way.hops.is_empty());
            let touches = |place: &u8| {
                let at = usize::from(*place).wrapping_sub(1);
                places.get(at).is_some_and(|point| *point != ELSEWHERE)
            };
            // Nothing is said of a way without a name.
            if !known || (way.ends_open && scope.rest == Rest::Known) {
                continue;
            }
            flows_known += flows(route).len() as u32;
            if !scope.ends && first.is_none() && !way.hops.iter().any(touches) {
                continue;
            }
            let mut counts = gauge.counts(route);
            for counts in &mut counts {
                counts.good *= scope.weight;
            }
            let start = self.points.len() as u32;
            let stop = self.walk(report, &way, places, scope.fails, !dead(route).is_empty());
            self.all.push(Sighting {
                link,
                begin: start,
                len: (self.points.len() as u32 - start) as u8,
                stop: stop.filter(|_| counts[Ailment::Blackhole as usize].bad() > 0),
                route: number as u8,
                flows: flows(route).len() as u16,
                counts,
            });
            self.unite(begin);
        }
        let end = self.all.len() as u32;
        if end > begin {
            let flows = report
                .routes()
                .iter()
                .map(|route| flows(route).len() as u32);
            self.links.push(Link {
                observer: report.observer,
                far: report.far,
                partner: None,
                flows: flows.sum(),
                flows_known,
                begin,
                end,
            });
        }
    }

    /// Joins the last sighting to an earlier one of its link, from `begin` on, that passes the
    /// same points, if nothing fails on either: most healthy ways differ only where no failing
    /// way passes.
    fn unite(&mut self, begin: u32) {
        let Some((last, earlier)) = self.all[begin as usize..].split_last_mut() else {
            return;
        };
        let fails = |sighting: &Sighting| sighting.counts.iter().any(|counts| counts.bad() > 0);
        if fails(last) {
            return;
        }
        let points = |sighting: &Sighting| {
            let begin = sighting.begin as usize;
            &self.points[begin..begin + usize::from(sighting.len)]
        };
        let same = earlier
            .iter_mut()
            .rev()
            .take(UNITED_LOOKED_AT_MAX)
            .find(|other| other.len == last.len && points(other) == points(last) && !fails(other));
        let Some(other) = same else { return };
        for (sum, counts) in other.counts.iter_mut().zip(last.counts) {
            sum.good += counts.good;
        }
        other.flows += last.flows;
        self.points.truncate(last.begin as usize);
        self.all.pop();
    }

    /// Appends the points of a way; returns the index of the last one that the trace reached,
    /// if it ended early.
    fn walk(
        &mut self,
        report: &LinkPaths<'_>,
        way: &Way<'_>,
        places: &[u32],
        fails: bool,
        is_dead: bool,
    ) -> Option<u8> {
        let known = |place: &u8| {
            let at = usize::from(*place).wrapping_sub(1);
            places.get(at).copied()
        };
        let (out, into) = (self.way_out(report.observer), self.way_in(report.far));
        self.points.push(out);
        let (mut before, mut count, mut stop) = (Some(out), 0, 0);
        let (mut holes, mut elsewhere_gap) = (0, 0);
        let gap = |holes: usize, position: usize| match holes {
            0 => 0,
            1 => GAP,
            _ if is_vague(report, way, position - holes, position) => GAP | VAGUE,
            _ => GAP,
        };
        for (position, place) in way.hops.iter().enumerate() {
            let first = || {
                let first = self.fills.first(report.observer)?;
                (position == 0 && *place == 0).then_some(first)
            };
            let point = known(place).or_else(first).or_else(|| {
                // What another way shows between the same two, or from there to the same end.
                let after = match way.hops.get(position + 1) {
                    Some(next) => known(next),
                    None => Some(into).filter(|_| !way.ends_open),
                };
                match after {
                    Some(after) => self.fills.between(before?, after, is_dead),
                    // What is learnt from failing links to one end holds for those alone.
                    None => self.fills.between(before.filter(|_| fails)?, into, is_dead),
                }
            });
            before = point;
            let Some(point) = point else {
                holes += 1;
                continue;
            };
            count += 1;
            // Of hops that no failing way passes one stands for all in a row.
            let in_a_row = point == ELSEWHERE && self.points.last() == Some(&ELSEWHERE);
            if in_a_row {
                elsewhere_gap = GAP;
            } else {
                let gap = gap(holes, position) | std::mem::take(&mut elsewhere_gap);
                self.points.push(point | gap);
            }
            holes = 0;
            if position < way.answered {
                stop = count;
            }
        }
        if !way.ends_open {
            self.points
                .push(into | gap(holes, way.hops.len()) | elsewhere_gap);
        }
        (!way.reached).then_some(stop)
    }

    /// Each failing route of one link, whether it is among the sightings or not.
    pub fn of_report(
        &self,
        roster: &Roster<'_>,
        reports: &Reports<'_>,
        report: &LinkPaths<'_>,
    ) -> Vec<RouteView> {
        let gauge = Gauge::of(roster, reports, report);
        let fails = |(_, route): &(usize, &Route)| {
            !route.dead.is_empty()
                || !route.large_lost.is_empty()
                || route.lost_forward > 0
                || gauge.is_slow(route) == Some(true)
        };
        let view = |(number, route): (usize, &Route)| {
            let way = Way::of(report, route);
            let hops = way.hops.iter().filter_map(|place| {
                let at = usize::from(*place).checked_sub(1)?;
                let address = report.path.addresses.get(at)?;
                Some(self.addresses.find(*address))
            });
            let mut points = vec![Some(self.way_out(report.observer))];
            points.extend(hops);
            points.push(Some(self.way_in(report.far)));
            let counts = gauge.counts(route);
            let there = counts[Ailment::Blackhole as usize].there;
            RouteView {
                number,
                counts,
                dead_otherwise: (dead(route).len() as u32).saturating_sub(there),
                slow_otherwise: gauge.slow_back(route),
                points,
                is_whole: !way.ends_open
                    && !way.hops.is_empty()
                    && way.hops.iter().all(|place| *place != 0),
            }
        };
        let routes = report.routes().iter().enumerate();
        routes.filter(fails).map(view).collect()
    }

    /// Forgets the links that a coarser sample does not hold.
    fn thin(&mut self, stride: u64) {
        let links = std::mem::take(&mut self.links);
        let all = std::mem::take(&mut self.all);
        let points = std::mem::take(&mut self.points);
        let mut all = all.into_iter();
        for mut link in links {
            let own = all.by_ref().take((link.end - link.begin) as usize);
            if !is_kept(link.observer, link.far, stride) {
                own.for_each(drop);
                continue;
            }
            link.begin = self.all.len() as u32;
            for mut sighting in own {
                let begin = sighting.begin as usize;
                sighting.begin = self.points.len() as u32;
                sighting.link = self.links.len() as u32;
                self.points
                    .extend(&points[begin..begin + usize::from(sighting.len)]);
                self.all.push(sighting);
            }
            link.end = self.all.len() as u32;
            self.links.push(link);
        }
    }

    fn find_partners(&mut self) {
        for index in 0..self.links.len() {
            let (observer, far) = (self.links[index].observer, self.links[index].far);
            let partner = self
                .links
                .binary_search_by_key(&(far, observer), |link| (link.observer, link.far));
            self.links[index].partner = partner.ok().map(|at| at as u32);
        }
    }
}

/// One route as its observer tells of it.
pub struct RouteView {
    /// Which of the link's routes it is.
    pub number: usize,
    pub counts: [Counts; 4],
    /// Dead flows that are not known to die on the way there.
    pub dead_otherwise: u32,
    /// Slow flows that are not slow on the way there.
    pub slow_otherwise: u32,
    pub points: Vec<Option<Point>>,
    /// The way is known to its end, without a hole.
    pub is_whole: bool,
}

/// What of a link counts.
#[derive(Clone, Copy)]
struct Scope {
    /// One of its ends has failing links: all its ways count.
    ends: bool,
    /// One of its ways fails.
    fails: bool,
    /// Links that it speaks for.
    weight: u32,
    rest: Rest,
}

/// Which dead ways count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Those known to their end.
    Known,
    /// All.
    Any,
}

/// One link in how many keeps routes about below a limit; a power of two.
fn sample(routes: usize, routes_max: usize) -> u64 {
    ((routes / routes_max) as u64 + 1).next_power_of_two()
}

/// Whether a sample of one in `stride` links holds this one; both directions of a link alike.
fn is_kept(observer: u32, far: u32, stride: u64) -> bool {
    let (low, high) = (observer.min(far), observer.max(far));
    mix(u64::from(low) << 32 | u64::from(high)) & (stride - 1) == 0
}

/// Whether another way of the link, alike before and after the holes at `from..upto`, shows any
/// of them.
fn is_vague(report: &LinkPaths<'_>, way: &Way<'_>, from: usize, upto: usize) -> bool {
    let same = |other: &[u8], at: usize| match (way.hops.get(at), other.get(at)) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b,
        _ => false,
    };
    report.routes().iter().any(|route| {
        let other = &route.hops[..route.hops.len().min(PATH_HOPS_MAX)];
        let alike = same(other, upto) && (from == 0 || same(other, from - 1));
        alike
            && other
                .iter()
                .skip(from)
                .take(upto - from)
                .any(|place| *place != 0)
    })
}

/// Single hops that some traces miss and others show between the same two neighbours.
#[derive(Default)]
struct Fills {
    /// Before, after (the next known hop, or the far end), what is between, and whether dead
    /// flows show it; sorted.
    between: Vec<(Point, Point, Point, bool)>,
    /// The first hop of all ways of an observer, where all that show it show the same.
    first: BTreeMap<u32, Option<Point>>,
}

impl Fills {
    /// From the links with failing ways: they are traced most.
    fn of(sightings: &Sightings, reports: &Reports<'_>, suspects: &[u32]) -> Self {
        let mut holes: Vec<(Point, Point)> = Vec::new();
        let mut first = BTreeMap::new();
        for number in suspects {
            let report = &reports.all[*number as usize];
            note_first(sightings, report, &mut first);
            triples(sightings, report, |before, via, after, far, _| {
                if via.is_none() {
                    holes.extend(after.map(|after| (before, after)));
                    holes.push((before, far));
                }
            });
        }
        holes.sort_unstable();
        let all_holes = holes.clone();
        holes.dedup();
        let mut between: Vec<(Point, Point, Point, bool)> = Vec::new();
        for number in suspects {
            let report = &reports.all[*number as usize];
            triples(sightings, report, |before, via, after, far, is_dead| {
                let Some(via) = via else { return };
                // What leads to one far end goes on the same way, if there is but one.
                for after in after.into_iter().chain([far]) {
                    if holes.binary_search(&(before, after)).is_ok() {
                        between.push((before, after, via, is_dead));
                    }
                }
            });
            if between.len() >= FILLS_MAX {
                break;
            }
        }
        between.sort_unstable();
        // Where there are several, nobody knows which; and where holes are many, they are no
        // misses but a router that never answers, beside one that does.
        let is_miss = |same: &[(Point, Point, Point, bool)]| {
            let (before, after, via, _) = same[0];
            let holes = all_holes.partition_point(|hole| *hole <= (before, after))
                - all_holes.partition_point(|hole| *hole < (before, after));
            same.iter().all(|entry| entry.2 == via) && same.len() >= holes * SHOWN_PER_HOLE_MIN
        };
        let between = between
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .filter(|same| is_miss(same))
            .filter_map(|same| same.last().copied()) // One that is dead, if any is.
            .collect();
        Self { between, first }
    }

    /// The first hop of all ways of an observer, if it has but one.
    fn first(&self, observer: u32) -> Option<Point> {
        self.first.get(&observer).copied().flatten()
    }

    /// What is between the two. A dead flow did not go where only those that live were seen.
    fn between(&self, before: Point, after: Point, of_dead: bool) -> Option<Point> {
        let at = self
            .between
            .binary_search_by_key(&(before, after), |entry| (entry.0, entry.1))
            .ok()?;
        let (.., via, on_dead) = self.between[at];
        Some(via).filter(|_| on_dead || !of_dead)
    }
}

/// Notes the first hops of a link's ways; `None` stands for several.
fn note_first(
    sightings: &Sightings,
    report: &LinkPaths<'_>,
    first: &mut BTreeMap<u32, Option<Point>>,
) {
    for route in report.routes() {
        let place = route.hops.first().map_or(0, |place| usize::from(*place));
        let address = place
            .checked_sub(1)
            .and_then(|at| report.path.addresses.get(at));
        if let Some(address) = address {
            let point = sightings.addresses.find(*address);
            let known = first.entry(report.observer).or_insert(point);
            if *known != point {
                *known = None;
            }
        }
    }
}

/// Calls back with every hop, or hole, that follows a known point of a link's ways: what is
/// before it, itself, what is after it, the far end's way in, and whether flows died on it.
fn triples(
    sightings: &Sightings,
    report: &LinkPaths<'_>,
    mut found: impl FnMut(Point, Option<Point>, Option<Point>, Point, bool),
) {
    let into = sightings.way_in(report.far);
    let point = |place: &u8| {
        let at = usize::from(*place).checked_sub(1)?;
        let address = report.path.addresses.get(at)?;
        sightings.addresses.find(*address)
    };
    for route in report.routes() {
        let way = Way::of(report, route);
        let mut before = Some(sightings.way_out(report.observer));
        for (position, place) in way.hops.iter().enumerate() {
            let after = match way.hops.get(position + 1) {
                Some(next) => point(next),
                None => Some(into).filter(|_| !way.ends_open),
            };
            let via = point(place);
            // An address that is none of the suspects' is no hole.
            if let Some(before) = before
                && (via.is_some() || *place == 0)
            {
                found(before, via, after, into, !dead(route).is_empty());
            }
            before = via;
        }
    }
}

/// Addresses of a route's hops, as many as are looked at.
pub fn hops_of(path: &PathReport, route: &Route) -> Vec<Option<IpAddr>> {
    path.hops(route).take(PATH_HOPS_MAX).collect()
}

/// The hops of a route, as far as anybody on the link knows them.
struct Way<'a> {
    /// Places of addresses, 0 for a silent hop.
    hops: &'a [u8],
    /// The trace came as far as this many of them.
    answered: usize,
    /// The trace came through.
    reached: bool,
    /// Between the last hop and the far end there may be more.
    ends_open: bool,
}

impl<'a> Way<'a> {
    fn of(report: &LinkPaths<'a>, route: &'a Route) -> Self {
        let hops = &route.hops[..route.hops.len().min(PATH_HOPS_MAX)];
        let answered = usize::from(route.answered).min(hops.len());
        let broken = !route.reached && !dead(route).is_empty();
        let mut way = Self {
            hops,
            answered,
            reached: route.reached || dead(route).is_empty(),
            ends_open: false,
        };
        if broken && answered == hops.len() && !hops.is_empty() {
            // Flows that were dead from the start were never traced further than they came.
            way.ends_open = true;
            way.complete(report);
        }
        way
    }

    /// Goes on as the link's other dead routes do that begin the same way, as far as they agree:
    /// they share the fault. Where none is known to its end, those known farther show the way. Those that live tell nothing of where this one would have gone.
    fn complete(&mut self, report: &LinkPaths<'a>) {
        let is_whole =
            |other: &Route| other.reached || usize::from(other.answered) < other.hops.len();
        let follows = |other: &&Route| {
            let alike = self
                .hops
                .iter()
                .zip(&other.hops)
                .all(|(a, b)| a == b || *a == 0 || *b == 0);
            !dead(other).is_empty() && other.hops.len() > self.hops.len() && alike
        };
        let mut agreed: Option<&'a [u8]> = None;
        let mut ends_open = true;
        let mut others: Vec<&Route> = report.routes().iter().filter(follows).collect();
        let prefixes_only = others.iter().all(|other| !is_whole(other));
        others.retain(|other| prefixes_only || is_whole(other));
        for other in others {
            let hops = &other.hops[..other.hops.len().min(PATH_HOPS_MAX)];
            agreed = Some(match agreed {
                None => {
                    ends_open = prefixes_only;
                    hops
                }
                Some(agreed) => {
                    let same = |(a, b): &(&u8, &u8)| a == b || **a == 0 || **b == 0;
                    let common = agreed.iter().zip(hops).take_while(same).count();
                    ends_open |= common < agreed.len();
                    &agreed[..common]
                }
            });
        }
        if let Some(agreed) = agreed.filter(|agreed| agreed.len() > self.hops.len()) {
            (self.hops, self.ends_open) = (agreed, ends_open);
        }
    }
}

/// Reads the counts off the routes of one link.
struct Gauge<'a> {
    word: FarWord<'a>,
    /// All flows are dead, whatever the routes say.
    is_down: bool,
    /// A host at either end is too busy for its times to be held against the network.
    late: bool,
    /// One is too busy for its losses to be.
    absent: bool,
    /// The link's usual round trip, microseconds.
    usual_us: Option<u32>,
    link_is_slow: bool,
}

impl<'a> Gauge<'a> {
    fn of(roster: &Roster<'_>, reports: &Reports<'a>, report: &LinkPaths<'_>) -> Self {
        let host = |member: u32| {
            let member = roster.members.get(member as usize);
            member.map_or_else(HostHealth::default, |member| member.slice.host)
        };
        let hosts = [host(report.observer), host(report.far)];
        let far = reports.find(report.far, report.observer);
        let far_link = roster
            .members
            .get(report.far as usize)
            .and_then(|far| far.report_on(report.observer as usize));
        Self {
            word: FarWord::of(report.path, far_link, far.map(|far| far.path)),
            is_down: report.link.state == LinkState::Down,
            late: hosts.iter().any(|host| host.busy),
            absent: hosts.iter().any(HostHealth::misses_answers),
            usual_us: report.link.rtt_baseline_us,
            link_is_slow: report.link.state == LinkState::Degraded
                && report.link.reason == Some(LinkReason::Latency),
        }
    }

    fn counts(&self, route: &Route) -> [Counts; 4] {
        let alive = alive(route);
        let mut counts = [Counts::default(); 4];

        let fates = self.word.fates(route);
        let blackhole = &mut counts[Ailment::Blackhole as usize];
        blackhole.good = fates.back + if self.is_down { 0 } else { alive };
        if self.absent {
            // A host that is away also misses who fell silent.
            blackhole.open = fates.there + fates.unknown;
        } else {
            (blackhole.there, blackhole.open) = (fates.there, fates.unknown);
        }

        if !self.absent {
            let lost = route.lost_forward.min(route.sent);
            let (mut there, mut sent) = (lost, route.sent);
            if sent > SENT_MAX {
                let scale = u64::from(SENT_MAX) * u64::from(lost) / u64::from(sent);
                (there, sent) = (scale as u32, SENT_MAX);
            }
            counts[Ailment::Loss as usize] = Counts {
                there,
                open: 0,
                good: sent - there,
            };
        }

        let large_lost = (route.large_lost.len() as u32).min(alive);
        counts[Ailment::Mtu as usize] = Counts {
            there: 0,
            open: large_lost,
            good: alive - large_lost,
        };

        if let (false, Some(slow)) = (self.late, self.is_slow(route)) {
            let flows = alive.min(4);
            let latency = &mut counts[Ailment::Latency as usize];
            match self.is_slow_there(route) {
                _ if !slow => latency.good = flows,
                Some(true) => latency.there = flows,
                // It goes there as quickly as ever, and comes back late.
                Some(false) => latency.good = flows,
                None => latency.open = flows,
            }
        }
        counts
    }

    /// Flows of a route that are slow on the way back alone.
    fn slow_back(&self, route: &Route) -> u32 {
        let is_back = !self.late
            && self.is_slow(route) == Some(true)
            && self.is_slow_there(route) == Some(false);
        if is_back { alive(route) } else { 0 }
    }

    /// Whether packets on this route take longer than usual to get there, of a slow route;
    /// `None` where that is not known.
    fn is_slow_there(&self, route: &Route) -> Option<bool> {
        let (rtt_us, forward_us) = (route.rtt_us?, route.forward_us?);
        let usual_us = route.rtt_usual_us.or(self.usual_us)?;
        let more_us = rtt_us.checked_sub(usual_us)?;
        let there_us = forward_us.saturating_sub(usual_us / 2);
        // A delay of both ways is one of this way too. Between lies what noise can do.
        if there_us >= more_us / 5 * 2 {
            Some(true)
        } else if there_us <= more_us / 5 {
            Some(false)
        } else {
            None
        }
    }

    /// Whether answers on this route take longer than usual; `None` where that is not known.
    fn is_slow(&self, route: &Route) -> Option<bool> {
        let rtt_us = route.rtt_us?;
        if let Some(usual_us) = route.rtt_usual_us {
            return Some(rtt_us > slow_above(usual_us));
        }
        let above = rtt_us > slow_above(self.usual_us?);
        // A long way among short ones is no fault; only time tells.
        (self.link_is_slow || !above).then_some(above)
    }
}

fn slow_above(usual_us: u32) -> u32 {
    usual_us.saturating_add((usual_us / 4).max(SLOW_US_MIN))
}

fn alive(route: &Route) -> u32 {
    flows(route).len().saturating_sub(dead(route).len()) as u32
}

/// Whose ways fail in any respect: the first look at all routes.
struct Suspects {
    addresses: Addresses,
    observers: Vec<bool>,
    fars: Vec<bool>,
    /// Links with a failing way, as indices into the reports.
    reports: Vec<u32>,
    /// Routes of these links, and of the others.
    routes_failing: usize,
    routes_healthy: usize,
    /// Some dead way is known to its end.
    whole_dead: bool,
    usual_loss: f64,
}

impl Suspects {
    fn of(roster: &Roster<'_>, reports: &Reports<'_>, key: u128) -> Self {
        let mut suspects = Self {
            addresses: Addresses::new(key),
            observers: vec![false; roster.members.len()],
            fars: vec![false; reports.fars],
            reports: Vec::new(),
            routes_failing: 0,
            routes_healthy: 0,
            whole_dead: false,
            usual_loss: USUAL_LOSS_MIN,
        };
        let mut losses: Vec<f64> = Vec::new();
        for (number, report) in reports.all.iter().enumerate() {
            let (mut sent, mut lost) = (0, 0);
            for route in report.routes() {
                sent += u64::from(route.sent.min(SENT_MAX));
                lost += u64::from(route.lost_forward.min(route.sent).min(SENT_MAX));
            }
            for route in report.routes() {
                let slow = route.rtt_us.is_some_and(|rtt_us| {
                    let usual_us = route.rtt_usual_us.or(report.link.rtt_baseline_us);
                    usual_us.is_some_and(|usual_us| rtt_us > slow_above(usual_us))
                });
                let fails = !route.dead.is_empty()
                    || !route.large_lost.is_empty()
                    || route.lost_forward >= LOST_ROUTE_MIN
                    || (route.lost_forward > 0 && lost >= LOST_LINK_MIN)
                    || slow;
                if fails {
                    suspects.add(report, route);
                    if suspects.reports.last() != Some(&(number as u32)) {
                        suspects.reports.push(number as u32);
                    }
                }
            }
            if suspects.reports.last() == Some(&(number as u32)) {
                suspects.routes_failing += report.routes().len();
            } else {
                suspects.routes_healthy += report.routes().len();
            }
            if sent >= u64::from(USUAL_SENT_MIN) {
                losses.push(lost as f64 / sent as f64);
            }
        }
        // What the luckier quarter of links loses: a fault that most links share is none of it.
        let quarter = losses.len() / 4;
        if quarter < losses.len() {
            let (_, usual, _) = losses.select_nth_unstable_by(quarter, f64::total_cmp);
            suspects.usual_loss = usual.clamp(USUAL_LOSS_MIN, USUAL_LOSS_MAX);
        }
        suspects
    }

    fn add(&mut self, report: &LinkPaths<'_>, route: &Route) {
        self.observers[report.observer as usize] = true;
        self.fars[report.far as usize] = true;
        let way = Way::of(report, route);
        let named = way.hops.iter().any(|place| *place != 0);
        self.whole_dead |= named && !way.ends_open && !dead(route).is_empty();
        for place in way.hops {
            let at = usize::from(*place).wrapping_sub(1);
            if let Some(address) = report.path.addresses.get(at) {
                self.addresses.number(*address);
            }
        }
    }
}
