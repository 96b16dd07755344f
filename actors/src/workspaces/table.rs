//! The observed claims, and the age of that knowledge.

use std::{collections::BTreeMap, time::Duration};

use lifecycle::{
    observed::Uid,
    workspace::{WorkspaceId, claim::ObservedClaim, retention::Usage},
};
use tokio::time::Instant;

/// The observed claims.
pub(super) struct Table {
    pub(super) claims: BTreeMap<WorkspaceId, Entry>,
    /// The staleness limit.
    limit: Duration,
    /// When the watch was last up to date; `None` until the first list.
    synced: Option<Instant>,
    failing: Option<String>,
}

/// One claim.
pub(super) struct Entry {
    pub(super) claim: ObservedClaim,
    /// The use of the claim; `None` until the first decision.
    pub(super) usage: Option<Usage>,
    /// When a call that failed, or that the reap limits defer, is tried again.
    pub(super) retry_at: Option<Instant>,
}

// === impl Table ===

impl Table {
    pub(super) fn new(limit: Duration) -> Self {
        Self { claims: BTreeMap::new(), limit, synced: None, failing: None }
    }

    /// Returns why nothing can be decided on; `None` if the watch is up to date.
    pub(super) fn unready_reason(&self) -> Option<String> {
        let because = self.failing.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        match self.synced {
            None => Some(format!("workspaces are not listed yet{because}")),
            Some(synced) => {
                let age = synced.elapsed();
                (age > self.limit).then(|| format!("no news of workspaces for {} s{because}", age.as_secs()))
            }
        }
    }

    /// Applies an observation of the watch. An older one of the same claim changes nothing.
    pub(super) fn observed(&mut self, id: WorkspaceId, claim: ObservedClaim) {
        match self.claims.get_mut(&id) {
            Some(known) if known.claim.uid == claim.uid => {
                if claim.version >= known.claim.version {
                    if claim.version > known.claim.version {
                        known.retry_at = None;
                    }
                    known.claim = claim;
                }
            }
            _ => drop(self.claims.insert(id, Entry { claim, usage: None, retry_at: None })),
        }
    }

    /// Applies the answer to a call. A claim that is gone meanwhile does not return.
    pub(super) fn wrote(&mut self, id: &WorkspaceId, claim: ObservedClaim) {
        if self.claims.get(id).is_some_and(|known| known.claim.uid == claim.uid) {
            self.observed(id.clone(), claim);
        }
    }

    /// Removes the claim with this uid.
    pub(super) fn remove(&mut self, id: &WorkspaceId, uid: &Uid) {
        if self.claims.get(id).is_some_and(|known| known.claim.uid == *uid) {
            self.claims.remove(id);
        }
    }

    /// Applies a complete list.
    pub(super) fn listed(&mut self, claims: Vec<(WorkspaceId, ObservedClaim)>) {
        let uids: BTreeMap<_, _> = claims.iter().map(|(id, claim)| (id.clone(), claim.uid.clone())).collect();
        self.claims.retain(|id, known| uids.get(id) == Some(&known.claim.uid));
        for (id, claim) in claims {
            self.observed(id, claim);
        }
        self.set_synced();
    }

    /// Records that the watch is up to date. Has no effect before its first list.
    pub(super) fn synced(&mut self) {
        if self.synced.is_some() {
            self.set_synced();
        }
    }

    fn set_synced(&mut self) {
        self.synced = Some(Instant::now());
        self.failing = None;
    }

    pub(super) fn failing(&mut self, why: &str) {
        self.failing = Some(why.to_owned());
    }

    /// Lets every deferred call be tried again now.
    pub(super) fn retry_all(&mut self) {
        for entry in self.claims.values_mut() {
            entry.retry_at = None;
        }
    }

    /// Defers the next call about a claim.
    pub(super) fn retry_at(&mut self, id: &WorkspaceId, at: Instant) {
        if let Some(entry) = self.claims.get_mut(id) {
            entry.retry_at = Some(at);
        }
    }
}
