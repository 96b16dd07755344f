//! The routes, as the path of a request tells them: for deadlines, metrics and logs.

lifecycle::named! {
    /// A route. Its name is its path with `{id}` in place of an id.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) enum Route {
        Sandboxes = "/api/sandboxes",
        Sandbox = "/api/sandboxes/{id}",
        Presence = "/api/sandboxes/{id}/presence",
        Timeline = "/api/sandboxes/{id}/timeline",
        Logs = "/api/sandboxes/{id}/logs",
        Touch = "/api/sandboxes/{id}/touch",
        Move = "/api/sandboxes/{id}/move",
        SandboxEvents = "/api/sandboxes/{id}/events",
        Events = "/api/events",
        Reaper = "/api/reaper",
        ReaperResume = "/api/reaper/resume",
        Profiles = "/api/profiles",
        NetworkCheck = "/api/network/check",
        Workspaces = "/api/workspaces",
        Workspace = "/api/workspaces/{id}",
        Clusters = "/api/clusters",
        Cluster = "/api/clusters/{name}",
        Capabilities = "/api/capabilities",
        Health = "/health",
        OpenApi = "/openapi.json",
        Docs = "/docs",
        DocsFile = "/docs/{file}",
        Livez = "/livez",
        Readyz = "/readyz",
        Metrics = "/metrics",
        Ui = "/ui",
        UiFile = "/ui/{file}",
        /// All other paths have one name, because callers can invent them.
        Other = "other",
    }
}

// === impl Route ===

impl Route {
    /// Returns the route of a path. Whether it takes the method is not considered.
    pub(super) fn of(path: &str) -> Self {
        let Some(path) = path.strip_prefix('/') else { return Self::Other };
        // Bytes, because every request comes through here, and a search for a `char` would need three times the
        // instructions.
        let mut segments = path.trim_end_matches('/').as_bytes().split(|byte| *byte == b'/');
        let parts: [Option<&[u8]>; 5] = std::array::from_fn(|_| segments.next());
        match parts {
            [Some(b"api"), Some(b"sandboxes"), None, ..] => Self::Sandboxes,
            [Some(b"api"), Some(b"sandboxes"), Some(_), None, _] => Self::Sandbox,
            [Some(b"api"), Some(b"sandboxes"), Some(_), Some(b"presence"), None] => Self::Presence,
            [Some(b"api"), Some(b"sandboxes"), Some(_), Some(b"timeline"), None] => Self::Timeline,
            [Some(b"api"), Some(b"sandboxes"), Some(_), Some(b"logs"), None] => Self::Logs,
            [Some(b"api"), Some(b"sandboxes"), Some(_), Some(b"touch"), None] => Self::Touch,
            [Some(b"api"), Some(b"sandboxes"), Some(_), Some(b"move"), None] => Self::Move,
            [Some(b"api"), Some(b"sandboxes"), Some(_), Some(b"events"), None] => Self::SandboxEvents,
            [Some(b"api"), Some(b"events"), None, ..] => Self::Events,
            [Some(b"api"), Some(b"reaper"), None, ..] => Self::Reaper,
            [Some(b"api"), Some(b"reaper"), Some(b"resume"), None, _] => Self::ReaperResume,
            [Some(b"api"), Some(b"profiles"), None, ..] => Self::Profiles,
            [Some(b"api"), Some(b"network"), Some(b"check"), None, _] => Self::NetworkCheck,
            [Some(b"api"), Some(b"workspaces"), None, ..] => Self::Workspaces,
            [Some(b"api"), Some(b"workspaces"), Some(_), None, _] => Self::Workspace,
            [Some(b"api"), Some(b"clusters"), None, ..] => Self::Clusters,
            [Some(b"api"), Some(b"clusters"), Some(_), None, _] => Self::Cluster,
            [Some(b"api"), Some(b"capabilities"), None, ..] => Self::Capabilities,
            [Some(b"health"), None, ..] => Self::Health,
            [Some(b"openapi.json"), None, ..] => Self::OpenApi,
            [Some(b"docs"), None, ..] => Self::Docs,
            [Some(b"docs"), Some(_), None, ..] => Self::DocsFile,
            [Some(b"livez"), None, ..] => Self::Livez,
            [Some(b"readyz"), None, ..] => Self::Readyz,
            [Some(b"metrics"), None, ..] => Self::Metrics,
            [Some(b"ui"), None, ..] => Self::Ui,
            [Some(b"ui"), Some(_), None, ..] => Self::UiFile,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a route's name contains no id, and that unknown paths have one name.
    #[test]
    fn a_route_has_a_name_without_an_id() {
        for (path, name) in [
            ("/api/sandboxes", "/api/sandboxes"),
            ("/api/sandboxes/", "/api/sandboxes"),
            ("/api/sandboxes/a", "/api/sandboxes/{id}"),
            ("/api/sandboxes/a/touch", "/api/sandboxes/{id}/touch"),
            ("/api/sandboxes/a/touch/b", "other"),
            ("/api/sandboxes/a/b", "other"),
            ("/api/reaper/resume", "/api/reaper/resume"),
            ("/api/workspaces/a", "/api/workspaces/{id}"),
            ("/api/clusters/west", "/api/clusters/{name}"),
            ("/api/network/check", "/api/network/check"),
            ("/api/network/check/a", "other"),
            ("/readyz", "/readyz"),
            ("//api/sandboxes", "other"),
            ("/", "other"),
            ("*", "other"),
            ("/a", "other"),
        ] {
            assert_eq!(Route::of(path).name(), name, "{path}");
        }
    }
}
