//! How a cluster is set up.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "rbac")]
use crate::access::options::AccessOptions;
use crate::behaviour::Behaviour;

/// The settings of a cluster. [`Options::default`] suits tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seed of uids, cluster addresses, node ports and generated names: equal seeds give equal ones. `None` takes a
    /// seed from the operating system, so that no other cluster has the same uids, as on a real one.
    pub seed: Option<u64>,
    /// What the cluster's wall clock shows at the start; `None` for the real time.
    pub start: Option<jiff::Timestamp>,
    /// The simulated node; `None` leaves every Pod as it was created.
    pub node: Option<NodeOptions>,
    /// The node ports Services may have.
    pub node_ports: RangeInclusive<u16>,
    /// Where to serve each sandbox on its node port; `None` serves none, and node ports are numbers only.
    pub sandbox_servers: Option<IpAddr>,
    /// Namespaces there are from the start, beside `default` and `kube-system`.
    pub namespaces: Vec<String>,
    /// How many events of each kind a watch can go back.
    pub watch_window: usize,
    /// How many bytes of JSON of such events are kept for each kind.
    pub watch_window_bytes: usize,
    /// How many calls the record keeps; older ones are forgotten.
    pub call_log: usize,
    /// Who may do what. Off by default: everybody may do everything.
    #[cfg(feature = "rbac")]
    pub access: AccessOptions,
}

/// The settings of the simulated node. All but its name and times can be changed at run time, by the methods of
/// [`Cluster`](crate::Cluster).
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// How long things take on it.
    pub times: Times,
    /// What the Pods on it may request together; one that does not fit into the rest is unschedulable until there is
    /// room. Milli-CPUs.
    pub cpu_millis: u64,
    /// As `cpu_millis`, in bytes of memory.
    pub memory_bytes: u64,
    /// How many Pods it takes.
    pub pods: u64,
    /// How Pods behave that nothing else is said of: no annotation, no [`Cluster::set_pod_behaviour`](
    /// crate::Cluster::set_pod_behaviour).
    pub behaviour: Behaviour,
    /// How long an Event is kept that the node wrote, since its message last came.
    pub event_ttl: Duration,
    /// Whether Events are also written about what goes well; without, warnings alone are.
    pub normal_events: bool,
}

/// What the node has for Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Milli-CPUs.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// How many Pods.
    pub pods: u64,
}

/// How long each step of a Pod's life takes, counted from the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From its creation to having a node.
    pub schedule: Duration,
    /// From having a node to `ContainerCreating`.
    pub accept: Duration,
    /// From there until its network is ready.
    pub network: Duration,
    /// From there to `Running`, not ready yet.
    pub run: Duration,
    /// From `Running` to ready.
    pub ready: Duration,
    /// From the delete to the exit of its containers; a shorter grace period wins.
    pub terminate: Duration,
    /// How long a crashing container lives.
    pub crash: Duration,
    /// The first wait before a crashed container or a failed pull is tried again; it doubles up to thirty times this.
    pub back_off: Duration,
    /// From ready to the kubelet's next look at a Pod, which reports the limits that the kernel has set.
    pub sync: Duration,
    /// From the silence of the node until the cluster takes it for lost (`node-monitor-grace-period`).
    pub node_grace: Duration,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: None,
            start: None,
            node: Some(NodeOptions::default()),
            node_ports: 30000..=32767,
            sandbox_servers: None,
            namespaces: Vec::new(),
            watch_window: 10_000,
            watch_window_bytes: 4 << 20,
            call_log: 100_000,
            #[cfg(feature = "rbac")]
            access: AccessOptions::default(),
        }
    }
}

impl Options {
    /// The default options with one more namespace.
    #[must_use]
    pub fn with_namespace(name: &str) -> Self {
        Self { namespaces: vec![name.to_owned()], ..Self::default() }
    }
}

// === impl NodeOptions ===

impl Default for NodeOptions {
    fn default() -> Self {
        let Capacity { cpu_millis, memory_bytes, pods } = Capacity::default();
        Self {
            name: "sim-node".to_owned(),
            times: Times::default(),
            cpu_millis,
            memory_bytes,
            pods,
            behaviour: Behaviour::default(),
            event_ttl: Duration::from_secs(3600),
            normal_events: true,
        }
    }
}

// === impl Capacity ===

impl Default for Capacity {
    /// More than any test fills by chance: 100,000 CPUs, 100 TiB, 100,000 Pods.
    fn default() -> Self {
        Self { cpu_millis: 100_000_000, memory_bytes: 100 << 40, pods: 100_000 }
    }
}

// === impl Times ===

impl Default for Times {
    /// Running after 150 ms and ready after 300 ms; a delete takes 200 ms.
    fn default() -> Self {
        Self {
            schedule: Duration::ZERO,
            accept: Duration::from_millis(10),
            network: Duration::from_millis(100),
            run: Duration::from_millis(40),
            ready: Duration::from_millis(150),
            terminate: Duration::from_millis(200),
            crash: Duration::from_millis(500),
            back_off: Duration::from_secs(10),
            sync: Duration::from_secs(60),
            node_grace: Duration::from_secs(50),
        }
    }
}

impl Times {
    /// Everything at once: a Pod is ready as soon as the node has seen it, and gone as soon as it is deleted.
    pub const INSTANT: Self = Self {
        schedule: Duration::ZERO,
        accept: Duration::ZERO,
        network: Duration::ZERO,
        run: Duration::ZERO,
        ready: Duration::ZERO,
        terminate: Duration::ZERO,
        crash: Duration::ZERO,
        back_off: Duration::from_secs(10),
        sync: Duration::from_secs(60),
        node_grace: Duration::from_secs(50),
    };
}
