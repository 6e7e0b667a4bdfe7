//! Tar headers, in the one form that is written and taken: POSIX `ustar`, nobody's, of no time.
//!
//! Whatever another program could write differently (owners, times, paths in extensions) is an error, so that an
//! archive of the same files is the same to the byte, and no two programs can read it differently.

use crate::plan::cut;

/// The size of a header, and what the content of an entry is filled up to.
pub(super) const BLOCK: usize = 512;
/// What comes after the last entry, filled with zeros.
pub(super) const END: usize = 2 * BLOCK;

/// A header.
pub(super) type Header = [u8; BLOCK];

/// The largest size that the eleven octal digits of a header can say.
pub(super) const SIZE_MAX: u64 = (1 << 33) - 1;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, as it stands in the header: not checked.
    pub path: String,
    /// Its mode: the octal digits.
    pub mode: &'static str,
    /// How long it is.
    pub bytes: u64,
}

/// A header is not one of a file as an archive has them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// It is no tar header, or one whose checksum is wrong.
    NotAHeader,
    /// It is one of something else than a file.
    Kind {
        /// The path, as far as it is text.
        path: String,
        /// What it is.
        kind: String,
    },
    /// It is not in the form that is written.
    Form {
        /// The path, as far as it is text.
        path: String,
    },
}

// Where the fields are.
const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const UID: std::ops::Range<usize> = 108..116;
const GID: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const MTIME: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;

/// How many zeros follow a content of so many bytes.
pub(super) const fn padding(bytes: u64) -> usize {
    // The remainder is below 512.
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below 512")]
    let over = (bytes % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

impl Entry {
    /// The header; none if the path or the size does not fit into one.
    pub(super) fn header(&self) -> Option<Header> {
        let (prefix, name) = cut(&self.path)?;
        if self.bytes > SIZE_MAX {
            return None;
        }
        let mut header = [0; BLOCK];
        let mut put = |at: std::ops::Range<usize>, text: &str| {
            header[at.start..at.start + text.len()].copy_from_slice(text.as_bytes());
        };
        put(NAME, name);
        put(MODE, &format!("{:0>7}", self.mode));
        put(UID, "0000000");
        put(GID, "0000000");
        put(SIZE, &format!("{:011o}", self.bytes));
        put(MTIME, "00000000000");
        put(CHECKSUM, "        ");
        put(KIND..KIND + 1, "0");
        put(MAGIC, "ustar\x0000");
        put(PREFIX, prefix);
        let sum = checksum(&header);
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        Some(header)
    }

    /// Reads a header.
    pub(super) fn parse(header: &Header) -> Result<Self, HeaderError> {
        if checksum(header) != octal(&header[CHECKSUM]).ok_or(HeaderError::NotAHeader)? {
            return Err(HeaderError::NotAHeader);
        }
        let path = path(header);
        // What is no file first: whatever else is odd about it, that is what matters.
        if let Some(kind) = kind(header) {
            return Err(HeaderError::Kind { path: String::from_utf8_lossy(&path).into_owned(), kind });
        }
        let form = || HeaderError::Form { path: String::from_utf8_lossy(&path).into_owned() };
        let mode = match octal(&header[MODE]) {
            Some(0o644) => "644",
            Some(0o755) => "755",
            Some(_) | None => return Err(form()),
        };
        let bytes = octal(&header[SIZE]).ok_or_else(form)?;
        // What a path is refused for is to be told before how it is written.
        let path = String::from_utf8(path.clone()).map_err(|_| form())?;
        Ok(Self { path, mode, bytes })
    }

    /// Whether this is how the entry's header is written, to the bit.
    pub(super) fn is_written_as(&self, header: &Header) -> bool {
        self.header().is_some_and(|written| written == *header)
    }
}

/// The path of a header, as it stands there.
fn path(header: &Header) -> Vec<u8> {
    let until_zero = |field: &[u8]| field.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
    let name = until_zero(&header[NAME]);
    // Before POSIX there was no such field: what is there may be anything.
    let prefix = if header[MAGIC].starts_with(b"ustar\0") { until_zero(&header[PREFIX]) } else { Vec::new() };
    if prefix.is_empty() { name } else { [prefix, name].join(&b'/') }
}

/// What a header is of, where it is no file.
fn kind(header: &Header) -> Option<String> {
    let target = || {
        let end = header[LINK].iter().position(|&byte| byte == 0).unwrap_or(LINK.len());
        String::from_utf8_lossy(&header[LINK][..end]).into_owned()
    };
    let kind = match header[KIND] {
        b'0' | 0 => return None,
        b'1' => format!("a hard link to {:?}", target()),
        b'2' => format!("a symbolic link to {:?}", target()),
        b'3' => "a character device".to_owned(),
        b'4' => "a block device".to_owned(),
        b'5' => "a directory".to_owned(),
        b'6' => "a fifo".to_owned(),
        b'g' | b'x' | b'K' | b'L' => "an extended header".to_owned(),
        other => format!("an entry of kind {:?}", char::from(other)),
    };
    Some(kind)
}

/// The sum of a header's bytes, with blanks for the checksum itself.
fn checksum(header: &Header) -> u64 {
    let blanks = CHECKSUM.len() as u64 * u64::from(b' ');
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    sum(&header[..CHECKSUM.start]) + blanks + sum(&header[CHECKSUM.end..])
}

/// A number of a header: octal digits, and then blanks or zeros.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { u64::from_str_radix(text, 8).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{BLOCK, END, Entry, HeaderError, SIZE_MAX, padding};
    use crate::plan::{NAME_BYTES, PREFIX_BYTES};

    fn entry(path: &str, bytes: u64) -> Entry {
        Entry { path: path.to_owned(), mode: "755", bytes }
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let long = format!("{}/{}", "p".repeat(PREFIX_BYTES), "n".repeat(NAME_BYTES));
        for entry in [entry("plan.toml", 0), entry("hooks/ü", 513), entry(&long, SIZE_MAX)] {
            let header = entry.header().unwrap();
            assert_eq!(Entry::parse(&header), Ok(entry.clone()));
            assert!(entry.is_written_as(&header));
        }
        assert_eq!(entry("x", SIZE_MAX + 1).header(), None);
        assert_eq!(entry(&format!("{long}n"), 0).header(), None);
    }

    #[test]
    fn a_flip_of_any_bit_is_noticed() {
        let entry = entry("plan.toml", 3);
        let header = entry.header().unwrap();
        for bit in 0..BLOCK * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!entry.is_written_as(&flipped));
            // What still reads is another entry, or one in another form.
            if let Ok(read) = Entry::parse(&flipped) {
                assert!(read != entry || !read.is_written_as(&flipped), "bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_no_file_is_named() {
        for (kind, told) in [
            (b'1', "a hard link to \"/etc/passwd\""),
            (b'2', "a symbolic link to \"/etc/passwd\""),
            (b'3', "a character device"),
            (b'4', "a block device"),
            (b'5', "a directory"),
            (b'6', "a fifo"),
            (b'L', "an extended header"),
            (b'S', "an entry of kind 'S'"),
        ] {
            let mut header = entry("x", 0).header().unwrap();
            header[156] = kind;
            header[157..168].copy_from_slice(b"/etc/passwd");
            let sum = super::checksum(&header);
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let expected = HeaderError::Kind { path: "x".to_owned(), kind: told.to_owned() };
            assert_eq!(Entry::parse(&header), Err(expected));
        }
        assert_eq!(Entry::parse(&[0; BLOCK]), Err(HeaderError::NotAHeader));
        assert_eq!(Entry::parse(&[b'x'; BLOCK]), Err(HeaderError::NotAHeader));
    }

    #[test]
    fn contents_are_filled_up_to_whole_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }

    #[test]
    fn other_programs_read_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "p".repeat(PREFIX_BYTES), "n".repeat(NAME_BYTES));
        let mut archive = Vec::new();
        for path in ["plan.toml", &long] {
            archive.extend_from_slice(&entry(path, 2).header().unwrap());
            archive.extend_from_slice(b"ab");
            archive.resize(archive.len() + padding(2), 0);
        }
        archive.resize(archive.len() + END, 0);
        let file = dir.path().join("x.tar");
        std::fs::write(&file, archive).unwrap();
        let listed = Command::new("tar").arg("tf").arg(&file).output().unwrap();
        assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), format!("plan.toml\n{long}\n"));
    }
}
