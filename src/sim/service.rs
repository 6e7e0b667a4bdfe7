//! A fake service: when it starts, how healthy it is and when it exits are scripted.

use std::time::Duration;

use crate::base::Now;
use crate::node::GroupRules;
use crate::records::value::{Health, MemberStatus, ServiceState, Topology};

/// How a fake service behaves.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// The group's topology.
    pub topology: Topology,
    /// What decides the group's elections.
    pub rules: GroupRules,
    /// From launch to up.
    pub start_time: Duration,
    /// How suited it is to lead.
    pub suitability: u64,
}

/// The fake service of one machine. It outlives the node: a supervisor's crash does not take it along.
#[derive(Debug, Clone)]
pub(super) struct FakeService {
    pub(super) script: Script,
    state: ServiceState,
    health: Health,
    restarts: u32,
}

/// What may happen to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceEvent {
    /// Its node is ready.
    RingReady,
    /// A leader is known.
    LeaderKnown,
    /// Its start time is over.
    Started,
    /// It ends by itself.
    Exit,
    /// Its health check says so from now on.
    Health(Health),
}

impl FakeService {
    pub(super) fn new(script: Script) -> Self {
        Self { script, state: ServiceState::Loaded, health: Health::Unknown, restarts: 0 }
    }

    /// Takes in an event. Returns after how long it is [`ServiceEvent::Started`], if it was launched just now.
    pub(super) fn take(&mut self, event: ServiceEvent) -> Option<Duration> {
        match (event, self.state) {
            (ServiceEvent::RingReady, ServiceState::Loaded) if self.script.topology == Topology::Leader => {
                self.state = ServiceState::WaitingForLeader;
                None
            }
            (ServiceEvent::RingReady, ServiceState::Loaded)
            | (ServiceEvent::LeaderKnown, ServiceState::WaitingForLeader) => {
                self.state = ServiceState::Starting;
                Some(self.script.start_time)
            }
            (ServiceEvent::Started, ServiceState::Starting) => {
                self.state = ServiceState::Up;
                self.health = Health::Ok;
                None
            }
            (ServiceEvent::Exit, ServiceState::Up) => {
                self.state = ServiceState::Starting;
                self.health = Health::Unknown;
                self.restarts += 1;
                Some(self.script.start_time)
            }
            (ServiceEvent::Health(health), ServiceState::Up) => {
                self.health = health;
                None
            }
            // Nothing to do with it in this state: a script is drawn without knowing what the service will be doing.
            (
                ServiceEvent::RingReady
                | ServiceEvent::LeaderKnown
                | ServiceEvent::Started
                | ServiceEvent::Exit
                | ServiceEvent::Health(_),
                _,
            ) => None,
        }
    }

    /// It is stopped with its supervisor, which starts it again when it is back.
    pub(super) fn stop(&mut self) {
        *self = Self::new(self.script);
    }

    pub(super) fn waits_for_leader(&self) -> bool {
        self.state == ServiceState::WaitingForLeader
    }

    pub(super) fn status(&self, now: Now) -> MemberStatus {
        MemberStatus {
            topology: self.script.topology,
            state: self.state,
            health: self.health,
            eligible: self.state != ServiceState::Loaded,
            suitability: Some(self.script.suitability),
            ident: "sim/fake/1".to_owned(),
            since: now.wall,
            restarts: self.restarts,
            ..MemberStatus::default()
        }
    }
}
