//! A small world: several notifiers that hear each other's remarks after a while, and routes
//! that record what arrives.

use super::*;
use crate::case::{Told, Word};
use crate::hours::{Hours, Zone};
use crate::letter::Letter;
use crate::message::Message;
use crate::mute::{Scope, Window};
use crate::phase::Phase;
use crate::plan::Route;
use crate::plan::{Filter, Maintenance, Medium, Secret, Silence};
use andon_model::{BlastRadius, Severity};
use andon_model::{Incident, IncidentState};

const SECOND: Duration = Duration::from_secs(1);
/// How long a remark takes to the other nodes.
const GOSSIP: Duration = Duration::from_millis(900);
/// How long an endpoint takes to answer.
const ANSWER: Duration = Duration::from_millis(400);
const STEP: Duration = Duration::from_millis(100);
/// 2026-11-20 03:20:00 UTC, a Friday.
const EPOCH: &str = "2026-11-20T03:20:00Z";

fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        medium: Medium::Slack {
            url: Secret::new("http://127.0.0.1:1/"),
        },
        filter: Filter::default(),
        hours: Hours::default(),
        wait: 2 * SECOND,
        remind: None,
        give_up: 4 * 3_600 * SECOND,
        per_hour: 30,
        resolved: true,
        authorities: Vec::new(),
        origin: String::new(),
    }
}

fn pager(name: &str) -> Route {
    Route {
        medium: Medium::PagerDuty {
            url: Secret::new("http://127.0.0.1:1/"),
            key: Secret::new("k"),
        },
        ..route(name)
    }
}

fn plan(routes: Vec<Route>) -> Plan {
    Plan {
        routes,
        ..Plan::default()
    }
}

pub fn incident(id: &str) -> Incident {
    Incident {
        id: id.into(),
        aliases: Vec::new(),
        state: IncidentState::Open,
        severity: Severity::Major,
        title: format!("title of {id}"),
        cause: format!("node_down:{id}"),
        opened_at: Timestamp::parse(EPOCH).unwrap(),
        resolved_at: None,
        acknowledged_by: None,
        owner: None,
        reopened: 0,
        verdicts: Vec::new(),
        blast_radius: BlastRadius {
            nodes: vec!["web-1".into()],
            sites: vec!["fra".into()],
            ..BlastRadius::default()
        },
        timeline: Vec::new(),
        status_page: "We look into it.".into(),
    }
}

/// What arrived at an endpoint.
#[derive(Debug, Clone, PartialEq)]
struct Arrived {
    at: Duration,
    node: usize,
    route: String,
    phase: Phase,
    message: Message,
}

type Endpoint = Box<dyn Fn(Duration, usize, &Letter) -> Answer>;

struct World {
    now: Duration,
    step: Duration,
    plan: Arc<Plan>,
    nodes: Vec<Option<Notifier>>,
    /// Which half a node is in; remarks do not pass between halves.
    half: Vec<usize>,
    incidents: Vec<Arc<Incident>>,
    /// When said, by whom, and what.
    remarks: Vec<(Duration, usize, String, RemarkKind)>,
    answers: Vec<(Duration, usize, u64, Answer)>,
    arrived: Vec<Arrived>,
    endpoint: Endpoint,
}

impl World {
    fn new(nodes: usize, plan: Plan) -> Self {
        let plan = Arc::new(plan);
        let mut world = Self {
            now: SECOND,
            step: STEP,
            plan,
            nodes: Vec::new(),
            half: vec![0; nodes],
            incidents: Vec::new(),
            remarks: Vec::new(),
            heartbeats: Vec::new(),
            answers: Vec::new(),
            arrived: Vec::new(),
            endpoint: Box::new(|_, _, _| taken()),
        };
        for index in 0..nodes {
            let core = world.fresh(index, Saved::default());
            world.nodes.push(Some(core));
        }
        world.company();
        world
    }

    fn fresh(&self, index: usize, saved: Saved) -> Notifier {
        let me = Me {
            key: NodeKey(index as u64),
            id: format!("node-{index}"),
        };
        Notifier::new(
            me,
            Arc::clone(&self.plan),
            saved,
            index as u64,
            self.moment(),
        )
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Instant(0) + self.now,
            utc: Timestamp::parse(EPOCH).unwrap() + self.now,
        }
    }

    fn company(&mut self) {
        let at = self.moment();
        for index in 0..self.nodes.len() {
            let lower = (0..index)
                .filter(|other| self.nodes[*other].is_some())
                .filter(|other| self.half[*other] == self.half[index])
                .count();
            let ranks = self
                .plan
                .routes
                .iter()
                .map(|route| (route.name.clone(), lower as u32));
            let company = Company::of(ranks);
            if let Some(core) = &mut self.nodes[index] {
                core.handle(at, Event::Company(company));
            }
        }
    }

    fn set(&mut self, incident: Incident) {
        match self
            .incidents
            .iter_mut()
            .find(|known| known.id == incident.id)
        {
            Some(known) => *known = Arc::new(incident),
            None => self.incidents.push(Arc::new(incident)),
        }
        self.share();
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Incident)) {
        let utc = self.moment().utc;
        let known = self
            .incidents
            .iter_mut()
            .find(|known| known.id == id)
            .unwrap();
        let known = Arc::make_mut(known);
        change(known);
        if known.state == IncidentState::Resolved {
            known.resolved_at = Some(utc);
        }
        self.share();
    }

    fn resolve(&mut self, id: &str) {
        self.change(id, |incident| incident.state = IncidentState::Resolved);
    }

    fn share(&mut self) {
        for index in 0..self.nodes.len() {
            self.show(index);
        }
    }

    /// Gives a node what it knows: all incidents, its own remarks, and others' after a while.
    fn show(&mut self, index: usize) {
        let at = self.moment();
        let reached = |(said, by, ..): &&(Duration, usize, String, RemarkKind)| {
            *by == index || (self.half[*by] == self.half[index] && *said + GOSSIP <= self.now)
        };
        let mut told: BTreeMap<&str, Vec<Told>> = BTreeMap::new();
        for (said, by, id, what) in self.remarks.iter().filter(reached) {
            let (route, word) = match what {
                RemarkKind::Notified { route, phase } => {
                    let (phase, key) = Phase::read_remark(phase).unwrap();
                    (route.clone(), Word::Said(phase, key))
                }
                RemarkKind::NotifyFailed { route, .. } => (route.clone(), Word::Failed),
                _ => continue,
            };
            told.entry(id).or_default().push(Told {
                at: Timestamp::parse(EPOCH).unwrap() + *said,
                by: NodeKey(*by as u64),
                route,
                word,
            });
        }
        let case = |incident: &Arc<Incident>| {
            let ids = std::iter::once(&incident.id).chain(&incident.aliases);
            let told = ids.filter_map(|id| told.get(id.as_str()));
            Case {
                incident: Arc::clone(incident),
                told: told.flatten().cloned().collect(),
            }
        };
        let cases: Vec<Case> = self.incidents.iter().map(case).collect();
        if let Some(core) = &mut self.nodes[index] {
            core.handle(at, Event::Incidents(Arc::new(cases)));
        }
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            self.now += self.step;
            let at = self.moment();
            let news = self.remarks.iter().any(|(said, ..)| {
                self.now >= *said + GOSSIP && self.now < *said + GOSSIP + self.step
            });
            for index in 0..self.nodes.len() {
                if news {
                    self.show(index);
                }
                let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.answers)
                    .into_iter()
                    .partition(|(when, node, ..)| *node == index && *when <= self.now);
                self.answers = later;
                let Some(core) = &mut self.nodes[index] else {
                    continue;
                };
                for (_, _, letter, answer) in due {
                    core.handle(at, Event::Answered { letter, answer });
                }
                if core.next_wake().is_some_and(|wake| wake <= at.now) {
                    core.wake(at);
                }
                while let Some(output) = core.poll() {
                    match output {
                        Output::Send(letter) => {
                            let answer = (self.endpoint)(self.now, index, &letter);
                            if matches!(answer, Answer::Taken { .. }) {
                                self.arrived.push(Arrived {
                                    at: self.now,
                                    node: index,
                                    route: letter.route.clone(),
                                    phase: letter.phase(),
                                    message: letter.message.clone(),
                                });
                            }
                            self.answers
                                .push((self.now + ANSWER, index, letter.id, answer));
                        }
                        Output::Remark { incident, what } => {
                            self.remarks.push((self.now, index, incident, what));
                        }
                    }
                }
            }
        }
    }

    fn restart(&mut self, index: usize) {
        let saved = self.nodes[index].as_ref().unwrap().save(self.moment().now);
        let text = serde_json::to_vec(&saved).unwrap();
        let saved = serde_json::from_slice(&text).unwrap();
        self.answers.retain(|(_, node, ..)| *node != index);
        self.nodes[index] = Some(self.fresh(index, saved));
        self.company();
        self.show(index);
    }

    #[track_caller]
    fn heard(&self, expected: &[&str]) {
        let arrived: Vec<String> = self
            .arrived
            .iter()
            .map(|one| {
                format!(
                    "{} {} {} by {}",
                    one.route, one.phase, one.message.key, one.node
                )
            })
            .collect();
        assert_eq!(arrived, expected, "{:#?}", self.remarks);
    }

    fn counters(&self, index: usize, route: &str) -> crate::counters::Counters {
        self.nodes[index].as_ref().unwrap().view().routes[route].counters
    }
}

fn taken() -> Answer {
    Answer::Taken { said: "ok".into() }
}

fn again() -> Answer {
    Answer::Again {
        why: "HTTP 500".into(),
        after: None,
    }
}

#[test]
fn a_healthy_grid_tells_an_incident_and_its_end_once_each() {
    let mut world = World::new(5, plan(vec![route("chat"), pager("oncall")]));
    world.set(incident("a"));
    world.run(120 * SECOND);
    world.resolve("a");
    world.run(120 * SECOND);
    world.heard(&[
        "chat opened a by 0",
        "oncall opened a by 0",
        "chat resolved a by 0",
        "oncall resolved a by 0",
    ]);
    assert_eq!(world.counters(3, "chat").told_by_others, 2);
}

#[test]
fn it_waits_until_the_incident_has_settled() {
    let mut world = World::new(1, plan(vec![route("chat")]));
    world.set(incident("a"));
    world.run(SECOND);
    world.change("a", |a| a.title = "the larger cause".into());
    world.run(10 * SECOND);
    world.heard(&["chat opened a by 0"]);
    assert_eq!(world.arrived[0].message.subject, "the larger cause");
    // A blip is not told at all, and counted.
    world.set(incident("b"));
    world.run(SECOND);
    world.resolve("b");
    world.run(30 * SECOND);
    world.heard(&["chat opened a by 0"]);
    assert_eq!(world.counters(0, "chat").over_before_told, 1);
}

#[test]
fn when_the_first_dies_before_it_spoke_the_next_speaks() {
    let mut world = World::new(3, plan(vec![route("chat")]));
    world.set(incident("a"));
    world.run(SECOND);
    world.nodes[0] = None;
    world.run(2 * SECOND);
    world.company();
    world.run(60 * SECOND);
    world.heard(&["chat opened a by 1"]);
    // The picture may also go on showing it as alive: then it takes a little longer.
    let mut world = World::new(3, plan(vec![route("chat")]));
    world.set(incident("a"));
    world.nodes[0] = None;
    world.run(60 * SECOND);
    world.heard(&["chat opened a by 1"]);
    assert!(
        world.arrived[0].at < 12 * SECOND,
        "{:?}",
        world.arrived[0].at
    );
}

#[test]
fn when_the_first_dies_after_it_spoke_the_next_tells_the_end() {
    let mut world = World::new(3, plan(vec![pager("oncall")]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.nodes[0] = None;
    world.company();
    world.resolve("a");
    world.run(30 * SECOND);
    world.heard(&["oncall opened a by 0", "oncall resolved a by 1"]);
}

#[test]
fn both_halves_of_a_partition_speak_under_one_key_and_agree_when_it_heals() {
    let mut world = World::new(4, plan(vec![pager("oncall")]));
    world.half = vec![0, 0, 1, 1];
    world.company();
    world.set(incident("a"));
    world.run(60 * SECOND);
    world.heard(&["oncall opened a by 0", "oncall opened a by 2"]);
    world.half = vec![0; 4];
    world.company();
    world.share();
    world.run(30 * SECOND);
    world.resolve("a");
    world.run(60 * SECOND);
    assert_eq!(world.arrived.len(), 3, "{:?}", world.arrived);
    assert_eq!(world.arrived[2].phase, Phase::Resolved);
    // One half told the end before it heard of the other's opening: no second end.
    let mut world = World::new(4, plan(vec![pager("oncall")]));
    world.half = vec![0, 0, 1, 1];
    world.company();
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.resolve("a");
    world.run(30 * SECOND);
    assert_eq!(world.arrived.len(), 4);
    world.half = vec![0; 4];
    world.company();
    world.share();
    world.run(120 * SECOND);
    assert_eq!(world.arrived.len(), 4, "{:?}", world.arrived);
}

#[test]
fn an_incident_that_goes_on_under_another_id_closes_both_alerts() {
    let mut world = World::new(1, plan(vec![pager("oncall")]));
    world.set(incident("b"));
    world.run(10 * SECOND);
    world.incidents.clear();
    let mut joined = incident("a");
    joined.aliases = vec!["b".into()];
    world.set(joined);
    world.run(10 * SECOND);
    world.heard(&["oncall opened b by 0"]);
    world.resolve("a");
    world.run(10 * SECOND);
    world.heard(&["oncall opened b by 0", "oncall resolved b by 0"]);
    assert_eq!(world.arrived[1].message.other_keys, ["a"]);
}

#[test]
fn it_tries_again_until_it_is_taken_and_goes_on_after_a_restart() {
    let mut world = World::new(2, plan(vec![route("chat")]));
    world.endpoint = Box::new(|_, node, _| if node == 0 { again() } else { taken() });
    world.nodes[1] = None;
    world.company();
    world.set(incident("a"));
    world.run(20 * SECOND);
    let before = world.nodes[0].as_ref().unwrap().view().routes["chat"].clone();
    assert!(before.counters.retried >= 2, "{before:?}");
    assert_eq!(before.trouble.as_deref(), Some("HTTP 500"));
    world.restart(0);
    world.endpoint = Box::new(|_, _, _| taken());
    world.run(5 * SECOND);
    world.heard(&["chat opened a by 0"]);
    world.restart(0);
    world.run(600 * SECOND);
    world.heard(&["chat opened a by 0"]);
}

#[test]
fn a_node_that_cannot_reach_the_endpoint_leaves_it_to_the_next() {
    let mut world = World::new(3, plan(vec![route("chat")]));
    world.endpoint = Box::new(|_, node, _| if node == 0 { again() } else { taken() });
    world.set(incident("a"));
    world.run(300 * SECOND);
    world.heard(&["chat opened a by 1"]);
    assert_eq!(world.counters(0, "chat").told_by_others, 1);
    assert_eq!(
        world.nodes[0].as_ref().unwrap().view().routes["chat"].waiting,
        0
    );
}

#[test]
fn what_is_refused_is_not_repeated_by_this_node_nor_for_ever_by_the_grid() {
    let mut world = World::new(8, plan(vec![route("chat")]));
    world.endpoint = Box::new(|_, _, _| Answer::Refused {
        why: "HTTP 403: no".into(),
    });
    world.set(incident("a"));
    world.run(1_200 * SECOND);
    world.heard(&[]);
    let failed = world.remarks.iter().filter(
        |(.., what)| matches!(what, RemarkKind::NotifyFailed { why, .. } if why == "HTTP 403: no"),
    );
    assert_eq!(failed.count(), 3);
    // A mended configuration is worth another attempt.
    world.endpoint = Box::new(|_, _, _| taken());
    let (at, same) = (world.moment(), Arc::clone(&world.plan));
    world.nodes[0]
        .as_mut()
        .unwrap()
        .handle(at, Event::Plan(same));
    world.run(10 * SECOND);
    world.heard(&["chat opened a by 0"]);
}

#[test]
fn it_gives_up_after_hours_and_says_so() {
    let mut world = World::new(1, plan(vec![route("chat")]));
    world.endpoint = Box::new(|_, _, _| again());
    world.set(incident("a"));
    world.run(2 * 3_600 * SECOND);
    world.restart(0);
    world.run(2 * 3_600 * SECOND + 600 * SECOND);
    assert_eq!(world.counters(0, "chat").failed, 1);
    let [(.., RemarkKind::NotifyFailed { why, .. })] = world.remarks.as_slice() else {
        panic!("{:?}", world.remarks);
    };
    assert!(why.starts_with("given up after 4 h"), "{why}");
    // Some sixty attempts in four hours, not thousands.
    assert!(world.counters(0, "chat").retried < 80);
}

#[test]
fn an_end_that_comes_before_the_opening_could_be_told_is_told_alone() {
    let mut world = World::new(1, plan(vec![route("chat")]));
    world.endpoint = Box::new(|_, _, _| again());
    world.set(incident("a"));
    world.run(60 * SECOND);
    world.resolve("a");
    world.run(SECOND);
    world.endpoint = Box::new(|_, _, _| taken());
    world.run(600 * SECOND);
    world.heard(&["chat resolved a by 0"]);
    assert_eq!(world.arrived[0].message.late.as_deref(), Some("HTTP 500"));
}

#[test]
fn nobody_took_note_so_it_reminds_until_somebody_does() {
    let remind = Route {
        remind: Some(1_800 * SECOND),
        ..route("chat")
    };
    let mut world = World::new(3, plan(vec![remind]));
    world.set(incident("a"));
    world.run(3_700 * SECOND);
    world.heard(&[
        "chat opened a by 0",
        "chat reminder a by 0",
        "chat reminder a by 0",
    ]);
    world.nodes[0] = None;
    world.company();
    world.run(1_800 * SECOND);
    assert_eq!(world.arrived[3].node, 1);
    world.restart(1);
    world.change("a", |a| a.acknowledged_by = Some("anna".into()));
    world.run(7_200 * SECOND);
    assert_eq!(world.arrived.len(), 4);
}

#[test]
fn what_grows_worse_is_told_again_once() {
    let only_critical = Route {
        filter: Filter {
            severity: Severity::Critical,
            ..Filter::default()
        },
        ..route("boss")
    };
    let mut world = World::new(3, plan(vec![route("chat"), only_critical]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.change("a", |a| a.severity = Severity::Critical);
    world.run(60 * SECOND);
    world.heard(&[
        "chat opened a by 0",
        "chat grew a by 0",
        "boss opened a by 0",
    ]);
    // A node or two more is no news; twice as many is.
    world.change("a", |a| a.blast_radius.nodes.push("web-2".into()));
    world.run(60 * SECOND);
    assert_eq!(world.arrived.len(), 3);
    world.change("a", |a| {
        a.blast_radius.nodes = (0..9).map(|n| format!("web-{n}")).collect();
    });
    world.run(60 * SECOND);
    assert_eq!(world.arrived.len(), 5);
}

#[test]
fn what_grows_while_the_message_is_under_way_is_told_afterwards() {
    let mut world = World::new(1, plan(vec![route("chat")]));
    world.endpoint = Box::new(|now, _, _| if now < 60 * SECOND { again() } else { taken() });
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.change("a", |a| a.severity = Severity::Critical);
    world.run(120 * SECOND);
    world.heard(&["chat opened a by 0", "chat grew a by 0"]);
}

#[test]
fn an_alert_is_acknowledged_where_alerts_are_kept() {
    let mut world = World::new(2, plan(vec![route("chat"), pager("oncall")]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.change("a", |a| a.acknowledged_by = Some("anna".into()));
    world.run(60 * SECOND);
    world.heard(&[
        "chat opened a by 0",
        "oncall opened a by 0",
        "oncall acknowledged a by 0",
    ]);
}

#[test]
fn what_was_over_and_is_back_is_told_as_such() {
    let mut world = World::new(2, plan(vec![route("chat")]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.resolve("a");
    world.run(30 * SECOND);
    world.change("a", |a| a.state = IncidentState::Open);
    world.run(60 * SECOND);
    world.resolve("a");
    world.run(60 * SECOND);
    world.heard(&[
        "chat opened a by 0",
        "chat resolved a by 0",
        "chat reopened a by 0",
        "chat resolved a by 0",
    ]);
}

#[test]
fn a_thousand_incidents_an_hour_are_told_in_some_messages_and_none_is_lost() {
    let mut world = World::new(2, plan(vec![route("chat"), pager("oncall")]));
    world.step = 400 * MILLI;
    for number in 0..1_000 {
        world.set(incident(&format!("i{number:04}")));
        world.run(3_600 * MILLI);
        if number >= 20 {
            world.resolve(&format!("i{:04}", number - 20));
        }
        if number >= 120 {
            // Lists are bounded: what is over for long falls out.
            let gone = world.incidents.remove(0);
            world.remarks.retain(|(_, _, id, _)| *id != gone.id);
        }
    }
    world.run(900 * SECOND);
    for number in 980..1_000 {
        world.resolve(&format!("i{number:04}"));
    }
    world.run(900 * SECOND);
    world.run(1_200 * SECOND);
    let count = |route: &str, phase| {
        let of = |one: &&Arrived| one.route == route && one.phase == phase;
        let messages: Vec<&Arrived> = world.arrived.iter().filter(of).collect();
        let incidents: usize = messages.iter().map(|one| one.message.count()).sum();
        (messages.len(), incidents)
    };
    let (opened, told) = count("chat", Phase::Opened);
    let (resolved, ended) = count("chat", Phase::Resolved);
    let over = world.counters(0, "chat").over_before_told;
    assert!(opened + resolved <= 60, "{opened} {resolved}");
    assert_eq!(told as u64 + over, 1_000, "told {told}, over before {over}");
    assert_eq!(told, ended);
    let (opened, told) = count("oncall", Phase::Opened);
    let over = world.counters(0, "oncall").over_before_told;
    assert!(opened <= 60, "{opened}");
    assert_eq!(told as u64 + over, 1_000);
    // Every alert that was opened is closed, under its own key.
    let keys = |phase| -> BTreeSet<&str> {
        let of = |one: &&Arrived| one.route == "oncall" && one.phase == phase;
        let messages = world.arrived.iter().filter(of);
        messages.map(|one| one.message.key.as_str()).collect()
    };
    assert_eq!(keys(Phase::Opened), keys(Phase::Resolved));
    let others: Vec<String> = world
        .arrived
        .iter()
        .filter(|one| one.node != 0)
        .map(|one| {
            format!(
                "{:?} {} {} {}",
                one.at,
                one.route,
                one.phase,
                one.message.count()
            )
        })
        .collect();
    // What fell out of the list is not heard of, so the next node may think that a turn is free.
    assert!(others.len() <= 2, "{others:?}");
    assert!(world.arrived.iter().any(|one| one.message.more > 0));
}

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_storm_is_one_message() {
    let mut world = World::new(3, plan(vec![route("chat"), pager("oncall")]));
    for number in 0..40 {
        world
            .incidents
            .push(Arc::new(incident(&format!("i{number:02}"))));
    }
    world.change("i07", |worst| worst.severity = Severity::Critical);
    world.run(60 * SECOND);
    world.heard(&["chat opened i07 by 0", "oncall opened i07 by 0"]);
    let message = &world.arrived[0].message;
    assert_eq!((message.items.len(), message.more), (10, 30));
    assert_eq!(world.nodes[0].as_ref().unwrap().view().beyond, 0);
    // The alert stays until the last of them is over.
    world.resolve("i07");
    world.run(60 * SECOND);
    assert_eq!(world.arrived.len(), 3, "the chat is told");
    for number in 0..40 {
        world.resolve(&format!("i{number:02}"));
    }
    world.run(60 * SECOND);
    world.heard(&[
        "chat opened i07 by 0",
        "oncall opened i07 by 0",
        "chat resolved i07 by 0",
        "chat resolved i07 by 0",
        "oncall resolved i07 by 0",
    ]);
}

#[test]
fn silences_and_maintenance_tell_nobody_record_it_and_end() {
    let at = |seconds: u32| Timestamp::parse(EPOCH).unwrap() + seconds * SECOND;
    let fra = Scope {
        sites: vec!["fra".into()],
        ..Scope::default()
    };
    let mut quiet = plan(vec![route("chat")]);
    quiet.maintenance.push(Maintenance {
        scope: fra.clone(),
        window: Window::Once {
            from: at(0),
            until: at(600),
        },
        reason: "new switches".into(),
    });
    quiet.silences.push(Silence {
        scope: Scope {
            causes: vec!["node_down:b".into()],
            ..Scope::default()
        },
        until: at(900),
        reason: "known".into(),
    });
    let mut world = World::new(2, quiet);
    world.set(incident("a"));
    world.set(incident("b"));
    let mut elsewhere = incident("c");
    elsewhere.blast_radius.sites.push("nyc".into());
    world.set(elsewhere);
    world.run(120 * SECOND);
    world.heard(&["chat opened c by 0"]);
    let notes: Vec<(&str, &RemarkKind)> = world
        .remarks
        .iter()
        .filter(|(.., what)| matches!(what, RemarkKind::Note(_)))
        .map(|(_, _, id, what)| (id.as_str(), what))
        .collect();
    assert_eq!(
        notes,
        [
            (
                "a",
                &RemarkKind::Note("nobody is told: maintenance (new switches)".into())
            ),
            (
                "b",
                &RemarkKind::Note("nobody is told: maintenance (new switches)".into())
            ),
        ]
    );
    assert_eq!(world.counters(0, "chat").suppressed, 2);
    world.run(600 * SECOND);
    world.heard(&["chat opened c by 0", "chat opened a by 0"]);
    world.run(400 * SECOND);
    assert_eq!(world.arrived.len(), 3);
}

#[test]
fn outside_its_hours_a_route_waits_but_good_news_pass() {
    let office = Hours::parse(&["mon-fri 08:00-18:00"], Zone::parse("+04:45").unwrap()).unwrap();
    let daytime = Route {
        hours: office,
        ..route("mail")
    };
    // 03:20 UTC is 08:05 there; ten hours later it is past 18:00.
    let mut world = World::new(1, plan(vec![daytime]));
    world.set(incident("a"));
    world.run(60 * SECOND);
    world.heard(&["mail opened a by 0"]);
    world.now += 10 * 3_600 * SECOND;
    world.set(incident("b"));
    world.run(600 * SECOND);
    world.resolve("a");
    world.run(60 * SECOND);
    world.heard(&["mail opened a by 0", "mail resolved a by 0"]);
}

#[test]
fn the_end_another_node_told_early_is_not_told_again_nor_taken_for_a_return() {
    let mut world = World::new(2, plan(vec![route("chat")]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    // Node 1 is sure that it is over; node 0 needs twenty seconds more to see it.
    let told = RemarkKind::Notified {
        route: "chat".into(),
        phase: "resolved".into(),
    };
    world.remarks.push((world.now, 1, "a".into(), told));
    world.run(20 * SECOND);
    world.nodes[1] = None;
    world.resolve("a");
    world.run(120 * SECOND);
    world.heard(&["chat opened a by 0"]);
}

#[test]
fn an_incident_that_vanishes_from_the_list_closes_its_alert_after_a_while() {
    let mut world = World::new(1, plan(vec![pager("oncall")]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.incidents.clear();
    world.share();
    world.run(600 * SECOND);
    world.heard(&["oncall opened a by 0"]);
    world.run(600 * SECOND);
    world.heard(&["oncall opened a by 0", "oncall resolved a by 0"]);
    let core = world.nodes[0].as_ref().unwrap();
    assert!(core.save(Instant(0)).routes["oncall"].threads.is_empty());
}

#[test]
fn a_sender_that_never_comes_back_holds_up_its_route_only_for_a_while() {
    let mut world = World::new(1, plan(vec![route("chat"), route("mail")]));
    world.set(incident("a"));
    world.run(2_300 * MILLI);
    world.answers.retain(|(_, _, letter, _)| *letter != 0);
    world.run(100 * SECOND);
    let told = |world: &World| world.remarks.len();
    assert_eq!(told(&world), 1);
    world.run(100 * SECOND);
    assert_eq!(told(&world), 2);
}

#[test]
fn a_node_that_lost_its_state_believes_its_own_remarks() {
    let mut world = World::new(2, plan(vec![route("chat")]));
    world.set(incident("a"));
    world.run(30 * SECOND);
    world.nodes[0] = Some(world.fresh(0, Saved::default()));
    world.company();
    world.show(0);
    world.run(60 * SECOND);
    world.resolve("a");
    world.run(60 * SECOND);
    world.heard(&["chat opened a by 0", "chat resolved a by 0"]);
}
