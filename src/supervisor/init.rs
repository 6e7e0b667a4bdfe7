//! Being process 1, as in a container: orphans are ours to reap, and signals ours to forward.
//!
//! The supervisor proper runs as a child. Were it process 1 itself, it would have to tell orphans from children that
//! somebody is about to wait for, and there is no way to do that without a race.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

/// Signals that are the supervisor's business.
const FORWARDED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Which process this is.
#[derive(Debug)]
pub enum Role {
    /// An ordinary one: go on.
    Supervisor,
    /// It was process 1, and the supervisor that ran as its child has ended thus.
    Init(ExitCode),
}

/// Makes a process 1 of this process, if it is that: runs the same command again as a child, until that ends.
///
/// To be called before any thread is started.
///
/// # Errors
/// The child cannot be started.
pub fn take_role() -> io::Result<Role> {
    if getpid() != Pid::from_raw(1) {
        return Ok(Role::Supervisor);
    }
    run(std::env::args_os().collect()).map(Role::Init)
}

fn run(command: Vec<OsString>) -> io::Result<ExitCode> {
    let mut awaited: SigSet = FORWARDED.into_iter().collect();
    awaited.add(Signal::SIGCHLD);
    // Blocked, so that one that comes between two waits is not lost. The child gets a clean mask: Command sees to it.
    awaited.thread_block()?;
    let mut args = command.into_iter().skip(1);
    let child = Command::new("/proc/self/exe").args(args.by_ref()).spawn()?;
    let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    loop {
        match awaited.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(child) {
                    return Ok(code);
                }
            }
            // The child may have ended just now: its SIGCHLD says so next.
            signal => drop(kill(child, signal)),
        }
    }
}

/// Reaps everything that has ended. Some: the supervisor was among it.
fn reap(supervisor: Pid) -> Option<ExitCode> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == supervisor => {
                ended = Some(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == supervisor => {
                let status = ExitStatus::from_raw(signal as i32);
                eprintln!("sup: the supervisor was ended by a signal ({status})");
                ended = Some(ExitCode::FAILURE);
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_orphan) => {}
        }
    }
}
