//! From a method and a path to what is asked for.

use http::Method;

use crate::calls::Verb;
use crate::query::{Query, decode};
use crate::resource::Resource;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Object(Target),
    Version,
    /// `/livez`, `/readyz`, `/healthz` and what is below them.
    Health,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(String),
    /// `/api/v1` (empty group) and `/apis/{group}/v1`
    Resources(String),
    /// A review of one's own rights, which is answered and forgotten.
    AccessReview,
    Unknown,
}

/// An object, or a collection of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub resource: &'static Resource,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Whether the `/status` of the object is meant.
    pub status: bool,
}

// === impl Route ===

impl Route {
    pub fn parse(path: &str) -> Self {
        let segments: Vec<String> =
            path.split('/').filter(|s| !s.is_empty()).map(|s| decode(s, false)).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["version"] => Self::Version,
            ["livez" | "readyz" | "healthz", ..] => Self::Health,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["api", "v1"] => Self::Resources(String::new()),
            ["api", "v1", rest @ ..] => Self::object("", rest),
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => Self::AccessReview,
            ["apis", group, "v1"] => Self::Resources((*group).to_owned()),
            ["apis", group, "v1", rest @ ..] => Self::object(group, rest),
            _ => Self::Unknown,
        }
    }

    fn object(group: &str, rest: &[&str]) -> Self {
        // `namespaces/{name}` and `namespaces/{name}/status` are the namespace itself.
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status"] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, status) = match rest {
            [plural] => (plural, None, false),
            [plural, name] => (plural, Some(*name), false),
            [plural, name, "status"] => (plural, Some(*name), true),
            _ => return Self::Unknown,
        };
        let Some(resource) = Resource::find(group, plural) else {
            return Self::Unknown;
        };
        // An object of a namespaced kind needs its namespace; a cluster-wide one has none.
        let placed =
            if resource.namespaced { namespace.is_some() || name.is_none() } else { namespace.is_none() };
        if !placed || (status && !resource.status) {
            return Self::Unknown;
        }
        Self::Object(Target { resource, namespace, name: name.map(str::to_owned), status })
    }

    /// What a method means here; `None` if it is not allowed.
    pub fn verb(&self, method: &Method, query: &Query) -> Option<Verb> {
        let Self::Object(target) = self else {
            return Some(if method == Method::POST { Verb::Create } else { Verb::Get });
        };
        let one = target.name.is_some();
        match *method {
            Method::GET | Method::HEAD if one => Some(Verb::Get),
            Method::GET | Method::HEAD if query.is_on("watch") => Some(Verb::Watch),
            Method::GET | Method::HEAD => Some(Verb::List),
            Method::POST if !one => Some(Verb::Create),
            Method::PUT if one => Some(Verb::Update),
            Method::PATCH if one => Some(Verb::Patch),
            Method::DELETE if one && !target.status => Some(Verb::Delete),
            Method::DELETE if !one && target.resource.namespaced => Some(Verb::DeleteCollection),
            _ => None,
        }
    }
}

// === impl Target ===

impl Target {
    /// The resource as the call record has it.
    pub fn label(&self) -> String {
        if self.status { format!("{}/status", self.resource.plural) } else { self.resource.plural.to_owned() }
    }

    /// The namespace for the store's keys: empty for cluster-wide kinds.
    pub fn space(&self) -> &str {
        self.namespace.as_deref().unwrap_or("")
    }

    pub fn named(&self) -> &str {
        self.name.as_deref().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{NAMESPACES, PODS};

    fn target(path: &str) -> Target {
        match Route::parse(path) {
            Route::Object(target) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_name_objects_and_collections() {
        let pod = target("/api/v1/namespaces/n/pods/p/status");
        assert_eq!((pod.resource, pod.space(), pod.named(), pod.status), (PODS, "n", "p", true));
        let all = target("/api/v1/pods");
        assert_eq!((all.namespace, all.name), (None, None));
        let namespace = target("/api/v1/namespaces/n");
        assert_eq!((namespace.resource, namespace.named()), (NAMESPACES, "n"));
        assert_eq!(target("/api/v1/namespaces/n/pods/a%20b").named(), "a b");
    }

    #[test]
    fn what_is_not_served_is_unknown() {
        for path in
            ["/", "/openapi/v3", "/api/v2", "/api/v1/pods/p", "/api/v1/namespaces/n/things", "/apis/x/v2"]
        {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn verbs_are_kubernetes_own() {
        let query = |text| Query::parse(text);
        let pods = Route::parse("/api/v1/namespaces/n/pods");
        let pod = Route::parse("/api/v1/namespaces/n/pods/p");
        assert_eq!(pods.verb(&Method::GET, &query("watch=true")), Some(Verb::Watch));
        assert_eq!(pods.verb(&Method::GET, &query("")), Some(Verb::List));
        assert_eq!(pods.verb(&Method::DELETE, &query("")), Some(Verb::DeleteCollection));
        assert_eq!(pod.verb(&Method::DELETE, &query("")), Some(Verb::Delete));
        assert_eq!(pod.verb(&Method::POST, &query("")), None);
        assert_eq!(pods.verb(&Method::PUT, &query("")), None);
    }
}
