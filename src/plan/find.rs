//! From a plan's name to its directory.

use std::path::{Path, PathBuf};

/// Where plans are looked for after the current directory's.
const SYSTEM: &str = "/etc/sup/plans";
/// The environment variable with more directories, separated by colons.
pub const PATH_VARIABLE: &str = "SUP_PLAN_PATH";

/// No plan was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// None of the directories has it.
    #[error("there is no plan {name:?}: looked for {}", list(looked))]
    Nowhere {
        /// What was looked for.
        name: String,
        /// Every `plan.toml` that would have done.
        looked: Vec<PathBuf>,
    },
    /// It is a path, and there is no plan.
    #[error("{} is not a plan: it has no plan.toml", .0.display())]
    NotAPlan(PathBuf),
}

fn list(looked: &[PathBuf]) -> String {
    looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The directories that plans are looked for in: `./plans`, `/etc/sup/plans`, and those of `$SUP_PLAN_PATH`, whose
/// value is given.
#[must_use]
pub fn search_path(variable: Option<&str>) -> Vec<PathBuf> {
    let more = variable.unwrap_or_default().split(':').filter(|dir| !dir.is_empty());
    ["plans", SYSTEM].into_iter().chain(more).map(PathBuf::from).collect()
}

/// The directory of the plan `name`, which is looked for in `search`; a path to a directory is taken as it is.
///
/// # Errors
/// When there is none. The error says where it was looked for.
pub fn find(name: &str, search: &[PathBuf]) -> Result<PathBuf, FindError> {
    let as_path = Path::new(name);
    let is_path = name.contains('/') || name == "." || name == "..";
    if is_path || as_path.join("plan.toml").is_file() {
        let found = as_path.join("plan.toml").is_file();
        return if found { Ok(as_path.to_owned()) } else { Err(FindError::NotAPlan(as_path.to_owned())) };
    }
    let candidates = search.iter().map(|dir| dir.join(name));
    match candidates.clone().find(|dir| dir.join("plan.toml").is_file()) {
        Some(dir) => Ok(dir),
        None => Err(FindError::Nowhere {
            name: name.to_owned(),
            looked: candidates.map(|dir| dir.join("plan.toml")).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FindError, find, search_path};

    fn make_plan(dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("plan.toml"), "").unwrap();
    }

    #[test]
    fn a_name_is_found_in_the_first_directory_that_has_it() {
        let root = tempfile::tempdir().unwrap();
        make_plan(&root.path().join("b/web"));
        make_plan(&root.path().join("c/web"));
        let search = ["a", "b", "c"].map(|dir| root.path().join(dir));
        assert_eq!(find("web", &search), Ok(root.path().join("b/web")));
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        make_plan(&root.path().join("web"));
        let path = root.path().join("web");
        assert_eq!(find(path.to_str().unwrap(), &[]), Ok(path));
        let none = root.path().join("none");
        assert_eq!(find(none.to_str().unwrap(), &[]), Err(FindError::NotAPlan(none)));
    }

    #[test]
    fn the_error_says_where_was_looked() {
        let error = find("none", &search_path(Some("/one:/two:"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no plan \"none\": looked for plans/none/plan.toml, /etc/sup/plans/none/plan.toml, \
             /one/none/plan.toml, /two/none/plan.toml"
        );
    }
}
