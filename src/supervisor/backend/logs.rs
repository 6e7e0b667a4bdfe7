//! The output of a service and of its hooks, as one stream.

use std::path::Path;

use tokio::sync::mpsc;

use crate::api::shape::{LogLine, LogStream, LogsRequest};
use crate::api::{Lines, Problem, ProblemKind};
use crate::base::{Name, Wall};
use crate::plan::ServicePaths;
use crate::service::hook_logs;
use crate::shim::log::{Follow, Line, LogError, Query, Stream, TAIL_LINES_MAX, tail};
use crate::supervisor::clock;

/// Lines on their way to a reader. One that is slower than the log makes it wait, not grow.
const PENDING: usize = 256;
/// The process, as the source of a line.
const RUN: &str = "run";
/// The hooks; their lines say which.
const HOOKS: &str = "hook";

/// The last lines of both logs, in the order of their times, and then those to come if they are wanted.
pub(super) async fn lines(data_dir: &Path, service: &Name, request: LogsRequest) -> Result<Lines, Problem> {
    let paths = ServicePaths::new(data_dir, service);
    let hooks = hook_logs(&paths);
    let since = request.since_ms.map(|ms| Wall(clock::now().wall.0.saturating_sub(ms)));
    let query = Query { lines: request.lines.unwrap_or(TAIL_LINES_MAX), since };
    let (run_dir, hook_dir) = (paths.logs.clone(), hooks.clone());
    let past = tokio::task::spawn_blocking(move || past(&run_dir, &hook_dir, query)).await;
    let past = match past {
        Ok(Ok(past)) => past,
        Ok(Err(error)) => return Err(Problem::caused(ProblemKind::Internal, &error)),
        Err(_) => return Err(Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down")),
    };
    let follow = |dir: &Path| {
        let now = Query { lines: 0, since: None };
        Follow::new(dir, now).map_err(|error| Problem::caused(ProblemKind::Internal, &error))
    };
    let to_come = if request.follow { Some((follow(&paths.logs)?, follow(&hooks)?)) } else { None };
    let (sender, lines) = mpsc::channel(PENDING);
    tokio::spawn(async move {
        // An end of either side, or of the log, is the end of the stream.
        send(past, to_come, &sender).await.ok();
    });
    Ok(lines)
}

fn past(run: &Path, hooks: &Path, query: Query) -> Result<Vec<LogLine>, LogError> {
    let mut lines: Vec<LogLine> = tail(run, query)?.into_iter().map(|line| shape(RUN, line)).collect();
    lines.extend(tail(hooks, query)?.into_iter().map(|line| shape(HOOKS, line)));
    // Stable: lines of one log and one millisecond stay in their order.
    lines.sort_by_key(|line| line.at);
    let surplus = lines.len().saturating_sub(query.lines);
    Ok(lines.split_off(surplus))
}

/// The reader is gone, or a log is.
struct Ended;

async fn send(
    past: Vec<LogLine>,
    to_come: Option<(Follow, Follow)>,
    sender: &mpsc::Sender<LogLine>,
) -> Result<(), Ended> {
    for line in past {
        sender.send(line).await.map_err(|_| Ended)?;
    }
    let Some((mut run, mut hooks)) = to_come else { return Ok(()) };
    loop {
        let line = tokio::select! {
            line = run.next() => shape(RUN, line.map_err(|_| Ended)?),
            line = hooks.next() => shape(HOOKS, line.map_err(|_| Ended)?),
            () = sender.closed() => return Err(Ended),
        };
        sender.send(line).await.map_err(|_| Ended)?;
    }
}

/// A line of a log. One of a hook begins with the hook's name.
fn shape(log: &str, line: Line) -> LogLine {
    let stream = match line.stream {
        Stream::Out | Stream::Sup => LogStream::Stdout,
        Stream::Err => LogStream::Stderr,
    };
    let (source, text) = match (line.stream, log) {
        (Stream::Sup, _) => ("sup".to_owned(), line.text),
        (Stream::Out | Stream::Err, HOOKS) => match line.text.split_once(": ") {
            Some((hook, text)) => (hook.to_owned(), text.to_owned()),
            None => (HOOKS.to_owned(), line.text),
        },
        (Stream::Out | Stream::Err, log) => (log.to_owned(), line.text),
    };
    LogLine { at: line.at.into(), source, stream, text }
}

#[cfg(test)]
mod tests {
    use super::{HOOKS, RUN, lines, shape};
    use crate::api::shape::LogsRequest;
    use crate::base::Wall;
    use crate::shim::log::{Line, Stream};

    #[test]
    fn a_line_of_a_hook_says_which_hook_it_is_of() {
        let line = |text: &str| Line { at: Wall(1), stream: Stream::Out, text: text.to_owned() };
        let shown = shape(HOOKS, line("init: made: it"));
        assert_eq!((shown.source.as_str(), shown.text.as_str()), ("init", "made: it"));
        let shown = shape(RUN, line("init: made"));
        assert_eq!((shown.source.as_str(), shown.text.as_str()), ("run", "init: made"));
    }

    #[tokio::test]
    async fn both_logs_are_shown_in_the_order_of_their_times_and_the_last_lines_of_both() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("svc/redis/logs");
        std::fs::create_dir_all(logs.join("hooks")).unwrap();
        let at = |second| format!("2026-11-21T07:26:3{second}.000Z");
        let run = format!("{} out one\n{} err three\n", at(1), at(3));
        std::fs::write(logs.join("current.log"), run).unwrap();
        std::fs::write(logs.join("hooks/current.log"), format!("{} out init: two\n", at(2))).unwrap();
        let request = LogsRequest { lines: Some(2), ..LogsRequest::default() };
        let mut shown = lines(dir.path(), &"redis".parse().unwrap(), request).await.unwrap();
        let mut texts = Vec::new();
        while let Some(line) = shown.recv().await {
            texts.push(line.text);
        }
        assert_eq!(texts, ["two", "three"]);
    }
}
