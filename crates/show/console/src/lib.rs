//! The web console's files, compiled into the binary, so that every node serves the same
//! console and needs no folder beside it. Knows no HTTP: [`asset`] turns a path into bytes,
//! their type and their entity tag; headers and status are the API's.

mod asset;

pub use asset::{Asset, PAGES, asset};
