use serde_json::json;

use super::*;
use crate::access::attributes::Action;
use crate::access::bootstrap;

fn role(name: &str, verbs: &[&str]) -> Value {
    json!({"metadata": {"name": name, "namespace": "n"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]})
}

fn binding(name: &str, kind: &str, role: &str, subject: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "n"}, "roleRef": {"kind": kind, "name": role},
        "subjects": [subject]})
}

fn pods(verb: &str, namespace: &str) -> Attributes {
    Attributes::Resource(Action {
        verb: verb.into(),
        resource: "pods".into(),
        namespace: namespace.into(),
        ..Action::default()
    })
}

fn path(path: &str) -> Attributes {
    Attributes::Path { verb: "get".into(), path: path.into() }
}

/// A new cluster with a Role for Anne, a `ClusterRole` bound in one namespace for a group, and one bound cluster-wide
/// for a service account.
fn store() -> Store {
    let mut store = Store::with_window(10);
    for (resource, object) in bootstrap::objects() {
        store.put(resource, object);
    }
    store.put(ROLES, role("reader", &["get"]));
    let anne = json!({"kind": "User", "name": "anne"});
    store.put(ROLE_BINDINGS, binding("readers", "Role", "reader", &anne));
    let mut lister = role("lister", &["list"]);
    lister["metadata"] = json!({"name": "lister"});
    store.put(CLUSTER_ROLES, lister);
    let group = json!({"kind": "Group", "name": "listers"});
    store.put(ROLE_BINDINGS, binding("lists", "ClusterRole", "lister", &group));
    let account = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "tools"});
    let mut everywhere = binding("robots", "ClusterRole", "lister", &account);
    everywhere["metadata"] = json!({"name": "robots"});
    store.put(CLUSTER_ROLE_BINDINGS, everywhere);
    store
}

/// Guards the users and the namespaces of each kind of binding.
#[test]
fn bindings_grant_permissions_in_their_namespace() {
    let store = store();
    let anne = User::new("anne");
    let lister = User::new("bob").in_group("listers");
    let robot = User::service_account("tools", "robot", "");
    let impostor = User::service_account("n", "robot", "");
    for (user, attributes, by) in [
        (&anne, pods("get", "n"), "RoleBinding \"readers/n\" of Role \"reader\" to User \"anne\""),
        (&anne, pods("get", "other"), ""),
        (&anne, pods("get", ""), ""),
        (&anne, pods("list", "n"), ""),
        (
            &lister,
            pods("list", "n"),
            "RoleBinding \"lists/n\" of ClusterRole \"lister\" to Group \"listers\"",
        ),
        (&lister, pods("list", ""), ""),
        (
            &robot,
            pods("list", ""),
            "ClusterRoleBinding \"robots\" of ClusterRole \"lister\" to ServiceAccount \"robot/tools\"",
        ),
        (
            &robot,
            pods("list", "anywhere"),
            "ClusterRoleBinding \"robots\" of ClusterRole \"lister\" to ServiceAccount \"robot/tools\"",
        ),
        (&impostor, pods("list", "n"), ""),
    ] {
        let verdict = decide(&store, user, &attributes);
        assert_eq!(verdict.allowed, !by.is_empty(), "{user:?} {attributes:?}");
        let reason = if by.is_empty() { String::new() } else { format!("RBAC: allowed by {by}") };
        assert_eq!(verdict.reason, reason);
    }
}

/// Guards the default permissions of all users and of authenticated users, and that `system:masters` needs no rule.
#[test]
fn default_permissions_of_anonymous_users_are_health_only() {
    let store = store();
    let known = User::new("anne").authenticated();
    let anonymous = User::anonymous();
    for open in ["/healthz", "/livez", "/readyz", "/version"] {
        assert!(decide(&store, &anonymous, &path(open)).allowed, "{open}");
        assert!(decide(&store, &known, &path(open)).allowed, "{open}");
    }
    for inner in ["/api", "/apis", "/api/v1", "/apis/rbac.authorization.k8s.io/v1", "/openapi/v3"] {
        assert!(!decide(&store, &anonymous, &path(inner)).allowed, "{inner}");
        assert!(decide(&store, &known, &path(inner)).allowed, "{inner}");
    }
    assert!(!decide(&store, &known, &path("/metrics")).allowed);
    assert!(decide(&Store::with_window(1), &User::admin(), &pods("escalate", "")).allowed);
}

/// Guards that a binding to a deleted role is named in the reason, so that an administrator finds it.
#[test]
fn a_binding_without_role_is_named_in_the_reason() {
    let mut store = Store::with_window(10);
    let anne = json!({"kind": "User", "name": "anne"});
    store.put(ROLE_BINDINGS, binding("one", "Role", "gone", &anne));
    let verdict = decide(&store, &User::new("anne"), &pods("get", "n"));
    assert_eq!(verdict.reason, "RBAC: role.rbac.authorization.k8s.io \"gone\" not found");
    store.put(ROLE_BINDINGS, binding("two", "ClusterRole", "lost", &anne));
    let verdict = decide(&store, &User::new("anne"), &pods("get", "n"));
    assert_eq!(
        verdict.reason,
        "RBAC: [role.rbac.authorization.k8s.io \"gone\" not found, clusterrole.rbac.authorization.k8s.io \"lost\" not \
         found]"
    );
}
