//! Revisions, of a group's config and of each of its files: which is in force, which lost a race.
//!
//! Each revision is a record of its own, so two that are applied on the two sides of a partition both survive the
//! healing: the one with the newer stamp is in force, the other stays in the history.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::records::Stamp;
use crate::records::value::{ConfigRevision, FileRevision};

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is in force.
    Current,
    /// It was in force, and a later one replaced it.
    Replaced,
    /// It is the newest, and a rollout went back from it: an older one is in force, or none.
    RolledBack,
    /// Another one was made at the same time, from the same parent, and won.
    Superseded,
}

/// One revision in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<V> {
    /// Its name, `SEQUENCE-HASH`.
    pub revision: String,
    /// When and where it was made, as the records order it.
    pub stamp: Stamp,
    /// What it says.
    pub value: Arc<V>,
    /// What became of it.
    pub standing: Standing,
}

/// One revision of a config.
pub type ConfigEntry = Entry<ConfigRevision>;
/// One revision of a file.
pub type FileEntry = Entry<FileRevision>;

/// A revision that was made from another one.
pub trait Revision {
    /// The revision that it was made from; none for the first.
    fn parent(&self) -> Option<&str>;
}

impl Revision for ConfigRevision {
    fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }
}

impl Revision for FileRevision {
    fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }
}

/// All revisions of one thing that are kept, by name.
pub(super) type Revisions<V> = BTreeMap<String, (Stamp, Arc<V>)>;

/// The revision in force.
pub(super) fn current<V>(revisions: &Revisions<V>) -> Option<(&String, &Arc<V>)> {
    revisions.iter().max_by_key(|(_, (stamp, _))| *stamp).map(|(revision, (_, value))| (revision, value))
}

/// All revisions, newest first.
pub(super) fn history<V: Revision>(revisions: &Revisions<V>) -> Vec<Entry<V>> {
    let mut entries: Vec<Entry<V>> = revisions
        .iter()
        .map(|(revision, (stamp, value))| Entry {
            revision: revision.clone(),
            stamp: *stamp,
            value: Arc::clone(value),
            standing: Standing::Replaced,
        })
        .collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.stamp));
    let mut newest_of_parent: BTreeMap<Option<String>, ()> = BTreeMap::new();
    for (position, entry) in entries.iter_mut().enumerate() {
        let first_of_its_parent = newest_of_parent.insert(entry.value.parent().map(str::to_owned), ()).is_none();
        entry.standing = match (position, first_of_its_parent) {
            (0, _) => Standing::Current,
            (_, true) => Standing::Replaced,
            (_, false) => Standing::Superseded,
        };
    }
    entries
}

/// Puts right which one is in force where a rollout went back from the newest. None: it went back to how it was before
/// there was a revision.
pub(super) fn settle<V>(entries: &mut [Entry<V>], in_force: Option<&str>) {
    let position = entries.iter().position(|entry| Some(entry.revision.as_str()) == in_force);
    match position {
        Some(0) => return,
        Some(older) => entries[older].standing = Standing::Current,
        // A rollout may be known here before the revision that it goes to.
        None if in_force.is_some() => return,
        None => {}
    }
    if let Some(newest) = entries.first_mut() {
        newest.standing = Standing::RolledBack;
    }
}

/// Whether the arrival of `revision` shows a race: two revisions with one parent. Returns (the loser, the winner).
pub(super) fn race<V: Revision>(revisions: &Revisions<V>, revision: &str) -> Option<(String, String)> {
    let (stamp, value) = revisions.get(revision)?;
    let (sibling, (other, _)) =
        revisions.iter().find(|(name, (_, other))| name.as_str() != revision && other.parent() == value.parent())?;
    if stamp > other {
        Some((sibling.clone(), revision.to_owned()))
    } else {
        Some((revision.to_owned(), sibling.clone()))
    }
}
