//! Signals, by name.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal;

/// The signal that asks a service to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSignal(pub Signal);

/// A text is not a signal that can stop a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopSignalError {
    /// There is no such signal.
    #[error("there is no signal {0:?}; use TERM, INT, QUIT, HUP, USR1, USR2, WINCH or KILL")]
    Unknown(String),
    /// It stops nothing for good.
    #[error("{0} suspends or resumes a process, it does not end it")]
    Suspends(Signal),
}

impl Default for StopSignal {
    fn default() -> Self {
        Self(Signal::SIGTERM)
    }
}

impl FromStr for StopSignal {
    type Err = StopSignalError;

    /// Takes `TERM` as well as `SIGTERM`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let full = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
        match Signal::from_str(&full) {
            Ok(signal @ (Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGCONT | Signal::SIGTTIN | Signal::SIGTTOU)) => {
                Err(StopSignalError::Suspends(signal))
            }
            Ok(signal) => Ok(Self(signal)),
            Err(_) => Err(StopSignalError::Unknown(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.0.as_str();
        f.pad(full.strip_prefix("SIG").unwrap_or(full))
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::{StopSignal, StopSignalError};

    #[test]
    fn a_signal_is_known_with_and_without_its_prefix() {
        for text in ["TERM", "SIGTERM"] {
            assert_eq!(text.parse(), Ok(StopSignal(Signal::SIGTERM)));
        }
        assert_eq!(StopSignal(Signal::SIGQUIT).to_string(), "QUIT");
    }

    #[test]
    fn what_does_not_end_a_process_is_no_stop_signal() {
        assert_eq!("STOP".parse::<StopSignal>(), Err(StopSignalError::Suspends(Signal::SIGSTOP)));
        for text in ["", "term", "15", "SIG", "FOO"] {
            assert!(matches!(text.parse::<StopSignal>(), Err(StopSignalError::Unknown(_))), "{text:?}");
        }
    }
}
