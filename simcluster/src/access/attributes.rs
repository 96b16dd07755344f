//! Request attributes for the authorizer, derived from the method and the path alone. The server does not check first
//! whether the resource exists (`k8s.io/apiserver/pkg/endpoints/request`).

use http::{Method, StatusCode};
use serde_json::json;

use super::user::User;
use crate::query::{Query, segments};
use crate::status::ApiError;

/// An action that needs a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attributes {
    /// An action on objects.
    Resource(Action),
    /// A request for a path that is not a resource: `/version`, `/apis`.
    Path {
        /// The method in lower case.
        verb: String,
        path: String,
    },
}

/// An action on objects. Fields that do not apply are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Action {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

// === impl Attributes ===

impl Attributes {
    /// Returns the attributes of a request.
    pub fn of(method: &Method, path: &str, query: &Query) -> Self {
        Action::of(method, path, query).map_or_else(
            || Self::Path { verb: method.as_str().to_lowercase(), path: path.to_owned() },
            Self::Resource,
        )
    }

    /// Returns the error for a forbidden action. `reason` is the authorizer's addition and usually empty.
    pub fn forbidden(&self, user: &User, reason: &str) -> ApiError {
        let mut why = self.sentence(&user.name);
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        let mut details = json!({});
        let message = match self {
            Self::Path { .. } => format!("forbidden: {why}"),
            Self::Resource(action) => {
                for (key, text) in
                    [("name", &action.name), ("group", &action.group), ("kind", &action.resource)]
                {
                    if !text.is_empty() {
                        details[key] = text.as_str().into();
                    }
                }
                let qualified = if action.group.is_empty() {
                    action.resource.clone()
                } else {
                    format!("{}.{}", action.resource, action.group)
                };
                if action.name.is_empty() {
                    format!("{qualified} is forbidden: {why}")
                } else {
                    format!("{qualified} {:?} is forbidden: {why}", action.name)
                }
            }
        };
        ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message).with_details(details)
    }

    fn sentence(&self, user: &str) -> String {
        match self {
            Self::Path { verb, path } => format!("User {user:?} cannot {verb} path {path:?}"),
            Self::Resource(action) => {
                let Action { verb, group, namespace, .. } = action;
                let place = if namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace {namespace:?}")
                };
                let resource = action.combined();
                format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
            }
        }
    }
}

// === impl Action ===

impl Action {
    fn of(method: &Method, path: &str, query: &Query) -> Option<Self> {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, parts) = match segments.as_slice() {
            ["api", _, parts @ ..] => ("", parts),
            ["apis", group, _, parts @ ..] => (*group, parts),
            _ => return None,
        };
        // The deprecated watch paths have one more segment.
        let (watched, parts) = match parts {
            ["watch", inner @ ..] if !inner.is_empty() => (true, inner),
            _ => (false, parts),
        };
        let (namespace, parts) = match parts {
            [] => return None,
            // The rest is a subresource of the namespace, not a resource in it.
            ["namespaces", namespace, "status" | "finalize", ..] => (*namespace, parts),
            ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (*namespace, inner),
            // For authorization, a namespace is in itself.
            ["namespaces", namespace] => (*namespace, parts),
            _ => ("", parts),
        };
        let part = |place: usize| parts.get(place).copied().unwrap_or("").to_owned();
        let mut action = Self {
            verb: String::new(),
            group: group.to_owned(),
            resource: part(0),
            subresource: part(2),
            namespace: namespace.to_owned(),
            name: part(1),
        };
        let many = action.name.is_empty();
        let verb = match *method {
            _ if watched => "watch",
            Method::POST => "create",
            Method::GET | Method::HEAD if many && query.is_on("watch") => "watch",
            Method::GET | Method::HEAD if many => "list",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if many => "deletecollection",
            Method::DELETE => "delete",
            _ => "",
        };
        verb.clone_into(&mut action.verb);
        if many && matches!(verb, "list" | "watch" | "deletecollection") {
            let selector = query.get("fieldSelector").unwrap_or("");
            name_of_selector(selector).clone_into(&mut action.name);
        }
        Some(action)
    }

    /// Returns the resource with its subresource, as it is written in rules.
    pub fn combined(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Returns the name that a field selector requires, if any. A permission for that name alone is enough to list or to
/// watch it.
fn name_of_selector(selector: &str) -> &str {
    let terms = selector.split(',').map(str::trim);
    terms
        .filter_map(|term| term.strip_prefix("metadata.name="))
        .map(|name| name.trim_start_matches('='))
        .next()
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(method: &str, path: &str) -> Attributes {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Attributes::of(&method.parse().unwrap(), path, &Query::parse(query))
    }

    /// Guards every form of the message; the first two are recorded.
    #[test]
    fn forbidden_messages_are_those_of_kubernetes() {
        let in_rec = "in API group \"\" in the namespace \"rec\"";
        for (method, path, message) in [
            (
                "GET",
                "/api/v1/namespaces/rec/pods",
                format!("pods is forbidden: User \"u\" cannot list resource \"pods\" {in_rec}"),
            ),
            (
                "POST",
                "/api/v1/namespaces/rec/pods",
                format!("pods is forbidden: User \"u\" cannot create resource \"pods\" {in_rec}"),
            ),
            (
                "DELETE",
                "/api/v1/namespaces/rec/pods/a",
                format!("pods \"a\" is forbidden: User \"u\" cannot delete resource \"pods\" {in_rec}"),
            ),
            (
                "PATCH",
                "/api/v1/namespaces/rec/pods/a/status",
                format!("pods \"a\" is forbidden: User \"u\" cannot patch resource \"pods/status\" {in_rec}"),
            ),
            (
                "GET",
                "/api/v1/pods?watch=1",
                "pods is forbidden: User \"u\" cannot watch resource \"pods\" in API group \"\" at the cluster scope"
                    .to_owned(),
            ),
            (
                "GET",
                "/api/v1/watch/namespaces/rec/pods",
                format!("pods is forbidden: User \"u\" cannot watch resource \"pods\" {in_rec}"),
            ),
            (
                "GET",
                "/api/v1/namespaces/rec",
                format!("namespaces \"rec\" is forbidden: User \"u\" cannot get resource \"namespaces\" {in_rec}"),
            ),
            (
                "DELETE",
                "/apis/coordination.k8s.io/v1/namespaces/rec/leases",
                "leases.coordination.k8s.io is forbidden: User \"u\" cannot deletecollection resource \"leases\" in \
                 API group \"coordination.k8s.io\" in the namespace \"rec\""
                    .to_owned(),
            ),
            ("GET", "/apis", "forbidden: User \"u\" cannot get path \"/apis\"".to_owned()),
            ("POST", "/api/v1", "forbidden: User \"u\" cannot post path \"/api/v1\"".to_owned()),
        ] {
            let error = attributes(method, path).forbidden(&User::new("u"), "");
            assert_eq!(error.message, message, "{method} {path}");
        }
    }

    #[test]
    fn a_field_selector_for_one_name_sets_the_name() {
        let Attributes::Resource(action) =
            attributes("GET", "/api/v1/namespaces/n/pods?watch=true&fieldSelector=metadata.name%3Da")
        else {
            panic!("no resource")
        };
        assert_eq!((action.verb.as_str(), action.name.as_str()), ("watch", "a"));
    }

    /// Guards that authorization comes before the check whether a kind is served.
    #[test]
    fn unknown_resources_need_a_permission_too() {
        let Attributes::Resource(action) = attributes("PUT", "/apis/x.io/v3/namespaces/n/things/t/scale")
        else {
            panic!("no resource")
        };
        let expected = Action {
            verb: "update".into(),
            group: "x.io".into(),
            resource: "things".into(),
            subresource: "scale".into(),
            namespace: "n".into(),
            name: "t".into(),
        };
        assert_eq!(action, expected);
    }
}
