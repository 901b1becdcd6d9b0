//! A thousand nodes in simulated time, on the code that real nodes run:
//! `cargo run --release -p andon-grid --example thousand [nodes] [changes]`.
//!
//! All hold the same picture of 64 links a node; then one link of one node changes, with 20 %
//! of all packets lost, and the time until every picture has it is measured; then what a quiet
//! grid sends.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints"
)]

#[path = "../tests/sim/mod.rs"]
mod sim;

use andon_grid::row::RowKey;
use andon_model::{NodeKey, Peer};
use sim::{Net, World, link};
use std::time::Duration;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>().unwrap());
    let count = arguments.next().unwrap_or(1_000) as usize;
    let changes = arguments.next().unwrap_or(10);
    let mut world = World::new(
        1,
        Net {
            delay_us: (5_000, 40_000),
            loss: 0.2,
            twice: 0.0,
        },
    );
    for _ in 0..count {
        world.add(&[]);
    }
    let keys: Vec<NodeKey> = (0..count).map(|index| world.key(index)).collect();
    for index in 0..count {
        let links = (1..=64.min(count - 1)).map(|step| keys[(index + step * 7) % count]);
        let links = links
            .map(|key| (Peer::Node(key), link(key, &mut world.random)))
            .collect();
        world.change(index, |slice| slice.links = links);
    }
    let rows: Vec<_> = world
        .nodes
        .iter()
        .flat_map(|node| {
            node.grid
                .store()
                .rows_between(RowKey::FIRST, RowKey::LAST)
                .map(|(_, row)| row.clone())
        })
        .collect();
    let before = resident_bytes();
    let now = world.instant(0);
    world.nodes[0].grid.adopt(now, rows.iter().cloned());
    let picture_bytes = resident_bytes().saturating_sub(before);
    let row_bytes = world.nodes[0].grid.store().byte_count();
    let slices = world.nodes[0].grid.store().slices().clone();
    for index in 1..count {
        let now = world.instant(index);
        world.nodes[index].grid.adopt_shared(now, &rows, &slices);
    }
    assert!(world.agrees());
    world.run(Duration::from_secs(6));

    let mut times = Vec::new();
    for change in 0..changes {
        world.flip((change as usize * 37) % count);
        let took = world.run_until(
            Duration::from_secs(10),
            Duration::from_millis(10),
            World::agrees,
        );
        times.push(took.unwrap_or(Duration::MAX));
        world.run(Duration::from_secs(1));
    }
    times.sort();
    world.run(Duration::from_secs(6));
    let sent = |world: &World| {
        world
            .nodes
            .iter()
            .map(|node| node.grid.counters().sent_bytes)
            .sum::<u64>()
    };
    let quiet_from = sent(&world);
    world.run(Duration::from_secs(5));
    let quiet = (sent(&world) - quiet_from) / 5 / count as u64;

    // Somebody joins and fetches all of it.
    world.add(&[0, 1]);
    let joined = world.run_until(
        Duration::from_secs(60),
        Duration::from_millis(50),
        World::agrees,
    );

    let rounds = |time: Duration| time.as_secs_f64() / 0.2;
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "nodes {count}, rows {}, 20 % loss, one-way delay 5-40 ms, {changes} changes",
        rows.len()
    );
    println!("| what | measured | goal |\n| --- | --- | --- |");
    println!(
        "| one change -> every picture, median (worst) | {median:?}, {:.1} rounds ({worst:?}, {:.1} rounds) | 1.6 s, 8 rounds |",
        rounds(median),
        rounds(worst)
    );
    println!("| a newcomer holds the whole picture after | {joined:?} | |");
    println!("| largest packet | {} B | 1,400 B |", world.largest);
    println!("| sent per node when quiet | {quiet} B/s | 20,000 B/s |");
    println!("| rows of one picture | {row_bytes} B | |");
    println!("| slices and index of one picture, beside the rows | {picture_bytes} B | |");
}

/// Memory of this process; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| {
        text.split_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok())
    });
    pages.unwrap_or(0) * 4_096
}
