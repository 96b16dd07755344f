//! The claims of workspaces, as the answers about their sandboxes show them.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use jiff::Timestamp;
use lifecycle::{
    ids::SandboxId,
    observed::Status,
    phase::Phase,
    workspace::{
        PodWorkspace, WorkspaceId,
        trouble::{self, ClaimState},
    },
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

use super::View;

/// The pause between two rounds of changes, in which they are collected.
const PAUSE: Duration = Duration::from_millis(200);

/// How often Pods are looked for that have waited for their claim for long.
const INTERVAL: Duration = Duration::from_secs(10);

/// The known claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    states: DashMap<WorkspaceId, ClaimState>,
    /// Whether all claims are known, so that one that is not known does not exist.
    are_listed: AtomicBool,
    /// The claims that have changed since the last round.
    changed: Mutex<BTreeSet<WorkspaceId>>,
    has_changed: Notify,
}

// === impl View ===

impl View {
    /// Sets the state of a claim; `None` if it does not exist.
    pub(crate) fn set_claim(&self, id: &WorkspaceId, state: Option<&ClaimState>) {
        let before = match state {
            Some(state) => self.claims.states.insert(id.clone(), state.clone()),
            None => self.claims.states.remove(id).map(|(_, state)| state),
        };
        if before.as_ref() != state {
            self.claims.changed.lock().insert(id.clone());
            self.claims.has_changed.notify_one();
        }
    }

    /// Returns whether there is a claim of this workspace; `None` if the claims have not been listed.
    pub(crate) fn has_claim(&self, id: &WorkspaceId) -> Option<bool> {
        let is_known = self.claims.states.contains_key(id);
        (is_known || self.claims.are_listed.load(Ordering::Relaxed)).then_some(is_known)
    }

    /// Records that all claims are known.
    pub(crate) fn claims_are_listed(&self) {
        self.claims.are_listed.store(true, Ordering::Relaxed);
    }

    /// Adds what the Pod and the Service do not show: the cluster, and the state of the workspace's claim.
    pub(super) fn completed(&self, mut status: Status) -> Status {
        status.cluster = self.cluster.clone();
        let Some(workspace) = &status.spec.workspace else { return status };
        let id = workspace.id.clone();
        let state = self.claims.states.get(&id).map(|state| state.clone());
        if let Some(ClaimState { size, when_deleted, .. }) = &state {
            let (size, when_deleted) = (Some(size.clone()), Some(*when_deleted));
            status.spec.workspace = Some(Arc::new(PodWorkspace { id: id.clone(), size, when_deleted }));
        }
        if state.is_some() || self.claims.are_listed.load(Ordering::Relaxed) {
            let age = self.age_of(status.created);
            if let Some(reason) = trouble::explain(&id, state.as_ref(), &status, age) {
                status.reason = Some(Arc::new(reason));
            }
        }
        status
    }

    /// Publishes the changes of claims as changes of their sandboxes. Ends only when it is dropped.
    pub(crate) async fn publish_claims(&self) -> Infallible {
        loop {
            let changed = mem::take(&mut *self.claims.changed.lock());
            for sandbox in self.sandboxes_of(&changed) {
                self.changed(&sandbox);
            }
            sleep(PAUSE).await;
            tokio::select! {
                () = self.claims.has_changed.notified() => {}
                () = sleep(INTERVAL) => {}
            }
        }
    }

    /// Returns the sandboxes that have one of these claims, and those that have just waited for their claim for long, in
    /// order of their ids.
    fn sandboxes_of(&self, changed: &BTreeSet<WorkspaceId>) -> BTreeSet<SandboxId> {
        // A few rounds, so that a late one misses nothing.
        let just = trouble::LONG..trouble::LONG + 3 * INTERVAL;
        let mut found = BTreeSet::new();
        for row in &self.rows {
            let Some(pod) = row.pod.as_ref().map(|known| &known.object) else { continue };
            let Some(workspace) = &pod.spec.workspace else { continue };
            let has_waited = || pod.phase == Phase::Pending && just.contains(&self.age_of(pod.created));
            if changed.contains(&workspace.id) || has_waited() {
                found.insert(row.key().clone());
            }
        }
        found
    }

    /// Returns the age of a Pod.
    fn age_of(&self, created: Option<Timestamp>) -> Duration {
        let age = created.map(|created| self.clock.wall().duration_since(created));
        age.and_then(|age| age.try_into().ok()).unwrap_or_default()
    }
}
