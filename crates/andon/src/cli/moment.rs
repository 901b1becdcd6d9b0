//! Moments as people write them, and how they are told back.

use andon_model::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan, Zoned};

/// What is expected where a moment cannot be read.
pub const EXPECTED: &str = "\"2026-11-20 03:20\" (this machine's time), \"2026-11-20 03:20 UTC\", \
                            2026-11-20T03:20:00Z, 03:20, \"10m ago\" or -10m";

/// A clock and a zone by which moments are read.
#[derive(Debug, Clone)]
pub struct Here(Zoned);

impl Here {
    /// This machine's clock and zone.
    pub fn now() -> Self {
        Self(Zoned::now())
    }

    /// Reads a moment: local or UTC time with or without its date, RFC 3339, or how long ago.
    pub fn parse(&self, text: &str) -> Result<Timestamp, String> {
        let text = text.trim();
        let found = self
            .exact(text)
            .or_else(|| self.ago(text))
            .or_else(|| self.written(text));
        let found = found.ok_or_else(|| format!("{text:?} is no moment; expected {EXPECTED}"))?;
        Ok(Timestamp(found.as_microsecond()))
    }

    fn exact(&self, text: &str) -> Option<jiff::Timestamp> {
        text.parse().ok()
    }

    /// `10m ago`, `-1h30m`.
    fn ago(&self, text: &str) -> Option<jiff::Timestamp> {
        let span: Span = text.parse().ok()?;
        let then = self.0.checked_add(span).ok()?;
        (then <= self.0).then(|| then.timestamp())
    }

    fn written(&self, text: &str) -> Option<jiff::Timestamp> {
        let in_utc = text.strip_suffix("UTC").or_else(|| text.strip_suffix('Z'));
        let (text, zone) = match in_utc {
            Some(text) => (text.trim_end(), TimeZone::UTC),
            None => (text, self.0.time_zone().clone()),
        };
        let today = self.0.with_time_zone(zone.clone()).date();
        let (date, rest) = match text.split_once(' ') {
            Some(("today", rest)) => (Some(today), rest),
            Some(("yesterday", rest)) => (Some(today.checked_sub(1.day()).ok()?), rest),
            _ => (None, text),
        };
        let at = |moment: DateTime| Some(moment.to_zoned(zone.clone()).ok()?.timestamp());
        if let Some(moment) = rest.parse().ok().filter(|_| date.is_none()) {
            return at(moment);
        }
        if let Ok(time) = rest.trim().parse::<Time>() {
            let then = at(date.unwrap_or(today).to_datetime(time))?;
            // Of a time without its date the last one is meant.
            if date.is_none() && then > self.0.timestamp() {
                return at(today.checked_sub(1.day()).ok()?.to_datetime(time));
            }
            return Some(then);
        }
        None
    }

    /// A moment in words: by this machine's zone, in UTC, and how long ago.
    pub fn told(&self, at: Timestamp) -> String {
        let Ok(moment) = jiff::Timestamp::from_microsecond(at.0) else {
            return at.to_string();
        };
        let local = moment.to_zoned(self.0.time_zone().clone());
        let shown = local.strftime("%Y-%m-%d %H:%M:%S %Z");
        let utc = if local.offset().is_zero() {
            String::new()
        } else {
            format!(" ({})", moment.strftime("%H:%M:%SZ"))
        };
        let ago = Timestamp(self.0.timestamp().as_microsecond()).since(at);
        format!("{shown}{utc}, {} ago", age(ago.as_secs()))
    }
}

/// An age in its two largest units.
fn age(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (name, unit) in units {
        if left >= unit && parts.len() < 2 {
            parts.push(format!("{} {name}", left / unit));
            left %= unit;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() {
        "0 s".into()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of 2026-11-21 in Berlin, an hour ahead of UTC.
    fn here() -> Here {
        Here(
            "2026-11-21T12:00:00+01:00[Europe/Berlin]"
                .parse()
                .unwrap_or_else(|_| {
                    let zone = TimeZone::fixed(jiff::tz::offset(1));
                    let noon = jiff::civil::date(2026, 11, 21).at(12, 0, 0, 0);
                    noon.to_zoned(zone).unwrap()
                }),
        )
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, expected) in [
            ("2026-11-20 03:20", "2026-11-20T02:20:00.000Z"),
            ("2026-11-20T03:20", "2026-11-20T02:20:00.000Z"),
            ("2026-11-20 03:20:15.5", "2026-11-20T02:20:15.500Z"),
            ("2026-11-20 03:20 UTC", "2026-11-20T03:20:00.000Z"),
            ("2026-11-20 03:20Z", "2026-11-20T03:20:00.000Z"),
            ("2026-11-20T03:20:00Z", "2026-11-20T03:20:00.000Z"),
            ("2026-11-20T03:20:00-05:00", "2026-11-20T08:20:00.000Z"),
            ("2026-11-20", "2026-11-19T23:00:00.000Z"),
            ("03:20", "2026-11-21T02:20:00.000Z"),
            ("23:59", "2026-11-20T22:59:00.000Z"),
            ("11:30 UTC", "2026-11-20T11:30:00.000Z"),
            ("yesterday 23:00", "2026-11-20T22:00:00.000Z"),
            ("today 00:10", "2026-11-20T23:10:00.000Z"),
            ("10m ago", "2026-11-21T10:50:00.000Z"),
            ("-10m", "2026-11-21T10:50:00.000Z"),
            ("-1h30m", "2026-11-21T09:30:00.000Z"),
            ("2 days ago", "2026-11-19T11:00:00.000Z"),
            ("90 s ago", "2026-11-21T10:58:30.000Z"),
        ] {
            let read = here().parse(text).map(|at| at.to_string());
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["", "soon", "10m", "2026-13-20 03:20", "25:00", "-1000000y"] {
            let error = here().parse(wrong).expect_err(wrong);
            assert!(error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn a_moment_is_told_in_both_zones_with_its_age() {
        let at = Timestamp::parse("2026-11-20T02:20:00Z").unwrap();
        let told = here().told(at);
        assert!(told.starts_with("2026-11-20 03:20:00 "), "{told}");
        assert!(told.ends_with(" (02:20:00Z), 1 d 8 h ago"), "{told}");
        assert_eq!(age(61), "1 min 1 s");
        assert_eq!(age(86_400), "1 d");
    }
}
