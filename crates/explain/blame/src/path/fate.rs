//! On which way a flow died: there or back. A dead flow is a round trip that fails; the far
//! end's word on which of our ports fell silent tells the two ways apart.

use andon_model::path::{PATH_FLOWS_MAX, PATH_ROUTES_MAX, PathReport, Route};
use andon_model::{Heard, LinkReport};

/// Dead flows of one route, by the way that they died on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fates {
    /// The far end says that they stopped arriving.
    pub there: u32,
    /// The far end tells of others and not of these: they arrive, and the answers die.
    pub back: u32,
    /// The far end says nothing, or nothing that fits.
    pub unknown: u32,
    /// Nor that, and the trace passed all hops: most likely the answers die, but it may be the
    /// last stretch. Speaks neither for nor against any.
    pub unclear: u32,
}

/// What the far end of a link says of the observer's flows.
#[derive(Debug, Clone, Copy)]
pub struct FarWord<'a> {
    silent_from: &'a [u16],
    arriving_from: &'a [u16],
    all_silent: bool,
    /// It names some of the flows that the observer finds dead, or hears some where the
    /// observer finds all dead, and names none that the observer does not have (behind a NAT
    /// ports are others): what it does not name arrives.
    is_complete: bool,
}

impl<'a> FarWord<'a> {
    /// `own`: the observer's report on the link; `far_link` and `far`: the far end's on the way
    /// back.
    pub fn of(
        own: &PathReport,
        far_link: Option<&LinkReport>,
        far: Option<&'a PathReport>,
    ) -> FarWord<'a> {
        let silent_from = far.map_or(&[][..], |far| &far.silent_from);
        let silent_from = &silent_from[..silent_from.len().min(PATH_FLOWS_MAX)];
        let arriving_from = far.map_or(&[][..], |far| &far.arriving_from);
        let arriving_from = &arriving_from[..arriving_from.len().min(PATH_FLOWS_MAX)];
        let routes = &own.routes[..own.routes.len().min(PATH_ROUTES_MAX)];
        let has = |port: &u16| routes.iter().any(|route| flows(route).contains(port));
        let misses = |port: &u16| routes.iter().any(|route| dead(route).contains(port));
        let heard = far_link.map_or(Heard::NotExpected, |link| link.heard);
        let all_dead = routes
            .iter()
            .all(|route| flows(route).len() <= dead(route).len());
        let tells = silent_from.iter().any(misses)
            || (far.is_some() && all_dead && heard == Heard::Arriving);
        Self {
            silent_from,
            arriving_from,
            all_silent: heard == Heard::Silent,
            is_complete: tells && silent_from.iter().all(has),
        }
    }

    /// Sorts the dead flows of a route.
    pub fn fates(&self, route: &Route) -> Fates {
        let mut fates = Fates::default();
        for port in dead(route) {
            if self.all_silent || self.silent_from.contains(port) {
                fates.there += 1;
            } else if self.arriving_from.contains(port) || self.is_complete {
                fates.back += 1;
            } else if came_through(route) {
                fates.unclear += 1;
            } else {
                fates.unknown += 1;
            }
        }
        fates
    }
}

/// The newest trace came as far as the last hop.
fn came_through(route: &Route) -> bool {
    !route.hops.is_empty() && usize::from(route.answered) >= route.hops.len()
}

/// Ports on a route, as many as are looked at.
pub fn flows(route: &Route) -> &[u16] {
    &route.flows[..route.flows.len().min(PATH_FLOWS_MAX)]
}

/// Dead ones, as many as are looked at.
pub fn dead(route: &Route) -> &[u16] {
    &route.dead[..route.dead.len().min(PATH_FLOWS_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{NodeKey, Peer, Timestamp};

    fn report(flows: &[u16], dead: &[u16], silent_from: &[u16]) -> PathReport {
        PathReport {
            to: Peer::Node(NodeKey(1)),
            traced_at: Timestamp(0),
            addresses: Vec::new(),
            routes: vec![Route {
                flows: flows.to_vec(),
                dead: dead.to_vec(),
                hops: vec![1, 2],
                answered: 1,
                ..Route::default()
            }],
            silent_from: silent_from.to_vec(),
            arriving_from: Vec::new(),
        }
    }

    #[test]
    fn what_arrives_although_it_is_dead_died_on_the_way_back() {
        let own = report(&[1, 2, 3, 4], &[1, 2], &[]);
        let mut far = report(&[], &[], &[]);
        far.arriving_from = vec![2];
        let fates = FarWord::of(&own, None, Some(&far)).fates(&own.routes[0]);
        assert_eq!([fates.there, fates.back, fates.unknown], [0, 1, 1]);
    }

    #[track_caller]
    fn check(dead: &[u16], silent_from: Option<&[u16]>, expected: [u32; 3]) {
        let own = report(&[1, 2, 3, 4], dead, &[]);
        let far = silent_from.map(|ports| report(&[], &[], ports));
        let fates = FarWord::of(&own, None, far.as_ref()).fates(&own.routes[0]);
        assert_eq!([fates.there, fates.back, fates.unknown], expected);
    }

    #[test]
    fn the_far_ends_word_tells_the_ways_apart() {
        check(&[1, 2], Some(&[1, 2]), [2, 0, 0]);
        check(&[1, 2, 3], Some(&[1]), [1, 2, 0]);
        check(&[1, 2], None, [0, 0, 2]);
        // It may be a second behind.
        check(&[1, 2], Some(&[]), [0, 0, 2]);
        // Behind a NAT it knows other ports.
        check(&[1, 2], Some(&[40_000, 1]), [1, 0, 1]);
    }

    #[test]
    fn where_all_fell_silent_no_port_is_named() {
        let own = report(&[1, 2], &[1, 2], &[]);
        let mut link = LinkReport::unknown(
            Peer::Node(NodeKey(1)),
            andon_model::Transport::Udp,
            Timestamp(0),
        );
        link.heard = Heard::Silent;
        let fates = FarWord::of(&own, Some(&link), None).fates(&own.routes[0]);
        assert_eq!(fates.there, 2);
    }
}
