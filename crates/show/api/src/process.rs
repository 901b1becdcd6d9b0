//! What the process itself costs, from `/proc/self`; nothing where there is none.

use std::fs;

/// Figures of this process; `None` where the system does not tell.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_fds: Option<usize>,
    pub(crate) max_fds: Option<u64>,
    pub(crate) threads: Option<u64>,
}

impl Process {
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self {
            cpu_seconds: fs::read_to_string("/proc/self/stat")
                .ok()
                .and_then(|stat| cpu_seconds(&stat)),
            resident_bytes: field(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            max_fds: field(&limits, "Max open files"),
            threads: field(&status, "Threads:"),
        }
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms (fixed by the kernel's interface).
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}
