//! Queues that are killed, filled, damaged and read again.

use super::*;
use crate::file;
use crate::options::StreamOptions;
use andon_model::time::Timestamp;
use std::sync::atomic::{AtomicU32, Ordering};

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("andon-spool-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One event whose text does not pack.
fn event(number: i64, bytes: usize) -> Vec<Event> {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b' ' + (state >> 57) as u8 % 95)
    };
    let text: String = (0..bytes).map(|_| letter()).collect();
    vec![
        Event::new(Timestamp(number))
            .with("n", andon_model::event::Value::Integer(number))
            .with("body", text),
    ]
}

fn numbers(queued: &[Queued]) -> Vec<i64> {
    let parcels = queued
        .iter()
        .map(|queued| Codec::unpack(&queued.parcel).unwrap());
    parcels.map(|parcel| parcel.events[0].at.0).collect()
}

fn limited(policy: Policy, bytes_max: u64) -> Options {
    Options {
        usual: StreamOptions {
            bytes_max,
            policy,
            priority: Priority::Normal,
        },
        streams: BTreeMap::new(),
    }
}

#[test]
fn what_was_pushed_comes_in_its_order_also_after_a_kill_and_once_it_arrived_never_again() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    for number in 1..=20 {
        assert_eq!(
            spool.push("a", event(number, 10), None).unwrap(),
            Pushed::Kept
        );
    }
    spool.arrived(Lane::Main, "a", 5).unwrap();
    // Nothing is closed: as if it had been killed here.
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    let heads = spool.heads(Lane::Main, 1 << 20).unwrap();
    assert_eq!(numbers(&heads), (6..=20).collect::<Vec<_>>());
    let parcel = Codec::unpack(&heads[0].parcel).unwrap();
    assert!(
        parcel.source.starts_with("spool-") && parcel.source.ends_with("/a"),
        "{}",
        parcel.source
    );
    assert_eq!(parcel.sequence, 6);
    spool.arrived(Lane::Main, "a", 20).unwrap();
    assert!(spool.is_empty() && spool.heads(Lane::Main, 1).unwrap().is_empty());
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    spool.push("a", event(21, 10), None).unwrap();
    let heads = spool.heads(Lane::Main, 1).unwrap();
    assert_eq!(heads[0].sequence, 21, "numbers never come again");
    let held = file::list(&dir.0.join("a")).unwrap();
    assert_eq!(held.len(), 1, "files that arrived are gone");
}

#[test]
fn a_record_cut_anywhere_was_not_acknowledged_and_the_ones_before_it_stay() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    for number in 1..=3 {
        spool.push("a", event(number, 30), None).unwrap();
    }
    let (_, path) = file::list(&dir.0.join("a")).unwrap().remove(0);
    let whole = fs::read(&path).unwrap();
    let (places, _) = file::scan(&path).unwrap();
    let second_ends = places[1].offset + u64::from(places[1].length);
    for cut in second_ends as usize..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let spool = Spool::open(&dir.0, Options::default()).unwrap();
        assert_eq!(
            numbers(&spool.heads(Lane::Main, 1 << 20).unwrap()),
            [1, 2],
            "cut at {cut}"
        );
        fs::write(&path, &whole).unwrap();
    }
    // A flipped bit in the middle: that record is lost and counted, the others are not.
    let mut flipped = whole.clone();
    flipped[places[1].offset as usize + 3] ^= 1;
    fs::write(&path, &flipped).unwrap();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    assert_eq!(numbers(&spool.heads(Lane::Main, 1 << 20).unwrap()), [1, 3]);
    assert_eq!(spool.report()[0].dropped["damaged"], 1);
}

#[test]
fn a_full_queue_does_what_its_policy_says_and_counts_it() {
    let push = |policy| {
        let dir = Dir::new();
        let spool = Spool::open(&dir.0, limited(policy, 20 << 20)).unwrap();
        let mut refused = 0;
        for number in 0..60 {
            match spool.push("a", event(number, 1 << 20), None) {
                Ok(_) => {}
                Err(SpoolError::Full { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let report = spool.report().remove(0);
        assert!(report.bytes <= 20 << 20, "{report:?}");
        let numbers = numbers(&spool.heads(Lane::Main, usize::MAX).unwrap());
        (report, numbers, refused)
    };
    let (report, numbers, refused) = push(Policy::Block);
    assert_eq!(report.refused, refused);
    assert_eq!(report.pushed + refused, 60);
    assert_eq!(numbers[0], 0);
    let (report, numbers, _) = push(Policy::DropNewest);
    assert_eq!(numbers[0], 0);
    assert_eq!(report.dropped["newest"] + numbers.len() as u64, 60);
    let (report, numbers, _) = push(Policy::DropOldest);
    assert_eq!(numbers.last(), Some(&59));
    assert_eq!(report.dropped["oldest"] + numbers.len() as u64, 60);
}

#[test]
fn urgent_streams_go_first_and_a_sources_own_names_are_kept() {
    let dir = Dir::new();
    let urgent = StreamOptions {
        priority: Priority::High,
        ..StreamOptions::default()
    };
    let options = Options {
        streams: BTreeMap::from([("z".to_owned(), urgent)]),
        ..Options::default()
    };
    let spool = Spool::open(&dir.0, options).unwrap();
    spool.push("a", event(1, 5), None).unwrap();
    spool
        .push("z", event(2, 5), Some(("file/x".to_owned(), 77)))
        .unwrap();
    let heads = spool.heads(Lane::Main, 1 << 20).unwrap();
    assert_eq!(heads[0].stream, "z");
    let parcel = Codec::unpack(&heads[0].parcel).unwrap();
    assert_eq!((parcel.source.as_str(), parcel.sequence), ("file/x", 77));
    spool.arrived(Lane::Main, "z", heads[0].sequence).unwrap();
    assert_eq!(spool.heads(Lane::Main, 1 << 20).unwrap()[0].stream, "a");
    assert_eq!(spool.keeper(Lane::Main), None);
    spool.set_keeper("k-1").unwrap();
    assert_eq!(spool.keeper(Lane::Main).as_deref(), Some("k-1"));
}

#[test]
fn a_record_that_is_left_for_the_next_time_leaves_all_after_it() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    // One file is filled with large records, and a small one begins the next.
    let mut number = 0;
    let files = || file::list(&dir.0.join("a")).unwrap();
    while number == 0 || fs::metadata(&files()[0].1).unwrap().len() < 8 << 20 {
        number += 1;
        spool.push("a", event(number, 1 << 20), None).unwrap();
    }
    spool.push("a", event(number + 1, 10), None).unwrap();
    assert_eq!(files().len(), 2);
    assert_eq!(numbers(&spool.heads(Lane::Main, 1 << 20).unwrap()), [1]);
    spool.arrived(Lane::Main, "a", 1).unwrap();
    let rest = numbers(&spool.heads(Lane::Main, 1 << 30).unwrap());
    assert_eq!(rest, (2..=number + 1).collect::<Vec<_>>());
}

#[test]
fn a_record_stays_until_both_keepers_have_it_each_at_its_own_pace() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    spool.set_keeper("p").unwrap();
    spool.set_copy(Some("q"), &[], 0).unwrap();
    for number in 1..=5 {
        spool.push("a", event(number, 10), None).unwrap();
    }
    spool.arrived(Lane::Main, "a", 4).unwrap();
    assert_eq!(
        (spool.waiting(Lane::Main), spool.waiting(Lane::Copy)),
        (1, 5)
    );
    // Killed: what only one of them has is still there.
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    assert_eq!(spool.keeper(Lane::Copy).as_deref(), Some("q"));
    assert_eq!(numbers(&spool.heads(Lane::Main, 1 << 20).unwrap()), [5]);
    assert_eq!(spool.late("a"), 1, "it came before this start");
    let heads = spool.heads(Lane::Copy, 1 << 20).unwrap();
    assert_eq!(numbers(&heads), [1, 2, 3, 4, 5]);
    assert!(spool.gaps(Lane::Copy).is_empty(), "it gets all of them");
    spool.arrived(Lane::Copy, "a", 5).unwrap();
    assert!(!spool.is_empty());
    spool.arrived(Lane::Main, "a", 5).unwrap();
    spool.push("b", event(1, 10), None).unwrap();
    assert_eq!((spool.late("a"), spool.late("b")), (0, 0));
    spool.arrived(Lane::Main, "b", 1).unwrap();
    spool.arrived(Lane::Copy, "b", 1).unwrap();
    assert!(spool.is_empty() && file::list(&dir.0.join("a")).unwrap().is_empty());
}

#[test]
fn a_second_keeper_that_comes_later_is_told_what_it_lacks() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    spool.push("old", event(1, 10), None).unwrap();
    spool.push("waits", event(2, 10), None).unwrap();
    spool.arrived(Lane::Main, "old", 1).unwrap();
    let held = ["elsewhere".to_owned()];
    spool.set_copy(Some("q"), &held, 77).unwrap();
    let gaps = spool.gaps(Lane::Copy);
    let names: Vec<&str> = gaps.iter().map(|(_, gap)| gap.dataset.as_str()).collect();
    assert_eq!(names, ["elsewhere", "old"]);
    assert_eq!(gaps[1].1.to_us, 77);
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    assert_eq!(
        spool.gaps(Lane::Copy),
        gaps,
        "a kill does not make it whole"
    );
    assert_eq!(numbers(&spool.heads(Lane::Copy, 1 << 20).unwrap()), [2]);
    spool.gaps_told(Lane::Copy, &gaps).unwrap();
    assert!(spool.gaps(Lane::Copy).is_empty());
}

#[test]
fn a_keeper_that_is_away_for_too_long_does_not_stop_what_the_other_takes() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, limited(Policy::Block, 30 << 20)).unwrap();
    spool.set_keeper("p").unwrap();
    spool.set_copy(Some("q"), &[], 0).unwrap();
    for number in 1..=100 {
        spool.push("a", event(number, 1 << 20), None).unwrap();
        spool.arrived(Lane::Copy, "a", number as u64).unwrap();
    }
    let report = spool.report().remove(0);
    assert_eq!(report.dropped.values().sum::<u64>(), 0, "nothing is lost");
    assert_eq!(report.kept_once + report.events, 100, "{report:?}");
    assert!(
        report.kept_once > 60 && report.bytes <= 30 << 20,
        "{report:?}"
    );
    let gaps = spool.gaps(Lane::Main);
    assert_eq!((gaps[0].1.from_us, gaps[0].1.events), (1, report.kept_once));
    let first = numbers(&spool.heads(Lane::Main, 1).unwrap())[0];
    assert_eq!(first as u64, report.kept_once + 1);
    assert_eq!(gaps[0].1.to_us, first - 1);
    // It is gone for good: what the other has stays where it is.
    spool.set_keeper("r").unwrap();
    assert!(spool.is_empty());
}

#[test]
fn a_keeper_with_another_store_lacks_all_that_was_sent_to_it_before() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    let made_at = Timestamp(1_000);
    let lost = |lane| -> Vec<String> {
        let gaps = spool.gaps(lane).into_iter();
        gaps.filter(|(_, gap)| gap.is_lost && gap.to_us == 1_000)
            .map(|(name, _)| name)
            .collect()
    };
    assert!(!spool.met_store(Lane::Main, "one", made_at).unwrap());
    spool.set_keeper("k").unwrap();
    spool.push("a", event(1, 10), None).unwrap();
    for _ in 0..2 {
        assert!(!spool.met_store(Lane::Main, "one", made_at).unwrap());
    }
    assert!(spool.met_store(Lane::Main, "two", made_at).unwrap());
    assert_eq!(
        (lost(Lane::Main), lost(Lane::Copy).len()),
        (vec!["a".to_owned()], 0)
    );
    assert!(!spool.met_store(Lane::Main, "two", made_at).unwrap());
    spool
        .gaps_told(Lane::Main, &spool.gaps(Lane::Main))
        .unwrap();
    // Another keeper's store is another one anyway.
    spool.set_keeper("l").unwrap();
    assert!(!spool.met_store(Lane::Main, "three", made_at).unwrap());
    assert_eq!(
        (lost(Lane::Main).len(), spool.stores_lost(Lane::Main)),
        (0, 1)
    );
}

#[test]
fn a_spool_in_a_new_folder_calls_its_records_otherwise() {
    let source = || {
        let dir = Dir::new();
        let spool = Spool::open(&dir.0, Options::default()).unwrap();
        spool.push("a", event(1, 10), None).unwrap();
        drop(spool);
        let spool = Spool::open(&dir.0, Options::default()).unwrap();
        let heads = spool.heads(Lane::Main, 1).unwrap();
        Codec::unpack(&heads[0].parcel).unwrap().source
    };
    assert_ne!(source(), source());
    // One that an earlier version made goes on as it began.
    let dir = Dir::new();
    fs::create_dir_all(dir.0.join("a")).unwrap();
    let spool = Spool::open(&dir.0, Options::default()).unwrap();
    spool.push("a", event(1, 10), None).unwrap();
    let heads = spool.heads(Lane::Main, 1).unwrap();
    assert_eq!(Codec::unpack(&heads[0].parcel).unwrap().source, "spool/a");
}
