//! Times of the week in a time zone: when a route may speak, when something is maintained.

use andon_model::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::{Offset, TimeZone};

/// Most stretches of one list; a week needs seven.
pub const STRETCHES_MAX: usize = 32;

/// A time zone by the name it was given under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self {
            name: "UTC".into(),
            zone: TimeZone::UTC,
        }
    }

    /// `UTC`, a fixed offset (`+02:00`), or a name (`Europe/Berlin`) where the system knows
    /// time zones. The error is what was expected, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Ok(Self::utc());
        }
        let zone = match offset(text) {
            Some(offset) => TimeZone::fixed(offset),
            None => TimeZone::get(text).map_err(|_| {
                "UTC, an offset such as +02:00, or a name such as Europe/Berlin that this \
                 system's /usr/share/zoneinfo knows"
                    .to_owned()
            })?,
        };
        Ok(Self {
            name: text.into(),
            zone,
        })
    }

    /// The name it was given under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For people: `2026-11-20 04:20:05 +01:00`; a time no calendar holds is shown as 1970.
    pub fn show(&self, at: Timestamp) -> String {
        let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
        let at = at.to_zoned(self.zone.clone());
        if at.offset() == Offset::UTC {
            at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
        } else {
            at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
        }
    }
}

fn offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':').unwrap_or((&text[1..], "00"));
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let fits = hours <= 14 && minutes < 60;
    fits.then(|| Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok())
        .flatten()
}

/// Stretches of the week, in a zone. Empty means always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    stretches: Vec<Stretch>,
    zone: Zone,
}

/// `mon-fri 08:00-18:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    text: String,
    /// By day, Monday first.
    days: [bool; 7],
    from_minute: u16,
    /// Not after `from_minute`: it ends on the day after.
    until_minute: u16,
}

impl Default for Hours {
    fn default() -> Self {
        Self {
            stretches: Vec::new(),
            zone: Zone::utc(),
        }
    }
}

impl Hours {
    /// Reads stretches. The error is the index of the wrong one and what was expected.
    pub fn parse(texts: &[&str], zone: Zone) -> Result<Self, (usize, String)> {
        if texts.len() > STRETCHES_MAX {
            return Err((STRETCHES_MAX, format!("at most {STRETCHES_MAX} stretches")));
        }
        let stretches = texts
            .iter()
            .enumerate()
            .map(|(index, text)| stretch(text).map_err(|expected| (index, expected)))
            .collect::<Result<_, _>>()?;
        Ok(Self { stretches, zone })
    }

    /// Whether `at` lies in one of the stretches.
    pub fn contain(&self, at: Timestamp) -> bool {
        if self.stretches.is_empty() {
            return true;
        }
        let Ok(at) = jiff::Timestamp::from_microsecond(at.0) else {
            return true;
        };
        let local = self.zone.zone.to_datetime(at);
        let minute = minute_of(local.time());
        let today = index(local.weekday());
        self.stretches
            .iter()
            .any(|stretch| stretch.contains(today, minute))
    }

    /// As it was written.
    pub fn texts(&self) -> Vec<&str> {
        self.stretches.iter().map(|one| one.text.as_str()).collect()
    }

    /// The zone it is meant in.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

impl Stretch {
    fn contains(&self, today: usize, minute: u16) -> bool {
        let yesterday = (today + 6) % 7;
        if self.from_minute < self.until_minute {
            return self.days[today] && (self.from_minute..self.until_minute).contains(&minute);
        }
        (self.days[today] && minute >= self.from_minute)
            || (self.days[yesterday] && minute < self.until_minute)
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;

fn stretch(text: &str) -> Result<Stretch, String> {
    let expected = || {
        "days and times such as `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00` (ends on the \
         next day)"
            .to_owned()
    };
    let lower = text.to_ascii_lowercase();
    let mut days = [true; 7];
    let (mut from_minute, mut until_minute) = (0, DAY_MINUTES);
    let mut words = lower.split_whitespace().peekable();
    if words.peek().is_none() {
        return Err(expected());
    }
    if let Some(word) = words.next_if(|word| !word.starts_with(|c: char| c.is_ascii_digit())) {
        days = read_days(word).ok_or_else(expected)?;
    }
    if let Some(word) = words.next() {
        let (from, until) = word.split_once('-').ok_or_else(expected)?;
        from_minute = read_minute(from).ok_or_else(expected)?;
        until_minute = read_minute(until).ok_or_else(expected)?;
        if from_minute == until_minute || from_minute == DAY_MINUTES {
            return Err(expected());
        }
    }
    if words.next().is_some() {
        return Err(expected());
    }
    Ok(Stretch {
        text: text.into(),
        days,
        from_minute,
        until_minute,
    })
}

fn read_days(word: &str) -> Option<[bool; 7]> {
    let day = |text: &str| DAYS.iter().position(|day| *day == text);
    let mut days = [false; 7];
    for part in word.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        for step in 0..=length {
            days[(first + step) % 7] = true;
        }
    }
    Some(days)
}

fn read_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
}

fn minute_of(time: Time) -> u16 {
    u16::try_from(time.hour()).unwrap_or(0) * 60 + u16::try_from(time.minute()).unwrap_or(0)
}

fn index(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hours: &[&str], zone: &str, at: &str, expected: bool) {
        let hours = Hours::parse(hours, Zone::parse(zone).unwrap()).unwrap();
        let stamp = Timestamp::parse(at).unwrap();
        assert_eq!(hours.contain(stamp), expected, "{hours:?} {at}");
    }

    #[test]
    fn a_week_has_the_hours_that_it_is_given() {
        // 2026-11-20 is a Friday.
        check(&[], "UTC", "2026-11-20T03:00:00Z", true);
        let office = &["mon-fri 08:00-18:00"];
        check(office, "UTC", "2026-11-20T07:59:59Z", false);
        check(office, "UTC", "2026-11-20T08:00:00Z", true);
        check(office, "UTC", "2026-11-20T18:00:00Z", false);
        check(office, "UTC", "2026-11-21T12:00:00Z", false);
        check(office, "+02:00", "2026-11-20T06:00:00Z", true);
        check(office, "-05:00", "2026-11-20T12:59:00Z", false);
        check(&["fri 22:00-06:00"], "UTC", "2026-11-21T05:59:00Z", true);
        check(&["fri 22:00-06:00"], "UTC", "2026-11-20T05:59:00Z", false);
        check(&["sat-mon"], "UTC", "2026-11-22T05:59:00Z", true);
        check(&["sat-mon"], "UTC", "2026-11-24T05:59:00Z", false);
        check(&["wed", "20:00-24:00"], "UTC", "2026-11-20T23:59:00Z", true);
    }

    #[test]
    fn a_named_zone_has_its_summer_time() {
        if Zone::parse("Europe/Berlin").is_err() {
            eprintln!("NOT TESTED: this system has no /usr/share/zoneinfo");
            return;
        }
        let office = &["08:00-18:00"];
        check(office, "Europe/Berlin", "2026-07-01T06:00:00Z", true);
        check(office, "Europe/Berlin", "2026-12-01T06:00:00Z", false);
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let at = Timestamp::parse("2026-07-01T06:00:00Z").unwrap();
        assert_eq!(zone.show(at), "2026-07-01 08:00:00 +02:00");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "funday",
            "08:00",
            "8-18",
            "mon 08:00-08:00",
            "25:00-26:00",
            "mon 08:00-18:00 x",
            "mon--fri",
            "24:00-08:00",
            "08:60-09:00",
        ] {
            assert!(Hours::parse(&[bad], Zone::utc()).is_err(), "{bad}");
        }
        for bad in [
            "",
            "Mars/Phobos",
            "+2",
            "+25:00",
            "+aa:00",
            "../../etc/passwd",
        ] {
            assert!(Zone::parse(bad).is_err(), "{bad}");
        }
    }
}
