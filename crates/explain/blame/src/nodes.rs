//! The nodes of the grid, as boxes of the document.

use crate::roster::Roster;
use crate::standing::Standing;
use andon_model::id::to_plain_text;
use andon_model::{NodeKind, NodeView};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Longest label, version or address that reaches the document, bytes. Peers check their own;
/// this is for those that do not.
pub const TEXT_BYTES_MAX: usize = 256;

/// Most labels, addresses of one box.
pub const ENTRIES_MAX: usize = 64;

/// One view per member, in the roster's order.
pub fn views(roster: &Roster<'_>, standing: &Standing<'_>) -> Vec<NodeView> {
    roster
        .members
        .iter()
        .enumerate()
        .map(|(index, member)| {
            let identity = &member.slice.identity;
            NodeView {
                id: member.id.clone(),
                key: Some(member.key),
                site: Some(identity.site.clone()),
                kind: NodeKind::Andon,
                state: standing.state[index],
                since: standing.since[index],
                addresses: identity
                    .addresses
                    .iter()
                    .take(ENTRIES_MAX)
                    .map(ToString::to_string)
                    .collect(),
                labels: plain_labels(&identity.labels),
                version: Some(to_plain_text(&identity.version, TEXT_BYTES_MAX))
                    .filter(|text| !text.is_empty()),
                started_at: Some(identity.started_at),
                reach: Some(identity.reach),
                host: Some(member.slice.host),
                clock_offset_us: standing.clock_offset_us[index],
                fingerprint: Some(hex(&identity.fingerprint)),
                position: None,
            }
        })
        .collect()
}

fn plain_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let plain = |text: &String| to_plain_text(text, TEXT_BYTES_MAX);
    labels
        .iter()
        .take(ENTRIES_MAX)
        .map(|(key, value)| (plain(key), plain(value)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
