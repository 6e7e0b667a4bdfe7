//! Inputs, routed to the component that they are for.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{GroupId, NodeId, Now};
use crate::election::{Council, ElectionMessage, Part};
use crate::records::Write;
use crate::ring::{RingResponse, StreamError};

use super::packet::{self, Packet, Request, Response};
use super::{Asker, Input, Node, Note, Output};

/// How soon something is written again after a write failed.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// How often the store is told that the node still runs, so that after a restart it knows for how long it was away.
const LAST_SEEN_EVERY: Duration = Duration::from_secs(600);

impl Node {
    pub(super) fn take(&mut self, now: Now, input: Input) {
        match input {
            Input::Datagram { from, bytes } => self.take_datagram(now, from, &bytes),
            Input::StreamRequest { conn, from, bytes } => self.take_request(now, conn, from, &bytes),
            Input::StreamResponse { request, result } => self.take_response(now, request, result),
            Input::Probed { probe, outcome } => self.ring.handle_probe(now, probe, outcome),
            Input::Timer => self.tick(now),
            Input::Persisted { write, ok } => self.take_persisted(now, write, ok),
            Input::PeersResolved(addresses) => self.ring.join(now, &addresses),
        }
    }

    fn take_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        // Mostly of a kind that only newer nodes know: nobody's fault here.
        let Ok(packet) = packet::decode_datagram(bytes) else {
            self.unread += 1;
            return;
        };
        match packet {
            Packet::Ring(msg) => self.ring.handle_datagram(now, from, msg),
            // The ring tells it that it is not let in.
            Packet::Records { from, .. } | Packet::Election { from, .. } | Packet::Rollout { from, .. }
                if self.census.departure(from).is_some() => {}
            Packet::Records { from, msg } => self.records.handle_datagram(now, from, msg),
            Packet::Election { from, group, msg } => self.take_election_message(now, from, &group, msg),
            Packet::Rollout { from, group, msg } => self.take_rollout_message(now, from, &group, msg),
        }
    }

    fn take_election_message(&mut self, now: Now, from: NodeId, group: &GroupId, msg: ElectionMessage) {
        // A voter need not be able to read its group's records yet: a claim may outrun them. But it must be a member,
        // or have been one: others never get a vote, so they have no election to ask.
        if let Some(group) = self.groups.get_mut(group) {
            group.election.handle(now, from, msg);
        } else if let ElectionMessage::Inquire { incarnation } = msg {
            self.answer_inquiry(from, group, incarnation);
        }
    }

    /// A member of a group in which this node has no part asks whether there is a council.
    fn answer_inquiry(&mut self, from: NodeId, group: &GroupId, incarnation: u64) {
        let Some(address) = self.ring.address(from) else { return };
        let msg = match self.census.council(group) {
            Some(facts) => ElectionMessage::Confirm(Council::from_facts(facts)),
            // Its stored part cannot be read: it may know of one, and cannot say that there is none.
            None if self.unreadable.contains_key(group) => return,
            None => ElectionMessage::Unaware { incarnation, part: Part::Stranger },
        };
        self.send(address, &Packet::Election { from: self.me, group: group.clone(), msg }, None);
    }

    fn take_request(&mut self, now: Now, conn: u64, from: SocketAddr, bytes: &[u8]) {
        let Ok(request) = packet::decode_frame::<Request>(bytes) else {
            self.unread += 1;
            return;
        };
        let response = match request {
            Request::Ring(msg) => Response::Ring(self.ring.handle_request(now, from, msg)),
            Request::Records { from, .. } if self.census.departure(from).is_some() => {
                Response::Ring(RingResponse::Departed)
            }
            Request::Records { from, msg } => Response::Records(self.records.handle_request(now, from, msg)),
        };
        match packet::encode_frame(&response) {
            Ok(bytes) => self.outputs.push(Output::Reply { conn, bytes }),
            Err(_) => debug_assert!(false, "a component made a response over the frame limit"),
        }
    }

    fn take_response(&mut self, now: Now, request: u64, result: Result<Bytes, StreamError>) {
        let Some(asker) = self.requests.remove(&request) else { return };
        let decoded = result.and_then(|bytes| packet::decode_frame(&bytes).map_err(|_| StreamError::Other));
        match asker {
            Asker::Ring(own) => {
                let result = decoded.and_then(|response| match response {
                    Response::Ring(response) => Ok(response),
                    Response::Records(_) => Err(StreamError::Other),
                });
                self.ring.handle_response(now, own, result);
            }
            Asker::Records(own) => {
                let result = decoded.and_then(|response| match response {
                    Response::Records(response) => Ok(response),
                    Response::Ring(_) => Err(StreamError::Other),
                });
                self.records.handle_response(now, own, result);
            }
        }
    }

    fn take_persisted(&mut self, now: Now, write: u64, ok: bool) {
        if !ok {
            // That the disk takes writes again shows when something is written.
            self.next_last_seen = self.next_last_seen.min(now.mono + WRITE_AGAIN);
        }
        if self.writes_fail == ok {
            self.writes_fail = !ok;
            self.note(if ok { Note::WriteRecovered } else { Note::WriteFailed });
            if ok {
                // An election tells its disk all of its state each time; of the records only what changed is told.
                self.records.store_again();
            }
        }
        if let Some((group, own)) = self.writes.remove(&write)
            && let Some(group) = self.groups.get_mut(&group)
        {
            group.election.persisted(now, own, ok);
        }
        self.rollout_written(now, write, ok);
    }

    fn tick(&mut self, now: Now) {
        self.ring.tick(now);
        self.records.tick(now);
        for group in self.groups.values_mut() {
            if group.election.deadline().is_some_and(|deadline| deadline <= now.mono) {
                group.election.tick(now);
            }
        }
        self.tick_informing(now);
        self.tick_statuses(now);
        self.tick_rollouts(now);
        self.tick_join(now);
        self.tick_claims(now);
        self.tick_strays(now);
        if self.next_last_seen <= now.mono {
            self.next_last_seen = now.mono + LAST_SEEN_EVERY;
            self.persist(vec![Write::LastSeen(now.wall)]);
        }
    }
}
