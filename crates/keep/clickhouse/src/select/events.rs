//! Raw events: the newest, or those that stand for others.

use super::Tables;
use super::rows::rows;
use crate::bins;
use crate::condition::failed;
use crate::error::ClickHouseError;
use crate::key::Key;
use crate::layout::{Hot, columns, hot};
use crate::literal::{self, list};
use andon_store::{Direction, ResolvedQuery};

/// Which raw events to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pick {
    /// The newest, or the oldest.
    ByTime(Direction),
    /// Those with the largest durations.
    Slowest,
    /// The newest that failed.
    Failed,
    /// Those whose duration is nearest to this.
    Near(f64),
}

/// SQL for raw events: `at_us` and then the columns of [`event_columns`].
pub fn events(
    query: &ResolvedQuery,
    from: &Tables,
    pick: Pick,
    limit: usize,
) -> Result<String, ClickHouseError> {
    let rows = rows(query, from)?;
    let mut conditions = rows.conditions;
    let duration = Key::own(andon_store::plan::EXEMPLAR_KEY).number;
    let order = match pick {
        Pick::ByTime(Direction::Ascending) => "at_us ASC".to_owned(),
        Pick::ByTime(Direction::Descending) => "at_us DESC".to_owned(),
        Pick::Slowest => {
            conditions.push(format!("NOT isNaN({duration})"));
            format!("{duration} DESC, at_us DESC")
        }
        Pick::Failed => {
            conditions.push(failed());
            "at_us DESC".to_owned()
        }
        Pick::Near(middle) => {
            conditions.push(format!("isFinite({duration})"));
            format!(
                "abs({duration} - {}) ASC, at_us DESC",
                literal::number(middle)
            )
        }
    };
    let mut select: Vec<String> = event_columns().iter().map(|name| exact(name)).collect();
    if let Some(lookup) = &query.lookup {
        for (index, take) in lookup.take.iter().enumerate() {
            let qualified = format!("{}.{take}", lookup.dataset);
            let typed = Key::named(&qualified, Some(lookup)).typed;
            select.push(format!("{typed} AS x{index}"));
        }
    }
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {order} LIMIT {limit}",
        list(select),
        rows.source,
        conditions.join(" AND ")
    ))
}

/// A column as it is read: floats as texts, of which no reader of JSON rounds the last digit.
fn exact(name: &str) -> String {
    let column = literal::name(name);
    match hot(name) {
        Some(Hot::Number) => format!("toString({column})"),
        _ if name == "number_values" => format!("arrayMap(x -> toString(x), {column})"),
        _ => column,
    }
}

/// The columns that make up an event, in their order.
pub fn event_columns() -> Vec<String> {
    let all = columns().into_iter().map(|(name, _)| name);
    all.filter(|name| !["dataset", "hour", "block"].contains(&name.as_str()))
        .collect()
}

/// SQL for the median duration.
pub fn median(query: &ResolvedQuery, from: &Tables) -> Result<String, ClickHouseError> {
    let rows = rows(query, from)?;
    let duration = Key::own(andon_store::plan::EXEMPLAR_KEY).number;
    Ok(format!(
        "SELECT quantileExactWeightedIf(0.5)({}, 1, isFinite({duration})), countIf(isFinite({duration})) FROM {} WHERE {}",
        bins::bin(&duration),
        rows.source,
        rows.conditions.join(" AND ")
    ))
}
