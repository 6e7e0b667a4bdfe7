//! Commands, carried out; and the way from start to ready.

use std::time::Duration;

use serde::Serialize;

use crate::base::{GroupId, NodeId, Now, Seat};
use crate::records::value::NodeFacts;
use crate::records::{Key, value};

use super::join::Joining;
use super::{Command, CommandError, Done, Node, NodeEvent, Output};

/// How long a node that is ready has to say again what it said in its last run.
const CLAIM_WITHIN: Duration = Duration::from_secs(60);

impl Node {
    pub(super) fn start(&mut self, now: Now) {
        self.show_me();
        let keys: Vec<Key> = self.records.iter().map(|record| record.key.clone()).collect();
        self.take_changed(now, &keys);
        self.restore_elections(now);
        if self.joining.is_over() {
            self.become_ready(now, true);
        }
        self.settle(now);
    }

    pub(super) fn found(&mut self, now: Now, id: NodeId) {
        match self.joining {
            Joining::Seeking { until } => {
                self.joining = Joining::Syncing { with: id, until };
                self.records.sync_with(now, id);
            }
            Joining::Syncing { .. } | Joining::Over => {}
        }
    }

    pub(super) fn synced(&mut self, now: Now, with: NodeId) {
        match self.joining {
            Joining::Syncing { .. } => self.become_ready(now, false),
            Joining::Seeking { .. } | Joining::Over => {}
        }
        debug_assert!(with != self.me, "a node does not sync with itself");
    }

    /// The one that it synced with is gone or busy: another will do.
    pub(super) fn sync_failed(&mut self, now: Now, with: NodeId) {
        if !matches!(self.joining, Joining::Syncing { with: chosen, .. } if chosen == with) {
            return;
        }
        let other = self.ring.alive().map(|member| member.id).find(|id| *id != self.me && *id != with);
        let until = self.joining.deadline().unwrap_or(now.mono);
        match other {
            Some(id) => {
                self.joining = Joining::Syncing { with: id, until };
                self.records.sync_with(now, id);
            }
            None => self.joining = Joining::Seeking { until },
        }
    }

    pub(super) fn tick_join(&mut self, now: Now) {
        match self.joining {
            Joining::Seeking { until } if until <= now.mono => self.become_ready(now, true),
            // The one that it chose may have died since: any other that answers will do, repair goes on anyway.
            Joining::Syncing { until, .. } if until <= now.mono => self.become_ready(now, false),
            Joining::Seeking { .. } | Joining::Syncing { .. } | Joining::Over => {}
        }
    }

    fn become_ready(&mut self, now: Now, alone: bool) {
        self.joining = Joining::Over;
        self.claims_due = Some(now.mono + CLAIM_WITHIN);
        self.outputs.push(Output::Event(NodeEvent::Ready { alone }));
        self.inform_elections(now);
    }

    /// What an earlier run of this node said and this one has not said again is not true any more: services that were
    /// unloaded while it was down.
    pub(super) fn tick_claims(&mut self, now: Now) {
        if self.claims_due.is_none_or(|due| due > now.mono) {
            return;
        }
        self.claims_due = None;
        for key in self.records.unclaimed() {
            if let Err(error) = self.records.delete(now, &key) {
                self.note(super::Note::RecordRefused { key: key.to_string(), from: self.me, why: error.to_string() });
            }
        }
    }

    pub(super) fn inform_elections(&mut self, now: Now) {
        let groups: Vec<GroupId> = self.groups.keys().cloned().collect();
        for group in groups {
            self.inform_election(now, &group);
        }
    }

    pub(super) fn carry_out(&mut self, now: Now, command: Command) -> Result<Done, CommandError> {
        match command {
            Command::Facts(facts) => self.publish_facts(now, &facts),
            Command::Publish { group, status, rules } => self.publish_member(now, &group, &status, rules),
            Command::Withdraw { group } => self.withdraw(now, &group),
            Command::Watch { group } => {
                self.census.watch(&group);
                Ok(Done::default())
            }
            Command::Unwatch { group } => {
                if !self.groups.contains_key(&group) {
                    self.census.unwatch(&group);
                }
                Ok(Done::default())
            }
            Command::ApplyConfig { group, toml, expect } => self.apply_config(now, &group, toml, expect.as_deref()),
            Command::RollbackConfig { group, revision, expect } => {
                self.rollback_config(now, &group, revision.as_deref(), expect.as_deref())
            }
            Command::UnsetConfig { group, expect } => self.unset_config(now, &group, expect.as_deref()),
            Command::PutFile { group, name, content, expect } => {
                self.put_file(now, &group, &name, content, expect.as_deref())
            }
            Command::RollbackFile { group, name, revision, expect } => {
                self.rollback_file(now, &group, &name, revision.as_deref(), expect.as_deref())
            }
            Command::RemoveFile { group, name, expect } => self.remove_file(now, &group, &name, expect.as_deref()),
            Command::SetDesired { group, state } => self.set_state(now, &group, state),
            Command::SetRelease { group, release } => self.set_release(now, &group, release),
            Command::SetOptions { group, options } => self.set_options(now, &group, options),
            Command::Order { group, what } => self.order(now, &group, what),
            Command::Resign { group, seat } => self.resign(now, &group, &seat),
            Command::Recover { group } => self.recover(now, &group),
            Command::Depart { node, force } => self.depart(now, node, force),
            Command::Undepart { node } => self.undepart(now, node),
            Command::NewToken { id, token } => self.new_token(now, id, &token),
            Command::RevokeToken { id } => self.revoke_token(now, id),
            Command::Join(addresses) => {
                self.ring.join(now, &addresses);
                Ok(Done::default())
            }
            Command::Leave => {
                self.leave(now);
                Ok(Done::default())
            }
        }
    }

    fn publish_facts(&mut self, now: Now, facts: &NodeFacts) -> Result<Done, CommandError> {
        let facts = NodeFacts { left: self.leaving, ..facts.clone() };
        self.try_put_value(now, Key::node(self.me), &facts, 0)?;
        Ok(Done { changed: true, ..Done::default() })
    }

    fn withdraw(&mut self, now: Now, group: &GroupId) -> Result<Done, CommandError> {
        if let Some(known) = self.groups.get_mut(group) {
            known.election.resign_all(now);
            known.untold = None;
        }
        self.records.delete(now, &Key::service(group, self.me)).map_err(CommandError::Record)?;
        self.set_own_member(now, group, None);
        Ok(Done { changed: true, ..Done::default() })
    }

    fn resign(&mut self, now: Now, group: &GroupId, seat: &Seat) -> Result<Done, CommandError> {
        if self.holds(group, seat).is_none() {
            return Err(CommandError::NotHolder { group: group.clone(), seat: seat.clone() });
        }
        if let Some(known) = self.groups.get_mut(group) {
            known.election.resign(now, seat);
        }
        Ok(Done { changed: true, ..Done::default() })
    }

    fn leave(&mut self, now: Now) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        for group in self.groups.values_mut() {
            group.election.resign_all(now);
        }
        // First the record, then the farewell: whoever hears the second without the first would take this node for
        // dead rather than gone.
        let facts = self.census.node(self.me).map(|node| (*node.facts).clone()).unwrap_or_default();
        self.put_value(now, Key::node(self.me), &NodeFacts { left: true, ..facts }, 0);
        self.settle(now);
        self.ring.leave(now);
    }

    /// Puts a value of this node's own making; what could be wrong with it is a matter of its limits only.
    pub(super) fn put_value<T: Serialize>(&mut self, now: Now, key: Key, value: &T, term: u64) {
        let text = key.to_string();
        if let Err(error) = self.try_put_value(now, key, value, term) {
            self.note(super::Note::RecordRefused { key: text, from: self.me, why: error.to_string() });
        }
    }

    pub(super) fn try_put_value<T: Serialize>(
        &mut self,
        now: Now,
        key: Key,
        value: &T,
        term: u64,
    ) -> Result<(), CommandError> {
        let bytes = value::encode(value).map_err(|error| CommandError::Encode(error.to_string()))?;
        self.records.put(now, key, bytes, term).map_err(CommandError::Record)
    }
}
