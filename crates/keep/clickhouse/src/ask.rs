//! A question asked of ClickHouse, from statement to answer.

use crate::answer::{self, Rows, Totals, number};
use crate::bins;
use crate::clickhouse::ClickHouse;
use crate::error::ClickHouseError;
use crate::select::{self, Pick};
use andon_model::event::{Event, Value};
use andon_model::query::{Answer, Cell, Column, ColumnKind, Exemplar, ExemplarKind, QueryStats};
use andon_store::plan::TIME_COLUMN;
use andon_store::{Direction, ResolvedQuery};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// For asking a server whether it is there.
const PING_MAX: Duration = Duration::from_secs(2);

impl ClickHouse {
    /// Asks. What the join brings is looked up by the servers themselves; `lookup.rows` is not
    /// read. The answer is partial, with a note, where a server of the cluster is missing.
    /// On `cancel` the statement is stopped on the servers too.
    pub async fn ask(
        &self,
        query: &ResolvedQuery,
        cancel: &CancellationToken,
    ) -> Result<Answer, ClickHouseError> {
        let (answer, missing) = tokio::join!(self.answer(query, cancel), self.missing());
        let mut answer = answer?;
        answer.partial |= !missing.is_empty();
        answer.notes.extend(missing);
        Ok(answer)
    }

    async fn answer(
        &self,
        query: &ResolvedQuery,
        cancel: &CancellationToken,
    ) -> Result<Answer, ClickHouseError> {
        let mut answer = match query.wants_events() {
            true => self.raw(query, cancel).await?,
            false => self.groups(query, cancel).await?,
        };
        if query.exemplars > 0 {
            self.exemplars(query, cancel, &mut answer).await?;
        }
        Ok(answer)
    }

    /// Raw events of one dataset: all their keys and values, newest first.
    pub async fn events(
        &self,
        query: &ResolvedQuery,
        cancel: &CancellationToken,
    ) -> Result<(Vec<Event>, QueryStats), ClickHouseError> {
        let oldest_first = query
            .order_by
            .first()
            .is_some_and(|order| order.direction == Direction::Ascending);
        let direction = match oldest_first {
            true => Direction::Ascending,
            false => Direction::Descending,
        };
        let sql = select::events(query, &self.tables(), Pick::ByTime(direction), query.limit)?;
        let rows = self.bounded(&sql, cancel).await?;
        let stats = stats(&rows);
        Ok((answer::events(&rows, query.lookup.as_ref()), stats))
    }

    async fn raw(
        &self,
        query: &ResolvedQuery,
        cancel: &CancellationToken,
    ) -> Result<Answer, ClickHouseError> {
        let (events, stats) = self.events(query, cancel).await?;
        // In the order in which they first occur, as the embedded store has them.
        let mut seen = BTreeSet::new();
        let all = events.iter().flat_map(|event| &event.attributes);
        let keys: Vec<&String> = all
            .map(|(key, _)| key)
            .filter(|key| seen.insert(*key))
            .collect();
        let mut columns = vec![Column {
            name: TIME_COLUMN.to_owned(),
            kind: ColumnKind::Time,
        }];
        columns.extend(keys.iter().map(|key| Column {
            name: (*key).clone(),
            kind: ColumnKind::Key,
        }));
        let rows = events.iter().map(|event| {
            let time = Cell::Value(Value::Text(event.at.to_string()));
            let cells = keys.iter().map(|key| match event.get(key) {
                Some(value) => Cell::Value(value.clone()),
                None => Cell::Null,
            });
            std::iter::once(time).chain(cells).collect()
        });
        Ok(Answer {
            rows: rows.collect(),
            columns,
            stats,
            ..Answer::default()
        })
    }

    async fn groups(
        &self,
        query: &ResolvedQuery,
        cancel: &CancellationToken,
    ) -> Result<Answer, ClickHouseError> {
        let select = select::groups(query, &self.tables())?;
        let rows = self.bounded(&select.sql, cancel).await?;
        let mut stats = stats(&rows);
        let totals = match select::totals(query, &self.tables())? {
            None => None,
            Some(sql) => {
                let rows = self.bounded(&sql, cancel).await?;
                add(&mut stats, &rows);
                Some(Totals::of(&rows))
            }
        };
        let mut cells = answer::groups(&rows, &select, query, totals.as_ref());
        if cells.is_empty() && query.group_by.is_empty() && query.bucket.is_none() {
            cells.push(answer::empty_row(query));
        }
        Ok(Answer {
            columns: columns(query),
            rows: cells,
            stats,
            ..Answer::default()
        })
    }

    async fn exemplars(
        &self,
        query: &ResolvedQuery,
        cancel: &CancellationToken,
        answer: &mut Answer,
    ) -> Result<(), ClickHouseError> {
        let rows = self
            .bounded(&select::median(query, &self.tables())?, cancel)
            .await?;
        add(&mut answer.stats, &rows);
        let row = rows.data.first().map(Vec::as_slice).unwrap_or_default();
        let any = row.get(1).map_or(0, answer::integer) > 0;
        let mut picks = vec![(ExemplarKind::Failed, Pick::Failed)];
        if any {
            let middle = bins::middle(row.first().map_or(f64::NAN, number));
            picks.insert(0, (ExemplarKind::Slowest, Pick::Slowest));
            picks.push((ExemplarKind::Typical, Pick::Near(middle)));
        }
        for (why, pick) in picks {
            let sql = select::events(query, &self.tables(), pick, query.exemplars)?;
            let rows = self.bounded(&sql, cancel).await?;
            add(&mut answer.stats, &rows);
            let events = answer::events(&rows, query.lookup.as_ref());
            answer
                .exemplars
                .extend(events.into_iter().map(|event| Exemplar {
                    why,
                    at: event.at,
                    attributes: event.attributes.into_iter().collect(),
                }));
        }
        Ok(())
    }

    async fn bounded(
        &self,
        sql: &str,
        cancel: &CancellationToken,
    ) -> Result<Rows, ClickHouseError> {
        let name = self.statement_name();
        let outcome = self.unless(cancel, self.select(sql, &name)).await;
        if matches!(
            outcome,
            Err(ClickHouseError::Cancelled | ClickHouseError::Silent { .. })
        ) {
            self.stop(&name).await;
        }
        outcome
    }

    async fn unless<T>(
        &self,
        cancel: &CancellationToken,
        work: impl Future<Output = Result<T, ClickHouseError>>,
    ) -> Result<T, ClickHouseError> {
        tokio::select! {
            done = work => done,
            () = cancel.cancelled() => Err(ClickHouseError::Cancelled),
        }
    }

    /// Servers of the cluster that do not answer, and why, a sentence each. With one server its
    /// own answer says it all.
    pub async fn missing(&self) -> Vec<String> {
        if self.servers.len() < 2 {
            return Vec::new();
        }
        let mut asked = tokio::task::JoinSet::new();
        for server in self.servers.clone() {
            asked.spawn(async move {
                let ping = server.send(&[], "SELECT 1".into(), PING_MAX).await;
                ping.err().map(|error| {
                    let server = server.label();
                    format!(
                        "ClickHouse at {server} does not answer, its events are missing: {error}"
                    )
                })
            });
        }
        let mut missing: Vec<String> = asked.join_all().await.into_iter().flatten().collect();
        missing.sort();
        missing
    }
}

fn stats(rows: &Rows) -> QueryStats {
    QueryStats {
        rows_scanned: rows.statistics.rows_read,
        bytes_scanned: rows.statistics.bytes_read,
        elapsed_ms: 0.0,
    }
}

fn add(stats: &mut QueryStats, rows: &Rows) {
    stats.rows_scanned += rows.statistics.rows_read;
    stats.bytes_scanned += rows.statistics.bytes_read;
}

fn columns(query: &ResolvedQuery) -> Vec<Column> {
    let names = query.column_names();
    let keys = query.group_by.len() + usize::from(query.bucket.is_some());
    let columns = names.into_iter().enumerate().map(|(index, name)| {
        let kind = match index.checked_sub(keys) {
            None if index == 0 && query.bucket.is_some() => ColumnKind::Time,
            None => ColumnKind::Key,
            Some(calc) => match query.calcs.get(calc).map(|calc| calc.op) {
                Some(andon_model::query::CalcOp::Heatmap) => ColumnKind::Heatmap,
                _ => ColumnKind::Number,
            },
        };
        Column { name, kind }
    });
    columns.collect()
}
