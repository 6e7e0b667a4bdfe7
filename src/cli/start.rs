//! `sup start`: loads a service in the supervisor that runs here, or becomes one.

use std::path::Path;

use super::act::{self, Rolled};
use super::args::{Globals, StartArgs};
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::watch::{Progress, Watch};
use super::{block_on, connect, run, settings};
use crate::api::client::{Client, Endpoint};
use crate::api::shape::{BindingMode, DesiredRequest, MemberServiceState, Service, StartRequest, Started};
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::base::{GroupId, Name};
use crate::plan::{self, FindError, builtin};
use crate::records::value::{DesiredState, Strategy};
use crate::supervisor::{Key, Settings};

pub(super) fn start(globals: &Globals, args: &StartArgs, out: &mut Out<'_>) -> Outcome {
    let settings = settings::resolve(globals, &args.supervisor)?;
    let remote = connect::remote(globals)?;
    let is_here = remote.is_none();
    let client = remote.unwrap_or_else(|| Client::new(Endpoint::Unix(settings.socket.clone())));
    match block_on(client.node())? {
        Ok(_) => block_on(load(&client, &settings, args, out))?,
        Err(problem) if problem.kind == ProblemKind::Unreachable && is_here => {
            if args.everywhere {
                return Err(problem.into());
            }
            let request = request(&settings, args, Loaded::No)?;
            run::die_with(args.supervisor.die_with)?;
            run::supervise(settings, Some(request))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Whether a service of the name that was typed is loaded already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loaded {
    Yes,
    No,
}

/// Loads the service in the supervisor that runs here, and waits until it is up.
pub(super) async fn load(client: &Client, settings: &Settings, args: &StartArgs, out: &mut Out<'_>) -> Outcome {
    tell_unused(args, out)?;
    let loaded = match args.service.parse::<Name>() {
        Ok(name) => match client.service(&name).await {
            Ok(_) => Loaded::Yes,
            Err(problem) if problem.kind == ProblemKind::UnknownService => Loaded::No,
            Err(problem) => return Err(problem.into()),
        },
        Err(_) => Loaded::No,
    };
    let request = request(settings, args, loaded)?;
    let mut watch = Watch::open(client, None, args.patience.at_once()).await?;
    let Started { service: started, goes_on, .. } = client.start(&request).await?;
    if goes_on {
        let name = &started.service;
        out.notice(format_args!(
            "{name} goes on as it was started, and its plan has changed since; to take the change: sup restart {name}"
        ))?;
    }
    if args.everywhere {
        let acted = client.set_desired(&started.group, &DesiredRequest::state(DesiredState::Up)).await?;
        if !args.patience.no_wait && started.strategy == Strategy::Rolling {
            match act::rolls(client, out, &args.patience, &acted).await? {
                Rolled::Done => {}
                Rolled::Otherwise(outcome) => return outcome,
            }
        }
    }
    if args.patience.no_wait {
        out.result(&started, |out| out.line(format_args!("{} is loaded", started.group)))?;
        out.next(format_args!("sup status {}", started.service))?;
        return Ok(ExitStatus::Done);
    }
    let name = started.service.clone();
    let look = async || {
        let service = client.service(&name).await?;
        if service.member.state == MemberServiceState::Down {
            not_stopped_everywhere(client, &service.group).await?;
        }
        is_up(service)
    };
    let up = watch.until(out, look).await;
    let up = up.map_err(|failure| explained(failure, &started.group))?;
    out.result(&up, |out| out.line(format_args!("{} is up{}", up.group, process(&up))))?;
    out.next(format_args!("sup group show {}, sup logs {} -f", up.group, up.service))?;
    Ok(ExitStatus::Done)
}

/// That a service is down because its group is to be: it stays down, however long one waits.
async fn not_stopped_everywhere(client: &Client, group: &GroupId) -> Result<(), Problem> {
    match client.group(group).await {
        Ok(view) if view.desired.state == DesiredState::Down => {
            let detail = format!("{group} was stopped everywhere: this member is loaded, and stays down, too");
            Err(Problem::new(ProblemKind::StoppedEverywhere, detail)
                .next(format!("sup start {} --everywhere, to start all its members", group.service)))
        }
        Ok(_) => Ok(()),
        Err(problem) if problem.kind == ProblemKind::UnknownGroup => Ok(()),
        Err(problem) => Err(problem),
    }
}

/// Whether a service that is to be up is.
pub(super) fn is_up(service: Service) -> Result<Progress<Service>, Problem> {
    let member = &service.member;
    match member.state {
        MemberServiceState::Up => Ok(Progress::Done(service)),
        MemberServiceState::Failed => {
            let detail = format!("{} cannot run: {}", service.group, member.why);
            let next = format!("sup explain {}, sup logs {}", service.service, service.service);
            Err(Problem::new(ProblemKind::ServiceFailed, detail).next(next))
        }
        MemberServiceState::Starting
        | MemberServiceState::Waiting
        | MemberServiceState::Stopping
        | MemberServiceState::Down
        | MemberServiceState::Backoff => {
            let colon = if member.why.is_empty() { "" } else { ": " };
            Ok(Progress::Missing(format!("{} is {}{colon}{}", service.group, member.state.as_str(), member.why)))
        }
    }
}

/// A wait that ran out, with the command that says more.
pub(super) fn explained(failure: Failure, group: &GroupId) -> Failure {
    match failure {
        Failure::Problem(problem) if problem.next.is_none() => {
            Failure::Problem(problem.next(format!("sup explain {group}")))
        }
        other => other,
    }
}

pub(super) fn process(service: &Service) -> String {
    service.member.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

fn request(settings: &Settings, args: &StartArgs, loaded: Loaded) -> Result<StartRequest, Problem> {
    Ok(StartRequest {
        plan: plan(&args.service, settings, loaded)?,
        group: args.group.clone(),
        topology: args.topology.map(Into::into),
        strategy: args.strategy.map(Into::into),
        binds: args.binds.clone(),
        binding_mode: BindingMode::from(args.binding_mode),
        config_from: args.config_from.as_deref().map(absolute).transpose()?,
        peers: settings.peers.iter().map(ToString::to_string).collect(),
    })
}

/// What was typed, in words that a supervisor with another current directory takes for the same.
fn plan(typed: &str, settings: &Settings, loaded: Loaded) -> Result<String, Problem> {
    if loaded == Loaded::Yes {
        return Ok(typed.to_owned());
    }
    match plan::find(typed, &settings.plan_search()) {
        Ok(dir) => absolute(&dir).map(|dir| dir.display().to_string()),
        Err(FindError::Nowhere { .. }) if typed == builtin::DEMO => Ok(typed.to_owned()),
        Err(error) => Err(Problem::caused(ProblemKind::UnknownPlan, &error)
            .next("name a plan's directory, or a plan in one of those; sup dev needs none")),
    }
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Problem> {
    path.canonicalize()
        .map_err(|error| Problem::new(ProblemKind::UnknownPlan, format!("cannot find {}: {error}", path.display())))
}

/// Flags that only a supervisor's start can heed.
fn tell_unused(args: &StartArgs, out: &mut Out<'_>) -> std::io::Result<()> {
    for (key, _) in args.supervisor.flags() {
        if key != Key::Peer && key != Key::PlanPath {
            out.notice(format_args!("note: a supervisor runs here already: --{key} is not used"))?;
        }
    }
    Ok(())
}
