//! Gathers what arrives in small batches into the large ones that ClickHouse wants. Knows no
//! clock and no server.

use andon_model::event::{Event, Value};
use andon_model::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Events of one batch to ClickHouse, from which on it does not wait for more.
pub const ROWS_ENOUGH: usize = 20_000;
/// Bytes of one batch, about, from which on it does not wait for more.
pub const BYTES_ENOUGH: usize = 16 << 20;
/// How long the first event of a batch waits for others. Twice as long halves the parts that
/// ClickHouse has to merge, and adds to how late an event is seen.
pub const WAIT_MAX: Duration = Duration::from_secs(1);
/// Events that wait at most; beyond it the caller is to keep them.
pub const WAITING_MAX: usize = 200_000;

/// Batches by dataset; `T` is what is told when one is done.
#[derive(Debug)]
pub struct Collector<T> {
    datasets: BTreeMap<String, Gathered<T>>,
    waiting: usize,
}

/// What is gathered for one dataset.
#[derive(Debug)]
pub struct Gathered<T> {
    /// Since when the first of them waits.
    pub since: Instant,
    /// The events in the order they came.
    pub events: Vec<Event>,
    /// Whom to tell.
    pub told: Vec<T>,
    bytes: usize,
}

impl<T> Default for Collector<T> {
    fn default() -> Self {
        Self {
            datasets: BTreeMap::new(),
            waiting: 0,
        }
    }
}

impl<T> Collector<T> {
    /// Events that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds events; whom to tell comes back if there is no room for them.
    pub fn add(
        &mut self,
        now: Instant,
        dataset: &str,
        events: Vec<Event>,
        tell: T,
    ) -> Result<(), T> {
        if self.waiting > 0 && self.waiting + events.len() > WAITING_MAX {
            return Err(tell);
        }
        self.waiting += events.len();
        let gathered = self
            .datasets
            .entry(dataset.to_owned())
            .or_insert_with(|| Gathered {
                since: now,
                events: Vec::new(),
                told: Vec::new(),
                bytes: 0,
            });
        gathered.bytes += events.iter().map(bytes).sum::<usize>();
        gathered.events.extend(events);
        gathered.told.push(tell);
        Ok(())
    }

    /// When the next batch has waited long enough.
    pub fn next_wake(&self) -> Option<Instant> {
        let since = self.datasets.values().map(|gathered| gathered.since).min();
        since.map(|since| since + WAIT_MAX)
    }

    /// A batch that is large enough or has waited long enough.
    pub fn poll(&mut self, now: Instant) -> Option<(String, Gathered<T>)> {
        let due = self.datasets.iter().find(|(_, gathered)| {
            gathered.events.len() >= ROWS_ENOUGH
                || gathered.bytes >= BYTES_ENOUGH
                || now.since(gathered.since) >= WAIT_MAX
        });
        let name = due.map(|(name, _)| name.clone())?;
        self.take(&name)
    }

    /// The next batch, however small: nothing more comes.
    pub fn drain(&mut self) -> Option<(String, Gathered<T>)> {
        let name = self.datasets.keys().next().cloned()?;
        self.take(&name)
    }

    fn take(&mut self, name: &str) -> Option<(String, Gathered<T>)> {
        let (name, gathered) = self.datasets.remove_entry(name)?;
        self.waiting -= gathered.events.len();
        Some((name, gathered))
    }
}

fn bytes(event: &Event) -> usize {
    let attributes = event.attributes.iter().map(|(key, value)| match value {
        Value::Text(text) => key.len() + text.len(),
        _ => key.len() + 8,
    });
    16 + attributes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::time::Timestamp;

    fn some(count: usize) -> Vec<Event> {
        vec![Event::new(Timestamp(0)); count]
    }

    #[test]
    fn small_batches_wait_for_others_and_large_ones_do_not() {
        let mut collector = Collector::default();
        let start = Instant(0);
        collector.add(start, "a", some(10), 1).unwrap();
        collector.add(start, "a", some(10), 2).unwrap();
        assert!(collector.poll(start).is_none());
        assert_eq!(collector.next_wake(), Some(start + WAIT_MAX));
        let (name, gathered) = collector.poll(start + WAIT_MAX).unwrap();
        assert_eq!(
            (name.as_str(), gathered.events.len(), gathered.told),
            ("a", 20, vec![1, 2])
        );
        collector.add(start, "b", some(ROWS_ENOUGH), 3).unwrap();
        assert!(collector.poll(start).is_some());
        assert_eq!(collector.waiting(), 0);
        assert_eq!(collector.next_wake(), None);
    }

    #[test]
    fn what_waits_is_bounded_and_the_caller_keeps_the_rest() {
        let mut collector = Collector::default();
        collector
            .add(Instant(0), "a", some(WAITING_MAX), 1)
            .unwrap();
        assert_eq!(collector.add(Instant(0), "b", some(1), 2), Err(2));
        assert!(collector.drain().is_some());
        assert!(collector.add(Instant(0), "b", some(1), 2).is_ok());
    }
}
