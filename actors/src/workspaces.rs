//! Workspaces: the claims that the watch shows, their deletion, and the requests about them.

mod cleanup;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use lifecycle::{
    budget,
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::SandboxId,
    lifetime::Clocks,
    observed::{ResourceVersion, Uid},
    operation::Operation,
    reap_limiter::{ReapLimiter, ReapLimits},
    traits::{self, ClaimSink, Clock, Deletion, Outcome, Preconditions},
    workspace::{
        WorkspaceId,
        claim::ObservedClaim,
        growth::{self, Growth},
        retention::{DeleteReason, Usage},
        trouble::ClaimState,
    },
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use self::table::{Entry, Table};
use crate::view::{STALE_RETRY, View};

/// A handle to the workspaces. Cheap to clone.
#[derive(Clone)]
pub struct Workspaces(Arc<Inner>);

struct Inner {
    cluster: Arc<dyn traits::Workspaces>,
    view: Arc<View>,
    clock: Arc<dyn Clock>,
    /// The reap limits of workspaces, which are counted apart from sandboxes.
    limiter: Mutex<ReapLimiter<WorkspaceId>>,
    /// The number of deletions that were a dry run.
    dry_runs: AtomicU64,
    table: Mutex<Table>,
    /// Notified after each change of the table or of the Pods.
    changed: Arc<Notify>,
}

/// A workspace, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceStatus {
    /// Its id.
    pub id: WorkspaceId,
    /// Its claim.
    pub claim: ObservedClaim,
    /// The sandboxes whose Pods use it, in order of their ids.
    pub in_use_by: Vec<SandboxId>,
    /// When it will be deleted if no sandbox uses it before.
    pub deletes_at: Option<Timestamp>,
}

/// The retry delay after a conflict: the watch has shown the new state by then.
const CONFLICT_RETRY: Duration = Duration::from_secs(1);

// === impl Workspaces ===

impl Workspaces {
    /// Creates an empty table, which the watch on claims must feed. [`Workspaces::clean_up`] must run.
    pub(crate) fn new(
        cluster: Arc<dyn traits::Workspaces>,
        view: Arc<View>,
        clock: Arc<dyn Clock>,
        staleness: Duration,
        limits: ReapLimits,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        view.notify_of_changes(changed.clone());
        let clocks = Clocks { monotonic: Instant::now().into_std(), wall: clock.wall() };
        Self(Arc::new(Inner {
            cluster,
            view,
            clock,
            limiter: Mutex::new(ReapLimiter::new(limits, clocks)),
            dry_runs: AtomicU64::new(0),
            table: Mutex::new(Table::new(staleness)),
            changed,
        }))
    }

    fn clocks(&self) -> Clocks {
        Clocks { monotonic: Instant::now().into_std(), wall: self.0.clock.wall() }
    }

    /// Returns why the watch on claims is not up to date; `None` if it is.
    #[must_use]
    pub fn unready_reason(&self) -> Option<String> {
        self.0.table.lock().unready_reason()
    }

    /// Fails if the claims or the Pods are not known well enough to answer.
    fn fresh(&self) -> Result<(), SandboxError> {
        if !self.0.view.is_fresh() {
            return Err(self.0.view.stale());
        }
        match self.unready_reason() {
            Some(why) => Err(SandboxError::Stale { why, retry_after: STALE_RETRY }),
            None => Ok(()),
        }
    }

    /// Returns all workspaces, in order of their ids.
    ///
    /// # Errors
    /// The state of the cluster is stale.
    pub fn list(&self) -> Result<Vec<WorkspaceStatus>, SandboxError> {
        self.fresh()?;
        let in_use = self.0.view.workspaces_in_use();
        let clocks = self.clocks();
        let table = self.0.table.lock();
        let all = table.claims.iter();
        Ok(all.map(|(id, entry)| status(id, entry, &in_use, clocks).0).collect())
    }

    /// Returns one workspace; `None` if it does not exist.
    fn get(&self, id: &WorkspaceId) -> Result<Option<(WorkspaceStatus, Usage)>, SandboxError> {
        self.fresh()?;
        let in_use = self.0.view.workspaces_in_use();
        let clocks = self.clocks();
        let table = self.0.table.lock();
        Ok(table.claims.get(id).map(|entry| status(id, entry, &in_use, clocks)))
    }

    /// Deletes a workspace that no sandbox uses. Returns whether it existed.
    ///
    /// # Errors
    /// The state of the cluster is stale, a sandbox uses the workspace or may be about to, or the cluster refuses.
    pub async fn delete(&self, id: &WorkspaceId) -> Result<bool, SandboxError> {
        let Some((status, usage)) = self.get(id)? else { return Ok(false) };
        if status.claim.terminating {
            return Ok(true);
        }
        let why = if status.in_use_by.is_empty() {
            let is_taken = usage.may_be_taken(&status.claim, Instant::now().into_std());
            is_taken.then(|| "a create may be about to use the workspace; try again in a minute".to_owned())
        } else {
            let users: Vec<_> = status.in_use_by.iter().map(SandboxId::as_str).collect();
            Some(format!("the workspace is used by {}; delete its sandboxes first", users.join(", ")))
        };
        if let Some(why) = why {
            let fault = ClusterError::new(ClusterErrorKind::WorkspaceInUse, &why);
            return Err(SandboxError::Refused { operation: Operation::DeleteWorkspace, fault });
        }
        let uid = status.claim.uid.clone();
        let call = self.0.cluster.delete_claim(id.clone(), exactly(&status.claim));
        match within(budget::DELETE, Operation::DeleteWorkspace, call).await? {
            Outcome::Done(deletion) => {
                self.0.cluster.record_claim_event(id, &uid, DeleteReason::Requested, false);
                tracing::info!(workspace = %id, "a request has deleted the workspace");
                self.deleted(id, &uid, deletion);
                Ok(true)
            }
            Outcome::Refused(fault) | Outcome::Unknown(fault) => {
                Err(failure(Operation::DeleteWorkspace, fault))
            }
        }
    }

    /// Enlarges a workspace. Returns its new state; `None` if it does not exist.
    ///
    /// # Errors
    /// The size is not larger, or outside of the bounds of the workspace's profile, or the cluster refuses.
    pub async fn enlarge(
        &self,
        id: &WorkspaceId,
        size: &str,
    ) -> Result<Option<WorkspaceStatus>, SandboxError> {
        let Some((status, _)) = self.get(id)? else { return Ok(None) };
        let wanted = self.0.cluster.check_size(status.claim.profile.as_ref(), size)?;
        match growth::decide(&status.claim, &wanted) {
            Growth::Ask => {}
            Growth::Done => return Ok(Some(status)),
            Growth::Smaller(why) => return Err(SandboxError::BadRequest(why)),
            Growth::Refuse(fault) => return Err(failure(Operation::EnlargeWorkspace, fault)),
        }
        let call = self.0.cluster.enlarge(id.clone(), exactly(&status.claim), wanted);
        match within(budget::DELETE, Operation::EnlargeWorkspace, call).await? {
            Outcome::Done(claim) => {
                self.0.update(id, |table| table.wrote(id, claim));
                Ok(self.get(id)?.map(|(status, _)| status))
            }
            Outcome::Refused(fault) | Outcome::Unknown(fault) => {
                Err(failure(Operation::EnlargeWorkspace, fault))
            }
        }
    }

    /// Returns until when the reap limits have stopped all deletions.
    pub(crate) fn stopped_until(&self, now: std::time::Instant) -> Option<std::time::Instant> {
        self.0.limiter.lock().stopped_until(now)
    }

    /// Returns the number of deletions that were a dry run.
    pub(crate) fn dry_runs(&self) -> u64 {
        self.0.dry_runs.load(Ordering::Relaxed)
    }

    /// Ends a stop by the reap limits. Returns whether there was one.
    pub(crate) fn resume(&self, now: std::time::Instant) -> bool {
        let was_stopped = self.0.limiter.lock().resume(now);
        if was_stopped {
            self.0.table.lock().retry_all();
            self.0.changed.notify_one();
        }
        was_stopped
    }

    fn deleted(&self, id: &WorkspaceId, uid: &Uid, deletion: Deletion<ObservedClaim>) {
        self.0.update(id, |table| match deletion {
            Deletion::Gone => table.remove(id, uid),
            Deletion::Terminating(claim) => table.wrote(id, claim),
        });
    }
}

// === impl Inner ===

impl Inner {
    /// Changes what is known of a claim, and shows it in the answers about its sandboxes.
    fn update(&self, id: &WorkspaceId, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.lock();
        change(&mut table);
        self.show(&table, id);
    }

    /// Shows a claim in the answers about its sandboxes.
    fn show(&self, table: &Table, id: &WorkspaceId) {
        let state = table.claims.get(id).map(|entry| ClaimState::from(&entry.claim));
        self.view.set_claim(id, state.as_ref());
    }
}

/// Returns the preconditions that a claim is in exactly the observed state.
fn exactly(claim: &ObservedClaim) -> Preconditions {
    let version = (claim.version != ResourceVersion::UNKNOWN).then_some(claim.version);
    Preconditions { uid: claim.uid.clone(), version }
}

/// Returns a workspace as callers see it, and the use of its claim.
fn status(
    id: &WorkspaceId,
    Entry { claim, usage, retry_at: _ }: &Entry,
    in_use: &BTreeMap<WorkspaceId, Vec<SandboxId>>,
    clocks: Clocks,
) -> (WorkspaceStatus, Usage) {
    let in_use_by = in_use.get(id).cloned().unwrap_or_default();
    let usage = Usage::observe(*usage, claim, !in_use_by.is_empty(), clocks);
    let deletes_at = usage.deletes_at(claim).filter(|_| !claim.terminating);
    let deletes_at = deletes_at.map(|at| clocks.wall_at(at));
    (WorkspaceStatus { id: id.clone(), claim: claim.clone(), in_use_by, deletes_at }, usage)
}

/// Waits for a call of a request, at most until its deadline.
pub(crate) async fn within<T>(
    deadline: Duration,
    operation: Operation,
    call: impl Future<Output = T>,
) -> Result<T, SandboxError> {
    tokio::time::timeout(deadline, call)
        .await
        .map_err(|_| SandboxError::TimedOut { operation, after: deadline })
}

/// Converts a cluster error into the error for the caller.
fn failure(operation: Operation, fault: ClusterError) -> SandboxError {
    if !fault.kind.is_passing() {
        return SandboxError::Refused { operation, fault };
    }
    let retry_after = fault.retry_after.unwrap_or(CONFLICT_RETRY).max(CONFLICT_RETRY);
    SandboxError::Unavailable { operation, fault, retry_after }
}

impl ClaimSink for Workspaces {
    fn claim(&self, id: WorkspaceId, claim: ObservedClaim) {
        self.0.update(&id, |table| table.observed(id.clone(), claim));
        self.0.changed.notify_one();
    }

    fn claim_gone(&self, id: &WorkspaceId, claim: &Uid) {
        self.0.update(id, |table| table.remove(id, claim));
    }

    fn claims_listed(&self, claims: Vec<(WorkspaceId, ObservedClaim)>) {
        let mut table = self.0.table.lock();
        let mut concerned: BTreeSet<_> = table.claims.keys().cloned().collect();
        table.listed(claims);
        concerned.extend(table.claims.keys().cloned());
        for id in &concerned {
            self.0.show(&table, id);
        }
        drop(table);
        self.0.view.claims_are_listed();
        self.0.changed.notify_one();
    }

    fn claims_synced(&self) {
        self.0.table.lock().synced();
    }

    fn claims_failing(&self, why: &str) {
        self.0.table.lock().failing(why);
    }
}
