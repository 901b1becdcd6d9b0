//! Histograms as others count them, told in a few numbers: quantiles by interpolation inside
//! a bucket, and the buckets themselves as text, so that nothing is lost.

use crate::record::Record;
use andon_model::event::{Value, key};
use serde_json::json;

/// Buckets of one histogram that are written out; the quantiles use all.
const BUCKETS_TOLD_MAX: usize = 320;

/// Counts between bounds, in ascending order.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Histogram {
    /// Lower bound, upper bound, count. Bounds may be infinite at the ends.
    pub buckets: Vec<(f64, f64, u64)>,
    /// How many were counted.
    pub count: u64,
    /// What they add up to.
    pub sum: Option<f64>,
    /// The smallest, if it is known.
    pub min: Option<f64>,
    /// The largest, if it is known.
    pub max: Option<f64>,
}

impl Histogram {
    /// The value below which a share `q` in 0..=1 lies. `None` of an empty histogram.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.buckets.iter().map(|bucket| bucket.2).sum();
        if total == 0 {
            return None;
        }
        let rank = q * total as f64;
        let mut below = 0.0;
        for (lower, upper, count) in self.buckets.iter().filter(|bucket| bucket.2 > 0) {
            let count = *count as f64;
            if below + count >= rank {
                let low = self.min.map_or(*lower, |min| lower.max(min));
                let high = self.max.map_or(*upper, |max| upper.min(max));
                let share = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(match (low.is_finite(), high.is_finite()) {
                    (true, true) => low + (high - low) * share,
                    (true, false) => low,
                    (false, true) => high,
                    (false, false) => return None,
                });
            }
            below += count;
        }
        self.max
    }

    /// Puts it: `count`, `sum`, `min`, `max`, `p50`, `p90`, `p99`, the mean as `value`, and
    /// `buckets` as JSON `[[upper, count], ...]` of those that are not empty.
    pub fn put(&self, record: &mut Record) {
        record.put(
            "count",
            Value::Integer(i64::try_from(self.count).unwrap_or(i64::MAX)),
        );
        if let Some(sum) = self.sum {
            record.put("sum", Value::Float(sum));
            if self.count > 0 {
                record.put(key::VALUE, Value::Float(sum / self.count as f64));
            }
        }
        for (name, value) in [("min", self.min), ("max", self.max)] {
            if let Some(value) = value {
                record.put(name, Value::Float(value));
            }
        }
        for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            if let Some(value) = self.quantile(q) {
                record.put(name, Value::Float(value));
            }
        }
        let told = self.buckets.iter().filter(|bucket| bucket.2 > 0);
        let told: Vec<_> = told
            .take(BUCKETS_TOLD_MAX)
            .map(|(_, upper, count)| match upper.is_finite() {
                true => json!([upper, count]),
                false => json!(["+Inf", count]),
            })
            .collect();
        if !told.is_empty() {
            record.put("buckets", serde_json::Value::from(told).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let histogram = Histogram {
            buckets: vec![
                (f64::NEG_INFINITY, 10.0, 50),
                (10.0, 20.0, 40),
                (20.0, f64::INFINITY, 10),
            ],
            count: 100,
            sum: Some(1200.0),
            min: Some(2.0),
            max: Some(90.0),
        };
        assert_eq!(histogram.quantile(0.5), Some(10.0));
        assert_eq!(histogram.quantile(0.25), Some(6.0));
        assert_eq!(histogram.quantile(0.7), Some(15.0));
        assert_eq!(histogram.quantile(1.0), Some(90.0));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
