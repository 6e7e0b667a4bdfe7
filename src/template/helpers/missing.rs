//! What happens where a template names a value that is not there.

use std::sync::{Arc, Mutex, PoisonError};

use handlebars::{Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext};

use super::error;

/// The hook that handlebars calls for a missing value. It does not call it for an argument of a helper: that is how a
/// template asks whether there is a value (`{{#if cfg.port}}`).
pub enum MissingHook {
    /// It is an error.
    Error,
    /// It renders as nothing, and its path is written down.
    Record(Arc<Mutex<Vec<String>>>),
}

impl HelperDef for MissingHook {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        _: &mut dyn Output,
    ) -> HelperResult {
        let path = helper.name();
        if !helper.params().is_empty() || !helper.hash().is_empty() {
            return Err(error(format!("there is no helper `{path}`")));
        }
        match self {
            Self::Error => Err(error(format!("there is no value `{path}`"))),
            Self::Record(missed) => {
                // Nothing panics while it holds this lock; the list is whole in any case.
                missed.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
                Ok(())
            }
        }
    }
}
