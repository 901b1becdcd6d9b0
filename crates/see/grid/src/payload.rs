//! What rows say, as CBOR maps: unknown fields are skipped, and one entry that is not
//! understood hides none of its neighbours. Everything that could reach a screen is checked or
//! cleaned here, the same way on every node.

use andon_model::heartbeat::{HEARTBEAT_FROM_BYTES_MAX, HEARTBEAT_NAME_BYTES_MAX};
use andon_model::id::to_plain_text;
use andon_model::incident::{
    CAUSE_BYTES_MAX, CAUSES_MAX, INCIDENT_ID_BYTES_MAX, NOTE_BYTES_MAX, TITLE_BYTES_MAX,
    WHO_BYTES_MAX,
};
use andon_model::path::{PATH_FLOWS_MAX, PATH_HOPS_MAX, PATH_ROUTES_MAX};
use andon_model::{
    Heartbeat, HostHealth, Identity, IncidentClaim, LinkReport, Neighbour, PathReport, Remark,
    RemarkKind, TargetSpec,
};
use minicbor::{Decode, Decoder, Encode, Encoder};

/// Longest free text of a label, version or address, bytes.
const TEXT_BYTES_MAX: usize = 255;
/// Longest answer of a target in words, bytes; the model's promise.
const DETAIL_BYTES_MAX: usize = 120;
/// Longest id of a GridBug neighbour, bytes; the model's promise.
const NEIGHBOUR_ID_BYTES_MAX: usize = 64;
/// What a list's map and array heads take at most.
pub const LIST_HEAD_BYTES: usize = 6;

/// One entry of a list that this program understands.
pub trait Entry: for<'b> Decode<'b, ()> + Encode<()> {
    /// Makes what a hostile owner may have written fit for use and for a screen.
    fn clean(&mut self);
}

/// Writes one value.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory does not fail")
}

/// Reads and cleans one value; `None` where it is not one.
pub fn decode<T: Entry>(payload: &[u8]) -> Option<T> {
    let mut value: T = minicbor::decode(payload).ok()?;
    value.clean();
    Some(value)
}

/// Writes entries that are encoded already: `{0: [entry, …]}`, so that later versions can say
/// more about the list.
pub fn encode_list<'a>(entries: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder
        .map(1)
        .and_then(|e| e.u8(0))
        .and_then(|e| e.array(entries.len() as u64))
        .expect("writing to memory does not fail");
    let mut bytes = encoder.into_writer();
    for entry in entries {
        bytes.extend(entry);
    }
    bytes
}

/// Entries of a list, and how many were not understood.
#[derive(Debug, Clone, PartialEq)]
pub struct List<T> {
    /// Cleaned.
    pub entries: Vec<T>,
    /// Malformed, with an invalid name, or of a newer version.
    pub unread: usize,
}

/// Reads a list; `None` where it is not one.
pub fn decode_list<T: Entry>(payload: &[u8]) -> Option<List<T>> {
    let mut list = List {
        entries: Vec::new(),
        unread: 0,
    };
    for entry in raw_list(payload)? {
        match decode(entry) {
            Some(entry) => list.entries.push(entry),
            None => list.unread += 1,
        }
    }
    Some(list)
}

/// The encoded entries of a list; `None` where it is not one.
fn raw_list(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let mut decoder = Decoder::new(payload);
    let mut found = Vec::new();
    for _ in 0..decoder.map().ok()?? {
        if decoder.u64().ok()? != 0 {
            decoder.skip().ok()?;
            continue;
        }
        for _ in 0..decoder.array().ok()?? {
            let start = decoder.position();
            decoder.skip().ok()?;
            found.push(payload.get(start..decoder.position())?);
        }
    }
    Some(found)
}

impl Entry for Identity {
    fn clean(&mut self) {
        let labels = std::mem::take(&mut self.labels);
        self.labels = labels
            .into_iter()
            .map(|(key, value)| {
                (
                    to_plain_text(&key, TEXT_BYTES_MAX),
                    to_plain_text(&value, TEXT_BYTES_MAX),
                )
            })
            .collect();
        self.version = to_plain_text(&self.version, TEXT_BYTES_MAX);
    }
}

impl Entry for HostHealth {
    fn clean(&mut self) {}
}

impl Entry for LinkReport {
    fn clean(&mut self) {
        for share in [&mut self.loss.forward, &mut self.loss.return_] {
            *share = share
                .filter(|share| share.is_finite())
                .map(|share| share.clamp(0.0, 1.0));
        }
        self.flows.ok = self.flows.ok.min(self.flows.total);
        self.detail = self
            .detail
            .take()
            .map(|detail| to_plain_text(&detail, DETAIL_BYTES_MAX));
    }
}

impl Entry for TargetSpec {
    fn clean(&mut self) {
        self.address = to_plain_text(&self.address, TEXT_BYTES_MAX);
    }
}

impl Entry for Neighbour {
    fn clean(&mut self) {
        self.host = to_plain_text(&self.host, TEXT_BYTES_MAX);
        self.id = to_plain_text(&self.id, NEIGHBOUR_ID_BYTES_MAX);
        self.build = to_plain_text(&self.build, TEXT_BYTES_MAX);
        let sees = std::mem::take(&mut self.sees);
        self.sees = sees
            .into_iter()
            .map(|(id, alive)| (to_plain_text(&id, NEIGHBOUR_ID_BYTES_MAX), alive))
            .collect();
    }
}

/// Ids under which an incident was known before, at most.
const ALIASES_MAX: usize = 8;

impl Entry for PathReport {
    fn clean(&mut self) {
        self.addresses.truncate(usize::from(u8::MAX));
        self.routes.truncate(PATH_ROUTES_MAX);
        self.silent_from.truncate(PATH_FLOWS_MAX);
        self.arriving_from.truncate(PATH_FLOWS_MAX);
        let known = self.addresses.len();
        for route in &mut self.routes {
            route.hops.truncate(PATH_HOPS_MAX);
            for place in &mut route.hops {
                if usize::from(*place) > known {
                    *place = 0;
                }
            }
            route.answered = route
                .answered
                .min(u8::try_from(route.hops.len()).unwrap_or(u8::MAX));
            route.flows.truncate(PATH_FLOWS_MAX);
            route.dead.retain(|port| route.flows.contains(port));
            route.large_lost.retain(|port| route.flows.contains(port));
            route.dead.truncate(PATH_FLOWS_MAX);
            route.large_lost.truncate(PATH_FLOWS_MAX);
            route.lost_forward = route.lost_forward.min(route.sent);
            route.lost_return = route.lost_return.min(route.sent - route.lost_forward);
        }
    }
}

impl Entry for IncidentClaim {
    fn clean(&mut self) {
        self.id = to_plain_text(&self.id, INCIDENT_ID_BYTES_MAX);
        self.cause = to_plain_text(&self.cause, CAUSE_BYTES_MAX);
        self.title = to_plain_text(&self.title, TITLE_BYTES_MAX);
        self.causes.truncate(CAUSES_MAX);
        self.aliases.truncate(ALIASES_MAX);
        for alias in &mut self.aliases {
            *alias = to_plain_text(alias, INCIDENT_ID_BYTES_MAX);
        }
    }
}

impl Entry for Heartbeat {
    fn clean(&mut self) {
        self.name = to_plain_text(&self.name, HEARTBEAT_NAME_BYTES_MAX);
        self.from = to_plain_text(&self.from, HEARTBEAT_FROM_BYTES_MAX);
    }
}

impl Entry for Remark {
    fn clean(&mut self) {
        self.incident = to_plain_text(&self.incident, INCIDENT_ID_BYTES_MAX);
        self.who = to_plain_text(&self.who, WHO_BYTES_MAX);
        match &mut self.what {
            RemarkKind::Owned(owner) => *owner = to_plain_text(owner, WHO_BYTES_MAX),
            RemarkKind::Note(text) => *text = to_plain_text(text, NOTE_BYTES_MAX),
            RemarkKind::Notified { route, phase } => {
                *route = to_plain_text(route, WHO_BYTES_MAX);
                *phase = to_plain_text(phase, WHO_BYTES_MAX);
            }
            RemarkKind::NotifyFailed { route, why } => {
                *route = to_plain_text(route, WHO_BYTES_MAX);
                *why = to_plain_text(why, NOTE_BYTES_MAX);
            }
            RemarkKind::Acknowledged | RemarkKind::Mitigated | RemarkKind::Resolved => {}
        }
    }
}
