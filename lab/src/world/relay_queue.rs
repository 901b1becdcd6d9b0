//! Frames that wait in a relay until their time has come. A plain queue that is told the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames that wait at once in one direction: 20,000 packets a second for half a second. More
/// would hide that the lab's machine is too slow for the scenario.
const FRAMES_MAX: usize = 10_000;

/// One direction of a delayed wire.
#[derive(Debug, Default)]
pub(super) struct RelayQueue {
    waiting: VecDeque<(Instant, Vec<u8>)>,
    /// Frames that found it full.
    pub overflowed: u64,
}

impl RelayQueue {
    /// A frame came in, to go on after `delay`. Frames keep their order: on a wire that gets
    /// faster, none overtakes another.
    pub fn push(&mut self, now: Instant, delay: Duration, frame: Vec<u8>) {
        if self.waiting.len() >= FRAMES_MAX {
            self.overflowed += 1;
            return;
        }
        let last = self.waiting.back().map_or(now, |(due, _)| *due);
        self.waiting.push_back(((now + delay).max(last), frame));
    }

    /// The next frame whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let due = self.waiting.front()?.0 <= now;
        due.then(|| self.waiting.pop_front().map(|(_, frame)| frame))?
    }

    /// When the next frame's time comes.
    pub fn next_wake(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_wait_their_time_and_keep_their_order() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut queue = RelayQueue::default();
        queue.push(at(0), Duration::from_millis(30), vec![1]);
        queue.push(at(5), Duration::ZERO, vec![2]);
        assert_eq!(queue.next_wake(), Some(at(30)));
        assert_eq!(queue.pop(at(29)), None);
        assert_eq!(queue.pop(at(30)), Some(vec![1]));
        assert_eq!(queue.pop(at(30)), Some(vec![2]));
        assert_eq!(queue.next_wake(), None);
    }

    #[test]
    fn a_full_queue_counts_what_it_drops() {
        let now = Instant::now();
        let mut queue = RelayQueue::default();
        for _ in 0..FRAMES_MAX + 3 {
            queue.push(now, Duration::ZERO, Vec::new());
        }
        assert_eq!(queue.overflowed, 3);
    }
}
