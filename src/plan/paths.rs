//! Where a service's files are on a node.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::Name;

/// The directories and files of one service below a node's data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePaths {
    /// `DATA/svc/NAME`.
    pub root: PathBuf,
    /// Rendered config.
    pub config: PathBuf,
    /// Config rendered for the `install` hook.
    pub config_install: PathBuf,
    /// Rendered hooks.
    pub hooks: PathBuf,
    /// What the service keeps.
    pub data: PathBuf,
    /// Uploaded files.
    pub files: PathBuf,
    /// Static content.
    pub static_content: PathBuf,
    /// What the service may lose.
    pub var: PathBuf,
    /// Output of the process and of hooks.
    pub logs: PathBuf,
    /// The process id, for programs that want to read it from a file.
    pub pid_file: PathBuf,
    /// The rendered `run` hook.
    pub run: PathBuf,
    /// The config layer that a person writes on this node: `DATA/user/NAME/config/user.toml`.
    pub user_toml: PathBuf,
}

impl ServicePaths {
    /// The paths of `service` below `data_dir`.
    #[must_use]
    pub fn new(data_dir: &Path, service: &Name) -> Self {
        let root = data_dir.join("svc").join(service.as_str());
        Self {
            config: root.join("config"),
            config_install: root.join("config_install"),
            hooks: root.join("hooks"),
            data: root.join("data"),
            files: root.join("files"),
            static_content: root.join("static"),
            var: root.join("var"),
            logs: root.join("logs"),
            pid_file: root.join("PID"),
            run: root.join("hooks").join("run"),
            user_toml: data_dir.join("user").join(service.as_str()).join("config").join("user.toml"),
            root,
        }
    }

    /// The directories of the service, outermost first.
    #[must_use]
    pub fn directories(&self) -> [&Path; 9] {
        [
            &self.root,
            &self.config,
            &self.config_install,
            &self.hooks,
            &self.data,
            &self.files,
            &self.static_content,
            &self.var,
            &self.logs,
        ]
    }

    /// Makes the directories that are not there.
    ///
    /// # Errors
    /// When one cannot be made; those before it stay.
    pub fn create(&self) -> io::Result<()> {
        self.directories().into_iter().try_for_each(std::fs::create_dir_all)
    }

    /// The paths by the names that templates have for them: what a member tells others of its own.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let paths = [
            ("svc_path", &self.root),
            ("svc_config_path", &self.config),
            ("svc_config_install_path", &self.config_install),
            ("svc_data_path", &self.data),
            ("svc_files_path", &self.files),
            ("svc_static_path", &self.static_content),
            ("svc_var_path", &self.var),
            ("svc_pid_file", &self.pid_file),
            ("svc_run", &self.run),
        ];
        paths.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::ServicePaths;

    #[test]
    fn all_directories_are_made_below_the_data_directory() {
        let data = tempfile::tempdir().unwrap();
        let paths = ServicePaths::new(data.path(), &"redis".parse().unwrap());
        paths.create().unwrap();
        paths.create().unwrap();
        for dir in paths.directories() {
            assert!(dir.is_dir() && dir.starts_with(data.path().join("svc/redis")), "{}", dir.display());
        }
        assert_eq!(paths.to_map().len(), 9);
        assert_eq!(paths.user_toml, data.path().join("user/redis/config/user.toml"));
    }
}
