//! Between fork and exec: the only unsafe code of the project.
//!
//! Everything here runs while the process has one thread (the [`super::guard`] comes later), so that what happens
//! after a fork may allocate and lock like any other code.

#![allow(unsafe_code, reason = "fork, and the code that runs in the child before exec, cannot be had without it")]

use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{self, RLIM_INFINITY, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, fork, getpid, getppid, setgroups, setresgid, setresuid, setsid};

use super::protocol::Failure;
use super::spec::{LaunchSpec, Privileges, Resource};

/// The `PATH` of a process whose environment has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which side of a fork this is.
pub enum Side {
    /// The one that was there before.
    Before,
    /// The new one, in a session of its own.
    Daemon,
}

/// Closes all files but the three standard ones: what a careless program left open across the start of the supervisor
/// (a terminal, an ssh connection) would otherwise stay open for as long as the service runs.
///
/// To be called before the process has opened anything.
pub fn close_inherited_files() {
    // SAFETY: close_range takes no pointers. No object of this process owns a file above 2 yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    // Linux before 5.9 has no such call. Then they stay open, as they do with most daemons.
    debug_assert!(result == 0 || Errno::last() == Errno::ENOSYS);
}

/// Forks. The child has its own session, so that neither a terminal that closes nor a signal to the supervisor's
/// process group reaches it; the parent is to exit at once, so that the child gets another parent.
pub fn daemonise() -> io::Result<Side> {
    // SAFETY: the process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(Side::Before),
        ForkResult::Child => {
            setsid()?;
            Ok(Side::Daemon)
        }
    }
}

/// Something to do in the child before exec, and how to call it if it fails.
struct Step {
    what: String,
    act: Box<dyn Fn() -> nix::Result<()> + Send + Sync>,
}

impl Step {
    fn new(what: impl Into<String>, act: impl Fn() -> nix::Result<()> + Send + Sync + 'static) -> Self {
        Self { what: what.into(), act: Box::new(act) }
    }
}

/// Starts the program. Its output goes to `out` and `err`; it leads its own process group, and is killed if this
/// process ends.
pub fn spawn(spec: &LaunchSpec, out: OwnedFd, err: OwnedFd) -> Result<Pid, Failure> {
    let Some((program, args)) = spec.argv.split_first() else {
        return Err(Failure::Spec("the command line is empty".to_owned()));
    };
    let path = spec.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let resolved = resolve(program, path, &spec.cwd)?;
    let steps: Arc<[Step]> = steps(spec).into();
    let (mut failed, mut failing) = io::pipe().map_err(|source| Failure::step("make a pipe", &source))?;

    let mut command = Command::new(&resolved);
    command.arg0(program).args(args).env_clear().env("PATH", path).envs(&spec.env);
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    let in_child = Arc::clone(&steps);
    let run_steps = move || {
        for (index, step) in in_child.iter().enumerate() {
            if let Err(errno) = (step.act)() {
                // Which step it was goes by this pipe, the errno by the standard library's own.
                failing.write_all(&[u8::try_from(index).unwrap_or(u8::MAX)])?;
                return Err(errno.into());
            }
        }
        Ok(())
    };
    // SAFETY: the process has one thread, so that no lock can be held by a thread that does not exist in the child;
    // the steps are system calls, and touch nothing that the child shares with this process.
    unsafe { command.pre_exec(run_steps) };
    let child = command.spawn();
    // It owns the writing end of the pipe, whose reading end would never end.
    drop(command);
    match child {
        Ok(child) => Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))),
        Err(source) => Err(failure(&steps, &mut failed, program, &resolved, &source)),
    }
}

/// What `source`, the error of a start, was about.
fn failure(steps: &[Step], failed: &mut PipeReader, program: &str, resolved: &Path, source: &io::Error) -> Failure {
    let mut index = [0];
    if matches!(failed.read(&mut index), Ok(1)) {
        let what = steps.get(usize::from(index[0])).map_or("prepare the process", |step| &step.what);
        return Failure::step(what, source);
    }
    let why = match source.raw_os_error().map(Errno::from_raw) {
        // The file was seen a moment ago: what is missing is the interpreter that its first line names.
        Some(Errno::ENOENT) if resolved.exists() => interpreter_missing(resolved),
        _ => source.to_string(),
    };
    Failure::NotExecutable { program: program.to_owned(), why }
}

/// Names the interpreter in the first line of a script.
fn interpreter_missing(script: &Path) -> String {
    let mut start = [0; 256];
    let read = fs::File::open(script).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let line = start[..read].split(|b| *b == b'\n').next().unwrap_or_default();
    match line.strip_prefix(b"#!") {
        Some(interpreter) => {
            let text = String::from_utf8_lossy(interpreter);
            format!("its interpreter {} does not exist (see its first line)", text.trim())
        }
        None => "its dynamic loader does not exist: it was built for another system".to_owned(),
    }
}

/// What the child does before exec, in this order: what needs privileges comes before they are given up, and what the
/// kernel forgets with a change of user (the death signal) after it.
fn steps(spec: &LaunchSpec) -> Vec<Step> {
    let mut steps = Vec::new();
    let mask = Mode::from_bits_truncate(spec.umask);
    steps.push(Step::new("reset signals", reset_signals));
    steps.push(Step::new("set the umask", move || {
        umask(mask);
        Ok(())
    }));
    for (resource, limit) in &spec.limits {
        let (soft, hard) = (limit.soft.unwrap_or(RLIM_INFINITY), limit.hard.unwrap_or(RLIM_INFINITY));
        let what = format!("limit {resource:?} to {soft} (hard limit {hard})");
        let resource = kernel_resource(*resource);
        steps.push(Step::new(what, move || setrlimit(resource, soft, hard)));
    }
    if let Some(credentials) = &spec.credentials {
        let (uid, gid) = (Uid::from_raw(credentials.uid), Gid::from_raw(credentials.gid));
        let groups: Vec<Gid> = credentials.groups.iter().copied().map(Gid::from_raw).collect();
        steps.push(Step::new(format!("set the supplementary groups {:?}", credentials.groups), move || {
            setgroups(&groups)
        }));
        steps.push(Step::new(format!("become the group with id {gid}"), move || setresgid(gid, gid, gid)));
        steps.push(Step::new(format!("become the user with id {uid}"), move || setresuid(uid, uid, uid)));
    }
    if spec.privileges == Privileges::Fixed {
        steps.push(Step::new("give up gaining privileges", prctl::set_no_new_privs));
    }
    let shim = getpid();
    steps.push(Step::new("tie the process to its shim", move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The shim may have been killed just before: then the signal never comes.
        if getppid() == shim { Ok(()) } else { Err(Errno::ESRCH) }
    }));
    let cwd = spec.cwd.clone();
    steps.push(Step::new(format!("change to directory {}", cwd.display()), move || chdir(&cwd)));
    steps
}

/// A signal that whoever started the supervisor ignores (`nohup` does SIGHUP) would stay ignored across exec, and the
/// process could never be told to reload. What the shim blocks for itself would stay blocked, too.
fn reset_signals() -> nix::Result<()> {
    SigSet::empty().thread_set_mask()?;
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: the default action is no code of this process.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
    }
    Ok(())
}

fn kernel_resource(resource: Resource) -> resource::Resource {
    match resource {
        Resource::AddressSpace => resource::Resource::RLIMIT_AS,
        Resource::Core => resource::Resource::RLIMIT_CORE,
        Resource::Cpu => resource::Resource::RLIMIT_CPU,
        Resource::FileSize => resource::Resource::RLIMIT_FSIZE,
        Resource::LockedMemory => resource::Resource::RLIMIT_MEMLOCK,
        Resource::OpenFiles => resource::Resource::RLIMIT_NOFILE,
        Resource::Processes => resource::Resource::RLIMIT_NPROC,
        Resource::Stack => resource::Resource::RLIMIT_STACK,
    }
}

/// Finds the program as a shell would. The standard library would do so as well, but could not tell a program that is
/// missing from an interpreter or a directory that is.
fn resolve(program: &str, path: &str, cwd: &Path) -> Result<PathBuf, Failure> {
    if program.contains('/') {
        return match fs::metadata(cwd.join(program)) {
            Ok(meta) if meta.is_dir() => Err(Failure::NotExecutable {
                program: program.to_owned(),
                why: "a directory, not a program".to_owned(),
            }),
            Ok(_) => Ok(cwd.join(program)),
            Err(source) => Err(Failure::NotExecutable { program: program.to_owned(), why: source.to_string() }),
        };
    }
    let mut unusable = None;
    for dir in path.split(':') {
        let candidate = cwd.join(OsStr::from_bytes(dir.as_bytes())).join(program);
        match fs::metadata(&candidate) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(candidate),
            Ok(meta) if meta.is_file() => unusable = Some(candidate),
            Ok(_) | Err(_) => {}
        }
    }
    Err(match unusable {
        Some(found) => Failure::NotExecutable {
            program: found.display().to_string(),
            why: "the file is not executable (chmod +x)".to_owned(),
        },
        None => Failure::NotInPath { program: program.to_owned(), path: path.to_owned() },
    })
}
