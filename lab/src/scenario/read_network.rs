//! The network part of a scenario file: `[[node]]`, `[[router]]`, `[[wire]]`.

use super::problem::did_you_mean;
use super::reader::{Table, Word};
use super::{
    Family, NODES_MAX, NodeSpec, Place, ROUTERS_MAX, RouterSpec, Scenario, WIRES_MAX, Wire,
};
use std::net::IpAddr;
use std::time::Duration;

/// Most of one name with `#`.
const COUNT_MAX: u32 = 64;

/// Reads it into the scenario.
pub(super) fn read(root: &Table<'_, '_>, scenario: &mut Scenario) {
    for table in root.tables("node", "[[node]]") {
        node(&table, scenario);
        table.end();
    }
    for table in root.tables("router", "[[router]]") {
        router(&table, scenario);
        table.end();
    }
    for table in root.tables("wire", "[[wire]]") {
        wires(&table, scenario);
        table.end();
    }
    if scenario.nodes.len() < 2 {
        root.problem(
            "a grid has two nodes at least",
            root.at(),
            "add [[node]] with an id, and a [[wire]] to it",
        );
    }
    for (what, count, most) in [
        ("nodes", scenario.nodes.len(), NODES_MAX),
        ("routers", scenario.routers.len(), ROUTERS_MAX),
        ("wires", scenario.wires.len(), WIRES_MAX),
    ] {
        if count > most {
            root.problem(
                format!("{count} {what} are too many"),
                root.at(),
                format!("at most {most}"),
            );
        }
    }
    for (at, node) in scenario.nodes.iter().enumerate() {
        let own = scenario.wires.iter();
        let own = own.filter(|wire| wire.ends.contains(&Place::Node(at)));
        let count = own.count();
        if count != 1 {
            root.problem(
                format!("node `{}` has {count} wires", node.id),
                root.at(),
                "each node has one wire; put a router before it for more",
            );
        }
    }
}

/// The names that `id = "web-#"` with `count` stands for.
fn names(table: &Table<'_, '_>, word: &Word) -> Vec<String> {
    let count = table.number("count", 1..=COUNT_MAX);
    match (count, word.text.contains('#')) {
        (Some(count), true) => (1..=count)
            .map(|at| word.text.replacen('#', &at.to_string(), 1))
            .collect(),
        (None, false) => vec![word.text.clone()],
        (Some(_), false) => {
            let help = format!("for example \"{}-#\"", word.text);
            table.problem(
                "with `count` the name needs a # for the number",
                word.at.clone(),
                help,
            );
            Vec::new()
        }
        (None, true) => {
            table.problem(
                "a name with # needs `count`",
                word.at.clone(),
                "count = 4 stands for 1 to 4",
            );
            Vec::new()
        }
    }
}

fn taken(scenario: &Scenario, name: &str) -> bool {
    scenario
        .places()
        .any(|place| scenario.name_of(place) == name)
}

fn checked(table: &Table<'_, '_>, scenario: &Scenario, word: &Word, name: &str) -> bool {
    if andon_model::id::check_name(name).is_err() {
        table.problem(
            format!(
                "`{}` is no name",
                andon_model::id::to_plain_text(&word.text, 64)
            ),
            word.at.clone(),
            "1 to 64 of A-Z a-z 0-9 . _ -",
        );
        return false;
    }
    if taken(scenario, name) {
        table.problem(
            format!("`{name}` is taken"),
            word.at.clone(),
            "nodes and routers have names of their own",
        );
        return false;
    }
    true
}

fn node(table: &Table<'_, '_>, scenario: &mut Scenario) {
    let id = table.needed("id", "\"web-1\"");
    let site = table.needed("site", "\"fra\"");
    let (Some(id), Some(site)) = (id, site) else {
        return;
    };
    if andon_model::id::check_name(&site.text).is_err() {
        table.problem(
            "this is no name of a site",
            site.at.clone(),
            "1 to 64 of A-Z a-z 0-9 . _ -",
        );
    }
    for name in names(table, &id) {
        if checked(table, scenario, &id, &name) {
            scenario.nodes.push(NodeSpec {
                id: name,
                site: site.text.clone(),
            });
        }
    }
}

fn router(table: &Table<'_, '_>, scenario: &mut Scenario) {
    let Some(name) = table.needed("name", "\"r1\"") else {
        return;
    };
    let icmp = table.switch("icmp").unwrap_or(true);
    let shows = table.choice("shows", &[("outbound", false), ("inbound", true)]);
    let shows_inbound = shows.unwrap_or(false);
    if shows_inbound && scenario.family == Family::V6 {
        table.problem(
            "Linux shows inbound addresses over IPv4 only",
            table.at(),
            "leave `shows` away, or use ip = \"v4\"",
        );
    }
    for one in names(table, &name) {
        if checked(table, scenario, &name, &one) {
            scenario.routers.push(RouterSpec {
                name: one,
                icmp,
                shows_inbound,
            });
        }
    }
}

fn wires(table: &Table<'_, '_>, scenario: &mut Scenario) {
    let ends = table.words("ends");
    let delay = table.time("delay").unwrap_or(Duration::ZERO);
    let mtu = table.number("mtu", 576..=9_000);
    let net = table
        .word("net")
        .and_then(|word| Some((subnet(table, &word, scenario.family)?, word.at)));
    if ends.len() < 2 {
        let at = ends.first().map_or(table.at(), |word| word.at.clone());
        table.problem(
            "`ends` names two or more in a row",
            at,
            "for example: ends = [\"web-1\", \"r1\", \"r2\"]",
        );
        return;
    }
    if let Some((net, at)) = &net {
        let mut others = scenario.wires.iter().filter_map(|wire| wire.subnet);
        if others.any(|other| crate::layout::overlap(other, *net)) {
            let help = "each wire has a network of its own";
            table.problem("another wire has this network", at.clone(), help);
        }
    }
    let chains = chains(table, scenario, &ends);
    if let Some((_, at)) = &net
        && (chains.len() != 1 || ends.len() != 2)
    {
        table.problem(
            "`net` is for one wire, and this table makes several",
            at.clone(),
            "write one [[wire]] with two ends for it",
        );
    }
    let mut made: Vec<[Place; 2]> = Vec::new();
    for chain in chains {
        for pair in chain.windows(2) {
            let ends = [pair[0], pair[1]];
            if ends[0] == ends[1] || made.contains(&ends) {
                continue;
            }
            made.push(ends);
            scenario.wires.push(Wire {
                ends,
                subnet: net.as_ref().map(|(net, _)| *net),
                delay,
                mtu,
            });
        }
    }
}

/// All rows of places that the ends stand for: `#` is the same number in all ends of a row,
/// `*` is each by itself.
fn chains(table: &Table<'_, '_>, scenario: &Scenario, ends: &[Word]) -> Vec<Vec<Place>> {
    let mut numbers: Option<Vec<String>> = None;
    for word in ends.iter().filter(|word| word.text.contains('#')) {
        let here = middles(scenario, &word.text, '#');
        let same = numbers.as_ref().is_none_or(|before| *before == here);
        if here.is_empty() || !same {
            let help = "all ends with # in one row need the same count";
            table.problem(
                format!("`{}` does not fit its row", word.text),
                word.at.clone(),
                help,
            );
            return Vec::new();
        }
        numbers = Some(here);
    }
    let rows = numbers.unwrap_or_else(|| vec![String::new()]);
    let mut all = Vec::new();
    for number in rows {
        let mut chains: Vec<Vec<Place>> = vec![Vec::new()];
        for word in ends {
            let text = word.text.replacen('#', &number, 1);
            let here: Vec<Place> = match text.contains('*') {
                true => middles(scenario, &text, '*')
                    .iter()
                    .filter_map(|middle| find(scenario, &text.replacen('*', middle, 1)))
                    .collect(),
                false => find(scenario, &text).into_iter().collect(),
            };
            if here.is_empty() {
                let valid: Vec<&str> = scenario
                    .places()
                    .map(|place| scenario.name_of(place))
                    .collect();
                let what = format!(
                    "there is no node or router `{}`",
                    andon_model::id::to_plain_text(&text, 64)
                );
                table.problem(what, word.at.clone(), did_you_mean(&text, valid));
                return Vec::new();
            }
            chains = chains
                .iter()
                .flat_map(|chain| {
                    here.iter()
                        .map(move |place| [chain.as_slice(), &[*place]].concat())
                })
                .take(WIRES_MAX * 4)
                .collect();
        }
        all.extend(chains);
    }
    all
}

fn find(scenario: &Scenario, name: &str) -> Option<Place> {
    scenario
        .places()
        .find(|place| scenario.name_of(*place) == name)
}

/// What stands for `mark` in the names that fit a pattern, where it is a number.
fn middles(scenario: &Scenario, pattern: &str, mark: char) -> Vec<String> {
    let Some((head, tail)) = pattern.split_once(mark) else {
        return Vec::new();
    };
    scenario
        .places()
        .filter_map(|place| {
            let middle = scenario
                .name_of(place)
                .strip_prefix(head)?
                .strip_suffix(tail)?;
            let number = !middle.is_empty() && middle.bytes().all(|byte| byte.is_ascii_digit());
            number.then(|| middle.to_owned())
        })
        .collect()
}

fn subnet(table: &Table<'_, '_>, word: &Word, family: Family) -> Option<(IpAddr, u8)> {
    let read = word.text.split_once('/').and_then(|(address, prefix)| {
        Some((address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?))
    });
    let fits = read.filter(|(address, prefix)| match (family, address) {
        (Family::V4, IpAddr::V4(address)) => {
            let host_bits = 32_u8.saturating_sub(*prefix);
            (2..=24).contains(&host_bits) && address.to_bits().trailing_zeros() >= host_bits.into()
        }
        (Family::V6, IpAddr::V6(address)) => {
            let host_bits = 128_u8.saturating_sub(*prefix);
            (2..=96).contains(&host_bits) && address.to_bits().trailing_zeros() >= host_bits.into()
        }
        _ => false,
    });
    if fits.is_none() {
        let example = match family {
            Family::V4 => "10.0.2.0/30",
            Family::V6 => "fd00:0:0:2::/64",
        };
        table.problem(
            format!("`{}` is no network for a wire here", word.text),
            word.at.clone(),
            format!("a network's first address with its prefix, for example \"{example}\""),
        );
    }
    fits
}
