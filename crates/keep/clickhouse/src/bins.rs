//! Numbers by size: 64 steps an octave, so that quantiles are within 1 % and add up over
//! servers. ClickHouse counts events by bin with `quantilesExactWeighted`, whose state is one
//! number for each bin that occurs, whatever the number of events.

/// Steps between a power of two and the next.
const STEPS: f64 = 64.0;
/// Makes the bin of the smallest positive number larger than zero.
const OCTAVES: f64 = 1_100.0;

/// The bin of zero. No number has bin zero: there ClickHouse says that there was none.
const ZERO: f64 = 0.5;

/// SQL for the bin of a finite number: larger numbers have larger bins.
pub fn bin(number: &str) -> String {
    let size = format!("abs({number})");
    let octave = format!("floor(log2({size}))");
    let step = format!("floor(({size} / exp2({octave}) - 1) * {STEPS})");
    let bin = format!("(({octave} + {OCTAVES}) * {STEPS} + {step})");
    format!("if({number} = 0, {ZERO}, if({number} > 0, {bin}, -{bin}))")
}

/// Bins of a heatmap at most: what a screen shows. As in the embedded store.
const HEATMAP_BINS: f64 = 40.0;

/// How many steps a doubling keep all of these bins few enough: a power of two up to 64.
pub fn steps(bins: &[f64]) -> usize {
    let places = || bins.iter().map(|bin| place(*bin));
    let first = places().fold(f64::INFINITY, f64::min);
    let last = places().fold(f64::NEG_INFINITY, f64::max);
    let mut steps = STEPS;
    while steps > 1.0 && ((last - first) / (STEPS / steps)).floor() + 1.0 > HEATMAP_BINS {
        steps /= 2.0;
    }
    steps as usize
}

/// A bin counted as the embedded store does, from zero.
fn place(bin: f64) -> f64 {
    const SHIFT: f64 = (OCTAVES - 1_023.0) * STEPS;
    if bin.abs() < 1.0 {
        return 0.0;
    }
    (bin.abs() - SHIFT).max(0.0).copysign(bin)
}

/// The lower bound of the coarse bin that a bin is in, with so many steps a doubling.
pub fn lower(bin: f64, steps: usize) -> f64 {
    let width = STEPS / steps.clamp(1, 64) as f64;
    let place = place(bin);
    let low = match place >= 0.0 {
        true => (place / width).floor() * width,
        // A bin's bound is its lowest number: for negative ones the one away from zero.
        false => -((-place / width).floor() + 1.0) * width,
    };
    let octave = (low.abs() / STEPS).floor();
    let step = low.abs() - octave * STEPS;
    if low == 0.0 {
        return 0.0;
    }
    ((octave - 1_023.0).exp2() * (1.0 + step / STEPS)).copysign(low)
}

/// The number that stands for all of a bin; not a number where there was none.
pub fn middle(bin: f64) -> f64 {
    if bin == 0.0 {
        f64::NAN
    } else {
        bound(bin, 0.5)
    }
}

fn bound(bin: f64, part: f64) -> f64 {
    if bin.abs() < 1.0 {
        return 0.0;
    }
    let octave = (bin.abs() / STEPS).floor();
    let step = bin.abs() - octave * STEPS;
    let size = (octave - OCTAVES).exp2() * (1.0 + (step + part) / STEPS);
    size.copysign(bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the SQL works out.
    fn bin_of(number: f64) -> f64 {
        let octave = number.abs().log2().floor();
        let step = ((number.abs() / octave.exp2() - 1.0) * STEPS).floor();
        ((octave + OCTAVES) * STEPS + step).copysign(number)
    }

    #[test]
    fn the_middle_of_a_numbers_bin_is_within_a_hundredth_of_it() {
        for number in [
            1e-300, 0.001, 0.999_999, 1.0, 1.015_625, 63.9, 1e9, 1.7e308, -5.5,
        ] {
            let bin = bin_of(number);
            let error = (middle(bin) - number).abs() / number.abs();
            assert!(error < 0.008, "{number}: {error}");
            assert!(lower(bin, 64) <= number * (1.0 + 1e-12), "{number}");
        }
        let coarse = [1.0, 1.9, 2.0, 3.9, 4.0, -1.5].map(|number| lower(bin_of(number), 1));
        assert_eq!(coarse, [1.0, 1.0, 2.0, 2.0, 4.0, -2.0]);
        assert_eq!(steps(&[bin_of(1.0), bin_of(1.9)]), 32);
        assert_eq!(steps(&[bin_of(1e-6), bin_of(1e6)]), 1);
        assert_eq!(middle(ZERO), 0.0);
        assert!(middle(0.0).is_nan());
    }
}
