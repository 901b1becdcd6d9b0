//! Events as lines of JSON.

use super::{ExportReport, walk};
use crate::error::StoreError;
use crate::store::Store;
use andon_model::event::{Event, Value};
use andon_model::time::Timestamp;
use std::io::{BufWriter, Write};

impl Store {
    /// Writes the events of a dataset between two moments as NDJSON, one object a line with
    /// `ts` (RFC 3339, microseconds) and their attributes; segment by segment, so roughly by
    /// time. Numbers that JSON does not know are written as texts. Says how many, and what
    /// is missing.
    pub fn export(
        &self,
        dataset: &str,
        span: (Timestamp, Timestamp),
        out: impl Write,
    ) -> Result<ExportReport, StoreError> {
        let (from, to) = span;
        let snapshot = self.shared.snapshot(dataset, from.0, to.0, None);
        let mut out = BufWriter::with_capacity(256 << 10, out);
        let report = walk(snapshot, span, |part| {
            for event in part.batch.events() {
                if event.at < from || event.at >= to {
                    continue;
                }
                let line = serde_json::to_writer(&mut out, &json(&event));
                let line = line.map_err(std::io::Error::from);
                line.and_then(|()| out.write_all(b"\n"))
                    .map_err(StoreError::Export)?;
            }
            Ok(())
        })?;
        out.flush().map_err(StoreError::Export)?;
        Ok(report)
    }
}

fn json(event: &Event) -> serde_json::Map<String, serde_json::Value> {
    let mut line = object(&event.attributes);
    line.insert("ts".to_owned(), moment(event.at));
    line
}

/// Attributes as JSON; numbers that it does not know are texts.
pub(super) fn object(attributes: &[(String, Value)]) -> serde_json::Map<String, serde_json::Value> {
    let attributes = attributes.iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) if value.is_finite() => (*value).into(),
            Value::Float(value) => value.to_string().into(),
            Value::Text(value) => value.as_str().into(),
        };
        (name.clone(), value)
    });
    attributes.collect()
}

/// RFC 3339 with microseconds; a moment that no calendar has stays a number of milliseconds.
fn moment(at: Timestamp) -> serde_json::Value {
    let text = at.to_string();
    match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((seconds, _))
            if Timestamp::parse(&text).is_ok_and(|read| read.0 / 1_000 == at.0 / 1_000) =>
        {
            format!("{seconds}.{:06}Z", at.0.rem_euclid(1_000_000)).into()
        }
        _ => (at.0 / 1_000).into(),
    }
}
