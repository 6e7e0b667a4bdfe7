//! The output of a hook: its end, and its lines as they come.

/// How much of a hook's output is kept, in bytes: the end of it.
pub(super) const KEPT_BYTES: usize = 64 * 1024;
/// How much of one line is kept or told, in bytes.
const LINE_BYTES: usize = 4 * 1024;
/// How many lines of one run are told. A hook that says more floods; how many were not told is.
pub(super) const TOLD_LINES: usize = 500;

/// What a hook said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Output {
    text: String,
    last: Option<String>,
    last_stdout: Option<String>,
}

impl Output {
    /// Collects output, and tells its lines as they come.
    #[expect(clippy::new_ret_no_self, reason = "an output begins as its collector")]
    pub(super) fn new<F: FnMut(&str)>(tell: F) -> Collector<F> {
        Collector { kept: Vec::new(), out: Lines::default(), err: Lines::default(), last: None, told: 0, tell }
    }

    /// The end of both streams, in the order in which they were read.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The last line of either stream that is not blank.
    pub(super) fn last_line(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The last line of standard output that is not blank.
    pub(super) fn last_stdout_line(&self) -> Option<&str> {
        self.last_stdout.as_deref()
    }
}

/// Takes the output as it is read.
#[derive(Debug)]
pub(super) struct Collector<F> {
    kept: Vec<u8>,
    out: Lines,
    err: Lines,
    last: Option<String>,
    told: usize,
    tell: F,
}

/// One stream, cut into lines.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    last: Option<String>,
}

impl Lines {
    /// The lines that are complete with these bytes. A line's overlong rest is left out.
    fn cut(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES - self.begun.len();
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.begun.extend_from_slice(&text[..text.len().min(room)]);
            if part.ends_with(b"\n") {
                lines.extend(self.end());
            }
        }
        lines
    }

    fn end(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).trim_end().to_owned();
        if line.is_empty() {
            return None;
        }
        self.last = Some(line.clone());
        Some(line)
    }
}

impl<F: FnMut(&str)> Collector<F> {
    pub(super) fn stdout(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        let lines = self.out.cut(bytes);
        self.tell(lines);
    }

    pub(super) fn stderr(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        let lines = self.err.cut(bytes);
        self.tell(lines);
    }

    /// Something that is to be known of the run, beside what it said.
    pub(super) fn note(&mut self, text: &str) {
        self.keep(format!("({text})\n").as_bytes());
        (self.tell)(text);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        // Twice the limit, so that a flood does not move the whole text at each read.
        if self.kept.len() > 2 * KEPT_BYTES {
            self.kept.drain(..self.kept.len() - KEPT_BYTES);
        }
    }

    fn tell(&mut self, lines: Vec<String>) {
        for line in lines {
            self.told += 1;
            if self.told <= TOLD_LINES {
                (self.tell)(&line);
            }
            self.last = Some(line);
        }
    }

    /// Everything has been read.
    pub(super) fn finish(mut self) -> Output {
        let rest: Vec<_> = [self.out.end(), self.err.end()].into_iter().flatten().collect();
        self.tell(rest);
        if self.told > TOLD_LINES {
            (self.tell)(&format!("{} more lines are left out", self.told - TOLD_LINES));
        }
        let begin = self.kept.len().saturating_sub(KEPT_BYTES);
        let mut text = String::from_utf8_lossy(&self.kept[begin..]).into_owned();
        // Replacing what is not UTF-8 can make it longer.
        while text.len() > KEPT_BYTES {
            let cut = text.ceil_char_boundary(text.len() - KEPT_BYTES);
            text.drain(..cut);
        }
        Output { text, last: self.last, last_stdout: self.out.last }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{KEPT_BYTES, LINE_BYTES, Output, TOLD_LINES};

    fn lines_of(text: &str) -> (Output, Vec<String>) {
        let mut told = Vec::new();
        let mut collector = Output::new(|line: &str| told.push(line.to_owned()));
        collector.stdout(text.as_bytes());
        let output = collector.finish();
        (output, told)
    }

    #[test]
    fn output_is_kept_whole_at_the_limit_and_without_its_begin_one_beyond() {
        let (output, _) = lines_of(&"x".repeat(KEPT_BYTES));
        assert_eq!(output.text().len(), KEPT_BYTES);
        let (output, _) = lines_of(&format!("a{}", "x".repeat(KEPT_BYTES)));
        assert_eq!(output.text(), "x".repeat(KEPT_BYTES));
    }

    #[test]
    fn a_line_is_told_whole_at_the_limit_and_cut_one_beyond() {
        let (_, told) = lines_of(&format!("{}\n{}\n", "x".repeat(LINE_BYTES), "y".repeat(LINE_BYTES + 1)));
        assert_eq!(told, ["x".repeat(LINE_BYTES), "y".repeat(LINE_BYTES)]);
    }

    #[test]
    fn all_lines_are_told_at_the_limit_and_the_rest_counted_one_beyond() {
        let (_, told) = lines_of(&"x\n".repeat(TOLD_LINES));
        assert_eq!(told.len(), TOLD_LINES);
        let (_, told) = lines_of(&"x\n".repeat(TOLD_LINES + 1));
        assert_eq!(told.last().unwrap(), "1 more lines are left out");
    }

    #[test]
    fn the_last_line_is_the_last_that_is_not_blank_with_or_without_its_end() {
        for text in ["a\n12\n\n  \n", "a\n12", "a\n12\n"] {
            assert_eq!(lines_of(text).0.last_stdout_line(), Some("12"), "{text:?}");
        }
        assert_eq!(lines_of("\n").0.last_stdout_line(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_taken_and_stay_within_the_limit(
            pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..9000)), 0..40),
        ) {
            let mut collector = Output::new(|line: &str| assert!(line.len() <= 3 * LINE_BYTES));
            for (out, piece) in &pieces {
                if *out { collector.stdout(piece) } else { collector.stderr(piece) }
            }
            prop_assert!(collector.finish().text().len() <= KEPT_BYTES);
        }
    }
}
