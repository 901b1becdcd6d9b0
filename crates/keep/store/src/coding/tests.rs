//! Every coding gives back what it was given; no rubbish makes a decoder panic or take more
//! memory than a block may have.

use super::bloom::{Bloom, words_of, words_within};
use super::bytes::{Bytes, put_bytes, put_i64, put_u64};
use super::{BLOCK_ROWS_MAX, bits, column, floats, ints, pick, text};
use crate::batch::Batch;
use crate::column::{Column, ColumnType, Dict, DictRef, Rows, Texts, Values};
use crate::wal::{FRAME_HEAD, Frame, Origin};
use andon_model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

fn texts(all: &[String]) -> Texts {
    let mut texts = Texts::default();
    all.iter().for_each(|text| texts.push(text));
    texts
}

/// Shapes that columns have: clocks, counters, small numbers, runs, outliers, anything.
fn numbers() -> impl Strategy<Value = Vec<i64>> {
    let clock = (any::<i32>(), vec(0..3i64, 0..600)).prop_map(|(begin, jitter)| {
        let at = |(index, jitter)| i64::from(begin) + index as i64 * 15_000 + jitter;
        jitter.into_iter().enumerate().map(at).collect()
    });
    let counter = vec(0..500i64, 0..600).prop_map(|steps| {
        let mut sum = 0i64;
        let mut next = |step| {
            sum = if step == 7 { 0 } else { sum + step };
            sum * 100
        };
        steps.into_iter().map(&mut next).collect()
    });
    let outliers = vec((0..50i64, 0..200u32), 0..600).prop_map(|all| {
        let value = |(value, rare)| if rare == 0 { i64::MIN + value } else { value };
        all.into_iter().map(value).collect()
    });
    let runs = vec((any::<i64>(), 1..200usize), 0..12).prop_map(|runs| {
        runs.into_iter()
            .flat_map(|(value, count)| vec![value; count])
            .collect()
    });
    prop_oneof![
        clock,
        counter,
        outliers,
        runs,
        vec(any::<i64>(), 0..300),
        vec(-3..3i64, 0..600)
    ]
}

fn any_column() -> impl Strategy<Value = (Column, usize)> {
    let values = prop_oneof![
        vec(any::<bool>(), 0..300).prop_map(Values::Bool),
        numbers().prop_map(Values::Integer),
        vec(any::<f64>(), 0..300).prop_map(Values::Float),
        vec(-1_000..1_000i64, 0..300).prop_map(|all| Values::Float(
            all.into_iter().map(|value| value as f64 / 100.0).collect()
        )),
        vec(".{0,12}", 0..60).prop_map(|all| Values::Text(texts(&all))),
        vec("[0-9a-f]{16}", 0..60).prop_map(|all| Values::Text(texts(&all))),
        vec(0..5u16, 0..300).prop_map(|codes| {
            let words = ["a", "", "ö", "long one", "b"].map(String::from);
            let dict = DictRef::Own(Dict::of(texts(&words)));
            Values::Codes { codes, dict }
        }),
    ];
    (values, vec(0..4usize, 0..700)).prop_map(|(values, gaps)| {
        let mut present = Rows::none(0);
        let mut row = 0;
        for index in 0..values.len() {
            row += gaps.get(index).map_or(0, |&gap| gap.saturating_sub(2));
            present.grow(row + 1);
            present.add(row);
            row += 1;
        }
        let rows = row + gaps.len() % 5;
        present.grow(rows);
        let present = (values.len() < rows).then_some(present);
        (Column { present, values }, rows)
    })
}

fn same(left: &Values, right: &Values) -> bool {
    match (left, right) {
        (Values::Float(left), Values::Float(right)) => {
            let bits = |all: &[f64]| all.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            bits(left) == bits(right)
        }
        (left, right) => left == right,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn small_numbers_come_back(unsigned: u64, signed: i64, blob in vec(any::<u8>(), 0..40)) {
        let mut out = Vec::new();
        put_u64(&mut out, unsigned);
        put_i64(&mut out, signed);
        put_bytes(&mut out, &blob);
        let mut bytes = Bytes::new(&out);
        prop_assert_eq!(bytes.u64(), Ok(unsigned));
        prop_assert_eq!(bytes.i64(), Ok(signed));
        prop_assert_eq!(bytes.bytes(), Ok(blob.as_slice()));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn packs_come_back_at_every_width(values in vec(any::<u64>(), 1..=128), width in 0u32..=64) {
        let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        let values: Vec<u64> = values.into_iter().map(|value| value & mask).collect();
        let mut out = Vec::new();
        bits::pack(&mut out, &values, width);
        prop_assert_eq!(out.len(), bits::packed_bytes(values.len(), width));
        let mut back = [0; bits::PACK];
        bits::unpack(&out, width, &mut back);
        prop_assert_eq!(&back[..values.len()], values.as_slice());
    }

    #[test]
    fn whole_numbers_come_back(values in numbers()) {
        let mut out = Vec::new();
        ints::encode(&mut out, &values);
        let mut bytes = Bytes::new(&out);
        prop_assert_eq!(ints::decode(&mut bytes, values.len()), Ok(values));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn floats_come_back_to_the_bit(values in vec(prop_oneof![
        any::<f64>(),
        (-1_000_000..1_000_000i64).prop_map(|value| value as f64 / 1_000.0),
        any::<f32>().prop_map(f64::from),
        Just(-0.0), Just(f64::NAN), Just(f64::NEG_INFINITY),
    ], 0..400)) {
        let mut out = Vec::new();
        floats::encode(&mut out, &values);
        let back = floats::decode(&mut Bytes::new(&out), values.len()).unwrap();
        prop_assert!(same(&Values::Float(back), &Values::Float(values)));
    }

    #[test]
    fn columns_come_back((column, rows) in any_column()) {
        let mut out = Vec::new();
        column::encode(&mut out, &column, rows);
        for holds_text in [false, true] {
            let sealed = column::seal(&out, holds_text);
            let raw = column::unseal(&sealed).unwrap();
            let back = column::decode(&mut Bytes::new(&raw), rows, None).unwrap();
            prop_assert!(same(&back.values, &column.values));
            for row in 0..rows {
                prop_assert_eq!(back.has(row), column.has(row));
            }
        }
    }

    #[test]
    fn values_picked_one_by_one_are_those_of_the_whole_column(
        (column, rows) in any_column(), wanted in vec(any::<bool>(), 1..50),
    ) {
        let mut out = Vec::new();
        column::encode(&mut out, &column, rows);
        let wanted: Vec<u32> = (0..rows as u32)
            .filter(|row| wanted[*row as usize % wanted.len()])
            .collect();
        let picked = pick::pick(&mut Bytes::new(&out), rows, None, &wanted).unwrap();
        prop_assert_eq!(picked.len(), wanted.len());
        for (&row, picked) in wanted.iter().zip(&picked) {
            let told = |value: &Option<andon_model::event::Value>| format!("{value:?}");
            prop_assert_eq!(told(picked), told(&column.value(row as usize)));
        }
    }

    #[test]
    fn rubbish_is_refused_or_read_within_bounds(rubbish in vec(any::<u8>(), 0..400), rows in 0usize..2_000) {
        decode_all(&rubbish, rows);
    }

    #[test]
    fn a_changed_byte_is_refused_or_read_within_bounds(
        (column, rows) in any_column(), place: prop::sample::Index, change in 1u8..,
    ) {
        let mut out = Vec::new();
        column::encode(&mut out, &column, rows);
        let place = place.index(out.len());
        out[place] ^= change;
        decode_all(&out, rows);
    }

    #[test]
    fn frames_of_the_log_come_back_and_changed_ones_are_read_within_bounds(
        numbers in vec((any::<i64>(), "[a-z]{0,3}", proptest::option::of(-5..5i64)), 0..80),
        place: prop::sample::Index, change in 1u8..,
    ) {
        let mut batch = Batch::new();
        for (at, text, number) in &numbers {
            batch.begin(Timestamp(*at));
            batch.set_text("text", text);
            if let Some(number) = number {
                batch.set_integer("number", *number);
                batch.set_float("number", *number as f64 / 3.0);
            }
        }
        batch.end();
        let origin = Some(Origin { source: "node".into(), sequence: 9 });
        let frame = Frame { dataset: "web".into(), origin, batch };
        let mut payload = frame.encode().split_off(FRAME_HEAD);
        let back = Frame::decode(&payload).unwrap();
        prop_assert_eq!((&back.dataset, &back.origin), (&frame.dataset, &frame.origin));
        prop_assert_eq!(back.batch.events(), frame.batch.events());
        let place = place.index(payload.len());
        payload[place] ^= change;
        if let Ok(frame) = Frame::decode(&payload) {
            prop_assert_eq!(frame.batch.events().len(), frame.batch.len());
        }
    }

    #[test]
    fn a_filter_never_denies_a_word_it_has(lines in vec("[a-cA-C .:/]{0,30}", 1..20), part in "[a-cA-C .:]{0,6}") {
        let bloom = Bloom::of(&texts(&lines));
        let mut out = Vec::new();
        bloom.encode(&mut out);
        let back = Bloom::decode(&mut Bytes::new(&out));
        prop_assert_eq!(back.as_ref(), Ok(&bloom));
        for line in &lines {
            prop_assert!(bloom.may_have(&words_of(line)));
            if line.to_ascii_lowercase().contains(&part.to_ascii_lowercase()) {
                prop_assert!(bloom.may_have(&words_within(&part)), "{line:?} has {part:?}");
            }
        }
    }
}

/// Runs every decoder over bytes; what they answer must be of the size asked for.
fn decode_all(bytes: &[u8], rows: usize) {
    if let Ok(values) = ints::decode(&mut Bytes::new(bytes), rows) {
        assert_eq!(values.len(), rows);
    }
    if let Ok(codes) = ints::decode_codes(&mut Bytes::new(bytes), rows, 10) {
        assert!(codes.len() == rows && codes.iter().all(|&code| code < 10));
    }
    if let Ok(values) = floats::decode(&mut Bytes::new(bytes), rows) {
        assert_eq!(values.len(), rows);
    }
    if let Ok(texts) = text::decode(&mut Bytes::new(bytes), rows) {
        assert_eq!(texts.iter().count(), rows);
    }
    let some: Vec<u32> = (0..rows as u32).step_by(7).collect();
    if let Ok(picked) = pick::pick(&mut Bytes::new(bytes), rows, None, &some) {
        assert_eq!(picked.len(), some.len());
    }
    if let Ok(column) = column::decode(&mut Bytes::new(bytes), rows, None) {
        let present = (0..rows).filter(|&row| column.has(row)).count();
        assert_eq!(present, column.values.len());
        (0..column.values.len()).for_each(|index| drop(column.values.get(index)));
    }
    assert!(column::decode(&mut Bytes::new(bytes), BLOCK_ROWS_MAX + 1, None).is_err());
    let _ = column::decode_dict(&mut Bytes::new(bytes));
    let _ = column::unseal(bytes);
    let _ = Frame::decode(bytes);
    let _ = Bloom::decode(&mut Bytes::new(bytes));
    let _ = crate::segment::footer::Footer::decode(bytes);
}

#[test]
fn what_belongs_together_takes_few_bits() {
    let bytes = |values: &[i64]| {
        let mut out = Vec::new();
        ints::encode(&mut out, values);
        out.len()
    };
    let clock: Vec<i64> = (0..12_800)
        .map(|step| 1_795_132_800_000_000 + step * 15_000_000)
        .collect();
    assert!(
        bytes(&clock) < 12_800 / 8,
        "a steady clock: {} bytes",
        bytes(&clock)
    );
    let counters: Vec<i64> = (0..12_800)
        .map(|step| (step % 400) * 300 + step / 400)
        .collect();
    assert!(
        bytes(&counters) < 12_800 / 2,
        "counters that restart: {} bytes",
        bytes(&counters)
    );
    let labels: Vec<i64> = (0..12_800).map(|step| step / 400).collect();
    assert!(bytes(&labels) < 200, "runs: {} bytes", bytes(&labels));
}

#[test]
fn a_compressed_piece_cannot_unfold_beyond_a_block() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let mut sealed = vec![1];
    put_u64(&mut sealed, 64 << 20);
    sealed.extend_from_slice(&bomb);
    assert!(column::unseal(&sealed).is_err());
    let mut lying = vec![1];
    put_u64(&mut lying, 1_000);
    lying.extend_from_slice(&bomb);
    assert!(column::unseal(&lying).is_err());
}

#[test]
fn columns_of_each_type_begin_empty() {
    for kind in ColumnType::ALL {
        assert_eq!(Values::empty(kind).kind(), kind);
    }
}
