//! What may be at fault: every hop, stretch and router that a failing way passes. Those that
//! all evidence speaks of alike form one class; telling them apart is not for numbers.

use super::points::{Point, mix};
use super::routers;
use super::sightings::{Ailment, Sightings};

/// A stretch seen less often than once in so many that lead to the same point is none.
const STRAY_MIN: usize = 50;

/// What a fault can sit at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// All that comes in at one address: the router there as seen from this side, and the
    /// stretch that leads to it. Also a member's way out, or way in.
    Hop(Point),
    /// What goes from one address straight to the next known one.
    Stretch(Point, Point),
    /// Hops between two addresses that answer no trace, where others of the same link do: what
    /// those ways have in common that no address tells.
    Hole(Point, Point),
    /// All that comes in at any of a router's addresses.
    Router(Vec<Point>),
}

/// Elements that lie on exactly the same ways.
pub struct Class {
    pub members: Vec<Element>,
    begin: u32,
    end: u32,
    /// Failed flows on all its ways, and all flows.
    pub bad: f64,
    pub total: f64,
}

impl Class {
    /// Only routers of several addresses are in it.
    pub fn is_router(&self) -> bool {
        let mut members = self.members.iter();
        members.all(|element| matches!(element, Element::Router(_)))
    }
}

/// All classes for one ailment.
pub struct Candidates {
    pub classes: Vec<Class>,
    lists: Vec<u32>,
    /// Classes of each sighting: where its part begins.
    of_sighting: Vec<u32>,
    class_lists: Vec<u32>,
    /// Points, each with the failing sightings that may pass it where their trace has a hole.
    hidden: Vec<(Point, u32)>,
}

impl Candidates {
    /// `bad_min`: what fails less often than this in all is not looked at.
    pub fn of(sightings: &Sightings, ailment: Ailment, bad_min: u32) -> Self {
        let table = Table::of(sightings, ailment);
        let (begin, lists) = table.lists(sightings, ailment, bad_min);
        let mut order: Vec<(u64, u32, u32)> = (0..table.elements.len() as u32)
            .filter_map(|element| {
                let own =
                    &lists[begin[element as usize] as usize..begin[element as usize + 1] as usize];
                let hash = own.iter().fold(0_u64, |hash, sighting| {
                    hash.wrapping_add(mix(u64::from(*sighting) + 1))
                });
                (!own.is_empty()).then_some((hash, own.len() as u32, element))
            })
            .collect();
        order.sort_unstable();
        let hidden = table.hidden(sightings, ailment);
        let mut elements: Vec<Option<Element>> = table.elements.into_iter().map(Some).collect();
        let mut classes: Vec<Class> = order
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .map(|class| {
                let first = class[0].2 as usize;
                let members = class
                    .iter()
                    .filter_map(|(_, _, at)| elements[*at as usize].take());
                Class {
                    members: members.collect(),
                    begin: begin[first],
                    end: begin[first + 1],
                    bad: 0.0,
                    total: 0.0,
                }
            })
            .collect();
        // In the order of their elements: the hash of a list says nothing.
        classes.sort_by(|a, b| a.members.cmp(&b.members));
        let mut candidates = Self {
            classes,
            lists,
            of_sighting: Vec::new(),
            class_lists: Vec::new(),
            hidden,
        };
        candidates.sum_up(sightings, ailment);
        candidates
    }

    /// The sightings whose ways a class lies on, in order.
    pub fn sightings(&self, class: u32) -> &[u32] {
        let class = &self.classes[class as usize];
        &self.lists[class.begin as usize..class.end as usize]
    }

    /// The classes on the way of a sighting.
    pub fn classes_of(&self, sighting: u32) -> &[u32] {
        let begin = self.of_sighting[sighting as usize] as usize;
        &self.class_lists[begin..self.of_sighting[sighting as usize + 1] as usize]
    }

    /// Failing sightings that may pass a class where their trace has a hole.
    pub fn hidden_in(&self, class: u32) -> impl Iterator<Item = u32> + '_ {
        let members = self.classes[class as usize].members.iter();
        let points = members.flat_map(|element| match element {
            Element::Hop(point) => vec![*point],
            Element::Stretch(a, b) | Element::Hole(a, b) => vec![*a, *b],
            Element::Router(points) => points.clone(),
        });
        points.flat_map(|point| {
            let begin = self.hidden.partition_point(|(other, _)| *other < point);
            let own = self.hidden[begin..].iter();
            own.take_while(move |(other, _)| *other == point)
                .map(|(_, sighting)| *sighting)
        })
    }

    fn sum_up(&mut self, sightings: &Sightings, ailment: Ailment) {
        let mut count = vec![0_u32; sightings.all.len() + 1];
        for class in &mut self.classes {
            for sighting in &self.lists[class.begin as usize..class.end as usize] {
                let counts = sightings.all[*sighting as usize].counts(ailment);
                class.bad += f64::from(counts.bad());
                class.total += f64::from(counts.total());
                count[*sighting as usize + 1] += 1;
            }
        }
        for at in 1..count.len() {
            count[at] += count[at - 1];
        }
        let mut place = count.clone();
        self.class_lists = vec![0; count.last().copied().unwrap_or(0) as usize];
        for (number, class) in self.classes.iter().enumerate() {
            for sighting in &self.lists[class.begin as usize..class.end as usize] {
                let at = &mut place[*sighting as usize];
                self.class_lists[*at as usize] = number as u32;
                *at += 1;
            }
        }
        self.of_sighting = count;
    }
}

/// Elements of the failing ways, found by the points that make them.
struct Table {
    elements: Vec<Element>,
    /// Element of each point, `NONE` where no failing way passes.
    hop: Vec<u32>,
    /// Sorted stretches; their elements follow those of the hops.
    stretches: Vec<(Point, Point)>,
    first_stretch: u32,
    /// The same of holes.
    holes: Vec<(Point, Point)>,
    first_hole: u32,
    /// Where the stretches from each point begin.
    from: Vec<u32>,
    /// Routers of each point: pairs of point and element, sorted.
    routers: Vec<(Point, u32)>,
    /// Where the routers of each point begin.
    routers_from: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Table {
    fn of(sightings: &Sightings, ailment: Ailment) -> Self {
        let points = sightings.points_total();
        let mut hop = vec![NONE; points];
        let (mut stretches, mut holes) = (Vec::new(), Vec::new());
        let mut adjacent = Vec::new();
        let failing = sightings
            .all
            .iter()
            .filter(|sighting| sighting.counts(ailment).bad() > 0);
        for sighting in failing {
            let mut before = None;
            for step in sightings.steps(sighting) {
                if let Some(point) = step.point {
                    hop[point as usize] = 0;
                    match before {
                        Some(before) if step.is_vague => holes.push((before, point)),
                        Some(before) => stretches.push((before, point)),
                        None => {}
                    }
                    if let (Some(before), false) = (before, step.after_gap) {
                        adjacent.push((before, point));
                    }
                }
                before = step.point;
            }
        }
        for pairs in [&mut stretches, &mut holes] {
            pairs.sort_unstable();
            pairs.dedup();
        }
        let adjacent = without_stray(adjacent);
        let mut elements = Vec::new();
        for (point, element) in hop.iter_mut().enumerate() {
            if *element != NONE {
                *element = elements.len() as u32;
                elements.push(Element::Hop(point as Point));
            }
        }
        let first_stretch = elements.len() as u32;
        elements.extend(stretches.iter().map(|(a, b)| Element::Stretch(*a, *b)));
        let first_hole = elements.len() as u32;
        elements.extend(holes.iter().map(|(a, b)| Element::Hole(*a, *b)));
        let mut routers = Vec::new();
        let groups = routers::groups(
            &adjacent,
            &shared(sightings, &adjacent),
            |point| sightings.addresses.get(point),
            |point| sightings.end_of(point),
        );
        for group in groups {
            let element = elements.len() as u32;
            routers.extend(group.iter().map(|point| (*point, element)));
            elements.push(Element::Router(group));
        }
        routers.sort_unstable();
        let from = begins(points, stretches.iter().map(|(point, _)| *point));
        let routers_from = begins(points, routers.iter().map(|(point, _)| *point));
        Self {
            elements,
            hop,
            stretches,
            first_stretch,
            holes,
            first_hole,
            from,
            routers,
            routers_from,
        }
    }

    /// Elements of one way, each once.
    fn elements_of(
        &self,
        sightings: &Sightings,
        sighting: usize,
        seen: &mut [u32],
        found: &mut Vec<u32>,
    ) {
        found.clear();
        let mark = sighting as u32 + 1;
        let mut note = |element: u32| {
            if seen[element as usize] != mark {
                seen[element as usize] = mark;
                found.push(element);
            }
        };
        let mut before: Option<Point> = None;
        for step in sightings.steps(&sightings.all[sighting]) {
            if let Some(point) = step.point {
                let at = point as usize;
                if self.hop[at] != NONE {
                    note(self.hop[at]);
                }
                for place in self.routers_from[at]..self.routers_from[at + 1] {
                    note(self.routers[place as usize].1);
                }
                if let (Some(before), true) = (before, step.is_vague) {
                    if let Ok(place) = self.holes.binary_search(&(before, point)) {
                        note(self.first_hole + place as u32);
                    }
                } else if let Some(before) = before {
                    let begin = self.from[before as usize] as usize;
                    let end = self.from[before as usize + 1] as usize;
                    if let Ok(place) = self.stretches[begin..end].binary_search(&(before, point)) {
                        note(self.first_stretch + (begin + place) as u32);
                    }
                }
            }
            before = step.point;
        }
    }

    /// Points that failing ways may pass where their traces have holes: what follows the hop
    /// before the hole, or precedes the one after it, elsewhere.
    fn hidden(&self, sightings: &Sightings, ailment: Ailment) -> Vec<(Point, u32)> {
        let mut before_it: Vec<(Point, Point)> =
            self.stretches.iter().map(|(a, b)| (*b, *a)).collect();
        before_it.sort_unstable();
        let mut hidden = Vec::new();
        for (number, sighting) in sightings.all.iter().enumerate() {
            if sighting.counts(ailment).bad() == 0 {
                continue;
            }
            let mut before = None;
            for step in sightings.steps(sighting) {
                if let (true, Some(from), Some(upto)) = (step.after_gap, before, step.point) {
                    for (pairs, end) in [(&self.stretches, from), (&before_it, upto)] {
                        let begin = pairs.partition_point(|(point, _)| *point < end);
                        let near = pairs[begin..].iter().take_while(|(point, _)| *point == end);
                        let near = near
                            .map(|(_, point)| *point)
                            .filter(|p| *p != from && *p != upto);
                        hidden.extend(near.map(|point| (point, number as u32)));
                    }
                }
                before = step.point;
            }
        }
        hidden.sort_unstable();
        hidden.dedup();
        hidden
    }

    /// The sightings of each element that fails often enough; where each list begins.
    fn lists(&self, sightings: &Sightings, ailment: Ailment, bad_min: u32) -> (Vec<u32>, Vec<u32>) {
        let mut seen = vec![0_u32; self.elements.len()];
        let mut found = Vec::new();
        let mut bad = vec![0_u32; self.elements.len()];
        let mut begin = vec![0_u32; self.elements.len() + 1];
        let weighed = |sighting: &usize| sightings.all[*sighting].counts(ailment).total() > 0;
        for sighting in (0..sightings.all.len()).filter(weighed) {
            self.elements_of(sightings, sighting, &mut seen, &mut found);
            let failed = sightings.all[sighting].counts(ailment).bad();
            for element in &found {
                begin[*element as usize + 1] += 1;
                let bad = &mut bad[*element as usize];
                *bad = bad.saturating_add(failed);
            }
        }
        for element in 0..self.elements.len() {
            if bad[element] < bad_min {
                begin[element + 1] = 0;
            }
            begin[element + 1] += begin[element];
        }
        let mut place = begin.clone();
        let mut lists = vec![0_u32; begin.last().copied().unwrap_or(0) as usize];
        seen.fill(0);
        for sighting in (0..sightings.all.len()).filter(weighed) {
            self.elements_of(sightings, sighting, &mut seen, &mut found);
            for element in &found {
                if bad[*element as usize] >= bad_min {
                    let place = &mut place[*element as usize];
                    lists[*place as usize] = sighting as u32;
                    *place += 1;
                }
            }
        }
        (begin, lists)
    }
}

/// Points that follow several ways out of one point, healthy ways looked at too; sorted.
fn shared(sightings: &Sightings, adjacent: &[(Point, Point)]) -> Vec<Point> {
    let mut follows = vec![false; sightings.points_total()];
    for (_, next) in adjacent {
        follows[*next as usize] = true;
    }
    // (next, from, between), `NONE` where no failing way passes.
    let mut forks: Vec<(Point, Point, Point)> = Vec::new();
    for sighting in &sightings.all {
        let mut steps = sightings.steps(sighting);
        let (Some(mut from), Some(mut between)) = (steps.next(), steps.next()) else {
            continue;
        };
        for next in steps {
            if let (Some(from), Some(next_point)) = (from.point, next.point)
                && follows[next_point as usize]
                && !between.after_gap
                && !next.after_gap
            {
                forks.push((next_point, from, between.point.unwrap_or(NONE)));
            }
            (from, between) = (between, next);
        }
    }
    forks.sort_unstable();
    forks.dedup();
    let mut shared: Vec<Point> = forks
        .windows(2)
        .filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1))
        .map(|pair| pair[0].0)
        .collect();
    shared.dedup();
    shared
}

/// Each stretch once, those left out that are few of all that lead to one point: a way traced
/// while it changed would join two routers into one.
fn without_stray(mut stretches: Vec<(Point, Point)>) -> Vec<(Point, Point)> {
    stretches.sort_unstable_by_key(|(this, next)| (*next, *this));
    let mut kept = Vec::new();
    for lead in stretches.chunk_by(|a, b| a.1 == b.1) {
        let same = lead.chunk_by(|a, b| a.0 == b.0);
        kept.extend(
            same.filter(|same| same.len() * STRAY_MIN >= lead.len())
                .map(|same| same[0]),
        );
    }
    kept.sort_unstable();
    kept
}

/// Where each point's part of a list sorted by point begins, and one more.
fn begins(points: usize, sorted: impl Iterator<Item = Point>) -> Vec<u32> {
    let mut begins = vec![0_u32; points + 1];
    for point in sorted {
        begins[point as usize + 1] += 1;
    }
    for at in 1..begins.len() {
        begins[at] += begins[at - 1];
    }
    begins
}
