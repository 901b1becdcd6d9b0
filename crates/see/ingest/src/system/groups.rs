//! Cgroups (containers, units), and kills for lack of memory, theirs and the machine's.

use super::meter::{Before, Samples};
use super::parse::number;
use super::reading::Reading;
use crate::record::Record;
use andon_model::event::{Value, key};

/// Cgroups that are told, of those that use most memory.
const CGROUPS_TOLD_MAX: usize = 100;

/// What each cgroup uses, and whether processes of it were killed.
pub(super) fn cgroups(
    reading: &Reading,
    before: &Before,
    after: &mut Before,
    seconds: Option<f64>,
    samples: &mut Samples<'_>,
) {
    let mut rows = Vec::new();
    for cgroup in &reading.cgroups {
        let memory: u64 = cgroup.memory_current.trim().parse().unwrap_or(0);
        let spent_us = number(&cgroup.cpu_stat, "usage_usec").unwrap_or(0);
        let throttled_us = number(&cgroup.cpu_stat, "throttled_usec").unwrap_or(0);
        let kills = number(&cgroup.memory_events, "oom_kill").unwrap_or(0);
        after
            .cgroups
            .insert(cgroup.name.clone(), (spent_us, throttled_us, kills));
        rows.push((cgroup, memory, spent_us, throttled_us, kills));
    }
    rows.sort_by_key(|row| (std::cmp::Reverse(row.1), row.0.name.as_str()));
    for (place, (cgroup, memory, spent_us, throttled_us, kills)) in rows.into_iter().enumerate() {
        let labels = [("cgroup", cgroup.name.as_str())];
        let old = before.cgroups.get(&cgroup.name);
        if let Some((_, _, old_kills)) = old.filter(|(_, _, old_kills)| kills > *old_kills) {
            oom_event(samples, kills - old_kills, &labels);
        }
        if place >= CGROUPS_TOLD_MAX {
            continue;
        }
        samples.integer("container.memory.usage", memory, "By", &labels);
        let limit = cgroup.memory_max.trim().parse::<u64>().ok();
        if let Some(limit) = limit {
            samples.share(
                "container.memory.utilization",
                memory as f64,
                limit as f64,
                &labels,
            );
        }
        if let (Some((old_spent, old_throttled, _)), Some(seconds)) = (old, seconds) {
            let spent = spent_us.saturating_sub(*old_spent) as f64 / 1e6;
            samples.put(
                "container.cpu.usage",
                Value::Float(spent / seconds),
                "{cpu}",
                &labels,
            );
            let throttled = throttled_us.saturating_sub(*old_throttled) as f64 / 1e6;
            if throttled > 0.0 {
                samples.put(
                    "container.cpu.throttled",
                    Value::Float(throttled / seconds),
                    "1",
                    &labels,
                );
            }
        }
    }
}

/// Processes of the whole machine that were killed for lack of memory.
pub(super) fn oom_kills(
    reading: &Reading,
    before: &Before,
    after: &mut Before,
    has_before: bool,
    samples: &mut Samples<'_>,
) {
    let Some(kills) = number(&reading.vmstat, "oom_kill") else {
        return;
    };
    let old = before
        .counters
        .get("oom_kill")
        .copied()
        .filter(|_| has_before);
    if let Some(old) = old.filter(|old| kills > *old) {
        oom_event(samples, kills - old, &[]);
    }
    samples.integer("system.memory.oom_kills", kills, "{process}", &[]);
    after.counters.insert("oom_kill", kills);
}

/// Processes were killed for lack of memory: an event that people want to hear of.
fn oom_event(samples: &mut Samples<'_>, kills: u64, labels: &[(&str, &str)]) {
    let mut record = Record::new(samples.now);
    record.put(key::KIND, "event");
    record.put(key::NAME, "system.memory.oom_kill");
    record.put(key::SEVERITY, "error");
    record.put(key::HOST, samples.host);
    record.put(
        "count",
        Value::Integer(i64::try_from(kills).unwrap_or(i64::MAX)),
    );
    for (name, value) in labels {
        record.put_text(name, value);
    }
    let place = labels.first().map_or("the machine", |(_, name)| name);
    let body = format!("{kills} processes were killed for lack of memory in {place}");
    record.put(key::BODY, body);
    samples.out.push(record);
}
