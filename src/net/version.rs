//! Versions of the wire.
//!
//! Everything that is sent says which version it is in, and the highest that its sender speaks. A node begins with the
//! lowest that it speaks, and goes on with the highest that both do: so nodes of two releases of `sup` are one ring, and
//! the newer ones among them use what only they know. Within a version, fields may be added at the end of a message and
//! kinds of messages may be added: who does not know them skips them.

/// The lowest version that this node speaks.
pub const VERSION_MIN: u8 = 1;
/// The highest version that this node speaks.
pub const VERSION: u8 = 1;

/// The versions that a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub min: u8,
    /// The highest.
    pub max: u8,
}

impl Default for Versions {
    fn default() -> Self {
        Self { min: VERSION_MIN, max: VERSION }
    }
}

impl Versions {
    /// Whether this node speaks it.
    #[must_use]
    pub const fn speak(self, version: u8) -> bool {
        self.min <= version && version <= self.max
    }

    /// What to speak with a node whose highest version is `theirs`, or is not known yet. May be one that it does not
    /// speak, if it is too old for this node; then it says so.
    #[must_use]
    pub fn with(self, theirs: Option<u8>) -> u8 {
        theirs.map_or(self.min, |theirs| theirs.clamp(self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::Versions;

    #[test]
    fn two_nodes_speak_the_highest_version_that_both_do() {
        let versions = Versions { min: 2, max: 4 };
        for (theirs, spoken) in [(None, 2), (Some(1), 2), (Some(2), 2), (Some(3), 3), (Some(9), 4)] {
            assert_eq!(versions.with(theirs), spoken);
        }
        assert!(!versions.speak(1) && versions.speak(2) && versions.speak(4) && !versions.speak(5));
    }
}
