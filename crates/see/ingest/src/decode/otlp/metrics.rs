//! Metrics: one event for each data point, and one for each exemplar.

use super::shared::{Origin, Out, attributes, begin, each_record, put_id, time};
use crate::decode::histogram::Histogram;
use crate::decode::protobuf::{Fields, Wire, WireError, numbers};
use crate::record::Record;
use andon_model::event::{Value, key};

/// What the points of one metric share.
struct Metric<'a> {
    name: &'a [u8],
    unit: &'a [u8],
    kind: &'static str,
    temporality: &'static str,
    is_monotonic: bool,
}

pub fn request(body: &[u8], out: &mut Out) -> Result<(), WireError> {
    each_record(body, out, metric)
}

fn metric(bytes: &[u8], origin: &Origin, out: &mut Out) -> Result<(), WireError> {
    let (mut name, mut unit): (&[u8], &[u8]) = (&[], &[]);
    let mut data = None;
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(text)) => name = text,
            (3, Wire::Bytes(text)) => unit = text,
            (5, Wire::Bytes(points)) => data = Some(("gauge", points)),
            (7, Wire::Bytes(points)) => data = Some(("sum", points)),
            (9, Wire::Bytes(points)) => data = Some(("histogram", points)),
            (10, Wire::Bytes(points)) => data = Some(("exponential_histogram", points)),
            (11, Wire::Bytes(points)) => data = Some(("summary", points)),
            _ => {}
        }
    }
    let Some((kind, data)) = data else {
        return Ok(());
    };
    let mut metric = Metric {
        name,
        unit,
        kind,
        temporality: "",
        is_monotonic: false,
    };
    for field in Fields::new(data) {
        match field? {
            (2, value) if kind != "gauge" && kind != "summary" => {
                metric.temporality = match value.number() {
                    1 => "delta",
                    2 => "cumulative",
                    _ => "",
                };
            }
            (3, value) if kind == "sum" => metric.is_monotonic = value.number() != 0,
            _ => {}
        }
    }
    for field in Fields::new(data) {
        if let (1, Wire::Bytes(point)) = field? {
            data_point(&metric, point, origin, out)?;
        }
    }
    Ok(())
}

fn data_point(
    metric: &Metric<'_>,
    bytes: &[u8],
    origin: &Origin,
    out: &mut Out,
) -> Result<(), WireError> {
    let mut record = begin(out, "metric", Some(metric.name));
    match metric.kind {
        "gauge" | "sum" => number(bytes, &mut record)?,
        "histogram" => explicit(bytes)?.put(&mut record),
        "exponential_histogram" => exponential(bytes)?.put(&mut record),
        _ => summary(bytes, &mut record)?,
    }
    put_metric(metric, &mut record);
    let attributes_at = match metric.kind {
        "histogram" => 9,
        "exponential_histogram" => 1,
        _ => 7,
    };
    attributes(bytes, attributes_at, &mut record)?;
    let mut at = None;
    for field in Fields::new(bytes) {
        if let (3, value @ Wire::Fixed64(_)) = field? {
            at = time(value.number());
        }
    }
    if let Some(at) = at {
        record.happened(at);
    }
    origin.put(&mut record);
    out.push(record);
    let exemplars_at = match metric.kind {
        "gauge" | "sum" => 5,
        "histogram" => 8,
        "exponential_histogram" => 11,
        _ => return Ok(()),
    };
    for field in Fields::new(bytes) {
        match field? {
            (found, Wire::Bytes(exemplar_bytes)) if found == exemplars_at => {
                exemplar(metric, exemplar_bytes, (bytes, attributes_at), origin, out)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn put_metric(metric: &Metric<'_>, record: &mut Record) {
    if !metric.unit.is_empty() {
        record.put_bytes("unit", metric.unit);
    }
    record.put("metric.type", metric.kind);
    if !metric.temporality.is_empty() {
        record.put("metric.temporality", metric.temporality);
    }
    if metric.is_monotonic {
        record.put("metric.monotonic", Value::Bool(true));
    }
}

fn number(bytes: &[u8], record: &mut Record) -> Result<(), WireError> {
    for field in Fields::new(bytes) {
        match field? {
            (4, value) => record.put(key::VALUE, Value::Float(value.float())),
            (6, value) => record.put(key::VALUE, Value::Integer(value.signed())),
            _ => {}
        }
    }
    Ok(())
}

fn explicit(bytes: &[u8]) -> Result<Histogram, WireError> {
    let mut histogram = Histogram::default();
    let (mut counts, mut bounds) = (Vec::new(), Vec::new());
    for field in Fields::new(bytes) {
        match field? {
            (4, value) => histogram.count = value.number(),
            (5, value) => histogram.sum = Some(value.float()),
            (6, value) => numbers(value, 8, &mut counts)?,
            (7, value) => numbers(value, 8, &mut bounds)?,
            (11, value) => histogram.min = Some(value.float()),
            (12, value) => histogram.max = Some(value.float()),
            _ => {}
        }
    }
    let bound = |place: usize| bounds.get(place).map(|bits| f64::from_bits(*bits));
    let buckets = counts.iter().enumerate().map(|(place, count)| {
        let lower = place.checked_sub(1).and_then(bound);
        let upper = bound(place).unwrap_or(f64::INFINITY);
        (lower.unwrap_or(f64::NEG_INFINITY), upper, *count)
    });
    histogram.buckets = buckets.collect();
    Ok(histogram)
}

/// Bucket `i` holds what is above base^i and at most base^(i+1), where base is 2^(2^-scale).
fn exponential(bytes: &[u8]) -> Result<Histogram, WireError> {
    let mut histogram = Histogram::default();
    let (mut scale, mut zeros, mut threshold) = (0, 0, 0.0);
    let (mut positive, mut negative) = ((0, Vec::new()), (0, Vec::new()));
    for field in Fields::new(bytes) {
        match field? {
            (4, value) => histogram.count = value.number(),
            (5, value) => histogram.sum = Some(value.float()),
            (6, value) => scale = value.zigzag(),
            (7, value) => zeros = value.number(),
            (8, Wire::Bytes(buckets)) => positive = offset_counts(buckets)?,
            (9, Wire::Bytes(buckets)) => negative = offset_counts(buckets)?,
            (12, value) => histogram.min = Some(value.float()),
            (13, value) => histogram.max = Some(value.float()),
            (14, value) => threshold = value.float(),
            _ => {}
        }
    }
    let step = (-(scale.clamp(-10, 20) as f64)).exp2();
    let bound = |index: i64| (index as f64 * step).exp2();
    let buckets = |(offset, counts): (i64, Vec<u64>), sign: f64| {
        let counts = counts.into_iter().enumerate();
        counts.map(move |(place, count)| {
            let index = offset.saturating_add(place as i64);
            (
                sign * bound(index),
                sign * bound(index.saturating_add(1)),
                count,
            )
        })
    };
    let negative: Vec<_> = buckets(negative, -1.0).collect();
    let negative = negative.into_iter().rev();
    histogram.buckets = negative
        .map(|(near, far, count)| (far, near, count))
        .collect();
    if zeros > 0 {
        histogram.buckets.push((-threshold, threshold, zeros));
    }
    histogram.buckets.extend(buckets(positive, 1.0));
    Ok(histogram)
}

fn offset_counts(bytes: &[u8]) -> Result<(i64, Vec<u64>), WireError> {
    let (mut offset, mut counts) = (0, Vec::new());
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => offset = value.zigzag(),
            (2, value) => numbers(value, 0, &mut counts)?,
            _ => {}
        }
    }
    Ok((offset, counts))
}

fn summary(bytes: &[u8], record: &mut Record) -> Result<(), WireError> {
    let (mut count, mut sum) = (0, 0.0);
    for field in Fields::new(bytes) {
        match field? {
            (4, value) => count = value.number(),
            (5, value) => sum = value.float(),
            (6, Wire::Bytes(pair)) => {
                let (mut quantile, mut value) = (0.0, 0.0);
                for field in Fields::new(pair) {
                    match field? {
                        (1, wire) => quantile = wire.float(),
                        (2, wire) => value = wire.float(),
                        _ => {}
                    }
                }
                let name = format!("p{}", quantile * 100.0).replace('.', "");
                record.put(&name, Value::Float(value));
            }
            _ => {}
        }
    }
    record.put(
        "count",
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
    );
    record.put("sum", Value::Float(sum));
    if count > 0 {
        record.put(key::VALUE, Value::Float(sum / count as f64));
    }
    Ok(())
}

fn exemplar(
    metric: &Metric<'_>,
    bytes: &[u8],
    (point, attributes_at): (&[u8], u32),
    origin: &Origin,
    out: &mut Out,
) -> Result<(), WireError> {
    let mut record = begin(out, "exemplar", Some(metric.name));
    for field in Fields::new(bytes) {
        match field? {
            (2, value) => {
                if let Some(at) = time(value.number()) {
                    record.happened(at);
                }
            }
            (3, value) => record.put(key::VALUE, Value::Float(value.float())),
            (4, Wire::Bytes(id)) => put_id(&mut record, key::SPAN_ID, id),
            (5, Wire::Bytes(id)) => put_id(&mut record, key::TRACE_ID, id),
            (6, value) => record.put(key::VALUE, Value::Integer(value.signed())),
            _ => {}
        }
    }
    if !metric.unit.is_empty() {
        record.put_bytes("unit", metric.unit);
    }
    attributes(bytes, 7, &mut record)?;
    attributes(point, attributes_at, &mut record)?;
    origin.put(&mut record);
    out.push(record);
    Ok(())
}
