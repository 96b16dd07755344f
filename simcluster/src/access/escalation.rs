//! Privilege escalation: writing a role requires the permissions that it grants, or the verb `escalate`; writing a
//! binding requires the permissions of its role, or the verb `bind` (`k8s.io/kubernetes/pkg/registry/rbac`).

use serde_json::Value;

use super::attributes::{Action, Attributes};
use super::policy::{self, Grants};
use super::rules::PolicyRule;
use super::user::{MASTERS, User};
use crate::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource};
use crate::shared::{Shared, State};
use crate::status::{ApiError, ApiResult};
use crate::store::{Store, text_at};

/// Rejects an RBAC object that grants permissions that its writer does not have. `old` is the object it replaces.
pub(crate) fn guard(
    shared: &Shared,
    state: &State,
    user: &User,
    resource: &Resource,
    old: Option<&Value>,
    new: &Value,
) -> ApiResult<()> {
    if !shared.access.rbac {
        return Ok(());
    }
    check(&state.store, user, resource, old, new)
}

fn check(store: &Store, user: &User, resource: &Resource, old: Option<&Value>, new: &Value) -> ApiResult<()> {
    let namespace = text_at(new, &["metadata", "namespace"]);
    let (verb, to, rules) = if resource == ROLES || resource == CLUSTER_ROLES {
        if old.is_some_and(|old| old["rules"] == new["rules"]) {
            return Ok(());
        }
        ("escalate", (resource, text_at(new, &["metadata", "name"])), Ok(PolicyRule::all_of(new)))
    } else if resource == ROLE_BINDINGS || resource == CLUSTER_ROLE_BINDINGS {
        if old.is_some_and(|old| old["subjects"] == new["subjects"] && old["roleRef"] == new["roleRef"]) {
            return Ok(());
        }
        let role = &new["roleRef"];
        let kind = if text_at(role, &["kind"]) == "Role" { ROLES } else { CLUSTER_ROLES };
        ("bind", (kind, text_at(role, &["name"])), policy::rules_of(store, role, namespace))
    } else {
        return Ok(());
    };
    if user.is_in(MASTERS) {
        return Ok(());
    }
    let right = Attributes::Resource(Action {
        verb: verb.to_owned(),
        group: to.0.group.to_owned(),
        resource: to.0.plural.to_owned(),
        namespace: namespace.to_owned(),
        name: to.1.to_owned(),
        ..Action::default()
    });
    if policy::decide(store, user, &right).allowed {
        return Ok(());
    }
    let name = text_at(new, &["metadata", "name"]);
    let rules = rules.map_err(|error| ApiError::forbidden(resource, name, &error))?;
    let Grants { rules: own, errors } = Grants::of(store, user, namespace);
    let missing: Vec<_> = rules
        .iter()
        .flat_map(PolicyRule::atoms)
        .filter(|atom| !own.iter().any(|grant| grant.rule.covers(atom)))
        .map(|atom| atom.describe())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let groups: Vec<_> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let mut why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        missing.join("\n")
    );
    if !errors.is_empty() {
        why = format!("{why}; resolution errors: [{}]", errors.join(", "));
    }
    Err(ApiError::forbidden(resource, name, &why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::bootstrap;

    fn role(name: &str, rules: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "n"}, "rules": rules})
    }

    fn binding(role: &str, user: &str) -> Value {
        json!({"metadata": {"name": format!("{role}-{user}"), "namespace": "n"},
            "roleRef": {"kind": "Role", "name": role}, "subjects": [{"kind": "User", "name": user}]})
    }

    /// Guards that users cannot extend their permissions, and each way to delegate them.
    #[test]
    fn only_held_permissions_can_be_granted() {
        let mut store = Store::with_window(10);
        for (resource, object) in bootstrap::objects() {
            store.put(resource, object);
        }
        let reads = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]);
        let writes = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete"]}]);
        store.put(ROLES, role("reader", &reads));
        store.put(ROLES, role("writer", &writes));
        store.put(ROLE_BINDINGS, binding("reader", "anne"));
        let anne = User::new("anne").in_group("g");
        let grant = |store: &Store, rules: &Value| check(store, &anne, ROLES, None, &role("new", rules));
        let bind =
            |store: &Store, name: &str| check(store, &anne, ROLE_BINDINGS, None, &binding(name, "bob"));
        assert!(grant(&store, &reads).is_ok() && bind(&store, "reader").is_ok());
        let refused = grant(&store, &writes).unwrap_err();
        assert_eq!(
            refused.message,
            "roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"anne\" (groups=[\"g\"]) is attempting to grant \
             RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
        );
        assert!(bind(&store, "writer").is_err());
        assert!(bind(&store, "no-such-role").is_err());
        // An unchanged object grants nothing new.
        let old = role("new", &writes);
        assert!(check(&store, &anne, ROLES, Some(&old), &old).is_ok());
        assert!(check(&store, &User::admin(), ROLES, None, &old).is_ok());

        let lends = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"],
            "resourceNames": ["writer"], "verbs": ["bind"]}]);
        store.put(ROLES, role("lender", &lends));
        store.put(ROLE_BINDINGS, binding("lender", "anne"));
        assert!(bind(&store, "writer").is_ok() && grant(&store, &writes).is_err());
    }
}
