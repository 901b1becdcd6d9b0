//! What must be said and what must not: `[[expect]]`, `[[never]]`, `[peers]`.

use super::read::Names;
use super::reader::{Table, Word};
use super::{
    EFFECTS, Expect, Expected, LINK_STATES, Moment, Never, Pattern, Place, Scenario, VERDICT_KINDS,
};
use andon_model::VerdictKind;
use std::time::Duration;

/// Reads it into the scenario.
pub(super) fn read(root: &Table<'_, '_>, scenario: &mut Scenario) {
    for table in root.tables("expect", "[[expect]]") {
        if let Some(expect) = expect(&table, scenario) {
            scenario.expects.push(expect);
            table.end();
        }
    }
    for table in root.tables("never", "[[never]]") {
        let never = never(&table, scenario);
        scenario.nevers.push(never);
        table.end();
    }
    if !root.has("expect") && !root.has("never") {
        root.problem(
            "nothing is expected of the nodes",
            root.at(),
            "add [[expect]] or [[never]]: a scenario that cannot fail tells nothing",
        );
    }
    peers(root, scenario);
}

fn expect(table: &Table<'_, '_>, scenario: &Scenario) -> Option<Expect> {
    let names = Names { scenario };
    let after = moment(table, &names)?;
    if !table.has("within") {
        table.problem(
            "this expectation lacks `within`",
            table.at(),
            "within = \"5s\"",
        );
    }
    let within = table.time("within").unwrap_or(Duration::from_secs(5));
    let on = names.nodes(table, &table.words("on"));
    let steady = table.share("steady", 1.0).unwrap_or(0.0);
    let forms = ["verdict", "link", "incidents", "clear"];
    if forms.iter().filter(|form| table.has(form)).count() != 1 {
        table.problem(
            "an expectation says one thing",
            table.at(),
            "verdict = \"path_fault\", or link = \"partial\", or incidents = 1, or clear = true",
        );
    }
    let what = if table.has("link") {
        let words = table.words("link");
        let states = words
            .iter()
            .filter_map(|word| table.chosen("state of a link", word, LINK_STATES));
        Expected::Link {
            states: states.collect(),
            from: names.nodes(table, &table.words("from")),
            to: names.nodes(table, &table.words("to")),
        }
    } else if table.has("incidents") {
        Expected::Incidents(table.number("incidents", 0..=1_000)? as usize)
    } else if table.has("clear") {
        table.switch("clear");
        Expected::Clear
    } else {
        Expected::Verdict(pattern(table, &names))
    };
    Some(Expect {
        text: describe(scenario, &what),
        after,
        within,
        on,
        steady,
        what,
    })
}

/// `"start"`, `"hole on"`, `"hole off"`.
fn moment(table: &Table<'_, '_>, names: &Names<'_>) -> Option<Moment> {
    let Some(word) = table.word("after") else {
        return Some(Moment::Start);
    };
    if word.text == "start" {
        return Some(Moment::Start);
    }
    let (fault, on) = match word.text.rsplit_once(' ') {
        Some((fault, "on")) => (fault, true),
        Some((fault, "off")) => (fault, false),
        _ => {
            let known = names.scenario.fault(&word.text).is_some();
            let help = match known {
                true => format!("\"{0} on\" or \"{0} off\"", word.text),
                false => "\"start\", \"FAULT on\" or \"FAULT off\"".to_owned(),
            };
            let what = format!("`{}` is no moment", word.text);
            table.problem(what, word.at, help);
            return None;
        }
    };
    let named = Word {
        text: fault.to_owned(),
        at: word.at.clone(),
    };
    let fault = names.fault(table, &named)?;
    let mut steps = names.scenario.steps.iter();
    let before = on && names.scenario.before.contains(&fault);
    let happens = before
        || steps.any(|step| match on {
            true => step.on.contains(&fault),
            false => step.off.contains(&fault),
        });
    if !happens {
        table.problem(
            format!("no step does `{}`", word.text),
            word.at,
            "add a [[step]] with it",
        );
    }
    Some(match on {
        true => Moment::On(fault),
        false => Moment::Off(fault),
    })
}

fn never(table: &Table<'_, '_>, scenario: &Scenario) -> Never {
    let names = Names { scenario };
    if !table.has("verdict") {
        table.problem(
            "this [[never]] lacks `verdict`",
            table.at(),
            "a kind of verdict, or \"fault\" for each that is no mere remark",
        );
    }
    let pattern = pattern(table, &names);
    let outside = places(table, &names, "outside");
    let without = places(table, &names, "without");
    let sure = table.share("sure", 1.0).unwrap_or(0.0);
    let mut text = describe_pattern(scenario, &pattern);
    if !outside.is_empty() {
        text += &format!(" naming others than {}", list(scenario, &outside));
    }
    if !without.is_empty() {
        text += &format!(" that does not name {}", list(scenario, &without));
    }
    if sure > 0.0 {
        text += &format!(" with confidence {sure} or more");
    }
    Never {
        text: format!("never {text}"),
        pattern,
        outside,
        without,
        sure,
    }
}

fn pattern(table: &Table<'_, '_>, names: &Names<'_>) -> Pattern {
    let mut kinds: Vec<VerdictKind> = Vec::new();
    for word in table.words("verdict") {
        if word.text != "fault" {
            kinds.extend(table.chosen("kind of verdict", &word, VERDICT_KINDS));
        }
    }
    let failed = table.words("failed");
    let failed = match failed.as_slice() {
        [] => None,
        [one] => range(&one.text).or_else(|| {
            table.problem(
                "`failed` is a range of shares",
                one.at.clone(),
                "for example: failed = \"0.2..0.8\"",
            );
            None
        }),
        [_, second, ..] => {
            table.problem(
                "`failed` is one range",
                second.at.clone(),
                "failed = \"0.2..0.8\"",
            );
            None
        }
    };
    Pattern {
        kinds,
        from: end(table, names, "from"),
        to: end(table, names, "to"),
        subject: table.word("subject").map(|word| word.text),
        hops: places(table, names, "hops"),
        among: places(table, names, "among"),
        effect: table.choice("effect", EFFECTS),
        failed,
    }
}

fn range(text: &str) -> Option<(f64, f64)> {
    let (least, most) = text.split_once("..")?;
    let (least, most) = (least.trim().parse().ok()?, most.trim().parse().ok()?);
    (0.0 <= least && least <= most && most <= 1.0).then_some((least, most))
}

/// An end of a verdict: the id of a node, or a site.
fn end(table: &Table<'_, '_>, names: &Names<'_>, key: &'static str) -> Option<String> {
    let word = table.word(key)?;
    let found = names.nodes(table, std::slice::from_ref(&word));
    (!found.is_empty()).then_some(word.text)
}

fn places(table: &Table<'_, '_>, names: &Names<'_>, key: &'static str) -> Vec<Place> {
    let words = table.words(key);
    let found = words.iter().filter_map(|word| names.place(table, word));
    found.collect()
}

fn peers(root: &Table<'_, '_>, scenario: &mut Scenario) {
    let first_far = scenario
        .nodes
        .iter()
        .position(|node| node.site != scenario.nodes[0].site)
        .unwrap_or(scenario.nodes.len().saturating_sub(1));
    scenario.peers = (0, first_far);
    let Some(table) = root.table("peers", "[peers]") else {
        return;
    };
    let names = Names { scenario };
    let one = |key| {
        let word = table.needed(key, "\"web-1\"")?;
        let found = names.nodes(&table, std::slice::from_ref(&word));
        found.first().copied()
    };
    let (from, to) = (one("from"), one("to"));
    if let (Some(from), Some(to)) = (from, to) {
        scenario.peers = (from, to);
    }
    table.end();
}

fn list(scenario: &Scenario, places: &[Place]) -> String {
    let names: Vec<&str> = places
        .iter()
        .map(|place| scenario.name_of(*place))
        .collect();
    names.join(" ")
}

fn describe(scenario: &Scenario, what: &Expected) -> String {
    match what {
        Expected::Verdict(pattern) => describe_pattern(scenario, pattern),
        Expected::Link { from, to, states } => {
            let ids = |nodes: &[usize]| match nodes {
                [] => "all".to_owned(),
                nodes => {
                    let ids: Vec<&str> = nodes
                        .iter()
                        .map(|node| scenario.nodes[*node].id.as_str())
                        .collect();
                    ids.join(" ")
                }
            };
            let states: Vec<&str> = states
                .iter()
                .map(|state| word(*state, LINK_STATES))
                .collect();
            format!("link {}→{} {}", ids(from), ids(to), states.join(" or "))
        }
        Expected::Incidents(1) => "1 incident".into(),
        Expected::Incidents(count) => format!("{count} incidents"),
        Expected::Clear => "all clear".into(),
    }
}

fn describe_pattern(scenario: &Scenario, pattern: &Pattern) -> String {
    let kinds: Vec<&str> = pattern
        .kinds
        .iter()
        .map(|kind| word(*kind, VERDICT_KINDS))
        .collect();
    let mut text = match kinds.as_slice() {
        [] => "any fault".to_owned(),
        kinds => kinds.join(" or "),
    };
    if let Some(effect) = pattern.effect {
        text += &format!(" ({})", word(effect, EFFECTS));
    }
    if let Some(subject) = &pattern.subject {
        text += &format!(" of {subject}");
    }
    if pattern.from.is_some() || pattern.to.is_some() {
        let any = "*".to_owned();
        let (from, to) = (pattern.from.as_ref(), pattern.to.as_ref());
        text += &format!(" {}→{}", from.unwrap_or(&any), to.unwrap_or(&any));
    }
    if !pattern.hops.is_empty() {
        text += &format!(" at {}", list(scenario, &pattern.hops));
    }
    if !pattern.among.is_empty() {
        text += &format!(" among {}", list(scenario, &pattern.among));
    }
    if let Some((least, most)) = pattern.failed {
        text += &format!(" failing {least}..{most}");
    }
    text
}

fn word<T: PartialEq + Copy>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words
        .iter()
        .find(|(_, candidate)| *candidate == value)
        .map_or("?", |(word, _)| word)
}
