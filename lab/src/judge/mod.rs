//! Whether the nodes say what was expected, since when, and whether one said what it must
//! not. Told what was done and what each node says, with the time; reads no clock itself.

#[cfg(test)]
mod tests;

use crate::layout::Layout;
use crate::scenario::{Expect, Expected, Moment, Never, Pattern, Place, Scenario};
use andon_model::{Incident, IncidentState, PictureView, Verdict, VerdictKind};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What became of one expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// In words.
    pub text: String,
    /// By when it had to be, after its moment.
    pub within: Duration,
    /// After its moment, when all that had to say it did; `None`: never.
    pub met: Option<Duration>,
    /// The same for the first node that said it.
    pub first: Option<Duration>,
    /// Why it is not met, or was broken later; `None` if all is well.
    pub wrong: Option<String>,
    /// Share of the time for which all went on saying it, from when it was met until the fault
    /// was switched off or the run ended; 0..=1.
    pub stood: Option<f64>,
    /// The verdict's sentence, where one was expected and came.
    pub sentence: Option<String>,
}

/// Something that was said and must not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The rule.
    pub text: String,
    /// When, in seconds after 0 s; negative before.
    pub at_s: f64,
    /// Who said it first.
    pub node: String,
    /// What.
    pub sentence: String,
}

/// The judge of one run.
pub struct Judge<'s> {
    scenario: &'s Scenario,
    layout: &'s Layout,
    moments: BTreeMap<Moment, Duration>,
    pictures: Vec<Option<PictureView>>,
    incidents: Vec<BTreeMap<String, IncidentState>>,
    /// Former names of each node's incidents, which it has united with others.
    united: Vec<BTreeSet<String>>,
    incident_ids: BTreeSet<String>,
    knows_incidents: bool,
    silent: BTreeSet<usize>,
    progress: Vec<Progress>,
    violations: Vec<Option<Violation>>,
}

#[derive(Default, Clone)]
struct Progress {
    met: Option<Duration>,
    first: Option<Duration>,
    sentence: Option<String>,
    broken: Option<String>,
    /// Since when all say it at present.
    standing: Option<Duration>,
    /// For how long all said it before that.
    stood: Duration,
}

impl Progress {
    /// Not all say it any more.
    fn falls(&mut self, now: Duration) {
        if let Some(since) = self.standing.take() {
            self.stood += now.saturating_sub(since);
        }
    }

    /// Share of the time since it was met for which it stood.
    fn steadiness(&self, until: Duration) -> Option<f64> {
        let whole = until.saturating_sub(self.met?).as_secs_f64();
        let standing = self
            .standing
            .map_or(Duration::ZERO, |since| until.saturating_sub(since));
        let stood = (self.stood + standing).as_secs_f64();
        Some(if whole > 0.0 {
            (stood / whole).min(1.0)
        } else {
            1.0
        })
    }
}

impl<'s> Judge<'s> {
    /// Knows nothing yet.
    pub fn new(scenario: &'s Scenario, layout: &'s Layout) -> Self {
        Self {
            scenario,
            layout,
            moments: BTreeMap::new(),
            pictures: vec![None; scenario.nodes.len()],
            incidents: vec![BTreeMap::new(); scenario.nodes.len()],
            united: vec![BTreeSet::new(); scenario.nodes.len()],
            incident_ids: BTreeSet::new(),
            knows_incidents: false,
            silent: BTreeSet::new(),
            progress: vec![Progress::default(); scenario.expects.len()],
            violations: vec![None; scenario.nevers.len()],
        }
    }

    /// A moment came. Of a fault that is switched on twice the first counts.
    pub fn happened(&mut self, at: Duration, moment: Moment) {
        self.moments.entry(moment).or_insert(at);
        self.look(at);
    }

    /// These nodes cannot speak now, and nobody waits for them.
    pub fn silenced(&mut self, at: Duration, nodes: impl IntoIterator<Item = usize>) {
        self.silent = nodes.into_iter().collect();
        self.look(at);
    }

    /// A node said something new.
    pub fn picture(&mut self, at: Duration, node: usize, view: PictureView) {
        if self.moments.contains_key(&Moment::Start) {
            self.watch_nevers(at, node, &view);
        }
        self.pictures[node] = Some(view);
        self.look(at);
    }

    /// A node tells its incidents. Those that were resolved before 0 s do not count.
    pub fn incidents(&mut self, at: Duration, node: usize, incidents: &[Incident]) {
        self.knows_incidents = true;
        self.incidents[node] = incidents
            .iter()
            .map(|incident| (incident.id.clone(), incident.state))
            .collect();
        self.united[node] = incidents
            .iter()
            .flat_map(|incident| incident.aliases.iter().cloned())
            .collect();
        if self.moments.contains_key(&Moment::Start) {
            let counted = incidents
                .iter()
                .filter(|incident| incident.state != IncidentState::Resolved)
                .map(|incident| incident.id.clone());
            self.incident_ids.extend(counted);
        }
        self.look(at);
    }

    /// What each node says at present.
    pub fn pictures(&self) -> &[Option<PictureView>] {
        &self.pictures
    }

    /// Incidents counted so far. Nodes that see parts of one trouble at the same moment begin
    /// one each; those that they have united since are one.
    pub fn incidents_seen(&self) -> BTreeSet<&str> {
        let is_united = |id: &&String| self.united.iter().any(|names| names.contains(*id));
        let seen = self.incident_ids.iter().filter(|id| !is_united(id));
        seen.map(String::as_str).collect()
    }

    /// Whether nothing more is waited for: each expectation is met or its time is over.
    pub fn is_settled(&self, now: Duration) -> bool {
        let expects = self.scenario.expects.iter();
        expects.zip(&self.progress).all(|(expect, progress)| {
            let over = self.moments.get(&expect.after);
            progress.met.is_some() || over.is_some_and(|at| now > *at + expect.within)
        })
    }

    /// Whether the time of an expectation is over that is not met.
    pub fn is_overdue(&self, now: Duration) -> bool {
        let expects = self.scenario.expects.iter();
        expects.zip(&self.progress).any(|(expect, progress)| {
            let over = self.moments.get(&expect.after);
            progress.met.is_none() && over.is_some_and(|at| now > *at + expect.within)
        })
    }

    /// The verdict on the nodes, at the end.
    pub fn outcomes(&self, now: Duration) -> Vec<Outcome> {
        let expects = self.scenario.expects.iter();
        expects
            .zip(&self.progress)
            .map(|(expect, progress)| self.outcome(expect, progress, now))
            .collect()
    }

    /// What was said and must not be.
    pub fn violations(&self) -> Vec<Violation> {
        self.violations.iter().flatten().cloned().collect()
    }

    fn outcome(&self, expect: &Expect, progress: &Progress, now: Duration) -> Outcome {
        let off = match expect.after {
            Moment::On(fault) => self.moments.get(&Moment::Off(fault)),
            Moment::Start | Moment::Off(_) => None,
        };
        let stood = match expect.what {
            Expected::Incidents(_) => None,
            _ => progress.steadiness(off.copied().unwrap_or(now)),
        };
        let after = self.moments.get(&expect.after);
        let since = |at: Option<Duration>| Some(at?.saturating_sub(*after?));
        let met = since(progress.met);
        let wrong = match (met, &progress.broken) {
            (_, Some(broken)) => Some(broken.clone()),
            (None, None) => Some(self.why_not(expect)),
            (Some(met), None) if met > expect.within => Some(format!(
                "took {:.1} s, which is more than {:.1} s",
                met.as_secs_f64(),
                expect.within.as_secs_f64()
            )),
            _ => stood
                .filter(|stood| *stood < expect.steady)
                .map(|stood| format!("stood only {:.0} % of the time after that", stood * 100.0)),
        };
        Outcome {
            text: expect.text.clone(),
            within: expect.within,
            met,
            first: since(progress.first),
            wrong,
            stood,
            sentence: progress.sentence.clone(),
        }
    }

    fn why_not(&self, expect: &Expect) -> String {
        if !self.moments.contains_key(&expect.after) {
            return "its moment did not come".into();
        }
        if let Expected::Incidents(_) = expect.what {
            return match self.knows_incidents {
                true => format!("{} incidents", self.incidents_seen().len()),
                false => "the nodes know no incidents".into(),
            };
        }
        let missing: Vec<&str> = self
            .asked(expect)
            .filter(|node| self.says(expect, *node).is_none())
            .map(|node| self.scenario.nodes[node].id.as_str())
            .collect();
        match missing.as_slice() {
            [] => "all said it, but never all at once".into(),
            missing => format!("not said by {}", missing.join(", ")),
        }
    }

    /// Nodes that have to say it.
    fn asked(&self, expect: &Expect) -> impl Iterator<Item = usize> {
        let nodes = match expect.on.as_slice() {
            [] => (0..self.scenario.nodes.len()).collect(),
            nodes => nodes.to_vec(),
        };
        nodes.into_iter().filter(|node| !self.silent.contains(node))
    }

    fn look(&mut self, now: Duration) {
        for at in 0..self.progress.len() {
            let expect = &self.scenario.expects[at];
            if !self.moments.contains_key(&expect.after) {
                continue;
            }
            if let Expected::Incidents(count) = expect.what {
                self.count_incidents(now, at, count);
                continue;
            }
            let over = match expect.after {
                Moment::On(fault) => self.moments.contains_key(&Moment::Off(fault)),
                Moment::Start | Moment::Off(_) => false,
            };
            if over {
                self.progress[at].falls(now);
                continue;
            }
            let said: Vec<Option<String>> = self
                .asked(expect)
                .map(|node| self.says(expect, node))
                .collect();
            let first = said.iter().flatten().next().cloned();
            let all = !said.is_empty() && said.iter().all(Option::is_some);
            let progress = &mut self.progress[at];
            if let Some(sentence) = first.filter(|_| progress.met.is_none()) {
                progress.first.get_or_insert(now);
                progress.sentence = (!sentence.is_empty()).then_some(sentence);
            }
            if all {
                progress.met.get_or_insert(now);
                progress.standing.get_or_insert(now);
            } else {
                progress.falls(now);
            }
        }
    }

    fn count_incidents(&mut self, now: Duration, at: usize, count: usize) {
        let expect = &self.scenario.expects[at];
        let each_tells = self.asked(expect).all(|node| {
            let known = self.incidents[node].keys();
            known.filter(|id| self.incident_ids.contains(*id)).count() == count
        });
        let (seen, known) = (self.incidents_seen(), self.knows_incidents);
        let broken = (seen.len() > count).then(|| {
            let ids: Vec<&str> = seen.iter().copied().collect();
            format!("{} incidents: {}", seen.len(), ids.join(", "))
        });
        let holds = known && seen.len() == count && each_tells;
        let progress = &mut self.progress[at];
        if broken.is_some() {
            (progress.met, progress.first) = (None, None);
        } else if holds && progress.met.is_none() {
            (progress.met, progress.first) = (Some(now), Some(now));
        }
        progress.broken = broken;
    }

    /// Whether a node says it; the sentence is empty where no verdict was expected.
    fn says(&self, expect: &Expect, node: usize) -> Option<String> {
        let view = self.pictures[node].as_ref()?;
        match &expect.what {
            Expected::Verdict(pattern) => {
                let mut verdicts = view.verdicts.iter();
                let found = verdicts.find(|verdict| self.fits(view, pattern, verdict));
                found.map(|verdict| verdict.sentence.clone())
            }
            Expected::Link { from, to, states } => {
                let named = |list: &[usize], id: &str| {
                    list.is_empty() || list.iter().any(|at| self.scenario.nodes[*at].id == id)
                };
                let mut meant = view
                    .links
                    .iter()
                    .filter(|link| named(from, &link.from) && named(to, &link.to))
                    .peekable();
                meant.peek()?;
                meant
                    .all(|link| states.contains(&link.state))
                    .then(String::new)
            }
            Expected::Incidents(_) => None,
            Expected::Clear => {
                let mut verdicts = view.verdicts.iter();
                let fault = verdicts.any(|verdict| verdict.kind.is_fault());
                (!fault).then(String::new)
            }
        }
    }

    fn watch_nevers(&mut self, at: Duration, node: usize, view: &PictureView) {
        let nevers = self.scenario.nevers.iter().enumerate();
        for (index, never) in nevers {
            if self.violations[index].is_some() {
                continue;
            }
            let mut verdicts = view.verdicts.iter();
            let said = verdicts.find(|verdict| self.is_forbidden(view, never, verdict));
            if let Some(verdict) = said {
                self.violations[index] = Some(Violation {
                    text: never.text.clone(),
                    at_s: at.as_secs_f64(),
                    node: self.scenario.nodes[node].id.clone(),
                    sentence: verdict.sentence.clone(),
                });
            }
        }
    }

    fn is_forbidden(&self, view: &PictureView, never: &Never, verdict: &Verdict) -> bool {
        let is_guess = verdict.confidence < never.sure as f32;
        if is_guess || !self.fits(view, &never.pattern, verdict) {
            return false;
        }
        let outside = never.outside.is_empty() || {
            let mut hops = verdict.hops.iter();
            hops.any(|hop| !self.belongs(hop, &never.outside))
        };
        let without = never.without.is_empty() || {
            let mut hops = verdict.hops.iter();
            !hops.any(|hop| self.belongs(hop, &never.without))
        };
        outside && without
    }

    fn belongs(&self, hop: &str, places: &[Place]) -> bool {
        let owner = hop.parse().ok().and_then(|hop| self.layout.owner(hop));
        owner.is_some_and(|owner| places.contains(&owner))
    }

    fn fits(&self, view: &PictureView, pattern: &Pattern, verdict: &Verdict) -> bool {
        let kind = match pattern.kinds.as_slice() {
            [] => verdict.kind.is_fault(),
            kinds => kinds.contains(&verdict.kind),
        };
        let end = |wanted: &Option<String>, found: &Option<String>| match (wanted, found) {
            (None, _) => true,
            (Some(wanted), Some(found)) => wanted == found || self.stands_in(view, found, wanted),
            (Some(_), None) => false,
        };
        let subject = pattern.subject.as_ref();
        let failed = pattern.failed.is_none_or(|(least, most)| {
            verdict.flows.is_some_and(|flows| {
                let share = f64::from(flows.failed) / f64::from(flows.total.max(1));
                (least..=most).contains(&share)
            })
        });
        kind && failed
            && end(&pattern.from, &verdict.from)
            && end(&pattern.to, &verdict.to)
            && subject.is_none_or(|subject| *subject == verdict.subject)
            && pattern
                .effect
                .is_none_or(|effect| verdict.effect == Some(effect))
            && pattern.hops.iter().all(|place| {
                let mut hops = verdict.hops.iter();
                hops.any(|hop| self.belongs(hop, std::slice::from_ref(place)))
            })
            && (pattern.among.is_empty()
                || verdict
                    .hops
                    .iter()
                    .all(|hop| self.belongs(hop, &pattern.among)))
    }

    fn stands_in(&self, view: &PictureView, id: &str, site: &str) -> bool {
        let mut nodes = view.nodes.iter();
        let node = nodes.find(|node| node.id == id);
        node.and_then(|node| node.site.as_ref())
            .is_some_and(|found| found.as_str() == site)
    }
}

/// Whether a picture has all nodes. `Err` says which is missing.
pub fn knows_all(scenario: &Scenario, view: &PictureView) -> Result<(), String> {
    let known = |id: &str| view.nodes.iter().any(|node| node.id == id);
    match scenario.nodes.iter().find(|node| !known(&node.id)) {
        Some(node) => Err(format!("{} does not know {}", view.me, node.id)),
        None => Ok(()),
    }
}

/// Whether a picture shows a grid in which all is well: these nodes up, every link between
/// them up, nothing wrong. `Err` says what is missing.
pub fn is_well(scenario: &Scenario, view: &PictureView) -> Result<(), String> {
    let up = |id: &str| {
        let mut nodes = view.nodes.iter();
        nodes.any(|node| node.id == id && node.state == andon_model::NodeState::Up)
    };
    knows_all(scenario, view)?;
    if let Some(node) = scenario.nodes.iter().find(|node| !up(&node.id)) {
        return Err(format!("{} does not see {} up", view.me, node.id));
    }
    let sick = view.links.iter().find(|link| {
        !matches!(
            link.state,
            andon_model::LinkState::Up | andon_model::LinkState::NotProbed
        )
    });
    if let Some(link) = sick {
        let (from, to) = (&link.from, &link.to);
        return Err(format!("{} has {from}→{to} {:?}", view.me, link.state));
    }
    let mut verdicts = view.verdicts.iter();
    match verdicts.find(|verdict| verdict.kind != VerdictKind::HostBusy) {
        Some(verdict) => Err(format!("{} says: {}", view.me, verdict.sentence)),
        None => Ok(()),
    }
}
