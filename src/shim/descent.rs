//! All processes that descend from a shim, and how to be rid of them.

use std::fs;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// What the kernel says of a process, of what matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kin {
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it was started, in clock ticks since boot.
    pub birth: u64,
}

/// Looks a process up. `None`: there is none.
pub fn kin(pid: i32) -> Option<Kin> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<Kin> {
    // The second field is the program's name in brackets, and may have brackets and spaces in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let group = fields.nth(2)?.parse().ok()?; // Field 5 of proc_pid_stat(5).
    let session = fields.next()?.parse().ok()?;
    let birth = fields.nth(15)?.parse().ok()?; // Field 22.
    Some(Kin { group, session, birth })
}

/// Sends a signal to a process group. That it is gone already is no error here.
pub fn signal_group(group: Pid, signal: Signal) {
    // Fails only if nobody is left in it (which is what is wanted), or if it became another user's (setuid program):
    // then there is nothing to be done about it.
    killpg(group, signal).ok();
}

/// Kills all children of this process. Those that they leave behind become its children in turn, since it is a
/// subreaper: repeated until there are none, this leaves no descendant.
pub fn kill_children() {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return };
    for task in tasks.flatten() {
        // Kernels without CONFIG_PROC_CHILDREN have no such file. Then only the process group is killed.
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            // It is a child that was not waited for: nobody else can have got its id.
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// Kills what is left of the process group of a shim that was killed itself. Returns how many processes that were.
///
/// Process ids are used again: only what is both in the group of the shim's process and in the shim's session is meant.
pub fn kill_orphans(group: u32, shim: u32) -> usize {
    let (Ok(group), Ok(session)) = (i32::try_from(group), i32::try_from(shim)) else { return 0 };
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let mut found = 0;
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if kin(pid).is_some_and(|kin| kin.group == group && kin.session == session) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getpgrp, getpid, getsid};

    use super::*;

    #[test]
    fn a_process_is_read_as_the_kernel_says_it() {
        let me = kin(getpid().as_raw()).unwrap();
        assert_eq!(me.group, getpgrp().as_raw());
        assert_eq!(me.session, getsid(None).unwrap().as_raw());
        assert!(me.birth > 0);
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 42 43 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9001 0 0";
        assert_eq!(parse_stat(stat), Some(Kin { group: 42, session: 43, birth: 9001 }));
        assert_eq!(parse_stat("7 (a"), None);
    }
}
