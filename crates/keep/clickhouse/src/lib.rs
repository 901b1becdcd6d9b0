//! Events on a ClickHouse cluster, where one machine is outgrown: the same model, the same
//! questions, printed as its SQL for every server from 18.16 on.
//!
//! What it never knows: how a question is typed (`query`), how events arrive (`ingest`), when
//! history is to go (`andon`).
//!
//! Read in this order: [`layout`] (where an attribute lives), [`literal`] (values in SQL),
//! [`key`], [`condition`] and [`select`] (a question as SQL), [`answer`] (what comes back),
//! [`http`] and [`clickhouse`] (reaching servers), [`ask`], [`schema`], [`insert`],
//! [`retention`], [`catalogue`], [`health`], [`migrate`](mod@migrate).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod ask;
pub mod bins;
pub mod catalogue;
pub mod clickhouse;
pub mod condition;
pub mod encode;
pub mod error;
pub mod health;
pub mod http;
pub mod insert;
pub mod key;
pub mod layout;
pub mod literal;
pub mod migrate;
pub mod retention;
pub mod schema;
pub mod select;

pub use clickhouse::{ClickHouse, Settings};
pub use error::ClickHouseError;
pub use health::ServerHealth;
pub use insert::{Attempt, Inserted};
pub use migrate::{Batches, Progress, Slice, Source, migrate};
pub use retention::Extent;
