//! The built-in demo service, which needs nothing installed.
//!
//! `sup demo-service --config FILE` is a tiny HTTP server that answers with its configuration, so that one can see from
//! outside who leads and which config is in force. It can be told to fail its health check, or to crash:
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | who it is, its role and term, and its config |
//! | `GET /config` | its whole config file, as JSON |
//! | `GET /health` | 200, or 503 after `POST /fail` or with `fail_health = true` in the config |
//! | `POST /fail`, `POST /recover` | the health check fails, or is what the config says |
//! | `POST /crash` | exits with status 1 |
//!
//! It reads its config file again at `SIGHUP`; a file that cannot be read leaves the old config in force.

mod config;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the demo service: `sup demo-service --config FILE`, hidden.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let result = config_path(args).and_then(|path| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| format!("cannot start: {error}"))?.block_on(server::run(path))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config_path(mut args: impl Iterator<Item = OsString>) -> Result<PathBuf, String> {
    match (args.next(), args.next(), args.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => Ok(path.into()),
        _ => Err("usage: sup demo-service --config FILE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::config_path;

    #[test]
    fn the_config_file_is_the_only_argument() {
        let parse = |args: &[&str]| config_path(args.iter().map(OsString::from).collect::<Vec<_>>().into_iter());
        assert_eq!(parse(&["--config", "a b"]), Ok("a b".into()));
        for args in [&[][..], &["x"], &["--config"], &["--config", "x", "y"], &["--port", "1"]] {
            assert!(parse(args).unwrap_err().starts_with("usage"), "{args:?}");
        }
    }
}
