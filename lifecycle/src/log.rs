//! The log of a sandbox's container: the query of a caller, and the error if there is no log.

use std::{fmt, time::Duration};

use futures::stream::BoxStream;

use crate::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::SandboxId,
    observed::PodTimes,
    operation::Operation,
    phase::Phase,
};

/// How many of the last lines are read if a request does not say it.
pub const TAIL: u32 = 100;

/// The most lines that a request can ask for.
pub const TAIL_MAX: u32 = 5_000;

/// The most bytes of a log that is read at once. A log that is followed has no such limit.
pub const BYTES_MAX: usize = 1 << 20;

/// The retry delay if the cluster does not set one.
const RETRY: Duration = Duration::from_secs(5);

/// The part of a log that a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The name of the container; `None` for the sandbox's own.
    pub container: Option<Box<str>>,
    /// How many of the last lines.
    pub tail: u32,
    /// Whether to read the log of the container that ended last, in place of that of the present one.
    pub previous: bool,
    /// Whether each line begins with its time.
    pub timestamps: bool,
    /// Only lines of this last time.
    pub since: Option<Duration>,
}

/// A log that was read at once.
#[derive(Clone, PartialEq, Eq)]
pub struct LogText {
    /// Whole lines, as the container has printed them.
    pub bytes: Vec<u8>,
    /// Whether later lines are missing, because the log is longer than [`BYTES_MAX`].
    pub is_cut: bool,
}

/// A log that is followed. It ends with the container.
pub type LogStream = BoxStream<'static, Result<Vec<u8>, ClusterError>>;

// === impl LogQuery ===

impl Default for LogQuery {
    fn default() -> Self {
        Self { container: None, tail: TAIL, previous: false, timestamps: false, since: None }
    }
}

// === impl LogText ===

impl LogText {
    /// Takes the bytes of a log of which at most [`BYTES_MAX`] were asked for. A line that is incomplete for this reason is
    /// left out, unless it is the only one.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let is_cut = bytes.len() >= BYTES_MAX;
        if is_cut && let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(end + 1);
        }
        Self { bytes, is_cut }
    }
}

impl fmt::Debug for LogText {
    /// Leaves out the text, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogText").field("bytes", &self.bytes.len()).field("is_cut", &self.is_cut).finish()
    }
}

/// Returns the error for a log that cannot exist yet, without a call: Kubernetes answers with an empty log for a Pod
/// without a node.
///
/// # Errors
/// [`SandboxError::LogNotReady`].
pub fn check_start(id: &SandboxId, phase: Phase, times: &PodTimes) -> Result<(), SandboxError> {
    if phase == Phase::Pending && times.scheduled.is_none() {
        return Err(SandboxError::LogNotReady { id: id.clone(), why: "its Pod has no node".to_owned() });
    }
    Ok(())
}

/// Returns the error for the caller of a log that the cluster did not return; `None` if the Pod does not exist.
#[must_use]
pub fn failure(id: &SandboxId, fault: ClusterError) -> Option<SandboxError> {
    let id = id.clone();
    Some(match fault.kind {
        ClusterErrorKind::NotFound => return None,
        ClusterErrorKind::ContainerWaiting => SandboxError::LogNotReady { id, why: fault.message },
        ClusterErrorKind::NoPreviousContainer => SandboxError::NoPreviousLog { id },
        ClusterErrorKind::Forbidden => SandboxError::LogForbidden { fault },
        // The only values that the cluster can refuse are those of the request, such as the name of a container.
        ClusterErrorKind::Invalid => SandboxError::BadRequest(fault.message),
        kind if kind.is_passing() => SandboxError::Unavailable {
            operation: Operation::ReadLog,
            retry_after: fault.retry_after.unwrap_or(RETRY),
            fault,
        },
        _ => SandboxError::Refused { operation: Operation::ReadLog, fault },
    })
}

#[cfg(test)]
mod tests;
