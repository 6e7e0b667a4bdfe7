//! Sockets, the bound on connections, and the end.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Caller, Certificate};
use super::{Limits, routes};
use crate::api::Backend;
use crate::api::tls::ServerTls;
use crate::places::Places;

/// Longest path of a unix socket, in bytes: what Linux takes, less the closing zero.
pub const SOCKET_PATH_BYTES: usize = 107;
/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 128;
/// Connections beyond the limit that are told so at one time; those beyond these are closed without a word.
const REFUSALS: usize = 16;
/// How long a connection beyond the limit has to read its refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// The wait after a failed accept: out of file descriptors, most likely, and a loop without a wait would take a core.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The local socket cannot be opened. Nothing was changed, but that a socket on which nobody answers may be gone.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path is longer than the system allows.
    #[error("the path of the local socket is {length} bytes long, and at most {SOCKET_PATH_BYTES} are possible: {path}", path = path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Somebody answers there.
    #[error("another supervisor answers on {}", .0.display())]
    InUse(PathBuf),
    /// There is something at the path that is not a socket.
    #[error("{} is in the way: it is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot open the local socket {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens the local socket at `path`, for its owner alone. A socket that a killed supervisor left behind is replaced.
///
/// # Errors
///
/// See [`BindError`].
pub fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_BYTES {
        return Err(BindError::PathTooLong { path: path.to_owned(), length });
    }
    clear(path)?;
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(failed)?;
    // Between bind and listen nobody can connect yet, so there is no moment at which others may.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

/// Removes a socket on which nobody answers.
fn clear(path: &Path) -> Result<(), BindError> {
    use std::os::unix::fs::FileTypeExt;
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(meta) if !meta.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(BindError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        },
    }
}

/// Serves the local socket, for root and this process's own user, until `stop` is cancelled and the open connections have
/// ended, or their grace has.
pub async fn serve_unix<B: Backend>(
    listener: UnixListener,
    backend: B,
    limits: Limits,
    admission: Arc<Admission>,
    stop: CancellationToken,
) {
    let router = routes::router(backend, limits, admission, stop.clone());
    serve(&listener, None, router, limits, stop).await;
}

/// Serves a TCP port, by TLS if there is any; as [`serve_unix`], but for whoever may ask there.
pub async fn serve_tcp<B: Backend>(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    backend: B,
    limits: Limits,
    admission: Arc<Admission>,
    stop: CancellationToken,
) {
    let router = routes::router(backend, limits, admission, stop.clone());
    let serving = serve(&listener, tls.as_ref(), router, limits, stop);
    match &tls {
        None => serving.await,
        // It follows for ever, so that it is the serving that ends.
        Some(tls) => tokio::select! {
            () = serving => {}
            () = Arc::clone(tls).follow() => {}
        },
    }
}

/// What connections come from.
trait Listener: Sync {
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// How many connections one peer may have.
    fn share(limits: Limits) -> usize;

    /// The next connection, and who is at its other end.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Connection, Caller)>> + Send;
}

impl Listener for UnixListener {
    type Connection = UnixStream;

    /// All: who may connect here at all is trusted.
    fn share(limits: Limits) -> usize {
        limits.connections
    }

    async fn accept(&self) -> io::Result<(UnixStream, Caller)> {
        let (connection, _) = Self::accept(self).await?;
        // The kernel says who connected; the file's mode keeps others out, too, unless somebody changes it.
        let uid = connection.peer_cred().ok().map(|peer| peer.uid());
        Ok((connection, Caller::Local { uid }))
    }
}

impl Listener for TcpListener {
    type Connection = tokio::net::TcpStream;

    fn share(limits: Limits) -> usize {
        limits.connections_of_one
    }

    async fn accept(&self) -> io::Result<(tokio::net::TcpStream, Caller)> {
        let (connection, from) = Self::accept(self).await?;
        // Answers are small and whole: waiting to fill a segment only delays them. Where it cannot be set, they are late.
        connection.set_nodelay(true).ok();
        Ok((connection, Caller::Network { from, certificate: Certificate::None }))
    }
}

async fn serve<L: Listener>(
    listener: &L,
    tls: Option<&Arc<ServerTls>>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let places = Places::new(limits.connections, L::share(limits));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            // Ended ones are taken out as they end: the set does not grow.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (connection, caller) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let stop = stop.clone();
        let tls = tls.map(|tls| tls.config());
        if let Some(place) = places.take(caller.ip()) {
            let router = router.clone();
            connections.spawn(async move {
                meet(connection, caller, tls, router, limits, stop).await;
                drop(place);
            });
        } else if let Ok(refusal) = refusals.clone().try_acquire_owned() {
            connections.spawn(async move {
                let talk = meet(connection, caller, tls, routes::busy(limits), limits, stop);
                if tokio::time::timeout(REFUSAL_TIME, talk).await.is_err() {
                    tracing::debug!("a connection beyond the limit did not read its refusal");
                }
                drop(refusal);
            });
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, ended).await.is_err() {
        tracing::debug!("connections were open beyond the grace");
    }
}

/// One connection, from its handshake if it has one until either side is done with it.
async fn meet<C>(
    connection: C,
    caller: Caller,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(tls) = tls else { return converse(connection, caller, router, limits, stop).await };
    let handshake = tokio::time::timeout(limits.head, TlsAcceptor::from(tls).accept(connection));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(connection)) => {
            let (_, session) = connection.get_ref();
            // Those by somebody else do not get here.
            let certificate =
                if session.peer_certificates().is_some() { Certificate::Verified } else { Certificate::None };
            let caller = match caller {
                Caller::Network { from, .. } => Caller::Network { from, certificate },
                Caller::Local { .. } => caller,
            };
            converse(connection, caller, router, limits, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, %caller, "a handshake of TLS failed"),
        Err(_) => tracing::debug!(%caller, "a handshake of TLS was not done in time"),
    }
}

/// What is said on a connection.
async fn converse<C>(connection: C, caller: Caller, router: Router, limits: Limits, stop: CancellationToken)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Only HTTP/1: to tell versions apart it would wait for the first bytes, and that wait has no deadline.
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller);
        router.call(request)
    });
    let talk = builder.serve_connection(TokioIo::new(connection), service);
    tokio::pin!(talk);
    let ended = tokio::select! {
        ended = talk.as_mut() => ended,
        () = stop.cancelled() => {
            talk.as_mut().graceful_shutdown();
            talk.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
