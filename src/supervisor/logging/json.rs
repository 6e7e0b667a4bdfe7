//! One JSON object a line.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::api::shape::Time;
use crate::supervisor::clock;

pub(super) struct Json;

struct Fields(Map<String, Value>);

impl Fields {
    fn new(level: Level) -> Self {
        let mut fields = Map::new();
        fields.insert("at".to_owned(), Time::from(clock::now().wall).to_string().into());
        fields.insert("level".to_owned(), level.as_str().to_lowercase().into());
        Self(fields)
    }
}

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
        let mut fields = Fields::new(*event.metadata().level());
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// A line about the log itself.
pub(super) fn remark(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    let mut fields = Fields::new(Level::WARN);
    fields.0.insert("message".to_owned(), text.into());
    writeln!(writer, "{}", Value::Object(fields.0))
}
