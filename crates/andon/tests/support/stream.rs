//! A picture kept up by a stream of events, as a console does it.

use super::{hold, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// A picture as a console keeps it: one whole one, then what changed.
#[derive(Default)]
pub struct Streamed {
    nodes: BTreeMap<String, Value>,
    links: BTreeMap<(String, String), Value>,
    rest: BTreeMap<&'static str, Value>,
    /// Whole pictures that came.
    pub wholes: u32,
    /// Changes that came.
    pub deltas: u32,
}

impl Streamed {
    pub fn take(&mut self, name: &str, data: Value) {
        match name {
            "picture" => {
                *self = Self {
                    wholes: self.wholes + 1,
                    deltas: self.deltas,
                    ..Self::default()
                };
            }
            "delta" => self.deltas += 1,
            _ => return,
        }
        for gone in data["gone"]["nodes"].as_array().into_iter().flatten() {
            self.nodes.remove(gone.as_str().unwrap());
        }
        for gone in data["gone"]["links"].as_array().into_iter().flatten() {
            self.links.remove(&(text(&gone[0]), text(&gone[1])));
        }
        for node in data["nodes"].as_array().into_iter().flatten() {
            self.nodes.insert(text(&node["id"]), node.clone());
        }
        for link in data["links"].as_array().into_iter().flatten() {
            self.links
                .insert((text(&link["from"]), text(&link["to"])), link.clone());
        }
        for name in ["digest", "verdicts"] {
            self.rest.insert(name, data[name].clone());
        }
    }

    /// `Ok` if this is what `GET` answers, apart from the time.
    pub fn equals(&self, document: &str) -> Result<(), String> {
        let mut asked = Self::default();
        asked.take("picture", serde_json::from_str(document).unwrap());
        let same =
            asked.nodes == self.nodes && asked.links == self.links && asked.rest == self.rest;
        hold(same, || {
            format!("streamed {:?}, asked {:?}", self.rest, asked.rest)
        })
    }
}
