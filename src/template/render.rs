//! Templates become files, in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use handlebars::{Context, Handlebars, RenderErrorReason, Template, TemplateError, TemplateErrorReason};
use serde_json::Value;

use super::helpers::{self, MissingHook};
use super::scan;
use super::uses::Uses;
use crate::plan::manifest::Missing;
use crate::plan::{Complaint, Complaints, HealthCheck, HookName, PLAN_TOML, Plan, Source};

/// The mode of a config file.
const CONFIG_MODE: u32 = 0o640;
/// The mode of a hook.
const HOOK_MODE: u32 = 0o755;

/// A plan's templates, compiled.
#[derive(Debug)]
pub struct Templates {
    registry: Handlebars<'static>,
    files: Vec<Compiled>,
    /// The texts by their names in the registry, for positions.
    sources: BTreeMap<String, Source>,
    plan_toml: PathBuf,
    uses: Uses,
}

/// One file to render.
#[derive(Debug)]
struct Compiled {
    /// Its template's name in the registry. It starts with a colon, which no name of a partial can have.
    key: String,
    kind: RenderedKind,
    path: PathBuf,
}

/// A file that was rendered, not yet written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// What it is.
    pub kind: RenderedKind,
    /// Its path below the service's directory: `config/redis.conf`, `hooks/init`.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its mode.
    pub mode: u32,
}

/// What a rendered file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RenderedKind {
    /// A config file.
    Config,
    /// A hook.
    Hook(HookName),
}

/// A template does not render. The files on disk are as they were; a retry helps once the template or the config was
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub Complaint);

impl Templates {
    /// Compiles the templates, hooks and partials of `plan`.
    ///
    /// # Errors
    /// When some have mistakes: all of them are reported.
    pub fn compile(plan: &Plan) -> Result<Self, Complaints> {
        Self::compile_with(
            plan,
            match plan.manifest.missing {
                Missing::Empty => None,
                Missing::Error => Some(MissingHook::Error),
            },
        )
    }

    fn compile_with(plan: &Plan, hook: Option<MissingHook>) -> Result<Self, Complaints> {
        let mut registry = Handlebars::new();
        registry.register_escape_fn(handlebars::no_escape);
        helpers::register(&mut registry);
        if let Some(hook) = hook {
            registry.register_helper("helperMissing", Box::new(hook));
        }
        let mut templates = Self {
            registry,
            files: Vec::new(),
            sources: BTreeMap::new(),
            plan_toml: plan.file(PLAN_TOML),
            uses: Uses::everything(),
        };
        let partials: BTreeMap<String, Source> = plan
            .partials
            .iter()
            .map(|(file, text)| (file.clone(), Source::new(plan.file("config/partials").join(file), text)))
            .collect();
        let names = partial_names(&partials);
        let files = sources(plan);
        // Before handlebars sees any of them: it would follow a loop of partials to the end of its stack.
        scan::check_partials(files.iter().map(|(source, _)| source), &partials, &names)?;

        let mut complaints = Complaints::default();
        for (name, file) in &names {
            if let Some(source) = partials.get(file) {
                templates.add(name, source, &mut complaints);
            }
        }
        for (source, compiled) in files {
            templates.add(&compiled.key, &source, &mut complaints);
            templates.files.push(compiled);
        }
        for (what, text) in short_texts(plan) {
            if let Err(complaint) = compile_short(text) {
                complaints.0.push(templates.complain_short(&what, &complaint.message));
            }
        }
        let shorts = short_texts(plan);
        let texts = templates.sources.values().map(Source::text).chain(shorts.iter().map(|(_, text)| *text));
        templates.uses = Uses::of(texts);
        // A partial has two names, and would be complained about twice.
        complaints.0.dedup();
        complaints.into_result(templates)
    }

    fn add(&mut self, name: &str, source: &Source, complaints: &mut Complaints) {
        let result = scan::check_nesting(source).and_then(|()| {
            let added = self.registry.register_template_string(name, source.text());
            added.map_err(|error| syntax(source, &error))
        });
        complaints.0.extend(result.err());
        self.sources.insert(name.to_owned(), source.clone());
    }

    /// What they can see of a context.
    #[must_use]
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Renders all config files and hooks.
    ///
    /// # Errors
    /// When one does not render.
    pub fn render_all(&self, context: &Value) -> Result<Vec<RenderedFile>, RenderError> {
        let context = Context::from(context.clone());
        self.files.iter().map(|file| self.render_one(file, &context)).collect()
    }

    fn render_one(&self, file: &Compiled, context: &Context) -> Result<RenderedFile, RenderError> {
        let text = self.registry.render_with_context(&file.key, context).map_err(|error| self.place(&error))?;
        let mode = match file.kind {
            RenderedKind::Config => CONFIG_MODE,
            RenderedKind::Hook(_) => HOOK_MODE,
        };
        Ok(RenderedFile { kind: file.kind, path: file.path.clone(), bytes: text.into_bytes(), mode })
    }

    /// Renders a short text of `plan.toml`, such as `run`; `what` names it in errors.
    ///
    /// # Errors
    /// When it does not render.
    pub fn render_str(&self, what: &str, text: &str, context: &Value) -> Result<String, RenderError> {
        let template = compile_short(text)
            .and_then(|()| self.registry.render_template(text, context).map_err(|error| self.place(&error).0));
        template.map_err(|complaint| RenderError(self.complain_short(what, &complaint.message)))
    }

    /// Where in which template something did not render.
    fn place(&self, error: &handlebars::RenderError) -> RenderError {
        let message = message(error.reason());
        let source = error.template_name.as_ref().and_then(|name| self.sources.get(name));
        RenderError(match (source, error.line_no, error.column_no) {
            (Some(source), Some(line), Some(column)) => source.complain_at(line, column, message),
            (Some(source), _, _) => Complaint::whole_file(source.file(), message),
            (None, _, _) => Complaint::whole_file(&self.plan_toml, message),
        })
    }

    fn complain_short(&self, what: &str, message: &str) -> Complaint {
        Complaint::whole_file(&self.plan_toml, format!("`{what}`: {message}"))
    }
}

/// Renders everything of `plan` with each of `contexts`, and complains about what does not render and about the values
/// that are missing, whether the plan minds them or not. `expected` says which missing values are no mistake.
///
/// # Errors
/// When there is something to complain about.
pub fn check(plan: &Plan, contexts: &[Value], expected: impl Fn(usize, &str) -> bool) -> Result<(), Complaints> {
    let missed = Arc::new(Mutex::new(Vec::new()));
    let templates = Templates::compile_with(plan, Some(MissingHook::Record(Arc::clone(&missed))))?;
    let take = || std::mem::take(&mut *missed.lock().unwrap_or_else(PoisonError::into_inner));
    let mut complaints = Complaints::default();
    for (at, context) in contexts.iter().enumerate() {
        let as_data = Context::from(context.clone());
        for file in &templates.files {
            complaints.0.extend(templates.render_one(file, &as_data).err().map(|error| error.0));
            let missed = take().into_iter().filter(|path| !expected(at, path));
            complaints.0.extend(missed.map(|path| templates.complain_missing(file, &path)));
        }
        for (what, text) in short_texts(plan) {
            complaints.0.extend(templates.render_str(&what, text, context).err().map(|error| error.0));
            let missed = take().into_iter().filter(|path| !expected(at, path));
            complaints.0.extend(missed.map(|path| templates.complain_short(&what, &missing_value(&path))));
        }
    }
    let mut unique = Complaints::default();
    for complaint in complaints.0 {
        if !unique.0.contains(&complaint) {
            unique.0.push(complaint);
        }
    }
    unique.into_result(())
}

impl Templates {
    /// Complains that `file`, or a partial that it includes, names a value that is not there. Handlebars does not say
    /// where: the first tag that names it is taken.
    fn complain_missing(&self, file: &Compiled, path: &str) -> Complaint {
        let message = missing_value(path);
        let own = self.sources.get(&file.key);
        let partials = self.sources.iter().filter(|(name, _)| !name.starts_with(':')).map(|(_, source)| source);
        for source in own.into_iter().chain(partials) {
            if let Some(tag) = scan::tags(source.text()).into_iter().find(|tag| tag.inner == path) {
                return source.complain(tag.start..tag.end, message);
            }
        }
        Complaint::whole_file(own.map_or(self.plan_toml.as_path(), Source::file), message)
    }
}

fn missing_value(path: &str) -> String {
    format!("there is no value `{path}`")
}

/// The names that each partial has: its path, and its path without the extension if that is nobody else's.
fn partial_names(partials: &BTreeMap<String, Source>) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, String> = partials.keys().map(|file| (file.clone(), file.clone())).collect();
    let stem = |file: &str| {
        let (stem, extension) = file.rsplit_once('.')?;
        (!stem.is_empty() && !stem.ends_with('/') && !extension.contains('/')).then(|| stem.to_owned())
    };
    for file in partials.keys() {
        let Some(own) = stem(file) else { continue };
        let shared = partials.keys().filter(|other| stem(other).as_ref() == Some(&own)).count() > 1;
        if !shared && !partials.contains_key(&own) {
            names.insert(own, file.clone());
        }
    }
    names
}

/// Every file of the plan that is rendered.
fn sources(plan: &Plan) -> Vec<(Source, Compiled)> {
    let configs = plan.templates.iter().map(|(name, text)| {
        let path = PathBuf::from("config").join(name);
        let key = format!(":{}", path.display());
        (Source::new(plan.named.join(&path), text), Compiled { key, kind: RenderedKind::Config, path })
    });
    let hooks = plan.hooks.iter().map(|(hook, text)| {
        let path = PathBuf::from("hooks").join(hook.as_str());
        let key = format!(":{}", path.display());
        let file = plan.hook_files.get(hook).map_or(hook.as_str(), String::as_str);
        let source = Source::new(plan.named.join("hooks").join(file), text);
        (source, Compiled { key, kind: RenderedKind::Hook(*hook), path })
    });
    configs.chain(hooks).collect()
}

/// The texts of `plan.toml` that are templates, and their keys.
fn short_texts(plan: &Plan) -> Vec<(String, &str)> {
    let manifest = &plan.manifest;
    let mut texts = Vec::new();
    if let Some(run) = &manifest.service.run {
        texts.push(("service.run".to_owned(), run.as_str()));
    }
    texts.extend(manifest.service.env.iter().map(|(name, value)| (format!("service.env.{name}"), value.as_str())));
    match &manifest.health.check {
        HealthCheck::None | HealthCheck::Hook => {}
        HealthCheck::Http(text) => texts.push(("health.http".to_owned(), text)),
        HealthCheck::Tcp(text) => texts.push(("health.tcp".to_owned(), text)),
        HealthCheck::Exec(text) => texts.push(("health.exec".to_owned(), text)),
    }
    texts
}

fn compile_short(text: &str) -> Result<(), Complaint> {
    let source = Source::new("", text);
    scan::check_nesting(&source)?;
    Template::compile(text).map(drop).map_err(|error| syntax(&source, &error))
}

/// What handlebars has to say of a template's syntax.
fn syntax(source: &Source, error: &TemplateError) -> Complaint {
    let message = match error.reason() {
        // It lists the rules of its grammar that would have matched here.
        TemplateErrorReason::InvalidSyntax(_) => {
            "this is not a template's syntax, or a `{{...` or a block like `{{#if ...}}` before it is not closed"
                .to_owned()
        }
        other => other.to_string().replace('\n', " "),
    };
    match error.pos() {
        Some((line, column)) => source.complain_at(line, column, message),
        None => Complaint::whole_file(source.file(), message),
    }
}

/// What handlebars has to say of a rendering, in our words where its own are about its insides.
fn message(reason: &RenderErrorReason) -> String {
    match reason {
        RenderErrorReason::HelperNotFound(name) => format!("there is no helper `{name}`"),
        RenderErrorReason::PartialNotFound(name) => format!("there is no partial `{name}`"),
        RenderErrorReason::CannotIncludeSelf => "a partial includes itself".to_owned(),
        other => other.to_string().replace('\n', " "),
    }
}

#[cfg(test)]
mod tests;
