//! The revisions of a group's config: which is in force, which lost a race.
//!
//! Each revision is a record of its own, so two that are applied on the two sides of a partition both survive the
//! healing: the one with the newer stamp is in force, the other stays in the history.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::records::Stamp;
use crate::records::value::ConfigRevision;

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigStanding {
    /// It is in force.
    Current,
    /// It was in force, and a later one replaced it.
    Replaced,
    /// Another one was applied at the same time, from the same parent, and won.
    Superseded,
}

/// One revision in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name, `SEQUENCE-HASH`.
    pub revision: String,
    /// When and where it was made, as the records order it.
    pub stamp: Stamp,
    /// What it says.
    pub value: Arc<ConfigRevision>,
    /// What became of it.
    pub standing: ConfigStanding,
}

type Revisions = BTreeMap<String, (Stamp, Arc<ConfigRevision>)>;

/// The revision in force.
pub(super) fn current(revisions: &Revisions) -> Option<(&String, &Arc<ConfigRevision>)> {
    revisions.iter().max_by_key(|(_, (stamp, _))| *stamp).map(|(revision, (_, value))| (revision, value))
}

/// All revisions, newest first.
pub(super) fn history(revisions: &Revisions) -> Vec<ConfigEntry> {
    let mut entries: Vec<ConfigEntry> = revisions
        .iter()
        .map(|(revision, (stamp, value))| ConfigEntry {
            revision: revision.clone(),
            stamp: *stamp,
            value: Arc::clone(value),
            standing: ConfigStanding::Replaced,
        })
        .collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.stamp));
    let mut newest_of_parent: BTreeMap<Option<String>, ()> = BTreeMap::new();
    for (position, entry) in entries.iter_mut().enumerate() {
        let first_of_its_parent = newest_of_parent.insert(entry.value.parent.clone(), ()).is_none();
        entry.standing = match (position, first_of_its_parent) {
            (0, _) => ConfigStanding::Current,
            (_, true) => ConfigStanding::Replaced,
            (_, false) => ConfigStanding::Superseded,
        };
    }
    entries
}

/// Whether the arrival of `revision` shows a race: two revisions with one parent. Returns (the loser, the winner).
pub(super) fn race(revisions: &Revisions, revision: &str) -> Option<(String, String)> {
    let (stamp, value) = revisions.get(revision)?;
    let (sibling, (other, _)) =
        revisions.iter().find(|(name, (_, other))| name.as_str() != revision && other.parent == value.parent)?;
    if stamp > other {
        Some((sibling.clone(), revision.to_owned()))
    } else {
        Some((revision.to_owned(), sibling.clone()))
    }
}
