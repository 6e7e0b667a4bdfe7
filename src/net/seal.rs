//! Sealing datagrams: XChaCha20-Poly1305, with a nonce that is never drawn twice.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use chacha20poly1305::{AeadInPlace as _, Tag, XNonce};

use super::key::Installed;

/// Bytes of a nonce on the wire.
pub(super) const NONCE_BYTES: usize = 24;
/// Bytes of the tag that shows that nothing was changed.
pub(super) const TAG_BYTES: usize = 16;

/// One life of one process. 128 random bits: no two of a ring are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Session([u8; 16]);

impl Session {
    #[cfg(test)]
    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// What a datagram is sealed with besides the key: never the same twice, since no session is, and no number within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonce {
    pub(super) session: Session,
    pub(super) number: u64,
}

impl Nonce {
    pub(super) fn to_bytes(self) -> [u8; NONCE_BYTES] {
        let mut bytes = [0; NONCE_BYTES];
        bytes[..16].copy_from_slice(&self.session.0);
        bytes[16..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// None: they are not as many as a nonce has.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (session, number) = bytes.split_first_chunk::<16>()?;
        Some(Self { session: Session(*session), number: u64::from_be_bytes(number.try_into().ok()?) })
    }
}

/// Gives out nonces. Not to be cloned: two copies would give out the same.
#[derive(Debug)]
pub(super) struct Nonces {
    session: Session,
    next: AtomicU64,
}

impl Nonces {
    /// Those of a new session.
    pub(super) fn draw() -> io::Result<Self> {
        let mut session = [0; 16];
        getrandom::fill(&mut session)?;
        Ok(Self { session: Session(session), next: AtomicU64::new(1) })
    }

    /// One that was never given out before. 2^64 of them last for longer than any process.
    pub(super) fn next(&self) -> Nonce {
        Nonce { session: self.session, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Seals all of `datagram` from `from` on, and appends the tag. What is before stays readable, and cannot be changed
/// either.
pub(super) fn seal(key: &Installed, nonce: Nonce, datagram: &mut Vec<u8>, head: &[u8], from: usize) -> Option<()> {
    let body = datagram.get_mut(from..)?;
    let tag = key.datagrams.encrypt_in_place_detached(&XNonce::from(nonce.to_bytes()), head, body).ok()?;
    datagram.extend_from_slice(&tag);
    Some(())
}

/// Opens `sealed`, which ends with its tag. None: something of it or of `head` is not as it was sealed.
pub(super) fn open<'a>(key: &Installed, nonce: Nonce, head: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
    let (body, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
    let tag = Tag::clone_from_slice(tag);
    key.datagrams.decrypt_in_place_detached(&XNonce::from(nonce.to_bytes()), head, body, &tag).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Nonce, Nonces};

    #[test]
    fn no_nonce_is_given_out_twice_by_any_process_or_thread() {
        let (one, other) = (Nonces::draw().unwrap(), Nonces::draw().unwrap());
        let drawn = std::thread::scope(|scope| {
            let draw = |nonces: &Nonces| (0..1000).map(|_| nonces.next().to_bytes()).collect::<Vec<_>>();
            let threads = [&one, &one, &other].map(|nonces| scope.spawn(move || draw(nonces)));
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 3000);
    }

    #[test]
    fn a_nonce_reads_back_as_it_is_written() {
        let nonce = Nonces::draw().unwrap().next();
        assert_eq!(Nonce::from_bytes(&nonce.to_bytes()), Some(nonce));
        assert_eq!(Nonce::from_bytes(&nonce.to_bytes()[1..]), None);
    }
}
