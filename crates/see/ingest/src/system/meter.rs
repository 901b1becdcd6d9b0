//! Two readings of the machine become samples. Names are OpenTelemetry's (semantic conventions
//! for system and process metrics); where it has none, Andon's begin with `system.` too.

use super::groups::{cgroups, oom_kills};
use super::parse::Process as ProcessReading;
use super::parse::{
    self, CPU_MODES, CpuTicks, Disk, Interface, cpus, disks, interfaces, number, pressure, snmp,
};
use super::reading::Reading;
use crate::record::Record;
use crate::reject::Decoded;
use andon_model::event::{Value, key};
use andon_model::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Ticks a second (USER_HZ): 100 on every Linux that is in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) at: Duration,
    pub(super) cpus: BTreeMap<String, CpuTicks>,
    pub(super) disks: BTreeMap<String, Disk>,
    pub(super) interfaces: BTreeMap<String, Interface>,
    pub(super) processes: BTreeMap<(u32, u64), u64>,
    pub(super) cgroups: BTreeMap<String, (u64, u64, u64)>,
    pub(super) counters: BTreeMap<&'static str, u64>,
}

/// Turns readings into samples.
#[derive(Debug)]
pub struct Meter {
    host: String,
    top_processes: usize,
    before: Option<Before>,
}

/// Where samples go, with what they share.
pub(super) struct Samples<'a> {
    pub(super) host: &'a str,
    pub(super) now: Timestamp,
    pub(super) out: &'a mut Decoded,
}

impl Samples<'_> {
    pub(super) fn put(
        &mut self,
        name: &str,
        value: impl Into<Value>,
        unit: &str,
        labels: &[(&str, &str)],
    ) {
        let mut record = Record::with_capacity(self.now, 6 + labels.len());
        record.put(key::KIND, "metric");
        record.put(key::NAME, name);
        record.put(key::VALUE, value);
        record.put("unit", unit);
        record.put(key::HOST, self.host);
        record.protect();
        for (name, value) in labels {
            record.put_text(name, value);
        }
        self.out.push(record);
    }

    pub(super) fn integer(&mut self, name: &str, value: u64, unit: &str, labels: &[(&str, &str)]) {
        let value = Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        self.put(name, value, unit, labels);
    }

    pub(super) fn share(&mut self, name: &str, part: f64, whole: f64, labels: &[(&str, &str)]) {
        if whole > 0.0 {
            self.put(
                name,
                Value::Float((part / whole).clamp(0.0, 1.0)),
                "1",
                labels,
            );
        }
    }
}

impl Meter {
    /// Of a machine; `top_processes` are told one by one.
    pub fn new(host: String, top_processes: usize) -> Self {
        Self {
            host,
            top_processes,
            before: None,
        }
    }

    /// One more reading. Rates and shares of time need one before it.
    pub fn measure(&mut self, reading: Reading, now: Timestamp, out: &mut Decoded) {
        let before = self.before.take();
        let mut after = Before {
            at: reading.at,
            ..Before::default()
        };
        let host = self.host.clone();
        let mut samples = Samples {
            host: &host,
            now,
            out,
        };
        let seconds = before
            .as_ref()
            .map(|before| reading.at.saturating_sub(before.at).as_secs_f64())
            .filter(|seconds| *seconds > 0.0);
        let before = before.unwrap_or_default();
        cpu(&reading, &before, &mut after, &mut samples);
        memory(&reading, &mut samples);
        disk(&reading, &before, &mut after, seconds, &mut samples);
        file_systems(&reading, &mut samples);
        network(&reading, &before, &mut after, seconds, &mut samples);
        for (resource, text) in &reading.pressure {
            for (kind, share) in ["some", "full"].iter().zip(pressure(text)) {
                if let Some(percent) = share {
                    let labels = [("resource", *resource), ("stall", *kind)];
                    samples.put(
                        "system.pressure",
                        Value::Float(percent / 100.0),
                        "1",
                        &labels,
                    );
                }
            }
        }
        self.processes(&reading, &before, &mut after, seconds, &mut samples);
        cgroups(&reading, &before, &mut after, seconds, &mut samples);
        oom_kills(
            &reading,
            &before,
            &mut after,
            seconds.is_some(),
            &mut samples,
        );
        self.before = Some(after);
    }

    fn processes(
        &self,
        reading: &Reading,
        before: &Before,
        after: &mut Before,
        seconds: Option<f64>,
        samples: &mut Samples<'_>,
    ) {
        let mut states: BTreeMap<&str, u64> = BTreeMap::new();
        let mut rows = Vec::new();
        for process in &reading.processes {
            let state = match process.state {
                'R' => "running",
                'D' => "blocked",
                'Z' => "defunct",
                'T' | 't' => "stopped",
                _ => "sleeping",
            };
            *states.entry(state).or_default() += 1;
            let id = (process.pid, process.started);
            after.processes.insert(id, process.ticks);
            // One that began since the last reading counts from nothing.
            let ticks = process
                .ticks
                .saturating_sub(before.processes.get(&id).copied().unwrap_or(0));
            rows.push((process, ticks));
        }
        for (state, count) in states {
            samples.integer(
                "system.processes.count",
                count,
                "{process}",
                &[("process.status", state)],
            );
        }
        let mut told: BTreeMap<u32, (&ProcessReading, u64)> = BTreeMap::new();
        if seconds.is_some() {
            rows.sort_by_key(|(process, ticks)| (std::cmp::Reverse(*ticks), process.pid));
            let busiest = rows
                .iter()
                .filter(|(_, ticks)| *ticks > 0)
                .take(self.top_processes);
            told.extend(busiest.map(|row| (row.0.pid, *row)));
        }
        rows.sort_by_key(|(process, _)| (std::cmp::Reverse(process.resident_pages), process.pid));
        told.extend(
            rows.iter()
                .take(self.top_processes)
                .map(|row| (row.0.pid, *row)),
        );
        for (process, ticks) in told.into_values() {
            let pid = process.pid.to_string();
            let labels = [
                ("process.executable.name", process.command.as_str()),
                ("process.pid", pid.as_str()),
            ];
            if let Some(seconds) = seconds {
                let share = ticks as f64 / TICKS_PER_SECOND / seconds;
                samples.put("process.cpu.utilization", Value::Float(share), "1", &labels);
            }
            let bytes = process.resident_pages.saturating_mul(reading.page_bytes);
            samples.integer("process.memory.usage", bytes, "By", &labels);
            samples.integer("process.thread.count", process.threads, "{thread}", &labels);
        }
    }
}

fn cpu(reading: &Reading, before: &Before, after: &mut Before, samples: &mut Samples<'_>) {
    let cpus = cpus(&reading.stat);
    let count = cpus.iter().filter(|(name, _)| !name.is_empty()).count() as u64;
    samples.integer("system.cpu.logical.count", count, "{cpu}", &[]);
    for (name, ticks) in cpus {
        if let Some(old) = before.cpus.get(&name) {
            let spent: Vec<_> = ticks
                .iter()
                .zip(old)
                .map(|(new, old)| new.saturating_sub(*old))
                .collect();
            let all = spent.iter().sum::<u64>() as f64;
            // All together by what it was spent on; each CPU by how busy it was.
            if name.is_empty() {
                for (mode, spent) in CPU_MODES.iter().zip(&spent) {
                    let labels = [("cpu.mode", *mode)];
                    samples.share("system.cpu.utilization", *spent as f64, all, &labels);
                }
            }
            let busy = all - (spent[3] + spent[4]) as f64;
            let labels = [("cpu.logical_number", name.as_str())];
            let labels = if name.is_empty() { &[][..] } else { &labels };
            samples.share("system.cpu.busy", busy, all, labels);
        }
        after.cpus.insert(name, ticks);
    }
    for (name, word) in ["1m", "5m", "15m"]
        .iter()
        .zip(reading.loadavg.split_whitespace())
    {
        if let Ok(load) = word.parse::<f64>() {
            samples.put(
                &format!("system.cpu.load_average.{name}"),
                Value::Float(load),
                "{thread}",
                &[],
            );
        }
    }
    let uptime = reading.uptime.split_whitespace().next();
    if let Some(uptime) = uptime.and_then(|word| word.parse::<f64>().ok()) {
        samples.put("system.uptime", Value::Float(uptime), "s", &[]);
    }
}

fn memory(reading: &Reading, samples: &mut Samples<'_>) {
    let bytes = |name: &str| number(&reading.meminfo, name).map(|kilobytes| kilobytes * 1024);
    let (Some(total), Some(free)) = (bytes("MemTotal"), bytes("MemFree")) else {
        return;
    };
    let buffers = bytes("Buffers").unwrap_or(0);
    let cached = bytes("Cached").unwrap_or(0) + bytes("SReclaimable").unwrap_or(0);
    let used = total.saturating_sub(free + buffers + cached);
    samples.integer("system.memory.limit", total, "By", &[]);
    for (state, bytes) in [
        ("used", used),
        ("free", free),
        ("buffers", buffers),
        ("cached", cached),
    ] {
        let labels = [("system.memory.state", state)];
        samples.integer("system.memory.usage", bytes, "By", &labels);
        samples.share(
            "system.memory.utilization",
            bytes as f64,
            total as f64,
            &labels,
        );
    }
    if let Some(available) = bytes("MemAvailable") {
        samples.integer("system.linux.memory.available", available, "By", &[]);
    }
    if let (Some(swap), Some(swap_free)) = (bytes("SwapTotal"), bytes("SwapFree")) {
        let used = swap.saturating_sub(swap_free);
        samples.integer(
            "system.paging.usage",
            used,
            "By",
            &[("system.paging.state", "used")],
        );
        samples.share("system.paging.utilization", used as f64, swap as f64, &[]);
    }
}

fn rate(new: u64, old: u64, seconds: f64) -> Value {
    Value::Float(new.saturating_sub(old) as f64 / seconds)
}

fn disk(
    reading: &Reading,
    before: &Before,
    after: &mut Before,
    seconds: Option<f64>,
    samples: &mut Samples<'_>,
) {
    for disk in disks(&reading.diskstats) {
        if let (Some(old), Some(seconds)) = (before.disks.get(&disk.name), seconds) {
            for (place, direction) in ["read", "write"].iter().enumerate() {
                let labels = [
                    ("system.device", disk.name.as_str()),
                    ("disk.io.direction", *direction),
                ];
                let bytes = rate(disk.bytes[place], old.bytes[place], seconds);
                samples.put("system.disk.io.rate", bytes, "By/s", &labels);
                let operations = disk.operations[place].saturating_sub(old.operations[place]);
                samples.put(
                    "system.disk.operations.rate",
                    rate(operations, 0, seconds),
                    "{operation}/s",
                    &labels,
                );
                if operations > 0 {
                    let took = disk.operation_ms[place].saturating_sub(old.operation_ms[place]);
                    let each = took as f64 / operations as f64;
                    samples.put(
                        "system.disk.operation_time",
                        Value::Float(each),
                        "ms",
                        &labels,
                    );
                }
            }
            let busy = disk.busy_ms.saturating_sub(old.busy_ms) as f64;
            let labels = [("system.device", disk.name.as_str())];
            samples.share("system.disk.utilization", busy, seconds * 1000.0, &labels);
        }
        after.disks.insert(disk.name.clone(), disk);
    }
}

fn file_systems(reading: &Reading, samples: &mut Samples<'_>) {
    for system in &reading.file_systems {
        let mode = if system.mount.is_read_only {
            "ro"
        } else {
            "rw"
        };
        let labels = [
            ("system.device", system.mount.device.as_str()),
            (
                "system.filesystem.mountpoint",
                system.mount.mountpoint.as_str(),
            ),
            ("system.filesystem.type", system.mount.kind.as_str()),
            ("system.filesystem.mode", mode),
        ];
        let used = system.total_bytes.saturating_sub(system.free_bytes);
        samples.integer("system.filesystem.limit", system.total_bytes, "By", &labels);
        samples.integer("system.filesystem.usage", used, "By", &labels);
        // As df says it: of what others than root may use.
        let usable = (used + system.available_bytes) as f64;
        samples.share(
            "system.filesystem.utilization",
            used as f64,
            usable,
            &labels,
        );
        let inodes_used = system.inodes.saturating_sub(system.inodes_free) as f64;
        samples.share(
            "system.filesystem.inodes.utilization",
            inodes_used,
            system.inodes as f64,
            &labels,
        );
    }
}

fn network(
    reading: &Reading,
    before: &Before,
    after: &mut Before,
    seconds: Option<f64>,
    samples: &mut Samples<'_>,
) {
    for interface in interfaces(&reading.net) {
        let old = before.interfaces.get(&interface.name);
        if let (Some(old), Some(seconds), true) = (old, seconds, interface.name != "lo") {
            for (place, direction) in ["receive", "transmit"].iter().enumerate() {
                let labels = [
                    ("network.interface.name", interface.name.as_str()),
                    ("network.io.direction", *direction),
                ];
                let pairs = [
                    ("system.network.io.rate", interface.bytes, old.bytes, "By/s"),
                    (
                        "system.network.packet.rate",
                        interface.packets,
                        old.packets,
                        "{packet}/s",
                    ),
                    (
                        "system.network.errors.rate",
                        interface.errors,
                        old.errors,
                        "{error}/s",
                    ),
                    (
                        "system.network.dropped.rate",
                        interface.dropped,
                        old.dropped,
                        "{packet}/s",
                    ),
                ];
                for (name, new, old, unit) in pairs {
                    samples.put(name, rate(new[place], old[place], seconds), unit, &labels);
                }
            }
        }
        after.interfaces.insert(interface.name.clone(), interface);
    }
    let counters = [
        ("system.network.tcp.retransmits.rate", "Tcp", "RetransSegs"),
        ("system.network.tcp.resets.rate", "Tcp", "EstabResets"),
        (
            "system.network.tcp.failed_connects.rate",
            "Tcp",
            "AttemptFails",
        ),
        ("system.network.udp.receive_errors.rate", "Udp", "InErrors"),
    ];
    for (name, protocol, field) in counters {
        if let Some(count) = snmp(&reading.snmp, protocol, field) {
            if let (Some(old), Some(seconds)) = (before.counters.get(name), seconds) {
                samples.put(name, rate(count, *old, seconds), "1/s", &[]);
            }
            after.counters.insert(name, count);
        }
    }
    if let Some(count) = snmp(&reading.snmp, "Tcp", "CurrEstab") {
        samples.integer(
            "system.network.connection.count",
            count,
            "{connection}",
            &[("network.connection.state", "established")],
        );
    }
}

const _: () = assert!(parse::CPU_MODES.len() == 8);

#[cfg(test)]
mod tests {
    use super::super::reading::CgroupReading;
    use super::*;

    fn reading(at_s: u64, busy: u64, kills: u64) -> Reading {
        Reading {
            at: Duration::from_secs(at_s),
            stat: format!(
                "cpu  {busy} 0 0 {} 0 0 0 0\ncpu0 {busy} 0 0 0 0 0 0 0\n",
                1000 - busy
            ),
            meminfo: "MemTotal: 1000 kB\nMemFree: 250 kB\nBuffers: 50 kB\nCached: 200 kB\n".into(),
            diskstats: format!("254 0 vda {0} 0 {0} {0} 0 0 0 0 0 {0} 0", at_s * 100),
            net: format!("eth0: {0} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0", at_s * 1000),
            vmstat: format!("oom_kill {kills}\n"),
            pressure: vec![("cpu", "some avg10=50.00 avg60=0 avg300=0 total=5".into())],
            processes: vec![ProcessReading {
                pid: 5,
                command: "busy".into(),
                state: 'R',
                ticks: busy,
                ..Default::default()
            }],
            cgroups: vec![CgroupReading {
                name: "/a".into(),
                cpu_stat: format!("usage_usec {}\n", at_s * 500_000),
                memory_current: "512\n".into(),
                memory_max: "1024\n".into(),
                memory_events: format!("oom 1\noom_kill {kills}\n"),
            }],
            ..Reading::default()
        }
    }

    fn value(out: &Decoded, name: &str, label: (&str, &str)) -> Option<f64> {
        let mut events = out.events.iter().filter(|event| {
            event.get("name") == Some(&name.into())
                && (label.0.is_empty() || event.get(label.0) == Some(&label.1.into()))
        });
        events.next()?.get("value")?.number()
    }

    #[test]
    fn two_readings_make_shares_and_rates() {
        let mut meter = Meter::new("web-1".into(), 5);
        let now = Timestamp::parse("2026-11-21T14:00:00Z").unwrap();
        let mut first = Decoded::default();
        meter.measure(reading(100, 100, 3), now, &mut first);
        assert_eq!(
            value(
                &first,
                "system.memory.utilization",
                ("system.memory.state", "used")
            ),
            Some(0.5)
        );
        assert_eq!(value(&first, "system.cpu.busy", ("", "")), None);
        let mut out = Decoded::default();
        meter.measure(reading(110, 400, 5), now, &mut out);
        let check = |name: &str, label: (&str, &str), expected: f64| {
            assert_eq!(value(&out, name, label), Some(expected), "{name}");
        };
        check("system.cpu.utilization", ("cpu.mode", "user"), 1.0);
        check(
            "system.disk.io.rate",
            ("disk.io.direction", "read"),
            51_200.0,
        );
        check("system.disk.utilization", ("system.device", "vda"), 0.1);
        check(
            "system.network.io.rate",
            ("network.io.direction", "receive"),
            1000.0,
        );
        check("system.pressure", ("stall", "some"), 0.5);
        check("process.cpu.utilization", ("process.pid", "5"), 0.3);
        check("container.cpu.usage", ("cgroup", "/a"), 0.5);
        check("container.memory.utilization", ("cgroup", "/a"), 0.5);
        let kills: Vec<_> = out
            .events
            .iter()
            .filter(|event| event.get("kind") == Some(&"event".into()))
            .collect();
        assert_eq!(kills.len(), 2);
        assert!(
            first
                .events
                .iter()
                .all(|event| event.get("kind") == Some(&"metric".into()))
        );
        assert!(
            out.events
                .iter()
                .all(|event| event.get("host.name") == Some(&"web-1".into()))
        );
    }

    #[test]
    fn a_machine_that_says_nothing_makes_no_samples_up() {
        let mut meter = Meter::new("x".into(), 5);
        let mut out = Decoded::default();
        for second in 0..3 {
            let at = Duration::from_secs(second);
            meter.measure(
                Reading {
                    at,
                    ..Reading::default()
                },
                Timestamp(1),
                &mut out,
            );
        }
        assert!(
            out.events
                .iter()
                .all(|event| event.get("name") == Some(&"system.cpu.logical.count".into()))
        );
    }
}
