//! The settings of a cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "rbac")]
use crate::access::options::AccessOptions;
use crate::behaviour::Behaviour;
use crate::resource::{Resource, Sub};

/// The settings of a cluster. [`Options::default`] is meant for tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed of uids, cluster addresses, node ports and generated names: the same seed gives the same values.
    /// `None` takes a random seed, so that uids are unique across clusters.
    pub seed: Option<u64>,
    /// The wall-clock time at the start; `None` for the real time.
    pub start: Option<jiff::Timestamp>,
    /// The simulated node; `None` leaves Pods pending.
    pub node: Option<NodeOptions>,
    /// The range of node ports.
    pub node_ports: RangeInclusive<u16>,
    /// The address at which to serve sandboxes on their node ports; `None` serves none.
    pub sandbox_servers: Option<IpAddr>,
    /// Namespaces to create at the start, in addition to `default` and `kube-system`.
    pub namespaces: Vec<String>,
    /// How Pods are resized in place.
    pub resize: Resize,
    /// Whether the default storage class `standard` exists, as on a cluster of kind.
    pub standard_class: bool,
    /// Whether the custom resources `ciliumnetworkpolicies` of Cilium and `volumesnapshots` exist. They are stored as they are
    /// written, and nothing acts on a policy.
    #[cfg(feature = "custom-resources")]
    pub custom_resources: bool,
    /// The number of events of each kind in the watch window.
    pub watch_window: usize,
    /// The size of the watch window of each kind, in bytes of JSON.
    pub watch_window_bytes: usize,
    /// The number of calls in the record. Older calls are dropped.
    pub call_log: usize,
    /// Access control. Off by default: all requests are allowed.
    #[cfg(feature = "rbac")]
    pub access: AccessOptions,
}

/// How a cluster resizes Pods in place, which differs by its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resize {
    /// There is no subresource `resize`, as before 1.33.
    Absent,
    /// A size that the node can never hold is accepted, and the Pod has the condition `PodResizePending` with the reason
    /// `Infeasible`, as in 1.33 and 1.34.
    Unchecked,
    /// Such a size is rejected, as since 1.35.
    #[default]
    Checked,
}

/// The settings of the simulated nodes. The capacity of the first one, the behaviour of Pods and whether the nodes are
/// reachable can be changed at run time with methods of [`Cluster`](crate::Cluster).
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The name of the first node.
    pub name: String,
    /// The labels of the first node, in addition to those that every node has.
    pub labels: BTreeMap<String, String>,
    /// The other nodes; none by default.
    pub others: Vec<OtherNode>,
    /// The durations of a Pod's steps.
    pub times: Times,
    /// The resources of the first node. A Pod whose requests exceed the rest is unschedulable.
    pub capacity: Capacity,
    /// The default behaviour of Pods, unless an annotation or [`Cluster::set_pod_behaviour`](
    /// crate::Cluster::set_pod_behaviour) sets one.
    pub behaviour: Behaviour,
    /// The lifetime of an Event of the node, since its last occurrence.
    pub event_ttl: Duration,
    /// Whether normal Events are written too, in addition to warnings.
    pub normal_events: bool,
}

/// A node beside the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherNode {
    /// The name.
    pub name: String,
    /// The labels, in addition to those that every node has.
    pub labels: BTreeMap<String, String>,
    /// The resources for Pods.
    pub capacity: Capacity,
}

/// A node's resources for Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// CPU in millicores.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The maximum number of Pods.
    pub pods: u64,
}

/// The durations of the steps of a Pod's life, each since the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From creation to scheduling.
    pub schedule: Duration,
    /// From scheduling to `ContainerCreating`.
    pub accept: Duration,
    /// From `ContainerCreating` to a ready network.
    pub network: Duration,
    /// From a ready network to `Running`.
    pub run: Duration,
    /// From `Running` to the first readiness probe, if it has no delay.
    pub ready: Duration,
    /// From deletion to the exit of the containers; a shorter grace period takes precedence.
    pub terminate: Duration,
    /// From the start of a crashing container to its crash.
    pub crash: Duration,
    /// The initial back-off of a crashed container or a failed pull. It doubles up to 30 times this.
    pub back_off: Duration,
    /// From ready to the kubelet's next sync of the Pod, which reports the limits that the kernel has set.
    pub sync: Duration,
    /// From the node's last heartbeat until the cluster regards it as unreachable (`node-monitor-grace-period`).
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
            resize: Resize::default(),
            standard_class: true,
            #[cfg(feature = "custom-resources")]
            custom_resources: false,
            watch_window: 10_000,
            watch_window_bytes: 2 << 20,
            call_log: 100_000,
            #[cfg(feature = "rbac")]
            access: AccessOptions::default(),
        }
    }
}

impl Options {
    /// Returns the default options with one more namespace.
    #[must_use]
    pub fn with_namespace(name: &str) -> Self {
        Self { namespaces: vec![name.to_owned()], ..Self::default() }
    }

    /// Returns whether the server serves a resource and its subresource.
    pub(crate) fn serves(&self, resource: &Resource, sub: Option<Sub>) -> bool {
        #[cfg(feature = "custom-resources")]
        if resource.is_custom && !self.custom_resources {
            return false;
        }
        #[cfg(not(feature = "custom-resources"))]
        let _ = resource;
        sub != Some(Sub::Resize) || self.resize != Resize::Absent
    }
}

// === impl NodeOptions ===

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            name: "sim-node".to_owned(),
            labels: BTreeMap::new(),
            others: Vec::new(),
            times: Times::default(),
            capacity: Capacity::default(),
            behaviour: Behaviour::default(),
            event_ttl: Duration::from_secs(3600),
            normal_events: true,
        }
    }
}

impl NodeOptions {
    /// Returns the default options with several equal nodes, one after the other in the zones `zone-a`, `zone-b` and
    /// `zone-c`. A single node has no zone.
    #[must_use]
    pub fn several(count: usize) -> Self {
        let mut options = Self::default();
        if count < 2 {
            return options;
        }
        let labels = |node: usize| {
            let zone = ["zone-a", "zone-b", "zone-c"][node % 3].to_owned();
            BTreeMap::from([("topology.kubernetes.io/zone".to_owned(), zone)])
        };
        let capacity = options.capacity;
        let other =
            |node| OtherNode { name: format!("sim-node-{}", node + 1), labels: labels(node), capacity };
        options.labels = labels(0);
        options.others = (1..count).map(other).collect();
        options
    }
}

// === impl Capacity ===

impl Default for Capacity {
    /// More than tests use by chance: 100,000 CPUs, 100 TiB, 100,000 Pods.
    fn default() -> Self {
        Self { cpu_millis: 100_000_000, memory_bytes: 100 << 40, pods: 100_000 }
    }
}

// === impl Times ===

impl Default for Times {
    /// A Pod runs after 150 ms and is ready after 300 ms. A deletion takes 200 ms.
    fn default() -> Self {
        Self {
            accept: Duration::from_millis(10),
            network: Duration::from_millis(100),
            run: Duration::from_millis(40),
            ready: Duration::from_millis(150),
            terminate: Duration::from_millis(200),
            crash: Duration::from_millis(500),
            ..Self::INSTANT
        }
    }
}

impl Times {
    /// No delays: a Pod is ready as soon as the node has observed it, and gone as soon as it is deleted.
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
