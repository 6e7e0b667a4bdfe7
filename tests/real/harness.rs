//! Starts supervisors on loopback addresses of their own, asks them things, kills them, and cleans up.

use std::fs::{File, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub const SUP: &str = env!("CARGO_BIN_EXE_sup");
/// How long anything may take on a loaded machine before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is asked for that nothing can be waited on for.
const PACE: Duration = Duration::from_millis(5);

/// Some supervisors that belong to one test.
pub struct Ring {
    dir: TempDir,
    pub nodes: Vec<Node>,
    profile: &'static str,
}

/// One supervisor, running or not.
pub struct Node {
    pub ip: Ipv4Addr,
    pub data: PathBuf,
    /// The network namespace that it runs in; none: that of the test.
    pub namespace: Option<String>,
    /// What its supervisor has in its environment, beside what the test has.
    pub environment: Vec<(&'static str, String)>,
    /// How it guards HTTP: without any of these, it asks for tokens.
    pub http_flags: Vec<&'static str>,
    log: PathBuf,
    child: Option<Child>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A loopback address that no other test uses: the process id tells tests apart, a counter the nodes of one.
pub fn free_ip() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(last < 250, "a test may have 249 nodes");
    Ipv4Addr::new(127, high % 250 + 1, low, last)
}

/// Waits until `ask` has an answer.
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_for_within(PATIENCE, what, ask)
}

/// Waits for what takes longer, or must not.
pub fn wait_for_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        std::thread::park_timeout(PACE);
    }
}

/// Waits until `holds`.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// A plan that ships.
pub fn plan(name: &str) -> String {
    format!("{}/plans/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A plan of the test's own, in this directory: its files by their paths, hooks executable.
pub fn write_plan(dir: &Path, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory is made");
        std::fs::write(&path, text).expect("the file is written");
        let mode = if path.parent().is_some_and(|dir| dir.ends_with("hooks")) { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode is set");
    }
    dir.to_str().expect("a temporary directory has a plain name").to_owned()
}

impl Ring {
    /// `count` supervisors that do not run yet.
    pub fn new(count: usize) -> Self {
        Self::with_profile(count, "local")
    }

    /// The same, on another profile.
    pub fn with_profile(count: usize, profile: &'static str) -> Self {
        let dir = tempfile::Builder::new().prefix("sup-test-").tempdir().expect("a temporary directory");
        // A service that runs as a user of its own has to get through to its directories.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("its permissions can be set");
        let nodes = (0..count).map(|number| Node::new(dir.path(), number)).collect();
        Self { dir, nodes, profile }
    }

    /// The directory of the test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `sup run` on each node, all knowing the first, and waits until they see each other.
    pub fn run(&mut self) {
        for number in 0..self.nodes.len() {
            self.spawn(number, &["run"]);
        }
        self.wait_whole();
    }

    /// Runs `sup start PLAN ARGS` on each node, all knowing the first.
    pub fn start(&mut self, plan: &str, args: &[&str]) {
        for number in 0..self.nodes.len() {
            self.spawn(number, &[&["start", plan], args].concat());
        }
    }

    /// Starts one supervisor; all but the first are told the first as their peer.
    pub fn spawn(&mut self, number: usize, command: &[&str]) {
        let peer = (number > 0).then(|| self.nodes[0].ip.to_string());
        let mut args: Vec<&str> = command.to_vec();
        args.extend(["--profile", self.profile]);
        if let Some(peer) = &peer {
            args.extend(["--peer", peer]);
        }
        self.nodes[number].spawn(&args);
    }

    /// Waits until each running node sees all running nodes alive.
    pub fn wait_whole(&self) {
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.child.is_some()).collect();
        for node in &running {
            wait_until(&format!("{} sees {} members alive", node.ip, running.len()), || {
                node.alive_members() == Some(running.len())
            });
        }
    }

    /// Waits until all running nodes agree on a leader of `group`, and returns its number and term.
    pub fn wait_leader(&self, group: &str) -> (usize, u64) {
        wait_for(&format!("all nodes agree on a leader of {group}"), || self.leader(group))
    }

    /// The leader of `group` that all running nodes agree on, if they do and it runs.
    pub fn leader(&self, group: &str) -> Option<(usize, u64)> {
        let mut agreed = None;
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            let view = node.try_json(&["group", "show", group])?;
            if view["election"] != "finished" {
                return None;
            }
            let leader = (view["leader"]["address"].as_str()?.to_owned(), view["leader"]["term"].as_u64()?);
            match &agreed {
                None => agreed = Some(leader),
                Some(known) if *known == leader => {}
                Some(_) => return None,
            }
        }
        let (address, term) = agreed?;
        let ip = address.rsplit_once(':').map_or(address.as_str(), |(ip, _)| ip);
        let number = self.nodes.iter().position(|node| node.ip.to_string() == ip && node.child.is_some())?;
        Some((number, term))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if std::thread::panicking() {
                node.print_log();
            }
            node.kill();
        }
        kill_all_of(self.dir.path());
    }
}

impl Node {
    fn new(dir: &Path, number: usize) -> Self {
        Self {
            ip: free_ip(),
            data: dir.join(format!("node{number}")),
            namespace: None,
            environment: Vec::new(),
            http_flags: vec!["--insecure-http"],
            log: dir.join(format!("node{number}.log")),
            child: None,
        }
    }

    /// Starts the supervisor with these arguments and its own addresses and directory.
    pub fn spawn(&mut self, args: &[&str]) {
        match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, SUP]);
                self.spawn_by(&mut command, args);
            }
            None => self.spawn_by(&mut Command::new(SUP), args),
        }
    }

    /// The same, by a command that runs the program with what follows.
    pub fn spawn_by(&mut self, program: &mut Command, args: &[&str]) {
        assert!(self.child.is_none(), "the supervisor on {} runs already", self.ip);
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        let child = program
            .args(args)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .args(["--data-dir".as_ref(), self.data.as_os_str()])
            .args(["--listen-gossip", &self.ip.to_string(), "--listen-http", &format!("{}:9631", self.ip)])
            .args(&self.http_flags)
            // Not in the repository: a plan is only found there by its path.
            .current_dir(self.data.parent().expect("the data is in the test's directory"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("sup starts");
        self.child = Some(child);
    }

    /// The supervisor's process.
    pub fn pid(&self) -> Pid {
        let id = self.child.as_ref().expect("the supervisor runs").id();
        Pid::from_raw(i32::try_from(id).expect("a process id"))
    }

    /// Kills the supervisor by force, if it runs, and waits until it is gone. Its services are left as they are.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is reaped.
            let _already_gone = child.kill();
            child.wait().expect("the supervisor can be reaped");
        }
    }

    /// Kills by force all that runs on this node, as if its machine had lost power.
    pub fn crash(&mut self) {
        self.kill();
        kill_all_of(&self.data);
    }

    /// Sends the supervisor a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the supervisor can be signalled");
    }

    /// Sends a signal to all that runs on this node.
    pub fn signal_all(&self, signal: Signal) {
        self.signal(signal);
        for pid in processes_of(&self.data) {
            // It may have ended meanwhile.
            let _gone = kill(pid, signal);
        }
    }

    /// Asks the supervisor to end, and waits until it has. Returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait_exit()
    }

    /// Waits until the supervisor has ended by itself. Returns its exit code.
    pub fn wait_exit(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the supervisor runs");
        wait_for("the supervisor ends", || child.try_wait().expect("the supervisor can be asked")).code()
    }

    /// Whether it was started, and not ended since.
    pub fn has_supervisor(&self) -> bool {
        self.child.is_some()
    }

    /// Whether the supervisor's process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("the supervisor can be asked").is_none())
    }

    /// Runs `sup ARGS` against this node.
    pub fn sup(&self, args: &[&str]) -> Answer {
        self.sup_with_input(args, "")
    }

    /// Runs `sup ARGS` against this node with this on its standard input.
    pub fn sup_with_input(&self, args: &[&str], input: &str) -> Answer {
        let mut command = Command::new(SUP);
        command.args(args).arg("--data-dir").arg(&self.data);
        run(command.current_dir(self.data.parent().expect("the data is in the test's directory")), input)
    }

    /// Runs `sup ARGS --json` against this node; none if it fails.
    pub fn try_json(&self, args: &[&str]) -> Option<Value> {
        let answer = self.sup(&[args, &["--json"]].concat());
        (answer.code == 0).then(|| serde_json::from_str(&answer.stdout).ok()).flatten()
    }

    /// Runs `sup ARGS --json` against this node.
    pub fn json(&self, args: &[&str]) -> Value {
        let answer = self.sup(&[args, &["--json"]].concat());
        assert_eq!(answer.code, 0, "sup {args:?}: {answer:?}");
        serde_json::from_str(&answer.stdout).expect("--json prints JSON")
    }

    /// How many members this node sees alive.
    pub fn alive_members(&self) -> Option<usize> {
        let members = self.try_json(&["members"])?;
        Some(members["members"].as_array()?.iter().filter(|member| member["state"] == "alive").count())
    }

    /// What this node's own member of `group` looks like, as this node sees it.
    pub fn member(&self, group: &str) -> Option<Value> {
        let view = self.try_json(&["group", "show", group])?;
        let mine = |member: &&Value| {
            member["address"].as_str().is_some_and(|address| address.starts_with(&format!("{}:", self.ip)))
        };
        view["members"].as_array()?.iter().find(mine).cloned()
    }

    /// The process id of this node's service.
    pub fn service_pid(&self, group: &str) -> Option<i32> {
        self.member(group)?["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
    }

    /// Waits until this node's member of `group` is up and its check says ok.
    pub fn wait_healthy(&self, group: &str) {
        wait_until(&format!("{group} is up and ok on {}", self.ip), || {
            self.member(group).is_some_and(|member| member["state"] == "up" && member["health"] == "ok")
        });
    }

    /// What the supervisor wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn print_log(&self) {
        eprintln!("--- log of {} ---\n{}", self.ip, self.log());
    }
}

/// Runs a command with this on its standard input.
pub fn run(command: &mut Command, input: &str) -> Answer {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // A command that refuses its arguments does not read its input.
        let _not_read = stdin.write_all(input.as_bytes());
    }
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the command ends");
    Answer {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Whether a process is there and not a zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

/// Kills whatever still has something of `dir` open, in its command line, or as its directory: shims, which stay until
/// somebody asks how their service ended, and services with all that they started.
fn kill_all_of(dir: &Path) {
    // What was started in the meantime is found the next time.
    while processes_of(dir).into_iter().filter(|pid| kill(*pid, Signal::SIGKILL).is_ok()).count() > 0 {
        std::thread::park_timeout(PACE);
    }
}

fn processes_of(dir: &Path) -> Vec<Pid> {
    let marker = dir.to_string_lossy().into_owned();
    let is_marked = |text: &[u8]| String::from_utf8_lossy(text).contains(&marker);
    let leads_there = |link: &Path| std::fs::read_link(link).is_ok_and(|to| is_marked(to.as_os_str().as_bytes()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if pid == Pid::this().as_raw() || !is_alive(pid) {
            continue;
        }
        let mut files = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let is_of_dir = std::fs::read(entry.path().join("cmdline")).is_ok_and(|command| is_marked(&command))
            || leads_there(&entry.path().join("cwd"))
            || files.any(|file| leads_there(&file.path()));
        if is_of_dir {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}
