//! The program's own pages: most of it runs once, at the start, and would stay mapped for good.

use nix::sys::mman::{MmapAdvise, madvise};
use std::ffi::c_void;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

/// Has the kernel map code one page at a time as it is used, where it can (Linux 6.7 and later);
/// returns what keeps it so while it is held.
///
/// A fault maps sixteen pages around the one that is asked for, and what a node uses is strewn
/// all over a program that can do much more: two thirds of it would end up mapped for the sake
/// of a tenth. Memory that is watched for writes is mapped page by page, and code is never
/// written, so nobody is ever told anything.
pub fn map_code_page_by_page() -> Option<OwnedFd> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    #[allow(unsafe_code, reason = "userfaultfd has no safe form")]
    // SAFETY: the call takes flags and returns a new descriptor or an error.
    let watch = unsafe {
        let flags = libc::O_CLOEXEC | watch::USER_MODE_ONLY;
        let fd = libc::syscall(libc::SYS_userfaultfd, flags);
        OwnedFd::from_raw_fd(i32::try_from(fd).ok().filter(|fd| *fd >= 0)?)
    };
    let mut api = watch::Api {
        version: watch::VERSION,
        features: watch::WRITES_UNSEEN,
        calls: 0,
    };
    #[allow(unsafe_code, reason = "as above")]
    // SAFETY: the descriptor is open, and the record is as the kernel lays it out.
    unsafe { watch::api(watch.as_raw_fd(), &raw mut api) }.ok()?;
    for (start, length) in maps.lines().filter_map(code) {
        let mut range = watch::Range {
            start: start.as_ptr() as u64,
            length: length as u64,
            mode: watch::WRITES,
            calls: 0,
        };
        #[allow(unsafe_code, reason = "as above")]
        // SAFETY: as above; the range is a mapping that the kernel named, its pages are never
        // written, and watching changes nothing that a reader could see.
        let _ = unsafe { watch::register(watch.as_raw_fd(), &raw mut range) };
    }
    Some(watch)
}

/// The kernel's records and calls for watching memory: `linux/userfaultfd.h`.
mod watch {
    pub const VERSION: u64 = 0xaa;
    /// Faults of the process itself, not of the kernel on its behalf: needs no privilege.
    pub const USER_MODE_ONLY: i32 = 1;
    /// Writes are let through and only marked: nobody has to answer them.
    pub const WRITES_UNSEEN: u64 = 1 << 15;
    pub const WRITES: u64 = 1 << 1;

    #[repr(C)]
    pub struct Api {
        pub version: u64,
        pub features: u64,
        pub calls: u64,
    }

    #[repr(C)]
    pub struct Range {
        pub start: u64,
        pub length: u64,
        pub mode: u64,
        pub calls: u64,
    }

    #[allow(unsafe_code, reason = "raw ioctls")]
    mod calls {
        nix::ioctl_readwrite!(api, 0xaa, 0x3f, super::Api);
        nix::ioctl_readwrite!(register, 0xaa, 0x00, super::Range);
    }
    pub use calls::{api, register};
}

/// Unmaps the program's code and constants; what is still needed is mapped again as it is used,
/// from the page cache. To be called once a node runs, and now and then: reading the
/// configuration, making certificates and joining is half of the program, and hardly runs again.
pub fn forget_start_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, length) in maps.lines().filter_map(code) {
        #[allow(unsafe_code, reason = "madvise has no safe form")]
        // SAFETY: the range is a read-only, file-backed mapping of code or constants that the
        // kernel itself named; nothing was ever written to it, so dropping its pages loses
        // nothing.
        let _ = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
    }
}

/// Start and length of a mapping of code, or of what comes before it in its file: never
/// written, so it can be read again. What is read-only after the code was written before it
/// was closed.
fn code(line: &str) -> Option<(NonNull<c_void>, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (rights, offset) = (fields.next()?, fields.next()?);
    let is_code = rights == "r-xp" || (rights == "r--p" && offset == "00000000");
    let inode = fields.nth(1)?;
    if !is_code || inode == "0" {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    Some((NonNull::new(start as *mut c_void)?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_from_files_is_forgotten_and_the_program_goes_on() {
        let length = |line| code(line).map(|(_, length)| length);
        assert_eq!(
            length("1000-3000 r-xp 0000 08:01 42 /bin/andon"),
            Some(0x2000)
        );
        for other in [
            "1000-3000 r--p 00001000 08:01 42 /bin/andon",
            "1000-3000 rw-p 0000 08:01 42 /bin/andon",
            "1000-3000 r-xp 0000 00:00 0 [vdso]",
            "3000-1000 r-xp 0000 08:01 42 /bin/andon",
            "rubbish",
            "",
        ] {
            assert_eq!(length(other), None, "{other}");
        }
        forget_start_code();
        assert!(std::fs::read_to_string("/proc/self/status").is_ok());
    }
}
