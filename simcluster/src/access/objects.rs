//! Validation and defaults of the RBAC kinds (`k8s.io/kubernetes/pkg/apis/rbac`).

use crate::fields::items;
use serde_json::Value;

use crate::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource};
use crate::status::Cause;
use crate::store::text_at;
use crate::validate::names;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Sets the default API groups in a binding.
pub(crate) fn fill(resource: &Resource, value: &mut Value) {
    if resource == ROLES || resource == CLUSTER_ROLES {
        if value.get("rules").is_none() {
            value["rules"] = Value::Null;
        }
        return;
    }
    if resource != ROLE_BINDINGS && resource != CLUSTER_ROLE_BINDINGS {
        return;
    }
    if value["roleRef"].is_object() && text_at(value, &["roleRef", "apiGroup"]).is_empty() {
        value["roleRef"]["apiGroup"] = GROUP.into();
    }
    for subject in value["subjects"].as_array_mut().into_iter().flatten() {
        if matches!(text_at(subject, &["kind"]), "User" | "Group")
            && text_at(subject, &["apiGroup"]).is_empty()
        {
            subject["apiGroup"] = GROUP.into();
        }
    }
}

/// Validates an RBAC object.
pub(crate) fn check(resource: &Resource, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if resource == ROLES || resource == CLUSTER_ROLES {
        for (place, rule) in items(&value["rules"]).enumerate() {
            check_rule(rule, &format!("rules[{place}]"), resource.namespaced, &mut causes);
        }
    } else if resource == ROLE_BINDINGS || resource == CLUSTER_ROLE_BINDINGS {
        check_role_reference(&value["roleRef"], resource.namespaced, &mut causes);
        for (place, subject) in items(&value["subjects"]).enumerate() {
            check_subject(subject, &format!("subjects[{place}]"), resource.namespaced, &mut causes);
        }
    }
    causes
}

/// Validates a change of an RBAC object. The role of a binding cannot change.
pub(crate) fn check_change(resource: &Resource, old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = check(resource, new);
    let bindings = resource == ROLE_BINDINGS || resource == CLUSTER_ROLE_BINDINGS;
    if bindings && old["roleRef"] != new["roleRef"] {
        let text = |key| text_at(&new["roleRef"], &[key]);
        let shown = format!(
            "rbac.RoleRef{{APIGroup:{:?}, Kind:{:?}, Name:{:?}}}",
            text("apiGroup"),
            text("kind"),
            text("name")
        );
        causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
    }
    causes
}

fn check_rule(rule: &Value, at: &str, namespaced: bool, causes: &mut Vec<Cause>) {
    let empty = |key: &str| rule[key].as_array().is_none_or(Vec::is_empty);
    let at = |key: &str| format!("{at}.{key}");
    if empty("verbs") {
        causes.push(Cause::required(at("verbs"), "verbs must contain at least one value"));
    }
    if !empty("nonResourceURLs") {
        let shown = rule["nonResourceURLs"].to_string();
        let mut refuse = |why| causes.push(Cause::invalid(at("nonResourceURLs"), &shown, why));
        if namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        if !(empty("apiGroups") && empty("resources") && empty("resourceNames")) {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if empty("apiGroups") {
        let why = "resource rules must supply at least one api group";
        causes.push(Cause::required(at("apiGroups"), why));
    }
    if empty("resources") {
        causes.push(Cause::required(at("resources"), "resource rules must supply at least one resource"));
    }
}

fn check_role_reference(role: &Value, namespaced: bool, causes: &mut Vec<Cause>) {
    let text = |key| text_at(role, &[key]);
    if text("apiGroup") != GROUP {
        causes.push(Cause::unsupported("roleRef.apiGroup", text("apiGroup"), &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&text("kind")) {
        causes.push(Cause::unsupported("roleRef.kind", text("kind"), kinds));
    }
    if text("name").is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    let wrong = names::path_segment(text("name"));
    causes.extend(wrong.iter().map(|why| Cause::invalid_text("roleRef.name", text("name"), why)));
}

fn check_subject(subject: &Value, at: &str, namespaced: bool, causes: &mut Vec<Cause>) {
    let text = |key| text_at(subject, &[key]);
    let (name, group) = (text("name"), text("apiGroup"));
    let at = |key: &str| format!("{at}.{key}");
    if name.is_empty() {
        causes.push(Cause::required(at("name"), ""));
    }
    match text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                let wrong = names::subdomain(name);
                causes.extend(wrong.iter().map(|why| Cause::invalid_text(at("name"), name, why)));
            }
            if !group.is_empty() {
                causes.push(Cause::unsupported(at("apiGroup"), group, &[""]));
            }
            if !namespaced && text("namespace").is_empty() {
                causes.push(Cause::required(at("namespace"), ""));
            }
        }
        "User" | "Group" if group != GROUP => {
            causes.push(Cause::unsupported(at("apiGroup"), group, &[GROUP]));
        }
        "User" | "Group" => {}
        other => causes.push(Cause::unsupported(at("kind"), other, &["ServiceAccount", "User", "Group"])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn invalid_rules_are_rejected() {
        let rules = json!({"rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            {},
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
            {"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"]},
        ]});
        let everywhere = fields(&check(CLUSTER_ROLES, &rules));
        let expected = [
            "rules[1].verbs: Required value: verbs must contain at least one value",
            "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[1].resources: Required value: resource rules must supply at least one resource",
            "rules[3].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and \
             non-resource URLs",
        ];
        assert_eq!(everywhere, expected);
        let local = fields(&check(ROLES, &rules));
        let line = "rules[2].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs";
        assert!(local.contains(&line.to_owned()), "{local:?}");
    }

    #[test]
    fn bindings_are_validated_and_keep_their_role() {
        let mut binding = json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"},
        ]});
        fill(ROLE_BINDINGS, &mut binding);
        assert_eq!(fields(&check(ROLE_BINDINGS, &binding)), [""; 0]);
        assert_eq!(
            fields(&check(CLUSTER_ROLE_BINDINGS, &binding)),
            [
                "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
                "subjects[1].namespace: Required value",
            ]
        );
        let mut other = binding.clone();
        other["roleRef"]["name"] = "x".into();
        assert_eq!(
            fields(&check_change(ROLE_BINDINGS, &binding, &other)),
            ["roleRef: Invalid value: rbac.RoleRef{APIGroup:\"rbac.authorization.k8s.io\", Kind:\"Role\", \
                 Name:\"x\"}: cannot change roleRef"]
        );
        assert!(check_change(ROLE_BINDINGS, &binding, &binding).is_empty());
    }
}
