//! When a failed call is made again. Pure: the caller tells the time that has passed and brings the chance.
//!
//! This takes the place of `kube`'s own retries, which repeat every verb for minutes.

use std::time::Duration;

use lifecycle::error::ClusterErrorKind;

use crate::fault::{Certainty, ClassifiedError, Verb};

/// How often an operation is tried, the first time included: under a storm of errors the API server gets at
/// most three times the calls of a quiet day (invariant 10).
pub const TRIES_MAX: u32 = 3;

/// The wait before the second try, without what the server asked for; it doubles with each further one.
/// About the time in which an API server behind a balancer is replaced by its neighbour.
pub const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What must be left before the deadline for another try to be worth its call.
pub const ROOM_FOR_A_TRY: Duration = Duration::from_millis(500);

/// How far an operation is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How many tries were made, the failed one included.
    pub tries: u32,
    /// How long it has been since the operation began.
    pub elapsed: Duration,
    /// When the operation must have ended, from its beginning.
    pub deadline: Duration,
    /// A number from 0 to 1, by chance: many callers that failed together shall not come back together.
    pub jitter: f64,
}

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Wait, then try again.
    TryAfter(Duration),
    /// Hand the failure on.
    GiveUp,
}

/// What to do after a failed try.
pub fn decide(verb: Verb, failed: &ClassifiedError, progress: Progress) -> Next {
    if progress.tries >= TRIES_MAX || !worth_repeating(verb, failed) {
        return Next::GiveUp;
    }
    let wait = wait(failed.fault.retry_after, progress);
    let left = progress.deadline.saturating_sub(progress.elapsed);
    if wait.saturating_add(ROOM_FOR_A_TRY) <= left { Next::TryAfter(wait) } else { Next::GiveUp }
}

/// What the server asked for, or an exponential wait; up to half as much again by chance.
fn wait(asked: Option<Duration>, progress: Progress) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << progress.tries.saturating_sub(1).min(8));
    let least = asked.map_or(doubled, |asked| asked.max(doubled));
    let jitter = if progress.jitter.is_finite() { progress.jitter.clamp(0.0, 1.0) } else { 0.0 };
    least.saturating_add(doubled.mul_f64(jitter / 2.0))
}

fn worth_repeating(verb: Verb, failed: &ClassifiedError) -> bool {
    // A create whose outcome is unknown may have made the object: the cluster is looked at first. A delete and
    // a patch name the uid they are for, and a read changes nothing: these may simply be made again.
    let lost_create = verb == Verb::Create && failed.certainty == Certainty::Unknown;
    if lost_create || failed.is_another_life() || failed.is_another_state() {
        return false;
    }
    match failed.fault.kind {
        ClusterErrorKind::Conflict
        | ClusterErrorKind::NamespaceMissing
        | ClusterErrorKind::TooManyRequests
        | ClusterErrorKind::Unreachable
        | ClusterErrorKind::ServerError
        | ClusterErrorKind::TimedOut => true,
        // These pass, but not within a call: somebody has to make room, renew a token or finish a deletion.
        ClusterErrorKind::Terminating
        | ClusterErrorKind::NamespaceTerminating
        | ClusterErrorKind::QuotaExceeded
        | ClusterErrorKind::NodePortsExhausted
        | ClusterErrorKind::Unauthorized
        | ClusterErrorKind::AlreadyExists
        | ClusterErrorKind::NotFound
        | ClusterErrorKind::Forbidden
        | ClusterErrorKind::Invalid
        | ClusterErrorKind::Unbuildable
        | ClusterErrorKind::Denied
        | ClusterErrorKind::Other => false,
    }
}

/// A number from 0 to 1, by chance: drawn from the thread's generator, which a simulation seeds.
#[must_use]
pub fn chance() -> f64 {
    fastrand::f64()
}

#[cfg(test)]
mod tests;
