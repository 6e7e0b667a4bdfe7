//! What releases and configs do to the fake service. It is written in them: in the bytes of a release's hash, and in the
//! text of a config; so nobody has to remember it.

use std::time::Duration;

use crate::base::Hash;
use crate::census::Goal;

/// What becomes of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It comes up, and its check complains without saying critical.
    Warns,
    /// It never comes up.
    Hangs,
    /// It ends before it is up.
    ExitsAtStart,
    /// It comes up, and its check says critical from the first time on.
    NeverOk,
    /// It is ok for a time, and then its check says critical.
    TurnsCritical,
    /// It is ok for a time, and then ends.
    Exits,
}

/// A release or a config of the fake service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Make {
    /// What becomes of a process of it; none: it serves.
    pub fate: Option<Fate>,
    /// On which machines: those whose number can be divided by this.
    pub every: u8,
    /// For how long it is ok, where it is at all.
    pub after: Duration,
}

const CODES: [(u8, Option<Fate>); 7] = [
    (0, None),
    (1, Some(Fate::Warns)),
    (2, Some(Fate::Hangs)),
    (3, Some(Fate::ExitsAtStart)),
    (4, Some(Fate::TurnsCritical)),
    (5, Some(Fate::Exits)),
    (6, Some(Fate::NeverOk)),
];

impl Make {
    /// One that serves.
    pub const GOOD: Self = Self { fate: None, every: 1, after: Duration::ZERO };

    /// A release that is made like this, and like no other of another number.
    #[must_use]
    pub fn release(self, number: u32) -> Hash {
        let mut bytes = [0; 32];
        bytes[0] = self.code();
        bytes[1] = self.every;
        bytes[2] = self.tenths();
        bytes[4..8].copy_from_slice(&number.to_be_bytes());
        Hash::from_bytes(bytes)
    }

    /// A config that is made like this.
    #[must_use]
    pub fn config(self, number: u32) -> String {
        format!("number = {number}\nfate = {}\nevery = {}\nafter = {}\n", self.code(), self.every, self.tenths())
    }

    /// What a machine's process becomes under this goal: the config's fate, or else the release's.
    pub(super) fn of(goal: &Goal, host: usize) -> Self {
        let release = goal.target.release.map_or(Self::GOOD, |hash| {
            let [code, every, tenths, ..] = *hash.as_bytes();
            Self::read(code, every, tenths)
        });
        let config = goal.config.as_ref().map_or(Self::GOOD, |config| {
            let value = |name: &str| {
                let line = config.toml.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
                line.and_then(|number| number.parse().ok()).unwrap_or(0)
            };
            Self::read(value("fate"), value("every"), value("after"))
        });
        let make = if config.fate.is_some() { config } else { release };
        if host.is_multiple_of(usize::from(make.every.max(1))) { make } else { Self::GOOD }
    }

    fn read(code: u8, every: u8, tenths: u8) -> Self {
        let fate = CODES.iter().find(|(known, _)| *known == code).and_then(|(_, fate)| *fate);
        Self { fate, every: every.max(1), after: Duration::from_millis(u64::from(tenths) * 100) }
    }

    fn code(self) -> u8 {
        CODES.iter().find(|(_, fate)| *fate == self.fate).map_or(0, |(code, _)| *code)
    }

    fn tenths(self) -> u8 {
        u8::try_from(self.after.as_millis() / 100).unwrap_or(u8::MAX)
    }
}
