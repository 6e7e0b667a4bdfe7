//! An error with a file, a line and a column.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most complaints that are collected about one thing: a file of rubbish must not be answered with a book.
pub const MOST_COMPLAINTS: usize = 50;
/// Most characters of a line that are shown.
const EXCERPT_CHARS: usize = 120;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The character of the line, from 1; 0 when the whole line or file is meant.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line that it is on, shortened, and which characters of it are meant.
    excerpt: Option<Box<Excerpt>>,
}

/// A part of a line, and which of its characters are meant. Boxed, since a complaint travels in every `Result`.
type Excerpt = (String, Range<usize>);

/// A text and where it came from, to complain about.
#[derive(Debug, Clone)]
pub struct Source {
    file: PathBuf,
    text: Arc<str>,
}

/// Everything that is wrong with something, in order of place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Complaints(pub Vec<Complaint>);

impl Source {
    /// `text`, which was read from `file`.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, text: &str) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A complaint about the bytes `span` of the text. A span that is not in the text is moved into it.
    #[must_use]
    pub fn complain(&self, span: Range<usize>, message: impl Into<String>) -> Complaint {
        let start = floor(&self.text, span.start);
        let end = floor(&self.text, span.end).max(start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let full = self.text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let length = self.text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default().chars().count();
        Complaint {
            file: self.file.clone(),
            line,
            column,
            message: message.into(),
            help: None,
            excerpt: excerpt(full, column - 1, length.max(1)),
        }
    }

    /// A complaint about a place that is known by line and column, both from 1.
    #[must_use]
    pub fn complain_at(&self, line: usize, column: usize, message: impl Into<String>) -> Complaint {
        let full = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        Complaint {
            file: self.file.clone(),
            line,
            column,
            message: message.into(),
            help: None,
            excerpt: excerpt(full, column.saturating_sub(1), 1),
        }
    }
}

/// The last boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The part of a line to show, and where in it the marked characters are. A tab counts as one character, and is shown
/// as a blank so that the mark is under what it marks.
fn excerpt(line: &str, start: usize, length: usize) -> Option<Box<Excerpt>> {
    if line.trim().is_empty() {
        return None;
    }
    let skipped = (start + 20).saturating_sub(EXCERPT_CHARS);
    let shown: String =
        line.chars().skip(skipped).take(EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = (start - skipped.min(start)).min(shown.chars().count());
    let end = (start + length).min(shown.chars().count().max(start + 1));
    Some(Box::new((shown, start..end)))
}

impl Complaint {
    /// A complaint about a whole file.
    #[must_use]
    pub fn whole_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, message: message.into(), help: None, excerpt: None }
    }

    /// What the TOML parser has to say of `source`.
    #[must_use]
    pub fn from_toml_error(source: &Source, error: &toml::de::Error) -> Self {
        // The parser's message is one line or a few; only its own position is left out, which is shown our way.
        let message = error.message().trim().replace('\n', "; ");
        source.complain(error.span().unwrap_or(0..0), message)
    }

    /// What the JSON parser has to say of `source`, as `message`.
    #[must_use]
    pub fn from_json_error(source: &Source, error: &serde_json::Error, message: impl Into<String>) -> Self {
        source.complain_at(error.line().max(1), error.column().max(1), message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `FILE:LINE:COLUMN: MESSAGE`, without the excerpt.
    #[must_use]
    pub fn headline(&self) -> String {
        let file = self.file.display();
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        match (self.line, self.column) {
            (0, _) => format!("{file}: {}{help}", self.message),
            (line, 0) => format!("{file}:{line}: {}{help}", self.message),
            (line, column) => format!("{file}:{line}:{column}: {}{help}", self.message),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some((line, mark)) = self.excerpt.as_deref() {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            write!(f, "\n  {number} | {line}\n  {gutter} | {}", " ".repeat(mark.start))?;
            f.write_str(&"^".repeat(mark.len()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

impl Complaints {
    /// Whether there is nothing to complain about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` if there is nothing to complain about; else itself, in order of place and shortened to
    /// [`MOST_COMPLAINTS`].
    ///
    /// # Errors
    /// When there is a complaint.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.0.truncate(MOST_COMPLAINTS);
        Err(self)
    }
}

impl From<Complaint> for Complaints {
    fn from(complaint: Complaint) -> Self {
        Self(vec![complaint])
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, complaint) in self.0.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{complaint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}

/// The one of `known` that `text` was probably meant to be.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (strsim::damerau_levenshtein(text, name), name));
    let (distance, name) = scored.min()?;
    let close = (name.chars().count().max(text.chars().count()) / 3).max(1);
    (distance <= close).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{Complaints, MOST_COMPLAINTS, Source, nearest};

    #[test]
    fn a_complaint_shows_the_line_and_marks_the_place() {
        let source = Source::new("plan.toml", "name = \"x\"\n\tvérsion = 1\n");
        let at = source.text().find('1').unwrap();
        let complaint = source.complain(at..at + 1, "version is a string").help("put it in quotes");
        assert_eq!((complaint.line, complaint.column), (2, 12));
        assert_eq!(
            complaint.to_string(),
            "plan.toml:2:12: version is a string; put it in quotes\n  2 |  vérsion = 1\n    |            ^"
        );
    }

    #[test]
    fn a_place_outside_of_the_text_is_moved_into_it() {
        let source = Source::new("x", "é");
        assert_eq!(source.complain(1..1, "").column, 1);
        assert_eq!(source.complain(99..120, "").column, 2);
        assert_eq!(Source::new("x", "").complain(0..0, "").to_string(), "x:1:1: ");
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(5_000), "b".repeat(5_000));
        let shown = Source::new("x", &text).complain(5_000..5_004, "m").to_string();
        assert!(shown.contains("HERE") && shown.lines().all(|line| line.chars().count() < 140), "{shown}");
    }

    #[test]
    fn complaints_come_in_order_of_place_and_not_without_end() {
        let source = Source::new("x", &"ab\n".repeat(200));
        let all: Vec<_> = (0..200).rev().map(|line| source.complain(line * 3..line * 3 + 1, "m")).collect();
        let complaints = Complaints(all).into_result(()).unwrap_err();
        assert_eq!(complaints.0.len(), MOST_COMPLAINTS);
        assert_eq!(complaints.0[1].line, 2);
    }

    #[test]
    fn the_nearest_name_is_found_unless_it_is_far() {
        let known = ["shutdown-signal", "shutdown-timeout", "run"];
        assert_eq!(nearest("shutdown_signal", known), Some("shutdown-signal"));
        assert_eq!(nearest("rum", known), Some("run"));
        assert_eq!(nearest("colour", known), None);
    }
}
