//! What this updater knows of a turn beyond the record.

use std::time::Duration;

use crate::base::Mono;
use crate::records::value::RolloutOptions;

use super::super::message::Version;

/// For how long the word that a turn may begin is good, on any member's clock.
const WORD_LASTS: Duration = Duration::from_millis(1_500);

/// A turn that the record grants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    /// Since when this updater knows of it.
    pub(super) since: Mono,
    /// The version that granted it, as far as this updater knows: any later one names it, too.
    pub(super) version: Version,
    /// What its member was told.
    pub(super) told: Told,
    /// When its member was told last that it may begin, by this updater or, at the latest, by the one before it.
    pub(super) told_at: Mono,
    /// Since when its member does not answer; none while it does.
    pub(super) lost_since: Option<Mono>,
}

/// What a member was told of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: it has not begun.
    Nothing,
    /// Nothing by this updater, perhaps something by one before it.
    Unknown,
    /// That it may begin.
    Go,
    /// That it may not; and it said that it is not at it and never shall be.
    Declined(Before),
}

/// What a member may have done of a turn before it declined it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// It may have begun, and its supervisor may have been restarted since: then it goes back by itself.
    Something,
}

impl Watch {
    pub(super) fn new(now: Mono, version: Version, told: Told) -> Self {
        Self { since: now, version, told, told_at: now, lost_since: None }
    }

    /// Its member is told that it may begin.
    pub(super) fn go(&mut self, now: Mono) {
        self.told = Told::Go;
        self.told_at = now;
    }

    /// Until when that may begin the turn.
    pub(super) fn word_until(&self) -> Mono {
        self.told_at + WORD_LASTS
    }

    /// Its member is told that it may not begin, after all.
    pub(super) fn take_back(&mut self) {
        if self.told == Told::Go {
            self.told = Told::Unknown;
        }
    }

    /// Whether it is known that the turn has not begun, and cannot.
    pub(super) fn is_unbegun(&self) -> bool {
        match self.told {
            Told::Nothing | Told::Declined(Before::Nothing) => true,
            Told::Unknown | Told::Go | Told::Declined(Before::Something) => false,
        }
    }

    /// Its member says that it never shall begin.
    pub(super) fn decline(&mut self) {
        self.told = match self.told {
            Told::Nothing => Told::Declined(Before::Nothing),
            Told::Unknown => Told::Declined(Before::Something),
            // Told that it may after it was told that it may not: this is late, and from an earlier run of the member.
            Told::Go => Told::Go,
            Told::Declined(before) => Told::Declined(before),
        };
    }
}

/// For how long a member in turn may be out of reach. It comes to an end by itself within this time; so when it is up,
/// the member is what it was, or what it was to be, or gone.
pub(super) fn lost_limit(options: &RolloutOptions) -> Duration {
    Duration::from_millis(options.deadline_ms.saturating_add(options.min_healthy_ms))
}

/// Within which time a member that can be reached has to say how its turn ended.
pub(super) fn report_limit(options: &RolloutOptions) -> Duration {
    Duration::from_millis(options.deadline_ms.saturating_mul(2).saturating_add(options.min_healthy_ms))
}
