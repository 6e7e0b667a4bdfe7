//! `sup logs`.

use super::act::did_you_mean;
use super::args::LogsArgs;
use super::failure::Outcome;
use super::out::{Out, Reader, Tone};
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::{LogLine, LogsRequest, Target};

/// The source of what the process itself writes; all others are hooks.
const PROCESS: &str = "run";

pub(super) async fn logs(client: &Client, out: &mut Out<'_>, args: &LogsArgs) -> Outcome {
    let since_ms = args.since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let request = LogsRequest { lines: Some(args.lines), since_ms, follow: args.follow };
    let mut lines = match client.logs(&args.service, request).await {
        Ok(lines) => lines,
        Err(problem) => {
            return Err(did_you_mean(client, &Target::Service(args.service.clone()), problem).await.into());
        }
    };
    while let Some(line) = lines.next().await? {
        match out.reader {
            Reader::Program => out.json(&line)?,
            Reader::Person => {
                let text = show(&line, args.timestamps, out);
                out.line(text)?;
            }
        }
    }
    Ok(ExitStatus::Done)
}

fn show(line: &LogLine, timestamps: bool, out: &Out<'_>) -> String {
    let time = if timestamps { out.paint(Tone::Faint, &format!("{} ", line.at)) } else { String::new() };
    let source = match line.source.as_str() {
        "" | PROCESS => String::new(),
        hook => out.paint(Tone::Faint, &format!("[{hook}] ")),
    };
    format!("{time}{source}{}", line.text)
}
