//! Every way to fail: one list, with its type, title, HTTP status and exit code (RFC 9457).

use std::fmt;
use std::process::ExitCode;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The prefix of each problem's `type`.
const TYPE_PREFIX: &str = "urn:sup:problem:";

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// What was asked for is done.
    Done,
    /// It failed.
    Failed,
    /// It was not asked for in a way that can be understood.
    Usage,
    /// It was not done in time.
    TimedOut,
    /// It was understood, and refused.
    Refused,
    /// A person did not want to wait any longer; what was asked for goes on.
    Interrupted,
}

impl ExitStatus {
    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::TimedOut => 3,
            Self::Refused => 4,
            // What a shell says of a command that ended on Ctrl-C.
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Declares the kinds once, so that no table can forget one.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:literal, $exit:ident, $title:literal;)*) => {
        /// What kind of problem it is. Its name is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The stable name, the last part of `type`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// The HTTP status that it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$kind => $status),* }
            }

            /// How a command that meets it ends.
            #[must_use]
            pub const fn exit(self) -> ExitStatus {
                match self { $(Self::$kind => ExitStatus::$exit),* }
            }

            /// What it is, in a few words that are the same each time.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title),* }
            }
        }
    };
}

kinds! {
    /// A parameter or a body cannot be understood.
    BadRequest = "bad-request", 400, Usage, "The request cannot be understood";
    /// The caller did not say who it is, or is not known.
    Unauthorized = "unauthorized", 401, Refused, "Not known";
    /// The caller may not do this.
    Forbidden = "forbidden", 403, Refused, "Not allowed";
    /// There is no such path.
    UnknownRoute = "unknown-route", 404, Failed, "No such path";
    /// No such service is loaded here.
    UnknownService = "unknown-service", 404, Failed, "No such service here";
    /// Nobody heard of such a group.
    UnknownGroup = "unknown-group", 404, Failed, "No such group";
    /// No such node is known here.
    UnknownMember = "unknown-member", 404, Failed, "No such member";
    /// The node that is to be departed answers.
    MemberAlive = "member-alive", 409, Refused, "The member is there";
    /// A council that is not lost is not given up.
    NotLost = "not-lost", 409, Refused, "The council is not lost";
    /// What may cost data is done only if that is said to be accepted.
    Unconfirmed = "unconfirmed", 409, Refused, "Not confirmed";
    /// There is no such config revision.
    UnknownRevision = "unknown-revision", 404, Failed, "No such revision";
    /// There is no plan of that name or at that path.
    UnknownPlan = "unknown-plan", 404, Failed, "No such plan";
    /// The release is on nobody's list here.
    UnknownRelease = "unknown-release", 404, Failed, "No such release here";
    /// There is no such key of the ring here.
    UnknownKey = "unknown-key", 404, Failed, "No such key here";
    /// There is no such token of the API.
    UnknownToken = "unknown-token", 404, Failed, "No such token";
    /// The group never had a rollout.
    NoRollout = "no-rollout", 404, Failed, "No rollout";
    /// The path takes other methods.
    WrongMethod = "wrong-method", 405, Failed, "The path does not take this method";
    /// Somebody else changed it meanwhile (`expect`).
    Conflict = "conflict", 409, Refused, "Changed by someone else meanwhile";
    /// The service is loaded with another plan or other options.
    AlreadyLoaded = "already-loaded", 409, Refused, "Already loaded, otherwise";
    /// The body is larger than its limit.
    TooLarge = "too-large", 413, Refused, "Larger than the limit";
    /// The config is not valid: see the places.
    InvalidConfig = "invalid-config", 422, Refused, "The config is not valid";
    /// The plan is not valid: see the places.
    InvalidPlan = "invalid-plan", 422, Refused, "The plan is not valid";
    /// The archive of a release is not one that is taken.
    InvalidRelease = "invalid-release", 422, Refused, "The release is not valid";
    /// Something that the plan needs is not on this machine.
    MissingRequirement = "missing-requirement", 422, Refused, "Something that the plan needs is missing";
    /// A service cannot run until a person changes something.
    ServiceFailed = "service-failed", 409, Failed, "The service cannot run";
    /// A rollout did not end as it was asked for (only ever said by a client).
    RolloutFailed = "rollout-failed", 409, Failed, "The rollout did not succeed";
    /// The group's desired state is down, and what was asked of one member does not change that.
    StoppedEverywhere = "stopped-everywhere", 409, Refused, "Stopped everywhere";
    /// It failed in a way that nobody foresaw.
    Internal = "internal", 500, Failed, "Failed";
    /// This version cannot do that.
    Unsupported = "unsupported", 501, Refused, "Not supported by this version";
    /// The store cannot be written: what must be durable cannot be done.
    StoreUnavailable = "store-unavailable", 503, Failed, "The store cannot be written";
    /// More requests than can be served at once.
    Busy = "busy", 503, Failed, "Too busy";
    /// The supervisor is on its way out.
    ShuttingDown = "shutting-down", 503, Failed, "Shutting down";
    /// The supervisor did not do it in time.
    Timeout = "timeout", 504, TimedOut, "Not done in time";
    /// No supervisor answers (only ever said by a client).
    Unreachable = "unreachable", 503, Failed, "No supervisor answers";
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for ProblemKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{TYPE_PREFIX}{}", self.name()))
    }
}

impl<'de> Deserialize<'de> for ProblemKind {
    /// A type that a newer supervisor knows and this client does not reads as [`ProblemKind::Internal`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.strip_prefix(TYPE_PREFIX).unwrap_or(&text);
        Ok(Self::ALL.iter().copied().find(|kind| kind.name() == name).unwrap_or(Self::Internal))
    }
}

/// A position in a text that a person wrote, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, where the text is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column, from 1, in characters; 0 when the whole line is meant.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
    /// What it might have been meant to be, or how to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What went wrong: what failed, on what, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// Which kind of problem.
    pub kind: ProblemKind,
    /// What failed, on what, and why: one lower-case sentence for a person.
    pub detail: String,
    /// What to do next, a command where one helps.
    pub next: Option<String>,
    /// The positions of a config or a plan where it is wrong.
    pub places: Vec<Place>,
}

impl Problem {
    /// A problem without a place or a next step.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), next: None, places: Vec::new() }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The same, with one more place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// The detail of an error and of everything that caused it, outermost first.
    #[must_use]
    pub fn caused(kind: ProblemKind, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            detail.push_str(": ");
            detail.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(kind, detail)
    }
}

/// What of a problem is written as JSON.
#[derive(Serialize, Deserialize)]
struct Document {
    r#type: ProblemKind,
    #[serde(default)]
    title: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<Place>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document {
            r#type: self.kind,
            title: self.kind.title().to_owned(),
            status: self.kind.status(),
            detail: self.detail.clone(),
            next: self.next.clone(),
            places: self.places.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Document::deserialize(deserializer)?;
        Ok(Self { kind: document.r#type, detail: document.detail, next: document.next, places: document.places })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Place, Problem, ProblemKind};

    #[test]
    fn a_problem_reads_back_as_it_is_written() {
        let problem = Problem::new(ProblemKind::InvalidConfig, "the config of redis.default is not valid")
            .next("mend it")
            .at(Place {
                file: None,
                line: 3,
                column: 7,
                message: "not a number".into(),
                help: Some("port = 6379".into()),
            });
        let text = serde_json::to_string(&problem).unwrap();
        assert!(
            text.starts_with(
                r#"{"type":"urn:sup:problem:invalid-config","title":"The config is not valid","status":422"#
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    }

    #[test]
    fn a_type_of_a_newer_version_is_read_as_a_failure() {
        let problem: Problem = serde_json::from_str(r#"{"type":"urn:sup:problem:tomorrow","detail":"d"}"#).unwrap();
        assert_eq!((problem.kind, problem.detail.as_str()), (ProblemKind::Internal, "d"));
    }

    #[test]
    fn every_kind_has_its_own_name_and_an_error_status() {
        let names: BTreeSet<_> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert!((400..600).contains(&kind.status()), "{kind}");
            assert_ne!(kind.exit().code(), 0, "{kind}");
        }
    }

    #[test]
    fn a_problem_tells_all_causes_of_an_error() {
        let error = "a.B".parse::<crate::base::GroupId>().unwrap_err();
        let problem = Problem::caused(ProblemKind::BadRequest, &error);
        assert!(problem.detail.contains("SERVICE.GROUP") && problem.detail.contains("\"B\""), "{}", problem.detail);
    }
}
