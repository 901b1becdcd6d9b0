//! A question as SQL. One form for all servers from 18.16 on: nothing is used that one of
//! them lacks, and names stand where positions would be shorter.
//!
//! Read in this order: [`rows`] (what a question is about, joins included), [`groups`](groups())
//! (calculations), [`order`] (which rows come first), [`events`](events()) (raw events).

mod events;
mod groups;
mod order;
mod rows;

pub use events::{Pick, event_columns, events, median};
pub use groups::{groups, totals};
pub use rows::between;

use crate::literal;

/// Where to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The database.
    pub database: String,
    /// `events`, or `events_all` for all servers.
    pub table: &'static str,
}

impl Tables {
    /// As SQL.
    pub fn sql(&self) -> String {
        format!(
            "{}.{}",
            literal::name(&self.database),
            literal::name(self.table)
        )
    }
}

/// What a column of ClickHouse's answer is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Begin of the bucket, microseconds.
    Time,
    /// A key's value in the form of [`Key::typed`].
    Key,
    /// A whole number.
    Whole,
    /// A number; not a number where there is nothing.
    Number,
    /// One of the bins of a column with several of them.
    Quantile {
        /// Which of them.
        place: usize,
    },
    /// Bins and their counts.
    Bins,
    /// A part of a whole that [`totals`] tells.
    Part,
}

/// A statement and how its answer is read.
#[derive(Debug, Clone)]
pub struct Select {
    /// The statement, without `FORMAT`.
    pub sql: String,
    /// What is read where: for each column of the answer the column of the row.
    pub outputs: Vec<(Output, usize)>,
}
