//! The network modes of sandboxes.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The network of a sandbox. Each mode but [`Open`](Self::Open) is a policy that selects its Pods by a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetworkMode {
    /// No restriction.
    Open,
    /// The sandbox is reached from the configured sources, and it reaches the cluster's DNS only.
    Isolated,
    /// As [`Isolated`](Self::Isolated), and the sandbox also reaches the public internet and the configured networks.
    AllowList,
}

/// Whether the cluster enforces the policies of the restricted modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforced {
    /// A check has shown it.
    Yes,
    /// A check has shown that it does not, or a policy is missing.
    No,
    /// No check has shown either yet.
    #[default]
    Unknown,
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
    /// All modes, from the widest to the two with a policy.
    pub const ALL: [Self; 3] = [Self::Open, Self::Isolated, Self::AllowList];

    /// Returns the name of the mode, which is also the value of the Pod's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Isolated => "isolated",
            Self::AllowList => "allow-list",
        }
    }

    /// Parses the name of a mode.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Returns whether a policy restricts the mode.
    #[must_use]
    pub const fn is_restricted(self) -> bool {
        !matches!(self, Self::Open)
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

// === impl Enforced ===

impl Enforced {
    /// Returns the name for callers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
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
