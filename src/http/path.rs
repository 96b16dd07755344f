//! The paths of all routes. warp ignores a trailing slash.

use std::{borrow::Cow, str::FromStr};

use lifecycle::{
    ids::{ClusterName, SandboxId},
    workspace::WorkspaceId,
};
use percent_encoding::percent_decode_str;
use warp::{Filter, Rejection};

use super::errors::ApiError;

/// The id in a path, percent-decoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathId {
    /// A valid id.
    Usable(SandboxId),
    /// Not a valid id; this is the caller's text.
    Unusable(String),
}

/// A path segment that contains a slash after decoding, so it is more than one segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathIdError;

/// Decodes a segment of the URI. `%2F` is a slash, as in DeerFlow's provisioner, so that `a%2Fb` is two segments and matches
/// no route.
fn decoded(segment: &str) -> Result<Cow<'_, str>, PathIdError> {
    // Bytes that are not UTF-8 become U+FFFD, as in DeerFlow's provisioner. No valid id contains it.
    let text = percent_decode_str(segment).decode_utf8_lossy();
    if text.contains('/') { Err(PathIdError) } else { Ok(text) }
}

// === impl PathId ===

impl PathId {
    /// Returns the id, or a 404 if it is not valid.
    pub(super) fn usable(self) -> Result<SandboxId, ApiError> {
        match self {
            Self::Usable(id) => Ok(id),
            Self::Unusable(text) => Err(ApiError::no_sandbox(&text)),
        }
    }
}

impl FromStr for PathId {
    type Err = PathIdError;

    fn from_str(segment: &str) -> Result<Self, PathIdError> {
        let text = decoded(segment)?;
        Ok(SandboxId::parse(&text).map_or_else(|_| Self::Unusable(text.into_owned()), Self::Usable))
    }
}

/// The id of a workspace in a path, percent-decoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathWorkspace {
    /// The id, if it is valid.
    pub(super) id: Option<WorkspaceId>,
    /// The caller's text.
    pub(super) text: String,
}

impl FromStr for PathWorkspace {
    type Err = PathIdError;

    fn from_str(segment: &str) -> Result<Self, PathIdError> {
        let text = decoded(segment)?;
        Ok(Self { id: WorkspaceId::parse(&text), text: text.into_owned() })
    }
}

/// The name of a cluster in a path, percent-decoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathCluster {
    /// The name, if it is valid.
    pub(super) name: Option<ClusterName>,
    /// The caller's text.
    pub(super) text: String,
}

impl FromStr for PathCluster {
    type Err = PathIdError;

    fn from_str(segment: &str) -> Result<Self, PathIdError> {
        let text = decoded(segment)?;
        Ok(Self { name: ClusterName::parse(&text), text: text.into_owned() })
    }
}

/// Defines a filter for each path, which extracts the variable segment if there is one.
macro_rules! paths {
    ($($name:ident($($variable:ty)?) = $($segment:tt)/ +;)+) => {$(
        pub(super) fn $name() -> impl Filter<Extract = ($($variable,)?), Error = Rejection> + Copy {
            warp::path!($($segment)/ +)
        }
    )+};
}

paths! {
    workspaces() = "api" / "workspaces";
    workspace(PathWorkspace) = "api" / "workspaces" / PathWorkspace;
    cluster(PathCluster) = "api" / "clusters" / PathCluster;
    sandbox(PathId) = "api" / "sandboxes" / PathId;
    presence(PathId) = "api" / "sandboxes" / PathId / "presence";
    timeline(PathId) = "api" / "sandboxes" / PathId / "timeline";
    logs(PathId) = "api" / "sandboxes" / PathId / "logs";
    touch(PathId) = "api" / "sandboxes" / PathId / "touch";
    move_to(PathId) = "api" / "sandboxes" / PathId / "move";
    sandbox_events(PathId) = "api" / "sandboxes" / PathId / "events";
    events() = "api" / "events";
    reaper() = "api" / "reaper";
    reaper_resume() = "api" / "reaper" / "resume";
    network_check() = "api" / "network" / "check";
    sandboxes() = "api" / "sandboxes";
    profiles() = "api" / "profiles";
    clusters() = "api" / "clusters";
    capabilities() = "api" / "capabilities";
    health() = "health";
    openapi() = "openapi.json";
    docs() = "docs";
    docs_file(String) = "docs" / String;
    ui() = "ui";
    ui_file(String) = "ui" / String;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that an id is decoded exactly once, and that a text with a slash is not an id.
    #[test]
    fn segments_are_decoded_once() {
        let unusable = |text: &str| Ok(PathId::Unusable(text.to_owned()));
        for (segment, wanted) in [
            ("abc-123", Ok(PathId::Usable(SandboxId::parse("abc-123").unwrap()))),
            ("%61bc", Ok(PathId::Usable(SandboxId::parse("abc").unwrap()))),
            ("%2e%2e", unusable("..")),
            ("a%20b", unusable("a b")),
            ("a%252Fb", unusable("a%2Fb")),
            ("a%00", unusable("a\0")),
            ("a%0Ab", unusable("a\nb")),
            ("%E6%B2%99", unusable("沙")),
            ("100%", unusable("100%")),
            ("a%2Fb", Err(PathIdError)),
            ("%ff", unusable("\u{fffd}")),
        ] {
            assert_eq!(segment.parse(), wanted, "{segment}");
        }
    }
}
