//! How a command ends.

use std::io;

use super::out::Out;
use super::report;
use crate::api::{ExitStatus, Problem};

/// A command's end: how it went, or why it did not.
pub(super) type Outcome = Result<ExitStatus, Failure>;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is a problem to tell.
    Problem(Problem),
    /// There is one, and the text that its places are in.
    InText(Problem, String),
    /// The result could not be written.
    Output(io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Tells it, and how the process is to end.
    pub(super) fn tell(self, out: &mut Out<'_>) -> ExitStatus {
        let (problem, text) = match self {
            Self::Problem(problem) => (problem, None),
            Self::InText(problem, text) => (problem, Some(text)),
            // The reader has seen enough (`sup logs | head`): that is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitStatus::Done,
            Self::Output(error) => {
                let problem =
                    Problem::new(crate::api::ProblemKind::Internal, format!("cannot write the result: {error}"));
                (problem, None)
            }
        };
        // Standard error is gone as well: the exit status still tells.
        report::problem(out, &problem, text.as_deref()).ok();
        problem.kind.exit()
    }
}
