//! `sup update`: brings a new release to a group.

use std::fs::File;
use std::path::Path;

use super::act::did_you_mean;
use super::args::{Globals, UpdateArgs};
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::progress::{End, Since, Sought, Wants, follow, serving_total};
use super::release::{signing_key, unpackable};
use super::rollout::{interrupted, options_in_words};
use super::watch::Watch;
use crate::api::client::Client;
use crate::api::server::RELEASE_BODY_BYTES;
use crate::api::shape::{DesiredRequest, ReleaseAdded, RolloutReport, Target};
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::base::GroupId;
use crate::records::value::Strategy;
use crate::release::{self, SecretKey};

pub(super) async fn update(client: &Client, out: &mut Out<'_>, globals: &Globals, args: &UpdateArgs) -> Outcome {
    let group = &args.group;
    let before = match client.rollout(group).await {
        Ok(report) => report,
        Err(problem) => return Err(did_you_mean(client, &Target::Group(group.clone()), problem).await.into()),
    };
    let archive = archive(client, globals, args).await?;
    let added = client.add_release(archive).await?;
    let mut watch = Watch::open(client, Some(group), args.patience.timeout).await?;
    let change = args.options.change();
    let request =
        DesiredRequest { release: Some(added.manifest.to_string()), options: change, ..DesiredRequest::default() };
    let acted = client.set_desired(group, &request).await?;
    if !change.is_empty() {
        let options = change.over(before.options.into()).into();
        out.notice(format_args!("changes of {group} from now on: {}", options_in_words(&options)))?;
    }
    match (before.strategy, args.patience.no_wait) {
        (Strategy::None, _) => at_next_start(client, out, group, &added).await,
        (Strategy::AtOnce | Strategy::Rolling, true) => {
            out.result(&acted, |out| out.line(format_args!("{group} is to run {}", added.release)))?;
            out.next(format_args!("sup rollout status {group}"))?;
            Ok(ExitStatus::Done)
        }
        (Strategy::AtOnce | Strategy::Rolling, false) => {
            // What was asked for before already has its rollout already.
            let since = if acted.changed { acted.asked } else { 0 };
            let sought = Sought { since: Since::Asked(since), wants: Wants::Release(added.release.clone()) };
            match follow(client, out, &mut watch, group, &sought).await? {
                End::Interrupted => interrupted(out, group),
                End::Failed(report, problem) => failed(out, &report, problem),
                End::Done(report) => done(out, &report, &added),
            }
        }
    }
}

/// The key that the supervisor is told to sign with: it may know of one by its own flags, which this command has not.
async fn key_of_supervisor(client: &Client) -> Result<Option<SecretKey>, Problem> {
    let Some(path) = client.node().await?.signing_key else { return Ok(None) };
    SecretKey::read(Path::new(&path)).map(Some).map_err(|error| {
        Problem::caused(ProblemKind::BadRequest, &error)
            .next("the supervisor here has it as its signing-key; name another key: --sign KEY")
    })
}

/// The archive of what was typed: packed from a plan's directory, or a file. Only what is packed here is signed here: a
/// key that cannot be read keeps nobody from handing over a file.
async fn archive(client: &Client, globals: &Globals, args: &UpdateArgs) -> Result<File, Problem> {
    let path = args.release.as_path();
    let unreadable = |error: std::io::Error| {
        Problem::new(ProblemKind::UnknownPlan, format!("cannot read {}: {error}", path.display()))
            .next("name a plan's directory, or a file made by sup plan pack")
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.is_dir() {
        let key = match signing_key(globals, args.sign.as_deref())? {
            Some(key) => Some(key),
            None => key_of_supervisor(client).await?,
        };
        return pack(&args.group, path, key.as_ref());
    }
    if args.sign.is_some() {
        let detail = format!("{} is packed already, and --sign is for what is packed here", path.display());
        return Err(Problem::new(ProblemKind::BadRequest, detail)
            .next("sign it when it is packed: sup plan pack DIR --sign KEY; or name the plan's directory"));
    }
    let limit = u64::try_from(RELEASE_BODY_BYTES).unwrap_or(u64::MAX);
    if meta.len() > limit {
        let detail = format!("{} has {} bytes, and a release at most {limit}", path.display(), meta.len());
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    File::open(path).map_err(unreadable)
}

fn pack(group: &GroupId, dir: &Path, key: Option<&SecretKey>) -> Result<File, Problem> {
    let plan = super::plan::load(dir)?;
    if plan.manifest.name != group.service {
        let detail =
            format!("the plan {} is of {}, and {group} runs {}", dir.display(), plan.manifest.name, group.service);
        return Err(Problem::new(ProblemKind::InvalidPlan, detail).next(format!(
            "sup update {}.{} {}",
            plan.manifest.name,
            group.group,
            dir.display()
        )));
    }
    let unwritable = |error: std::io::Error| {
        Problem::new(ProblemKind::Internal, format!("cannot write the archive: {error}")).next("make room in TMPDIR")
    };
    let room = tempfile::tempdir().map_err(unwritable)?;
    let packed = release::pack(dir, release::Out::Dir(room.path()), key).map_err(|error| unpackable(dir, &error))?;
    // It is read by its handle: that its directory goes is of no matter.
    File::open(&packed.path).map_err(unwritable)
}

/// Under strategy `none` a release waits for each member's next start.
async fn at_next_start(client: &Client, out: &mut Out<'_>, group: &GroupId, added: &ReleaseAdded) -> Outcome {
    let report = client.rollout(group).await?;
    out.result(&report, |out| {
        out.line(format_args!(
            "{group} is to run {}: its members take it at their next start (strategy none)",
            added.release
        ))
    })?;
    out.next(format_args!("sup restart {}, on each node", group.service))?;
    Ok(ExitStatus::Done)
}

fn done(out: &mut Out<'_>, report: &RolloutReport, added: &ReleaseAdded) -> Outcome {
    let group = &report.group;
    out.result(report, |out| {
        out.line(format_args!("{group} runs {} on {}{}", added.release, members(report), later(report)))
    })?;
    let undo = match report.strategy {
        Strategy::Rolling => format!("; to undo it: sup rollout rollback {group}"),
        Strategy::AtOnce | Strategy::None => String::new(),
    };
    out.next(format_args!("sup rollout status {group}{undo}"))?;
    Ok(ExitStatus::Done)
}

/// Tells how it stands to a program before the problem is told: both are wanted.
pub(super) fn failed(out: &mut Out<'_>, report: &RolloutReport, problem: Problem) -> Outcome {
    out.result(report, |_| Ok(()))?;
    Err(Failure::Problem(problem))
}

/// How many members have it.
pub(super) fn members(report: &RolloutReport) -> String {
    let (done, total, _) = serving_total(report);
    match (done, total) {
        (1, 1) => "its only member".to_owned(),
        (done, total) if done == total => format!("all {total} members"),
        (done, total) => format!("{done} of {total} members"),
    }
}

/// Who will have it later.
pub(super) fn later(report: &RolloutReport) -> String {
    match serving_total(report).2.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} does not answer, and gets it when it is back"),
        more => format!("; {} do not answer, and get it when they are back", more.join(", ")),
    }
}
