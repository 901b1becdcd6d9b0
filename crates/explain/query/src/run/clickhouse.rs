//! ClickHouse as a source. Its client is asynchronous, questions are not: they run on threads
//! of their own, which wait for it here.

use super::Source;
use super::watch::{Limits, RunError, Watch};
use andon_clickhouse::{ClickHouse, ClickHouseError};
use andon_model::query::Answer;
use andon_store::ResolvedQuery;
use std::time::Duration;
use tokio::runtime::Handle;
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
    fn answer(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        watch: &dyn Watch,
    ) -> Result<Answer, RunError> {
        let started = watch.now();
        let outcome = self.runtime.block_on(async {
            let cancel = CancellationToken::new();
            let asked = self.clickhouse.ask(query, &cancel);
            tokio::pin!(asked);
            loop {
                tokio::select! {
                    done = &mut asked => break done,
                    () = tokio::time::sleep(LOOK_EVERY) => {
                        let late = watch.now().since(started) >= limits.time_max;
                        if watch.is_cancelled() || late {
                            cancel.cancel();
                        }
                    }
                }
            }
        });
        outcome.map_err(|error| match error {
            ClickHouseError::Cancelled if watch.is_cancelled() => RunError::Cancelled,
            ClickHouseError::Cancelled => RunError::Failed {
                label: "ClickHouse".to_owned(),
                reason: format!("no answer within {:?}", limits.time_max),
                help: "ask for a shorter time, or allow more".to_owned(),
            },
            error => RunError::Failed {
                label: "ClickHouse".to_owned(),
                reason: error.to_string(),
                help: error.help().to_owned(),
            },
        })
    }
}
