//! A probe as people write it in the settings.

use std::fmt;

use http::uri::PathAndQuery;

use super::pointer::Pointer;

/// What is asked of a sandbox, and what in its answer means that it is at work: `PATH#POINTER`.
///
/// The path, perhaps with a query, is asked for on the sandbox's own port. The pointer is a JSON pointer
/// ([RFC 6901]) into the answer, the empty one for the whole of it; a step `*` stands for every item or field.
/// The sandbox is at work if it leads to a value that is there, and neither empty, `false`, zero nor null.
///
/// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
///
/// ```
/// use cluster::probe::Probe;
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

/// Why a text is no [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// There is no `#`.
    #[error(
        "the probe '{0}' does not say what in the answer means busy; write a path, '#' and a JSON pointer, as \
         '/v1/shell/sessions#/data/sessions'"
    )]
    NoPointer(String),
    /// What stands before the `#` is no path.
    #[error(
        "'{0}' is not a path on the sandbox; it begins with one '/', and has no host, space or control character"
    )]
    Path(String),
    /// What stands behind the `#` is no JSON pointer.
    #[error(
        "'{0}' is not a JSON pointer; it is empty, or each of its steps begins with '/', with '~1' for a '/' and \
         '~0' for a '~' in a name, and no control character"
    )]
    Pointer(String),
}

// === impl Probe ===

impl Probe {
    /// Reads a probe as people write it.
    ///
    /// # Errors
    /// [`ProbeError`], with what is wrong and how to put it right.
    pub fn parse(text: &str) -> Result<Self, ProbeError> {
        let (path, pointer) = text.split_once('#').ok_or_else(|| ProbeError::NoPointer(text.to_owned()))?;
        // Two slashes would begin a host.
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

    /// The path that is asked for, with its query.
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
