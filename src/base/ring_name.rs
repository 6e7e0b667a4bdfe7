//! Names of rings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::RING_NAME_CHARS;
use super::name::Name;

/// Which ring a node belongs to: nodes of different names never become one ring, whatever they are told to join.
///
/// A [`Name`] of at most [`RING_NAME_CHARS`]: it travels in every datagram.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingName(Name);

/// A text cannot be the name of a ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a ring's name: 1 to {RING_NAME_CHARS} of a-z, 0-9, '_' and '-', starting with a letter or digit")]
pub struct RingNameError(String);

impl RingName {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for RingName {
    type Err = RingNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.parse::<Name>().ok().filter(|name| name.as_str().len() <= RING_NAME_CHARS);
        name.map(Self).ok_or_else(|| RingNameError(text.chars().take(RING_NAME_CHARS + 1).collect()))
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for RingName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RingName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::RingName;
    use crate::base::limits::RING_NAME_CHARS;

    #[test]
    fn a_name_is_taken_at_its_longest_and_refused_one_beyond() {
        assert!("a".repeat(RING_NAME_CHARS).parse::<RingName>().is_ok());
        assert!("a".repeat(RING_NAME_CHARS + 1).parse::<RingName>().is_err());
        for text in ["", "-a", "A", "a b", "a\n"] {
            assert!(text.parse::<RingName>().is_err(), "{text:?} was taken for a ring's name");
        }
    }
}
