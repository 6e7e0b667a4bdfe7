//! What a template sees: `sys`, `pkg`, `cfg`, `svc` and `bind`, with Habitat's names.
//!
//! | file | subject |
//! | --- | --- |
//! | [`sys`], [`pkg`] | the node; the plan and its paths |
//! | [`member`] | a member of a group |
//! | [`group`] | the service's own group; the groups that it is bound to |
//! | [`sample`] | a context that needs no ring: for `sup plan check` and `sup plan render` |
//!
//! A context is a pure function of its inputs. It never tells the time.

mod group;
mod member;
mod pkg;
mod sample;
mod sys;

use std::collections::BTreeMap;

pub use group::Bind;
pub use pkg::PkgContext;
#[cfg(test)]
pub(crate) use sample::sample_as_seen;
pub use sample::{Role, sample};
use serde_json::{Value, json};
pub use sys::SysContext;

use super::uses::Uses;
use crate::base::{Name, NodeId};
use crate::census::GroupView;
use crate::plan::config;

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
    /// What the templates can see of it: the rest is left out.
    pub uses: &'a Uses,
}

/// The context of a template, as far as the template can see it.
#[must_use]
pub fn context(inputs: &Inputs<'_>) -> Value {
    let Inputs { sys, pkg, cfg, me, svc, binds, uses } = inputs;
    let cfg: serde_json::Map<String, Value> =
        cfg.iter().map(|(key, value)| (key.clone(), config::to_json(value))).collect();
    let satisfied = binds.iter().filter(|(_, bind)| uses.bind() && bind.is_satisfied());
    let bind: serde_json::Map<String, Value> =
        satisfied.map(|(name, bind)| (name.to_string(), group::bind(*bind))).collect();
    json!({ "sys": sys.to_json(), "pkg": pkg.to_json(), "cfg": cfg, "svc": group::svc(svc, *me, sys, uses), "bind": bind })
}

/// A hash of a context: equal contexts render alike, so nothing needs rendering while it stays.
#[must_use]
pub fn context_hash(context: &Value) -> [u8; 32] {
    *blake3::hash(context.to_string().as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests;
