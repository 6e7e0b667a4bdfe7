//! Everything about a plan that can be known before start: `sup plan check`.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use toml::de::DeTable;

use super::complaint::{Complaint, Complaints, Source, nearest};
use super::hook::HookName;
use super::{PLAN_TOML, Plan, config};
use crate::template::{self, Role};

/// Complains about everything in `plan` that is wrong whatever the machine: templates that do not render or name
/// values that are not there, hooks that cannot be run, exports of keys that the config does not have, defaults that do
/// not fit the schema.
///
/// # Errors
/// When there is something to complain about.
pub fn check(plan: &Plan) -> Result<(), Complaints> {
    let mut complaints = Complaints::default();
    complaints.0.extend(exports(plan));
    complaints.0.extend(hooks(plan));
    complaints.0.extend(config::validate_defaults(plan).err().unwrap_or_default().0);
    let contexts = Role::ALL.map(|role| template::sample(plan, &plan.defaults, role));
    // Nobody leads a single member: only a plan that is never run without a leader may rely on one, and a group's
    // topology is not the plan's to say.
    let expected = |at: usize, path: &str| {
        let leader = path == "svc.leader" || path.starts_with("svc.leader.");
        (leader && Role::ALL.get(at) == Some(&Role::Single)) || path.starts_with("svc.update_leader")
    };
    complaints.0.extend(template::check(plan, &contexts, expected).err().unwrap_or_default().0);
    complaints.into_result(())
}

/// Complains about the commands that `plan` requires and that are in no directory of `path`, the value of `PATH`.
///
/// # Errors
/// When there is such a command. Each complaint says how to get it.
pub fn check_commands(plan: &Plan, path: &OsStr) -> Result<(), Complaints> {
    let source = Source::new(plan.file(PLAN_TOML), &plan.manifest_text);
    let missing = plan.manifest.requires.commands.iter().filter(|(command, _)| which(command, path).is_none());
    let complain = |(command, help): (&String, &String)| {
        let message = format!("the command `{command}` is not on the PATH");
        complain_at_key(&source, &["requires", "commands", command], message).help(format!("get it with: {help}"))
    };
    Complaints(missing.map(complain).collect()).into_result(())
}

/// Where in `path`, the value of `PATH`, a command is. A command with a slash is a path itself.
#[must_use]
pub fn which(command: &str, path: &OsStr) -> Option<PathBuf> {
    let is_executable = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if command.contains('/') {
        return Some(PathBuf::from(command)).filter(is_executable);
    }
    std::env::split_paths(path).map(|dir| dir.join(command)).find(is_executable)
}

/// Exports stand for keys of the config.
fn exports(plan: &Plan) -> Vec<Complaint> {
    let source = Source::new(plan.file(PLAN_TOML), &plan.manifest_text);
    let known = keys(&plan.defaults, "");
    let exports = plan.manifest.exports.keys.iter();
    let unknown = exports.filter(|(_, key)| config::get(&plan.defaults, key).is_none());
    unknown
        .map(|(name, key)| {
            let message = format!("`exports.{name}` stands for `{key}`, which default.toml does not have");
            let complaint = complain_at_key(&source, &["exports", name], message);
            match nearest(key, known.iter().map(String::as_str)) {
                Some(near) => complaint.help(format!("did you mean `{near}`?")),
                None => complaint,
            }
        })
        .collect()
}

/// All dotted keys of a config.
fn keys(table: &toml::Table, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(table) = value.as_table() {
            all.extend(keys(table, &path));
        }
        all.push(path);
    }
    all
}

/// Hooks say what runs them, and are known by their names.
fn hooks(plan: &Plan) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (hook, text) in &plan.hooks {
        let file = plan.hook_files.get(hook).map_or(hook.as_str(), String::as_str);
        if !text.starts_with("#!/") {
            let source = Source::new(plan.named.join("hooks").join(file), text);
            let complaint = source.complain(0..0, "the first line does not say what runs this hook");
            complaints.push(complaint.help("begin it with #!/bin/sh"));
        }
    }
    for file in &plan.other_hook_files {
        // A README is nobody's mistake; a name that is nearly a hook's is.
        if let Some(near) = nearest(file, HookName::ALL.map(HookName::as_str)) {
            let path = plan.named.join("hooks").join(file);
            complaints.push(Complaint::whole_file(path, "this is no hook").help(format!("did you mean `{near}`?")));
        }
    }
    complaints
}

/// A complaint about the key at `path` in a TOML text; about the whole text if it is not there.
fn complain_at_key(source: &Source, path: &[&str], message: String) -> Complaint {
    let mut span = 0..0;
    if let Ok(document) = DeTable::parse(source.text()) {
        let mut table = Some(document.get_ref());
        for part in path {
            let entry = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref().as_ref() == *part));
            let Some((key, value)) = entry else { break };
            span = key.span();
            table = value.get_ref().as_table();
        }
    }
    source.complain(span, message)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt;

    use super::{check, check_commands, which};
    use crate::plan::Plan;

    const PLAN: &str = "name = \"x\"\nversion = \"1\"\nservice.run = \"x {{cfg.port}}\"\n";

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("plan.toml", PLAN), ("default.toml", "port = 1\n[server]\nhost = 'h'\n")].iter().chain(files)
        {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let plan = Plan::load(dir.path()).unwrap();
        let place = format!("{}/", dir.path().display());
        let found = check(&plan).err().unwrap_or_default();
        found.0.iter().map(|complaint| complaint.headline().replace(&place, "")).collect()
    }

    #[test]
    fn a_plan_without_mistakes_is_not_complained_about() {
        let template = "{{cfg.server.host}} {{svc.leader.sys.ip}} {{svc.leader.cfg.port}}{{#if cfg.none}}{{/if}}";
        let plan = format!("{PLAN}[exports]\nport = \"port\"\n[binds-optional]\ndb = [\"port\"]\n");
        let bind = "{{#if bind.db}}{{bind.db.first.cfg.port}}{{/if}}{{#with svc.leader}}{{ip}}:{{port}}{{/with}}";
        let hook = "#!/bin/sh\n";
        let files = [("plan.toml", plan.as_str()), ("config/a", template), ("config/b", bind), ("hooks/init", hook)];
        assert_eq!(complaints(&files), [""; 0]);
    }

    #[test]
    fn values_that_are_missing_are_told_with_their_place_once() {
        let plan = format!("{PLAN}[binds-optional]\ndb = [\"port\"]\n").replace("cfg.port", "cfg.prot");
        let template = "x\n {{cfg.prt}} {{#each svc.members}}{{sys.ipp}}{{/each}}\n{{bind.db.first.cfg.port}}";
        assert_eq!(
            complaints(&[("plan.toml", &plan), ("config/a", template)]),
            [
                "config/a:2:2: there is no value `cfg.prt`",
                "config/a:2:35: there is no value `sys.ipp`",
                "config/a:3:1: there is no value `bind.db.first.cfg.port`",
                "plan.toml: `service.run`: there is no value `cfg.prot`",
            ]
        );
    }

    #[test]
    fn exports_stand_for_keys_that_are_there() {
        let plan = format!("{PLAN}[exports]\nport = \"server.hst\"\n");
        assert_eq!(
            complaints(&[("plan.toml", &plan)]),
            ["plan.toml:5:1: `exports.port` stands for `server.hst`, which default.toml does not have; did you mean \
             `server.host`?"]
        );
    }

    #[test]
    fn hooks_say_what_runs_them_and_are_known() {
        assert_eq!(
            complaints(&[("hooks/init", "echo"), ("hooks/helth-check", ""), ("hooks/README", "")]),
            [
                "hooks/helth-check: this is no hook; did you mean `health-check`?",
                "hooks/init:1:1: the first line does not say what runs this hook; begin it with #!/bin/sh",
            ]
        );
    }

    #[test]
    fn templates_that_do_not_render_are_told_with_their_place() {
        let files = [("config/a", "\n{{toUppercase cfg.port}}"), ("config.schema.json", "{\"required\": [\"x\"]}")];
        assert_eq!(
            complaints(&files),
            [
                "config/a:2:1: `toUppercase` wants a text as its argument 1",
                "default.toml:1:1: `x` is required by the plan's schema",
            ]
        );
    }

    #[test]
    fn a_command_that_is_not_there_is_told_with_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{PLAN}[requires]\ncommands = {{ here = \"-\", gone = \"apt-get install gone\" }}\n");
        std::fs::write(dir.path().join("plan.toml"), text).unwrap();
        let plan = Plan::load(dir.path()).unwrap();
        let bin = tempfile::tempdir().unwrap();
        let here = bin.path().join("here");
        std::fs::write(&here, "").unwrap();
        assert_eq!(which("here", bin.path().as_os_str()), None, "it is not executable");
        std::fs::set_permissions(&here, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(which("here", bin.path().as_os_str()), Some(here));
        let complaint = check_commands(&plan, bin.path().as_os_str()).unwrap_err();
        let expected = "plan.toml:5:26: the command `gone` is not on the PATH; get it with: apt-get install gone";
        assert!(complaint.0[0].headline().ends_with(expected), "{complaint}");
        assert_eq!(complaint.0.len(), 1);
        assert_eq!(check_commands(&plan, OsStr::new("")).unwrap_err().0.len(), 2);
    }
}
