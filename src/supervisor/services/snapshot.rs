//! The copy of a plan's directory that a service goes by: a person's `start` and `restart` take what the directory says
//! by then; nothing else that starts the service does, nor does going back to "what it was started with".

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{info, warn};

use super::{Loaded, Services, plans};
use crate::api::shape::EventKind;
use crate::api::{Problem, ProblemKind};
use crate::base::{GroupId, Hash};
use crate::plan::{Plan, PlanError};
use crate::records::value::ServiceState;
use crate::release::{PackError, StoreError};
use crate::service::{ServiceSpec, ServiceStatus};
use crate::supervisor::error::chain;
use crate::supervisor::releases::CopyError;

/// Whether a service goes by the directory that it was started from, and not by a release that its group was told of.
pub(super) fn goes_by_it(status: &ServiceStatus) -> bool {
    status.member.target.as_ref().is_none_or(|target| target.release.is_none())
}

/// Whether a service reads its plan anew when it is started.
pub(super) fn rests(status: &ServiceStatus) -> bool {
    matches!(status.member.state, ServiceState::Down | ServiceState::Failed)
}

impl Services {
    /// The directory that the plan of a spec is read from when no release is asked for.
    pub(in crate::supervisor) fn plan_dir(&self, spec: &ServiceSpec) -> PathBuf {
        let snapshot = self.releases().started_from(&spec.group_id()).or(spec.snapshot);
        snapshot.and_then(|release| self.releases().path(release)).unwrap_or_else(|| spec.plan.clone())
    }

    /// The plan of a service that is loaded: its directory as it is now, or the copy of it if it is gone.
    pub(super) async fn plan_of(&self, spec: &ServiceSpec) -> Result<Plan, Problem> {
        let (dir, copy) = (spec.plan.clone(), self.plan_dir(spec));
        let read = plans::blocking(move || match Plan::load(&dir) {
            Err(PlanError::NotAPlan(_)) if copy != dir => Plan::load(&copy).map(|plan| Plan { dir, ..plan }),
            read => read,
        });
        read.await?.map_err(|error| plans::unusable(&error, &spec.plan))
    }

    /// Copies a plan, for its service to be started from. None: it can be run and not be a release, so that its
    /// directory has to do.
    pub(super) async fn copied(&self, group: &GroupId, plan: Plan) -> Result<Option<Hash>, Problem> {
        let (service, dir) = (plan.manifest.name.clone(), plan.dir.clone());
        match self.releases().copy(group, plan).await {
            Ok(kept) => {
                info!(%service, release = %kept.id, dir = %dir.display(), "started from its directory as it is now");
                Ok(Some(kept.id.manifest))
            }
            Err(CopyError::Store(StoreError::Pack(error @ (PackError::TooLarge { .. } | PackError::Path { .. })))) => {
                let why = chain(&error);
                warn!(%service, dir = %dir.display(), why, "the plan's directory is not copied: it is run as it is");
                Ok(None)
            }
            Err(CopyError::Store(StoreError::Pack(error))) => {
                let detail = format!("cannot copy the plan {}: {}", dir.display(), chain(&error));
                Err(Problem::new(ProblemKind::InvalidPlan, detail).next("nothing was changed here; repeat the command"))
            }
            Err(CopyError::Store(error)) => {
                let detail = format!("cannot copy the plan {}: {}", dir.display(), chain(&error));
                Err(Problem::new(ProblemKind::StoreUnavailable, detail)
                    .next("nothing was changed; make room on that disk, and repeat the command"))
            }
            Err(CopyError::Ended) => Err(Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down")),
        }
    }

    /// What a service that is restarted goes by from now on: its directory as it is now, or what it went by so far if
    /// the directory is gone. A plan that could not run is refused, so that the service goes on.
    pub(super) async fn refreshed(&self, loaded: &Arc<Loaded>) -> Result<Option<Hash>, Problem> {
        let dir = loaded.spec.plan.clone();
        let before = self.releases().started_from(&loaded.group());
        let read = plans::blocking(move || Plan::load(&dir)).await?;
        match read {
            Ok(plan) => self.copied(&loaded.group(), plan).await,
            Err(PlanError::NotAPlan(dir)) if before.is_some() => {
                let message =
                    format!("the plan {} is gone: the service is restarted as it was started last", dir.display());
                warn!(service = %loaded.spec.service, dir = %dir.display(), "the plan's directory is gone");
                let common = &self.0.common;
                common.feed.tell(EventKind::Service, Some(&loaded.group()), Some(common.me), message);
                Ok(before)
            }
            Err(error) => Err(plans::unusable(&error, &loaded.spec.plan)),
        }
    }
}
