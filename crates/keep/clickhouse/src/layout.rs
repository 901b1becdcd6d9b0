//! Where an attribute lives in the table: the common ones in columns of their own, all others
//! in arrays by type. One place each, so that nothing is kept twice and nothing is lost, not
//! even a key that changes its type.

use andon_model::event::key;

/// The table with the events of one server.
pub const EVENTS: &str = "events";
/// The table that reads `events` of all servers.
pub const EVENTS_ALL: &str = "events_all";
/// Microseconds of an hour, the first thing that rows of a partition are sorted by.
pub const HOUR_US: i64 = 3_600_000_000;
/// Hours of a partition; retention drops whole ones.
pub const PARTITION_HOURS: i64 = 24;

/// What a column of its own holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hot {
    /// Texts of few different values.
    Word,
    /// Texts of many different values.
    Text,
    /// Numbers, with a second column that says whether they came as whole ones.
    Number,
}

/// Keys with columns of their own, which are called the same. An empty text and what is not a
/// number mark absence there; such values themselves live in the arrays.
pub const HOT: [(&str, Hot); 14] = [
    (key::KIND, Hot::Word),
    (key::NAME, Hot::Word),
    (key::BODY, Hot::Text),
    (key::SEVERITY, Hot::Word),
    (key::STATUS, Hot::Number),
    (key::DURATION_MS, Hot::Number),
    (key::VALUE, Hot::Number),
    (key::TRACE_ID, Hot::Text),
    (key::SPAN_ID, Hot::Text),
    (key::PARENT_ID, Hot::Text),
    (key::SERVICE, Hot::Word),
    (key::HOST, Hot::Word),
    (key::NODE, Hot::Word),
    (key::SITE, Hot::Word),
];

/// Whole numbers up to here are kept exactly by a 64-bit float.
pub const EXACT_MAX: i64 = 1 << 53;

/// What a key has of its own.
pub fn hot(key: &str) -> Option<Hot> {
    let found = HOT.iter().find(|(name, _)| *name == key);
    found.map(|(_, hot)| *hot)
}

/// The column that says whether a number of a hot key came as a whole one.
pub fn whole(key: &str) -> String {
    format!("{key}.whole")
}

/// Name and type of all columns of `events`, in the order in which rows are written.
pub fn columns() -> Vec<(String, &'static str)> {
    let mut columns: Vec<(String, &'static str)> = vec![
        ("dataset".into(), "LowCardinality(String)"),
        ("at_us".into(), "Int64"),
        ("hour".into(), "Int64"),
        ("block".into(), "UInt64"),
    ];
    for (key, hot) in HOT {
        match hot {
            Hot::Word => columns.push((key.into(), "LowCardinality(String)")),
            Hot::Text => columns.push((key.into(), "String")),
            Hot::Number => {
                columns.push((key.into(), "Float64"));
                columns.push((whole(key), "UInt8"));
            }
        }
    }
    for (name, kind) in ARRAYS {
        columns.push((name.into(), kind));
    }
    columns
}

/// The arrays: keys and values of each type in step. Keys are plain texts: servers of 2018
/// cannot send each other an empty array of `LowCardinality`. Whole numbers beyond [`EXACT_MAX`] are in
/// `exact` besides, since a float cannot hold them.
const ARRAYS: [(&str, &str); 9] = [
    ("text_keys", "Array(String)"),
    ("text_values", "Array(String)"),
    ("number_keys", "Array(String)"),
    ("number_values", "Array(Float64)"),
    ("number_whole", "Array(UInt8)"),
    ("bool_keys", "Array(String)"),
    ("bool_values", "Array(UInt8)"),
    ("exact_keys", "Array(String)"),
    ("exact_values", "Array(Int64)"),
];
