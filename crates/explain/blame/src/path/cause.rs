//! From classes that explain to causes that can be named: whom the evidence convinces, which
//! elements it cannot tell apart, and the hops that stand for them.

use super::candidates::{Candidates, Element};
use super::model::{Chosen, Model};
use super::points::Point;
use super::search::{rounded, search};
use super::sightings::{Ailment, Sightings};
use super::traces;
use std::collections::{BTreeMap, BTreeSet};

/// Most that one observer's word counts for or against a cause, in nats: three times what a
/// cause needs. However much one member claims, two others who see the contrary outweigh it.
const OBSERVER_NATS_MAX: f64 = 24.0;
/// An observer agrees, or speaks against, from this many nats.
const OBSERVER_NATS_MIN: f64 = 2.0;
/// Explanations within this many nats of the best are not told apart: odds of one in twelve.
const EQUAL_NATS: f64 = 2.5;
/// Share of evidence that lies on a way otherwise than it is said to. An explanation that is
/// behind by as little may be the true one.
const MISTRACED: f64 = 0.04;
/// Flows of other ways, and losses that they should have met, from which a rival is out.
const SPARED_FLOWS_MIN: u32 = 6;
const SPARED_LOSSES_MIN: f64 = 20.0;
/// Rival classes held against a cause.
const RIVALS_MAX: usize = 24;
/// Searches anew after the evidence of single observers was thrown out.
const SEARCHES_MAX: usize = 3;
/// What is left over beside a far greater cause: its own doing, by ways that were traced badly
/// or changed meanwhile.
struct Leftover {
    /// Failed flows at most; failed probes where it is loss.
    flows_max: u32,
    probes_max: u32,
    observers_max: usize,
    /// Of a greater cause's failures on the same links; or of all others' together.
    share: f64,
    beside: Beside,
}

/// What a leftover is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// A greater cause that fails the same links.
    Links,
    /// All other causes together.
    All,
}

const LEFTOVERS: [Leftover; 3] = [
    Leftover {
        flows_max: 96,
        probes_max: 48,
        observers_max: 6,
        share: 0.1,
        beside: Beside::Links,
    },
    // Beside thousands some tens fail elsewhere than they are said to.
    Leftover {
        flows_max: 64,
        probes_max: 0,
        observers_max: 6,
        share: 0.015,
        beside: Beside::All,
    },
    // Among so many ways some fail together by chance.
    Leftover {
        flows_max: 16,
        probes_max: 12,
        observers_max: 3,
        share: 0.03,
        beside: Beside::All,
    },
];
/// Share of its ways on links that the greater cause fails too, from which that is so.
const BESIDE_SHARE: f64 = 0.8;
/// Most hops named by one verdict. A large router has more addresses.
pub const HOPS_NAMED_MAX: usize = 16;
/// One in so many traces of dead flows that come to a hop show that the way there works: the
/// others meet a router's limit on answers.
const CAME_THERE_MIN: u64 = 4;
/// Hops named that follow the one at fault: one router may answer by several addresses.
const FOLLOWS_MAX: usize = 4;
/// Most routers that a verdict may name without saying which. More is no place to look.
const UNDECIDED_MAX: usize = 16;

/// A cause found.
pub struct PathCause {
    pub ailment: Ailment,
    /// All that it does: one hop can lose some and delay the rest.
    pub ailments: Vec<Ailment>,
    /// What may be at fault, likeliest first.
    pub kept: Vec<Element>,
    /// Hops that stand for it, nearest first.
    pub hops: Vec<Point>,
    /// Those of them that may be at fault themselves, sorted; the others only lead there.
    pub core: Vec<Point>,
    /// The hop by which it is known, whatever more or less comes to be known.
    pub anchor: Point,
    /// The node at the end of all that fails, if it may be that node itself.
    pub end: Option<u32>,
    /// It is a router with several addresses.
    pub is_router: bool,
    /// Traces of dead flows come to the first hop named: it fails there or right behind it.
    pub is_behind: bool,
    /// Traces ended short, and told where.
    pub traced: bool,
    /// Sightings on which something fails that it explains.
    pub failing: Vec<u32>,
    /// Sightings that it explains as failing on the way back.
    pub failing_back: Vec<u32>,
    /// Observers and far ends of the links that it fails on the way there.
    pub sources: BTreeSet<u32>,
    pub fars: BTreeSet<u32>,
    /// Observers, by index, whose evidence speaks for it and against it.
    pub agree: BTreeSet<u32>,
    pub against: BTreeSet<u32>,
    /// Failed and all probes (flows) of what passes it.
    pub failed: u64,
    pub passed: u64,
}

impl PathCause {
    /// Whether a way given by its points passes what may be at fault.
    pub fn is_on(&self, points: &[Option<Point>]) -> bool {
        self.kept.iter().any(|element| is_on(element, points))
    }
}

fn is_on(element: &Element, points: &[Option<Point>]) -> bool {
    match element {
        Element::Hop(hop) => points.contains(&Some(*hop)),
        Element::Router(hops) => points
            .iter()
            .flatten()
            .any(|point| hops.binary_search(point).is_ok()),
        Element::Stretch(a, b) | Element::Hole(a, b) => {
            points.windows(2).any(|pair| *pair == [Some(*a), Some(*b)])
        }
    }
}

/// All causes of one ailment.
pub fn causes(sightings: &Sightings, ailment: Ailment) -> Vec<PathCause> {
    let bad_min = if ailment == Ailment::Loss { 3 } else { 2 };
    let candidates = Candidates::of(sightings, ailment, bad_min);
    if candidates.classes.is_empty() {
        return Vec::new();
    }
    let mut model = Model::new(sightings, &candidates, ailment);
    let mut chosen = Vec::new();
    for _ in 0..SEARCHES_MAX {
        search(&mut model);
        chosen = model.chosen.clone();
        let unsound: Vec<u32> = (0..chosen.len())
            .filter(|at| !is_sound(&mut model, &chosen, *at))
            .map(|at| chosen[at].class)
            .collect();
        if unsound.is_empty() {
            break;
        }
        chosen.retain(|cause| !unsound.contains(&cause.class));
        model.excluded.extend(unsound);
        model.choose(chosen.clone());
    }
    (0..chosen.len())
        .filter_map(|at| cause(&mut model, &chosen, at))
        .collect()
}

/// What single observers say of one cause, beside the others.
struct Support {
    agree: BTreeSet<u32>,
    against: BTreeSet<u32>,
    /// In nats, each observer's word bounded.
    total: f64,
}

impl Support {
    fn of(model: &mut Model<'_>, chosen: &[Chosen], at: usize) -> Self {
        leave_out(model, chosen, at);
        let Chosen { class, share } = chosen[at];
        let mut by_observer: BTreeMap<u32, f64> = BTreeMap::new();
        for sighting in model.candidates.sightings(class) {
            let link = model.sightings.all[*sighting as usize].link;
            let observer = model.sightings.links[link as usize].observer;
            *by_observer.entry(observer).or_default() += model.added_weight(*sighting, share);
        }
        let mut support = Self {
            agree: BTreeSet::new(),
            against: BTreeSet::new(),
            total: 0.0,
        };
        for (observer, nats) in by_observer {
            support.total += nats.clamp(-OBSERVER_NATS_MAX, OBSERVER_NATS_MAX);
            if nats > OBSERVER_NATS_MIN {
                support.agree.insert(observer);
            } else if nats < -OBSERVER_NATS_MIN {
                support.against.insert(observer);
            }
        }
        support
    }
}

/// Whether the evidence for one cause stands beside the others'.
fn is_sound(model: &mut Model<'_>, chosen: &[Chosen], at: usize) -> bool {
    let support = Support::of(model, chosen, at);
    if support.total < model.cost {
        return false;
    }
    let bad_of = |cause: &Chosen| model.candidates.classes[cause.class as usize].bad;
    let bad = bad_of(&chosen[at]);
    !LEFTOVERS.iter().any(|leftover| {
        let failures_max = match model.ailment {
            Ailment::Loss => leftover.probes_max,
            _ => leftover.flows_max,
        };
        bad <= f64::from(failures_max)
            && support.agree.len() <= leftover.observers_max
            && match leftover.beside {
                Beside::Links => chosen.iter().any(|cause| {
                    bad <= bad_of(cause) * leftover.share
                        && is_beside(model, chosen[at].class, cause.class)
                }),
                Beside::All => {
                    bad <= (chosen.iter().map(bad_of).sum::<f64>() - bad) * leftover.share
                }
            }
    })
}

/// Whether most links that one class fails are failed by another as well, there or back.
fn is_beside(model: &Model<'_>, class: u32, other: u32) -> bool {
    let failing = |class: u32| {
        let own = model.candidates.sightings(class).iter();
        own.filter(|sighting| model.counts(**sighting).bad() > 0)
            .map(|sighting| model.sightings.all[*sighting as usize].link)
    };
    let others: BTreeSet<u32> = failing(other).collect();
    let (mut beside, mut all) = (0.0, 0.0);
    for link in failing(class) {
        let back = model.sightings.links[link as usize].partner;
        let hit = others.contains(&link) || back.is_some_and(|back| others.contains(&back));
        beside += f64::from(u8::from(hit));
        all += 1.0;
    }
    beside >= all * BESIDE_SHARE
}

/// All chosen causes but one.
fn leave_out(model: &mut Model<'_>, chosen: &[Chosen], at: usize) {
    let mut others = chosen.to_vec();
    others.remove(at);
    model.choose(others);
}

fn cause(model: &mut Model<'_>, chosen: &[Chosen], at: usize) -> Option<PathCause> {
    let support = Support::of(model, chosen, at);
    leave_out(model, chosen, at);
    let Chosen { class, share } = chosen[at];
    let sightings = model.sightings;
    let own = model.candidates.sightings(class);
    let counts = |sighting: &u32| sightings.all[*sighting as usize].counts(model.ailment);
    let failing: Vec<u32> = own
        .iter()
        .copied()
        .filter(|sighting| counts(sighting).bad() > 0)
        .filter(|sighting| model.added_weight(*sighting, share) > 0.0)
        .collect();
    let traced = failing
        .iter()
        .any(|sighting| sightings.all[*sighting as usize].stop.is_some());

    let kept = equals(model, chosen[at], &failing);
    let ends: BTreeSet<u32> = kept
        .iter()
        .filter_map(|element| match element {
            Element::Hop(point) => sightings.end_of(*point),
            _ => None,
        })
        .collect();
    // Both ends of all that fails explain it as well: nothing is narrowed down.
    if ends.len() > 1 && !traced {
        return None;
    }
    let mut named = Named::of(sightings, &failing, &kept);
    named.add_other_end(sightings, &failing);
    let is_router = named.core.len() > 1
        && kept.iter().any(|element| match element {
            Element::Router(hops) => named.core.iter().all(|hop| hops.contains(hop)),
            _ => false,
        });
    if named.hops.is_empty() || (named.core.len() > UNDECIDED_MAX && !is_router) {
        return None;
    }
    let anchor = anchor(
        sightings,
        &failing,
        &model.candidates.classes[class as usize].members,
    )
    .or_else(|| named.core.first().copied())?;
    let mut agree = support.agree;
    for sighting in &failing {
        if counts(sighting).there > 0 && model.ailment == Ailment::Blackhole {
            // The far end confirms it.
            let link = &sightings.links[sightings.all[*sighting as usize].link as usize];
            agree.insert(link.far);
        }
    }
    let links = || {
        let links = failing.iter().map(|at| sightings.all[*at as usize].link);
        links.map(|link| &sightings.links[link as usize])
    };
    let against: BTreeSet<u32> = support.against.difference(&agree).copied().collect();
    Some(PathCause {
        ailment: model.ailment,
        ailments: vec![model.ailment],
        is_router,
        is_behind: named.is_behind,
        kept,
        end: ends.first().copied().filter(|_| ends.len() == 1),
        hops: named.hops,
        core: named.core,
        anchor,
        traced,
        sources: links().map(|link| link.observer).collect(),
        fars: links().map(|link| link.far).collect(),
        failing_back: failing_back(model, &failing),
        failed: failing.iter().map(|s| u64::from(counts(s).bad())).sum(),
        passed: own.iter().map(|s| u64::from(counts(s).total())).sum(),
        failing,
        agree,
        against,
    })
}

/// Whether other ways of the links that fail pass a rival too, and lose next to nothing there: an
/// end of a link that loses packets would lose those of all its ways. So many flows were not
/// all traced wrongly.
fn is_spared(model: &Model<'_>, rival: u32, share: f64, failing: &[u32]) -> bool {
    if model.ailment != Ailment::Loss {
        return false;
    }
    let link_of = |sighting: u32| model.sightings.all[sighting as usize].link;
    let links: BTreeSet<u32> = failing.iter().map(|at| link_of(*at)).collect();
    let own = model.candidates.sightings(rival).iter().copied();
    let others =
        own.filter(|at| failing.binary_search(at).is_err() && links.contains(&link_of(*at)));
    let (mut flows, mut lost, mut sent) = (0, 0.0, 0.0);
    for other in others {
        let counts = model.counts(other);
        flows += u32::from(model.sightings.all[other as usize].flows);
        lost += f64::from(counts.bad());
        sent += f64::from(counts.total());
    }
    let expected = sent * share;
    flows >= SPARED_FLOWS_MIN && expected >= SPARED_LOSSES_MIN && lost * 8.0 <= expected
}

/// Elements that explain it as well as the class that was chosen, likeliest first.
fn equals(model: &Model<'_>, chosen: Chosen, failing: &[u32]) -> Vec<Element> {
    let Chosen { class, share } = chosen;
    let mut overlap: BTreeMap<u32, usize> = BTreeMap::new();
    for sighting in failing {
        for rival in model.candidates.classes_of(*sighting) {
            *overlap.entry(*rival).or_default() += 1;
        }
    }
    let mut rivals: Vec<(usize, u32)> = overlap
        .into_iter()
        .filter(|(_, shared)| shared * 2 >= failing.len())
        .filter(|(rival, _)| !model.chosen.iter().any(|chosen| chosen.class == *rival))
        .map(|(rival, shared)| (failing.len() - shared, rival))
        .collect();
    rivals.sort_unstable();
    rivals.truncate(RIVALS_MAX);
    if !rivals.iter().any(|(_, rival)| *rival == class) {
        rivals.push((0, class));
    }
    rivals.retain(|(_, rival)| *rival == class || !is_spared(model, *rival, share, failing));
    let mut gains: Vec<(f64, u32)> = Vec::new();
    for (_, rival) in rivals {
        let own = model.candidates.sightings(rival);
        // Only for what is to be explained here: other failures are other causes'.
        let weighed = own.iter().filter(|sighting| {
            model.counts(**sighting).bad() == 0 || failing.binary_search(sighting).is_ok()
        });
        let mut gain: f64 = weighed
            .map(|sighting| model.added_weight(*sighting, share))
            .sum();
        // Where a trace has a hole, the rival may be in it.
        let mut hidden: Vec<u32> = model.candidates.hidden_in(rival).collect();
        hidden.sort_unstable();
        hidden.dedup();
        for sighting in hidden {
            if failing.binary_search(&sighting).is_ok() && own.binary_search(&sighting).is_err() {
                gain += model.added_weight(sighting, share).max(0.0);
            }
        }
        gains.push((gain, rival));
    }
    let most = gains.iter().map(|(gain, _)| *gain).fold(0.0, f64::max);
    let slack = EQUAL_NATS + MISTRACED * most;
    let mut weighed: Vec<(i64, Element)> = Vec::new();
    for (gain, rival) in gains {
        let behind = most - gain;
        // Within the slack a small lead is chance, and the traces decide.
        let behind = (behind / slack).min(1.0) + (behind - slack).max(0.0);
        for element in &model.candidates.classes[rival as usize].members {
            let weight = traces::weight(model.sightings, failing, element) - behind;
            weighed.push((-rounded(weight), element.clone()));
        }
    }
    weighed.sort();
    let best = weighed.first().map_or(0, |(weight, _)| *weight);
    weighed.retain(|(weight, _)| *weight <= best + rounded(EQUAL_NATS));
    weighed.into_iter().map(|(_, element)| element).collect()
}

/// The nearest hop among the elements that end to end evidence cannot tell apart: it stays the
/// same while traces come and go.
fn anchor(sightings: &Sightings, failing: &[u32], members: &[Element]) -> Option<Point> {
    let places = Places::of(sightings, failing);
    let hops = members.iter().filter_map(|element| match element {
        Element::Hop(point) if !sightings.is_end(*point) => Some(*point),
        _ => None,
    });
    let nearest = hops.min_by_key(|point| places.order(sightings, *point));
    let in_routers = || {
        let routers = members.iter().filter_map(|element| match element {
            Element::Router(points) => Some(points),
            _ => None,
        });
        routers
            .flatten()
            .filter(|point| places.is_on(**point))
            .min_by_key(|point| sightings.addresses.get(**point))
            .copied()
    };
    let on_stretches = || {
        let ends = members.iter().filter_map(|element| match element {
            Element::Stretch(a, b) | Element::Hole(a, b) => {
                [*b, *a].into_iter().find(|point| !sightings.is_end(*point))
            }
            _ => None,
        });
        ends.min_by_key(|point| places.order(sightings, *point))
    };
    nearest.or_else(in_routers).or_else(on_stretches)
}

/// Sightings of the opposite links whose answers die on these ways.
fn failing_back(model: &Model<'_>, failing: &[u32]) -> Vec<u32> {
    let mut partners: Vec<u32> = failing
        .iter()
        .filter_map(|sighting| {
            let link = model.sightings.all[*sighting as usize].link;
            model.sightings.links[link as usize].partner
        })
        .collect();
    partners.sort_unstable();
    partners.dedup();
    let sightings = partners.iter().flat_map(|link| {
        let link = &model.sightings.links[*link as usize];
        link.begin..link.end
    });
    sightings
        .filter(|at| model.sightings.all[*at as usize].counts(model.ailment).open > 0)
        .filter(|at| failing.binary_search(at).is_err())
        .collect()
}

/// Where points lie on the failing ways.
struct Places {
    /// Sum of positions and how often.
    seen: BTreeMap<Point, (u64, u64)>,
}

impl Places {
    fn of(sightings: &Sightings, failing: &[u32]) -> Self {
        let mut seen: BTreeMap<Point, (u64, u64)> = BTreeMap::new();
        for sighting in failing {
            let steps = sightings.steps(&sightings.all[*sighting as usize]);
            for (position, step) in steps.enumerate() {
                if let Some(point) = step.point {
                    let place = seen.entry(point).or_default();
                    place.0 += position as u64;
                    place.1 += 1;
                }
            }
        }
        Self { seen }
    }

    fn is_on(&self, point: Point) -> bool {
        self.seen.contains_key(&point)
    }

    /// Mean distance in thousandths, then the address.
    fn order(&self, sightings: &Sightings, point: Point) -> (u64, Option<std::net::IpAddr>) {
        let place = self
            .seen
            .get(&point)
            .copied()
            .unwrap_or((u64::MAX / 1_000, 1));
        (place.0 * 1_000 / place.1, sightings.addresses.get(point))
    }
}

/// The hops that stand for the elements kept.
struct Named {
    hops: Vec<Point>,
    core: Vec<Point>,
    /// One hop, which may be at fault as such and not for what follows it.
    is_hop: bool,
    /// Traces of dead flows come to the first of them.
    is_behind: bool,
}

/// The point that all elements begin at, where several stretches do: a router that loses what
/// it sends on, to one that answers by several addresses.
fn fork(kept: &[Element]) -> Option<Point> {
    let begin = |element: &Element| match element {
        Element::Hop(point) | Element::Stretch(point, _) => Some(*point),
        Element::Router(_) | Element::Hole(..) => None,
    };
    let first = begin(kept.first()?)?;
    let stretches = kept
        .iter()
        .filter(|element| matches!(element, Element::Stretch(..)));
    let is_fork = stretches.count() > 1 && kept.iter().all(|element| begin(element) == Some(first));
    is_fork.then_some(first)
}

impl Named {
    fn of(sightings: &Sightings, failing: &[u32], kept: &[Element]) -> Self {
        let places = Places::of(sightings, failing);
        let mut core: BTreeSet<Point> = BTreeSet::new();
        let mut has_router = false;
        for element in kept {
            match element {
                Element::Hop(point) => core.extend(Some(*point)),
                Element::Router(points) => {
                    has_router = true;
                    core.extend(points.iter().filter(|point| places.is_on(**point)));
                }
                Element::Stretch(..) | Element::Hole(..) => {}
            }
        }
        core.retain(|point| !sightings.is_end(*point));
        if let Some(fork) = fork(kept).filter(|fork| !sightings.is_end(*fork)) {
            core.insert(fork);
        }
        let alone = core.clone();
        for element in kept {
            if let Element::Stretch(a, b) | Element::Hole(a, b) = element
                && !alone.contains(a)
                && !alone.contains(b)
            {
                core.extend([*a, *b].into_iter().filter(|p| !sightings.is_end(*p)));
            }
        }
        let mut hops: Vec<Point> = core.iter().copied().collect();
        hops.sort_by_key(|point| places.order(sightings, *point));
        Self {
            hops,
            is_hop: !has_router && alone.len() == 1,
            is_behind: false,
            core: core.into_iter().collect(),
        }
    }

    /// One hop alone stands for a stretch beside it as well; its other end is named too. Where
    /// traces of dead flows come to the hop, it is what they would meet next, else the hop
    /// before it, as most of the failing ways show it.
    fn add_other_end(&mut self, sightings: &Sightings, failing: &[u32]) {
        let [only] = self.hops[..] else { return };
        if !self.is_hop {
            return;
        }
        let mut leads: BTreeMap<Point, u64> = BTreeMap::new();
        let mut follows: BTreeMap<Point, u64> = BTreeMap::new();
        let (mut traced, mut came_there) = (0, 0);
        for sighting in failing {
            let sighting = &sightings.all[*sighting as usize];
            let points: Vec<Option<Point>> = sightings.steps(sighting).map(|s| s.point).collect();
            let Some(at) = points.iter().position(|point| *point == Some(only)) else {
                continue;
            };
            if let Some(stop) = sighting.stop {
                traced += 1;
                came_there += u64::from(usize::from(stop) >= at);
            }
            let hop = |at: usize| {
                let point = points.get(at).copied().flatten();
                point.filter(|point| !sightings.is_end(*point))
            };
            if let Some(lead) = at.checked_sub(1).and_then(hop) {
                *leads.entry(lead).or_default() += 1;
            }
            if let Some(next) = hop(at + 1) {
                *follows.entry(next).or_default() += 1;
            }
        }
        let order = |(point, count): (Point, u64)| {
            (std::cmp::Reverse(count), sightings.addresses.get(point))
        };
        if traced > 0 && came_there * CAME_THERE_MIN >= traced {
            let mut follows: Vec<(Point, u64)> = follows.into_iter().collect();
            follows.sort_by_key(|follow| order(*follow));
            let follows = follows.iter().map(|(point, _)| *point);
            self.hops.extend(follows.take(FOLLOWS_MAX));
            self.is_behind = true;
        } else if let Some((lead, _)) = leads.into_iter().min_by_key(|lead| order(*lead)) {
            self.hops.insert(0, lead);
        }
    }
}
