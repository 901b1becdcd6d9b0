//! One ClickHouse, of one or several servers: where it is, how a statement reaches it, and
//! what bounds each of them.

use crate::answer::{Rows, read};
use crate::error::ClickHouseError;
use crate::http::Server;
use crate::layout::{EVENTS, EVENTS_ALL};
use crate::select::Tables;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where ClickHouse is and what it may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `http://user:password@host:8123` of each server.
    pub urls: Vec<String>,
    /// The database that Andon keeps its tables in; made if it is not there.
    pub database: String,
    /// The cluster, as `system.clusters` of the servers calls it, whose tables are read
    /// together. Needed with several servers.
    pub cluster: Option<String>,
    /// For one question.
    pub time_max: Duration,
    /// Bytes of memory for one question on each server.
    pub memory_bytes_max: u64,
    /// Groups of one question before the order and limit.
    pub groups_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            database: "andon".to_owned(),
            cluster: None,
            time_max: Duration::from_secs(60),
            memory_bytes_max: 4 << 30,
            groups_max: 5_000_000,
        }
    }
}

/// A connection to ClickHouse. Cheap to share; holds no socket between statements.
#[derive(Debug)]
pub struct ClickHouse {
    pub(crate) servers: Vec<Server>,
    pub(crate) settings: Settings,
    /// Blocks of which it is unknown whether they arrived, and the server that would have them.
    pub(crate) uncertain: Mutex<BTreeMap<u64, usize>>,
    statements: AtomicU64,
    life: u64,
}

/// Settings of a question that are the same on all servers. Numbers of 64 bits come as texts,
/// since JSON's readers round them; an error comes as one, not within an answer.
const READING: [(&str, &str); 10] = [
    ("readonly", "2"),
    ("wait_end_of_query", "1"),
    ("output_format_json_quote_64bit_integers", "1"),
    ("output_format_json_quote_denormals", "1"),
    ("skip_unavailable_shards", "1"),
    ("group_by_overflow_mode", "throw"),
    ("timeout_overflow_mode", "throw"),
    ("join_overflow_mode", "throw"),
    // Lists of values are part of the statement.
    ("max_query_size", "16777216"),
    ("default_format", "JSONCompact"),
];

impl ClickHouse {
    /// Reads the settings; reaches for no server yet.
    pub fn new(settings: Settings) -> Result<Self, ClickHouseError> {
        let wrong = |reason: &str| ClickHouseError::Address {
            url: String::new(),
            reason: reason.to_owned(),
        };
        if settings.urls.is_empty() {
            return Err(wrong("none is given"));
        }
        if settings.urls.len() > 1 && settings.cluster.is_none() {
            return Err(wrong("several servers need the name of their cluster"));
        }
        let servers = settings.urls.iter().map(|url| Server::parse(url));
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            settings,
            uncertain: Mutex::new(BTreeMap::new()),
            statements: AtomicU64::new(0),
            life: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
        })
    }

    /// The table that questions are asked of.
    pub fn tables(&self) -> Tables {
        let table = match self.settings.cluster {
            Some(_) => EVENTS_ALL,
            None => EVENTS,
        };
        Tables {
            database: self.settings.database.clone(),
            table,
        }
    }

    /// The table with one server's own events.
    pub(crate) fn own_table(&self) -> Tables {
        Tables {
            database: self.settings.database.clone(),
            table: EVENTS,
        }
    }

    /// A name for a statement, by which it can be stopped.
    pub(crate) fn statement_name(&self) -> String {
        let number = self.statements.fetch_add(1, Ordering::Relaxed);
        format!("andon-{:016x}-{number}", self.life)
    }

    /// Asks one server within the limits of a question.
    pub(crate) async fn select_on(
        &self,
        server: &Server,
        sql: &str,
        name: &str,
    ) -> Result<Rows, ClickHouseError> {
        let seconds = self.settings.time_max.as_secs().max(1).to_string();
        let memory = self.settings.memory_bytes_max.to_string();
        let groups = self.settings.groups_max.to_string();
        let mut parameters = READING.to_vec();
        parameters.extend([
            ("query_id", name),
            ("max_execution_time", &seconds),
            ("max_memory_usage", &memory),
            ("max_rows_to_group_by", &groups),
            ("max_bytes_in_join", &memory),
        ]);
        let body = Bytes::from(sql.to_owned());
        let time_max = self.settings.time_max + Duration::from_secs(5);
        let answer = server.send(&parameters, body, time_max).await?;
        read(&answer, &server.label())
    }

    /// Asks the first server that can be reached.
    pub(crate) async fn select(&self, sql: &str, name: &str) -> Result<Rows, ClickHouseError> {
        let mut last = None;
        for server in &self.servers {
            match self.select_on(server, sql, name).await {
                Err(error @ ClickHouseError::Unreachable { .. }) => last = Some(error),
                answer => return answer,
            }
        }
        Err(last.unwrap_or(ClickHouseError::Cancelled))
    }

    /// Has one server do something.
    pub(crate) async fn command(
        &self,
        server: &Server,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(), ClickHouseError> {
        let body = Bytes::from(sql.to_owned());
        server
            .send(parameters, body, self.settings.time_max)
            .await?;
        Ok(())
    }

    /// Stops a statement wherever it runs; that it cannot be stopped is no news, it ends at
    /// its limit of time.
    pub(crate) async fn stop(&self, name: &str) {
        let sql = format!(
            "KILL QUERY WHERE query_id = {} ASYNC",
            crate::literal::text(name)
        );
        for server in &self.servers {
            let wait = Duration::from_secs(5);
            server.send(&[], Bytes::from(sql.clone()), wait).await.ok();
        }
    }
}
