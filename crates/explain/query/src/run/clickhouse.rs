//! ClickHouse as a source. Its client is asynchronous, questions are not: they run on threads
//! of their own, which wait for it here.

use super::Source;
use super::asking::{Asking, RunError};
use andon_clickhouse::{ClickHouse, ClickHouseError};
use andon_model::query::Answer;
use andon_store::ResolvedQuery;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the question is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
        self.runtime.block_on(self.wait(query, asking))
    }
}

impl ClickHouseSource<'_> {
    async fn wait(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError> {
        let started = Instant::now();
        let deadline = started + asking.limits.time_max;
        let stop = CancellationToken::new();
        let asked = self.clickhouse.ask(query, &stop);
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
        match outcome {
            Ok(mut answer) => {
                answer.stats.elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
                Ok(answer)
            }
            Err(ClickHouseError::Cancelled) if asking.cancel.is_cancelled() => {
                Err(RunError::Cancelled)
            }
            Err(ClickHouseError::Cancelled) => Err(failed(
                format!("no answer within {:?}", asking.limits.time_max),
                "ask for a shorter time, or allow more",
            )),
            Err(error) => Err(failed(error.to_string(), error.help())),
        }
    }
}
