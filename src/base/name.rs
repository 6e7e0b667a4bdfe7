//! Names of services, groups and locks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::NAME_CHARS;

/// A name that is safe in a path, a key, a URL and a shell: 1 to [`NAME_CHARS`] of `a-z 0-9 _ -`, the first of them
/// a letter or a digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: 1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit")]
pub struct NameError(String);

impl Name {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if starts && text.len() <= NAME_CHARS && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError(text.chars().take(NAME_CHARS + 1).collect()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME_CHARS, Name};

    #[test]
    fn a_name_is_taken_at_the_limit_and_refused_one_beyond() {
        assert!("a".repeat(NAME_CHARS).parse::<Name>().is_ok());
        assert!("a".repeat(NAME_CHARS + 1).parse::<Name>().is_err());
    }

    #[test]
    fn what_could_leave_a_directory_or_a_key_is_no_name() {
        for text in ["", ".", "..", "a/b", "a.b", "-a", "A", "a b", "a\n", "ü"] {
            assert!(text.parse::<Name>().is_err(), "{text:?} was taken for a name");
        }
    }
}
