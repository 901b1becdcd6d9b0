//! Path blame on simulated fabrics and WANs: a few seeds of what `examples/fabric.rs` prints.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod world;

use world::probes::EYES;
use world::score::{Score, Shape, world as judged};

fn worlds(shape: Shape, seeds: std::ops::Range<u64>) -> Score {
    let mut all = Score::default();
    for seed in seeds {
        all.add(judged(seed, shape, EYES, Some((seed % 4) as usize)));
    }
    all
}

#[track_caller]
fn check(score: &Score) {
    let notes = score.notes.join("\n");
    assert!(score.faults - score.faint > 0);
    assert!(
        score.named_share() >= 0.95,
        "{:.3} named\n{notes}",
        score.named_share()
    );
    assert!(
        score.narrow_share() >= 0.9,
        "{:.3} narrow\n{notes}",
        score.narrow_share()
    );
    assert!(
        score.wrong_share() <= 0.01,
        "{:.3} wrong\n{notes}",
        score.wrong_share()
    );
}

#[test]
fn what_is_broken_in_a_fat_tree_is_named_and_nothing_else() {
    check(&worlds(Shape::FatTree, 0..8));
}

#[test]
fn what_is_broken_in_a_wan_is_named_and_nothing_else() {
    check(&worlds(Shape::Wan, 80..130));
}

#[test]
fn healthy_networks_with_silent_routers_and_stray_losses_are_blamed_for_nothing() {
    for seed in (0..40).step_by(4) {
        let score = judged(seed, Shape::Wan, EYES, Some(0));
        assert_eq!(score.verdicts, 0, "{:?}", score.notes);
        assert!(score.others.is_empty(), "{:?}", score.others);
    }
}
