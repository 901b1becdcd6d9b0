//! The plugs that can be pulled: by the script, and by the buttons on the page.

use super::cast::CAST;
use std::time::Duration;

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Harm {
    /// Nothing passes from one node to another; the way back is fine.
    Cut(&'static str, &'static str),
    /// Nothing passes between two nodes.
    CutBoth(&'static str, &'static str),
    /// This share of the packets from one node to another is lost.
    Loss(&'static str, &'static str, f64),
    /// Every other flow from one node to another dies, as when one of two equal paths breaks.
    HalfOfFlows(&'static str, &'static str),
    /// Packets from one node to another take so much longer.
    Delay(&'static str, &'static str, Duration),
    /// SIGSTOP: the process stands still, its sockets stay open.
    Freeze(&'static str),
    /// SIGKILL; healing starts it again with its old data directory.
    Kill(&'static str),
    /// Nothing gets into or out of a site.
    SiteCutOff(&'static str),
}

impl Harm {
    /// From which node to which nothing passes, where one direction is cut.
    pub fn way(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Harm::Cut(from, to) => Some((from, to)),
            _ => None,
        }
    }
}

/// A fault by name.
#[derive(Debug)]
pub struct Fault {
    /// Name in the API.
    pub id: &'static str,
    /// On its button.
    pub label: &'static str,
    /// Kind, for the button's shape.
    pub kind: &'static str,
    /// What it does.
    pub harm: Harm,
}

/// All faults, in the order of the buttons.
pub const FAULTS: &[Fault] = &[
    Fault {
        id: "cut",
        label: "Cut fra-web → nyc-web",
        kind: "cut_one_way",
        harm: Harm::Cut("fra-web", "nyc-web"),
    },
    Fault {
        id: "cut-both",
        label: "Cut fra-db ↔ nyc-api",
        kind: "cut",
        harm: Harm::CutBoth("fra-db", "nyc-api"),
    },
    Fault {
        id: "loss",
        label: "Lose 20 % of fra-web → sgp-ship",
        kind: "loss",
        harm: Harm::Loss("fra-web", "sgp-ship", 0.2),
    },
    Fault {
        id: "flows",
        label: "Kill half of the flows nyc-web → sgp-ship",
        kind: "flows",
        harm: Harm::HalfOfFlows("nyc-web", "sgp-ship"),
    },
    Fault {
        id: "slow",
        label: "Delay nyc-api → fra-db by 160 ms",
        kind: "delay",
        harm: Harm::Delay("nyc-api", "fra-db", Duration::from_millis(160)),
    },
    Fault {
        id: "freeze",
        label: "Freeze nyc-api",
        kind: "freeze",
        harm: Harm::Freeze("nyc-api"),
    },
    Fault {
        id: "kill",
        label: "Kill fra-db",
        kind: "kill",
        harm: Harm::Kill("fra-db"),
    },
    Fault {
        id: "site",
        label: "Cut site nyc off",
        kind: "site",
        harm: Harm::SiteCutOff("nyc"),
    },
];

/// The fault of that name.
pub fn by_id(id: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.id == id)
}

/// Pairs of a node inside the site and one outside.
pub fn across(site: &str) -> Vec<(&'static str, &'static str)> {
    let inside = CAST.iter().filter(|role| role.site == site);
    inside
        .flat_map(|inside| {
            CAST.iter()
                .filter(|role| role.site != inside.site)
                .map(|outside| (inside.id, outside.id))
        })
        .collect()
}
