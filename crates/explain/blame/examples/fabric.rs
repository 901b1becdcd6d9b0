//! Prints how often path blame names what is broken, over seeded fat trees and WANs. Run with
//! `--release`; arguments: how many worlds of each shape, the first seed, `notes` to see what
//! went wrong, `wan` or `fat-tree` for one shape alone.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // It prints.

#[path = "../tests/world/mod.rs"]
mod world;

use world::probes::EYES;
use world::score::{Score, Shape, world as judged};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let worlds: u64 = arguments
        .first()
        .map_or(1_000, |text| text.parse().unwrap());
    let first: u64 = arguments.get(1).map_or(0, |text| text.parse().unwrap());
    let notes = arguments.iter().any(|text| text == "notes");
    println!(
        "| shape | faults | worlds | seen | named | one pair or router | wrong verdicts | worlds with one | judge p50 / max, ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    let all = [(Shape::FatTree, "fat-tree"), (Shape::Wan, "wan")];
    let given = |name: &str| arguments.iter().any(|text| text == name);
    let one = all
        .iter()
        .find(|(_, name)| given(name))
        .map(|(shape, _)| *shape);
    for (shape, _) in all
        .into_iter()
        .filter(|(shape, _)| one.is_none_or(|one| one == *shape))
    {
        let mut all = Score::default();
        for number in 0..=3 {
            let mut score = Score::default();
            for seed in (first..first + worlds).filter(|seed| seed % 4 == number) {
                score.add(judged(seed, shape, EYES, Some(number as usize)));
            }
            row(shape, &number.to_string(), &mut score);
            all.add(score);
        }
        row(shape, "0-3", &mut all);
        if notes {
            for note in &all.notes {
                println!("{note}");
            }
        }
        println!("left beside path faults, {shape:?}: {:?}", all.others);
    }
}

fn row(shape: Shape, faults: &str, score: &mut Score) {
    score.micros.sort_unstable();
    let micros = &score.micros;
    let ms = |at: usize| micros.get(at).copied().unwrap_or(0) as f64 / 1e3;
    println!(
        "| {shape:?} | {faults} | {} | {} of {} | {:.1} % | {:.1} % | {} of {} ({:.2} %) | {} | {:.1} / {:.1} |",
        score.worlds,
        score.faults - score.faint,
        score.faults,
        score.named_share() * 100.0,
        score.narrow_share() * 100.0,
        score.wrong,
        score.verdicts,
        score.wrong_share() * 100.0,
        score.wrong_worlds,
        ms(micros.len() / 2),
        ms(micros.len().saturating_sub(1)),
    );
}
