//! The shim with real processes.

use std::collections::BTreeMap;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use nix::sys::signal::{Signal as Unix, kill, killpg};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use sup::base::Mono;
use sup::shim::log::{Follow, Query, tail};
use sup::shim::spec::SPEC_BYTES;
use sup::shim::{
    Client, ClientError, ExitHow, Failure, LaunchError, LaunchSpec, Limit, LogSpec, Privileges, Resource, Signal,
    SpecError, State, StopSpec, StoppedBy,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const SUP: &str = env!("CARGO_BIN_EXE_sup");
/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service's directories. When it is dropped, its shim is killed, and so is all that it holds.
struct Place {
    dir: TempDir,
    spec: LaunchSpec,
}

impl Place {
    /// For a shell script.
    fn new(script: &str) -> Self {
        Self::of(&["/bin/sh", "-c", script])
    }

    fn of(argv: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = LaunchSpec {
            service: "test.default".parse().unwrap(),
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
            cwd: dir.path().to_owned(),
            credentials: None,
            limits: BTreeMap::new(),
            umask: 0o022,
            privileges: Privileges::MayGain,
            log: LogSpec { dir: dir.path().join("log"), max_bytes: 1 << 20, keep: 3 },
            stop: StopSpec::default(),
            socket: dir.path().join("shim.sock"),
            state_dir: dir.path().to_owned(),
            lease: None,
        };
        Self { dir, spec }
    }

    async fn launch(&self) -> Client {
        Client::launch_with(Path::new(SUP), &self.spec).await.unwrap()
    }

    async fn refused(&self) -> Failure {
        match Client::launch_with(Path::new(SUP), &self.spec).await {
            Err(LaunchError::Failed(failure)) => failure,
            other => panic!("this was to be refused: {other:?}"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> Vec<String> {
        let lines = tail(&self.spec.log.dir, Query { lines: 10_000, since: None }).unwrap();
        lines.into_iter().map(|line| format!("{} {}", line.stream, line.text)).collect()
    }

    async fn line(&self, text: &str) {
        until(text, async || self.log().iter().any(|line| line == text)).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let trace = fs::read_to_string(self.spec.socket.with_extension("process.json")).unwrap_or_default();
        let Ok(trace) = serde_json::from_str::<serde_json::Value>(&trace) else { return };
        let pid = |key: &str| trace[key].as_i64().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        if let (Some(group), Some(shim)) = (pid("pid"), pid("shim_pid")) {
            kill(shim, Unix::SIGSTOP).ok();
            killpg(group, Unix::SIGKILL).ok();
            kill(shim, Unix::SIGKILL).ok();
        }
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("took too long")
}

fn now() -> Mono {
    Mono(0) + Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap())
}

/// Neither runs nor waits to be collected.
fn is_gone(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

fn pid_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn unix(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap())
}

#[tokio::test]
async fn a_process_runs_in_its_own_environment_and_its_end_is_told() {
    let place = Place::new("echo $GREETING $HOME $(pwd) $(umask); echo oops >&2; cat; exit 7");
    let client = place.launch().await;
    let exit = soon(client.wait()).await;
    assert_eq!((exit.how, exit.stopped_by), (ExitHow::Code(7), StoppedBy::Itself));
    let log = place.log();
    assert_eq!(log[0], format!("sup process {} started", client.pid()));
    let said = format!("out hello {} 0022", place.dir.path().display());
    assert!(log.contains(&said) && log.contains(&"err oops".to_owned()), "{log:?}");
    assert_eq!(log[3], format!("sup process {}: exited with status 7", client.pid()));
    let written: sup::shim::Exit = serde_json::from_slice(&fs::read(place.path("exit.json")).unwrap()).unwrap();
    assert_eq!(written, exit);
}

#[tokio::test]
async fn a_launch_takes_less_than_a_blink() {
    let mut took = Vec::new();
    for _ in 0..10 {
        let place = Place::of(&["sleep", "1000"]);
        let start = Instant::now();
        place.launch().await;
        took.push(start.elapsed());
    }
    took.sort();
    // The aim is 20 ms of a release build; a debug build on a loaded machine is given more.
    assert!(took[took.len() / 2] < Duration::from_millis(200), "{took:?}");
}

#[tokio::test]
async fn the_exit_waits_for_whoever_comes_and_the_shim_leaves_once_it_is_forgotten() {
    let place = Place::new("exit 3");
    let client = place.launch().await;
    soon(client.wait()).await;
    let later = Client::adopt(&place.spec.socket).await.unwrap().expect("the shim left too early");
    assert_eq!(soon(later.wait()).await.how, ExitHow::Code(3));
    assert!(matches!(later.status().await.unwrap().state, State::Exited(_)));
    later.forget().await.unwrap();
    until("the shim leaves", async || is_gone(client.shim_pid())).await;
    assert!(Client::adopt(&place.spec.socket).await.unwrap().is_none());
    assert!(!place.spec.socket.exists());
}

#[tokio::test]
async fn a_stop_is_the_signal_asked_for_and_to_the_whole_group() {
    let place = Place::new(
        "trap 'echo bye; exit 0' INT; sh -c 'trap \"echo child; exit\" INT; echo up; while :; do sleep 0.02; done' & while :; do sleep 0.02; done",
    );
    let client = place.launch().await;
    place.line("out up").await;
    client.stop(&StopSpec { signal: Signal::INT, timeout: PATIENCE }).await.unwrap();
    let exit = soon(client.wait()).await;
    assert_eq!((exit.how, exit.stopped_by), (ExitHow::Code(0), StoppedBy::Asked));
    assert!(place.log().contains(&"out bye".to_owned()), "{:?}", place.log());
}

#[tokio::test]
async fn a_process_that_will_not_stop_is_killed_when_its_time_is_up() {
    let place = Place::new("trap '' TERM; echo up; while :; do sleep 0.02; done");
    let client = place.launch().await;
    place.line("out up").await;
    let start = Instant::now();
    let timeout = Duration::from_millis(300);
    client.stop(&StopSpec { signal: Signal::TERM, timeout }).await.unwrap();
    assert_eq!(client.status().await.unwrap().state, State::Stopping);
    let exit = soon(client.wait()).await;
    assert_eq!((exit.how, exit.stopped_by), (ExitHow::Signal(9), StoppedBy::Asked));
    assert!(start.elapsed() >= timeout);
    assert!(place.log().contains(&"sup it did not stop in time and is killed".to_owned()));
}

#[tokio::test]
async fn a_halted_process_can_be_stopped() {
    let place = Place::of(&["sleep", "1000"]);
    let client = place.launch().await;
    client.signal("STOP".parse().unwrap()).await.unwrap();
    client.stop(&StopSpec { signal: Signal::TERM, timeout: PATIENCE }).await.unwrap();
    assert_eq!(soon(client.wait()).await.how, ExitHow::Signal(15));
}

#[tokio::test]
async fn what_a_process_leaves_behind_dies_before_its_end_is_told() {
    // One in the group, one that fled into a session of its own and lost its parent, with another below it.
    let place = Place::new(
        "sleep 1000 & echo $! > one; setsid sh -c 'echo $$ > two; sleep 1000 & echo $! > three; wait' & \
         while ! [ -s three ]; do sleep 0.01; done; exit 0",
    );
    let client = place.launch().await;
    assert_eq!(soon(client.wait()).await.how, ExitHow::Code(0));
    for name in ["one", "two", "three"] {
        let pid = pid_in(&place.path(name)).unwrap();
        assert!(is_gone(pid), "process {name} was left behind");
    }
}

#[tokio::test]
async fn orphans_are_reaped_while_the_process_runs() {
    let place = Place::new("(sh -c 'echo $$ > orphan' &); sleep 1000");
    place.launch().await;
    until("the orphan is collected", async || {
        pid_in(&place.path("orphan")).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_nobody_renews_kills_the_whole_group() {
    let mut place = Place::new("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; sleep 1000' & sleep 1000");
    let until = now() + Duration::from_millis(500);
    place.spec.lease = Some(until);
    let client = place.launch().await;
    assert_eq!(client.status().await.unwrap().lease, Some(until));
    let exit = soon(client.wait()).await;
    let late = now().since(until);
    assert_eq!((exit.how, exit.stopped_by), (ExitHow::Signal(9), StoppedBy::Lease));
    assert!(now() >= until && late < Duration::from_secs(2), "{late:?} late");
    assert!(pid_in(&place.path("child")).is_none_or(is_gone));
    assert!(matches!(client.lease(None).await, Err(ClientError::Refused(_))));
}

#[tokio::test]
async fn a_lease_that_is_renewed_or_lifted_kills_nobody() {
    let mut place = Place::of(&["sleep", "1000"]);
    let first = now() + Duration::from_millis(600);
    place.spec.lease = Some(first);
    let client = place.launch().await;
    let mut end = first;
    while now() < first + Duration::from_millis(300) {
        end = now() + Duration::from_millis(600);
        client.lease(Some(end)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.lease(None).await.unwrap();
    until("the last lease would be over", async || now() > end).await;
    assert_eq!(client.status().await.unwrap().state, State::Running);
    assert_eq!(client.status().await.unwrap().lease, None);
}

#[tokio::test]
async fn a_lease_kills_even_when_the_shims_loop_is_held_up() {
    // A log that leads into a pipe nobody reads: the loop hangs in its write, as it would on a disk that hangs.
    let mut place = Place::new("while :; do echo 'a line of some length to fill the pipe'; done");
    fs::create_dir(&place.spec.log.dir).unwrap();
    nix::unistd::mkfifo(&place.spec.log.dir.join("current.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _reader = fs::File::options().read(true).write(true).open(place.spec.log.dir.join("current.log")).unwrap();
    let end = now() + Duration::from_millis(500);
    place.spec.lease = Some(end);
    let client = place.launch().await;
    until("the lease is over", async || now() > end).await;
    until("the process is dead", async || is_gone(client.pid())).await;
}

#[tokio::test]
async fn a_lease_that_is_over_starts_nothing() {
    let mut place = Place::new("touch started");
    place.spec.lease = Some(now());
    assert_eq!(place.refused().await, Failure::LeaseOver);
    assert!(!place.path("started").exists());
}

#[tokio::test]
async fn a_killed_supervisor_leaves_the_process_its_log_and_its_exit_to_the_next() {
    let place = Place::new("n=0; while ! [ -e end ]; do n=$((n+1)); echo $n; sleep 0.02; done; exit 5");
    fs::write(place.path("spec.json"), serde_json::to_vec(&place.spec).unwrap()).unwrap();
    // The supervisor's part: starts a shim, and is there.
    let mut supervisor = Command::new("/bin/sh")
        .args(["-c", "\"$0\" shim test.default < spec.json > report; echo $? > status; exec sleep 1000", SUP])
        .current_dir(place.dir.path())
        .process_group(0)
        .spawn()
        .unwrap();
    let adopted = async || Client::adopt(&place.spec.socket).await.unwrap();
    until("a shim", async || matches!(adopted().await, Some(client) if client.pid() > 0)).await;
    until("the launch", async || place.path("status").exists()).await;
    let before = adopted().await.unwrap();
    place.line("out 3").await;
    killpg(unix(supervisor.id()), Unix::SIGKILL).unwrap();
    supervisor.wait().unwrap();

    let after = adopted().await.expect("the shim died with its supervisor");
    assert_eq!((after.pid(), after.shim_pid()), (before.pid(), before.shim_pid()));
    assert_eq!(after.started_at(), before.started_at());
    let mut follow = Follow::new(&place.spec.log.dir, Query { lines: 1, since: None }).unwrap();
    let mut last: u64 = soon(follow.next()).await.unwrap().text.parse().unwrap();
    for _ in 0..3 {
        let next = soon(follow.next()).await.unwrap().text.parse().unwrap();
        assert_eq!(next, last + 1, "a line of the log is missing");
        last = next;
    }
    fs::write(place.path("end"), "").unwrap();
    assert_eq!(soon(after.wait()).await.how, ExitHow::Code(5));
}

#[tokio::test]
async fn a_killed_shim_takes_its_process_and_all_of_its_group_along() {
    let place = Place::new("sleep 1000 & echo $! > child; wait");
    let client = place.launch().await;
    until("the child", async || pid_in(&place.path("child")).is_some()).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait().await }
    });
    kill(unix(client.shim_pid()), Unix::SIGKILL).unwrap();
    assert_eq!(soon(waiting).await.unwrap().how, ExitHow::Unseen);
    assert!(is_gone(client.pid()) && is_gone(pid_in(&place.path("child")).unwrap()));
}

#[tokio::test]
async fn what_a_killed_shim_left_is_killed_by_the_supervisor_that_looks_for_it() {
    let place = Place::new("sleep 1000 & echo $! > child; wait");
    let client = place.launch().await;
    until("the child", async || pid_in(&place.path("child")).is_some()).await;
    kill(unix(client.shim_pid()), Unix::SIGKILL).unwrap();
    until("the shim is dead", async || is_gone(client.shim_pid())).await;
    assert!(Client::adopt(&place.spec.socket).await.unwrap().is_none());
    assert!(is_gone(client.pid()) && is_gone(pid_in(&place.path("child")).unwrap()));
    // And its socket, lock and trace are in nobody's way.
    assert_eq!(place.launch().await.status().await.unwrap().state, State::Running);
}

#[tokio::test]
async fn a_shim_that_is_told_to_terminate_stops_its_process_and_leaves() {
    let place = Place::new("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    let client = place.launch().await;
    place.line("out up").await;
    kill(unix(client.shim_pid()), Unix::SIGTERM).unwrap();
    until("the shim leaves", async || is_gone(client.shim_pid())).await;
    assert!(place.log().contains(&"out bye".to_owned()));
    assert!(is_gone(client.pid()));
}

#[tokio::test]
async fn a_second_shim_for_the_same_service_is_refused() {
    let place = Place::of(&["sleep", "1000"]);
    let client = place.launch().await;
    assert_eq!(place.refused().await, Failure::Occupied(place.path("shim.lock")));
    assert_eq!(client.status().await.unwrap().state, State::Running);
}

#[tokio::test]
async fn what_cannot_be_executed_is_said_exactly() {
    let mut place = Place::of(&["redis-serverx", "--port", "1"]);
    place.spec.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    assert_eq!(place.refused().await.to_string(), "redis-serverx: not found in PATH (/usr/bin:/bin)");

    for (name, content, mode, says) in [
        ("plain", "", 0o644, "./plain: Permission denied (os error 13)"),
        ("script", "#!/no/such\n", 0o755, "./script: its interpreter /no/such does not exist (see its first line)"),
    ] {
        let place = Place::of(&[&format!("./{name}")]);
        fs::write(place.path(name), content).unwrap();
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(place.refused().await.to_string(), says);
        assert!(!place.spec.socket.exists(), "a socket was left behind");
    }
    let missing = Place::of(&["./missing"]);
    assert_eq!(missing.refused().await.to_string(), "./missing: No such file or directory (os error 2)");
    assert_eq!(Place::of(&["/tmp"]).refused().await.to_string(), "/tmp: a directory, not a program");
}

#[tokio::test]
async fn a_step_before_the_program_that_fails_is_named() {
    let mut place = Place::of(&["sleep", "1"]);
    place.spec.cwd = place.path("nowhere");
    let says =
        format!("cannot change to directory {}: No such file or directory (os error 2)", place.spec.cwd.display());
    assert_eq!(place.refused().await.to_string(), says);

    let mut place = Place::of(&["sleep", "1"]);
    let limit = Limit { soft: Some(20), hard: Some(10) };
    place.spec.limits.insert(Resource::OpenFiles, limit);
    assert!(place.refused().await.to_string().starts_with("cannot limit OpenFiles to 20"));
}

#[tokio::test]
async fn limits_privileges_and_users_are_set() {
    let mut place = Place::new("ulimit -n; ulimit -c; grep -E 'NoNewPrivs|^Groups|^Uid|^Gid' /proc/self/status");
    place.spec.limits.insert(Resource::OpenFiles, Limit { soft: Some(77), hard: Some(77) });
    place.spec.limits.insert(Resource::Core, Limit { soft: Some(0), hard: None });
    place.spec.privileges = Privileges::Fixed;
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        // Not the one who made the directory.
        fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        place.spec.credentials = Some(sup::shim::Credentials { uid: 65534, gid: 65533, groups: vec![4, 5] });
    }
    let client = place.launch().await;
    assert_eq!(soon(client.wait()).await.how, ExitHow::Code(0));
    let log = place.log();
    let mut expected = vec!["out 77", "out 0", "out NoNewPrivs:\t1"];
    if is_root {
        expected.extend(["out Uid:\t65534\t65534\t65534\t65534", "out Gid:\t65533\t65533\t65533\t65533"]);
        expected.push("out Groups:\t4 5 ");
    }
    for line in expected {
        assert!(log.iter().any(|said| said == line), "{line:?} is missing in {log:?}");
    }
}

#[tokio::test]
async fn a_flood_of_output_is_logged_rotated_and_does_not_keep_the_shim_from_answering() {
    let mut place = Place::new("yes 0123456789012345678901234567890123456789 | head -n 200000; echo end");
    place.spec.log = LogSpec { dir: place.path("log"), max_bytes: 1 << 20, keep: 2 };
    let client = place.launch().await;
    let start = Instant::now();
    client.status().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(3));
    soon(client.wait()).await;
    let log = place.log();
    assert_eq!(log[log.len() - 2], "out end");
    for name in ["current.log", "current.log.1", "current.log.2"] {
        assert!(fs::metadata(place.spec.log.dir.join(name)).unwrap().len() <= 1 << 20);
    }
    assert!(!place.spec.log.dir.join("current.log.3").exists());
    assert_eq!(client.status().await.unwrap().lines_lost, 0);
}

#[tokio::test]
async fn a_full_disk_neither_stops_the_process_nor_its_shim() {
    let place = Place::new("n=0; while [ $n -lt 5000 ]; do n=$((n+1)); echo some line of text; done; exit 4");
    fs::create_dir(&place.spec.log.dir).unwrap();
    std::os::unix::fs::symlink("/dev/full", place.spec.log.dir.join("current.log")).unwrap();
    let client = place.launch().await;
    assert_eq!(soon(client.wait()).await.how, ExitHow::Code(4));
    assert!(client.status().await.unwrap().lines_lost >= 5000);
}

#[tokio::test]
async fn garbage_on_the_socket_ends_the_connection_and_nothing_else() {
    let place = Place::of(&["sleep", "1000"]);
    let client = place.launch().await;
    let mut too_long = (16 * 1024 + 1_u32).to_be_bytes().to_vec();
    too_long.extend_from_slice(b"x");
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 100_000], b"\0\0\0\x03{{{".to_vec(), too_long] {
        let mut stream = UnixStream::connect(&place.spec.socket).await.unwrap();
        // It may be closed before all was written.
        stream.write_all(&garbage).await.ok();
        let end = soon(stream.read(&mut [0; 10])).await;
        assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    }
    assert_eq!(client.status().await.unwrap().state, State::Running);
}

#[tokio::test]
async fn a_request_of_a_later_version_is_refused_and_the_connection_goes_on() {
    let place = Place::of(&["sleep", "1000"]);
    place.launch().await;
    let mut stream = UnixStream::connect(&place.spec.socket).await.unwrap();
    for (request, answer) in [("\"levitate\"", "{\"refused\":"), ("\"status\"", "{\"status\":")] {
        stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let length = soon(stream.read_u32()).await.unwrap() as usize;
        let mut body = vec![0; length];
        soon(stream.read_exact(&mut body)).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(body.starts_with(answer), "{body}");
    }
}

#[tokio::test]
async fn connections_that_nobody_closes_lock_nobody_out() {
    let place = Place::of(&["sleep", "1000"]);
    let client = place.launch().await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait().await }
    });
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(UnixStream::connect(&place.spec.socket).await.unwrap());
        client.status().await.unwrap();
    }
    client.kill().await.unwrap();
    assert_eq!(soon(waiting).await.unwrap().how, ExitHow::Signal(9));
}

#[tokio::test]
async fn a_socket_is_private_and_its_path_may_be_long() {
    let mut place = Place::of(&["sleep", "1000"]);
    let deep = place.path(&"d".repeat(150));
    fs::create_dir(&deep).unwrap();
    place.spec.socket = deep.join("shim.sock");
    let client = place.launch().await;
    assert_eq!(fs::metadata(&place.spec.socket).unwrap().permissions().mode() & 0o777, 0o600);
    let adopted = Client::adopt(&place.spec.socket).await.unwrap().unwrap();
    assert_eq!(adopted.pid(), client.pid());
    client.kill().await.unwrap();
    soon(adopted.wait()).await;
}

#[tokio::test]
async fn a_shim_is_small() {
    let place = Place::new("yes | head -n 100000; echo end; sleep 1000");
    let client = place.launch().await;
    place.line("out end").await;
    let status = fs::read_to_string(format!("/proc/{}/status", client.shim_pid())).unwrap();
    let kib = |key: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // Memory of its own; what is mapped from the binary's file is shared by all shims, and large in a debug build.
    assert!(kib("RssAnon:") < 3 * 1024, "{} KiB", kib("RssAnon:"));
}

#[tokio::test]
async fn files_that_the_supervisor_inherited_are_not_passed_on() {
    let place = Place::new("ls /proc/$$/fd; sleep 1000");
    fs::write(place.path("spec.json"), serde_json::to_vec(&place.spec).unwrap()).unwrap();
    let status = Command::new("/bin/sh")
        .args(["-c", "exec 8>leak; exec \"$0\" shim < spec.json > report", SUP])
        .current_dir(place.dir.path())
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    until("a shim", async || matches!(Client::adopt(&place.spec.socket).await, Ok(Some(_)))).await;
    place.line("out 2").await;
    let client = Client::adopt(&place.spec.socket).await.unwrap().unwrap();
    for pid in [client.pid(), client.shim_pid()] {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
            assert!(!target.ends_with("leak"), "the file stays open in {pid}");
        }
    }
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored_for_the_process() {
    let place = Place::of(&["grep", "-E", "^SigBlk|^SigIgn", "/proc/self/status"]);
    fs::write(place.path("spec.json"), serde_json::to_vec(&place.spec).unwrap()).unwrap();
    // A supervisor that was started by nohup, or by a shell without job control, ignores some.
    let script = "trap '' HUP INT QUIT USR1; exec \"$0\" shim < spec.json > report";
    let mut command = Command::new("/bin/sh");
    let status = command.args(["-c", script, SUP]).current_dir(place.dir.path()).status().unwrap();
    assert!(status.success());
    place.line("out SigBlk:\t0000000000000000").await;
    let log = place.log();
    let ignored = log.iter().find_map(|line| line.strip_prefix("out SigIgn:\t")).unwrap();
    // Those above 31 are the C library's own.
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff, 0, "{ignored}");
}

#[tokio::test]
async fn a_spec_is_taken_at_the_limit_and_refused_one_beyond() {
    let mut place = Place::new("echo ${#LAST}");
    let length = |place: &Place| serde_json::to_vec(&place.spec).unwrap().len();
    for name in ["A", "B", "LAST"] {
        // Linux takes no single variable beyond 128 KiB.
        let room = SPEC_BYTES - length(&place) - format!(",\"{name}\":\"\"").len();
        place.spec.env.insert(name.to_owned(), "x".repeat(room.min(100_000)));
    }
    assert_eq!(length(&place), SPEC_BYTES);
    let client = place.launch().await;
    assert_eq!(soon(client.wait()).await.how, ExitHow::Code(0));
    client.forget().await.unwrap();

    place.spec.argv[2].push(' ');
    let refused = Client::launch_with(Path::new(SUP), &place.spec).await;
    assert!(matches!(refused, Err(LaunchError::Spec(SpecError::TooLarge(length))) if length == SPEC_BYTES + 1));
}
