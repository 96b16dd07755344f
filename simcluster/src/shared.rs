//! What the parts of one cluster share. There is no other state: two clusters never meet.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::api;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::FaultTable;
use crate::options::Options;
use crate::ports::{ClusterAddresses, NodePorts};
use crate::random::Random;
use crate::resource::{Resource, SERVICES};
use crate::store::{Object, Store};

/// One cluster.
#[derive(Debug)]
pub(crate) struct Shared {
    pub options: Options,
    pub clock: Clock,
    /// Held by everybody for short, never over an await.
    state: Mutex<State>,
    calls: Mutex<CallLog>,
    faults: Mutex<FaultTable>,
    /// Whether the server is there; open watches listen to it.
    pub link: watch::Sender<Link>,
    /// Calls that found no server.
    refused: AtomicU64,
}

/// All that a call may change.
#[derive(Debug)]
pub(crate) struct State {
    pub store: Store,
    pub random: Random,
    pub ports: NodePorts,
    pub addresses: ClusterAddresses,
    /// How many Pods have had an address; the next one gets the next.
    pub pod_addresses: u32,
    /// Uids of Pods that the node leaves alone, because somebody wrote their status by hand.
    pub let_go: HashSet<String>,
}

/// The connection between clients and the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whether the server cannot be reached.
    pub away: bool,
    /// Goes up whenever all open watches are cut.
    pub cuts: u64,
    /// Whether all watches are silent.
    pub stalled: bool,
}

// === impl Shared ===

impl Shared {
    pub fn new(options: Options) -> Self {
        let clock = Clock::starting_at(options.start.unwrap_or_else(jiff::Timestamp::now));
        let state = State {
            store: Store::new(options.watch_window),
            random: Random::seeded(options.seed),
            ports: NodePorts::new(options.node_ports.clone(), options.sandbox_servers),
            addresses: ClusterAddresses::default(),
            pod_addresses: 0,
            let_go: HashSet::new(),
        };
        Self {
            clock,
            state: Mutex::new(state),
            calls: Mutex::new(CallLog::new(options.call_log)),
            faults: Mutex::default(),
            link: watch::Sender::new(Link::default()),
            refused: AtomicU64::new(0),
            options,
        }
    }

    /// The state. A panic of another holder does not make it unusable: every change is made in one step.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn calls(&self) -> MutexGuard<'_, CallLog> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> MutexGuard<'_, FaultTable> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

// === impl State ===

impl State {
    /// Removes an object and takes back what it was given.
    pub fn remove(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Object>> {
        let gone = self.store.remove(resource, namespace, name)?;
        if resource == SERVICES {
            api::release_service(self, &gone.value);
        }
        Some(gone)
    }
}
