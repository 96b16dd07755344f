//! Identifiers that callers choose. Each is parsed once, and a parsed value is always valid.

use std::{cmp::Ordering, sync::Arc};

/// The longest DNS label.
pub const DNS_LABEL_MAX: usize = 63;

/// The longest DNS subdomain.
const DNS_SUBDOMAIN_MAX: usize = 253;

/// The longest valid `sandbox_id`, in bytes. A Service name is a DNS label of at most 63 characters ([Kubernetes,
/// object names]), which include the `sandbox-` and `-svc` of our names.
///
/// [Kubernetes, object names]: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
pub const SANDBOX_ID_MAX: usize = DNS_LABEL_MAX - "sandbox-".len() - "-svc".len();

/// The pattern of a `sandbox_id`, for error texts.
pub const SANDBOX_ID_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,49}[a-z0-9])?$";

/// The pattern of a DNS label, for error texts.
pub const DNS_LABEL_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// The pattern of the name of a profile, for error texts.
pub const PROFILE_NAME_PATTERN: &str = DNS_LABEL_PATTERN;

/// The pattern of the name of a cluster, for error texts.
pub const CLUSTER_NAME_PATTERN: &str = DNS_LABEL_PATTERN;

/// The pattern of a `thread_id`, from DeerFlow's provisioner.
pub const THREAD_ID_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// The pattern of a `user_id`, from DeerFlow's provisioner. It sets no upper bound; [`PATH_SEGMENT_MAX`] does.
pub const USER_ID_PATTERN: &str = r"^[A-Za-z0-9_\-]+$";

/// The longest segment of a path, in bytes: Linux' `NAME_MAX`. A longer one cannot be mounted. A `user_id` is one.
pub const PATH_SEGMENT_MAX: usize = 255;

/// The longest path, in bytes: Linux' `PATH_MAX` without the final NUL.
pub const PATH_MAX: usize = 4095;

/// A valid sandbox id: a DNS label of 1 to [`SANDBOX_ID_MAX`] characters.
///
/// It is cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxId(Arc<str>);

/// The error for an invalid [`SandboxId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sandbox_id has 1 to {SANDBOX_ID_MAX} lower-case letters, digits or dashes, \
     and begins and ends with a letter or digit"
)]
pub struct SandboxIdError;

/// A thread's id: 1 to 64 ASCII letters, digits, `_` or `-`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ThreadId(Arc<str>);

/// A user's id: one or more ASCII letters, digits, `_` or `-`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserId(Arc<str>);

/// The name of a profile: a DNS label of 1 to 63 characters, because it is the value of a label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(Arc<str>);

/// The name of a cluster: a DNS label of 1 to 63 characters. The default is [`ClusterName::DEFAULT`].
///
/// It is cheap to clone, the default without a reference count.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ClusterName(Option<Arc<str>>);

// === impl SandboxId ===

impl SandboxId {
    /// Parses an id from a request.
    ///
    /// ```
    /// use lifecycle::ids::SandboxId;
    /// assert!(SandboxId::parse("abc-123").is_ok());
    /// assert!(SandboxId::parse("Upper").is_err());
    /// ```
    ///
    /// # Errors
    /// [`SandboxIdError`] if a Pod and a Service cannot have this name.
    pub fn parse(text: &str) -> Result<Self, SandboxIdError> {
        if is_dns_label(text, SANDBOX_ID_MAX) { Ok(Self(text.into())) } else { Err(SandboxIdError) }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether a text is a DNS label of at most this length: the name of a Service or of a namespace.
#[must_use]
pub fn is_dns_label(text: &str, max: usize) -> bool {
    let bytes = text.as_bytes();
    let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=max).contains(&bytes.len())
        && bytes.iter().all(|b| letter(b) || *b == b'-')
        && bytes.first().is_some_and(letter)
        && bytes.last().is_some_and(letter)
}

/// Returns whether a text is a DNS subdomain: the name of most Kubernetes objects.
///
/// ```
/// use lifecycle::ids::is_dns_subdomain;
/// assert!(is_dns_subdomain("a.b-c.d") && !is_dns_subdomain("a..b") && !is_dns_subdomain("A"));
/// ```
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= DNS_SUBDOMAIN_MAX && text.split('.').all(|label| is_dns_label(label, DNS_LABEL_MAX))
}

// === impl ProfileName ===

impl ProfileName {
    /// Parses a name; returns `None` if it is not a DNS label of 1 to 63 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_dns_label(text, DNS_LABEL_MAX).then(|| Self(text.into()))
    }

    /// Returns the name of the profile for requests that name none.
    #[must_use]
    pub fn default_profile() -> Self {
        Self("default".into())
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl ClusterName ===

impl ClusterName {
    /// The name of the only cluster if the settings name none.
    pub const DEFAULT: Self = Self(None);

    const DEFAULT_TEXT: &str = "default";

    /// Parses a name; returns `None` if it is not a DNS label of 1 to 63 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == Self::DEFAULT_TEXT {
            return Some(Self::DEFAULT);
        }
        is_dns_label(text, DNS_LABEL_MAX).then(|| Self(Some(text.into())))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(Self::DEFAULT_TEXT)
    }
}

impl PartialOrd for ClusterName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ClusterName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

// === impl ThreadId, UserId ===

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

impl ThreadId {
    /// Parses a thread id from a request; returns `None` if it does not match [`THREAD_ID_PATTERN`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ((1..=64).contains(&text.len()) && text.bytes().all(word)).then(|| Self(text.into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserId {
    /// Parses a user id from a request; returns `None` if it does not match [`USER_ID_PATTERN`] or is longer than
    /// [`PATH_SEGMENT_MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ((1..=PATH_SEGMENT_MAX).contains(&text.len()) && text.bytes().all(word)).then(|| Self(text.into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UserId {
    /// Returns the user of a request without a `user_id`.
    fn default() -> Self {
        Self("default".into())
    }
}

/// Implements what a text that was checked has: `Display`, `Debug` and `Serialize`, each as its `as_str`.
macro_rules! text_traits {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.as_str(), f)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}
pub(crate) use text_traits;

text_traits!(SandboxId, ThreadId, UserId, ProfileName, ClusterName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Guards that an id is valid exactly if it fits into a Pod name and a Service name of 63 characters.
    #[test]
    fn sandbox_ids_are_dns_labels_of_at_most_51() {
        let longest = "a".repeat(51);
        for good in ["a", "0", "abc-123", "a--b", longest.as_str()] {
            assert_eq!(SandboxId::parse(good).map(|id| id.to_string()), Ok(good.to_owned()));
        }
        let too_long = "a".repeat(52);
        for bad in [
            "",
            "-",
            "-a",
            "a-",
            "Upper",
            "a_b",
            "a.b",
            "a/b",
            "a b",
            "沙箱",
            "a\n",
            "a\0",
            "..",
            too_long.as_str(),
        ] {
            assert_eq!(SandboxId::parse(bad), Err(SandboxIdError), "{bad:?}");
        }
    }

    #[test]
    fn thread_and_user_ids_follow_the_originals_patterns() {
        assert!(ThreadId::parse(&"a".repeat(64)).is_some());
        for bad in ["", "a/b", "abc\n", &"a".repeat(65)] {
            assert!(ThreadId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(UserId::parse(&"u".repeat(255)).is_some());
        for bad in ["", "../etc", "a b", "u\n", &"u".repeat(256)] {
            assert!(UserId::parse(bad).is_none(), "{bad:?}");
        }
    }

    /// Guards that the default has one form, so that equal names are equal values, and that names are ordered as texts.
    #[test]
    fn names_of_clusters_are_labels() {
        assert_eq!(ClusterName::parse("default"), Some(ClusterName::DEFAULT));
        assert_eq!(ClusterName::default().to_string(), "default");
        let names = ["a", "default", "east", "west-2"].map(|name| ClusterName::parse(name).unwrap());
        assert!(
            names.is_sorted()
                && names.iter().all(|name| ClusterName::parse(name.as_str()).as_ref() == Some(name))
        );
        for bad in ["", "West", "a.b", "a/b", "-a", &"a".repeat(64)] {
            assert_eq!(ClusterName::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        /// Guards that every accepted id is a DNS label and is kept unchanged.
        #[test]
        fn accepted_ids_are_labels(text in "\\PC{0,60}|[a-z0-9-]{0,60}") {
            if let Ok(id) = SandboxId::parse(&text) {
                prop_assert_eq!(id.as_str(), text.as_str());
                prop_assert!(id.as_str().len() <= SANDBOX_ID_MAX);
                prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
                prop_assert!(!text.starts_with('-') && !text.ends_with('-'));
            }
        }
    }
}
