//! Events on one machine: taken in without loss, kept in columns, asked in a tenth of a second.
//!
//! What it never knows: who sends events and in which format (`ingest`), how questions are
//! written (`query`), who may ask (`api`). Its calls block; callers bring threads.
//!
//! Read in this order: [`plan`] (what is asked), `store` (the whole), `batch` and `column`
//! (events as columns), `commit` and `wal` (how they get to disk), `head` and `seal` (from
//! memory to segments), `segment` (the files), `open` (after a crash), `tidy` (merging and
//! forgetting), `rollup` (samples at coarser steps); `check` (looking after the files), `export` (the
//! way out), `copies` (of what other keepers answer for); then `scan` (asking), `warm` (what stays in memory),
//! `catalogue` (what there is to ask about) and `answer` (what comes back). How bytes are saved
//! is in `coding`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stderr))]

mod answer;
mod batch;
mod catalogue;
mod check;
mod coding;
mod column;
mod commit;
mod copies;
mod error;
mod export;
pub mod fuzz;
mod hash;
mod head;
mod open;
mod options;
pub mod plan;
mod pool;
mod rollup;
mod scan;
mod seal;
mod segment;
mod series;
mod sketch;
mod store;
mod tail;
mod tidy;
mod wal;
mod warm;

pub use answer::{ExemplarRow, GroupKey, GroupState, PartialAnswer};
pub use batch::{Batch, BatchCounters, COLUMNS_MAX};
pub use catalogue::{DatasetInfo, KEYS_MAX, KeyInfo, KeyType, VALUES_MAX};
pub use check::{CheckReport, Damage, RepairReport};
pub use column::ColumnType;
pub use copies::{COPIES_MAX, Copies};
pub use error::{ScanError, StoreError};
pub use export::ExportReport;
pub use open::Identity;
pub use options::{Background, DATASETS_MAX, Options, Retention};
pub use plan::{Condition, Direction, Lookup, LookupRow, Order, ResolvedQuery, Test, calc_name};
pub use scan::keys::KeyValue;
pub use scan::measure::{KeyState, Numbers};
pub use scan::{Budget, Cancel, Progress};
pub use segment::SegmentError;
pub use sketch::{Distinct, Histogram};
pub use store::{BATCH_ROWS_MAX, Receipt, Store, StoreStats};
pub use tail::{TAILS_MAX, Tail, Tailed, Tails};
pub use wal::{Origin, SOURCE_BYTES_MAX};
