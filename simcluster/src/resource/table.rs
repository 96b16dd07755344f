//! The kinds of objects, with what the real server says about each in its discovery documents.

use super::{Resource, Sub};

/// The group of the kinds of RBAC.
const RBAC: &str = "rbac.authorization.k8s.io";

/// The number of kinds that are stored.
const COUNT: usize = if cfg!(feature = "custom-resources") { 24 } else { 22 };

/// Returns a namespaced kind without a status. `index` is its place in [`RESOURCES`].
const fn kind(
    index: usize,
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    hash: &'static str,
) -> Resource {
    Resource {
        index,
        group,
        version: "v1",
        #[cfg(feature = "custom-resources")]
        is_custom: false,
        plural,
        kind,
        namespaced: true,
        status: false,
        generation: false,
        short: &[],
        in_all: false,
        fields: &[],
        hash,
        subresources: &[],
    }
}

/// Every kind that is stored.
pub(crate) static RESOURCES: [Resource; COUNT] = [
    Resource {
        namespaced: false,
        status: true,
        short: &["ns"],
        fields: &["status.phase"],
        subresources: &[Sub::Finalize],
        ..kind(0, "", "Namespace", "namespaces", "Q3oi5N2YM8M=")
    },
    Resource {
        status: true,
        generation: true,
        short: &["po"],
        in_all: true,
        fields: &[
            "spec.host",
            "spec.hostNetwork",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        subresources: &[Sub::Binding, Sub::EphemeralContainers, Sub::Eviction, Sub::Log, Sub::Resize],
        ..kind(1, "", "Pod", "pods", "xPOwRZ+Yhw8=")
    },
    Resource {
        status: true,
        short: &["svc"],
        in_all: true,
        fields: &["spec.clusterIP", "spec.type"],
        ..kind(2, "", "Service", "services", "0/CO1lhkEBI=")
    },
    Resource {
        short: &["ev"],
        fields: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ..kind(3, "", "Event", "events", "r2yiGXH7wu8=")
    },
    Resource {
        status: true,
        short: &["quota"],
        ..kind(4, "", "ResourceQuota", "resourcequotas", "8uhSgffRX6w=")
    },
    Resource {
        status: true,
        short: &["pvc"],
        ..kind(5, "", "PersistentVolumeClaim", "persistentvolumeclaims", "QWTyNDq0dC4=")
    },
    Resource { short: &["cm"], ..kind(6, "", "ConfigMap", "configmaps", "qFsyl6wFWjQ=") },
    Resource { fields: &["type"], ..kind(7, "", "Secret", "secrets", "S6u1pOWzb84=") },
    kind(8, "coordination.k8s.io", "Lease", "leases", "gqkMMb/YqFM="),
    Resource {
        generation: true,
        short: &["netpol"],
        ..kind(9, "networking.k8s.io", "NetworkPolicy", "networkpolicies", "YpfwF18m1G8=")
    },
    Resource { short: &["sa"], ..kind(10, "", "ServiceAccount", "serviceaccounts", "pbx9ZvyFpBE=") },
    kind(11, RBAC, "Role", "roles", "7FuwZcIIItM="),
    kind(12, RBAC, "RoleBinding", "rolebindings", "eGsCzGH6b1g="),
    Resource { namespaced: false, ..kind(13, RBAC, "ClusterRole", "clusterroles", "bYE5ZWDrJ44=") },
    Resource {
        namespaced: false,
        ..kind(14, RBAC, "ClusterRoleBinding", "clusterrolebindings", "48tpQ8gZHFc=")
    },
    Resource {
        namespaced: false,
        status: true,
        short: &["no"],
        fields: &["spec.unschedulable"],
        ..kind(15, "", "Node", "nodes", "XwShjMxG9Fs=")
    },
    Resource { short: &["ep"], ..kind(16, "", "Endpoints", "endpoints", "fWeeMqaN/OA=") },
    Resource {
        generation: true,
        ..kind(17, "discovery.k8s.io", "EndpointSlice", "endpointslices", "Nx3SIv6I0mE=")
    },
    Resource {
        namespaced: false,
        generation: true,
        short: &["pc"],
        ..kind(18, "scheduling.k8s.io", "PriorityClass", "priorityclasses", "1QwjyaZjj3Y=")
    },
    Resource {
        namespaced: false,
        ..kind(19, "node.k8s.io", "RuntimeClass", "runtimeclasses", "WQTu1GL3T2Q=")
    },
    Resource {
        namespaced: false,
        short: &["sc"],
        ..kind(20, "storage.k8s.io", "StorageClass", "storageclasses", "K+m6uJwbjGY=")
    },
    Resource {
        namespaced: false,
        status: true,
        short: &["pv"],
        ..kind(21, "", "PersistentVolume", "persistentvolumes", "HN/zwEC+JgM=")
    },
    #[cfg(feature = "custom-resources")]
    Resource {
        version: "v2",
        is_custom: true,
        generation: true,
        short: &["cnp", "ciliumnp"],
        ..kind(22, "cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies", "")
    },
    #[cfg(feature = "custom-resources")]
    Resource {
        is_custom: true,
        status: true,
        generation: true,
        short: &["vs"],
        ..kind(23, "snapshot.storage.k8s.io", "VolumeSnapshot", "volumesnapshots", "")
    },
];

/// Kinds that show what another kind stores, in a form of their own.
pub(crate) static VIEWS: [Resource; 1] = [Resource {
    short: &["ev"],
    fields: &[
        "reason",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reportingController",
        "type",
    ],
    ..kind(3, "events.k8s.io", "Event", "events", "r2yiGXH7wu8=")
}];
