//! The supervisor's side of a shim.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::Exit;
use super::protocol::{Failure, Status};
use super::signal::Signal;
use super::spec::{LaunchSpec, SpecError, StopSpec};
use crate::base::{Mono, Wall};

/// How long a shim is given to report that its process runs. Generous: a loaded machine may take a second.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a shim is given to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
        todo!()
    }

    /// Finds the shim behind this socket. `None`: there is none, and nothing is left of its process either.
    ///
    /// # Errors
    /// There may be a shim that cannot be spoken to: nothing must be started in its place.
    pub async fn adopt(socket: &Path) -> Result<Option<Self>, ClientError> {
        todo!()
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
        todo!()
    }

    /// Waits until the process and all that descends from it are gone. May be called by many, and again; cancelling it
    /// changes nothing. A shim that was killed makes it return [`super::ExitHow::Unseen`], once the process is gone.
    pub async fn wait(&self) -> Exit {
        todo!()
    }

    /// Asks the process to stop, and returns: [`Self::wait`] tells when it has. The shim kills it when the time is up.
    ///
    /// # Errors
    /// The shim cannot be spoken to.
    pub async fn stop(&self, how: &StopSpec) -> Result<(), ClientError> {
        todo!()
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
        todo!()
    }

    /// The process is killed at `until`, instead of at whatever was said before. `None`: it may run for ever.
    ///
    /// # Errors
    /// The process has exited or was killed because the lease was over, or the shim cannot be spoken to.
    pub async fn lease(&self, until: Option<Mono>) -> Result<(), ClientError> {
        todo!()
    }

    /// The exit is known or of no interest: the shim leaves once the process is gone.
    ///
    /// # Errors
    /// The shim cannot be spoken to.
    pub async fn forget(&self) -> Result<(), ClientError> {
        todo!()
    }
}
