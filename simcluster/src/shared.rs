//! The shared state of a cluster. There is no global state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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

#[derive(Debug)]
pub(crate) struct Shared {
    pub options: Options,
    /// The seed of the options, or a random one.
    pub seed: u64,
    pub clock: Clock,
    #[cfg(feature = "rbac")]
    pub access: Access,
    /// Locked only briefly and never across an await.
    state: Mutex<State>,
    pub calls: Mutex<CallLog>,
    pub faults: Mutex<FaultTable>,
    /// The availability of the server. Open watches subscribe to it.
    pub link: watch::Sender<Link>,
    /// The number of calls that were refused.
    pub refused: AtomicU64,
    /// The run-time settings of the node, which subscribes to them.
    pub node: watch::Sender<Settings>,
    /// The sessions in the sandboxes.
    pub sessions: Mutex<Sessions>,
    /// Snapshots of the control endpoint, by number.
    pub snapshots: Mutex<BTreeMap<u64, Snapshot>>,
    /// Stale replicas, by the fault rules that send calls to them.
    pub replicas: Mutex<HashMap<RuleId, Arc<Self>>>,
}

/// The state that calls change.
#[derive(Debug)]
pub(crate) struct State {
    pub store: Store,
    pub random: Random,
    pub ports: NodePorts,
    pub addresses: ClusterAddresses,
    /// The number of Pod addresses allocated so far.
    pub pod_addresses: u32,
    /// Uids of Pods whose status was changed manually. The node does not update them.
    pub manual_pods: HashSet<String>,
}

/// The connection between clients and the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whether the server is unavailable.
    pub away: bool,
    /// Incremented on each change of `away`, so that a timer does not revert a later change.
    pub away_generation: u64,
    /// Incremented to cut all open watches.
    pub cuts: u64,
    /// Whether all watches are stalled.
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
            manual_pods: HashSet::new(),
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

    /// Creates a replica that stays at the current state, for the calls that a rule sends to it. Its connections end
    /// with those of this server.
    pub fn make_replica(&self, rule: RuleId) {
        let mut replica = Self::new(self.options.clone());
        replica.clock = self.clock.clone();
        replica.link = self.link.clone();
        replica.state().store.restore(&self.state().store.snapshot(), false);
        self.replicas.lock().insert(rule, Arc::new(replica));
    }

    /// Locks the state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Locks the state unless it is locked.
    pub fn try_state(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock()
    }
}

// === impl State ===

impl State {
    /// Removes an object and releases its ports and addresses.
    pub fn remove(&mut self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Object> {
        let gone = self.store.remove(resource, namespace, name)?;
        if resource == SERVICES {
            self.release(gone.value());
        }
        Some(gone)
    }

    /// Releases the node ports and the address of a Service that was removed or not stored.
    pub fn release(&mut self, service: &Value) {
        for port in node_ports(service) {
            self.ports.release(port);
        }
        self.free_address(service);
    }

    pub fn free_address(&mut self, service: &Value) {
        if let Ok(address) = text_at(service, &["spec", "clusterIP"]).parse() {
            self.addresses.release(address);
        }
    }

    /// Restores an old state, with the ports and addresses of its Services. Current ports stay reserved, because
    /// sandbox servers hold them on the host.
    pub fn restore(&mut self, snapshot: &Snapshot, keep_counting: bool) {
        let had = self.node_ports();
        let addresses = self.cluster_addresses();
        self.store.restore(snapshot, keep_counting);
        let has = self.node_ports();
        for port in had.difference(&has) {
            self.ports.release(*port);
        }
        for port in has.difference(&had) {
            // A port that another process has taken is allocated in the cluster only.
            let _ = self.ports.allocate(*port);
        }
        for address in addresses {
            self.addresses.release(address);
        }
        for address in self.cluster_addresses() {
            self.addresses.allocate(address);
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
