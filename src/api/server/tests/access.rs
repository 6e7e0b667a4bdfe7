//! Who may ask for what, row by row, over real sockets.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, talk};
use crate::api::ProblemKind;
use crate::api::access::{Need, TABLE, Verb};
use crate::api::client::{Client, Endpoint, Server};
use crate::api::fake::{Fake, Served, token};
use crate::api::server::admission::{Caller, Certificate, Granted, grant};
use crate::api::server::refusals::Refused;
use crate::api::server::{Admission, Limits, Openness, serve_tcp};
use crate::api::shape::TokenRequest;
use crate::api::token::Token;
use crate::base::{Role, TokenId, quote};

/// A fake on TCP, until it is dropped.
struct Guarded {
    address: SocketAddr,
    fake: Fake,
    stop: CancellationToken,
    _task: JoinHandle<()>,
}

impl Guarded {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, fake, stop) = (listener.local_addr().unwrap(), Fake::new(), CancellationToken::new());
        let admission = Admission::new(Openness::Guarded);
        let serving = serve_tcp(listener, None, fake.clone(), Limits::default(), admission, stop.clone());
        Self { address, fake, stop, _task: tokio::spawn(serving) }
    }

    /// The status that is answered; of answers without an end, too.
    async fn status(&self, verb: Verb, path: &str, authorization: Option<&str>) -> u16 {
        let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
        let request = format!(
            "{} {path} HTTP/1.1\r\nhost: {}\r\n{authorization}content-length: 0\r\n\r\n",
            verb.as_str(),
            self.address
        );
        let talk = async {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut start = [0; 12];
            connection.read_exact(&mut start).await.unwrap();
            String::from_utf8_lossy(&start)[9..].parse().unwrap()
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("no answer")
    }

    fn client(&self, role: Role) -> Client {
        let server = Server { host: "127.0.0.1".to_owned(), port: self.address.port() };
        Client::new(Endpoint::Http(server)).with_token(token(role))
    }

    async fn body(&self, path: &str, role: Role) -> String {
        let text = token(role).text();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}", text.as_str());
        talk(TcpStream::connect(self.address).await.unwrap(), &head, b"").await.body
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.text().as_str())
}

/// A path that the pattern of a row matches.
fn path_of(row: &str) -> String {
    if row.starts_with("/services/") {
        return "/services/redis/default/health".to_owned();
    }
    row.replace("{group}", "redis.default")
        .replace("{name}", "a.txt")
        .replace("{node}", "db1")
        .replace("{*release}", "redis/7.0/abababababab")
        .replace("{key}", "5e0b31c7")
        .replace("{token}", "aaaaaaaaaaaa")
        .replace("{target}", "redis")
}

#[tokio::test]
async fn every_row_of_the_table_holds_for_every_role() {
    let guarded = Guarded::new().await;
    let unknown = Token::from_parts(TokenId::from_bytes([9; 6]), [9; 32]);
    for (verb, row, need) in TABLE {
        let path = path_of(row);
        for role in Role::ALL {
            let status = guarded.status(*verb, &path, Some(&bearer(&token(role)))).await;
            let may = match need {
                Need::Nothing => true,
                Need::Role(least) => role >= *least,
            };
            let passed = !matches!(status, 401 | 403);
            assert_eq!(passed, may, "{verb:?} {path} by {role}: {status}");
            assert!(!matches!(status, 405), "{verb:?} {path} is in the table, and not on the server");
        }
        let stranger = guarded.status(*verb, &path, Some(&bearer(&unknown))).await;
        assert_eq!(stranger == 401, *need != Need::Nothing, "{verb:?} {path} by a wrong token: {stranger}");
        // From this machine, without a token: as read.
        let local = guarded.status(*verb, &path, None).await;
        let reads = matches!(need, Need::Nothing | Need::Role(Role::Read));
        assert_eq!(local != 403, reads, "{verb:?} {path} without a token: {local}");
    }
}

#[test]
fn every_path_of_the_server_is_in_the_table() {
    let routes = include_str!("../routes.rs");
    let paths = routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut count = 0;
    for path in paths {
        assert!(TABLE.iter().any(|(_, row, _)| *row == path), "{path} is for admins only, for the want of a row");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[tokio::test]
async fn what_is_no_token_is_refused_and_says_how_to_present_one() {
    let guarded = Guarded::new().await;
    let good = token(Role::Admin);
    let text = good.text();
    for authorization in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer x".to_owned(),
        format!("Basic {}", text.as_str()),
        format!("Bearer {}0", text.as_str()),
        format!("Bearer {}", &text[..text.len() - 1]),
        format!("Bearer {}", "a".repeat(8000)),
        bearer(&Token::from_parts(good.id(), [1; 32])),
        bearer(&Token::from_parts(TokenId::from_bytes([7; 6]), [0xc2; 32])),
    ] {
        let head = format!("GET /v1/node HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}");
        let answer = talk(TcpStream::connect(guarded.address).await.unwrap(), &head, b"").await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{authorization}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        assert!(!answer.body.contains(&text[20..40]), "{}", answer.body);
    }
    assert_eq!(guarded.status(Verb::Get, "/v1/node", Some(&format!("bearer {}", text.as_str()))).await, 200);
    assert_eq!(guarded.fake.asked(), vec!["node".to_owned()]);
}

#[tokio::test]
async fn beyond_this_machine_nobody_is_known_without_a_token_or_a_certificate() {
    let fake = Fake::new();
    let caller = |certificate| Caller::Network { from: "192.0.2.1:5".parse().unwrap(), certificate };
    let presenting = |role| {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&bearer(&token(role))).unwrap());
        headers
    };
    let guarded = Admission::new(Openness::Guarded);
    let open = Admission::new(Openness::Open);
    let read = Need::Role(Role::Read);
    let bare = caller(Certificate::None);
    let shown = caller(Certificate::Verified);
    let nothing = HeaderMap::new();
    let refused = grant(&guarded, &fake, bare, &nothing, read).await.unwrap_err();
    assert_eq!((refused.0, refused.1.kind), (Refused::NoToken, ProblemKind::Unauthorized));
    let granted = async |admission: &Admission, caller, headers: &HeaderMap| {
        let Granted(role) = grant(admission, &fake, caller, headers, read).await.unwrap();
        role
    };
    assert_eq!(granted(&open, bare, &nothing).await, Some(Role::Operate));
    assert_eq!(granted(&guarded, shown, &nothing).await, Some(Role::Operate));
    assert_eq!(granted(&guarded, shown, &presenting(Role::Admin)).await, Some(Role::Admin));
    assert_eq!(granted(&guarded, shown, &presenting(Role::Read)).await, Some(Role::Operate));
    assert_eq!(granted(&guarded, bare, &presenting(Role::Read)).await, Some(Role::Read));
    assert_eq!(granted(&open, bare, &presenting(Role::Read)).await, Some(Role::Read), "a token is taken at its word");
    let Granted(nobody) = grant(&guarded, &fake, bare, &nothing, Need::Nothing).await.unwrap();
    assert_eq!(nobody, None);
    let other = grant(&open, &fake, Caller::Local { uid: Some(u32::MAX - 1) }, &presenting(Role::Admin), read).await;
    assert_eq!(other.unwrap_err().0, Refused::OtherUser, "a token does not help at the local socket");
}

#[tokio::test]
async fn what_hooks_and_checks_write_is_for_those_who_may_operate() {
    let guarded = Guarded::new().await;
    for (role, shown) in [(Role::Read, false), (Role::Operate, true)] {
        let health = guarded.body("/services/redis/default/health", role).await;
        assert_eq!(health.contains("PONG"), shown, "{role}: {health}");
    }
}

#[tokio::test]
async fn what_a_program_said_is_left_out_of_every_text_for_those_who_only_read() {
    let guarded = Guarded::new().await;
    let why = format!("the init hook exited with 3: {}", quote("password=s3cret"));
    guarded.fake.change(|state| {
        state.service.member.why.clone_from(&why);
        state.group.members.iter_mut().flatten().for_each(|member| member.why.clone_from(&why));
        state.rollout.members.iter_mut().for_each(|member| member.why.clone_from(&why));
    });
    let paths = ["/v1/groups/redis.default", "/v1/groups/redis.default/members", "/v1/groups/redis.default/rollout"];
    for path in [&paths[..], &["/v1/services", "/v1/services/redis"]].concat() {
        assert!(guarded.body(path, Role::Operate).await.contains("s3cret"), "{path}");
        let body = guarded.body(path, Role::Read).await;
        assert!(body.contains("the init hook exited with 3: “...”") && !body.contains("s3cret"), "{path}: {body}");
    }
    for (role, shown) in [(Role::Read, false), (Role::Operate, true)] {
        let mut events = guarded.client(role).events(None).await.unwrap();
        guarded.fake.say(&why);
        let message = events.next().await.unwrap().unwrap().message;
        assert_eq!(message.contains("s3cret"), shown, "{role}: {message}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_then_lets_its_owner_in() {
    let served = Served::new(Limits::default());
    let local = served.client();
    served.fake.state().tokens.clear();
    let request = TokenRequest { role: Role::Operate, name: "ci".to_owned(), expires_in_ms: None };
    let made = local.new_token(&request).await.unwrap();
    let list = serde_json::to_string(&local.tokens().await.unwrap()).unwrap();
    assert!(list.contains(&made.info.id.to_string()) && !list.contains(made.token.text().as_str()), "{list}");

    let guarded = Guarded::new().await;
    let server = Server { host: "127.0.0.1".to_owned(), port: guarded.address.port() };
    let remote = Client::new(Endpoint::Http(server)).with_token(made.token.clone());
    let problem = remote.shutdown().await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Forbidden);
    assert!(problem.detail.contains("admin") && problem.next.unwrap().contains("--role admin"), "{}", problem.detail);
    assert!(remote.config(&crate::api::fake::redis(), None).await.is_ok());
    local.revoke_token(made.info.id).await.unwrap();
    assert!(local.tokens().await.unwrap().tokens.is_empty());
}
