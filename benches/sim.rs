//! Runs many seeds of the simulator, or one of them, or times large rings (`sim/large.rs`). `scripts/sim` is the way in.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use sup::sim::{Plant, RolloutScenario, Scenario};

#[path = "sim/large.rs"]
mod large;

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
    /// Plant a fault in the rollouts, recovery, twice or back, which the invariants are to find
    #[arg(long, requires = "rollouts")]
    plant: Option<Plant>,
    /// Time the convergence of a ring of so many nodes instead
    #[arg(long)]
    ring: Option<usize>,
    /// Within how many seconds the nodes of that ring start; all at once, unless given
    #[arg(long, default_value_t = 0, requires = "ring")]
    within: u64,
    /// How many of a thousand datagrams that ring loses
    #[arg(long, default_value_t = 0, requires = "ring")]
    loss: u32,
    /// For how many seconds that ring is cut in two
    #[arg(long, requires = "ring")]
    cut: Option<u64>,
    /// For how many seconds that ring is watched then
    #[arg(long, default_value_t = 20, requires = "ring")]
    watch: u64,
    /// Let so many nodes join and leave a small ring instead, and see what is remembered of them
    #[arg(long)]
    churn: Option<usize>,
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
    match (args.ring, args.rollout_of, args.churn) {
        (Some(nodes), _, _) => {
            let seconds = Duration::from_secs;
            let (within, cut, watch) = (seconds(args.within), args.cut.map(seconds), seconds(args.watch));
            large::ring(&large::Ring { nodes, within, loss_per_mille: args.loss, cut, watch })
        }
        (None, Some(members), _) => large::rollout(members),
        (None, None, Some(nodes)) => large::churn(nodes),
        (None, None, None) => seeds(&args),
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
    match (RolloutScenario { seed, hosts: args.hosts, faults_for, plant: args.plant }).run() {
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
