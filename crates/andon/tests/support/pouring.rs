//! Events poured into a node while things around it are killed, and whether all of them are
//! there, each once.

use super::events::{ask, queue, send};
use super::{LIMIT, hold, wait_within};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Sends batches of twenty until told to stop, each under its name until it is taken.
pub struct Pouring {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Pouring {
    pub fn into(node: SocketAddr, name: &'static str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            for batch in 0_u64.. {
                let body: String = (0..20)
                    .map(|line| format!("{{\"id\":\"{name}-{batch}-{line}\"}}\n"))
                    .collect();
                let key = format!("{name}-{batch}");
                // What may have been taken is sent until it certainly is.
                while send(node, "load", &[("idempotency-key", &key)], &body).is_err() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                count.fetch_add(20, Ordering::Relaxed);
                if over.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            is_over,
            acknowledged,
            thread,
        }
    }

    pub fn so_far(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn more(&self) {
        let before = self.so_far();
        wait_within(
            3 * LIMIT,
            Duration::from_millis(50),
            "more events to be taken",
            || {
                let taken = self.so_far();
                hold(taken >= before + 200, || format!("{taken} after {before}"))
            },
        );
    }

    pub fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// An event with so many letters that do not pack.
pub fn noise(number: u64, letters: usize) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut state = number + 1;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    };
    let pad: String = (0..letters).map(|_| letter()).collect();
    format!("{{\"n\":{number},\"id\":\"{number}\",\"pad\":\"{pad}\"}}\n")
}

/// A whole answer with all of them, each once.
#[track_caller]
pub fn whole(node: SocketAddr, expected: u64, when: &str) {
    wait_within(3 * LIMIT, Duration::from_millis(200), when, || {
        let mut question = json!({"dataset": "load", "from": "-1d", "calc": [{"op": "count"}]});
        let answer = ask(node, &question)?;
        let is_whole = answer["partial"] == false && answer["rows"][0][0] == expected;
        hold(is_whole, || format!("{expected}: {answer}"))?;
        question["group_by"] = json!(["id"]);
        question["order_by"] = json!(["-count"]);
        question["limit"] = json!(1);
        let most = ask(node, &question)?;
        hold(most["rows"][0][1] == 1, || format!("{when}: twice: {most}"))
    });
}

#[track_caller]
pub fn nothing_waits(node: SocketAddr) {
    wait_within(
        3 * LIMIT,
        Duration::from_millis(100),
        "an empty queue",
        || {
            let queue = queue(node, "load")?;
            let is_empty = queue["events"] == 0 && queue["copies"] == 0;
            hold(is_empty, || queue.to_string())
        },
    );
}
