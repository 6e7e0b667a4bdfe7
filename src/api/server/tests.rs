//! Every route, limit and way to fail, over real sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

mod access;

use super::{
    Admission, BindError, CONFIG_BODY_BYTES, JSON_BODY_BYTES, Limits, Openness, SOCKET_PATH_BYTES, bind_unix, serve_tcp,
};
use crate::api::fake::{Fake, Served, invalid_config, redis};
use crate::api::shape::EventKind;
use crate::records::value::Health;

const PATIENCE: Duration = Duration::from_secs(20);

/// An answer: status, lower-case head, body.
struct Raw {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn problem(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().trim_start_matches("urn:sup:problem:").to_owned()
    }
}

/// Speaks HTTP by hand, so that the server is not tested with a client that shares its mistakes.
async fn talk<C: AsyncReadExt + AsyncWriteExt + Unpin>(mut connection: C, head: &str, body: &[u8]) -> Raw {
    let mut request = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(body);
    let mut answer = Vec::new();
    let talk = async {
        // The server may answer and close before it has read a body that is too large.
        connection.write_all(&request).await.ok();
        connection.read_to_end(&mut answer).await.ok();
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("no answer");
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Raw { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

async fn ask(socket: &Path, method: &str, path: &str, body: &[u8]) -> Raw {
    let connection = UnixStream::connect(socket).await.unwrap();
    talk(connection, &format!("{method} {path} HTTP/1.1\r\nhost: localhost"), body).await
}

#[tokio::test]
async fn every_path_that_reads_answers_its_shape() {
    let served = Served::new(Limits::default());
    for (path, pointer, expected) in [
        ("/v1/node", "/started_at", json!("2026-05-01T12:00:00.000Z")),
        ("/v1/members", "/members/2/state", json!("suspect")),
        ("/v1/groups", "/groups/0/group", json!("redis.default")),
        ("/v1/groups/redis.default", "/leader/term", json!(7)),
        ("/v1/groups/redis.default", "/council/version", json!([1, 1])),
        ("/v1/groups/redis.default/members", "/members/1/leader", json!(true)),
        ("/v1/groups/redis.default/rollout", "/members/1/progress", json!("waiting")),
        ("/v1/groups/redis.default/rollout", "/options/batch", json!("1")),
        ("/v1/groups/redis.default/config", "/toml", json!("port = 6379\n")),
        ("/v1/groups/redis.default/config?revision=1-00000000", "/revision", json!("1-00000000")),
        ("/v1/groups/redis.default/config/history", "/revisions/0/status", json!("in-force")),
        ("/v1/services", "/services/0/state", json!("up")),
        ("/v1/services/redis", "/group", json!("redis.default")),
        ("/v1/services/redis/logs?lines=5&follow=false", "/text", json!("Ready to accept connections")),
        ("/v1/explain/redis", "/next", json!("sup group show redis.default")),
        ("/services/redis/default/health", "/output", json!("PONG")),
    ] {
        let answer = ask(&served.socket, "GET", path, b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let body = answer.body.lines().find(|line| line.starts_with('{')).unwrap_or(&answer.body);
        let value: Value = serde_json::from_str(body).unwrap();
        assert_eq!(value.pointer(pointer), Some(&expected), "{path}: {value}");
    }
    let list = ask(&served.socket, "GET", "/v1/groups", b"").await.json();
    assert!(list["groups"][0].get("members").is_none(), "the list of groups carries their members");
}

#[tokio::test]
async fn every_path_that_changes_something_reaches_the_backend() {
    let served = Served::new(Limits::default());
    for (method, path, body, expected) in [
        ("POST", "/v1/services/redis/stop", "", "stop redis Here"),
        ("POST", "/v1/services/redis.default/restart", r#"{"scope":"everywhere"}"#, "restart redis.default Everywhere"),
        ("POST", "/v1/services/redis/unload", r#"{"scope":"here","later":1}"#, "unload redis Here"),
        ("PUT", "/v1/groups/redis.default/desired", r#"{"state":"down"}"#, r#"desired redis.default {"state":"down"}"#),
        (
            "PUT",
            "/v1/groups/redis.default/desired",
            r#"{"release":"redis/7.2/cd","options":{"batch":"25%","on_failure":"rollback"}}"#,
            r#"desired redis.default {"release":"redis/7.2/cd","options":{"batch":"25%","on_failure":"rollback"}}"#,
        ),
        ("POST", "/v1/groups/redis.default/rollout/pause", "", "pause redis.default"),
        ("POST", "/v1/groups/redis.default/rollout/resume", "", "resume redis.default"),
        ("POST", "/v1/groups/redis.default/rollout/retry", "", "retry redis.default"),
        ("POST", "/v1/groups/redis.default/rollout/rollback", "", "rollback redis.default"),
        ("POST", "/v1/groups/redis.default/rollout/abort", "", "abort redis.default"),
        ("PUT", "/v1/releases", "an archive", "release of 10 bytes"),
        (
            "PUT",
            "/v1/groups/redis.default/config?expect=2-1a2b3c4d&unknown-keys=allow",
            "port = 1\n",
            r#"apply redis.default ApplyRequest { toml: "port = 1\n", expect: Some("2-1a2b3c4d"), unknown: Allow }"#,
        ),
        (
            "POST",
            "/v1/groups/redis.default/config/preview?expect=none",
            "port = 1\n",
            r#"preview redis.default ApplyRequest { toml: "port = 1\n", expect: Some("none"), unknown: Refuse }"#,
        ),
        (
            "POST",
            "/v1/groups/redis.default/config/rollback",
            r#"{"revision":"1-00000000"}"#,
            r#"rollback redis.default RollbackRequest { revision: Some("1-00000000"), expect: None }"#,
        ),
        (
            "DELETE",
            "/v1/groups/redis.default/config?expect=x",
            "",
            r#"unset redis.default UnsetRequest { expect: Some("x") }"#,
        ),
        (
            "POST",
            "/v1/tokens",
            r#"{"role":"read"}"#,
            r#"new token TokenRequest { role: Read, name: "", expires_in_ms: None }"#,
        ),
        ("DELETE", "/v1/tokens/010203040506", "", "revoke 010203040506"),
        ("POST", "/v1/shutdown", "", "shutdown"),
    ] {
        let answer = ask(&served.socket, method, path, body.as_bytes()).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
        assert_eq!(served.fake.asked().last().map(String::as_str), Some(expected));
    }
    let answer = ask(&served.socket, "POST", "/v1/services", br#"{"plan":"redis","binds":["b:web.default"]}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(served.fake.asked().last().unwrap().contains(r#""binds":["b:web.default"]"#));
}

#[tokio::test]
async fn every_wrong_request_is_a_problem_of_its_type() {
    let served = Served::new(Limits::default());
    for (method, path, body, status, kind) in [
        ("GET", "/", "", 404, "unknown-route"),
        ("GET", "/v2/node", "", 404, "unknown-route"),
        ("GET", "/v1/groups/redis.default/nothing", "", 404, "unknown-route"),
        ("POST", "/v1/node", "", 405, "wrong-method"),
        ("DELETE", "/v1/services/redis", "", 405, "wrong-method"),
        ("GET", "/v1/groups/redis", "", 400, "bad-request"),
        ("GET", "/v1/groups/..%2F..%2Fetc.passwd", "", 400, "bad-request"),
        ("GET", "/v1/groups/web.default", "", 404, "unknown-group"),
        ("GET", "/v1/services/web", "", 404, "unknown-service"),
        ("GET", "/services/web/default/health", "", 404, "unknown-group"),
        ("GET", "/v1/services/redis/logs?lines=many", "", 400, "bad-request"),
        ("GET", "/v1/events?group=redis", "", 400, "bad-request"),
        ("GET", "/v1/events?grup=redis.default", "", 400, "bad-request"),
        ("PUT", "/v1/groups/redis.default/config?expct=1", "", 400, "bad-request"),
        ("PUT", "/v1/groups/redis.default/desired", "", 400, "bad-request"),
        ("PUT", "/v1/groups/redis.default/desired", "{", 400, "bad-request"),
        ("PUT", "/v1/groups/redis.default/desired", r#"{"options":{}}"#, 400, "bad-request"),
        ("PUT", "/v1/groups/redis.default/desired", r#"{"options":{"batch":"0"}}"#, 400, "bad-request"),
        ("PUT", "/v1/groups/redis.default/desired", r#"{"stat":"down"}"#, 400, "bad-request"),
        ("GET", "/v1/groups/web.default/rollout", "", 404, "unknown-group"),
        ("POST", "/v1/groups/redis.default/rollout/stop", "", 404, "unknown-route"),
        ("POST", "/v1/services", "{}", 400, "bad-request"),
        ("POST", "/v1/services/redis/stop", r#"{"scope":"nowhere"}"#, 400, "bad-request"),
    ] {
        let answer = ask(&served.socket, method, path, body.as_bytes()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{method} {path}: {}", answer.body);
        assert_ne!(answer.json()["detail"], "", "{method} {path}");
    }
    let answer = ask(&served.socket, "PUT", "/v1/groups/redis.default/config", &[b'a', 0xff]).await;
    assert_eq!(answer.problem(), "bad-request");
    assert!(answer.body.contains("byte 1"), "{}", answer.body);
}

#[tokio::test]
async fn a_refused_config_tells_its_places() {
    let served = Served::new(Limits::default());
    served.fake.state().refusal = Some(invalid_config());
    let answer = ask(&served.socket, "PUT", "/v1/groups/redis.default/config", b"port = 'x'").await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "invalid-config"));
    assert_eq!(answer.json()["places"][0]["line"], 2);
    assert_eq!(answer.json()["places"][0]["column"], 8);
}

#[tokio::test]
async fn bodies_are_taken_at_their_limit_and_refused_one_beyond() {
    let served = Served::new(Limits::default());
    let config = "/v1/groups/redis.default/config";
    let at = ask(&served.socket, "PUT", config, &vec![b'#'; CONFIG_BODY_BYTES]).await;
    assert_eq!(at.status, 200, "{}", at.body);
    let beyond = ask(&served.socket, "PUT", config, &vec![b'#'; CONFIG_BODY_BYTES + 1]).await;
    assert_eq!((beyond.status, beyond.problem().as_str()), (413, "too-large"));

    let padded = |length: usize| {
        let mut body = br#"{"scope":"here"}"#.to_vec();
        body.resize(length, b' ');
        body
    };
    let at = ask(&served.socket, "POST", "/v1/services/redis/stop", &padded(JSON_BODY_BYTES)).await;
    assert_eq!(at.status, 200, "{}", at.body);
    let beyond = ask(&served.socket, "POST", "/v1/services/redis/stop", &padded(JSON_BODY_BYTES + 1)).await;
    assert_eq!((beyond.status, beyond.problem().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn health_is_told_by_the_status() {
    let served = Served::new(Limits::default());
    for (health, status) in [(Health::Ok, 200), (Health::Warning, 200), (Health::Critical, 503), (Health::Unknown, 500)]
    {
        served.fake.state().health = health;
        assert_eq!(ask(&served.socket, "GET", "/services/redis/default/health", b"").await.status, status);
    }
}

#[tokio::test]
async fn metrics_and_healthz_are_plain_text() {
    let served = Served::new(Limits::default());
    let metrics = ask(&served.socket, "GET", "/metrics", b"").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.starts_with("sup_members{state=\"alive\"} 3\n"), "{}", metrics.body);
    assert!(metrics.body.contains("sup_api_refused_total{reason=\"wrong-token\"} 0\n"), "{}", metrics.body);
    assert_eq!(ask(&served.socket, "GET", "/healthz", b"").await.body, "ok\n");
}

#[tokio::test]
async fn a_backend_that_hangs_is_a_timeout() {
    let served = Served::new(Limits { request: Duration::from_millis(50), ..Limits::default() });
    served.fake.state().delay = PATIENCE * 10;
    let answer = ask(&served.socket, "GET", "/healthz", b"").await;
    assert_eq!((answer.status, answer.problem().as_str()), (504, "timeout"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_a_timeout() {
    let served = Served::new(Limits { request: Duration::from_millis(50), ..Limits::default() });
    let mut connection = UnixStream::connect(&served.socket).await.unwrap();
    let head = "PUT /v1/groups/redis.default/config HTTP/1.1\r\nhost: l\r\ncontent-length: 10\r\n\r\na";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::time::timeout(PATIENCE, connection.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 504");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let served = Served::new(Limits { head: Duration::from_millis(50), ..Limits::default() });
    let mut connection = UnixStream::connect(&served.socket).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest)).await.expect("it was left open").unwrap();
}

#[tokio::test]
async fn connections_are_taken_at_their_limit_and_told_one_beyond() {
    let served = Served::new(Limits { connections: 2, ..Limits::default() });
    let mut first = served.client().events(None).await.unwrap();
    let second = served.client().events(None).await.unwrap();
    let beyond = ask(&served.socket, "GET", "/v1/node", b"").await;
    assert_eq!((beyond.status, beyond.problem().as_str()), (503, "busy"));
    served.fake.tell(EventKind::Member, None);
    assert!(first.next().await.unwrap().is_some(), "the limit harmed those within it");
    drop(second);
    let free = async {
        while ask(&served.socket, "GET", "/v1/node", b"").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("the place of an ended connection stays taken");
}

#[tokio::test]
async fn one_address_cannot_take_the_connections_of_all_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let limits = Limits { connections_of_one: 1, ..Limits::default() };
    let serving = serve_tcp(listener, None, Fake::new(), limits, Admission::new(Openness::Guarded), stop.clone());
    let task = tokio::spawn(serving);
    let ask = async |from: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let connection = socket.connect(address).await.unwrap();
        talk(connection, &format!("GET /v1/node HTTP/1.1\r\nhost: {address}"), b"").await
    };
    let mut hog = TcpStream::connect(address).await.unwrap();
    hog.write_all(format!("GET /v1/node HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    // Its place is taken once it is answered.
    tokio::time::timeout(PATIENCE, hog.read_exact(&mut [0; 12])).await.unwrap().unwrap();
    let beyond = ask("127.0.0.1").await;
    assert_eq!((beyond.status, beyond.problem().as_str()), (503, "busy"));
    assert_eq!(ask("127.0.0.2").await.status, 200, "another one is shut out");
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn events_tell_changes_of_the_group_asked_for() {
    let served = Served::new(Limits::default());
    let mut events = served.client().events(Some(&redis())).await.unwrap();
    served.fake.tell(EventKind::Group, Some("web.default".parse().unwrap()));
    served.fake.tell(EventKind::Member, None);
    served.fake.tell(EventKind::Group, Some(redis()));
    let kinds = [events.next().await.unwrap().unwrap().kind, events.next().await.unwrap().unwrap().kind];
    assert_eq!(kinds, [EventKind::Member, EventKind::Group]);
}

#[tokio::test]
async fn a_reader_of_events_that_goes_is_forgotten() {
    let served = Served::new(Limits { keep_alive: Duration::from_millis(5), ..Limits::default() });
    let events = served.client().events(None).await.unwrap();
    assert_eq!(served.fake.listeners(), 1);
    drop(events);
    let gone = async {
        while served.fake.listeners() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is still subscribed");
}

#[tokio::test]
async fn a_slow_reader_of_events_is_told_that_it_missed_some() {
    let served = Served::new(Limits::default());
    let mut events = served.client().events(None).await.unwrap();
    // More than fit into the fake's channel at once, told without a pause: the pump cannot run in between.
    for _ in 0..20 {
        served.fake.tell(EventKind::Member, None);
    }
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Missed);
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Member);
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let mut served = Served::new(Limits::default());
    let mut events = served.client().events(None).await.unwrap();
    served.stop.cancel();
    tokio::time::timeout(PATIENCE, &mut served.task).await.expect("it does not stop").unwrap();
    let end = tokio::time::timeout(PATIENCE, events.next()).await.expect("the stream goes on");
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    assert!(UnixStream::connect(&served.socket).await.is_err(), "it still listens");
}

#[tokio::test]
async fn what_gives_power_over_the_machine_is_refused_over_tcp_even_where_it_is_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let fake = Fake::new();
    let task = tokio::spawn(serve_tcp(
        listener,
        None,
        fake.clone(),
        Limits::default(),
        Admission::new(Openness::Open),
        stop.clone(),
    ));
    let ask =
        async |head: String, body: &'static [u8]| talk(TcpStream::connect(address).await.unwrap(), &head, body).await;
    let start = ask(format!("POST /v1/services HTTP/1.1\r\nhost: {address}"), br#"{"plan":"redis"}"#).await;
    assert_eq!((start.status, start.problem().as_str()), (403, "forbidden"));
    let end = ask(format!("POST /v1/shutdown HTTP/1.1\r\nhost: {address}"), b"").await;
    assert_eq!((end.status, end.problem().as_str()), (403, "forbidden"));
    let release = ask(format!("PUT /v1/releases HTTP/1.1\r\nhost: {address}"), b"an archive").await;
    assert_eq!((release.status, release.problem().as_str()), (403, "forbidden"));
    let config = format!("PUT /v1/groups/redis.default/config HTTP/1.1\r\nhost: {address}");
    let page = ask(format!("{config}\r\norigin: http://example.org"), b"").await;
    assert_eq!((page.status, page.problem().as_str()), (403, "forbidden"));
    assert_eq!(fake.asked(), Vec::<String>::new());
    assert_eq!(ask(config, b"").await.status, 200);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_replaces_a_dead_one_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sup.sock");
    let first = bind_unix(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(bind_unix(&path), Err(BindError::InUse(_))));
    drop(first);
    bind_unix(&path).expect("a dead socket is replaced");
    std::fs::write(dir.path().join("file"), "precious").unwrap();
    assert!(matches!(bind_unix(&dir.path().join("file")), Err(BindError::NotASocket(_))));
}

#[tokio::test]
async fn a_socket_path_is_taken_at_its_limit_and_refused_one_beyond() {
    let dir = tempfile::tempdir().unwrap();
    let room = SOCKET_PATH_BYTES - dir.path().as_os_str().len() - 1;
    bind_unix(&dir.path().join("s".repeat(room))).expect("a path of the limit's length");
    let beyond = bind_unix(&dir.path().join("s".repeat(room + 1)));
    assert!(matches!(beyond, Err(BindError::PathTooLong { length, .. }) if length == SOCKET_PATH_BYTES + 1));
}
