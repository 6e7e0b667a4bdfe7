//! What must hold of rollouts after every event, judged by what the simulated services really do and not by what any
//! node believes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::NodeId;
use crate::census::{GroupView, Turn};
use crate::records::value::{Aftermath, OrderKind, Rollout, RolloutStatus, Strategy, Target, TurnKind};
use crate::rollout::Version;

use super::clock::True;
use super::cluster::Cluster;
use super::host::Process;

/// For how long the word of an updater may be on its way to a member: a question is good for a second of the member's
/// clock.
const WORD_LASTS: True = 1_100_000;
/// How long a ring has to have been quiet before all of it can be expected to know who is there.
const KNOWN_AFTER: True = 15_000_000;

/// An invariant of rollouts does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutViolation {
    /// More members are out because of the rollout than may be.
    #[error("{out} members do not serve because of rollout {rollout}, and {limit} may: nodes {who:?}")]
    TooManyOut {
        /// Which rollout.
        rollout: u64,
        /// How many are out.
        out: usize,
        /// How many may be.
        limit: usize,
        /// Which.
        who: Vec<usize>,
    },
    /// A member begins a turn that the newest record does not grant.
    #[error("node {node} begins turn {turn} of rollout {rollout}, which the newest record does not grant")]
    NotGranted {
        /// Who.
        node: usize,
        /// Which rollout.
        rollout: u64,
        /// Which turn.
        turn: u64,
    },
    /// A member begins a turn although the rollout was stopped.
    #[error("node {node} begins turn {turn} of rollout {rollout} {since_ms} ms after that was {status:?}")]
    BegunAfterStop {
        /// Who.
        node: usize,
        /// Which rollout.
        rollout: u64,
        /// Which turn.
        turn: u64,
        /// How the rollout stands.
        status: RolloutStatus,
        /// For how long.
        since_ms: u64,
    },
    /// The leader begins while another member waits.
    #[error("node {leader}, which leads, begins turn {turn} while node {follower} waits for its own")]
    LeaderTooEarly {
        /// Who leads.
        leader: usize,
        /// Its turn.
        turn: u64,
        /// Who is not done.
        follower: usize,
    },
    /// A node's record went back.
    #[error("node {node} knew {before:?} of the rollout, and knows {now:?}")]
    WentBack {
        /// Which node.
        node: usize,
        /// What it knew.
        before: Version,
        /// What it knows.
        now: Version,
    },
    /// Two records have one version.
    #[error("there are two records with {version:?}: two updaters drive one rollout")]
    TwoDrivers {
        /// Which version.
        version: Version,
    },
    /// A member was updated twice.
    #[error("node {node} was updated twice in rollout {rollout}")]
    Twice {
        /// Who.
        node: usize,
        /// Which rollout.
        rollout: u64,
    },
    /// A member serves something that it was never to be.
    #[error("node {node} becomes {what}, which it is not to be now: the rollout that it knows is {rollout}")]
    InBetween {
        /// Who.
        node: usize,
        /// What it becomes.
        what: String,
        /// What its node knows of the rollout.
        rollout: String,
    },
    /// A rollout does not come to an end although everything works.
    #[error("the rollout is not at rest {waited_ms} ms after healing: {what}")]
    Restless {
        /// For how long everything has worked.
        waited_ms: u64,
        /// How it stands.
        what: String,
    },
}

/// What really happened.
#[derive(Debug, Default)]
pub(super) struct Rollouts {
    newest: Option<(Version, Arc<Rollout>)>,
    /// Since when the newest record's rollout stands as it does.
    stands_since: True,
    /// Fingerprints of all versions that were ever seen.
    versions: BTreeMap<Version, u64>,
    known: BTreeMap<usize, Version>,
    out: BTreeSet<usize>,
    /// Members without which a person went on: they count no more until they have been what they were again.
    written_off: BTreeSet<NodeId>,
    /// How many were out at once at most.
    pub(super) most_out: usize,
    /// In which turn of which rollout each member was updated. A turn that its supervisor did not survive is gone through
    /// again.
    updated: BTreeMap<(u64, usize), u64>,
    /// Rollouts in which a person had members take turns again.
    repeated: BTreeSet<u64>,
    /// When the last fault was.
    pub(super) last_fault: True,
    /// How many turns came to a good end.
    pub(super) turns: u64,
}

impl Rollouts {
    pub(super) fn newest(&self) -> Option<&Rollout> {
        self.newest.as_ref().map(|(_, rollout)| &**rollout)
    }

    /// A node died: it may have forgotten what it had not stored.
    pub(super) fn forget_node(&mut self, host: usize) {
        self.known.remove(&host);
    }

    /// A person gives an order.
    pub(super) fn ordered(&mut self, what: OrderKind) {
        let id = self.newest().map(|rollout| rollout.id);
        match what {
            OrderKind::Retry | OrderKind::Rollback => self.repeated.extend(id),
            OrderKind::Pause | OrderKind::Resume | OrderKind::Abort => {}
        }
    }

    /// A turn came to a good end.
    pub(super) fn done(&mut self, node: usize, turn: &Turn) {
        self.turns += 1;
        if turn.kind == TurnKind::Forward {
            self.updated.insert((turn.rollout, node), turn.number);
        }
    }

    /// A member is changed in a turn.
    fn changed(&mut self, node: usize, rollout: u64, turn: u64) -> Result<(), RolloutViolation> {
        let before = self.updated.get(&(rollout, node));
        if before.is_some_and(|before| *before != turn) && !self.repeated.contains(&rollout) {
            return Err(RolloutViolation::Twice { node, rollout });
        }
        Ok(())
    }

    /// A node knows this version now.
    fn knows(
        &mut self,
        at: True,
        host: usize,
        version: Version,
        rollout: &Arc<Rollout>,
    ) -> Result<(), RolloutViolation> {
        match self.known.insert(host, version) {
            Some(before) if before > version => {
                return Err(RolloutViolation::WentBack { node: host, before, now: version });
            }
            Some(before) if before == version => return Ok(()),
            Some(_) | None => {}
        }
        let fingerprint = fingerprint(rollout);
        if *self.versions.entry(version).or_insert(fingerprint) != fingerprint {
            return Err(RolloutViolation::TwoDrivers { version });
        }
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest < version) {
            let before = self.newest().map(|newest| (newest.id, newest.status));
            if before != Some((rollout.id, rollout.status)) {
                self.stands_since = at;
            }
            let is_given_up = |aftermath| matches!(aftermath, Aftermath::WrittenOff | Aftermath::Stuck);
            let written_off = rollout.failed.iter().filter(|failure| is_given_up(failure.aftermath));
            self.written_off.extend(written_off.map(|failure| failure.member));
            self.newest = Some((version, Arc::clone(rollout)));
        }
        Ok(())
    }
}

fn fingerprint(rollout: &Rollout) -> u64 {
    let text = format!("{rollout:?}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A target, for a person.
pub(super) fn shown(target: &Target) -> String {
    let release = target.release.map_or_else(|| "the plan".to_owned(), |hash| hash.to_string()[..16].to_owned());
    format!("{release} with config {}, {:?}", target.config.as_deref().unwrap_or("-"), target.state)
}

impl Cluster {
    /// How many members were out because of a rollout at once, at most.
    #[must_use]
    pub fn most_out(&self) -> usize {
        self.rollouts.most_out
    }

    /// Something happened to a service.
    pub(super) fn look_at_service(&mut self, host: usize) {
        let is_out = self.hosts[host].service.is_out();
        if is_out == self.rollouts.out.contains(&host) {
            return;
        }
        if !is_out {
            self.rollouts.out.remove(&host);
            self.rollouts.written_off.remove(&self.hosts[host].id);
            return;
        }
        self.rollouts.out.insert(host);
        let counts = |host: &&usize| !self.rollouts.written_off.contains(&self.hosts[**host].id);
        let out = self.rollouts.out.iter().filter(counts).count();
        self.rollouts.most_out = self.rollouts.most_out.max(out);
        let Some(record) = self.rollouts.newest() else { return };
        let mut limit = record.options.batch.of(self.hosts.len());
        // Those that failed stay as they are; or the others have to leave what they failed on, and cannot wait.
        if !record.options.restore_failed || record.status == RolloutStatus::RollingBack {
            limit += record.failed.len();
        }
        if out > limit {
            let (rollout, who) = (record.id, self.rollouts.out.iter().copied().collect());
            self.violate(|_| Err(RolloutViolation::TooManyOut { rollout, out, limit, who }.into()));
        }
    }

    /// A node knows something of the group's rollout.
    pub(super) fn check_record(&mut self, host: usize, view: &GroupView) {
        let Some((term, rollout)) = &view.rollout else { return };
        let version = Version::of(*term, rollout);
        self.violate(|cluster| Ok(cluster.rollouts.knows(cluster.at, host, version, rollout)?));
    }

    /// A member begins a turn.
    pub(super) fn check_begin(&mut self, host: usize, turn: &Turn) {
        let id = self.hosts[host].id;
        let (node, rollout, number) = (host, turn.rollout, turn.number);
        let Some(record) = self.rollouts.newest() else { return };
        let is_granted = record.id == rollout && record.turn_of(id).is_some_and(|grant| grant.turn == number);
        if !is_granted {
            self.violate(|_| Err(RolloutViolation::NotGranted { node, rollout, turn: number }.into()));
            return;
        }
        let status = record.status;
        let may = match turn.kind {
            TurnKind::Forward => matches!(status, RolloutStatus::Running | RolloutStatus::Done),
            TurnKind::Restore => status != RolloutStatus::Aborted,
            TurnKind::Back => status == RolloutStatus::RollingBack,
        };
        let since = self.at - self.rollouts.stands_since;
        if !may && since > WORD_LASTS {
            let since_ms = since / 1000;
            let violation = RolloutViolation::BegunAfterStop { node, rollout, turn: number, status, since_ms };
            self.violate(|_| Err(violation.into()));
            return;
        }
        if turn.kind == TurnKind::Forward && self.leader().is_some_and(|(leader, _)| leader == host) {
            self.check_leader(host, number);
        }
    }

    /// The leader begins a turn: everybody else has had its own, as far as can be known.
    fn check_leader(&mut self, leader: usize, turn: u64) {
        let Some(record) = self.rollouts.newest() else { return };
        let is_quiet = self.at - self.rollouts.last_fault > KNOWN_AFTER;
        let to = &record.to;
        let has_failed = |id: NodeId| record.failed.iter().any(|failure| failure.member == id && !failure.again);
        let waits = |(number, host): &(usize, &super::host::Host)| {
            *number != leader
                && matches!(host.process, Process::Running(_))
                && host.service.mine().is_some_and(|mine| mine != to)
                && !has_failed(host.id)
        };
        let follower = self.hosts.iter().enumerate().find(waits).map(|(number, _)| number);
        // Where something went wrong a short while ago, the updater may not know of the follower yet.
        if let Some(follower) = follower.filter(|_| is_quiet) {
            self.violate(|_| Err(RolloutViolation::LeaderTooEarly { leader, turn, follower }.into()));
        }
    }

    /// A process is launched.
    pub(super) fn check_launch(&mut self, host: usize, target: &Target, turn: Option<u64>) {
        let mine = self.hosts[host].service.mine().cloned();
        let is_its_own = mine.as_ref() == Some(target);
        let id = self.hosts[host].id;
        let rolling = self.hosts[host].service.script.strategy == Strategy::Rolling;
        let Some(record) = self.known_rollout(host) else { return };
        let is_of_rollout = *target == record.from || *target == record.to;
        let is_fine = match turn {
            Some(_) => is_its_own || is_of_rollout,
            None => is_its_own || !record.options.restore_failed && *target == record.to,
        };
        if rolling && !is_fine {
            self.in_between(host, target, &record);
        }
        let grant = record.turn_of(id).filter(|grant| Some(grant.turn) == turn && grant.kind == TurnKind::Forward);
        if let Some(grant) = grant {
            self.violate(|cluster| Ok(cluster.rollouts.changed(host, record.id, grant.turn)?));
        }
    }

    /// A member in which nothing runs goes by something else from now on.
    pub(super) fn check_adoption(&mut self, host: usize, target: &Target, before: Option<&Target>) {
        let rolling = self.hosts[host].service.script.strategy == Strategy::Rolling;
        let Some(record) = self.known_rollout(host).filter(|_| rolling) else { return };
        let has_proved_itself = match record.status {
            RolloutStatus::Done => true,
            RolloutStatus::Running
            | RolloutStatus::Paused
            | RolloutStatus::Halted
            | RolloutStatus::Aborted
            | RolloutStatus::RollingBack
            | RolloutStatus::RolledBack => before == Some(&record.to),
        };
        let is_fine =
            *target == record.from && record.status != RolloutStatus::Done || *target == record.to && has_proved_itself;
        if !is_fine {
            self.in_between(host, target, &record);
        }
    }

    fn known_rollout(&self, host: usize) -> Option<Arc<Rollout>> {
        let view = self.hosts[host].node()?.census().group(&super::cluster::fake_group());
        view.rollout.as_ref().map(|(_, rollout)| Arc::clone(rollout))
    }

    fn in_between(&mut self, node: usize, target: &Target, record: &Rollout) {
        let what = shown(target);
        let rollout =
            format!("{}, {:?}, from {} to {}", record.id, record.status, shown(&record.from), shown(&record.to));
        self.violate(|_| Err(RolloutViolation::InBetween { node, what, rollout }.into()));
    }
}
