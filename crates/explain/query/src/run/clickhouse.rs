//! ClickHouse as a source. Its client is asynchronous, questions are not: they run on threads
//! of their own, which wait for it here.

use super::asking::{Asking, RunError};
use super::{Found, Source};
use crate::text::Catalogue;
use andon_clickhouse::{ClickHouse, ClickHouseError};
use andon_model::event::Value;
use andon_model::query::Answer;
use andon_model::time::Timestamp;
use andon_store::ResolvedQuery;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the question is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For one list of proposals: someone is typing.
const COMPLETION_MAX: Duration = Duration::from_secs(2);

/// A ClickHouse and the runtime that its client lives on. To be asked from a thread that may
/// wait, such as one of `spawn_blocking`.
#[derive(Debug, Clone)]
pub struct ClickHouseSource<'c> {
    /// The client.
    pub clickhouse: &'c ClickHouse,
    /// Its runtime.
    pub runtime: Handle,
}

impl Source for ClickHouseSource<'_> {
    fn answer(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError> {
        let started = Instant::now();
        let stop = CancellationToken::new();
        let asked = self.clickhouse.ask(query, &stop);
        let mut answer = self.runtime.block_on(wait(asked, &stop, asking))?;
        answer.stats.elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
        Ok(answer)
    }

    fn events(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Found, RunError> {
        let stop = CancellationToken::new();
        let asked = self.clickhouse.events(query, &stop);
        let (events, _) = self.runtime.block_on(wait(asked, &stop, asking))?;
        let notes = self.runtime.block_on(self.clickhouse.missing());
        Ok(Found { events, notes })
    }
}

/// Waits until there is an answer, nobody wants it any more, or the time is over.
async fn wait<T>(
    asked: impl Future<Output = Result<T, ClickHouseError>>,
    stop: &CancellationToken,
    asking: &Asking<'_>,
) -> Result<T, RunError> {
    let deadline = Instant::now() + asking.limits.time_max;
    tokio::pin!(asked);
    let outcome = loop {
        let look = (Instant::now() + LOOK_EVERY).min(deadline);
        tokio::select! {
            done = &mut asked => break done,
            () = tokio::time::sleep_until(look), if !stop.is_cancelled() => {
                if asking.cancel.is_cancelled() || Instant::now() >= deadline {
                    stop.cancel();
                }
            }
        }
    };
    let failed = |reason: String, help: &str| RunError::Failed {
        label: "ClickHouse".to_owned(),
        reason,
        help: help.to_owned(),
    };
    outcome.map_err(|error| match error {
        ClickHouseError::Cancelled if asking.cancel.is_cancelled() => RunError::Cancelled,
        ClickHouseError::Cancelled => failed(
            format!("no answer within {:?}", asking.limits.time_max),
            "ask for a shorter time, or allow more",
        ),
        error => failed(error.to_string(), error.help()),
    })
}

/// What ClickHouse knows for completion; where it does not answer, nothing is proposed.
#[derive(Debug, Clone)]
pub struct ClickHouseCatalogue<'c> {
    /// The client and its runtime.
    pub source: ClickHouseSource<'c>,
    /// The end of the day that is looked at.
    pub now: Timestamp,
}

impl ClickHouseCatalogue<'_> {
    fn get<T: Default>(&self, asked: impl Future<Output = Result<T, ClickHouseError>>) -> T {
        let bounded = async { tokio::time::timeout(COMPLETION_MAX, asked).await };
        let outcome = self.source.runtime.block_on(bounded);
        outcome.ok().and_then(Result::ok).unwrap_or_default()
    }
}

impl Catalogue for ClickHouseCatalogue<'_> {
    fn datasets(&self) -> Vec<String> {
        self.get(self.source.clickhouse.datasets())
    }
    fn keys(&self, dataset: &str) -> Vec<String> {
        self.get(self.source.clickhouse.keys(dataset, self.now))
    }
    fn values(&self, dataset: &str, key: &str, prefix: &str) -> Vec<Value> {
        self.get(
            self.source
                .clickhouse
                .values(dataset, key, prefix, self.now),
        )
    }
}
