//! From what a person named to a plan, and what is wrong with it.

use std::path::{Path, PathBuf};

use crate::api::{Place, Problem, ProblemKind};
use crate::plan::{self, Complaints, ElectionSpec, Plan, PlanError, builtin};
use crate::service::ServiceSpec;
use crate::supervisor::settings::Settings;

/// Complaints about a text, as the API tells them.
pub(in crate::supervisor) struct Places;

impl Places {
    /// Each complaint with its place.
    pub(in crate::supervisor) fn of(complaints: &Complaints) -> Vec<Place> {
        complaints
            .0
            .iter()
            .map(|complaint| Place {
                file: Some(complaint.file.display().to_string()),
                line: complaint.line,
                column: complaint.column,
                message: complaint.message.clone(),
                help: complaint.help.clone(),
            })
            .collect()
    }
}

/// Runs something that reads the disk on another thread.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let ended = || Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down");
    tokio::task::spawn_blocking(work).await.map_err(|_| ended())
}

/// Finds and reads a plan.
pub(super) async fn find(name: &str, settings: &Settings) -> Result<Plan, Problem> {
    let (name, search, data_dir) = (name.to_owned(), settings.plan_search(), settings.data_dir.clone());
    blocking(move || {
        let dir = match plan::find(&name, &search) {
            Ok(dir) => dir,
            Err(_) if name == builtin::DEMO => builtin::materialise(&data_dir.join("plans")).map_err(|error| {
                Problem::caused(ProblemKind::StoreUnavailable, &error).next("make room in the data directory")
            })?,
            Err(error) => return Err(Problem::caused(ProblemKind::UnknownPlan, &error)),
        };
        Plan::load(&dir).map_err(|error| unusable(&error, &dir))
    })
    .await?
}

pub(super) fn unusable(error: &PlanError, dir: &Path) -> Problem {
    let check = format!("mend it, and see what else there is: sup plan check {}", dir.display());
    match error {
        PlanError::Wrong(complaints) => {
            let detail = format!("the plan {} is not valid", dir.display());
            let mut problem = Problem::new(ProblemKind::InvalidPlan, detail).next(check);
            problem.places = Places::of(complaints);
            problem
        }
        PlanError::NotAPlan(_) => Problem::caused(ProblemKind::UnknownPlan, error),
        other => Problem::caused(ProblemKind::InvalidPlan, other).next(check),
    }
}

/// What the plan in a directory says about elections; the default if it cannot be read, which its service complains
/// about.
pub(super) async fn election(dir: PathBuf) -> ElectionSpec {
    let plan = tokio::task::spawn_blocking(move || Plan::load(&dir)).await;
    match plan {
        Ok(Ok(plan)) => plan.manifest.election,
        Ok(Err(_)) | Err(_) => ElectionSpec::default(),
    }
}

/// Whether the binds of a spec are those of its plan.
pub(super) fn check_binds(plan: &Plan, spec: &ServiceSpec) -> Result<(), Problem> {
    let name = &spec.service;
    let refused = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let missing = plan.manifest.binds.keys().find(|bind| spec.binds.iter().all(|given| given.name != **bind));
    if let Some(bind) = missing {
        return Err(refused(format!("the plan {name} needs to know what its bind {bind} is bound to"))
            .next(format!("say it: --bind {bind}:SERVICE.GROUP")));
    }
    for (position, given) in spec.binds.iter().enumerate() {
        let known =
            plan.manifest.binds.contains_key(&given.name) || plan.manifest.binds_optional.contains_key(&given.name);
        if !known {
            let all: Vec<_> = plan
                .manifest
                .binds
                .keys()
                .chain(plan.manifest.binds_optional.keys())
                .map(ToString::to_string)
                .collect();
            let has = if all.is_empty() { "it has none".to_owned() } else { format!("it has {}", all.join(", ")) };
            return Err(refused(format!("the plan {name} has no bind {}: {has}", given.name)));
        }
        if spec.binds[..position].iter().any(|earlier| earlier.name == given.name) {
            return Err(refused(format!("the bind {} is given twice", given.name)));
        }
    }
    Ok(())
}

/// How a loaded service is other than wanted, for a person.
pub(super) fn difference(known: &ServiceSpec, wanted: &ServiceSpec) -> String {
    let binds = |spec: &ServiceSpec| spec.binds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let shown = |spec: &ServiceSpec| {
        [
            ("the plan", spec.plan.display().to_string()),
            ("the group", spec.group.to_string()),
            ("the topology", format!("{:?}", spec.topology).to_lowercase()),
            ("the strategy", format!("{:?}", spec.strategy).to_lowercase()),
            ("the binds", binds(spec)),
            ("the binding mode", format!("{:?}", spec.binding_mode).to_lowercase()),
            ("the config from", spec.config_from.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default()),
        ]
    };
    let differs = |((what, known), (_, wanted)): ((&str, String), (&str, String))| {
        let named = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        (known != wanted).then(|| format!("{what} {} instead of {}", named(known), named(wanted)))
    };
    shown(known).into_iter().zip(shown(wanted)).filter_map(differs).collect::<Vec<_>>().join(", and ")
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::records::value::Topology;
    use crate::service::ServiceSpec;

    #[test]
    fn what_differs_is_named_with_both_values() {
        let known = ServiceSpec::new("redis".parse().unwrap(), "/a".into());
        let wanted = ServiceSpec { topology: Topology::Leader, binds: vec!["x:y.z".parse().unwrap()], ..known.clone() };
        assert_eq!(
            difference(&known, &wanted),
            "the topology standalone instead of leader, and the binds none instead of x:y.z"
        );
    }
}
