//! What is too old goes by whole days: dropping a partition costs nothing, deleting rows would.

use crate::answer::integer;
use crate::clickhouse::ClickHouse;
use crate::encode::partition;
use crate::error::ClickHouseError;
use crate::layout::{EVENTS, HOUR_US, PARTITION_HOURS};
use crate::literal;
use andon_model::time::Timestamp;
use std::collections::BTreeMap;

/// What one dataset takes on the disks of all servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Size {
    /// What each day since 1970 takes.
    pub days: BTreeMap<i64, Day>,
    /// Events.
    pub rows: u64,
}

/// What one day of a dataset takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Day {
    /// On the disks of all servers.
    pub bytes: u64,
    /// When the last of it came in, to the second.
    pub arrived: Timestamp,
}

impl Size {
    /// Bytes of all days.
    pub fn bytes(&self) -> u64 {
        self.days.values().map(|day| day.bytes).sum()
    }
}

/// What one dataset has, from when to when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// Events.
    pub rows: u64,
    /// Bytes on the disks of all servers.
    pub bytes: u64,
    /// The begin of its oldest day.
    pub from: Option<Timestamp>,
    /// The end of its newest day.
    pub to: Option<Timestamp>,
}

impl ClickHouse {
    /// What there is of each dataset on the servers that answer, by name; times to the day.
    pub async fn extents(&self) -> Result<BTreeMap<String, Extent>, ClickHouseError> {
        const DAY_US: i64 = HOUR_US * PARTITION_HOURS;
        let extent = |size: Size| {
            let day = |day: Option<&i64>, add| {
                day.map(|day| Timestamp(day.saturating_add(add).saturating_mul(DAY_US)))
            };
            Extent {
                rows: size.rows,
                bytes: size.bytes(),
                from: day(size.days.keys().next(), 0),
                to: day(size.days.keys().next_back(), 1),
            }
        };
        let sizes = self.sizes().await?.into_iter();
        Ok(sizes.map(|(name, size)| (name, extent(size))).collect())
    }

    /// Drops all days of a dataset that end before `keep_from` and to which nothing came since
    /// `arrived_before`: what is imported from long ago is kept as long as anything. Says how
    /// many were dropped, over all servers.
    pub async fn drop_before(
        &self,
        dataset: &str,
        keep_from: Timestamp,
        arrived_before: Timestamp,
    ) -> Result<u64, ClickHouseError> {
        let first = partition(keep_from.0);
        let sizes = self.sizes().await?;
        let old: Vec<i64> = sizes
            .get(dataset)
            .into_iter()
            .flat_map(|size| &size.days)
            .filter(|(number, day)| **number < first && day.arrived < arrived_before)
            .map(|(number, _)| *number)
            .collect();
        self.drop_days(dataset, &old).await?;
        Ok(old.len() as u64)
    }

    /// Drops the oldest days of a dataset until it takes at most so many bytes; the newest day
    /// stays. Says how many were dropped.
    pub async fn drop_beyond(&self, dataset: &str, bytes_max: u64) -> Result<u64, ClickHouseError> {
        let sizes = self.sizes().await?;
        let Some(size) = sizes.get(dataset) else {
            return Ok(0);
        };
        let mut bytes = size.bytes();
        let mut old = Vec::new();
        let older = size.days.len().saturating_sub(1);
        for (number, day) in size.days.iter().take(older) {
            if bytes <= bytes_max {
                break;
            }
            bytes -= day.bytes;
            old.push(*number);
        }
        self.drop_days(dataset, &old).await?;
        Ok(old.len() as u64)
    }

    async fn drop_days(&self, dataset: &str, days: &[i64]) -> Result<(), ClickHouseError> {
        // One that is away does not keep the others from it; its own days go when it is back.
        let mut away = Ok(());
        'servers: for server in &self.servers {
            for day in days {
                let sql = format!(
                    "ALTER TABLE {}.{} DROP PARTITION ({}, {day})",
                    literal::name(&self.settings.database),
                    literal::name(EVENTS),
                    literal::text(dataset),
                );
                match self.command(server, &sql, &[]).await {
                    Err(error @ ClickHouseError::Unreachable { .. }) => {
                        away = Err(error);
                        continue 'servers;
                    }
                    done => done?,
                }
            }
        }
        away
    }

    /// What each dataset takes on the servers that can be reached, by name; an error where none
    /// can.
    pub async fn sizes(&self) -> Result<BTreeMap<String, Size>, ClickHouseError> {
        let sql = format!(
            "SELECT partition, sum(bytes_on_disk), sum(rows), toUInt32(max(modification_time)) FROM system.parts \
             WHERE active AND database = {} AND table = {} GROUP BY partition",
            literal::text(&self.settings.database),
            literal::text(EVENTS),
        );
        let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
        let (mut answered, mut away) = (0, None);
        for server in &self.servers {
            let rows = match self.select_on(server, &sql, &self.statement_name()).await {
                Err(error @ ClickHouseError::Unreachable { .. }) => {
                    away = Some(error);
                    continue;
                }
                rows => rows?,
            };
            answered += 1;
            for row in &rows.data {
                let Some((dataset, day)) = row.first().and_then(|name| named(name.as_str()?))
                else {
                    continue;
                };
                let size = sizes.entry(dataset).or_default();
                let amount = |index: usize| {
                    let json = row.get(index);
                    json.map_or(0, |json| u64::try_from(integer(json)).unwrap_or(0))
                };
                let day = size.days.entry(day).or_default();
                day.bytes += amount(1);
                size.rows += amount(2);
                let arrived = amount(3).saturating_mul(1_000_000);
                day.arrived = day
                    .arrived
                    .max(Timestamp(arrived.try_into().unwrap_or(i64::MAX)));
            }
        }
        match away {
            Some(error) if answered == 0 => Err(error),
            _ => Ok(sizes),
        }
    }
}

/// Dataset and day of a partition as servers write it: `('logs',20413)`. Names of datasets
/// hold nothing that would be escaped.
fn named(partition: &str) -> Option<(String, i64)> {
    let inside = partition.strip_prefix('(')?.strip_suffix(')')?;
    let (dataset, day) = inside.rsplit_once(',')?;
    let dataset = dataset.trim().trim_matches(['\'', '\\']);
    Some((dataset.to_owned(), day.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_as_servers_write_them() {
        assert_eq!(named("('logs',20413)"), Some(("logs".into(), 20_413)));
        assert_eq!(named("('a-b.c', -1)"), Some(("a-b.c".into(), -1)));
        assert_eq!(named("tuple()"), None);
    }
}
