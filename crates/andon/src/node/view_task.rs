//! From picture to view: judged whenever the picture changes, and placed on the map.

use super::clock::Clock;
use andon_model::{
    Heard, Instant, LinkState, LinkView, NodeKey, Picture, PictureView, Timestamp, Verdict,
    VerdictKind,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Shortest time between two views; people see no difference below it.
const VIEW_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// A view costs at most one part in so many of a core, however large the grid.
const VIEW_SHARE: u32 = 8;

/// Judges a picture and places it on the map.
pub fn derive(picture: &Picture, me: NodeKey, now: Timestamp) -> PictureView {
    let mut view = andon_blame::judge(picture, me, now);
    andon_api::layout::place(&mut view);
    view
}

/// Turns pictures into views until cancelled.
pub async fn run(
    mut pictures: watch::Receiver<Picture>,
    views: watch::Sender<Arc<PictureView>>,
    me: NodeKey,
    clock: Clock,
    cancel: CancellationToken,
) {
    let mut patience = Patience::default();
    loop {
        let picture = pictures.borrow_and_update().clone();
        let started = clock.now();
        let mut view = derive(&picture, me, clock.utc());
        drop(picture);
        let look_again = patience.hold_back(started, &mut view);
        views.send_replace(Arc::new(view));
        let rest = (clock.now().since(started) * VIEW_SHARE).max(VIEW_INTERVAL_MIN);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = wait_until(look_again, clock) => {}
            changed = pictures.changed() => if changed.is_err() { return },
        }
    }
}

/// Holds a verdict back until it has stood for a moment. In the first half second a dead node
/// looks like several cut links, and a cut direction like a cut link, since the observers do
/// not notice at the same instant. States of links and nodes are shown at once.
#[derive(Default)]
struct Patience {
    /// When what a verdict speaks of was first in trouble, by [`trouble`].
    first_seen: BTreeMap<String, Instant>,
}

/// What a verdict speaks of, whatever is said of it. A cut direction is first taken for a cut
/// link; what is then said of one direction has stood since.
fn trouble(verdict: &Verdict) -> String {
    match (verdict.kind, &verdict.from, &verdict.to) {
        (VerdictKind::LinkDown, Some(from), Some(to)) => {
            format!("link_down:{} {}", from.min(to), from.max(to))
        }
        _ => verdict.id.clone(),
    }
}

impl Patience {
    /// Takes out of the view what has not stood long enough; says when to look again.
    fn hold_back(&mut self, now: Instant, view: &mut PictureView) -> Option<Instant> {
        let seen_before = std::mem::take(&mut self.first_seen);
        let mut look_again: Option<Instant> = None;
        let links = &view.links;
        view.verdicts.retain(|verdict| {
            let trouble = trouble(verdict);
            let first = seen_before.get(&trouble).copied().unwrap_or(now);
            self.first_seen.insert(trouble, first);
            let hold = if is_contradicted(verdict, links) {
                CONTRADICTED
            } else if was_heard(verdict, links) {
                LAST_HEARD
            } else {
                hold(verdict.kind)
            };
            let speaks_at = first + hold;
            if speaks_at > now {
                look_again = Some(look_again.map_or(speaks_at, |at| at.min(speaks_at)));
            }
            speaks_at <= now
        });
        look_again
    }
}

/// Where probes arrive both ways and one end gets its answers, the other has to be without for
/// longer than a link takes to be called up again: two ends that are mended do not notice at the
/// same moment.
const CONTRADICTED: Duration = Duration::from_secs(5);

/// Whether a link that is said to be down is heard at both ends, and answers one of them.
fn is_contradicted(verdict: &Verdict, links: &[LinkView]) -> bool {
    let ends = (verdict.from.as_deref(), verdict.to.as_deref());
    let (Some(from), Some(to)) = ends else {
        return false;
    };
    let of_it = |link: &&LinkView| {
        let ends = (&*link.from, &*link.to);
        ends == (from, to) || ends == (to, from)
    };
    let answers = |link: &LinkView| {
        matches!(
            link.state,
            LinkState::Up | LinkState::Partial | LinkState::Degraded
        )
    };
    verdict.kind == VerdictKind::LinkDown
        && links.iter().filter(of_it).any(answers)
        && links
            .iter()
            .filter(of_it)
            .all(|link| link.heard == Heard::Arriving)
}

/// A dead node's last probes count as heard for so long after its answers are missed. It would be
/// said to run, and the way to it to be blocked.
const LAST_HEARD: Duration = Duration::from_millis(1_500);

/// Whether a node that is said to be down is heard still.
fn was_heard(verdict: &Verdict, links: &[LinkView]) -> bool {
    verdict.kind == VerdictKind::NodeDown
        && links
            .iter()
            .any(|link| *link.to == *verdict.subject && link.heard == Heard::Arriving)
}

/// How long a verdict of this kind has to stand: longer where a larger cause may follow.
fn hold(kind: VerdictKind) -> Duration {
    match kind {
        VerdictKind::LinkDown | VerdictKind::LinkPartial | VerdictKind::Degraded => {
            Duration::from_millis(700)
        }
        VerdictKind::NodeDown => Duration::from_millis(400),
        // The traces of dead flows take a second or two, and tell which end of a stretch it is.
        VerdictKind::PathFault => Duration::from_millis(1_000),
        VerdictKind::SiteCutOff
        | VerdictKind::Isolated
        | VerdictKind::TargetDown
        | VerdictKind::HeartbeatMissing
        | VerdictKind::IdConflict
        | VerdictKind::ClockSkew
        | VerdictKind::HostBusy => Duration::ZERO,
    }
}

/// Waits until an instant, or for ever.
pub async fn wait_until(at: Option<Instant>, clock: Clock) {
    match at {
        Some(at) => tokio::time::sleep_until(clock.deadline(at)).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{FlowCount, LossPair, RttUs};

    fn view(kinds: &[VerdictKind]) -> PictureView {
        let mut view = derive(&Picture::default(), NodeKey(1), Timestamp(0));
        view.verdicts = kinds
            .iter()
            .map(|kind| Verdict {
                id: format!("{kind:?}"),
                kind: *kind,
                subject: "a".into(),
                sentence: String::new(),
                confidence: 1.0,
                evidence: Vec::new(),
                since: Timestamp(0),
                from: None,
                to: None,
                hops: Vec::new(),
                effect: None,
                flows: None,
                links: Vec::new(),
                services: Vec::new(),
            })
            .collect();
        view
    }

    #[test]
    fn a_larger_cause_that_follows_at_once_is_the_only_one_spoken() {
        let mut patience = Patience::default();
        let at = |ms: u64| Instant(0) + Duration::from_millis(ms);
        let spoken = |patience: &mut Patience, ms, kinds: &[VerdictKind]| {
            let mut view = view(kinds);
            let again = patience.hold_back(at(ms), &mut view);
            (
                view.verdicts.iter().map(|v| v.kind).collect::<Vec<_>>(),
                again,
            )
        };
        use VerdictKind::{LinkDown, NodeDown};
        assert_eq!(
            spoken(&mut patience, 0, &[LinkDown]),
            (vec![], Some(at(700)))
        );
        assert_eq!(
            spoken(&mut patience, 200, &[NodeDown]),
            (vec![], Some(at(600)))
        );
        assert_eq!(
            spoken(&mut patience, 600, &[NodeDown]),
            (vec![NodeDown], None)
        );
        // What went away and came back begins anew.
        assert_eq!(
            spoken(&mut patience, 700, &[LinkDown]),
            (vec![], Some(at(1_400)))
        );
        assert_eq!(
            spoken(&mut patience, 1_400, &[LinkDown]),
            (vec![LinkDown], None)
        );
    }

    fn link(from: &str, to: &str, state: LinkState, heard: Heard) -> LinkView {
        LinkView {
            from: from.into(),
            to: to.into(),
            state,
            reason: None,
            round_trip: None,
            transport: None,
            flows: FlowCount { ok: 0, total: 8 },
            loss: LossPair::default(),
            rtt_us: RttUs::default(),
            rtt_baseline_us: None,
            heard,
            since: None,
            via: false,
            detail: None,
        }
    }

    /// After how many milliseconds a link a-b is called down, given what its two ends say.
    fn called_down_after(ends: [(LinkState, Heard); 2]) -> u64 {
        let mut view = view(&[VerdictKind::LinkDown]);
        view.verdicts[0].from = Some("a".into());
        view.verdicts[0].to = Some("b".into());
        let [(there, hears), (back, is_heard)] = ends;
        view.links = vec![
            link("a", "b", there, hears),
            link("b", "a", back, is_heard),
            // Another link has no say.
            link("a", "c", LinkState::Up, Heard::Arriving),
        ];
        let again = Patience::default().hold_back(Instant(0), &mut view);
        again.expect("held back").0 / 1_000
    }

    #[test]
    fn a_cut_direction_that_was_taken_for_a_cut_link_has_stood_since() {
        let mut patience = Patience::default();
        let mut spoken = |ms: u64, id: &str, from: &str, to: &str| {
            let mut view = view(&[VerdictKind::LinkDown]);
            let verdict = &mut view.verdicts[0];
            verdict.id = id.into();
            (verdict.from, verdict.to) = (Some(from.into()), Some(to.into()));
            patience.hold_back(Instant(ms * 1_000), &mut view);
            !view.verdicts.is_empty()
        };
        assert!(!spoken(0, "both ways", "a", "b"));
        assert!(!spoken(500, "one way", "b", "a"));
        assert!(spoken(700, "one way", "b", "a"));
        // Another pair's begins anew.
        assert!(!spoken(800, "one way", "b", "c"));
    }

    #[test]
    fn a_node_that_was_heard_a_moment_ago_waits_to_be_called_down() {
        let spoken_after = |heard| {
            let mut view = view(&[VerdictKind::NodeDown]);
            view.links = vec![link("b", "a", LinkState::Down, heard)];
            let again = Patience::default().hold_back(Instant(0), &mut view);
            again.expect("held back").0 / 1_000
        };
        assert_eq!(spoken_after(Heard::Arriving), 1_500);
        assert_eq!(spoken_after(Heard::Silent), 400);
    }

    #[test]
    fn only_a_link_that_is_heard_at_both_ends_and_answers_one_of_them_waits_to_be_called_down() {
        use Heard::{Arriving, Silent};
        use LinkState::{Down, Up};
        let check = |ends, expected: u64| assert_eq!(called_down_after(ends), expected, "{ends:?}");
        check([(Down, Arriving), (Up, Arriving)], 5_000);
        check([(Up, Arriving), (Down, Arriving)], 5_000);
        check([(Down, Arriving), (Down, Arriving)], 700);
        check([(Down, Arriving), (Up, Silent)], 700);
        check([(Down, Silent), (Up, Arriving)], 700);
        check([(Down, Silent), (Down, Silent)], 700);
    }
}
