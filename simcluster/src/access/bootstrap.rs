//! The default roles and bindings of a cluster with RBAC, limited to the kinds that this server has
//! (`k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).

use serde_json::{Value, json};

use crate::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Resource};

/// Paths that all users may read, authenticated or not.
const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
/// Paths that authenticated users may read.
const DISCOVERY_PATHS: [&str; 11] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Returns the objects without the fields that the server sets.
pub(super) fn objects() -> Vec<(&'static Resource, Value)> {
    let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    let all_paths = json!({"nonResourceURLs": ["*"], "verbs": ["*"]});
    let reviews = |group: &str, resources: Value| json!({"apiGroups": [group], "resources": resources, "verbs": ["create"]});
    let roles = [
        ("cluster-admin", vec![all, all_paths]),
        ("system:discovery", vec![json!({"nonResourceURLs": DISCOVERY_PATHS, "verbs": ["get"]})]),
        ("system:public-info-viewer", vec![json!({"nonResourceURLs": PUBLIC_PATHS, "verbs": ["get"]})]),
        (
            "system:basic-user",
            vec![
                reviews(
                    "authorization.k8s.io",
                    json!(["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
                ),
                reviews("authentication.k8s.io", json!(["selfsubjectreviews"])),
            ],
        ),
        (
            "system:auth-delegator",
            vec![
                reviews("authentication.k8s.io", json!(["tokenreviews"])),
                reviews("authorization.k8s.io", json!(["subjectaccessreviews"])),
            ],
        ),
        ("view", vec![namespaced(&READ, false), read_only()]),
        ("edit", vec![namespaced(&WRITE, true), other_groups(), read_only(), impersonation()]),
        (
            "admin",
            vec![
                namespaced(&WRITE, true),
                other_groups(),
                read_only(),
                impersonation(),
                local_rights(),
                local_review(),
            ],
        ),
    ];
    let bindings = [
        ("cluster-admin", &["system:masters"][..]),
        ("system:discovery", &["system:authenticated"]),
        ("system:basic-user", &["system:authenticated"]),
        ("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
    ];
    let roles = roles
        .into_iter()
        .map(|(name, rules)| (CLUSTER_ROLES, json!({"metadata": metadata(name), "rules": rules})));
    let bindings = bindings.into_iter().map(|(name, groups)| {
        let subjects: Vec<_> = groups
            .iter()
            .map(|group| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group}))
            .collect();
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
        let binding = json!({"metadata": metadata(name), "roleRef": role, "subjects": subjects});
        (CLUSTER_ROLE_BINDINGS, binding)
    });
    roles.chain(bindings).collect()
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    })
}

/// Returns a rule for the kinds in a namespace that users manage. Only users with write access read Secrets.
fn namespaced(verbs: &[&str], secrets: bool) -> Value {
    let mut resources = vec!["configmaps", "persistentvolumeclaims", "pods", "serviceaccounts", "services"];
    resources.extend(
        secrets.then_some(["secrets", "pods/eviction", "serviceaccounts/token"]).into_iter().flatten(),
    );
    json!({"apiGroups": [""], "resources": resources, "verbs": verbs})
}

fn read_only() -> Value {
    json!({
        "apiGroups": ["", "discovery.k8s.io", "networking.k8s.io"],
        "resources": [
            "endpointslices", "events", "namespaces", "namespaces/status", "networkpolicies", "persistentvolumeclaims/status",
            "pods/log", "pods/status", "resourcequotas", "resourcequotas/status", "services/status",
        ],
        "verbs": READ,
    })
}

fn other_groups() -> Value {
    let groups = ["coordination.k8s.io", "networking.k8s.io"];
    json!({"apiGroups": groups, "resources": ["leases", "networkpolicies"], "verbs": WRITE})
}

fn impersonation() -> Value {
    json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]})
}

fn local_rights() -> Value {
    json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": WRITE})
}

fn local_review() -> Value {
    json!({"apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"], "verbs": ["create"]})
}
