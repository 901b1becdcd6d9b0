//! Whose turn it is to speak: the lowest living node that has the route, at once; each
//! further one a while later, if nobody spoke.

use andon_model::{NodeKind, NodeState, PictureView};
use std::collections::BTreeMap;
use std::time::Duration;

/// The label under which a node says which routes it has. Written by the node itself.
pub const ROUTES_LABEL: &str = "andon.routes";

/// Longest value of the label; labels of people are bounded alike.
const LABEL_BYTES_MAX: usize = 128;
/// Stands for routes whose names did not fit.
const AND_MORE: &str = "+";

/// The second speaker's patience: an answer of the endpoint (some seconds) and the remark's
/// way through the grid (about one). Halved, a slow endpoint is told twice.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two speakers, so that the earlier one's remark reaches the later one.
const STEP: Duration = Duration::from_secs(3);
/// Speakers beyond this one wait twice as long each: all before them are said to live, so an
/// endpoint that fails for them is not stormed by a whole grid.
const STEPS: u32 = 4;
/// Longest wait of the last node of a large grid.
const PATIENCE_MAX: Duration = Duration::from_secs(600);

/// How many living nodes stand before this one, by route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Company {
    ranks: BTreeMap<String, u32>,
}

impl Company {
    /// Alone: first everywhere.
    pub fn alone() -> Self {
        Self::default()
    }

    /// With these ranks; a route that is missing has nobody before this node.
    pub fn of(ranks: impl IntoIterator<Item = (String, u32)>) -> Self {
        Self {
            ranks: ranks.into_iter().collect(),
        }
    }

    /// 0 speaks at once.
    pub fn rank(&self, route: &str) -> u32 {
        self.ranks.get(route).copied().unwrap_or(0)
    }

    /// How much longer than the first this node waits.
    pub fn patience(&self, route: &str) -> Duration {
        match self.rank(route) {
            0 => Duration::ZERO,
            rank if rank <= STEPS => PATIENCE + STEP * rank,
            rank => {
                let doublings = (rank - STEPS).min(10);
                let span = (PATIENCE + STEP * STEPS) * 2u32.pow(doublings);
                span.min(PATIENCE_MAX)
            }
        }
    }
}

/// The company of this node in the view that it has: a partition's other half is *down* there
/// and does not count.
pub fn company<'a>(view: &PictureView, routes: impl IntoIterator<Item = &'a str>) -> Company {
    let before: Vec<&str> = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon && node.id < view.me)
        .filter(|node| matches!(node.state, NodeState::Up | NodeState::Suspect))
        .filter_map(|node| node.labels.get(ROUTES_LABEL).map(String::as_str))
        .collect();
    let rank = |route: &str| {
        before
            .iter()
            .filter(|label| announces(label, route))
            .count()
    };
    Company::of(routes.into_iter().map(|route| {
        let rank = u32::try_from(rank(route)).unwrap_or(u32::MAX);
        (route.to_owned(), rank)
    }))
}

/// The label's value for these routes: their names; `None` where there are none.
pub fn announcement<'a>(routes: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    let mut left_out = false;
    for route in routes {
        // Room for the separator and the sign that stands for the rest.
        if text.len() + route.len() + 3 > LABEL_BYTES_MAX {
            left_out = true;
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(route);
    }
    if left_out {
        text.push(' ');
        text.push_str(AND_MORE);
    }
    (!text.is_empty()).then(|| text.trim_start().to_owned())
}

/// A node that has more routes than fit is taken to have this one too: the worst that comes
/// of it is a few seconds' wait.
fn announces(label: &str, route: &str) -> bool {
    label
        .split(' ')
        .any(|announced| announced == route || announced == AND_MORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_speaker_waits_longer_than_the_one_before_up_to_a_bound() {
        let patience = |rank| Company::of([("r".to_owned(), rank)]).patience("r");
        assert_eq!(patience(0), Duration::ZERO);
        assert_eq!(patience(1), Duration::from_secs(8));
        assert_eq!(patience(4), Duration::from_secs(17));
        assert_eq!(patience(5), Duration::from_secs(34));
        for rank in 0..2_000 {
            assert!(patience(rank) <= patience(rank + 1));
            assert!(patience(rank) <= PATIENCE_MAX);
        }
    }

    #[test]
    fn routes_that_do_not_fit_are_announced_together() {
        assert_eq!(announcement([]), None);
        assert_eq!(
            announcement(["oncall", "mail"]).as_deref(),
            Some("oncall mail")
        );
        let many: Vec<String> = (0..32).map(|n| format!("route-{n}")).collect();
        let text = announcement(many.iter().map(String::as_str)).unwrap();
        assert!(
            text.len() <= LABEL_BYTES_MAX && text.ends_with(" +"),
            "{text}"
        );
        assert!(announces(&text, "route-31") && announces(&text, "route-0"));
        assert!(!announces("oncall mail", "ma"));
    }
}
