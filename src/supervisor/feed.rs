//! What happened, for people: the log, the notices of the API, and the last of both to look back on.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tracing::{error, info, warn};

use super::clock;
use super::ringloop::RingEvent;
use crate::api::Changes;
use crate::api::shape::{Event, EventKind, status_word};
use crate::base::{GroupId, NodeId};
use crate::net::{Side, Stranger, Tale};
use crate::node::{NodeEvent, Note};
use crate::records::value::TurnKind;
use crate::rollout::RolloutNote;

/// Notices that are kept to look back on, and that a slow reader may be behind.
pub(super) const KEPT: usize = 256;

/// Takes in what happened, and tells it.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    changes: broadcast::Sender<Event>,
    recent: Arc<Mutex<VecDeque<Event>>>,
}

/// A member as people know it, and its address for the log.
fn named(node: NodeId, address: Option<SocketAddr>) -> (String, Option<String>) {
    match address.map(|address| address.to_string()) {
        Some(address) => (format!("{address} ({})", node.short()), Some(address)),
        None => (node.short(), None),
    }
}

impl Feed {
    pub(super) fn new() -> Self {
        let (changes, _) = broadcast::channel(KEPT);
        Self { changes, recent: Arc::default() }
    }

    /// Notices from now on.
    pub(super) fn subscribe(&self) -> Changes {
        Changes::new(self.changes.subscribe())
    }

    /// The last notices that say something, oldest first.
    pub(super) fn recent(&self) -> Vec<Event> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Tells that something changed. One without a message is not kept: it only says where to look again.
    pub(super) fn tell(&self, kind: EventKind, group: Option<&GroupId>, node: Option<NodeId>, message: String) {
        let event = Event { at: clock::now().wall.into(), kind, group: group.cloned(), node_id: node, message };
        if !event.message.is_empty() {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() == KEPT {
                recent.pop_front();
            }
            recent.push_back(event.clone());
        }
        // Nobody listens, nobody is told.
        self.changes.send(event).ok();
    }

    /// Logs and tells what the ring loop said.
    pub(super) fn take(&self, event: RingEvent) {
        match event {
            RingEvent::Node(event) => self.take_node_event(event),
            RingEvent::PeerUnresolved { peer, why } => {
                warn!(%peer, why, "peer does not resolve, trying again");
                let message = format!("the peer {peer} does not resolve ({why}); trying again");
                self.tell(EventKind::Log, None, None, message);
            }
            RingEvent::StoreFailed { why } => {
                error!(why, "the store cannot be written: this node takes no part in elections until it can");
                let message = format!("the store cannot be written ({why}): no elections here until it can");
                self.tell(EventKind::Log, None, None, message);
            }
        }
    }

    /// Logs and tells of a node that was refused, or refuses this one.
    pub(super) fn take_stranger(&self, stranger: &Stranger, tale: Tale<'_>) {
        let tale = tale.to_string();
        let Stranger { address, side, more, .. } = stranger;
        match side {
            Side::Here => warn!(%address, more, why = tale, "node refused"),
            Side::There => warn!(%address, more, why = tale, "refused by a node"),
        }
        self.tell(EventKind::Log, None, None, tale);
    }

    fn take_node_event(&self, event: NodeEvent) {
        match event {
            NodeEvent::Ready { alone: true } => {
                info!("ready, alone");
                self.tell(EventKind::Member, None, None, "ready; no other node is known".to_owned());
            }
            NodeEvent::Ready { alone: false } => {
                info!("joined and synced");
                self.tell(EventKind::Member, None, None, "joined the ring and synced".to_owned());
            }
            NodeEvent::Members => self.tell(EventKind::Member, None, None, String::new()),
            NodeEvent::Group(group) => self.tell(EventKind::Group, Some(&group), None, String::new()),
            NodeEvent::Held { group, seat, term, .. } => {
                info!(%group, %seat, term = term.0, "seat taken");
                self.tell(EventKind::Seat, Some(&group), None, format!("this node holds the {seat} seat, term {term}"));
            }
            NodeEvent::Lost { group, seat, term, why } => {
                info!(%group, %seat, term = term.0, ?why, "seat lost");
                let message = format!("this node holds the {seat} seat no more (term {term} ended)");
                self.tell(EventKind::Seat, Some(&group), None, message);
            }
            NodeEvent::Note(note) => self.take_note(&note),
        }
    }

    fn take_note(&self, note: &Note) {
        let member = |node: &NodeId, message: String| self.tell(EventKind::Member, None, Some(*node), message);
        let log = |group: Option<&GroupId>, message: String| self.tell(EventKind::Log, group, None, message);
        match note {
            Note::MemberUp { node, address } => {
                info!(%node, %address, "member up");
                member(node, format!("{} is up at {address}", node.short()));
            }
            Note::MemberSuspect { node, address } => {
                let (who, address) = named(*node, *address);
                info!(%node, address, "member suspected");
                member(node, format!("{who} does not answer; asking others about it"));
            }
            Note::MemberRefuted { node, address, by_tcp: false } => {
                let (who, address) = named(*node, *address);
                info!(%node, address, "member answers again");
                member(node, format!("{who} answers again"));
            }
            Note::MemberRefuted { node, address, by_tcp: true } => {
                let (who, address) = named(*node, *address);
                warn!(%node, address, "member answers by TCP only: UDP datagrams are lost; is its port open for UDP?");
                member(node, format!("{who} answers by TCP only: is its port open for UDP, too?"));
            }
            Note::MemberDown { node, address, how } => {
                let (who, address) = named(*node, *address);
                warn!(%node, address, how, "member down");
                member(node, format!("{who} is down: {how}"));
            }
            Note::MemberLeft { node, address } => {
                let (who, address) = named(*node, *address);
                info!(%node, address, "member left");
                member(node, format!("{who} left"));
            }
            Note::MemberMoved { node, address } => {
                info!(%node, %address, "member moved");
                member(node, format!("{} is at {address} now", node.short()));
            }
            Note::Renewed => {
                info!("the others took this node for dead, and know better now");
                log(None, "the others took this node for dead, and know better now".to_owned());
            }
            Note::MemberDeparted { node } => {
                warn!(%node, "member is gone for good: it counts for no quorum and is not let in");
                let short = node.short();
                member(node, format!("{short} is gone for good; sup undepart {short} takes it back"));
            }
            Note::MemberUndeparted { node } => {
                info!(%node, "member is taken back");
                member(node, format!("{} is taken back", node.short()));
            }
            Note::TurnedAway { node, address } => {
                warn!(%node, %address, "a departed member asks to be let in, and is not");
                let short = node.short();
                member(node, format!("{short} at {address} is not let in: sup undepart {short} takes it back"));
            }
            Note::Banned { node, by } => {
                let short = node.short();
                error!(%by, "this node is not let into its ring: it was said to be gone for good");
                let message = format!(
                    "this node is not let into its ring ({by} says that it is gone for good): on a member, sup undepart \
                     {short} takes it back"
                );
                log(None, message);
            }
            Note::LetIn => {
                info!("this node is let into its ring again");
                log(None, "this node is let into its ring again".to_owned());
            }
            Note::StoodStill { length } => {
                let seconds = length.as_secs_f64();
                warn!(seconds, "this node did not run: it listens before it takes others for dead");
                let message =
                    format!("this node did not run for {seconds:.1} s: it listens before it takes others for dead");
                log(None, message);
            }
            Note::Usurped { by } => {
                error!(%by, "another live supervisor has this node's id");
                log(None, format!("another live supervisor, at {by}, has this node's id"));
            }
            Note::RecordRefused { key, from, why } => {
                warn!(key, %from, why, "record refused");
                log(None, format!("the record {key} from {} was refused: {why}", from.short()));
            }
            Note::RecordUnreadable { key, why } => {
                warn!(key, why, "record cannot be read");
                log(None, format!("the record {key} cannot be read: {why}"));
            }
            Note::ElectionUnreadable { group, why } => {
                error!(%group, why, "stored election state cannot be read: this node does not vote");
                log(Some(group), format!("what was stored of the election cannot be read ({why}): no vote from here"));
            }
            // The store's own error, with its cause, was told already.
            Note::WriteFailed => {}
            Note::WriteRecovered => {
                info!("the store can be written again");
                log(None, "the store can be written again".to_owned());
            }
            Note::ConfigSuperseded { group, revision, by } => {
                warn!(%group, revision, by, "config superseded");
                let message = format!("config {revision} was applied at the same time as {by}, and lost");
                log(Some(group), message);
            }
            Note::FileSuperseded { group, file, revision, by } => {
                warn!(%group, %file, revision, by, "file superseded");
                let message = format!("file {file}: {revision} was uploaded at the same time as {by}, and lost");
                log(Some(group), message);
            }
            Note::Rollout { group, note } => self.take_rollout_note(group, note),
        }
    }

    fn take_rollout_note(&self, group: &GroupId, note: &RolloutNote) {
        let tell =
            |member: Option<NodeId>, message: String| self.tell(EventKind::Rollout, Some(group), member, message);
        let turn = |kind: TurnKind| match kind {
            TurnKind::Forward => "the new state",
            TurnKind::Restore | TurnKind::Back => "what it was before",
        };
        match note {
            RolloutNote::Began { rollout, superseded: None } => {
                info!(%group, rollout, "rollout began");
                tell(None, format!("rollout {rollout} began"));
            }
            RolloutNote::Began { rollout, superseded: Some(before) } => {
                info!(%group, rollout, before, "rollout began in the place of one that was not done");
                tell(None, format!("rollout {rollout} began in the place of rollout {before}, which was not done"));
            }
            RolloutNote::TakenOver { rollout } => {
                info!(%group, rollout, "rollout taken over");
                tell(None, format!("this node goes on with rollout {rollout}"));
            }
            RolloutNote::Granted { rollout, member, kind } => {
                info!(%group, rollout, %member, ?kind, "turn granted");
                tell(Some(*member), format!("rollout {rollout}: the turn of {} to {}", member.short(), turn(*kind)));
            }
            RolloutNote::Withdrawn { rollout, member } => {
                info!(%group, rollout, %member, "turn withdrawn");
                let message =
                    format!("rollout {rollout}: the turn of {} is taken back, it had not begun", member.short());
                tell(Some(*member), message);
            }
            RolloutNote::Over { rollout, member } => {
                info!(%group, rollout, %member, "turn over");
                tell(Some(*member), format!("rollout {rollout}: the turn of {} is over", member.short()));
            }
            RolloutNote::MemberDone { rollout, member, kind } => {
                info!(%group, rollout, %member, ?kind, "turn done");
                tell(Some(*member), format!("rollout {rollout}: {} has reached {}", member.short(), turn(*kind)));
            }
            RolloutNote::MemberFailed { rollout, member, kind, why } => {
                warn!(%group, rollout, %member, ?kind, why, "turn failed");
                let message =
                    format!("rollout {rollout}: the turn of {} to {} failed: {why}", member.short(), turn(*kind));
                tell(Some(*member), message);
            }
            RolloutNote::Status { rollout, status, why } => {
                info!(%group, rollout, ?status, why, "rollout status");
                let because = if why.is_empty() { String::new() } else { format!(": {why}") };
                tell(None, format!("rollout {rollout} is {}{because}", status_word(*status)));
            }
        }
    }

    /// Tells that notices were lost.
    pub(super) fn missed(&self, lost: u64) {
        warn!(lost, "notices were lost: too much happened at once");
        self.tell(EventKind::Missed, None, None, String::new());
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, KEPT};
    use crate::api::shape::EventKind;

    #[test]
    fn the_last_notices_are_kept_and_those_that_say_nothing_are_not() {
        let feed = Feed::new();
        for n in 0..=KEPT {
            feed.tell(EventKind::Log, None, None, n.to_string());
            feed.tell(EventKind::Group, None, None, String::new());
        }
        let recent = feed.recent();
        assert_eq!(recent.len(), KEPT);
        assert_eq!((recent[0].message.as_str(), recent[KEPT - 1].message.as_str()), ("1", "256"));
    }

    #[tokio::test]
    async fn a_listener_hears_what_is_told_after_it_came() {
        let feed = Feed::new();
        feed.tell(EventKind::Log, None, None, "before".to_owned());
        let mut changes = feed.subscribe();
        feed.tell(EventKind::Log, None, None, "after".to_owned());
        assert_eq!(changes.recv().await.unwrap().message, "after");
    }
}
