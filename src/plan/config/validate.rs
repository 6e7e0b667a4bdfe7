//! Whether a config fits a plan.

use toml::Table;

use crate::plan::{Complaints, Plan};

/// What becomes of keys that the plan's defaults do not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Each is an error.
    #[default]
    Refused,
    /// They are taken.
    Allowed,
}

/// Reads a config for `plan`. All mistakes are collected, not only the first.
///
/// # Errors
/// When it is longer than [`CONFIG_BYTES`](crate::base::limits::CONFIG_BYTES), is not TOML, or does not fit the
/// plan's defaults and schema. Each complaint has the line and the column of the key or value that it is about.
pub fn validate(file: &str, text: &str, plan: &Plan, unknown: Unknown) -> Result<Table, Complaints> {
    todo!("{file} {text} {plan:?} {unknown:?}")
}
