//! The script: what is done to the grid in turn, and what all nodes are then expected to say.
//! Pure: time and pictures come in, orders and sentences come out.

use super::cast::CAST;
use super::views::{Expect, Views};
use andon_model::{Instant, VerdictKind};
use std::time::Duration;

/// Longest wait for what is expected; then the story says so and goes on.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is said must still stand after so long before it is told: by then the nodes' own
/// reports have caught up with the first alarm. The time told is that of the first moment.
const SETTLE: Duration = Duration::from_millis(1_500);

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Look,
    /// Pulls a plug.
    Pull(&'static str),
    /// Puts it back.
    Mend(&'static str),
}

/// One step of the script.
#[derive(Debug)]
pub struct Step {
    /// Name, for the page.
    pub id: &'static str,
    /// Headline, for the page.
    pub title: &'static str,
    /// What is done, for the terminal.
    pub told: &'static str,
    /// What is done.
    pub act: Act,
    /// What the nodes are then expected to say.
    pub expect: Expect,
    /// Nodes that cannot be asked meanwhile, or see it from the other side.
    pub aside: &'static [&'static str],
    /// Time to look at it before the next step.
    pub hold: Duration,
}

const fn mend(fault: &'static str, told: &'static str) -> Step {
    Step {
        id: "healing",
        title: "Healing",
        told,
        act: Act::Mend(fault),
        expect: Expect::AllWell,
        aside: &[],
        hold: Duration::from_secs(4),
    }
}

/// All steps.
pub const STEPS: &[Step] = &[
    Step {
        id: "healthy",
        title: "A healthy grid: a shop in Frankfurt and New York, its fulfilment in Singapore",
        told: "five nodes in three sites: fra and nyc sell, sgp ships",
        act: Act::Look,
        expect: Expect::AllWell,
        aside: &[],
        hold: Duration::from_secs(6),
    },
    Step {
        id: "cut",
        title: "One direction of one link is cut",
        told: "cutting fra-web → nyc-web; the way back stays open, so most tools would call it flapping",
        act: Act::Pull("cut"),
        expect: Expect::Verdict(VerdictKind::LinkDown, &["fra-web→nyc-web"]),
        aside: &[],
        hold: Duration::from_secs(8),
    },
    mend("cut", "the direction is open again"),
    Step {
        id: "loss",
        title: "A link loses packets",
        told: "losing 20 % of the packets from fra-web to sgp-ship",
        act: Act::Pull("loss"),
        expect: Expect::Verdict(VerdictKind::Degraded, &["fra-web", "sgp-ship"]),
        aside: &[],
        hold: Duration::from_secs(8),
    },
    mend("loss", "the link is clean again"),
    Step {
        id: "flows",
        title: "Half of the flows of a link die",
        told: "one of two equal paths nyc-web → sgp-ship breaks: half of the flows die, ping would look fine",
        act: Act::Pull("flows"),
        expect: Expect::Verdict(VerdictKind::LinkPartial, &["nyc-web", "sgp-ship"]),
        aside: &[],
        hold: Duration::from_secs(8),
    },
    mend("flows", "both paths carry again"),
    Step {
        id: "freeze",
        title: "A node freezes",
        told: "freezing nyc-api (SIGSTOP): its sockets stay open, nothing answers",
        act: Act::Pull("freeze"),
        expect: Expect::Verdict(VerdictKind::NodeDown, &["nyc-api"]),
        aside: &["nyc-api"],
        hold: Duration::from_secs(7),
    },
    mend("freeze", "nyc-api goes on (SIGCONT)"),
    Step {
        id: "kill",
        title: "A node dies",
        told: "killing fra-db (SIGKILL)",
        act: Act::Pull("kill"),
        expect: Expect::Verdict(VerdictKind::NodeDown, &["fra-db"]),
        aside: &["fra-db"],
        hold: Duration::from_secs(7),
    },
    mend(
        "kill",
        "starting fra-db again; identity and peers come from its data directory",
    ),
    Step {
        id: "site",
        title: "A site is cut off",
        told: "cutting site nyc off from the others",
        act: Act::Pull("site"),
        expect: Expect::Verdict(VerdictKind::SiteCutOff, &["nyc"]),
        aside: &[],
        hold: Duration::from_secs(9),
    },
    mend("site", "site nyc is back; both halves merge"),
];

/// What the story wants done or told.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Do this.
    Act(Act),
    /// Tell what is done.
    Told(&'static str),
    /// All who can be asked say it: the sentence (empty: all is well), how many, after how long.
    Seen {
        /// What they say.
        sentence: String,
        /// How many nodes.
        nodes: usize,
        /// Time since the act.
        took: Duration,
    },
    /// They did not say it in time.
    Unseen {
        /// How many nodes do say it.
        nodes: usize,
        /// Of how many.
        of: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Begin,
    Await { since: Instant },
    Settle { since: Instant, met: Instant },
    Hold { until: Instant },
    Done,
}

/// The script being played.
#[derive(Debug)]
pub struct Story {
    steps: &'static [Step],
    at: usize,
    phase: Phase,
    paused: bool,
}

impl Story {
    /// From the beginning.
    pub fn new(steps: &'static [Step]) -> Self {
        Self {
            steps,
            at: 0,
            phase: Phase::Begin,
            paused: false,
        }
    }

    /// The step that is played; `None` when all were.
    pub fn step(&self) -> Option<&'static Step> {
        self.steps.get(self.at)
    }

    /// Halts before the next step.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Whether it is halted.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether all steps were played.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// What is due now.
    pub fn wake(&mut self, now: Instant, views: &Views) -> Vec<Output> {
        let Some(step) = self.step() else {
            return Vec::new();
        };
        match self.phase {
            Phase::Begin if self.paused => Vec::new(),
            Phase::Begin => {
                self.phase = Phase::Await { since: now };
                vec![Output::Told(step.told), Output::Act(step.act)]
            }
            Phase::Await { since } => self.judge(step, since, None, now, views),
            Phase::Settle { since, met } => self.judge(step, since, Some(met), now, views),
            Phase::Hold { until } => {
                if now >= until && !self.paused {
                    self.at += 1;
                    self.phase = if self.at < self.steps.len() {
                        Phase::Begin
                    } else {
                        Phase::Done
                    };
                }
                Vec::new()
            }
            Phase::Done => Vec::new(),
        }
    }

    fn judge(
        &mut self,
        step: &Step,
        since: Instant,
        met: Option<Instant>,
        now: Instant,
        views: &Views,
    ) -> Vec<Output> {
        let asked = CAST
            .iter()
            .enumerate()
            .filter(|(_, role)| !step.aside.contains(&role.id));
        let asked: Vec<_> = asked.map(|(index, _)| views.0[index].as_ref()).collect();
        let saying: Vec<_> = asked
            .iter()
            .flatten()
            .filter(|view| step.expect.holds(view))
            .collect();
        if saying.len() < asked.len() {
            self.phase = Phase::Await { since };
            if now.since(since) <= PATIENCE {
                return Vec::new();
            }
            self.phase = Phase::Hold {
                until: now + step.hold,
            };
            return vec![Output::Unseen {
                nodes: saying.len(),
                of: asked.len(),
            }];
        }
        let met = met.unwrap_or(now);
        if now.since(met) < SETTLE {
            self.phase = Phase::Settle { since, met };
            return Vec::new();
        }
        self.phase = Phase::Hold {
            until: now + step.hold,
        };
        let verdict = saying.first().and_then(|view| step.expect.verdict(view));
        let sentence = verdict
            .map(|verdict| verdict.sentence.clone())
            .unwrap_or_default();
        vec![Output::Seen {
            sentence,
            nodes: saying.len(),
            took: met.since(since),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults;
    use super::*;
    use andon_model::{PictureDigest, PictureView, Timestamp, Verdict};
    use std::sync::Arc;

    fn saying(kind: VerdictKind, subject: &str) -> Option<Arc<PictureView>> {
        let verdict = Verdict {
            id: subject.into(),
            kind,
            subject: subject.into(),
            sentence: format!("{subject} is at fault."),
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
        };
        Some(Arc::new(PictureView {
            digest: PictureDigest::default(),
            generated_at: Timestamp(0),
            me: "x".into(),
            nodes: Vec::new(),
            links: Vec::new(),
            verdicts: vec![verdict],
        }))
    }

    const ONE: &[Step] = &[Step {
        id: "kill",
        title: "",
        told: "killing fra-db",
        act: Act::Pull("kill"),
        expect: Expect::Verdict(VerdictKind::NodeDown, &["fra-db"]),
        aside: &["fra-db"],
        hold: Duration::from_secs(5),
    }];

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000)
    }

    #[test]
    fn a_step_ends_when_all_who_can_be_asked_say_what_is_expected() {
        let mut story = Story::new(ONE);
        let silent = Views(vec![None; 5]);
        assert_eq!(
            story.wake(at(1), &silent),
            [
                Output::Told("killing fra-db"),
                Output::Act(Act::Pull("kill"))
            ]
        );
        let mut views = Views(vec![saying(VerdictKind::NodeDown, "fra-db"); 5]);
        views.0[1] = None;
        views.0[4] = saying(VerdictKind::NodeDown, "nyc-web");
        assert_eq!(story.wake(at(2), &views), [], "one says something else");
        views.0[4] = saying(VerdictKind::NodeDown, "fra-db");
        let sentence = "fra-db is at fault.".to_owned();
        assert_eq!(story.wake(at(3), &views), [], "it must stand for a moment");
        assert_eq!(
            story.wake(at(5), &views),
            [Output::Seen {
                sentence,
                nodes: 4,
                took: Duration::from_secs(2)
            }]
        );
        story.wake(at(9), &views);
        assert!(!story.is_done());
        story.wake(at(10), &views);
        assert!(story.is_done());
        assert_eq!(story.wake(at(11), &views), []);
    }

    #[test]
    fn what_is_said_for_an_instant_only_does_not_count() {
        let mut story = Story::new(ONE);
        let views = Views(vec![saying(VerdictKind::NodeDown, "fra-db"); 5]);
        story.wake(at(1), &views);
        assert_eq!(story.wake(at(2), &views), []);
        assert_eq!(story.wake(at(3), &Views(vec![None; 5])), []);
        assert_eq!(story.wake(at(4), &views), [], "it begins to stand again");
        let sentence = "fra-db is at fault.".to_owned();
        assert_eq!(
            story.wake(at(6), &views),
            [Output::Seen {
                sentence,
                nodes: 4,
                took: Duration::from_secs(3)
            }]
        );
    }

    #[test]
    fn a_story_that_waits_in_vain_says_so_and_a_paused_one_stays() {
        let mut story = Story::new(ONE);
        let silent = Views(vec![None; 5]);
        story.pause();
        assert_eq!(story.wake(at(1), &silent), []);
        story.resume();
        story.wake(at(1), &silent);
        assert_eq!(
            story.wake(at(42), &silent),
            [Output::Unseen { nodes: 0, of: 4 }]
        );
        story.pause();
        story.wake(at(100), &silent);
        assert!(!story.is_done());
    }

    #[test]
    fn the_script_names_known_faults_and_mends_each_that_it_makes() {
        let mut broken: Vec<&str> = Vec::new();
        for step in STEPS {
            match step.act {
                Act::Look => {}
                Act::Pull(fault) => {
                    assert!(faults::by_id(fault).is_some());
                    assert!(broken.is_empty(), "one fault at a time");
                    broken.push(fault);
                }
                Act::Mend(fault) => assert_eq!(broken.pop(), Some(fault)),
            }
        }
        assert!(broken.is_empty());
    }
}
