//! When something happened, as senders say it: RFC 3339, a number since 1970, a web server's
//! log, syslog. And what counts if that is absurd.

use crate::limits::AHEAD_MAX;
use andon_model::time::Timestamp;

/// 2000-01-01: what says it is older comes from a clock that was never set.
pub const OLDEST: Timestamp = Timestamp(946_684_800_000_000);

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Whether a time may be kept as it was said: from 2000 to a day after it came in.
pub fn is_sane(said: Timestamp, received: Timestamp) -> bool {
    said >= OLDEST && said <= received + AHEAD_MAX
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
/// Source: H. Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Microseconds since 1970 of a date and a time of day, all in range.
pub(crate) fn micros(date: (i64, i64, i64), clock: (i64, i64, i64), micros: i64) -> Option<i64> {
    let ((year, month, day), (hour, minute, second)) = (date, clock);
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    in_range.then(|| seconds * 1_000_000 + micros)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

/// A date and time as of RFC 3339, the seconds' fraction after `.` or `,`, `T` or a space in
/// between; without a zone it is UTC. Returns it with the number of bytes that were read.
pub fn rfc3339_prefix(text: &[u8]) -> Option<(Timestamp, usize)> {
    if text.len() < 19 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    if !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let date = (
        digits(&text[..4])?,
        digits(&text[5..7])?,
        digits(&text[8..10])?,
    );
    let clock = clock(&text[11..19])?;
    let (fraction, taken) = fraction(&text[19..]);
    let at = 19 + taken;
    let local = micros(date, clock, fraction)?;
    let (offset, taken) = zone(&text[at..]).unwrap_or((0, 0));
    Some((Timestamp(local - offset * 1_000_000), at + taken))
}

/// Seconds east of Greenwich that a text begins with (`Z`, `+02:00`, `+0200`, `+02`), and its bytes.
fn zone(text: &[u8]) -> Option<(i64, usize)> {
    let sign = match text.first()? {
        b'Z' | b'z' => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(text.get(1..3)?)?;
    let (minutes, taken) = match text.get(3..) {
        Some([b':', a, b, ..]) => (digits(&[*a, *b])?, 6),
        Some([a, b, ..]) if a.is_ascii_digit() => (digits(&[*a, *b])?, 5),
        _ => (0, 3),
    };
    Some((sign * (hours * 3600 + minutes * 60), taken))
}

/// The whole text as of RFC 3339.
pub fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (at, taken) = rfc3339_prefix(text)?;
    (taken == text.len()).then_some(at)
}

/// A number since 1970. Its size tells the unit: below 10^11 seconds (until the year 5138),
/// below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds.
pub fn epoch(number: f64) -> Option<Timestamp> {
    let size = number.abs();
    let micros = match size {
        _ if !size.is_finite() => return None,
        _ if size < 1e11 => number * 1e6,
        _ if size < 1e14 => number * 1e3,
        _ if size < 1e17 => number,
        _ if size < 1e20 => number / 1e3,
        _ => return None,
    };
    Some(Timestamp(micros.round() as i64))
}

/// The same for whole numbers, without rounding.
pub fn epoch_integer(number: i64) -> Timestamp {
    Timestamp(match number.unsigned_abs() {
        ..100_000_000_000 => number * 1_000_000,
        100_000_000_000..100_000_000_000_000 => number * 1000,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number / 1000,
    })
}

/// Any text that says a time: RFC 3339 or a number since 1970.
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let integer = || text.parse::<i64>().ok().map(epoch_integer);
    let number = || text.parse::<f64>().ok().and_then(epoch);
    rfc3339(text.as_bytes()).or_else(integer).or_else(number)
}

fn month(text: &[u8]) -> Option<i64> {
    let place = MONTHS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text))?;
    Some(place as i64 + 1)
}

/// A web server's time: `10/Oct/2026:13:55:36 +0200`; HAProxy's has milliseconds
/// (`10/Oct/2026:13:55:36.123`) and the zone of the machine, `local_offset` seconds east.
pub fn access_log(text: &[u8], local_offset: i64) -> Option<Timestamp> {
    if text.len() < 20 || text[2] != b'/' || text[6] != b'/' || text[11] != b':' {
        return None;
    }
    let date = (
        digits(&text[7..11])?,
        month(&text[3..6])?,
        digits(&text[..2])?,
    );
    let clock = clock(&text[12..20])?;
    let rest = &text[20..];
    let (fraction, rest) = match rest {
        [b'.', a, b, c, rest @ ..] => (digits(&[*a, *b, *c])? * 1000, rest),
        _ => (0, rest),
    };
    let offset = match rest {
        [b' ', rest @ ..] => zone(rest)?.0,
        _ => local_offset,
    };
    Some(Timestamp(
        micros(date, clock, fraction)? - offset * 1_000_000,
    ))
}

/// A time without a zone at a text's beginning, as Apache's error log writes it
/// (`Fri Nov 20 13:55:36.125 2026`), nginx' and Go's (`2026/11/20 13:55:36`) or log4j's
/// (`26/11/20 13:55:36`); the zone is the machine's. Returns it with the number of bytes read.
pub fn local_prefix(text: &[u8]) -> Option<(Timestamp, usize)> {
    let (local, taken) = ctime(text).or_else(|| slashed(text))?;
    let offset = local_offset(Timestamp(local));
    Some((Timestamp(local - offset * 1_000_000), taken))
}

/// `Fri Nov 20 13:55:36.125 2026`, as microseconds of an unknown zone, and its bytes.
fn ctime(text: &[u8]) -> Option<(i64, usize)> {
    const WEEKDAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    if text.len() < 24 || text[3] != b' ' || text[7] != b' ' || !WEEKDAYS.contains(&&text[..3]) {
        return None;
    }
    let month = month(&text[4..7])?;
    let day = match &text[8..10] {
        [b' ', day] => digits(&[*day])?,
        both => digits(both)?,
    };
    let clock = clock(text.get(11..19)?)?;
    let (fraction, taken) = fraction(&text[19..]);
    let year = text.get(19 + taken..24 + taken)?;
    let year = digits(year.strip_prefix(b" ")?)?;
    Some((micros((year, month, day), clock, fraction)?, 24 + taken))
}

/// `2026/11/20 13:55:36` or `26/11/20 13:55:36`, the same way.
fn slashed(text: &[u8]) -> Option<(i64, usize)> {
    let year_bytes = text.iter().take(5).position(|byte| *byte == b'/')?;
    let year = match (year_bytes, digits(&text[..year_bytes])?) {
        (4, year) => year,
        (2, year) => 2000 + year,
        _ => return None,
    };
    let rest = &text[year_bytes..];
    if rest.len() < 15 || rest[3] != b'/' || rest[6] != b' ' {
        return None;
    }
    let date = (year, digits(&rest[1..3])?, digits(&rest[4..6])?);
    let (fraction, taken) = fraction(&rest[15..]);
    let at = micros(date, clock(&rest[7..15])?, fraction)?;
    Some((at, year_bytes + 15 + taken))
}

/// `13:55:36`.
fn clock(text: &[u8]) -> Option<(i64, i64, i64)> {
    let [a, b, b':', c, d, b':', e, f] = text else {
        return None;
    };
    Some((digits(&[*a, *b])?, digits(&[*c, *d])?, digits(&[*e, *f])?))
}

/// Microseconds of a fraction of a second that a text begins with, after `.` or `,`, and its bytes.
fn fraction(text: &[u8]) -> (i64, usize) {
    let Some((b'.' | b',', figures)) = text.split_first() else {
        return (0, 0);
    };
    let figures = figures.iter().take_while(|byte| byte.is_ascii_digit());
    let (mut micros, mut scale, mut count) = (0, 100_000, 0);
    for figure in figures {
        micros += i64::from(figure - b'0') * scale;
        scale /= 10;
        count += 1;
    }
    if count == 0 {
        (0, 0)
    } else {
        (micros, count + 1)
    }
}

/// Syslog's old time, `Oct  9 22:14:15`, which says neither year nor zone: the zone is the
/// machine's (`local_offset`, seconds east), the year that which brings it nearest to `received`.
/// Returns it with the number of bytes read.
pub fn rfc3164_prefix(
    text: &[u8],
    received: Timestamp,
    local_offset: i64,
) -> Option<(Timestamp, usize)> {
    if text.len() < 15 || text[3] != b' ' || text[6] != b' ' {
        return None;
    }
    let day = match &text[4..6] {
        [b' ', day] => digits(&[*day])?,
        both => digits(both)?,
    };
    let month = month(&text[..3])?;
    let clock = clock(&text[7..15])?;
    let year = year_of(Timestamp(received.0 + local_offset * 1_000_000));
    let candidates = (year - 1..=year + 1).filter_map(|year| {
        let local = micros((year, month, day), clock, 0)?;
        Some(local - local_offset * 1_000_000)
    });
    let nearest = candidates.min_by_key(|at| at.abs_diff(received.0))?;
    Some((Timestamp(nearest), 15))
}

fn year_of(at: Timestamp) -> i64 {
    let day = at.0.div_euclid(86_400_000_000);
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    year
}

/// Seconds that this machine's zone is east of Greenwich at a time.
pub fn local_offset(at: Timestamp) -> i64 {
    let time = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    i64::from(jiff::tz::TimeZone::system().to_offset(time).seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T14:00:00Z";

    fn check(text: &str, expected: &str) {
        let parsed = parse(text).map(|at| at.to_string());
        assert_eq!(parsed.as_deref().unwrap_or("none"), expected, "{text}");
    }

    #[test]
    fn times_of_the_machines_own_zone_are_read_at_a_beginning() {
        let check = |text: &str, expected: Option<(&str, usize)>| {
            let expected = expected.map(|(local, taken)| {
                let local = Timestamp::parse(local).unwrap();
                (Timestamp(local.0 - local_offset(local) * 1_000_000), taken)
            });
            assert_eq!(local_prefix(text.as_bytes()), expected, "{text}");
        };
        let apache = "Sun Dec 04 04:47:44 2005] [notice] x";
        check(apache, Some(("2005-12-04T04:47:44.000Z", 24)));
        let newer = "Fri Nov 20 13:55:36.125000 2026] [core:error] x";
        check(newer, Some(("2026-11-20T13:55:36.125Z", 31)));
        let nginx = "2026/11/20 13:55:36 [error] 7#7: x";
        check(nginx, Some(("2026-11-20T13:55:36.000Z", 19)));
        let log4j = "17/06/09 20:10:40,5 INFO x";
        check(log4j, Some(("2017-06-09T20:10:40.500Z", 19)));
        for no_time in [
            "Fri Nov 20 13:55",
            "Fridays are fine, said the man",
            "1/2/3 4:5:6",
            "99/99/99 20:10:40",
        ] {
            check(no_time, None);
        }
    }

    #[test]
    fn times_are_read_as_people_and_programs_write_them() {
        check("2026-11-20T03:20:00.125Z", "2026-11-20T03:20:00.125Z");
        check("2026-11-20 03:20:00,5", "2026-11-20T03:20:00.500Z");
        check("2026-11-20T03:20:00+02:00", "2026-11-20T01:20:00.000Z");
        check("2026-11-20T03:20:00-0730", "2026-11-20T10:50:00.000Z");
        check("2024-02-29T23:59:60Z", "2024-03-01T00:00:00.000Z");
        check("1763604000", "2025-11-20T02:00:00.000Z");
        check("1763604000125", "2025-11-20T02:00:00.125Z");
        check("1763604000125000", "2025-11-20T02:00:00.125Z");
        check("1763604000125000000", "2025-11-20T02:00:00.125Z");
        check("1763604000.5", "2025-11-20T02:00:00.500Z");
        for rubbish in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-20T03:20",
            "1e30",
            "nan",
        ] {
            check(rubbish, "none");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_agrees_with_the_calendar_library() {
        let mut date = jiff::civil::date(1700, 1, 1);
        while date.year() < 2500 {
            let ours = days(date.year().into(), date.month().into(), date.day().into());
            let theirs = date
                .since(jiff::civil::date(1970, 1, 1))
                .unwrap()
                .get_days();
            assert_eq!(ours, i64::from(theirs), "{date}");
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn logs_of_servers_say_their_times() {
        let apache = access_log(b"10/Oct/2026:13:55:36 +0200", 0).unwrap();
        assert_eq!(apache.to_string(), "2026-10-10T11:55:36.000Z");
        let haproxy = access_log(b"10/Oct/2026:13:55:36.123", 3600).unwrap();
        assert_eq!(haproxy.to_string(), "2026-10-10T12:55:36.123Z");
    }

    #[test]
    fn a_time_without_a_year_is_the_nearest_one() {
        let check = |text: &str, received: &str, expected: &str| {
            let received = Timestamp::parse(received).unwrap();
            let (at, taken) = rfc3164_prefix(text.as_bytes(), received, 0).unwrap();
            assert_eq!((at.to_string().as_str(), taken), (expected, 15));
        };
        check("Nov  9 22:14:15 x", NOW, "2026-11-09T22:14:15.000Z");
        check(
            "Dec 31 23:59:59",
            "2027-01-01T00:00:02Z",
            "2026-12-31T23:59:59.000Z",
        );
        check(
            "Jan  1 00:00:01",
            "2026-12-31T23:59:59Z",
            "2027-01-01T00:00:01.000Z",
        );
    }

    #[test]
    fn the_seventies_and_the_next_century_are_not_sane() {
        let now = Timestamp::parse(NOW).unwrap();
        for (text, sane) in [
            ("1970-01-01T00:00:00Z", false),
            ("2003-05-05T00:00:00Z", true),
            ("2026-11-22T13:00:00Z", true),
            ("2100-01-01T00:00:00Z", false),
        ] {
            assert_eq!(
                is_sane(Timestamp::parse(text).unwrap(), now),
                sane,
                "{text}"
            );
        }
    }
}
