//! Authorization: finds the rules for a user through bindings and roles, and decides. Pure: it only reads the store.

use crate::fields::items;
use serde_json::Value;

use super::attributes::Attributes;
use super::rules::PolicyRule;
use super::user::{MASTERS, SERVICE_ACCOUNT_PREFIX, User};
use crate::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES};
use crate::store::{Object, Store, text_at};

/// A decision about an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub allowed: bool,
    /// The rule that allows the action, or the errors that were found; often empty.
    pub reason: String,
}

/// A rule that applies to a user, and the binding that grants it.
#[derive(Debug)]
pub(super) struct Grant {
    pub rule: PolicyRule,
    source: String,
}

/// All rules for a user in a namespace, or the cluster-wide rules if it is empty.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pub rules: Vec<Grant>,
    /// Bindings whose role does not exist.
    pub errors: Vec<String>,
}

/// Decides whether a user may do an action.
pub(super) fn decide(store: &Store, user: &User, attributes: &Attributes) -> Decision {
    if user.is_in(MASTERS) {
        return Decision { allowed: true, reason: String::new() };
    }
    let namespace = match attributes {
        Attributes::Resource(action) => action.namespace.as_str(),
        Attributes::Path { .. } => "",
    };
    let Grants { rules, errors } = Grants::of(store, user, namespace);
    if let Some(grant) = rules.iter().find(|grant| grant.rule.allows(attributes)) {
        return Decision { allowed: true, reason: format!("RBAC: allowed by {}", grant.source) };
    }
    let reason = match errors.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    };
    Decision { allowed: false, reason }
}

// === impl Grants ===

impl Grants {
    /// Returns the rules for a user, cluster-wide rules first.
    pub fn of(store: &Store, user: &User, namespace: &str) -> Self {
        let mut grants = Self::default();
        for binding in store.list(CLUSTER_ROLE_BINDINGS, None) {
            grants.add(store, &binding, user);
        }
        if !namespace.is_empty() {
            for binding in store.list(ROLE_BINDINGS, Some(namespace)) {
                grants.add(store, &binding, user);
            }
        }
        grants
    }

    fn add(&mut self, store: &Store, binding: &Object, user: &User) {
        let mut subjects = items(&binding.value()["subjects"]);
        let Some(subject) = subjects.find(|subject| applies(subject, user, binding.namespace())) else {
            return;
        };
        match rules_of(store, &binding.value()["roleRef"], binding.namespace()) {
            Ok(rules) => {
                let source = describe(binding, subject);
                self.rules.extend(rules.into_iter().map(|rule| Grant { rule, source: source.clone() }));
            }
            Err(error) => self.errors.push(error),
        }
    }
}

/// Returns the rules of the role that a binding refers to.
pub(super) fn rules_of(store: &Store, role: &Value, namespace: &str) -> Result<Vec<PolicyRule>, String> {
    let (kind, name) = (text_at(role, &["kind"]), text_at(role, &["name"]));
    let (resource, namespace, word) = match kind {
        "Role" => (ROLES, namespace, "role"),
        "ClusterRole" => (CLUSTER_ROLES, "", "clusterrole"),
        other => return Err(format!("unsupported role reference kind: {other:?}")),
    };
    store
        .get(resource, namespace, name)
        .map(|role| PolicyRule::all_of(role.value()))
        .ok_or_else(|| format!("{word}.rbac.authorization.k8s.io {name:?} not found"))
}

/// Returns whether the subject of a binding in a namespace is the user.
fn applies(subject: &Value, user: &User, namespace: &str) -> bool {
    let name = text_at(subject, &["name"]);
    match text_at(subject, &["kind"]) {
        "User" => user.name == name,
        "Group" => user.is_in(name),
        "ServiceAccount" => {
            let own = text_at(subject, &["namespace"]);
            let place = if own.is_empty() { namespace } else { own };
            !place.is_empty() && user.name == format!("{SERVICE_ACCOUNT_PREFIX}{place}:{name}")
        }
        _ => false,
    }
}

/// Returns the description of a binding for a reason.
fn describe(binding: &Object, subject: &Value) -> String {
    let role = &binding.value()["roleRef"];
    let (kind, role) = (text_at(role, &["kind"]), text_at(role, &["name"]));
    let name = if binding.namespace().is_empty() {
        binding.name().to_owned()
    } else {
        format!("{}/{}", binding.name(), binding.namespace())
    };
    let who = text_at(subject, &["kind"]);
    let mut whose = text_at(subject, &["name"]).to_owned();
    if who == "ServiceAccount" {
        let own = text_at(subject, &["namespace"]);
        whose = format!("{whose}/{}", if own.is_empty() { binding.namespace() } else { own });
    }
    format!("{} {name:?} of {kind} {role:?} to {who} {whose:?}", binding.resource.kind)
}

#[cfg(test)]
mod tests;
