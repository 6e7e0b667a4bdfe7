//! How two nodes find out what differs, and exchange that and no more.
//!
//! Every few seconds a node sends one random member the hash over all that it knows. Mostly that member's is the same,
//! and that was all. Else the *member* asks back, in up to four kinds of questions on streams: first the hashes of 64
//! branches, answered with the leaves of those that differ; then what is in the leaves that differ, answered with
//! what the asker lacks, and the names of what it should send in turn, page by page. The asked keeps nothing between two
//! questions, so that any of them can be lost, or the records change meanwhile.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;

use super::engine::{Records, Taken};
use super::key::Key;
use super::message::{Entry, RecordsAction, RecordsDatagram, RecordsRequest, RecordsResponse};
use super::record::Record;
use super::spread::encoded_bytes;
use super::stamp::Stamp;
use super::table::{LEAVES, LEAVES_PER_BRANCH, leaf_of};
use crate::base::limits::STREAM_FRAME_BYTES;
use crate::base::{Mono, NodeId, Now};

/// Bytes of records in one message: with as many of keys as fit [`ENTRIES_BYTES`], half a frame is left over.
pub(super) const PAGE_BYTES: usize = STREAM_FRAME_BYTES / 2;
/// Bytes of entries in one question; the answer may name each of their keys.
const ENTRIES_BYTES: usize = STREAM_FRAME_BYTES / 4;
/// When a question counts as unanswered, should the shell not say so earlier.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Most questions of one repair: enough for a ring's most records in a page each, and an end to any disagreement.
const QUESTIONS: u32 = 100_000;
/// Repairs that may be asked for at once, beside the routine one.
const SYNCS: usize = 8;
/// A repair that brought no more than so many records tells them on, as they are probably new to others, too; more are
/// what one side of the ring knew all along, and every node of the other side passing them on would be a flood.
const TELL_ON: usize = 32;

/// Why a repair is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A member's hash differed from ours.
    Routine,
    /// It was asked for.
    Sync,
}

/// A repair, from the asker's side.
#[derive(Debug)]
pub(super) struct Session {
    with: NodeId,
    purpose: Purpose,
    step: Step,
    /// Leaves that are still to be compared.
    pending: BTreeSet<u16>,
    /// What the other side wants.
    owed: BTreeSet<Key>,
    /// Whether the other side was here all along, as far as it said.
    peer_is_current: bool,
    /// How many records it brought.
    brought: usize,
    questions: u32,
    pub(super) until: Mono,
}

/// What was asked last.
#[derive(Debug)]
enum Step {
    Branches,
    Compare { first: u16, last: u16 },
    Push,
}

impl Records {
    /// Sends one random member the hash over everything.
    pub(super) fn ask_a_peer(&mut self) {
        if self.peers.is_empty() {
            return;
        }
        let to = match self.next_peer.take() {
            Some(peer) if self.peers.binary_search(&peer).is_ok() => peer,
            Some(_) | None => self.peers[self.rng.random_range(0..self.peers.len())],
        };
        self.actions.push(RecordsAction::Send { to, msg: RecordsDatagram::Root(self.table.root()) });
    }

    pub(super) fn start_repair(&mut self, now: Now, with: NodeId, purpose: Purpose) {
        let alike = self.sessions.values().filter(|session| session.purpose == purpose).count();
        match purpose {
            Purpose::Routine if alike > 0 => return,
            Purpose::Sync if alike >= SYNCS => {
                self.actions.push(RecordsAction::SyncFailed(with));
                return;
            }
            Purpose::Routine | Purpose::Sync => {}
        }
        let session = Session {
            with,
            purpose,
            step: Step::Branches,
            pending: BTreeSet::new(),
            owed: BTreeSet::new(),
            peer_is_current: false,
            brought: 0,
            questions: 0,
            until: now.mono,
        };
        let hashes = self.table.branches().to_vec();
        self.question(now, session, Step::Branches, RecordsRequest::Branches { hashes });
    }

    fn question(&mut self, now: Now, mut session: Session, step: Step, msg: RecordsRequest) {
        if session.questions >= QUESTIONS {
            self.break_off(&session);
            return;
        }
        session.questions += 1;
        session.step = step;
        session.until = now.mono + ANSWER_WITHIN;
        let request = self.ask(session.with, msg);
        self.sessions.insert(request, session);
    }

    /// Gives up what was not answered in time.
    pub(super) fn expire_requests(&mut self, now: Now) {
        let late: Vec<u64> = self.sessions.iter().filter(|(_, s)| s.until <= now.mono).map(|(id, _)| *id).collect();
        for request in late {
            if let Some(session) = self.sessions.remove(&request) {
                self.break_off(&session);
            }
        }
        self.fetches.retain(|_, fetch| now.mono < fetch.until);
    }

    fn break_off(&mut self, session: &Session) {
        match session.purpose {
            Purpose::Routine => {}
            Purpose::Sync => self.actions.push(RecordsAction::SyncFailed(session.with)),
        }
    }

    fn complete(&mut self, now: Now, session: &Session) {
        if session.peer_is_current {
            self.become_current();
        }
        match session.purpose {
            // Where one thing was missed, more may be: a ring that was split heals in a second or two this way.
            Purpose::Routine if session.brought > 0 => {
                let soon = now.mono + self.config.repair_interval / 10;
                self.repair_at = self.repair_at.map(|at| at.min(soon));
            }
            Purpose::Routine => {}
            Purpose::Sync => self.actions.push(RecordsAction::Synced(session.with)),
        }
    }

    pub(super) fn continue_repair(&mut self, now: Now, mut session: Session, response: Option<RecordsResponse>) {
        match (&session.step, response) {
            (Step::Branches, Some(RecordsResponse::Leaves { branches, leaves, current })) => {
                session.peer_is_current = current;
                session.pending = self.differing(&branches, leaves);
            }
            (Step::Compare { .. }, Some(RecordsResponse::Differences { records, wanted, unknown, next, current })) => {
                session.peer_is_current &= current;
                self.take_differences(now, &mut session, records, next);
                if current {
                    self.drop_doubtful(&unknown);
                }
                session.owed.extend(wanted);
            }
            (Step::Push, Some(RecordsResponse::Pushed)) => {}
            // No answer, or one to another question.
            (Step::Branches | Step::Compare { .. } | Step::Push, _) => {
                self.break_off(&session);
                return;
            }
        }
        self.next_question(now, session);
    }

    fn next_question(&mut self, now: Now, mut session: Session) {
        let page = self.page_owed(&mut session.owed);
        if !page.is_empty() {
            self.question(now, session, Step::Push, RecordsRequest::Push(page));
            return;
        }
        let (leaves, entries) = self.page_of_entries(&session.pending);
        let (Some(&first), Some(&last)) = (leaves.first(), leaves.last()) else {
            self.complete(now, &session);
            return;
        };
        let current = self.standing.is_current();
        self.question(
            now,
            session,
            Step::Compare { first, last },
            RecordsRequest::Compare { leaves, entries, current },
        );
    }

    /// The leaves of `branches` whose hashes differ from ours.
    fn differing(&self, branches: &[u8], leaves: Vec<(u16, u64)>) -> BTreeSet<u16> {
        let theirs: BTreeMap<u16, u64> = leaves.into_iter().collect();
        let in_branch = |branch: u8| {
            let first = u16::from(branch) * LEAVES_PER_BRANCH;
            first..first + LEAVES_PER_BRANCH
        };
        branches
            .iter()
            .flat_map(|branch| in_branch(*branch))
            .filter(|leaf| *leaf < LEAVES && self.table.leaf_hash(*leaf) != theirs.get(leaf).copied().unwrap_or(0))
            .collect()
    }

    fn take_differences(&mut self, now: Now, session: &mut Session, records: Vec<Record>, next: Option<u16>) {
        let Step::Compare { first, last } = session.step else { return };
        let mut brought = Vec::new();
        for record in records {
            let (key, stamp) = (record.key.clone(), record.stamp);
            if self.accept(now, record) == Taken::New {
                if !session.peer_is_current && self.is_older_than_deletions(&key, &stamp) {
                    self.standing.doubt(key.clone());
                }
                brought.push(key);
            }
        }
        session.brought += brought.len();
        // All up to where the answer ended was compared. If it ended in the first leaf and still brought nothing, that
        // leaf is full of what we refuse, and asking for it again would go on for ever.
        let compared = match next {
            Some(next) if next > first => next,
            Some(_) if brought.is_empty() => first.saturating_add(1),
            Some(_) => first,
            None => last.saturating_add(1),
        };
        session.pending = session.pending.split_off(&compared);
        if session.purpose == Purpose::Routine && brought.len() <= TELL_ON {
            let with = session.with;
            self.news.extend(brought.into_iter().map(|key| (key, Some(with))));
        }
    }

    /// As many of the leaves as fit a question, with what is in them.
    fn page_of_entries(&self, pending: &BTreeSet<u16>) -> (Vec<u16>, Vec<Entry>) {
        let mut room = ENTRIES_BYTES;
        let (mut leaves, mut entries) = (Vec::new(), Vec::new());
        for &leaf in pending {
            for key in self.table.keys_in(leaf) {
                let Some(record) = self.table.get(key) else { continue };
                let entry = Entry { key: key.clone(), stamp: record.stamp, tag: self.table.tag(key) };
                let size = encoded_bytes(&entry);
                if size > room {
                    // What of a leaf does not fit, the other side sends needlessly. Such leaves are made, not born.
                    leaves.push(leaf);
                    return (leaves, entries);
                }
                room -= size;
                entries.push(entry);
            }
            leaves.push(leaf);
        }
        (leaves, entries)
    }

    /// Takes as much of what is owed as fits a message.
    fn page_owed(&self, owed: &mut BTreeSet<Key>) -> Vec<Record> {
        let mut room = PAGE_BYTES;
        let mut page = Vec::new();
        while let Some(key) = owed.pop_first() {
            let Some(record) = self.table.get(&key) else { continue };
            let size = encoded_bytes(record);
            if size > room {
                owed.insert(key);
                break;
            }
            room -= size;
            page.push(record.clone());
        }
        page
    }

    pub(super) fn answer_branches(&self, theirs: &[u64]) -> RecordsResponse {
        let ours = self.table.branches();
        let differs =
            |branch: &u8| ours[usize::from(*branch)] != theirs.get(usize::from(*branch)).copied().unwrap_or(0);
        let count = u8::try_from(ours.len()).unwrap_or(u8::MAX);
        let branches: Vec<u8> = (0..count).filter(differs).collect();
        let leaves = branches
            .iter()
            .flat_map(|branch| {
                let first = u16::from(*branch) * LEAVES_PER_BRANCH;
                (first..first + LEAVES_PER_BRANCH).map(|leaf| (leaf, self.table.leaf_hash(leaf)))
            })
            .filter(|(_, hash)| *hash != 0)
            .collect();
        RecordsResponse::Leaves { branches, leaves, current: self.standing.is_current() }
    }

    pub(super) fn answer_compare(
        &self,
        now: Now,
        leaves: &[u16],
        entries: Vec<Entry>,
        asker_is_current: bool,
    ) -> RecordsResponse {
        let current = self.standing.is_current();
        let theirs: BTreeMap<Key, (Stamp, u16)> =
            entries.into_iter().map(|entry| (entry.key, (entry.stamp, entry.tag))).collect();
        let refused = |record: &Record, theirs: Option<&(Stamp, u16)>| {
            theirs.is_some_and(|(stamp, _)| self.refuse(now, &record.key, stamp).is_some())
        };
        let mut room = PAGE_BYTES;
        let (mut records, mut wanted, mut unknown, mut next) = (Vec::new(), Vec::new(), Vec::new(), None);
        'leaves: for &leaf in leaves {
            for record in self.table.keys_in(leaf).filter_map(|key| self.table.get(key)) {
                let order = match theirs.get(&record.key) {
                    // What I doubt and one who was here all along has not, is not.
                    None if asker_is_current && self.standing.doubts(&record.key) => Ordering::Equal,
                    None => Ordering::Greater,
                    Some((stamp, tag)) if record.stamp == *stamp && self.table.tag(&record.key) != *tag => {
                        // Only the contents can tell, so both sides show theirs.
                        wanted.push(record.key.clone());
                        Ordering::Greater
                    }
                    Some((stamp, _)) => record.stamp.cmp(stamp),
                };
                match order {
                    Ordering::Equal => {}
                    Ordering::Less if refused(record, theirs.get(&record.key)) => {}
                    Ordering::Less => wanted.push(record.key.clone()),
                    Ordering::Greater => {
                        let size = encoded_bytes(record);
                        if size > room {
                            next = Some(leaf);
                            break 'leaves;
                        }
                        room -= size;
                        records.push(record.clone());
                    }
                }
            }
        }
        for (key, (stamp, _)) in theirs {
            let uncompared = next.is_some_and(|next| leaf_of(&key) >= next);
            if uncompared || self.table.get(&key).is_some() || self.is_forgotten(&key, &stamp) {
                continue;
            }
            if current && !asker_is_current && self.is_older_than_deletions(&key, &stamp) {
                unknown.push(key);
            } else if self.refuse(now, &key, &stamp).is_none() {
                wanted.push(key);
            }
        }
        RecordsResponse::Differences { records, wanted, unknown, next, current }
    }

    pub(super) fn answer_push(&mut self, now: Now, from: NodeId, records: Vec<Record>) -> RecordsResponse {
        let mut brought = Vec::new();
        for record in records {
            let key = record.key.clone();
            if self.accept(now, record) == Taken::New {
                brought.push(key);
            }
        }
        if brought.len() <= TELL_ON {
            self.news.extend(brought.into_iter().map(|key| (key, Some(from))));
        }
        RecordsResponse::Pushed
    }
}
