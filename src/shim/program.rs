//! The shim itself.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the shim: `sup shim`, hidden. Its launch spec comes from standard input.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    todo!()
}
