//! Becoming a supervisor, and ending one.

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::args::{Globals, RunArgs, ShutdownArgs};
use super::failure::Outcome;
use super::out::Out;
use super::settings;
use super::watch::Watch;
use crate::api::client::Client;
use crate::api::shape::StartRequest;
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::supervisor::{self, Settings};

/// How often it is looked whether a supervisor that ends is gone: the system does not tell those who are not its parent.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// `sup run`.
pub(super) fn run(globals: &Globals, args: &RunArgs) -> Outcome {
    let settings = settings::resolve(globals, &args.supervisor)?;
    die_with(args.supervisor.die_with)?;
    supervise(settings, None)
}

/// Has the system end this process, as if it were asked to, once its parent `pid` has ended.
pub(super) fn die_with(pid: Option<u32>) -> Result<(), Problem> {
    let Some(pid) = pid else { return Ok(()) };
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(|error| Problem::caused(ProblemKind::Internal, &error))?;
    // The parent may have ended before that was in force.
    if u32::try_from(nix::unistd::getppid().as_raw()) == Ok(pid) {
        Ok(())
    } else {
        Err(Problem::new(ProblemKind::ShuttingDown, format!("process {pid}, which this one is to end with, has ended")))
    }
}

/// Becomes a supervisor, until it is told to end.
pub(super) fn supervise(settings: Settings, first: Option<StartRequest>) -> Outcome {
    match supervisor::run(settings, first) {
        Ok(code) if code == ExitCode::SUCCESS => Ok(ExitStatus::Done),
        // It has said why.
        Ok(_) => Ok(ExitStatus::Failed),
        Err(error) => Err(Problem::from(error).into()),
    }
}

/// `sup shutdown`.
pub(super) async fn shutdown(client: &Client, out: &mut Out<'_>, args: &ShutdownArgs) -> Outcome {
    let node = client.node().await?;
    let mut watch = Watch::open(client, None, args.patience.timeout).await?;
    client.shutdown().await?;
    if args.patience.no_wait {
        out.result(&node, |out| out.line(format_args!("the supervisor at {} ends", node.address)))?;
        return Ok(ExitStatus::Done);
    }
    watch.until_end().await?;
    // It closes its socket before the last of it is stored: it is done when its process is gone.
    let gone = async {
        while runs(node.pid) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(args.patience.timeout, gone).await.map_err(|_| {
        let detail = format!("the supervisor took its leave, and its process {} still runs", node.pid);
        Problem::new(ProblemKind::Timeout, detail).next(format!("see what it does: ps -fp {}", node.pid))
    })?;
    out.result(&node, |out| out.line(format_args!("the supervisor at {} has ended", node.address)))?;
    out.next("sup run, to start it again")?;
    Ok(ExitStatus::Done)
}

/// Whether a process runs. One that has ended and is not yet collected by its parent does not.
fn runs(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name, in parentheses, may have anything in it: what follows the last of them is the state.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_process_that_ended_does_not_run_though_nobody_has_collected_it() {
        assert!(runs(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let started = std::time::Instant::now();
        while runs(child.id()) {
            assert!(started.elapsed().as_secs() < 20, "it seems to run for ever");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!runs(child.id()));
    }
}
