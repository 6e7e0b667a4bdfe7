//! Times as RFC 3339, in UTC with milliseconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::Wall;

/// The last millisecond of the year 9999: later ones cannot be written in RFC 3339.
const LAST_MILLIS: u64 = 253_402_300_799_999;
const MILLIS_PER_DAY: u64 = 86_400_000;

/// A time of day that is written `2026-05-01T12:00:00.250Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Wall);

/// A text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is 2026-05-01T12:00:00.250Z, not {0:?}")]
pub struct TimeError(String);

impl From<Wall> for Time {
    fn from(wall: Wall) -> Self {
        Self(wall)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0.min(LAST_MILLIS);
        let (year, month, day) = civil_of(millis / MILLIS_PER_DAY);
        let of_day = millis % MILLIS_PER_DAY;
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
        f.pad(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
    }
}

impl FromStr for Time {
    type Err = TimeError;

    /// Reads what [`Display`](fmt::Display) writes, with or without the fraction. Other zones than `Z` are not taken.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(|millis| Self(Wall(millis))).ok_or_else(|| TimeError(text.chars().take(40).collect()))
    }
}

fn parse(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if separators.iter().any(|&(at, mark)| text.get(at..=at) != Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let milli = match text.get(19..)? {
        "Z" => 0,
        fraction if fraction.len() == 5 && fraction.starts_with('.') && fraction.ends_with('Z') => number(20, 23)?,
        _ => return None,
    };
    let valid = (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second < 60;
    let days = days_of(year, month, day).filter(|_| valid)?;
    Some(days * MILLIS_PER_DAY + hour * 3_600_000 + minute * 60_000 + second * 1000 + milli)
}

/// Days since 1970-01-01 to a date of the Gregorian calendar. Counted in eras of 400 years that begin on the first of
/// March, so that the leap day is the last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil_of`]; none if there is no such day.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = (era * 146_097 + of_era).checked_sub(719_468)?;
    (civil_of(days) == (year, month, day)).then_some(days)
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LAST_MILLIS, Time};
    use crate::base::Wall;

    #[test]
    fn known_times_are_written_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_777_636_800_250, "2026-05-01T12:00:00.250Z"),
            (LAST_MILLIS, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Time(Wall(millis)).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-05-01",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-05-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-05-01T12:00:00+01:00",
            "2026-05-01T12:00:00.25Z",
            "2026-05-01T+2:00:00Z",
            "é026-05-01T12:00:00Z",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text:?} was taken for a time");
        }
        assert_eq!("2026-05-01T12:00:00Z".parse(), Ok(Time(Wall(1_777_636_800_000))));
    }

    proptest! {
        #[test]
        fn a_time_reads_back_as_it_is_written(millis in 0..=LAST_MILLIS) {
            let time = Time(Wall(millis));
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
