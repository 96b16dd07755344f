//! Routing: from a method and a path to the target of a request.

use http::Method;

#[cfg(feature = "rbac")]
use crate::access::review_kind::ReviewKind;
use crate::calls::Verb;
use crate::query::{Query, segments};
use crate::resource::{NAMESPACES, Resource, Sub};

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Object(Target),
    Version,
    /// `/livez`, `/readyz`, `/healthz` and their subpaths.
    Health,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(String),
    /// `/api/v1` (empty group) and `/apis/{group}/{version}`
    Resources(String),
    /// A review of users and permissions, which is not stored.
    #[cfg(feature = "rbac")]
    ReviewKind(ReviewKind),
    /// `/openapi/v3`
    #[cfg(feature = "kubectl")]
    OpenApi,
    /// `/openapi/v3/api/v1` (empty group) and `/openapi/v3/apis/{group}/v1`
    #[cfg(feature = "kubectl")]
    OpenApiOf(String),
    /// An unknown resource in a group version that is served.
    UnknownResource,
    Unknown,
}

/// An object or a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub resource: &'static Resource,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// The subresource.
    pub sub: Option<Sub>,
    /// Whether the path itself is a watch (`/api/v1/watch/…`, deprecated).
    pub watched: bool,
}

// === impl Route ===

impl Route {
    pub fn parse(path: &str) -> Self {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        #[cfg(feature = "rbac")]
        if let Some(asked) = ReviewKind::of(&segments) {
            return Self::ReviewKind(asked);
        }
        match segments.as_slice() {
            ["version"] => Self::Version,
            ["livez" | "readyz" | "healthz", ..] => Self::Health,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["api", "v1"] => Self::Resources(String::new()),
            ["api", "v1", "watch", rest @ ..] => Self::watched("", rest),
            ["api", "v1", rest @ ..] => Self::object("", rest),
            #[cfg(feature = "kubectl")]
            ["openapi", "v3"] => Self::OpenApi,
            #[cfg(feature = "kubectl")]
            ["openapi", "v3", "api", "v1"] => Self::OpenApiOf(String::new()),
            #[cfg(feature = "kubectl")]
            ["openapi", "v3", "apis", group, "v1"] => Self::OpenApiOf((*group).to_owned()),
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", group, version, rest @ ..] if *version == Resource::version_of(group) => match rest {
                [] => Self::Resources((*group).to_owned()),
                ["watch", rest @ ..] => Self::watched(group, rest),
                rest => Self::object(group, rest),
            },
            _ => Self::Unknown,
        }
    }

    /// Parses the deprecated watch paths, which have one more segment.
    fn watched(group: &str, rest: &[&str]) -> Self {
        match Self::object(group, rest) {
            Self::Object(target) if target.sub.is_none() => Self::Object(Target { watched: true, ..target }),
            _ => Self::UnknownResource,
        }
    }

    fn object(group: &str, rest: &[&str]) -> Self {
        if Resource::all().all(|resource| resource.group != group) {
            return Self::Unknown;
        }
        // `namespaces/{name}` and its subresources are the namespace itself.
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, word) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(*name), None),
            [plural, name, word] => (plural, Some(*name), Some(*word)),
            _ => return Self::UnknownResource,
        };
        let Some(resource) = Resource::find(group, plural) else {
            return Self::UnknownResource;
        };
        // A namespaced object needs a namespace; a cluster-wide object has none.
        let placed =
            if resource.namespaced { namespace.is_some() || name.is_none() } else { namespace.is_none() };
        let sub = word.and_then(|word| resource.subs().find(|sub| sub.word() == word));
        if !placed || (word.is_some() && sub.is_none()) {
            return Self::UnknownResource;
        }
        Self::Object(Target { resource, namespace, name: name.map(str::to_owned), sub, watched: false })
    }

    /// Returns the verb of a method, or `None` if it is not allowed.
    pub fn verb(&self, method: &Method, query: &Query) -> Option<Verb> {
        let Self::Object(target) = self else {
            return Some(if method == Method::POST { Verb::Create } else { Verb::Get });
        };
        let verb = target.verb(method, query)?;
        let allowed = target.sub.is_none_or(|sub| sub.verbs().contains(&verb.as_str()));
        allowed.then_some(verb)
    }
}

// === impl Target ===

impl Target {
    fn verb(&self, method: &Method, query: &Query) -> Option<Verb> {
        // Namespaced kinds are written in a namespace, and only they support bulk deletion.
        let (one, placed) = (self.name.is_some(), self.namespace.is_some());
        match *method {
            Method::GET | Method::HEAD if self.watched => Some(Verb::Watch),
            _ if self.watched => None,
            Method::GET | Method::HEAD if one => Some(Verb::Get),
            Method::GET | Method::HEAD if query.is_on("watch") => Some(Verb::Watch),
            Method::GET | Method::HEAD => Some(Verb::List),
            Method::POST if self.sub.is_some() => Some(Verb::Create),
            Method::POST if !one && (placed || !self.resource.namespaced) => Some(Verb::Create),
            Method::PUT if one => Some(Verb::Update),
            Method::PATCH if one => Some(Verb::Patch),
            Method::DELETE if one => Some(Verb::Delete),
            Method::DELETE if placed || (!self.resource.namespaced && self.resource != NAMESPACES) => {
                Some(Verb::DeleteCollection)
            }
            _ => None,
        }
    }

    /// Returns the resource as the call record names it.
    pub fn label(&self) -> String {
        match self.sub {
            Some(sub) => format!("{}/{}", self.resource.plural, sub.word()),
            None => self.resource.plural.to_owned(),
        }
    }

    /// Returns the namespace for the store's keys: empty for cluster-wide kinds.
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
    use crate::resource::PODS;

    fn target(path: &str) -> Target {
        match Route::parse(path) {
            Route::Object(target) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_name_objects_and_collections() {
        let pod = target("/api/v1/namespaces/n/pods/p/status");
        assert_eq!((pod.resource, pod.space(), pod.named(), pod.sub), (PODS, "n", "p", Some(Sub::Status)));
        let all = target("/api/v1/pods");
        assert_eq!((all.namespace, all.name), (None, None));
        let namespace = target("/api/v1/namespaces/n");
        assert_eq!((namespace.resource, namespace.named()), (NAMESPACES, "n"));
        assert_eq!(target("/api/v1/namespaces/n/pods/a%20b").named(), "a b");
    }

    #[test]
    fn unknown_paths_have_no_route() {
        for path in ["/", "/openapi", "/api/v2", "/apis/x/v2", "/apis/x/v1/things"] {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
        }
        for path in ["/api/v1/pods/p", "/api/v1/namespaces/n/things", "/api/v1/namespaces/n/services/s/log"] {
            assert_eq!(Route::parse(path), Route::UnknownResource, "{path}");
        }
    }

    #[test]
    fn verbs_are_those_of_kubernetes() {
        let query = |text| Query::parse(text);
        let pods = Route::parse("/api/v1/namespaces/n/pods");
        let pod = Route::parse("/api/v1/namespaces/n/pods/p");
        assert_eq!(pods.verb(&Method::GET, &query("watch=true")), Some(Verb::Watch));
        assert_eq!(pods.verb(&Method::GET, &query("")), Some(Verb::List));
        assert_eq!(pods.verb(&Method::DELETE, &query("")), Some(Verb::DeleteCollection));
        assert_eq!(pod.verb(&Method::DELETE, &query("")), Some(Verb::Delete));
        assert_eq!(pod.verb(&Method::POST, &query("")), None);
        assert_eq!(pods.verb(&Method::PUT, &query("")), None);
        let everywhere = Route::parse("/api/v1/pods");
        assert_eq!(everywhere.verb(&Method::POST, &query("")), None);
        assert_eq!(everywhere.verb(&Method::DELETE, &query("")), None);
        let namespaces = Route::parse("/api/v1/namespaces");
        assert_eq!(namespaces.verb(&Method::DELETE, &query("")), None);
        let log = Route::parse("/api/v1/namespaces/n/pods/p/log");
        assert_eq!(log.verb(&Method::GET, &query("")), Some(Verb::Get));
        assert_eq!(log.verb(&Method::DELETE, &query("")), None);
        let old = Route::parse("/api/v1/watch/namespaces/n/pods");
        assert_eq!(old.verb(&Method::GET, &query("")), Some(Verb::Watch));
    }
}
