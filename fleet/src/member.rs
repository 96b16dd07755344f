//! A cluster of the fleet.

use std::{sync::Arc, time::Duration};

use actors::{sandboxes::Sandboxes, view::View};
use lifecycle::{
    ids::{ClusterName, SandboxId},
    placement::{
        Terms,
        route::{Holding, Reach, State},
    },
};
use parking_lot::RwLock;

use crate::check::Checks;

/// A cluster of the fleet. A clone is a handle to the same cluster.
#[derive(Clone)]
pub struct Member {
    /// Its sandboxes.
    pub sandboxes: Sandboxes,
    /// Its checks.
    pub checks: Checks,
    terms: Arc<RwLock<Terms>>,
}

// === impl Member ===

impl Member {
    /// Creates a member of the actors of a cluster, of its checks, and of the terms on which it gets sandboxes.
    #[must_use]
    pub fn new(sandboxes: Sandboxes, checks: Checks, terms: Terms) -> Self {
        Self { sandboxes, checks, terms: Arc::new(RwLock::new(terms)) }
    }

    /// Returns the name of the cluster.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        self.view().cluster()
    }

    /// Returns the terms on which it gets sandboxes.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms.read().clone()
    }

    /// Sets the terms on which it gets sandboxes.
    pub fn set_terms(&self, terms: Terms) {
        *self.terms.write() = terms;
    }

    pub(crate) fn view(&self) -> &View {
        self.sandboxes.view()
    }

    /// Returns what the cluster shows of the sandbox, and how well that is known. After `loss_timeout` the cluster is lost.
    pub(crate) fn state(&self, id: &SandboxId, loss_timeout: Option<Duration>) -> State {
        let view = self.view();
        let reach = match view.away_for() {
            None => Reach::Fresh,
            Some(away) if loss_timeout.is_some_and(|timeout| away >= timeout) => Reach::Lost,
            Some(_) => Reach::Stale,
        };
        let holding = match view.status(id) {
            Some(_) => Holding::Shown,
            None if view.contains(id) => Holding::Held,
            None if view.is_listed() => Holding::Absent,
            None => Holding::Unknown,
        };
        State { holding, reach }
    }
}
