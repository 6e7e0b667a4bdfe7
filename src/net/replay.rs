//! Telling a datagram that was recorded and sent again from a new one.
//!
//! A sender numbers what it seals ([`super::seal::Nonce`]): a session, drawn at random when the process starts, and a
//! counter in it. A receiver takes each number once, and none that is older than its window.
//!
//! What is left to somebody who recorded the traffic and has no key: he can send again what was sealed by a session that
//! the receiver has not heard since it started itself. What that can do:
//!
//! - *Membership*: each life of a node has a generation, and each refutation in it an incarnation. Old news loses to
//!   newer of either; a death of an earlier generation is no news. The worst is a suspicion at an incarnation that is
//!   still the present one, which the suspect refutes at once, or a sign of life of a node that has just died, which
//!   delays the verdict by one period of the watch.
//! - *Records*: stamps order them. An old version of a record loses to the newer one that everybody has; one that was
//!   deleted more than 24 hours ago could come back, so nothing that must stay away relies on being forgotten.
//! - *Elections and rollouts*: a grant, a promise or a go answers the round, the term and the nonce of its question, and
//!   whoever asked takes it for the question of this moment only. A recorded one answers a question that is over: no two
//!   lives of a node share rounds. A recorded claim can prolong a lease at a voter, and so delay the next election by
//!   its ttl; it makes no second leader.
//! - *Streams* begin with a handshake in which both sides draw new keys: nothing of an old one is accepted in a new one.

use super::recent::Recent;
use super::seal::{Nonce, Session};

/// Sessions that are remembered: more than a ring has nodes. A session takes about 200 bytes.
const SESSIONS: usize = 8192;
/// How many words of 64 bits a window has.
const WORDS: usize = 16;
/// How far a datagram may be behind the newest of its session. A node sends a few a second to each other; when a ring
/// of a thousand is joined at once, some hundreds overtake each other.
const WINDOW: u64 = WORDS as u64 * 64;

/// What was heard of one session: the newest number, and which of those before it.
#[derive(Debug, Default)]
struct Window {
    newest: u64,
    /// A bit per number, at its remainder by [`WINDOW`]. Bits of numbers that are not in the window are zero.
    heard: [u64; WORDS],
}

impl Window {
    /// Takes a number. False: it was taken before, or is too old to tell.
    fn take(&mut self, number: u64) -> bool {
        if number > self.newest {
            let passed = number - self.newest;
            if passed >= WINDOW {
                self.heard = [0; WORDS];
            } else {
                // What leaves the window makes room for what enters it.
                (self.newest + 1..=number).for_each(|entering| self.clear(entering));
            }
            self.newest = number;
        } else if self.newest - number >= WINDOW {
            return false;
        }
        let (word, bit) = Self::place(number);
        let is_new = self.heard[word] & bit == 0;
        self.heard[word] |= bit;
        is_new
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        self.heard[word] &= !bit;
    }

    fn place(number: u64) -> (usize, u64) {
        let place = number % WINDOW;
        // Less than the number of words.
        (usize::try_from(place / 64).unwrap_or_default(), 1 << (place % 64))
    }
}

/// What was heard of all sessions.
#[derive(Debug)]
pub(super) struct Replay {
    sessions: Recent<Session, Window>,
}

impl Replay {
    pub(super) fn new() -> Self {
        Self { sessions: Recent::new(SESSIONS) }
    }

    /// Takes the nonce of a datagram whose seal was found intact. False: it was there before.
    pub(super) fn is_new(&mut self, nonce: Nonce) -> bool {
        self.sessions.entry(nonce.session, Window::default).take(nonce.number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Replay, WINDOW};
    use crate::net::seal::{Nonce, Session};

    fn nonce(session: u8, number: u64) -> Nonce {
        Nonce { session: Session::from_bytes([session; 16]), number }
    }

    #[test]
    fn each_session_has_its_own_numbers() {
        let mut replay = Replay::new();
        assert!(replay.is_new(nonce(1, 5)) && replay.is_new(nonce(2, 5)));
        assert!(!replay.is_new(nonce(1, 5)) && !replay.is_new(nonce(2, 5)));
    }

    #[test]
    fn what_is_late_is_taken_within_the_window_and_not_beyond() {
        let mut replay = Replay::new();
        assert!(replay.is_new(nonce(1, WINDOW)));
        assert!(replay.is_new(nonce(1, 1)));
        assert!(!replay.is_new(nonce(1, 0)));
    }

    proptest! {
        #[test]
        fn no_number_is_taken_twice_and_none_is_refused_that_is_new_and_recent(
            numbers in proptest::collection::vec(prop_oneof![0..3 * WINDOW, u64::MAX - 10..=u64::MAX], 1..600),
        ) {
            let mut replay = Replay::new();
            let (mut taken, mut newest) = (BTreeSet::new(), 0);
            for number in numbers {
                let recent = number > newest || newest - number < WINDOW;
                prop_assert_eq!(replay.is_new(nonce(1, number)), recent && taken.insert(number));
                newest = newest.max(number);
            }
        }
    }
}
