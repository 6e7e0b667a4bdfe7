//! What a template sees.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::base::{Name, NodeId};
use crate::census::{GroupView, MemberView};
use crate::plan::{BindSpec, Plan, ServicePaths};

/// `sys`: the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SysContext {
    /// The version of `sup`.
    pub version: String,
    /// The node's id.
    pub member_id: String,
    /// The address that others reach the node by.
    pub ip: String,
    /// The machine's name.
    pub hostname: String,
    /// Where gossip listens.
    pub gossip_ip: String,
    /// Its port.
    pub gossip_port: u16,
    /// Where the HTTP interface listens.
    pub http_gateway_ip: String,
    /// Its port.
    pub http_gateway_port: u16,
    /// Where the control interface listens: the HTTP interface.
    pub ctl_gateway_ip: String,
    /// Its port.
    pub ctl_gateway_port: u16,
    /// Whether the node is a permanent peer of others.
    pub permanent: bool,
}

/// `pkg`: the plan and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PkgContext {
    /// `ORIGIN/NAME/VERSION`.
    pub ident: String,
    /// Who made the plan.
    pub origin: String,
    /// The service's name.
    pub name: String,
    /// The version of what it runs.
    pub version: String,
    /// Which content the plan has.
    pub release: String,
    /// Always empty: plans use what is on the machine.
    pub deps: Vec<String>,
    /// The plan's environment.
    pub env: BTreeMap<String, String>,
    /// The exports that are ports.
    pub exposes: Vec<String>,
    /// The exports, and the config keys that they stand for.
    pub exports: BTreeMap<String, String>,
    /// The plan's directory.
    pub path: String,
    /// The user to run as.
    pub svc_user: String,
    /// The group to run as.
    pub svc_group: String,
    /// `svc_path`, `svc_config_path` and so on.
    #[serde(flatten)]
    pub paths: BTreeMap<String, String>,
}

impl PkgContext {
    /// The context of `plan` on a node where its service has these `paths`.
    #[must_use]
    pub fn new(plan: &Plan, paths: &ServicePaths) -> Self {
        todo!("{plan:?} {paths:?}")
    }
}

/// A group that the service is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// The group.
    pub group: &'a GroupView,
    /// What its members must export.
    pub spec: &'a BindSpec,
}

impl<'a> Bind<'a> {
    /// The members of the group that may be used: they serve, and export what the bind needs. By node id.
    pub fn members(self) -> impl Iterator<Item = &'a MemberView> {
        let Self { group, spec } = self;
        group.serving().filter(|member| spec.exports.iter().all(|name| member.status.exports.contains_key(name)))
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn is_satisfied(self) -> bool {
        self.members().next().is_some()
    }
}

/// Everything that a context is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The node.
    pub sys: &'a SysContext,
    /// The plan.
    pub pkg: &'a PkgContext,
    /// The merged config.
    pub cfg: &'a toml::Table,
    /// Which member of the group this is.
    pub me: NodeId,
    /// The service's own group.
    pub svc: &'a GroupView,
    /// The groups that it is bound to, satisfied or not, by the plan's names for them.
    pub binds: &'a BTreeMap<Name, Bind<'a>>,
}

/// The whole context of a template.
#[must_use]
pub fn context(inputs: &Inputs<'_>) -> Value {
    todo!("{inputs:?}")
}

/// A hash of a context: equal contexts render alike, so nothing needs rendering while it stays.
#[must_use]
pub fn context_hash(context: &Value) -> [u8; 32] {
    *blake3::hash(context.to_string().as_bytes()).as_bytes()
}
