//! The kinds of objects the server knows, as one table.

/// One kind of object and how it is addressed.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own, and all are constants")]
pub(crate) struct Resource {
    /// Its place in [`RESOURCES`]; the store keeps one table for each.
    pub index: usize,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The word in paths and messages (`pods`).
    pub plural: &'static str,
    /// The word `kubectl` accepts for one of them.
    pub singular: &'static str,
    /// The `kind` of one object.
    pub kind: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource.
    pub status: bool,
    /// Whether `metadata.generation` is kept.
    pub generation: bool,
    /// What `kubectl` accepts instead of the plural.
    pub short: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub in_all: bool,
    /// The field selectors it supports beside `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
}

pub(crate) const NAMESPACES: &Resource = &RESOURCES[0];
pub(crate) const PODS: &Resource = &RESOURCES[1];
pub(crate) const SERVICES: &Resource = &RESOURCES[2];
pub(crate) const EVENTS: &Resource = &RESOURCES[3];
pub(crate) const QUOTAS: &Resource = &RESOURCES[4];
pub(crate) const CLAIMS: &Resource = &RESOURCES[5];
pub(crate) const SERVICE_ACCOUNTS: &Resource = &RESOURCES[10];
pub(crate) const ROLES: &Resource = &RESOURCES[11];
pub(crate) const ROLE_BINDINGS: &Resource = &RESOURCES[12];
pub(crate) const CLUSTER_ROLES: &Resource = &RESOURCES[13];
pub(crate) const CLUSTER_ROLE_BINDINGS: &Resource = &RESOURCES[14];

const BLANK: Resource = Resource {
    index: 0,
    group: "",
    plural: "",
    singular: "",
    kind: "",
    namespaced: true,
    status: false,
    generation: false,
    short: &[],
    in_all: false,
    fields: &[],
};

/// What the kinds of RBAC share.
const RBAC: Resource = Resource { group: "rbac.authorization.k8s.io", ..BLANK };

/// Every kind; all of them are served as version `v1` of their group.
pub(crate) static RESOURCES: [Resource; 15] = [
    Resource {
        plural: "namespaces",
        singular: "namespace",
        kind: "Namespace",
        namespaced: false,
        status: true,
        short: &["ns"],
        fields: &["status.phase"],
        ..BLANK
    },
    Resource {
        index: 1,
        plural: "pods",
        singular: "pod",
        kind: "Pod",
        status: true,
        generation: true,
        short: &["po"],
        in_all: true,
        fields: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ..BLANK
    },
    Resource {
        index: 2,
        plural: "services",
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
        singular: "resourcequota",
        kind: "ResourceQuota",
        status: true,
        short: &["quota"],
        ..BLANK
    },
    Resource {
        index: 5,
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        kind: "PersistentVolumeClaim",
        status: true,
        short: &["pvc"],
        ..BLANK
    },
    Resource {
        index: 6,
        plural: "configmaps",
        singular: "configmap",
        kind: "ConfigMap",
        short: &["cm"],
        ..BLANK
    },
    Resource { index: 7, plural: "secrets", singular: "secret", kind: "Secret", fields: &["type"], ..BLANK },
    Resource {
        index: 8,
        group: "coordination.k8s.io",
        plural: "leases",
        singular: "lease",
        kind: "Lease",
        ..BLANK
    },
    Resource {
        index: 9,
        group: "networking.k8s.io",
        plural: "networkpolicies",
        singular: "networkpolicy",
        kind: "NetworkPolicy",
        generation: true,
        short: &["netpol"],
        ..BLANK
    },
    Resource {
        index: 10,
        plural: "serviceaccounts",
        singular: "serviceaccount",
        kind: "ServiceAccount",
        short: &["sa"],
        ..BLANK
    },
    Resource { index: 11, plural: "roles", singular: "role", kind: "Role", ..RBAC },
    Resource { index: 12, plural: "rolebindings", singular: "rolebinding", kind: "RoleBinding", ..RBAC },
    Resource {
        index: 13,
        plural: "clusterroles",
        singular: "clusterrole",
        kind: "ClusterRole",
        namespaced: false,
        ..RBAC
    },
    Resource {
        index: 14,
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        kind: "ClusterRoleBinding",
        namespaced: false,
        ..RBAC
    },
];

// === impl Resource ===

impl Resource {
    /// The resource at a group and plural, if it is served.
    pub fn find(group: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|r| r.group == group && r.plural == plural)
    }

    /// The resource of that plural in any group, for callers who name one by hand.
    pub fn by_plural(plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|r| r.plural == plural)
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", self.group) }
    }

    /// The name messages use: the plural, with the group for any but the core one.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// What comes before `"metadata"` in the JSON of an object: kind and version.
    pub fn head(&self) -> String {
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", self.kind, self.api_version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_each_resource_is_its_place() {
        for (place, resource) in RESOURCES.iter().enumerate() {
            assert_eq!(place, resource.index, "{}", resource.plural);
        }
    }
}
