//! What is printed, and where.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::api::shape::{MemberServiceState, MemberState};
use crate::records::value::Health;

/// Who reads the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A person.
    Person,
    /// A program: JSON.
    Program,
}

/// Whether colours help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// A terminal.
    On,
    /// Anything else, or `NO_COLOR` is set.
    Off,
}

/// What notices are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notices {
    /// A terminal, on which what was written can be replaced.
    Screen,
    /// Anything else: line by line.
    Lines,
}

/// A result's and a notice's way out.
pub(super) struct Out<'a> {
    result: Box<dyn Write + 'a>,
    notice: Box<dyn Write + 'a>,
    pub(super) reader: Reader,
    pub(super) colour: Colour,
    pub(super) notices: Notices,
}

/// What a word means, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// It may pass.
    Uneasy,
    /// Somebody has to look.
    Bad,
    /// Of no weight.
    Faint,
    /// As any text.
    Plain,
}

impl Tone {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Good => Some("32"),
            Self::Uneasy => Some("33"),
            Self::Bad => Some("31"),
            Self::Faint => Some("2"),
            Self::Plain => None,
        }
    }
}

impl<'a> Out<'a> {
    /// To the process's own outputs.
    pub(super) fn of_process(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if io::stdout().is_terminal() && !plain { Colour::On } else { Colour::Off };
        let notices = if io::stderr().is_terminal() { Notices::Screen } else { Notices::Lines };
        Self { notices, ..Self::new(Box::new(io::stdout()), Box::new(io::stderr()), json, colour) }
    }

    /// Results there, notices here.
    pub(super) fn new(result: Box<dyn Write + 'a>, notice: Box<dyn Write + 'a>, json: bool, colour: Colour) -> Self {
        let reader = if json { Reader::Program } else { Reader::Person };
        Self { result, notice, reader, colour, notices: Notices::Lines }
    }

    /// Prints the result: as JSON to a program, else as `text` writes it.
    pub(super) fn result<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.reader {
            Reader::Program => self.json(value),
            Reader::Person => text(self),
        }
    }

    /// A line of JSON.
    pub(super) fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.result, value)?;
        writeln!(self.result)?;
        self.result.flush()
    }

    /// A line of the result.
    pub(super) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.result, "{text}")?;
        self.result.flush()
    }

    /// A part of the result, as it is.
    pub(super) fn raw(&mut self, text: &str) -> io::Result<()> {
        self.result.write_all(text.as_bytes())?;
        self.result.flush()
    }

    /// What to type next: for a person only.
    pub(super) fn next(&mut self, command: impl Display) -> io::Result<()> {
        match self.reader {
            Reader::Program => Ok(()),
            Reader::Person => {
                let text = self.paint(Tone::Faint, &format!("next: {command}"));
                self.line(text)
            }
        }
    }

    /// A line that is no result: what is waited for, what went otherwise than asked.
    pub(super) fn notice(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.notice, "{text}")?;
        self.notice.flush()
    }

    /// A part of a notice, as it is.
    pub(super) fn notice_raw(&mut self, text: &str) -> io::Result<()> {
        self.notice.write_all(text.as_bytes())?;
        self.notice.flush()
    }

    /// The text in the tone's colour, where colours help.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        match (self.colour, tone.code()) {
            (Colour::On, Some(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
            (Colour::On, None) | (Colour::Off, _) => text.to_owned(),
        }
    }
}

pub(super) const fn state_tone(state: MemberServiceState) -> Tone {
    match state {
        MemberServiceState::Up => Tone::Good,
        MemberServiceState::Starting | MemberServiceState::Waiting | MemberServiceState::Stopping => Tone::Uneasy,
        MemberServiceState::Backoff | MemberServiceState::Failed => Tone::Bad,
        MemberServiceState::Down => Tone::Faint,
    }
}

pub(super) const fn health_tone(health: Health) -> Tone {
    match health {
        Health::Ok => Tone::Good,
        Health::Warning => Tone::Uneasy,
        Health::Critical => Tone::Bad,
        Health::Unknown => Tone::Faint,
    }
}

pub(super) const fn member_tone(state: MemberState) -> Tone {
    match state {
        MemberState::Alive => Tone::Good,
        MemberState::Suspect => Tone::Uneasy,
        MemberState::Down => Tone::Bad,
        MemberState::Left | MemberState::Departed => Tone::Faint,
    }
}

/// The word for a health.
pub(super) const fn health_word(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Warning => "warning",
        Health::Critical => "critical",
        Health::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Out, Tone};

    #[test]
    fn only_a_terminal_is_coloured() {
        for (colour, expected) in [(Colour::On, "\x1b[32mup\x1b[0m"), (Colour::Off, "up")] {
            let out = Out::new(Box::new(Vec::new()), Box::new(Vec::new()), false, colour);
            assert_eq!(out.paint(Tone::Good, "up"), expected);
            assert_eq!(out.paint(Tone::Plain, "up"), "up");
        }
    }
}
