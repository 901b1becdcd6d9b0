//! What people can rely on: one trouble is one incident, everywhere, with a beginning and an end.

#![allow(clippy::unwrap_used)]

use andon_learn::{Incidents, Input, Now, Output, RemarkError, Saved};
use andon_model::{
    Evidence, Incident, IncidentClaim, IncidentState, Instant, PictureView, Remark, RemarkKind,
    Severity, TimelineKind, Timestamp, Verdict, VerdictKind,
};
use std::sync::Arc;

/// Start of simulated time, seconds UTC: 50 s into a stretch of names.
const START: i64 = 1_800_000_050;

/// A view of six nodes in three sites with these verdicts; `down` nodes are not reached.
fn view(verdicts: Vec<Verdict>, down: &[&str]) -> Arc<PictureView> {
    let nodes: Vec<_> = ["a-1", "a-2", "b-1", "b-2", "c-1", "c-2"]
        .iter()
        .map(|id| {
            let state = if down.contains(id) { "down" } else { "up" };
            serde_json::json!({
                "id": id, "key": null, "site": &id[..1], "kind": "andon", "state": state,
                "since": null, "addresses": [], "labels": {}, "version": null, "started_at": null,
                "reach": null, "host": null, "clock_offset_us": null, "fingerprint": null,
                "position": null,
            })
        })
        .collect();
    let mut view: PictureView = serde_json::from_value(serde_json::json!({
        "digest": "0", "generated_at": "2027-01-15T08:00:00Z", "me": "a-1",
        "nodes": nodes, "links": [], "verdicts": [],
    }))
    .unwrap();
    view.verdicts = verdicts;
    Arc::new(view)
}

fn verdict(kind: VerdictKind, subject: &str, since_s: f64) -> Verdict {
    let since = Timestamp(((START as f64 + since_s) * 1e6) as i64);
    let name = serde_json::to_value(kind).unwrap();
    let ends = subject.split_once('→');
    Verdict {
        id: format!("{}:{subject}", name.as_str().unwrap()),
        kind,
        subject: subject.to_owned(),
        sentence: format!("{subject} is in trouble. More of it."),
        confidence: 0.9,
        evidence: vec![Evidence {
            observer: "a-1".into(),
            observation: format!("gets no answer from {subject}"),
            supports: true,
            since: Some(since),
        }],
        since,
        from: ends.map(|(from, _)| from.to_owned()),
        to: ends.map(|(_, to)| to.to_owned()),
        hops: Vec::new(),
        effect: None,
        flows: None,
        links: Vec::new(),
        services: Vec::new(),
    }
}

/// One node's incidents in simulated time.
struct Node {
    core: Incidents,
    at: f64,
    claims: Vec<IncidentClaim>,
    remarks: Vec<Remark>,
    told: usize,
}

impl Node {
    fn new(id: &str) -> Self {
        Self::going_on(id, Saved::default())
    }

    fn going_on(id: &str, saved: Saved) -> Self {
        Self {
            core: Incidents::new(id.to_owned(), saved),
            at: 0.0,
            claims: Vec::new(),
            remarks: Vec::new(),
            heartbeats: Vec::new(),
            told: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            at: Instant((self.at * 1e6) as u64),
            utc: Timestamp(((START as f64 + self.at) * 1e6) as i64),
        }
    }

    fn sees(&mut self, view: &Arc<PictureView>) {
        self.core.handle(self.now(), Input::View(view.clone()));
        self.drain();
    }

    fn hears(&mut self, others: &[&Node], names: &[&str]) {
        let claims = others.iter().zip(names).flat_map(|(node, name)| {
            node.claims
                .iter()
                .map(|claim| ((*name).to_owned(), claim.clone()))
        });
        let remarks = others.iter().zip(names).flat_map(|(node, name)| {
            node.remarks
                .iter()
                .map(|remark| ((*name).to_owned(), remark.clone()))
        });
        let input = Input::Grid {
            claims: claims.collect(),
            remarks: remarks.collect(),
        };
        self.core.handle(self.now(), input);
        self.drain();
    }

    /// Wakes it when it wants to be woken, until `at` seconds.
    fn until(&mut self, at: f64) {
        for _ in 0..10_000 {
            let due = self.core.next_wake().map(|due| due.0 as f64 / 1e6);
            match due.filter(|due| *due <= at) {
                Some(due) => {
                    self.at = self.at.max(due);
                    self.core.wake(self.now());
                    self.drain();
                    if self
                        .core
                        .next_wake()
                        .is_some_and(|next| next.0 as f64 / 1e6 <= due)
                    {
                        self.at += 0.001;
                    }
                }
                None => break,
            }
        }
        self.at = at;
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Incidents(_) => self.told += 1,
                Output::Publish { claims, remarks } => {
                    (self.claims, self.remarks) = (claims, remarks);
                }
                Output::Save => {}
            }
        }
    }

    fn only(&self) -> Incident {
        let mut all = self.core.view();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }
}

#[test]
fn a_fault_opens_an_incident_that_ends_by_itself() {
    let mut node = Node::new("a-1");
    node.sees(&view(
        vec![verdict(VerdictKind::NodeDown, "b-1", -1.0)],
        &["b-1"],
    ));
    assert!(
        node.core.view().is_empty(),
        "it may be part of something larger"
    );
    node.until(1.2);
    let open = node.only();
    assert_eq!(
        (open.state, open.severity),
        (IncidentState::Open, Severity::Critical)
    );
    assert_eq!(open.title, "b-1 is down");
    assert_eq!(open.timeline[0].kind, TimelineKind::FirstSymptom);
    assert_eq!(open.timeline[1].kind, TimelineKind::Verdict);
    assert!(open.timeline[1].text.contains("confidence 90 %"));
    assert_eq!(open.blast_radius.nodes, ["b-1"]);
    assert!(!open.status_page.contains("b-1"), "{}", open.status_page);

    node.sees(&view(vec![], &[]));
    node.until(3.0);
    assert_eq!(node.only().state, IncidentState::Open, "it may blink");
    node.until(5.0);
    assert_eq!(node.only().state, IncidentState::Mitigated);
    node.until(62.0);
    let over = node.only();
    assert_eq!(over.state, IncidentState::Resolved);
    assert!(over.resolved_at.is_some());
}

#[test]
fn what_passes_before_it_settles_opens_nothing() {
    let mut node = Node::new("a-1");
    node.sees(&view(
        vec![verdict(VerdictKind::Degraded, "a-1→b-1", 0.0)],
        &[],
    ));
    node.until(4.0);
    node.sees(&view(vec![], &[]));
    node.until(100.0);
    assert!(node.core.view().is_empty());
}

#[test]
fn a_dead_switch_under_many_links_is_one_incident() {
    let mut node = Node::new("a-1");
    let mut links: Vec<Verdict> = Vec::new();
    for from in ["a-1", "a-2"] {
        for to in ["b-1", "b-2", "c-1", "c-2"] {
            let since = 0.1 * links.len() as f64;
            links.push(verdict(
                VerdictKind::LinkDown,
                &format!("{from}→{to}"),
                since,
            ));
        }
    }
    node.sees(&view(links.clone(), &[]));
    node.until(2.0);
    let mut fault = verdict(VerdictKind::PathFault, "10.0.0.1", 0.0);
    fault.hops = vec!["10.0.0.1".into(), "10.0.0.2".into()];
    fault.links = links.iter().map(|link| link.subject.clone()).collect();
    node.sees(&view(vec![fault], &[]));
    node.until(10.0);
    let incident = node.only();
    assert_eq!(incident.verdicts.len(), 1);
    assert_eq!(incident.cause, "path_fault:10.0.0.1");
    assert_eq!(incident.blast_radius.nodes.len(), 6);
}

#[test]
fn links_that_turn_out_to_be_one_path_fault_become_one_incident() {
    let mut node = Node::new("a-1");
    let far_apart = vec![
        verdict(VerdictKind::LinkDown, "a-1→b-1", 0.0),
        verdict(VerdictKind::LinkDown, "c-1→c-2", 60.0),
    ];
    node.until(61.0);
    node.sees(&view(far_apart.clone(), &[]));
    node.until(70.0);
    assert_eq!(node.core.view().len(), 2, "they have nothing in common");
    let mut fault = verdict(VerdictKind::PathFault, "10.0.0.1", 0.0);
    fault.links = vec!["a-1→b-1".into(), "c-1→c-2".into()];
    node.sees(&view(vec![fault], &[]));
    node.until(71.0);
    let incident = node.only();
    assert_eq!(incident.aliases.len(), 1);
    assert_eq!(incident.title, "Flows die on the way");
}

#[test]
fn nodes_that_act_alone_give_it_the_same_name() {
    let names: Vec<String> = [0.0, 0.4]
        .into_iter()
        .map(|since| {
            let mut node = Node::new("x");
            node.sees(&view(
                vec![verdict(VerdictKind::LinkDown, "a-1→b-1", since)],
                &[],
            ));
            node.until(5.0);
            node.only().id
        })
        .collect();
    assert_eq!(names[0], names[1]);
}

#[test]
fn nodes_whose_observations_fall_into_two_stretches_agree_once_they_hear_each_other() {
    let (mut early, mut late) = (Node::new("a-1"), Node::new("a-2"));
    // The stretch of names ends 550 s after the start.
    for (node, since) in [(&mut early, 549.8), (&mut late, 550.2)] {
        node.until(551.0);
        node.sees(&view(
            vec![verdict(VerdictKind::LinkDown, "a-1→b-1", since)],
            &[],
        ));
        node.until(556.0);
    }
    assert_ne!(early.only().id, late.only().id);
    late.hears(&[&early], &["a-1"]);
    early.hears(&[&late], &["a-2"]);
    assert_eq!(early.only().id, late.only().id);
    assert_eq!(
        late.only().aliases.len(),
        1,
        "the old name still leads to it"
    );
}

#[test]
fn both_halves_of_a_partition_give_it_the_same_name() {
    let mut halves = Vec::new();
    for (site, down, since) in [
        ("b", ["b-1", "b-2", "b-1", "b-2"], 0.0),
        ("b", ["a-1", "a-2", "c-1", "c-2"], 0.7),
    ] {
        let mut node = Node::new("x");
        node.sees(&view(
            vec![verdict(VerdictKind::SiteCutOff, site, since)],
            &down,
        ));
        node.until(2.0);
        halves.push(node.only());
    }
    assert_eq!(halves[0].cause, "sites:a+c|b");
    assert_eq!(halves[0].id, halves[1].id);
}

#[test]
fn an_isolated_node_and_those_that_miss_it_mean_the_same() {
    let ids = [VerdictKind::Isolated, VerdictKind::NodeDown].map(|kind| {
        let mut node = Node::new("x");
        node.sees(&view(vec![verdict(kind, "b-1", 0.0)], &[]));
        node.until(2.0);
        node.only().id
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_fault_that_flaps_is_one_incident_that_comes_back() {
    let mut node = Node::new("a-1");
    let broken = view(vec![verdict(VerdictKind::NodeDown, "b-1", 0.0)], &["b-1"]);
    for round in 0..4 {
        let start = f64::from(round) * 20.0;
        node.until(start);
        node.sees(&broken);
        node.until(start + 10.0);
        node.sees(&view(vec![], &[]));
        node.until(start + 19.0);
        assert_eq!(node.only().state, IncidentState::Mitigated);
    }
    assert_eq!(node.only().reopened, 3);
    // It is held longer the oftener it came back.
    node.until(70.0 + 470.0);
    assert_eq!(node.only().state, IncidentState::Mitigated);
    node.until(70.0 + 500.0);
    assert_eq!(node.only().state, IncidentState::Resolved);
    // The same cause soon after opens it again; long after, a new one.
    node.until(700.0);
    node.sees(&broken);
    node.until(702.0);
    assert_eq!(node.only().state, IncidentState::Open);
    node.sees(&view(vec![], &[]));
    node.until(3_000.0);
    node.sees(&view(
        vec![verdict(VerdictKind::NodeDown, "b-1", 3_000.0)],
        &["b-1"],
    ));
    node.until(3_002.0);
    assert_eq!(node.core.view().len(), 2);
}

#[test]
fn what_people_say_reaches_every_node() {
    let broken = view(vec![verdict(VerdictKind::NodeDown, "b-1", 0.0)], &["b-1"]);
    let (mut here, mut there) = (Node::new("a-1"), Node::new("a-2"));
    for node in [&mut here, &mut there] {
        node.sees(&broken);
        node.until(2.0);
    }
    let id = here.only().id;
    let say = |node: &mut Node, what| {
        let result = node.core.remark(node.now(), &id, "ada", what);
        node.drain();
        result
    };
    say(&mut here, RemarkKind::Acknowledged).unwrap();
    say(&mut here, RemarkKind::Owned("ada".into())).unwrap();
    say(
        &mut here,
        RemarkKind::Note("the switch was rebooted".into()),
    )
    .unwrap();
    assert_eq!(
        say(&mut here, RemarkKind::Note("  ".into())),
        Err(RemarkError::Empty)
    );
    assert_eq!(
        say(&mut here, RemarkKind::Note("x".repeat(801))),
        Err(RemarkError::TooLong)
    );
    let unknown = here
        .core
        .remark(here.now(), "inc-nonsense", "ada", RemarkKind::Acknowledged);
    assert_eq!(unknown, Err(RemarkError::Unknown("inc-nonsense".into())));

    there.hears(&[&here], &["a-1"]);
    let incident = there.only();
    assert_eq!(incident.acknowledged_by.as_deref(), Some("ada"));
    assert_eq!(incident.owner.as_deref(), Some("ada"));
    let note = incident
        .timeline
        .iter()
        .find(|line| line.kind == TimelineKind::Note)
        .unwrap();
    assert_eq!(
        (note.text.as_str(), note.by.as_deref()),
        ("the switch was rebooted", Some("ada"))
    );
}

#[test]
fn closed_by_hand_it_stays_closed_until_the_fault_comes_anew() {
    let broken = view(vec![verdict(VerdictKind::NodeDown, "b-1", 0.0)], &["b-1"]);
    let mut node = Node::new("a-1");
    node.sees(&broken);
    node.until(2.0);
    let id = node.only().id;
    node.core
        .remark(node.now(), &id, "ada", RemarkKind::Resolved)
        .unwrap();
    assert_eq!(node.only().state, IncidentState::Resolved);
    for minute in 1..30 {
        node.until(60.0 * f64::from(minute));
        node.sees(&broken);
        assert_eq!(
            node.only().state,
            IncidentState::Resolved,
            "minute {minute}"
        );
    }
    node.sees(&view(vec![], &[]));
    node.until(1_800.0);
    node.sees(&view(
        vec![verdict(VerdictKind::NodeDown, "b-1", 1_800.0)],
        &["b-1"],
    ));
    node.until(1_802.0);
    assert_eq!(node.core.view()[0].state, IncidentState::Open);
}

#[test]
fn a_restart_in_the_middle_goes_on_with_the_same_incident() {
    let broken = view(vec![verdict(VerdictKind::NodeDown, "b-1", 0.0)], &["b-1"]);
    let mut node = Node::new("a-1");
    node.sees(&broken);
    node.until(2.0);
    node.core
        .remark(node.now(), &node.only().id, "ada", RemarkKind::Acknowledged)
        .unwrap();
    let before = node.only();
    let kept = serde_json::to_string(&node.core.saved()).unwrap();
    let mut again = Node::going_on("a-1", serde_json::from_str(&kept).unwrap());
    again.at = 3.0;
    assert_eq!(again.only(), before);
    again.sees(&broken);
    again.until(10.0);
    assert_eq!(again.only().id, before.id);
    assert_eq!(again.only().state, IncidentState::Open);
    again.sees(&view(vec![], &[]));
    again.until(100.0);
    assert_eq!(again.only().state, IncidentState::Resolved);
}

#[test]
fn what_only_others_saw_is_shown_as_such_and_ends_with_them() {
    let mut there = Node::new("a-2");
    there.sees(&view(
        vec![verdict(VerdictKind::NodeDown, "b-1", 0.0)],
        &["b-1"],
    ));
    there.until(2.0);
    let mut here = Node::new("c-1");
    here.sees(&view(vec![], &[]));
    here.hears(&[&there], &["a-2"]);
    here.until(11.0);
    let told = here.only();
    assert_eq!(
        (told.id, told.state),
        (there.only().id, IncidentState::Open)
    );
    assert!(told.timeline[0].text.contains("a-2"));
    there.sees(&view(vec![], &[]));
    there.until(100.0);
    here.hears(&[&there], &["a-2"]);
    assert_eq!(here.only().state, IncidentState::Resolved);
}

#[test]
fn a_thousand_incidents_an_hour_stay_bounded() {
    let mut node = Node::new("a-1");
    for number in 0..1_000 {
        let at = 3.6 * f64::from(number);
        node.until(at);
        let mut one = verdict(VerdictKind::TargetDown, &format!("target-{number}"), at);
        one.sentence = "x".repeat(5_000);
        node.sees(&view(vec![one], &[]));
    }
    let all = node.core.view();
    assert_eq!(all.len(), 200);
    assert!(node.claims.len() <= 64);
    assert!(all[0].title.chars().count() <= 141);
}

#[test]
fn a_thousand_claims_of_a_liar_stay_bounded_and_rename_nothing() {
    let broken = view(vec![verdict(VerdictKind::NodeDown, "b-1", 0.0)], &["b-1"]);
    let mut node = Node::new("a-1");
    node.sees(&broken);
    node.until(2.0);
    let mine = node.only();
    let mut liar = Node::new("z");
    for number in 0..1_000 {
        let mut claim = node.claims[0].clone();
        claim.id = format!("inc-{number}");
        claim.opened_at = Timestamp(number);
        if number % 2 == 0 {
            claim.causes = vec![u64::try_from(number).unwrap()];
        }
        liar.claims.push(claim);
    }
    for _ in 0..20 {
        node.hears(&[&liar], &["z"]);
        node.until(node.at + 1.0);
    }
    let all = node.core.view();
    assert!(all.len() <= 17, "{}", all.len());
    assert!(
        all.iter()
            .any(|incident| incident.id == mine.id && incident.opened_at == mine.opened_at)
    );
}
