//! The errors that a request can end with, with texts for its caller.

mod cluster;

use std::{fmt, time::Duration};

pub use self::cluster::{ClusterError, ClusterErrorKind};
use crate::{
    ids::{ClusterName, SandboxId},
    network::NetworkMode,
    operation::Operation,
    spec::Mismatch,
    text::whole_seconds,
};

/// The retry delay after a deadline has passed.
pub const TIMED_OUT_RETRY: Duration = Duration::from_secs(5);

/// An error that a caller receives. `Display` is the text for the caller: the operation, the value, the reason, and the
/// next step. It contains no secret and no part of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// The request asks for something that the settings do not allow. The text is written for the client.
    #[error("{0}")]
    BadRequest(String),
    /// A mount is outside the directory to which mounts are limited. `Display` is DeerFlow's own text.
    #[error("{text}")]
    MountOutsideState {
        /// The problem, in the text for the client.
        text: String,
        /// The directory from the settings; empty if there is none.
        root: String,
    },
    /// The request asks for the Lark broker, but no broker image is configured. `Display` is DeerFlow's own text.
    #[error("Requested Lark broker image is not configured")]
    LarkBrokerNotConfigured,
    /// The request asks for the Lark command line without the configured broker. `Display` is DeerFlow's own text.
    #[error("Configured Lark broker is required; refresh provisioner capabilities")]
    LarkBrokerRequired,
    /// The sandbox's profile requires that the policy of its network mode is enforced, and it is not, or this is not
    /// known. Nothing was created.
    #[error(
        "the profile requires an enforced network policy ({mode}): {why}{}",
        retry_after.map_or(String::new(), |wait| format!("; try again in {} s", whole_seconds(wait)))
    )]
    NetworkNotEnforced {
        /// The network mode.
        mode: NetworkMode,
        /// Why it is not known to be enforced, and what an operator can do.
        why: String,
        /// The retry delay, if a check may succeed later.
        retry_after: Option<Duration>,
    },
    /// The sandbox exists and does not meet the request's requirements. Nothing was changed.
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    /// The cluster cannot resize a sandbox in place.
    #[error(
        "this cluster cannot resize a sandbox in place: its API server has no subresource pods/resize, which \
         Kubernetes has since 1.33; create the sandbox again with the resources"
    )]
    ResizeNotSupported,
    /// The cluster refuses the resize. Nothing was changed.
    #[error("the cluster refuses the resize: {0}")]
    ResizeRefused(String),
    /// The sandbox was resized, and then the other change of the same request failed.
    #[error("the sandbox was resized, but its limits were not changed: {0}")]
    AfterResize(Box<Self>),
    /// The container has not printed anything yet, because it has not started.
    #[error("Sandbox '{id}' has no log yet: {why}")]
    LogNotReady {
        /// The requested sandbox.
        id: SandboxId,
        /// The reason.
        why: String,
    },
    /// No container of the sandbox has ended before the present one.
    #[error("Sandbox '{id}' has no previous log: no container of it has ended and was started again")]
    NoPreviousLog {
        /// The requested sandbox.
        id: SandboxId,
    },
    /// The daemon has no right to read logs.
    #[error(
        "logs cannot be read: the daemon's role lacks the right \"get\" on \"pods/log\", which config/rbac.yaml has as a \
         comment ({fault})"
    )]
    LogForbidden {
        /// The cluster's error.
        fault: ClusterError,
    },
    /// A foreign object has the name of one of the sandbox's objects.
    #[error(
        "Sandbox '{id}' cannot be made: {what} is not managed by this service; choose another sandbox_id"
    )]
    NotOurs {
        /// The requested sandbox.
        id: SandboxId,
        /// The foreign object, such as `Pod "sandbox-x"`.
        what: String,
    },
    /// The sandbox's old objects are still terminating.
    #[error("Sandbox '{id}' is still terminating; try again in {} s", whole_seconds(*retry_after))]
    StillTerminating {
        /// The requested sandbox.
        id: SandboxId,
        /// The retry delay.
        retry_after: Duration,
    },
    /// Another owner holds a lease on the sandbox.
    #[error(
        "Sandbox '{id}' is in use by '{owner}', whose lease on it ends in {} s unless it is used again; \
         delete it as its owner, or try again then",
        whole_seconds(*retry_after)
    )]
    Owned {
        /// The requested sandbox.
        id: SandboxId,
        /// The current owner.
        owner: String,
        /// The time until the lease ends, if the sandbox is not used again.
        retry_after: Duration,
    },
    /// The cluster refused permanently: a retry is useless until an operator acts.
    #[error("{operation} failed: {fault}")]
    Refused {
        /// The operation that failed.
        operation: Operation,
        /// The cluster's error.
        fault: ClusterError,
    },
    /// The operation failed temporarily: a retry may succeed.
    #[error("{operation} failed for now: {fault}; try again in {} s", whole_seconds(*retry_after))]
    Unavailable {
        /// The operation that failed.
        operation: Operation,
        /// The cluster's error, or what is missing.
        fault: ClusterError,
        /// The retry delay.
        retry_after: Duration,
    },
    /// The observed state of the cluster is stale, or not loaded yet.
    #[error("cluster state is stale ({why}); try again in {} s", whole_seconds(*retry_after))]
    Stale {
        /// The reason.
        why: String,
        /// The retry delay.
        retry_after: Duration,
    },
    /// The deadline passed before the operation ended. The operation may still succeed.
    #[error(
        "{operation} did not end within {} s{}: ask again in {} s",
        whole_seconds(*after), operation.after_its_deadline(), whole_seconds(TIMED_OUT_RETRY)
    )]
    TimedOut {
        /// The operation that timed out.
        operation: Operation,
        /// The deadline that passed.
        after: Duration,
    },
    /// The API server has not answered a create in time. Its effect, if it still has one, is undone.
    #[error(
        "{operation} was not answered by the API server within {} s, as when an admission webhook is slow; created \
         objects will be deleted; try again in {} s",
        whole_seconds(*after), whole_seconds(TIMED_OUT_RETRY)
    )]
    Unanswered {
        /// The operation that was not answered.
        operation: Operation,
        /// The time that the caller could wait.
        after: Duration,
    },
    /// Another operation on the sandbox is in progress, or too many requests are being served.
    #[error("too many requests are being served; try again in {} s", whole_seconds(*retry_after))]
    Busy {
        /// The retry delay.
        retry_after: Duration,
    },
    /// Too many requests of the same kind are in flight.
    #[error("{what}; try again in {} s", whole_seconds(*retry_after))]
    Overloaded {
        /// The limit that was reached, as a text for the caller.
        what: String,
        /// The retry delay.
        retry_after: Duration,
    },
    /// The sandbox's actor failed and is being restarted.
    #[error(
        "Sandbox '{id}' could not be served: its handler failed and is being restarted; try again in 1 s"
    )]
    Restarting {
        /// The requested sandbox.
        id: SandboxId,
    },
    /// The daemon is shutting down.
    #[error("the service is shutting down; try again in {} s", whole_seconds(*retry_after))]
    ShuttingDown {
        /// The retry delay.
        retry_after: Duration,
    },
    /// A cluster that has the sandbox, or may have it, is away.
    #[error(
        "cluster '{cluster}' is away and {} Sandbox '{id}'{} ({why}); try again in {} s",
        if *had_it { "had" } else { "may have" }, if *had_it { " when it was last seen" } else { "" },
        whole_seconds(*retry_after)
    )]
    ClusterAway {
        /// The cluster.
        cluster: ClusterName,
        /// The requested sandbox.
        id: SandboxId,
        /// Whether the last known state of the cluster has the sandbox.
        had_it: bool,
        /// Why its state is not known.
        why: String,
        /// The retry delay.
        retry_after: Duration,
    },
    /// The sandbox cannot move to another cluster. It stays unchanged.
    #[error("Sandbox '{id}' cannot move to the cluster '{cluster}': {why}")]
    MoveRefused {
        /// The requested sandbox.
        id: SandboxId,
        /// The cluster.
        cluster: ClusterName,
        /// The reason.
        why: String,
    },
    /// No cluster can take the sandbox. Nothing was made.
    #[error("no cluster can take Sandbox '{id}': {}{}", Chain(refusals), Retry(shortest(refusals)))]
    NoCluster {
        /// The requested sandbox.
        id: SandboxId,
        /// Why each cluster that the request wants did not take it, in the order in which they were asked.
        refusals: Vec<Refusal>,
    },
}

/// Why a cluster did not take a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its error.
    pub why: Box<SandboxError>,
}

/// Refusals as parts of a sentence.
struct Chain<'a>(&'a [Refusal]);

/// The retry delay as the end of a sentence.
struct Retry(Option<Duration>);

// === impl SandboxError ===

impl SandboxError {
    /// Returns after how long a retry may succeed; `None` if it will not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::StillTerminating { retry_after, .. }
            | Self::Unavailable { retry_after, .. }
            | Self::Stale { retry_after, .. }
            | Self::Busy { retry_after }
            | Self::Overloaded { retry_after, .. }
            | Self::ShuttingDown { retry_after }
            | Self::ClusterAway { retry_after, .. } => Some(*retry_after),
            Self::NetworkNotEnforced { retry_after, .. } => *retry_after,
            Self::TimedOut { .. } | Self::Unanswered { .. } => Some(TIMED_OUT_RETRY),
            Self::Restarting { .. } => Some(Duration::from_secs(1)),
            Self::AfterResize(error) => error.retry_after(),
            Self::NoCluster { refusals, .. } => shortest(refusals),
            // A client follows `Retry-After` by itself. After the lease, a DELETE would take a sandbox from its owner, so
            // `Owned` has none.
            Self::Owned { .. }
            | Self::BadRequest(_)
            | Self::MountOutsideState { .. }
            | Self::LarkBrokerNotConfigured
            | Self::LarkBrokerRequired
            | Self::Mismatch(_)
            | Self::ResizeNotSupported
            | Self::ResizeRefused(_)
            | Self::LogNotReady { .. }
            | Self::NoPreviousLog { .. }
            | Self::LogForbidden { .. }
            | Self::NotOurs { .. }
            | Self::MoveRefused { .. }
            | Self::Refused { .. } => None,
        }
    }

    /// Returns what the caller can do, for an error whose text does not say so because it is DeerFlow's or the API
    /// server's.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Self::AfterResize(error) = self {
            return error.hint();
        }
        if let Self::Refused { fault, .. } | Self::Unavailable { fault, .. } = self {
            return fault.hint().map(str::to_owned);
        }
        if let Self::NoCluster { refusals, .. } = self {
            return refusals.iter().find_map(|refusal| refusal.why.hint());
        }
        let Self::MountOutsideState { root, .. } = self else { return None };
        Some(if root.is_empty() {
            "no extra mount is allowed here: DEER_FLOW_HOST_BASE_DIR is empty, and THREADS_HOST_PATH is not called \
             threads"
                .to_owned()
        } else {
            format!(
                "extra mounts must lie in {root} here; set DEER_FLOW_HOST_BASE_DIR to the same value for this service \
                 and for the Gateway"
            )
        })
    }
}

// === impl Refusal, Chain, Retry ===

/// Returns the shortest retry delay.
fn shortest(refusals: &[Refusal]) -> Option<Duration> {
    refusals.iter().filter_map(|refusal| refusal.why.retry_after()).min()
}

impl Refusal {
    /// Returns the error of a daemon that has only this cluster, and names none.
    #[must_use]
    pub fn of_the_only_cluster(self) -> SandboxError {
        match *self.why {
            SandboxError::Overloaded { what, retry_after } if what.starts_with(char::is_lowercase) => {
                SandboxError::Overloaded { what: format!("the cluster {what}"), retry_after }
            }
            why => why,
        }
    }
}

impl fmt::Display for Refusal {
    /// Formats the cluster and the cause, without the retry delay.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, why } = self;
        match &**why {
            SandboxError::Overloaded { what, .. } if what.starts_with(char::is_lowercase) => {
                write!(f, "{cluster} {what}")
            }
            SandboxError::Overloaded { what, .. } => write!(f, "{cluster}: {what}"),
            SandboxError::Unavailable { operation, fault, .. } => {
                write!(f, "{cluster}: {operation} failed for now: {fault}")
            }
            SandboxError::Stale { why, .. } => write!(f, "{cluster}: cluster state is stale ({why})"),
            SandboxError::Busy { .. } => write!(f, "{cluster}: too many requests are being served"),
            other => write!(f, "{cluster}: {other}"),
        }
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(refusals) = self;
        if refusals.is_empty() {
            return f.write_str("there is none");
        }
        refusals.iter().enumerate().try_for_each(|(index, refusal)| {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{refusal}")
        })
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |wait| write!(f, "; try again in {} s", whole_seconds(wait)))
    }
}
