//! What a service is: a directory with `plan.toml`, its config, its templates and its hooks.
//!
//! | file | subject |
//! | --- | --- |
//! | [`manifest`] | `plan.toml`, typed |
//! | [`hook`] | the names of hooks |
//! | [`period`], [`signal`] | durations and signals as people write them |
//! | [`load`](Plan::load) | a directory becomes a [`Plan`]; every limit is checked as it is read |
//! | [`find()`] | a name becomes a directory |
//! | [`builtin`] | the `demo` plan that the binary carries |
//! | [`config`] | layers of config, and whether a config fits a plan |
//! | [`check`] | everything that can be known before start |
//! | [`Content`], [`Release`] | the list of its files, and the hash of that |
//! | [`paths`] | where a service's files are on a node |
//! | [`complaint`] | an error with a file, a line and a column |
//!
//! A loaded plan is immutable. Nothing here starts, renders or watches anything.

pub mod builtin;
pub mod check;
pub mod complaint;
pub mod config;
mod content;
pub mod find;
pub mod hook;
mod load;
pub mod manifest;
pub mod paths;
pub mod period;
mod reader;
mod release;
#[cfg(test)]
mod shipped;
pub mod signal;
mod walk;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use complaint::{Complaint, Complaints, Source};
pub use content::{
    CONTENT_BYTES, Content, ContentError, ContentFile, FileMode, NAME_BYTES, PATH_BYTES, PREFIX_BYTES, PathError,
    check_path, cut,
};
pub use find::{FindError, find, search_path};
pub use hook::HookName;
pub use load::PlanError;
pub use manifest::{
    BindSpec, ElectionSpec, Exports, Health, HealthCheck, Manifest, Missing, Requires, Resource, Restart, ServiceSpec,
};
pub use paths::ServicePaths;
pub use release::Release;
pub use signal::StopSignal;

/// The file that makes a directory a plan.
pub const PLAN_TOML: &str = "plan.toml";
/// The config's default values.
pub const DEFAULT_TOML: &str = "default.toml";
/// The JSON Schema of the config.
pub const SCHEMA_JSON: &str = "config.schema.json";
/// Largest `plan.toml`, in bytes.
pub const PLAN_TOML_BYTES: u64 = 64 * 1024;
/// Largest template, hook, partial or schema, in bytes.
pub const TEMPLATE_BYTES: u64 = 1024 * 1024;
/// Most files that a plan may have, payload included.
pub const PLAN_FILES: usize = 10_000;
/// Deepest directory below the plan's own.
pub const PLAN_DEPTH: usize = 16;

/// A plan, read and checked for form.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it was read from; absolute.
    pub dir: PathBuf,
    /// The same as it was named by who asked for it: for messages.
    pub named: PathBuf,
    /// `plan.toml`.
    pub manifest: Manifest,
    /// The text of `plan.toml`, for positions.
    pub manifest_text: String,
    /// `default.toml`; empty if there is none.
    pub defaults: toml::Table,
    /// The text of `default.toml`, for positions.
    pub defaults_text: String,
    /// The templates under `config/`, by their path below it, partials left out.
    pub templates: BTreeMap<PathBuf, String>,
    /// The templates under `config/partials/`, by their path below it.
    pub partials: BTreeMap<String, String>,
    /// The hooks that the plan has.
    pub hooks: BTreeMap<HookName, String>,
    /// The names of the hooks' files under `hooks/`: Habitat writes some with a dash and some with an underscore.
    pub hook_files: BTreeMap<HookName, String>,
    /// Files under `hooks/` that are no hooks.
    pub other_hook_files: Vec<String>,
    /// `config.schema.json`.
    pub schema: Option<serde_json::Value>,
    /// Its files, and what is in them.
    pub content: Content,
    /// Which content this is.
    pub release: Release,
}

impl Plan {
    /// `ORIGIN/NAME/VERSION`.
    #[must_use]
    pub fn ident(&self) -> String {
        self.manifest.ident()
    }

    /// The name of one of the plan's files, for messages.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.named.join(name)
    }

    /// The text of `default.toml` and its name, to complain about.
    #[must_use]
    pub fn defaults_source(&self) -> Source {
        Source::new(self.file(DEFAULT_TOML), &self.defaults_text)
    }

    /// Whether the plan says how the process is run: `hooks/run`, or `run` under `[service]`.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.manifest.service.run.is_some() || self.hooks.contains_key(&HookName::Run)
    }

    /// The text of the plan's exported config values: what binds and other members see as this member's `cfg`.
    ///
    /// An export whose key the config does not have is left out.
    #[must_use]
    pub fn exports(&self, cfg: &toml::Table) -> BTreeMap<String, serde_json::Value> {
        let value = |key: &String| config::get(cfg, key).map(config::to_json);
        self.manifest.exports.keys.iter().filter_map(|(name, key)| Some((name.clone(), value(key)?))).collect()
    }
}
