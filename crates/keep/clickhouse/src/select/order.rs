//! Which rows come first.

use andon_store::plan::TIME_COLUMN;
use andon_store::{Direction, Order, ResolvedQuery};

/// SQL to sort by: as asked for, else time, then the first calculation, largest first; at the
/// end the groups' names, so that the same question has the same answer.
pub(super) fn order(query: &ResolvedQuery, calc_sql: &[String]) -> Vec<String> {
    let mut terms = Vec::new();
    let implied: Vec<Order>;
    let orders = if query.order_by.is_empty() {
        let time = query.bucket.map(|_| Order {
            column: TIME_COLUMN.to_owned(),
            direction: Direction::Ascending,
        });
        let first = query.calcs.first().map(|calc| Order {
            column: andon_store::calc_name(calc),
            direction: Direction::Descending,
        });
        implied = time.into_iter().chain(first).collect();
        &implied
    } else {
        &query.order_by
    };
    for order in orders {
        let way = match order.direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        };
        if query.bucket.is_some() && order.column == TIME_COLUMN {
            terms.push(format!("t {way}"));
        } else if let Some(index) = query.group_by.iter().position(|key| *key == order.column) {
            key_order(index, way, &mut terms);
        } else {
            let mut calcs = query.calcs.iter();
            let found = calcs.position(|calc| andon_store::calc_name(calc) == order.column);
            let sql = found.and_then(|index| calc_sql.get(index));
            if let Some(sql) = sql.filter(|sql| !sql.is_empty()) {
                // Quantiles of nothing are zero, which no number's bin is.
                let none = match sql.ends_with(']') {
                    true => format!("({sql} = 0 OR isNaN({sql}))"),
                    false => format!("isNaN(toFloat64({sql}))"),
                };
                terms.push(format!("{none}, {sql} {way}"));
            }
        }
    }
    // Rows that are equal so far come in the same order each time.
    if query.bucket.is_some() {
        terms.push("t ASC".to_owned());
    }
    for index in 0..query.group_by.len() {
        key_order(index, "ASC", &mut terms);
    }
    terms
}

/// Absent ones last; truth before numbers before texts, numbers by size.
fn key_order(index: usize, way: &str, terms: &mut Vec<String>) {
    let kind = format!("substring(g{index}, 1, 1)");
    terms.push(format!("g{index} = '' ASC"));
    terms.push(format!(
        "multiIf({kind} = 'b', 0, {kind} = 't', 2, 1) {way}"
    ));
    terms.push(format!(
        "if({kind} IN ('i', 'f'), toFloat64OrZero(substring(g{index}, 2)), 0) {way}"
    ));
    terms.push(format!("g{index} {way}"));
}
