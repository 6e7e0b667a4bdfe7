//! Names of signals.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal as Unix;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A signal, written `TERM`; `SIGTERM`, `term` and `15` are read as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(Unix);

/// A text is not a signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal: a name such as TERM, HUP or USR1")]
pub struct SignalError(String);

impl Signal {
    /// Asks a process to end.
    pub const TERM: Self = Self(Unix::SIGTERM);
    /// Ends a process.
    pub const KILL: Self = Self(Unix::SIGKILL);
    /// By custom: read your configuration again.
    pub const HUP: Self = Self(Unix::SIGHUP);
    /// What Ctrl-C sends.
    pub const INT: Self = Self(Unix::SIGINT);

    /// The signal with this number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Unix::try_from(number).ok().map(Self)
    }

    /// Its number on this machine.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0 as i32
    }

    pub(super) const fn unix(self) -> Unix {
        self.0
    }
}

impl From<Unix> for Signal {
    fn from(signal: Unix) -> Self {
        Self(signal)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_str();
        f.pad(name.strip_prefix("SIG").unwrap_or(name))
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || SignalError(text.chars().take(40).collect());
        if let Ok(number) = text.parse() {
            return Self::from_number(number).ok_or_else(error);
        }
        let upper = text.to_ascii_uppercase();
        let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        name.parse().map(Self).map_err(|_| error())
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn a_signal_reads_back_as_it_prints() {
        for text in ["TERM", "HUP", "USR1", "WINCH"] {
            assert_eq!(text.parse::<Signal>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn all_common_spellings_of_a_signal_are_read() {
        for text in ["SIGTERM", "sigterm", "term", "15"] {
            assert_eq!(text.parse(), Ok(Signal::TERM), "{text}");
        }
        for text in ["", "SIG", "SIGSIGTERM", "TERMINATE", "0", "-15", "4096"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?} was taken for a signal");
        }
    }
}
