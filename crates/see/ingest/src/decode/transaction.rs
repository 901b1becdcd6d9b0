//! Transactions that are told by their beginning and their end: which belong together, how
//! long they took, and what happened inside which.

use andon_model::event::Value;
use andon_model::time::Timestamp;
use std::collections::BTreeMap;

/// Transactions of one source that may be open at the same time. Beyond it the oldest one is
/// forgotten: its end will come without a duration.
pub const OPEN_MAX: usize = 10_000;

/// One that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// What it is called.
    pub name: String,
    /// When it began.
    pub began: Timestamp,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 32 hexadecimal digits, the same for all that is inside one outermost transaction.
    pub trace_id: String,
    /// The one that it is inside of.
    pub parent_span_id: Option<String>,
    /// What its beginning said.
    pub attributes: Vec<(String, Value)>,
    said_id: bool,
}

/// How a line names a transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Naming<'a> {
    /// What it is called.
    pub name: &'a str,
    /// `id=`: where several of one name run at the same time.
    pub id: Option<&'a str>,
    /// `parent=`: the id of the one that it is inside of.
    pub parent: Option<&'a str>,
    /// `trace_id=`, if the program has one.
    pub trace_id: Option<&'a str>,
}

/// Those of one source that have begun and not ended.
#[derive(Debug, Default)]
pub struct Transactions {
    open: BTreeMap<u64, Open>,
    by_id: BTreeMap<String, u64>,
    serial: u64,
    forgotten: u64,
}

impl Transactions {
    /// How many were forgotten because too many were open.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The one that something is inside of: the one it names, or else, for programs that
    /// give no ids, the innermost that is open.
    pub fn parent(&self, naming: Naming<'_>) -> Option<&Open> {
        if let Some(parent) = naming.parent {
            return self.open.get(self.by_id.get(parent)?);
        }
        if naming.id.is_some() {
            return None;
        }
        self.open.values().rev().find(|open| !open.said_id)
    }

    /// One begins.
    pub fn begin(
        &mut self,
        at: Timestamp,
        naming: Naming<'_>,
        attributes: Vec<(String, Value)>,
    ) -> &Open {
        let parent = self.parent(naming);
        let parent_span_id = parent.map(|parent| parent.span_id.clone());
        let parent_trace = parent.map(|parent| parent.trace_id.clone());
        self.serial += 1;
        let serial = self.serial;
        let seed = format!(
            "{} {} {} {serial}",
            naming.name,
            naming.id.unwrap_or(""),
            at.0
        );
        let span_id = format!("{:016x}", hash(&seed, 0).max(1));
        let said_trace = naming.trace_id.map(str::to_owned);
        let own_trace = || format!("{:016x}{span_id}", hash(&seed, 1));
        let open = Open {
            name: naming.name.to_owned(),
            began: at,
            trace_id: said_trace.or(parent_trace).unwrap_or_else(own_trace),
            parent_span_id,
            attributes,
            said_id: naming.id.is_some(),
            span_id,
        };
        if self.open.len() >= OPEN_MAX {
            self.open.pop_first();
            self.by_id
                .retain(|_, serial| self.open.contains_key(serial));
            self.forgotten += 1;
        }
        if let Some(id) = naming.id {
            self.by_id.insert(id.to_owned(), serial);
        }
        self.open.entry(serial).or_insert(open)
    }

    /// One ends: that of the id, or else the innermost of the name. `None` if none is open.
    pub fn end(&mut self, naming: Naming<'_>) -> Option<Open> {
        let serial = match naming.id {
            Some(id) => self.by_id.remove(id)?,
            None => {
                let mut open = self.open.iter().rev();
                let same = |open: &Open| !open.said_id && open.name == naming.name;
                *open.find(|(_, open)| same(open))?.0
            }
        };
        self.open.remove(&serial)
    }
}

/// FNV-1a, then mixed: stable over restarts, so that a line read twice gets the same ids.
fn hash(text: &str, seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Naming<'_> {
        Naming {
            name,
            ..Naming::default()
        }
    }

    #[test]
    fn nesting_follows_the_order_or_the_ids() {
        let mut transactions = Transactions::default();
        let outer = transactions
            .begin(Timestamp(0), named("order"), Vec::new())
            .clone();
        let inner = transactions
            .begin(Timestamp(10), named("pay"), Vec::new())
            .clone();
        assert_eq!(inner.parent_span_id, Some(outer.span_id.clone()));
        assert_eq!(inner.trace_id, outer.trace_id);
        let other = Naming {
            id: Some("7"),
            ..named("order")
        };
        let apart = transactions.begin(Timestamp(20), other, Vec::new()).clone();
        assert_eq!(apart.parent_span_id, None);
        assert_ne!(apart.trace_id, outer.trace_id);
        let inside = Naming {
            parent: Some("7"),
            id: Some("8"),
            ..named("pay")
        };
        let inside = transactions
            .begin(Timestamp(30), inside, Vec::new())
            .clone();
        assert_eq!(inside.parent_span_id, Some(apart.span_id.clone()));
        assert_eq!(
            transactions.end(named("order")).map(|open| open.span_id),
            Some(outer.span_id)
        );
        assert_eq!(
            transactions.end(other).map(|open| open.span_id),
            Some(apart.span_id)
        );
        assert_eq!(transactions.end(other), None);
        assert_eq!(transactions.end(named("never")), None);
    }

    #[test]
    fn what_never_ends_is_forgotten_oldest_first() {
        let mut transactions = Transactions::default();
        for number in 0..OPEN_MAX + 5 {
            let id = number.to_string();
            let naming = Naming {
                id: Some(&id),
                ..named("x")
            };
            transactions.begin(Timestamp(number as i64), naming, Vec::new());
        }
        assert_eq!(
            (transactions.open.len(), transactions.by_id.len()),
            (OPEN_MAX, OPEN_MAX)
        );
        assert_eq!(transactions.forgotten(), 5);
        assert!(
            transactions
                .end(Naming {
                    id: Some("4"),
                    ..named("x")
                })
                .is_none()
        );
        assert!(
            transactions
                .end(Naming {
                    id: Some("5"),
                    ..named("x")
                })
                .is_some()
        );
    }
}
