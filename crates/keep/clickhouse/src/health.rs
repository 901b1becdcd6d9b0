//! Whether ClickHouse is well, in words.

use crate::answer::integer;
use crate::clickhouse::ClickHouse;
use crate::layout::EVENTS;
use crate::literal;
use serde::Serialize;

/// Parts of one partition from which on inserts are slowed down by the server.
const PARTS_WORRY: i64 = 150;

/// How one server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerHealth {
    /// Host and port.
    pub server: String,
    /// Its version, if it answers.
    pub version: Option<String>,
    /// What is wrong; empty if all is well.
    pub trouble: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl ClickHouse {
    /// Asks each server how it is.
    pub async fn health(&self) -> Vec<ServerHealth> {
        let mut all = Vec::new();
        for server in &self.servers {
            let mut health = ServerHealth {
                server: server.label(),
                version: None,
                trouble: None,
                help: None,
            };
            match self.server_version(server).await {
                Ok(version) => health.version = Some(version),
                Err(error) => {
                    health.help = Some(error.help().to_owned());
                    health.trouble = Some(error.to_string());
                }
            }
            if health.version.is_some() {
                let sql = format!(
                    "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = {} AND table = {} GROUP BY partition) AS p",
                    literal::text(&self.settings.database),
                    literal::text(EVENTS),
                );
                let rows = self.select_on(server, &sql, &self.statement_name()).await;
                let parts = rows.map(|rows| {
                    rows.data
                        .first()
                        .and_then(|row| row.first())
                        .map_or(0, integer)
                });
                match parts {
                    Ok(parts) if parts >= PARTS_WORRY => {
                        health.trouble = Some(format!(
                            "a day of one dataset is in {parts} parts: inserts are too small, or the disk too slow"
                        ));
                        health.help = Some("let fewer keepers write, in larger batches".to_owned());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        health.help = Some(error.help().to_owned());
                        health.trouble = Some(error.to_string());
                    }
                }
            }
            all.push(health);
        }
        all
    }
}
