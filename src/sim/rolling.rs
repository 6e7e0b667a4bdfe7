//! A whole run of rollouts: a group under strategy `rolling`, changes and orders, faults, healing, judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::{BlobRef, Hash, NodeId, ReleaseRef, Seat};
use crate::node::{Command, GroupRules};
use crate::records::value::{
    Batch, DesiredState, OnFailure, OrderKind, RolloutOptions, RolloutStatus, Strategy, Target, Topology,
};
use crate::ring::Profile;

use super::clock::{True, us};
use super::cluster::{Cluster, ClusterConfig, fake_group};
use super::faults::{Fault, Repair};
use super::host::Process;
use super::invariants::Violation;
use super::make::{Fate, Make};
use super::network::{Link, hits};
use super::plant::Plant;
use super::rollouts::{RolloutViolation, shown};
use super::scenario::{Failure, acquaint, heal, is_at_peace, since};
use super::service::Script;

/// How long a rollout may take for each member once everything works.
const PER_MEMBER: Duration = Duration::from_secs(20);
/// How long the last rollout has at least.
const AT_LEAST: Duration = Duration::from_secs(90);

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct RolloutScenario {
    /// The source of all randomness.
    pub seed: u64,
    /// How many machines; none: 3 to 30, drawn.
    pub hosts: Option<usize>,
    /// For how long things go wrong, and change.
    pub faults_for: Duration,
    /// A fault that the invariants are to find.
    pub plant: Option<Plant>,
}

/// What a run that held all invariants came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutOutcome {
    /// A hash of all that happened.
    pub trace: u64,
    /// How many events there were.
    pub events: u64,
    /// How many rollouts.
    pub rollouts: u64,
    /// How many turns came to a good end.
    pub turns: u64,
    /// How the last rollout ended.
    pub ended: RolloutStatus,
    /// How many members were out at once at most.
    pub most_out: usize,
    /// How long the run lasted, in virtual time.
    pub lasted: Duration,
}

/// What people do with rollouts, and what happens to those who carry them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Release,
    Config,
    Order(OrderKind),
    Stop,
    Start,
    Options,
    HitUpdater,
    HitInTurn,
}

impl RolloutScenario {
    /// Runs it.
    ///
    /// # Errors
    /// An invariant did not hold.
    pub fn run(self) -> Result<RolloutOutcome, Box<Failure>> {
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0x726f_6c6c_696e_6700);
        let mut cluster = self.cluster(&mut rng);
        let ended = self.play(&mut cluster, &mut rng);
        match cluster.violation.clone().or(ended.err()) {
            Some(violation) => {
                let hosts = self.hosts.map(|hosts| format!(" --hosts {hosts}")).unwrap_or_default();
                let repeat =
                    format!("--rollouts --seed {} --faults-for {}{hosts}", self.seed, self.faults_for.as_secs());
                Err(Box::new(Failure { seed: self.seed, repeat, violation, last: cluster.trace.lines() }))
            }
            None => Ok(RolloutOutcome {
                trace: cluster.trace.hash(),
                events: cluster.events,
                rollouts: cluster.rollouts.newest().map_or(0, |record| record.id),
                turns: cluster.rollouts.turns,
                ended: cluster.rollouts.newest().map(|record| record.status).unwrap_or_default(),
                most_out: cluster.rollouts.most_out,
                lasted: cluster.elapsed(),
            }),
        }
    }

    fn cluster(self, rng: &mut StdRng) -> Cluster {
        let drawn = if hits(rng, 100) { rng.random_range(10..=30) } else { rng.random_range(3..=9) };
        let hosts = self.hosts.unwrap_or(drawn);
        let link = Link {
            latency: Duration::from_micros(rng.random_range(50..2_000)),
            jitter: Duration::from_micros(rng.random_range(100..20_000)),
            loss_per_mille: rng.random_range(0..100),
            duplicate_per_mille: rng.random_range(0..50),
        };
        let profile = if hits(rng, 500) { Profile::Lan } else { Profile::Local };
        let config = ClusterConfig {
            hosts,
            seed: self.seed,
            profile,
            link,
            max_drift_ppm: 9_000,
            services: true,
            plant: self.plant,
        };
        let (topology, min_members) = if hits(rng, 500) { (Topology::Leader, 3) } else { (Topology::Standalone, 1) };
        let rules = GroupRules { min_members, council_size: 5, replace_voter_after: Duration::from_secs(60) };
        Cluster::new(config, |_, rng| Script {
            topology,
            strategy: Strategy::Rolling,
            rules,
            start_time: Duration::from_millis(rng.random_range(10..500)),
            suitability: rng.random_range(0..3),
        })
    }

    fn play(self, cluster: &mut Cluster, rng: &mut StdRng) -> Result<(), Violation> {
        let hosts = cluster.config.hosts;
        let mut repairs: BTreeMap<(True, u64), Repair> = BTreeMap::new();
        let mut orders = 0..;
        let mut order = || orders.next().unwrap_or(u64::MAX);
        for host in 0..hosts {
            let begins = if host == 0 { 0 } else { us(Duration::from_millis(rng.random_range(0..2_000))) };
            repairs.insert((begins, order()), Repair::Start(host));
        }
        acquaint(cluster, &mut repairs)?;
        let quiet = Duration::from_secs(rng.random_range(0..8));
        let begins = cluster.elapsed() + quiet;
        set_options(cluster, rng);
        let (mut next_fault, ends) = (us(begins), us(begins + self.faults_for));
        let mut number = 0;
        // Some runs are of rollouts alone, in which everything else works.
        let faulty_per_mille = if hits(rng, 250) { 0 } else { 500 };
        while cluster.violation.is_none() {
            let next_repair = repairs.first_key_value().map(|((at, _), _)| *at);
            let next = next_repair.map_or(next_fault, |at| at.min(next_fault));
            if next > ends {
                break;
            }
            cluster.run_until(Duration::from_micros(next));
            if next_repair == Some(next) {
                let next = repairs.pop_first().and_then(|(_, repair)| repair.carry_out(cluster));
                repairs.extend(next.map(|(at, repair)| ((at, order()), repair)));
                cluster.rollouts.last_fault = cluster.at;
            } else {
                number += 1;
                let repair = if hits(rng, faulty_per_mille) {
                    cluster.rollouts.last_fault = cluster.at;
                    let leader = cluster.leader().map(|(host, _)| host);
                    Fault::draw(rng, hosts, number, leader).begin(cluster)
                } else {
                    do_something(cluster, rng, number, faulty_per_mille > 0)
                };
                repairs.extend(repair.map(|(at, repair)| ((at, order()), repair)));
                next_fault += us(Duration::from_millis(rng.random_range(50..4_000)));
            }
        }
        for repair in repairs.into_values().filter(|repair| matches!(repair, Repair::End { .. })) {
            repair.carry_out(cluster);
        }
        heal(cluster);
        self.judge(cluster)
    }

    fn judge(self, cluster: &mut Cluster) -> Result<(), Violation> {
        let healed = cluster.elapsed();
        is_at_peace(cluster, healed)?;
        if cluster.node(0).is_some_and(|node| node.census().group(&fake_group()).target.state == DesiredState::Down) {
            cluster.tell(0, Command::SetDesired { group: fake_group(), state: DesiredState::Up });
        }
        let patience = (PER_MEMBER * u32::try_from(cluster.config.hosts).unwrap_or(u32::MAX)).max(AT_LEAST);
        let deadline = cluster.rollouts.newest().map_or(0, |record| record.options.deadline_ms);
        let until = cluster.elapsed() + patience + Duration::from_millis(deadline) * 3;
        while cluster.violation.is_none() && cluster.elapsed() < until {
            let rests = |cluster: &Cluster| is_at_rest(cluster) || is_paused(cluster);
            if cluster.run_while_not(until, rests) && !is_paused(cluster) {
                return Ok(());
            }
            if is_paused(cluster) {
                give_order(cluster, 0, OrderKind::Resume);
                cluster.run_until(cluster.elapsed() + Duration::from_secs(2));
            }
        }
        let waited_ms = since(cluster, healed);
        Err(RolloutViolation::Restless { waited_ms, what: standing(cluster) }.into())
    }
}

fn is_paused(cluster: &Cluster) -> bool {
    cluster.rollouts.newest().is_some_and(|record| record.status == RolloutStatus::Paused)
}

/// Whether nothing is left to do, and every member is what it is to be, or the record says why not.
fn is_at_rest(cluster: &Cluster) -> bool {
    let Some(node) = cluster.node(0) else { return false };
    let view = node.census().group(&fake_group());
    let Some((_, record)) = &view.rollout else { return view.asked == 0 };
    let all_are = |except: &dyn Fn(NodeId) -> bool, wanted: &Target| {
        cluster.hosts.iter().filter(|host| !except(host.id)).all(|host| host.service.has_become(wanted))
    };
    let has_failed = |id: NodeId| record.failed.iter().any(|failure| failure.member == id);
    if !record.in_turn.is_empty() || cluster.rollouts.newest() != Some(record) {
        return false;
    }
    match record.status {
        RolloutStatus::Done if record.why.contains("came later") => record.to == view.target,
        RolloutStatus::Done => record.to == view.target && all_are(&has_failed, &record.to),
        RolloutStatus::RolledBack => {
            all_are(&has_failed, &record.from)
                || cluster.hosts.iter().all(|host| host.service.mine().is_some_and(|mine| *mine != record.to))
        }
        RolloutStatus::Halted => record.to == view.target && !record.why.is_empty() && !record.failed.is_empty(),
        RolloutStatus::Aborted => record.to == view.target,
        RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::RollingBack => false,
    }
}

/// How things stand, for a person.
fn standing(cluster: &Cluster) -> String {
    let record = cluster.rollouts.newest().map(|record| format!("{record:?}")).unwrap_or_default();
    let members = cluster.hosts.iter().enumerate().map(|(number, host)| {
        let mine = host.service.mine().map(shown).unwrap_or_default();
        let serves = host.service.serves().map(shown).unwrap_or_default();
        format!("node {number} ({:?}) goes by {mine}, serves {serves}", host.id)
    });
    let members: Vec<String> = members.collect();
    let wanted = cluster.node(0).map(|node| shown(&node.census().group(&fake_group()).target)).unwrap_or_default();
    let updater = cluster.holdings.holder(cluster.at, &(fake_group(), Seat::Updater));
    format!("wanted {wanted}; updater {updater:?}; record {record}; {}", members.join("; "))
}

fn set_options(cluster: &mut Cluster, rng: &mut StdRng) {
    let options = RolloutOptions {
        batch: match rng.random_range(0..4) {
            0 => Batch::Members(2),
            1 => Batch::Percent(rng.random_range(10..60)),
            _ => Batch::Members(1),
        },
        min_healthy_ms: rng.random_range(0..800),
        deadline_ms: rng.random_range(2_500..5_000),
        on_failure: match rng.random_range(0..3) {
            0 => OnFailure::Continue,
            1 => OnFailure::Rollback,
            _ => OnFailure::Halt,
        },
        max_failures: rng.random_range(0..3),
        ..RolloutOptions::default()
    };
    let host = rng.random_range(0..cluster.config.hosts);
    cluster.trace.say(cluster.at, &format!("options: {options:?}"));
    cluster.tell(host, Command::SetOptions { group: fake_group(), options });
}

fn do_something(cluster: &mut Cluster, rng: &mut StdRng, number: usize, faulty: bool) -> Option<(True, Repair)> {
    let deed = match rng.random_range(0..100) {
        0..30 => Deed::Release,
        30..45 => Deed::Config,
        45..50 => Deed::Order(OrderKind::Pause),
        50..58 => Deed::Order(OrderKind::Resume),
        58..66 => Deed::Order(OrderKind::Retry),
        66..72 => Deed::Order(OrderKind::Rollback),
        72..75 => Deed::Order(OrderKind::Abort),
        75..77 => Deed::Stop,
        77..82 => Deed::Start,
        82..84 => Deed::Options,
        84..92 if faulty => Deed::HitUpdater,
        92..100 if faulty => Deed::HitInTurn,
        _ => Deed::Release,
    };
    let hosts = cluster.config.hosts;
    let host = rng.random_range(0..hosts);
    cluster.trace.say(cluster.at, &format!("deed: {deed:?} on node {host}"));
    match deed {
        Deed::Release => {
            let make = draw_make(rng);
            let manifest = make.release(u32::try_from(number).unwrap_or(u32::MAX));
            cluster.trace.say(cluster.at, &format!("release {} is {make:?}", &manifest.to_string()[..16]));
            cluster.tell(host, Command::SetRelease { group: fake_group(), release: release(manifest) });
        }
        Deed::Config => {
            let toml = draw_make(rng).config(u32::try_from(number).unwrap_or(u32::MAX));
            cluster.tell(host, Command::ApplyConfig { group: fake_group(), toml, expect: None });
        }
        Deed::Order(what) => give_order(cluster, host, what),
        Deed::Stop => cluster.tell(host, Command::SetDesired { group: fake_group(), state: DesiredState::Down }),
        Deed::Start => cluster.tell(host, Command::SetDesired { group: fake_group(), state: DesiredState::Up }),
        Deed::Options => set_options(cluster, rng),
        Deed::HitUpdater => {
            let (updater, _) = cluster.holdings.holder(cluster.at, &(fake_group(), Seat::Updater))?;
            return hit(cluster, rng, updater);
        }
        Deed::HitInTurn => {
            let in_turn: Vec<usize> = cluster.rollouts.newest().map_or_else(Vec::new, |record| {
                let hosts = cluster.hosts.iter().enumerate();
                hosts.filter(|(_, host)| record.turn_of(host.id).is_some()).map(|(number, _)| number).collect()
            });
            let victim = *in_turn.get(rng.random_range(0..in_turn.len().max(1)))?;
            return hit(cluster, rng, victim);
        }
    }
    None
}

/// The moment is drawn, too: a fault at once would often come before anything had begun.
fn hit(cluster: &mut Cluster, rng: &mut StdRng, host: usize) -> Option<(True, Repair)> {
    cluster.rollouts.last_fault = cluster.at;
    let length = Duration::from_millis(rng.random_range(50..9_000));
    if !matches!(cluster.hosts[host].process, Process::Running(_)) {
        return None;
    }
    match rng.random_range(0..4) {
        0 => {
            cluster.trace.say(cluster.at, &format!("the power of node {host} fails"));
            cluster.cut_power(host);
            Some((cluster.at + us(length), Repair::Start(host)))
        }
        1 => Fault::Pause { host, length }.begin(cluster),
        2 => {
            let links = (0..cluster.config.hosts).filter(|other| *other != host);
            let links = links.flat_map(|other| [(host, other), (other, host)]).collect();
            Fault::Cut { links, length }.begin(cluster)
        }
        _ => Fault::Crash { host, down: length }.begin(cluster),
    }
}

fn give_order(cluster: &mut Cluster, host: usize, what: OrderKind) {
    cluster.rollouts.ordered(what);
    cluster.tell(host, Command::Order { group: fake_group(), what });
}

fn draw_make(rng: &mut StdRng) -> Make {
    let fates = [Fate::Warns, Fate::Hangs, Fate::ExitsAtStart, Fate::NeverOk, Fate::TurnsCritical, Fate::Exits];
    let fate = hits(rng, 400).then(|| fates[rng.random_range(0..fates.len())]);
    // Shorter than it has to be ok, or longer; on all machines, or on some.
    Make { fate, every: rng.random_range(1..4), after: Duration::from_millis(rng.random_range(0..10) * 100) }
}

fn release(manifest: Hash) -> ReleaseRef {
    let (Ok(name), Ok(version)) = ("fake".parse(), "1".parse()) else { unreachable!("both are plain words") };
    ReleaseRef { origin: None, name, version, manifest, blob: BlobRef { id: manifest, bytes: 1 } }
}
