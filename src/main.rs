//! The `sup` binary: everything it does is in the library.

fn main() -> std::process::ExitCode {
    sup::cli::main()
}
