//! The supervisor's own log, on standard error.

mod json;
mod limit;
mod text;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::settings::{LogFormat, Settings};
use limit::Limited;

/// Sets up the log of this process. One that is set up already stays as it is.
pub(super) fn start(settings: &Settings) {
    // A filter was checked for nothing when the settings were read: a bad part of it is left out, and said.
    let filter = EnvFilter::builder().parse_lossy(&settings.log_level);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => {
            let log = log.with_ansi(io::stderr().is_terminal());
            log.event_format(Limited::new(text::format(), text::remark)).try_init()
        }
        LogFormat::Json => log.event_format(Limited::new(json::Json, json::remark)).try_init(),
    };
    // Only a test has one already.
    started.ok();
}
