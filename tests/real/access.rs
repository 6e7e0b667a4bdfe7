//! Who may ask a supervisor for what: by the local socket, by HTTP, with tokens and with certificates.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use crate::harness::{Answer, Node, Ring, SUP, run, wait_for, wait_until};
use crate::http;
use crate::netns::Hosts;

/// What takes the role operate, and is not there.
const CONFIG: &str = "/v1/groups/none.default/config";

/// Status and head of the answer to a `GET` with a token.
fn get(ip: Ipv4Addr, path: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(SocketAddr::from((ip, 9631))).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n{authorization}Connection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

fn status(node: &Node, path: &str, token: Option<&str>) -> u16 {
    get(node.ip, path, token).0
}

/// A ring whose HTTP asks for tokens.
fn guarded(count: usize) -> Ring {
    let mut ring = Ring::new(count);
    ring.nodes.iter_mut().for_each(|node| node.http_flags.clear());
    ring
}

/// A new token, and its id.
fn new_token(node: &Node, role: &str) -> (String, String) {
    let answer = node.sup(&["token", "new", "--role", role, "--name", "of a test", "--expires", "1h"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let token = answer.stdout.trim().to_owned();
    let id = token.split('_').nth(1).expect("sup_ID_SECRET").to_owned();
    (token, id)
}

/// All files below a directory that have these bytes.
fn files_with(dir: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_with(&path, needle)),
            Ok(kind) if kind.is_file() => {
                // What is gone meanwhile has nothing.
                let bytes = fs::read(&path).unwrap_or_default();
                if bytes.windows(needle.len()).any(|part| part == needle.as_bytes()) {
                    found.push(path);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    found
}

#[test]
fn a_token_made_on_one_node_is_taken_by_all_until_any_of_them_revokes_it_and_is_nowhere_to_be_read() {
    let mut ring = guarded(2);
    ring.run();
    let (made, other) = (&ring.nodes[0], &ring.nodes[1]);
    let (operate, id) = new_token(made, "operate");
    let (read, _) = new_token(made, "read");
    assert_eq!(status(made, CONFIG, Some(&operate)), 404, "it is let in at once, and there is no such group");
    wait_until("the other node has heard of the tokens", || {
        status(other, CONFIG, Some(&operate)) == 404 && status(other, CONFIG, Some(&read)) == 403
    });
    assert_eq!(status(other, "/v1/members", Some(&read)), 200);
    assert_eq!(status(other, "/v1/members", None), 200, "from this machine");
    assert_eq!(status(other, CONFIG, None), 403);

    let secret = operate.rsplit('_').next().expect("a secret");
    let wrong = operate.replace(&secret[..8], "00000000");
    for _ in 0..3 {
        let (status, answer) = get(other.ip, "/v1/members", Some(&wrong));
        assert_eq!(status, 401, "{answer}");
        assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
    }
    let metrics = get(other.ip, "/metrics", None).1;
    assert!(metrics.contains("sup_api_refused_total{reason=\"wrong-token\"}"), "{metrics}");
    assert_eq!(other.log().matches("a request was refused").count(), 1, "once a minute");

    for node in &ring.nodes {
        for command in
            [&["token", "list"][..], &["token", "list", "--json"], &["status", "--json"], &["members", "--json"]]
        {
            let answer = node.sup(command);
            assert!(!answer.stdout.contains(secret) && !answer.stderr.contains(secret), "{command:?}: {answer:?}");
        }
    }
    assert_eq!(files_with(ring.dir(), secret), Vec::<PathBuf>::new(), "logs and data directories");
    assert!(!files_with(ring.dir(), &id).is_empty(), "what is searched has what is there");

    let revoked = other.sup(&["token", "revoke", &id]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert_eq!(status(other, CONFIG, Some(&operate)), 401);
    let began = Instant::now();
    wait_until("the node that made it has heard that it is revoked", || status(made, CONFIG, Some(&operate)) == 401);
    eprintln!("revoked elsewhere after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(made.sup(&["token", "revoke", &id]).code, 1);
    assert_eq!(status(made, CONFIG, Some(&read)), 403, "the other token is as it was");
}

#[test]
fn a_token_outlives_a_restart_of_every_node() {
    let mut ring = guarded(1);
    ring.run();
    let (token, _) = new_token(&ring.nodes[0], "operate");
    ring.nodes[0].kill();
    ring.run();
    assert_eq!(status(&ring.nodes[0], CONFIG, Some(&token)), 404);
}

#[test]
fn another_user_is_refused_at_the_local_socket_even_where_the_file_lets_it_in() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: it takes root to be another user");
        return;
    }
    let mut ring = guarded(1);
    ring.run();
    let node = &ring.nodes[0];
    // A copy that everybody may run, wherever the repository is.
    let program = ring.dir().join("sup");
    fs::copy(SUP, &program).expect("a copy of sup");
    let socket = node.data.join("sup.sock");
    assert_eq!(fs::metadata(&socket).expect("the socket").permissions().mode() & 0o777, 0o600);
    let as_nobody = || {
        let mut command = Command::new("runuser");
        command.args(["-u", "nobody", "--"]).arg(&program).arg("members").arg("--socket").arg(&socket);
        run(command.current_dir("/"), "")
    };
    assert_eq!(as_nobody().code, 4, "the file keeps it out: {:?}", as_nobody());
    fs::set_permissions(&node.data, Permissions::from_mode(0o755)).expect("its mode is set");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("its mode is set");
    let answer = as_nobody();
    assert_eq!(answer.code, 4, "{answer:?}");
    assert!(answer.stderr.contains("root") && answer.stderr.contains("user 0"), "{answer:?}");
    assert_eq!(node.sup(&["members"]).code, 0);
}

#[test]
fn beyond_this_machine_everything_but_health_takes_a_token() {
    let Some(mut hosts) = Hosts::new(1) else { return };
    hosts.ring.nodes[0].http_flags.clear();
    hosts.ring.run();
    let node = &hosts.ring.nodes[0];
    assert_eq!(status(node, "/healthz", None), 200);
    for path in ["/metrics", "/v1/members", "/v1/nothing", CONFIG] {
        let answer = http::get((node.ip, 9631), path).expect("it answers");
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert_eq!(answer.json()["type"], "urn:sup:problem:unauthorized", "{path}");
    }
    let (token, _) = new_token(node, "read");
    assert_eq!(status(node, "/metrics", Some(&token)), 200);
    assert_eq!(status(node, CONFIG, Some(&token)), 403);
    assert!(node.log().contains("in clear text: tokens can be read on the way"), "{}", node.log());

    let server = format!("http://{}:9631", node.ip);
    let without = from(&server, &["members"], None, &[]);
    assert_eq!(without.code, 4, "{without:?}");
    assert!(without.stderr.contains("takes a token") && without.stderr.contains("SUP_TOKEN"), "{without:?}");
    assert_eq!(from(&server, &["members"], Some(&token), &[]).code, 0);
    let low = from(&server, &["shutdown"], Some(&token), &[]);
    assert_eq!(low.code, 4, "{low:?}");
    assert!(low.stderr.contains("the role admin"), "{low:?}");
}

/// `sup ARGS` against a server.
fn from(server: &str, args: &[&str], token: Option<&str>, flags: &[&str]) -> Answer {
    let mut command = Command::new(SUP);
    command.args(args).args(["--server", server]).args(flags);
    if let Some(token) = token {
        command.env("SUP_TOKEN", token);
    }
    run(&mut command, "")
}

/// Authorities and certificates, made by openssl.
struct Made<'a>(&'a Path);

impl Made<'_> {
    fn openssl(&self, args: &str) {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(self.0).output().expect("openssl runs");
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out \
             {name}.pem"
        ));
    }

    fn sign(&self, authority: &str, name: &str, ip: Ipv4Addr) {
        let extensions =
            format!("basicConstraints=CA:FALSE\nsubjectAltName=IP:{ip}\nextendedKeyUsage=serverAuth,clientAuth\n");
        fs::write(self.0.join("extensions"), extensions).expect("a file");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile extensions \
             -out {name}.pem"
        ));
        fs::set_permissions(self.0.join(format!("{name}.key")), Permissions::from_mode(0o600)).expect("its mode");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain name").to_owned()
    }
}

#[test]
fn a_supervisor_that_is_served_by_tls_takes_tokens_and_certificates_by_its_authority_only() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no openssl on this machine");
        return;
    }
    let mut ring = guarded(1);
    let ip = ring.nodes[0].ip;
    let dir = ring.dir().to_owned();
    let made = Made(&dir);
    for authority in ["ca", "clients", "other"] {
        made.authority(authority);
    }
    for (authority, name) in [("ca", "server"), ("clients", "operator"), ("other", "stranger")] {
        made.sign(authority, name, ip);
    }
    let files = [made.path("server.pem"), made.path("server.key"), made.path("clients.pem")];
    let tls = ["--tls-cert", &files[0], "--tls-key", &files[1], "--tls-client-ca", &files[2]];

    fs::set_permissions(&files[1], Permissions::from_mode(0o644)).expect("its mode is set");
    ring.spawn(0, &[&["run"], &tls[..]].concat());
    assert_eq!(ring.nodes[0].wait_exit(), Some(1));
    assert!(ring.nodes[0].log().contains("chmod 600"), "{}", ring.nodes[0].log());

    fs::set_permissions(&files[1], Permissions::from_mode(0o600)).expect("its mode is set");
    ring.spawn(0, &[&["run"], &tls[..]].concat());
    ring.wait_whole();
    let node = &ring.nodes[0];
    let server = format!("https://{ip}:9631");
    let (ca, other) = (made.path("ca.pem"), made.path("other.pem"));
    let trusting = ["--tls-ca", ca.as_str()];
    let config = ["config", "show", "none.default"];
    let ask = |token: Option<&str>, flags: &[&str]| from(&server, &config, token, flags);

    assert_eq!(from(&server, &["members"], None, &trusting).code, 0, "from this machine, to look");
    let refused = ask(None, &trusting);
    assert_eq!(refused.code, 4, "{refused:?}");
    let (token, _) = new_token(node, "operate");
    let taken = ask(Some(&token), &trusting);
    assert!(taken.code == 1 && taken.stderr.contains("none.default"), "it is let in: {taken:?}");
    let (certificate, key) = (made.path("operator.pem"), made.path("operator.key"));
    let showing = [&trusting[..], &["--tls-client-cert", &certificate, "--tls-client-key", &key]].concat();
    let taken = ask(None, &showing);
    assert!(taken.code == 1 && taken.stderr.contains("none.default"), "it is let in: {taken:?}");
    let (certificate, key) = (made.path("stranger.pem"), made.path("stranger.key"));
    let stranger = [&trusting[..], &["--tls-client-cert", &certificate, "--tls-client-key", &key]].concat();
    let refused = ask(None, &stranger);
    assert!(refused.code == 1 && refused.stderr.contains("--tls-client-ca"), "{refused:?}");
    let untrusted = ask(Some(&token), &["--tls-ca", &other]);
    assert!(untrusted.code == 1 && untrusted.stderr.contains("--tls-ca"), "{untrusted:?}");
    let secret = token.rsplit('_').next().expect("a secret");
    for answer in [refused, untrusted] {
        assert!(!answer.stderr.contains(secret), "{answer:?}");
    }

    // Another certificate, by another authority, while it runs.
    made.sign("other", "server", ip);
    wait_for("the new certificate is served", || {
        (from(&server, &["members"], None, &["--tls-ca", &other]).code == 0).then_some(())
    });
}
