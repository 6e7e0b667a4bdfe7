//! How a stream begins: both sides say which versions they speak and which ring they are of, and agree on a seal.
//!
//! ```text
//! lowest version   highest version  0  length (2)  ring
//! lowest version   highest version  1  length (2)  id of the key (4)  first message of Noise [ ring ]
//! chosen version   highest version  0  length (2)
//! chosen version   highest version  1  length (2)  second message of Noise [ chosen version, verdict ]
//! highest version  highest version  2  length (2)  verdict
//! ```
//!
//! Sealed streams are Noise `NNpsk0`: both sides draw keys for this stream alone and mix the ring's key into them. Who
//! has no key of the ring learns neither what is said nor in which ring, and who gets the key later cannot read what was
//! recorded before. What comes before Noise's messages is bound to them: nobody can talk two nodes into an older version
//! or into clear text. A request is only sent once the second message has shown that the other side is there now, so a
//! recorded beginning of a stream gets a second message that nobody can read, and nothing else.
//!
//! A refusal that is not sealed can be made by anybody. It ends the stream, which anybody on the way can do by other
//! means, and it is told; nothing else follows from it.

use snow::{Builder, HandshakeState};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::envelope::{CLEAR, EnvelopeError, SEALED, ring_name};
use super::frame::{Codec, FrameError, read_body, read_head};
use super::gate::Gate;
use super::key::{Installed, KeyId};

/// What follows is a verdict.
const REFUSED: u8 = 2;
/// Two versions, the kind, the length.
const HEAD_BYTES: usize = 5;
/// Longest body. Those of this version have at most 85 bytes; newer ones may say more.
const BODY_BYTES: usize = 512;
/// The one pattern that is spoken: no certificates, a shared key, the cipher and curve of everything else here.
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// Verdicts.
const ACCEPTED: u8 = 0;
const OTHER_RING: u8 = 1;
const NOT_IN_CLEAR: u8 = 2;
const NO_SUCH_KEY: u8 = 3;
const FORGED: u8 = 4;
const VERSION: u8 = 5;

/// What opens a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum With {
    /// The key in use; or clear text, where none is.
    KeyInUse,
    /// This one, which must be installed.
    Key(KeyId),
}

/// One greeting.
struct Hello {
    head: [u8; HEAD_BYTES],
    body: Vec<u8>,
}

impl Hello {
    fn new(versions: [u8; 2], kind: u8, body: Vec<u8>) -> Result<Self, EnvelopeError> {
        let length = u16::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES);
        let [a, b] = length.ok_or(EnvelopeError::TooLarge { bytes: body.len(), limit: BODY_BYTES })?.to_be_bytes();
        Ok(Self { head: [versions[0], versions[1], kind, a, b], body })
    }

    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
        stream.write_all(&[&self.head[..], &self.body].concat()).await?;
        Ok(stream.flush().await?)
    }

    /// None: the stream ended before its first byte.
    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let Some(head) = read_head::<HEAD_BYTES>(stream).await? else { return Ok(None) };
        let [_, _, _, length @ ..] = head;
        let bytes = usize::from(u16::from_be_bytes(length));
        if bytes > BODY_BYTES {
            return Err(EnvelopeError::TooLarge { bytes, limit: BODY_BYTES }.into());
        }
        let mut body = Vec::new();
        read_body(stream, bytes, &mut body).await?;
        Ok(Some(Self { head, body }))
    }
}

/// Begins a stream that was connected to another node.
///
/// # Errors
/// The other side refuses it, cannot be understood, or breaks off.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    gate: &Gate,
    with: With,
) -> Result<Codec, FrameError> {
    let keys = gate.keys();
    let key = match with {
        With::KeyInUse => keys.sealing(),
        With::Key(id) => Some(keys.find(id).ok_or(EnvelopeError::Key(id))?),
    };
    let versions = [gate.versions().min, gate.versions().max];
    let ring = gate.ring().as_str().as_bytes();
    let Some(key) = key else {
        Hello::new(versions, CLEAR, ring.to_vec())?.write(stream).await?;
        let answer = answer(stream).await?;
        return match answer.head[2] {
            CLEAR if gate.versions().speak(answer.head[0]) => Ok(Codec::clear()),
            CLEAR => Err(EnvelopeError::Version(answer.head[0]).into()),
            kind => Err(refused(kind, &answer.body)),
        };
    };
    let said = [versions[0], versions[1], SEALED];
    let mut noise = noise(key, &said)?.build_initiator().map_err(|_| EnvelopeError::Malformed)?;
    let mut body = key.id.as_bytes().to_vec();
    body.extend(message(&mut noise, ring)?);
    Hello::new(versions, SEALED, body)?.write(stream).await?;
    let answer = answer(stream).await?;
    match answer.head[2] {
        SEALED => {
            let mut said = vec![0; answer.body.len()];
            let bytes = noise.read_message(&answer.body, &mut said).map_err(|_| EnvelopeError::Forged(key.id))?;
            let (version, verdict) = said[..bytes].split_first().ok_or(EnvelopeError::Malformed)?;
            if let Some(why) = read_verdict(verdict)? {
                return Err(FrameError::Refused(why));
            }
            if !gate.versions().speak(*version) {
                return Err(EnvelopeError::Version(*version).into());
            }
            Ok(Codec::sealed(noise.into_transport_mode().map_err(|_| EnvelopeError::Malformed)?, key.id))
        }
        // An answer in clear text to a question that was sealed: whoever says that is not believed.
        CLEAR => Err(EnvelopeError::Clear.into()),
        kind => Err(refused(kind, &answer.body)),
    }
}

async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, FrameError> {
    let end = || FrameError::Io(std::io::ErrorKind::UnexpectedEof.into());
    Hello::read(stream).await?.ok_or_else(end)
}

/// Answers the beginning of a stream that somebody connected. None: he only wanted to know whether anybody is there.
///
/// # Errors
/// It is refused, which the other side was told if it can be told anything, or it broke off.
pub(super) async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    gate: &Gate,
) -> Result<Option<Codec>, FrameError> {
    let Some(hello) = Hello::read(stream).await? else { return Ok(None) };
    let [min, max, kind, ..] = hello.head;
    let chosen = gate.versions().with(Some(max));
    let accepted = match kind {
        _ if chosen < min || chosen > max => Err(EnvelopeError::Version(max)),
        CLEAR => clear(stream, gate, chosen, &hello).await,
        SEALED => sealed(stream, gate, chosen, &hello).await,
        unknown => Err(EnvelopeError::Kind(unknown)),
    };
    match accepted {
        Ok(result) => result.map(Some),
        Err(why) => {
            let versions = [gate.versions().max; 2];
            let verdict = verdict(&why, gate);
            if !verdict.is_empty() {
                // He may have hung up already.
                Hello::new(versions, REFUSED, verdict)?.write(stream).await.ok();
            }
            Err(why.into())
        }
    }
}

/// How it ended; or why it is to be refused in clear text.
type Welcome = Result<Result<Codec, FrameError>, EnvelopeError>;

async fn clear(stream: &mut (impl AsyncWrite + Unpin), gate: &Gate, chosen: u8, hello: &Hello) -> Welcome {
    if !gate.keys().takes_clear_text() {
        return Err(EnvelopeError::Clear);
    }
    of_this_ring(gate, &hello.body)?;
    let answer = Hello::new([chosen, gate.versions().max], CLEAR, Vec::new())?;
    Ok(answer.write(stream).await.map(|()| Codec::clear()))
}

async fn sealed(stream: &mut (impl AsyncWrite + Unpin), gate: &Gate, chosen: u8, hello: &Hello) -> Welcome {
    let (id, first) = hello.body.split_first_chunk::<4>().ok_or(EnvelopeError::Malformed)?;
    let id = KeyId::from_bytes(*id);
    let keys = gate.keys();
    let key = keys.find(id).ok_or(EnvelopeError::Key(id))?;
    let [min, max, kind, ..] = hello.head;
    let said = [min, max, kind];
    let mut noise = noise(key, &said)?.build_responder().map_err(|_| EnvelopeError::Malformed)?;
    let mut ring = vec![0; first.len()];
    let bytes = noise.read_message(first, &mut ring).map_err(|_| EnvelopeError::Forged(id))?;
    let judged = of_this_ring(gate, &ring[..bytes]);
    // Which ring this is, only those may know who have its key: that verdict is sealed.
    let verdict = judged.as_ref().err().map_or_else(|| vec![ACCEPTED], |why| verdict(why, gate));
    let second = message(&mut noise, &[&[chosen][..], &verdict].concat())?;
    let answer = Hello::new([chosen, gate.versions().max], SEALED, second)?;
    let told = answer.write(stream).await;
    if let Err(why) = judged {
        return Ok(Err(why.into()));
    }
    let noise = noise.into_transport_mode().map_err(|_| EnvelopeError::Malformed)?;
    Ok(told.map(|()| Codec::sealed(noise, id)))
}

fn of_this_ring(gate: &Gate, name: &[u8]) -> Result<(), EnvelopeError> {
    if name == gate.ring().as_str().as_bytes() { Ok(()) } else { Err(EnvelopeError::Ring(ring_name(name)?)) }
}

/// A handshake to which all is bound that was said in clear text before it.
fn noise<'a>(key: &'a Installed, said: &'a [u8; 3]) -> Result<Builder<'a>, EnvelopeError> {
    // Neither can fail with a pattern that is a constant and a key of the right length; and if it did, no stream would.
    let broken = |_| EnvelopeError::Malformed;
    let builder = Builder::new(PATTERN.parse().map_err(broken)?);
    builder.psk(0, &key.streams).and_then(|builder| builder.prologue(said)).map_err(broken)
}

/// The next message of a handshake, with this in it.
fn message(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let mut message = vec![0; BODY_BYTES];
    let bytes = noise.write_message(payload, &mut message).map_err(|_| EnvelopeError::Malformed)?;
    message.truncate(bytes);
    Ok(message)
}

/// What the other side is told of why it is refused. Nothing, where it would not understand.
fn verdict(why: &EnvelopeError, gate: &Gate) -> Vec<u8> {
    match why {
        EnvelopeError::Ring(_) => [&[OTHER_RING], gate.ring().as_str().as_bytes()].concat(),
        EnvelopeError::Clear => vec![NOT_IN_CLEAR],
        EnvelopeError::Key(id) => [&[NO_SUCH_KEY][..], id.as_bytes()].concat(),
        EnvelopeError::Forged(id) => [&[FORGED][..], id.as_bytes()].concat(),
        EnvelopeError::Version(_) => vec![VERSION, gate.versions().max],
        EnvelopeError::Malformed
        | EnvelopeError::Kind(_)
        | EnvelopeError::Replayed
        | EnvelopeError::TooLarge { .. } => Vec::new(),
    }
}

/// Reads what [`verdict`] wrote. None: accepted.
fn read_verdict(verdict: &[u8]) -> Result<Option<EnvelopeError>, EnvelopeError> {
    let (verdict, detail) = verdict.split_first().ok_or(EnvelopeError::Malformed)?;
    let id = || detail.first_chunk().map(|id| KeyId::from_bytes(*id)).ok_or(EnvelopeError::Malformed);
    Ok(Some(match *verdict {
        ACCEPTED => return Ok(None),
        OTHER_RING => EnvelopeError::Ring(ring_name(detail)?),
        NOT_IN_CLEAR => EnvelopeError::Clear,
        NO_SUCH_KEY => EnvelopeError::Key(id()?),
        FORGED => EnvelopeError::Forged(id()?),
        VERSION => EnvelopeError::Version(*detail.first().ok_or(EnvelopeError::Malformed)?),
        _ => return Err(EnvelopeError::Malformed),
    }))
}

/// Why the other side refuses, by a greeting of this kind.
fn refused(kind: u8, verdict: &[u8]) -> FrameError {
    match (kind, read_verdict(verdict)) {
        (REFUSED, Ok(Some(why))) => FrameError::Refused(why),
        (REFUSED, Ok(None)) => EnvelopeError::Malformed.into(),
        (REFUSED, Err(error)) => error.into(),
        (unknown, _) => EnvelopeError::Kind(unknown).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{With, greet, welcome};
    use crate::net::envelope::EnvelopeError;
    use crate::net::frame::{Codec, FrameError, StreamSeal};
    use crate::net::gate::Gate;
    use crate::net::key::{ClearText, KeySet, RingKey};
    use crate::net::testing::{block_on, gate, gate_of};
    use crate::net::version::Versions;

    fn key(n: u8) -> RingKey {
        RingKey::from_bytes([n; 32])
    }

    /// What both sides come to.
    fn meet(from: &Gate, to: &Gate, with: With) -> (Result<Codec, FrameError>, Result<Option<Codec>, FrameError>) {
        block_on(async {
            let (mut near, mut far) = tokio::io::duplex(4096);
            tokio::join!(greet(&mut near, from, with), welcome(&mut far, to))
        })
    }

    fn refused_with(from: &Gate, to: &Gate) -> EnvelopeError {
        let (greeted, welcomed) = meet(from, to, With::KeyInUse);
        assert!(matches!(welcomed, Err(FrameError::Envelope(_))), "{welcomed:?}");
        match greeted {
            Err(FrameError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_nodes_of_a_ring_agree_on_a_seal() {
        let both = || gate("a", KeySet::sealed(key(1)).with(key(2)).unwrap());
        for (with, seal) in [(With::KeyInUse, key(1).id()), (With::Key(key(2).id()), key(2).id())] {
            let (greeted, welcomed) = meet(&both(), &both(), with);
            assert_eq!(greeted.unwrap().seal(), StreamSeal::Key(seal));
            assert_eq!(welcomed.unwrap().unwrap().seal(), StreamSeal::Key(seal));
        }
        let clear = gate("a", KeySet::clear());
        let (greeted, welcomed) = meet(&clear, &clear, With::KeyInUse);
        assert_eq!(
            (greeted.unwrap().seal(), welcomed.unwrap().unwrap().seal()),
            (StreamSeal::Clear, StreamSeal::Clear)
        );
    }

    #[test]
    fn both_sides_know_why_a_stream_is_refused() {
        let clear = |ring: &str| gate(ring, KeySet::clear());
        let sealed = |ring: &str, n| gate(ring, KeySet::sealed(key(n)));
        let other_ring = EnvelopeError::Ring("b".parse().unwrap());
        assert_eq!(refused_with(&clear("a"), &clear("b")), other_ring);
        assert_eq!(refused_with(&sealed("a", 1), &sealed("b", 1)), other_ring);
        // Of a ring that is encrypted, who has no key does not even learn the name.
        assert_eq!(refused_with(&clear("a"), &sealed("b", 1)), EnvelopeError::Clear);
        assert_eq!(refused_with(&sealed("a", 2), &sealed("b", 1)), EnvelopeError::Key(key(2).id()));
        assert_eq!(refused_with(&sealed("a", 2), &clear("a")), EnvelopeError::Key(key(2).id()));
        let newer = gate_of("a", Versions { min: 2, max: 3 }, KeySet::clear());
        assert_eq!(refused_with(&newer, &clear("a")), EnvelopeError::Version(1));
        assert_eq!(refused_with(&clear("a"), &newer), EnvelopeError::Version(3));
    }

    #[test]
    fn a_newer_node_speaks_what_both_understand() {
        for keys in [KeySet::clear(), KeySet::sealed(key(1))] {
            let (newer, older) = (gate_of("a", Versions { min: 1, max: 2 }, keys.clone()), gate("a", keys));
            for (from, to) in [(&newer, &older), (&older, &newer), (&newer, &newer)] {
                let (greeted, welcomed) = meet(from, to, With::KeyInUse);
                assert!(greeted.is_ok() && welcomed.is_ok_and(|codec| codec.is_some()));
            }
        }
    }

    #[test]
    fn clear_text_is_taken_while_a_ring_gets_its_first_key() {
        let under_way = gate("a", KeySet::sealed(key(1)).clear_text(ClearText::Taken));
        let (greeted, welcomed) = meet(&gate("a", KeySet::clear()), &under_way, With::KeyInUse);
        assert!(greeted.is_ok() && welcomed.is_ok());
    }

    #[test]
    fn a_recorded_beginning_gets_an_answer_that_fits_no_other() {
        block_on(async {
            let ring = gate("a", KeySet::sealed(key(1)));
            let mut answers = Vec::new();
            let (mut near, mut far) = tokio::io::duplex(4096);
            let greeting = async {
                // Whoever records it hears all of it.
                greet(&mut near, &ring, With::KeyInUse).await.ok();
            };
            let recording = async {
                let hello = super::Hello::read(&mut far).await.unwrap().unwrap();
                drop(far);
                [&hello.head[..], &hello.body].concat()
            };
            let ((), recorded) = tokio::join!(greeting, recording);
            for _ in 0..2 {
                let (mut near, mut far) = tokio::io::duplex(4096);
                tokio::io::AsyncWriteExt::write_all(&mut near, &recorded).await.unwrap();
                assert!(welcome(&mut far, &ring).await.unwrap().is_some());
                let answer = super::Hello::read(&mut near).await.unwrap().unwrap();
                answers.push(answer.body);
            }
            assert_ne!(answers[0], answers[1]);
        });
    }

    proptest! {
        #[test]
        fn a_greeting_that_was_changed_on_its_way_opens_nothing(place in 0..100_usize, change in 1..=255_u8) {
            let ring = gate("a", KeySet::sealed(key(1)));
            block_on(async {
                let (mut near, mut middle) = tokio::io::duplex(4096);
                let (mut other, mut far) = tokio::io::duplex(4096);
                let relay = async {
                    let mut hello = super::Hello::read(&mut middle).await.unwrap().unwrap();
                    let place = place % hello.body.len();
                    hello.body[place] ^= change;
                    hello.write(&mut other).await.unwrap();
                    drop((middle, other));
                };
                let near = async {
                    let greeted = greet(&mut near, &ring, With::KeyInUse).await;
                    drop(near);
                    greeted
                };
                let (greeted, welcomed, ()) = tokio::join!(near, welcome(&mut far, &ring), relay);
                assert!(greeted.is_err() && welcomed.is_err(), "{greeted:?} {welcomed:?}");
            });
        }

        #[test]
        fn garbage_is_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 1..700)) {
            block_on(async {
                for keys in [KeySet::clear(), KeySet::sealed(key(1))] {
                    let (mut near, mut far) = tokio::io::duplex(4096);
                    tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await.unwrap();
                    drop(near);
                    assert!(welcome(&mut far, &gate("a", keys)).await.is_err());
                }
            });
        }
    }
}
