//! `sup config`.

mod preview;

use std::io::{IsTerminal, Read};
use std::path::Path;

use serde::Serialize;
use similar::TextDiff;

use super::act::did_you_mean;
use super::args::{ApplyArgs, ChangePatience, DiffArgs, RollbackArgs, ShowArgs, UnsetArgs};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::progress::{End, Since, Sought, Wants, follow};
use super::rollout::{interrupted, options_in_words};
use super::start::explained;
use super::table::{Cell, Table};
use super::update::{failed, later, members};
use super::watch::{Progress, Watch};
use crate::api::client::Client;
use crate::api::shape::{
    ApplyRequest, ConfigApplied, DesiredRequest, GroupMember, MemberServiceState, MemberState, RevisionStatus,
    RollbackRequest, Target, UnknownKeys, UnsetRequest,
};
use crate::api::{ExitStatus, Place, Problem, ProblemKind};
use crate::base::GroupId;
use crate::base::limits::CONFIG_BYTES;
use crate::records::value::Strategy;

/// The name of standard input.
const STDIN: &str = "-";

pub(super) async fn apply(client: &Client, out: &mut Out<'_>, args: &ApplyArgs) -> Outcome {
    let group = &args.group;
    let toml = read(&args.file)?;
    let unknown = if args.allow_unknown { UnknownKeys::Allow } else { UnknownKeys::Refuse };
    let request = ApplyRequest { toml: toml.clone(), expect: args.expect.clone(), unknown };
    if args.dry_run {
        let preview = client.preview_config(group, request).await;
        let preview = refusal(client, group, &args.file, &toml, preview).await?;
        out.result(&preview, |out| preview::print(&preview, out))?;
        return Ok(ExitStatus::Done);
    }
    let waiting = Waiting::begin(client, group, &args.patience).await?;
    let change = args.options.change();
    if !change.is_empty() {
        // What is refused changes nothing, these included.
        let checked = client.preview_config(group, request.clone()).await;
        refusal(client, group, &args.file, &toml, checked).await?;
        let request = DesiredRequest { options: change, ..DesiredRequest::default() };
        client.set_desired(group, &request).await?;
        let options = client.rollout(group).await?.options;
        out.notice(format_args!("changes of {group} from now on: {}", options_in_words(&options)))?;
    }
    let applied = client.apply_config(group, request).await;
    let applied = refusal(client, group, &args.file, &toml, applied).await?;
    waiting.done(client, out, &applied).await
}

/// What was refused, told with the places in the text that was typed.
async fn refusal<T>(
    client: &Client,
    group: &GroupId,
    file: &Path,
    toml: &str,
    answer: Result<T, Problem>,
) -> Result<T, Failure> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(problem) if problem.kind == ProblemKind::InvalidConfig => {
            Err(Failure::InText(in_file(problem, file), toml.to_owned()))
        }
        Err(problem) => Err(named(client, group, problem).await),
    }
}

pub(super) async fn rollback(client: &Client, out: &mut Out<'_>, args: &RollbackArgs) -> Outcome {
    let request = RollbackRequest { revision: args.revision.clone(), expect: args.expect.clone() };
    let waiting = Waiting::begin(client, &args.group, &args.patience).await?;
    match client.rollback_config(&args.group, &request).await {
        Ok(applied) => waiting.done(client, out, &applied).await,
        Err(problem) => Err(named(client, &args.group, problem).await),
    }
}

pub(super) async fn unset(client: &Client, out: &mut Out<'_>, args: &UnsetArgs) -> Outcome {
    let waiting = Waiting::begin(client, &args.group, &args.patience).await?;
    match client.unset_config(&args.group, &UnsetRequest { expect: args.expect.clone() }).await {
        Ok(applied) => waiting.done(client, out, &applied).await,
        Err(problem) => Err(named(client, &args.group, problem).await),
    }
}

/// What is different between two revisions, as a program reads it.
#[derive(Serialize)]
struct Difference<'a> {
    group: &'a GroupId,
    from: Option<&'a str>,
    to: Option<&'a str>,
    diff: &'a str,
}

pub(super) async fn diff(client: &Client, out: &mut Out<'_>, args: &DiffArgs) -> Outcome {
    let group = &args.group;
    let history = match client.config_history(group).await {
        Ok(history) => history.revisions,
        Err(problem) => return Err(named(client, group, problem).await),
    };
    let to = match (&args.to, history.first()) {
        (Some(to), _) => Some(to.clone()),
        (None, first) => first.map(|revision| revision.revision.clone()),
    };
    let from = match &args.from {
        Some(from) => Some(from.clone()),
        // Before the first one there were the plan's defaults: no text at all.
        None => {
            history.iter().find(|revision| Some(&revision.revision) == to.as_ref()).and_then(|to| to.parent.clone())
        }
    };
    let mut texts = Vec::new();
    for revision in [&from, &to] {
        texts.push(match revision {
            Some(revision) => client.config(group, Some(revision)).await?.toml,
            None => String::new(),
        });
    }
    let shown = |revision: &Option<String>| revision.clone().unwrap_or_else(|| "the plan's defaults".to_owned());
    let (from_shown, to_shown) = (shown(&from), shown(&to));
    let diff = TextDiff::from_lines(&texts[0], &texts[1]).unified_diff().header(&from_shown, &to_shown).to_string();
    let difference = Difference { group, from: from.as_deref(), to: to.as_deref(), diff: &diff };
    out.result(&difference, |out| {
        if diff.is_empty() {
            return out.line(format_args!("{from_shown} and {to_shown} say the same"));
        }
        preview::print_diff(&diff, out)
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn show(client: &Client, out: &mut Out<'_>, args: &ShowArgs) -> Outcome {
    let config = match client.config(&args.group, args.revision.as_deref()).await {
        Ok(config) => config,
        Err(problem) => return Err(named(client, &args.group, problem).await),
    };
    out.result(&config, |out| match &config.revision {
        // Only the text: what is shown can be applied again.
        Some(_) if config.toml.is_empty() || config.toml.ends_with('\n') => out.raw(&config.toml),
        Some(_) => out.line(&config.toml),
        None => out.notice(format_args!("no config of {} is in force: the plan's defaults are", config.group)),
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn history(client: &Client, out: &mut Out<'_>, group: &GroupId) -> Outcome {
    let history = match client.config_history(group).await {
        Ok(history) => history,
        Err(problem) => return Err(named(client, group, problem).await),
    };
    out.result(&history, |out| {
        if history.revisions.is_empty() {
            out.line(format_args!("no config was applied to {group}: the plan's defaults are in force"))?;
            return out.next(format_args!("sup config apply {group} FILE"));
        }
        let mut table = Table::new(["REVISION", "STATUS", "APPLIED", "ON", "WHAT"]);
        for revision in &history.revisions {
            table.row([
                revision.revision.as_str().into(),
                standing(revision.status),
                revision.at.to_string().into(),
                revision.by.map(crate::base::NodeId::short).unwrap_or_default().into(),
                revision.action.as_str().into(),
            ]);
        }
        table.print(out)?;
        out.next(format_args!("sup config show {group} REV, sup config rollback {group} REV"))
    })?;
    Ok(ExitStatus::Done)
}

/// What became of a revision, as a table shows it.
pub(super) fn standing(status: RevisionStatus) -> Cell {
    let tone = match status {
        RevisionStatus::InForce => Tone::Good,
        RevisionStatus::RolledBack | RevisionStatus::Superseded => Tone::Uneasy,
        RevisionStatus::Replaced => Tone::Plain,
    };
    Cell::toned(tone, status.as_str())
}

/// The wait for a config, begun before it is applied.
struct Waiting {
    watch: Watch,
    strategy: Strategy,
    no_wait: bool,
}

impl Waiting {
    async fn begin(client: &Client, group: &GroupId, patience: &ChangePatience) -> Result<Self, Failure> {
        let strategy = match client.rollout(group).await {
            Ok(report) => report.strategy,
            // A group may have its config before it has members.
            Err(problem) if problem.kind == ProblemKind::UnknownGroup => Strategy::None,
            Err(problem) => return Err(problem.into()),
        };
        let timeout = match strategy {
            Strategy::Rolling => patience.rolling(),
            Strategy::AtOnce | Strategy::None => patience.at_once(),
        };
        Ok(Self { watch: Watch::open(client, Some(group), timeout).await?, strategy, no_wait: patience.no_wait })
    }

    /// Waits until all members that run have the revision, and says so.
    async fn done(mut self, client: &Client, out: &mut Out<'_>, applied: &ConfigApplied) -> Outcome {
        let ConfigApplied { group, revision, changed, .. } = applied;
        let verb = if *changed { "has" } else { "has already" };
        match (self.no_wait, self.strategy) {
            (true, _) => out.result(applied, |out| out.line(format_args!("{group} {verb} config {revision}")))?,
            (false, Strategy::Rolling) => {
                let since = if *changed { applied.asked } else { 0 };
                let sought = Sought { since: Since::Asked(since), wants: Wants::Config(revision.clone()) };
                match follow(client, out, &mut self.watch, group, &sought).await? {
                    End::Interrupted => return interrupted(out, group),
                    End::Failed(report, problem) => return failed(out, &report, problem),
                    End::Done(report) => out.result(applied, |out| {
                        let (members, later) = (members(&report), later(&report));
                        out.line(format_args!("{group} {verb} config {revision}, in force on {members}{later}"))
                    })?,
                }
            }
            (false, Strategy::AtOnce | Strategy::None) => {
                let members = self.watch.until(out, async || is_rendered(client, group, revision).await).await;
                let members = members.map_err(|failure| explained(failure, group))?;
                out.result(applied, |out| {
                    out.line(format_args!("{group} {verb} config {revision}, in force on {members} members"))
                })?;
            }
        }
        let undo = if applied.previous.is_some() { "rollback" } else { "unset" };
        out.next(format_args!("sup config history {group}; to undo it: sup config {undo} {group}"))?;
        Ok(ExitStatus::Done)
    }
}

/// Whether all members that run have rendered the revision; one that is replaced meanwhile never will be.
async fn is_rendered(client: &Client, group: &GroupId, revision: &str) -> Result<Progress<usize>, Problem> {
    let view = client.group(group).await?;
    if let Some(newer) = view.desired.config_revision.filter(|current| current != revision) {
        let known = client.config_history(group).await?;
        let is_replaced =
            known.revisions.iter().any(|known| known.revision == revision && known.status != RevisionStatus::InForce);
        if is_replaced {
            let detail = format!("{revision} was replaced by {newer} before all members had it");
            return Err(Problem::new(ProblemKind::Conflict, detail).next(format!("sup config history {group}")));
        }
    }
    let members = view.members.unwrap_or_default();
    let running: Vec<_> = members.iter().filter(|member| runs(member)).collect();
    Ok(Progress::of(&running, |member| member.config_revision.as_deref() == Some(revision)))
}

/// Whether a member is expected to render: others do when they start.
fn runs(member: &GroupMember) -> bool {
    member.node_state == MemberState::Alive && member.state == MemberServiceState::Up
}

fn read(file: &Path) -> Result<String, Problem> {
    let shown = if file == Path::new(STDIN) { "standard input".to_owned() } else { file.display().to_string() };
    let failed = |error: std::io::Error| {
        Problem::new(ProblemKind::BadRequest, format!("cannot read {shown}: {error}"))
            .next("name a TOML file, or - for standard input")
    };
    let mut bytes = Vec::new();
    // One byte beyond the limit tells that it is too large, however large it is.
    let limit = u64::try_from(CONFIG_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    if file == Path::new(STDIN) {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            // To wait for a person to type TOML would look as if it hung.
            let detail = "there is no config: standard input is a terminal";
            return Err(
                Problem::new(ProblemKind::BadRequest, detail).next("name a TOML file: sup config apply GROUP FILE")
            );
        }
        stdin.lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() > CONFIG_BYTES {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            format!("{shown} is larger than {CONFIG_BYTES} bytes, and was not applied"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Problem::new(
            ProblemKind::InvalidConfig,
            format!("{shown} is not UTF-8 text (line {line}), and was not applied"),
        )
    })
}

/// The problem, with places in the file that was typed.
fn in_file(mut problem: Problem, file: &Path) -> Problem {
    for place in &mut problem.places {
        let Place { file: name, .. } = place;
        *name = Some(if file == Path::new(STDIN) { "stdin".to_owned() } else { file.display().to_string() });
    }
    problem
}

async fn named(client: &Client, group: &GroupId, problem: Problem) -> Failure {
    did_you_mean(client, &Target::Group(group.clone()), problem).await.into()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::api::ProblemKind;
    use crate::base::limits::CONFIG_BYTES;

    #[test]
    fn a_config_is_read_at_the_limit_and_refused_one_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "#".repeat(CONFIG_BYTES)).unwrap();
        assert_eq!(read(&file).unwrap().len(), CONFIG_BYTES);
        std::fs::write(&file, "#".repeat(CONFIG_BYTES + 1)).unwrap();
        assert_eq!(read(&file).unwrap_err().kind, ProblemKind::TooLarge);
    }

    #[test]
    fn a_config_that_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, b"a = 1\n\xff").unwrap();
        let problem = read(&file).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::InvalidConfig);
        assert!(problem.detail.contains("line 2"), "{}", problem.detail);
        assert!(read(&dir.path().join("none")).unwrap_err().detail.contains("cannot read"));
    }
}
