//! Bodies: requests' within their limits, and responses' that are streams.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Frame;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::api::{Problem, ProblemKind};
use crate::base::limits::{CONFIG_BYTES, FILE_BYTES};

/// Largest JSON body of a request, in bytes.
pub const JSON_BODY_BYTES: usize = 64 * 1024;
/// Largest TOML body of a request, in bytes.
pub const CONFIG_BODY_BYTES: usize = CONFIG_BYTES;
/// Largest file, in bytes.
pub const FILE_BODY_BYTES: usize = 64 * 1024 * 1024;
const _: () = assert!(FILE_BODY_BYTES as u64 == FILE_BYTES);
/// Largest archive of a release, in bytes.
pub const RELEASE_BODY_BYTES: usize = 1024 * 1024 * 1024;

/// The whole body, or the problem that it is too large, or did not arrive.
pub(super) async fn bytes(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(refused(error, limit)),
    }
}

/// Why a body was not taken.
fn refused(error: Box<dyn std::error::Error + Send + Sync>, limit: usize) -> Problem {
    if error.is::<LengthLimitError>() {
        Problem::new(ProblemKind::TooLarge, format!("the body is larger than {limit} bytes"))
    } else {
        Problem::new(ProblemKind::BadRequest, format!("the body cannot be read: {error}"))
    }
}

/// The body as JSON. An empty one says nothing, and every field is at its default.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = bytes(body, JSON_BODY_BYTES).await?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| {
        Problem::new(ProblemKind::BadRequest, format!("the body is not what is expected here: {error}"))
    })
}

/// The body as text.
pub(super) async fn text(body: Body, limit: usize) -> Result<String, Problem> {
    let bytes = bytes(body, limit).await?;
    String::from_utf8(bytes.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::new(ProblemKind::BadRequest, format!("the body is not UTF-8 (byte {at})"))
    })
}

/// Passes the pieces of a body on as they come, so that it is never in memory as a whole. Who takes them may go at any
/// time.
pub(super) async fn pump(body: Body, limit: usize, pieces: mpsc::Sender<Result<Bytes, Problem>>) {
    let mut body = Limited::new(body, limit);
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => match frame.into_data() {
                Ok(data) => Ok(data),
                // Trailers say nothing here.
                Err(_) => continue,
            },
            Err(error) => Err(refused(error, limit)),
        };
        let is_end = piece.is_err();
        if pieces.send(piece).await.is_err() || is_end {
            return;
        }
    }
}

/// A body whose pieces come through a channel. It ends when the sender is dropped.
pub(super) struct Stream(pub(super) mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
