//! Torn writes, kills in the middle, full disks, clocks that jump, room that ends.

use super::world::{START, World, down, grid, ms, s};
use crate::HistoryOptions;
use crate::reader::ReadError;
use andon_model::{LinkState, Timestamp};
use std::fs;

fn state_at(world: &World, at: Timestamp) -> LinkState {
    world.reader.picture_at(at).unwrap().links[0].state
}

/// Up at `START`, down ten seconds later.
fn fall(world: &mut World) -> Timestamp {
    let mut view = grid(3);
    world.show(view.clone());
    world.pass(s(10));
    down(&mut view, "n000", "n001", world.utc);
    let fell = world.show(view);
    world.pass(s(10));
    fell
}

#[test]
fn a_kill_at_any_byte_loses_a_torn_record_and_nothing_before_it() {
    let mut world = World::new();
    let fell = fall(&mut world);
    let path = world.options.dir.join("0000000000.open");
    let whole = fs::read(&path).unwrap();
    let (_, first) = crate::record::records(&whole[16..]).next().unwrap();
    let (mut seen_up, mut seen_down) = (0, 0);
    for length in (0..=whole.len()).rev().step_by(3) {
        let _ = fs::remove_dir_all(&world.options.dir);
        fs::create_dir_all(&world.options.dir).unwrap();
        fs::write(&path, &whole[..length]).unwrap();
        world.restart();
        world.utc = START + s(30);
        world.view = std::sync::Arc::new(grid(0));
        world.step();
        match world.reader.picture_at(fell + ms(1)) {
            Ok(view) if view.links[0].state == LinkState::Up => seen_up += 1,
            Ok(_) => seen_down += 1,
            Err(ReadError::Empty) => assert!(length < first + 16, "{length}"),
            Err(error) => panic!("{error} at {length}"),
        }
        // It goes on from there.
        world.show(grid(3));
        world.pass(s(2));
        assert_eq!(state_at(&world, START + s(31)), LinkState::Up);
    }
    assert!(seen_up > 3 && seen_down > 0, "{seen_up} {seen_down}");
    // A tail of other bytes is cut off as well.
    let mut torn = whole.clone();
    torn.extend_from_slice(&[7, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let _ = fs::remove_dir_all(&world.options.dir);
    fs::create_dir_all(&world.options.dir).unwrap();
    fs::write(&path, torn).unwrap();
    world.restart();
    world.utc = START + s(30);
    world.step();
    assert_eq!(world.reader.stats().cut_bytes_total, 15);
    assert_eq!(state_at(&world, fell), LinkState::Down);
}

#[test]
fn a_kill_in_the_middle_of_sealing_leaves_one_whole_segment() {
    let mut world = World::new();
    let fell = fall(&mut world);
    let dir = world.options.dir.clone();
    let open = fs::read(dir.join("0000000000.open")).unwrap();
    // Sealed by the next hour.
    world.pass(s(3600));
    let seal = fs::read(dir.join("0000000000.seal")).unwrap();
    let cases: [&[(&str, &[u8])]; 4] = [
        &[
            ("0000000000.open", &open),
            ("0000000000.part", &seal[..seal.len() / 2]),
        ],
        &[("0000000000.open", &open), ("0000000000.seal", &seal)],
        &[("0000000000.seal", &seal)],
        &[
            ("0000000000.open", &open),
            ("0000000001.open", b"ANDONLOG\x01\0\0\0\0\0\0\0"),
        ],
    ];
    for files in cases {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for (name, bytes) in files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        world.restart();
        world.step();
        assert_eq!(state_at(&world, fell), LinkState::Down);
        assert_eq!(state_at(&world, fell - ms(1)), LinkState::Up);
        assert_eq!(world.reader.stats().set_aside_total, 0);
        assert!(world.files().iter().all(|name| !name.ends_with("part")));
        world.pass(s(2));
        assert!(world.reader.picture_at(world.utc).is_ok());
    }
}

#[test]
fn a_damaged_segment_is_set_aside_and_the_others_are_read() {
    let mut world = World::new();
    world.options.segment_span = s(300);
    world.restart();
    world.show(grid(3));
    world.pass(s(1500));
    let dir = world.options.dir.clone();
    for (name, flip) in [("0000000001.seal", 70), ("0000000002.seal", 20)] {
        let mut bytes = fs::read(dir.join(name)).unwrap();
        bytes[flip] ^= 0x40;
        fs::write(dir.join(name), bytes).unwrap();
    }
    world.keeper.close(world.now);
    world.restart();
    world.step();
    for (at, fine) in [(100, true), (400, false), (700, false), (1000, true)] {
        let told = world.reader.picture_at(START + s(at));
        assert_eq!(told.is_ok(), fine, "{at} {told:?}");
    }
    assert_eq!(world.reader.stats().set_aside_total, 2);
    assert!(world.files().contains(&"0000000001.bad".to_owned()));
    world.reader.changes(START, START + s(2000), 10).unwrap();
    world
        .reader
        .link("n000", "n001", START, START + s(2000))
        .unwrap();
}

#[test]
fn a_full_disk_pauses_recording_and_room_resumes_it() {
    let mut world = World::new();
    world.show(grid(3));
    world.pass(s(30));
    world.options.free_min = u64::MAX;
    world.keeper.close(world.now);
    world.restart();
    world.pass(s(30));
    let stats = world.reader.stats();
    assert!(stats.paused && stats.write_errors_total >= 2, "{stats:?}");
    assert!(!world.reader.span().recording);
    // What was there is still read.
    assert!(world.reader.picture_at(START + s(5)).is_ok());
    world.options.free_min = 0;
    world.keeper.close(world.now);
    world.restart();
    world.pass(s(30));
    assert!(!world.reader.stats().paused);
    assert!(world.reader.picture_at(world.utc).is_ok());
}

/// A file system of its own that really is full. Needs root.
#[test]
fn a_disk_that_really_is_full_pauses_recording_until_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT RUN: mounting a small file system needs root");
        return;
    }
    let mut world = World::new();
    let dir = world.options.dir.clone();
    fs::create_dir_all(&dir).unwrap();
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&dir)
            .status();
        done.is_ok_and(|status| status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs"]) {
        eprintln!("NOT RUN: cannot mount a small file system");
        return;
    }
    let _ = fs::write(dir.join("ballast"), vec![1; 1 << 20]);
    world.show(grid(12));
    world.pass(s(25));
    let stats = world.reader.stats();
    let paused = stats.paused;
    fs::remove_file(dir.join("ballast")).unwrap();
    world.pass(s(25));
    let resumed = !world.reader.stats().paused;
    let links = world
        .reader
        .picture_at(world.utc)
        .map(|view| view.links.len());
    // The disk fills again while a segment is written.
    let ballast = fs::write(dir.join("ballast"), vec![1; 1 << 20]);
    let mut view = grid(12);
    for round in 0..400u32 {
        view.links[round as usize % 100].flows.ok = (round % 9) as u16;
        view.verdicts = vec![super::world::verdict(
            "x",
            &"word ".repeat(90 + round as usize),
        )];
        world.show(view.clone());
    }
    let again = world.reader.stats();
    fs::remove_file(dir.join("ballast")).unwrap();
    world.pass(s(25));
    let last = world.reader.picture_at(world.utc).map(|view| view.verdicts);
    // It keeps a file open.
    world.restart();
    assert!(mount(&["umount"]));
    assert!(paused, "{stats:?}");
    assert!(resumed);
    assert_eq!(links.unwrap(), 12 * 11);
    assert!(ballast.is_err());
    assert!(again.paused && again.write_errors_total > stats.write_errors_total);
    assert_eq!(last.unwrap(), world.view.verdicts);
}

#[test]
fn the_oldest_segments_make_room() {
    let mut options = HistoryOptions::new(super::world::scratch());
    options.free_min = 0;
    options.bytes_max = 64 * 1024;
    let mut world = World::with(options);
    let mut view = grid(6);
    world.show(view.clone());
    for round in 0..4_000u32 {
        view.links[(round % 30) as usize].flows.ok = (round * 7 % 9) as u16;
        view.links[(round % 29) as usize].rtt_us.p50 = Some(round.wrapping_mul(2_654_435_761));
        world.pass(s(20));
        world.show(view.clone());
    }
    let (span, stats) = (world.reader.span(), world.reader.stats());
    let on_disk: u64 = fs::read_dir(&world.options.dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(on_disk, stats.bytes);
    assert!(stats.bytes <= 64 * 1024, "{stats:?}");
    assert!(
        stats.bytes >= 24 * 1024 && stats.retired_total > 2,
        "{stats:?}"
    );
    assert!(world.reader.picture_at(span.from.unwrap()).is_ok());
    assert!(matches!(
        world.reader.picture_at(START),
        Err(ReadError::Before { .. })
    ));
}

#[test]
fn age_ends_segments_and_a_clock_that_jumps_does_not() {
    let mut options = HistoryOptions::new(super::world::scratch());
    options.free_min = 0;
    options.keep = s(3 * 3600);
    let mut world = World::with(options);
    world.show(grid(3));
    world.pass(s(6 * 3600));
    let first = world.reader.span().from.unwrap();
    let kept = world.utc.since(first);
    assert!((s(3 * 3600)..s(5 * 3600)).contains(&kept), "{kept:?}");
    // A year ahead, for five minutes.
    let jump = s(365 * 86_400);
    world.utc = world.utc + jump;
    world.pass(s(300));
    world.utc = world.utc - jump;
    world.pass(s(3600));
    assert!(world.reader.picture_at(first + s(4000)).is_ok());
    assert!(world.reader.picture_at(world.utc).is_ok());
    // Ahead for good: after a while it is believed.
    world.utc = world.utc + jump;
    world.pass(s(3 * 3600));
    assert!(world.reader.span().from.unwrap() > first + s(364 * 86_400));
}

#[test]
fn a_clock_that_goes_back_is_recorded_anew_and_the_later_record_counts() {
    let mut world = World::new();
    let fell = fall(&mut world);
    world.pass(s(600));
    let far = world.utc;
    world.utc = START;
    world.show(grid(3));
    world.pass(s(60));
    // Both lives of 03:00:15 were recorded; the second counts.
    assert_eq!(state_at(&world, fell + s(5)), LinkState::Up);
    assert_eq!(state_at(&world, far - s(60)), LinkState::Down);
    // A small step back is smoothed over: no new segment, time stays in order.
    let files = world.files().len();
    world.utc = world.utc - ms(1_500);
    let mut view = grid(3);
    down(&mut view, "n000", "n001", world.utc);
    world.show(view);
    world.pass(s(3));
    assert_eq!(world.files().len(), files);
    assert_eq!(state_at(&world, world.utc), LinkState::Down);
}

#[test]
fn time_without_a_recorder_is_told_as_a_gap() {
    let mut world = World::new();
    fall(&mut world);
    world.keeper.close(world.now);
    let left = world.utc;
    world.utc = world.utc + s(1800);
    world.restart();
    world.pass(s(100));
    assert!(world.reader.picture_at(left + s(30)).is_ok());
    match world.reader.picture_at(left + s(900)) {
        Err(ReadError::Gap { .. } | ReadError::After { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(world.reader.picture_at(left + s(1801)).is_ok());
    // A quick restart goes on in the same segment.
    assert_eq!(world.files(), ["0000000000.open"]);
}
