//! The view: the in-memory table of all observed objects, which answers all reads.
//!
//! The shared watch and the answers to our own calls update it, in any order. Each observation has a uid and a
//! resourceVersion, so the result does not depend on the order.

mod change;
mod change_log;
pub mod change_reader;
mod claims;
mod freshness;
mod merge;
mod pod_events;
mod row;
mod shown;
#[cfg(test)]
mod tests;
mod timeline;
mod unreadable;
mod waits;
mod watch_sink;
mod writes;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use lifecycle::{
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    observed::{Observed, PodTimes, Status, Uid},
    phase::Phase,
    readiness::Readiness,
    traits::{Clock, Kind},
    workspace::WorkspaceId,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::{
    change::{Change, ChangeKind, Visible, unreadable},
    change_log::{Position, PositionError, Start},
    freshness::STALE_RETRY,
    shown::Shown,
};
use self::{
    change_log::ChangeLog, claims::Claims, freshness::Freshness, merge::Gone, shown::RowCell, waits::Waits,
};
use crate::{
    metrics::{
        Metrics,
        gauges::{Counts, Group, ReasonLabel},
    },
    timelines::Timelines,
};

/// The in-memory table of all observed objects. The map is private: methods take and return owned values, and no
/// guard is held across a call to other code.
pub struct View {
    /// The cluster of the objects.
    cluster: ClusterName,
    rows: DashMap<SandboxId, RowCell>,
    gone: Mutex<Gone>,
    freshness: Freshness,
    /// The claims of the workspaces.
    claims: Claims,
    clock: Arc<dyn Clock>,
    /// The number of lists of each kind that were started, which numbers the lists.
    pod_lists: AtomicU64,
    service_lists: AtomicU64,
    /// A counter that is incremented after every change that callers could see.
    revision: AtomicU64,
    /// The requests that wait for changes of a row.
    waits: Arc<Waits>,
    /// The changes that callers could see.
    changes: ChangeLog,
    /// Is notified when `changes` has another one.
    appended: Arc<Notify>,
    /// The timelines of sandboxes that are over. Those of the others are in the rows.
    timelines: Timelines,
    /// The counters of the daemon.
    pub(crate) metrics: Metrics,
    /// Is notified of every change, if something needs that.
    notified: OnceLock<Arc<Notify>>,
    /// The callback for sandboxes whose actor should compare again.
    listener: OnceLock<Box<dyn Fn(SandboxId) + Send + Sync>>,
}

/// The revision of a list: equal revisions mean equal lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub u64);

/// Whether a sandbox's Pod exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The Pod exists, in any phase, with this uid.
    Present(Uid),
    /// The Pod does not exist.
    Absent,
    /// A create is in flight, or its outcome is unknown.
    Unknown,
}

// === impl View ===

impl View {
    /// Creates an empty view of a cluster, whose staleness limit is `staleness`.
    #[must_use]
    pub fn new(cluster: ClusterName, staleness: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            cluster,
            rows: DashMap::new(),
            gone: Mutex::default(),
            freshness: Freshness::new(staleness),
            claims: Claims::default(),
            clock: clock.clone(),
            pod_lists: AtomicU64::new(0),
            service_lists: AtomicU64::new(0),
            revision: AtomicU64::new(0),
            waits: Arc::default(),
            changes: ChangeLog::new(change_log::CAPACITY),
            appended: Arc::default(),
            timelines: Timelines::new(clock),
            metrics: Metrics::default(),
            notified: OnceLock::new(),
            listener: OnceLock::new(),
        }
    }

    /// Sets the callback for sandboxes whose actor should compare again. Only the first call has an effect.
    pub(crate) fn set_listener(&self, listener: impl Fn(SandboxId) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Returns whether the view is fresh enough to answer from.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.freshness.is_fresh()
    }

    /// Sets what is notified of every change. Only the first call has an effect.
    pub(crate) fn notify_of_changes(&self, notified: Arc<Notify>) {
        let _ = self.notified.set(notified);
    }

    /// Returns the workspaces that Pods use, terminating ones too, with the sandboxes in order of their ids.
    pub(crate) fn workspaces_in_use(&self) -> BTreeMap<WorkspaceId, Vec<SandboxId>> {
        let mut used = BTreeMap::<_, Vec<_>>::new();
        for row in &self.rows {
            if let Some(workspace) = row.pod.as_ref().and_then(|known| known.object.spec.workspace.as_ref()) {
                used.entry(workspace.id.clone()).or_default().push(row.key().clone());
            }
        }
        for sandboxes in used.values_mut() {
            sandboxes.sort_unstable();
        }
        used
    }

    /// Returns why the watch of this kind is not ready; `None` if it is.
    #[must_use]
    pub fn unready_reason(&self, kind: Kind) -> Option<String> {
        self.freshness.unready_reason(kind)
    }

    /// Returns the error for a read while the view is stale. It names the cluster, unless that is the default.
    #[must_use]
    pub fn stale(&self) -> SandboxError {
        let why = self.stale_reason();
        let why = if self.cluster == ClusterName::DEFAULT {
            why
        } else {
            format!("cluster '{}': {why}", self.cluster)
        };
        SandboxError::Stale { why, retry_after: STALE_RETRY }
    }

    /// Returns why the view is stale, or an empty text.
    #[must_use]
    pub fn stale_reason(&self) -> String {
        let why: Vec<_> = self.unready_watches().map(|(name, why)| format!("{name}: {why}")).collect();
        why.join("; ")
    }

    /// Returns the cluster of the objects.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Returns the watches that are not ready, with the reasons.
    pub(crate) fn unready_watches(&self) -> impl Iterator<Item = (&'static str, String)> {
        let watches = [("watch-pods", Kind::Pod), ("watch-services", Kind::Service)];
        watches.into_iter().filter_map(|(name, kind)| self.unready_reason(kind).map(|why| (name, why)))
    }

    /// Returns how long the view has not been fresh: the time since the older watch was up to date, or since the start
    /// before its first list. `None` while it is fresh.
    #[must_use]
    pub fn away_for(&self) -> Option<Duration> {
        self.freshness.away_for()
    }

    /// Returns whether both kinds have been listed once.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.freshness.since().is_some()
    }

    /// Returns since when all existing objects are known; `None` until both kinds have been listed once.
    pub(crate) fn known_since(&self) -> Option<tokio::time::Instant> {
        self.freshness.since()
    }

    /// Waits until both kinds have been listed once.
    pub async fn loaded(&self) {
        self.freshness.first_list(Duration::MAX).await;
    }

    /// Waits until both kinds have been listed once, at most for `patience`.
    pub(crate) async fn first_list(&self, patience: Duration) {
        self.freshness.first_list(patience).await;
    }

    /// Returns the status that callers see; `None` if they see no sandbox.
    #[must_use]
    pub fn status(&self, id: &SandboxId) -> Option<Status> {
        let status = self.rows.get(id)?.status()?;
        Some(self.completed(status))
    }

    /// Returns what a GET shows of the sandbox; `None` if callers see no sandbox.
    ///
    /// # Errors
    /// If an object of this kind is too large to be read.
    pub(crate) fn shown(&self, id: &SandboxId) -> Result<Option<Arc<Shown>>, Kind> {
        let Some(row) = self.rows.get(id) else { return Ok(None) };
        row.unreadable().map_or_else(|| Ok(row.shown(|status| self.completed(status))), Err)
    }

    /// Returns the statuses of all published sandboxes, in order of their ids.
    #[must_use]
    pub fn statuses(&self) -> Vec<(SandboxId, Status)> {
        self.statuses_after(None, |_| true)
    }

    /// Returns the statuses of the published sandboxes that match and whose ids come after this one, in order of their
    /// ids.
    #[must_use]
    pub fn statuses_after(
        &self,
        after: Option<&SandboxId>,
        matches: impl Fn(&Status) -> bool,
    ) -> Vec<(SandboxId, Status)> {
        let mut all: Vec<_> = self
            .rows
            .iter()
            .filter(|row| after.is_none_or(|after| row.key() > after))
            .filter_map(|row| {
                let status = self.completed(row.status()?);
                matches(&status).then(|| (row.key().clone(), status))
            })
            .collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Returns the position in the log of changes. If it is read before a list, a reader that begins there misses no
    /// later change.
    #[must_use]
    pub fn position(&self) -> Position {
        self.changes.last_position()
    }

    /// Returns since when the view has been fresh without a break; `None` while it is not.
    pub(crate) fn fresh_since(&self) -> Option<tokio::time::Instant> {
        self.freshness.fresh_since()
    }

    /// Counts the objects of all rows.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for row in &self.rows {
            counts.services += u64::from(row.service.is_some());
            counts.orphans += u64::from(!row.unpublished && row.pod.is_some() != row.service.is_some());
            let Some(status) = row.status().map(|status| self.completed(status)) else { continue };
            counts.ready += u64::from(status.ready);
            if !status.ready && status.phase != Phase::Terminating {
                *counts.not_ready.entry(ReasonLabel::of(status.reason.as_deref())).or_default() += 1;
            }
            let profile = status.spec.profile.as_ref().map(ToString::to_string).unwrap_or_default();
            *counts.groups.entry(Group { status: status.phase.name(), profile }).or_default() += 1;
        }
        counts
    }

    /// Returns the time since the watch of this kind was up to date; `None` before its first list.
    #[must_use]
    pub fn age(&self, kind: Kind) -> Option<Duration> {
        self.freshness.age(kind)
    }

    /// Returns the current revision. If it is read before [`View::statuses`], it is never newer than they are.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::SeqCst))
    }

    fn new_revision(&self) {
        self.revision.fetch_add(1, Ordering::SeqCst);
    }

    /// Publishes a change of a row. The row must not be locked.
    fn changed(&self, id: &SandboxId) {
        if let Some(notified) = self.notified.get() {
            notified.notify_one();
        }
        self.new_revision();
        if self.changes.publish(id, || self.visible(id)) {
            self.wake_readers_of(id);
        } else {
            // A wait may end although a caller sees no change: the sandbox is still not shown.
            self.waits.changed(id);
        }
    }

    /// Returns what a GET of the sandbox returns.
    fn visible(&self, id: &SandboxId) -> Visible {
        let Some(row) = self.rows.get(id) else { return Visible::Gone(None) };
        match row.unreadable() {
            Some(kind) => Visible::Unreadable(kind),
            None => {
                row.status().map_or(Visible::Gone(None), |status| Visible::Present(self.completed(status)))
            }
        }
    }

    /// Waits until the sandbox is ready, has failed for good, or is not shown any more. Returns its status.
    pub(crate) async fn settled(&self, id: &SandboxId) -> Option<Status> {
        let is_over =
            |status: Option<&Status>| status.is_none_or(|status| Readiness::of(status) != Readiness::Waiting);
        let look = || Some(self.status(id)).filter(|status| is_over(status.as_ref()));
        self.waits.add(id).until(look).await
    }

    /// Returns when the sandbox's Pod came closer to running.
    pub(crate) fn pod_times(&self, id: &SandboxId) -> PodTimes {
        let row = self.rows.get(id);
        row.and_then(|row| row.pod.as_ref().map(|known| known.object.times)).unwrap_or_default()
    }

    /// Waits until the sandbox's Pod is not the one with this uid any more.
    pub(crate) async fn pod_gone(self: Arc<Self>, id: SandboxId, pod: Uid) {
        let is_there = || matches!(self.presence(&id), Presence::Present(uid) if uid == pod);
        self.waits.add(&id).until(|| (!is_there()).then_some(())).await;
    }

    /// Waits until no object of the sandbox is left, or until one is that does not terminate.
    pub async fn terminated(&self, id: &SandboxId) {
        let is_over = || (!self.contains(id) || self.may_live_on(id)).then_some(());
        self.waits.add(id).until(is_over).await;
    }

    /// Returns whether there is a row for the sandbox, published or not.
    #[must_use]
    pub fn contains(&self, id: &SandboxId) -> bool {
        self.rows.contains_key(id)
    }

    /// Returns whether an object of the sandbox may exist in a while. An object that is terminating does not, and a create
    /// whose outcome is not known may have made one.
    #[must_use]
    pub fn may_live_on(&self, id: &SandboxId) -> bool {
        self.rows.get(id).is_some_and(|row| row.may_live_on())
    }

    /// Returns the ids of all rows, in any order.
    #[must_use]
    pub fn ids(&self) -> Vec<SandboxId> {
        self.rows.iter().map(|row| row.key().clone()).collect()
    }

    /// Returns whether the sandbox's Pod exists, published or not.
    pub(crate) fn presence(&self, id: &SandboxId) -> Presence {
        let Some(row) = self.rows.get(id) else { return Presence::Absent };
        match &row.pod {
            Some(pod) => Presence::Present(pod.object.uid.clone()),
            None if row.unpublished => Presence::Unknown,
            None => Presence::Absent,
        }
    }

    /// Returns whether the sandbox has a Pod that is not terminating.
    pub(crate) fn has_usable_pod(&self, id: &SandboxId) -> bool {
        self.rows.get(id).is_some_and(|row| row.pod.as_ref().is_some_and(|known| !known.object.terminating))
    }

    /// Returns whether the sandbox is complete and neither object is terminating.
    #[must_use]
    pub fn is_whole(&self, id: &SandboxId) -> bool {
        self.rows.get(id).is_some_and(|row| row.is_whole())
    }

    /// Returns whether the sandbox was asked to be deleted and its objects are left, also while the cluster is away.
    #[must_use]
    pub fn is_being_deleted(&self, id: &SandboxId) -> bool {
        self.rows.get(id).is_some_and(|row| row.being_deleted)
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the observed objects for the sandbox's actor. From here on, a change notifies the actor again.
    pub(crate) fn snapshot(&self, id: &SandboxId) -> Observed {
        self.rows.get_mut(id).map_or_else(Observed::default, |mut row| {
            row.notified = false;
            row.seen()
        })
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}
