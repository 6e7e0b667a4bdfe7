//! `sup config`.

use std::io::{IsTerminal, Read};
use std::path::Path;

use super::act::did_you_mean;
use super::args::{ApplyArgs, Patience, RollbackArgs, ShowArgs, UnsetArgs};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::start::explained;
use super::table::{Cell, Table};
use super::watch::{Progress, Watch};
use crate::api::client::Client;
use crate::api::shape::{
    ApplyRequest, ConfigApplied, GroupMember, MemberServiceState, MemberState, RevisionStatus, RollbackRequest, Target,
    UnknownKeys, UnsetRequest,
};
use crate::api::{ExitStatus, Place, Problem, ProblemKind};
use crate::base::GroupId;
use crate::base::limits::CONFIG_BYTES;

/// The name of standard input.
const STDIN: &str = "-";

pub(super) async fn apply(client: &Client, out: &mut Out<'_>, args: &ApplyArgs) -> Outcome {
    let toml = read(&args.file)?;
    let unknown = if args.allow_unknown { UnknownKeys::Allow } else { UnknownKeys::Refuse };
    let request = ApplyRequest { toml: toml.clone(), expect: args.expect.clone(), unknown };
    let watch = Watch::open(client, Some(&args.group), args.patience.timeout).await?;
    match client.apply_config(&args.group, request).await {
        Ok(applied) => done(client, out, watch, &args.patience, &applied).await,
        Err(problem) if problem.kind == ProblemKind::InvalidConfig => {
            Err(Failure::InText(in_file(problem, &args.file), toml))
        }
        Err(problem) => Err(named(client, &args.group, problem).await),
    }
}

pub(super) async fn rollback(client: &Client, out: &mut Out<'_>, args: &RollbackArgs) -> Outcome {
    let request = RollbackRequest { revision: args.revision.clone(), expect: args.expect.clone() };
    let watch = Watch::open(client, Some(&args.group), args.patience.timeout).await?;
    match client.rollback_config(&args.group, &request).await {
        Ok(applied) => done(client, out, watch, &args.patience, &applied).await,
        Err(problem) => Err(named(client, &args.group, problem).await),
    }
}

pub(super) async fn unset(client: &Client, out: &mut Out<'_>, args: &UnsetArgs) -> Outcome {
    let watch = Watch::open(client, Some(&args.group), args.patience.timeout).await?;
    match client.unset_config(&args.group, &UnsetRequest { expect: args.expect.clone() }).await {
        Ok(applied) => done(client, out, watch, &args.patience, &applied).await,
        Err(problem) => Err(named(client, &args.group, problem).await),
    }
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
        None => out.notice(format_args!("no config was applied to {}: the plan's defaults are in force", config.group)),
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
            let tone = match revision.status {
                RevisionStatus::InForce => Tone::Good,
                RevisionStatus::Superseded => Tone::Uneasy,
                RevisionStatus::Replaced => Tone::Plain,
            };
            table.row([
                revision.revision.as_str().into(),
                Cell::toned(tone, revision.status.as_str()),
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

/// Waits until all members that run have the revision, and says so.
async fn done(
    client: &Client,
    out: &mut Out<'_>,
    mut watch: Watch,
    patience: &Patience,
    applied: &ConfigApplied,
) -> Outcome {
    let ConfigApplied { group, revision, changed, .. } = applied;
    let verb = if *changed { "has" } else { "has already" };
    if patience.no_wait {
        out.result(applied, |out| out.line(format_args!("{group} {verb} config {revision}")))?;
    } else {
        let members = watch.until(out, async || is_rendered(client, group, revision).await).await;
        let members = members.map_err(|failure| explained(failure, group))?;
        out.result(applied, |out| {
            out.line(format_args!("{group} {verb} config {revision}, in force on {members} members"))
        })?;
    }
    let undo = if applied.previous.is_some() { "rollback" } else { "unset" };
    out.next(format_args!("sup config history {group}; to undo it: sup config {undo} {group}"))?;
    Ok(ExitStatus::Done)
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
    let left = running.iter().filter(|member| member.config_revision.as_deref() != Some(revision));
    match left.clone().next() {
        None => Ok(Progress::Done(running.len())),
        Some(first) => {
            let colon = if first.why.is_empty() { "" } else { ": " };
            let (count, all) = (left.count(), running.len());
            Ok(Progress::Missing(format!(
                "{count} of {all} members do not have it yet, {}{colon}{}",
                first.address, first.why
            )))
        }
    }
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
