//! The supervisors: started, watched, taken down with all that they hold.

use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::super::args::TopologyArg;
use super::keys::{Input, Keys};
use crate::api::client::{Client, Endpoint};
use crate::api::shape::{BindSpec, Event};
use crate::api::{Problem, ProblemKind};
use crate::base::GroupId;
use crate::ring::Profile;
use crate::shim;
use crate::supervisor::{GOSSIP_PORT, HTTP_PORT, Key};

/// How long the supervisors have to stop their services and leave: more than a service's default time to stop.
const TAKE_DOWN: Duration = Duration::from_secs(20);
/// The wait before a node that does not answer is asked again for its events.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Events that are kept to be shown.
const EVENTS: usize = 50;
/// Lines of a log that are shown when a node did not start.
const LAST_WORDS: usize = 12;

/// What is run.
#[derive(Debug)]
pub(super) struct Spec {
    pub plan: String,
    pub group: GroupId,
    pub topology: TopologyArg,
    pub profile: Profile,
    pub binds: Vec<BindSpec>,
    pub addresses: Vec<IpAddr>,
    pub min_members: u8,
}

/// A supervisor.
#[derive(Debug)]
pub(super) struct Node {
    pub ip: IpAddr,
    pub dir: PathBuf,
    pub log: PathBuf,
    pub process: Process,
    /// It answered once: its end is no failed start any more.
    pub answered: bool,
    arguments: Vec<String>,
}

/// A supervisor's process.
#[derive(Debug)]
pub(super) enum Process {
    /// It runs.
    Running(Child),
    /// It ended; how.
    Ended(String),
}

impl Node {
    pub(super) fn http(&self) -> SocketAddr {
        SocketAddr::new(self.ip, HTTP_PORT)
    }

    pub(super) fn client(&self) -> Client {
        Client::new(Endpoint::Unix(self.dir.join("sup.sock")))
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for key in Key::ALL {
            command.env_remove(key.env());
        }
        // In a group of its own: Ctrl-C is for this process, which takes the ring down in order.
        command.env_remove("SUP_CONFIG").process_group(0).spawn()
    }

    fn pid(&self) -> Option<Pid> {
        match &self.process {
            Process::Running(child) => child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw),
            Process::Ended(_) => None,
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It ended a moment ago: then there is nothing to signal.
            kill(pid, signal).ok();
        }
    }
}

/// What a node told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub by: IpAddr,
    pub event: Event,
}

/// All of them.
pub(super) struct Nodes {
    pub nodes: Vec<Node>,
    dir: Option<TempDir>,
    changed: Arc<Notify>,
    events: Arc<Mutex<VecDeque<Told>>>,
    listeners: JoinSet<()>,
}

impl Nodes {
    /// Starts a supervisor on each address.
    pub(super) fn start(spec: &Spec) -> Result<Self, Problem> {
        let failed = |error: io::Error| Problem::new(ProblemKind::Internal, format!("cannot start the ring: {error}"));
        let dir = tempfile::Builder::new().prefix("sup-dev-").tempdir().map_err(failed)?;
        // A service that runs as another user has to get to its files. What is secret is guarded further in.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).map_err(failed)?;
        let mut ring = Self {
            nodes: Vec::new(),
            dir: None,
            changed: Arc::new(Notify::new()),
            events: Arc::new(Mutex::new(VecDeque::new())),
            listeners: JoinSet::new(),
        };
        for (number, ip) in (1..).zip(&spec.addresses) {
            let data = dir.path().join(format!("node-{number}"));
            let mut node = Node {
                ip: *ip,
                log: dir.path().join(format!("node-{number}.log")),
                arguments: arguments(spec, *ip, &data),
                dir: data,
                process: Process::Ended("not started".to_owned()),
                answered: false,
            };
            node.process = Process::Running(node.spawn().map_err(failed)?);
            ring.listen(&node);
            ring.nodes.push(node);
        }
        ring.dir = Some(dir);
        Ok(ring)
    }

    /// Where their data and logs are.
    pub(super) fn dir(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new("/"), TempDir::path)
    }

    /// Keeps data and logs.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.dir.take().map(TempDir::keep).unwrap_or_default()
    }

    /// The last things that the nodes told, oldest first.
    pub(super) fn events(&self) -> Vec<Told> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Returns when a node told that something changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn listen(&mut self, node: &Node) {
        let (ip, client, changed, events) = (node.ip, node.client(), self.changed.clone(), self.events.clone());
        self.listeners.spawn(async move {
            loop {
                if let Ok(mut stream) = client.events(None).await {
                    changed.notify_one();
                    while let Ok(Some(event)) = stream.next().await {
                        remember(&events, Told { by: ip, event });
                        changed.notify_one();
                    }
                    changed.notify_one();
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        });
    }

    /// Notes which supervisors have ended.
    pub(super) fn look(&mut self) {
        for node in &mut self.nodes {
            if let Process::Running(child) = &mut node.process {
                match child.try_wait() {
                    Ok(None) => {}
                    Ok(Some(status)) => node.process = Process::Ended(status.to_string()),
                    Err(error) => node.process = Process::Ended(error.to_string()),
                }
            }
        }
    }

    /// The problem that a supervisor ended before it ever answered, with its last words.
    pub(super) fn failed_to_start(&self) -> Option<Problem> {
        let (node, how) = self.nodes.iter().filter(|node| !node.answered).find_map(|node| match &node.process {
            Process::Ended(how) => Some((node, how)),
            Process::Running(_) => None,
        })?;
        let log = fs::read_to_string(&node.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let words = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n  ");
        let detail = format!("the supervisor on {} did not start ({how}):\n  {words}", node.ip);
        Some(Problem::new(ProblemKind::Internal, detail))
    }

    /// Kills a supervisor, as a crash would; or starts it again.
    pub(super) fn toggle(&mut self, number: usize) -> Result<(), Problem> {
        self.look();
        let Some(node) = self.nodes.get_mut(number) else { return Ok(()) };
        match &node.process {
            Process::Running(_) => node.signal(Signal::SIGKILL),
            Process::Ended(_) => {
                let child = node.spawn().map_err(|error| {
                    Problem::new(ProblemKind::Internal, format!("cannot start {} again: {error}", node.ip))
                })?;
                node.process = Process::Running(child);
            }
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Ends all: the supervisors take their services with them. Who does not in time, or at a second wish to quit, is
    /// killed; and what a killed one leaves running, too.
    pub(super) async fn take_down(&mut self, keys: &mut Keys) {
        self.listeners.shutdown().await;
        for node in &self.nodes {
            node.signal(Signal::SIGTERM);
        }
        let all = async {
            for node in &mut self.nodes {
                if let Process::Running(child) = &mut node.process {
                    let how = match child.wait().await {
                        Ok(status) => status.to_string(),
                        Err(error) => error.to_string(),
                    };
                    node.process = Process::Ended(how);
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = tokio::time::sleep(TAKE_DOWN) => {}
            () = quit(keys) => {}
        }
        for node in &mut self.nodes {
            node.signal(Signal::SIGKILL);
            if let Process::Running(child) = &mut node.process {
                // Killed: it ends now, however it is.
                child.wait().await.ok();
            }
            sweep(&node.dir).await;
        }
    }
}

async fn quit(keys: &mut Keys) {
    while keys.next().await != Input::Quit {}
}

/// Ends the services that a supervisor which was killed has left: they would run on, to be found by the next one.
async fn sweep(dir: &Path) {
    let Ok(services) = fs::read_dir(dir.join("svc")) else { return };
    for service in services.flatten() {
        let socket = service.path().join("run").join("shim.sock");
        if let Ok(Some(client)) = shim::Client::adopt(&socket).await {
            // Whatever is left after this has no shim, and dies with it.
            client.kill().await.ok();
            client.forget().await.ok();
        }
    }
}

fn remember(events: &Mutex<VecDeque<Told>>, told: Told) {
    if told.event.message.is_empty() {
        return;
    }
    let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
    if events.len() == EVENTS {
        events.pop_front();
    }
    events.push_back(told);
}

fn arguments(spec: &Spec, ip: IpAddr, data: &Path) -> Vec<String> {
    let topology = match spec.topology {
        TopologyArg::Standalone => "standalone",
        TopologyArg::Leader => "leader",
    };
    let mut arguments: Vec<String> = ["start", &spec.plan].map(str::to_owned).into();
    let mut flag = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
    flag("topology", topology.to_owned());
    for bind in &spec.binds {
        flag("bind", bind.to_string());
    }
    // The machine's own settings are not for this ring.
    flag("config", "/dev/null".to_owned());
    flag("data-dir", data.display().to_string());
    flag(Key::ListenGossip.name(), SocketAddr::new(ip, GOSSIP_PORT).to_string());
    flag(Key::ListenHttp.name(), SocketAddr::new(ip, HTTP_PORT).to_string());
    flag(Key::Profile.name(), spec.profile.to_string());
    flag(Key::ElectionMinMembers.name(), spec.min_members.to_string());
    for peer in spec.addresses.iter().filter(|peer| **peer != ip) {
        flag(Key::Peer.name(), peer.to_string());
    }
    flag("die-with", std::process::id().to_string());
    arguments
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::{Spec, arguments};
    use crate::cli::args::{Cli, Command, TopologyArg};
    use crate::ring::Profile;

    #[test]
    fn a_node_is_started_by_a_command_line_that_is_understood() {
        let spec = Spec {
            plan: "demo".into(),
            group: "demo.default".parse().unwrap(),
            topology: TopologyArg::Leader,
            profile: Profile::Local,
            binds: vec!["db:redis.default".parse().unwrap()],
            addresses: vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()],
            min_members: 2,
        };
        let mut line = vec!["sup".to_owned()];
        line.extend(arguments(&spec, spec.addresses[0], Path::new("/tmp/x/node-1")));
        let cli = Cli::try_parse_from(line).unwrap();
        let Command::Start(args) = cli.command else { panic!("not a start") };
        assert_eq!(cli.globals.data_dir.as_deref(), Some("/tmp/x/node-1"));
        assert_eq!(args.supervisor.peers, ["127.0.0.3"]);
        assert_eq!(args.supervisor.listen_gossip.as_deref(), Some("127.0.0.2:9638"));
        assert_eq!(args.binds, spec.binds);
    }
}
