//! Decides whether a failed call is retried. Pure: the caller passes the elapsed time and the jitter.
//!
//! It replaces the retries of `kube`, which repeat every verb for minutes.

use std::time::Duration;

use lifecycle::error::ClusterErrorKind;

use crate::fault::{Certainty, ClassifiedError, Verb};

/// The maximum number of tries of an operation: under a storm of errors the API server gets at most three times the
/// calls of a quiet day (invariant 10).
pub const TRIES_MAX: u32 = 3;

/// The wait before the second try; it doubles with each further one. In about this time a load balancer replaces an API
/// server by another one.
pub const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The time before the deadline in which no further try starts.
pub const TRY_MIN: Duration = Duration::from_millis(500);

/// The progress of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The number of tries, including the failed one.
    pub tries: u32,
    pub elapsed: Duration,
    /// The time that the operation may take.
    pub deadline: Duration,
    /// A random number from 0 to 1, so that many callers that failed together do not retry together.
    pub jitter: f64,
}

/// The decision after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    TryAfter(Duration),
    GiveUp,
}

/// Decides what to do after a failed try.
pub fn decide(verb: Verb, failed: &ClassifiedError, progress: Progress) -> Next {
    if progress.tries >= TRIES_MAX || !worth_repeating(verb, failed) {
        return Next::GiveUp;
    }
    let wait = wait(failed.fault.retry_after, progress);
    let left = progress.deadline.saturating_sub(progress.elapsed);
    if wait.saturating_add(TRY_MIN) <= left { Next::TryAfter(wait) } else { Next::GiveUp }
}

/// Returns the exponential wait, or the server's `Retry-After` if that is longer, plus up to half the exponential wait.
fn wait(retry_after: Option<Duration>, progress: Progress) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << progress.tries.saturating_sub(1).min(8));
    let least = retry_after.unwrap_or_default().max(doubled);
    least.saturating_add(doubled.mul_f64(fraction(progress.jitter) / 2.0))
}

fn worth_repeating(verb: Verb, failed: &ClassifiedError) -> bool {
    // A create whose outcome is unknown may have created the object, so the caller reads first. A delete and a patch
    // have the uid as a precondition, and a read changes nothing, so these can be repeated.
    let lost_create = verb == Verb::Create && failed.certainty == Certainty::Unknown;
    if lost_create || failed.is_uid_conflict() || failed.is_version_conflict() {
        return false;
    }
    match failed.fault.kind {
        ClusterErrorKind::Conflict
        | ClusterErrorKind::NamespaceMissing
        | ClusterErrorKind::TooManyRequests
        | ClusterErrorKind::Unreachable
        | ClusterErrorKind::ServerError
        | ClusterErrorKind::TimedOut => true,
        // These errors pass, but not within a call: a quota is raised, a token is renewed or a deletion ends.
        ClusterErrorKind::Terminating
        | ClusterErrorKind::NamespaceTerminating
        | ClusterErrorKind::QuotaExceeded
        | ClusterErrorKind::NodePortsExhausted
        | ClusterErrorKind::Unauthorized
        | ClusterErrorKind::AlreadyExists
        | ClusterErrorKind::NotFound
        | ClusterErrorKind::Forbidden
        | ClusterErrorKind::Invalid
        | ClusterErrorKind::NotSupported
        | ClusterErrorKind::ContainerWaiting
        | ClusterErrorKind::NoPreviousContainer
        | ClusterErrorKind::Denied
        | ClusterErrorKind::Mutated
        | ClusterErrorKind::WorkspaceTerminating
        | ClusterErrorKind::WorkspacePending
        | ClusterErrorKind::WorkspaceLost
        | ClusterErrorKind::WorkspaceMismatch
        | ClusterErrorKind::WorkspaceNotOurs
        | ClusterErrorKind::WorkspaceInUse
        | ClusterErrorKind::WorkspaceNotExpandable
        | ClusterErrorKind::Other => false,
    }
}

/// Returns a random number from 0 to 1, drawn from the thread's generator, which a simulation seeds.
pub fn jitter() -> f64 {
    fastrand::f64()
}

/// Returns the number, limited to 0 to 1.
pub fn fraction(jitter: f64) -> f64 {
    if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests;
