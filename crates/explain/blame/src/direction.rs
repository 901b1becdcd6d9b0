//! The two ways of a link, told apart. A round trip that fails does not say where; the far
//! end's word on whether our probes arrive does.

use andon_model::{Heard, LinkReason, LinkReport, LinkState, LossPair};

/// Loss below which a way counts as clean: twice the quantum of published loss.
const LOSS_CLEAN_MAX: f32 = 0.01;

/// Loss from which a way counts as lossy. Between the two, nothing is said.
const LOSS_BAD_MIN: f32 = 0.02;

/// What is known of one way of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Passes,
    Fails,
    Unknown,
}

/// Both ways of a link, from one observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// From the observer to the far end.
    pub there: Way,
    /// From the far end to the observer.
    pub back: Way,
}

impl Ways {
    pub const UNKNOWN: Ways = Ways {
        there: Way::Unknown,
        back: Way::Unknown,
    };

    /// The same two ways as the far end names them.
    pub fn seen_from_far_end(self) -> Ways {
        Ways {
            there: self.back,
            back: self.there,
        }
    }

    /// What two observers say together. A failure that one of them can prove stands.
    pub fn and(self, other: Ways) -> Ways {
        Ways {
            there: both(self.there, other.there),
            back: both(self.back, other.back),
        }
    }
}

fn both(a: Way, b: Way) -> Way {
    match (a, b) {
        (Way::Fails, _) | (_, Way::Fails) => Way::Fails,
        (Way::Passes, _) | (_, Way::Passes) => Way::Passes,
        (Way::Unknown, Way::Unknown) => Way::Unknown,
    }
}

/// Which way the trouble in `report` is, given the far end's own report on the observer
/// (`None` if the far end does not probe it, or cannot be heard itself).
pub fn ways(report: &LinkReport, far: Option<&LinkReport>) -> Ways {
    match report.state {
        LinkState::Down => ways_of_silence(
            far.map_or(Heard::NotExpected, |far| far.heard),
            report.heard,
        ),
        LinkState::Partial | LinkState::Degraded => ways_of_loss(report),
        _ => Ways::UNKNOWN,
    }
}

/// No round trip at all: `at_far_end` says whether our probes arrive there, `here` whether
/// theirs arrive here.
fn ways_of_silence(at_far_end: Heard, here: Heard) -> Ways {
    let (there, back) = match (at_far_end, here) {
        // Probes pass both ways and yet no answer: not a matter of direction.
        (Heard::Arriving, Heard::Arriving) => (Way::Unknown, Way::Unknown),
        (Heard::Arriving, _) => (Way::Passes, Way::Fails),
        (_, Heard::Arriving) => (Way::Fails, Way::Passes),
        (Heard::Silent, Heard::Silent) => (Way::Fails, Way::Fails),
        (Heard::Silent, Heard::NotExpected) => (Way::Fails, Way::Unknown),
        (Heard::NotExpected, Heard::Silent) => (Way::Unknown, Way::Fails),
        (Heard::NotExpected, Heard::NotExpected) => (Way::Unknown, Way::Unknown),
    };
    Ways { there, back }
}

fn ways_of_loss(report: &LinkReport) -> Ways {
    let loss = clean_loss(report.loss);
    let slow = report.state == LinkState::Degraded && report.reason == Some(LinkReason::Latency);
    let (Some(there), Some(back), false) = (loss.forward, loss.return_, slow) else {
        return Ways::UNKNOWN;
    };
    let bad = there >= LOSS_BAD_MIN || back >= LOSS_BAD_MIN;
    let way = |loss: f32| match loss {
        _ if !bad => Way::Unknown,
        loss if loss >= LOSS_BAD_MIN => Way::Fails,
        loss if loss < LOSS_CLEAN_MAX => Way::Passes,
        _ => Way::Unknown,
    };
    Ways {
        there: way(there),
        back: way(back),
    }
}

/// Loss as shares: what is no number or outside 0..=1 was not measured.
pub fn clean_loss(loss: LossPair) -> LossPair {
    let clean = |share: Option<f32>| share.filter(|share| (0.0..=1.0).contains(share));
    LossPair {
        forward: clean(loss.forward),
        return_: clean(loss.return_),
    }
}

/// The round trip carries something.
pub fn reaches(state: LinkState) -> bool {
    matches!(
        state,
        LinkState::Up | LinkState::Partial | LinkState::Degraded
    )
}

/// Somebody asked and knows.
pub fn is_conclusive(state: LinkState) -> bool {
    reaches(state) || state == LinkState::Down
}

#[cfg(test)]
mod tests {
    use super::*;
    use Heard::{Arriving, NotExpected, Silent};
    use Way::{Fails, Passes, Unknown};

    fn check(at_far_end: Heard, here: Heard, there: Way, back: Way) {
        let expected = Ways { there, back };
        assert_eq!(
            ways_of_silence(at_far_end, here),
            expected,
            "{at_far_end:?} {here:?}"
        );
    }

    #[test]
    fn who_still_hears_whom_tells_the_direction_of_a_cut() {
        check(Arriving, Silent, Passes, Fails);
        check(Silent, Arriving, Fails, Passes);
        check(Silent, Silent, Fails, Fails);
        check(Arriving, Arriving, Unknown, Unknown);
        check(Arriving, NotExpected, Passes, Fails);
        check(NotExpected, Arriving, Fails, Passes);
        check(Silent, NotExpected, Fails, Unknown);
        check(NotExpected, Silent, Unknown, Fails);
        check(NotExpected, NotExpected, Unknown, Unknown);
    }
}
