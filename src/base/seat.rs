//! Seats and their terms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::{Name, NameError};

/// An exclusive role in a group: at any instant at most one member holds it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seat {
    /// The application leader (topology `leader`).
    Leader,
    /// Carries out rolling changes (strategy `rolling`).
    Updater,
    /// Keeps the council.
    Steward,
    /// A lock that a person or a script asked for.
    Lock(Name),
}

/// A text is not a seat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// It is none of the known seats.
    #[error("a seat is leader, updater, steward or lock/NAME, not {0:?}")]
    Unknown(String),
    /// The lock's name is not a name.
    #[error("a lock is lock/NAME")]
    Lock(#[source] NameError),
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Updater => f.write_str("updater"),
            Self::Steward => f.write_str("steward"),
            Self::Lock(name) => write!(f, "lock/{name}"),
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Seat {
    type Err = SeatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "leader" => Ok(Self::Leader),
            "updater" => Ok(Self::Updater),
            "steward" => Ok(Self::Steward),
            other => match other.strip_prefix("lock/") {
                Some(name) => name.parse().map(Self::Lock).map_err(SeatError::Lock),
                None => Err(SeatError::Unknown(other.chars().take(80).collect())),
            },
        }
    }
}

impl Serialize for Seat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which holding of a seat this is: strictly growing across holders of one (group, seat). Services use it as a
/// fencing token. Zero: the seat was never held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one. Saturates: 2^64 terms outlast the machine.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Seat;

    #[test]
    fn a_seat_reads_back_as_it_prints() {
        for text in ["leader", "updater", "steward", "lock/backup"] {
            assert_eq!(text.parse::<Seat>().unwrap().to_string(), text);
        }
        assert!("lock/".parse::<Seat>().is_err());
        assert!("king".parse::<Seat>().is_err());
    }
}
