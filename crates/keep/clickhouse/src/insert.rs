//! Events go in by blocks that arrive whole or not at all, and never twice: each carries a
//! number of its own, and before a block is sent again the server is asked whether it has it.

use crate::answer::integer;
use crate::clickhouse::ClickHouse;
use crate::encode;
use crate::error::ClickHouseError;
use crate::http::Server;
use crate::layout::{EVENTS, columns};
use crate::literal;
use crate::select::between;
use andon_model::event::Event;
use andon_model::time::Timestamp;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows of one block. A server takes up to a million as one; fewer bound the memory here.
pub const BLOCK_ROWS_MAX: usize = 200_000;
/// Bytes of one block, about.
pub const BLOCK_BYTES_MAX: usize = 64 << 20;
/// For one block.
const BLOCK_TIME_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a server still writes a block.
const WRITES_STILL: Duration = Duration::from_millis(50);
/// Blocks of unknown fate that are remembered; more would mean that nothing gets through.
const UNCERTAIN_MAX: usize = 10_000;

/// Whether a batch may have been sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Never.
    First,
    /// It may: all servers are asked before it is sent.
    Again,
    /// It may, and a server that would know is gone for good: those that can be reached are
    /// asked, and the others count as not having it.
    AgainWithout,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inserted {
    /// Events that are there by this call.
    pub written: u64,
    /// Events that were there from an earlier attempt.
    pub known: u64,
}

/// Events of one day of one dataset.
struct Block<'e> {
    number: u64,
    dataset: &'e str,
    from: Timestamp,
    to: Timestamp,
    events: Vec<&'e Event>,
}

impl ClickHouse {
    /// Writes a batch; returns once a server has all of it. `token` names the batch: the same
    /// events under the same token are written once, however often this is called.
    /// Ten thousand events and more at a time are what ClickHouse likes. On an error a part of
    /// the batch may be there; the same call again with [`Attempt::Again`] adds the rest.
    pub async fn insert(
        &self,
        dataset: &str,
        events: &[Event],
        token: &str,
        attempt: Attempt,
    ) -> Result<Inserted, ClickHouseError> {
        let mut inserted = Inserted::default();
        for block in blocks(dataset, events, token) {
            let rows = block.events.len() as u64;
            match self.insert_block(&block, attempt).await? {
                Fate::Written => inserted.written += rows,
                Fate::Known => inserted.known += rows,
            }
        }
        Ok(inserted)
    }

    async fn insert_block(
        &self,
        block: &Block<'_>,
        attempt: Attempt,
    ) -> Result<Fate, ClickHouseError> {
        let uncertain = self.uncertain.lock().ok();
        let uncertain = uncertain.and_then(|known| known.get(&block.number).copied());
        let candidates = match (uncertain, attempt) {
            // Only that server can have it.
            (Some(index), _) => vec![index],
            (None, Attempt::First) => Vec::new(),
            (None, Attempt::Again | Attempt::AgainWithout) => (0..self.servers.len()).collect(),
        };
        for index in candidates {
            self.wait_for_block(&self.servers[index], block).await;
            match self.has_block(&self.servers[index], block).await {
                Ok(false) => {}
                Ok(true) => {
                    self.forget(block.number);
                    return Ok(Fate::Known);
                }
                Err(ClickHouseError::Unreachable { .. }) if attempt == Attempt::AgainWithout => {}
                Err(error) => return Err(error),
            }
        }
        self.forget(block.number);
        self.send_block(block).await?;
        Ok(Fate::Written)
    }

    /// To the server that its number points to, else to the next that can be reached.
    async fn send_block(&self, block: &Block<'_>) -> Result<(), ClickHouseError> {
        let mut last = ClickHouseError::Cancelled;
        let body = block.bytes();
        for turn in 0..self.servers.len() {
            let index = (block.number as usize).wrapping_add(turn) % self.servers.len();
            match self.post(&self.servers[index], block, body.clone()).await {
                Ok(()) => return Ok(()),
                Err(error @ ClickHouseError::Unreachable { .. }) => last = error,
                Err(error) if error.is_uncertain() => {
                    self.remember(block.number, index);
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Waits while a server still writes the block for one who was killed meanwhile: until it
    /// is done, nobody can tell whether it will be there.
    async fn wait_for_block(&self, server: &Server, block: &Block<'_>) {
        let sql = format!(
            "SELECT count() FROM system.processes WHERE query_id = {}",
            literal::text(&block.name())
        );
        for _ in 0..BLOCK_TIME_MAX.as_millis() / WRITES_STILL.as_millis() {
            let running = self.select_on(server, &sql, &self.statement_name()).await;
            let cell = running.ok().and_then(|rows| {
                let row = rows.data.into_iter().next()?;
                row.into_iter().next()
            });
            if cell.as_ref().map_or(0, integer) == 0 {
                return;
            }
            tokio::time::sleep(WRITES_STILL).await;
        }
    }

    async fn post(
        &self,
        server: &Server,
        block: &Block<'_>,
        body: Bytes,
    ) -> Result<(), ClickHouseError> {
        let names = columns();
        let names = names.iter().map(|(name, _)| literal::name(name));
        let sql = format!(
            "INSERT INTO {}.{} ({}) FORMAT RowBinary",
            literal::name(&self.settings.database),
            literal::name(EVENTS),
            literal::list(names)
        );
        // One block, and so one part of the table: it is there or it is not.
        let rows = (BLOCK_ROWS_MAX + 1).to_string();
        let name = block.name();
        let parameters = [
            ("query", sql.as_str()),
            ("query_id", &name),
            ("max_insert_block_size", &rows),
        ];
        server.send(&parameters, body, BLOCK_TIME_MAX).await?;
        Ok(())
    }

    async fn has_block(&self, server: &Server, block: &Block<'_>) -> Result<bool, ClickHouseError> {
        let mut conditions = between(block.dataset, block.from, block.to);
        conditions.push(format!("block = toUInt64('{}')", block.number));
        let sql = format!(
            "SELECT count() FROM {} WHERE {}",
            self.own_table().sql(),
            conditions.join(" AND ")
        );
        let rows = self.select_on(server, &sql, &self.statement_name()).await?;
        let found = rows
            .data
            .first()
            .and_then(|row| row.first())
            .map_or(0, integer);
        match usize::try_from(found).unwrap_or(0) {
            0 => Ok(false),
            count if count == block.events.len() => Ok(true),
            count => Err(ClickHouseError::Garbled {
                server: server.label(),
                reason: format!(
                    "{count} of {} events of a block are there",
                    block.events.len()
                ),
            }),
        }
    }

    fn remember(&self, number: u64, index: usize) {
        if let Ok(mut uncertain) = self.uncertain.lock()
            && uncertain.len() < UNCERTAIN_MAX
        {
            uncertain.insert(number, index);
        }
    }

    fn forget(&self, number: u64) {
        if let Ok(mut uncertain) = self.uncertain.lock() {
            uncertain.remove(&number);
        }
    }
}

enum Fate {
    Written,
    Known,
}

impl Block<'_> {
    /// What the server calls the statement that writes it.
    fn name(&self) -> String {
        format!("andon-block-{}", self.number)
    }

    fn bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.events.len() * 200);
        for event in &self.events {
            encode::row(self.dataset, self.number, event, &mut out);
        }
        out.into()
    }
}

/// Cuts a batch by day, since a block of two days would be two parts, and by size.
fn blocks<'e>(dataset: &'e str, events: &'e [Event], token: &str) -> Vec<Block<'e>> {
    let mut days: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
    for event in events {
        days.entry(encode::partition(event.at.0))
            .or_default()
            .push(event);
    }
    let mut blocks = Vec::new();
    for (day, events) in days {
        for (part, events) in by_size(events).into_iter().enumerate() {
            let from = events
                .iter()
                .map(|event| event.at)
                .min()
                .unwrap_or_default();
            let to = events
                .iter()
                .map(|event| event.at.0)
                .max()
                .unwrap_or_default();
            blocks.push(Block {
                number: number(token, dataset, day, part),
                dataset,
                from,
                to: Timestamp(to.saturating_add(1)),
                events,
            });
        }
    }
    blocks
}

fn by_size(events: Vec<&Event>) -> Vec<Vec<&Event>> {
    let mut parts: Vec<Vec<&Event>> = Vec::new();
    let mut bytes = usize::MAX;
    for event in events {
        let size: usize = event
            .attributes
            .iter()
            .map(|(key, value)| {
                let text = match value {
                    andon_model::event::Value::Text(text) => text.len(),
                    _ => 8,
                };
                key.len() + text + 8
            })
            .sum();
        let full = parts.last().is_none_or(|part| part.len() >= BLOCK_ROWS_MAX);
        if full || bytes.saturating_add(size) > BLOCK_BYTES_MAX {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        if let Some(part) = parts.last_mut() {
            part.push(event);
        }
    }
    parts
}

fn number(token: &str, dataset: &str, day: i64, part: usize) -> u64 {
    let mut hash = Sha256::new();
    for field in [token.as_bytes(), dataset.as_bytes()] {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.update(day.to_le_bytes());
    hash.update((part as u64).to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_by_day_and_its_blocks_keep_their_numbers() {
        let day = 86_400_000_000;
        let events: Vec<Event> = [0, 5, day, day + 1, -1]
            .map(|at| Event::new(Timestamp(at)))
            .into();
        let cut = blocks("logs", &events, "t");
        let sizes: Vec<usize> = cut.iter().map(|block| block.events.len()).collect();
        // The server divides towards zero: the hour before 1970 is in the first day's partition.
        assert_eq!(sizes, [3, 2]);
        let again: Vec<u64> = blocks("logs", &events, "t")
            .iter()
            .map(|block| block.number)
            .collect();
        assert_eq!(
            cut.iter().map(|block| block.number).collect::<Vec<_>>(),
            again
        );
        assert_ne!(number("t", "a", 0, 0), number("t", "a", 0, 1));
        assert_ne!(number("ta", "", 0, 0), number("t", "a", 0, 0));
    }

    #[test]
    fn a_block_is_bounded_in_rows_and_bytes() {
        let large = Event::new(Timestamp(0)).with("body", "x".repeat(1 << 20));
        let events = vec![large; 130];
        let cut = blocks("logs", &events, "t");
        assert_eq!(
            cut.iter().map(|block| block.events.len()).sum::<usize>(),
            130
        );
        assert!(cut.len() >= 3 && cut.iter().all(|block| block.events.len() <= 64));
    }
}
