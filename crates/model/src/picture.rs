//! All slices together.

use crate::id::{NodeId, NodeKey};
use crate::slice::Slice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Equal on nodes that agree: a combination of the hashes of all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct PictureDigest(pub u128);

impl fmt::Display for PictureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for PictureDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PictureDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map(PictureDigest)
            .map_err(serde::de::Error::custom)
    }
}

/// What a node holds of the grid: every slice that reached it.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Equal on nodes that agree.
    pub digest: PictureDigest,
    /// By owner. Unchanged slices are shared between successive pictures.
    pub slices: BTreeMap<NodeKey, Arc<Slice>>,
}

impl Picture {
    /// The slice of the node with this id. Of several that claim it, the one that started
    /// first (then the lowest key) keeps the bare id.
    pub fn by_id(&self, id: &NodeId) -> Option<&Arc<Slice>> {
        self.slices
            .values()
            .filter(|slice| slice.identity.id == *id)
            .min_by_key(|slice| (slice.identity.started_at, slice.key()))
    }
}
