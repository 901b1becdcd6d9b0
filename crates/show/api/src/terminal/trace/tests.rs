//! Drawings of made documents, word for word.

use super::draw::{Outcome, draw, outcome};
use super::tally::Tally;
use crate::terminal::TerminalOptions;
use crate::trace::{TraceDocument, TraceFlow, TraceFlowState, TraceHop, TraceHopKind};
use andon_model::Timestamp;

const PLAIN: TerminalOptions = TerminalOptions {
    color: false,
    width: 96,
    unicode: true,
};

/// A hop as written: an address, several joined by `|`, `*` for silence; `!` before one that
/// turns packets back.
fn hop(ttl: u8, text: &str) -> TraceHop {
    let (turned, text) = text
        .strip_prefix('!')
        .map_or((false, text), |rest| (true, rest));
    let addresses: Vec<String> = match text {
        "*" => Vec::new(),
        text => text.split('|').map(str::to_owned).collect(),
    };
    let answered = if addresses.is_empty() { 0 } else { 3 };
    TraceHop {
        ttl,
        kind: match addresses.len() {
            0 => TraceHopKind::Silent,
            _ if turned => TraceHopKind::Unreachable,
            1 => TraceHopKind::Answered,
            _ => TraceHopKind::Several,
        },
        rtt_us: (answered > 0).then_some(u32::from(ttl) * 250),
        addresses,
        sent: 3,
        answered,
        mpls: Vec::new(),
        matched: None,
        nat: false,
    }
}

/// Flows as written: `alive 10.0.1.1 10.0.9.2`, `dead 10.0.1.1 *`; a living flow has come
/// through unless its way ends with `*`.
fn document(flows: &[&str]) -> TraceDocument {
    let flow = |(place, text): (u16, &&str)| {
        let mut words = text.split(' ');
        let state = match words.next() {
            Some("alive") => TraceFlowState::Alive,
            Some("dead") => TraceFlowState::Dead,
            _ => TraceFlowState::Unknown,
        };
        let hops: Vec<TraceHop> = (1..).zip(words).map(|(ttl, word)| hop(ttl, word)).collect();
        let reached = state == TraceFlowState::Alive && !text.ends_with('*');
        TraceFlow {
            port: 40_000 + place,
            state,
            sent: 3,
            answered: if reached { 3 } else { 0 },
            reached,
            hops,
        }
    };
    TraceDocument {
        from: "web-1".to_owned(),
        to: "db-2".to_owned(),
        address: "10.0.9.2:8777".to_owned(),
        started_at: Timestamp(1_793_000_000_000_000),
        flows: (0..).zip(flows).map(flow).collect(),
    }
}

fn tally(flows: &[&str]) -> Tally {
    let mut tally = Tally::default();
    tally.add(&document(flows));
    tally
}

/// The drawing without its head.
fn drawing(tally: &Tally) -> String {
    let text = draw(tally, None, &PLAIN);
    let lines: Vec<&str> = text.lines().skip(3).collect();
    lines.join("\n")
}

#[track_caller]
fn check(flows: &[&str], expected: &str) {
    let drawn = drawing(&tally(flows));
    assert_eq!(drawn, expected, "\n{drawn}\n");
}

#[test]
fn ways_that_part_and_meet_again_share_what_they_share() {
    check(
        &[
            "alive 10.0.1.1 10.0.2.1 10.0.4.1 10.0.9.2",
            "alive 10.0.1.1 10.0.3.1 10.0.4.1 10.0.9.2",
            "alive 10.0.1.1 10.0.2.1 10.0.4.1 10.0.9.2",
        ],
        "                         flows   loss  answered     best   median
  1  10.0.1.1                3    0 %       9/9  0.25 ms  0.25 ms
 ├─  2  10.0.2.1        2 of 3    0 %       6/6  0.50 ms  0.50 ms
 └─  2  10.0.3.1        1 of 3    0 %       3/3  0.50 ms  0.50 ms
  3  10.0.4.1                3    0 %       9/9  0.75 ms  0.75 ms
  4  10.0.9.2  db-2          3    0 %       9/9  1.00 ms  1.00 ms

 ● All 3 flows get through.",
    );
}

#[test]
fn dead_flows_end_where_the_last_hop_answers() {
    check(
        &[
            "dead 10.0.1.1 10.0.2.1 * * *",
            "alive 10.0.1.1 10.0.3.1 10.0.4.1 10.0.9.2",
            "dead 10.0.1.1 10.0.2.1 * * *",
            "alive 10.0.1.1 10.0.3.1 10.0.4.1 10.0.9.2",
        ],
        "                           flows   loss  answered     best   median
  1  10.0.1.1                  4    0 %     12/12  0.25 ms  0.25 ms
 ├─  2  10.0.2.1          2 of 4    0 %       6/6  0.50 ms  0.50 ms
 │      ✗ 2 flows die here
 └─  2  10.0.3.1          2 of 4    0 %       6/6  0.50 ms  0.50 ms
     3  10.0.4.1          2 of 4    0 %       6/6  0.75 ms  0.75 ms
     4  10.0.9.2  db-2    2 of 4    0 %       6/6  1.00 ms  1.00 ms

 ✗ 2 of 4 flows do not get through.",
    );
}

#[test]
fn forks_within_forks_silence_and_short_cuts() {
    check(
        &[
            "alive 10.0.1.1 10.0.2.1 10.0.5.1 * 10.0.8.1 10.0.9.2",
            "alive 10.0.1.1 10.0.2.1 10.0.6.1 * 10.0.8.1 10.0.9.2",
            "alive 10.0.1.1 10.0.3.1 * * 10.0.8.1 10.0.9.2",
            "alive 10.0.1.1 10.0.8.1 10.0.9.2",
            "dead 10.0.1.1 10.0.3.1 * *",
        ],
        "                         flows   loss  answered     best   median
  1  10.0.1.1                5    0 %     15/15  0.25 ms  0.25 ms
 ├─  2  10.0.2.1        2 of 5    0 %       6/6  0.50 ms  0.50 ms
 │  ├─  3  10.0.5.1     1 of 5    0 %       3/3  0.75 ms  0.75 ms
 │  │   4  · · ·        1 of 5      –       0/3        –        –
 │  └─  3  10.0.6.1     1 of 5    0 %       3/3  0.75 ms  0.75 ms
 │      4  · · ·        1 of 5      –       0/3        –        –
 ├─  2  10.0.3.1        2 of 5    0 %       6/6  0.50 ms  0.50 ms
 │      ✗ 1 flow dies here
 │   3  · · ·           1 of 5      –       0/3        –        –
 │   4  · · ·           1 of 5      –       0/3        –        –
 └─ straight on
  2  10.0.8.1           4 of 5    0 %     12/12  0.50 ms  1.25 ms
  3  10.0.9.2  db-2     4 of 5    0 %     12/12  0.75 ms  1.50 ms

 ✗ 1 of 5 flows does not get through.",
    );
}

#[test]
fn every_way_to_end_has_its_words() {
    check(
        &[
            "alive 10.0.1.1 10.0.2.1 * *",
            "unknown 10.0.1.1 10.0.2.1 * *",
            "dead 10.0.1.1 !10.0.2.1",
            "dead *",
        ],
        "                         flows   loss  answered     best   median
     ✗ 1 flow is dead, and no hop answers
  1  10.0.1.1           3 of 4    0 %       9/9  0.25 ms  0.25 ms
  2  10.0.2.1           3 of 4    0 %       9/9  0.50 ms  0.50 ms
     ✗ 1 flow is turned back here
     ● 1 flow gets through, unseen from here on
     ? 1 flow: nothing answers from here on

 ✗ 2 of 4 flows do not get through.",
    );
    check(
        &["unknown *"],
        "                         flows   loss  answered     best   median
     ? 1 flow: nothing answers from here on

 ? Whether all flows get through is not known: the far end answers nothing.",
    );
}

#[test]
fn hops_that_balance_by_packet_translate_or_label_say_so() {
    let mut document = document(&["alive 10.0.1.1 10.0.3.1|10.0.2.1 10.0.4.1 10.0.9.2"]);
    document.flows[0].hops[2].nat = true;
    let labels = [
        serde_json::json!({"label": 16001, "ttl": 1}),
        serde_json::json!("odd"),
    ];
    document.flows[0].hops[2].mpls = labels.to_vec();
    let mut tally = Tally::default();
    tally.add(&document);
    let drawn = drawing(&tally);
    assert_eq!(
        drawn,
        "                                         flows   loss  answered     best   median
  1  10.0.1.1                                1    0 %       3/3  0.25 ms  0.25 ms
  2  10.0.2.1 or 10.0.3.1  by packet         1    0 %       3/3  0.50 ms  0.50 ms
  3  10.0.4.1  NAT  MPLS 16001/\"odd\"         1    0 %       3/3  0.75 ms  0.75 ms
  4  10.0.9.2  db-2                          1    0 %       3/3  1.00 ms  1.00 ms

 ● The flow gets through.",
        "\n{drawn}"
    );
}

#[test]
fn rounds_add_up_and_a_flow_that_dies_says_where_it_went_before() {
    let mut tally = Tally::default();
    for _ in 0..3 {
        tally.add(&document(&["alive 10.0.1.1 10.0.2.1 10.0.4.1 10.0.9.2"]));
    }
    let mut slow = document(&["dead 10.0.1.1 10.0.2.1 * *"]);
    slow.flows[0].hops[0].answered = 1;
    slow.flows[0].hops[0].rtt_us = Some(90_000);
    tally.add(&slow);
    // Routers answer sparingly: what answered since it died is still on the way.
    tally.add(&document(&["dead 10.0.1.1 * * *"]));
    let drawn = draw(&tally, Some("the node is busy"), &PLAIN);
    assert_eq!(
        drawn,
        " TRACE  web-1 → db-2                                                             1 flow · 1 dead
 to 10.0.9.2:8777                                                                        round 5

                         flows   loss  answered     best   median
  1  10.0.1.1                1   13 %     13/15  0.25 ms  0.25 ms
  2  10.0.2.1                1   20 %     12/15  0.50 ms  0.50 ms
     ✗ 1 flow dies here; before, next was 10.0.4.1

 ✗ No flow gets through.
 the node is busy
",
        "\n{drawn}"
    );
    assert_eq!(outcome(&tally), Outcome::Dead);

    // Its way changes: figures of the old router are not those of the new one.
    tally.add(&document(&["alive 10.0.1.1 10.0.3.1 10.0.4.1 10.0.9.2"]));
    let flow = tally.flows.values().next().unwrap();
    assert_eq!((flow.hops[1].sent, flow.length), (3, 4));
    assert_eq!(outcome(&tally), Outcome::Through);

    // Source ports rotate: what is gone is not shown.
    let mut rotated = document(&["alive 10.0.1.1 10.0.9.2"]);
    rotated.flows[0].port = 50_000;
    tally.add(&rotated);
    assert_eq!(tally.flows.keys().collect::<Vec<_>>(), [&50_000]);
}

#[test]
fn a_router_that_answers_sparingly_is_not_taken_for_loss() {
    let mut document = document(&["alive 10.0.1.1 10.0.9.2"]);
    document.flows[0].hops[0].answered = 1;
    let mut tally = Tally::default();
    tally.add(&document);
    let foot = drawing(&tally).replace("\n  ", "");
    assert!(foot.contains("routers that answer sparingly"), "{foot}");
    document.flows[0].hops[1].answered = 1;
    tally.add(&document);
    assert!(!drawing(&tally).contains("sparingly"));
}

#[test]
fn colour_and_ascii_change_no_word() {
    let tally = tally(&[
        "dead 10.0.1.1 10.0.2.1 *",
        "alive 10.0.1.1 10.0.3.1 10.0.9.2",
    ]);
    let color = TerminalOptions {
        color: true,
        ..PLAIN
    };
    let mut coloured = draw(&tally, None, &color);
    assert!(coloured.contains("\x1b[1;31m"));
    while let Some(at) = coloured.find('\x1b') {
        let end = at + coloured[at..].find('m').unwrap();
        coloured.replace_range(at..=end, "");
    }
    assert_eq!(coloured, draw(&tally, None, &PLAIN));
    let ascii = draw(
        &tally,
        None,
        &TerminalOptions {
            unicode: false,
            ..PLAIN
        },
    );
    assert!(ascii.is_ascii(), "{ascii}");
    assert!(ascii.contains("X 1 flow dies here"), "{ascii}");
}

#[test]
fn nothing_in_a_document_moves_the_cursor_or_grows_without_bound() {
    let evil = "\x1b[2J\u{202e}\n".repeat(100);
    let filled = |round: u16, flows: usize| {
        let mut document = document(&vec!["alive 10.0.1.1 10.0.9.2"; flows]);
        (document.from, document.to) = (evil.clone(), evil.clone());
        for flow in &mut document.flows {
            let address = format!("{evil}{}|b|c", round % 40);
            flow.hops = (0..=255).map(|ttl| hop(ttl, &address)).collect();
            flow.hops[3].answered = u32::MAX;
            flow.hops[4].mpls = vec![serde_json::json!(evil); 50];
        }
        document
    };
    let mut tally = Tally::default();
    for round in 0..150 {
        tally.add(&filled(round, 1));
    }
    tally.add(&filled(0, 70));
    assert_eq!(tally.flows.len(), 64);
    let hops = || tally.flows.values().flat_map(|flow| &flow.hops);
    assert_eq!(hops().count(), 64 * 64);
    assert!(hops().all(|hop| hop.addresses.len() <= 8 && hop.rtts_us.len() <= 128));
    let drawn = draw(&tally, Some(&evil), &PLAIN);
    let fits = |line: &str| line.chars().count() <= 96 && andon_model::id::is_plain_text(line, 400);
    assert!(drawn.lines().all(fits));
}

/// Any ways at all: every flow is counted once at each distance of its own, and ends once.
#[test]
fn every_flow_is_drawn_whole_whatever_the_ways() {
    use super::fan::{RowKind, rows};
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    for _ in 0..500 {
        let flows: Vec<String> = (0..next(9) + 1)
            .map(|_| {
                let mut flow = ["alive", "dead", "unknown"][next(3) as usize].to_owned();
                for _ in 0..next(7) {
                    flow += match next(6) {
                        0 => " *",
                        1 => " 10.0.0.1",
                        2 => " 10.0.0.2",
                        3 => " 10.0.0.3",
                        4 => " 10.0.0.4|10.0.0.5",
                        _ => " !10.0.0.6",
                    };
                }
                flow
            })
            .collect();
        let flows: Vec<&str> = flows.iter().map(String::as_str).collect();
        let tally = tally(&flows);
        let rows = rows(&tally);
        let drawn: usize = rows
            .iter()
            .filter(|row| matches!(row.kind, RowKind::Hop { .. }))
            .map(|row| row.flows)
            .sum();
        let own: usize = tally.flows.values().map(|flow| flow.length).sum();
        assert_eq!(drawn, own, "{flows:?}\n{}", drawing(&tally));
        let ended: usize = rows
            .iter()
            .filter(|row| matches!(row.kind, RowKind::End { .. }))
            .map(|row| row.flows)
            .sum();
        let lost = tally.flows.values().filter(|flow| !flow.reached).count();
        assert_eq!(ended, lost, "{flows:?}\n{}", drawing(&tally));
    }
}
