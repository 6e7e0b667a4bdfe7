//! What a config would change, as it is shown.

use std::io;

use crate::api::shape::{ConfigChange, ConfigEffect, ConfigPreview, MemberName};
use crate::cli::out::{Out, Tone};

/// How many members are named on a line.
const NAMED: usize = 8;

pub(super) fn print(preview: &ConfigPreview, out: &mut Out<'_>) -> io::Result<()> {
    let against = preview.revision.as_deref().unwrap_or("the plan's defaults");
    if preview.changes.is_empty() {
        out.line(format_args!("no file would change, and nothing happen, against {against}"))?;
    }
    for change in &preview.changes {
        match &change.error {
            Some(_) => out.line(names(&change.members))?,
            None => out.line(format_args!("{} {}", names(&change.members), effect(change)))?,
        }
        for file in &change.files {
            print_diff(&file.diff, out)?;
        }
        if let Some(error) = &change.error {
            let error = out.paint(Tone::Bad, &format!("does not render: {error}"));
            out.line(format_args!("  {error}"))?;
        }
        out.line("")?;
    }
    if !preview.unchanged.is_empty() && !preview.changes.is_empty() {
        out.line(format_args!("no file would change, and nothing happen, on {}", names(&preview.unchanged)))?;
    }
    if !preview.away.is_empty() {
        out.line(format_args!("not shown, since they do not answer: {}", names(&preview.away)))?;
    }
    out.line(format_args!("rendered with {}, against {against}; nothing was changed", preview.plan))?;
    // Only who has other members has to be told that they may differ.
    let others = preview.changes.iter().flat_map(|change| &change.members).chain(&preview.unchanged);
    let others = others.filter(|member| preview.layers_known_of.as_ref() != Some(*member)).count();
    match (&preview.layers_known_of, others) {
        (Some(_), 0) => Ok(()),
        (Some(own), _) => out.line(format_args!(
            "note: user.toml and environment were read on {} only; what those of other nodes set stays set there",
            own.address
        )),
        (None, _) => {
            out.line("note: user.toml and environment of the members are not known here; what they set stays set")
        }
    }
}

/// What becomes of one or more members.
fn effect(change: &ConfigChange) -> &'static str {
    match (change.effect, change.members.len()) {
        (ConfigEffect::Nothing, 0..=1) => "runs on, and need not know",
        (ConfigEffect::Nothing, _) => "run on, and need not know",
        (ConfigEffect::Reconfigure, 0..=1) => "is reconfigured, and runs on",
        (ConfigEffect::Reconfigure, _) => "are reconfigured, and run on",
        (ConfigEffect::Restart, 0..=1) => "is restarted",
        (ConfigEffect::Restart, _) => "are restarted",
        (ConfigEffect::NextStart, 0..=1) => "does not run, and takes it at its next start",
        (ConfigEffect::NextStart, _) => "do not run, and take it at their next start",
    }
}

/// A unified diff, with what goes and what comes in colour where that helps.
pub(super) fn print_diff(diff: &str, out: &mut Out<'_>) -> io::Result<()> {
    for line in diff.lines() {
        let tone = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Tone::Plain,
            [b'+', ..] => Tone::Good,
            [b'-', ..] => Tone::Bad,
            [b'@', ..] => Tone::Faint,
            _ => Tone::Plain,
        };
        let line = out.paint(tone, line);
        out.line(line)?;
    }
    Ok(())
}

fn names(members: &[MemberName]) -> String {
    let named: Vec<&str> = members.iter().take(NAMED).map(|member| member.address.as_str()).collect();
    match members.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", named.join(", ")),
        Some(0) | None => named.join(", "),
    }
}
