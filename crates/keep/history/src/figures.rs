//! The figures of a link, a byte each: round trips in steps of an eighth of their size, loss
//! in tenths of a percent where it is small. What the picture publishes is coarser still, so
//! nothing that a person could see is lost.

use andon_model::{LinkView, LossPair, RttUs};

/// Not measured.
pub(crate) const NONE: u8 = 255;

/// Loss up to this share is told in tenths of a percent, beyond it in halves of one.
const FINE_LOSS_PERMILLE: u16 = 50;

/// Round-trip times and loss of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Median.
    pub(crate) p50: u8,
    /// 99th percentile.
    pub(crate) p99: u8,
    /// Loss on the way there.
    pub(crate) forward: u8,
    /// Loss on the way back.
    pub(crate) back: u8,
    /// The usual median.
    pub(crate) baseline: u8,
}

impl Figures {
    pub(crate) const NONE: Self = Self::of_codes([NONE; 5]);

    pub(crate) fn of(link: &LinkView) -> Self {
        Self {
            p50: time_code(link.rtt_us.p50),
            p99: time_code(link.rtt_us.p99),
            forward: loss_code(link.loss.forward),
            back: loss_code(link.loss.return_),
            baseline: time_code(link.rtt_baseline_us),
        }
    }

    pub(crate) const fn codes(self) -> [u8; 5] {
        [self.p50, self.p99, self.forward, self.back, self.baseline]
    }

    pub(crate) const fn of_codes(codes: [u8; 5]) -> Self {
        let [p50, p99, forward, back, baseline] = codes;
        Self {
            p50,
            p99,
            forward,
            back,
            baseline,
        }
    }

    /// The worst of both, where one speaks of worst: loss, and the slow end of round trips.
    pub(crate) fn worst(self, other: Self) -> Self {
        Worst::of(other).within(self)
    }

    pub(crate) fn rtt_us(self) -> RttUs {
        RttUs {
            p50: time(self.p50),
            p99: time(self.p99),
        }
    }

    pub(crate) fn loss(self) -> LossPair {
        LossPair {
            forward: loss(self.forward),
            return_: loss(self.back),
        }
    }

    pub(crate) fn rtt_baseline_us(self) -> Option<u32> {
        time(self.baseline)
    }
}

/// The worst of what was seen in a time: loss, and the slow end of round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worst {
    p99: u8,
    forward: u8,
    back: u8,
}

impl Worst {
    pub(crate) fn of(figures: Figures) -> Self {
        Self {
            p99: figures.p99,
            forward: figures.forward,
            back: figures.back,
        }
    }

    /// These were seen too.
    pub(crate) fn and(self, figures: Figures) -> Self {
        Self::of(self.within(figures))
    }

    /// Those that stand, with the worst in their places.
    pub(crate) fn within(self, figures: Figures) -> Figures {
        Figures {
            p99: worse(self.p99, figures.p99),
            forward: worse(self.forward, figures.forward),
            back: worse(self.back, figures.back),
            ..figures
        }
    }
}

/// Codes are in the order of what they stand for.
fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (NONE, other) => other,
        (one, NONE) => one,
        (one, other) => one.max(other),
    }
}

/// Exact below 16 and for numbers of four leading bits, else the nearest of those.
fn time_code(value: Option<u32>) -> u8 {
    let Some(value) = value else { return NONE };
    if value < 16 {
        return value as u8;
    }
    let value = u64::from(value);
    let rounded = value + (1 << (value.ilog2() - 4));
    let exponent = rounded.ilog2().min(31);
    let mantissa = (rounded.min(u64::from(u32::MAX)) >> (exponent - 3)) & 7;
    // At most 16 + 27 * 8 + 7 = 239.
    (16 + (exponent as u64 - 4) * 8 + mantissa) as u8
}

fn time(code: u8) -> Option<u32> {
    match code {
        0..16 => Some(u32::from(code)),
        16..240 => {
            let (exponent, mantissa) = ((code - 16) / 8 + 4, (code - 16) % 8);
            Some((8 + u32::from(mantissa)) << (exponent - 3))
        }
        _ => None,
    }
}

/// Loss that is there is never told as none.
fn loss_code(share: Option<f32>) -> u8 {
    let Some(share) = share.filter(|share| !share.is_nan()) else {
        return NONE;
    };
    // Within 0..=1000 by the clamp.
    let permille = (share.clamp(0.0, 1.0) * 1000.0).round() as u16;
    let code = if permille <= FINE_LOSS_PERMILLE {
        permille
    } else {
        FINE_LOSS_PERMILLE + (permille - FINE_LOSS_PERMILLE).div_ceil(5)
    };
    if code == 0 && share > 0.0 {
        1
    } else {
        // At most 50 + 190.
        code as u8
    }
}

fn loss(code: u8) -> Option<f32> {
    let code = u16::from(code);
    let permille = match code {
        0..=FINE_LOSS_PERMILLE => code,
        51..=240 => FINE_LOSS_PERMILLE + (code - FINE_LOSS_PERMILLE) * 5,
        _ => return None,
    };
    Some(f32::from(permille) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_figures_come_back_as_they_were_and_others_within_their_step() {
        for value in [0, 1, 15, 16, 1024, 1280, 40_960, 0xe000_0000] {
            assert_eq!(time(time_code(Some(value))), Some(value), "{value}");
        }
        for value in (0..5_000_000).step_by(997).chain([u32::MAX]) {
            let back = time(time_code(Some(value))).unwrap();
            let off = f64::from(back.abs_diff(value)) / f64::from(value.max(1));
            assert!(off <= 0.0667, "{value} {back}");
        }
        assert_eq!(time(time_code(None)), None);
        for step in 0..=200u16 {
            let share = f32::from(step) * 0.005;
            let back = loss(loss_code(Some(share))).unwrap();
            assert!((back - share).abs() < 1e-6, "{share} {back}");
        }
        assert_eq!(
            [0.0, 0.0001, 0.012, 2.0].map(|share| loss(loss_code(Some(share)))),
            [Some(0.0), Some(0.001), Some(0.012), Some(1.0)]
        );
        assert_eq!(loss(loss_code(Some(f32::NAN))), None);
    }

    #[test]
    fn codes_keep_the_order_of_what_they_stand_for() {
        let codes: Vec<u8> = (0..4_000_000)
            .step_by(313)
            .map(|v| time_code(Some(v)))
            .collect();
        assert!(codes.is_sorted());
        let codes: Vec<u8> = (0..=1000)
            .map(|p| loss_code(Some(p as f32 / 1000.0)))
            .collect();
        assert!(codes.is_sorted());
    }
}
