//! Records of other versions, and bytes of nobody.

use super::world::{START, World, grid, s};
use crate::bytes::Take;
use crate::news::NewsReader;
use crate::record::{Draft, Occasion, Record, kind, records};
use crate::replay::Replay;
use crate::series::{Range, SeriesReader};
use proptest::prelude::*;
use std::fs;

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
        let mut draft = Draft::new(record.at, occasion);
        draft.section(200, b"what a later version has to say");
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
                draft.section(kind, &grown);
            } else {
                draft.section(kind, content.0);
            }
        }
        draft.section(201, &[0; 40]);
        draft.frame(&mut later);
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
        let mut draft = Draft::new(START, occasion);
        for (kind, content) in &sections {
            draft.section(*kind, content);
        }
        let mut frame = Vec::new();
        draft.frame(&mut frame);
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
