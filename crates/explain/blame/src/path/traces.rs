//! Where the traces of dead flows end, as far as that may be trusted: it tells apart what end
//! to end evidence cannot, and never outvotes it. A router may forward and answer no trace, or
//! answer traces and forward nothing.

use super::candidates::Element;
use super::points::Point;
use super::sightings::{Ailment, Sightings};

/// Traces that count at most: routers that fall silent together are one observation.
const TRACES_MAX: f64 = 4.0;
/// Share of traces of dead flows that a hop leaves unanswered which answers others: Linux
/// routers answer one a second to each sender, and a burst asks for more.
const UNANSWERED: f64 = 0.35;
/// However many hops are silent, they may have one reason.
const UNANSWERED_MIN: f64 = 0.05;

/// Weight of an element by the traces of these sightings, in nats, 0 at best.
pub fn weight(sightings: &Sightings, failing: &[u32], element: &Element) -> f64 {
    let (mut nats, mut traces) = (0.0, 0.0);
    for sighting in failing {
        let sighting = &sightings.all[*sighting as usize];
        let Some(stop) = sighting.stop else { continue };
        // Each dead flow is traced by itself.
        let flows = f64::from(sighting.counts(Ailment::Blackhole).bad());
        let points = sightings.steps(sighting).map(|step| step.point);
        nats += flows * odds(element, points, usize::from(stop)).ln();
        traces += flows;
    }
    if traces == 0.0 {
        return 0.0;
    }
    nats / traces * traces.min(TRACES_MAX)
}

/// How likely a trace ends at `stop` (index of the last point that answered) if the fault is
/// at this element.
fn odds(element: &Element, points: impl Iterator<Item = Option<Point>>, stop: usize) -> f64 {
    let mut before = None;
    for (at, point) in points.enumerate() {
        let found = match (element, point) {
            (Element::Hop(hop), Some(point)) => *hop == point,
            (Element::Router(hops), Some(point)) => hops.binary_search(&point).is_ok(),
            (Element::Stretch(a, b) | Element::Hole(a, b), Some(point)) => {
                before == Some(*a) && *b == point
            }
            _ => false,
        };
        if found {
            return match element {
                // Nothing comes in here; or it comes in and does not go on.
                Element::Hop(_) | Element::Router(_) if stop + 1 == at || stop == at => 0.45,
                Element::Stretch(..) | Element::Hole(..) if stop + 1 == at => 0.85,
                // Hops before the fault fell silent as well.
                _ if stop < at => UNANSWERED.powf((at - 1 - stop) as f64).max(UNANSWERED_MIN),
                // The trace went on beyond: another way, or an answer from elsewhere.
                _ => 0.03,
            };
        }
        before = point;
    }
    0.02
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(element: Element, stop: usize, expected: f64) {
        let odds = odds(&element, [10, 11, 12, 13].into_iter().map(Some), stop);
        assert_eq!(odds, expected, "{element:?}");
    }

    #[test]
    fn a_trace_ends_before_the_fault_or_at_it() {
        check(Element::Stretch(11, 12), 1, 0.85);
        check(Element::Hop(12), 1, 0.45);
        check(Element::Hop(12), 2, 0.45);
        check(Element::Hop(12), 0, UNANSWERED);
        check(Element::Stretch(11, 12), 2, 0.03);
        check(Element::Router(vec![5, 11]), 3, 0.03);
        check(Element::Hop(99), 1, 0.02);
    }
}
