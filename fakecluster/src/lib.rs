//! A cluster in memory, for the tests of `actors` and `fleet`. It keeps Pods and Services, reports them to the views as
//! the watch does, and fails calls on request.
//!
//! [`FakeCluster::start`] starts the actors of a process on it, and [`FakeCluster::watch`] their watch. Its other functions
//! are what the cluster, or a person with `kubectl`, does to a sandbox.

#![allow(clippy::missing_panics_doc, reason = "a fake panics to fail the test")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a fake panics to fail the test")]
#![allow(clippy::must_use_candidate, reason = "only tests call it")]

mod calls;
mod claims;
mod clock;
mod deaths;
mod manual;
mod state;
mod watch;
mod writes;

use std::sync::{Arc, Weak};

use actors::{
    sandboxes::{Rules, Sandboxes},
    streams::Streams,
};
use lifecycle::{
    ids::{ClusterName, SandboxId},
    request::CreateRequest,
};
use parking_lot::{Mutex, MutexGuard};

pub use self::{
    clock::WallClock,
    deaths::{Death, Writes},
    state::{Mode, State, TERMINATION},
};

/// A cluster in memory.
pub struct FakeCluster {
    /// Its name.
    pub name: ClusterName,
    this: Weak<Self>,
    clock: WallClock,
    writes: Arc<Writes>,
    state: Mutex<State>,
    sandboxes: Mutex<Option<Sandboxes>>,
}

/// Parses the id of a sandbox.
pub fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

/// Returns a request for a sandbox without limits.
pub fn request(text: &str) -> CreateRequest {
    CreateRequest::new(id(text))
}

impl FakeCluster {
    /// Creates an empty cluster, used by the process that makes these writes.
    pub fn new(name: ClusterName, writes: Arc<Writes>, clock: WallClock) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            let (this, state, sandboxes) = (this.clone(), Mutex::default(), Mutex::default());
            Self { name, this, clock, writes, state, sandboxes }
        })
    }

    /// Starts the actors of a process. Their view is empty and stale until [`FakeCluster::watch`].
    pub async fn start(self: &Arc<Self>, rules: Rules, streams: Streams) -> Sandboxes {
        let (name, clock) = (self.name.clone(), self.clock.clone());
        let sandboxes = Sandboxes::start(name, self.clone(), rules, streams, clock).await.unwrap();
        let sandboxes = sandboxes.with_workspaces(self.clone(), &rules);
        *self.sandboxes.lock() = Some(sandboxes.clone());
        self.state().has_missed = true;
        sandboxes
    }

    /// Returns the state, locked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
