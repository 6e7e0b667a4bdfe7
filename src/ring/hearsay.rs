//! Suspicions that nobody here drives to an end.
//!
//! In SWIM only a node whose own probe failed runs a suspicion's timer; the others hold the member suspect and wait for
//! what becomes of it. That may never reach them: the accuser died or was cut off, or dropped its suspicion because a
//! stream was answered, or the refutation got lost, which gossip does not repeat. The suspect refutes only what it
//! hears of, so it would stay suspect here for ever, and be no candidate in any election. So whoever still holds a
//! suspicion after its time asks the suspect itself, over a stream; if that brings no answer, it has a doubt of its own.

use std::time::Duration;

use super::exchange::Errand;
use super::identity::Identity;
use super::machine::Ring;
use super::message::RingRequest;
use crate::base::Mono;

/// Most suspects that are asked in one round of house-keeping. When more are left over the network has failed, and
/// there is no hurry.
const ASKED_MAX: usize = 4;

/// A suspicion that was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hearsay {
    /// The incarnation that it is about.
    incarnation: u16,
    /// When it was first noticed here, or the suspect was asked last.
    since: Mono,
}

impl Ring {
    /// Asks suspects whose suspicion should be over, and is not driven to an end by this node.
    pub(super) fn follow_hearsay(&mut self, now: Mono) {
        let patience = self.profile.suspicion(self.swim.scale());
        let suspects: Vec<(Identity, u16)> = self.swim.suspects().collect();
        let mut asked = 0;
        for (suspect, incarnation) in suspects {
            if asked < ASKED_MAX && self.is_stale(now, &suspect, incarnation, patience) {
                asked += 1;
                self.ask_to_refute(suspect, incarnation, Errand::Plead { suspect });
            }
        }
    }

    /// Asks a suspect, over a stream, to refute the suspicion itself, as SWIM wants it.
    pub(super) fn ask_to_refute(&mut self, suspect: Identity, incarnation: u16, errand: Errand) {
        let request =
            RingRequest::Exchange { from: self.myself(), suspected_at: Some(incarnation), members: Vec::new() };
        self.request(suspect.address, request, errand);
    }

    fn is_stale(&mut self, now: Mono, suspect: &Identity, incarnation: u16, patience: Duration) -> bool {
        let Some(entry) = self.view.life(suspect) else { return false };
        if entry.suspected_at == Some(incarnation) {
            // A timer of ours decides.
            return false;
        }
        let known = entry.hearsay.filter(|hearsay| hearsay.incarnation == incarnation);
        let stale = known.is_some_and(|hearsay| now.since(hearsay.since) >= patience);
        if stale || known.is_none() {
            entry.hearsay = Some(Hearsay { incarnation, since: now });
        }
        stale
    }
}
