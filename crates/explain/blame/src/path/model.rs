//! How well a set of causes explains what all flows met.
//!
//! Each cause kills (loses, delays) its own share of what passes it, independently of the
//! others; a little fails anyhow. The likelihood of what was seen, against the likelihood that
//! nothing is wrong, is the weight of an explanation (after Tomo, NetBouncer and 007).
//! Sources: Kompella et al. (2007), Tan et al. (NSDI 2019), Arzani et al. (NSDI 2018).

use super::candidates::Candidates;
use super::sightings::{Ailment, Counts, Sightings};

/// What one more cause must explain at least to be worth its mention, in nats: about one in
/// 3,000 explanations of pure chance does, and two flows known to die on one way do.
const COST_MIN: f64 = 8.0;
/// What it must explain beyond the logarithm of the number of classes, or of links that could
/// have made one: among thousands of them some explain a little by chance (Bonferroni's
/// correction, at one in a hundred judgements).
const COST_ABOVE_CHANCE: f64 = 4.6;
/// Share of routes that are not what they are said to be: traced before the network changed.
/// No route speaks louder against a cause than this.
const STALE: f64 = 0.02;
/// From so many flows on, two traces must have been wrong.
const STALE_TWICE_FLOWS: u16 = 4;
/// Weight of what speaks against a class when the next cause is picked.
const CONTRADICTION: f64 = 3.0;
/// Share of ways with holes that pass a cause which may be in the hole.
const HIDDEN: f64 = 0.5;
/// No cause is taken for surer than this: what passes it by mistake is no proof.
const SHARE_MAX: f64 = 0.98;
const SHARE_MIN: f64 = 1e-4;
/// Rounds of fitting the shares of several causes to each other.
const FIT_ROUNDS: usize = 3;

/// What fails with no cause at all.
#[derive(Clone, Copy)]
pub struct Usual {
    /// Share of flows (probes) that fail on the way there.
    there: f64,
    /// Share that fails on either way, where the way is not known.
    open: f64,
    /// Weight of one observation. Losses come in bursts: one lost probe is less than one
    /// independent observation.
    weight: f64,
    /// A cause that fails less than this of what passes is none.
    share_min: f64,
}

impl Usual {
    pub fn of(ailment: Ailment, usual_loss: f64) -> Self {
        let (there, open, weight, share_min) = match ailment {
            Ailment::Blackhole => (1e-3, 2e-2, 1.0, 0.08),
            Ailment::Loss => (usual_loss, usual_loss, 0.8, 0.004),
            Ailment::Mtu => (1e-2, 2e-2, 1.0, 0.3),
            Ailment::Latency => (5e-2, 5e-2, 0.7, 0.5),
        };
        Self {
            there,
            open,
            weight,
            share_min,
        }
    }

    /// Probability of failing on the way there.
    fn there(self, hit: Exposure) -> f64 {
        1.0 - (1.0 - self.there) * (1.0 - hit.there) * (1.0 - hit.astray)
    }

    /// Probability of failing on either way.
    fn open(self, hit: Exposure) -> f64 {
        1.0 - (1.0 - self.open) * (1.0 - hit.there) * (1.0 - hit.astray) * (1.0 - hit.back)
    }

    /// How much likelier these counts are with the causes than without, in nats; less than
    /// what [`doubt`] allows against them never. `flows`: how many were traced this way.
    fn weigh(self, counts: Counts, hit: Exposure, flows: u16) -> f64 {
        let mut nats = 0.0;
        if counts.good > 0 {
            nats += f64::from(counts.good) * ((1.0 - hit.there) * (1.0 - hit.astray)).ln();
        }
        if counts.there > 0 {
            nats += f64::from(counts.there) * (self.there(hit) / self.there).ln();
        }
        if counts.open > 0 {
            nats += f64::from(counts.open) * (self.open(hit) / self.open).ln();
        }
        doubt(nats * self.weight, flows)
    }

    /// How much `bad` of `total` exceed what is usual, in nats, by what failed and (a negative
    /// number) by what passed.
    fn excess(self, bad: f64, total: f64) -> (f64, f64) {
        if bad <= 0.0 || bad <= total * self.there {
            return (0.0, 0.0);
        }
        let share = (bad / total).min(SHARE_MAX);
        let bad_nats = bad * (share / self.there).ln();
        let good_nats = (total - bad).max(0.0) * ((1.0 - share) / (1.0 - self.there)).ln();
        (self.weight * bad_nats, self.weight * good_nats)
    }

    /// The same in one number.
    pub fn surplus(self, bad: f64, total: f64) -> f64 {
        let (bad, good) = self.excess(bad, total);
        bad + good
    }

    /// The same, as [`Gain::rank`] ranks.
    pub fn rank(self, bad: f64, total: f64) -> f64 {
        let (bad, good) = self.excess(bad, total);
        bad + CONTRADICTION * good
    }
}

/// What a class would add to the chosen causes.
#[derive(Clone, Copy, Default)]
pub struct Gain {
    /// In nats, its cost not taken off.
    pub nats: f64,
    /// Of these, what speaks against it; not positive.
    pub against: f64,
    /// Its likeliest share.
    pub share: f64,
}

impl Gain {
    /// What to take first: a hub that half explains much stands in the way of what explains it.
    pub fn rank(self) -> f64 {
        self.nats + (CONTRADICTION - 1.0) * self.against
    }
}

/// How the chosen causes bear on one route: the shares that they fail.
#[derive(Clone, Copy, Default)]
struct Exposure {
    /// Of what goes this way.
    there: f64,
    /// Of what goes another way of this link than it is said to, or through a hole in it.
    astray: f64,
    /// Of what comes back.
    back: f64,
}

impl Exposure {
    fn is_none(self) -> bool {
        self.there == 0.0 && self.astray == 0.0 && self.back == 0.0
    }

    /// With one more cause on the way.
    fn with(self, share: f64) -> Self {
        Self {
            there: 1.0 - (1.0 - self.there) * (1.0 - share),
            ..self
        }
    }
}

/// The route may be another than it is said to be; less likely so if several flows were traced
/// that way, each by itself.
fn doubt(nats: f64, flows: u16) -> f64 {
    let stale = if flows < STALE_TWICE_FLOWS {
        STALE
    } else {
        STALE * STALE
    };
    if nats > 20.0 {
        return nats - stale; // ln(1 - x) is about -x.
    }
    if nats < -20.0 {
        return stale.ln();
    }
    ((1.0 - stale) * nats.exp() + stale).ln()
}

/// What one more of so many possible causes must explain, in nats.
fn cost(possible: usize) -> f64 {
    COST_MIN.max((possible.max(1) as f64).ln() + COST_ABOVE_CHANCE)
}

/// A class taken for a cause, and the share of what passes it that it fails.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    pub class: u32,
    pub share: f64,
}

/// Evidence, candidates, and the causes taken so far.
pub struct Model<'e> {
    pub sightings: &'e Sightings,
    pub candidates: &'e Candidates,
    pub ailment: Ailment,
    pub usual: Usual,
    /// What one more cause must explain to be worth its mention, in nats.
    pub cost: f64,
    pub chosen: Vec<Chosen>,
    /// Classes that may not be chosen.
    pub excluded: Vec<u32>,
    /// Share that the chosen fail, by sighting; and that they fail if they are what a trace
    /// does not show.
    forward: Vec<f64>,
    hidden: Vec<f64>,
    /// Share that the chosen fail of a link's ways, and of its ways back, by link.
    mean: Vec<f64>,
    back: Vec<f64>,
    /// Links without an opposite one, by observer; flows of all links, by far end.
    alone: Vec<(u32, u32)>,
    flows_into: Vec<u32>,
    /// Weight of each sighting under the chosen.
    weights: Vec<f64>,
    /// Sightings that the chosen touch, there or back.
    touched: Vec<u32>,
    /// How many sightings were looked at in all: what bounds the search.
    pub work: std::cell::Cell<u64>,
}

impl<'e> Model<'e> {
    pub fn new(sightings: &'e Sightings, candidates: &'e Candidates, ailment: Ailment) -> Self {
        let links = || sightings.links.iter().enumerate();
        let alone = links().filter(|(_, link)| link.partner.is_none());
        let mut alone: Vec<(u32, u32)> =
            alone.map(|(at, link)| (link.observer, at as u32)).collect();
        alone.sort_unstable();
        let fars = sightings
            .links
            .iter()
            .map(|link| link.far as usize + 1)
            .max();
        let mut flows_into = vec![0_u32; fars.unwrap_or(0)];
        for link in &sightings.links {
            flows_into[link.far as usize] += link.flows_known;
        }
        Self {
            alone,
            flows_into,
            sightings,
            candidates,
            ailment,
            usual: Usual::of(ailment, sightings.usual_loss),
            cost: cost(candidates.classes.len().max(sightings.links_total)),
            chosen: Vec::new(),
            excluded: Vec::new(),
            forward: vec![0.0; sightings.all.len()],
            hidden: vec![0.0; sightings.all.len()],
            weights: vec![0.0; sightings.all.len()],
            mean: vec![0.0; sightings.links.len()],
            back: vec![0.0; sightings.links.len()],
            touched: Vec::new(),
            work: std::cell::Cell::new(0),
        }
    }

    pub fn counts(&self, sighting: u32) -> Counts {
        self.sightings.all[sighting as usize].counts(self.ailment)
    }

    fn exposure(&self, sighting: u32) -> Exposure {
        let link = self.sightings.all[sighting as usize].link as usize;
        Exposure {
            there: self.forward[sighting as usize],
            astray: (STALE * self.mean[link]).max(self.hidden[sighting as usize]),
            back: self.back[link],
        }
    }

    fn worked(&self, sightings: usize) {
        self.work.set(self.work.get() + sightings as u64);
    }

    /// Takes these causes, and fits their shares to the evidence and to each other.
    pub fn choose(&mut self, chosen: Vec<Chosen>) {
        self.chosen = chosen;
        self.spread();
        for _ in 0..FIT_ROUNDS {
            if self.chosen.len() < 2 {
                break; // Alone it was fitted when it was found.
            }
            for at in 0..self.chosen.len() {
                let Chosen { class, share } = self.chosen[at];
                self.chosen[at].share = self.fit(class, share, true);
            }
            self.spread();
        }
    }

    /// Carries the chosen causes to all ways that they touch.
    fn spread(&mut self) {
        for sighting in std::mem::take(&mut self.touched) {
            self.forward[sighting as usize] = 0.0;
            self.hidden[sighting as usize] = 0.0;
            self.weights[sighting as usize] = 0.0;
            let link = self.sightings.all[sighting as usize].link as usize;
            (self.mean[link], self.back[link]) = (0.0, 0.0);
        }
        let mut on_the_way = Vec::new();
        let mut links = Vec::new();
        for Chosen { class, share } in &self.chosen {
            let own = self.candidates.sightings(*class);
            self.worked(own.len());
            for sighting in own {
                let forward = &mut self.forward[*sighting as usize];
                if *forward == 0.0 {
                    on_the_way.push(*sighting);
                }
                *forward = 1.0 - (1.0 - *forward) * (1.0 - share);
            }
            for sighting in self.candidates.hidden_in(*class) {
                let hidden = &mut self.hidden[sighting as usize];
                *hidden = hidden.max(HIDDEN * share);
                links.push(self.sightings.all[sighting as usize].link);
            }
        }
        for sighting in on_the_way {
            let route = &self.sightings.all[sighting as usize];
            let link = &self.sightings.links[route.link as usize];
            let share = self.forward[sighting as usize] * f64::from(route.flows)
                / f64::from(link.flows_known.max(1));
            links.push(route.link);
            self.mean[route.link as usize] += share;
            // What comes back to the far end takes one of these ways, nobody knows which.
            if let Some(partner) = link.partner {
                links.push(partner);
                self.back[partner as usize] += share;
            }
        }
        links.sort_unstable();
        links.dedup();
        self.spread_to_the_lone(&mut links);
        let mut touched = Vec::new();
        for number in links {
            let link = &self.sightings.links[number as usize];
            touched.extend(link.begin..link.end);
            for share in [&mut self.mean, &mut self.back] {
                share[number as usize] = share[number as usize].min(SHARE_MAX);
            }
        }
        self.worked(touched.len());
        for sighting in &touched {
            let hit = self.exposure(*sighting);
            self.weights[*sighting as usize] = self.weigh(*sighting, hit);
        }
        self.touched = touched;
    }

    /// Nobody knows by what ways answers come back on a link that is probed from one end alone.
    /// Others' ways to that end are the best guess.
    fn spread_to_the_lone(&mut self, links: &mut Vec<u32>) {
        let mut into: Vec<(u32, f64)> = links
            .iter()
            .map(|number| {
                let link = &self.sightings.links[*number as usize];
                (
                    link.far,
                    self.mean[*number as usize] * f64::from(link.flows_known),
                )
            })
            .filter(|(_, hit)| *hit > 0.0)
            .collect();
        into.sort_by_key(|(far, _)| *far);
        for group in into.chunk_by(|a, b| a.0 == b.0) {
            let far = group[0].0;
            let hit: f64 = group.iter().map(|(_, hit)| hit).sum();
            let share = hit / f64::from(self.flows_into[far as usize].max(1));
            let begin = self.alone.partition_point(|(observer, _)| *observer < far);
            for (_, link) in self.alone[begin..]
                .iter()
                .take_while(|(observer, _)| *observer == far)
            {
                self.back[*link as usize] = share;
                links.push(*link);
            }
        }
        links.sort_unstable();
        links.dedup();
    }

    /// Weight of the chosen causes together, their cost taken off.
    pub fn total(&self) -> f64 {
        let weights = self
            .touched
            .iter()
            .map(|sighting| self.weights[*sighting as usize]);
        weights.sum::<f64>() - self.cost * self.chosen.len() as f64
    }

    /// What a class would add to the chosen causes.
    pub fn gain(&self, class: u32) -> Gain {
        let own = self.candidates.sightings(class);
        let (mut bad, mut total, mut hit_bad, mut hit_total) = (0.0, 0.0, 0.0, 0.0);
        for sighting in own {
            let counts = self.counts(*sighting);
            total += f64::from(counts.total());
            if counts.bad() > 0 {
                let left = f64::from(counts.bad()) - self.explained(*sighting, counts);
                bad += left;
                hit_bad += left;
                hit_total += f64::from(counts.total());
            }
        }
        self.worked(own.len());
        // Some ways may be claimed to pass it that do not: then the failing ones alone tell
        // how much it fails.
        let starts = [(bad, total), (hit_bad, hit_total)];
        let mut best = Gain::default();
        for (bad, total) in starts.into_iter().filter(|(_, total)| *total > 0.0) {
            let share = self.fit(class, bad / total, false);
            let gain = self.gain_at(own, share);
            if gain.nats > best.nats && share >= self.usual.share_min {
                best = gain;
            }
            if hit_total == total && hit_bad == bad {
                break;
            }
        }
        best
    }

    fn gain_at(&self, own: &[u32], share: f64) -> Gain {
        self.worked(own.len());
        let mut gain = Gain {
            share,
            ..Gain::default()
        };
        for sighting in own {
            let nats = self.added_weight(*sighting, share);
            gain.nats += nats;
            gain.against += nats.min(0.0);
        }
        gain
    }

    /// What one more cause on its way adds to the weight of a sighting.
    pub fn added_weight(&self, sighting: u32, share: f64) -> f64 {
        let hit = self.exposure(sighting).with(share);
        self.weigh(sighting, hit) - self.weights[sighting as usize]
    }

    fn weigh(&self, sighting: u32, hit: Exposure) -> f64 {
        let flows = self.sightings.all[sighting as usize].flows;
        self.usual.weigh(self.counts(sighting), hit, flows)
    }

    /// How many of the failed ones the chosen causes account for.
    fn explained(&self, sighting: u32, counts: Counts) -> f64 {
        let hit = self.exposure(sighting);
        if hit.is_none() {
            return 0.0;
        }
        let there = 1.0 - self.usual.there / self.usual.there(hit);
        let open = 1.0 - self.usual.open / self.usual.open(hit);
        f64::from(counts.there) * there + f64::from(counts.open) * open
    }

    /// The likeliest share of a class: what fails is divided between it and the others by
    /// their shares. `is_chosen`: it is among the chosen already.
    fn fit(&self, class: u32, share: f64, is_chosen: bool) -> f64 {
        let own = self.candidates.sightings(class);
        let mut share = share.clamp(SHARE_MIN, SHARE_MAX);
        let alone = !is_chosen
            && own
                .iter()
                .all(|sighting| self.forward[*sighting as usize] == 0.0);
        if alone {
            return share;
        }
        for _ in 0..FIT_ROUNDS {
            let (mut bad, mut total) = (0.0, 0.0);
            for sighting in own {
                let counts = self.counts(*sighting);
                let mut hit = self.exposure(*sighting);
                if !is_chosen {
                    hit = hit.with(share);
                }
                bad += f64::from(counts.there) * share / self.usual.there(hit).max(share);
                bad += f64::from(counts.open) * share / self.usual.open(hit).max(share);
                total += f64::from(counts.total());
            }
            self.worked(own.len());
            let before = share;
            share = (bad / total.max(1.0)).clamp(SHARE_MIN, SHARE_MAX);
            if is_chosen || (share - before).abs() < before * 0.01 {
                break; // The others move as well.
            }
        }
        share
    }

    /// What is left to explain of each class's failures.
    pub fn residuals(&self) -> Vec<f64> {
        let mut left: Vec<f64> = self
            .candidates
            .classes
            .iter()
            .map(|class| class.bad)
            .collect();
        for sighting in &self.touched {
            let explained = self.explained(*sighting, self.counts(*sighting));
            if explained > 0.0 {
                for class in self.candidates.classes_of(*sighting) {
                    left[*class as usize] -= explained;
                }
            }
        }
        self.worked(self.touched.len() * 8);
        left
    }
}
