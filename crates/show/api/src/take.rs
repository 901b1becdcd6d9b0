//! What a keeper does with what another node had queued, however it came: over HTTP from the
//! node itself, or over NATS. Its calls block; callers bring threads.

use crate::copied::OWN;
use crate::events::{EventSources, Introduced, ParcelsAnswer, split_parcels};
use andon_model::Timestamp;
use andon_spool::{Codec, Gap, Parcel, SpoolError};
use andon_store::{Batch, Origin, SOURCE_BYTES_MAX, Store, StoreError};
use std::sync::Arc;

/// Events that are older when they come were held up.
const LATE_US: i64 = 10_000_000;

/// Who sends, and what it says about what it sends.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'s> {
    /// The node's id, proved by its certificate or by the grid key.
    pub who: &'s str,
    /// The keeper that answers for the events; this one, if none is named.
    pub of: Option<&'s str>,
    /// Events that wait where these come from.
    pub waiting: u64,
    /// Which store the sender has, if it is that keeper itself.
    pub store: Option<&'s str>,
}

/// Why nothing of a message was taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// There is no store here, or it is sick.
    #[error("this node keeps no events")]
    NoKeeper,
    /// What it has of others is sick.
    #[error("{0}")]
    Sick(String),
    /// The body is something else.
    #[error("these are no parcels")]
    NoParcels,
    /// The body is something else.
    #[error("this is no list of gaps: {0}")]
    NoGaps(String),
}

/// Takes parcels, from the one with the number `skip` on, for this keeper (`me`) to answer for,
/// or as a copy. What is told as kept, counted without what was skipped, is on disk.
pub fn parcels(
    events: &EventSources,
    me: &str,
    sender: &Sender<'_>,
    body: &[u8],
    skip: usize,
) -> Result<ParcelsAnswer, NotTaken> {
    let of = sender.of.filter(|of| *of != me);
    let to = match (&events.clickhouse, of, &events.store, &events.copied) {
        (Some(_), None, ..) => To::Queue(events),
        (None, None, Some(store), _) => To::Store(Arc::clone(store)),
        (None, Some(of), Some(own), Some(copied)) => {
            let copy = copied.copies.store(of);
            let copy = copy.map_err(|error| NotTaken::Sick(error.to_string()))?;
            To::Copy(copy, Arc::clone(own))
        }
        _ => return Err(NotTaken::NoKeeper),
    };
    let parcels = split_parcels(body).ok_or(NotTaken::NoParcels)?;
    let parcels = parcels.get(skip..).unwrap_or_default();
    let (answer, last) = keep(&to, sender.who, parcels);
    if let Some(copied) = &events.copied {
        let is_late = last.is_some_and(|last| crate::access::now().0 - last.0 > LATE_US);
        copied.heard(of.unwrap_or(OWN), sender.who, sender.waiting, is_late);
    }
    Ok(answer)
}

/// Takes word that a node sends to this keeper, and of what will never come; says which store it
/// is, and what it holds of a sender that lost its own.
pub fn gaps(
    events: &EventSources,
    me: &str,
    sender: &Sender<'_>,
    body: &[u8],
) -> Result<Introduced, NotTaken> {
    // Before ClickHouse there are no copies, and nothing to tell.
    let (Some(copied), Some(own)) = (&events.copied, &events.store) else {
        return Ok(Introduced::default());
    };
    let sick = |error: &dyn std::fmt::Display| NotTaken::Sick(error.to_string());
    let of = sender.of.filter(|of| *of != me);
    let gaps: Vec<Gap> =
        serde_json::from_slice(body).map_err(|error| NotTaken::NoGaps(error.to_string()))?;
    let (store, had) = match of {
        None => (Arc::clone(own), Vec::new()),
        Some(of) => {
            // If it is not there yet: a copy of nothing, so far.
            let copy = copied.copies.store(of).map_err(|error| sick(&error))?;
            let is_another = match sender.store.filter(|_| of == sender.who) {
                Some(store) => copied.has_another(of, store),
                None => Ok(false),
            };
            let had = match is_another.map_err(|error| sick(&error))? {
                true => copy.datasets().into_iter().map(|info| info.name).collect(),
                false => Vec::new(),
            };
            (copy, had)
        }
    };
    let of = of.unwrap_or(OWN);
    let added = copied.add_gaps(of, sender.who, &gaps);
    added.map_err(|error| sick(&error))?;
    copied.heard(of, sender.who, sender.waiting, false);
    let identity = store.identity();
    Ok(Introduced {
        store: identity.id.clone(),
        made_at_us: identity.made_at.0,
        had,
    })
}

/// Where parcels go at a keeper.
enum To<'e> {
    /// Its own store.
    Store(Arc<Store>),
    /// A copy; whoever watches the own store sees it too.
    Copy(Arc<Store>, Arc<Store>),
    /// The queue before ClickHouse.
    Queue(&'e EventSources),
}

/// Why a parcel is not kept.
enum NotKept {
    Full(String),
    Refused(String),
}

impl From<StoreError> for NotKept {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Disk { .. } | StoreError::Closed => Self::Full(error.to_string()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl To<'_> {
    fn keep(&self, origin: Origin, parcel: Parcel) -> Result<(), NotKept> {
        let batch = || Batch::of(&parcel.events);
        match self {
            Self::Store(store) => drop(store.append_once(&parcel.dataset, batch(), origin)?),
            Self::Copy(copy, own) => {
                let receipt = copy.append_once(&parcel.dataset, batch(), origin)?;
                if receipt.rows > 0 {
                    own.show(&parcel.dataset, &parcel.events);
                }
            }
            Self::Queue(events) => {
                let Some(spool) = &events.spool else {
                    return Err(NotKept::Full("its queue is sick".to_owned()));
                };
                let shown = events.tails.as_ref().map(|_| parcel.events.clone());
                let id = Some((origin.source, origin.sequence));
                match spool.push(&parcel.dataset, parcel.events, id) {
                    Ok(_) => events.news.notify_one(),
                    Err(error @ SpoolError::Codec(_)) => {
                        return Err(NotKept::Refused(error.to_string()));
                    }
                    Err(error) => return Err(NotKept::Full(error.to_string())),
                }
                if let (Some(tails), Some(shown)) = (&events.tails, shown) {
                    tails.show(&parcel.dataset, &shown);
                }
            }
        }
        Ok(())
    }
}

/// Also says when the last event that was kept happened.
fn keep(to: &To<'_>, who: &str, parcels: &[&[u8]]) -> (ParcelsAnswer, Option<Timestamp>) {
    let mut answer = ParcelsAnswer::default();
    let mut last = None;
    for parcel in parcels {
        let parcel = match Codec::unpack(parcel) {
            Ok(parcel) => parcel,
            Err(error) => {
                answer.refused = Some(error.to_string());
                break;
            }
        };
        let origin = Origin {
            source: origin(who, &parcel.source),
            sequence: parcel.sequence,
        };
        let at = parcel.events.last().map(|event| event.at);
        match to.keep(origin, parcel) {
            Ok(()) => {
                answer.kept += 1;
                last = at;
            }
            Err(NotKept::Full(reason)) => {
                answer.full = Some(reason);
                break;
            }
            Err(NotKept::Refused(reason)) => {
                answer.refused = Some(reason);
                break;
            }
        }
    }
    (answer, last)
}

/// A source's name among those of all nodes. A long one ends with its digest, since the store
/// would cut it and take two for one.
fn origin(who: &str, source: &str) -> String {
    let name = format!("{who}/{source}");
    if name.len() <= SOURCE_BYTES_MAX {
        return name;
    }
    let digest = crate::base32::hex(&crate::base32::sha256(name.as_bytes())[..16]);
    let mut end = SOURCE_BYTES_MAX - 40;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let head = &name[..end];
    format!("{head}~{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::join_parcels;

    #[test]
    fn parcels_are_told_apart_and_long_names_stay_different() {
        let body = join_parcels([b"ab".as_slice(), b"", b"c"].into_iter());
        assert_eq!(split_parcels(&body).unwrap(), [b"ab".as_slice(), b"", b"c"]);
        assert!(split_parcels(&body[..body.len() - 1]).is_none());
        let long = "x".repeat(300);
        let (one, other) = (
            origin("a", &format!("{long}1")),
            origin("a", &format!("{long}2")),
        );
        assert!(one != other && one.len() <= SOURCE_BYTES_MAX);
    }
}
