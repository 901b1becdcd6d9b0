//! Records of other versions, and bytes of nobody.

use super::world::{START, World, grid, s};
use crate::bytes::Take;
use crate::news::NewsReader;
use crate::record::{Occasion, Record, kind, put_record, records};
use crate::replay::Replay;
use crate::series::{Range, SeriesReader};
use proptest::prelude::*;
use std::fs;

fn borrowed(sections: &[(u8, Vec<u8>)]) -> Vec<(u8, &[u8])> {
    let sections = sections.iter();
    sections
        .map(|(kind, content)| (*kind, content.as_slice()))
        .collect()
}

#[test]
fn sections_and_fields_of_a_later_version_are_left_out() {
    let mut world = World::new();
    world.show(grid(3));
    world.pass(s(3));
    let path = world.options.dir.join("0000000000.open");
    let bytes = fs::read(&path).unwrap();
    let mut later = bytes[..16].to_vec();
    for (record, _) in records(&bytes[16..]) {
        let occasion = if record.whole {
            Occasion::Life
        } else {
            Occasion::Change
        };
        let mut sections = vec![(200, b"what a later version has to say".to_vec())];
        for (kind, content) in record.sections() {
            if kind == kind::LINKS {
                // Each link has grown by a field.
                let mut grown = Vec::new();
                let mut take = Take(content.0);
                while !take.is_empty() {
                    let mut link = take.bytes().unwrap().to_vec();
                    link.extend_from_slice(b"more");
                    crate::bytes::put_bytes(&mut grown, &link);
                }
                sections.push((kind, grown));
            } else {
                sections.push((kind, content.0.to_vec()));
            }
        }
        sections.push((201, vec![0; 40]));
        put_record(&mut later, record.at, occasion, &borrowed(&sections));
    }
    let before = world.reader.picture_at(START + s(1)).unwrap();
    fs::write(&path, later).unwrap();
    world.restart();
    world.step();
    assert_eq!(world.reader.picture_at(START + s(1)).unwrap(), before);
}

#[test]
fn a_segment_of_a_later_format_is_left_as_it_is() {
    let mut world = World::new();
    world.show(grid(3));
    world.pass(s(3));
    let path = world.options.dir.join("0000000000.open");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    fs::write(&path, &bytes).unwrap();
    world.restart();
    world.pass(s(3));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(world.files(), ["0000000000.open", "0000000001.open"]);
    assert!(world.reader.picture_at(world.utc).is_ok());
}

proptest! {
    #[test]
    fn rubbish_in_sections_is_an_error_and_never_a_panic(
        sections in proptest::collection::vec(
            (1..14u8, proptest::collection::vec(any::<u8>(), 0..60)), 0..12),
        whole: bool,
    ) {
        let occasion = if whole { Occasion::Whole } else { Occasion::Minute };
        let mut frame = Vec::new();
        put_record(&mut frame, START, occasion, &borrowed(&sections));
        let (record, length) = Record::first(&frame).unwrap();
        prop_assert_eq!(length, frame.len());
        let mut replay = Replay::default();
        let _ = replay.apply(&record);
        let _ = replay.view(START);
        let _ = NewsReader::default().apply(&record);
        let mut series = SeriesReader::new("a", "b", Range::new(START, START + s(60)));
        let _ = series.apply(&record);
        let _ = series.finish();
    }

    #[test]
    fn rubbish_for_frames_ends_the_reading(bytes: Vec<u8>) {
        prop_assert!(records(&bytes).count() <= bytes.len());
    }
}
