//! Reading `plan.toml`.

use super::Manifest;
use crate::plan::complaint::{Complaints, Source};

/// Reads `plan.toml`. All mistakes are collected, not only the first.
///
/// # Errors
/// When it is not TOML, or not a manifest.
pub fn parse(source: &Source) -> Result<Manifest, Complaints> {
    todo!("{source:?}")
}
