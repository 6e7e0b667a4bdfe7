//! A whole run: start, faults, healing, judgement.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::Seat;
use crate::census::Liveness;
use crate::node::GroupRules;
use crate::records::value::{Health, Strategy, Topology};
use crate::ring::Profile;

use super::clock::{True, us};
use super::cluster::{Cluster, ClusterConfig, fake_group};
use super::faults::{Change, Fault, Repair};
use super::host::Existence;
use super::invariants::Violation;
use super::network::Link;
use super::service::{Script, ServiceEvent};

/// How long the ring may take to be whole again once everything works, and to know the same things.
const HEALING: Duration = Duration::from_secs(60);
/// In units of the lease: how long a seat may stay vacant on a whole ring.
const VACANT_LEASES: u32 = 3;

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The source of all randomness.
    pub seed: u64,
    /// How many machines; none: 3 to 9, drawn.
    pub hosts: Option<usize>,
    /// For how long things go wrong.
    pub faults_for: Duration,
}

/// What a run that held all invariants came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// A hash of all that happened.
    pub trace: u64,
    /// How many events there were.
    pub events: u64,
    /// How often the seat was taken.
    pub holdings: u64,
    /// How many configs were acknowledged.
    pub configs: usize,
    /// How long the run lasted, in virtual time.
    pub lasted: Duration,
}

/// A run in which an invariant did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The source of its randomness.
    pub seed: u64,
    /// What to tell `scripts/sim` to run it again.
    pub repeat: String,
    /// What did not hold.
    pub violation: Violation,
    /// The last events.
    pub last: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        for line in &self.last {
            writeln!(f, "  {line}")?;
        }
        write!(f, "repeat it with: scripts/sim {}", self.repeat)
    }
}

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    /// An invariant did not hold.
    pub fn run(self) -> Result<Outcome, Box<Failure>> {
        let mut cluster = self.cluster();
        let ended = self.play(&mut cluster);
        // What was violated on the way comes first: the judgement may be no more than what follows from it.
        match cluster.violation.clone().or(ended.err()) {
            Some(violation) => {
                let Self { seed, faults_for, .. } = self;
                let hosts = self.hosts.map(|hosts| format!(" --hosts {hosts}")).unwrap_or_default();
                let repeat = format!("--seed {seed} --faults-for {}{hosts}", faults_for.as_secs());
                Err(Box::new(Failure { seed, repeat, violation, last: cluster.trace.lines() }))
            }
            None => Ok(Outcome {
                trace: cluster.trace.hash(),
                events: cluster.events,
                holdings: cluster.holdings.count,
                configs: cluster.acknowledged.len(),
                lasted: cluster.elapsed(),
            }),
        }
    }

    fn cluster(self) -> Cluster {
        // Another stream than the cluster's, so that a change of what is drawn here does not change what it draws.
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0x7363_656e_6172_696f);
        let hosts = self.hosts.unwrap_or_else(|| rng.random_range(3..=9));
        let link = Link {
            latency: Duration::from_micros(rng.random_range(50..2_000)),
            jitter: Duration::from_micros(rng.random_range(100..20_000)),
            loss_per_mille: rng.random_range(0..100),
            duplicate_per_mille: rng.random_range(0..50),
        };
        let profile = if rng.random_range(0..2) == 0 { Profile::Lan } else { Profile::Local };
        // With one the first node founds a council of itself, which grows while things go wrong already; and voters that
        // are killed or cut off are replaced meanwhile.
        let min_members = if rng.random_range(0..2) == 0 { 1 } else { 3 };
        // One that is born where it reaches nobody founds a council of its own, where a single member may: two councils
        // that meet are not simulated here.
        let unborn = if min_members == 1 { 0 } else { rng.random_range(0..=3) };
        let config = ClusterConfig {
            hosts: hosts + unborn,
            seed: self.seed,
            profile,
            link,
            max_drift_ppm: 9_000,
            services: true,
            plant: None,
        };
        let rules = GroupRules {
            min_members,
            council_size: 5,
            replace_voter_after: Duration::from_millis(rng.random_range(1_000..20_000)),
        };
        let mut cluster = Cluster::new(config, |_, rng| Script {
            topology: Topology::Leader,
            strategy: Strategy::None,
            rules,
            start_time: Duration::from_millis(rng.random_range(10..800)),
            suitability: rng.random_range(0..3),
        });
        for host in &mut cluster.hosts[hosts..] {
            host.existence = Existence::Unborn;
        }
        cluster
    }

    fn play(self, cluster: &mut Cluster) -> Result<(), Violation> {
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0x6661_756c_7473_0000);
        let hosts = cluster.config.hosts;
        // By time; those of one time in the order in which they were put in.
        let mut repairs: BTreeMap<(True, u64), Repair> = BTreeMap::new();
        let mut orders = 0..;
        let mut order = || orders.next().unwrap_or(u64::MAX);
        let there: Vec<usize> = cluster.there().collect();
        for host in there {
            let begins = if host == 0 { 0 } else { us(Duration::from_millis(rng.random_range(0..3_000))) };
            repairs.insert((begins, order()), Repair::Start(host));
        }
        let quiet = Duration::from_secs(rng.random_range(0..8));
        acquaint(cluster, &mut repairs)?;
        // Most often the first council is founded by then; with no quiet at all the first fault comes before it.
        let begins = cluster.elapsed() + quiet;
        let mut next_fault = us(begins);
        let faults_end = us(begins + self.faults_for);
        let mut number = 0;
        while cluster.violation.is_none() {
            let next_repair = repairs.first_key_value().map(|((at, _), _)| *at);
            let next = next_repair.map_or(next_fault, |at| at.min(next_fault));
            if next > faults_end {
                break;
            }
            cluster.run_until(Duration::from_micros(next));
            if next_repair == Some(next) {
                let next = repairs.pop_first().and_then(|(_, repair)| repair.carry_out(cluster));
                repairs.extend(next.map(|(at, repair)| ((at, order()), repair)));
            } else {
                number += 1;
                let leader = cluster.leader().map(|(host, _)| host);
                let change = Change::draw(&mut rng, cluster);
                let repair = match change {
                    Some(change) => change.begin(cluster),
                    None => Fault::draw(&mut rng, hosts, number, leader).begin(cluster),
                };
                repairs.extend(repair.map(|(at, repair)| ((at, order()), repair)));
                next_fault += us(Duration::from_millis(rng.random_range(50..3_000)));
            }
        }
        // A node that has said goodbye answers nobody: it has to end before it can come back.
        for repair in repairs.into_values().filter(|repair| matches!(repair, Repair::End { .. })) {
            repair.carry_out(cluster);
        }
        heal(cluster);
        self.judge(cluster)
    }

    fn judge(self, cluster: &mut Cluster) -> Result<(), Violation> {
        let healed = cluster.elapsed();
        is_at_peace(cluster, healed)?;
        let is_whole = cluster.elapsed();
        knows_the_same(cluster)?;
        // Equal records are worth nothing if the views of them differ.
        if !cluster.run_while_not(cluster.elapsed() + HEALING, views_agree) {
            let waited_ms = since(cluster, is_whole);
            return Err(Violation::ViewsDiffer { waited_ms, what: shown(cluster) });
        }
        if !cluster.run_while_not(cluster.elapsed() + HEALING, council_is_full) {
            let waited_ms = since(cluster, is_whole);
            return Err(Violation::CouncilNotFull { waited_ms, what: shown(cluster) });
        }
        // What a machine acknowledged that is lost for good may be lost with it.
        let there = |node: usize| cluster.hosts[node].existence == Existence::There;
        for (node, revision) in cluster.acknowledged.iter().filter(|(node, _)| there(*node)) {
            let history = cluster.node(0).map(|node| node.census().config_history(&fake_group())).unwrap_or_default();
            let pruned = history.len() >= crate::node::REVISIONS_KEPT;
            if !pruned && !history.iter().any(|entry| entry.revision == *revision) {
                return Err(Violation::ConfigLost { revision: revision.clone(), node: *node });
            }
        }
        Ok(())
    }
}

/// Starts all nodes, and waits until each knows the service of every other.
///
/// Nothing goes wrong until then: a council is founded by more than half of the members that are known, and two
/// halves of a ring that never heard of each other would each found one. What becomes of two such rings when they
/// meet is not simulated here.
pub(super) fn acquaint(cluster: &mut Cluster, starts: &mut BTreeMap<(True, u64), Repair>) -> Result<(), Violation> {
    while let Some(((at, _), start)) = starts.pop_first() {
        cluster.run_until(Duration::from_micros(at));
        start.carry_out(cluster);
    }
    let began = cluster.elapsed();
    if cluster.run_while_not(began + HEALING, Cluster::is_acquainted) {
        return Ok(());
    }
    Err(Violation::NotAcquainted { waited_ms: since(cluster, began) })
}

/// Everything works from now on.
pub(super) fn heal(cluster: &mut Cluster) {
    cluster.network.cut.clear();
    cluster.network.link.loss_per_mille = cluster.network.link.loss_per_mille.min(20);
    for host in 0..cluster.config.hosts {
        cluster.hosts[host].disk.failing = false;
        cluster.start(host);
        cluster.service(host, ServiceEvent::Health(Health::Ok));
    }
    cluster.trace.say(cluster.at, "healed");
}

/// Waits until the ring is whole and its seat is filled.
pub(super) fn is_at_peace(cluster: &mut Cluster, healed: Duration) -> Result<(), Violation> {
    let hosts = cluster.there().count();
    if !cluster.run_while_not(healed + HEALING, Cluster::is_whole) {
        let node = cluster.there().find(|host| cluster.sees_alive(*host) != hosts).unwrap_or_default();
        let (alive, waited_ms) = (cluster.sees_alive(node), since(cluster, healed));
        for (number, host) in cluster.hosts.iter().enumerate() {
            let seen = cluster.node(node).and_then(|node| node.census().node(host.id));
            let line = format!("node {node} sees node {number} ({:?}) {:?}", host.id, seen.map(|seen| seen.liveness));
            cluster.trace.say(cluster.at, &line);
        }
        return Err(Violation::NotWhole { node, alive, all: hosts, waited_ms });
    }
    // The ring is whole, so whoever was paused is back: from here the seat may stay vacant for so long.
    let is_whole = cluster.elapsed();
    let patience = cluster.config.profile.lease_ttl() * VACANT_LEASES;
    let is_led = cluster.hosts.iter().any(|host| host.service.script.topology == Topology::Leader);
    if is_led && !cluster.run_while_not(is_whole + patience, |cluster| cluster.leader().is_some()) {
        let group = fake_group();
        let why = cluster.node(0).map(|node| node.census().group(&group).election_why.clone()).unwrap_or_default();
        let waited_ms = since(cluster, is_whole);
        return Err(Violation::Vacant { group, seat: Seat::Leader, waited_ms, why });
    }
    Ok(())
}

/// Waits until all nodes know the same.
fn knows_the_same(cluster: &mut Cluster) -> Result<(), Violation> {
    let is_whole = cluster.elapsed();
    let alike = |cluster: &Cluster| {
        let digest = |host: usize| cluster.node(host).map(|node| node.records().digest());
        cluster.there().all(|host| digest(host) == digest(0))
    };
    if !cluster.run_while_not(is_whole + HEALING, alike) {
        let waited_ms = since(cluster, is_whole);
        return Err(Violation::RecordsDiffer { waited_ms, what: difference(cluster) });
    }
    Ok(())
}

pub(super) fn since(cluster: &Cluster, then: Duration) -> u64 {
    u64::try_from(cluster.elapsed().saturating_sub(then).as_millis()).unwrap_or(u64::MAX)
}

/// Whether all nodes show the group alike, with a leader.
fn views_agree(cluster: &Cluster) -> bool {
    let views: Vec<_> = (0..cluster.config.hosts)
        .filter_map(|host| cluster.node(host))
        .map(|node| {
            let view = node.census().group(&fake_group());
            let config = view.config.as_ref().map(|config| config.revision.clone());
            let council = view.council.as_ref().map(|council| (council.voters.clone(), council.version));
            // Those that are gone are shown by those who knew them.
            let alive = view.members.values().filter(|member| member.node.liveness == Liveness::Alive).count();
            (view.leader, council, config, alive)
        })
        .collect();
    views.first().is_some_and(|first| first.0.is_some() && views.iter().all(|view| view == first))
}

/// Whether as many members vote as can: an odd number of them, up to the size that the council is to have. One that is
/// lost for good keeps its vote where nobody is left to take its place.
fn council_is_full(cluster: &Cluster) -> bool {
    let hosts = cluster.there().count();
    cluster.there().all(|host| {
        let Some(node) = cluster.node(host) else { return false };
        let wanted = (cluster.hosts[host].service.script.rules.council_size.min(hosts) - 1) | 1;
        node.census().group(&fake_group()).council.as_ref().is_some_and(|council| {
            let votes = |host: usize| council.voters.contains(&cluster.hosts[host].id);
            let there = cluster.there().filter(|host| votes(*host)).count();
            (there == wanted && council.voters.len() == wanted) || there == hosts
        })
    })
}

/// What each node shows of the group, for a person.
fn shown(cluster: &Cluster) -> String {
    let each = (0..cluster.config.hosts).filter_map(|host| {
        let view = cluster.node(host)?.census().group(&fake_group());
        let config = view.config.as_ref().map(|config| config.revision.as_str());
        let council = view.council.as_ref().map(|council| (council.version, &council.voters));
        let (leader, members) = (view.leader, view.members.len());
        Some(format!("node {host}: leader {leader:?}, {members} members, council {council:?}, config {config:?}"))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The first record that two nodes do not have alike, for a person.
fn difference(cluster: &Cluster) -> String {
    let Some(first) = cluster.node(0) else { return "node 0 does not run".to_owned() };
    for host in cluster.there() {
        let Some(other) = cluster.node(host) else { return format!("node {host} does not run") };
        for record in first.records().iter() {
            if other.records().get(&record.key).map(|known| known.stamp) != Some(record.stamp) {
                return format!("{} on nodes 0 and {host}", record.key);
            }
        }
        for record in other.records().iter() {
            if first.records().get(&record.key).is_none() {
                return format!("{} is on node {host} and not on node 0", record.key);
            }
        }
    }
    "digests differ though no record does".to_owned()
}
