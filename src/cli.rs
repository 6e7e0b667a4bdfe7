//! The command line: reads it, asks a supervisor or becomes one, and says what happened and what to type next.
//!
//! | file | subject |
//! | --- | --- |
//! | `args` | the commands |
//! | `settings` | the flags of a supervisor |
//! | `connect` | which supervisor is asked, and in whose name |
//! | `out`, `table`, `report` | what is printed: results, tables, problems |
//! | `watch` | waits for a change to be done, without polling |
//! | `run`, `start`, `act` | running services |
//! | `status`, `ring`, `group`, `logs`, `explain`, `wait` | looking |
//! | `config` | a group's config |
//! | `file` | a group's files |
//! | `update`, `rollout` | bringing a release to a group, and seeing to it |
//! | `progress` | a change on its way through a group |
//! | `plan` | checking and rendering a plan |
//! | `ring_key` | the key that encrypts the ring's traffic |
//! | `token` | who may ask by HTTP |
//! | `release` | packing a plan, and the releases of a node |
//! | `dev` | a whole ring on this machine |
//!
//! Every command ends with one of the [`ExitStatus`]es. Results go to standard output, all
//! else to standard error. Nothing here knows the insides of a supervisor: it talks to one through [`crate::api`].

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the shell does I/O and reads clocks")]

mod act;
mod args;
mod config;
mod connect;
mod depart;
mod dev;
mod explain;
mod failure;
mod file;
mod group;
mod logs;
mod out;
mod plan;
mod progress;
mod recover;
mod release;
mod report;
mod ring;
mod ring_key;
mod rollout;
mod run;
mod settings;
mod start;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod token;
mod update;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::records::value::OrderKind;
use args::{
    Cli, Command, ConfigCommand, FileCommand, GroupCommand, PlanCommand, ReleaseCommand, RingCommand, RingKeyCommand,
    RolloutCommand, TokenCommand,
};
use failure::{Failure, Outcome};
use out::Out;

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut out = Out::of_process(cli.globals.json);
    match dispatch(cli, &mut out) {
        Ok(status) => status.into(),
        Err(failure) => failure.tell(&mut out).into(),
    }
}

/// Says what is wrong with the command line; or the help or the version, where that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let status = if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done };
    // There is nobody to tell that nobody can be told.
    error.print().ok();
    status.into()
}

fn dispatch(cli: Cli, out: &mut Out<'_>) -> Outcome {
    let globals = &cli.globals;
    match cli.command {
        Command::Run(args) => run::run(globals, &args),
        Command::Start(args) => start::start(globals, &args, out),
        Command::Stop(args) => ask(globals, out, async |client, out| act::stop(client, out, &args).await),
        Command::Restart(args) => ask(globals, out, async |client, out| act::restart(client, out, &args).await),
        Command::Unload(args) => ask(globals, out, async |client, out| act::unload(client, out, &args).await),
        Command::Status(args) => ask(globals, out, async |client, out| status::status(client, out, &args).await),
        Command::Members => ask(globals, out, ring::members),
        Command::Groups => ask(globals, out, group::list),
        Command::Group(GroupCommand::Show(args)) => {
            ask(globals, out, async |client, out| group::show(client, out, &args.group).await)
        }
        Command::Group(GroupCommand::Recover(args)) => {
            ask(globals, out, async |client, out| recover::recover(client, out, &args).await)
        }
        Command::Depart(args) => ask(globals, out, async |client, out| depart::depart(client, out, &args).await),
        Command::Undepart(args) => ask(globals, out, async |client, out| depart::undepart(client, out, &args).await),
        Command::Logs(args) => ask(globals, out, async |client, out| logs::logs(client, out, &args).await),
        Command::Config(command) => ask(globals, out, async |client, out| match &command {
            ConfigCommand::Apply(args) => config::apply(client, out, args).await,
            ConfigCommand::Diff(args) => config::diff(client, out, args).await,
            ConfigCommand::Show(args) => config::show(client, out, args).await,
            ConfigCommand::History(args) => config::history(client, out, &args.group).await,
            ConfigCommand::Rollback(args) => config::rollback(client, out, args).await,
            ConfigCommand::Unset(args) => config::unset(client, out, args).await,
        }),
        Command::File(command) => ask(globals, out, async |client, out| match &command {
            FileCommand::Upload(args) => file::upload(client, out, args).await,
            FileCommand::List(args) => file::list(client, out, &args.group).await,
            FileCommand::History(args) => file::history(client, out, args).await,
            FileCommand::Rollback(args) => file::rollback(client, out, args).await,
            FileCommand::Remove(args) => file::remove(client, out, args).await,
        }),
        Command::Update(args) => {
            ask(globals, out, async |client, out| update::update(client, out, globals, &args).await)
        }
        Command::Rollout(command) => ask(globals, out, async |client, out| match &command {
            RolloutCommand::Status(args) => rollout::status(client, out, &args.group).await,
            RolloutCommand::Pause(args) => rollout::order(client, out, OrderKind::Pause, args).await,
            RolloutCommand::Resume(args) => rollout::order(client, out, OrderKind::Resume, args).await,
            RolloutCommand::Retry(args) => rollout::order(client, out, OrderKind::Retry, args).await,
            RolloutCommand::Rollback(args) => rollout::order(client, out, OrderKind::Rollback, args).await,
            RolloutCommand::Abort(args) => rollout::order(client, out, OrderKind::Abort, args).await,
        }),
        Command::Wait(args) => ask(globals, out, async |client, out| wait::wait(client, out, &args).await),
        Command::Explain(args) => ask(globals, out, async |client, out| explain::explain(client, out, &args).await),
        Command::Shutdown(args) => ask(globals, out, async |client, out| run::shutdown(client, out, &args).await),
        Command::Dev(args) => block_on(dev::dev(&args, out))?,
        Command::Plan(PlanCommand::Check(args)) => plan::check(&args, out),
        Command::Plan(PlanCommand::Render(args)) => plan::render(&args, out),
        Command::Plan(PlanCommand::Pack(args)) => release::pack(globals, &args, out),
        Command::Release(ReleaseCommand::List) => ask(globals, out, release::list),
        Command::Release(ReleaseCommand::Show(args)) => {
            ask(globals, out, async |client, out| release::show(client, out, &args.release).await)
        }
        Command::Release(ReleaseCommand::Gc) => ask(globals, out, release::gc),
        Command::Release(ReleaseCommand::Key(args)) => release::key(&args, out),
        Command::Token(command) => ask(globals, out, async |client, out| match &command {
            TokenCommand::New(args) => token::new(client, out, args).await,
            TokenCommand::List => token::list(client, out).await,
            TokenCommand::Revoke(args) => token::revoke(client, out, args).await,
        }),
        Command::Ring(RingCommand::Key(RingKeyCommand::New(args))) => ring_key::new(&args, out),
        Command::Ring(RingCommand::Key(command)) => ask(globals, out, async |client, out| match &command {
            RingKeyCommand::New(args) => ring_key::new(args, out),
            RingKeyCommand::Show(args) => ring_key::show(client, out, args).await,
            RingKeyCommand::Install(args) => ring_key::install(client, out, args).await,
            RingKeyCommand::Use(args) => ring_key::use_it(client, out, args).await,
            RingKeyCommand::Remove(args) => ring_key::remove(client, out, args).await,
            RingKeyCommand::List => ring_key::list(client, out).await,
        }),
    }
}

/// Runs a command that asks the supervisor of this machine.
fn ask(
    globals: &args::Globals,
    out: &mut Out<'_>,
    command: impl AsyncFnOnce(&crate::api::client::Client, &mut Out<'_>) -> Outcome,
) -> Outcome {
    let client = connect::client(globals)?;
    block_on(command(&client, out))?
}

/// Runs a future on a runtime of this thread alone: a command has no use for more.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::caused(ProblemKind::Internal, &error))?;
    Ok(runtime.block_on(future))
}
