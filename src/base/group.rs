//! Service groups.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::{Name, NameError};

/// A service group, `SERVICE.GROUP` (`redis.default`): the members that run one service together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// The service's name.
    pub service: Name,
    /// The group's name.
    pub group: Name,
}

/// A text is not a service group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupIdError {
    /// There is not exactly one dot.
    #[error("a service group is SERVICE.GROUP, such as redis.default, not {0:?}")]
    Shape(String),
    /// One of the two parts is not a name.
    #[error("a service group is SERVICE.GROUP, such as redis.default")]
    Name(#[source] NameError),
}

impl GroupId {
    /// The group `group` of `service`.
    #[must_use]
    pub fn new(service: Name, group: Name) -> Self {
        Self { service, group }
    }
}

impl FromStr for GroupId {
    type Err = GroupIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = || GroupIdError::Shape(text.chars().take(80).collect());
        let (service, group) = text.split_once('.').ok_or_else(shape)?;
        if group.contains('.') {
            return Err(shape());
        }
        Ok(Self::new(service.parse().map_err(GroupIdError::Name)?, group.parse().map_err(GroupIdError::Name)?))
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.service, self.group))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.group)
    }
}

impl Serialize for GroupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GroupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::GroupId;

    #[test]
    fn a_group_reads_back_as_it_prints() {
        let group: GroupId = "redis.default".parse().unwrap();
        assert_eq!(group.to_string(), "redis.default");
        assert_eq!((group.service.as_str(), group.group.as_str()), ("redis", "default"));
    }

    #[test]
    fn a_group_has_one_dot_and_two_names() {
        for text in ["redis", "redis.", ".default", "a.b.c", "a..b", "../x.y", "R.d"] {
            assert!(text.parse::<GroupId>().is_err(), "{text:?} was taken for a group");
        }
    }
}
