//! What a config would change: the files of each member, rendered with the config in force and with the new one.
//!
//! This node renders for all members. It knows the plan, the ring and, of its own member, the layers of the config that
//! lie below the group's. What the `user.toml` and the environment of another node say it does not know; whoever reads
//! the answer is told so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use similar::TextDiff;
use toml::Table;

use crate::api::shape::{ConfigChange, ConfigEffect, ConfigPreview, FileDiff, MemberName};
use crate::base::{GroupId, Name, NodeId};
use crate::census::{GroupView, Liveness, MemberView};
use crate::plan::config::{Layers, Unknown, effective, environment_variable, parse_environment, validate};
use crate::plan::{Plan, ServicePaths};
use crate::service::{Effect, ServiceSpec, Trial};
use crate::supervisor::life::sys;
use crate::template::{Bind, Inputs, PkgContext, RenderedFile, Templates, context};

/// Lines that are shown around a change.
const CONTEXT_LINES: usize = 3;

/// What rendering rests on.
pub(super) struct Ground {
    pub plan: Plan,
    pub templates: Templates,
    pub paths: ServicePaths,
    /// This node's own member, if it has one.
    pub own: Option<OwnLayers>,
    pub me: NodeId,
    pub view: Arc<GroupView>,
    /// The groups that the plan is bound to, as far as this node knows them, by the plan's names for them.
    pub binds: BTreeMap<Name, Arc<GroupView>>,
}

/// The layers of a member's config below the group's.
#[derive(Debug, Default)]
pub(super) struct OwnLayers {
    environment: Table,
    user: Table,
}

impl OwnLayers {
    /// Those of a service of this node. What makes no sense is left out: the service complains of it. Blocks.
    pub(super) fn read(spec: &ServiceSpec, plan: &Plan, paths: &ServicePaths) -> Self {
        let environment = std::env::var(environment_variable(&spec.service)).ok();
        let environment = environment.and_then(|text| parse_environment(&spec.service, &text).ok());
        let file: PathBuf =
            spec.config_from.as_ref().map_or_else(|| paths.user_toml.clone(), |dir| dir.join("user.toml"));
        let user = std::fs::read_to_string(&file).ok();
        let user = user.and_then(|text| validate("user.toml", &text, plan, Unknown::Refused).ok());
        Self { environment: environment.unwrap_or_default(), user: user.unwrap_or_default() }
    }
}

/// A config's text as the group's layer; empty where there is none.
fn layer(toml: &str) -> Table {
    toml::from_str(toml).unwrap_or_default()
}

impl Ground {
    /// Whether the new config renders for this node's own member, or for a member of which nothing else is known; and
    /// if not, why.
    pub(super) fn check(&self, toml: &str) -> Result<(), String> {
        let (old, new) = (layer(self.in_force()), layer(toml));
        let first = self.view.members.keys().next().copied();
        let member = if self.own.is_some() { Some(self.me) } else { first };
        match member.filter(|id| self.view.members.contains_key(id)) {
            Some(member) => self.render(member, &old, &new).map(|_| ()),
            // Nobody is there for whom it could be rendered.
            None => Ok(()),
        }
    }

    /// What the new config changes, member by member.
    pub(super) fn preview(&self, toml: &str) -> ConfigPreview {
        let (old, new) = (layer(self.in_force()), layer(toml));
        let mut changes: Vec<ConfigChange> = Vec::new();
        let mut unchanged = Vec::new();
        let (there, away): (Vec<&MemberView>, Vec<&MemberView>) = self
            .view
            .members
            .values()
            .partition(|member| matches!(member.node.liveness, Liveness::Alive | Liveness::Suspect));
        for member in there {
            let name = name(member);
            let (files, effect, error) = match self.render(member.node.id, &old, &new) {
                Ok(after) => {
                    // What does not render as it is does not run by it either.
                    let before = self.render(member.node.id, &old, &old).ok();
                    let effect = match (&before, member.status.pid) {
                        (_, None) => ConfigEffect::NextStart,
                        (None, Some(_)) => ConfigEffect::Restart,
                        (Some(before), Some(_)) => match after.effect(before, &self.plan) {
                            Effect::Nothing => ConfigEffect::Nothing,
                            Effect::Reconfigure => ConfigEffect::Reconfigure,
                            Effect::Restart => ConfigEffect::Restart,
                        },
                    };
                    (diffs(&before.map(|before| before.files).unwrap_or_default(), &after.files), effect, None)
                }
                Err(error) => (Vec::new(), ConfigEffect::Nothing, Some(error)),
            };
            // A command line may change where no file does.
            let is_same = files.is_empty() && matches!(effect, ConfigEffect::Nothing | ConfigEffect::NextStart);
            if is_same && error.is_none() {
                unchanged.push(name);
                continue;
            }
            // What is the same for many is said once.
            let same =
                |change: &&mut ConfigChange| change.files == files && change.effect == effect && change.error == error;
            match changes.iter_mut().find(same) {
                Some(change) => change.members.push(name),
                None => changes.push(ConfigChange { members: vec![name], files, effect, error }),
            }
        }
        ConfigPreview {
            group: self.view.group.clone(),
            plan: self.plan.ident(),
            revision: self.view.config.as_ref().map(|config| config.revision.clone()),
            changes,
            unchanged,
            away: away.into_iter().filter(|member| member.node.liveness == Liveness::Down).map(name).collect(),
            layers_known_of: self.own.is_some().then(|| self.view.members.get(&self.me).map(name)).flatten(),
        }
    }

    fn in_force(&self) -> &str {
        self.view.config.as_ref().map_or("", |config| &config.toml)
    }

    /// The files of a member under a config, where the group goes from `old` to `new`.
    fn render(&self, id: NodeId, old: &Table, new: &Table) -> Result<Trial, String> {
        let cfg = self.config(id, new);
        let mut svc = (*self.view).clone();
        for (id, member) in &mut svc.members {
            let (before, after) =
                (self.plan.exports(&self.config(*id, old)), self.plan.exports(&self.config(*id, new)));
            let status = Arc::make_mut(&mut member.status);
            for (key, value) in after {
                // One that it has from a layer of its own stays what it is.
                if *id == self.me || status.exports.get(&key) == before.get(&key) {
                    status.exports.insert(key, value);
                }
            }
        }
        let Some(member) = svc.members.get(&id) else { return Err("it is no member any more".to_owned()) };
        let mut pkg = PkgContext::new(&self.plan, &self.paths);
        if !member.status.paths.is_empty() {
            pkg.paths.clone_from(&member.status.paths);
        }
        let sys = sys(&member.node.facts, id);
        let specs: BTreeMap<_, _> = self.plan.manifest.all_binds().map(|(name, spec, _)| (name, spec)).collect();
        let binds = self
            .binds
            .iter()
            .filter_map(|(name, group)| Some((name.clone(), Bind { group, spec: specs.get(name).copied()? })));
        let (binds, uses) = (binds.collect(), self.templates.uses());
        let inputs = Inputs { sys: &sys, pkg: &pkg, cfg: &cfg, me: id, svc: &svc, binds: &binds, uses };
        Trial::of(&self.plan, &self.templates, &context(&inputs))
    }

    fn config(&self, id: NodeId, group: &Table) -> Table {
        let own = self.own.as_ref().filter(|_| id == self.me);
        let (environment, user) = own.map(|own| (own.environment.clone(), own.user.clone())).unwrap_or_default();
        effective(&self.plan.defaults, &Layers { environment, user, group: group.clone() })
    }
}

fn name(member: &MemberView) -> MemberName {
    MemberName { node_id: member.node.id, address: member.node.address.to_string() }
}

/// The files that differ, those included that only one side has.
fn diffs(old: &[RenderedFile], new: &[RenderedFile]) -> Vec<FileDiff> {
    let by_path = |files: &[RenderedFile]| -> BTreeMap<PathBuf, String> {
        let text = |file: &RenderedFile| String::from_utf8_lossy(&file.bytes).into_owned();
        files.iter().map(|file| (file.path.clone(), text(file))).collect()
    };
    let (old, new) = (by_path(old), by_path(new));
    let paths: std::collections::BTreeSet<&PathBuf> = old.keys().chain(new.keys()).collect();
    let text = |files: &BTreeMap<PathBuf, String>, path: &Path| files.get(path).cloned().unwrap_or_default();
    paths
        .into_iter()
        .map(|path| (path, text(&old, path), text(&new, path)))
        .filter(|(_, old, new)| old != new)
        .map(|(path, old, new)| {
            let shown = path.display().to_string();
            let diff = TextDiff::from_lines(&old, &new);
            let diff = diff.unified_diff().context_radius(CONTEXT_LINES).header(&shown, &shown).to_string();
            FileDiff { path: shown, diff }
        })
        .collect()
}

/// The groups that a service is bound to.
pub(super) fn bound(spec: &ServiceSpec) -> Vec<(Name, GroupId)> {
    spec.binds.iter().map(|bind| (bind.name.clone(), bind.group.clone())).collect()
}

#[cfg(test)]
mod tests;
