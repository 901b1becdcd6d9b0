//! Looks after the tables on ClickHouse: makes and migrates them, and drops what is too old.

use super::Limits;
use crate::config::settings::StoreSettings;
use andon_clickhouse::ClickHouse;
use andon_model::Timestamp;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often what is too old is dropped; partitions are days.
const DROP_EVERY: Duration = Duration::from_secs(3600);

/// Until it is cancelled.
pub async fn look_after(
    clickhouse: Arc<ClickHouse>,
    mut settings: StoreSettings,
    mut limits: watch::Receiver<Limits>,
    cancel: CancellationToken,
) {
    let mut is_ready = false;
    loop {
        let done = async {
            if !is_ready {
                clickhouse.prepare().await?;
            }
            for dataset in clickhouse.datasets().await? {
                let own = settings.retention.get(&dataset);
                let retention = own.unwrap_or(&settings.retention_default);
                let before = now() - retention.age_max;
                clickhouse.drop_before(&dataset, before, before).await?;
                if retention.bytes_max < u64::MAX {
                    clickhouse
                        .drop_beyond(&dataset, retention.bytes_max)
                        .await?;
                }
            }
            Ok::<_, andon_clickhouse::ClickHouseError>(())
        };
        let pause = tokio::select! {
            () = cancel.cancelled() => return,
            done = done => match done {
                Ok(()) => {
                    if !is_ready {
                        tracing::info!("events are kept on ClickHouse");
                    }
                    is_ready = true;
                    DROP_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "ClickHouse is not looked after, tried again");
                    AGAIN
                }
            },
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            Ok(()) = limits.changed() => {
                if let Some((fresh, _)) = &*limits.borrow_and_update() {
                    settings.clone_from(fresh);
                }
            }
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}
