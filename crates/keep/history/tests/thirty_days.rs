//! An hour and a bit of the month that `examples/thirty_days` records: what 30 days of 50
//! nodes would take, and that each moment of it is read.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../examples/thirty_days/weather.rs"]
mod weather;

use andon_history::{HistoryOptions, Keeper};
use andon_model::{Instant, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use weather::{Grid, Weather};

#[test]
fn fifty_nodes_fit_thirty_days_into_a_gigabyte_even_in_a_storm() {
    for weather in [Weather::Ordinary, Weather::Storm] {
        let dir = std::env::temp_dir().join(format!("andon-month-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let start = Timestamp::parse("2026-11-01T00:00:00Z").unwrap();
        let mut grid = Grid::new(50, weather, 7, start);
        let (mut keeper, reader) = Keeper::new(HistoryOptions::new(&dir));
        let mut shown = Vec::new();
        // Sealed at the full hour: what is measured is compressed.
        for minute in 0..=60 {
            let utc = start + Duration::from_secs(60 * minute);
            let now = Instant(1_000_000) + Duration::from_secs(60 * minute);
            grid.minute(utc);
            if minute == 60 {
                keeper.step(now, utc, &Arc::new(grid.view.clone()), None);
                break;
            }
            for part in 0..3 {
                let later = Duration::from_secs(2 * part);
                if part == 0 || grid.moment(utc + later) {
                    keeper.step(now + later, utc + later, &Arc::new(grid.view.clone()), None);
                    shown.push((utc + later, grid.view.clone()));
                }
            }
        }
        let hour = std::fs::metadata(dir.join("0000000000.seal"))
            .unwrap()
            .len();
        let month = hour * 24 * 30;
        eprintln!(
            "{weather:?}: an hour takes {} kB, 30 days {} MB",
            hour / 1000,
            month / 1_000_000
        );
        assert!(month <= 1_000_000_000, "{weather:?}: {month}");
        for (at, view) in shown {
            let told = reader.picture_at(at).unwrap();
            let states = |view: &andon_model::PictureView| -> Vec<_> {
                let links = view.links.iter();
                links
                    .map(|link| (link.from.clone(), link.to.clone(), link.state))
                    .collect()
            };
            assert_eq!(states(&told), states(&view), "{at}");
            assert_eq!(
                serde_json::to_value(&told.verdicts).unwrap(),
                serde_json::to_value(&view.verdicts).unwrap(),
                "{at}"
            );
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
}
