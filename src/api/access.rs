//! Who may ask for what: the table, and nothing else decides it.
//!
//! | role | may |
//! | --- | --- |
//! | nobody | ask whether the supervisor and a service are well: load balancers have no token |
//! | `read` | look at the ring, groups, services, rollouts, events and metrics; see no config, no logs, no word of hooks, health checks and services: passwords are in there |
//! | `operate` | see those, too; change config, files and desired state; stop and restart; steer rollouts, also to a release that is there already |
//! | `admin` | everything: bring in code (services, releases), end the supervisor, send nodes away, give up councils, keys and tokens |
//!
//! Code is the line between `operate` and `admin`: a plan's hooks run as the supervisor's user, often root.
//!
//! | who asks | is taken for |
//! | --- | --- |
//! | root or the supervisor's own user, through the local socket | `admin` |
//! | any other user, through the local socket | nobody, and is refused whatever it asks |
//! | whoever presents a token | the token's role |
//! | whoever has a certificate by `tls-client-ca` | `operate`, or the role of a token that is presented, if that is more |
//! | a program on this machine, by a loopback address, without a token | `read`: any user may open it |
//! | anybody, without a token, if `insecure-http` is set | `operate` |
//! | anybody else | nobody |

use axum::http::Method;

use crate::base::Role;

/// What it takes to ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// This role, or more.
    Role(Role),
}

/// A way to use a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET` and `HEAD`.
    Get,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
}

impl Verb {
    /// The verb of a method; none if no path takes it.
    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::PUT => Some(Self::Put),
            Method::POST => Some(Self::Post),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// As it stands in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

const READ: Need = Need::Role(Role::Read);
const OPERATE: Need = Need::Role(Role::Operate);
const ADMIN: Need = Need::Role(Role::Admin);

/// Every path, and what it takes.
pub const TABLE: &[(Verb, &str, Need)] = &[
    (Verb::Get, "/healthz", Need::Nothing),
    // The output of the check is for those who may operate.
    (Verb::Get, "/services/{service}/{group}/health", Need::Nothing),
    (Verb::Get, "/metrics", READ),
    (Verb::Get, "/v1/node", READ),
    (Verb::Get, "/v1/members", READ),
    (Verb::Post, "/v1/members/{node}/depart", ADMIN),
    (Verb::Post, "/v1/members/{node}/undepart", ADMIN),
    (Verb::Post, "/v1/shutdown", ADMIN),
    (Verb::Get, "/v1/groups", READ),
    (Verb::Get, "/v1/groups/{group}", READ),
    (Verb::Get, "/v1/groups/{group}/members", READ),
    (Verb::Post, "/v1/groups/{group}/recover", ADMIN),
    (Verb::Put, "/v1/groups/{group}/desired", OPERATE),
    // A config's text may have passwords; its history has numbers and times only.
    (Verb::Get, "/v1/groups/{group}/config", OPERATE),
    (Verb::Put, "/v1/groups/{group}/config", OPERATE),
    (Verb::Delete, "/v1/groups/{group}/config", OPERATE),
    (Verb::Get, "/v1/groups/{group}/config/history", READ),
    // It changes nothing, but it shows what is rendered.
    (Verb::Post, "/v1/groups/{group}/config/preview", OPERATE),
    (Verb::Post, "/v1/groups/{group}/config/rollback", OPERATE),
    // Names and sizes: nobody can read a file back by this interface.
    (Verb::Get, "/v1/groups/{group}/files", READ),
    (Verb::Get, "/v1/groups/{group}/files/{name}/history", READ),
    (Verb::Put, "/v1/groups/{group}/files/{name}", OPERATE),
    (Verb::Delete, "/v1/groups/{group}/files/{name}", OPERATE),
    (Verb::Post, "/v1/groups/{group}/files/{name}/rollback", OPERATE),
    // The output of hooks and checks is for those who may operate.
    (Verb::Get, "/v1/groups/{group}/rollout", READ),
    (Verb::Post, "/v1/groups/{group}/rollout/pause", OPERATE),
    (Verb::Post, "/v1/groups/{group}/rollout/resume", OPERATE),
    (Verb::Post, "/v1/groups/{group}/rollout/retry", OPERATE),
    (Verb::Post, "/v1/groups/{group}/rollout/rollback", OPERATE),
    (Verb::Post, "/v1/groups/{group}/rollout/abort", OPERATE),
    (Verb::Get, "/v1/releases", READ),
    (Verb::Get, "/v1/releases/{*release}", READ),
    (Verb::Post, "/v1/releases/gc", OPERATE),
    // Its hooks will run as the supervisor's user.
    (Verb::Put, "/v1/releases", ADMIN),
    // Listing asks all members: nobody else is to have them asked.
    (Verb::Get, "/v1/ring/keys", ADMIN),
    // Who has one has the ring.
    (Verb::Get, "/v1/ring/keys/in-use", ADMIN),
    (Verb::Get, "/v1/ring/keys/{key}", ADMIN),
    (Verb::Post, "/v1/ring/keys/install", ADMIN),
    (Verb::Post, "/v1/ring/keys/use", ADMIN),
    (Verb::Post, "/v1/ring/keys/remove", ADMIN),
    // Whose tokens there are says whom to rob.
    (Verb::Get, "/v1/tokens", ADMIN),
    (Verb::Post, "/v1/tokens", ADMIN),
    (Verb::Delete, "/v1/tokens/{token}", ADMIN),
    (Verb::Get, "/v1/explain/{target}", READ),
    (Verb::Get, "/v1/services", READ),
    // As for rollouts.
    (Verb::Get, "/v1/services/{target}", READ),
    // A plan's hooks run as the supervisor's user.
    (Verb::Post, "/v1/services", ADMIN),
    (Verb::Post, "/v1/services/{target}/stop", OPERATE),
    (Verb::Post, "/v1/services/{target}/restart", OPERATE),
    // It takes an admin to load it again.
    (Verb::Post, "/v1/services/{target}/unload", ADMIN),
    // A service writes what it likes into its log.
    (Verb::Get, "/v1/services/{target}/logs", OPERATE),
    (Verb::Get, "/v1/events", READ),
];

/// What it takes to use the path that the router matched; none: it matched none. What the table does not have is for
/// those who may do everything, lest a new path is open to all for the want of a line.
#[must_use]
pub fn need(method: &Method, path: Option<&str>) -> Need {
    let Some(path) = path else { return READ };
    let verb = Verb::of(method);
    let row = TABLE.iter().find(|(known, template, _)| Some(*known) == verb && *template == path);
    row.map_or(ADMIN, |(_, _, need)| *need)
}

/// The methods of a path that the router matched, if this is none of them: for the answer that it is the wrong one.
#[must_use]
pub fn others(method: &Method, path: Option<&str>) -> Option<Vec<&'static str>> {
    let verb = Verb::of(method);
    let known: Vec<Verb> =
        TABLE.iter().filter(|(_, template, _)| Some(*template) == path).map(|(known, ..)| *known).collect();
    let is_wrong = !known.is_empty() && !known.iter().any(|known| Some(*known) == verb);
    is_wrong.then(|| known.into_iter().map(Verb::as_str).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Method;

    use super::{ADMIN, Need, READ, TABLE, Verb, need, others};

    #[test]
    fn no_row_is_there_twice_and_each_is_found() {
        let rows: BTreeSet<_> = TABLE.iter().map(|(verb, path, _)| (verb.as_str(), path)).collect();
        assert_eq!(rows.len(), TABLE.len());
        for (verb, path, needed) in TABLE {
            let method = Method::from_bytes(verb.as_str().as_bytes()).unwrap();
            assert_eq!(need(&method, Some(path)), *needed, "{path}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_for_those_who_may_do_everything() {
        assert_eq!(need(&Method::PATCH, Some("/v1/node")), ADMIN);
        assert_eq!(need(&Method::GET, Some("/v1/new")), ADMIN);
        assert_eq!(need(&Method::HEAD, Some("/v1/node")), READ);
        assert_eq!(need(&Method::GET, None), READ, "nobody learns which paths there are without being known");
    }

    #[test]
    fn a_method_is_wrong_where_the_path_is_known_by_others_only() {
        let files = Some("/v1/groups/{group}/files/{name}");
        assert_eq!(others(&Method::PATCH, files), Some(vec!["PUT", "DELETE"]));
        assert_eq!(others(&Method::DELETE, Some("/v1/node")), Some(vec!["GET"]));
        for (method, path) in [
            (Method::DELETE, files),
            (Method::HEAD, Some("/v1/node")),
            (Method::GET, Some("/v1/new")),
            (Method::GET, None),
        ] {
            assert_eq!(others(&method, path), None, "{method} {path:?}");
        }
    }

    #[test]
    fn nobody_changes_anything_without_a_role_that_may() {
        for (verb, path, needed) in TABLE.iter().filter(|(verb, ..)| *verb != Verb::Get) {
            assert!(!matches!(needed, Need::Nothing | &READ), "{verb:?} {path}");
        }
    }
}
