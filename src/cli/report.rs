//! Problems, as they are shown.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::out::{Out, Reader, Tone};
use crate::api::{Place, Problem};

/// Largest file whose lines are shown, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// Shows a problem: what, where with the line itself if `text` is what the places are in, and what to do next.
pub(super) fn problem(out: &mut Out<'_>, problem: &Problem, text: Option<&str>) -> io::Result<()> {
    if out.reader == Reader::Program {
        // A problem is texts and numbers: it can always be written.
        return out.notice(serde_json::to_string(problem).unwrap_or_default());
    }
    let error = out.paint(Tone::Bad, "error:");
    out.notice(format_args!("{error} {}", problem.detail))?;
    for place in &problem.places {
        let file = if text.is_none() { read(place) } else { None };
        out.notice(show(place, text.or(file.as_deref())))?;
    }
    match &problem.next {
        Some(next) => out.notice(format_args!("next: {next}")),
        None => Ok(()),
    }
}

/// The text of the place's file, where it is one of this machine.
fn read(place: &Place) -> Option<String> {
    let path = Path::new(place.file.as_deref()?);
    // A name of something else may be a pipe, or without an end.
    let meta = std::fs::metadata(path).ok()?;
    if meta.is_file() && meta.len() <= FILE_BYTES { std::fs::read_to_string(path).ok() } else { None }
}

/// A place: the line with a mark under the column, where there is a text; else its numbers.
fn show(place: &Place, text: Option<&str>) -> String {
    let file = place.file.as_deref().unwrap_or("config");
    let mut shown = match (place.line, place.column) {
        (0, _) => format!("  --> {file}"),
        (line, 0) => format!("  --> {file}:{line}"),
        (line, column) => format!("  --> {file}:{line}:{column}"),
    };
    let line = text.and_then(|text| text.lines().nth(place.line.checked_sub(1)?));
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    // Writing to a string cannot fail.
    match line {
        Some(line) => {
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let before = " ".repeat(place.column.saturating_sub(1));
            write!(shown, "\n  {gutter} |\n  {number} | {line}\n  {gutter} | {before}^ {}", place.message).ok();
        }
        None => {
            write!(shown, ": {}", place.message).ok();
        }
    }
    if let Some(help) = &place.help {
        write!(shown, "\n  {gutter} = help: {help}").ok();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::show;
    use crate::api::Place;

    fn place(line: usize, column: usize) -> Place {
        Place { file: None, line, column, message: "expected a number".into(), help: Some("such as 1".into()) }
    }

    #[test]
    fn a_place_is_marked_in_its_line() {
        let shown = show(&place(2, 8), Some("a = 1\n\tport = \"x\"\n"));
        let expected =
            "  --> config:2:8\n    |\n  2 |  port = \"x\"\n    |        ^ expected a number\n    = help: such as 1";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_place_that_is_not_in_the_text_is_still_told() {
        let shown = show(&place(9, 1), Some("a = 1\n"));
        assert_eq!(shown, "  --> config:9:1: expected a number\n    = help: such as 1");
        assert!(show(&place(0, 0), None).starts_with("  --> config: expected"));
    }
}
