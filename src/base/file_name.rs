//! Names of uploaded files.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::FILE_NAME_CHARS;

/// The name of an uploaded file: 1 to [`FILE_NAME_CHARS`] of letters, digits and `. _ - + = @ ~`, not starting with a
/// dot. So it is one component of a path, never a hidden file, and never leads out of its directory; and it is safe in
/// a key, a URL and a shell. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<str>);

/// A text cannot be a file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name for an uploaded file: 1 to 100 of letters, digits and . _ - + = @ ~, not starting with a dot"
)]
pub struct FileNameError(String);

impl FileName {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-+=@~".contains(&b);
        let fits = (1..=FILE_NAME_CHARS).contains(&text.len());
        if fits && !text.starts_with('.') && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(FileNameError(text.chars().take(FILE_NAME_CHARS + 1).collect()))
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_NAME_CHARS, FileName};

    #[test]
    fn a_name_is_taken_at_the_limit_and_refused_one_beyond() {
        assert!("a".repeat(FILE_NAME_CHARS).parse::<FileName>().is_ok());
        assert!("a".repeat(FILE_NAME_CHARS + 1).parse::<FileName>().is_err());
    }

    #[test]
    fn what_could_leave_the_directory_or_hide_in_it_is_no_name() {
        assert!("users.acl".parse::<FileName>().is_ok());
        for text in ["", ".", "..", ".hidden", "a/b", "../a", "/a", "a\\b", "a b", "a\n", "a\0", "ü", "a%2fb"] {
            assert!(text.parse::<FileName>().is_err(), "{text:?} was taken for a name");
        }
    }
}
