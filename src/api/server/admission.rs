//! Who asks, and whether that suffices.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{ALLOW, AUTHORIZATION};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusals::{Refusals, Refused};
use super::veil::veiled;
use crate::api::access::{Need, need, others};
use crate::api::token::{TOKEN_BYTES, Token};
use crate::api::{Backend, Problem, ProblemKind};
use crate::base::Role;

/// What those on TCP may do who do not say who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Openness {
    /// Look, if they are on this machine.
    #[default]
    Guarded,
    /// Operate, wherever they are: `insecure-http`.
    Open,
}

/// Decides who may ask for what, and keeps count of those who may not. One for all sockets of a supervisor.
#[derive(Debug, Default)]
pub struct Admission {
    openness: Openness,
    pub(super) refusals: Refusals,
}

impl Admission {
    /// One that treats strangers like this.
    #[must_use]
    pub fn new(openness: Openness) -> Arc<Self> {
        Arc::new(Self { openness, refusals: Refusals::default() })
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A process on this machine, at the local socket, with its user if that is known.
    Local {
        /// The user.
        uid: Option<u32>,
    },
    /// Somebody at the TCP port.
    Network {
        /// Where from.
        from: SocketAddr,
        /// What was shown in the handshake.
        certificate: Certificate,
    },
}

/// What a client of TLS shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    /// Nothing, or there is no TLS.
    None,
    /// One by `tls-client-ca`: the handshake would have failed otherwise.
    Verified,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid: Some(uid) } => write!(f, "user {uid} at the local socket"),
            Self::Local { uid: None } => f.write_str("an unknown user at the local socket"),
            Self::Network { from, .. } => write!(f, "{from}"),
        }
    }
}

impl Caller {
    /// The address. Whoever comes by the local socket is one peer, on this machine.
    pub(super) fn ip(self) -> IpAddr {
        match self {
            Self::Local { .. } => Ipv4Addr::LOCALHOST.into(),
            Self::Network { from, .. } => from.ip(),
        }
    }

    /// What the caller may do, whoever it says it is.
    fn standing(self, openness: Openness) -> Option<Role> {
        match self {
            Self::Local { uid } => {
                let trusted = uid.is_some_and(|uid| uid == 0 || uid == nix::unistd::geteuid().as_raw());
                trusted.then_some(Role::Admin)
            }
            Self::Network { from, certificate } => {
                let by_certificate = (certificate == Certificate::Verified).then_some(Role::Operate);
                let by_openness = (openness == Openness::Open).then_some(Role::Operate);
                // An IPv4 address may come in the clothes of IPv6.
                let by_address = from.ip().to_canonical().is_loopback().then_some(Role::Read);
                by_certificate.max(by_openness).max(by_address)
            }
        }
    }
}

/// What the caller of a request may do; none: what nobody in particular may. For handlers that show some more than others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted(pub(super) Option<Role>);

impl Granted {
    /// Whether the output of hooks and checks is shown: nobody knows what is in there.
    pub(super) fn sees_output(self) -> bool {
        self.0 >= Some(Role::Operate)
    }
}

/// Lets a request pass if whoever asks may ask for that.
pub(super) async fn admit<B: Backend>(
    State((admission, backend, patience)): State<(Arc<Admission>, B, Duration)>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    // Who may look at anything may learn that a path is used otherwise; nothing is tried.
    let others = others(request.method(), path.as_deref());
    let needed = if others.is_some() { Need::Role(Role::Read) } else { need(request.method(), path.as_deref()) };
    // A connection that was accepted has one.
    let caller = request.extensions().get().copied().unwrap_or(Caller::Local { uid: None });
    let decided = grant(&admission, &backend, caller, request.headers(), needed);
    let Ok(decided) = tokio::time::timeout(patience, decided).await else {
        return Problem::new(ProblemKind::Timeout, "the token could not be looked up in time").into_response();
    };
    match (decided, others) {
        (Ok(_), Some(others)) => wrong_method(&request, &others),
        (Ok(granted), None) => {
            request.extensions_mut().insert(granted);
            let response = next.run(request).await;
            if granted.sees_output() { response } else { veiled(response).await }
        }
        (Err((why, problem)), _) => {
            // The pattern, not the path: what was typed may be long, and anything.
            admission.refusals.note(why, &caller.to_string(), path.as_deref().unwrap_or("unknown"));
            problem.into_response()
        }
    }
}

pub(super) async fn grant<B: Backend>(
    admission: &Admission,
    backend: &B,
    caller: Caller,
    headers: &HeaderMap,
    needed: Need,
) -> Result<Granted, (Refused, Problem)> {
    let standing = caller.standing(admission.openness);
    if let Caller::Local { .. } = caller {
        // Who passes the kernel's check needs no token, and who does not is not helped by one: it would be asked for
        // in the name of the wrong user.
        return match standing {
            Some(role) => Ok(Granted(Some(role))),
            None => Err((Refused::OtherUser, other_user(caller))),
        };
    }
    let presented = match presented(headers) {
        Some(Ok(token)) => Some(backend.token_role(&token).await),
        Some(Err(problem)) => Some(Err(problem)),
        None => None,
    };
    let role = match (presented, needed) {
        (Some(Ok(role)), _) => match caller {
            // A certificate says as much on every request, and a token is added for more. A token in place of nothing is
            // taken at its word: one that may only read is not to be worth more for where it is used.
            Caller::Network { certificate: Certificate::Verified, .. } => standing.max(Some(role)),
            Caller::Network { .. } | Caller::Local { .. } => Some(role),
        },
        (Some(Err(_)) | None, Need::Nothing) => standing,
        (Some(Err(problem)), Need::Role(_)) => return Err((Refused::WrongToken, problem)),
        (None, Need::Role(_)) => standing,
    };
    match (needed, role) {
        (Need::Nothing, _) => Ok(Granted(role)),
        (Need::Role(_), None) => Err((Refused::NoToken, no_token())),
        (Need::Role(least), Some(role)) if role < least => Err((Refused::Role, too_low(role, least))),
        (Need::Role(_), Some(_)) => Ok(Granted(role)),
    }
}

/// The token that a request presents; none: it presents nothing.
fn presented(headers: &HeaderMap) -> Option<Result<Token, Problem>> {
    let value = headers.get(AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim();
        let is_bearer = scheme.eq_ignore_ascii_case("bearer") && token.len() == TOKEN_BYTES;
        if is_bearer { token.parse().ok() } else { None }
    });
    Some(token.ok_or_else(|| {
        let detail = "what the request presents in Authorization is no token of sup";
        Problem::new(ProblemKind::Unauthorized, detail).next("send Authorization: Bearer sup_...")
    }))
}

fn wrong_method(request: &Request, others: &[&str]) -> Response {
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    ([(ALLOW, others.join(", "))], Problem::new(ProblemKind::WrongMethod, detail)).into_response()
}

fn other_user(caller: Caller) -> Problem {
    let me = nix::unistd::geteuid();
    Problem::new(ProblemKind::Forbidden, format!("the local socket is for root and for user {me}, not for {caller}"))
        .next("type the command as one of them (sudo), or use a token: sup --server http://ADDRESS")
}

fn no_token() -> Problem {
    Problem::new(ProblemKind::Unauthorized, "this takes a token, and the request has none").next(
        "make one: sup token new --role ROLE, on any node; and send Authorization: Bearer TOKEN (SUP_TOKEN for sup)",
    )
}

fn too_low(role: Role, least: Role) -> Problem {
    Problem::new(ProblemKind::Forbidden, format!("this takes the role {least}, and the caller has {role}"))
        .next(format!("use a token of that role (sup token new --role {least}), or the local socket"))
}

#[cfg(test)]
mod tests {
    use super::{Caller, Certificate, Openness};
    use crate::base::Role;

    fn network(from: &str, certificate: Certificate) -> Caller {
        Caller::Network { from: from.parse().unwrap(), certificate }
    }

    #[test]
    fn root_and_the_supervisors_own_user_may_do_everything_at_the_local_socket_and_others_nothing() {
        let own = nix::unistd::geteuid().as_raw();
        for openness in [Openness::Guarded, Openness::Open] {
            let standing = |uid| Caller::Local { uid }.standing(openness);
            assert_eq!(standing(Some(0)), Some(Role::Admin));
            assert_eq!(standing(Some(own)), Some(Role::Admin));
            assert_eq!((standing(Some(own + 1)), standing(None)), (None, None));
        }
    }

    #[test]
    fn strangers_on_tcp_look_at_most_and_from_this_machine_only_unless_it_is_open() {
        for (from, certificate, guarded, open) in [
            ("127.0.0.1:1", Certificate::None, Some(Role::Read), Some(Role::Operate)),
            ("127.8.9.1:1", Certificate::None, Some(Role::Read), Some(Role::Operate)),
            ("[::1]:1", Certificate::None, Some(Role::Read), Some(Role::Operate)),
            ("[::ffff:127.0.0.1]:1", Certificate::None, Some(Role::Read), Some(Role::Operate)),
            ("[::ffff:192.0.2.1]:1", Certificate::None, None, Some(Role::Operate)),
            ("192.0.2.1:1", Certificate::None, None, Some(Role::Operate)),
            ("192.0.2.1:1", Certificate::Verified, Some(Role::Operate), Some(Role::Operate)),
        ] {
            let caller = network(from, certificate);
            assert_eq!(
                (caller.standing(Openness::Guarded), caller.standing(Openness::Open)),
                (guarded, open),
                "{from}"
            );
        }
    }
}
