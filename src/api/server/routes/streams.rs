//! Answers without an end: events and logs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{Context, bad_query, part};
use crate::api::server::admission::Granted;
use crate::api::server::body::Stream;
use crate::api::server::reply;
use crate::api::shape::{Event, EventKind, LogsRequest, Time};
use crate::api::{Backend, Changes, Lines, Problem};
use crate::base::{GroupId, Wall, without_quotations};

/// Pieces that wait for a slow reader. What does not fit waits in the broadcast channel, whose readers are told when
/// they missed something, and in the log file.
const PIECES: usize = 64;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EventsQuery {
    group: Option<GroupId>,
}

/// Server-sent events. The subscription is in place before the head is sent: who reads the state after the head
/// misses nothing.
pub(super) async fn events<B: Backend>(
    State(context): State<Context<B>>,
    Extension(granted): Extension<Granted>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let changes = context.backend.subscribe(query.group.as_ref());
    let (pieces, stream) = mpsc::channel(PIECES);
    let pump = pump_events(changes, granted, query.group, pieces, context.limits.keep_alive);
    tokio::spawn(context.stop.run_until_cancelled_owned(pump));
    Ok(reply::stream("text/event-stream", Stream(stream)))
}

async fn pump_events(
    mut changes: Changes,
    granted: Granted,
    group: Option<GroupId>,
    pieces: mpsc::Sender<Bytes>,
    keep_alive: Duration,
) {
    let mut beat = tokio::time::interval(keep_alive);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let piece = tokio::select! {
            // The first beat is at once: it takes the head with it.
            _ = beat.tick() => Bytes::from_static(b":\n\n"),
            change = changes.recv() => match change {
                Ok(event) if is_about(&event, group.as_ref()) => frame(&shown(event, granted)),
                Ok(_) => continue,
                Err(RecvError::Lagged(missed)) => frame(&missed_event(missed)),
                Err(RecvError::Closed) => return,
            },
            () = pieces.closed() => return,
        };
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

/// The event as this reader may see it.
fn shown(event: Event, granted: Granted) -> Event {
    if granted.sees_output() {
        return event;
    }
    Event { message: without_quotations(&event.message).into_owned(), ..event }
}

/// Whether a reader of one group is to be told. Changes that name no group may concern any.
fn is_about(event: &Event, group: Option<&GroupId>) -> bool {
    match (group, &event.group) {
        (Some(wanted), Some(about)) => wanted == about,
        (None, _) | (Some(_), None) => true,
    }
}

fn missed_event(missed: u64) -> Event {
    // The time of day only labels the notice.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Time(Wall(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)));
    let message = format!("{missed} notices were missed");
    Event { at, kind: EventKind::Missed, group: None, node_id: None, message }
}

fn frame(event: &Event) -> Bytes {
    let mut text = format!("event: {}\ndata: ", event.kind.as_str());
    text.push_str(&line(event));
    text.push('\n');
    text.into()
}

/// One line of JSON. Strings are escaped, so that it is one line; the shapes have nothing that cannot be written.
fn line(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

/// Log lines, one line of JSON each.
pub(super) async fn logs<B: Backend>(
    State(context): State<Context<B>>,
    Path(service): Path<String>,
    query: Result<Query<LogsRequest>, QueryRejection>,
) -> Result<Response, Problem> {
    let service = part(&service)?;
    let Query(request) = query.map_err(|rejection| bad_query(&rejection))?;
    let lines = context.backend.logs(&service, request).await?;
    let (pieces, stream) = mpsc::channel(PIECES);
    tokio::spawn(context.stop.run_until_cancelled_owned(pump_lines(lines, pieces)));
    Ok(reply::stream("application/x-ndjson", Stream(stream)))
}

async fn pump_lines(mut lines: Lines, pieces: mpsc::Sender<Bytes>) {
    loop {
        let next = tokio::select! {
            next = lines.recv() => next,
            () = pieces.closed() => return,
        };
        let Some(next) = next else { return };
        if pieces.send(line(&next).into()).await.is_err() {
            return;
        }
    }
}
