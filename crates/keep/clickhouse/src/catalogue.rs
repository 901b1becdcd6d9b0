//! What is known of the data, for completion: datasets, keys and values, of the last day.

use crate::answer::typed;
use crate::clickhouse::ClickHouse;
use crate::error::ClickHouseError;
use crate::key::Key;
use crate::layout::{HOT, Hot};
use crate::literal::{self, list};
use crate::select::between;
use andon_model::event::Value;
use andon_model::time::Timestamp;
use std::time::Duration;

/// Keys of one dataset at most.
const KEYS_MAX: usize = 2_000;
/// Values of one key at most.
const VALUES_MAX: usize = 100;
/// How far back is looked: what nobody said for a day is rarely asked for.
const BACK: Duration = Duration::from_secs(86_400);
/// Rows that are looked at for it; completion is to come while someone types.
const SAMPLE_ROWS: usize = 1_000_000;

impl ClickHouse {
    /// Names of datasets that hold anything.
    pub async fn datasets(&self) -> Result<Vec<String>, ClickHouseError> {
        let sizes = self.sizes().await?;
        Ok(sizes.into_keys().collect())
    }

    /// Keys that events of a dataset had in the day before `now`, in alphabetical order.
    pub async fn keys(
        &self,
        dataset: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, ClickHouseError> {
        let hot = HOT.iter().map(|(name, kind)| {
            let column = literal::name(name);
            let has = match kind {
                Hot::Word | Hot::Text => format!("{column} != ''"),
                Hot::Number => format!("NOT isNaN({column})"),
            };
            format!("if({has}, [{}], emptyArrayString())", literal::text(name))
        });
        let arrays = ["text", "number", "bool"].map(|kind| format!("{kind}_keys"));
        let sql = format!(
            "SELECT DISTINCT arrayJoin(arrayConcat({})) AS name FROM (SELECT * FROM {} WHERE {} LIMIT {SAMPLE_ROWS}) AS e ORDER BY name LIMIT {KEYS_MAX}",
            list(hot.chain(arrays)),
            self.tables().sql(),
            between(dataset, now - BACK, now).join(" AND "),
        );
        let rows = self.select(&sql, &self.statement_name()).await?;
        let names = rows.data.iter().filter_map(|row| row.first()?.as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Values of a key in the day before `now`, those first that occur most; of texts those
    /// that begin with `prefix`, whatever its case.
    pub async fn values(
        &self,
        dataset: &str,
        key: &str,
        prefix: &str,
        now: Timestamp,
    ) -> Result<Vec<Value>, ClickHouseError> {
        let key = Key::own(key);
        let begins = format!(
            "({} = 0 OR positionCaseInsensitive({}, {}) = 1)",
            key.has_text,
            key.text,
            literal::text(prefix)
        );
        let begins = if prefix.is_empty() {
            "1".to_owned()
        } else {
            begins
        };
        let sql = format!(
            "SELECT v, count() AS n FROM (SELECT {} AS v FROM {} WHERE {} AND {} AND {begins} LIMIT {SAMPLE_ROWS}) AS e GROUP BY v ORDER BY n DESC, v LIMIT {VALUES_MAX}",
            key.typed,
            self.tables().sql(),
            between(dataset, now - BACK, now).join(" AND "),
            key.present,
        );
        let rows = self.select(&sql, &self.statement_name()).await?;
        Ok(rows
            .data
            .iter()
            .filter_map(|row| typed(row.first()?.as_str()?))
            .collect())
    }
}
