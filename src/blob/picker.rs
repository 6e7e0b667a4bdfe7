//! Which chunk to ask whom for. Pure: it is told what the time is.
//!
//! Two kinds of sources are told apart. An *origin* had all of the blob when it was first looked at; a *peer* is
//! fetching it as we are. Origins are asked only for what no peer has: then each chunk leaves them about once, and
//! travels from peer to peer from there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};

use super::set::ChunkSet;

/// How many chunks are asked for at once, of all sources.
pub(super) const ASKED_MAX: usize = 8;
/// How many of one source: while one is on its way, the source can read the next.
pub(super) const ASKED_PER_SOURCE_MAX: usize = 2;
/// Of how many chunks an origin may choose. More, and peers find all that is missing promised to the origin already;
/// fewer, and it has none to choose that it has not sent to others.
const CHOICE_MAX: usize = 16;
/// After how long without an answer a source is slow: what it has and what it was asked for may be asked of others.
/// Twice of what a chunk takes over a link of 4 Mbit/s.
const SLOW: Duration = Duration::from_secs(2);

/// For how long an origin that spares itself is not asked again. Meanwhile those that it has sent to may be found to
/// have what is missing.
pub(super) const SPARED: Duration = Duration::from_millis(50);

/// A connection to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceId(pub u64);

/// How a source came by what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It had all of it before.
    Origin,
    /// It is fetching it, too.
    Peer,
}

/// What to ask of a source: one of these chunks, at its choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub among: ChunkSet,
    pub of: Kind,
}

#[derive(Debug)]
struct Source {
    kind: Kind,
    have: ChunkSet,
    /// What it was asked for and has not answered, oldest first.
    asked: VecDeque<Asked>,
    /// Since when it owes the oldest of these.
    owes_since: Duration,
    /// It has declined, and is not asked until then.
    spared_until: Duration,
}

/// One chunk of these was asked for.
#[derive(Debug)]
struct Asked {
    among: Vec<usize>,
}

impl Source {
    fn is_slow(&self, now: Duration) -> bool {
        !self.asked.is_empty() && now.saturating_sub(self.owes_since) >= SLOW
    }
}

/// Whether a chunk is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promised {
    No,
    /// An origin may choose it, or another one.
    Perhaps,
    Yes,
}

/// What one fetch knows.
#[derive(Debug)]
pub(super) struct Picker {
    have: ChunkSet,
    sources: BTreeMap<SourceId, Source>,
    next_id: u64,
    rng: StdRng,
}

impl Picker {
    /// A fetch that begins with these chunks.
    pub(super) fn new(have: ChunkSet, rng: StdRng) -> Self {
        Self { have, sources: BTreeMap::new(), next_id: 0, rng }
    }

    /// Whether no chunk is missing.
    pub(super) fn is_done(&self) -> bool {
        self.have.is_all()
    }

    /// A source that has these chunks.
    pub(super) fn add(&mut self, have: ChunkSet) -> SourceId {
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let kind = if have.is_all() { Kind::Origin } else { Kind::Peer };
        self.sources.insert(
            id,
            Source { kind, have, asked: VecDeque::new(), owes_since: Duration::ZERO, spared_until: Duration::ZERO },
        );
        id
    }

    /// Whether others are known that are fetching it, too.
    pub(super) fn has_peers(&self) -> bool {
        self.sources.values().any(|source| source.kind == Kind::Peer)
    }

    /// A source has these chunks now.
    pub(super) fn learn(&mut self, id: SourceId, have: ChunkSet) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.have = have;
        }
    }

    /// A source is gone. What it was asked for is asked of others.
    pub(super) fn remove(&mut self, id: SourceId) {
        self.sources.remove(&id);
    }

    /// A source has answered the oldest of what it was asked for.
    pub(super) fn answered(&mut self, id: SourceId, now: Duration) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.asked.pop_front();
            source.owes_since = now;
        }
    }

    /// A source has declined: it has sent all of what it was asked for to others just now, who can pass it on.
    pub(super) fn declined(&mut self, id: SourceId, now: Duration) {
        self.answered(id, now);
        if let Some(source) = self.sources.get_mut(&id) {
            source.spared_until = now + SPARED;
        }
    }

    /// How long a source is spared from now on; none if it is not.
    pub(super) fn spared(&self, id: SourceId, now: Duration) -> Option<Duration> {
        let source = self.sources.get(&id)?;
        source.spared_until.checked_sub(now).filter(|rest| !rest.is_zero())
    }

    /// Whether this chunk is one of those that the source's next answer may bring.
    pub(super) fn expects(&self, id: SourceId, chunk: usize) -> bool {
        let asked = self.sources.get(&id).and_then(|source| source.asked.front());
        asked.is_some_and(|asked| asked.among.contains(&chunk))
    }

    /// A chunk is here now.
    pub(super) fn took(&mut self, chunk: usize) {
        self.have.insert(chunk);
    }

    /// What to ask a source for now. It counts as asked.
    pub(super) fn ask(&mut self, id: SourceId, now: Duration) -> Option<Ask> {
        let asked: usize =
            self.sources.values().filter(|source| !source.is_slow(now)).map(|source| source.asked.len()).sum();
        let source = self.sources.get(&id)?;
        let is_busy = source.asked.len() >= ASKED_PER_SOURCE_MAX || source.is_slow(now) || source.spared_until > now;
        if asked >= ASKED_MAX || is_busy {
            return None;
        }
        let wanted: Vec<usize> = source.have.iter().filter(|chunk| !self.have.contains(*chunk)).collect();
        let kind = source.kind;
        if wanted.is_empty() {
            return None;
        }
        let lots = self.lots(now);
        let among = match kind {
            Kind::Peer => self.of_peer(&wanted, &lots),
            Kind::Origin => self.of_origin(&wanted, &lots),
        };
        if among.is_empty() {
            return None;
        }
        let mut set = ChunkSet::none(self.have.chunks());
        among.iter().for_each(|chunk| set.insert(*chunk));
        let source = self.sources.get_mut(&id)?;
        if source.asked.is_empty() {
            source.owes_since = now;
        }
        source.asked.push_back(Asked { among });
        Some(Ask { among: set, of: kind })
    }

    /// The one that fewest have: should they go, it is gone. One that an origin may be about to send only if there is
    /// no other.
    fn of_peer(&mut self, wanted: &[usize], lots: &[Lot]) -> Vec<usize> {
        let rank = |chunk: &usize| (lots[*chunk].promised, lots[*chunk].holders);
        let Some(best) = wanted.iter().map(rank).min().filter(|(promised, _)| *promised != Promised::Yes) else {
            return Vec::new();
        };
        wanted.iter().copied().filter(|chunk| rank(chunk) == best).choose(&mut self.rng).into_iter().collect()
    }

    /// Some of those that no peer has, so that no other origin is asked for them meanwhile.
    fn of_origin(&mut self, wanted: &[usize], lots: &[Lot]) -> Vec<usize> {
        let is_free = |lot: &Lot| lot.promised == Promised::No && !lot.at_peer;
        let free: Vec<usize> = wanted.iter().copied().filter(|chunk| is_free(&lots[*chunk])).collect();
        let origins = self.sources.values().filter(|source| source.kind == Kind::Origin).count();
        let share = free.len().div_ceil(ASKED_PER_SOURCE_MAX * origins.max(1)).min(CHOICE_MAX);
        free.sample(&mut self.rng, share).copied().collect()
    }

    /// How it is with each chunk. Slow sources count for nothing.
    fn lots(&self, now: Duration) -> Vec<Lot> {
        let mut lots = vec![Lot { promised: Promised::No, holders: 0, at_peer: false }; self.have.chunks()];
        for source in self.sources.values().filter(|source| !source.is_slow(now)) {
            for chunk in source.have.iter() {
                lots[chunk].holders += 1;
                lots[chunk].at_peer |= source.kind == Kind::Peer;
            }
            for asked in &source.asked {
                let promise = if asked.among.len() == 1 { Promised::Yes } else { Promised::Perhaps };
                for chunk in &asked.among {
                    lots[*chunk].promised = lots[*chunk].promised.max(promise);
                }
            }
        }
        lots
    }
}

/// How it is with a chunk.
#[derive(Debug, Clone, Copy)]
struct Lot {
    promised: Promised,
    /// How many sources have it.
    holders: usize,
    /// Whether one of them is a peer.
    at_peer: bool,
}

#[cfg(test)]
mod tests;
