//! Memory given back: a node that judges a large picture or takes in a load of events makes and
//! drops tens of megabytes, and the C library would keep what was dropped, once for each thread
//! and wherever something small lies behind it. [`code`] does the same for the program itself.

mod code;

pub use code::{forget_start_code, map_code_page_by_page};

use std::time::Duration;

/// Freed memory above this goes back to the system, and larger pieces are mapped by themselves.
#[cfg(target_env = "gnu")]
const TRIM_BYTES: i32 = 128 * 1024;

/// Sets the C library's allocator to one arena and to giving back what is free. At a thousand
/// nodes this is the difference between 54 and 43 MB; to be called before any thread starts.
pub fn give_back_what_is_free() {
    #[cfg(target_env = "gnu")]
    #[allow(
        unsafe_code,
        reason = "mallopt has no safe form; it only sets the allocator's limits"
    )]
    // SAFETY: called first in `main`, while there is one thread; the arguments are plain limits.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_BYTES);
        libc::mallopt(libc::M_MMAP_THRESHOLD, TRIM_BYTES);
    }
}

/// How often it is looked whether there is memory to give back.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// While giving back brings nothing it is tried ever less often, down to this.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(300);
/// Growth that is worth a look into the heap: it takes a millisecond for each few megabytes.
const GROWN_BYTES: u64 = 8 << 20;

/// When to look for free memory: after growth, and less often while there is none.
#[derive(Debug)]
struct Looking {
    /// Resident bytes when it was last small.
    least: u64,
    pause: Duration,
}

impl Looking {
    fn is_due(&mut self, resident: u64) -> bool {
        self.least = self.least.min(resident);
        let is_due = resident >= self.least + GROWN_BYTES;
        if !is_due {
            self.pause = LOOK_EVERY;
        }
        is_due
    }

    fn looked(&mut self, before: u64, after: u64) {
        self.least = after;
        self.pause = match before.saturating_sub(after) {
            ..GROWN_BYTES => (self.pause * 2).min(LOOK_EVERY_MAX),
            _ => LOOK_EVERY,
        };
    }
}

/// Gives the system what the allocator holds and nobody uses, for ever: after a load of wide
/// events this is 200 MB of 210. (The allocator itself gives back only what is free at the end.)
pub async fn give_back_for_ever() {
    let mut looking = Looking {
        least: u64::MAX,
        pause: LOOK_EVERY,
    };
    loop {
        tokio::time::sleep(looking.pause).await;
        let before = resident_bytes();
        if looking.is_due(before) {
            let _ = tokio::task::spawn_blocking(trim).await;
            let after = resident_bytes();
            tracing::debug!(before, after, "free memory was given back");
            looking.looked(before, after);
        }
    }
}

fn trim() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "malloc_trim has no safe form")]
    // SAFETY: takes the allocator's own locks and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Memory of this process that the machine holds; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = anonymous.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_after_growth_and_less_often_in_vain() {
        let megabytes = |count: u64| count << 20;
        let mut looking = Looking {
            least: u64::MAX,
            pause: LOOK_EVERY,
        };
        assert!(!looking.is_due(megabytes(20)) && !looking.is_due(megabytes(27)));
        assert!(looking.is_due(megabytes(200)));
        looking.looked(megabytes(200), megabytes(22));
        assert_eq!(
            (looking.pause, looking.is_due(megabytes(25))),
            (LOOK_EVERY, false)
        );
        for _ in 0..10 {
            assert!(looking.is_due(megabytes(90)));
            looking.looked(megabytes(90), megabytes(89));
            looking.least = megabytes(22);
        }
        assert_eq!(looking.pause, LOOK_EVERY_MAX);
        assert!(!looking.is_due(megabytes(22)));
        assert_eq!(looking.pause, LOOK_EVERY);
        trim();
        assert!(resident_bytes() > 0);
    }
}
