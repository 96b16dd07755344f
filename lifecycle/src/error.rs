//! How a request can fail, in words for its caller.

use std::time::Duration;

use crate::{ids::SandboxId, spec::Mismatch};

/// Why a request was not done. `Display` is the sentence that its caller gets: what failed, with which
/// value, why, and what to do. It holds no secret and no part of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// The request asks for something that the settings do not allow; the text is the client's own.
    #[error("{0}")]
    BadRequest(String),
    /// A mount lies outside the directory in which callers may mount anything. `Display` is DeerFlow's own text.
    #[error("{text}")]
    MountOutsideState {
        /// What is wrong, in the client's own text.
        text: String,
        /// The directory, as the settings have it; empty if there is none.
        root: String,
    },
    /// The request asks for Lark's broker, of which no image is configured. `Display` is DeerFlow's own text.
    #[error("Requested Lark broker image is not configured")]
    LarkBrokerNotConfigured,
    /// The request asks for Lark's command line without the broker that is configured. `Display` is DeerFlow's own
    /// text.
    #[error("Configured Lark broker is required; refresh provisioner capabilities")]
    LarkBrokerRequired,
    /// The sandbox exists and does not meet the request's requirements. Nothing was changed.
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    /// An object of the sandbox's name is there, and is not ours to touch.
    #[error(
        "Sandbox '{id}' cannot be made: {what} is not managed by this service; choose another sandbox_id"
    )]
    NotOurs {
        /// The sandbox that was asked for.
        id: SandboxId,
        /// The object in the way, as `Pod "sandbox-x"`.
        what: String,
    },
    /// The sandbox's earlier life has not ended yet.
    #[error("Sandbox '{id}' is still terminating; try again in {} s", whole(retry_after))]
    StillTerminating {
        /// The sandbox that was asked for.
        id: SandboxId,
        /// When to try again.
        retry_after: Duration,
    },
    /// Somebody else uses it.
    #[error(
        "Sandbox '{id}' is in use by '{owner}', whose lease on it ends in {} s unless it is used again; \
         delete it as its owner, or try again then",
        whole(retry_after)
    )]
    Owned {
        /// The sandbox that was asked for.
        id: SandboxId,
        /// Who uses it.
        owner: String,
        /// When the lease ends at the earliest.
        retry_after: Duration,
    },
    /// The cluster refused for good: trying again changes nothing until a person acts.
    #[error("{operation} failed: {fault}")]
    Refused {
        /// What was tried, as `Pod creation`.
        operation: &'static str,
        /// What the cluster said.
        fault: ClusterError,
    },
    /// It cannot be done now, but later it can.
    #[error("{operation} failed for now: {fault}; try again in {} s", whole(retry_after))]
    Unavailable {
        /// What was tried, as `Pod creation`.
        operation: &'static str,
        /// What the cluster said, or what is missing.
        fault: ClusterError,
        /// When to try again.
        retry_after: Duration,
    },
    /// What is known of the cluster is too old to answer from, or not there yet.
    #[error("the cluster's state is not known at present ({why}); try again in {} s", whole(retry_after))]
    Stale {
        /// What is missing.
        why: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed before the work was done. The work may still end.
    #[error("{operation} did not end within {} s; it may still be done: ask again", whole(after))]
    TimedOut {
        /// What was tried.
        operation: &'static str,
        /// The deadline that passed.
        after: Duration,
    },
    /// Too much is asked for at once.
    #[error("too many requests are being served; try again in {} s", whole(retry_after))]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many others ask for the same.
    #[error("{what}; try again in {} s", whole(retry_after))]
    Overloaded {
        /// How many of what, in words.
        what: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The part that serves this sandbox failed; it comes back by itself.
    #[error(
        "Sandbox '{id}' could not be served: its handler failed and is being restarted; try again in 1 s"
    )]
    Restarting {
        /// The sandbox that was asked for.
        id: SandboxId,
    },
    /// The daemon is shutting down.
    #[error("the service is shutting down; try again in {} s", whole(retry_after))]
    ShuttingDown {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What the cluster answered to a call, by what it means for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", kind.name(), if message.is_empty() { String::new() } else { format!(" ({message})") })]
pub struct ClusterError {
    /// What it means.
    pub kind: ClusterErrorKind,
    /// The cluster's own words, without secrets, at most [`ClusterError::MESSAGE_MAX`] bytes.
    pub message: String,
    /// How long the cluster asked us to wait.
    pub retry_after: Option<Duration>,
}

/// What a fault means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterErrorKind {
    /// 409: an object of this name is there already.
    AlreadyExists,
    /// 409: an object of this name is there, on its way out.
    Terminating,
    /// 409: the object is not the one (uid or version) that was decided on.
    Conflict,
    /// 404: the object is not there.
    NotFound,
    /// 404 on a create: the namespace is not there.
    NamespaceMissing,
    /// 403: the namespace is on its way out.
    NamespaceTerminating,
    /// 403: a quota is used up.
    QuotaExceeded,
    /// 500 "range is full": there is no node port left.
    NodePortsExhausted,
    /// 403 by role-based access control: a right is missing.
    Forbidden,
    /// 401: the credentials are not (or no longer) valid.
    Unauthorized,
    /// 400 or 422: the object is not valid.
    Invalid,
    /// The request does not fit the settings, so no object could be built and no call was made.
    Unbuildable,
    /// An admission webhook or plug-in refused.
    Denied,
    /// 429: the API server asks for patience.
    TooManyRequests,
    /// The API server could not be reached, or said that it is not able to serve: nothing was done.
    Unreachable,
    /// 5xx after the request was sent: it may or may not have been done.
    ServerError,
    /// No answer in time: it may or may not have been done.
    TimedOut,
    /// Anything else.
    Other,
}

// === impl SandboxError ===

impl SandboxError {
    /// What to do about it, where the sentence itself is DeerFlow's and does not say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
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

/// Whole seconds, rounded up as `Retry-After` has them.
fn whole(time: &Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

// === impl ClusterErrorKind ===

impl ClusterErrorKind {
    /// A stable name for callers, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlreadyExists => "AlreadyExists",
            Self::Terminating => "Terminating",
            Self::Conflict => "Conflict",
            Self::NotFound => "NotFound",
            Self::NamespaceMissing => "NamespaceMissing",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::NodePortsExhausted => "NodePortsExhausted",
            Self::Forbidden => "Forbidden",
            Self::Unauthorized => "Unauthorized",
            Self::Invalid => "Invalid",
            Self::Unbuildable => "Unbuildable",
            Self::Denied => "Denied",
            Self::TooManyRequests => "TooManyRequests",
            Self::Unreachable => "Unreachable",
            Self::ServerError => "ServerError",
            Self::TimedOut => "TimedOut",
            Self::Other => "Other",
        }
    }

    /// Whether the same call may succeed later with nobody doing anything.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        match self {
            Self::Terminating
            | Self::Conflict
            | Self::NamespaceMissing
            | Self::NamespaceTerminating
            | Self::QuotaExceeded
            | Self::NodePortsExhausted
            | Self::Unauthorized
            | Self::TooManyRequests
            | Self::Unreachable
            | Self::ServerError
            | Self::TimedOut => true,
            Self::AlreadyExists
            | Self::NotFound
            | Self::Forbidden
            | Self::Invalid
            | Self::Unbuildable
            | Self::Denied
            | Self::Other => false,
        }
    }
}

// === impl ClusterError ===

impl ClusterError {
    /// Longest message kept, in bytes.
    pub const MESSAGE_MAX: usize = 512;

    /// A fault with the cluster's words, cut to size.
    #[must_use]
    pub fn new(kind: ClusterErrorKind, message: &str) -> Self {
        let end = message.floor_char_boundary(Self::MESSAGE_MAX);
        Self { kind, message: message[..end].to_owned(), retry_after: None }
    }

    /// The same fault, with the wait that the cluster asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}
