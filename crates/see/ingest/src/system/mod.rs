//! This machine, with no configuration: CPU, memory, disks, file systems, network, processes,
//! cgroups, pressure and kills for lack of memory, every ten seconds, by OpenTelemetry's names.
//!
//! [`parse`] reads the kernel's texts and knows no file; [`meter`] turns two readings into
//! samples; this file reads and waits.

mod groups;
pub mod meter;
pub mod parse;
pub mod reading;

use crate::listen::{Outlet, wall_clock};
use crate::reject::Decoded;
use crate::sink::Patience;
use meter::Meter;
use reading::Reading;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Processes that are read; a machine with more is told in part.
const PROCESSES_MAX: usize = 20_000;
/// Cgroups that are read.
const CGROUPS_MAX: usize = 2000;
/// Folders of cgroups within one another.
const CGROUP_DEPTH_MAX: usize = 6;

/// What to measure of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SystemInput {
    /// Whether anything is.
    pub enabled: bool,
    /// Seconds between two readings, 1 to 3600.
    pub every_s: u64,
    /// How many processes are told, of those that use most CPU and of those that use most
    /// memory.
    pub top_processes: usize,
    /// Whether cgroups (containers, units) are told.
    pub cgroups: bool,
    /// Where samples go.
    pub dataset: String,
    /// In place of `/proc` and `/sys`, for machines seen from a container.
    pub proc: PathBuf,
    /// See `proc`.
    pub sys: PathBuf,
}

impl Default for SystemInput {
    fn default() -> Self {
        Self {
            enabled: true,
            every_s: 10,
            top_processes: 10,
            cgroups: true,
            dataset: "metrics".into(),
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

/// Measures until it is cancelled. The first samples come at once; those that need two
/// readings (utilisation, rates) at the second.
pub async fn watch(input: SystemInput, host: String, outlet: Outlet) {
    let mut meter = Some(Box::new(Meter::new(host, input.top_processes)));
    let mut ticks = interval(Duration::from_secs(input.every_s.clamp(1, 3600)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let started = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = outlet.cancel.cancelled() => return,
        }
        let Some(mut held) = meter.take() else {
            return;
        };
        let input = input.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let reading = read(&input, started.elapsed());
            let mut out = Decoded::default();
            held.measure(reading, wall_clock(), &mut out);
            (held, out)
        });
        let Ok((held, out)) = reading.await else {
            return;
        };
        meter = Some(held);
        let _ = outlet.deliver(out, None, Patience::Forever).await;
    }
}

/// Reads everything once. What is not there (containers, old kernels) is left out.
pub fn read(input: &SystemInput, since_start: Duration) -> Reading {
    let proc = |name: &str| fs::read_to_string(input.proc.join(name)).unwrap_or_default();
    let mut reading = Reading {
        at: since_start,
        page_bytes: page_bytes(),
        stat: proc("stat"),
        meminfo: proc("meminfo"),
        loadavg: proc("loadavg"),
        uptime: proc("uptime"),
        diskstats: proc("diskstats"),
        net: proc("self/net/dev"),
        snmp: proc("self/net/snmp"),
        vmstat: proc("vmstat"),
        ..Reading::default()
    };
    for resource in ["cpu", "memory", "io"] {
        reading
            .pressure
            .push((resource, proc(&format!("pressure/{resource}"))));
    }
    reading.file_systems = parse::mounts(&proc("self/mounts"))
        .into_iter()
        .filter_map(file_system)
        .collect();
    reading.processes = processes(&input.proc);
    if input.cgroups {
        cgroups(&input.sys.join("fs/cgroup"), "", 0, &mut reading.cgroups);
    }
    reading
}

/// As the kernel tells of this process' own first mapping; it is the same for all.
fn page_bytes() -> u64 {
    static PAGE_BYTES: OnceLock<u64> = OnceLock::new();
    *PAGE_BYTES.get_or_init(|| {
        let text = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        parse::number(&text, "KernelPageSize").map_or(4096, |kilobytes| kilobytes * 1024)
    })
}

fn file_system(mount: parse::Mount) -> Option<reading::FileSystem> {
    let stat = nix::sys::statvfs::statvfs(Path::new(&mount.mountpoint)).ok()?;
    let block = stat.fragment_size();
    Some(reading::FileSystem {
        total_bytes: stat.blocks() * block,
        free_bytes: stat.blocks_free() * block,
        available_bytes: stat.blocks_available() * block,
        inodes: stat.files(),
        inodes_free: stat.files_free(),
        mount,
    })
}

fn processes(proc: &Path) -> Vec<parse::Process> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    pids.take(PROCESSES_MAX)
        .filter_map(|pid| {
            let stat = fs::read(proc.join(format!("{pid}/stat"))).ok()?;
            parse::process(&String::from_utf8_lossy(&stat))
        })
        .collect()
}

fn cgroups(folder: &Path, name: &str, depth: usize, found: &mut Vec<reading::CgroupReading>) {
    if depth > CGROUP_DEPTH_MAX || found.len() >= CGROUPS_MAX {
        return;
    }
    let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
    // Only the unified hierarchy has both in one folder.
    if let (Some(cpu), Some(memory), false) =
        (text("cpu.stat"), text("memory.current"), name.is_empty())
    {
        found.push(reading::CgroupReading {
            name: name.to_owned(),
            cpu_stat: cpu,
            memory_current: memory,
            memory_max: text("memory.max").unwrap_or_default(),
            memory_events: text("memory.events").unwrap_or_default(),
        });
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut folders: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .collect();
    folders.sort_by_key(fs::DirEntry::file_name);
    for entry in folders {
        let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
        cgroups(&entry.path(), &inner, depth + 1, found);
    }
}
