//! Reading a plan's directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::complaint::{Complaint, Complaints, Source};
use super::content::Content;
use super::hook::HookName;
use super::release::Release;
use super::walk::{PlanFiles, read_text, walk};
use super::{
    DEFAULT_TOML, PLAN_DEPTH, PLAN_FILES, PLAN_TOML, PLAN_TOML_BYTES, Plan, SCHEMA_JSON, TEMPLATE_BYTES, manifest,
};

/// Where partials are.
const PARTIALS: &str = "config/partials";

/// A directory is not a plan that can be used. Nothing was changed; a retry helps once the plan was.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no `plan.toml`.
    #[error("{} is not a plan: it has no plan.toml", .0.display())]
    NotAPlan(PathBuf),
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is beyond its limit.
    #[error("{} is {bytes} bytes long; at most {limit} are allowed", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
    /// There are too many files.
    #[error("{} has more than {PLAN_FILES} files", .0.display())]
    TooManyFiles(PathBuf),
    /// A directory is too deep.
    #[error("{} is more than {PLAN_DEPTH} directories deep", .0.display())]
    TooDeep(PathBuf),
    /// A symbolic link leads out of the plan.
    #[error("{} is a link to {}, which is outside of the plan; copy the file into it", link.display(), target.display())]
    Outside {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It is neither a file nor a directory.
    #[error("{} is neither a file nor a directory", .0.display())]
    NotAFile(PathBuf),
    /// A text is not UTF-8.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// What is in a file is wrong.
    #[error("{0}")]
    Wrong(Complaints),
}

impl Plan {
    /// Reads the plan in `dir`.
    ///
    /// # Errors
    /// When it is no plan, breaks a limit, or `plan.toml`, `default.toml` or the schema has mistakes: all of them are
    /// reported.
    pub fn load(dir: &Path) -> Result<Self, PlanError> {
        if !dir.join(PLAN_TOML).is_file() {
            return Err(PlanError::NotAPlan(dir.to_owned()));
        }
        let absolute = dir.canonicalize().map_err(|source| PlanError::Read { path: dir.to_owned(), source })?;
        let files = walk(dir)?;
        let texts = Texts::read(dir, &files)?;

        let mut complaints = Complaints::default();
        let mut keep = |result: Result<(), Complaints>| {
            if let Err(more) = result {
                complaints.0.extend(more.0);
            }
        };
        let hook_names: BTreeSet<HookName> = texts.hooks.keys().copied().collect();
        let source = Source::new(dir.join(PLAN_TOML), &texts.manifest);
        let manifest = manifest::parse(&source, &hook_names).map_err(|error| keep(Err(error))).ok();
        let defaults = defaults(dir, &texts.defaults).map_err(|error| keep(Err(error))).ok();
        let schema = schema(dir, texts.schema.as_deref()).map_err(|error| keep(Err(error))).ok();
        keep(texts.twice(dir));

        let complete = manifest.zip(defaults).zip(schema);
        let ((manifest, defaults), schema) = match complaints.into_result(complete) {
            Ok(Some(complete)) => complete,
            // Each of the three is missing only together with a complaint.
            Ok(None) => return Err(PlanError::NotAPlan(dir.to_owned())),
            Err(complaints) => return Err(PlanError::Wrong(complaints)),
        };
        let content = Content::of(&files)?;
        Ok(Self {
            dir: absolute,
            named: dir.to_owned(),
            manifest,
            manifest_text: texts.manifest,
            defaults,
            defaults_text: texts.defaults,
            templates: texts.templates,
            partials: texts.partials,
            hooks: texts.hooks,
            hook_files: texts.hook_files,
            other_hook_files: texts.other_hook_files,
            schema,
            release: Release::from(content.hash()),
            content,
        })
    }
}

/// The texts of a plan's files.
#[derive(Default)]
struct Texts {
    manifest: String,
    defaults: String,
    schema: Option<String>,
    templates: BTreeMap<PathBuf, String>,
    partials: BTreeMap<String, String>,
    hooks: BTreeMap<HookName, String>,
    hook_files: BTreeMap<HookName, String>,
    other_hook_files: Vec<String>,
    /// Hooks that are there with a dash and with an underscore: the second's file.
    twice: Vec<String>,
}

impl Texts {
    fn read(dir: &Path, files: &PlanFiles) -> Result<Self, PlanError> {
        let mut texts = Self { manifest: read_text(&dir.join(PLAN_TOML), PLAN_TOML_BYTES)?, ..Self::default() };
        for (name, file) in files {
            if name == Path::new(DEFAULT_TOML) {
                texts.defaults = read_text(&file.path, TEMPLATE_BYTES)?;
            } else if name == Path::new(SCHEMA_JSON) {
                texts.schema = Some(read_text(&file.path, TEMPLATE_BYTES)?);
            } else if let Ok(partial) = name.strip_prefix(PARTIALS) {
                texts.partials.insert(utf8(partial, &file.path)?.to_owned(), read_text(&file.path, TEMPLATE_BYTES)?);
            } else if let Ok(template) = name.strip_prefix("config") {
                utf8(template, &file.path)?;
                texts.templates.insert(template.to_owned(), read_text(&file.path, TEMPLATE_BYTES)?);
            } else if let Ok(hook) = name.strip_prefix("hooks") {
                texts.add_hook(utf8(hook, &file.path)?, &file.path)?;
            }
        }
        Ok(texts)
    }

    fn add_hook(&mut self, file: &str, path: &Path) -> Result<(), PlanError> {
        match file.parse::<HookName>() {
            Err(_) => self.other_hook_files.push(file.to_owned()),
            Ok(hook) if self.hooks.contains_key(&hook) => self.twice.push(file.to_owned()),
            Ok(hook) => {
                self.hooks.insert(hook, read_text(path, TEMPLATE_BYTES)?);
                self.hook_files.insert(hook, file.to_owned());
            }
        }
        Ok(())
    }

    fn twice(&self, dir: &Path) -> Result<(), Complaints> {
        let complain = |file: &String| {
            let message = "this hook is there twice, with a dash and with an underscore; keep one";
            Complaint::whole_file(dir.join("hooks").join(file), message)
        };
        Complaints(self.twice.iter().map(complain).collect()).into_result(())
    }
}

fn utf8<'a>(name: &'a Path, path: &Path) -> Result<&'a str, PlanError> {
    name.to_str().ok_or_else(|| PlanError::NotText(path.to_owned()))
}

fn defaults(dir: &Path, text: &str) -> Result<toml::Table, Complaints> {
    toml::from_str(text)
        .map_err(|error| Complaint::from_toml_error(&Source::new(dir.join(DEFAULT_TOML), text), &error).into())
}

fn schema(dir: &Path, text: Option<&str>) -> Result<Option<serde_json::Value>, Complaints> {
    let Some(text) = text else { return Ok(None) };
    let source = Source::new(dir.join(SCHEMA_JSON), text);
    let schema = serde_json::from_str(text)
        .map_err(|error| Complaint::from_json_error(&source, &error, format!("is not JSON: {error}")))?;
    super::config::check_schema(&source, &schema)?;
    Ok(Some(schema))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{PLAN_TOML_BYTES, PlanError, TEMPLATE_BYTES};
    use crate::plan::{HookName, Plan};

    const SMALLEST: &str = "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n";

    fn plan(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        dir
    }

    #[test]
    fn everything_in_a_plan_is_read() {
        let dir = plan(&[
            ("plan.toml", SMALLEST),
            ("default.toml", "port = 1\n[a]\nb = 2\n"),
            ("config.schema.json", "{\"type\": \"object\"}"),
            ("config/x.conf", "x"),
            ("config/sub/y.conf", "y"),
            ("config/partials/p.conf", "p"),
            ("hooks/health_check", "#!/bin/sh"),
            ("hooks/post-stop", "#!/bin/sh"),
            ("hooks/README", "not a hook"),
            ("static/logo", "payload"),
        ]);
        let plan = Plan::load(dir.path()).unwrap();
        assert_eq!(plan.ident(), "local/x/1");
        assert_eq!(plan.defaults["a"]["b"].as_integer(), Some(2));
        assert_eq!(plan.templates.keys().collect::<Vec<_>>(), [Path::new("sub/y.conf"), Path::new("x.conf")]);
        assert_eq!(plan.partials["p.conf"], "p");
        assert_eq!(plan.hooks.keys().collect::<Vec<_>>(), [&HookName::HealthCheck, &HookName::PostStop]);
        assert_eq!(plan.hook_files[&HookName::HealthCheck], "health_check");
        assert_eq!(plan.other_hook_files, ["README"]);
        assert!(plan.schema.is_some() && plan.dir.is_absolute());
    }

    #[test]
    fn a_directory_without_a_plan_toml_is_no_plan() {
        let dir = plan(&[("default.toml", "")]);
        assert!(matches!(Plan::load(dir.path()), Err(PlanError::NotAPlan(path)) if path == dir.path()));
    }

    #[test]
    fn the_mistakes_of_all_files_are_told_together() {
        let dir = plan(&[
            ("plan.toml", "nam = \"x\"\n"),
            ("default.toml", "port = \n"),
            ("config.schema.json", "{\n  x\n}"),
            ("hooks/health-check", ""),
            ("hooks/health_check", ""),
        ]);
        let Err(PlanError::Wrong(complaints)) = Plan::load(dir.path()) else { panic!("it was taken") };
        let text = complaints.to_string();
        let name = |file: &str| dir.path().join(file).display().to_string();
        for expected in [
            name("plan.toml:1:1: unknown key `nam`; did you mean `name`?"),
            name("default.toml:1:"),
            name("config.schema.json:2:3: is not JSON"),
            name("hooks/health_check: this hook is there twice"),
        ] {
            assert!(text.contains(&expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_file_is_taken_at_its_limit_and_refused_one_byte_beyond() {
        for (file, limit) in
            [("plan.toml", PLAN_TOML_BYTES), ("config/big", TEMPLATE_BYTES), ("hooks/init", TEMPLATE_BYTES)]
        {
            let limit = usize::try_from(limit).unwrap();
            let start = if file == "plan.toml" { SMALLEST } else { "#" };
            let dir = plan(&[("plan.toml", SMALLEST)]);
            let write = |size: usize| {
                let path = dir.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, format!("{start}#{}", "x".repeat(size - start.len() - 1))).unwrap();
            };
            write(limit);
            assert!(Plan::load(dir.path()).is_ok(), "{file}");
            write(limit + 1);
            let error = Plan::load(dir.path()).unwrap_err();
            let place = PathBuf::from(file);
            assert!(matches!(&error, PlanError::TooLarge { path, .. } if path.ends_with(&place)), "{error}");
        }
    }
}
