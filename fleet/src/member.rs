//! A cluster of the fleet.

use std::{sync::Arc, time::Duration};

use actors::{sandboxes::Sandboxes, view::View};
use lifecycle::{
    ids::{ClusterName, SandboxId},
    placement::{
        Terms,
        route::{Holding, Reach, State},
    },
    request::CreateRequest,
};
use parking_lot::RwLock;

use crate::{
    backend::{ClusterChange, ClusterReport},
    check::Checks,
};

/// A cluster of the fleet. A clone is a handle to the same cluster.
#[derive(Clone)]
pub struct Member {
    /// Its sandboxes.
    pub sandboxes: Sandboxes,
    /// Its checks.
    pub checks: Checks,
    offer: Arc<RwLock<Offer>>,
    /// Whether it was added while the daemon runs. Until its first list it counts as one without sandboxes, as before. So a
    /// mistake in its settings makes no other request fail.
    is_added: bool,
}

/// The terms on which a cluster gets sandboxes, as an operator has set them last.
#[derive(Debug, Clone)]
struct Offer {
    terms: Terms,
    /// Whether it gets none, whatever its weight.
    is_drained: bool,
}

// === impl Member ===

impl Member {
    /// Creates a member of the actors of a cluster, of its checks, and of the terms on which it gets sandboxes.
    #[must_use]
    pub fn new(sandboxes: Sandboxes, checks: Checks, terms: Terms) -> Self {
        let offer = Arc::new(RwLock::new(Offer { terms, is_drained: false }));
        Self { sandboxes, checks, offer, is_added: false }
    }

    /// Returns this member as one that is added while the daemon runs.
    pub(crate) fn added(self) -> Self {
        Self { is_added: true, ..self }
    }

    /// Returns whether it takes part: it was there at the start, or has been listed since.
    pub(crate) fn has_joined(&self) -> bool {
        !self.is_added || self.view().is_listed()
    }

    /// Returns the name of the cluster.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        self.view().cluster()
    }

    /// Returns the terms on which it gets sandboxes. While it is drained, its weight is 0.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let Offer { terms, is_drained } = self.offer.read().clone();
        Terms { weight: if is_drained { 0 } else { terms.weight }, ..terms }
    }

    /// Returns whether it takes every sandbox of such a request, so that there is nothing to choose if it is alone.
    pub(crate) fn takes_everything(&self, request: &CreateRequest) -> bool {
        let Offer { terms, is_drained } = &*self.offer.read();
        let asks_for_nothing = request.cluster.is_none() && request.cluster_selector.is_none();
        let is_draining = *is_drained || terms.is_draining();
        asks_for_nothing && !is_draining && terms.max_sandboxes.is_none() && terms.profiles.is_none()
    }

    /// Sets the terms on which it gets sandboxes. A drain that was asked for goes on.
    pub fn set_terms(&self, terms: Terms) {
        self.offer.write().terms = terms;
    }

    /// Changes the weight, and begins or ends a drain.
    pub(crate) fn change(&self, change: ClusterChange) {
        let mut offer = self.offer.write();
        if let Some(weight) = change.weight {
            offer.terms.weight = weight;
        }
        if let Some(drain) = change.drain {
            offer.is_drained = drain;
        }
    }

    /// Returns the cluster as operators see it. `sandboxes` is the number that counts towards its maximum.
    pub(crate) async fn report(&self, sandboxes: u64) -> ClusterReport {
        let Offer { terms, is_drained } = self.offer.read().clone();
        ClusterReport {
            name: self.name().clone(),
            room: terms.max_sandboxes.map(|max| max.saturating_sub(sandboxes)),
            terms,
            is_drained,
            state: self.sandboxes.cluster().await,
            checks: (self.checks)(),
        }
    }

    pub(crate) fn view(&self) -> &View {
        self.sandboxes.view()
    }

    /// Returns how well the objects of the cluster are known. After `loss_timeout` it is lost.
    pub(crate) fn reach(&self, loss_timeout: Option<Duration>) -> Reach {
        match self.view().away_for() {
            None => Reach::Fresh,
            Some(away) if loss_timeout.is_some_and(|timeout| away >= timeout) => Reach::Lost,
            Some(_) => Reach::Stale,
        }
    }

    /// Returns what the cluster shows of the sandbox, and how well that is known.
    pub(crate) fn state(&self, id: &SandboxId, loss_timeout: Option<Duration>) -> State {
        let (view, reach) = (self.view(), self.reach(loss_timeout));
        let holding = match view.status(id) {
            Some(_) => Holding::Shown,
            None if view.contains(id) => Holding::Held,
            None if view.is_listed() || self.is_added => Holding::Absent,
            None => Holding::Unknown,
        };
        State { holding, reach }
    }
}
