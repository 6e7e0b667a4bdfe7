//! Times as RFC 3339, in UTC with milliseconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::Wall;
use crate::rfc3339;

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
        f.pad(&rfc3339::format(self.0))
    }
}

impl FromStr for Time {
    type Err = TimeError;

    /// Reads what [`Display`](fmt::Display) writes, with or without the fraction. Other zones than `Z` are not taken.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        rfc3339::parse(text).map(Self).ok_or_else(|| TimeError(text.chars().take(40).collect()))
    }
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
    use super::Time;
    use crate::base::Wall;

    #[test]
    fn a_time_is_text_in_json() {
        let time = Time(Wall(1_777_636_800_250));
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2026-05-01T12:00:00.250Z\"");
        assert_eq!(serde_json::from_str::<Time>("\"2026-05-01T12:00:00.250Z\"").unwrap(), time);
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
    }
}
