//! Discovery: the version, health, groups and resources of the server.

use http::StatusCode;
use serde_json::{Value, json};

#[cfg(feature = "rbac")]
use crate::access::review_kind::ReviewKind;
use crate::options::Options;
use crate::reply::Reply;
use crate::resource::{NAMESPACES, Resource, Sub};
use crate::route::Route;

/// The groups in the order of the real server. Only groups with resources are served.
const ORDER: [&str; 13] = [
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "cilium.io",
    "snapshot.storage.k8s.io",
];
/// Groups that contain only reviews, no objects.
const REVIEW_GROUPS: &[&str] =
    if cfg!(feature = "rbac") { &["authentication.k8s.io", "authorization.k8s.io"] } else { &[] };

/// Returns the response for a path without an object, or `None` if the path is not served.
pub(crate) fn answer(route: &Route, options: &Options) -> Option<Reply> {
    let value = match route {
        Route::Health => return Some(Reply::text(StatusCode::OK, "ok")),
        Route::Version => version(),
        Route::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
        }),
        Route::Groups => {
            let groups: Vec<_> = groups(options).map(group).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        Route::Group(name) => {
            let mut found = groups(options).find(|known| known == name).map(group)?;
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            found
        }
        Route::Resources(name) => resources(name, options)?,
        _ => return None,
    };
    Some(Reply::json(StatusCode::OK, value.to_string()))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36",
        "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.2", "gitCommit": "$Format:%H$", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.6", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// Returns the served groups, except the core group.
pub(crate) fn groups(options: &Options) -> impl Iterator<Item = &'static str> {
    let served = |group: &&str| {
        let mut resources = Resource::all().filter(|resource| options.serves(resource, None));
        REVIEW_GROUPS.contains(group) || resources.any(|resource| resource.group == *group)
    };
    ORDER.into_iter().filter(served)
}

fn group(name: &str) -> Value {
    let version = Resource::version_of(name);
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str, options: &Options) -> Option<Value> {
    let mut list: Vec<Value> = Vec::new();
    let served = |resource: &&Resource| resource.group == group && options.serves(resource, None);
    for resource in Resource::all().filter(served) {
        list.push(describe(resource));
        let served = |sub: &Sub| options.serves(resource, Some(*sub));
        list.extend(resource.subs().filter(served).map(|sub| describe_below(resource, sub)));
    }
    #[cfg(feature = "rbac")]
    list.extend(ReviewKind::described(group));
    if list.is_empty() {
        return None;
    }
    list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let version = Resource::version_of(group);
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut answer = json!({"kind": "APIResourceList", "groupVersion": version, "resources": list});
    // The list of the core group has no `apiVersion`.
    if !group.is_empty() {
        answer["apiVersion"] = "v1".into();
    }
    Some(answer)
}

fn describe(resource: &Resource) -> Value {
    let mut verbs = vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    if resource == NAMESPACES {
        verbs.retain(|verb| *verb != "deletecollection");
    }
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs, "storageVersionHash": resource.hash,
    });
    if !resource.short.is_empty() {
        entry["shortNames"] = json!(resource.short);
    }
    if resource.in_all {
        entry["categories"] = json!(["all"]);
    }
    entry
}

fn describe_below(resource: &Resource, sub: Sub) -> Value {
    let kind = match sub {
        Sub::Binding => "Binding",
        Sub::Eviction => "Eviction",
        _ => resource.kind,
    };
    let mut entry = json!({
        "name": format!("{}/{}", resource.plural, sub.word()), "singularName": "",
        "namespaced": resource.namespaced, "kind": kind, "verbs": sub.verbs(),
    });
    // The posted object belongs to another group.
    if sub == Sub::Eviction {
        entry["group"] = "policy".into();
        entry["version"] = "v1".into();
    }
    entry
}
