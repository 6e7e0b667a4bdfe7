//! The entries of an archive, one after the other.

use std::io::{self, BufRead, Read};

use super::super::tar::{BLOCK, END, Entry, Header, HeaderError, padding};
use super::super::{LABEL, MANIFEST, SIGNATURE};
use super::{BUFFER, UnpackError, check_path};

/// The most memory that a decompressor may ask for, as a power of two: 8 MiB. Archives that are written here ask for
/// a quarter of it; one that asks for gigabytes was made to.
const WINDOW_LOG: u32 = 23;
/// What data that zstd compressed starts with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An archive that is being read, in the order in which it is written.
pub(super) struct Stream<R: BufRead> {
    archive: zstd::Decoder<'static, io::Chain<io::Cursor<[u8; 4]>, R>>,
    /// What is being read, for messages.
    entry: String,
}

impl<R: BufRead> Stream<R> {
    /// Begins to read an archive.
    pub(super) fn open(mut archive: R) -> Result<Self, UnpackError> {
        let mut magic = [0; MAGIC.len()];
        archive.read_exact(&mut magic).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => UnpackError::NotAnArchive,
            _ => UnpackError::Read(source),
        })?;
        if magic != MAGIC {
            return Err(UnpackError::NotAnArchive);
        }
        // One frame and no more: what follows it is garbage, not another part.
        let whole = io::Cursor::new(magic).chain(archive);
        let mut archive = zstd::Decoder::with_buffer(whole).map_err(UnpackError::Read)?.single_frame();
        archive.window_log_max(WINDOW_LOG).map_err(UnpackError::Read)?;
        Ok(Self { archive, entry: "its beginning".to_owned() })
    }

    /// The next entry; none if there is the mark of the end. Its path is not yet one of the list.
    pub(super) fn entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut header: Header = [0; BLOCK];
        self.fill(&mut header)?;
        if header == [0; BLOCK] {
            return Ok(None);
        }
        let entry = Entry::parse(&header).map_err(|error| match error {
            HeaderError::NotAHeader => UnpackError::Header { entry: format!("what follows {}", self.entry) },
            HeaderError::Kind { path, kind } => UnpackError::Kind { entry: path, kind },
            HeaderError::Form { path } => refused(&path).unwrap_or(UnpackError::Header { entry: path }),
        })?;
        if let Some(refusal) = refused(&entry.path) {
            return Err(refusal);
        }
        if !entry.is_written_as(&header) {
            return Err(UnpackError::Header { entry: entry.path });
        }
        self.entry.clone_from(&entry.path);
        Ok(Some(entry))
    }

    /// Hands on the content of an entry, piece by piece.
    pub(super) fn content(
        &mut self,
        entry: &Entry,
        mut take: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let mut buffer = [0; BUFFER];
        let mut left = entry.bytes;
        while left > 0 {
            let piece = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            self.fill(&mut buffer[..piece])?;
            take(&buffer[..piece])?;
            left -= piece as u64;
        }
        self.zeros(padding(entry.bytes))
    }

    /// Reads to the end: after the mark of it there must be nothing.
    pub(super) fn end(mut self) -> Result<(), UnpackError> {
        "its end".clone_into(&mut self.entry);
        // The first block of the mark was read as a header.
        self.zeros(END - BLOCK)?;
        let more = self.archive.read(&mut [0]).map_err(|error| self.failed(error))?;
        let mut rest = self.archive.finish();
        let after = rest.read(&mut [0]).map_err(UnpackError::Read)?;
        if more + after > 0 { Err(UnpackError::Garbage) } else { Ok(()) }
    }

    fn zeros(&mut self, count: usize) -> Result<(), UnpackError> {
        let mut block = [0; END];
        self.fill(&mut block[..count])?;
        if block.iter().all(|&byte| byte == 0) {
            Ok(())
        } else {
            Err(UnpackError::Header { entry: format!("what follows {}", self.entry) })
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), UnpackError> {
        self.archive.read_exact(buffer).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> UnpackError {
        let entry = self.entry.clone();
        match source.kind() {
            io::ErrorKind::UnexpectedEof => UnpackError::Truncated { entry },
            // What zstd complains about has no kind of the system's.
            io::ErrorKind::Other => UnpackError::Damaged { entry, source },
            _ => UnpackError::Read(source),
        }
    }
}

/// Why a path is refused, if it is. The archive's own parts have names that no plan's file may have.
fn refused(path: &str) -> Option<UnpackError> {
    if [LABEL, MANIFEST, SIGNATURE].contains(&path) {
        return None;
    }
    check_path(path.as_bytes()).err().map(|source| UnpackError::Path { entry: path.to_owned(), source })
}
