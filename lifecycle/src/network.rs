//! The network modes of sandboxes.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::named;

named! {
    /// The network of a sandbox. Each mode but [`Open`](Self::Open) is a policy that selects its Pods by a label.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum NetworkMode {
        /// No restriction.
        Open = "open",
        /// The sandbox is reached from the configured sources, and it reaches the cluster's DNS only.
        Isolated = "isolated",
        /// As [`Isolated`](Self::Isolated), and the sandbox also reaches the public internet and the configured networks.
        AllowList = "allow-list",
    }
}

named! {
    /// Whether the cluster enforces the policies of the restricted modes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Enforced {
        /// A check has shown it.
        Yes = "yes",
        /// A check has shown that it does not, or a policy is missing.
        No = "no",
        /// No check has shown either yet.
        #[default]
        Unknown = "unknown",
    }
}

/// The state of the policies and of the check, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkReport {
    /// Whether a profile has a restricted mode, or lets a request choose one.
    pub is_used: bool,
    /// Whether the policies are enforced.
    pub enforced: Enforced,
    /// The result of the last check in words.
    pub message: Arc<str>,
    /// When the last check ended.
    pub checked_at: Option<Timestamp>,
    /// Whether a check is running.
    pub is_checking: bool,
    /// Why the policies are not known to be as the settings say.
    pub policies: Option<Arc<str>>,
}

// === impl NetworkMode ===

impl NetworkMode {
    /// Returns whether a policy restricts the mode.
    #[must_use]
    pub const fn is_restricted(self) -> bool {
        !matches!(self, Self::Open)
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for Enforced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that every mode is parsed from its own name, and nothing else is a mode.
    #[test]
    fn modes_have_names() {
        for mode in NetworkMode::ALL {
            assert_eq!(NetworkMode::parse(&mode.to_string()), Some(mode));
        }
        for other in ["", "Open", "allow_list", "allowlist", "none", " open"] {
            assert_eq!(NetworkMode::parse(other), None, "{other:?}");
        }
    }
}
