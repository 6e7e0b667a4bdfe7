//! Nodes that this one and its ring do not understand: said once a minute, on both sides.
//!
//! Somebody who sends garbage can have a line written each minute, and no more: what he sends is counted, not kept.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::key::KeyId;
use super::version::Versions;
use crate::base::RingName;

/// How often the same trouble is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// For how long a stranger is shown after it was last heard of: those that go on trying are heard more often.
const SHOWN_FOR: Duration = Duration::from_secs(90);
/// Tales that wait for their reader: one of each trouble of each side.
const TALES: usize = 10;

/// Who refuses whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// This node refuses the other.
    Here,
    /// The other refuses this node.
    There,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The other is of this ring.
    Ring(RingName),
    /// Clear text, where only sealed traffic is taken.
    Clear,
    /// Sealed with a key that the one that refuses does not have.
    Key(KeyId),
    /// The key is there, and the seal is not right.
    Forged(KeyId),
    /// A version of the wire that the one that refuses does not speak.
    Version(u8),
}

impl Trouble {
    const fn kind(&self) -> u8 {
        match self {
            Self::Ring(_) => 0,
            Self::Clear => 1,
            Self::Key(_) => 2,
            Self::Forged(_) => 3,
            Self::Version(_) => 4,
        }
    }
}

/// A node that this one does not understand, or that does not understand this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Where it is, as the socket saw it.
    pub address: SocketAddr,
    /// Who refuses whom.
    pub side: Side,
    /// Why.
    pub trouble: Trouble,
    /// How often the same was met since it was last told.
    pub more: u64,
}

/// What a person is told of a stranger: what it is, and what to do.
#[derive(Debug)]
pub struct Tale<'a> {
    stranger: &'a Stranger,
    ring: &'a RingName,
    versions: Versions,
}

impl Stranger {
    /// In words, for a node of this ring.
    #[must_use]
    pub const fn tale<'a>(&'a self, ring: &'a RingName, versions: Versions) -> Tale<'a> {
        Tale { stranger: self, ring, versions }
    }
}

impl fmt::Display for Tale<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stranger: Stranger { address, side, trouble, .. }, ring, versions } = self;
        match (side, trouble) {
            (Side::Here, Trouble::Ring(theirs)) => write!(
                f,
                "{address} is of the ring \"{theirs}\" and this node of \"{ring}\": it was refused; if they are to be one \
                 ring, start both with the same --ring"
            ),
            (Side::There, Trouble::Ring(theirs)) => write!(
                f,
                "{address} is of the ring \"{theirs}\" and this node of \"{ring}\": it refuses this node; if they are to \
                 be one ring, start both with the same --ring"
            ),
            (Side::Here, Trouble::Clear) => write!(
                f,
                "{address} talks in clear text, and this ring is encrypted: it was refused; if it is to be a member, give \
                 it the ring's key by --ring-key-file"
            ),
            (Side::There, Trouble::Clear) => write!(
                f,
                "{address} refuses this node, which talks in clear text: the ring there is encrypted; give this node the \
                 ring's key by --ring-key-file"
            ),
            (Side::Here, Trouble::Key(id)) => write!(
                f,
                "{address} uses key {id}, which this node does not have: nothing of it can be read; if it is to be of this \
                 ring, give both the same key (sup ring key list, sup ring key install)"
            ),
            (Side::There, Trouble::Key(id)) => write!(
                f,
                "{address} refuses this node: it does not have key {id}, which this node uses; if they are to be one ring, \
                 give both the same key (sup ring key list, sup ring key install)"
            ),
            (Side::Here, Trouble::Forged(id)) => write!(
                f,
                "what came from {address} was not sealed like this with key {id}: it was refused; somebody changes what is \
                 on its way, or tries to be a node of this ring"
            ),
            (Side::There, Trouble::Forged(id)) => write!(
                f,
                "{address} refuses this node: what arrived there was not sealed like this with key {id}; somebody changes \
                 what is on its way"
            ),
            (side, Trouble::Version(version)) => {
                let (min, max) = (versions.min, versions.max);
                let refused = match side {
                    Side::Here => "it was refused",
                    Side::There => "it refuses this node",
                };
                write!(
                    f,
                    "{address} speaks version {version} of the wire and this node {min} to {max}: {refused}; update the \
                     older of the two"
                )
            }
        }
    }
}

#[derive(Debug)]
struct Met {
    stranger: Stranger,
    last: Instant,
    told: Instant,
    since_told: u64,
}

/// All strangers that were met: the last one of each trouble.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    met: Mutex<BTreeMap<(Side, u8), Met>>,
    listener: Mutex<Option<mpsc::Sender<Stranger>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is whole at all times.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Strangers {
    /// Tells them from now on. There is one listener; another one takes its place.
    pub(super) fn listen(&self) -> mpsc::Receiver<Stranger> {
        let (sender, receiver) = mpsc::channel(TALES);
        *locked(&self.listener) = Some(sender);
        receiver
    }

    /// One was met.
    pub(super) fn meet(&self, now: Instant, address: SocketAddr, side: Side, trouble: Trouble) {
        let kind = (side, trouble.kind());
        let stranger = Stranger { address, side, trouble, more: 0 };
        let mut all = locked(&self.met);
        let more = match all.get_mut(&kind) {
            Some(met) => {
                met.last = now;
                met.stranger = stranger.clone();
                met.since_told = met.since_told.saturating_add(1);
                if now.saturating_duration_since(met.told) < TELL_EVERY {
                    return;
                }
                met.told = now;
                std::mem::take(&mut met.since_told) - 1
            }
            None => {
                all.insert(kind, Met { stranger: stranger.clone(), last: now, told: now, since_told: 0 });
                0
            }
        };
        drop(all);
        if let Some(listener) = &*locked(&self.listener) {
            // A listener that is minutes behind misses one.
            listener.try_send(Stranger { more, ..stranger }).ok();
        }
    }

    /// Those that were heard of lately.
    pub(super) fn recent(&self, now: Instant) -> Vec<Stranger> {
        let all = locked(&self.met);
        let recent = all.values().filter(|met| now.saturating_duration_since(met.last) < SHOWN_FOR);
        recent.map(|met| Stranger { more: met.since_told, ..met.stranger.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use super::{SHOWN_FOR, Side, Strangers, TELL_EVERY, Trouble};
    use crate::net::version::Versions;

    fn from(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 9638).into()
    }

    #[test]
    fn each_trouble_is_told_once_a_minute_with_how_often_it_was_met() {
        let strangers = Strangers::default();
        let mut told = strangers.listen();
        let began = Instant::now();
        for n in 1..=5 {
            strangers.meet(began, from(n), Side::Here, Trouble::Clear);
        }
        strangers.meet(began, from(9), Side::There, Trouble::Clear);
        strangers.meet(began + TELL_EVERY, from(6), Side::Here, Trouble::Clear);
        let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).map(|s| (s.address, s.side, s.more)).collect();
        assert_eq!(told, [(from(1), Side::Here, 0), (from(9), Side::There, 0), (from(6), Side::Here, 4)]);
    }

    #[test]
    fn a_stranger_that_gave_up_is_not_shown_for_ever() {
        let strangers = Strangers::default();
        let began = Instant::now();
        strangers.meet(began, from(1), Side::Here, Trouble::Ring("blue".parse().unwrap()));
        assert_eq!(strangers.recent(began).len(), 1);
        assert_eq!(strangers.recent(began + SHOWN_FOR).len(), 0);
    }

    #[test]
    fn what_is_told_names_both_sides_and_what_to_do() {
        let strangers = Strangers::default();
        let now = Instant::now();
        strangers.meet(now, from(1), Side::There, Trouble::Ring("blue".parse().unwrap()));
        let stranger = strangers.recent(now).remove(0);
        let tale = stranger.tale(&"green".parse().unwrap(), Versions::default()).to_string();
        assert!(["10.0.0.1:9638", "\"blue\"", "\"green\"", "--ring"].iter().all(|part| tale.contains(part)), "{tale}");
    }
}
