//! The built-in demo service, which needs nothing installed.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the shell does I/O and reads clocks")]

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the demo service: `sup demo-service --config FILE`, hidden.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    todo!()
}
