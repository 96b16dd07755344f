//! Directories on a node, as Kubernetes is told of them. They are never opened here.

/// An absolute path on a node: `/srv/data`, or `C:\data` or `\\server\share` on Windows nodes.
///
/// It has no `..` in it, because Kubernetes refuses a Pod with such a host path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath(String);

// === impl HostPath ===

impl HostPath {
    /// Reads a path; `None` unless it is absolute, without `..` and without control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let drive =
            matches!(text.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
        let absolute = text.starts_with('/') || text.starts_with(r"\\") || drive;
        let windows = !text.starts_with('/');
        let steps_out = text.split(|c| c == '/' || (windows && c == '\\')).any(|part| part == "..");
        (absolute && !steps_out && !text.contains(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what a node can mount passes; the two styles of Windows count as absolute.
    #[test]
    fn host_paths_are_absolute() {
        for good in
            ["/", "/srv/x", "/srv/..x/", r"C:\deer-flow\threads", "c:/x", r"\\server\share", r"/a\..\b"]
        {
            assert_eq!(HostPath::parse(good).map(|p| p.as_str().to_owned()), Some(good.to_owned()));
        }
        for bad in ["", ".", "x", "./x", "~/x", "C:", "C:x", r"\x", "/a/../b", "/..", r"C:\a\..\b", "/a\nb"] {
            assert_eq!(HostPath::parse(bad), None, "{bad:?}");
        }
    }
}
