//! `pkg`: the plan and where it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::plan::{Plan, ServicePaths};

/// `pkg`: the plan and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PkgContext {
    /// `ORIGIN/NAME/VERSION/RELEASE`.
    pub ident: String,
    /// Who made the plan.
    pub origin: String,
    /// The service's name.
    pub name: String,
    /// The version of what it runs.
    pub version: String,
    /// Which content the plan has.
    pub release: String,
    /// The plan's environment, as it is written in the plan.
    pub env: BTreeMap<String, String>,
    /// The exports that are ports.
    pub exposes: Vec<String>,
    /// The exports, and the config keys that they stand for.
    pub exports: BTreeMap<String, String>,
    /// The plan's directory.
    pub path: String,
    /// The user to run as; empty if the plan does not say.
    pub svc_user: String,
    /// The group to run as; empty if the plan does not say.
    pub svc_group: String,
    /// `svc_path`, `svc_config_path` and so on.
    pub paths: BTreeMap<String, String>,
}

impl PkgContext {
    /// The context of `plan` on a node where its service has these `paths`.
    #[must_use]
    pub fn new(plan: &Plan, paths: &ServicePaths) -> Self {
        let manifest = &plan.manifest;
        Self {
            ident: format!("{}/{}", plan.ident(), plan.release),
            origin: manifest.origin().to_owned(),
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            release: plan.release.to_string(),
            env: manifest.service.env.clone(),
            exposes: manifest.exports.exposes.clone(),
            exports: manifest.exports.keys.clone(),
            path: plan.dir.display().to_string(),
            svc_user: manifest.service.user.clone().unwrap_or_default(),
            svc_group: manifest.service.group.clone().unwrap_or_default(),
            paths: paths.to_map(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut value = json!({
            "ident": self.ident,
            "origin": self.origin,
            "name": self.name,
            "version": self.version,
            "release": self.release,
            // Habitat's packages depend on each other; a plan uses what is on the machine.
            "deps": [],
            "env": self.env,
            "exposes": self.exposes,
            "exports": self.exports,
            "path": self.path,
            "svc_user": self.svc_user,
            "svc_group": self.svc_group,
        });
        if let Some(object) = value.as_object_mut() {
            object.extend(self.paths.iter().map(|(name, path)| (name.clone(), Value::from(path.as_str()))));
        }
        value
    }
}
