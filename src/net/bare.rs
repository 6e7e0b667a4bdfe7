//! The decoders of this folder without their sockets, for the fuzz targets in `fuzz/`. Nothing else uses this.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::envelope::{EnvelopeError, open_datagram, seal_datagram};
use super::frame::FrameError;
use super::gate::Gate;
use super::hello::{With, greet, welcome};

/// Puts a payload into its envelope. None: it is over the limit.
#[must_use]
pub fn seal(gate: &Gate, payload: &[u8]) -> Option<Vec<u8>> {
    seal_datagram(gate, gate.versions().max, payload)
}

/// Takes a payload out of its envelope.
///
/// # Errors
/// It is not for this node.
pub fn open<'a>(gate: &Gate, datagram: &'a mut [u8]) -> Result<&'a [u8], EnvelopeError> {
    open_datagram(gate, datagram).map(|content| content.payload)
}

/// Reads a stream that somebody else opened: its greeting, then frames until it ends. Handed on is the room that was
/// made for a frame, and the frame.
///
/// # Errors
/// It is refused, or broke off.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    gate: &Gate,
    mut each: impl FnMut(usize, &[u8]),
) -> Result<(), FrameError> {
    let Some(mut codec) = welcome(stream, gate).await? else { return Ok(()) };
    loop {
        let mut frame = Vec::new();
        let heard = codec.read_into(stream, &mut frame).await;
        // What broke off, or could not be opened, was not heard; but there was room made for it.
        each(frame.capacity(), if heard.is_ok() { &frame } else { &[] });
        if heard? == super::Heard::End {
            return Ok(());
        }
    }
}

/// Opens a stream, asks, and reads the answer.
///
/// # Errors
/// It is refused, or broke off.
pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    gate: &Gate,
    request: &[u8],
) -> Result<Option<Bytes>, FrameError> {
    let mut codec = greet(stream, gate, With::KeyInUse).await?;
    codec.write(stream, request, &[]).await?;
    codec.read(stream).await
}

/// Opens a stream, sends frames as they are sent, and after them bytes that are none.
///
/// # Errors
/// It is refused, or broke off.
pub async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    gate: &Gate,
    frames: &[&[u8]],
    garbage: &[u8],
) -> Result<(), FrameError> {
    let mut codec = greet(stream, gate, With::KeyInUse).await?;
    for frame in frames {
        codec.write(stream, frame, &[]).await?;
    }
    stream.write_all(garbage).await?;
    Ok(stream.shutdown().await?)
}
