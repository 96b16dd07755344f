//! The part of an existing Pod's spec that callers are shown, and whether it meets the requirements of a request.
//!
//! DeerFlow's Gateway relies on these answers. They are read from the Pod itself, because another client may have
//! created it.

use std::{fmt, num::NonZeroU128, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    ids::{ProfileName, ThreadId, UserId},
    labels::Labels,
    network::NetworkMode,
    placement::replacement::Replacement,
    request::CreateRequest,
    resize::Resize,
    workspace::PodWorkspace,
};

/// A number of shell sessions: a positive integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShellSessions(NonZeroU128);

/// The part of a Pod's spec that callers are shown. The first two fields are `None` if the spec contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSpec {
    /// The number of shell sessions that the container `sandbox` allows; `None` if its variable is not a positive
    /// integer.
    pub max_shell_sessions: Option<ShellSessions>,
    /// Whether the Lark command line runs in a broker; `None` if only a part of the broker exists, or if the sandbox
    /// can read the credentials that the broker keeps from it.
    pub lark_cli_broker: Option<bool>,
    /// How the Pod was created.
    pub origin: Arc<Origin>,
    /// The profile with which the Pod was created.
    pub profile: Option<ProfileName>,
    /// The network mode with which the Pod was created.
    pub network: Option<NetworkMode>,
    /// The limits of the container `sandbox`.
    pub resources: Arc<Resources>,
    /// The workspace that the Pod mounts.
    pub workspace: Option<Arc<PodWorkspace>>,
    /// The resize that is in progress, or the last one.
    pub resize: Option<Box<Resize>>,
    /// The limit of CPU that the container `sandbox` is to get once it is ready, if it does not have it yet.
    pub cpu_after_start: Option<Box<str>>,
}

/// How a Pod was created, by its annotations and labels. Lists are filtered by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The thread whose data it mounts; `None` for a Pod that DeerFlow's provisioner created.
    pub thread_id: Option<ThreadId>,
    /// The user whose data it mounts; `None` for a Pod that DeerFlow's provisioner created.
    pub user_id: Option<UserId>,
    /// The labels, without those of this program and of Kubernetes.
    pub labels: Labels,
    /// Why it was made in place of a sandbox on another cluster, if it was.
    pub replaces: Option<Replacement>,
    /// When the sandbox was created, if it has moved since. Its time to live counts from then.
    pub first_created: Option<Timestamp>,
}

/// The resource limits of a container, as Kubernetes writes them. An absent one is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resources {
    /// Such as `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Such as `1Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Such as `500Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<String>,
}

/// The requirements of a request for an existing Pod. Absent fields require nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requirements {
    /// The minimum number of sessions that the Pod must allow.
    max_shell_sessions: Option<ShellSessions>,
    /// Whether the Pod must have a Lark broker.
    lark_cli_broker: Option<bool>,
}

/// Why an existing Pod does not meet the [`Requirements`]. `Display` is DeerFlow's own text where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The Pod allows fewer shell sessions.
    #[error(
        "Existing sandbox shell capacity is below the requested value; replacement must be coordinated by the \
         Gateway"
    )]
    FewerShellSessions,
    /// The Pod does not say how many shell sessions it allows.
    #[error(
        "Could not verify existing sandbox shell capacity: the Pod's MAX_SHELL_SESSIONS is not a positive integer; \
         replacement must be coordinated by the Gateway"
    )]
    UnknownShellSessions,
    /// The Pod has a broker and the request asks for none, or the reverse, or the Pod has only a part of a broker.
    #[error(
        "Existing sandbox has an incompatible Lark broker mode; replacement must be coordinated by the Gateway"
    )]
    LarkBroker,
}

// === impl Resources ===

impl Resources {
    /// No limits.
    pub const NONE: Self = Self { cpu: None, memory: None, ephemeral_storage: None };

    /// Returns whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl ShellSessions ===

impl ShellSessions {
    /// The number of sessions if a Pod does not set one. DeerFlow's provisioner assumes the same of its image.
    pub const DEFAULT: Self = Self(NonZeroU128::MIN.saturating_add(9));

    /// Creates a number of sessions; returns `None` for zero.
    #[must_use]
    pub const fn new(count: u128) -> Option<Self> {
        match NonZeroU128::new(count) {
            Some(count) => Some(Self(count)),
            None => None,
        }
    }
}

impl fmt::Display for ShellSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ShellSessions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(self.0.get())
    }
}

// === impl ObservedSpec ===

impl ObservedSpec {
    /// Returns the spec that the Pod of this request has, unless something in the cluster changes it.
    #[must_use]
    pub fn expected(request: &CreateRequest) -> Self {
        Self {
            max_shell_sessions: request.max_shell_sessions.or(Some(ShellSessions::DEFAULT)),
            lark_cli_broker: Some(request.provision_lark_cli_broker),
            origin: Arc::default(),
            profile: request.profile.clone(),
            network: request.overrides.network,
            resources: Arc::default(),
            workspace: None,
            resize: None,
            cpu_after_start: None,
        }
    }
}

impl Default for ObservedSpec {
    /// Returns the spec of a Pod that sets neither.
    fn default() -> Self {
        Self {
            max_shell_sessions: Some(ShellSessions::DEFAULT),
            lark_cli_broker: Some(false),
            origin: Arc::default(),
            profile: None,
            network: None,
            resources: Arc::default(),
            workspace: None,
            resize: None,
            cpu_after_start: None,
        }
    }
}

// === impl Mismatch ===

impl Mismatch {
    /// Returns a stable name for callers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FewerShellSessions => "FewerShellSessions",
            Self::UnknownShellSessions => "UnknownShellSessions",
            Self::LarkBroker => "LarkBrokerMismatch",
        }
    }
}

// === impl Requirements ===

impl Requirements {
    /// Returns the requirements of a request. A request that does not ask for Lark accepts any broker mode.
    #[must_use]
    pub fn of(request: &CreateRequest) -> Self {
        let broker = request.provision_lark_cli_broker;
        Self {
            max_shell_sessions: request.max_shell_sessions,
            lark_cli_broker: (broker || request.provision_lark_cli_runtime).then_some(broker),
        }
    }

    /// Checks an existing Pod.
    ///
    /// # Errors
    /// The first [`Mismatch`]; the number of sessions comes first, as in DeerFlow's provisioner.
    pub fn check(&self, spec: &ObservedSpec) -> Result<(), Mismatch> {
        if let Some(required) = self.max_shell_sessions {
            match spec.max_shell_sessions {
                None => return Err(Mismatch::UnknownShellSessions),
                Some(allowed) if allowed < required => return Err(Mismatch::FewerShellSessions),
                Some(_) => {}
            }
        }
        if self.lark_cli_broker.is_some() && spec.lark_cli_broker != self.lark_cli_broker {
            return Err(Mismatch::LarkBroker);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards every combination of requirements and observed spec.
    #[test]
    fn existing_pods_are_checked_against_the_requirements() {
        let count = |n: u128| ShellSessions::new(n);
        let sessions = [
            (None, count(1), Ok(())),
            (None, None, Ok(())),
            (count(3), count(4), Ok(())),
            (count(4), count(4), Ok(())),
            (count(5), count(4), Err(Mismatch::FewerShellSessions)),
            (count(1), None, Err(Mismatch::UnknownShellSessions)),
        ];
        let broker = [
            (None, Some(true), Ok(())),
            (None, None, Ok(())),
            (Some(true), Some(true), Ok(())),
            (Some(false), Some(false), Ok(())),
            (Some(true), Some(false), Err(Mismatch::LarkBroker)),
            (Some(false), Some(true), Err(Mismatch::LarkBroker)),
            (Some(true), None, Err(Mismatch::LarkBroker)),
            (Some(false), None, Err(Mismatch::LarkBroker)),
        ];
        for (required, allowed, by_sessions) in sessions {
            for (required_broker, observed_broker, by_broker) in broker {
                let requirements =
                    Requirements { max_shell_sessions: required, lark_cli_broker: required_broker };
                let spec = ObservedSpec {
                    max_shell_sessions: allowed,
                    lark_cli_broker: observed_broker,
                    ..ObservedSpec::default()
                };
                assert_eq!(
                    requirements.check(&spec),
                    by_sessions.and(by_broker),
                    "{requirements:?} {spec:?}"
                );
            }
        }
    }

    /// Guards that zero is not a valid number of sessions.
    #[test]
    fn session_counts_are_positive() {
        assert_eq!(ShellSessions::new(0), None);
        assert!(ShellSessions::new(u128::MAX).is_some());
    }
}
