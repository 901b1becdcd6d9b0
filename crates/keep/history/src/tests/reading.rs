//! What changed, and a link's minutes.

use super::world::{START, World, down, grid, link_mut, ms, node, s, verdict};
use crate::{ChangeKind, POINTS_MAX};
use andon_model::{
    BlastRadius, Incident, IncidentState, LinkState, NodeState, Severity, Timestamp,
};
use std::sync::Arc;

fn incident(state: IncidentState, opened_at: Timestamp) -> Incident {
    Incident {
        id: "inc-1".into(),
        aliases: Vec::new(),
        state,
        severity: Severity::Major,
        title: "n001 is down".into(),
        cause: "node_down:n001".into(),
        opened_at,
        resolved_at: None,
        acknowledged_by: None,
        owner: None,
        reopened: 0,
        verdicts: Vec::new(),
        blast_radius: BlastRadius::default(),
        timeline: Vec::new(),
        status_page: String::new(),
    }
}

#[test]
fn changes_are_told_once_in_words_and_the_same_from_open_and_sealed_segments() {
    let mut world = World::new();
    let mut view = grid(3);
    // In the first seconds it learns how things are.
    down(&mut view, "n002", "n001", world.utc);
    world.show(view.clone());
    world.pass(s(5));
    let mut view = grid(3);
    world.show(view.clone());
    world.pass(s(15));
    down(&mut view, "n000", "n001", world.utc);
    view.verdicts = vec![verdict("n000→n001", "n000 cannot reach n001")];
    world.show(view.clone());
    world.incidents = Arc::new(vec![incident(IncidentState::Open, world.utc)]);
    world.pass(s(5));
    view.nodes[1].state = NodeState::Down;
    // Nobody can tell of its links any more: that is no news.
    link_mut(&mut view, "n001", "n000").state = LinkState::Unknown;
    world.show(view.clone());
    world.pass(s(5));
    let mut fresh = grid(3);
    let mut joined = node("n009");
    joined.started_at = Some(world.utc - s(3));
    fresh.nodes.push(joined);
    world.show(fresh);
    world.incidents = Arc::new(vec![incident(IncidentState::Resolved, START)]);
    world.pass(s(5));
    let told = |world: &World| world.reader.changes(START, world.utc, 100).unwrap();
    let open = told(&world);
    let lines: Vec<String> = open
        .iter()
        .map(|change| format!("{:?} {}: {}", change.kind, change.subject, change.text))
        .collect();
    assert_eq!(
        lines,
        [
            "LinkState n000→n001: n000 → n001 is down",
            "VerdictOpened n000→n001: n000 cannot reach n001",
            "Incident inc-1: n001 is down",
            "NodeState n001: n001 is down, was up",
            "NodeState n001: n001 is up, was down",
            "NodeState n009: n009 joined, up",
            "LinkState n000→n001: n000 → n001 is up",
            "VerdictCleared n000→n001: over: n000 cannot reach n001",
            "Incident inc-1: resolved: n001 is down",
        ]
    );
    world.pass(s(3700));
    assert!(world.files().contains(&"0000000000.seal".to_owned()));
    assert_eq!(told(&world), open);
    // Restarts are no news of the grid.
    world.keeper.close(world.now);
    world.restart();
    world.pass(s(5));
    assert_eq!(told(&world), open);
    // The newest where there are more than asked for; the bounds include.
    let last = world.reader.changes(START, world.utc, 2).unwrap();
    assert_eq!(last, open[open.len() - 2..]);
    let first = world.reader.changes(START, open[0].at, 100).unwrap();
    assert_eq!(first.len(), 2);
    assert!(
        world
            .reader
            .changes(world.utc, START, 100)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn an_incident_that_stood_before_the_start_is_no_news() {
    let mut world = World::new();
    world.incidents = Arc::new(vec![incident(IncidentState::Open, START)]);
    world.show(grid(3));
    world.pass(s(5));
    world.incidents = Arc::new(vec![incident(IncidentState::Mitigated, START)]);
    world.pass(s(5));
    let changes = world.reader.changes(START, world.utc, 100).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].kind, ChangeKind::Incident);
    assert_eq!(changes[0].state.as_deref(), Some("mitigated"));
}

#[test]
fn a_links_minutes_tell_its_worst_states_and_figures() {
    let mut world = World::new();
    let mut view = grid(3);
    world.show(view.clone());
    world.pass(s(130));
    // Ten bad seconds in the third minute.
    let fell = world.utc;
    down(&mut view, "n000", "n001", world.utc);
    link_mut(&mut view, "n000", "n001").loss.forward = Some(1.0);
    world.show(view.clone());
    world.pass(s(10));
    world.show(grid(3));
    world.pass(s(300));
    let series = world.reader.link("n000", "n001", START, world.utc).unwrap();
    assert_eq!(series.step_s, 60);
    let states: Vec<LinkState> = series.points.iter().map(|point| point.state).collect();
    use LinkState::{Down, Up};
    assert_eq!(states, [Up, Up, Down, Up, Up, Up, Up, Up]);
    let losses: Vec<Option<f32>> = series.points.iter().map(|p| p.loss_forward).collect();
    let none = Some(0.0);
    assert_eq!(
        losses,
        [none, none, Some(1.0), none, none, none, none, none]
    );
    assert_eq!(series.points[2].flows_ok, 0);
    assert_eq!(series.points[3].rtt_us_p50, Some(1024));
    assert!(
        series
            .points
            .iter()
            .all(|point| point.at.0 % 60_000_000 == 0)
    );
    let part = world.reader.link("n000", "n001", fell, fell).unwrap();
    assert_eq!(part.points.len(), 1);
    assert_eq!(part.points[0].state, Down);
    assert!(
        world
            .reader
            .link("n000", "nobody", START, world.utc)
            .unwrap()
            .points
            .is_empty()
    );
}

#[test]
fn wide_and_absurd_spans_have_wide_steps_and_few_points() {
    let mut world = World::new();
    world.options.segment_span = s(3600);
    world.restart();
    world.show(grid(2));
    world.pass(s(30 * 3600));
    for (since, until) in [
        (START, world.utc),
        (Timestamp(i64::MIN), Timestamp(i64::MAX)),
        (Timestamp(0), Timestamp(i64::MAX)),
    ] {
        let series = world.reader.link("n000", "n001", since, until).unwrap();
        assert!(series.points.len() <= POINTS_MAX && series.points.len() >= POINTS_MAX / 2);
        assert_eq!(series.step_s, 120);
        world.reader.changes(since, until, usize::MAX).unwrap();
        let _ = world.reader.picture_at(since);
        let _ = world.reader.picture_at(until);
    }
    let backwards = world.reader.link("n000", "n001", world.utc, START).unwrap();
    assert!(backwards.points.is_empty());
}

#[test]
fn playing_forward_and_back_shows_the_same() {
    let mut world = World::new();
    let mut view = grid(3);
    world.show(view.clone());
    let mut moments = Vec::new();
    for round in 0..50u16 {
        view.links[usize::from(round) % 6].flows.ok = round % 8;
        moments.push((world.show(view.clone()), view.links.clone()));
        world.pass(ms(700));
    }
    world.pass(s(2));
    let check = |(at, links): &(Timestamp, Vec<andon_model::LinkView>)| {
        let told = world.reader.picture_at(*at).unwrap();
        let flows = |links: &[andon_model::LinkView]| -> Vec<_> {
            links.iter().map(|link| link.flows).collect()
        };
        assert_eq!(flows(&told.links), flows(links));
    };
    moments.iter().for_each(check);
    moments.iter().rev().for_each(check);
    moments
        .iter()
        .step_by(7)
        .chain(moments.iter().step_by(3))
        .for_each(check);
}
