//! Configs: checked, shown, told apart.

use crate::api::shape::{ApplyRequest, Config, Revision, RevisionStatus, UnknownKeys};
use crate::api::{Place, Problem, ProblemKind};
use crate::base::GroupId;
use crate::base::limits::CONFIG_BYTES;
use crate::census::{ConfigEntry, Standing};
use crate::plan::Plan;
use crate::plan::config::{Unknown, validate};
use crate::supervisor::services::{Places, Services};

/// What a config that came over the API is called where it is wrong.
const NAME: &str = "config";

/// Whether a config may be put in force. Where a member of the group runs on this node, it must fit that one's plan;
/// elsewhere it must be TOML, within the limit.
pub(super) async fn check(services: &Services, group: &GroupId, request: &ApplyRequest) -> Result<(), Problem> {
    if request.toml.len() > CONFIG_BYTES {
        let bytes = request.toml.len();
        let detail = format!("the config has {bytes} bytes, and at most {CONFIG_BYTES} are possible");
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    let member = services.get(&group.service).filter(|loaded| loaded.group() == *group);
    let Some(member) = member else { return check_syntax(group, &request.toml) };
    let (dir, text) = (member.spec.plan.clone(), request.toml.clone());
    let unknown = match request.unknown {
        UnknownKeys::Refuse => Unknown::Refused,
        UnknownKeys::Allow => Unknown::Allowed,
    };
    let checked = tokio::task::spawn_blocking(move || {
        // Read anew: it may have been mended since the service started.
        Plan::load(&dir).map(|plan| validate(NAME, &text, &plan, unknown).err())
    })
    .await;
    match checked {
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(complaints))) => Err(Problem { places: Places::of(&complaints), ..invalid(group) }),
        Ok(Err(error)) => Err(Problem::caused(ProblemKind::InvalidPlan, &error)
            .next(format!("mend the plan first: sup plan check {}", member.spec.plan.display()))),
        Err(_) => Err(Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down")),
    }
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
        None => history.first(),
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
