//! Causes that are one thing: a cable cut both ways, a hop that loses some and delays the rest.

use super::cause::PathCause;
use super::points::Point;
use super::routers::mates;
use super::sightings::Sightings;

/// Joins causes that share a hop which may be at fault, or of which two hops are the two ends
/// of one stretch. The worse ailment leads.
pub fn merge(sightings: &Sightings, causes: Vec<PathCause>) -> Vec<PathCause> {
    if causes.len() < 2 {
        return causes;
    }
    let points: Vec<Point> = (0..sightings.addresses.len() as Point).collect();
    let mates = mates(&points, &|point| sightings.addresses.get(point));
    let mate = |point: &Point| {
        let at = mates.binary_search_by_key(point, |pair| pair.0).ok()?;
        Some(mates[at].1)
    };
    let mut merged: Vec<PathCause> = Vec::new();
    for cause in causes {
        let same = merged.iter_mut().find(|other| {
            let shared = other.core.iter().any(|hop| cause.core.contains(hop));
            let mut ends = other.core.iter().filter_map(mate);
            let mated = ends.any(|end| cause.core.contains(&end));
            shared || mated
        });
        match same {
            Some(other) => join(other, cause),
            None => merged.push(cause),
        }
    }
    merged
}

fn join(cause: &mut PathCause, other: PathCause) {
    for hop in other.hops {
        if !cause.hops.contains(&hop) {
            cause.hops.push(hop);
        }
    }
    cause.core.extend(other.core);
    cause.core.sort_unstable();
    cause.core.dedup();
    cause.kept.extend(other.kept);
    cause.anchor = cause.anchor.min(other.anchor);
    cause.ailments.extend(other.ailments);
    cause.end = cause.end.filter(|end| other.end == Some(*end));
    cause.sources.extend(other.sources);
    cause.fars.extend(other.fars);
    cause.agree.extend(other.agree);
    cause.against = cause.against.difference(&cause.agree).copied().collect();
    if cause.ailment == other.ailment {
        cause.traced |= other.traced;
        cause.failed += other.failed;
        cause.passed += other.passed;
        cause.failing.extend(other.failing);
        cause.failing.sort_unstable();
        cause.failing.dedup();
        cause.failing_back.extend(other.failing_back);
        cause.failing_back.sort_unstable();
        cause.failing_back.dedup();
        cause
            .failing_back
            .retain(|at| cause.failing.binary_search(at).is_err());
    }
}
