//! The ground that a service stands on: its user, its directories, and the environment of everything that it runs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Group, User, geteuid};

use crate::plan::{Manifest, ServicePaths};
use crate::release::RELEASES_DIR;
use crate::shim::Credentials;
use crate::template::Owner;

/// Where programs are looked for, unless the plan's environment says otherwise. The supervisor's own `PATH` would make
/// a service run differently by who started the supervisor.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As whom a service runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// None: as whom the supervisor runs.
    pub(super) switch: Option<Credentials>,
    name: Option<String>,
    home: Option<PathBuf>,
}

impl Account {
    /// The account that the plan names, or the supervisor's own and why it is that.
    pub(super) fn of(manifest: &Manifest) -> (Self, Option<String>) {
        let wanted = &manifest.service;
        let Some(name) = &wanted.user else { return (Self::default(), None) };
        let own = |why: String| (Self::default(), Some(why));
        let user = match User::from_name(name) {
            Ok(Some(user)) => user,
            Ok(None) => return own(format!("there is no user {name} here: the service runs as the supervisor's")),
            Err(error) => return own(format!("cannot look up the user {name} ({error}): it is ignored")),
        };
        if user.uid == geteuid() {
            return (Self { switch: None, name: Some(user.name), home: Some(user.dir) }, None);
        }
        if !geteuid().is_root() {
            return own(format!("only root can switch to the user {name}: the service runs as the supervisor's"));
        }
        let gid = match &wanted.group {
            None => user.gid,
            Some(group) => match Group::from_name(group) {
                Ok(Some(found)) => found.gid,
                Ok(None) => return own(format!("there is no group {group} here: the user {name} is ignored, too")),
                Err(error) => return own(format!("cannot look up the group {group} ({error}): it is ignored")),
            },
        };
        let switch = Credentials { uid: user.uid.as_raw(), gid: gid.as_raw(), groups: Vec::new() };
        (Self { switch: Some(switch), name: Some(user.name), home: Some(user.dir) }, None)
    }

    /// Who owns the service's files.
    pub(super) fn owner(&self) -> Owner {
        let ids = self.switch.as_ref().map(|switch| (switch.uid, switch.gid));
        Owner { uid: ids.map(|(uid, _)| uid), gid: ids.map(|(_, gid)| gid) }
    }

    /// User and group of a process.
    pub(super) fn ids(&self) -> Option<(u32, u32)> {
        self.switch.as_ref().map(|switch| (switch.uid, switch.gid))
    }

    /// The clean environment that everything of the service begins with.
    pub(super) fn environment(&self, paths: &ServicePaths) -> BTreeMap<String, String> {
        let home = self.home.as_deref().filter(|home| home.is_dir()).unwrap_or(&paths.root);
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), PATH.to_owned()),
            ("HOME".to_owned(), home.display().to_string()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TMPDIR".to_owned(), "/tmp".to_owned()),
        ]);
        if let Some(name) = &self.name {
            env.insert("USER".to_owned(), name.clone());
            env.insert("LOGNAME".to_owned(), name.clone());
        }
        env
    }
}

/// Where the shim and the task keep what they know of the process: only the supervisor's user gets in.
pub(super) fn state_dir(paths: &ServicePaths) -> PathBuf {
    paths.root.join("run")
}

/// The shim's socket.
pub(super) fn shim_socket(paths: &ServicePaths) -> PathBuf {
    state_dir(paths).join("shim.sock")
}

/// Where the output of hooks is logged; that of the process is in `logs` itself.
#[must_use]
pub fn hook_logs(paths: &ServicePaths) -> PathBuf {
    paths.logs.join("hooks")
}

/// Makes the directories of a service. Its user owns those that it is to write to, and only gets into the others: could
/// it replace a directory that root writes to by a link, it could write wherever root can.
///
/// # Errors
/// When one cannot be made, with its path.
pub(super) fn prepare(paths: &ServicePaths, owner: Owner) -> Result<(), String> {
    let in_words = |dir: &Path, error: io::Error| format!("cannot prepare {}: {error}", dir.display());
    let own = [&paths.data, &paths.files, &paths.static_content, &paths.var];
    let guest = Owner { uid: None, gid: owner.gid };
    for dir in paths.directories() {
        let owner = if own.iter().any(|own| own.as_path() == dir) { owner } else { guest };
        make(dir, 0o750, owner).map_err(|error| in_words(dir, error))?;
    }
    for dir in [state_dir(paths), hook_logs(paths)] {
        make_private(&dir).map_err(|error| in_words(&dir, error))?;
    }
    if let Some(dir) = paths.user_toml.parent() {
        // It may have secrets, and the supervisor reads it on the service's behalf.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| in_words(dir, error))?;
    }
    let Some(services) = paths.root.parent() else { return Ok(()) };
    for dir in [Some(services), services.parent()].into_iter().flatten() {
        pass_through(dir, services).map_err(|error| in_words(dir, error))?;
    }
    Ok(())
}

/// Writes the file that programs read the process id from.
pub(super) fn write_pid(paths: &ServicePaths, pid: u32) -> io::Result<()> {
    let mut file =
        tempfile::Builder::new().prefix(".pid-").permissions(Permissions::from_mode(0o644)).tempfile_in(&paths.root)?;
    writeln!(file, "{pid}")?;
    file.persist(&paths.pid_file).map_err(|error| error.error)?;
    Ok(())
}

/// Removes it. That there is none is fine.
pub(super) fn remove_pid(paths: &ServicePaths) -> io::Result<()> {
    match fs::remove_file(&paths.pid_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a directory that only the supervisor's user gets into.
pub(super) fn make_private(dir: &Path) -> io::Result<()> {
    make(dir, 0o700, Owner::default())
}

fn make(dir: &Path, mode: u32, owner: Owner) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(mode))?;
    match (owner.uid, owner.gid) {
        (None, None) => Ok(()),
        (uid, gid) => chown(dir, uid, gid),
    }
}

/// Lets a service's user pass through a directory above its own, without letting it look around: into its own
/// directories and those of releases, which is all that it needs. What else is beside those was the supervisor's alone
/// as long as nobody got through, and stays so.
fn pass_through(dir: &Path, services: &Path) -> io::Result<()> {
    let mode = fs::metadata(dir)?.permissions().mode() & 0o7777;
    if !geteuid().is_root() || mode & 0o001 != 0 {
        return Ok(());
    }
    if dir != services {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let is_open = entry.path() == services || entry.file_name() == RELEASES_DIR;
            if !is_open && !kind.is_symlink() {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                fs::set_permissions(entry.path(), Permissions::from_mode(mode & !0o007))?;
            }
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(mode | 0o011))
}

/// The commands of a list that are not on a path, each with how to get it.
pub(super) fn missing_commands(commands: &BTreeMap<String, String>, path: &str) -> Vec<String> {
    let is_there = |command: &str| {
        let runs =
            |file: &Path| fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if command.contains('/') {
            return runs(Path::new(command));
        }
        path.split(':').any(|dir| runs(&Path::new(dir).join(command)))
    };
    let missing = commands.iter().filter(|(command, _)| !is_there(command));
    missing.map(|(command, how)| format!("the command {command} is not installed; get it with: {how}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Account, PATH, hook_logs, missing_commands, prepare, state_dir};
    use crate::plan::{Manifest, ServicePaths};
    use crate::template::Owner;

    fn manifest(user: &str) -> Manifest {
        let mut manifest = Manifest::new("demo".parse().unwrap(), "1".parse().unwrap());
        manifest.service.user = Some(user.to_owned());
        manifest
    }

    #[test]
    fn a_user_that_is_not_there_is_ignored_and_said_so() {
        let (account, warning) = Account::of(&manifest("no-such-user"));
        assert_eq!(account, Account::default());
        assert!(warning.unwrap().contains("there is no user no-such-user here"));
    }

    #[test]
    fn ones_own_user_is_no_switch() {
        let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let (account, warning) = Account::of(&manifest(&own.name));
        assert_eq!((account.switch.as_ref(), warning), (None, None));
        assert_eq!(account.owner(), Owner::default());
        let paths = ServicePaths::new("/data".as_ref(), &"demo".parse().unwrap());
        assert_eq!(account.environment(&paths)["USER"], own.name);
    }

    #[test]
    fn only_the_supervisor_gets_at_the_process_state_and_others_get_at_nothing() {
        let data = tempfile::tempdir().unwrap();
        let paths = ServicePaths::new(data.path(), &"demo".parse().unwrap());
        prepare(&paths, Owner::default()).unwrap();
        prepare(&paths, Owner::default()).unwrap();
        let mode = |dir: &std::path::Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&paths.root), mode(&paths.data)), (0o750, 0o750));
        assert_eq!((mode(&state_dir(&paths)), mode(&hook_logs(&paths))), (0o700, 0o700));
        assert!(paths.user_toml.parent().unwrap().is_dir());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("svc"), "a file").unwrap();
        let paths = ServicePaths::new(data.path(), &"demo".parse().unwrap());
        let error = prepare(&paths, Owner::default()).unwrap_err();
        assert!(error.contains("svc/demo"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_get_it() {
        let commands = ["sh", "no-such-command", "/bin/sh", "/bin/no-such-command"];
        let commands: BTreeMap<_, _> =
            commands.into_iter().map(|name| (name.to_owned(), "apt-get install it".to_owned())).collect();
        let missing = missing_commands(&commands, PATH);
        assert_eq!(missing.len(), 2);
        assert_eq!(missing[1], "the command no-such-command is not installed; get it with: apt-get install it");
    }
}
