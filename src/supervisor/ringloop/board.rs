//! What everybody may read at any time. Each entry is the latest state, so that nobody can fall behind: a reader that
//! slept sees where things stand, not what happened meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::base::{GroupId, Mono, Term};
use crate::census::GroupView;
use crate::service::{HeldLease, LeaseState, RingState};

/// What the loop shows.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Board {
    groups: Mutex<BTreeMap<GroupId, watch::Sender<Arc<GroupView>>>>,
    leases: Mutex<BTreeMap<GroupId, watch::Sender<LeaseState>>>,
    ring: watch::Sender<RingState>,
}

/// Whether a subscription is the first of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subscribed {
    /// The node has yet to be told to watch the group.
    First,
    /// It does already.
    Again,
}

/// Whether anybody reads a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Somebody does.
    Some,
    /// Nobody does any more: the node need not keep it.
    None,
}

impl Board {
    fn groups(&self) -> MutexGuard<'_, BTreeMap<GroupId, watch::Sender<Arc<GroupView>>>> {
        // Nothing that could panic is done under the lock; if it was, the map is still what it was.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, BTreeMap<GroupId, watch::Sender<LeaseState>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A view that follows the changes of a group. Empty until the node has been asked for it.
    pub(super) fn subscribe(&self, group: &GroupId) -> (watch::Receiver<Arc<GroupView>>, Subscribed) {
        let mut groups = self.groups();
        match groups.get(group) {
            Some(sender) => (sender.subscribe(), Subscribed::Again),
            None => {
                let (sender, receiver) = watch::channel(Arc::new(GroupView::empty(group.clone())));
                groups.insert(group.clone(), sender);
                (receiver, Subscribed::First)
            }
        }
    }

    /// Shows a changed view.
    pub(super) fn show(&self, group: &GroupId, view: Arc<GroupView>) -> Readers {
        let mut groups = self.groups();
        match groups.get(group) {
            Some(sender) if sender.receiver_count() > 0 => {
                sender.send_replace(view);
                Readers::Some
            }
            Some(_) => {
                groups.remove(group);
                Readers::None
            }
            // A group in whose elections the node has a part without a service here.
            None => Readers::Some,
        }
    }

    /// The lease of a group's leader seat, as this node holds it.
    pub(in crate::supervisor) fn lease(&self, group: &GroupId) -> watch::Receiver<LeaseState> {
        self.leases().entry(group.clone()).or_default().subscribe()
    }

    /// The node holds the leader's seat, or has renewed its lease.
    pub(super) fn held(&self, group: &GroupId, term: Term, until: Mono) {
        let held = LeaseState { held: Some(HeldLease { term, until }) };
        self.leases().entry(group.clone()).or_default().send_replace(held);
    }

    /// The node does not hold the leader's seat of that term any more.
    pub(super) fn lost(&self, group: &GroupId, term: Term) {
        if let Some(sender) = self.leases().get(group) {
            sender.send_if_modified(|lease| match lease.held {
                Some(held) if held.term <= term => {
                    lease.held = None;
                    true
                }
                Some(_) | None => false,
            });
        }
    }

    /// Whether the node has joined and synced.
    pub(in crate::supervisor) fn ring(&self) -> watch::Receiver<RingState> {
        self.ring.subscribe()
    }

    pub(super) fn ready(&self) {
        self.ring.send_replace(RingState::Ready);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Board, Readers, Subscribed};
    use crate::base::{GroupId, Mono, Term};
    use crate::census::GroupView;

    fn group() -> GroupId {
        "redis.default".parse().unwrap()
    }

    #[test]
    fn the_first_subscriber_is_told_apart_and_all_see_the_latest_view() {
        let board = Board::default();
        let (first, subscribed) = board.subscribe(&group());
        assert_eq!(subscribed, Subscribed::First);
        let (second, subscribed) = board.subscribe(&group());
        assert_eq!(subscribed, Subscribed::Again);
        let view = Arc::new(GroupView { election_why: "x".to_owned(), ..GroupView::empty(group()) });
        assert_eq!(board.show(&group(), Arc::clone(&view)), Readers::Some);
        assert_eq!((&*first.borrow(), &*second.borrow()), (&view, &view));
    }

    #[test]
    fn a_view_that_nobody_reads_any_more_is_dropped() {
        let board = Board::default();
        drop(board.subscribe(&group()));
        let view = Arc::new(GroupView::empty(group()));
        assert_eq!(board.show(&group(), Arc::clone(&view)), Readers::None);
        assert_eq!(board.subscribe(&group()).1, Subscribed::First);
    }

    #[test]
    fn a_late_word_of_an_old_term_does_not_end_a_newer_lease() {
        let board = Board::default();
        let lease = board.lease(&group());
        board.held(&group(), Term(2), Mono(9));
        board.lost(&group(), Term(1));
        assert_eq!(lease.borrow().held.map(|held| (held.term, held.until)), Some((Term(2), Mono(9))));
        board.lost(&group(), Term(2));
        assert_eq!(lease.borrow().held, None);
    }
}
