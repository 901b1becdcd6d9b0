use super::*;

fn at(seconds: u64) -> Moment {
    Moment {
        now: Instant(seconds * 1_000_000),
        utc: Timestamp(seconds as i64 * 1_000_000),
    }
}

fn gridbug(seeds: &[&str]) -> GridBug {
    let config = Config {
        key: "k".into(),
        id: "andon".into(),
        host: Some("me:8777".into()),
        build: "0.1.0".into(),
        seeds: seeds.iter().map(ToString::to_string).collect(),
        poll: Duration::from_secs(10),
    };
    GridBug::new(at(0), config, 7)
}

fn view_of(id: &str, host: &str, entries: &[(&str, &str, Option<bool>)]) -> Reading {
    let entry = |(host, id, alive): &(&str, &str, Option<bool>)| Entry {
        host: (*host).into(),
        id: (*id).into(),
        alive: *alive,
    };
    let document = Document {
        version: 1,
        gridbugs: entries.iter().map(entry).collect(),
        node_id: id.into(),
        node_role: "node".into(),
        node_build: "0.1.0".into(),
        node_host: host.into(),
    };
    Reading {
        document,
        passed_over: 0,
    }
}

const SILENT: Polled = Polled {
    ping_us: None,
    posted: None,
    bugs: None,
};

fn answer(bugs: Reading) -> Polled {
    Polled {
        ping_us: Some(900),
        posted: Some(true),
        bugs: Some(bugs),
    }
}

fn hosts(gridbug: &GridBug) -> Vec<String> {
    gridbug.view().into_iter().map(|bug| bug.host).collect()
}

#[test]
fn bugs_are_learned_from_both_ways_and_we_are_none_of_them() {
    let mut gridbug = gridbug(&["a:1", "no host"]);
    assert_eq!(gridbug.counters().entries_passed_over, 1);
    let view = view_of(
        "A",
        "a:1",
        &[
            ("b:1", "B", Some(true)),
            ("me:8777", "andon", None),
            ("x:1", "andon", None),
        ],
    );
    assert!(gridbug.handle(at(1), "a:1", answer(view)));
    assert_eq!(hosts(&gridbug), ["a:1", "b:1"]);
    assert!(gridbug.posted(at(2), view_of("C", "c:1", &[("d:1", "D", None)])));
    assert_eq!(hosts(&gridbug), ["a:1", "b:1", "c:1", "d:1"]);
    let first = &gridbug.view()[0];
    assert_eq!(
        (first.id.as_str(), first.alive, first.sees.get("B")),
        ("A", Some(true), Some(&Some(true)))
    );
}

#[test]
fn a_bug_of_unknown_id_is_not_told_to_others() {
    let mut gridbug = gridbug(&["a:1"]);
    assert_eq!(gridbug.document().gridbugs.len(), 1, "ourselves alone");
    gridbug.posted(at(1), view_of("B", "b:1", &[("a:1", "A", None)]));
    let told: Vec<_> = gridbug
        .document()
        .gridbugs
        .into_iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(told, ["andon", "A", "B"]);
}

#[test]
fn a_bug_known_by_name_and_by_address_is_one_bug() {
    let mut gridbug = gridbug(&["name:1"]);
    gridbug.posted(at(1), view_of("A", "10.0.0.1:1", &[]));
    assert_eq!(hosts(&gridbug), ["10.0.0.1:1", "name:1"]);
    gridbug.handle(at(2), "name:1", answer(view_of("A", "10.0.0.1:1", &[])));
    assert_eq!(hosts(&gridbug), ["name:1"]);
    gridbug.posted(at(3), view_of("A", "10.0.0.1:1", &[]));
    assert_eq!(hosts(&gridbug), ["name:1"]);
    gridbug.handle(at(4), "name:1", SILENT);
    gridbug.handle(at(4), "name:1", SILENT);
    gridbug.posted(at(5), view_of("A", "10.0.0.2:1", &[]));
    assert_eq!(hosts(&gridbug), ["10.0.0.2:1", "name:1"], "it moved");
}

#[test]
fn polls_run_beside_each_other_and_a_silent_bug_delays_none() {
    let mut gridbug = gridbug(&["a:1", "b:1", "c:1"]);
    gridbug.wake(at(2));
    let polled: Vec<_> = std::iter::from_fn(|| gridbug.poll()).collect();
    assert_eq!(polled.len(), 3);
    // a never comes back; b and c keep their pace.
    for second in 2..62 {
        gridbug.handle(at(second), "b:1", answer(view_of("B", "b:1", &[])));
        gridbug.handle(at(second), "c:1", answer(view_of("C", "c:1", &[])));
        gridbug.wake(at(second));
    }
    while gridbug.poll().is_some() {}
    assert!(gridbug.next_wake().is_some_and(|wake| wake <= at(73).now));
    assert_eq!(gridbug.view()[0].alive, None);
}

#[test]
fn one_lost_ping_is_no_outage_and_is_soon_followed_by_another() {
    let mut gridbug = gridbug(&["a:1"]);
    gridbug.handle(at(1), "a:1", answer(view_of("A", "a:1", &[])));
    assert!(!gridbug.handle(at(11), "a:1", SILENT));
    assert!(gridbug.next_wake().is_some_and(|wake| wake <= at(13).now));
    assert!(gridbug.handle(at(12), "a:1", SILENT));
    let bug = &gridbug.view()[0];
    assert_eq!((bug.alive, bug.since), (Some(false), at(12).utc));
    assert!(gridbug.next_wake().is_some_and(|wake| wake > at(20).now));
}

#[test]
fn the_silent_are_forgotten_seeds_never_and_rumours_revive_none() {
    let mut gridbug = gridbug(&["a:1"]);
    gridbug.handle(
        at(1),
        "a:1",
        answer(view_of("A", "a:1", &[("b:1", "B", Some(true))])),
    );
    gridbug.handle(at(700), "a:1", SILENT);
    assert_eq!(hosts(&gridbug), ["a:1"]);
    assert!(gridbug.view()[0].sees.is_empty());
    let mention = |alive| answer(view_of("A", "a:1", &[("b:1", "B", alive)]));
    gridbug.handle(at(710), "a:1", mention(Some(false)));
    assert_eq!(hosts(&gridbug), ["a:1"]);
    gridbug.handle(at(720), "a:1", mention(Some(true)));
    assert_eq!(hosts(&gridbug), ["a:1", "b:1"]);
}

#[test]
fn a_hostile_grid_fills_nothing_beyond_its_bounds() {
    let mut gridbug = gridbug(&["a:1"]);
    for round in 0..20 {
        let names: Vec<_> = (0..BUGS_MAX)
            .map(|n| (format!("h{round}-{n}:1"), format!("i{round}-{n}")))
            .collect();
        let entries: Vec<_> = names
            .iter()
            .map(|(host, id)| (host.as_str(), id.as_str(), Some(true)))
            .collect();
        gridbug.posted(
            at(round),
            view_of(&format!("P{round}"), &format!("p{round}:1"), &entries),
        );
    }
    assert_eq!(gridbug.view().len(), BUGS_MAX);
    assert!(gridbug.counters().bugs_refused >= 18 * BUGS_MAX as u64);
    assert!(
        gridbug
            .view()
            .iter()
            .map(|bug| bug.sees.len())
            .sum::<usize>()
            <= SEEN_MAX
    );
    gridbug.wake(at(100));
    assert_eq!(std::iter::from_fn(|| gridbug.poll()).count(), POLLS_MAX);
}
