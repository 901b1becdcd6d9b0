//! The kernel's texts. What is missing or garbled is left out, never guessed.
//! Source: Linux, `Documentation/filesystems/proc.rst`, `admin-guide/iostats.rst`,
//! `accounting/psi.rst`, `admin-guide/cgroup-v2.rst`.

/// CPU time by what it was spent on, in ticks: user, nice, system, idle, iowait, irq, softirq,
/// steal.
pub type CpuTicks = [u64; 8];

/// OpenTelemetry's words for [`CpuTicks`], in their order (`cpu.mode`).
pub const CPU_MODES: [&str; 8] = [
    "user",
    "nice",
    "system",
    "idle",
    "iowait",
    "interrupt",
    "softirq",
    "steal",
];

/// `/proc/stat`: each CPU's ticks, all together first.
pub fn cpus(stat: &str) -> Vec<(String, CpuTicks)> {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.strip_prefix("cpu")?.to_owned();
        let mut ticks = CpuTicks::default();
        for (tick, word) in ticks.iter_mut().zip(words) {
            *tick = word.parse().ok()?;
        }
        Some((name, ticks))
    };
    stat.lines().filter_map(of_line).collect()
}

/// The number after a name at a line's beginning, such as `procs_running` in `/proc/stat`.
pub fn number(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let rest = lines.find(|rest| rest.starts_with([' ', '\t', ':']))?;
    let mut words = rest.trim_start_matches(':').split_whitespace();
    words.next()?.parse().ok()
}

/// A file system that holds files of the machine's own disks or of others' over the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// Such as `/dev/sda1`.
    pub device: String,
    /// Where it is.
    pub mountpoint: String,
    /// Such as `ext4`.
    pub kind: String,
    /// Whether it is mounted for reading only.
    pub is_read_only: bool,
}

/// `/proc/mounts` without what only looks like a file system; each device once.
pub fn mounts(text: &str) -> Vec<Mount> {
    let real = [
        "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "exfat", "ntfs", "ntfs3",
        "overlay", "bcachefs", "reiserfs", "jfs",
    ];
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(mountpoint), Some(kind), Some(options)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        // A network's file system may hang: asking for its size would, too.
        let is_known = mounts.iter().any(|mount| mount.device == device);
        if !real.contains(&kind) || is_known || mounts.len() >= 256 {
            continue;
        }
        mounts.push(Mount {
            device: unescaped(device),
            mountpoint: unescaped(mountpoint),
            kind: kind.to_owned(),
            is_read_only: options.split(',').any(|option| option == "ro"),
        });
    }
    mounts
}

/// Spaces and their like are written in octal.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

/// One disk's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// Such as `nvme0n1`.
    pub name: String,
    /// Reads and writes that ended.
    pub operations: [u64; 2],
    /// Bytes read and written.
    pub bytes: [u64; 2],
    /// Milliseconds that reads and writes took, together.
    pub operation_ms: [u64; 2],
    /// Milliseconds in which it did anything.
    pub busy_ms: u64,
}

/// `/proc/diskstats` without partitions, loops and RAM disks.
pub fn disks(text: &str) -> Vec<Disk> {
    let of_line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let name = *words.get(2)?;
        let is_part = name.starts_with("loop")
            || name.starts_with("ram")
            || name.starts_with("zram")
            || is_partition(name);
        if is_part {
            return None;
        }
        let field = |place: usize| words.get(place)?.parse::<u64>().ok();
        Some(Disk {
            name: name.to_owned(),
            operations: [field(3)?, field(7)?],
            // The kernel's sectors are of 512 bytes, whatever the disk's are.
            bytes: [field(5)? * 512, field(9)? * 512],
            operation_ms: [field(6)?, field(10)?],
            busy_ms: field(12)?,
        })
    };
    text.lines().filter_map(of_line).take(1024).collect()
}

/// `sda1`, `vdb2`, `nvme0n1p3`, `mmcblk0p1`; but not `dm-0`, `md0`, `nvme0n1`.
fn is_partition(name: &str) -> bool {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if base.len() == name.len() {
        return false;
    }
    let is_letters = ["sd", "vd", "hd", "xvd"].iter().any(|prefix| {
        let rest = base.strip_prefix(prefix);
        rest.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    });
    let is_numbered = base
        .strip_suffix('p')
        .is_some_and(|base| base.ends_with(|c: char| c.is_ascii_digit()));
    is_letters || is_numbered
}

/// One network interface's counters; received first, sent second.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Such as `eth0`.
    pub name: String,
    /// Bytes.
    pub bytes: [u64; 2],
    /// Packets.
    pub packets: [u64; 2],
    /// Errors.
    pub errors: [u64; 2],
    /// Packets dropped.
    pub dropped: [u64; 2],
}

/// `/proc/net/dev`.
pub fn interfaces(text: &str) -> Vec<Interface> {
    let of_line = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let numbers: Vec<u64> = rest
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        let both = |place: usize| Some([*numbers.get(place)?, *numbers.get(place + 8)?]);
        Some(Interface {
            name: name.trim().to_owned(),
            bytes: both(0)?,
            packets: both(1)?,
            errors: both(2)?,
            dropped: both(3)?,
        })
    };
    text.lines().filter_map(of_line).take(4096).collect()
}

/// A counter of `/proc/net/snmp`, such as `Tcp` and `RetransSegs`.
pub fn snmp(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|found| found == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

/// Share of time in percent that someone or everyone waited, over 10 s: `some`, `full`.
pub fn pressure(text: &str) -> [Option<f64>; 2] {
    ["some", "full"].map(|kind| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let mut words = line.split_whitespace();
        words
            .find_map(|word| word.strip_prefix("avg10="))?
            .parse()
            .ok()
    })
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The program's name, at most 15 bytes.
    pub command: String,
    /// `R`, `S`, `D`, `Z`, ...
    pub state: char,
    /// CPU time in ticks, of its own and of the system for it.
    pub ticks: u64,
    /// Its threads.
    pub threads: u64,
    /// When it began, in ticks since the machine did: a number that comes twice is told apart.
    pub started: u64,
    /// Memory that is in RAM, in pages.
    pub resident_pages: u64,
}

/// `/proc/PID/stat`. The name stands in parentheses and may hold some itself.
pub fn process(stat: &str) -> Option<Process> {
    let open = stat.find('(')?;
    let close = stat.rfind(')')?;
    let words: Vec<_> = stat.get(close + 1..)?.split_whitespace().collect();
    // Fields are counted from 1 in proc(5); the third is the first after the name.
    let field = |place: usize| words.get(place - 3)?.parse::<u64>().ok();
    Some(Process {
        pid: stat[..open].trim().parse().ok()?,
        command: stat.get(open + 1..close)?.to_owned(),
        state: words.first()?.chars().next()?,
        parent: u32::try_from(field(4)?).ok()?,
        ticks: field(14)?.saturating_add(field(15)?),
        threads: field(20)?,
        started: field(22)?,
        resident_pages: words.get(21)?.parse::<i64>().ok()?.max(0).unsigned_abs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat =
            "cpu  10 1 5 100 2 0 3 4 0 0\ncpu0 10 1 5 100 2 0 3 4 0 0\nctxt 77\nprocs_running 3\n";
        assert_eq!(cpus(stat)[0], (String::new(), [10, 1, 5, 100, 2, 0, 3, 4]));
        assert_eq!(cpus(stat)[1].0, "0");
        assert_eq!(number(stat, "procs_running"), Some(3));
        assert_eq!(
            number("MemTotal:       24560484 kB\n", "MemTotal"),
            Some(24_560_484)
        );
        let mounts = mounts(
            "/dev/vda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n/dev/vdb /my\\040disk xfs ro 0 0\n/dev/vda1 /again ext4 rw 0 0\n",
        );
        assert_eq!(mounts.len(), 2);
        assert_eq!(
            (mounts[1].mountpoint.as_str(), mounts[1].is_read_only),
            ("/my disk", true)
        );
        let disks = disks(
            " 254 0 vda 100 5 2000 30 200 6 4000 50 0 60 80 0 0 0 0\n 254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n 7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\n 259 0 nvme0n1 1 0 8 1 1 0 8 1 0 1 1\n 259 1 nvme0n1p1 1 0 8 1 1 0 8 1 0 1 1\n",
        );
        assert_eq!(
            disks
                .iter()
                .map(|disk| disk.name.as_str())
                .collect::<Vec<_>>(),
            ["vda", "nvme0n1"]
        );
        assert_eq!(
            (disks[0].bytes, disks[0].busy_ms),
            ([1_024_000, 2_048_000], 60)
        );
        let net = "Inter-|   Receive\n face |bytes packets\n  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n";
        let eth0 = &interfaces(net)[0];
        assert_eq!((eth0.bytes, eth0.dropped), ([1000, 2000], [2, 4]));
        let snmp_text = "Tcp: RtoAlgorithm RetransSegs\nTcp: 1 42\nUdp: InErrors\nUdp: 7\n";
        assert_eq!(snmp(snmp_text, "Tcp", "RetransSegs"), Some(42));
        assert_eq!(snmp(snmp_text, "Udp", "InErrors"), Some(7));
        let text = "some avg10=1.50 avg60=0.50 avg300=0.1 total=5\nfull avg10=0.25 avg60=0 avg300=0 total=1\n";
        assert_eq!(pressure(text), [Some(1.5), Some(0.25)]);
        assert_eq!(pressure(""), [None, None]);
    }

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 7 3 0 0 20 0 5 0 900 1000000 250 18446744073709551615 1";
        let process = process(stat).unwrap();
        let expected = Process {
            pid: 42,
            parent: 1,
            command: "a) b (c)".into(),
            state: 'S',
            ticks: 10,
            threads: 5,
            started: 900,
            resident_pages: 250,
        };
        assert_eq!(process, expected);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(text in "[a-z0-9 :=().\n]{0,120}") {
            cpus(&text);
            mounts(&text);
            disks(&text);
            interfaces(&text);
            pressure(&text);
            process(&text);
            snmp(&text, "a", "b");
            number(&text, "a");
        }
    }
}
