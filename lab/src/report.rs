//! What runs found, as a table for people and a document for machines.

use crate::narrate::seconds;
use crate::run::Run;
use crate::scenario::Scenario;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Most runs of which a table tells what was wrong with one expectation.
const WRONG_MAX: usize = 5;

/// What stood for less of its time is told in the table.
const STEADY: f64 = 0.98;

/// All runs of one scenario.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its one line.
    pub title: String,
    /// In order.
    pub runs: Vec<Run>,
    /// Runs that could not be carried out, and why.
    pub errors: Vec<String>,
    /// How often it was run before and was not right.
    pub retried: u32,
}

/// One expectation over all runs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// In words.
    pub expected: String,
    /// Runs in which it was met in time and stayed true.
    pub right: usize,
    /// Runs in all.
    pub runs: usize,
    /// Median of the times it took, seconds; `None` where half of the runs never met it.
    pub p50_s: Option<f64>,
    /// 95th percentile, seconds; `None` where it was not met often enough to have one.
    pub p95_s: Option<f64>,
    /// By when it had to be met, seconds.
    pub within_s: f64,
    /// Share of the time for which it stood after it was met, in the worst run.
    pub stood: Option<f64>,
    /// Whether the 95th percentile is within, and no run ended wrong otherwise.
    pub passed: bool,
    /// What was wrong, where something was.
    pub wrong: Vec<String>,
    /// The verdict of the last run that had one.
    pub sentence: Option<String>,
}

impl Report {
    /// No run yet.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            runs: Vec::new(),
            errors: Vec::new(),
            retried: 0,
        }
    }

    /// Whether a run was not right on hosts that were too busy for exact figures.
    pub fn was_starved(&self) -> bool {
        self.runs.iter().any(|run| run.was_starved)
    }

    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        let clean = self.runs.iter().all(|run| run.violations.is_empty());
        !self.runs.is_empty()
            && self.errors.is_empty()
            && clean
            && self.rows().iter().all(|row| row.passed)
    }

    /// One row for each expectation.
    pub fn rows(&self) -> Vec<Row> {
        let count = self.runs.first().map_or(0, |run| run.outcomes.len());
        (0..count).map(|at| self.row(at)).collect()
    }

    fn row(&self, at: usize) -> Row {
        let outcomes = self.runs.iter().filter_map(|run| run.outcomes.get(at));
        let outcomes: Vec<_> = outcomes.collect();
        let first = outcomes[0];
        let mut times: Vec<Option<Duration>> = outcomes.iter().map(|outcome| outcome.met).collect();
        // Never is later than any time.
        times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
        let quantile = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times[rank.clamp(1, times.len()) - 1].map(|time| time.as_secs_f64())
        };
        let within_s = first.within.as_secs_f64();
        let p95_s = quantile(0.95);
        let late = |wrong: &str| wrong.starts_with("took ");
        let wrong: Vec<String> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(run, outcome)| {
                let wrong = outcome.wrong.as_ref()?;
                Some(format!("run {}: {wrong}", run + 1))
            })
            .collect();
        // One late run in twenty is within the 95th percentile; one that went wrong in
        // another way is not.
        let never_wrong = outcomes
            .iter()
            .all(|outcome| outcome.met.is_none() || outcome.wrong.as_deref().is_none_or(late));
        Row {
            expected: first.text.clone(),
            right: outcomes.len() - wrong.len(),
            runs: outcomes.len(),
            p50_s: quantile(0.5),
            p95_s,
            within_s,
            stood: outcomes
                .iter()
                .filter_map(|outcome| outcome.stood)
                .min_by(f64::total_cmp),
            passed: never_wrong && p95_s.is_some_and(|p95| p95 <= within_s),
            wrong,
            sentence: outcomes
                .iter()
                .rev()
                .find_map(|outcome| outcome.sentence.clone()),
        }
    }

    /// The table of this scenario.
    pub fn table(&self) -> String {
        let mut text = format!("\n{}: {}\n", self.name, self.title);
        for row in self.rows() {
            let mark = if row.passed { "ok  " } else { "FAIL" };
            let time =
                |time: Option<f64>| time.map_or("never".into(), |time| format!("{time:.1} s"));
            let took = match row.runs {
                1 => time(row.p50_s),
                runs => format!(
                    "{} of {runs}, p50 {}, p95 {}",
                    row.right,
                    time(row.p50_s),
                    time(row.p95_s)
                ),
            };
            let stood = match row.stood {
                Some(stood) if stood < STEADY => {
                    format!(", then stood {:.0} % of the time", stood * 100.0)
                }
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "  {mark}  {}: {took} (within {:.0} s){stood}",
                row.expected, row.within_s
            );
            for wrong in row.wrong.iter().take(WRONG_MAX) {
                let _ = writeln!(text, "        wrong in {wrong}");
            }
            if let Some(sentence) = row.sentence {
                let _ = writeln!(text, "        “{sentence}”");
            }
        }
        for (at, run) in self.runs.iter().enumerate() {
            for violation in &run.violations {
                let _ = writeln!(
                    text,
                    "  FAIL  {} (run {}): {} said at {:.1} s: {}",
                    violation.text,
                    at + 1,
                    violation.node,
                    violation.at_s,
                    violation.sentence
                );
            }
        }
        for error in &self.errors {
            let _ = writeln!(text, "  FAIL  could not be run: {error}");
        }
        for finding in self.runs.iter().flat_map(|run| &run.peers) {
            let _ = writeln!(
                text,
                "  peer  {}: {} ({})",
                finding.command,
                finding.summary,
                seconds(finding.took)
            );
        }
        text
    }

    /// The document of this scenario.
    pub fn document(&self) -> serde_json::Value {
        let runs: Vec<_> = self.runs.iter().map(run_document).collect();
        serde_json::json!({
            "scenario": self.name,
            "title": self.title,
            "passed": self.passed(),
            "expected": self.rows(),
            "runs": runs,
            "errors": self.errors,
            "retried": self.retried,
        })
    }
}

fn run_document(run: &Run) -> serde_json::Value {
    let violations: Vec<_> = run
        .violations
        .iter()
        .map(|one| serde_json::json!({ "rule": one.text, "at_s": one.at_s, "node": one.node, "sentence": one.sentence }))
        .collect();
    let peers: Vec<_> = run
        .peers
        .iter()
        .map(|one| serde_json::json!({ "command": one.command, "took_s": one.took.as_secs_f64(), "summary": one.summary, "output": one.output }))
        .collect();
    let outcomes: Vec<_> = run
        .outcomes
        .iter()
        .map(|one| {
            let time = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
            serde_json::json!({ "expected": one.text, "first_s": time(one.first), "all_s": time(one.met), "wrong": one.wrong, "stood": one.stood, "sentence": one.sentence })
        })
        .collect();
    serde_json::json!({
        "passed": run.passed(),
        "well_after_s": run.well_after.as_secs_f64(),
        "outcomes": outcomes,
        "violations": violations,
        "incidents": run.incidents,
        "packets_dropped": run.dropped.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "peers": peers,
        "diagnosis": run.diagnosis,
    })
}

/// The table of a suite.
pub fn summary(reports: &[Report]) -> String {
    let width = reports.iter().map(|report| report.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::from("\n");
    for report in reports {
        let mark = if report.passed() { "ok  " } else { "FAIL" };
        let rows = report.rows();
        let slowest = rows.iter().filter_map(|row| row.p95_s).fold(0.0, f64::max);
        let met = rows.iter().filter(|row| row.passed).count();
        let wrong: usize = report.runs.iter().map(|run| run.violations.len()).sum();
        let retried = match report.retried {
            0 => String::new(),
            1 => "; at the second try".into(),
            more => format!("; at try {}", more + 1),
        };
        let _ = writeln!(
            text,
            "{mark}  {:width$}  {met} of {} expected, last after {slowest:.1} s; {wrong} said that must not be{retried}",
            report.name,
            rows.len(),
        );
    }
    let passed = reports.iter().filter(|report| report.passed()).count();
    let _ = writeln!(text, "scenarios: {passed} of {} right", reports.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Outcome;

    fn report(times: &[Option<f64>]) -> Report {
        let outcome = |time: &Option<f64>| Outcome {
            text: "it".into(),
            within: Duration::from_secs(5),
            met: time.map(Duration::from_secs_f64),
            first: None,
            wrong: match time {
                None => Some("not said by a".into()),
                Some(time) if *time > 5.0 => Some("took too long".into()),
                Some(_) => None,
            },
            stood: None,
            sentence: None,
        };
        let run = |time| Run {
            outcomes: vec![outcome(time)],
            ..Run::default()
        };
        Report {
            name: "try".into(),
            title: "A try".into(),
            runs: times.iter().map(run).collect(),
            errors: Vec::new(),
            retried: 0,
        }
    }

    #[test]
    fn one_late_run_of_twenty_is_within_the_95th_percentile_and_two_are_not() {
        let mut times: Vec<Option<f64>> = (1..=20).map(|n| Some(f64::from(n) / 10.0)).collect();
        times[7] = Some(9.0);
        let row = &report(&times).rows()[0];
        assert_eq!((row.right, row.runs), (19, 20));
        assert!(row.passed, "{row:?}");
        times[8] = None;
        let row = &report(&times).rows()[0];
        assert_eq!(row.p95_s, Some(9.0));
        assert!(!row.passed);
    }

    #[test]
    fn never_is_later_than_any_time() {
        let row = &report(&[Some(1.0), None, None]).rows()[0];
        assert_eq!((row.p50_s, row.p95_s, row.passed), (None, None, false));
        assert_eq!(row.wrong[0], "run 2: not said by a");
    }

    #[test]
    fn a_report_without_a_run_is_no_success() {
        assert!(!report(&[]).passed());
    }
}
