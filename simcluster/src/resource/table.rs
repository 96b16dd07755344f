//! The kinds of objects, with what the real server says about each in its discovery documents.

use super::{Resource, Sub};

pub(super) const BLANK: Resource = Resource {
    index: 0,
    group: "",
    version: "v1",
    #[cfg(feature = "custom-resources")]
    is_custom: false,
    plural: "",
    singular: "",
    kind: "",
    namespaced: true,
    status: false,
    generation: false,
    short: &[],
    in_all: false,
    fields: &[],
    hash: "",
    subresources: &[],
};

/// The fields that the RBAC kinds share.
const RBAC: Resource = Resource { group: "rbac.authorization.k8s.io", ..BLANK };

/// The number of kinds that are stored.
const COUNT: usize = if cfg!(feature = "custom-resources") { 24 } else { 22 };

/// Every kind that is stored.
pub(crate) static RESOURCES: [Resource; COUNT] = [
    Resource {
        plural: "namespaces",
        hash: "Q3oi5N2YM8M=",
        singular: "namespace",
        kind: "Namespace",
        subresources: &[Sub::Finalize],
        namespaced: false,
        status: true,
        short: &["ns"],
        fields: &["status.phase"],
        ..BLANK
    },
    Resource {
        index: 1,
        plural: "pods",
        hash: "xPOwRZ+Yhw8=",
        singular: "pod",
        kind: "Pod",
        subresources: &[Sub::Binding, Sub::EphemeralContainers, Sub::Eviction, Sub::Log, Sub::Resize],
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
        ..BLANK
    },
    Resource {
        index: 2,
        plural: "services",
        hash: "0/CO1lhkEBI=",
        singular: "service",
        kind: "Service",
        status: true,
        short: &["svc"],
        in_all: true,
        fields: &["spec.clusterIP", "spec.type"],
        ..BLANK
    },
    Resource {
        index: 3,
        plural: "events",
        hash: "r2yiGXH7wu8=",
        singular: "event",
        kind: "Event",
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
        ..BLANK
    },
    Resource {
        index: 4,
        plural: "resourcequotas",
        hash: "8uhSgffRX6w=",
        singular: "resourcequota",
        kind: "ResourceQuota",
        status: true,
        short: &["quota"],
        ..BLANK
    },
    Resource {
        index: 5,
        plural: "persistentvolumeclaims",
        hash: "QWTyNDq0dC4=",
        singular: "persistentvolumeclaim",
        kind: "PersistentVolumeClaim",
        status: true,
        short: &["pvc"],
        ..BLANK
    },
    Resource {
        index: 6,
        plural: "configmaps",
        hash: "qFsyl6wFWjQ=",
        singular: "configmap",
        kind: "ConfigMap",
        short: &["cm"],
        ..BLANK
    },
    Resource {
        index: 7,
        plural: "secrets",
        hash: "S6u1pOWzb84=",
        singular: "secret",
        kind: "Secret",
        fields: &["type"],
        ..BLANK
    },
    Resource {
        index: 8,
        group: "coordination.k8s.io",
        plural: "leases",
        hash: "gqkMMb/YqFM=",
        singular: "lease",
        kind: "Lease",
        ..BLANK
    },
    Resource {
        index: 9,
        group: "networking.k8s.io",
        plural: "networkpolicies",
        hash: "YpfwF18m1G8=",
        singular: "networkpolicy",
        kind: "NetworkPolicy",
        generation: true,
        short: &["netpol"],
        ..BLANK
    },
    Resource {
        index: 10,
        plural: "serviceaccounts",
        hash: "pbx9ZvyFpBE=",
        singular: "serviceaccount",
        kind: "ServiceAccount",
        short: &["sa"],
        ..BLANK
    },
    Resource { index: 11, plural: "roles", hash: "7FuwZcIIItM=", singular: "role", kind: "Role", ..RBAC },
    Resource {
        index: 12,
        plural: "rolebindings",
        hash: "eGsCzGH6b1g=",
        singular: "rolebinding",
        kind: "RoleBinding",
        ..RBAC
    },
    Resource {
        index: 13,
        plural: "clusterroles",
        hash: "bYE5ZWDrJ44=",
        singular: "clusterrole",
        kind: "ClusterRole",
        namespaced: false,
        ..RBAC
    },
    Resource {
        index: 14,
        plural: "clusterrolebindings",
        hash: "48tpQ8gZHFc=",
        singular: "clusterrolebinding",
        kind: "ClusterRoleBinding",
        namespaced: false,
        ..RBAC
    },
    Resource {
        index: 15,
        plural: "nodes",
        singular: "node",
        kind: "Node",
        namespaced: false,
        status: true,
        short: &["no"],
        fields: &["spec.unschedulable"],
        hash: "XwShjMxG9Fs=",
        ..BLANK
    },
    Resource {
        index: 16,
        plural: "endpoints",
        singular: "endpoints",
        kind: "Endpoints",
        short: &["ep"],
        hash: "fWeeMqaN/OA=",
        ..BLANK
    },
    Resource {
        index: 17,
        group: "discovery.k8s.io",
        plural: "endpointslices",
        singular: "endpointslice",
        kind: "EndpointSlice",
        generation: true,
        hash: "Nx3SIv6I0mE=",
        ..BLANK
    },
    Resource {
        index: 18,
        group: "scheduling.k8s.io",
        plural: "priorityclasses",
        singular: "priorityclass",
        kind: "PriorityClass",
        namespaced: false,
        generation: true,
        short: &["pc"],
        hash: "1QwjyaZjj3Y=",
        ..BLANK
    },
    Resource {
        index: 19,
        group: "node.k8s.io",
        plural: "runtimeclasses",
        singular: "runtimeclass",
        kind: "RuntimeClass",
        namespaced: false,
        hash: "WQTu1GL3T2Q=",
        ..BLANK
    },
    Resource {
        index: 20,
        group: "storage.k8s.io",
        plural: "storageclasses",
        singular: "storageclass",
        kind: "StorageClass",
        namespaced: false,
        short: &["sc"],
        hash: "K+m6uJwbjGY=",
        ..BLANK
    },
    Resource {
        index: 21,
        plural: "persistentvolumes",
        singular: "persistentvolume",
        kind: "PersistentVolume",
        namespaced: false,
        status: true,
        short: &["pv"],
        hash: "HN/zwEC+JgM=",
        ..BLANK
    },
    #[cfg(feature = "custom-resources")]
    Resource {
        index: 22,
        group: "cilium.io",
        version: "v2",
        is_custom: true,
        plural: "ciliumnetworkpolicies",
        singular: "ciliumnetworkpolicy",
        kind: "CiliumNetworkPolicy",
        generation: true,
        short: &["cnp", "ciliumnp"],
        ..BLANK
    },
    #[cfg(feature = "custom-resources")]
    Resource {
        index: 23,
        group: "snapshot.storage.k8s.io",
        is_custom: true,
        plural: "volumesnapshots",
        singular: "volumesnapshot",
        kind: "VolumeSnapshot",
        status: true,
        generation: true,
        short: &["vs"],
        ..BLANK
    },
];

/// Kinds that show what another kind stores, in a form of their own.
pub(crate) static VIEWS: [Resource; 1] = [Resource {
    index: 3,
    group: "events.k8s.io",
    plural: "events",
    singular: "event",
    kind: "Event",
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
    hash: "r2yiGXH7wu8=",
    ..BLANK
}];
