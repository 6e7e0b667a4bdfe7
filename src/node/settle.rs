//! Routes the actions of the components to each other and out, until all of them are quiet.

use crate::base::{NodeId, Now};
use crate::census::{Liveness, Superseded};
use crate::records::{Kind, RecordsAction, Write};
use crate::ring::{DownHow, Member, MemberState, RingAction, RingEvent, StreamError};

use super::packet::{self, Packet, Request};
use super::{Asker, Node, NodeEvent, Note, Output};

impl Node {
    pub(super) fn settle(&mut self, now: Now) {
        loop {
            let mut busy = self.drain_ring(now);
            busy |= self.drain_records(now);
            busy |= self.drain_elections(now);
            busy |= self.drain_rollouts(now);
            busy |= self.refresh(now);
            if !busy {
                return;
            }
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        self.outputs.push(Output::Event(NodeEvent::Note(note)));
    }

    pub(super) fn persist(&mut self, items: Vec<Write>) -> u64 {
        let write = self.next_write;
        self.next_write += 1;
        self.outputs.push(Output::Persist { write, items });
        write
    }

    pub(super) fn send(&mut self, to: std::net::SocketAddr, packet: &Packet, after: Option<u64>) {
        match packet::encode_datagram(packet) {
            Ok(bytes) => self.outputs.push(Output::Send { to, bytes, after }),
            Err(_) => debug_assert!(false, "a component made a message that does not fit a datagram"),
        }
    }

    fn open_stream(&mut self, asker: Asker, to: std::net::SocketAddr, request: &Request) {
        match packet::encode_frame(request) {
            Ok(bytes) => {
                let number = self.next_request;
                self.next_request += 1;
                self.requests.insert(number, asker);
                self.outputs.push(Output::OpenStream { request: number, to, bytes });
            }
            Err(_) => debug_assert!(false, "a component made a request over the frame limit"),
        }
    }

    fn drain_ring(&mut self, now: Now) -> bool {
        let actions = self.ring.drain();
        let busy = !actions.is_empty();
        // Once for all of them: in a storm of joins one exchange brings hundreds.
        if actions.iter().any(|action| matches!(action, RingAction::Event(event) if changes_peers(event))) {
            self.peers_changed(now);
        }
        for action in actions {
            match action {
                RingAction::Send { to, msg } => self.send(to, &Packet::Ring(msg), None),
                RingAction::Request { request, to, msg } => {
                    self.open_stream(Asker::Ring(request), to, &Request::Ring(msg));
                }
                RingAction::Probe { probe, to } => self.outputs.push(Output::Probe { probe, to }),
                RingAction::ResolvePeers => self.outputs.push(Output::ResolvePeers),
                RingAction::Remember(members) => {
                    self.persist(vec![Write::Remembered(members)]);
                }
                RingAction::Generation(generation) => {
                    self.persist(vec![Write::Generation(generation)]);
                }
                RingAction::Event(event) => self.take_ring_event(now, event),
            }
        }
        busy
    }

    fn take_ring_event(&mut self, now: Now, event: RingEvent) {
        match event {
            RingEvent::Up { member, .. } => {
                self.show(&member);
                if member.id != self.me {
                    self.records.welcome(member.id);
                    self.note(Note::MemberUp { node: member.id, address: member.address });
                    self.found(now, member.id);
                }
            }
            RingEvent::Suspect { id } => {
                self.show_id(id);
                self.note(Note::MemberSuspect { node: id, address: self.ring.address(id) });
            }
            RingEvent::Refuted { id, by_tcp } => {
                self.show_id(id);
                self.note(Note::MemberRefuted { node: id, address: self.ring.address(id), by_tcp });
            }
            RingEvent::Down { id, how } => {
                self.show_id(id);
                let how = match how {
                    DownHow::Refused => "its port refuses connections",
                    DownHow::Timeout => "it does not answer",
                    DownHow::Told => "another member found it so",
                };
                self.note(Note::MemberDown { node: id, address: self.ring.address(id), how });
            }
            RingEvent::Left { id } => {
                self.show_id(id);
                self.note(Note::MemberLeft { node: id, address: self.ring.address(id) });
            }
            RingEvent::Forgotten { id } => {
                self.census.forget_node(id);
                self.records.forget_node(now, id);
            }
            RingEvent::Moved { id, address } => {
                self.show_id(id);
                self.note(Note::MemberMoved { node: id, address });
            }
            RingEvent::Renewed { .. } => {
                self.show_me();
                self.note(Note::Renewed);
            }
            RingEvent::Departed { id } => {
                self.show_id(id);
                self.note(Note::MemberDeparted { node: id });
            }
            RingEvent::Undeparted { id } => {
                self.show_id(id);
                self.note(Note::MemberUndeparted { node: id });
            }
            RingEvent::TurnedAway { id, address } => self.note(Note::TurnedAway { node: id, address }),
            RingEvent::Banned { by } => {
                self.banned = Some(by);
                self.note(Note::Banned { node: self.me, by });
                self.inform_elections(now);
            }
            RingEvent::LetIn => {
                self.banned = None;
                self.note(Note::LetIn);
                self.inform_elections(now);
            }
            RingEvent::StoodStill { length } => self.note(Note::StoodStill { length }),
            RingEvent::Usurped { address, .. } => self.note(Note::Usurped { by: address }),
        }
    }

    fn show_id(&mut self, id: NodeId) {
        if let Some(member) = self.ring.member(id).copied() {
            self.show(&member);
        }
    }

    fn show(&mut self, member: &Member) {
        let liveness = match member.state {
            MemberState::Alive => Liveness::Alive,
            MemberState::Suspect => Liveness::Suspect,
            MemberState::Down => Liveness::Down,
            MemberState::Left => Liveness::Left,
        };
        self.census.set_node(member.id, member.address, liveness);
    }

    pub(super) fn show_me(&mut self) {
        self.census.set_node(self.me, self.ring.me().address, Liveness::Alive);
    }

    fn peers_changed(&mut self, now: Now) {
        let peers: Vec<NodeId> = self.ring.alive().map(|member| member.id).filter(|id| *id != self.me).collect();
        self.records.set_peers(now, &peers);
        self.inform_founders(now);
    }

    fn drain_records(&mut self, now: Now) -> bool {
        let actions = self.records.drain();
        let busy = !actions.is_empty();
        for action in actions {
            match action {
                RecordsAction::Send { to, msg } => {
                    if let Some(address) = self.ring.address(to) {
                        self.send(address, &Packet::Records { from: self.me, msg }, None);
                    }
                }
                RecordsAction::Request { request, to, msg } => match self.ring.address(to) {
                    Some(address) => {
                        let request_from_me = Request::Records { from: self.me, msg };
                        self.open_stream(Asker::Records(request), address, &request_from_me);
                    }
                    None => self.records.handle_response(now, request, Err(StreamError::Other)),
                },
                RecordsAction::Persist(records) => self.persist_records(records),
                RecordsAction::Unpersist(keys) => {
                    self.persist(vec![Write::DropRecords(keys)]);
                }
                RecordsAction::Changed(keys) => self.take_changed(now, &keys),
                RecordsAction::Refused { key, from, why } => {
                    self.note(Note::RecordRefused { key: key.to_string(), from, why: why.to_string() });
                }
                RecordsAction::Synced(with) => self.synced(now, with),
                RecordsAction::SyncFailed(with) => self.sync_failed(now, with),
            }
        }
        busy
    }

    pub(super) fn take_changed(&mut self, now: Now, keys: &[crate::records::Key]) {
        self.show_changed(keys);
        for key in keys {
            if let Kind::Departed(node) = key.kind() {
                self.departure_changed(now, node);
            }
        }
    }

    fn show_changed(&mut self, keys: &[crate::records::Key]) {
        for key in keys {
            let Some(record) = self.records.get(key) else {
                self.census.forget(key);
                continue;
            };
            match self.census.apply(record) {
                Ok(None) => {}
                Ok(Some(Superseded { group, file: None, revision, by })) => {
                    self.note(Note::ConfigSuperseded { group, revision, by });
                }
                Ok(Some(Superseded { group, file: Some(file), revision, by })) => {
                    self.note(Note::FileSuperseded { group, file, revision, by });
                }
                Err(unreadable) => self.note(Note::RecordUnreadable { key: unreadable.key, why: unreadable.why }),
            }
        }
    }

    fn refresh(&mut self, now: Now) -> bool {
        let changes = self.census.refresh();
        let busy = changes.nodes || !changes.groups.is_empty();
        if changes.nodes {
            self.outputs.push(Output::Event(NodeEvent::Members));
        }
        for (group, members) in changes.groups {
            self.update_election(now, &group, &members);
            self.inform_rollout(now, &group);
            self.outputs.push(Output::Event(NodeEvent::Group(group)));
        }
        busy
    }
}

/// Whether other members count now than before.
fn changes_peers(event: &RingEvent) -> bool {
    match event {
        RingEvent::Up { .. } | RingEvent::Down { .. } | RingEvent::Left { .. } | RingEvent::Departed { .. } => true,
        RingEvent::Suspect { .. }
        | RingEvent::Refuted { .. }
        | RingEvent::Forgotten { .. }
        | RingEvent::Moved { .. }
        | RingEvent::Renewed { .. }
        | RingEvent::StoodStill { .. }
        | RingEvent::Undeparted { .. }
        | RingEvent::TurnedAway { .. }
        | RingEvent::Banned { .. }
        | RingEvent::LetIn
        | RingEvent::Usurped { .. } => false,
    }
}
