//! Times of day as people and other programs read them: RFC 3339 in UTC with milliseconds, `2026-11-21T07:26:30.123Z`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::Wall;

/// The last millisecond of the year 9999; RFC 3339 has no later years.
pub(crate) const LAST: Wall = Wall(253_402_300_799_999);

/// The time as text. Times after the year 9999 are written as its end.
#[must_use]
pub fn format(at: Wall) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at.min(LAST).0);
    humantime::format_rfc3339_millis(at).to_string()
}

/// The time of a text, with or without a fraction of the second. Zones other than `Z` are not read.
#[must_use]
pub fn parse(text: &str) -> Option<Wall> {
    let at: SystemTime = humantime::parse_rfc3339(text).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Wall)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LAST, format, parse};
    use crate::base::Wall;

    #[test]
    fn known_times_are_written_as_the_world_writes_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_245_990_123, "2026-11-21T07:26:30.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST.0, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format(Wall(millis)), text);
        }
        assert_eq!(parse("2026-11-21T07:26:30Z"), Some(Wall(1_795_245_990_000)));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2026-05-01",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-05-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-05-01T12:00:00+01:00",
            "2026-05-01 12:00:00Z",
            "+026-05-01T12:00:00Z",
            "\u{e9}026-05-01T12:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text:?} was taken for a time");
        }
    }

    proptest! {
        #[test]
        fn every_time_reads_back_as_it_is_written(millis in 0..=LAST.0) {
            prop_assert_eq!(parse(&format(Wall(millis))), Some(Wall(millis)));
        }
    }
}
