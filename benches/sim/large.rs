//! Rings and groups that are much larger than those of the seeds, in which one thing happens that is timed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sup::base::GroupId;
use sup::node::{Command, GroupRules};
use sup::records::value::{Batch, RolloutOptions, RolloutStatus, Strategy, Topology};
use sup::sim::{Cluster, ClusterConfig, Link, Make, Script};

/// How a large ring is run.
pub struct Ring {
    /// How many nodes.
    pub nodes: usize,
    /// Within which time they start.
    pub within: Duration,
    /// How many of a thousand datagrams are lost.
    pub loss_per_mille: u32,
    /// For how long it is cut in two.
    pub cut: Option<Duration>,
    /// For how long it is watched in the end.
    pub watch: Duration,
}

/// All nodes know one of them: when does each see all, also after a cut, and what does it cost then?
pub fn ring(run: &Ring) -> ExitCode {
    let began = Instant::now();
    let nodes = run.nodes;
    let link = Link { loss_per_mille: run.loss_per_mille, ..Link::default() };
    let mut cluster = Cluster::of_nodes(ClusterConfig { hosts: nodes, link, ..ClusterConfig::default() });
    for host in 0..nodes {
        cluster.run_until(run.within.mul_f64(host as f64 / nodes as f64));
        cluster.start(host);
    }
    let last = cluster.elapsed();
    let mut whole = is_whole(&mut cluster);
    let (after, took) = (cluster.elapsed() - last, began.elapsed().as_secs_f64());
    println!("{nodes} nodes: every view complete: {whole}, {after:?} after the last start; took {took:.1} s");
    if let Some(cut) = run.cut {
        cluster.cut_at(nodes / 2);
        cluster.run_until(cluster.elapsed() + cut);
        let healed = cluster.elapsed();
        println!("after {cut:?} in two halves, node 0 sees {} alive", cluster.sees_alive(0));
        cluster.uncut();
        whole &= is_whole(&mut cluster);
        println!("healed: every view complete: {whole}, after {:?}", cluster.elapsed() - healed);
    }
    // Until the news of all that is old.
    cluster.run_until(cluster.elapsed() + Duration::from_secs(30));
    let (bytes, datagrams) = (cluster.datagram_bytes, cluster.datagrams);
    let wrongly_dead = cluster.wrongly_dead();
    cluster.run_until(cluster.elapsed() + run.watch);
    let per_node = |sum: u64| sum as f64 / nodes as f64 / run.watch.as_secs_f64();
    println!(
        "then idle for {:?}: {:.0} B/s and {:.2} datagrams/s per node; identities renewed: {}",
        run.watch,
        per_node(cluster.datagram_bytes - bytes),
        per_node(cluster.datagrams - datagrams),
        cluster.renewals()
    );
    let wrongly_dead = cluster.wrongly_dead() - wrongly_dead;
    println!("meanwhile live nodes were taken for dead {wrongly_dead} times");
    println!("took {:.1} s", began.elapsed().as_secs_f64());
    if whole && wrongly_dead == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_whole(cluster: &mut Cluster) -> bool {
    let until = cluster.elapsed() + Duration::from_secs(120);
    while cluster.elapsed() < until && !cluster.is_whole() {
        cluster.run_until(cluster.elapsed() + Duration::from_millis(100));
    }
    cluster.is_whole()
}

fn group() -> GroupId {
    "fake.default".parse().unwrap_or_else(|_| unreachable!("the text is a group"))
}

/// How many nodes of a ring under churn are there at a time.
const STAY: usize = 20;

/// Nodes join and leave, each for good, one after the other: what does one that stays remember of them?
pub fn churn(nodes: usize) -> ExitCode {
    let began = Instant::now();
    let rules = GroupRules { min_members: 1, council_size: 5, replace_voter_after: Duration::from_secs(5) };
    let config = ClusterConfig { hosts: STAY, services: true, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(config, |_, _| Script {
        topology: Topology::Leader,
        strategy: Strategy::None,
        rules,
        start_time: Duration::from_millis(50),
        suitability: 0,
    });
    for host in 0..STAY {
        cluster.start(host);
    }
    cluster.run_until(Duration::from_secs(10));
    print_sizes("before", &cluster);
    let mut most = [(0, 0); 2];
    for number in 0..nodes {
        let host = 1 + number % (STAY - 1);
        // Every other one does not say goodbye.
        if number % 2 == 0 && cluster.command(host, Command::Leave).is_none_or(|result| result.is_err()) {
            println!("node {host} does not leave");
            return ExitCode::FAILURE;
        }
        cluster.run_until(cluster.elapsed() + Duration::from_millis(300));
        cluster.end(host);
        cluster.replace(host);
        cluster.start(host);
        cluster.run_until(cluster.elapsed() + Duration::from_millis(300));
        let Some(node) = cluster.node(0) else { return ExitCode::FAILURE };
        let (records, known) = (node.records().len(), node.census().nodes().count());
        let half = &mut most[usize::from(number >= nodes / 2)];
        *half = (half.0.max(records), half.1.max(known));
        if number % (nodes / 10).max(1) == 0 {
            let alive = cluster.sees_alive(0);
            println!("after {number}: {records} records, {known} nodes, {alive} of them alive");
        }
    }
    // Until the last of them is missed.
    cluster.run_until(cluster.elapsed() + Duration::from_secs(60));
    print_sizes("after", &cluster);
    let all_known = (0..STAY).all(|host| cluster.sees_alive(host) == STAY);
    println!("every view has {STAY} alive, and nobody else: {all_known}");
    let [(records, known), (records_later, known_later)] = most;
    println!("{nodes} left and as many joined: at most {records} records of {known} nodes in the first half,");
    println!("and {records_later} of {known_later} in the second; took {:.1} s", began.elapsed().as_secs_f64());
    // All that is remembered was there in the first half already, were it not for chance.
    let grows = records_later > records + records / 10 || known_later > known + known / 10;
    if grows || !all_known { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a node that stays keeps.
fn print_sizes(when: &str, cluster: &Cluster) {
    let Some(node) = cluster.node(0) else { return };
    let value = |record: &sup::records::Record| record.value.as_ref().map_or(0, bytes::Bytes::len);
    let bytes: usize = node.records().iter().map(|record| record.key.as_str().len() + value(record)).sum();
    let sizes: Vec<String> = node.sizes().map(|(what, size)| format!("{size} {what}")).collect();
    println!("{when}: {bytes} bytes in its records; {}", sizes.join(", "));
}

/// A release goes round a large group.
pub fn rollout(members: usize) -> ExitCode {
    let began = Instant::now();
    let rules = GroupRules { min_members: 1, council_size: 5, replace_voter_after: Duration::from_secs(60) };
    let config = ClusterConfig { hosts: members, services: true, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(config, |_, _| Script {
        topology: Topology::Standalone,
        strategy: Strategy::Rolling,
        rules,
        start_time: Duration::from_millis(200),
        suitability: 0,
    });
    for host in 0..members {
        cluster.start(host);
    }
    let group = group();
    let knows =
        |cluster: &Cluster| cluster.node(0).is_some_and(|node| node.census().members(&group).count() == members);
    if !cluster.run_while_not(Duration::from_secs(120), knows) {
        println!("not all members are known");
        return ExitCode::FAILURE;
    }
    let options = RolloutOptions { batch: Batch::Percent(5), min_healthy_ms: 500, ..RolloutOptions::default() };
    let toml = Make::GOOD.config(1);
    for command in [
        Command::SetOptions { group: group.clone(), options },
        Command::ApplyConfig { group: group.clone(), toml, expect: None },
    ] {
        if cluster.command(0, command).is_none_or(|result| result.is_err()) {
            println!("node 0 refuses");
            return ExitCode::FAILURE;
        }
    }
    let (asked, events, bytes) = (cluster.elapsed(), cluster.events, cluster.datagram_bytes);
    let is_done = |cluster: &Cluster| {
        let rollout = cluster.node(0).and_then(|node| node.census().group(&group).rollout.clone());
        rollout.is_some_and(|(_, rollout)| rollout.status == RolloutStatus::Done)
    };
    let done = cluster.run_while_not(asked + Duration::from_secs(600), is_done);
    let took = cluster.elapsed().saturating_sub(asked);
    println!(
        "{members} members: done: {done}, after {took:?} of virtual time, at most {} out at once",
        cluster.most_out()
    );
    let per_member = |sum: u64| sum / members as u64;
    println!(
        "{} events and {} B of datagrams for each member; took {:.1} s",
        per_member(cluster.events - events),
        per_member(cluster.datagram_bytes - bytes),
        began.elapsed().as_secs_f64()
    );
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
