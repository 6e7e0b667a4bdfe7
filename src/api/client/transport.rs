//! One request over one connection.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Method, Request, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::{Answer, Endpoint, Way};
use crate::api::token::Token;
use crate::api::{Problem, ProblemKind};

/// How long a supervisor has to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it has to answer: somewhat longer than its own deadline, so that its word is heard first.
const ANSWER: Duration = Duration::from_secs(35);
/// The same for something large that is handed over.
const UPLOAD: Duration = Duration::from_secs(605);
/// How large the pieces are that a file is sent in, in bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// How many of them wait for the supervisor.
const PIECES: usize = 4;
/// Largest answer that is read, in bytes: several times the members of the largest ring.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Asks, and reads the answer as JSON.
pub(super) async fn call<T: DeserializeOwned>(
    way: &Way,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Bytes,
) -> Answer<T> {
    let whole = whole(way, method, path, content_type, body).await?;
    serde_json::from_slice(&whole).map_err(|error| unreadable(way, path, &error))
}

/// Asks for something that has no answer but that it is accepted.
pub(super) async fn call_for_nothing(way: &Way, method: Method, path: &str) -> Answer<()> {
    whole(way, method, path, "application/json", Bytes::new()).await.map(|_| ())
}

/// Asks for an answer without an end.
pub(super) async fn stream(way: &Way, path: &str) -> Answer<Incoming> {
    let exchange = exchange(way, Method::GET, path, "application/json", Full::new(Bytes::new()));
    let response = tokio::time::timeout(ANSWER, exchange).await.map_err(|_| late(way, path, ANSWER))??;
    if response.status().is_success() { Ok(response.into_body()) } else { Err(problem(way, path, response).await) }
}

/// Hands a file over, and reads the answer as JSON.
pub(super) async fn upload<T: DeserializeOwned>(way: &Way, path: &str, file: File) -> Answer<T> {
    let exchange = exchange(way, Method::PUT, path, "application/octet-stream", FileBody::read(file));
    let read = async { collect(way, path, exchange.await?).await };
    let whole = tokio::time::timeout(UPLOAD, read).await.map_err(|_| late(way, path, UPLOAD))??;
    serde_json::from_slice(&whole).map_err(|error| unreadable(way, path, &error))
}

async fn whole(way: &Way, method: Method, path: &str, content_type: &'static str, body: Bytes) -> Answer<Bytes> {
    let exchange = exchange(way, method, path, content_type, Full::new(body));
    let read = async { collect(way, path, exchange.await?).await };
    tokio::time::timeout(ANSWER, read).await.map_err(|_| late(way, path, ANSWER))?
}

async fn collect(way: &Way, path: &str, response: Response<Incoming>) -> Answer<Bytes> {
    if !response.status().is_success() {
        return Err(problem(way, path, response).await);
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| unreadable(way, path, error.as_ref()))
}

/// A file as the body of a request, read piece by piece on a thread of its own.
struct FileBody(mpsc::Receiver<io::Result<Bytes>>);

impl FileBody {
    fn read(mut file: File) -> Self {
        let (pieces, body) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            loop {
                let mut piece = BytesMut::zeroed(PIECE_BYTES);
                let read = file.read(&mut piece);
                let is_end = !matches!(read, Ok(1..));
                if let Ok(0) = read {
                    return;
                }
                let piece = read.map(|bytes| {
                    piece.truncate(bytes);
                    piece.freeze()
                });
                // The other side has gone: its answer says why.
                if pieces.blocking_send(piece).is_err() || is_end {
                    return;
                }
            }
        });
        Self(body)
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

async fn exchange<B>(
    way: &Way,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: B,
) -> Answer<Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut request = Request::builder().method(method).uri(path).header(HOST, host(&way.endpoint));
    request = request.header(CONTENT_TYPE, content_type);
    if let Some(token) = &way.token {
        request = request.header(AUTHORIZATION, bearer(token)?);
    }
    let request = request.body(body).map_err(|error| Problem::caused(ProblemKind::BadRequest, &error))?;
    let refused = |error: io::Error| unreachable(way, &error);
    let late = |_| unreachable(way, &io::ErrorKind::TimedOut.into());
    match &way.endpoint {
        Endpoint::Unix(socket) => {
            let connect = tokio::time::timeout(CONNECT, UnixStream::connect(socket));
            converse(way, connect.await.map_err(late)?.map_err(refused)?, request).await
        }
        Endpoint::Http(server) => {
            let connect = tokio::time::timeout(CONNECT, TcpStream::connect((server.host.as_str(), server.port)));
            converse(way, connect.await.map_err(late)?.map_err(refused)?, request).await
        }
        Endpoint::Https(server, tls) => {
            let name = ServerName::try_from(server.host.clone())
                .map_err(|error| Problem::caused(ProblemKind::BadRequest, &error))?;
            let connect = async {
                let connection = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(refused)?;
                let shaken = TlsConnector::from(Arc::clone(&tls.0)).connect(name, connection).await;
                shaken.map_err(|error| no_handshake(way, &error))
            };
            let connection = tokio::time::timeout(CONNECT, connect).await.map_err(late)??;
            converse(way, connection, request).await
        }
    }
}

/// The header that presents a token; marked so that nothing on the way prints it.
fn bearer(token: &Token) -> Answer<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {}", token.text().as_str()));
    let mut value = HeaderValue::from_str(&text).map_err(|error| Problem::caused(ProblemKind::BadRequest, &error))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The two sides do not trust each other, or do not both speak TLS.
fn no_handshake(way: &Way, error: &io::Error) -> Problem {
    // What `openssl req -x509` makes unless it is told otherwise.
    let next = if error.to_string().contains("CaUsedAsEndEntity") {
        "its certificate is that of an authority, which no server may use itself: make one with \
         -addext basicConstraints=critical,CA:FALSE"
    } else {
        "name the authority of its certificate by --tls-ca FILE, and look whether it listens with TLS: its log"
    };
    Problem::new(ProblemKind::Unreachable, format!("{way} cannot be spoken to by TLS: {error}")).next(next)
}

async fn converse<C, B>(way: &Way, connection: C, request: Request<B>) -> Answer<Response<Incoming>>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let path = request.uri().path().to_owned();
    let broken = |error: hyper::Error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let colon = if cause.is_empty() { "" } else { ": " };
        // What a server has against a client's certificate it says when the handshake is over for the client.
        let next = if cause.contains("alert") {
            "the supervisor takes certificates by its --tls-client-ca only; a token needs none: leave out --tls-client-cert"
        } else {
            "look whether the supervisor still runs: sup status"
        };
        Problem::new(ProblemKind::Unreachable, format!("{way} broke off during {path}: {error}{colon}{cause}"))
            .next(next)
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await.map_err(broken)?;
    // Drives the connection until the answer's body is read or dropped; what goes wrong shows there.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(broken)
}

fn host(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Unix(_) => "localhost".to_owned(),
        Endpoint::Http(server) | Endpoint::Https(server, _) => server.authority(),
    }
}

/// The problem that a response tells; one that is none tells its status at least.
async fn problem(way: &Way, path: &str, response: Response<Incoming>) -> Problem {
    let status = response.status();
    let told = match Limited::new(response.into_body(), ANSWER_BYTES).collect().await {
        Ok(body) => serde_json::from_slice(&body.to_bytes()).ok(),
        Err(_) => None,
    };
    told.unwrap_or_else(|| {
        Problem::new(ProblemKind::Internal, format!("{way} answered {status} to {path}, and not why"))
            .next("is it a supervisor that listens there?")
    })
}

fn unreachable(way: &Way, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Problem::new(ProblemKind::Forbidden, format!("the supervisor at {way} belongs to another user"))
                .next("type the command as that user, with sudo most likely")
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Problem::new(ProblemKind::Unreachable, format!("no supervisor answers at {way}"))
                .next("start one: sup run, or sup start SVC; if one runs elsewhere, name it: --socket PATH")
        }
        _ => Problem::new(ProblemKind::Unreachable, format!("no supervisor answers at {way}: {error}"))
            .next("see what it does: its log, and its process"),
    }
}

fn late(way: &Way, path: &str, limit: Duration) -> Problem {
    let detail = format!("{way} did not answer {path} within {} s", limit.as_secs());
    Problem::new(ProblemKind::Timeout, detail).next("see what the supervisor does: its log, and its process")
}

/// The problem that the two sides do not speak the same language.
pub(super) fn unreadable(way: &Way, path: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem::new(ProblemKind::Internal, format!("what {way} answered to {path} cannot be read: {error}"))
        .next("compare the versions: sup --version, and that of the supervisor")
}
