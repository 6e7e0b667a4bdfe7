//! `sup status`.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::act::did_you_mean;
use super::args::StatusArgs;
use super::failure::Outcome;
use super::out::{Out, Tone, health_tone, health_word, state_tone};
use super::table::{Cell, Table};
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::{HookReport, Node, Service, Services, Target, Time};
use crate::base::Wall;
use crate::records::value::Topology;

/// From this local health on a person is told; below, one late timer may have been it.
const UNWELL: u8 = 3;

pub(super) async fn status(client: &Client, out: &mut Out<'_>, args: &StatusArgs) -> Outcome {
    match &args.service {
        None => {
            let services = client.services().await?;
            let node = client.node().await?;
            out.result(&services, |out| {
                list(&services, now(), out)?;
                about(&node, out)
            })?;
        }
        Some(name) => {
            let service = match client.service(name).await {
                Ok(service) => service,
                Err(problem) => return Err(did_you_mean(client, &Target::Service(name.clone()), problem).await.into()),
            };
            out.result(&service, |out| one(&service, now(), out))?;
        }
    }
    Ok(ExitStatus::Done)
}

pub(super) fn now() -> Wall {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

fn list(services: &Services, now: Wall, out: &mut Out<'_>) -> io::Result<()> {
    if services.services.is_empty() {
        out.line("no service is loaded here")?;
        return out.next("sup start PLAN");
    }
    let mut table = Table::new(["SERVICE", "STATE", "HEALTH", "ROLE", "PID", "SINCE", "RESTARTS", "WHY"]);
    for service in &services.services {
        let member = &service.member;
        table.row([
            service.group.to_string().into(),
            Cell::toned(state_tone(member.state), member.state.as_str()),
            Cell::toned(health_tone(member.health), health_word(member.health)),
            role(service).into(),
            member.pid.map_or_else(String::new, |pid| pid.to_string()).into(),
            age(member.since, now).into(),
            member.restarts.to_string().into(),
            member.why.as_str().into(),
        ]);
    }
    table.print(out)
}

/// What a person should know of this node itself.
fn about(node: &Node, out: &mut Out<'_>) -> io::Result<()> {
    if let Some(by) = &node.banned_by {
        let text = format!("this node is not let into its ring: {by} says that it is gone for good");
        let text = out.paint(Tone::Bad, &text);
        out.line(text)?;
        out.line(format_args!("to let it in, on a member: sup undepart {}", node.node_id.short()))?;
    }
    if let Some(why) = &node.store_trouble {
        let text = format!("this node makes no new promise in elections, since its store cannot be written: {why}");
        let text = out.paint(Tone::Bad, &text);
        out.line(text)?;
        out.line("its services go on; once the store can be written again, so do its elections, without a restart")?;
    }
    if let Some(lost) = &node.state_lost {
        let text = out.paint(Tone::Uneasy, lost);
        out.line(text)?;
    }
    if node.local_health >= UNWELL {
        let text = format!(
            "this node does not keep up (local health {} of 8): it is starved or was paused, and waits longer before it \
             doubts others",
            node.local_health
        );
        let text = out.paint(Tone::Uneasy, &text);
        out.line(text)?;
    }
    Ok(())
}

fn one(service: &Service, now: Wall, out: &mut Out<'_>) -> io::Result<()> {
    let member = &service.member;
    let state = out.paint(state_tone(member.state), member.state.as_str());
    let why = if member.why.is_empty() { String::new() } else { format!(": {}", member.why) };
    out.line(format_args!("service   {} ({})", service.group, service.ident))?;
    out.line(format_args!("state     {state} for {}{why}", age(member.since, now)))?;
    let health = out.paint(health_tone(member.health), health_word(member.health));
    out.line(format_args!("health    {health}"))?;
    if service.topology == Topology::Leader {
        out.line(format_args!("role      {}", role(service)))?;
    }
    let pid = member.pid.map_or_else(|| "none".to_owned(), |pid| format!("pid {pid}"));
    out.line(format_args!("process   {pid}, {} restarts", member.restarts))?;
    let release = if member.release.is_empty() { "unknown" } else { &member.release };
    out.line(format_args!("release   {release}"))?;
    if let Some(plan) = &service.plan {
        let restart = format_args!("sup restart {}", service.service);
        out.line(format_args!("plan      {plan}, as it was when it was started (to take a change of it: {restart})"))?;
    }
    out.line(format_args!("config    {}", member.config_revision.as_deref().unwrap_or("the plan's defaults")))?;
    for bind in &service.binds {
        let met = if bind.satisfied { "" } else { ", which has no member that serves" };
        out.line(format_args!("bind      {} to {}{met}", bind.name, bind.group))?;
    }
    for problem in &service.problems {
        let problem = out.paint(Tone::Bad, problem);
        out.line(format_args!("problem   {problem}"))?;
    }
    if !service.files.is_empty() {
        out.line("")?;
        let mut table = Table::new(["FILE", "HASH"]);
        for file in &service.files {
            table.row([file.path.as_str().into(), file.hash.as_str().into()]);
        }
        table.print(out)?;
    }
    if !service.hooks.is_empty() {
        out.line("")?;
        hooks(&service.hooks, now, out)?;
    }
    Ok(())
}

fn hooks(hooks: &[HookReport], now: Wall, out: &mut Out<'_>) -> io::Result<()> {
    let mut table = Table::new(["HOOK", "AGO", "TOOK", "OUTCOME"]);
    for hook in hooks {
        let took = format!("{}ms", hook.took_ms);
        table.row([hook.hook.as_str().into(), age(hook.at, now).into(), took.into(), hook.outcome.as_str().into()]);
    }
    table.print(out)?;
    for hook in hooks.iter().filter(|hook| !hook.output.trim().is_empty()) {
        out.line(format_args!("\n{} wrote:", hook.hook))?;
        for line in hook.output.lines() {
            out.line(format_args!("  {line}"))?;
        }
    }
    Ok(())
}

const fn role(service: &Service) -> &'static str {
    match (service.topology, service.member.leader) {
        (Topology::Leader, true) => "leader",
        (Topology::Leader, false) => "follower",
        (Topology::Standalone, _) => "",
    }
}

/// How long ago a time is, in its largest unit. One in the future is now: clocks differ.
pub(super) fn age(since: Time, now: Wall) -> String {
    let seconds = now.0.saturating_sub(since.0.0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::age;
    use crate::api::fake::NOON;
    use crate::base::Wall;

    #[test]
    fn an_age_is_in_its_largest_unit() {
        let later = |seconds: u64| Wall(NOON.0.0 + seconds * 1000);
        for (seconds, shown) in [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (172_800, "2d")] {
            assert_eq!(age(NOON, later(seconds)), shown);
        }
        assert_eq!(age(NOON, Wall(0)), "0s");
    }
}
