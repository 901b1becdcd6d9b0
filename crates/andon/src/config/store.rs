//! `[store]`: whether and how a node keeps events.

use super::history::bytes;
use super::resolve::{Reader, base};
use super::value;
use andon_model::event::is_dataset_name;
use andon_spool::{Policy, Priority, StreamOptions};
use andon_store::{Options, Retention};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Shortest time that anything is kept.
const AGE_LEAST: Duration = Duration::from_secs(3600);
/// Longest time.
const AGE_MOST: Duration = Duration::from_secs(3650 * 86_400);
/// Room for events unless said otherwise: a third of a small machine's disk.
const BYTES_MAX_DEFAULT: u64 = 10_000_000_000;
/// Memory for columns that stay decoded unless said otherwise: five columns of ten million events.
const WARM_BYTES_MAX_DEFAULT: u64 = 96 << 20;
/// Room of one queue unless said otherwise.
const SPOOL_BYTES_MAX_DEFAULT: u64 = 1_000_000_000;

/// Whether a node keeps events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Its own, while the grid has no keeper.
    Auto,
    /// Its own and those of others.
    Yes,
    /// None.
    No,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Yes => "true",
            Self::No => "false",
        })
    }
}

/// Whether, where and how long events are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    /// Whether.
    pub keep: Keep,
    /// Where; `None` is within the data directory.
    path: Option<PathBuf>,
    /// For how long unless a dataset has its own time.
    pub retention_default: Retention,
    /// For how long single datasets are kept.
    pub retention: BTreeMap<String, Retention>,
    /// Room for all together.
    pub bytes_max: u64,
    /// Memory for columns that stay decoded between questions.
    pub warm_bytes_max: u64,
    /// Keepers that have each event, where the grid has so many.
    pub copies: Copies,
    /// ClickHouse instead.
    pub clickhouse: Option<andon_clickhouse::Settings>,
}

/// How many keepers have each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// One: keepers share the nodes.
    One,
    /// Two: either may be lost.
    Two,
}

impl StoreSettings {
    /// Where events are kept.
    pub fn path(&self, data_dir: &Path) -> PathBuf {
        self.path.clone().unwrap_or_else(|| data_dir.join("events"))
    }

    /// Where copies of other keepers' events are kept: beside its own.
    pub fn copies_path(&self, data_dir: &Path) -> PathBuf {
        let mut path = self.path(data_dir).into_os_string();
        path.push("-copies");
        path.into()
    }

    /// With the limits of others, which may change while the node runs.
    #[must_use]
    pub fn with_limits(self, fresh: &Self) -> Self {
        Self {
            retention_default: fresh.retention_default,
            retention: fresh.retention.clone(),
            bytes_max: fresh.bytes_max,
            ..self
        }
    }

    /// Which settings differ that only a restart changes.
    pub fn fixed_changes(&self, fresh: &Self) -> Vec<&'static str> {
        let all = [
            ("store.keep", self.keep != fresh.keep),
            ("store.path", self.path != fresh.path),
            (
                "store.warm_bytes_max",
                self.warm_bytes_max != fresh.warm_bytes_max,
            ),
            ("store.copies", self.copies != fresh.copies),
            ("store.clickhouse", self.clickhouse != fresh.clickhouse),
        ];
        let changed = all.into_iter().filter(|(_, differs)| *differs);
        changed.map(|(name, _)| name).collect()
    }

    /// The same for the store's own crate.
    pub fn options(&self) -> Options {
        Options {
            retention_default: self.retention_default,
            retention: self.retention.clone(),
            bytes_max: self.bytes_max,
            warm_bytes_max: usize::try_from(self.warm_bytes_max).unwrap_or(usize::MAX),
            ..Options::default()
        }
    }
}

/// Reads the table; `None` if something in it is wrong.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<StoreSettings> {
    let keep = reader.one("store.keep", |given| match given.text.as_str() {
        "auto" => Ok(Keep::Auto),
        text => match value::switch(text) {
            Ok(true) => Ok(Keep::Yes),
            Ok(false) => Ok(Keep::No),
            Err(_) => Err("auto, true or false".to_owned()),
        },
    });
    let path = reader.one("store.path", |given| value::path(&given.text, base(given)));
    let age_max = reader.one("store.age_max", |given| age(&given.text));
    let bytes_max = reader.one("store.bytes_max", |given| bytes(&given.text));
    let warm_bytes_max = reader.one("store.warm_bytes_max", |given| bytes(&given.text));
    let copies = reader.one("store.copies", |given| match given.text.as_str() {
        "1" => Ok(Copies::One),
        "2" => Ok(Copies::Two),
        _ => Err("1 or 2".to_owned()),
    });
    let retention = reader.map("store.retention", |name, given| {
        if !is_dataset_name(name) {
            return Err("DATASET = \"7d 2GB\"".to_owned());
        }
        Ok((name.to_owned(), limits(&given.text)?))
    });
    let urls = reader.list("store.clickhouse", |given| {
        let is_url = ["http://", "https://"]
            .iter()
            .any(|scheme| given.text.starts_with(scheme));
        match is_url {
            true => Ok(given.text.clone()),
            false => Err("http://user:password@host:8123".to_owned()),
        }
    });
    let word = |given: &super::document::Given| value::plain(&given.text, 64);
    let database = reader.one("store.clickhouse_database", word);
    let cluster = reader.one("store.clickhouse_cluster", word);
    let age_max = age_max.or_default(|| Retention::default().age_max)?;
    let (database, cluster) = (
        database.or_default(|| "andon".to_owned())?,
        cluster.or_default(String::new)?,
    );
    let clickhouse = (!urls.is_empty()).then(|| andon_clickhouse::Settings {
        urls,
        database,
        cluster: Some(cluster).filter(|name| !name.is_empty()),
        ..andon_clickhouse::Settings::default()
    });
    Some(StoreSettings {
        keep: keep.or_default(|| Keep::Auto)?,
        path: path
            .or_default(PathBuf::new)
            .filter(|path| path != Path::new("")),
        retention_default: Retention {
            age_max,
            ..Retention::default()
        },
        retention: retention
            .into_iter()
            .map(|(name, (age, bytes))| {
                let retention = Retention {
                    age_max: age.unwrap_or(age_max),
                    bytes_max: bytes.unwrap_or(u64::MAX),
                };
                (name, retention)
            })
            .collect(),
        bytes_max: bytes_max.or_default(|| BYTES_MAX_DEFAULT)?,
        warm_bytes_max: warm_bytes_max.or_default(|| WARM_BYTES_MAX_DEFAULT)?,
        copies: copies.or_default(|| Copies::Two)?,
        clickhouse,
    })
}

/// Reads `[spool]`; `None` if something in it is wrong.
pub(super) fn spool(reader: &mut Reader<'_>) -> Option<andon_spool::Options> {
    let bytes_max = reader.one("spool.bytes_max", |given| bytes(&given.text));
    let policy = reader.one("spool.policy", |given| {
        Policy::by_name(&given.text).ok_or_else(|| "block, drop_oldest or drop_newest".to_owned())
    });
    let given = reader.map("spool.streams", |name, given| {
        if !is_dataset_name(name) {
            return Err("DATASET = \"block high 5GB\"".to_owned());
        }
        Ok((name.to_owned(), words(&given.text)?))
    });
    let usual = StreamOptions {
        bytes_max: bytes_max.or_default(|| SPOOL_BYTES_MAX_DEFAULT)?,
        policy: policy.or_default(Policy::default)?,
        ..StreamOptions::default()
    };
    // Old figures are worth less than a stopped log.
    let metrics = StreamOptions {
        policy: Policy::DropOldest,
        priority: Priority::Low,
        ..usual
    };
    let mut streams = BTreeMap::from([("metrics".to_owned(), metrics)]);
    for (name, (policy, bytes_max, priority)) in given {
        let before = streams.get(&name).copied().unwrap_or(usual);
        let options = StreamOptions {
            bytes_max: bytes_max.unwrap_or(before.bytes_max),
            policy: policy.unwrap_or(before.policy),
            priority: priority.unwrap_or(before.priority),
        };
        streams.insert(name, options);
    }
    Some(andon_spool::Options { usual, streams })
}

type Words = (Option<Policy>, Option<u64>, Option<Priority>);

/// `block high 5GB`, in any order.
fn words(text: &str) -> Result<Words, String> {
    let mut found: Words = (None, None, None);
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        if let Some(policy) = Policy::by_name(word) {
            found.0 = Some(policy);
        } else if let Some(priority) = Priority::by_name(word) {
            found.2 = Some(priority);
        } else if let Ok(bytes) = bytes(word) {
            found.1 = Some(bytes);
        } else {
            return Err(
                "block, drop_oldest or drop_newest; a size such as 5GB; high, normal or low"
                    .to_owned(),
            );
        }
    }
    Ok(found)
}

fn age(text: &str) -> Result<Duration, String> {
    value::duration_in(text, AGE_LEAST, AGE_MOST)
}

type Limits = (Option<Duration>, Option<u64>);

/// `7d`, `2GB`, `7d 2GB`.
fn limits(text: &str) -> Result<Limits, String> {
    let expected = || "a time, a size or both: 7d, 2GB, \"7d 2GB\"".to_owned();
    let mut found: Limits = (None, None);
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        match (age(word), bytes(word)) {
            (Ok(age), _) if found.0.is_none() => found.0 = Some(age),
            (_, Ok(bytes)) if found.1.is_none() => found.1 = Some(bytes),
            _ => return Err(expected()),
        }
    }
    match found {
        (None, None) => Err(expected()),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_dataset_are_a_time_a_size_or_both() {
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!(limits("7d"), Ok((Some(week), None)));
        assert_eq!(limits("2GB"), Ok((None, Some(2_000_000_000))));
        assert_eq!(limits("7d, 2GB"), Ok((Some(week), Some(2_000_000_000))));
        assert_eq!(
            words("high 5GB drop_oldest"),
            Ok((
                Some(Policy::DropOldest),
                Some(5_000_000_000),
                Some(Priority::High)
            ))
        );
        assert!(words("block now").is_err());
        for wrong in ["", "7d 8d", "2GB 3GB", "soon", "1s"] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
    }
}
