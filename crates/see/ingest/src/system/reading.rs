//! The kernel's texts at one moment, as they were read.

use super::parse::{Mount, Process};
use std::time::Duration;

/// The kernel's texts at one moment.
#[derive(Debug, Default, Clone)]
pub struct Reading {
    /// Since any fixed moment.
    pub at: Duration,
    /// Bytes of a page of memory: 4,096 on most machines, 16 or 64 kB on some of ARM's.
    pub page_bytes: u64,
    /// `/proc/stat`
    pub stat: String,
    /// `/proc/meminfo`
    pub meminfo: String,
    /// `/proc/loadavg`
    pub loadavg: String,
    /// `/proc/uptime`
    pub uptime: String,
    /// `/proc/diskstats`
    pub diskstats: String,
    /// `/proc/net/dev`
    pub net: String,
    /// `/proc/net/snmp`
    pub snmp: String,
    /// `/proc/vmstat`
    pub vmstat: String,
    /// `/proc/pressure/*`
    pub pressure: Vec<(&'static str, String)>,
    /// Sizes of file systems.
    pub file_systems: Vec<FileSystem>,
    /// Processes.
    pub processes: Vec<Process>,
    /// Cgroups.
    pub cgroups: Vec<CgroupReading>,
}

/// A file system's sizes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// What and where it is.
    pub mount: Mount,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that nobody uses.
    pub free_bytes: u64,
    /// Bytes of them that others than root may use.
    pub available_bytes: u64,
    /// Files that it can hold; 0 where there is no limit.
    pub inodes: u64,
    /// How many more.
    pub inodes_free: u64,
}

/// A cgroup's texts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CgroupReading {
    /// Such as `/system.slice/nginx.service`.
    pub name: String,
    /// `cpu.stat`
    pub cpu_stat: String,
    /// `memory.current`
    pub memory_current: String,
    /// `memory.max`
    pub memory_max: String,
    /// `memory.events`
    pub memory_events: String,
}
