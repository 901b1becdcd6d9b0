use super::*;
use andon_model::view::{LinkView, Name, NodeKind, NodeView};
use andon_model::{
    FlowCount, FlowHits, Heard, LinkState, LossPair, NodeState, PathEffect, RttUs, SiteId,
    Timestamp,
};
use std::path::Path;

fn scenario(expected: &str) -> Scenario {
    let text = format!(
        r#"
[[node]]
id = "a"
site = "east"
[[node]]
id = "b"
site = "west"
[[router]]
name = "r1"
[[router]]
name = "r2"
[[wire]]
ends = ["a", "r1", "r2", "b"]
[[fault]]
name = "hole"
kind = "blackhole"
at = "r1"
[[step]]
at = "0s"
on = "hole"
{expected}
"#
    );
    Scenario::parse(Path::new("try.toml"), &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn verdict(kind: VerdictKind, hops: &[&str]) -> Verdict {
    Verdict {
        id: "x".into(),
        kind,
        subject: "a→b".into(),
        sentence: "it is so".into(),
        confidence: 0.9,
        evidence: Vec::new(),
        since: Timestamp::default(),
        from: Some("a".into()),
        to: Some("b".into()),
        hops: hops.iter().map(|hop| (*hop).to_owned()).collect(),
        effect: Some(PathEffect::Blackhole),
        flows: Some(FlowHits {
            failed: 4,
            total: 8,
        }),
        links: Vec::new(),
        services: Vec::new(),
    }
}

fn picture(me: &str, state: LinkState, verdicts: Vec<Verdict>) -> PictureView {
    let node = |id: &str, site: &str| NodeView {
        id: id.into(),
        key: None,
        site: Some(SiteId::new(site).unwrap()),
        kind: NodeKind::Andon,
        state: NodeState::Up,
        since: None,
        addresses: Vec::new(),
        labels: BTreeMap::new(),
        version: None,
        started_at: None,
        reach: None,
        host: None,
        clock_offset_us: None,
        fingerprint: None,
        position: None,
    };
    let link = |from: &str, to: &str| LinkView {
        from: Name::from(from),
        to: Name::from(to),
        state,
        reason: None,
        round_trip: None,
        transport: None,
        flows: FlowCount::default(),
        loss: LossPair::default(),
        rtt_us: RttUs::default(),
        rtt_baseline_us: None,
        heard: Heard::NotExpected,
        since: None,
        via: false,
        detail: None,
    };
    PictureView {
        digest: andon_model::PictureDigest::default(),
        generated_at: Timestamp::default(),
        me: me.into(),
        nodes: vec![node("a", "east"), node("b", "west")],
        links: vec![link("a", "b"), link("b", "a")],
        verdicts,
    }
}

/// Tells both nodes' verdict at 1 s and 3 s after the fault at 0.5 s, and returns what the
/// judge made of one expectation.
fn judged(expected: &str, verdict: &Verdict) -> Outcome {
    let scenario = scenario(&format!("[[expect]]\nafter = \"hole on\"\n{expected}"));
    let layout = Layout::plan(&scenario);
    let mut judge = Judge::new(&scenario, &layout);
    judge.happened(Duration::ZERO, Moment::Start);
    judge.happened(s(0.5), Moment::On(0));
    judge.picture(
        s(1.0),
        0,
        picture("a", LinkState::Partial, vec![verdict.clone()]),
    );
    judge.picture(s(1.1), 1, picture("b", LinkState::Up, Vec::new()));
    judge.picture(
        s(3.0),
        1,
        picture("b", LinkState::Partial, vec![verdict.clone()]),
    );
    judge.outcomes(s(4.0)).remove(0)
}

fn check(expected: &str, verdict: &Verdict, right: bool) {
    let outcome = judged(expected, verdict);
    assert_eq!(outcome.wrong.is_none(), right, "{expected}: {outcome:?}");
}

#[test]
fn time_counts_from_the_fault_until_the_last_node_says_it() {
    let fault = verdict(VerdictKind::PathFault, &["10.0.1.2"]);
    let outcome = judged("verdict = \"path_fault\"\nwithin = \"5s\"", &fault);
    assert_eq!(outcome.first, Some(s(0.5)));
    assert_eq!(outcome.met, Some(s(2.5)));
    assert_eq!(outcome.wrong, None);
    let late = judged("verdict = \"path_fault\"\nwithin = \"2s\"", &fault);
    assert!(late.wrong.unwrap().starts_with("took 2.5 s"));
    let one = judged(
        "verdict = \"path_fault\"\non = \"a\"\nwithin = \"2s\"",
        &fault,
    );
    assert_eq!(one.met, Some(s(0.5)));
}

#[test]
fn hops_are_held_against_the_routers_that_have_them() {
    // Wires are a-r1 10.0.1.0, r1-r2 10.0.2.0, r2-b 10.0.3.0; the first end has .1.
    let pair = verdict(VerdictKind::PathFault, &["10.0.1.2", "10.0.2.2"]);
    let within = "within = \"5s\"\nverdict = \"path_fault\"\n";
    check(&format!("{within}hops = \"r1\""), &pair, true);
    check(&format!("{within}hops = [\"r1\", \"r2\"]"), &pair, true);
    check(&format!("{within}among = [\"r1\", \"r2\"]"), &pair, true);
    check(&format!("{within}among = \"r1\""), &pair, false);
    let stranger = verdict(VerdictKind::PathFault, &["10.0.1.2", "192.0.2.1"]);
    check(
        &format!("{within}among = [\"r1\", \"r2\"]"),
        &stranger,
        false,
    );
    check(&format!("{within}hops = \"r2\""), &stranger, false);
}

#[test]
fn every_word_of_a_pattern_counts() {
    let fault = verdict(VerdictKind::PathFault, &[]);
    let within = "within = \"5s\"\nverdict = \"path_fault\"\n";
    for (more, right) in [
        ("from = \"a\"\nto = \"b\"", true),
        ("from = \"east\"\nto = \"west\"", true),
        ("from = \"b\"", false),
        ("effect = \"blackhole\"", true),
        ("effect = \"mtu\"", false),
        ("failed = \"0.4..0.6\"", true),
        ("failed = \"0.6..1\"", false),
        ("subject = \"a→b\"", true),
        ("subject = \"b\"", false),
    ] {
        check(&format!("{within}{more}"), &fault, right);
    }
    check("verdict = \"node_down\"\nwithin = \"5s\"", &fault, false);
    check("link = \"partial\"\nwithin = \"5s\"", &fault, true);
    check("link = \"down\"\nwithin = \"5s\"", &fault, false);
    check("clear = true\nwithin = \"5s\"", &fault, false);
}

#[test]
fn what_must_never_be_said_is_heard_once_said() {
    let rules = "[[never]]\nverdict = \"path_fault\"\noutside = \"r1\"\n[[never]]\nverdict = \"node_down\"\n";
    let scenario = scenario(rules);
    let layout = Layout::plan(&scenario);
    let mut judge = Judge::new(&scenario, &layout);
    let wrong = verdict(VerdictKind::PathFault, &["10.0.3.1"]);
    let well = verdict(VerdictKind::PathFault, &["10.0.2.1"]);
    judge.picture(s(0.0), 0, picture("a", LinkState::Up, vec![wrong.clone()]));
    judge.happened(Duration::ZERO, Moment::Start);
    judge.picture(s(1.0), 0, picture("a", LinkState::Up, vec![well]));
    assert_eq!(judge.violations(), []);
    judge.picture(s(2.0), 1, picture("b", LinkState::Up, vec![wrong]));
    judge.picture(s(3.0), 1, picture("b", LinkState::Up, Vec::new()));
    let violations = judge.violations();
    assert_eq!(violations.len(), 1);
    assert_eq!(
        (violations[0].at_s, violations[0].node.as_str()),
        (2.0, "b")
    );
}

#[test]
fn a_guess_that_calls_itself_one_may_err() {
    for (sure, count) in [("0.9", 1), ("0.95", 0)] {
        let rule = format!("[[never]]\nverdict = \"path_fault\"\nsure = {sure}\n");
        let scenario = scenario(&rule);
        let layout = Layout::plan(&scenario);
        let mut judge = Judge::new(&scenario, &layout);
        judge.happened(Duration::ZERO, Moment::Start);
        let said = verdict(VerdictKind::PathFault, &[]);
        judge.picture(s(1.0), 0, picture("a", LinkState::Up, vec![said]));
        assert_eq!(judge.violations().len(), count, "{sure}");
    }
}

#[test]
fn a_node_that_cannot_speak_is_not_waited_for() {
    let scenario =
        scenario("[[expect]]\nafter = \"hole on\"\nverdict = \"node_down\"\nwithin = \"5s\"\n");
    let layout = Layout::plan(&scenario);
    let mut judge = Judge::new(&scenario, &layout);
    judge.happened(Duration::ZERO, Moment::On(0));
    let down = verdict(VerdictKind::NodeDown, &[]);
    judge.picture(s(1.0), 0, picture("a", LinkState::Up, vec![down]));
    assert_eq!(judge.outcomes(s(9.0))[0].met, None);
    assert_eq!(
        judge.outcomes(s(9.0))[0].wrong.as_deref(),
        Some("not said by b")
    );
    judge.silenced(s(2.0), [1]);
    assert_eq!(judge.outcomes(s(9.0))[0].met, Some(s(2.0)));
}

#[test]
fn a_verdict_that_comes_and_goes_is_not_steady() {
    let stood = |steady: &str| {
        let expected = format!(
            "[[expect]]\nafter = \"hole on\"\nverdict = \"node_down\"\nwithin = \"5s\"\non = \"a\"\n{steady}"
        );
        let scenario = scenario(&expected);
        let layout = Layout::plan(&scenario);
        let mut judge = Judge::new(&scenario, &layout);
        judge.happened(Duration::ZERO, Moment::On(0));
        let down = verdict(VerdictKind::NodeDown, &[]);
        for (at, says) in [(1.0, true), (2.0, false), (4.0, true), (5.0, false)] {
            let verdicts = if says { vec![down.clone()] } else { Vec::new() };
            judge.picture(s(at), 0, picture("a", LinkState::Up, verdicts));
        }
        judge.outcomes(s(9.0)).remove(0)
    };
    let outcome = stood("");
    assert_eq!((outcome.stood, outcome.wrong), (Some(0.25), None));
    let wrong = stood("steady = 0.5\n").wrong.unwrap();
    assert_eq!(wrong, "stood only 25 % of the time after that");
}

#[test]
fn a_set_without_the_guilty_one_is_told_from_one_that_is_too_large() {
    for (hops, count) in [(&["10.0.2.2"][..], 1), (&["10.0.2.2", "10.0.2.1"][..], 0)] {
        let scenario = scenario("[[never]]\nverdict = \"path_fault\"\nwithout = \"r1\"\n");
        let layout = Layout::plan(&scenario);
        let mut judge = Judge::new(&scenario, &layout);
        judge.happened(Duration::ZERO, Moment::Start);
        let said = verdict(VerdictKind::PathFault, hops);
        judge.picture(s(1.0), 0, picture("a", LinkState::Up, vec![said]));
        assert_eq!(judge.violations().len(), count, "{hops:?}");
    }
}

/// An incident by this name, which was also known by these.
fn incident(id: &str, aliases: &[&str]) -> Incident {
    let document = serde_json::json!({
        "id": id, "aliases": aliases, "state": "open", "severity": "major", "title": "", "cause": "",
        "opened_at": "2026-01-01T00:00:00Z", "resolved_at": null, "acknowledged_by": null, "owner": null,
        "reopened": 0, "verdicts": [], "timeline": [], "status_page": "",
        "blast_radius": { "nodes": [], "sites": [], "links": [], "links_total": 0, "services": [],
            "flows": null, "share": null },
    });
    serde_json::from_value(document).unwrap()
}

#[test]
fn incidents_that_nodes_have_united_are_one() {
    let scenario = scenario("[[expect]]\nafter = \"hole on\"\nincidents = 1\nwithin = \"5s\"\n");
    let layout = Layout::plan(&scenario);
    let mut judge = Judge::new(&scenario, &layout);
    judge.happened(Duration::ZERO, Moment::Start);
    judge.happened(Duration::ZERO, Moment::On(0));
    judge.incidents(s(1.0), 0, &[incident("inc-1", &[])]);
    judge.incidents(s(1.1), 1, &[incident("inc-2", &[])]);
    let two = judge.outcomes(s(9.0)).remove(0);
    assert_eq!(two.wrong.as_deref(), Some("2 incidents: inc-1, inc-2"));
    judge.incidents(s(2.0), 1, &[incident("inc-1", &["inc-2"])]);
    let one = judge.outcomes(s(9.0)).remove(0);
    assert_eq!((one.met, one.wrong), (Some(s(2.0)), None));
    judge.incidents(
        s(3.0),
        0,
        &[incident("inc-1", &["inc-2"]), incident("inc-3", &[])],
    );
    assert_eq!(judge.outcomes(s(9.0))[0].met, None);
}
