//! A rule of a role, and whether it allows an action. Pure
//! (`k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go`).

use crate::fields::items;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attributes::{Action, Attributes};

/// The wildcard for verbs, groups, resources and paths.
const ALL: &str = "*";

/// A rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyRule {
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// All names if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

// === impl PolicyRule ===

impl PolicyRule {
    /// Returns the rules of a Role or a `ClusterRole`. An invalid rule allows nothing.
    pub fn all_of(role: &Value) -> Vec<Self> {
        items(&role["rules"]).filter_map(|rule| Self::deserialize(rule).ok()).collect()
    }

    /// Returns whether the rule allows the action.
    pub fn allows(&self, attributes: &Attributes) -> bool {
        match attributes {
            Attributes::Resource(action) => {
                has(&self.verbs, &action.verb)
                    && has(&self.api_groups, &action.group)
                    && self.covers_resource(action)
                    && self.covers_name(&action.name)
            }
            Attributes::Path { verb, path } => has(&self.verbs, verb) && self.covers_path(path),
        }
    }

    /// Splits the rule: each part has one verb on one resource of one group, with at most one name, or on one path.
    pub fn atoms(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut atoms = Vec::new();
        for verb in &self.verbs {
            for path in &self.non_resource_urls {
                atoms.push(Self { verbs: one(verb), non_resource_urls: one(path), ..Self::default() });
            }
            for (group, resource) in
                self.api_groups.iter().flat_map(|group| self.resources.iter().map(move |own| (group, own)))
            {
                let atom = Self {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..Self::default()
                };
                if self.resource_names.is_empty() {
                    atoms.push(atom);
                } else {
                    let named = |name| Self { resource_names: one(name), ..atom.clone() };
                    atoms.extend(self.resource_names.iter().map(named));
                }
            }
        }
        atoms
    }

    /// Returns whether this rule allows everything that a single part allows.
    pub fn covers(&self, atom: &Self) -> bool {
        let first = |list: &[String]| list.first().cloned().unwrap_or_default();
        if !has(&self.verbs, &first(&atom.verbs)) {
            return false;
        }
        if let Some(path) = atom.non_resource_urls.first() {
            return self.covers_path(path);
        }
        let wanted = first(&atom.resources);
        let (resource, subresource) = wanted.split_once('/').unwrap_or((&wanted, ""));
        let action = Action {
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            ..Action::default()
        };
        has(&self.api_groups, &first(&atom.api_groups))
            && self.covers_resource(&action)
            && (self.resource_names.is_empty()
                || atom.resource_names.iter().any(|name| self.covers_name(name)))
    }

    /// Describes the rule as error messages do.
    pub fn describe(&self) -> String {
        let lists = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.resource_names),
            ("NonResourceURLs", &self.non_resource_urls),
            ("Verbs", &self.verbs),
        ];
        let shown = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let shown: Vec<_> = shown.map(|(name, list)| format!("{name}:{list:?}")).collect();
        format!("{{{}}}", shown.join(", "))
    }

    fn covers_resource(&self, action: &Action) -> bool {
        let combined = action.combined();
        self.resources.iter().any(|own| {
            own == ALL
                || *own == combined
                // `*/scale` is that subresource of every resource.
                || (!action.subresource.is_empty()
                    && own.strip_prefix("*/").is_some_and(|sub| sub == action.subresource))
        })
    }

    /// A rule with names does not allow requests without a name, such as lists and creates.
    fn covers_name(&self, name: &str) -> bool {
        self.resource_names.is_empty() || self.resource_names.iter().any(|own| own == name)
    }

    fn covers_path(&self, path: &str) -> bool {
        self.non_resource_urls
            .iter()
            .any(|own| own == path || own.strip_suffix(ALL).is_some_and(|start| path.starts_with(start)))
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|own| own == ALL || own == wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action(text: &str) -> Attributes {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or("").to_owned();
        let (verb, target, name) = (word(), word(), word());
        if target.starts_with('/') {
            return Attributes::Path { verb, path: target };
        }
        let (target, subresource) = target.split_once('/').unwrap_or((&target, ""));
        let (resource, group) = target.split_once('.').unwrap_or((target, ""));
        Attributes::Resource(Action {
            verb,
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: "n".into(),
            name,
        })
    }

    /// Guards each way a rule can allow an action, and each near miss.
    #[test]
    fn rules_match_actions() {
        let pods = json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "create"]});
        let named = json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["a"],
            "verbs": ["*"]});
        let group = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["*"], "verbs": ["get"]});
        let scale = json!({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["update"]});
        let paths = json!({"nonResourceURLs": ["/healthz", "/api/*"], "verbs": ["get"]});
        let everything = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        for (rule, allowed, refused) in [
            (
                &pods,
                &["get pods x", "create pods", "get pods/log x"][..],
                &["list pods", "get pods/status x", "get pods.other x", "get services x", "get /pods"][..],
            ),
            (
                &named,
                &["get namespaces a", "watch namespaces a"],
                &["get namespaces b", "list namespaces", "create namespaces"],
            ),
            (
                &group,
                &["get leases.coordination.k8s.io x", "get leases.coordination.k8s.io/status x"],
                &["get leases x", "update leases.coordination.k8s.io x"],
            ),
            (
                &scale,
                &["update deployments.apps/scale x"],
                &["update deployments.apps x", "update deployments.apps/rescale x", "update scale x"],
            ),
            (
                &paths,
                &["get /healthz", "get /api/v1", "get /api/"],
                &["get /healthz/etcd", "get /api", "post /healthz", "get pods x"],
            ),
            (&everything, &["delete pods/x y", "create nodes"], &["get /healthz"]),
            (&json!({}), &[], &["get pods x", "get /healthz"]),
            (&json!("nonsense"), &[], &["get pods x"]),
        ] {
            let rules = PolicyRule::all_of(&json!({"rules": [rule]}));
            let allows = |text: &str| rules.iter().any(|rule| rule.allows(&action(text)));
            for text in allowed {
                assert!(allows(text), "{rule} must allow {text}");
            }
            for text in refused {
                assert!(!allows(text), "{rule} must not allow {text}");
            }
        }
    }
}
