//! Spans and moments as people write them: `1h30m`, `-1d`, `2026-11-21T03:20:00Z`, `now`.

use andon_model::query::When;
use andon_model::time::Timestamp;

/// Microseconds of the longest span that is understood: a hundred years.
pub const SPAN_US_MAX: i64 = 100 * 365 * 86_400 * 1_000_000;

/// Units of a span with their microseconds, longest first.
const UNITS: [(&str, i64); 7] = [
    ("w", 7 * 86_400_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Microseconds of a span: whole numbers with a unit each, one after the other (`90s`,
/// `1h30m`); nothing else, and not zero.
pub fn span_us(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let unit = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit.1)?)?;
    }
    (1..=SPAN_US_MAX).contains(&total).then_some(total)
}

/// A span in the largest unit that divides it: `90s`, `1d`.
pub fn span_text(us: i64) -> String {
    let unit = UNITS.iter().find(|(_, width)| us % width == 0 && us != 0);
    let (unit, width) = unit.unwrap_or(&("us", 1));
    format!("{}{unit}", us / width)
}

/// Why a moment is none.
pub const MOMENT_HELP: &str = "a moment is `-1h` (before now), `now`, `2026-11-21T03:20:00Z`, `2026-11-21`, or milliseconds since 1970";

/// The moment that is meant; texts without a zone are UTC. `None` if it is no moment.
pub fn moment(when: &When, now: Timestamp) -> Option<Timestamp> {
    let text = match when {
        When::EpochMs(ms) => return ms.checked_mul(1_000).map(Timestamp),
        When::Text(text) => text.as_str(),
    };
    if text == "now" {
        return Some(now);
    }
    if let Some(before) = text.strip_prefix('-') {
        return span_us(before).map(|us| Timestamp(now.0.saturating_sub(us)));
    }
    if let Ok(time) = Timestamp::parse(text) {
        return Some(time);
    }
    let time = text.parse::<jiff::civil::DateTime>().or_else(|_| {
        text.parse::<jiff::civil::Date>()
            .map(|date| date.at(0, 0, 0, 0))
    });
    let time = time.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp(time.timestamp().as_microsecond()))
}

/// How far back a comparison looks, microseconds: `-1d`.
pub fn compare_us(text: &str) -> Option<i64> {
    span_us(text.strip_prefix('-')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_they_are_written() {
        let check =
            |text: &str, expected: Option<i64>| assert_eq!(span_us(text), expected, "{text}");
        check("1h30m", Some(5_400_000_000));
        check("90s", Some(90_000_000));
        check("250ms", Some(250_000));
        check("2w", Some(14 * 86_400_000_000));
        check("0s", None);
        check("1", None);
        check("h", None);
        check("1.5h", None);
        check("-1h", None);
        check("", None);
        check("99999999999999999999d", None);
        check("9223372036854775807d", None);
        check("1é", None);
        assert_eq!(span_text(5_400_000_000), "90m");
        assert_eq!(span_text(86_400_000_000), "1d");
    }

    #[test]
    fn moments_read_in_each_form_and_nonsense_does_not() {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let check = |text: &str, expected: Option<&str>| {
            let read = moment(&When::Text(text.into()), now).map(|time| time.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("-1h", Some("2026-11-21T11:00:00.000Z"));
        check("now", Some("2026-11-21T12:00:00.000Z"));
        check(
            "2026-11-20T03:20:00+01:00",
            Some("2026-11-20T02:20:00.000Z"),
        );
        check("2026-11-20 03:20", Some("2026-11-20T03:20:00.000Z"));
        check("2026-11-20", Some("2026-11-20T00:00:00.000Z"));
        check("yesterday-ish", None);
        check("--1h", None);
        check("", None);
        assert_eq!(
            moment(&When::EpochMs(1_000), now),
            Some(Timestamp(1_000_000))
        );
        assert_eq!(moment(&When::EpochMs(i64::MAX), now), None);
    }
}
