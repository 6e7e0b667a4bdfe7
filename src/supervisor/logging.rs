//! The supervisor's own log, on standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::time::FormatTime;

use super::clock;
use super::settings::{LogFormat, Settings};
use crate::api::shape::Time;

/// Writes times as the API does.
struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, w: &mut format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", Time::from(clock::now().wall))
    }
}

/// Sets up the log of this process. One that is set up already stays as it is.
pub(super) fn start(settings: &Settings) {
    // A filter was checked for nothing when the settings were read: a bad part of it is left out, and said.
    let filter = EnvFilter::builder().parse_lossy(&settings.log_level);
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_timer(Stamp).with_writer(io::stderr).with_target(false);
    let started = match settings.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.event_format(json::Json).try_init(),
    };
    // Only a test has one already.
    started.ok();
}

mod json {
    //! One JSON object a line.

    use std::fmt;

    use serde_json::{Map, Value};
    use tracing::field::{Field, Visit};
    use tracing::{Event, Subscriber};
    use tracing_subscriber::fmt::format::Writer;
    use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
    use tracing_subscriber::registry::LookupSpan;

    use crate::api::shape::Time;
    use crate::supervisor::clock;

    pub(super) struct Json;

    struct Fields(Map<String, Value>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.insert(field.name().to_owned(), format!("{value:?}").into());
        }

        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.insert(field.name().to_owned(), value.into());
        }

        fn record_u64(&mut self, field: &Field, value: u64) {
            self.0.insert(field.name().to_owned(), value.into());
        }

        fn record_i64(&mut self, field: &Field, value: i64) {
            self.0.insert(field.name().to_owned(), value.into());
        }

        fn record_bool(&mut self, field: &Field, value: bool) {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }

    impl<S, N> FormatEvent<S, N> for Json
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
            let mut fields = Fields(Map::new());
            fields.0.insert("at".to_owned(), Time::from(clock::now().wall).to_string().into());
            fields.0.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
            event.record(&mut fields);
            writeln!(writer, "{}", Value::Object(fields.0))
        }
    }
}
