//! What is written comes back, and no changed byte goes unnoticed.

use super::footer::RowOrder;
use super::write::{Label, by_time, write};
use super::{Segment, file_name};
use crate::batch::Batch;
use andon_model::event::{Event, Value};
use andon_model::time::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("andon-segment-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn events(count: i64) -> Vec<Event> {
    let event = |number: i64| {
        let mut event = Event::new(Timestamp((number * 7_919) % (count * 10)))
            .with("service.name", format!("service-{}", number % 3))
            .with(
                "body",
                format!("request {number} of user-{} took long", number * number),
            )
            .with("trace_id", format!("{:016x}", number * 0x1234_5678_9abc));
        event.set("duration_ms", Value::Float(number as f64 / 10.0));
        if number % 3 == 0 {
            event.set("status", Value::Integer(number));
        } else if number % 3 == 1 {
            event.set("status", Value::from("lost"));
        }
        if number % 50 == 0 {
            event.set("rare", Value::Bool(number % 100 == 0));
        }
        event
    };
    (0..count).map(event).collect()
}

fn write_some(dir: &Path, events: &[Event]) -> PathBuf {
    let halves = events.split_at(events.len() / 3);
    let batches = [Arc::new(Batch::of(halves.0)), Arc::new(Batch::of(halves.1))];
    let label = Label {
        dataset: "web".into(),
        id: 7,
        wal: 3,
        replaces: vec![1, 2],
        sealed_at: 99,
        order: RowOrder::Time,
    };
    write(dir, label, &batches, &by_time(&batches, |_| true)).unwrap();
    dir.join(file_name(7))
}

fn sorted(event: &Event) -> (Timestamp, Vec<(String, String)>) {
    let attributes = event.attributes.iter();
    let mut attributes: Vec<_> = attributes
        .map(|(name, value)| (name.clone(), format!("{value:?}")))
        .collect();
    attributes.sort();
    (event.at, attributes)
}

#[test]
fn events_come_back_in_the_order_of_time_with_every_value_of_its_type() {
    let folder = Folder::new("back");
    let mut expected = events(1_000);
    let path = write_some(&folder.0, &expected);
    expected.sort_by_key(|event| event.at);
    let segment = Segment::open(&path).unwrap();
    assert_eq!(
        (segment.rows, segment.wal, segment.replaces.as_slice()),
        (1_000, 3, &[1, 2][..])
    );
    let read = segment.reader().unwrap().batch(0).unwrap();
    let read: Vec<_> = read.events().iter().map(sorted).collect();
    let expected: Vec<_> = expected.iter().map(sorted).collect();
    assert_eq!(read, expected);
    assert!(segment.reader().unwrap().check().is_empty());
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let folder = Folder::new("flip");
    let path = write_some(&folder.0, &events(300));
    let whole = std::fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&path, &bytes).unwrap();
        let noticed = match Segment::open(&path) {
            Err(_) => true,
            Ok(segment) => !segment.reader().unwrap().check().is_empty(),
        };
        assert!(noticed, "byte {place} of {} changed unnoticed", whole.len());
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = Folder::new("cut");
    let path = write_some(&folder.0, &events(100));
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(13) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(
            Segment::open(&path).is_err(),
            "{length} of {} bytes were taken",
            whole.len()
        );
    }
}

#[test]
fn long_texts_make_short_blocks() {
    let folder = Folder::new("long");
    let long = |number: i64| {
        Event::new(Timestamp(number)).with("body", format!("{number} ").repeat(40_000))
    };
    let events: Vec<Event> = (100..250).map(long).collect();
    let path = write_some(&folder.0, &events);
    let segment = Segment::open(&path).unwrap();
    let reader = segment.reader().unwrap();
    assert!(
        reader.footer.blocks.len() > 2,
        "{} blocks",
        reader.footer.blocks.len()
    );
    let read =
        (0..reader.footer.blocks.len()).flat_map(|block| reader.batch(block).unwrap().events());
    assert!(read.eq(events));
}
