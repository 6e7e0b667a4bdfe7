//! One line of text a line.

use std::fmt;

use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::FormatTime;

use crate::api::shape::Time;
use crate::supervisor::clock;

/// Writes times as the API does.
pub(super) struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{}", Time::from(clock::now().wall))
    }
}

pub(super) fn format() -> Format<Full, Stamp> {
    tracing_subscriber::fmt::format().with_timer(Stamp).with_target(false)
}

/// A line about the log itself.
pub(super) fn remark(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    Stamp.format_time(writer)?;
    writeln!(writer, "  WARN {text}")
}
