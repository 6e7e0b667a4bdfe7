//! Asks a supervisor: typed calls over its local socket, or over TCP.
//!
//! Every call is one connection: a command makes a handful of them, and a supervisor that restarts between two of them
//! does not matter. `endpoint` knows where a supervisor is, `transport` knows HTTP, `lines` the answers without an end,
//! this file the calls.

mod endpoint;
mod lines;
mod transport;

use std::fmt;

use axum::http::Method;
use serde::Serialize;

pub use endpoint::{Endpoint, Scheme, Server, ServerUrl, ServerUrlError};
pub use lines::{Events, LogLines};

use super::problem::Problem;
use super::shape::{
    Acted, Action, ActionRequest, ApplyRequest, Config, ConfigApplied, ConfigHistory, ConfigPreview, DepartRequest,
    Departed, DesiredRequest, Explanation, FileApplied, FileHistory, Files, Group, Groups, KeyInstall, KeyOrder,
    KeyShown, KeysChanged, LogsRequest, Members, Node, RecoverRequest, Recovery, Release, ReleaseAdded, Releases,
    ReleasesRemoved, RingKeys, RollbackRequest, RolloutReport, Service, Services, StartRequest, Started, Target,
    TokenMade, TokenRequest, TokenRevoked, Tokens, UnknownKeys, UnsetRequest, order_word,
};
use super::token::Token;
use crate::base::{FileName, GroupId, Name, TokenId};
use crate::net::KeyId;
use crate::records::value::OrderKind;
use crate::release::Query;

/// A supervisor that can be asked. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    way: Way,
}

/// Where it is asked, and in whose name.
#[derive(Debug, Clone)]
struct Way {
    endpoint: Endpoint,
    token: Option<Token>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A call's result. A supervisor that does not answer is
/// [`ProblemKind::Unreachable`](super::ProblemKind::Unreachable).
pub type Answer<T> = Result<T, Problem>;

impl Client {
    /// Asks there. Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self { way: Way { endpoint, token: None } }
    }

    /// The same, and a token is presented with each call.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.way.token = Some(token);
        self
    }

    /// Where it asks.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.way.endpoint
    }

    /// [`Backend::node`](super::Backend::node).
    ///
    /// # Errors
    ///
    /// As all calls here: the problem that the supervisor answered, or that it does not.
    pub async fn node(&self) -> Answer<Node> {
        self.get("/v1/node").await
    }

    /// [`Backend::members`](super::Backend::members).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn members(&self) -> Answer<Members> {
        self.get("/v1/members").await
    }

    /// [`Backend::depart`](super::Backend::depart).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn depart(&self, node: &str, request: DepartRequest) -> Answer<Departed> {
        let path = format!("/v1/members/{}/depart", segment(node));
        self.send(Method::POST, &path, &request).await
    }

    /// [`Backend::undepart`](super::Backend::undepart).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn undepart(&self, node: &str) -> Answer<Departed> {
        let path = format!("/v1/members/{}/undepart", segment(node));
        self.send(Method::POST, &path, &serde_json::json!({})).await
    }

    /// [`Backend::recover`](super::Backend::recover).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn recover(&self, group: &GroupId, request: RecoverRequest) -> Answer<Recovery> {
        self.send(Method::POST, &format!("/v1/groups/{group}/recover"), &request).await
    }

    /// [`Backend::groups`](super::Backend::groups).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn groups(&self) -> Answer<Groups> {
        self.get("/v1/groups").await
    }

    /// [`Backend::group`](super::Backend::group).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn group(&self, group: &GroupId) -> Answer<Group> {
        self.get(&format!("/v1/groups/{group}")).await
    }

    /// [`Backend::services`](super::Backend::services).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn services(&self) -> Answer<Services> {
        self.get("/v1/services").await
    }

    /// [`Backend::service`](super::Backend::service).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn service(&self, service: &Name) -> Answer<Service> {
        self.get(&format!("/v1/services/{service}")).await
    }

    /// [`Backend::explain`](super::Backend::explain).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn explain(&self, target: &Target) -> Answer<Explanation> {
        self.get(&format!("/v1/explain/{target}")).await
    }

    /// [`Backend::start`](super::Backend::start).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn start(&self, request: &StartRequest) -> Answer<Started> {
        self.send(Method::POST, "/v1/services", request).await
    }

    /// [`Backend::act`](super::Backend::act).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn act(&self, action: Action, target: &Target, request: ActionRequest) -> Answer<Acted> {
        self.send(Method::POST, &format!("/v1/services/{target}/{}", action.as_str()), &request).await
    }

    /// [`Backend::set_desired`](super::Backend::set_desired).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn set_desired(&self, group: &GroupId, request: &DesiredRequest) -> Answer<Acted> {
        self.send(Method::PUT, &format!("/v1/groups/{group}/desired"), request).await
    }

    /// [`Backend::rollout`](super::Backend::rollout).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn rollout(&self, group: &GroupId) -> Answer<RolloutReport> {
        self.get(&format!("/v1/groups/{group}/rollout")).await
    }

    /// [`Backend::order`](super::Backend::order).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn order(&self, group: &GroupId, order: OrderKind) -> Answer<Acted> {
        let path = format!("/v1/groups/{group}/rollout/{}", order_word(order));
        transport::call(&self.way, Method::POST, &path, "application/json", Vec::new().into()).await
    }

    /// [`Backend::releases`](super::Backend::releases).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn releases(&self) -> Answer<Releases> {
        self.get("/v1/releases").await
    }

    /// [`Backend::release`](super::Backend::release).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn release(&self, release: &Query) -> Answer<Release> {
        self.get(&format!("/v1/releases/{release}")).await
    }

    /// [`Backend::gc_releases`](super::Backend::gc_releases).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn gc_releases(&self) -> Answer<ReleasesRemoved> {
        transport::call(&self.way, Method::POST, "/v1/releases/gc", "application/json", Vec::new().into()).await
    }

    /// [`Backend::add_release`](super::Backend::add_release): sends the file, which is never in memory as a whole.
    ///
    /// # Errors
    ///
    /// See [`Self::node`]; and the file cannot be read.
    pub async fn add_release(&self, archive: std::fs::File) -> Answer<ReleaseAdded> {
        transport::upload(&self.way, "/v1/releases", archive).await
    }

    /// [`Backend::config`](super::Backend::config).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn config(&self, group: &GroupId, revision: Option<&str>) -> Answer<Config> {
        self.get(&with_query(format!("/v1/groups/{group}/config"), &[("revision", revision)])).await
    }

    /// [`Backend::config_history`](super::Backend::config_history).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn config_history(&self, group: &GroupId) -> Answer<ConfigHistory> {
        self.get(&format!("/v1/groups/{group}/config/history")).await
    }

    /// [`Backend::apply_config`](super::Backend::apply_config).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn apply_config(&self, group: &GroupId, request: ApplyRequest) -> Answer<ConfigApplied> {
        let path = apply_path(format!("/v1/groups/{group}/config"), &request);
        transport::call(&self.way, Method::PUT, &path, "application/toml", request.toml.into()).await
    }

    /// [`Backend::preview_config`](super::Backend::preview_config).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn preview_config(&self, group: &GroupId, request: ApplyRequest) -> Answer<ConfigPreview> {
        let path = apply_path(format!("/v1/groups/{group}/config/preview"), &request);
        transport::call(&self.way, Method::POST, &path, "application/toml", request.toml.into()).await
    }

    /// [`Backend::rollback_config`](super::Backend::rollback_config).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn rollback_config(&self, group: &GroupId, request: &RollbackRequest) -> Answer<ConfigApplied> {
        self.send(Method::POST, &format!("/v1/groups/{group}/config/rollback"), request).await
    }

    /// [`Backend::unset_config`](super::Backend::unset_config).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn unset_config(&self, group: &GroupId, request: &UnsetRequest) -> Answer<ConfigApplied> {
        let path = with_query(format!("/v1/groups/{group}/config"), &[("expect", request.expect.as_deref())]);
        transport::call(&self.way, Method::DELETE, &path, "application/json", Vec::new().into()).await
    }

    /// [`Backend::files`](super::Backend::files).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn files(&self, group: &GroupId) -> Answer<Files> {
        self.get(&format!("/v1/groups/{group}/files")).await
    }

    /// [`Backend::file_history`](super::Backend::file_history).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn file_history(&self, group: &GroupId, name: &FileName) -> Answer<FileHistory> {
        self.get(&format!("{}/history", file_path(group, name))).await
    }

    /// [`Backend::put_file`](super::Backend::put_file): sends the file, which is never in memory as a whole.
    ///
    /// # Errors
    ///
    /// See [`Self::node`]; and the file cannot be read.
    pub async fn put_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
        content: std::fs::File,
    ) -> Answer<FileApplied> {
        transport::upload(&self.way, &with_query(file_path(group, name), &[("expect", expect)]), content).await
    }

    /// [`Backend::rollback_file`](super::Backend::rollback_file).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn rollback_file(
        &self,
        group: &GroupId,
        name: &FileName,
        request: &RollbackRequest,
    ) -> Answer<FileApplied> {
        self.send(Method::POST, &format!("{}/rollback", file_path(group, name)), request).await
    }

    /// [`Backend::remove_file`](super::Backend::remove_file).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn remove_file(&self, group: &GroupId, name: &FileName, expect: Option<&str>) -> Answer<FileApplied> {
        let path = with_query(file_path(group, name), &[("expect", expect)]);
        transport::call(&self.way, Method::DELETE, &path, "application/json", Vec::new().into()).await
    }

    /// [`Backend::ring_keys`](super::Backend::ring_keys).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn ring_keys(&self) -> Answer<RingKeys> {
        self.get("/v1/ring/keys").await
    }

    /// [`Backend::show_key`](super::Backend::show_key).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn show_key(&self, key: Option<KeyId>) -> Answer<KeyShown> {
        match key {
            Some(key) => self.get(&format!("/v1/ring/keys/{key}")).await,
            None => self.get("/v1/ring/keys/in-use").await,
        }
    }

    /// [`Backend::install_key`](super::Backend::install_key).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn install_key(&self, request: &KeyInstall) -> Answer<KeysChanged> {
        self.send(Method::POST, "/v1/ring/keys/install", request).await
    }

    /// [`Backend::use_key`](super::Backend::use_key).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn use_key(&self, request: &KeyOrder) -> Answer<KeysChanged> {
        self.send(Method::POST, "/v1/ring/keys/use", request).await
    }

    /// [`Backend::remove_key`](super::Backend::remove_key).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn remove_key(&self, request: &KeyOrder) -> Answer<KeysChanged> {
        self.send(Method::POST, "/v1/ring/keys/remove", request).await
    }

    /// [`Backend::shutdown`](super::Backend::shutdown).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn shutdown(&self) -> Answer<()> {
        transport::call_for_nothing(&self.way, Method::POST, "/v1/shutdown").await
    }

    /// [`Backend::logs`](super::Backend::logs).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn logs(&self, service: &Name, request: LogsRequest) -> Answer<LogLines> {
        let lines = request.lines.map(|lines| lines.to_string());
        let since = request.since_ms.map(|millis| millis.to_string());
        let follow = request.follow.then_some("true");
        let query = [("lines", lines.as_deref()), ("since_ms", since.as_deref()), ("follow", follow)];
        let path = with_query(format!("/v1/services/{service}/logs"), &query);
        transport::stream(&self.way, &path).await.map(LogLines::new)
    }

    /// Notices of changes from now on, of one group or of all. The subscription is in place when this returns: who
    /// looks at the state then, and again at each notice, misses nothing.
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn events(&self, group: Option<&GroupId>) -> Answer<Events> {
        let group = group.map(ToString::to_string);
        let path = with_query("/v1/events".to_owned(), &[("group", group.as_deref())]);
        transport::stream(&self.way, &path).await.map(Events::new)
    }

    /// [`Backend::tokens`](super::Backend::tokens).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn tokens(&self) -> Answer<Tokens> {
        self.get("/v1/tokens").await
    }

    /// [`Backend::new_token`](super::Backend::new_token).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn new_token(&self, request: &TokenRequest) -> Answer<TokenMade> {
        self.send(Method::POST, "/v1/tokens", request).await
    }

    /// [`Backend::revoke_token`](super::Backend::revoke_token).
    ///
    /// # Errors
    ///
    /// See [`Self::node`].
    pub async fn revoke_token(&self, token: TokenId) -> Answer<TokenRevoked> {
        let path = format!("/v1/tokens/{token}");
        transport::call(&self.way, Method::DELETE, &path, "application/json", Vec::new().into()).await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Answer<T> {
        transport::call(&self.way, Method::GET, path, "application/json", Vec::new().into()).await
    }

    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Answer<T> {
        let body = serde_json::to_vec(body).map_err(|error| transport::unreadable(&self.way, path, &error))?;
        transport::call(&self.way, method, path, "application/json", body.into()).await
    }
}

fn file_path(group: &GroupId, name: &FileName) -> String {
    let mut path = format!("/v1/groups/{group}/files/");
    encode(name.as_str(), &mut path);
    path
}

fn apply_path(path: String, request: &ApplyRequest) -> String {
    let unknown = match request.unknown {
        UnknownKeys::Refuse => None,
        UnknownKeys::Allow => Some("allow"),
    };
    with_query(path, &[("expect", request.expect.as_deref()), ("unknown-keys", unknown)])
}

/// The path with those of the parameters that have a value.
fn with_query(mut path: String, parameters: &[(&str, Option<&str>)]) -> String {
    let mut mark = '?';
    for (name, value) in parameters {
        if let Some(value) = value {
            path.push(mark);
            path.push_str(name);
            path.push('=');
            encode(value, &mut path);
            mark = '&';
        }
    }
    path
}

/// What a person typed, as one part of a path.
fn segment(value: &str) -> String {
    let mut part = String::new();
    encode(value, &mut part);
    part
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
fn encode(value: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(HEX[usize::from(byte >> 4)]));
            into.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{segment, with_query};

    #[test]
    fn a_node_cannot_be_typed_so_that_it_leaves_its_part_of_the_path() {
        assert_eq!(segment("../x/depart?a"), "..%2Fx%2Fdepart%3Fa");
    }

    #[test]
    fn values_of_a_query_cannot_leave_their_place() {
        let path = with_query("/p".into(), &[("a", None), ("b", Some("x&c=1 ü")), ("d", Some("1-2.~_"))]);
        assert_eq!(path, "/p?b=x%26c%3D1%20%C3%BC&d=1-2.~_");
    }
}
