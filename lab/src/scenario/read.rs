//! A file's text to a [`Scenario`], or to all the mistakes in it.

use super::problem::{Problem, Problems};
use super::reader::{Found, Table, Word};
use super::{Family, LIST_MAX, Place, Scenario};
use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;
use toml::de::DeTable;

/// Largest scenario file; hand-written ones have a hundredth of it.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Healthy time before 0 s, where the file says nothing: a few rounds of probes, a trace of
/// each flow, and a usual round trip.
const SETTLE: Duration = Duration::from_secs(10);

impl Scenario {
    /// Reads a file. `Err` has every mistake in it with its place.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let whole = |what: String, help: &str| {
            let mut problems = Problems::new(path, "");
            problems.found.push(Problem {
                what,
                at: 0..0,
                help: help.into(),
            });
            problems
        };
        let bytes = std::fs::read(path).map_err(|error| {
            whole(
                format!("cannot read the scenario: {error}"),
                "give the path of a scenario file, for example lab/scenarios/fulfilment.toml",
            )
        })?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(whole(
                "this is too large for a scenario".into(),
                "at most 1 MiB",
            ));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| whole("this is no UTF-8 text".into(), "save the file as UTF-8"))?;
        Self::parse(path, &text)
    }

    /// Reads a text; `path` names it in mistakes, and its stem names the scenario.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        let found = RefCell::new(Problems::new(path, text));
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            found.borrow_mut().found.push(Problem {
                what: format!("this is not TOML: {}", error.message().replace('\n', ", ")),
                at: error.span().unwrap_or(0..0),
                help: "strings stand in quotes, one `key = value` a line, tables as [[name]]"
                    .into(),
            });
        }
        let name = path.file_stem().map_or("scenario".into(), |stem| {
            stem.to_string_lossy().into_owned()
        });
        let is_toml = found.borrow().found.is_empty();
        let scenario = is_toml
            .then(|| whole(name, root.get_ref(), text.len(), &found))
            .flatten();
        let mut problems = found.into_inner();
        match scenario {
            Some(scenario) if problems.found.is_empty() => Ok(scenario),
            _ => {
                problems
                    .found
                    .sort_by_key(|problem| (problem.at.start, problem.at.end));
                Err(problems)
            }
        }
    }
}

fn whole(name: String, root: &DeTable<'_>, end: usize, found: Found<'_>) -> Option<Scenario> {
    let root = Table::new("a scenario", end..end, root, found);
    let title = root.word("title").map_or(name.clone(), |word| word.text);
    let family = root.choice("ip", &[("v4", Family::V4), ("v6", Family::V6)]);
    let mut scenario = Scenario {
        name,
        title,
        family: family.unwrap_or(Family::V4),
        settle: root.time("settle").unwrap_or(SETTLE),
        length: root.time("length").unwrap_or(Duration::ZERO),
        repeat: root.number("repeat", 1..=1_000).unwrap_or(1),
        node_args: root
            .words("node_args")
            .into_iter()
            .map(|word| word.text)
            .collect(),
        nodes: Vec::new(),
        routers: Vec::new(),
        wires: Vec::new(),
        faults: Vec::new(),
        before: Vec::new(),
        steps: Vec::new(),
        expects: Vec::new(),
        nevers: Vec::new(),
        peers: (0, 0),
    };
    super::read_network::read(&root, &mut scenario);
    super::read_fault::read(&root, &mut scenario);
    super::read_expect::read(&root, &mut scenario);
    let many = [
        scenario.faults.len(),
        scenario.steps.len(),
        scenario.expects.len() + scenario.nevers.len(),
    ];
    if many.iter().any(|count| *count > LIST_MAX) {
        root.problem(
            "this scenario is too long",
            0..0,
            format!("at most {LIST_MAX} faults, steps and expectations each"),
        );
    }
    root.end();
    Some(scenario)
}

/// Resolves names in a scenario that is being read.
pub(super) struct Names<'s> {
    pub scenario: &'s Scenario,
}

impl Names<'_> {
    fn none(&self, table: &Table<'_, '_>, word: &Word, what: &str, valid: Vec<&str>) {
        table.problem(
            format!(
                "there is no {what} `{}`",
                andon_model::id::to_plain_text(&word.text, 64)
            ),
            word.at.clone(),
            super::problem::did_you_mean(&word.text, valid),
        );
    }

    /// A node or router.
    pub fn place(&self, table: &Table<'_, '_>, word: &Word) -> Option<Place> {
        let found = self
            .scenario
            .places()
            .find(|place| self.scenario.name_of(*place) == word.text);
        if found.is_none() {
            let valid = self.scenario.places();
            let valid = valid.map(|place| self.scenario.name_of(place)).collect();
            self.none(table, word, "node or router", valid);
        }
        found
    }

    /// Routers: one, or a pattern with `*`.
    pub fn routers(&self, table: &Table<'_, '_>, words: &[Word]) -> Vec<usize> {
        let mut found = Vec::new();
        for word in words {
            let before = found.len();
            found.extend(
                (0..self.scenario.routers.len())
                    .filter(|at| matches(&word.text, &self.scenario.routers[*at].name)),
            );
            if found.len() == before {
                let valid = self.scenario.routers.iter();
                let valid = valid.map(|router| router.name.as_str()).collect();
                self.none(table, word, "router", valid);
            }
        }
        found
    }

    /// Nodes: by id, by site, or a pattern with `*`.
    pub fn nodes(&self, table: &Table<'_, '_>, words: &[Word]) -> Vec<usize> {
        let mut found = Vec::new();
        for word in words {
            let before = found.len();
            for (at, node) in self.scenario.nodes.iter().enumerate() {
                if (matches(&word.text, &node.id) || node.site == word.text) && !found.contains(&at)
                {
                    found.push(at);
                }
            }
            if found.len() == before {
                let mut valid: Vec<&str> = Vec::new();
                for node in &self.scenario.nodes {
                    for name in [node.id.as_str(), node.site.as_str()] {
                        if !valid.contains(&name) {
                            valid.push(name);
                        }
                    }
                }
                self.none(table, word, "node or site", valid);
            }
        }
        found
    }

    /// A fault.
    pub fn fault(&self, table: &Table<'_, '_>, word: &Word) -> Option<usize> {
        let found = self.scenario.fault(&word.text);
        if found.is_none() {
            let valid = self.scenario.faults.iter();
            let valid = valid.map(|fault| fault.name.as_str()).collect();
            self.none(table, word, "fault", valid);
        }
        found
    }

    /// The first wire between two places.
    pub fn wire(&self, table: &Table<'_, '_>, key: &'static str) -> Option<usize> {
        let words = table.words(key);
        let [one, other] = words.as_slice() else {
            table.problem(
                format!("`{key}` names the two ends of a wire"),
                words.first().map_or(table.at(), |word| word.at.clone()),
                format!("for example: {key} = [\"r1\", \"r2\"]"),
            );
            return None;
        };
        let (one, other) = (self.place(table, one)?, self.place(table, other)?);
        let found = self
            .scenario
            .wires
            .iter()
            .position(|wire| wire.ends == [one, other] || wire.ends == [other, one]);
        if found.is_none() {
            let ends = [one, other].map(|place| self.scenario.name_of(place));
            table.problem(
                format!("no wire joins `{}` and `{}`", ends[0], ends[1]),
                words[0].at.start..words[1].at.end,
                "name the ends of a [[wire]] that are next to each other",
            );
        }
        found
    }
}

/// Whether a name is the pattern, in which one `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}
