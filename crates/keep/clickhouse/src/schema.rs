//! The tables: made and changed by Andon, version by version.

use crate::clickhouse::ClickHouse;
use crate::error::ClickHouseError;
use crate::http::Server;
use crate::layout::{EVENTS, EVENTS_ALL, PARTITION_HOURS, columns};
use crate::literal;

/// The version of the tables that this program makes and reads.
pub const VERSION: u32 = 1;

/// Where the version is kept.
const VERSIONS: &str = "andon_schema";

/// What makes each version out of the one before it. A step may run twice: a server can stop
/// between it and the note that it is done.
const STEPS: [(u32, Step); 1] = [(1, |names| vec![create_events(names)])];

/// Statements that make one version out of the one before.
type Step = fn(&Names) -> Vec<String>;

struct Names {
    database: String,
}

/// The statement that makes the table of one server's events.
pub fn create_table(database: &str) -> String {
    create_events(&Names {
        database: literal::name(database),
    })
}

fn create_events(names: &Names) -> String {
    let columns = columns();
    let columns = columns
        .iter()
        .map(|(name, kind)| format!("{} {kind}", literal::name(name)));
    format!(
        "CREATE TABLE IF NOT EXISTS {}.{} ({}) ENGINE = MergeTree \
         PARTITION BY (dataset, intDiv(hour, {PARTITION_HOURS})) \
         ORDER BY (dataset, hour, {}, at_us)",
        names.database,
        literal::name(EVENTS),
        literal::list(columns),
        literal::name(andon_model::event::key::SERVICE),
    )
}

impl ClickHouse {
    /// Makes the tables on all servers, or brings them up to [`VERSION`]. Says which version
    /// each had before; 0 is none.
    pub async fn prepare(&self) -> Result<Vec<u32>, ClickHouseError> {
        let (mut before, mut failed) = (Vec::new(), None);
        for server in &self.servers {
            // One that is away does not keep the others from it.
            match self.prepare_one(server).await {
                Ok(version) => before.push(version),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(before), Err)
    }

    async fn prepare_one(&self, server: &Server) -> Result<u32, ClickHouseError> {
        let names = Names {
            database: literal::name(&self.settings.database),
        };
        // Servers before 19 make such columns only if told that they may, later ones need
        // not know the word.
        let version = self.server_version(server).await?;
        let old = version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok());
        let parameters: &[(&str, &str)] = match old {
            Some(major) if major < 19 => &[("allow_experimental_low_cardinality_type", "1")],
            _ => &[],
        };
        let database = format!("CREATE DATABASE IF NOT EXISTS {}", names.database);
        self.command(server, &database, parameters).await?;
        let versions = format!(
            "CREATE TABLE IF NOT EXISTS {}.{} (version UInt32) ENGINE = MergeTree ORDER BY version",
            names.database,
            literal::name(VERSIONS)
        );
        self.command(server, &versions, parameters).await?;
        let found = self.version_of(server, &names).await?;
        if found > VERSION {
            return Err(ClickHouseError::NewerSchema {
                database: self.settings.database.clone(),
                found,
                known: VERSION,
            });
        }
        for (version, step) in STEPS.iter().filter(|(version, _)| *version > found) {
            for sql in step(&names) {
                self.command(server, &sql, parameters).await?;
            }
            let done = format!(
                "INSERT INTO {}.{} (version) VALUES ({version})",
                names.database,
                literal::name(VERSIONS)
            );
            self.command(server, &done, &[]).await?;
        }
        if let Some(cluster) = &self.settings.cluster {
            self.distribute(server, &names, cluster, parameters).await?;
        }
        Ok(found)
    }

    async fn version_of(&self, server: &Server, names: &Names) -> Result<u32, ClickHouseError> {
        let sql = format!(
            "SELECT max(version) FROM {}.{}",
            names.database,
            literal::name(VERSIONS)
        );
        let rows = self.select_on(server, &sql, &self.statement_name()).await?;
        let found = rows.data.first().and_then(|row| row.first());
        Ok(found.map_or(0, |found| crate::answer::integer(found) as u32))
    }

    /// The server's own version: `18.16.1`.
    pub(crate) async fn server_version(&self, server: &Server) -> Result<String, ClickHouseError> {
        let rows = self
            .select_on(server, "SELECT version()", &self.statement_name())
            .await?;
        let found = rows.data.first().and_then(|row| row.first());
        Ok(found
            .and_then(|text| text.as_str())
            .unwrap_or_default()
            .to_owned())
    }

    /// The table that reads all servers. It holds nothing, so it is made anew where it is of
    /// another cluster.
    async fn distribute(
        &self,
        server: &Server,
        names: &Names,
        cluster: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(), ClickHouseError> {
        let all = format!("{}.{}", names.database, literal::name(EVENTS_ALL));
        let sql = format!(
            "SELECT engine_full FROM system.tables WHERE database = {} AND name = {}",
            literal::text(&self.settings.database),
            literal::text(EVENTS_ALL),
        );
        let rows = self.select_on(server, &sql, &self.statement_name()).await?;
        let engine = rows.data.first().and_then(|row| row.first());
        let engine = engine
            .and_then(|engine| engine.as_str())
            .unwrap_or_default();
        let reads = engine
            .split(['(', ',', ')', '\'', ' '])
            .any(|word| word == cluster);
        if reads {
            return Ok(());
        }
        let sql = format!("DROP TABLE IF EXISTS {all}");
        self.command(server, &sql, &[]).await?;
        let sql = format!(
            "CREATE TABLE {all} AS {}.{} ENGINE = Distributed({}, {}, {EVENTS})",
            names.database,
            literal::name(EVENTS),
            literal::text(cluster),
            literal::text(&self.settings.database),
        );
        self.command(server, &sql, parameters).await
    }
}
