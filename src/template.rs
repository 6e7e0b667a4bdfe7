//! Rendering of a service's files.
//!
//! | file | subject |
//! | --- | --- |
//! | [`context()`] | what a template sees: a pure function of the view, the config and the plan |
//! | [`render`](Templates) | templates become files, in memory |
//! | [`helpers`] | Habitat's helpers |
//! | [`preview`] | what `sup plan render` shows |
//! | [`Uses`] | which parts of a context a plan's templates can see |
//! | [`write()`] | files in memory become files on disk |
//!
//! When to render is decided by [`service`](crate::service); [`context_hash`] tells whether anything changed.

pub mod context;
mod helpers;
mod preview;
mod render;
mod scan;
mod uses;
mod write;

#[cfg(test)]
pub(crate) use context::sample_as_seen;
pub use context::{Bind, Inputs, PkgContext, Role, SysContext, context, context_hash, sample};
pub use preview::{PreviewError, preview};
pub use render::{RenderError, RenderedFile, RenderedKind, Templates, check};
pub use uses::Uses;
pub use write::{Owner, WriteError, write};
