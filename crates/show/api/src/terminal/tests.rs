//! The screens, word for word.

use super::*;
use andon_model::id::is_plain_text;
use andon_model::{
    BlastRadius, FlowCount, FlowHits, Heard, IncidentState, LossPair, NodeKind, NodeState,
    NodeView, PathEffect, PictureDigest, RttUs, Severity, SiteId, Timestamp, Transport, Verdict,
    VerdictKind,
};
use page::Tone;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(1_793_000_000_000_000);

fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1_000_000)
}

/// A healthy full mesh of nodes written `name@site`.
fn grid(nodes: &str) -> PictureView {
    let nodes: Vec<NodeView> = nodes
        .split_whitespace()
        .map(|node| {
            let (name, site) = node.split_once('@').unwrap();
            boxed(name, Some(site), NodeKind::Andon)
        })
        .collect();
    let pairs = nodes
        .iter()
        .flat_map(|a| nodes.iter().map(move |b| (a.id.clone(), b.id.clone())));
    let links = pairs
        .filter(|(a, b)| a != b)
        .map(|(a, b)| link(&a, &b, LinkState::Up))
        .collect();
    let me = nodes
        .first()
        .map_or_else(String::new, |node| node.id.clone());
    PictureView {
        digest: PictureDigest(0xabcd_ef01 << 96),
        generated_at: NOW,
        me,
        nodes,
        links,
        verdicts: Vec::new(),
    }
}

fn boxed(id: &str, site: Option<&str>, kind: NodeKind) -> NodeView {
    NodeView {
        id: id.to_owned(),
        key: None,
        site: site.map(|site| SiteId::new(site).unwrap()),
        kind,
        state: NodeState::Up,
        since: Some(ago(7_300)),
        addresses: vec!["10.0.0.1:8777".to_owned()],
        labels: BTreeMap::new(),
        version: None,
        started_at: None,
        reach: None,
        host: None,
        clock_offset_us: None,
        fingerprint: None,
        position: None,
    }
}

fn link(from: &str, to: &str, state: LinkState) -> LinkView {
    let measured = state == LinkState::Up;
    LinkView {
        from: from.into(),
        to: to.into(),
        state,
        reason: None,
        round_trip: None,
        transport: None,
        flows: FlowCount::default(),
        loss: LossPair {
            forward: measured.then_some(0.0),
            return_: measured.then_some(0.0),
        },
        rtt_us: RttUs {
            p50: measured.then_some(12_300),
            p99: None,
        },
        rtt_baseline_us: None,
        heard: Heard::NotExpected,
        since: None,
        via: false,
        detail: None,
    }
}

fn kill(view: &mut PictureView, id: &str) {
    for node in view.nodes.iter_mut().filter(|node| node.id == id) {
        (node.state, node.since) = (NodeState::Down, Some(ago(75)));
    }
    for view_link in &mut view.links {
        if view_link.to == id {
            *view_link = link(&view_link.from, id, LinkState::Down);
            view_link.loss = LossPair {
                forward: Some(1.0),
                return_: Some(1.0),
            };
        } else if view_link.from == id {
            *view_link = link(id, &view_link.to, LinkState::Unknown);
        }
    }
    view.verdicts.push(Verdict {
        id: format!("node_down:{id}"),
        kind: VerdictKind::NodeDown,
        subject: id.to_owned(),
        sentence: format!("{id} in nyc1 is down: all 4 nodes that probe it get no answer, and its own probes stopped too."),
        confidence: 0.94,
        evidence: Vec::new(),
        since: ago(75),
        from: None,
        to: None,
        hops: Vec::new(),
        effect: None,
        flows: None,
        links: Vec::new(),
        services: Vec::new(),
    });
}

const FIVE: &str = "fra1-db@fra1 fra1-web@fra1 nyc1-db@nyc1 nyc1-web@nyc1 sin1-edge@sin1";

#[track_caller]
fn check(view: &PictureView, options: TerminalOptions, expected: &str) {
    let drawn = render(view, &[], &options);
    assert_eq!(drawn.trim_end(), expected.trim_end(), "\n{drawn}");
    let widest = drawn.lines().map(|line| line.chars().count()).max();
    assert!(options.color || widest <= Some(options.width), "{widest:?}");
}

#[test]
fn a_healthy_grid() {
    check(
        &grid(FIVE),
        TerminalOptions::default(),
        " ANDON  ● All is well                               5 nodes · 3 sites · 20 links
 seen by fra1-db at 2026-10-26 07:33:20 UTC                      digest abcdef01

 nodes by site ─────────────────────────────────────────────────────────────────
               state      links       rtt    loss      since
 fra1
  ● fra1-db    up        4 of 4     12 ms     0 %    for 2 h
  ● fra1-web   up        4 of 4     12 ms     0 %    for 2 h
 nyc1
  ● nyc1-db    up        4 of 4     12 ms     0 %    for 2 h
  ● nyc1-web   up        4 of 4     12 ms     0 %    for 2 h
 sin1
  ● sin1-edge  up        4 of 4     12 ms     0 %    for 2 h

 links: the row's node asks the column's ───────────────────────────────────────
                1   2   3   4   5
  1 fra1-db         ●   ●   ●   ●
  2 fra1-web    ●       ●   ●   ●
  3 nyc1-db     ●   ●       ●   ●
  4 nyc1-web    ●   ●   ●       ●
  5 sin1-edge   ●   ●   ●   ●
    ● up",
    );
}

#[test]
fn a_dead_node_and_a_target() {
    let mut view = grid(FIVE);
    kill(&mut view, "nyc1-db");
    view.nodes.push(boxed("shop", None, NodeKind::Target));
    view.links.push(link("fra1-db", "shop", LinkState::Up));
    check(
        &view,
        TerminalOptions::default(),
        " ANDON  ✗ One thing is wrong                        5 nodes · 3 sites · 21 links
 seen by fra1-db at 2026-10-26 07:33:20 UTC                      digest abcdef01

 what is wrong ─────────────────────────────────────────────────────────────────
 ✗ node down nyc1-db                                        for 75 s · 94 % sure
   nyc1-db in nyc1 is down: all 4 nodes that probe it get no answer, and its own
   probes stopped too.

 nodes by site ─────────────────────────────────────────────────────────────────
               state      links       rtt    loss      since
 fra1
  ● fra1-db    up        3 of 4     12 ms     0 %    for 2 h
  ● fra1-web   up        3 of 4     12 ms     0 %    for 2 h
 nyc1
  ✗ nyc1-db    down           –         –       –   for 75 s
  ● nyc1-web   up        3 of 4     12 ms     0 %    for 2 h
 sin1
  ● sin1-edge  up        3 of 4     12 ms     0 %    for 2 h

 targets and neighbours ────────────────────────────────────────────────────────
  ● shop  up        1 of 1     12 ms  10.0.0.1:8777

 links: the row's node asks the column's ───────────────────────────────────────
                1   2   3   4   5
  1 fra1-db         ●   ✗   ●   ●
  2 fra1-web    ●       ✗   ●   ●
  3 nyc1-db     ?   ?       ?   ?
  4 nyc1-web    ●   ●   ✗       ●
  5 sin1-edge   ●   ●   ✗   ●
    ● up   ✗ down   ? unknown",
    );
    check(
        &view,
        TerminalOptions {
            unicode: false,
            width: 60,
            color: false,
        },
        " ANDON  X One thing is wrong    5 nodes . 3 sites . 21 links
 seen by fra1-db at 2026-10-26 07:33:20 UTC  digest abcdef01

 what is wrong ---------------------------------------------
 X node down nyc1-db                    for 75 s . 94 % sure
   nyc1-db in nyc1 is down: all 4 nodes that probe it get no
   answer, and its own probes stopped too.

 nodes by site ---------------------------------------------
               state      links       rtt    loss      since
 fra1
  o fra1-db    up        3 of 4     12 ms     0 %    for 2 h
  o fra1-web   up        3 of 4     12 ms     0 %    for 2 h
 nyc1
  X nyc1-db    down           -         -       -   for 75 s
  o nyc1-web   up        3 of 4     12 ms     0 %    for 2 h
 sin1
  o sin1-edge  up        3 of 4     12 ms     0 %    for 2 h

 targets and neighbours ------------------------------------
  o shop  up        1 of 1     12 ms  10.0.0.1:8777

 links: the row's node asks the column's -------------------
                1   2   3   4   5
  1 fra1-db         o   X   o   o
  2 fra1-web    o       X   o   o
  3 nyc1-db     ?   ?       ?   ?
  4 nyc1-web    o   o   X       o
  5 sin1-edge   o   o   X   o
    o up   X down   ? unknown",
    );
}

#[test]
fn many_nodes_are_drawn_by_site() {
    let names: Vec<String> = (0..45)
        .map(|number| format!("n{number}@s{}", number % 3))
        .collect();
    let mut view = grid(&names.join(" "));
    kill(&mut view, "n4");
    view.verdicts.clear();
    check(
        &view,
        TerminalOptions::default(),
        " ANDON  ● All is well                            45 nodes · 3 sites · 1980 links
 seen by n0 at 2026-10-26 07:33:20 UTC                           digest abcdef01

 nodes by site ─────────────────────────────────────────────────────────────────
 ● s0  15 of 15 up
 ✗ s1  14 of 15 up
     ✗ n4 down
 ● s2  15 of 15 up

 links: the row's site asks the column's; how many of them are not up ──────────
         1   2   3
  1 s0   ● ✗15   ●
  2 s1   ? ✗14   ?
  3 s2   ● ✗15   ●
    ● up   ✗ down   ? unknown",
    );
}

#[test]
fn links_over_tcp_are_told_under_the_title() {
    let third = |view: &PictureView| {
        let drawn = render(view, &[], &TerminalOptions::default());
        drawn.lines().nth(2).unwrap().to_owned()
    };
    let mut view = grid("a@x b@x c@y");
    assert_eq!(third(&view), "", "UDP passes: nothing to say");
    view.nodes.push(boxed("shop", None, NodeKind::Target));
    view.links.push(link("a", "shop", LinkState::Up));
    view.links.push(link("a", "b", LinkState::Down));
    view.links[0].transport = Some(Transport::Tcp);
    assert_eq!(
        third(&view),
        " 1 of 6 links runs over TCP: UDP does not pass"
    );
    for link in &mut view.links {
        link.transport = Some(Transport::Tcp);
    }
    assert_eq!(
        third(&view),
        " 6 of 6 links run over TCP: UDP does not pass"
    );
}

#[test]
fn a_node_alone_cannot_tell() {
    let view = grid("a@x");
    assert_eq!(exit_code(&view), 2);
    check(
        &view,
        TerminalOptions::default(),
        " ANDON  ? Cannot tell yet: no link is known            1 node · 1 site · 0 links
 seen by a at 2026-10-26 07:33:20 UTC                            digest abcdef01

 nodes by site ─────────────────────────────────────────────────────────────────
       state      links       rtt    loss      since
 x
  ● a  up             –         –       –    for 2 h",
    );
    assert_eq!(
        exit_code(&PictureView {
            nodes: Vec::new(),
            ..view
        }),
        2
    );
}

#[test]
fn the_exit_code_tells_well_from_wrong_from_unknown() {
    let mut view = grid(FIVE);
    assert_eq!(exit_code(&view), 0);
    let unknown = view
        .links
        .iter()
        .map(|old| link(&old.from, &old.to, LinkState::Unknown))
        .collect();
    assert_eq!(
        exit_code(&PictureView {
            links: unknown,
            ..view.clone()
        }),
        2
    );
    kill(&mut view, "fra1-web");
    assert_eq!(exit_code(&view), 1);
    view.verdicts[0].kind = VerdictKind::ClockSkew;
    assert_eq!(exit_code(&view), 0);
}

#[test]
fn colour_changes_no_word_and_no_column() {
    let mut view = grid(FIVE);
    kill(&mut view, "nyc1-db");
    let mut coloured = render(
        &view,
        &[],
        &TerminalOptions {
            color: true,
            ..TerminalOptions::default()
        },
    );
    assert!(coloured.contains("\x1b[1;31m✗"));
    for tone in [Tone::Strong, Tone::Faint, Tone::Good, Tone::Poor, Tone::Bad] {
        coloured = coloured.replace(tone.code(), "");
    }
    assert_eq!(
        coloured.replace("\x1b[0m", ""),
        render(&view, &[], &TerminalOptions::default())
    );
}

#[test]
fn nothing_in_the_document_can_move_the_cursor() {
    let mut view = grid(FIVE);
    kill(&mut view, "nyc1-db");
    let evil = "\x1b[2J\r\n\u{202e}\u{7f}<b>".repeat(50);
    (view.me, view.nodes[0].id) = (evil.clone(), evil.clone());
    view.verdicts[0].subject.clone_from(&evil);
    view.verdicts[0].sentence = evil;
    let drawn = render(&view, &[], &TerminalOptions::default());
    assert!(
        drawn
            .chars()
            .all(|c| c == '\n' || is_plain_text(&c.to_string(), 4)),
        "{drawn:?}"
    );
    assert!(drawn.lines().all(|line| line.chars().count() <= 80));
}

/// A path fault and the incident that it made.
fn path_fault(view: &mut PictureView, hops: &[&str]) -> Incident {
    let sentence = "Half of the flows from fra1-web to nyc1-web die after 10.0.2.1; the others pass via 10.0.3.1.";
    view.verdicts.push(Verdict {
        id: "path_fault:10.0.2.1".to_owned(),
        kind: VerdictKind::PathFault,
        subject: "fra1-web→nyc1-web".to_owned(),
        sentence: sentence.to_owned(),
        confidence: 0.97,
        evidence: Vec::new(),
        since: ago(130),
        from: Some("fra1-web".to_owned()),
        to: Some("nyc1-web".to_owned()),
        hops: hops.iter().map(|hop| (*hop).to_owned()).collect(),
        effect: Some(PathEffect::Blackhole),
        flows: Some(FlowHits {
            failed: 7,
            total: 16,
        }),
        links: Vec::new(),
        services: vec!["fulfilment".to_owned()],
    });
    Incident {
        id: "a7k2-pf".to_owned(),
        aliases: Vec::new(),
        state: IncidentState::Open,
        severity: Severity::Major,
        title: sentence.to_owned(),
        cause: "path_fault:10.0.2.1".to_owned(),
        opened_at: ago(130),
        resolved_at: None,
        acknowledged_by: None,
        owner: None,
        reopened: 0,
        verdicts: view.verdicts.clone(),
        blast_radius: BlastRadius::default(),
        timeline: Vec::new(),
        status_page: String::new(),
    }
}

/// The blocks between the head and the nodes.
fn trouble(view: &PictureView, incidents: &[Incident]) -> String {
    let drawn = render(view, incidents, &TerminalOptions::default());
    let from = drawn.find("\n\n").unwrap() + 2;
    let to = drawn.find(" nodes by site").unwrap();
    drawn[from..to].trim_end().to_owned()
}

#[test]
fn a_path_fault_is_told_with_its_place_and_its_incident() {
    let mut view = grid(FIVE);
    let mut incident = path_fault(&mut view, &["10.0.2.1", "10.0.4.1"]);
    let wrong = " what is wrong ─────────────────────────────────────────────────────────────────
 ✗ path fault fra1-web→nyc1-web                            for 2 min · 97 % sure
   Half of the flows from fra1-web to nyc1-web die after 10.0.2.1; the others
   pass via 10.0.3.1.
   where   between 10.0.2.1 and 10.0.4.1, or at one of them
   effect  nothing passes · 7 of 16 flows
   hits    fulfilment";
    let open = trouble(&view, std::slice::from_ref(&incident));
    let expected =
        " 1 open incident ───────────────────────────────────────────────────────────────
 ▲ major a7k2-pf                                                       for 2 min
   Half of the flows from fra1-web to nyc1-web die after 10.0.2.1; the others
   pass via 10.0.3.1.
   nobody has acknowledged it

";
    assert_eq!(open, format!("{expected}{wrong}"), "\n{open}");

    incident.acknowledged_by = Some("ann".to_owned());
    incident.owner = Some("network team".to_owned());
    incident.reopened = 2;
    let cared = trouble(&view, std::slice::from_ref(&incident));
    let care = "   owned by network team · acknowledged by ann · came back twice\n";
    assert!(cared.contains(care), "{cared}");

    incident.state = IncidentState::Mitigated;
    assert_eq!(trouble(&view, &[incident]), wrong);
}

#[test]
fn the_set_of_guilty_hops_is_named_as_far_as_it_is_known() {
    let check = |hops: &[&str], expected: Option<&str>| {
        let mut view = grid(FIVE);
        let _ = path_fault(&mut view, hops);
        let drawn = trouble(&view, &[]);
        let told = drawn
            .lines()
            .find_map(|line| line.strip_prefix("   where   "));
        assert_eq!(told, expected, "{drawn}");
    };
    check(&[], None);
    check(&["10.0.2.1"], Some("10.0.2.1"));
    check(
        &["10.0.2.1", "10.0.3.1", "fd00::1"],
        Some("one of 10.0.2.1, 10.0.3.1 and fd00::1"),
    );
    check(
        &["a", "b", "c", "d", "e", "f", "g", "h"],
        Some("one of a, b, c, d, e, f and 2 more"),
    );
}
