//! The `sup` binary: everything it does is in the library.

use std::process::ExitCode;

use sup::supervisor::{Role, take_role};

fn main() -> ExitCode {
    // Before anything else is set up: a shim is to stay as small as a process can be.
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|first| first.to_str()) {
        Some("shim") => sup::shim::main(args),
        Some("demo-service") => sup::demo::main(args),
        // The entrypoint of a container is process 1, whatever command it is. Here no thread is started yet.
        _ => match take_role() {
            Ok(Role::Supervisor) => sup::cli::main(),
            Ok(Role::Init(code)) => code,
            Err(error) => {
                eprintln!("sup: cannot take up the work of process 1: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
