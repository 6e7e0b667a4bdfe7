//! The shim itself: one process, one loop around `poll`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal as Unix, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpid};
use serde::{Deserialize, Serialize};

use super::exec::{self, Side};
use super::exit::{Exit, ExitHow, StoppedBy};
use super::guard::Guard;
use super::log::{Stream, Writer};
use super::protocol::{Failure, Report, Request, Response, State, Status, encode};
use super::server::Server;
use super::signal::Signal;
use super::spec::{LaunchSpec, SPEC_BYTES, StopSpec};
use super::{clock, descent};
use crate::base::{Mono, Wall};

/// How long the shim before this one is waited for, and how often it is looked whether it is gone: it says that it goes
/// before it is gone, and whoever hears that launches the next one at once.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_PACE: Duration = Duration::from_millis(5);
/// The file with the last exit, in the state directory.
const EXIT_FILE: &str = "exit.json";
/// How much output is read at a time, in bytes; then the others have their turn.
const READ_BYTES: usize = 64 * 1024;
/// How often descendants that do not die are killed again.
const PURGE_INTERVAL: Duration = Duration::from_millis(20);
/// After this long, descendants that cannot be killed (the kernel waits for a dead disk in their name) are given up.
const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the shim: `sup shim`, hidden. Its launch spec comes from standard input, its report goes to standard output.
/// The arguments are for people who look at `ps`.
#[must_use]
pub fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    exec::close_inherited_files();
    match exec::daemonise() {
        Ok(Side::Before) => return ExitCode::SUCCESS,
        Ok(Side::Daemon) => {}
        Err(source) => return refuse(Failure::step("leave the supervisor's session", &source)),
    }
    match Shim::launch() {
        Ok(mut shim) => {
            shim.run();
            ExitCode::SUCCESS
        }
        Err(failure) => refuse(failure),
    }
}

fn refuse(failure: Failure) -> ExitCode {
    report(&Report::Failed(failure));
    ExitCode::FAILURE
}

/// Tells the supervisor, and lets go of it.
fn report(report: &Report) {
    let frame = encode(report).unwrap_or_default();
    // A supervisor that was killed meanwhile does not read it. The next one asks.
    io::stdout().write_all(&frame).and_then(|()| io::stdout().flush()).ok();
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        // Cannot fail for files that are open; were it to, the supervisor would wait for the end of a pipe in vain.
        dup2_stdin(&null).and(dup2_stdout(&null)).and(dup2_stderr(&null)).ok();
    }
}

/// What a later supervisor needs to know of a shim that was killed. Kept beside the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The process, and its group.
    pub pid: u32,
    /// The shim, and its session.
    pub shim_pid: u32,
}

impl Trace {
    /// Where the trace of the shim with this socket is.
    pub fn path(socket: &Path) -> PathBuf {
        socket.with_extension("process.json")
    }
}

/// A shim with its process.
struct Shim {
    spec: LaunchSpec,
    pid: Pid,
    birth: u64,
    started_at: Wall,
    guard: Guard,
    server: Server,
    log: Writer,
    out: Pipe,
    err: Pipe,
    signals: SignalFd,
    life: Life,
    /// Whether somebody asked for the end, and by when it comes to killing.
    stopping: Option<Mono>,
    attention: Attention,
    /// Says that this shim is the only one of its socket.
    _lock: Flock<File>,
}

/// Where a process is in its life.
#[derive(Clone, Copy)]
enum Life {
    Running,
    /// It was waited for; what descends from it is being killed, until then.
    Leaving {
        how: ExitHow,
        at: Wall,
        until: Mono,
    },
    /// Nothing is left of it.
    Over(Exit),
}

/// Whether anybody still wants to know the exit.
#[derive(PartialEq, Eq)]
enum Attention {
    Wanted,
    Forgotten,
}

/// The reading end of one of the process's output streams; `None` after its end.
struct Pipe {
    stream: Stream,
    file: Option<File>,
}

impl Shim {
    fn launch() -> Result<Self, Failure> {
        let step = |what: &str| {
            let what = what.to_owned();
            move |source: io::Error| Failure::step(&what, &source)
        };
        let spec = read_spec()?;
        std::env::set_current_dir("/").map_err(step("change to the root directory"))?;
        umask(Mode::from_bits_truncate(0o027));
        let lock = lock(&spec.socket)?;
        let signals = signals().map_err(step("set signals up"))?;
        prctl::set_child_subreaper(true).map_err(io::Error::from).map_err(step("become a subreaper"))?;
        let server = Server::bind(&spec.socket).map_err(step(&format!("listen at {}", spec.socket.display())))?;
        remove(&spec.state_dir.join(EXIT_FILE)).map_err(step("remove the last exit"))?;
        if spec.lease.is_some_and(|until| clock::mono() >= until) {
            return Err(Failure::LeaseOver);
        }

        let (out, its_out) = pipe(Stream::Out).map_err(step("make a pipe"))?;
        let (err, its_err) = pipe(Stream::Err).map_err(step("make a pipe"))?;
        let started_at = clock::wall();
        let pid = exec::spawn(&spec, its_out, its_err).inspect_err(|_| {
            // Nothing is to be left behind. That it cannot be removed changes nothing: nobody listens on it.
            fs::remove_file(&spec.socket).ok();
        })?;
        // From here on the process runs, and an error would kill it (it dies with its shim).
        let guard = Guard::start(pid, spec.lease).map_err(step("start the guard of the lease"))?;
        let birth = descent::kin(pid.as_raw()).map_or(0, |kin| kin.birth);
        let trace = Trace { pid: number(pid), shim_pid: number(getpid()) };
        write_json(&Trace::path(&spec.socket), &trace).map_err(step("write down the process's id"))?;
        let mut log = Writer::new(spec.log.clone());
        log.note(clock::wall(), &format!("process {pid} started"));
        log.commit(clock::wall());
        let shim = Self {
            spec,
            pid,
            birth,
            started_at,
            guard,
            server,
            log,
            out,
            err,
            signals,
            life: Life::Running,
            stopping: None,
            attention: Attention::Wanted,
            _lock: lock,
        };
        report(&Report::Launched(shim.status()));
        Ok(shim)
    }

    fn run(&mut self) {
        while !(matches!(self.life, Life::Over(_)) && self.attention == Attention::Forgotten) {
            self.wait();
            self.take_signals();
            self.reap();
            self.kill_the_overdue();
            self.read_output();
            self.answer();
            self.log.commit(clock::wall());
        }
        // A socket and a trace that stay behind are replaced by the next shim.
        fs::remove_file(&self.spec.socket).ok();
        fs::remove_file(Trace::path(&self.spec.socket)).ok();
    }

    /// Sleeps until something happens.
    fn wait(&self) {
        let mut files: Vec<(BorrowedFd<'_>, PollFlags)> = vec![(self.signals.as_fd(), PollFlags::POLLIN)];
        files.extend([&self.out, &self.err].into_iter().filter_map(|pipe| {
            let file = pipe.file.as_ref()?;
            Some((file.as_fd(), PollFlags::POLLIN))
        }));
        files.extend(self.server.interests());
        let mut files: Vec<PollFd<'_>> = files.into_iter().map(|(file, flags)| PollFd::new(file, flags)).collect();
        let timeout = match (self.life, self.stopping) {
            (Life::Leaving { .. }, _) => timeout(PURGE_INTERVAL),
            (Life::Running, Some(until)) => timeout(until.since(clock::mono())),
            (Life::Running, None) | (Life::Over(_), _) => PollTimeout::NONE,
        };
        // Fails when interrupted. Nothing below minds being called for nothing.
        poll(&mut files, timeout).ok();
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if i32::try_from(signal.ssi_signo) == Ok(Signal::TERM.number()) {
                // The system shuts down, or a person knows what they do. Nobody may be left to collect the exit.
                self.attention = Attention::Forgotten;
                let stop = self.spec.stop;
                self.stop(&stop);
            }
            // SIGCHLD: the children are asked in any case.
        }
    }

    /// Waits for all children that ended: the process itself, and what it left behind.
    fn reap(&mut self) {
        loop {
            let mut watch = self.guard.hold();
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, ExitHow::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, ExitHow::Signal(signal as i32)),
                // Neither is reported without being asked for.
                Ok(_) => break,
                // No children: all that descended from the process is gone.
                Err(_) => {
                    drop(watch);
                    self.conclude();
                    return;
                }
            };
            if pid == self.pid {
                watch.release();
                drop(watch);
                self.life = Life::Leaving { how, at: clock::wall(), until: clock::mono() + PURGE_TIMEOUT };
                // The group may have members yet, and as long as it has, its id is nobody else's.
                descent::signal_group(self.pid, Unix::SIGKILL);
            }
        }
        if let Life::Leaving { until, .. } = self.life {
            descent::kill_children();
            if clock::mono() >= until {
                self.log.note(clock::wall(), "some of its processes cannot be killed, and were given up");
                self.conclude();
            }
        }
    }

    /// Nothing is left of the process: says so.
    fn conclude(&mut self) {
        let Life::Leaving { how, at, .. } = self.life else { return };
        let stopped_by = match (self.guard.fired(), self.stopping) {
            (true, _) => StoppedBy::Lease,
            (false, Some(_)) => StoppedBy::Asked,
            (false, None) => StoppedBy::Itself,
        };
        let exit = Exit { how, at, stopped_by };
        self.life = Life::Over(exit);
        // All that was written is in the pipes; their other ends are closed, or held by what was given up.
        let now = clock::wall();
        for pipe in [&mut self.out, &mut self.err] {
            while pipe.read_into(&mut self.log) {}
            pipe.file = None;
            self.log.end(now, pipe.stream);
        }
        self.log.note(now, &format!("process {}: {exit}", self.pid));
        self.log.commit(now);
        if let Err(error) = write_json(&self.spec.state_dir.join(EXIT_FILE), &exit) {
            self.log.note(now, &format!("cannot write {EXIT_FILE}: {error}"));
        }
        self.server.publish(&Response::Exited(exit));
    }

    fn kill_the_overdue(&mut self) {
        if let (Life::Running, Some(until)) = (self.life, self.stopping)
            && clock::mono() >= until
        {
            self.log.note(clock::wall(), "it did not stop in time and is killed");
            descent::signal_group(self.pid, Unix::SIGKILL);
            // Not again in the next round: a dying process takes its time.
            self.stopping = Some(clock::mono() + PURGE_TIMEOUT);
        }
    }

    fn read_output(&mut self) {
        for pipe in [&mut self.out, &mut self.err] {
            pipe.read_into(&mut self.log);
        }
    }

    fn answer(&mut self) {
        // Answering needs all of the shim but the server; it is put back at once.
        let mut forgotten = false;
        let mut stop = None;
        let status = self.status();
        let (guard, pid, life) = (&self.guard, self.pid, self.life);
        self.server.serve(|request| {
            let gone = || vec![Response::Refused("the process has exited".to_owned())];
            let running = matches!(life, Life::Running);
            match request {
                Request::Status => vec![Response::Status(Status { lease: guard.until(), ..status.clone() })],
                Request::Subscribe => match life {
                    Life::Over(exit) => vec![Response::Done, Response::Exited(exit)],
                    Life::Running | Life::Leaving { .. } => vec![Response::Done],
                },
                Request::Forget => {
                    forgotten = true;
                    vec![Response::Done]
                }
                Request::Stop { signal, timeout_ms } => {
                    stop = Some(StopSpec { signal: *signal, timeout: Duration::from_millis(*timeout_ms) });
                    vec![Response::Done]
                }
                Request::Signal(_) | Request::Lease { .. } if !running => gone(),
                Request::Signal(signal) => match kill(pid, signal.unix()) {
                    Ok(()) => vec![Response::Done],
                    Err(errno) => vec![Response::Refused(io::Error::from(errno).to_string())],
                },
                Request::Lease { until } => match guard.set(*until) {
                    Ok(()) => vec![Response::Done],
                    Err(_over) => vec![Response::Refused("the lease was over, and the process is killed".to_owned())],
                },
            }
        });
        if forgotten {
            self.attention = Attention::Forgotten;
        }
        if let Some(stop) = stop {
            self.stop(&stop);
        }
    }

    fn stop(&mut self, how: &StopSpec) {
        if !matches!(self.life, Life::Running) {
            return;
        }
        let until = clock::mono() + how.timeout;
        // Asked again, it does not get more time.
        self.stopping = Some(self.stopping.map_or(until, |before| before.min(until)));
        descent::signal_group(self.pid, how.signal.unix());
        // A process that was halted (SIGSTOP) would not see the signal.
        descent::signal_group(self.pid, Unix::SIGCONT);
    }

    fn status(&self) -> Status {
        Status {
            pid: number(self.pid),
            birth: self.birth,
            shim_pid: number(getpid()),
            started_at: self.started_at,
            state: match (self.life, self.stopping) {
                (Life::Over(exit), _) => State::Exited(exit),
                (Life::Running, None) => State::Running,
                (Life::Running, Some(_)) | (Life::Leaving { .. }, _) => State::Stopping,
            },
            lease: self.guard.until(),
            lines_lost: self.log.lost(),
        }
    }
}

impl Pipe {
    /// Reads what is there, up to a limit. Returns whether there may be more.
    fn read_into(&mut self, log: &mut Writer) -> bool {
        let Some(file) = &mut self.file else { return false };
        let mut buffer = [0; READ_BYTES];
        match file.read(&mut buffer) {
            Ok(0) => {
                self.file = None;
                log.end(clock::wall(), self.stream);
                false
            }
            Ok(read) => {
                log.feed(clock::wall(), self.stream, &buffer[..read]);
                true
            }
            Err(error) => error.kind() == ErrorKind::Interrupted,
        }
    }
}

/// A pipe whose reading end never blocks; the writing end is the process's.
fn pipe(stream: Stream) -> io::Result<(Pipe, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let file = File::from(OwnedFd::from(reader));
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((Pipe { stream, file: Some(file) }, writer.into()))
}

fn read_spec() -> Result<LaunchSpec, Failure> {
    let mut text = Vec::new();
    let limit = SPEC_BYTES as u64 + 1;
    io::stdin().take(limit).read_to_end(&mut text).map_err(|source| Failure::step("read the launch spec", &source))?;
    if text.len() > SPEC_BYTES {
        return Err(Failure::Spec(format!("it is longer than {SPEC_BYTES} bytes")));
    }
    let spec: LaunchSpec = serde_json::from_slice(&text).map_err(|error| Failure::Spec(error.to_string()))?;
    spec.check().map_err(|error| Failure::Spec(error.to_string()))?;
    Ok(spec)
}

/// Makes sure that there is one shim for a socket. Two processes of one service are what a supervisor must never have.
fn lock(socket: &Path) -> Result<Flock<File>, Failure> {
    let path = socket.with_extension("lock");
    let what = format!("lock {}", path.display());
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(|source| Failure::step(&what, &source))?;
    let until = clock::mono() + LOCK_PATIENCE;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EWOULDBLOCK)) if clock::mono() < until => file,
            Err((_file, Errno::EWOULDBLOCK)) => return Err(Failure::Occupied(path)),
            Err((_file, other)) => return Err(Failure::step(&what, &other.into())),
        };
        std::thread::sleep(LOCK_PACE);
    }
}

/// Blocks the signals that are handled or of no concern: what a terminal sends is not meant for a daemon.
fn signals() -> io::Result<SignalFd> {
    let mut all = SigSet::empty();
    for signal in [Unix::SIGCHLD, Unix::SIGTERM, Unix::SIGHUP, Unix::SIGINT, Unix::SIGQUIT] {
        all.add(signal);
    }
    all.thread_block()?;
    Ok(SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Writes a file as a whole or not at all.
fn write_json(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, serde_json::to_vec(content)?)?;
    fs::rename(&temporary, path)
}

fn timeout(duration: Duration) -> PollTimeout {
    // Rounded up: a timeout that ends too early would be followed by many of no length. The longest that poll takes is
    // 24 days; then it is computed anew.
    let ms = duration.as_micros().div_ceil(1000);
    i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX)
}

/// Process ids are positive.
fn number(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
}
