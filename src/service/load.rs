//! A spec becomes something that can run: its plan read, everything that it requires found, its directories made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Table;

use super::ground::{self, Account};
use super::handle::Releases;
use super::machine::{HealthPolicy, RestartPolicy, Settings};
use super::spec::{BindingMode, ServiceSpec};
use crate::base::{Hash, Name};
use crate::plan::config::{environment_variable, parse_environment};
use crate::plan::{BindSpec, HealthCheck, HookName, Plan, ServicePaths};
use crate::template::{PkgContext, Templates};

/// The file that says which releases the `install` hook went through for, the last one last.
const INSTALLED: &str = "installed";
/// How many of them are remembered. One that is put on again after so many others is installed again.
const INSTALLED_MAX: usize = 20;

/// A plan that can run here.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The release that it is; none: the plan is the one that the service was started from.
    pub(super) release: Option<Hash>,
    pub(super) plan: Plan,
    pub(super) templates: Templates,
    pub(super) paths: ServicePaths,
    pub(super) pkg: PkgContext,
    pub(super) account: Account,
    /// The layer of the config that comes from the environment.
    pub(super) environment: Table,
    /// The binds that are given, with what they must export; and those of them that the service cannot run without.
    pub(super) binds: BTreeMap<Name, BindSpec>,
    pub(super) required: BTreeMap<Name, BindSpec>,
    pub(super) settings: Settings,
    /// What is to be known, and keeps nothing from running.
    pub(super) warnings: Vec<String>,
}

impl Loaded {
    /// The release as people are shown it.
    pub(super) fn shown_release(&self) -> String {
        self.release.map_or_else(|| self.plan.release.to_string(), |release| release.short())
    }
}

/// Why a plan cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The release is not on this node.
    Missing(Hash),
    /// It makes no sense, or not here; why, for a person.
    Broken(String),
}

/// Reads the plan of a release, or of none: the one that the service was started from. Blocks.
///
/// # Errors
/// When it cannot be used.
pub(super) fn load(
    spec: &ServiceSpec,
    release: Option<Hash>,
    releases: &dyn Releases,
    paths: &ServicePaths,
) -> Result<Arc<Loaded>, Unusable> {
    let dir = match release {
        None => releases.started_from().unwrap_or_else(|| spec.plan.clone()),
        Some(release) => releases.local(release).ok_or(Unusable::Missing(release))?,
    };
    read(spec, release, &dir, paths).map_err(Unusable::Broken)
}

/// # Errors
/// Says, for a person, everything that keeps the service from running.
fn read(spec: &ServiceSpec, release: Option<Hash>, dir: &Path, paths: &ServicePaths) -> Result<Arc<Loaded>, String> {
    let plan = Plan::load(dir).map_err(|error| explain(&error))?;
    if plan.manifest.name != spec.service {
        let (name, dir) = (&plan.manifest.name, plan.dir.display());
        return Err(format!("the plan in {dir} is that of {name}, not of {}", spec.service));
    }
    if !plan.runs() {
        return Err(format!(
            "the plan in {} says nothing to run: it needs hooks/run or service.run",
            plan.dir.display()
        ));
    }
    let templates = Templates::compile(&plan).map_err(|complaints| complaints.to_string())?;
    let binds = binds(spec, &plan)?;
    let path = plan.manifest.service.env.get("PATH").map_or(ground::PATH, String::as_str);
    let missing = ground::missing_commands(&plan.manifest.requires.commands, path);
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    let environment = match std::env::var(environment_variable(&spec.service)) {
        Ok(text) => parse_environment(&spec.service, &text).map_err(|complaints| complaints.to_string())?,
        Err(_) => Table::new(),
    };
    let (account, warning) = Account::of(&plan.manifest);
    ground::prepare(paths, account.owner())?;
    let settings = settings(spec, &plan, paths);
    let required = plan.manifest.binds.clone();
    let pkg = PkgContext::new(&plan, paths);
    let warnings = warning.into_iter().collect();
    Ok(Arc::new(Loaded {
        release,
        plan,
        templates,
        paths: paths.clone(),
        pkg,
        account,
        environment,
        binds,
        required,
        settings,
        warnings,
    }))
}

/// An error with all its causes.
pub(super) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

fn binds(spec: &ServiceSpec, plan: &Plan) -> Result<BTreeMap<Name, BindSpec>, String> {
    let known: BTreeMap<_, _> = plan.manifest.all_binds().map(|(name, bind, _)| (name.clone(), bind.clone())).collect();
    let mut given = BTreeMap::new();
    for bind in &spec.binds {
        let Some(wanted) = known.get(&bind.name) else {
            let names: Vec<_> = known.keys().map(Name::as_str).collect();
            return Err(format!("the plan has no bind {}; it has: {}", bind.name, names.join(", ")));
        };
        if given.insert(bind.name.clone(), wanted.clone()).is_some() {
            return Err(format!("the bind {} is given twice", bind.name));
        }
    }
    let missing = plan.manifest.binds.keys().find(|name| !given.contains_key(*name));
    match (missing, spec.binding_mode) {
        (Some(name), BindingMode::Strict) => {
            Err(format!("the plan requires the bind {name}; give it with --bind {name}:SERVICE.GROUP"))
        }
        (Some(_), BindingMode::Relaxed) | (None, _) => Ok(given),
    }
}

fn settings(spec: &ServiceSpec, plan: &Plan, paths: &ServicePaths) -> Settings {
    let manifest = &plan.manifest;
    let has_check = manifest.health.check != HealthCheck::None;
    Settings {
        topology: spec.topology,
        binding_mode: spec.binding_mode,
        hooks: plan.hooks.keys().copied().collect(),
        installed: !plan.hooks.contains_key(&HookName::Install) || is_installed(plan, paths),
        restart: RestartPolicy {
            min_backoff: manifest.restart.min_backoff,
            max_backoff: manifest.restart.max_backoff,
            cooldown: manifest.restart.cooldown,
            give_up_after: manifest.restart.give_up_after,
        },
        health: has_check
            .then_some(HealthPolicy { interval: manifest.health.interval, failures: manifest.health.failures.max(1) }),
    }
}

fn installed(paths: &ServicePaths) -> Vec<String> {
    let marker = ground::state_dir(paths).join(INSTALLED);
    let text = std::fs::read_to_string(marker).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn is_installed(plan: &Plan, paths: &ServicePaths) -> bool {
    installed(paths).iter().any(|release| *release == plan.release.to_string())
}

/// Remembers that this release is installed.
pub(super) fn remember_installation(loaded: &Loaded) -> std::io::Result<()> {
    let mut all = installed(&loaded.paths);
    all.retain(|release| *release != loaded.plan.release.to_string());
    all.push(loaded.plan.release.to_string());
    let kept = all.len().saturating_sub(INSTALLED_MAX);
    let text: String = all[kept..].iter().map(|release| format!("{release}\n")).collect();
    crate::whole::write(&ground::state_dir(&loaded.paths).join(INSTALLED), text.as_bytes(), 0o600)
}

/// Forgets that any was.
pub(super) fn forget_installation(paths: &ServicePaths) -> std::io::Result<()> {
    match std::fs::remove_file(ground::state_dir(paths).join(INSTALLED)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
