//! Numbers by size: 64 steps an octave, so that quantiles are within 1 % and add up over
//! servers. ClickHouse counts events by bin with `quantilesExactWeighted`, whose state is one
//! number for each bin that occurs, whatever the number of events.

/// Steps between a power of two and the next.
const STEPS: f64 = 64.0;
/// Makes the bin of the smallest positive number larger than zero.
const OCTAVES: f64 = 1_100.0;

/// SQL for the bin of a finite number: larger numbers have larger bins, zero has zero.
pub fn bin(number: &str) -> String {
    let size = format!("abs({number})");
    let octave = format!("floor(log2({size}))");
    let step = format!("floor(({size} / exp2({octave}) - 1) * {STEPS})");
    let bin = format!("(({octave} + {OCTAVES}) * {STEPS} + {step})");
    format!("if({number} = 0, 0, if({number} > 0, {bin}, -{bin}))")
}

/// The lower bound of a bin, towards zero.
pub fn lower(bin: f64) -> f64 {
    bound(bin, 0.0)
}

/// The number that stands for all of a bin.
pub fn middle(bin: f64) -> f64 {
    bound(bin, 0.5)
}

fn bound(bin: f64, part: f64) -> f64 {
    if bin == 0.0 {
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
            assert!(lower(bin).abs() <= number.abs() * (1.0 + 1e-12), "{number}");
        }
        assert_eq!(middle(0.0), 0.0);
    }
}
