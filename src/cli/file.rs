//! `sup file`.

use std::fs::File;
use std::path::Path;

use super::act::did_you_mean;
use super::args::{FileArgs, Patience, RemoveFileArgs, RollbackFileArgs, UploadArgs};
use super::config::standing;
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::start::explained;
use super::table::Table;
use super::watch::{Progress, Watch};
use crate::api::client::Client;
use crate::api::shape::{FileApplied, MemberState, RollbackRequest, Target};
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::base::limits::FILE_BYTES;
use crate::base::{FileName, GroupId, NodeId};

pub(super) async fn upload(client: &Client, out: &mut Out<'_>, args: &UploadArgs) -> Outcome {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.file)?,
    };
    let content = open(&args.file)?;
    let waiting = Waiting::begin(client, &args.group, &args.patience).await?;
    match client.put_file(&args.group, &name, args.expect.as_deref(), content).await {
        Ok(applied) => waiting.done(client, out, &applied, "has").await,
        Err(problem) => Err(named(client, &args.group, problem).await),
    }
}

pub(super) async fn list(client: &Client, out: &mut Out<'_>, group: &GroupId) -> Outcome {
    let files = match client.files(group).await {
        Ok(files) => files,
        Err(problem) => return Err(named(client, group, problem).await),
    };
    out.result(&files, |out| {
        if files.files.is_empty() {
            out.line(format_args!("{group} has no files"))?;
            return out.next(format_args!("sup file upload {group} FILE"));
        }
        let mut table = Table::new(["FILE", "BYTES", "REVISION", "UPLOADED", "ON"]);
        for file in &files.files {
            table.row([
                file.name.as_str().into(),
                file.bytes.to_string().into(),
                file.revision.as_str().into(),
                file.at.to_string().into(),
                file.by.map(NodeId::short).unwrap_or_default().into(),
            ]);
        }
        table.print(out)?;
        out.next(format_args!("sup file history {group} FILE"))
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn history(client: &Client, out: &mut Out<'_>, args: &FileArgs) -> Outcome {
    let FileArgs { group, name } = args;
    let history = match client.file_history(group, name).await {
        Ok(history) => history,
        Err(problem) => return Err(named(client, group, problem).await),
    };
    out.result(&history, |out| {
        let mut table = Table::new(["REVISION", "STATUS", "BYTES", "UPLOADED", "ON", "WHAT"]);
        for file in &history.revisions {
            let revision = &file.revision;
            table.row([
                revision.revision.as_str().into(),
                standing(revision.status),
                file.bytes.map(|bytes| bytes.to_string()).unwrap_or_default().into(),
                revision.at.to_string().into(),
                revision.by.map(NodeId::short).unwrap_or_default().into(),
                revision.action.as_str().into(),
            ]);
        }
        table.print(out)?;
        out.next(format_args!("sup file rollback {group} {name} REV"))
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn rollback(client: &Client, out: &mut Out<'_>, args: &RollbackFileArgs) -> Outcome {
    let FileArgs { group, name } = &args.file;
    let request = RollbackRequest { revision: args.revision.clone(), expect: args.expect.clone() };
    let waiting = Waiting::begin(client, group, &args.patience).await?;
    match client.rollback_file(group, name, &request).await {
        Ok(applied) => waiting.done(client, out, &applied, "goes by").await,
        Err(problem) => Err(named(client, group, problem).await),
    }
}

pub(super) async fn remove(client: &Client, out: &mut Out<'_>, args: &RemoveFileArgs) -> Outcome {
    let FileArgs { group, name } = &args.file;
    let waiting = Waiting::begin(client, group, &args.patience).await?;
    match client.remove_file(group, name, args.expect.as_deref()).await {
        Ok(applied) => waiting.done(client, out, &applied, "has removed").await,
        Err(problem) => Err(named(client, group, problem).await),
    }
}

/// The wait for a file, begun before it is changed.
struct Waiting {
    /// None where nobody waits.
    watch: Option<Watch>,
}

impl Waiting {
    async fn begin(client: &Client, group: &GroupId, patience: &Patience) -> Result<Self, Failure> {
        let watch =
            if patience.no_wait { None } else { Some(Watch::open(client, Some(group), patience.timeout).await?) };
        Ok(Self { watch })
    }

    /// Waits until all members have the files that are in force, and says so.
    async fn done(self, client: &Client, out: &mut Out<'_>, applied: &FileApplied, verb: &str) -> Outcome {
        let FileApplied { group, name, revision, changed, .. } = applied;
        let already = if *changed { "" } else { " already" };
        let there = match self.watch {
            Some(mut watch) => {
                let members = watch.until(out, async || are_in_place(client, group).await).await;
                format!(", in place on {} members", members.map_err(|failure| explained(failure, group))?)
            }
            None => String::new(),
        };
        out.result(applied, |out| out.line(format_args!("{group} {verb}{already} {name} {revision}{there}")))?;
        let undo = if applied.previous.is_some() { "rollback" } else { "remove" };
        out.next(format_args!("sup file history {group} {name}; to undo it: sup file {undo} {group} {name}"))?;
        Ok(ExitStatus::Done)
    }
}

/// Whether all members whose nodes answer have the files that are in force, whichever these are by now.
async fn are_in_place(client: &Client, group: &GroupId) -> Result<Progress<usize>, Problem> {
    let wanted = client.files(group).await?.revision;
    let members = match client.group(group).await {
        Ok(view) => view.members.unwrap_or_default(),
        // A group may have its files before it has members.
        Err(problem) if problem.kind == ProblemKind::UnknownGroup => Vec::new(),
        Err(problem) => return Err(problem),
    };
    let there: Vec<_> = members.iter().filter(|member| member.node_state == MemberState::Alive).collect();
    Ok(Progress::of(&there, |member| member.files_revision == wanted))
}

/// The name that a file has where it is.
fn name_of(file: &Path) -> Result<FileName, Problem> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|error: crate::base::FileNameError| {
        Problem::caused(ProblemKind::BadRequest, &error).next("name it otherwise: --name NAME")
    })
}

fn open(file: &Path) -> Result<File, Problem> {
    let shown = file.display();
    let failed = |error: std::io::Error| Problem::new(ProblemKind::BadRequest, format!("cannot read {shown}: {error}"));
    let open = File::open(file).map_err(failed)?;
    let metadata = open.metadata().map_err(failed)?;
    if metadata.is_dir() {
        let detail = format!("{shown} is a directory");
        return Err(Problem::new(ProblemKind::BadRequest, detail).next("pack what is in it into one file"));
    }
    if metadata.len() > FILE_BYTES {
        let detail = format!("{shown} is larger than {FILE_BYTES} bytes, and was not uploaded");
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    Ok(open)
}

async fn named(client: &Client, group: &GroupId, problem: Problem) -> Failure {
    did_you_mean(client, &Target::Group(group.clone()), problem).await.into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{name_of, open};
    use crate::api::ProblemKind;
    use crate::base::limits::FILE_BYTES;

    #[test]
    fn a_file_is_called_what_it_is_called_where_that_is_a_name() {
        assert_eq!(name_of(Path::new("/etc/redis/users.acl")).unwrap().as_str(), "users.acl");
        for path in ["/etc/.hidden", "/", "a b", ".."] {
            assert_eq!(name_of(Path::new(path)).unwrap_err().kind, ProblemKind::BadRequest, "{path}");
        }
    }

    #[test]
    fn a_file_is_opened_at_the_limit_and_refused_one_beyond_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(FILE_BYTES).unwrap();
        assert!(open(&path).is_ok());
        file.set_len(FILE_BYTES + 1).unwrap();
        assert_eq!(open(&path).unwrap_err().kind, ProblemKind::TooLarge);
        assert!(open(dir.path()).unwrap_err().detail.contains("directory"));
    }
}
