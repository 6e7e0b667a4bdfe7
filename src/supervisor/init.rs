//! Being process 1, as in a container: orphans are ours to reap, and signals ours to forward.
//!
//! The supervisor proper runs as a child. Were it process 1 itself, it would have to tell orphans from children that
//! somebody is about to wait for, and there is no way to do that without a race.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
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
/// The child cannot be started, or signals cannot be taken.
pub fn take_role() -> io::Result<Role> {
    if getpid() != Pid::from_raw(1) {
        // A process 1 has them blocked, and its child inherits that: with SIGTERM blocked it would never end.
        awaited().thread_unblock()?;
        return Ok(Role::Supervisor);
    }
    run(std::env::args_os().collect()).map(Role::Init)
}

fn run(command: Vec<OsString>) -> io::Result<ExitCode> {
    let awaited = awaited();
    // Blocked, so that one that comes between two waits is not lost. The child unblocks them, in its own `take_role`.
    awaited.thread_block()?;
    let mut command = command.into_iter();
    let name = command.next().unwrap_or_else(|| OsString::from("sup"));
    // By the name that it was called by, which its help and a list of processes show.
    let child = Command::new("/proc/self/exe").arg0(name).args(command).spawn()?;
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

fn awaited() -> SigSet {
    let mut awaited: SigSet = FORWARDED.into_iter().collect();
    awaited.add(Signal::SIGCHLD);
    awaited
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
