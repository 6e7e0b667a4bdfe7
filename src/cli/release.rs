//! `sup release`: the releases of a node, and keys to sign with. `sup plan pack` is here, too.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Globals, KeyArgs, PackArgs};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::plan::places;
use super::settings::{self, SupervisorArgs};
use super::table::{Cell, Table};
use crate::api::client::Client;
use crate::api::shape::Release;
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::release::{self, KeyError, PackError, Packed, Query, SecretKey, Signer};

/// What `sup plan pack` says to a program.
#[derive(Serialize)]
struct PackedShape {
    release: String,
    manifest: String,
    file: String,
    bytes: u64,
    files: usize,
    signed_by: Option<String>,
}

/// What `sup release key` says to a program.
#[derive(Serialize)]
struct KeyShape {
    file: String,
    public_key: String,
}

pub(super) fn pack(globals: &Globals, args: &PackArgs, out: &mut Out<'_>) -> Outcome {
    let key = signing_key(globals, args.sign.as_deref())?;
    let outside = beside(&args.dir);
    let to = match &args.output {
        Some(file) => release::Out::File(file),
        None => release::Out::Dir(&outside),
    };
    let packed = release::pack(&args.dir, to, key.as_ref()).map_err(|error| unpackable(&args.dir, &error))?;
    let Packed { id, path, bytes, files } = packed;
    let shape = PackedShape {
        release: id.to_string(),
        manifest: id.manifest.to_string(),
        file: path.display().to_string(),
        bytes,
        files,
        signed_by: key.map(|key| key.public().to_string()),
    };
    out.result(&shape, |out| {
        let signed = if shape.signed_by.is_some() { ", signed" } else { "" };
        out.line(format_args!("{}: {files} files{signed}", shape.release))?;
        out.line(format_args!("{} ({})", shape.file, size(bytes)))
    })?;
    out.next(format_args!("sup update {}.default {}", id.name, shape.file))?;
    Ok(ExitStatus::Done)
}

/// Where an archive goes for which nobody names a file: here, or if here is within the plan, beside that.
fn beside(plan: &Path) -> PathBuf {
    let here = Path::new(".").canonicalize();
    let plan = plan.canonicalize();
    match (here, plan) {
        (Ok(here), Ok(plan)) if here.starts_with(&plan) => plan.parent().unwrap_or(&plan).to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The key to sign with: the one that is named, else the settings'.
pub(super) fn signing_key(globals: &Globals, named: Option<&Path>) -> Result<Option<SecretKey>, Problem> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => settings::resolve(globals, &SupervisorArgs::default())?.signing_key,
    };
    path.map(|path| SecretKey::read(&path).map_err(|error| unusable_key(&error))).transpose()
}

fn unusable_key(error: &KeyError) -> Problem {
    Problem::caused(ProblemKind::BadRequest, error).next("make a key: sup release key FILE")
}

/// Why a directory cannot be packed.
pub(super) fn unpackable(dir: &Path, error: &PackError) -> Problem {
    let check = format!("see all that is wrong: sup plan check {}", dir.display());
    let invalid = |places| {
        let detail = format!("the plan {} is not valid, and was not packed", dir.display());
        Problem { places, ..Problem::new(ProblemKind::InvalidPlan, detail) }
    };
    match error {
        PackError::Check(complaints) | PackError::Plan(crate::plan::PlanError::Wrong(complaints)) => {
            invalid(places(complaints.clone()))
        }
        PackError::Plan(crate::plan::PlanError::NotAPlan(_)) => {
            Problem::caused(ProblemKind::UnknownPlan, error).next("name a plan's directory")
        }
        PackError::Plan(_) | PackError::Path { .. } => Problem::caused(ProblemKind::InvalidPlan, error).next(check),
        PackError::TooLarge { .. } => Problem::caused(ProblemKind::TooLarge, error),
        PackError::InsidePlan(_) => Problem::caused(ProblemKind::BadRequest, error),
        PackError::Changed(_) | PackError::Read { .. } | PackError::Write { .. } => {
            Problem::caused(ProblemKind::Internal, error)
        }
    }
}

pub(super) fn key(args: &KeyArgs, out: &mut Out<'_>) -> Outcome {
    let key = SecretKey::draw().and_then(|key| key.write(&args.file).map(|()| key)).map_err(|error| match error {
        KeyError::Write { .. } => Problem::caused(ProblemKind::Internal, &error).next("name a file that is not there"),
        other => Problem::caused(ProblemKind::Internal, &other),
    })?;
    let shape = KeyShape { file: args.file.display().to_string(), public_key: key.public().to_string() };
    out.result(&shape, |out| out.line(&shape.public_key))?;
    out.next(format_args!(
        "sup plan pack DIR --sign {}; on each node, in sup.toml: trusted-keys = [\"{}\"]",
        shape.file, shape.public_key
    ))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn list(client: &Client, out: &mut Out<'_>) -> Outcome {
    let releases = client.releases().await?;
    out.result(&releases, |out| {
        if releases.releases.is_empty() {
            out.line("no release yet")?;
            return out.next("sup update GROUP DIR");
        }
        let mut table = Table::new(["RELEASE", "SIZE", "ADDED", "SIGNED", "FROM", "GROUPS"]);
        for release in &releases.releases {
            table.row([
                release.release.as_str().into(),
                size(release.bytes).into(),
                release.added_at.to_string().into(),
                signature(release.signature),
                release.copy_of.as_deref().unwrap_or("an archive").into(),
                groups(release).into(),
            ]);
        }
        table.print(out)
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn show(client: &Client, out: &mut Out<'_>, release: &Query) -> Outcome {
    let release = client.release(release).await?;
    out.result(&release, |out| {
        let key = match release.signature {
            Signer::Nobody => "not signed".to_owned(),
            Signer::Trusted { key } => format!("signed by {key}, which this node trusts"),
            Signer::Unknown { key } => format!("signed by {key}, which this node does not know"),
        };
        let used = if release.groups.is_empty() { "no group".to_owned() } else { groups(&release) };
        out.line(format_args!("release    {}", release.release))?;
        out.line(format_args!("hash       {}", release.manifest))?;
        out.line(format_args!("added      {}", release.added_at))?;
        out.line(format_args!("signature  {key}"))?;
        out.line(format_args!("needed by  {used}"))?;
        let packed = match &release.copy_of {
            Some(_) => String::new(),
            None => format!(", {} packed", size(release.archive_bytes)),
        };
        out.line(format_args!("size       {} in {} files{packed}", size(release.bytes), release.file_count))?;
        if let Some(dir) = &release.copy_of {
            out.line(format_args!("copy of    {dir}, made when a service was started from it; only this node has it"))?;
        }
        out.line("")?;
        let mut table = Table::new(["MODE", "SIZE", "HASH", "FILE"]);
        for file in release.files.iter().flatten() {
            table.row([
                file.mode.as_str().into(),
                size(file.bytes).into(),
                file.hash.short().into(),
                file.path.as_str().into(),
            ]);
        }
        table.print(out)
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn gc(client: &Client, out: &mut Out<'_>) -> Outcome {
    let gone = client.gc_releases().await.map_err(Failure::from)?;
    out.result(&gone, |out| {
        if gone.removed.is_empty() {
            return out.line("nothing to remove: all releases are needed, or among the newest that are kept");
        }
        for release in &gone.removed {
            out.line(format_args!("removed {release}"))?;
        }
        out.line(format_args!("{} are free again", size(gone.bytes)))
    })?;
    Ok(ExitStatus::Done)
}

fn groups(release: &Release) -> String {
    release.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn signature(signer: Signer) -> Cell {
    match signer {
        Signer::Nobody => Cell::toned(Tone::Faint, "no"),
        Signer::Trusted { key } => Cell::toned(Tone::Good, key.short()),
        Signer::Unknown { key } => Cell::toned(Tone::Uneasy, format!("{} (unknown)", key.short())),
    }
}

/// A number of bytes, for a person: three digits are enough.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes;
    let mut rest = 0;
    let mut unit = "B";
    for name in UNITS {
        if scaled < 1024 {
            break;
        }
        rest = scaled % 1024;
        scaled /= 1024;
        unit = name;
    }
    if scaled < 10 { format!("{scaled}.{} {unit}", rest * 10 / 1024) } else { format!("{scaled} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_has_the_unit_that_suits_it() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (50 << 20, "50 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
