//! What happens to services, carried out; and what members are told by their nodes.

use crate::base::{GroupId, Seat};
use crate::node::Command;
use crate::records::value::MemberStatus;

use super::clock::us;
use super::cluster::{Cluster, What, fake_group};
use super::host::Process;
use super::service::{Effect, ServiceEvent};

impl Cluster {
    /// Lets a service do something.
    pub(super) fn service(&mut self, host: usize, event: ServiceEvent) {
        self.schedule(0, host, None, What::Service(event));
    }

    pub(super) fn service_event(&mut self, host: usize, event: ServiceEvent) {
        self.trace.fold(self.at, host, 6, &[]);
        self.hosts[host].service.happen(&event);
        match self.hosts[host].process {
            Process::Running(_) => self.react(host, event),
            // It looks when it runs again.
            Process::Paused { .. } => self.hosts[host].unseen.push(event),
            Process::Dead => {}
        }
        self.look_at_service(host);
    }

    fn react(&mut self, host: usize, event: ServiceEvent) {
        let effects = self.hosts[host].service.react(self.at, event);
        for effect in effects {
            self.take_effect(host, effect);
        }
        self.publish(host);
    }

    /// What a process that was stopped did not see.
    pub(super) fn catch_up(&mut self, host: usize) {
        // What its node says by now comes first: it stopped looking at both at the same moment.
        let goal = self.hosts[host].node().map(|node| node.census().group(&fake_group()).goal.clone());
        if let Some(goal) = goal.filter(|goal| goal.as_ref() != self.hosts[host].service.goal()) {
            self.react(host, ServiceEvent::Goal(goal.map(Box::new)));
        }
        for event in std::mem::take(&mut self.hosts[host].unseen) {
            self.react(host, event);
        }
        self.look_at_service(host);
    }

    fn take_effect(&mut self, host: usize, effect: Effect) {
        match effect {
            Effect::After(after, event) => {
                // What belongs to the process happens whatever becomes of the supervisor; its timers die with it.
                let epoch = match event {
                    ServiceEvent::Deadline(_) | ServiceEvent::Healthy(_) | ServiceEvent::Retry => {
                        Some(self.hosts[host].epoch)
                    }
                    ServiceEvent::RingReady
                    | ServiceEvent::LeaderKnown
                    | ServiceEvent::Goal(_)
                    | ServiceEvent::Started(_)
                    | ServiceEvent::Stopped(_)
                    | ServiceEvent::Fate(_)
                    | ServiceEvent::Exit
                    | ServiceEvent::Health(_) => None,
                };
                self.schedule(us(after), host, epoch, What::Service(event));
            }
            Effect::Resign => {
                if self.leader().is_some_and(|(leader, _)| leader == host) {
                    self.tell(host, Command::Resign { group: fake_group(), seat: Seat::Leader });
                }
            }
            Effect::Began(turn) => {
                self.trace.say(self.at, &format!("node {host} begins turn {} ({:?})", turn.number, turn.kind));
                self.check_begin(host, &turn);
            }
            Effect::Done(turn) => {
                self.trace.say(self.at, &format!("node {host} is done with turn {}", turn.number));
                self.rollouts.done(host, &turn);
            }
            Effect::Launched { target, turn } => {
                self.trace.say(self.at, &format!("node {host} launches {}", super::rollouts::shown(&target)));
                self.check_launch(host, &target, turn);
            }
            Effect::Adopted { target, before } => {
                self.trace.say(self.at, &format!("node {host} goes by {}", super::rollouts::shown(&target)));
                self.check_adoption(host, &target, before.as_ref());
            }
        }
    }

    fn publish(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        if !self.config.services || !entry.service.is_loaded() {
            return;
        }
        let now = entry.clock.now(self.at);
        let status = entry.service.status(now);
        // A new time alone is no news.
        let since = |said: &MemberStatus| MemberStatus { since: status.since, ..said.clone() };
        if entry.said.as_ref().is_some_and(|said| since(said) == status) {
            return;
        }
        entry.said = Some(status.clone());
        let rules = entry.service.script.rules;
        self.tell(host, Command::Publish { group: fake_group(), status: Box::new(status), rules });
    }

    /// The view of a group changed on a node.
    pub(super) fn group_changed(&mut self, host: usize, group: &GroupId) {
        let Some(node) = self.hosts[host].node() else { return };
        let view = node.census().group(group);
        let service = &self.hosts[host].service;
        let leader_known = view.leader.is_some() && service.waits_for_leader();
        let goal = (view.goal.as_ref() != service.goal()).then(|| view.goal.clone().map(Box::new));
        if leader_known {
            self.service(host, ServiceEvent::LeaderKnown);
        }
        if let Some(goal) = goal {
            self.service(host, ServiceEvent::Goal(goal));
        }
        self.check_record(host, &view);
    }
}
