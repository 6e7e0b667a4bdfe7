//! Runs many seeds of the simulator, or one of them, or times a large ring. `scripts/sim` is the way in.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use sup::base::GroupId;
use sup::node::{Command, GroupRules};
use sup::records::value::{Batch, RolloutOptions, RolloutStatus, Strategy, Topology};
use sup::sim::{Cluster, ClusterConfig, Link, Make, RolloutScenario, Scenario, Script};

/// Runs the simulator.
#[derive(Parser)]
struct Args {
    /// How many seeds to run
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// How many nodes; 3 to 9, drawn from the seed, unless given
    #[arg(long)]
    hosts: Option<usize>,
    /// For how many virtual seconds things go wrong
    #[arg(long, default_value_t = 60)]
    faults_for: u64,
    /// Run rollouts: a group under strategy rolling, with releases that fail, orders, and faults
    #[arg(long)]
    rollouts: bool,
    /// Time the convergence of a fault-free ring of so many nodes instead
    #[arg(long)]
    ring: Option<usize>,
    /// Time one rollout through a group of so many members in which nothing goes wrong instead, 5 % at a time
    #[arg(long)]
    rollout_of: Option<usize>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Sums over all runs.
#[derive(Default)]
struct Totals {
    rollouts: AtomicU64,
    turns: AtomicU64,
    failed: AtomicU64,
    events: AtomicU64,
    holdings: AtomicU64,
    configs: AtomicU64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match (args.ring, args.rollout_of) {
        (Some(nodes), _) => large_ring(nodes),
        (None, Some(members)) => large_rollout(members),
        (None, None) => seeds(&args),
    }
}

fn seeds(args: &Args) -> ExitCode {
    let (from, seeds) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let next = AtomicU64::new(from);
    let totals = Totals::default();
    let began = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    run(args, seed, &totals);
                }
            });
        }
    });
    let failed = totals.failed.into_inner();
    let what = if args.rollouts {
        format!("{} rollouts, {} turns", totals.rollouts.into_inner(), totals.turns.into_inner())
    } else {
        let (holdings, configs) = (totals.holdings.into_inner(), totals.configs.into_inner());
        format!("{holdings} holdings of the seat, {configs} configs acknowledged")
    };
    let (events, took) = (totals.events.into_inner(), began.elapsed().as_secs_f64());
    println!("{seeds} seeds, {failed} failed; {events} events, {what}, in {took:.1} s");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(args: &Args, seed: u64, totals: &Totals) {
    let faults_for = Duration::from_secs(args.faults_for);
    if args.rollouts {
        return run_rollouts(args, seed, faults_for, totals);
    }
    match (Scenario { seed, hosts: args.hosts, faults_for }).run() {
        Ok(outcome) => {
            totals.events.fetch_add(outcome.events, Ordering::Relaxed);
            totals.holdings.fetch_add(outcome.holdings, Ordering::Relaxed);
            totals.configs.fetch_add(outcome.configs as u64, Ordering::Relaxed);
            if args.seed.is_some() {
                println!("seed {seed}: trace {:016x}, {:?} of virtual time", outcome.trace, outcome.lasted);
            }
        }
        Err(failure) => {
            totals.failed.fetch_add(1, Ordering::Relaxed);
            println!("{failure}\n");
        }
    }
}

fn run_rollouts(args: &Args, seed: u64, faults_for: Duration, totals: &Totals) {
    match (RolloutScenario { seed, hosts: args.hosts, faults_for }).run() {
        Ok(outcome) => {
            totals.events.fetch_add(outcome.events, Ordering::Relaxed);
            totals.rollouts.fetch_add(outcome.rollouts, Ordering::Relaxed);
            totals.turns.fetch_add(outcome.turns, Ordering::Relaxed);
            if args.seed.is_some() {
                println!("seed {seed}: {outcome:?}");
            }
        }
        Err(failure) => {
            totals.failed.fetch_add(1, Ordering::Relaxed);
            println!("{failure}\n");
        }
    }
}

/// All nodes start at once and know one of them: when does each see all, and what does it cost then?
fn large_ring(nodes: usize) -> ExitCode {
    let began = Instant::now();
    let mut cluster =
        Cluster::of_nodes(ClusterConfig { hosts: nodes, link: Link::default(), ..ClusterConfig::default() });
    for host in 0..nodes {
        cluster.start(host);
    }
    let mut at = Duration::ZERO;
    while at < Duration::from_secs(120) && !cluster.is_whole() {
        at += Duration::from_millis(100);
        cluster.run_until(at);
    }
    let whole = cluster.is_whole();
    println!("{nodes} nodes: every view complete: {whole}, after {at:?} of virtual time");
    // Until the news of the joins is old.
    at += Duration::from_secs(30);
    cluster.run_until(at);
    let (bytes, datagrams) = (cluster.datagram_bytes, cluster.datagrams);
    let idle = Duration::from_secs(20);
    cluster.run_until(at + idle);
    let per_node = |sum: u64| sum as f64 / nodes as f64 / idle.as_secs_f64();
    println!(
        "then idle: {:.0} B/s and {:.2} datagrams/s per node; identities renewed: {}",
        per_node(cluster.datagram_bytes - bytes),
        per_node(cluster.datagrams - datagrams),
        cluster.renewals()
    );
    println!("took {:.1} s", began.elapsed().as_secs_f64());
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A release goes round a large group.
fn large_rollout(members: usize) -> ExitCode {
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
    let group: GroupId = "fake.default".parse().unwrap_or_else(|_| unreachable!("the text is a group"));
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
