//! What is told of a service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::spec::ServiceSpec;
use crate::base::{Now, Wall};
use crate::records::value::MemberStatus;

/// A service's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStatus {
    /// What was asked for.
    pub spec: Arc<ServiceSpec>,
    /// What the ring is told.
    pub member: MemberStatus,
    /// How often a process was launched by this task. A restart is done when it has grown.
    pub launches: u64,
    /// What is wrong without keeping the service from running: a `user.toml` that does not parse, a template that
    /// does not render.
    pub problems: Vec<String>,
    /// How each hook ended that was run, by name.
    pub hooks: BTreeMap<String, HookReport>,
    /// The rendered files, relative to the service's directory, with the first 16 hex digits of their BLAKE3 hash.
    pub files: BTreeMap<PathBuf, String>,
    /// The service is gone from this node, and so is its task.
    pub unloaded: bool,
}

/// How a hook ended the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// When it ended.
    pub at: Wall,
    /// How long it ran, in milliseconds.
    pub took_ms: u64,
    /// How it ended, for a person: `exited with 1`, `killed after its timeout of 60s`.
    pub outcome: String,
    /// The end of its output, both streams in the order in which they were read.
    pub output: String,
}

impl ServiceStatus {
    /// A service of which nothing is known but what was asked for.
    #[must_use]
    pub fn loaded(spec: &Arc<ServiceSpec>, now: Now) -> Self {
        let member = MemberStatus {
            topology: spec.topology,
            strategy: spec.strategy,
            since: now.wall,
            ..MemberStatus::default()
        };
        Self {
            spec: Arc::clone(spec),
            member,
            launches: 0,
            problems: Vec::new(),
            hooks: BTreeMap::new(),
            files: BTreeMap::new(),
            unloaded: false,
        }
    }
}
