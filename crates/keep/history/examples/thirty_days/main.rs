//! Thirty days of 50 nodes in a full mesh, recorded in compressed time: what they take on disk,
//! and how long it takes to read a moment. Run with `--release`; an argument is the folder to
//! write to, a second one the number of days.
#![allow(clippy::print_stdout, clippy::disallowed_methods)] // It prints, and it measures.
#![allow(clippy::unwrap_used)] // A measurement that fails shall say where.

mod weather;

use andon_history::{HistoryOptions, Keeper, Reader};
use andon_model::{Instant, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weather::{Dice, Grid, Weather};

const NODES: usize = 50;
const MINUTE: Duration = Duration::from_secs(60);
const LIMIT_BYTES: u64 = 1_000_000_000;
const LIMIT_MS: f64 = 50.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let days: u64 = arguments
        .next()
        .and_then(|days| days.parse().ok())
        .unwrap_or(30);
    let dir = root.join(format!("andon-thirty-days-{}", std::process::id()));
    for (weather, days) in [(Weather::Ordinary, days), (Weather::Storm, days.min(2))] {
        let _ = std::fs::remove_dir_all(&dir);
        println!(
            "{weather:?}: {NODES} nodes, {} links, {days} days",
            NODES * (NODES - 1)
        );
        let (reader, start, end) = record(&dir, weather, days);
        read(&reader, start, end);
        let used = reader.span().bytes;
        let month = used as f64 * 30.0 / days as f64;
        println!(
            "  30 days take {:>7.1} MB of {:.0} MB: {}\n",
            month / 1e6,
            LIMIT_BYTES as f64 / 1e6,
            said(month <= LIMIT_BYTES as f64)
        );
    }
    let _ = std::fs::remove_dir_all(&dir);
}

fn said(fine: bool) -> &'static str {
    if fine {
        "within the limit"
    } else {
        "OVER THE LIMIT"
    }
}

fn record(dir: &Path, weather: Weather, days: u64) -> (Reader, Timestamp, Timestamp) {
    let start = Timestamp::parse("2026-11-01T00:00:00Z").unwrap();
    let mut grid = Grid::new(NODES, weather, 7, start);
    let mut options = HistoryOptions::new(dir);
    options.bytes_max = 100 * LIMIT_BYTES;
    let (mut keeper, reader) = Keeper::new(options);
    let (mut now, mut utc) = (Instant(1_000_000), start);
    let mut spent = Duration::ZERO;
    let mut steps = 0u64;
    let mut step = |keeper: &mut Keeper, grid: &Grid, now, utc| {
        let view = Arc::new(grid.view.clone());
        let begun = std::time::Instant::now();
        keeper.step(now, utc, &view, None);
        spent += begun.elapsed();
        steps += 1;
    };
    for minute in 0..days * 1440 {
        grid.minute(utc);
        step(&mut keeper, &grid, now, utc);
        // Within an incident its verdict's words move every ten seconds.
        for part in 1..6 {
            let later = Duration::from_secs(10 * part);
            if grid.moment(utc + later) {
                step(&mut keeper, &grid, now + later, utc + later);
            }
        }
        now = now + MINUTE;
        utc = utc + MINUTE;
        if minute % 14_400 == 14_399 {
            println!(
                "  day {:>2}: {:>7.1} MB",
                minute / 1440 + 1,
                reader.span().bytes as f64 / 1e6
            );
        }
    }
    keeper.close(now);
    let stats = reader.stats();
    println!(
        "  {} records in {} segments, {:.1} MB before compression, {} errors",
        stats.records_total,
        stats.segments,
        stats.written_bytes_total as f64 / 1e6,
        stats.write_errors_total
    );
    println!(
        "  recording: {:.0} µs a look at the view, disk and compression included ({steps} looks)",
        spent.as_secs_f64() * 1e6 / steps as f64
    );
    (reader, start, utc)
}

fn read(reader: &Reader, start: Timestamp, end: Timestamp) {
    let mut dice = Dice::new(99);
    let span = end.since(start);
    let anywhere = (0..200)
        .map(|_| start + span.mul_f64(dice.share() * 0.9999))
        .collect();
    measure(reader, "a picture anywhere in it", anywhere);
    let middle = start + span / 2;
    let forward = (0..600).map(|n| middle + Duration::from_secs(n)).collect();
    measure(reader, "played forward, second by second", forward);
    let dragged = (0..300)
        .map(|n| middle + Duration::from_secs(3000 - 10 * n))
        .collect();
    measure(reader, "dragged back over an hour", dragged);
    let timed = |what: &str, work: &mut dyn FnMut() -> usize| {
        let begun = std::time::Instant::now();
        let count = work();
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        println!("  {what}: {ms:.1} ms ({count})");
    };
    let (from, to) = ("fra-node-00", "nyc-node-01");
    for (what, wide) in [("a day", 1), ("all of it", 400)] {
        let since = end - Duration::from_secs(wide * 86_400);
        timed(&format!("a link's points over {what}"), &mut || {
            reader.link(from, to, since, end).unwrap().points.len()
        });
        timed(&format!("what changed over {what}"), &mut || {
            reader.changes(since, end, 2_000).unwrap().len()
        });
    }
}

fn measure(reader: &Reader, what: &str, moments: Vec<Timestamp>) {
    let mut times: Vec<f64> = Vec::new();
    let mut bytes = 0;
    for at in &moments {
        let begun = std::time::Instant::now();
        let picture = reader.picture_at(*at).unwrap();
        // What an API answers.
        bytes = serde_json::to_vec(&picture).unwrap().len();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(picture.links.len(), NODES * (NODES - 1));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "  {what}: median {:.1} ms, p95 {:.1} ms, most {:.1} ms of {LIMIT_MS} ms as JSON of {} kB: {}",
        at(0.5),
        at(0.95),
        at(1.0),
        bytes / 1000,
        said(at(0.95) <= LIMIT_MS)
    );
}
