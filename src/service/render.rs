//! From a context to files on the disk, and to what a process that goes by them goes by.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ground;
use super::hook::Program;
use super::load::{Loaded, explain};
use super::machine::{Applied, Told};
use crate::plan::{HookName, Plan, ServicePaths};
use crate::template::{RenderedFile, RenderedKind, Templates, write};

/// The file in which it is kept what the process goes by.
const APPLIED: &str = "applied.json";
/// Hex digits of a hash that people are shown.
const SHOWN_HEX: usize = 16;

/// Everything that was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) applied: Applied,
    /// The command line of the process.
    pub(super) run: Vec<String>,
    /// The plan's own environment.
    pub(super) env: BTreeMap<String, String>,
    /// The files below the service's directory, with their hashes.
    pub(super) files: BTreeMap<PathBuf, String>,
}

/// Renders everything and writes what has changed. Blocks.
///
/// # Errors
/// When something does not render, in which case nothing is written; or is not written. Says what and where.
pub(super) fn render(
    loaded: &Loaded,
    revision: Option<String>,
    context: &Value,
    told: Told,
) -> Result<Rendered, String> {
    let files = loaded.templates.render_all(context).map_err(|error| error.to_string())?;
    let env = environment(loaded, context)?;
    let (run, run_text) = run_line(loaded, context)?;
    let hashes = Hashes::of(&files, &env, &run_text);
    write(&files, &loaded.paths.root, loaded.account.owner()).map_err(|error| explain(&error))?;
    let applied = Applied {
        release: loaded.release,
        revision,
        config: hashes.config,
        reconfigure: hashes.reconfigure,
        run: hashes.run,
        told,
    };
    let hash = |file: &RenderedFile| blake3::hash(&file.bytes).to_hex()[..SHOWN_HEX].to_owned();
    let files = files.iter().map(|file| (file.path.clone(), hash(file))).collect();
    Ok(Rendered { applied, run, env, files })
}

/// What of a rendering a process goes by: who compares two of them knows what the step from one to the other asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hashes {
    config: String,
    reconfigure: String,
    run: String,
}

impl Hashes {
    fn of(files: &[RenderedFile], env: &BTreeMap<String, String>, run: &str) -> Self {
        let of_kind = |kind| hash_of(files.iter().filter(|file| file.kind == kind));
        Self {
            config: of_kind(RenderedKind::Config),
            reconfigure: of_kind(RenderedKind::Hook(HookName::Reconfigure)),
            run: hash_of_run(files, env, run),
        }
    }
}

/// A rendering that is only looked at.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The files, hooks included.
    pub files: Vec<RenderedFile>,
    hashes: Hashes,
}

/// What a rendering asks for in the place of another, of a process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The hook `reconfigure`.
    Reconfigure,
    /// A restart.
    Restart,
}

impl Trial {
    /// Renders everything of a plan, and writes nothing.
    ///
    /// # Errors
    /// When something does not render; says what and where.
    pub fn of(plan: &Plan, templates: &Templates, context: &Value) -> Result<Self, String> {
        let files = templates.render_all(context).map_err(|error| error.to_string())?;
        let env = plan_environment(plan, templates, context)?;
        let hashes = Hashes::of(&files, &env, &run_text(plan, templates, context)?);
        Ok(Self { files, hashes })
    }

    /// What this asks for where `before` was rendered: what the service's machine would do.
    #[must_use]
    pub fn effect(&self, before: &Self, plan: &Plan) -> Effect {
        let (old, new) = (&before.hashes, &self.hashes);
        let has_hook = plan.hooks.contains_key(&HookName::Reconfigure);
        if old.run != new.run || (!has_hook && old.config != new.config) {
            Effect::Restart
        } else if has_hook && (&old.config, &old.reconfigure) != (&new.config, &new.reconfigure) {
            Effect::Reconfigure
        } else {
            Effect::Nothing
        }
    }
}

/// The plan's environment.
pub(super) fn environment(loaded: &Loaded, context: &Value) -> Result<BTreeMap<String, String>, String> {
    plan_environment(&loaded.plan, &loaded.templates, context)
}

fn plan_environment(plan: &Plan, templates: &Templates, context: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    for (name, text) in &plan.manifest.service.env {
        let what = format!("service.env.{name}");
        let value = templates.render_str(&what, text, context).map_err(|error| error.to_string())?;
        env.insert(name.clone(), value);
    }
    Ok(env)
}

/// The command line of the process, where that is no file.
fn run_text(plan: &Plan, templates: &Templates, context: &Value) -> Result<String, String> {
    if plan.hooks.contains_key(&HookName::Run) {
        return Ok(String::new());
    }
    let text = plan.manifest.service.run.as_deref().unwrap_or_default();
    templates.render_str("service.run", text, context).map_err(|error| error.to_string())
}

/// The command line of the process, and the text that it stems from if that is no file.
fn run_line(loaded: &Loaded, context: &Value) -> Result<(Vec<String>, String), String> {
    if loaded.plan.hooks.contains_key(&HookName::Run) {
        let file = loaded.paths.run.display().to_string();
        let has_interpreter = loaded.plan.hooks[&HookName::Run].starts_with("#!");
        let argv = if has_interpreter { vec![file] } else { vec!["/bin/sh".to_owned(), file] };
        return Ok((argv, String::new()));
    }
    let line = run_text(&loaded.plan, &loaded.templates, context)?;
    Ok((vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()], line))
}

fn hash_of<'a>(files: impl Iterator<Item = &'a RenderedFile>) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        feed(&mut hasher, file.path.as_os_str().as_encoded_bytes());
        feed(&mut hasher, &file.bytes);
    }
    hasher.finalize().to_hex().to_string()
}

fn hash_of_run(files: &[RenderedFile], env: &BTreeMap<String, String>, run: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        match file.kind {
            RenderedKind::Hook(HookName::Run | HookName::Init | HookName::PostRun) => {
                feed(&mut hasher, file.path.as_os_str().as_encoded_bytes());
                feed(&mut hasher, &file.bytes);
            }
            RenderedKind::Hook(_) | RenderedKind::Config => {}
        }
    }
    for (name, value) in env {
        feed(&mut hasher, name.as_bytes());
        feed(&mut hasher, value.as_bytes());
    }
    feed(&mut hasher, run.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// With its length, so that no two lists of texts are hashed alike.
fn feed(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Renders one hook alone, for those that run while the other files cannot be rendered: before binds are met, before a
/// leader is known. Blocks.
///
/// # Errors
/// When it does not render or cannot be written.
pub(super) fn render_hook(loaded: &Loaded, hook: HookName, context: &Value) -> Result<(), String> {
    let Some(text) = loaded.plan.hooks.get(&hook) else { return Ok(()) };
    let what = format!("hooks/{hook}");
    let text = loaded.templates.render_str(&what, text, context).map_err(|error| error.to_string())?;
    let path = loaded.paths.hooks.join(hook.as_str());
    write_hook(&path, text.as_bytes(), loaded).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn write_hook(path: &Path, bytes: &[u8], loaded: &Loaded) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let mut file = tempfile::Builder::new()
        .prefix(".hook-")
        .permissions(Permissions::from_mode(0o755))
        .tempfile_in(&loaded.paths.hooks)?;
    file.write_all(bytes)?;
    let owner = loaded.account.owner();
    if owner.uid.is_some() || owner.gid.is_some() {
        fchown(file.as_file(), owner.uid, owner.gid)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// How a rendered hook is run.
pub(super) fn program(paths: &ServicePaths, hook: HookName) -> Program {
    Program::File(paths.hooks.join(hook.as_str()))
}

/// Keeps what the process goes by for the next task. Blocks.
pub(super) fn remember(paths: &ServicePaths, applied: &Applied) -> io::Result<()> {
    let dir = ground::state_dir(paths);
    let mut file = tempfile::Builder::new().prefix(".applied-").tempfile_in(&dir)?;
    serde_json::to_writer(&mut file, applied)?;
    file.persist(dir.join(APPLIED)).map_err(|error| error.error)?;
    Ok(())
}

/// What the process goes by; none if nobody knows.
pub(super) fn recall(paths: &ServicePaths) -> Option<Applied> {
    let text = fs::read(ground::state_dir(paths).join(APPLIED)).ok()?;
    serde_json::from_slice(&text).ok()
}
