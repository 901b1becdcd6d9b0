//! The fewest causes: taken one by one, the best first (greedy set cover), then each held
//! against what could stand in its place; on small evidence all sets of up to three are tried.

use super::model::{Chosen, Model};

/// Most causes of one ailment. More are no explanation any more.
const CAUSES_MAX: usize = 12;
/// Classes weighed in full at each step, those first that fail most beyond the usual.
const WEIGHED_MAX: usize = 12;
/// Up to so many classes all sets of up to three are tried: 298 of them.
const EXACT_CLASSES_MAX: usize = 12;
/// Sightings looked at in one search, with repetition: 100 ms. Where everything fails at once
/// the search ends with what it has.
const WORK_MAX: u64 = 4_000_000;
/// How much better another set must be to be taken instead, in nats.
const BETTER: f64 = 0.5;
/// Causes that may take the place of one.
const REPLACED_BY_MAX: usize = 6;
/// Rounds in which each cause is held against what could replace it.
const SWEEPS_MAX: usize = 3;

/// Leaves the best set of causes chosen in the model; goes on from those that are.
pub fn search(model: &mut Model<'_>) {
    let nothing = viable(model).is_empty();
    if nothing {
        return;
    }
    grow(model, CAUSES_MAX);
    improve(model);
    exhaust(model);
}

/// Adds the best cause, as long as one is worth its cost.
fn grow(model: &mut Model<'_>, upto: usize) {
    while model.chosen.len() < upto && model.work.get() < WORK_MAX {
        let Some(next) = best_addition(model, Wanted::Any) else {
            break;
        };
        let before = model.chosen.clone();
        let total = model.total();
        let mut chosen = before.clone();
        chosen.push(next);
        model.choose(chosen);
        if model.total() <= total {
            model.choose(before);
            break;
        }
    }
}

/// Drops each cause in turn, lets others take its place, and keeps what is better: a hub with
/// half of what fails may stand where several of its spokes do. Since one hub would only make
/// way for the next, spokes alone are tried too.
fn improve(model: &mut Model<'_>) {
    for _ in 0..SWEEPS_MAX {
        let mut better = false;
        let mut at = 0;
        while at < model.chosen.len() && model.work.get() < WORK_MAX {
            let (before, total) = (model.chosen.clone(), model.total());
            let mut best = (total + BETTER, before.clone());
            let mut without = before.clone();
            let dropped = without.remove(at);
            model.excluded.push(dropped.class);
            replace(model, &without, Wanted::Any, &mut best);
            if model.candidates.classes[dropped.class as usize].is_router() {
                replace(model, &without, Wanted::NoRouter, &mut best);
            }
            model.excluded.pop();
            better |= best.0 > total + BETTER;
            let stays = best.1.len() > at && best.1[at].class == dropped.class;
            model.choose(best.1);
            at += usize::from(stays);
        }
        if !better {
            break;
        }
    }
}

/// Adds to a set what is better than the best so far.
fn replace(
    model: &mut Model<'_>,
    without: &[Chosen],
    wanted: Wanted,
    best: &mut (f64, Vec<Chosen>),
) {
    model.choose(without.to_vec());
    if model.total() > best.0 {
        *best = (model.total(), model.chosen.clone());
    }
    for _ in 0..REPLACED_BY_MAX {
        let Some(next) = best_addition(model, wanted) else {
            break;
        };
        let before = model.total();
        let mut chosen = model.chosen.clone();
        chosen.push(next);
        model.choose(chosen);
        if model.total() > best.0 {
            *best = (model.total(), model.chosen.clone());
        }
        if model.total() <= before {
            break;
        }
    }
}

/// Tries all small sets, where there are few.
fn exhaust(model: &mut Model<'_>) {
    let classes = viable(model);
    if classes.len() > EXACT_CLASSES_MAX || model.chosen.len() > 3 {
        return;
    }
    let mut best = (model.total() + BETTER, model.chosen.clone());
    let sets: Vec<Vec<u32>> = (1_u32..1 << classes.len())
        .filter(|set| set.count_ones() <= 3)
        .map(|set| {
            let picked = classes
                .iter()
                .enumerate()
                .filter(|(bit, _)| set >> bit & 1 == 1);
            picked.map(|(_, class)| *class).collect()
        })
        .collect();
    for set in sets {
        if model.work.get() >= WORK_MAX {
            break;
        }
        model.choose(Vec::new());
        for class in set {
            let share = model.gain(class).share;
            let mut chosen = model.chosen.clone();
            chosen.push(Chosen { class, share });
            model.choose(chosen);
        }
        let total = model.total();
        if total > best.0 {
            best = (total, model.chosen.clone());
        }
    }
    model.choose(best.1);
}

/// Classes that fail beyond the usual by more than a cause costs.
fn viable(model: &Model<'_>) -> Vec<u32> {
    let classes = &model.candidates.classes;
    (0..classes.len() as u32)
        .filter(|class| !model.excluded.contains(class))
        .filter(|class| {
            let class = &classes[*class as usize];
            model.usual.surplus(class.bad, class.total) > model.cost
                || class.bad > 0.0 && class.total > 0.0 && hits(model, class.bad) > model.cost
        })
        .collect()
}

/// Upper bound of what failures alone can be worth, whatever passes.
fn hits(model: &Model<'_>, bad: f64) -> f64 {
    model.usual.surplus(bad, bad)
}

/// Which classes may be added.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    /// Only what is a single hop or stretch.
    NoRouter,
}

/// The class that explains most of what is left.
fn best_addition(model: &Model<'_>, wanted: Wanted) -> Option<Chosen> {
    let classes = &model.candidates.classes;
    let left = model.residuals();
    let mut ranked: Vec<(i64, i64, u32)> = left
        .iter()
        .enumerate()
        .filter(|(class, _)| {
            let class = *class as u32;
            let chosen = model.chosen.iter().any(|chosen| chosen.class == class);
            !chosen && !model.excluded.contains(&class)
        })
        .filter(|(class, _)| wanted == Wanted::Any || !classes[*class].is_router())
        .map(|(class, bad)| {
            let rank = model.usual.rank(*bad, classes[class].total);
            let surplus = model.usual.surplus(*bad, classes[class].total);
            (-rounded(rank), rounded(surplus), class as u32)
        })
        .filter(|(_, surplus, _)| *surplus > rounded(model.cost) / 2)
        .collect();
    if ranked.len() > WEIGHED_MAX {
        ranked.select_nth_unstable(WEIGHED_MAX);
        ranked.truncate(WEIGHED_MAX);
    }
    ranked.sort_unstable();
    let mut best: Option<(i64, Chosen)> = None;
    for (rank, _, class) in ranked {
        // What the sums promise is about what the full weight comes to.
        let hopeless = best.is_some_and(|(most, _)| -rank + rank.abs() * 3 / 10 < most);
        if hopeless || model.work.get() >= WORK_MAX {
            break;
        }
        let gain = model.gain(class);
        let rank = rounded(gain.rank());
        let worth = rounded(gain.nats) > rounded(model.cost);
        if worth && best.is_none_or(|(most, _)| rank > most) {
            let share = gain.share;
            best = Some((rank, Chosen { class, share }));
        }
    }
    best.map(|(_, chosen)| chosen)
}

/// Thousandths of a nat: nodes whose mathematics differ in the last digit agree.
pub fn rounded(nats: f64) -> i64 {
    (nats * 1e3).round() as i64
}
