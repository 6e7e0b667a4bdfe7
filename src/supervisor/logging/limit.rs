//! How many lines one place of the code may write. Much of what is logged follows from what others do, and what somebody
//! can make happen as often as they like must not fill a disk.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How many lines of one kind are written in a [`WINDOW`]. As many members may come up at once when a large ring starts.
const LINES: u64 = 1_000;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// It is written, `after` so many like it that were not.
    Written { after: u64 },
    /// It is written, and no other like it for this long.
    Last { pause: Duration },
    /// It is left out.
    LeftOut,
}

/// Lines of one kind: a window of them, from its first.
#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u64,
}

impl Window {
    fn take(&mut self, now: Instant) -> Line {
        let since = now.saturating_duration_since(self.began);
        if since >= WINDOW {
            let after = self.lines.saturating_sub(LINES);
            *self = Self { began: now, lines: 1 };
            return Line::Written { after };
        }
        self.lines += 1;
        if self.lines < LINES {
            Line::Written { after: 0 }
        } else if self.lines == LINES {
            Line::Last { pause: WINDOW - since }
        } else {
            Line::LeftOut
        }
    }
}

/// Writes a line about the log itself.
pub(super) type Remark = fn(&mut Writer<'_>, &str) -> fmt::Result;

/// A format whose lines are limited. What is left out is counted, and said with the next line that is not.
pub(super) struct Limited<F> {
    format: F,
    remark: Remark,
    /// As many as the code has places that log.
    windows: Mutex<HashMap<Identifier, Window>>,
}

impl<F> Limited<F> {
    pub(super) fn new(format: F, remark: Remark) -> Self {
        Self { format, remark, windows: Mutex::default() }
    }

    fn take(&self, place: Identifier, now: Instant) -> Line {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.entry(place).or_insert(Window { began: now, lines: 0 }).take(now)
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = self.take(event.metadata().callsite(), Instant::now());
        match line {
            Line::LeftOut => return Ok(()),
            Line::Written { after: 0 } | Line::Last { .. } => {}
            Line::Written { after } => {
                (self.remark)(&mut writer, &format!("{after} lines like the next one were left out"))?;
            }
        }
        self.format.format_event(cx, writer.by_ref(), event)?;
        if let Line::Last { pause } = line {
            let said = format!("{LINES} lines like the one before: more are left out for {} s", pause.as_secs());
            (self.remark)(&mut writer, &said)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use tracing::subscriber::with_default;

    use super::{LINES, Limited, Line, WINDOW, Window};
    use crate::supervisor::logging::{json, text};

    #[test]
    fn a_window_is_full_after_its_lines_and_the_next_one_says_how_many_were_left_out() {
        let now = Instant::now();
        let mut window = Window { began: now, lines: 0 };
        for _ in 1..LINES {
            assert_eq!(window.take(now), Line::Written { after: 0 });
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(window.take(later), Line::Last { pause: Duration::from_secs(40) });
        assert_eq!(window.take(later), Line::LeftOut);
        assert_eq!(window.take(later), Line::LeftOut);
        assert_eq!(window.take(now + WINDOW), Line::Written { after: 2 });
        assert_eq!(window.take(now + WINDOW + WINDOW), Line::Written { after: 0 });
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_cut_short_and_other_lines_are_not() {
        let flood = || {
            for number in 0..LINES + 50 {
                tracing::info!(number, "a flood");
            }
            tracing::warn!("something else");
        };
        let log = tracing_subscriber::fmt().with_ansi(false);
        let (plain, objects) = (Buffer::default(), Buffer::default());
        let (to_plain, to_objects) = (plain.clone(), objects.clone());
        let format = Limited::new(text::format(), text::remark);
        with_default(log.event_format(format).with_writer(move || to_plain.clone()).finish(), flood);
        let log = tracing_subscriber::fmt().with_ansi(false);
        let format = Limited::new(json::Json, json::remark);
        with_default(log.event_format(format).with_writer(move || to_objects.clone()).finish(), flood);

        let plain = String::from_utf8(plain.0.lock().unwrap().clone()).unwrap();
        let objects = String::from_utf8(objects.0.lock().unwrap().clone()).unwrap();
        let remark = "1000 lines like the one before: more are left out for";
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines.len(), 1002);
        assert!(lines[999].ends_with("INFO a flood number=999"), "{}", lines[999]);
        assert!(lines[1000].contains(&format!("WARN {remark}")), "{}", lines[1000]);
        assert!(lines[1001].ends_with("WARN something else"), "{}", lines[1001]);
        let objects: Vec<serde_json::Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 1002);
        assert_eq!(objects[999]["number"], 999);
        assert!(objects[1000]["message"].as_str().unwrap().starts_with(remark), "{}", objects[1000]);
        assert_eq!(objects[1001]["message"], "something else");
    }
}
