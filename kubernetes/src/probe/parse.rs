//! Parses activity probes from the settings.

use std::fmt;

use http::uri::PathAndQuery;

use super::pointer::Pointer;

/// An activity probe, written as `PATH#POINTER`.
///
/// The path, which may have a query, is requested on the sandbox's port. The pointer is a JSON pointer ([RFC 6901])
/// into the answer. An empty pointer selects the whole answer, and a step `*` selects every item or field. The sandbox
/// is busy if the pointer selects a value that is not empty, `false`, zero or null.
///
/// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
///
/// ```
/// use kubernetes::probe::Probe;
///
/// let probe = Probe::parse("/v1/shell/sessions#/data/sessions").unwrap();
/// assert_eq!(probe.path(), "/v1/shell/sessions");
/// assert!(Probe::parse("/v1/shell/sessions").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    path: PathAndQuery,
    pointer: Pointer,
}

/// The error for an invalid [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The text contains no `#`.
    #[error(
        "the probe '{0}' does not say what in the answer means busy; write a path, '#' and a JSON pointer, as \
         '/v1/shell/sessions#/data/sessions'"
    )]
    NoPointer(String),
    /// The text before the `#` is not a path.
    #[error(
        "'{0}' is not a path on the sandbox; it begins with one '/', and has no host, space or control character"
    )]
    Path(String),
    /// The text after the `#` is not a JSON pointer.
    #[error(
        "'{0}' is not a JSON pointer; it is empty, or each of its steps begins with '/', with '~1' for a '/' and \
         '~0' for a '~' in a name, and no control character"
    )]
    Pointer(String),
}

// === impl Probe ===

impl Probe {
    /// Parses a probe from the settings.
    ///
    /// # Errors
    /// Returns [`ProbeError`], which describes the mistake and how to correct it.
    pub fn parse(text: &str) -> Result<Self, ProbeError> {
        let (path, pointer) = text.split_once('#').ok_or_else(|| ProbeError::NoPointer(text.to_owned()))?;
        // Two slashes would start a host name.
        let on_the_sandbox =
            path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|b| b.is_ascii_graphic());
        Ok(Self {
            path: path
                .parse()
                .ok()
                .filter(|_| on_the_sandbox)
                .ok_or_else(|| ProbeError::Path(path.to_owned()))?,
            pointer: Pointer::parse(pointer).ok_or_else(|| ProbeError::Pointer(pointer.to_owned()))?,
        })
    }

    /// Returns the path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    pub(super) fn pointer(&self) -> &Pointer {
        &self.pointer
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.pointer)
    }
}
