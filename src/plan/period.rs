//! Durations, as people write them: `"100ms"`, `"8s"`, `"5m"`, `"24h"`.

use std::time::Duration;

/// The longest duration that is taken: a year. Anything longer is a slip of the finger.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// It is not a whole number and a unit.
    #[error("a duration is a whole number and one of ms, s, m, h, such as \"8s\", not {0:?}")]
    Shape(String),
    /// It is beyond [`LONGEST`].
    #[error("the duration {0:?} is longer than a year")]
    TooLong(String),
}

/// Reads a duration.
///
/// # Errors
/// When it is not a whole number and a unit, or longer than [`LONGEST`].
pub fn parse(text: &str) -> Result<Duration, PeriodError> {
    let shown = || text.chars().take(40).collect::<String>();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let in_ms: u64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(PeriodError::Shape(shown())),
    };
    if number.is_empty() {
        return Err(PeriodError::Shape(shown()));
    }
    // Only too many digits are left to go wrong here.
    let number: u64 = number.parse().map_err(|_| PeriodError::TooLong(shown()))?;
    match number.checked_mul(in_ms).map(Duration::from_millis) {
        Some(period) if period <= LONGEST => Ok(period),
        Some(_) | None => Err(PeriodError::TooLong(shown())),
    }
}

/// Writes a duration in the largest unit that leaves it whole. Parts of a millisecond are dropped.
#[must_use]
pub fn format(period: Duration) -> String {
    let ms = period.as_millis();
    for (unit, in_ms) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(in_ms) {
            return format!("{}{unit}", ms / in_ms);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, PeriodError, format, parse};

    #[test]
    fn a_duration_reads_back_as_it_prints() {
        for text in ["0ms", "1ms", "100ms", "8s", "90s", "5m", "24h", "8760h"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse("60s").map(format).as_deref(), Ok("1m"));
        assert_eq!(parse("2 min"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn a_year_is_taken_and_a_millisecond_more_is_not() {
        let year = LONGEST.as_millis();
        assert_eq!(parse(&format!("{year}ms")), Ok(LONGEST));
        assert!(matches!(parse(&format!("{}ms", year + 1)), Err(PeriodError::TooLong(_))));
        assert!(matches!(parse(&format!("{}s", u128::MAX)), Err(PeriodError::TooLong(_))));
    }

    #[test]
    fn what_has_no_unit_or_no_number_is_no_duration() {
        for text in ["", "8", "s", "-8s", "1.5s", "8 days", "８s", "8s "] {
            assert!(matches!(parse(text), Err(PeriodError::Shape(_))), "{text:?} was taken for a duration");
        }
    }
}
