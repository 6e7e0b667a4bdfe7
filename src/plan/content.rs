//! Which files a plan has, and what is in them: the list whose hash names its release.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::load::PlanError;
use super::walk::PlanFiles;
use super::{PLAN_DEPTH, PLAN_FILES};
use crate::base::Hash;

/// Longest path of a file below its plan, in bytes, as far as a release carries it: as long as a tar header has room
/// for. Beyond [`NAME_BYTES`] it has to have a slash where the header cuts it.
pub const PATH_BYTES: usize = PREFIX_BYTES + 1 + NAME_BYTES;
/// Room for a path's end in a tar header.
pub const NAME_BYTES: usize = 100;
/// Room for what is before that and a slash.
pub const PREFIX_BYTES: usize = 155;
/// Longest list that is read, in bytes: as many of the longest lines as there may be files, and room for round numbers.
pub const CONTENT_BYTES: usize = PLAN_FILES * (PATH_BYTES + LINE_BYTES);
/// Longest line less its path: a zero byte, the mode, the size, the hash, two blanks and a line feed.
const LINE_BYTES: usize = 1 + 3 + 20 + 64 + 3;

/// What may be done with a file. The rest of its mode comes from the umask of who checked the plan out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// It is read: 644.
    Plain,
    /// It is run as well: 755.
    Executable,
}

impl FileMode {
    /// The mode, in octal digits.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "644",
            Self::Executable => "755",
        }
    }
}

/// A file of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFile {
    /// Its path below the plan's directory.
    pub path: PathBuf,
    /// What may be done with it.
    pub mode: FileMode,
    /// How long it is.
    pub bytes: u64,
    /// The hash of what is in it.
    pub hash: Hash,
}

/// All files of a plan, in the order of their paths, compared component by component.
///
/// Its text is one line per file, `PATH \0 MODE SIZE HASH \n`. A path has no zero byte, so no two lists read alike, and
/// the hash of the text names the release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content(Vec<ContentFile>);

/// A path cannot be one of a file in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is no UTF-8, or has control characters.
    #[error("it is not printable UTF-8 text")]
    NotText,
    /// It begins with a slash.
    #[error("it is absolute")]
    Absolute,
    /// It has a `..`.
    #[error("it has a `..`")]
    Parent,
    /// A part of it is empty or a single dot.
    #[error("a part of it is empty or `.`")]
    EmptyPart,
    /// It is hidden or a backup: no part of a plan.
    #[error("a part of it starts with `.` or ends with `~`, which is no part of a plan")]
    Hidden,
    /// It is too long.
    #[error("it is too long: at most {PREFIX_BYTES} bytes, a `/`, and {NAME_BYTES} bytes")]
    TooLong,
    /// It is too deep.
    #[error("it is more than {PLAN_DEPTH} directories deep")]
    TooDeep,
}

/// A text is not the list of a plan's files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A line is not as they are written.
    #[error("line {line} of its list of files is not PATH MODE SIZE HASH")]
    Line {
        /// Which one, from 1.
        line: usize,
    },
    /// A path cannot be taken.
    #[error("it lists a file {path:?}")]
    Path {
        /// The path, as far as it is text.
        path: String,
        /// Why not.
        #[source]
        source: PathError,
    },
    /// A file is listed twice.
    #[error("it lists {path:?} twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// A file is not where the order of the paths puts it.
    #[error("it lists {path:?} out of order")]
    Order {
        /// The path.
        path: String,
    },
    /// A file is listed below another file.
    #[error("it lists {path:?} below a file")]
    BelowFile {
        /// The path.
        path: String,
    },
    /// There are too many.
    #[error("it lists more than {PLAN_FILES} files")]
    TooMany,
}

impl Content {
    /// The content of these files.
    pub(super) fn of(files: &PlanFiles) -> Result<Self, PlanError> {
        let file = |(path, file): (&PathBuf, &super::walk::PlanFile)| {
            let read = || hash(&file.path);
            let (bytes, hash) = read().map_err(|source| PlanError::Read { path: file.path.clone(), source })?;
            let mode = if file.executable { FileMode::Executable } else { FileMode::Plain };
            Ok(ContentFile { path: path.clone(), mode, bytes, hash })
        };
        files.iter().map(file).collect::<Result<_, _>>().map(Self)
    }

    /// Reads the text of a list.
    ///
    /// # Errors
    /// It is not as [`to_bytes`](Self::to_bytes) writes it, to the byte, or has a path that is not safe to write.
    pub fn parse(text: &[u8]) -> Result<Self, ContentError> {
        let mut files: Vec<ContentFile> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let wrong = || ContentError::Line { line: files.len() + 1 };
            if files.len() == PLAN_FILES {
                return Err(ContentError::TooMany);
            }
            let (path, after) = split(rest, 0).ok_or_else(wrong)?;
            let (line, after) = split(after, b'\n').ok_or_else(wrong)?;
            let file = file(path, line).ok_or_else(wrong)?;
            let shown = || file.path.display().to_string();
            check_path(path).map_err(|source| ContentError::Path { path: shown(), source })?;
            if let Some(last) = files.last() {
                if file.path == last.path {
                    return Err(ContentError::Duplicate { path: shown() });
                }
                if file.path < last.path {
                    return Err(ContentError::Order { path: shown() });
                }
                // All that is below a path follows it at once.
                if file.path.starts_with(&last.path) {
                    return Err(ContentError::BelowFile { path: shown() });
                }
            }
            files.push(file);
            rest = after;
        }
        Ok(Self(files))
    }

    /// The text of the list.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for ContentFile { path, mode, bytes, hash } in &self.0 {
            text.extend_from_slice(path.as_os_str().as_bytes());
            text.extend_from_slice(format!("\0{} {bytes} {hash}\n", mode.as_str()).as_bytes());
        }
        text
    }

    /// The hash of the text: what the release is.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&self.to_bytes())
    }

    /// The files, in order.
    #[must_use]
    pub fn files(&self) -> &[ContentFile] {
        &self.0
    }

    /// How long all files are together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

/// Whether a file of this path may be written below a directory, and would be a part of a plan there.
///
/// # Errors
/// Why it may not.
pub fn check_path(path: &[u8]) -> Result<(), PathError> {
    let text = std::str::from_utf8(path).map_err(|_| PathError::NotText)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::NotText);
    }
    if text.starts_with('/') {
        return Err(PathError::Absolute);
    }
    let parts = || text.split('/');
    if parts().any(|part| part == "..") {
        return Err(PathError::Parent);
    }
    if parts().any(|part| part.is_empty() || part == ".") {
        return Err(PathError::EmptyPart);
    }
    if parts().any(|part| part.starts_with('.') || part.ends_with('~')) {
        return Err(PathError::Hidden);
    }
    if cut(text).is_none() {
        return Err(PathError::TooLong);
    }
    if parts().count() > PLAN_DEPTH + 1 {
        return Err(PathError::TooDeep);
    }
    Ok(())
}

/// A path, cut as the two fields of a tar header hold it: what is before a slash, and what is after. The first is empty
/// where the second has room for all of it.
#[must_use]
pub fn cut(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME_BYTES {
        return Some(("", path));
    }
    // The first slash after which the rest fits, so that there is one way to cut.
    let at = path.bytes().enumerate().skip(path.len() - NAME_BYTES - 1).find(|(_, byte)| *byte == b'/')?.0;
    (at <= PREFIX_BYTES && at > 0).then(|| (&path[..at], &path[at + 1..]))
}

/// The file of a line, without its path's check; none if it is not as lines are written.
fn file(path: &[u8], line: &[u8]) -> Option<ContentFile> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let mode = match words.next()? {
        "644" => FileMode::Plain,
        "755" => FileMode::Executable,
        _ => return None,
    };
    let size = words.next()?;
    let bytes: u64 = size.parse().ok()?;
    let hash = words.next()?.parse().ok()?;
    // One number has one text: no plus, no leading zeros.
    let is_whole = words.next().is_none() && bytes.to_string() == size;
    is_whole.then(|| ContentFile { path: PathBuf::from(OsStr::from_bytes(path)), mode, bytes, hash })
}

/// The length and the hash of a file.
fn hash(path: &Path) -> io::Result<(u64, Hash)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok((hasher.count(), hasher.finalize().into()))
}

/// What is before and after the first `mark`.
fn split(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == mark)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{Content, ContentError, NAME_BYTES, PATH_BYTES, PREFIX_BYTES, PathError, check_path, cut};
    use crate::base::Hash;
    use crate::plan::walk::walk;
    use crate::plan::{PLAN_DEPTH, PLAN_FILES};

    fn plan(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, mode) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    fn content(dir: &Path) -> Content {
        Content::of(&walk(dir).unwrap()).unwrap()
    }

    #[test]
    fn the_same_files_have_the_same_hash_anywhere() {
        let one = plan(&[("plan.toml", "a", 0o644), ("hooks/run", "b", 0o755)]);
        let two = plan(&[("hooks/run", "b", 0o700), ("plan.toml", "a", 0o600)]);
        assert_eq!(content(one.path()).hash(), content(two.path()).hash());
    }

    #[test]
    fn the_hash_of_a_list_never_changes_from_version_to_version() {
        let dir = plan(&[("plan.toml", "a", 0o644), ("hooks/run", "b", 0o755)]);
        let text = content(dir.path()).to_bytes();
        let [a, b] = ["a", "b"].map(|text| Hash::of(text.as_bytes()));
        assert_eq!(String::from_utf8(text).unwrap(), format!("hooks/run\0755 1 {b}\nplan.toml\0644 1 {a}\n"));
        assert_eq!(content(dir.path()).hash().short(), "b9b01fab5286");
    }

    #[test]
    fn a_change_of_a_path_a_text_or_a_mode_is_another_hash() {
        let first = content(plan(&[("plan.toml", "ab", 0o644), ("x", "", 0o644)]).path()).hash();
        for other in [
            plan(&[("plan.toml", "ab", 0o644), ("y", "", 0o644)]),
            plan(&[("plan.toml", "ac", 0o644), ("x", "", 0o644)]),
            plan(&[("plan.toml", "a", 0o644), ("x", "b", 0o644)]),
            plan(&[("plan.toml", "ab", 0o644), ("x", "", 0o755)]),
            plan(&[("plan.toml", "ab", 0o644)]),
        ] {
            assert_ne!(content(other.path()).hash(), first);
        }
    }

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        let dir = plan(&[("a/b", "1", 0o644), ("a-b", "2", 0o755), ("plan.toml", "", 0o644)]);
        let content = content(dir.path());
        assert_eq!(Content::parse(&content.to_bytes()), Ok(content));
    }

    #[test]
    fn a_line_that_is_not_as_they_are_written_is_refused() {
        let hash = Hash::of(b"");
        let good = format!("a\0644 1 {hash}\n");
        assert!(Content::parse(good.as_bytes()).is_ok());
        for wrong in [
            good.replace("644", "777"),
            good.replace(" 1 ", " 01 "),
            good.replace(" 1 ", " +1 "),
            good.replace(" 1 ", " 99999999999999999999 "),
            good.replace('\n', " x\n"),
            good.replace('\0', " "),
            good.trim_end().to_owned(),
            good[..20].to_owned(),
        ] {
            assert_eq!(Content::parse(wrong.as_bytes()), Err(ContentError::Line { line: 1 }), "{wrong:?}");
        }
    }

    #[test]
    fn files_that_are_listed_twice_out_of_order_or_below_a_file_are_refused() {
        let list = |paths: &[&str]| {
            let lines = paths.iter().map(|path| format!("{path}\0644 0 {}\n", Hash::of(b"")));
            Content::parse(lines.collect::<String>().as_bytes())
        };
        assert!(list(&["a/b", "a-b", "b"]).is_ok());
        assert!(matches!(list(&["a", "a"]), Err(ContentError::Duplicate { path }) if path == "a"));
        assert!(matches!(list(&["b", "a"]), Err(ContentError::Order { path }) if path == "a"));
        assert!(matches!(list(&["a", "a/b"]), Err(ContentError::BelowFile { path }) if path == "a/b"));
        let error = list(&["../x"]).unwrap_err();
        assert_eq!(error, ContentError::Path { path: "../x".to_owned(), source: PathError::Parent });
    }

    #[test]
    fn as_many_files_are_listed_as_a_plan_may_have_and_not_one_more() {
        let line = |at: usize| format!("{at:08}\0644 0 {}\n", Hash::of(b""));
        let full: String = (0..PLAN_FILES).map(line).collect();
        assert_eq!(Content::parse(full.as_bytes()).unwrap().files().len(), PLAN_FILES);
        let more = full + &line(PLAN_FILES);
        assert_eq!(Content::parse(more.as_bytes()), Err(ContentError::TooMany));
    }

    #[test]
    fn a_path_that_leaves_its_directory_or_is_no_part_of_a_plan_is_refused() {
        for (path, error) in [
            ("/etc/passwd", PathError::Absolute),
            ("..", PathError::Parent),
            ("a/../../b", PathError::Parent),
            ("", PathError::EmptyPart),
            ("a//b", PathError::EmptyPart),
            ("a/", PathError::EmptyPart),
            ("./a", PathError::EmptyPart),
            ("a/.git/b", PathError::Hidden),
            ("a~", PathError::Hidden),
            ("a\nb", PathError::NotText),
            ("a\0b", PathError::NotText),
            ("a\u{1b}[2J", PathError::NotText),
        ] {
            assert_eq!(check_path(path.as_bytes()), Err(error), "{path:?}");
        }
        assert_eq!(check_path(b"a\xff"), Err(PathError::NotText));
        assert_eq!(check_path("hooks/run ü.sh".as_bytes()), Ok(()));
    }

    #[test]
    fn a_path_is_taken_at_its_limits_and_refused_one_beyond() {
        let long = format!("{}/{}", "p".repeat(PREFIX_BYTES), "n".repeat(NAME_BYTES));
        assert_eq!((check_path(long.as_bytes()), long.len()), (Ok(()), PATH_BYTES));
        assert_eq!(check_path(format!("{long}n").as_bytes()), Err(PathError::TooLong));
        assert_eq!(check_path(format!("p{long}").as_bytes()), Err(PathError::TooLong));
        assert_eq!(check_path("n".repeat(NAME_BYTES).as_bytes()), Ok(()));
        assert_eq!(check_path("n".repeat(NAME_BYTES + 1).as_bytes()), Err(PathError::TooLong));
        let deep = vec!["d"; PLAN_DEPTH + 1].join("/");
        assert_eq!(check_path(deep.as_bytes()), Ok(()));
        assert_eq!(check_path(format!("{deep}/d").as_bytes()), Err(PathError::TooDeep));
    }

    #[test]
    fn a_path_is_cut_at_the_first_slash_that_will_do() {
        let name = "n".repeat(60);
        assert_eq!(cut("a/b"), Some(("", "a/b")));
        let path = format!("{name}/{name}/{name}");
        assert_eq!(cut(&path), Some((&path[..121], name.as_str())));
    }
}
