//! The columns of tables, with the server's own descriptions.

use super::words;
use crate::resource::{NAMESPACES, PODS, Resource, SERVICES};

/// One column.
pub(super) struct Column {
    pub name: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 only in the wide form.
    pub priority: u8,
    /// The type of the cells: text, but for times that the client formats.
    pub kind: &'static str,
}

const NAME: Column = column(
    "Name",
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    0,
);
const AGE: Column = column(
    "Age",
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    0,
);
const POD: [Column; 9] = [
    NAME,
    column("Ready", "The aggregate readiness state of this pod for accepting traffic.", 0),
    column("Status", "The aggregate status of the containers in this pod.", 0),
    column(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        0,
    ),
    AGE,
    column(
        "IP",
        "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        1,
    ),
    column(
        "Node",
        "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
        1,
    ),
    column(
        "Nominated Node",
        "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.",
        1,
    ),
    column(
        "Readiness Gates",
        "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
        1,
    ),
];
const SERVICE: [Column; 7] = [
    NAME,
    column("Type", "type determines how the Service is exposed.", 0),
    column("Cluster-IP", "clusterIP is the IP address of the service.", 0),
    column(
        "External-IP",
        "externalIPs is a list of IP addresses for which nodes will also accept traffic.",
        0,
    ),
    column("Port(s)", "The list of ports that are exposed by this service.", 0),
    AGE,
    column("Selector", "Route service traffic to pods with label keys and values matching this selector.", 1),
];
const NAMESPACE: [Column; 3] = [NAME, column("Status", "The status of the namespace", 0), AGE];
const EVENT: [Column; 10] = [
    column("Last Seen", words::LAST_SEEN, 0),
    column("Type", words::EVENT_TYPE, 0),
    column("Reason", words::REASON, 0),
    column("Object", words::OBJECT, 0),
    column("Subobject", words::FIELD_PATH, 1),
    column("Source", words::SOURCE, 1),
    column("Message", words::MESSAGE, 0),
    column("First Seen", words::FIRST_SEEN, 1),
    column("Count", words::COUNT, 1),
    Column { priority: 1, ..NAME },
];
const NODE: [Column; 10] = [
    NAME,
    column("Status", "The status of the node", 0),
    column("Roles", "The roles of the node", 0),
    AGE,
    column("Version", words::KUBELET, 0),
    column("Internal-IP", words::ADDRESSES, 1),
    column("External-IP", words::ADDRESSES, 1),
    column("OS-Image", words::OS_IMAGE, 1),
    column("Kernel-Version", words::KERNEL, 1),
    column("Container-Runtime", words::RUNTIME, 1),
];
const ENDPOINTS: [Column; 3] = [NAME, column("Endpoints", words::SUBSETS, 0), AGE];
const SLICE: [Column; 5] = [
    NAME,
    column("AddressType", words::ADDRESS_TYPE, 0),
    column("Ports", words::SLICE_PORTS, 0),
    column("Endpoints", words::SLICE_ENDPOINTS, 0),
    AGE,
];
const CLAIM: [Column; 9] = [
    NAME,
    column("Status", words::CLAIM_PHASE, 0),
    column("Volume", words::VOLUME, 0),
    column("Capacity", words::CAPACITY, 0),
    column("Access Modes", words::ACCESS, 0),
    column("StorageClass", words::CLASS, 0),
    column("VolumeAttributesClass", words::ATTRIBUTES, 0),
    AGE,
    column("VolumeMode", words::MODE, 1),
];
const STORAGE_CLASS: [Column; 6] = [
    NAME,
    column("Provisioner", words::PROVISIONER, 0),
    column("ReclaimPolicy", words::CLASS_RECLAIM, 0),
    column("VolumeBindingMode", words::BINDING_MODE, 0),
    column("AllowVolumeExpansion", words::EXPANSION, 0),
    AGE,
];
const PERSISTENT_VOLUME: [Column; 11] = [
    NAME,
    column("Capacity", words::VOLUME_CAPACITY, 0),
    column("Access Modes", words::VOLUME_ACCESS, 0),
    column("Reclaim Policy", words::VOLUME_RECLAIM, 0),
    column("Status", words::VOLUME_PHASE, 0),
    column("Claim", words::CLAIM_REF, 0),
    column("StorageClass", words::VOLUME_CLASS, 0),
    column("VolumeAttributesClass", words::ATTRIBUTES, 0),
    column("Reason", words::VOLUME_REASON, 0),
    AGE,
    column("VolumeMode", words::MODE, 1),
];
const QUOTA: [Column; 4] = [
    NAME,
    AGE,
    column("Request", "Request represents a minimum amount of cpu/memory that a container may consume.", 0),
    column(
        "Limit",
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        0,
    ),
];
const CONFIG_MAP: [Column; 3] = [NAME, column("Data", words::CONFIG_DATA, 0), AGE];
const SECRET: [Column; 4] =
    [NAME, column("Type", words::SECRET_TYPE, 0), column("Data", words::SECRET_DATA, 0), AGE];
const ACCOUNT: [Column; 3] = [NAME, column("Secrets", words::SECRETS, 0), AGE];
const LEASE: [Column; 3] = [NAME, column("Holder", words::HOLDER, 0), AGE];
const POLICY: [Column; 3] = [NAME, column("Pod-Selector", words::POD_SELECTOR, 0), AGE];
const ROLE: [Column; 2] = [NAME, Column { name: "Created At", kind: "date", ..AGE }];
const BINDING: [Column; 6] = [
    NAME,
    column(
        "Role",
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error. This field is immutable.",
        0,
    ),
    AGE,
    column("Users", "Users in the roleBinding", 1),
    column("Groups", "Groups in the roleBinding", 1),
    column("ServiceAccounts", "ServiceAccounts in the roleBinding", 1),
];
const PRIORITY_CLASS: [Column; 5] = [
    NAME,
    Column { kind: "integer", ..column("Value", "The priority of Pods of this class.", 0) },
    Column { kind: "boolean", ..column("Global-Default", "Whether Pods without a class get this one.", 0) },
    AGE,
    column("PreemptionPolicy", "Whether Pods of this class take the place of Pods with a lower priority.", 0),
];
const RUNTIME_CLASS: [Column; 3] =
    [NAME, column("Handler", "The runtime that the kubelet uses for Pods of this class.", 0), AGE];
const OTHER: [Column; 2] = [NAME, AGE];

/// The columns of a kind.
pub(super) fn of(resource: &Resource) -> &'static [Column] {
    match resource {
        r if r == PODS => &POD,
        r if r == SERVICES => &SERVICE,
        r if r == NAMESPACES => &NAMESPACE,
        r => match r.kind {
            "Event" => &EVENT,
            "Node" => &NODE,
            "Endpoints" => &ENDPOINTS,
            "EndpointSlice" => &SLICE,
            "PersistentVolumeClaim" => &CLAIM,
            "PersistentVolume" => &PERSISTENT_VOLUME,
            "StorageClass" => &STORAGE_CLASS,
            "ResourceQuota" => &QUOTA,
            "ConfigMap" => &CONFIG_MAP,
            "Secret" => &SECRET,
            "ServiceAccount" => &ACCOUNT,
            "Lease" => &LEASE,
            "NetworkPolicy" => &POLICY,
            "PriorityClass" => &PRIORITY_CLASS,
            "RuntimeClass" => &RUNTIME_CLASS,
            "Role" | "ClusterRole" => &ROLE,
            "RoleBinding" | "ClusterRoleBinding" => &BINDING,
            _ => &OTHER,
        },
    }
}

const fn column(name: &'static str, description: &'static str, priority: u8) -> Column {
    Column { name, description, priority, kind: "string" }
}
