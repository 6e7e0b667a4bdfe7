//! The demo service, over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

struct Demo {
    child: Child,
    dir: TempDir,
    port: u16,
}

fn config(dir: &TempDir, port: u16, rest: &str) -> PathBuf {
    let path = dir.path().join("demo.toml");
    fs::write(&path, format!("node = 'a'\nip = '127.0.0.1'\nport = {port}\n{rest}")).unwrap();
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn command(config: &PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sup"));
    command.args(["demo-service", "--config"]).arg(config);
    command
}

impl Demo {
    fn start(rest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Somebody else may take the port before the demo does.
        for _ in 0..5 {
            let port = free_port();
            let child = command(&config(&dir, port, rest)).stdout(Stdio::null()).spawn().unwrap();
            let mut demo = Self { child, dir: tempfile::tempdir().unwrap(), port };
            let start = Instant::now();
            while start.elapsed() < PATIENCE && demo.child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    demo.dir = dir;
                    return demo;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("the demo service did not start");
    }

    /// The status and the body; 0 if there was no answer.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).is_err() || answer.is_empty() {
            return (0, String::new());
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn hang_up(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGHUP).unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn it_answers_with_what_its_config_says_and_reads_it_again_when_told() {
    let demo = Demo::start("role = 'leader'\nterm = 3\nmessage = 'hello'\ncolour = 'blue'");
    let (status, body) = demo.ask("GET", "/");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!((&answer["node"], &answer["role"], &answer["term"]), (&"a".into(), &"leader".into(), &3.into()));
    assert_eq!((&answer["message"], &answer["config"]["colour"]), (&"hello".into(), &"blue".into()));

    config(&demo.dir, demo.port, "role = 'follower'\nterm = 4");
    demo.hang_up();
    demo.until("the new config", || demo.ask("GET", "/config").1.contains("follower"));

    fs::write(demo.dir.path().join("demo.toml"), "no toml").unwrap();
    demo.hang_up();
    config(&demo.dir, demo.port, "role = 'follower'\nterm = 5");
    demo.hang_up();
    demo.until("the config after the bad one", || demo.ask("GET", "/").1.contains("\"term\":5"));
}

#[test]
fn its_health_fails_when_told_and_when_configured() {
    let demo = Demo::start("");
    assert_eq!(demo.ask("GET", "/health").0, 200);
    assert_eq!(demo.ask("POST", "/fail").0, 204);
    assert_eq!(demo.ask("GET", "/health").0, 503);
    assert_eq!(demo.ask("POST", "/recover").0, 204);
    assert_eq!(demo.ask("GET", "/health").0, 200);
    assert_eq!(Demo::start("fail_health = true").ask("GET", "/health").0, 503);
}

#[test]
fn it_crashes_when_told() {
    let mut demo = Demo::start("");
    demo.ask("POST", "/crash");
    assert_eq!(demo.child.wait().unwrap().code(), Some(1));
}

#[test]
fn it_stops_when_asked() {
    let mut demo = Demo::start("");
    kill(Pid::from_raw(i32::try_from(demo.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_connection_that_is_kept_open_does_not_keep_it_from_stopping() {
    let mut demo = Demo::start("version = '1.1.0'");
    let mut stream = TcpStream::connect(("127.0.0.1", demo.port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: demo\r\n\r\n").unwrap();
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).contains("\"version\":\"1.1.0\""));
    kill(Pid::from_raw(i32::try_from(demo.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    assert_eq!(stream.read(&mut answer).unwrap(), 0);
}

#[test]
fn a_port_in_use_and_a_bad_config_are_said_exactly() {
    let says = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = says(command(&config(&dir, address.port(), "")).output().unwrap());
    assert_eq!(error, format!("demo-service: cannot listen on {address}: Address already in use (os error 98)\n"));
    let error = says(command(&config(&dir, 1, "role = 'king'")).output().unwrap());
    assert!(error.contains("demo.toml") && error.contains("line 4") && error.contains("king"), "{error}");
    let error = says(command(&dir.path().join("none")).output().unwrap());
    assert!(error.contains("none: No such file"), "{error}");
}
