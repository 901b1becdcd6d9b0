//! What is replayed is what was shown.

use super::world::{START, World, grid, link, ms, node, verdict};
use crate::figures::Figures;
use andon_model::{FlowCount, LinkState, NodeState, PictureView, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One thing that happens to a view.
#[derive(Debug, Clone)]
enum Event {
    State(usize, u8),
    Flows(usize, u16),
    Figures(usize, u32, u16),
    Detail(usize, u8),
    NodeState(usize, u8),
    Busy(usize, u32, bool),
    Join(u8),
    Leave(usize),
    Verdict(u8, u8),
    Clear(usize),
    Nothing,
}

fn event() -> impl Strategy<Value = Event> {
    let place = 0..1_000usize;
    prop_oneof![
        1 => (place.clone(), 0..4u8).prop_map(|(at, state)| Event::State(at, state)),
        1 => (place.clone(), 0..8u16).prop_map(|(at, ok)| Event::Flows(at, ok)),
        4 => (place.clone(), 1..5_000_000u32, 0..200u16)
            .prop_map(|(at, rtt, loss)| Event::Figures(at, rtt, loss)),
        1 => (place.clone(), any::<u8>()).prop_map(|(at, text)| Event::Detail(at, text)),
        1 => (place.clone(), 0..3u8).prop_map(|(at, state)| Event::NodeState(at, state)),
        1 => (place.clone(), any::<u32>(), any::<bool>())
            .prop_map(|(at, delay, busy)| Event::Busy(at, delay, busy)),
        1 => any::<u8>().prop_map(Event::Join),
        1 => place.clone().prop_map(Event::Leave),
        1 => (0..4u8, any::<u8>()).prop_map(|(which, text)| Event::Verdict(which, text)),
        1 => place.prop_map(Event::Clear),
        1 => Just(Event::Nothing),
    ]
}

fn happen(view: &mut PictureView, event: &Event, at: Timestamp) {
    let links = view.links.len().max(1);
    let nodes = view.nodes.len().max(1);
    match *event {
        Event::State(place, state) => {
            if let Some(link) = view.links.get_mut(place % links) {
                let states = [
                    LinkState::Up,
                    LinkState::Partial,
                    LinkState::Down,
                    LinkState::Unknown,
                ];
                link.state = states[usize::from(state)];
                link.since = Some(at);
            }
        }
        Event::Flows(place, ok) => {
            if let Some(link) = view.links.get_mut(place % links) {
                link.flows = FlowCount { ok, total: 8 };
            }
        }
        Event::Figures(place, rtt, loss) => {
            if let Some(link) = view.links.get_mut(place % links) {
                link.rtt_us.p50 = Some(rtt);
                link.rtt_us.p99 = rtt.checked_mul(3);
                link.loss.forward = (loss < 190).then(|| f32::from(loss) * 0.005);
            }
        }
        Event::Detail(place, text) => {
            if let Some(link) = view.links.get_mut(place % links) {
                link.detail = (text > 9).then(|| format!("HTTP 5{text}").into());
                link.via = text % 2 == 0;
            }
        }
        Event::NodeState(place, state) => {
            if let Some(node) = view.nodes.get_mut(place % nodes) {
                let states = [NodeState::Up, NodeState::Suspect, NodeState::Down];
                node.state = states[usize::from(state)];
                node.since = Some(at);
            }
        }
        Event::Busy(place, delay, busy) => {
            if let Some(host) = view
                .nodes
                .get_mut(place % nodes)
                .and_then(|n| n.host.as_mut())
            {
                host.scheduling_delay_us_p99 = delay;
                host.busy = busy;
            }
        }
        Event::Join(which) => {
            let id = format!("new{which}");
            if view.nodes.iter().all(|node| node.id != id) {
                for other in view.nodes.clone() {
                    view.links.push(link(&id, &other.id));
                    view.links.push(link(&other.id, &id));
                }
                view.nodes.push(node(&id));
            }
        }
        Event::Leave(place) => {
            if view.nodes.len() > 2 {
                let gone = view.nodes.remove(1 + place % (nodes - 1));
                view.links
                    .retain(|link| link.from != *gone.id && link.to != *gone.id);
            }
        }
        Event::Verdict(which, text) => {
            let subject = format!("n{which}");
            let fresh = verdict(&subject, &format!("sentence {text}"));
            match view.verdicts.iter_mut().find(|old| old.id == fresh.id) {
                Some(old) => *old = fresh,
                None => view
                    .verdicts
                    .insert(usize::from(text) % (view.verdicts.len() + 1), fresh),
            }
        }
        Event::Clear(place) => {
            let count = view.verdicts.len();
            if count > 0 {
                view.verdicts.remove(place % count);
            }
        }
        Event::Nothing => {}
    }
    // As the judge puts them.
    view.links
        .sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    view.nodes
        .sort_by(|a, b| (&a.site, &a.id).cmp(&(&b.site, &b.id)));
}

/// The document without its figures.
fn told_at_once(view: &PictureView) -> serde_json::Value {
    let mut view = view.clone();
    view.generated_at = Timestamp(0);
    for link in &mut view.links {
        link.loss = Default::default();
        link.rtt_us = Default::default();
        link.rtt_baseline_us = None;
    }
    for node in &mut view.nodes {
        node.clock_offset_us = None;
        if let Some(host) = &mut node.host {
            host.scheduling_delay_us_p99 = 0;
        }
    }
    serde_json::to_value(view).unwrap()
}

/// Says where documents differ rather than printing both.
fn same(one: &serde_json::Value, other: &serde_json::Value, at: Timestamp) {
    for key in ["digest", "me", "nodes", "links", "verdicts"] {
        let (one, other) = (&one[key], &other[key]);
        let lists = (one.as_array(), other.as_array());
        if let (Some(ones), Some(others)) = lists {
            assert_eq!(ones.len(), others.len(), "{key} at {at}");
            for (one, other) in ones.iter().zip(others) {
                assert_eq!(one, other, "{key} at {at}");
            }
        }
        assert_eq!(one, other, "{key} at {at}");
    }
}

fn check(events: &[(u64, Event)], restarts: bool) {
    let mut world = World::new();
    world.options.segment_span = ms(100_000);
    world.restart();
    let mut view = grid(4);
    happen(&mut view, &Event::Nothing, START);
    let mut shown = Vec::new();
    shown.push((world.show(view.clone()), view.clone()));
    for (index, (wait, event)) in events.iter().enumerate() {
        world.pass(ms(*wait));
        happen(&mut view, event, world.utc);
        shown.push((world.show(view.clone()), view.clone()));
        if restarts && index % 7 == 6 {
            world.keeper.close(world.now);
            world.restart();
        }
    }
    world.pass(ms(1_500));
    let end = world.utc;
    for (index, (at, view)) in shown.iter().enumerate() {
        let until = shown.get(index + 1).map_or(end, |(next, _)| *next);
        for moment in [*at, Timestamp((at.0 + until.0) / 2), Timestamp(until.0 - 1)] {
            if moment < *at {
                continue;
            }
            let replayed = world.reader.picture_at(moment).unwrap();
            assert_eq!(replayed.generated_at, moment);
            same(&told_at_once(&replayed), &told_at_once(view), moment);
            // Figures are ones that the link had within the minute.
            for link in &replayed.links {
                let ours = |view: &PictureView| {
                    let mut links = view.links.iter();
                    links
                        .find(|l| l.from == link.from && l.to == link.to)
                        .map(Figures::of)
                };
                let recent: Vec<Figures> = shown
                    .iter()
                    .enumerate()
                    .filter(|(n, (at, _))| {
                        let over = shown.get(n + 1).map_or(end, |(next, _)| *next);
                        *at <= moment && moment.since(over) <= ms(121_000)
                    })
                    .filter_map(|(_, (_, view))| ours(view))
                    .collect();
                let figures = Figures::of(link);
                assert!(
                    recent.iter().any(|r| r.p50 == figures.p50)
                        && recent.iter().any(|r| r.p99 == figures.p99)
                        && recent.iter().any(|r| r.forward == figures.forward),
                    "{link:?} at {moment} of {recent:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_moment_is_replayed_as_it_was_shown(
        events in proptest::collection::vec((100..20_000u64, event()), 1..40),
    ) {
        check(&events, false);
    }

    #[test]
    fn restarts_lose_nothing_that_was_closed(
        events in proptest::collection::vec((1_100..9_000u64, event()), 8..30),
    ) {
        check(&events, true);
    }
}

#[test]
fn a_minute_tells_the_worst_loss_and_the_last_median() {
    let mut world = World::new();
    let mut view = grid(2);
    world.show(view.clone());
    let mut set = |world: &mut World, p50, loss| {
        view.links[0].rtt_us.p50 = Some(p50);
        view.links[0].loss.forward = Some(loss);
        world.show(view.clone());
    };
    world.pass(ms(61_000));
    set(&mut world, 4096, 0.25);
    world.pass(ms(10_000));
    set(&mut world, 8192, 0.0);
    world.pass(ms(60_000));
    let told = world.reader.picture_at(START + ms(121_000)).unwrap();
    assert_eq!(told.links[0].loss.forward, Some(0.25));
    assert_eq!(told.links[0].rtt_us.p50, Some(8192));
    world.pass(ms(60_000));
    let told = world.reader.picture_at(START + ms(181_000)).unwrap();
    assert_eq!(told.links[0].loss.forward, Some(0.0));
}

#[test]
fn order_of_links_and_nodes_is_that_of_the_view() {
    let mut world = World::new();
    let mut view = grid(7);
    happen(&mut view, &Event::Nothing, START);
    world.show(view.clone());
    world.pass(ms(2_000));
    let told = world.reader.picture_at(world.utc).unwrap();
    let names = |view: &PictureView| -> BTreeMap<usize, (String, String)> {
        let pairs = view
            .links
            .iter()
            .map(|l| (l.from.to_string(), l.to.to_string()));
        pairs.enumerate().collect()
    };
    assert_eq!(names(&told), names(&view));
}
