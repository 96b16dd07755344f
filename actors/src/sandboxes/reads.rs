//! The calls that read: from the view, but for one look-up of a Pod.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lifecycle::{
    budget,
    error::SandboxError,
    ids::SandboxId,
    network::NetworkReport,
    observed::{Status, Uid},
    timeline::Report,
};
use tokio::time::Instant;

use super::{Inner, Permit, Reaped, ReaperState, Sandboxes};
use crate::{
    messages::{Envelope, Message},
    metrics::gauges::{Counts, Group},
    sandbox::Shared,
    state::ClusterState,
    view::{
        Position, Presence, Revision, STALE_RETRY, Shown, Start, change_reader::ChangeReader, unreadable,
    },
    workspaces::Workspaces,
};

impl Sandboxes {
    /// Returns when and why the sandbox was reaped, if that was recent and it was not created again since.
    #[must_use]
    pub fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        self.shared.common.reap_log.get(id)
    }

    /// Returns the state of the reaper.
    #[must_use]
    pub fn reaper(&self) -> ReaperState {
        let Shared { view, limiter, reap_log, .. } = &*self.shared.common;
        let clocks = self.shared.common.clocks();
        let workspaces = self.workspaces.as_ref();
        let stopped_until = limiter
            .stopped_until(clocks.monotonic)
            .max(workspaces.and_then(|workspaces| workspaces.stopped_until(clocks.monotonic)));
        ReaperState {
            stopped_until: stopped_until.map(|until| clocks.wall_at(until)),
            reaped: reap_log.total(),
            dry_runs: view.metrics.dry_runs() + workspaces.map_or(0, Workspaces::dry_runs),
        }
    }

    /// Resumes the reaper; returns whether it was stopped.
    #[must_use]
    pub fn resume_reaping(&self) -> bool {
        let now = Instant::now().into_std();
        let was_stopped = self.shared.common.limiter.resume(now);
        let workspaces = self.workspaces.as_ref().is_some_and(|workspaces| workspaces.resume(now));
        if was_stopped {
            // Otherwise the blocked sandboxes would wait until the stop would have ended.
            self.shared.supervisor.send(Message::Resumed);
        }
        was_stopped || workspaces
    }

    /// Returns the workspaces; `None` if no profile has one.
    #[must_use]
    pub fn workspaces(&self) -> Option<&Workspaces> {
        self.workspaces.as_ref()
    }

    /// Returns the state of the network policies and of their check.
    #[must_use]
    pub fn network(&self) -> NetworkReport {
        self.shared.common.cluster.network()
    }

    /// Returns the uid of the namespace of the sandboxes; `None` while it is not known.
    #[must_use]
    pub fn namespace_uid(&self) -> Option<Uid> {
        self.shared.common.cluster.namespace_uid()
    }

    /// Starts a check whether the network policies are enforced, unless one is running.
    pub fn check_network(&self) {
        self.shared.common.cluster.check_network();
    }

    /// Returns the state of the sandbox; `None` if it does not exist.
    ///
    /// # Errors
    /// If the state is not known: the view is stale, or an object is unreadable.
    pub async fn get(&self, id: &SandboxId) -> Result<Option<Arc<Shown>>, SandboxError> {
        self.fresh().await?;
        let shown = self.shared.common.view.shown(id).map_err(|kind| unreadable(id, kind))?;
        // If an earlier GET is still queued, this one adds nothing.
        if shown.is_some()
            && self.shared.common.policy.get_counts
            && let Ok(permit) = self.shared.views.enter(id)
        {
            self.shared.supervisor.send(Message::Deliver(id.clone(), Envelope::of_view(permit)));
        }
        Ok(shown)
    }

    /// Takes a permit for [`Sandboxes::settled`]. Fails if too many requests are waiting.
    ///
    /// # Errors
    /// If too many requests are waiting.
    pub fn wait_permit(&self, id: &SandboxId) -> Result<Permit, SandboxError> {
        self.shared.waits.enter(id).map_err(|rejected| rejected.into_failure(id))
    }

    /// Waits until the sandbox of the permit is ready or has failed for good, at most until `end`, and not while the
    /// daemon drains. Returns the state that it has reached; `None` if it does not exist any more.
    ///
    /// # Errors
    /// As from [`Sandboxes::get`].
    pub async fn settled(&self, permit: Permit, end: Instant) -> Result<Option<Status>, SandboxError> {
        self.fresh().await?;
        self.readable(permit.id())?;
        let Inner { common, draining, .. } = &*self.shared;
        let status = tokio::select! {
            biased;
            status = common.view.settled(permit.id()) => status,
            () = draining.cancelled() => common.view.status(permit.id()),
            () = tokio::time::sleep_until(end) => common.view.status(permit.id()),
        };
        if !common.view.is_fresh() {
            return Err(common.view.stale());
        }
        self.readable(permit.id())?;
        Ok(status)
    }

    /// Reports what happened to the sandbox, or to the last one with this id if it ended within the last hour; `None` if
    /// there is neither.
    ///
    /// # Errors
    /// As from [`Sandboxes::get`].
    pub async fn timeline(&self, id: &SandboxId) -> Result<Option<Report>, SandboxError> {
        self.fresh().await?;
        self.readable(id)?;
        Ok(self.shared.common.view.timeline(id))
    }

    /// Returns the uid of the sandbox's Pod; `None` if there is no Pod. An error if this is unknown.
    ///
    /// # Errors
    /// If it is not known whether the Pod exists.
    // A Pod that the watch shows is answered from memory. Otherwise the Pod is read by its name: the watch may lag
    // behind, and does not show Pods without our labels.
    pub async fn presence(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        let Inner { common, .. } = &*self.shared;
        common.view.first_list(budget::FIRST_LIST).await;
        self.readable(id)?;
        match common.view.presence(id) {
            Presence::Present(uid) if common.view.is_fresh() => Ok(Some(uid)),
            Presence::Present(_) | Presence::Absent => {
                let found = common.cluster.find_pod(id.clone()).await;
                found
                    .map_err(|error| SandboxError::Stale { why: error.to_string(), retry_after: STALE_RETRY })
            }
            Presence::Unknown => Err(SandboxError::Stale {
                why: "the Pod may be being created".to_owned(),
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    /// Returns a reader of the changes of all sandboxes. Fails if too many are reading, or if a list would fail.
    ///
    /// # Errors
    /// If too many are reading, or if a list would fail.
    pub async fn changes(&self, start: Start) -> Result<ChangeReader, SandboxError> {
        let permit = self.stream_permit()?;
        self.fresh().await?;
        Ok(self.view().changes(start).with_permit(permit))
    }

    /// Returns a reader of the changes of one sandbox; `None` if it does not exist, and the reader knows that. Fails if
    /// too many are reading, or if a GET would fail.
    ///
    /// # Errors
    /// If too many are reading, or if a GET would fail.
    pub async fn changes_of(
        &self,
        id: &SandboxId,
        start: Start,
    ) -> Result<Option<ChangeReader>, SandboxError> {
        let permit = self.stream_permit()?;
        self.fresh().await?;
        self.readable(id)?;
        Ok(self.view().changes_of(id, start).map(|reader| reader.with_permit(permit)))
    }

    /// Returns all sandboxes that a LIST contains, in the order of their ids.
    ///
    /// # Errors
    /// If the view is stale.
    pub async fn list(&self) -> Result<Vec<(SandboxId, Status)>, SandboxError> {
        self.fresh().await?;
        Ok(self.shared.common.view.statuses())
    }

    /// Returns the position in the log of changes. A list that is made later has all changes up to it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.view().position()
    }

    /// Returns the state of the cluster. Waits a moment for its version if that is not known.
    pub async fn cluster(&self) -> ClusterState {
        let Inner { common, creates, .. } = &*self.shared;
        let version = common.cluster.version().await;
        let clocks = common.clocks();
        let fresh_since = common.view.fresh_since().map(|since| clocks.wall_at(since.into_std()));
        let Counts { groups, ready, .. } = common.view.counts();
        let mut sandboxes = BTreeMap::new();
        for (Group { status, .. }, count) in groups {
            *sandboxes.entry(status).or_default() += count;
        }
        ClusterState { version, fresh_since, sandboxes, ready, creates: creates.state() }
    }

    /// Returns the revision of the list: equal revisions mean equal lists, and a revision read before a list is never
    /// newer than that list. Fails if a list would fail.
    ///
    /// # Errors
    /// As from [`Sandboxes::list`].
    pub async fn revision(&self) -> Result<Revision, SandboxError> {
        self.fresh().await?;
        Ok(self.shared.common.view.revision())
    }
}
