//! What a shim is to launch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signal::Signal;
use crate::base::{GroupId, Mono};

/// Largest launch spec, in bytes of JSON. Environments are what makes them grow; Linux itself takes 128 KiB for a
/// single variable.
pub const SPEC_BYTES: usize = 256 * 1024;
/// Smallest size at which a log may be asked to rotate, in bytes: below, it would rotate with every line.
pub const LOG_BYTES_MIN: u64 = 64 * 1024;
/// Most rotated log files that may be kept.
pub const LOG_KEEP_MAX: u32 = 100;

/// Everything that a shim has to know to run one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Whose process it is. Shown in the shim's command line, so that `ps` tells shims apart.
    pub service: GroupId,
    /// The program and its arguments. A program without a slash is looked up in the `PATH` of [`Self::env`].
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited. Without a `PATH`, the usual one is added.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// As whom to run. `None`: as whoever runs the supervisor.
    pub credentials: Option<Credentials>,
    /// Resource limits to set. What is not named stays as the supervisor has it.
    pub limits: BTreeMap<Resource, Limit>,
    /// The file mode creation mask, usually 0o022.
    pub umask: u32,
    /// Whether the process may gain privileges by executing a setuid program.
    pub privileges: Privileges,
    /// Where the output goes.
    pub log: LogSpec,
    /// How to stop the process when the shim itself is told to terminate.
    pub stop: StopSpec,
    /// The shim's unix socket. Its directory must exist; the path may be of any length. Beside it, with the same name
    /// and other endings, are the shim's lock and the ids of its process.
    pub socket: PathBuf,
    /// A directory for `exit.json`, which tells how the process ended last. It must exist, and belongs to this service
    /// alone.
    pub state_dir: PathBuf,
    /// The process is killed at this instant of CLOCK_BOOTTIME unless [`super::Client::lease`] moves it. `None`: it
    /// may run for ever.
    pub lease: Option<Mono>,
}

/// A user, as the kernel knows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// Supplementary groups. The supervisor's own are given up.
    pub groups: Vec<u32>,
}

/// Whether a process may gain privileges that its parent does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privileges {
    /// By executing setuid programs, as usual.
    #[default]
    MayGain,
    /// Never (`PR_SET_NO_NEW_PRIVS`).
    Fixed,
}

/// A resource that can be limited, as in `setrlimit(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Address space, in bytes.
    AddressSpace,
    /// Largest core dump, in bytes.
    Core,
    /// Processor time, in seconds.
    Cpu,
    /// Largest file that may be written, in bytes.
    FileSize,
    /// Locked memory, in bytes.
    LockedMemory,
    /// Open files.
    OpenFiles,
    /// Processes of the user.
    Processes,
    /// Stack, in bytes.
    Stack,
}

/// Both values of a resource limit; `None`: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is in force.
    pub soft: Option<u64>,
    /// Up to where the process may raise it itself.
    pub hard: Option<u64>,
}

/// Where the output of a process goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The directory of the log files; made if missing. See [`super::log`] for what is in it.
    pub dir: PathBuf,
    /// A log file is rotated before it grows beyond this.
    pub max_bytes: u64,
    /// How many rotated files are kept besides the current one.
    pub keep: u32,
}

/// How a process is stopped: a signal to its group, and `SIGKILL` to what is left after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSpec {
    /// What asks it to stop.
    pub signal: Signal,
    /// How long it is given.
    pub timeout: Duration,
}

impl Default for StopSpec {
    fn default() -> Self {
        Self { signal: Signal::TERM, timeout: Duration::from_secs(8) }
    }
}

/// A launch spec cannot be carried out by any shim. Nothing was started; the same spec never will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is no program.
    #[error("the command line is empty")]
    NoProgram,
    /// Unix ends arguments and variables at a zero byte.
    #[error("{0} has a zero byte in it")]
    ZeroByte(String),
    /// An environment variable's name is empty or has a `=` in it.
    #[error("{0:?} cannot be the name of an environment variable")]
    Variable(String),
    /// The log would rotate with nearly every line.
    #[error("a log file of {0} bytes is too small: at least {LOG_BYTES_MIN}")]
    LogBytes(u64),
    /// Too many log files.
    #[error("{0} rotated log files are too many: at most {LOG_KEEP_MAX}")]
    LogKeep(u32),
    /// The spec as a whole, environment included, is too large.
    #[error("the launch spec is {0} bytes long: at most {SPEC_BYTES}")]
    TooLarge(usize),
}

impl LaunchSpec {
    /// Checks what can be checked before anything is started.
    ///
    /// # Errors
    /// Whatever [`SpecError`] lists; the first that is found.
    pub fn check(&self) -> Result<(), SpecError> {
        let program = self.argv.first().ok_or(SpecError::NoProgram)?;
        if program.is_empty() {
            return Err(SpecError::NoProgram);
        }
        for arg in &self.argv {
            if arg.contains('\0') {
                return Err(SpecError::ZeroByte(format!("argument {arg:?}")));
            }
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(SpecError::Variable(name.clone()));
            }
            if value.contains('\0') {
                return Err(SpecError::ZeroByte(format!("the environment variable {name}")));
            }
        }
        if self.log.max_bytes < LOG_BYTES_MIN {
            return Err(SpecError::LogBytes(self.log.max_bytes));
        }
        if self.log.keep > LOG_KEEP_MAX {
            return Err(SpecError::LogKeep(self.log.keep));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LaunchSpec {
        LaunchSpec {
            service: "a.b".parse().unwrap(),
            argv: vec!["true".to_owned()],
            env: BTreeMap::new(),
            cwd: "/".into(),
            credentials: None,
            limits: BTreeMap::new(),
            umask: 0o022,
            privileges: Privileges::MayGain,
            log: LogSpec { dir: "/log".into(), max_bytes: LOG_BYTES_MIN, keep: LOG_KEEP_MAX },
            stop: StopSpec::default(),
            socket: "/run/s".into(),
            state_dir: "/run".into(),
            lease: Some(Mono(7)),
        }
    }

    #[test]
    fn a_spec_reads_back_as_it_is_written() {
        let mut spec = spec();
        spec.limits.insert(Resource::OpenFiles, Limit { soft: Some(1), hard: None });
        spec.credentials = Some(Credentials { uid: 1, gid: 2, groups: vec![3] });
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<LaunchSpec>(&text).unwrap(), spec);
    }

    #[test]
    fn a_log_is_taken_at_its_limits_and_refused_one_beyond() {
        assert_eq!(spec().check(), Ok(()));
        let mut small = spec();
        small.log.max_bytes -= 1;
        assert_eq!(small.check(), Err(SpecError::LogBytes(LOG_BYTES_MIN - 1)));
        let mut many = spec();
        many.log.keep += 1;
        assert_eq!(many.check(), Err(SpecError::LogKeep(LOG_KEEP_MAX + 1)));
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        for argv in [vec![], vec![String::new()], vec!["a\0b".to_owned()], vec!["a".to_owned(), "\0".to_owned()]] {
            assert!(LaunchSpec { argv, ..spec() }.check().is_err());
        }
        for (name, value) in [("", "x"), ("a=b", "x"), ("a\0", "x"), ("a", "x\0")] {
            let env = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(LaunchSpec { env, ..spec() }.check().is_err(), "{name:?}={value:?}");
        }
    }
}
