//! The five nodes of the demo: a shop with two sales sites, and one place that ships for both.

use std::time::Duration;

/// One node of the demo.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// Its id.
    pub id: &'static str,
    /// Its site.
    pub site: &'static str,
    /// What it would do in a real shop, as a label.
    pub role: &'static str,
}

/// All of them. A link between two is named by their indices here.
pub const CAST: &[Role] = &[
    Role {
        id: "fra-web",
        site: "fra",
        role: "web",
    },
    Role {
        id: "fra-db",
        site: "fra",
        role: "database",
    },
    Role {
        id: "nyc-web",
        site: "nyc",
        role: "web",
    },
    Role {
        id: "nyc-api",
        site: "nyc",
        role: "payment",
    },
    Role {
        id: "sgp-ship",
        site: "sgp",
        role: "fulfilment",
    },
];

/// Index of a node of the cast.
pub fn index(id: &str) -> usize {
    CAST.iter()
        .position(|role| role.id == id)
        .expect("the story names nodes of the cast only")
}

/// One-way delay between two nodes, as between the real cities.
pub fn base_delay(from: usize, to: usize) -> Duration {
    let ms = match (CAST[from].site, CAST[to].site) {
        (a, b) if a == b => 0,
        ("fra", "nyc") | ("nyc", "fra") => 40,
        ("fra", "sgp") | ("sgp", "fra") => 80,
        _ => 110,
    };
    Duration::from_millis(ms)
}
