//! The command line itself: its flags, its help, and what it says of wrong usage.

use clap::{CommandFactory, Parser};

use crate::cli::args::Cli;
use crate::supervisor::Key;

#[test]
fn the_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_setting_has_its_flag() {
    let mut cli = Cli::command();
    cli.build();
    for command in ["run", "start"] {
        let command = cli.find_subcommand(command).unwrap();
        for key in Key::ALL {
            assert!(
                command.get_arguments().any(|arg| arg.get_long() == Some(key.name())),
                "sup {} has no --{key}",
                command.get_name()
            );
        }
    }
}

#[test]
fn wrong_usage_names_the_flag_and_the_fix() {
    for (args, expected) in [
        (&["sup", "membrs"][..], "a similar subcommand exists: 'members'"),
        (&["sup", "stop", "redis", "--evrywhere"], "a similar argument exists: '--everywhere'"),
        (&["sup", "group", "show", "redis"], "a service group is SERVICE.GROUP, such as redis.default, not \"redis\""),
        (
            &["sup", "wait", "redis.default", "--for", "x"],
            "a condition is leader, healthy, members=N, release=NAME/VERSION/HASH or rollout=done",
        ),
        (&["sup", "start", "web", "--bind", "db"], "a bind is NAME:SERVICE.GROUP"),
        (&["sup", "start", "web", "--topology", "leder"], "a similar value exists: 'leader'"),
        (&["sup", "stop", "redis", "--timeout", "5"], "a duration is a whole number and one of ms, s, m, h"),
        (&["sup", "dev", "--nodes", "21"], "21 is not in 1..=20"),
        (&["sup", "update", "a.b", "x", "--batch", "0"], "a batch is a number of members, such as 2, or a part"),
        (&["sup", "update", "a.b", "x", "--on-failure", "stop"], "[possible values: halt, rollback, continue]"),
        (&["sup", "rollout", "retr", "a.b"], "a similar subcommand exists: 'retry'"),
    ] {
        let error = Cli::try_parse_from(args).unwrap_err();
        assert!(error.to_string().contains(expected), "{args:?}: {error}");
        assert_eq!(error.exit_code(), 2);
    }
}

/// The short help of a command, as 100 columns show it.
fn help(path: &[&str]) -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let command = path.iter().fold(&mut cli, |command, name| command.find_subcommand_mut(name).unwrap());
    command.render_help().to_string()
}

#[test]
fn the_help_is_what_it_was() {
    let expected = "\
Keeps services running on a ring of machines without a master

Usage: sup [OPTIONS] <COMMAND>

Commands:
  start     Start a service: in the supervisor that runs here, or else in one that this becomes
  run       Run a supervisor without a service yet
  stop      Stop a service, and keep it stopped
  restart   Stop a service and start it again
  unload    Stop a service and forget it
  status    Show the services of this node
  members   Show the nodes of the ring
  groups    Show all service groups of the ring
  group     Look at one service group
  logs      Show what a service and its hooks write
  config    Change and show a group's config
  file      Give files to the members of a group
  update    Bring a new release to a group
  rollout   See how a change goes, and say how it is to go on
  wait      Wait for a group to reach a condition
  explain   Say why a service is not up, who leads a group and why, why a rollout stands still
  shutdown  Stop the services of this node, leave the ring and end the supervisor
  depart    Say that a node is gone for good: it counts for nothing any more, and is not let in
  undepart  Let a node back in that was said to be gone for good
  dev       Run a whole ring on this machine, to try a plan
  plan      Write plans
  release   Look after the releases of this node
  ring      Encrypt the ring's traffic
  token     Let programs and people in by HTTP

Options:
      --json            Print JSON
      --data-dir <DIR>  The supervisor's data directory (SUP_DATA_DIR) [default: /var/lib/sup for
                        root]
  -h, --help            Print help (see more with '--help')
  -V, --version         Print version

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 4 refused.
";
    assert_eq!(help(&[]), expected);
}

#[test]
fn the_usage_of_each_command_is_what_it_was() {
    for (path, usage) in [
        (&["start"][..], "sup start [OPTIONS] <SVC>"),
        (&["run"], "sup run [OPTIONS]"),
        (&["stop"], "sup stop [OPTIONS] <SVC>"),
        (&["restart"], "sup restart [OPTIONS] <SVC>"),
        (&["unload"], "sup unload [OPTIONS] <SVC>"),
        (&["status"], "sup status [OPTIONS] [SVC]"),
        (&["members"], "sup members [OPTIONS]"),
        (&["groups"], "sup groups [OPTIONS]"),
        (&["group", "show"], "sup group show [OPTIONS] <GROUP>"),
        (&["logs"], "sup logs [OPTIONS] <SVC>"),
        (&["config", "apply"], "sup config apply [OPTIONS] <GROUP> [FILE]"),
        (&["config", "show"], "sup config show [OPTIONS] <GROUP> [REV]"),
        (&["config", "diff"], "sup config diff [OPTIONS] <GROUP> [FROM] [TO]"),
        (&["config", "history"], "sup config history [OPTIONS] <GROUP>"),
        (&["config", "rollback"], "sup config rollback [OPTIONS] <GROUP> [REV]"),
        (&["config", "unset"], "sup config unset [OPTIONS] <GROUP>"),
        (&["file", "upload"], "sup file upload [OPTIONS] <GROUP> <FILE>"),
        (&["file", "list"], "sup file list [OPTIONS] <GROUP>"),
        (&["file", "history"], "sup file history [OPTIONS] <GROUP> <NAME>"),
        (&["file", "rollback"], "sup file rollback [OPTIONS] <GROUP> <NAME> [REV]"),
        (&["file", "remove"], "sup file remove [OPTIONS] <GROUP> <NAME>"),
        (&["update"], "sup update [OPTIONS] <GROUP> <DIR|FILE.sup>"),
        (&["rollout", "status"], "sup rollout status [OPTIONS] <GROUP>"),
        (&["rollout", "pause"], "sup rollout pause [OPTIONS] <GROUP>"),
        (&["rollout", "resume"], "sup rollout resume [OPTIONS] <GROUP>"),
        (&["rollout", "retry"], "sup rollout retry [OPTIONS] <GROUP>"),
        (&["rollout", "rollback"], "sup rollout rollback [OPTIONS] <GROUP>"),
        (&["rollout", "abort"], "sup rollout abort [OPTIONS] <GROUP>"),
        (&["ring", "key", "new"], "sup ring key new [OPTIONS] <FILE>"),
        (&["ring", "key", "show"], "sup ring key show [OPTIONS] [ID]"),
        (&["ring", "key", "install"], "sup ring key install [OPTIONS] [FILE]"),
        (&["ring", "key", "use"], "sup ring key use [OPTIONS] <ID>"),
        (&["ring", "key", "remove"], "sup ring key remove [OPTIONS] <ID>"),
        (&["ring", "key", "list"], "sup ring key list [OPTIONS]"),
        (&["token", "new"], "sup token new [OPTIONS] --role <ROLE>"),
        (&["token", "list"], "sup token list [OPTIONS]"),
        (&["token", "revoke"], "sup token revoke [OPTIONS] <ID>"),
        (&["wait"], "sup wait [OPTIONS] --for <CONDITION> <GROUP>"),
        (&["explain"], "sup explain [OPTIONS] <SVC|GROUP>"),
        (&["shutdown"], "sup shutdown [OPTIONS]"),
        (&["group", "recover"], "sup group recover [OPTIONS] <GROUP>"),
        (&["depart"], "sup depart [OPTIONS] <NODE>"),
        (&["undepart"], "sup undepart [OPTIONS] <NODE>"),
        (&["dev"], "sup dev [OPTIONS] [DIR]"),
        (&["plan", "check"], "sup plan check [OPTIONS] [DIR]"),
        (&["plan", "render"], "sup plan render [OPTIONS] [DIR]"),
    ] {
        let help = help(path);
        let shown = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        assert_eq!(shown, usage);
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
}
