//! What can go wrong and when: `[[fault]]` and `[[step]]`.

use super::read::Names;
use super::reader::{Table, Word};
use super::{Drop, Fault, FaultKind, Place, Protocol, Scenario, Step};
use std::time::Duration;

#[derive(Clone, Copy)]
enum Kind {
    Blackhole,
    Loss,
    Cut,
    Dead,
    Mute,
    Mtu,
    Delay,
    Partition,
    Freeze,
    Kill,
    Starve,
    Busy,
}

const KINDS: &[(&str, Kind)] = &[
    ("blackhole", Kind::Blackhole),
    ("loss", Kind::Loss),
    ("cut", Kind::Cut),
    ("dead", Kind::Dead),
    ("mute", Kind::Mute),
    ("mtu", Kind::Mtu),
    ("delay", Kind::Delay),
    ("partition", Kind::Partition),
    ("freeze", Kind::Freeze),
    ("kill", Kind::Kill),
    ("starve", Kind::Starve),
    ("busy", Kind::Busy),
];

/// Reads it into the scenario.
pub(super) fn read(root: &Table<'_, '_>, scenario: &mut Scenario) {
    for table in root.tables("fault", "[[fault]]") {
        let Some(name) = table.needed("name", "\"hole\"") else {
            continue;
        };
        let fault = fault(&table, scenario, &name);
        if fault.is_some() {
            table.end();
        }
        // One that is not understood keeps its name, so that steps are not blamed for it.
        scenario.faults.push(fault.unwrap_or(Fault {
            name: name.text,
            kind: FaultKind::Dead(Vec::new()),
            flap: None,
        }));
    }
    let names = Names { scenario };
    let before = root.words("before");
    let before = before.iter().filter_map(|word| names.fault(root, word));
    scenario.before = before.collect();
    for table in root.tables("step", "[[step]]") {
        let step = step(&table, scenario);
        scenario.steps.push(step);
        table.end();
    }
    scenario.steps.sort_by_key(|step| step.at);
}

fn fault(table: &Table<'_, '_>, scenario: &Scenario, name: &Word) -> Option<Fault> {
    let names = Names { scenario };
    let kind = table.needed("kind", "\"blackhole\"");
    let kind = table.chosen("kind of fault", &kind?, KINDS)?;
    let free = andon_model::id::check_name(&name.text).is_ok();
    if !free || scenario.fault(&name.text).is_some() {
        let help = "each fault has a name of its own, of A-Z a-z 0-9 . _ -";
        table.problem(
            format!("`{}` cannot be its name", name.text),
            name.at.clone(),
            help,
        );
    }
    let kind = match kind {
        Kind::Blackhole => FaultKind::Drop(drop(table, &names, 1_000)),
        Kind::Loss => {
            if !table.has("percent") {
                table.problem(
                    "this loss lacks `percent`",
                    table.at(),
                    "for example: percent = 1",
                );
            }
            let percent = table.share("percent", 100.0).unwrap_or(1.0);
            // Nothing is lost below one in a thousand, so the smallest share is one.
            let per_mille = ((percent * 10.0).round() as u32).max(1);
            FaultKind::Drop(drop(table, &names, per_mille))
        }
        Kind::Cut => FaultKind::Cut(names.wire(table, "wire")?),
        Kind::Dead => FaultKind::Dead(at(table, &names)),
        Kind::Mute => FaultKind::Mute(at(table, &names)),
        Kind::Mtu => FaultKind::Mtu {
            wire: names.wire(table, "wire")?,
            size: table.number("size", 576..=9_000).or_else(|| {
                table.problem("this MTU fault lacks `size`", table.at(), "size = 1400");
                None
            })?,
        },
        Kind::Delay => {
            let wire = names.wire(table, "wire")?;
            FaultKind::Delay {
                wire,
                by: table.time("by").or_else(|| {
                    table.problem("this delay lacks `by`", table.at(), "by = \"30ms\"");
                    None
                })?,
                towards: end_of(table, &names, wire),
            }
        }
        Kind::Partition => FaultKind::Partition(nodes(table, &names, "sites")),
        Kind::Freeze => FaultKind::Freeze(nodes(table, &names, "nodes")),
        Kind::Kill => FaultKind::Kill(nodes(table, &names, "nodes")),
        Kind::Starve => FaultKind::Starve {
            nodes: nodes(table, &names, "nodes"),
            stop: table.time("stop").unwrap_or(Duration::from_millis(400)),
            run: table.time("run").unwrap_or(Duration::from_millis(100)),
        },
        Kind::Busy => FaultKind::Busy {
            threads: table.number("threads", 1..=256).unwrap_or(4),
        },
    };
    let flap = match (table.time("flap_on"), table.time("flap_off")) {
        (Some(on), Some(off)) => Some((on, off)),
        (None, None) => None,
        _ => {
            table.problem(
                "a flap needs both its times",
                table.at(),
                "for example: flap_on = \"3s\", flap_off = \"2s\"",
            );
            None
        }
    };
    Some(Fault {
        name: name.text.clone(),
        kind,
        flap,
    })
}

fn at(table: &Table<'_, '_>, names: &Names<'_>) -> Vec<usize> {
    let words = table.words("at");
    if words.is_empty() {
        table.problem(
            "this fault lacks `at`",
            table.at(),
            "name the routers it is at: at = \"r1\"",
        );
    }
    names.routers(table, &words)
}

fn nodes(table: &Table<'_, '_>, names: &Names<'_>, key: &'static str) -> Vec<usize> {
    let words = table.words(key);
    if words.is_empty() {
        table.problem(
            format!("this fault lacks `{key}`"),
            table.at(),
            format!("name nodes or sites: {key} = [\"…\"]"),
        );
    }
    names.nodes(table, &words)
}

fn end_of(table: &Table<'_, '_>, names: &Names<'_>, wire: usize) -> Option<Place> {
    let word = table.word("towards")?;
    let place = names.place(table, &word)?;
    let ends = names.scenario.wires[wire].ends;
    if !ends.contains(&place) {
        let ends = ends.map(|end| names.scenario.name_of(end));
        table.problem(
            format!("`{}` is no end of this wire", word.text),
            word.at,
            format!("`{}` or `{}`", ends[0], ends[1]),
        );
        return None;
    }
    Some(place)
}

fn drop(table: &Table<'_, '_>, names: &Names<'_>, per_mille: u32) -> Drop {
    let at = at(table, names);
    let neighbour = |key| {
        let word = table.word(key)?;
        let place = names.place(table, &word)?;
        let joined = |router: &usize| {
            let pair = [Place::Router(*router), place];
            let mut wires = names.scenario.wires.iter();
            wires.any(|wire| pair.iter().all(|end| wire.ends.contains(end)))
        };
        if let Some(far) = at.iter().find(|router| !joined(router)) {
            let router = &names.scenario.routers[*far].name;
            table.problem(
                format!("no wire joins `{router}` and `{}`", word.text),
                word.at,
                "name a node or router that is next to it",
            );
        }
        Some(place)
    };
    let from = neighbour("from");
    let towards = neighbour("towards");
    Drop {
        from,
        towards,
        senders: names.nodes(table, &table.words("senders")),
        receivers: names.nodes(table, &table.words("receivers")),
        per_mille,
        one_flow_of: table.number("one_flow_of", 2..=64),
        protocol: table.choice(
            "protocol",
            &[("udp", Protocol::Udp), ("tcp", Protocol::Tcp)],
        ),
        silent: table.switch("silent").unwrap_or(false),
        at,
    }
}

fn step(table: &Table<'_, '_>, scenario: &Scenario) -> Step {
    let names = Names { scenario };
    let faults = |key| {
        let words = table.words(key);
        let found = words.iter().filter_map(|word| names.fault(table, word));
        found.collect::<Vec<_>>()
    };
    let (on, off) = (faults("on"), faults("off"));
    if !table.has("on") && !table.has("off") {
        table.problem(
            "this step does nothing",
            table.at(),
            "name faults: on = \"hole\", or off = \"hole\"",
        );
    }
    if !table.has("at") {
        table.problem("this step lacks `at`", table.at(), "at = \"0s\"");
    }
    Step {
        at: table.time("at").unwrap_or_default(),
        on,
        off,
    }
}
