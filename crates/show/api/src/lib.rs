//! What a node shows over its one TCP port: the picture as a document, as a live stream and
//! as a terminal screen; the console; tokens, audit, metrics, health; and the first byte
//! that tells TLS, plain HTTP and grid frames apart.
//!
//! Knows nothing of gossip, probing or blame: it reads a `watch` of the picture and asks the
//! node through [`ApiCommand`]. The clock may be read here, since nothing here judges.
//!
//! Read in this order: [`sources`] (what comes in), [`serve`](mod@serve) (what runs), `listener`,
//! `connection`, `gate` (who may), [`access`], `routes`, `documents` and `stream` (the picture),
//! [`identity`], [`tls`], [`peer`] and `relay` (nodes among themselves), [`mod@trace`] and `turns`
//! (traces that people ask for), [`audit`].

// A test that cannot run says so loudly.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stderr))]

pub mod access;
pub mod api_types;
pub mod audit;
pub mod copied;
pub mod error;
pub mod events;
pub mod fuzz;
pub mod identity;
pub mod layout;
pub mod nats;
pub mod peer;
pub mod serve;
pub mod sources;
pub mod take;
pub mod terminal;
pub mod tls;
pub mod tokens;
pub mod trace;

mod base32;
mod body;
mod columns;
mod connection;
mod counters;
mod delta;
mod detour;
mod document;
mod documents;
mod far;
mod file;
mod gate;
mod host;
mod listener;
mod metrics;
mod openapi;
mod process;
mod relay;
mod routes;
mod security;
mod sessions;
mod shared;
mod slots;
mod stream;
mod throttle;
mod turns;
mod wire;

#[cfg(test)]
mod tests;

pub use access::{Access, Role};
pub use audit::{AuditEntry, AuditError, AuditLog, AuditSummary};
pub use events::EventSources;
pub use identity::{IdentityError, TlsIdentity};
pub use openapi::openapi_json;
pub use peer::{PeerClient, PeerError};
pub use serve::{ServeError, serve};
pub use sources::{
    ApiCommand, ApiConfig, GridBugAnswer, GridBugHandler, GridBugRequest, NodeStats, Sources, Stat,
    StatKind, TRACE_FLOWS_MAX,
};
pub use tokens::{NewToken, TokenError, TokenFile, TokenInfo};
pub use trace::{TraceDocument, TraceFlow, TraceFlowState, TraceHop, TraceHopKind};
