//! What the parts of one cluster share. There is no other state: two clusters never meet.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::watch;

#[cfg(feature = "rbac")]
use crate::access::state::Access;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::{FaultTable, RuleId};
use crate::node::settings::Settings;
use crate::options::Options;
use crate::ports::{ClusterAddresses, NodePorts, node_ports};
use crate::random::{self, Random};
use crate::resource::{Resource, SERVICES};
use crate::sandbox::sessions::Sessions;
use crate::store::{Object, Snapshot, Store, WindowLimits, text_at};

/// One cluster.
#[derive(Debug)]
pub(crate) struct Shared {
    pub options: Options,
    /// The seed of the options, or the one that was drawn.
    pub seed: u64,
    pub clock: Clock,
    #[cfg(feature = "rbac")]
    pub access: Access,
    /// Held by everybody for short, never over an await.
    state: Mutex<State>,
    calls: Mutex<CallLog>,
    faults: Mutex<FaultTable>,
    /// Whether the server is there; open watches listen to it.
    pub link: watch::Sender<Link>,
    /// Calls that found no server.
    refused: AtomicU64,
    /// What of the node can be changed while it runs; the node listens to it.
    pub node: watch::Sender<Settings>,
    /// Who works in the sandboxes.
    sessions: Mutex<Sessions>,
    /// Old states that the control endpoint keeps, by number.
    snapshots: Mutex<BTreeMap<u64, Snapshot>>,
    /// Servers that lag behind, each with the state it has stopped at, for the fault rules that lead calls to them.
    replicas: Mutex<HashMap<RuleId, Arc<Self>>>,
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
    /// Goes up whenever somebody takes it away or brings it back, to tell who did so last.
    pub turns: u64,
    /// Goes up whenever all open watches are cut.
    pub cuts: u64,
    /// Whether all watches are silent.
    pub stalled: bool,
}

// === impl Shared ===

impl Shared {
    pub fn new(options: Options) -> Self {
        let seed = options.seed.unwrap_or_else(random::system_seed);
        let clock = Clock::starting_at(options.start.unwrap_or_else(jiff::Timestamp::now));
        let state = State {
            store: Store::new(WindowLimits {
                events: options.watch_window,
                bytes: options.watch_window_bytes,
            }),
            random: Random::seeded(seed),
            ports: NodePorts::new(options.node_ports.clone(), options.sandbox_servers),
            addresses: ClusterAddresses::default(),
            pod_addresses: 0,
            let_go: HashSet::new(),
        };
        Self {
            seed,
            clock,
            #[cfg(feature = "rbac")]
            access: Access::new(&options.access),
            state: Mutex::new(state),
            calls: Mutex::new(CallLog::new(options.call_log)),
            faults: Mutex::default(),
            link: watch::Sender::new(Link::default()),
            refused: AtomicU64::new(0),
            node: watch::Sender::new(options.node.as_ref().map(Settings::of).unwrap_or_default()),
            sessions: Mutex::default(),
            snapshots: Mutex::default(),
            replicas: Mutex::default(),
            options,
        }
    }

    /// Makes a server that has the present state and nothing that comes later, for the calls a rule leads to it. Its
    /// connections end with this one's.
    pub fn make_replica(&self, rule: RuleId) {
        let mut replica = Self::new(self.options.clone());
        replica.clock = self.clock.clone();
        replica.link = self.link.clone();
        replica.state().store.restore(&self.state().store.snapshot(), false);
        self.replicas.lock().insert(rule, Arc::new(replica));
    }

    pub fn replica(&self, rule: RuleId) -> Option<Arc<Self>> {
        self.replicas.lock().get(&rule).cloned()
    }

    /// Drops the servers of rules that are not kept.
    pub fn keep_replicas(&self, kept: impl Fn(RuleId) -> bool) {
        self.replicas.lock().retain(|rule, _| kept(*rule));
    }

    /// The state. A panic of another holder does not make it unusable: every change is made in one step.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn calls(&self) -> MutexGuard<'_, CallLog> {
        self.calls.lock()
    }

    pub fn faults(&self) -> MutexGuard<'_, FaultTable> {
        self.faults.lock()
    }

    pub fn snapshots(&self) -> MutexGuard<'_, BTreeMap<u64, Snapshot>> {
        self.snapshots.lock()
    }

    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock()
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
    pub fn remove(&mut self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Object> {
        let gone = self.store.remove(resource, namespace, name)?;
        if resource == SERVICES {
            self.release(gone.value());
        }
        Some(gone)
    }

    /// Frees the node ports and the address of a Service that is gone or was not stored.
    pub fn release(&mut self, service: &Value) {
        for port in node_ports(service) {
            self.ports.free(port);
        }
        self.free_address(service);
    }

    pub fn free_address(&mut self, service: &Value) {
        if let Ok(address) = text_at(service, &["spec", "clusterIP"]).parse() {
            self.addresses.free(address);
        }
    }

    /// Takes on an old state, with the ports and addresses its Services have. What they had and have is kept, so that
    /// whoever holds a port on the host goes on holding it.
    pub fn restore(&mut self, snapshot: &Snapshot, keep_counting: bool) {
        let had = self.node_ports();
        let addresses = self.cluster_addresses();
        self.store.restore(snapshot, keep_counting);
        let has = self.node_ports();
        for port in had.difference(&has) {
            self.ports.free(*port);
        }
        for port in has.difference(&had) {
            // One that the host has given to somebody else meanwhile is a number only.
            let _ = self.ports.take(*port);
        }
        for address in addresses {
            self.addresses.free(address);
        }
        for address in self.cluster_addresses() {
            self.addresses.take(address);
        }
    }

    fn node_ports(&self) -> BTreeSet<u16> {
        self.store.list(SERVICES, None).flat_map(|service| node_ports(service.value())).collect()
    }

    fn cluster_addresses(&self) -> Vec<Ipv4Addr> {
        let services = self.store.list(SERVICES, None);
        services.filter_map(|service| text_at(service.value(), &["spec", "clusterIP"]).parse().ok()).collect()
    }
}
