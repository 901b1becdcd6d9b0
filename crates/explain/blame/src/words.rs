//! Numbers and lists as a person reads them at three in the morning.

/// Names that a sentence lists before it says "and 12 more".
const NAMES_MAX: usize = 4;

/// `1 node`, `3 nodes`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// `a`, `a and b`, `a, b and c`, `a, b, c, d and 12 more`.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= NAMES_MAX => {
            format!("{} and {last}", first.join(", "))
        }
        _ => format!(
            "{} and {} more",
            names[..NAMES_MAX].join(", "),
            names.len() - NAMES_MAX
        ),
    }
}

/// `25 %`, `7.4 %`, `0.3 %`.
pub fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if percent >= 9.95 || percent == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// `3 to 12 %`, or one figure where both ends agree.
pub fn percent_range(low: f32, high: f32) -> String {
    let (low, high) = (percent(low), percent(high));
    if low == high {
        high
    } else {
        format!("{} to {high}", low.trim_end_matches(" %"))
    }
}

/// `0.80 ms`, `12 ms`, `1.3 s`.
pub fn milliseconds(us: u32) -> String {
    match us {
        0..10_000 => format!("{:.2} ms", f64::from(us) / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", f64::from(us) / 1e3),
        _ => format!("{:.1} s", f64::from(us) / 1e6),
    }
}

/// `250 ms`, `12 s`, `4 min`, `3 h`, `2 days`.
pub fn span(us: u64) -> String {
    match us / 1_000 {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..120_000 => format!("{} s", ms / 1_000),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms @ 7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} days", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_say_them() {
        assert_eq!(
            [percent(0.0), percent(0.003), percent(0.074), percent(0.25)],
            ["0 %", "0.3 %", "7.4 %", "25 %"]
        );
        assert_eq!(
            [percent_range(0.03, 0.12), percent_range(0.5, 0.5)],
            ["3.0 to 12 %", "50 %"]
        );
        assert_eq!(
            [
                milliseconds(800),
                milliseconds(12_400),
                milliseconds(1_300_000)
            ],
            ["0.80 ms", "12 ms", "1.3 s"]
        );
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
        assert_eq!(
            list(["a", "b", "c", "d", "e", "f"]),
            "a, b, c, d and 2 more"
        );
        assert_eq!(span(3 * 3_600_000_000), "3 h");
        assert_eq!(span(u64::MAX), "213503982 days");
    }
}
