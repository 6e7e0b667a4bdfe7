//! The `sup` binary: everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else is set up: a shim is to stay as small as a process can be.
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|first| first.to_str()) {
        Some("shim") => sup::shim::main(args),
        Some("demo-service") => sup::demo::main(args),
        _ => sup::cli::main(),
    }
}
