//! `sup dev`: a whole ring on this machine, each node a supervisor of its own on a loopback address of its own.
//!
//! | file | subject |
//! | --- | --- |
//! | `addresses` | loopback addresses on which nothing listens yet |
//! | `nodes` | the supervisors: started, watched, taken down with all that they hold |
//! | `snapshot` | how the ring is, as its nodes say |
//! | `lines` | shown as lines, one per change: for files, pipes and programs |
//! | `screen` | shown as one screenful: for a terminal |
//! | `keys` | keys and signals |
//!
//! What is shown changes when a node tells that something changed, at most [`REDRAWS`] apart.

mod addresses;
mod keys;
mod lines;
mod nodes;
mod screen;
mod snapshot;

use std::io::IsTerminal;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::args::{DevArgs, TopologyArg};
use super::failure::{Failure, Outcome};
use super::out::{Out, Reader};
use super::plan;
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::base::{GroupId, Name};
use crate::plan::builtin;
use keys::{Input, Keys};
use nodes::{Nodes, Spec};
use screen::Screen;
use snapshot::Snapshot;

/// Shortest time between two looks at the ring.
const REDRAWS: Duration = Duration::from_millis(250);
/// Longest time between two looks: ages grow, and a node that froze tells nothing.
const IDLE: Duration = Duration::from_secs(2);
/// The members that a group with a leader waits for, where there are that many nodes.
const MIN_MEMBERS: u8 = 3;

pub(super) async fn dev(args: &DevArgs, out: &mut Out<'_>) -> Outcome {
    let spec = spec(args)?;
    // Before anything is started: a signal in between must not leave anything behind.
    let mut keys = Keys::of_signals()?;
    let mut nodes = Nodes::start(&spec)?;
    let shown = follow(&spec, &mut nodes, &mut keys, out).await;
    if out.reader == Reader::Person {
        out.notice("taking the ring down")?;
    }
    nodes.take_down(&mut keys).await;
    if args.keep {
        let dir = nodes.keep();
        out.notice(format_args!("kept: {}", dir.display()))?;
    }
    shown
}

/// What is to be run.
fn spec(args: &DevArgs) -> Result<Spec, Problem> {
    let (plan, name) = match &args.plan {
        None => (builtin::DEMO.to_owned(), builtin::DEMO.to_owned()),
        Some(dir) => {
            let plan = plan::load(dir)?;
            (plan.dir.display().to_string(), plan.manifest.name.to_string())
        }
    };
    let is_demo = args.plan.is_none();
    let topology = args.topology.unwrap_or(if is_demo { TopologyArg::Leader } else { TopologyArg::Standalone });
    let name: Name = name.parse().map_err(|error| Problem::caused(ProblemKind::Internal, &error))?;
    let default: Name = "default".parse().map_err(|error| Problem::caused(ProblemKind::Internal, &error))?;
    Ok(Spec {
        plan,
        group: GroupId::new(name, default),
        topology,
        profile: args.profile,
        binds: args.binds.clone(),
        addresses: addresses::free(args.nodes)?,
        min_members: args.nodes.min(MIN_MEMBERS),
    })
}

/// Shows the ring until it is to end.
async fn follow(spec: &Spec, nodes: &mut Nodes, keys: &mut Keys, out: &mut Out<'_>) -> Outcome {
    let mut screen = match out.reader {
        Reader::Person if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() => {
            keys.read_terminal();
            Some(Screen::open()?)
        }
        Reader::Person | Reader::Program => None,
    };
    if screen.is_none() {
        lines::begin(spec, nodes, out)?;
    }
    let mut last: Option<Snapshot> = None;
    loop {
        let looked = Instant::now();
        let snapshot = Snapshot::take(spec, nodes).await;
        if let Some(failed) = nodes.failed_to_start() {
            drop(screen);
            return Err(Failure::from(failed));
        }
        match &mut screen {
            Some(screen) => screen.draw(spec, nodes, &snapshot)?,
            None => lines::changes(spec, last.as_ref(), &snapshot, out)?,
        }
        last = Some(snapshot);
        tokio::select! {
            input = keys.next() => match input {
                Input::Quit => return Ok(ExitStatus::Done),
                Input::Node(number) => nodes.toggle(number)?,
            },
            () = nodes.changed() => {}
            () = sleep_until(looked + IDLE) => {}
        }
        // Changes come in bursts: one look shows them all.
        tokio::select! {
            () = sleep_until(looked + REDRAWS) => {}
            input = keys.next() => match input {
                Input::Quit => return Ok(ExitStatus::Done),
                Input::Node(number) => nodes.toggle(number)?,
            },
        }
    }
}
