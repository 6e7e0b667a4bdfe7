//! Templates become files, in memory.

use std::path::PathBuf;

use serde_json::Value;

use crate::plan::{Complaint, Complaints, HookName, Plan};

/// A plan's templates, compiled.
#[derive(Debug)]
pub struct Templates {}

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

/// A template does not render. The files on disk are as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub Complaint);

impl Templates {
    /// Compiles the templates, hooks and partials of `plan`.
    ///
    /// # Errors
    /// When some have mistakes: all of them are reported.
    pub fn compile(plan: &Plan) -> Result<Self, Complaints> {
        todo!("{plan:?}")
    }

    /// Renders all config files and hooks.
    ///
    /// # Errors
    /// When one does not render.
    pub fn render_all(&self, context: &Value) -> Result<Vec<RenderedFile>, RenderError> {
        todo!("{context}")
    }

    /// Renders a short text of `plan.toml`, such as `run`; `what` names it in errors.
    ///
    /// # Errors
    /// When it does not render.
    pub fn render_str(&self, what: &str, text: &str, context: &Value) -> Result<String, RenderError> {
        todo!("{what} {text} {context}")
    }
}
