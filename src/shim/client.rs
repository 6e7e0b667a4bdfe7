//! The supervisor's side of a shim.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::exit::{Exit, ExitHow, StoppedBy};
use super::program::Trace;
use super::protocol::{Failure, Frame, Report, Request, Response, State, Status, encode, first_frame};
use super::signal::Signal;
use super::spec::{LaunchSpec, SPEC_BYTES, SpecError, StopSpec};
use super::{clock, descent};
use crate::base::{Mono, TOKEN_ENV, Wall};
use crate::net::RING_KEY_ENV;

/// How often a shim that breaks off is asked again, and after how long.
const ADOPT_ATTEMPTS: u32 = 50;
const ADOPT_AGAIN: Duration = Duration::from_millis(10);
/// How long a shim is given to report that its process runs. Generous: a loaded machine may take a second.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a shim is given to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a killed shim left behind is given to die. It was sent `SIGKILL`; only a kernel that waits for a dead
/// disk keeps it.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const ORPHANS_INTERVAL: Duration = Duration::from_millis(10);
/// How long to wait before a shim that ended the connection is asked again.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(100);
/// How much of what a shim says while it dies is passed on, in bytes.
const LAST_WORDS_BYTES: u64 = 1024;

/// A process did not start. Nothing is left behind, unless it is [`LaunchError::Timeout`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The spec cannot be carried out by any shim.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The shim itself could not be started, or spoken to.
    #[error("cannot start the shim")]
    Shim(#[source] io::Error),
    /// The shim ended without a word.
    #[error("the shim ended before the process was started: {0}")]
    Silent(String),
    /// The shim did not report in time; a later [`Client::adopt`] tells whether the process is there.
    #[error("the shim did not start the process within 20 s")]
    Timeout,
    /// The shim says why the process cannot be started.
    #[error(transparent)]
    Failed(Failure),
}

/// A shim could not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no shim any more: it was killed, and its process with it.
    #[error("the shim is gone")]
    Gone,
    /// The socket failed.
    #[error("cannot speak to the shim at {}", .socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It does not answer: it is stopped, or the machine is overwhelmed.
    #[error("the shim at {} did not answer within 5 s", .0.display())]
    Timeout(PathBuf),
    /// What it answered makes no sense.
    #[error("the shim at {} gave an answer that is none: {text}", .socket.display())]
    Nonsense {
        /// The socket.
        socket: PathBuf,
        /// The answer's problem.
        text: String,
    },
    /// It refused.
    #[error("the shim refused: {0}")]
    Refused(String),
}

/// A process under a shim. Cheap to clone; dropping it changes nothing for the process.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    pid: u32,
    birth: u64,
    shim_pid: u32,
    started_at: Wall,
}

impl Client {
    /// Starts a shim, which starts the process. Returns when the program has been executed.
    ///
    /// # Errors
    /// Says exactly what is missing: see [`LaunchError`] and [`Failure`].
    pub async fn launch(spec: &LaunchSpec) -> Result<Self, LaunchError> {
        // Not the path of the binary: that may be another version by now, or be gone.
        Self::launch_with(Path::new("/proc/self/exe"), spec).await
    }

    /// As [`Self::launch`], with the shim of this binary.
    ///
    /// # Errors
    /// As [`Self::launch`].
    pub async fn launch_with(program: &Path, spec: &LaunchSpec) -> Result<Self, LaunchError> {
        spec.check()?;
        let spec = absolute(spec).map_err(LaunchError::Shim)?;
        let text = serde_json::to_vec(&spec).map_err(|error| LaunchError::Shim(error.into()))?;
        if text.len() > SPEC_BYTES {
            return Err(SpecError::TooLarge(text.len()).into());
        }
        match timeout(LAUNCH_TIMEOUT, launch(program, &spec, &text)).await {
            Ok(Ok(Report::Launched(status))) => Ok(Self::of(&spec.socket, &status)),
            Ok(Ok(Report::Failed(failure))) => Err(LaunchError::Failed(failure)),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(LaunchError::Timeout),
        }
    }

    /// Finds the shim behind this socket. `None`: there is none, and nothing is left of its process either.
    ///
    /// # Errors
    /// There may be a shim that cannot be spoken to: nothing must be started in its place.
    pub async fn adopt(socket: &Path) -> Result<Option<Self>, ClientError> {
        let mut attempts = ADOPT_ATTEMPTS;
        loop {
            attempts -= 1;
            match Self::ask_for_status(socket).await {
                Ok(status) => return Ok(Some(Self::of(socket, &status))),
                Err(ClientError::Gone) => {
                    if let Some(trace) = read_trace(socket).await {
                        bury(trace).await;
                    }
                    return Ok(None);
                }
                // A shim that was killed still accepts while its threads are taken down, and then resets.
                Err(ClientError::Io { source, .. }) if attempts > 0 && broke_off(&source) => sleep(ADOPT_AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn ask_for_status(socket: &Path) -> Result<Status, ClientError> {
        match Connection::open(socket).await?.ask(&Request::Status).await? {
            Response::Status(status) => Ok(status),
            other => Err(nonsense(socket, &other)),
        }
    }

    fn of(socket: &Path, status: &Status) -> Self {
        Self {
            socket: socket.to_owned(),
            pid: status.pid,
            birth: status.birth,
            shim_pid: status.shim_pid,
            started_at: status.started_at,
        }
    }

    /// The process's id, and its group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The shim's process id.
    #[must_use]
    pub fn shim_pid(&self) -> u32 {
        self.shim_pid
    }

    /// When the process was started.
    #[must_use]
    pub fn started_at(&self) -> Wall {
        self.started_at
    }

    /// How it is going.
    ///
    /// # Errors
    /// The shim cannot be spoken to.
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status).await? {
            Response::Status(status) => Ok(status),
            other => Err(nonsense(&self.socket, &other)),
        }
    }

    /// Waits until the process and all that descends from it are gone. May be called by many, and again; cancelling it
    /// changes nothing. A shim that was killed makes it return [`ExitHow::Unseen`], once the process is gone.
    pub async fn wait(&self) -> Exit {
        loop {
            match self.subscribe().await {
                Ok(exit) => return exit,
                Err(ClientError::Gone) => {
                    bury(Trace { pid: self.pid, shim_pid: self.shim_pid }).await;
                    return Exit { how: ExitHow::Unseen, at: clock::wall(), stopped_by: StoppedBy::Itself };
                }
                // It is there, and the connection did not last: it had too many, or this process did.
                Err(_) => sleep(RECONNECT_INTERVAL).await,
            }
        }
    }

    /// Waits for the news of the exit on one connection.
    async fn subscribe(&self) -> Result<Exit, ClientError> {
        let mut connection = self.connect().await?;
        // Answered before the news: whether another shim holds the socket by now is asked on the same connection.
        match connection.ask(&Request::Status).await? {
            Response::Status(status) if status.shim_pid != self.shim_pid || status.birth != self.birth => {
                return Err(ClientError::Gone);
            }
            Response::Status(Status { state: State::Exited(exit), .. }) => return Ok(exit),
            Response::Status(_) => {}
            other => return Err(nonsense(&self.socket, &other)),
        }
        connection.ask(&Request::Subscribe).await?;
        match connection.read::<Response>().await? {
            Response::Exited(exit) => Ok(exit),
            other => Err(nonsense(&self.socket, &other)),
        }
    }

    /// Asks the process to stop, and returns: [`Self::wait`] tells when it has. The shim kills it when the time is up.
    ///
    /// # Errors
    /// The shim cannot be spoken to.
    pub async fn stop(&self, how: &StopSpec) -> Result<(), ClientError> {
        let timeout_ms = u64::try_from(how.timeout.as_millis()).unwrap_or(u64::MAX);
        self.tell(&Request::Stop { signal: how.signal, timeout_ms }).await
    }

    /// Kills the process and its group.
    ///
    /// # Errors
    /// The shim cannot be spoken to.
    pub async fn kill(&self) -> Result<(), ClientError> {
        self.stop(&StopSpec { signal: Signal::KILL, timeout: Duration::ZERO }).await
    }

    /// Sends the process (not its group) a signal.
    ///
    /// # Errors
    /// The process has exited, or the shim cannot be spoken to.
    pub async fn signal(&self, signal: Signal) -> Result<(), ClientError> {
        self.tell(&Request::Signal(signal)).await
    }

    /// The process is killed at `until`, instead of at whatever was said before. `None`: it may run for ever.
    ///
    /// # Errors
    /// The process has exited or was killed because the lease was over, or the shim cannot be spoken to.
    pub async fn lease(&self, until: Option<Mono>) -> Result<(), ClientError> {
        self.tell(&Request::Lease { until }).await
    }

    /// The exit is known or of no interest: the shim leaves once the process is gone.
    ///
    /// # Errors
    /// The shim cannot be spoken to.
    pub async fn forget(&self) -> Result<(), ClientError> {
        self.tell(&Request::Forget).await
    }

    async fn tell(&self, request: &Request) -> Result<(), ClientError> {
        match self.ask(request).await? {
            Response::Done => Ok(()),
            other => Err(nonsense(&self.socket, &other)),
        }
    }

    /// Each request has a connection of its own: nothing can be answered to the wrong one, whoever is cancelled when.
    async fn ask(&self, request: &Request) -> Result<Response, ClientError> {
        self.connect().await?.ask(request).await
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        Connection::open(&self.socket).await
    }
}

/// Starts a shim and waits for its report.
async fn launch(program: &Path, spec: &LaunchSpec, text: &[u8]) -> Result<Report, LaunchError> {
    let mut command = Command::new(program);
    // The ring's key is the supervisor's alone, and a token the person's who started it: what a service inherits comes from here.
    command.env_remove(RING_KEY_ENV).env_remove(TOKEN_ENV);
    command.arg0("sup").arg("shim").arg(spec.service.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(LaunchError::Shim)?;
    let (Some(mut input), Some(mut output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(LaunchError::Shim(ErrorKind::BrokenPipe.into()));
    };
    // A shim that dies of what it reads says more than the broken pipe does.
    match input.write_all(text).await {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(LaunchError::Shim(error)),
        Ok(()) | Err(_) => {}
    }
    drop(input);
    // What was started has forked, and is gone at once. It is only collected here; a supervisor that is process 1
    // collects whatever ends, and may have been faster.
    child.wait().await.ok();
    let mut bytes = Vec::new();
    loop {
        match first_frame(&bytes) {
            Frame::Whole { body, .. } => {
                return serde_json::from_slice(body).map_err(|error| LaunchError::Silent(error.to_string()));
            }
            Frame::TooLong => return Err(LaunchError::Silent("its report is too long".to_owned())),
            Frame::Partial => {}
        }
        if output.read_buf(&mut bytes).await.map_err(LaunchError::Shim)? == 0 {
            let mut words = Vec::new();
            errors.take(LAST_WORDS_BYTES).read_to_end(&mut words).await.map_err(LaunchError::Shim)?;
            return Err(LaunchError::Silent(String::from_utf8_lossy(&words).trim().to_owned()));
        }
    }
}

/// A shim works in the root directory.
fn absolute(spec: &LaunchSpec) -> io::Result<LaunchSpec> {
    let mut spec = spec.clone();
    for path in [&mut spec.cwd, &mut spec.socket, &mut spec.state_dir, &mut spec.log.dir] {
        *path = std::path::absolute(&*path)?;
    }
    Ok(spec)
}

async fn read_trace(socket: &Path) -> Option<Trace> {
    let text = tokio::fs::read(Trace::path(socket)).await.ok()?;
    serde_json::from_slice(&text).ok()
}

/// Kills what a killed shim left behind, and waits until it is gone: until then it may hold ports and files.
async fn bury(trace: Trace) {
    let deadline = clock::mono() + ORPHANS_TIMEOUT;
    while descent::kill_orphans(trace.pid, trace.shim_pid) > 0 && clock::mono() < deadline {
        sleep(ORPHANS_INTERVAL).await;
    }
}

fn nonsense(socket: &Path, response: &Response) -> ClientError {
    match response {
        Response::Refused(why) => ClientError::Refused(why.clone()),
        other => ClientError::Nonsense { socket: socket.to_owned(), text: format!("{other:?}") },
    }
}

/// A connection to a shim.
struct Connection {
    socket: PathBuf,
    stream: UnixStream,
    inbox: Vec<u8>,
}

impl Connection {
    async fn open(socket: &Path) -> Result<Self, ClientError> {
        let io = |source| ClientError::Io { socket: socket.to_owned(), source };
        let address = match Address::of(socket) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(ClientError::Gone),
            other => other.map_err(io)?,
        };
        match timeout(ANSWER_TIMEOUT, UnixStream::connect(address.path())).await {
            Ok(Ok(stream)) => Ok(Self { socket: socket.to_owned(), stream, inbox: Vec::new() }),
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Err(ClientError::Gone)
            }
            Ok(Err(error)) => Err(io(error)),
            Err(_elapsed) => Err(ClientError::Timeout(socket.to_owned())),
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        let frame = encode(request).ok_or_else(|| self.error(ErrorKind::InvalidInput.into()))?;
        let exchange = async {
            if let Err(error) = self.stream.write_all(&frame).await {
                return Err(self.error(error));
            }
            self.read().await
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(result) => result,
            Err(_elapsed) => Err(ClientError::Timeout(self.socket.clone())),
        }
    }

    async fn read<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        loop {
            match first_frame(&self.inbox) {
                Frame::Whole { body, taken } => {
                    let message = serde_json::from_slice(body).map_err(|error| ClientError::Nonsense {
                        socket: self.socket.clone(),
                        text: error.to_string(),
                    });
                    self.inbox.drain(..taken);
                    return message;
                }
                Frame::TooLong => {
                    let text = "it is too long".to_owned();
                    return Err(ClientError::Nonsense { socket: self.socket.clone(), text });
                }
                Frame::Partial => {}
            }
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) => return Err(self.error(ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    fn error(&self, source: io::Error) -> ClientError {
        ClientError::Io { socket: self.socket.clone(), source }
    }
}

/// Whether the other side ended in the middle of a conversation.
fn broke_off(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof)
}
