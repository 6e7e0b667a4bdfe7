//! Configs: checked, shown, told apart.

use std::sync::Arc;

use super::Supervisor;
use super::preview::{self, Ground, OwnLayers};
use crate::api::shape::{ApplyRequest, Config, ConfigPreview, Revision, RevisionStatus, UnknownKeys};
use crate::api::{Place, Problem, ProblemKind};
use crate::base::GroupId;
use crate::base::limits::CONFIG_BYTES;
use crate::census::{ConfigEntry, Standing};
use crate::plan::config::{Unknown, validate};
use crate::plan::{Plan, ServicePaths};
use crate::supervisor::services::Places;
use crate::template::Templates;

/// What a config that came over the API is called where it is wrong.
const NAME: &str = "config";
/// What `expect` says when no revision is expected to be in force.
const NO_REVISION: &str = "none";

/// Whether a config may be put in force, and what it takes to say what it would change. It must fit the plan that the
/// group runs or is to run, and render with it, where that plan is on this node; elsewhere it must be TOML, within the
/// limit, and nothing more can be said.
pub(super) async fn check(
    supervisor: &Supervisor,
    group: &GroupId,
    request: &ApplyRequest,
) -> Result<Option<Ground>, Problem> {
    if request.toml.len() > CONFIG_BYTES {
        let bytes = request.toml.len();
        let detail = format!("the config has {bytes} bytes, and at most {CONFIG_BYTES} are possible");
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    let view = supervisor.known(group).await?.view;
    let member = supervisor.0.services.get(&group.service).filter(|loaded| loaded.group() == *group);
    let wanted = view.release.as_ref().map(|desired| desired.release.manifest);
    let runs = member.as_ref().and_then(|loaded| loaded.status().member.target.as_ref()?.release);
    let spec = member.map(|loaded| loaded.spec.clone());
    let own = spec.as_ref().map(|spec| supervisor.0.services.plan_dir(spec));
    let binds = supervisor.bound(spec.as_ref().map(preview::bound).unwrap_or_default()).await?;
    let releases = Arc::clone(&supervisor.0.releases);
    let (me, data_dir) = (supervisor.0.me, supervisor.0.settings.data_dir.clone());
    let (group, request) = (group.clone(), request.clone());
    let checked = tokio::task::spawn_blocking(move || {
        let release = [wanted, runs].into_iter().flatten().find_map(|release| releases.path(release));
        let Some(dir) = release.or(own) else {
            return check_syntax(&group, &request.toml).map(|()| None);
        };
        let plan = Plan::load(&dir).map_err(|error| {
            Problem::caused(ProblemKind::InvalidPlan, &error)
                .next(format!("mend the plan first: sup plan check {}", dir.display()))
        })?;
        fits(&group, &request, &plan)?;
        let templates = Templates::compile(&plan).map_err(|complaints| Problem {
            places: Places::of(&complaints),
            ..Problem::new(ProblemKind::InvalidPlan, format!("the plan in {} is not valid", dir.display()))
        })?;
        let paths = ServicePaths::new(&data_dir, &group.service);
        let own = spec.as_ref().map(|spec| OwnLayers::read(spec, &plan, &paths));
        let ground = Ground { plan, templates, paths, own, me, view, binds };
        match ground.check(&request.toml) {
            Ok(()) => Ok(Some(ground)),
            Err(why) => {
                let detail = format!("the config of {group} does not render; nothing was changed: {why}");
                Err(Problem::new(ProblemKind::InvalidConfig, detail))
            }
        }
    });
    checked.await.map_err(|_| Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down"))?
}

/// Whether a config fits a plan.
fn fits(group: &GroupId, request: &ApplyRequest, plan: &Plan) -> Result<(), Problem> {
    let unknown = match request.unknown {
        UnknownKeys::Refuse => Unknown::Refused,
        UnknownKeys::Allow => Unknown::Allowed,
    };
    match validate(NAME, &request.toml, plan, unknown) {
        Ok(_) => Ok(()),
        Err(complaints) => Err(Problem { places: Places::of(&complaints), ..invalid(group) }),
    }
}

/// What a config would change. Nothing is.
pub(super) async fn preview(
    supervisor: &Supervisor,
    group: &GroupId,
    request: ApplyRequest,
) -> Result<ConfigPreview, Problem> {
    supervisor.view(group).await?;
    let Some(ground) = check(supervisor, group, &request).await? else {
        let detail = format!("this node has neither a member nor a release of {group}: it cannot render its files");
        return Err(Problem::new(ProblemKind::UnknownPlan, detail)
            .next(format!("ask a node that has a member: sup group show {group}")));
    };
    let found = ground.view.config.as_ref().map_or(NO_REVISION, |config| config.revision.as_str());
    if let Some(expected) = request.expect.as_deref().filter(|expected| *expected != found) {
        let detail = format!("config of {group}: expected revision {expected}, but {found} is in force");
        return Err(
            Problem::new(ProblemKind::Conflict, detail).next(format!("see the history: sup config history {group}"))
        );
    }
    let rendered = tokio::task::spawn_blocking(move || ground.preview(&request.toml)).await;
    rendered.map_err(|_| Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down"))
}

fn check_syntax(group: &GroupId, text: &str) -> Result<(), Problem> {
    let Err(error) = toml::from_str::<toml::Table>(text) else { return Ok(()) };
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Err(invalid(group).at(Place {
        file: Some(NAME.to_owned()),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: error.message().to_owned(),
        help: None,
    }))
}

fn invalid(group: &GroupId) -> Problem {
    Problem::new(ProblemKind::InvalidConfig, format!("the config of {group} is not valid; nothing was changed"))
}

/// The text of a revision; of the one in force if none is named.
pub(super) fn text(group: &GroupId, history: &[ConfigEntry], revision: Option<&str>) -> Result<Config, Problem> {
    let entry = match revision {
        Some(revision) => history.iter().find(|entry| entry.revision == revision),
        None => history.iter().find(|entry| entry.standing == Standing::Current),
    };
    match (entry, revision) {
        (Some(entry), _) => {
            Ok(Config { group: group.clone(), revision: Some(entry.revision.clone()), toml: entry.value.toml.clone() })
        }
        (None, None) => Ok(Config { group: group.clone(), revision: None, toml: String::new() }),
        (None, Some(revision)) => {
            let detail = format!("the config of {group} has no revision {revision}");
            Err(Problem::new(ProblemKind::UnknownRevision, detail)
                .next(format!("see which there are: sup config history {group}")))
        }
    }
}

pub(super) const fn status(standing: Standing) -> RevisionStatus {
    match standing {
        Standing::Current => RevisionStatus::InForce,
        Standing::Replaced => RevisionStatus::Replaced,
        Standing::RolledBack => RevisionStatus::RolledBack,
        Standing::Superseded => RevisionStatus::Superseded,
    }
}

pub(super) fn revision(entry: &ConfigEntry) -> Revision {
    Revision {
        revision: entry.revision.clone(),
        status: status(entry.standing),
        at: entry.value.at.into(),
        by: entry.value.by,
        parent: entry.value.parent.clone(),
        action: entry.value.action.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_syntax, text};
    use crate::api::ProblemKind;

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let problem = check_syntax(&"redis.default".parse().unwrap(), "a = 1\nb = = 2\n").unwrap_err();
        assert_eq!(problem.kind, ProblemKind::InvalidConfig);
        assert_eq!((problem.places[0].line, problem.places[0].column), (2, 5), "{:?}", problem.places);
    }

    #[test]
    fn without_a_config_none_is_in_force() {
        let group = "redis.default".parse().unwrap();
        assert_eq!(text(&group, &[], None).unwrap().revision, None);
        assert_eq!(text(&group, &[], Some("1-ab")).unwrap_err().kind, ProblemKind::UnknownRevision);
    }
}
