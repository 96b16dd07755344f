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
    /// Returns the route of a path. Whether it takes the method is not considered. A trailing slash is ignored, as by warp.
    pub(super) fn of(path: &str) -> Self {
        let path = path.trim_end_matches('/');
        // The most frequent routes come first.
        Self::ALL.into_iter().find(|route| route.fits(path)).unwrap_or(Self::Other)
    }

    /// Returns whether a path has the segments of the name, with anything in place of `{id}`.
    fn fits(self, path: &str) -> bool {
        // Bytes, because every request comes through here, and a search for a `char` needs three times the instructions.
        let [mut names, mut segments] =
            [self.name(), path].map(|text| text.as_bytes().split(|byte| *byte == b'/'));
        loop {
            match (names.next(), segments.next()) {
                (Some(name), Some(segment)) if name == segment || name.starts_with(b"{") => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each route is found by its own path.
    #[test]
    fn every_route_is_found() {
        for route in Route::ALL {
            let path = route.name().replace('{', "a").replace('}', "");
            assert_eq!(Route::of(&path), route, "{path}");
        }
    }

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
