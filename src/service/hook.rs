//! One run of a hook: its process group, its output, its time limit.
//!
//! The output is drained as it comes, whatever its amount: only its end is kept. A hook that exits and leaves
//! children which hold its pipes open is not waited for beyond [`DRAIN`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use crate::base::quote;

/// How long the output of a hook that has exited is waited for.
const DRAIN: Duration = Duration::from_millis(200);
/// How often a hook is tried whose file is still open for writing, and how long is waited in between. Another
/// thread's fork holds a copy of the writer's descriptor until its exec, for a millisecond or so.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const READ_BYTES: usize = 8 * 1024;

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// A file; by `/bin/sh` if it has no `#!` line.
    File(PathBuf),
    /// A command line, by `/bin/sh`.
    Shell(String),
}

/// Everything about a run.
#[derive(Debug, Clone)]
pub(super) struct HookCommand {
    pub(super) program: Program,
    /// The whole environment.
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
    /// As whom; none: as the supervisor.
    pub(super) user: Option<(u32, u32)>,
    pub(super) timeout: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) enum Outcome {
    Exited(i32),
    Signalled(i32),
    /// Its group was killed after so long.
    TimedOut(Duration),
    /// Its group was killed, since the service is being stopped.
    Cancelled,
    /// It was not run at all.
    NotStarted(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Exited(code) => write!(f, "exited with {code}"),
            Outcome::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
            Outcome::TimedOut(after) => {
                write!(f, "was killed, since it had not ended after {}", crate::plan::period::format(*after))
            }
            Outcome::Cancelled => f.write_str("was killed, since the service is being stopped"),
            Outcome::NotStarted(why) => write!(f, "could not be run: {why}"),
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct HookRun {
    pub(super) outcome: Outcome,
    pub(super) output: Output,
    pub(super) took: Duration,
}

impl HookRun {
    /// It was not run at all; why.
    pub(super) fn not_started(why: &str) -> Self {
        Self { outcome: Outcome::NotStarted(why.to_owned()), output: Output::default(), took: Duration::ZERO }
    }

    /// How it ended and the last thing that it said, for a person.
    pub(super) fn summary(&self) -> String {
        match self.output.last_line() {
            Some(line) => format!("{}: {}", self.outcome, quote(line)),
            None => self.outcome.to_string(),
        }
    }
}

/// Runs a hook to its end. `line` is told every line of output as it comes, up to the limit of
/// [`Output`].
pub(super) async fn run(command: &HookCommand, cancel: &CancellationToken, line: impl FnMut(&str)) -> HookRun {
    let begun = Instant::now();
    let mut output = Output::new(line);
    let outcome = match spawn(command).await {
        Ok(child) => attend(child, begun + command.timeout, command.timeout, cancel, &mut output).await,
        Err(error) => Outcome::NotStarted(error.to_string()),
    };
    HookRun { outcome, output: output.finish(), took: begun.elapsed() }
}

async fn spawn(command: &HookCommand) -> io::Result<Child> {
    let mut program = command.program.clone();
    let mut tries = 0;
    loop {
        let busy = match build(&program, command).spawn() {
            Err(error) if error.raw_os_error() == Some(nix::libc::ETXTBSY) && tries < BUSY_TRIES => true,
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOEXEC) => false,
            spawned => return spawned,
        };
        match (&program, busy) {
            (_, true) => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            // No `#!` line: a shell would run it, and so do we.
            (Program::File(path), false) => program = Program::Shell(format!(". '{}'", quoted(path))),
            (Program::Shell(_), false) => return Err(io::Error::from_raw_os_error(nix::libc::ENOEXEC)),
        }
    }
}

fn quoted(path: &std::path::Path) -> String {
    path.display().to_string().replace('\'', "'\\''")
}

fn build(program: &Program, command: &HookCommand) -> Command {
    let mut built = match program {
        Program::File(path) => Command::new(path),
        Program::Shell(text) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(text);
            shell
        }
    };
    built
        .env_clear()
        .envs(&command.env)
        .current_dir(&command.cwd)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some((uid, gid)) = command.user {
        built.uid(uid).gid(gid);
    }
    built
}

/// Kills the group of a hook that is dropped half-way, as happens when the service's task ends.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// The hook has not been waited for, so that its number is still its own.
    fn kill(&self) {
        if let Some(group) = self.0 {
            // It fails only if nobody is left in the group, which is what was wanted.
            killpg(group, Signal::SIGKILL).ok();
        }
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn attend<F: FnMut(&str)>(
    mut child: Child,
    deadline: Instant,
    limit: Duration,
    cancel: &CancellationToken,
    output: &mut super::output::Collector<F>,
) -> Outcome {
    let mut group = Group::of(&child);
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut forced = None;
    let (mut out_bytes, mut err_bytes) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let status = loop {
        tokio::select! {
            read = read(&mut out, &mut out_bytes) => { output.stdout(&out_bytes[..read]); }
            read = read(&mut err, &mut err_bytes) => { output.stderr(&err_bytes[..read]); }
            status = child.wait() => break status,
            () = sleep_until(deadline), if forced.is_none() => {
                forced = Some(Outcome::TimedOut(limit));
                group.kill();
            }
            () = cancel.cancelled(), if forced.is_none() => {
                forced = Some(Outcome::Cancelled);
                group.kill();
            }
        }
    };
    group.disarm();
    // What it wrote last may still be in the pipes; whoever else holds them is not waited for.
    let drained = timeout(DRAIN, async {
        while out.is_some() || err.is_some() {
            tokio::select! {
                read = read(&mut out, &mut out_bytes) => { output.stdout(&out_bytes[..read]); }
                read = read(&mut err, &mut err_bytes) => { output.stderr(&err_bytes[..read]); }
            }
        }
    });
    if drained.await.is_err() {
        output.note("it left children behind that still hold its output");
    }
    forced.unwrap_or_else(|| ended(status))
}

/// Reads once; for ever pending once the pipe is at its end.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, bytes: &mut [u8]) -> usize {
    let Some(open) = pipe else { return std::future::pending().await };
    match open.read(bytes).await {
        Ok(read) if read > 0 => read,
        Ok(_) | Err(_) => {
            *pipe = None;
            0
        }
    }
}

fn ended(status: io::Result<ExitStatus>) -> Outcome {
    use std::os::unix::process::ExitStatusExt as _;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Outcome::Exited(code),
            (None, signal) => Outcome::Signalled(signal.unwrap_or_default()),
        },
        Err(error) => Outcome::NotStarted(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    use tokio_util::sync::CancellationToken;

    use super::{HookCommand, HookRun, Outcome, Program, run};
    use crate::service::output::KEPT_BYTES;

    fn shell(text: &str) -> HookCommand {
        HookCommand {
            program: Program::Shell(text.to_owned()),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            cwd: "/".into(),
            user: None,
            timeout: Duration::from_secs(20),
        }
    }

    async fn ran(command: &HookCommand) -> HookRun {
        run(command, &CancellationToken::new(), |_| {}).await
    }

    /// Waits until a process is gone, or is a zombie that nobody in this test can reap.
    async fn gone(pid: i32) {
        let dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            kill(Pid::from_raw(pid), None).is_err() || stat.contains(") Z ")
        };
        let begun = Instant::now();
        while !dead() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{pid} lives on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_hook_ends_as_it_exits_and_both_streams_are_kept() {
        let ran = ran(&shell("echo out; echo err >&2; exit 3")).await;
        assert_eq!(ran.outcome, Outcome::Exited(3));
        let text = ran.output.text();
        assert!(text.contains("out\n") && text.contains("err\n"), "{text:?}");
        assert_eq!(ran.output.last_stdout_line(), Some("out"));
    }

    #[tokio::test]
    async fn a_hook_sees_its_own_environment_and_not_the_supervisors() {
        let ran = ran(&shell("env | cut -d= -f1 | sort | tr '\\n' ' '")).await;
        assert_eq!(ran.output.last_line(), Some("PATH PWD"));
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_killed_with_all_its_children() {
        let command = HookCommand {
            timeout: Duration::from_millis(300),
            ..shell("trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000")
        };
        let ran = ran(&command).await;
        assert_eq!(ran.outcome, Outcome::TimedOut(Duration::from_millis(300)));
        assert_eq!(ran.outcome.to_string(), "was killed, since it had not ended after 300ms");
        gone(ran.output.last_line().unwrap().parse().unwrap()).await;
    }

    #[tokio::test]
    async fn a_cancelled_hook_is_killed_at_once() {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let ran = run(&shell("echo ready; sleep 1000"), &cancel, |_| stop.cancel()).await;
        assert_eq!(ran.outcome, Outcome::Cancelled);
    }

    #[tokio::test]
    async fn a_dropped_run_leaves_nobody_behind() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let task = tokio::spawn(async move {
            let line = |line: &str| {
                if let Some(tell) = tell.take() {
                    tell.send(line.to_owned()).unwrap();
                }
            };
            run(&shell("sleep 1000 & echo $!; wait"), &CancellationToken::new(), line).await.outcome
        });
        let pid = told.await.unwrap().parse().unwrap();
        task.abort();
        gone(pid).await;
    }

    #[tokio::test]
    async fn a_flood_blocks_nothing_and_only_its_end_is_kept() {
        let text = "head -c 30000000 /dev/zero | tr '\\0' 'x' >&2; echo; echo the end";
        let ran = ran(&shell(text)).await;
        assert_eq!(ran.outcome, Outcome::Exited(0));
        assert!(ran.output.text().len() <= KEPT_BYTES, "{}", ran.output.text().len());
        assert_eq!(ran.output.last_stdout_line(), Some("the end"));
    }

    #[tokio::test]
    async fn a_child_that_holds_the_pipe_is_not_waited_for() {
        let ran = ran(&shell("sleep 1000 & echo $!")).await;
        assert_eq!(ran.outcome, Outcome::Exited(0));
        assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
        assert!(ran.output.text().contains("it left children behind"), "{}", ran.output.text());
        let pid = ran.output.last_stdout_line().unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn a_file_runs_with_and_without_its_interpreter_line() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("with", "#!/bin/sh\nexit 4\n"), ("it's without", "exit 4\n")] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let command = HookCommand { program: Program::File(path), ..shell("") };
            assert_eq!(ran(&command).await.outcome, Outcome::Exited(4), "{name}");
        }
    }

    #[tokio::test]
    async fn a_hook_that_cannot_be_run_says_why() {
        let command = HookCommand { program: Program::File("/nowhere/hook".into()), ..shell("") };
        let ran = ran(&command).await;
        assert!(ran.summary().starts_with("could not be run: No such file"), "{}", ran.summary());
    }

    #[tokio::test]
    async fn a_killed_hook_names_the_signal_and_the_last_words() {
        let ran = ran(&shell("echo last words; kill -9 $$")).await;
        assert_eq!(ran.summary(), "was killed by SIGKILL: “last words”");
    }
}
