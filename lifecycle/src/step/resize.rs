//! Resizing a sandbox in place: for a caller, and once a sandbox with more CPU for its start is ready.

use std::time::{Duration, Instant};

use super::{
    context::Context,
    decision::{Decision, Step, after, answer},
    types::{Action, Reply},
};
use crate::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    lifetime::Owner,
    observed::ObservedPod,
    operation::Operation,
    spec::Resources,
    traits::Outcome,
};

/// The first delay after a resize that did not lower the CPU. It doubles up to [`WAIT_MAX`].
const WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The delay after an error that a retry does not change. An operator may give the right, or update the cluster.
const WAIT_REFUSED: Duration = Duration::from_secs(3600);

/// The attempts to lower the CPU of a sandbox that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lowering {
    attempts: u32,
    /// The earliest time of the next attempt.
    not_before: Option<Instant>,
}

impl Step<'_> {
    /// Returns the call that resizes a complete sandbox for a caller.
    pub(super) fn resize<W>(&mut self, resources: Resources, owner: Option<Owner>) -> Option<Action<W>> {
        let uid = self.ctx.pod_of_whole()?.uid.clone();
        self.record_use(owner);
        Some(Action::Resize { uid, resources, after_start: false })
    }

    /// Handles the outcome of a resize.
    pub(super) fn resized<W>(&mut self, waiter: Option<W>, outcome: Outcome<()>) -> Decision<W> {
        if let (None, Some(lifetime)) = (&waiter, &mut self.lifetime) {
            lifetime.lowering.note(&outcome, self.ctx.now);
        }
        let decision = self.settle(None);
        let reply = match outcome {
            Outcome::Done(()) => self.reply(),
            Outcome::Refused(fault) | Outcome::Unknown(fault) => self.resize_failure(fault),
        };
        after(answer(waiter, &reply), decision)
    }

    /// Returns the answer for the caller of a resize that failed.
    fn resize_failure(&self, fault: ClusterError) -> Result<Reply, SandboxError> {
        Err(match fault.kind {
            ClusterErrorKind::NotSupported => SandboxError::ResizeNotSupported,
            ClusterErrorKind::Invalid | ClusterErrorKind::Denied => {
                SandboxError::ResizeRefused(fault.message)
            }
            _ => self.write_failure(Operation::Resize, fault),
        })
    }
}

// === impl Lowering ===

impl Lowering {
    /// Returns the resize that a complete sandbox needs now because it is ready, or the time of the next attempt.
    pub(super) fn wanted<W>(
        &mut self,
        pod: &ObservedPod,
        ctx: Context<'_>,
    ) -> Result<Option<Action<W>>, Instant> {
        let Some(cpu) = pod.spec.cpu_after_start.as_deref() else {
            *self = Self::default();
            return Ok(None);
        };
        if !pod.ready || !ctx.seen.is_whole() {
            return Ok(None);
        }
        if let Some(at) = self.not_before.filter(|at| *at > ctx.now) {
            return Err(at);
        }
        let resources = Resources { cpu: Some(cpu.to_owned()), ..Resources::NONE };
        Ok(Some(Action::Resize { uid: pod.uid.clone(), resources, after_start: true }))
    }

    /// Records an attempt. Also after a success the next one waits: the Pod may not have changed.
    fn note(&mut self, outcome: &Outcome<()>, now: Instant) {
        let wait = match outcome {
            Outcome::Refused(fault) if !fault.kind.is_passing() && !is_gone(fault) => WAIT_REFUSED,
            _ => WAIT_MAX.min(WAIT * 2_u32.saturating_pow(self.attempts)),
        };
        self.attempts = self.attempts.saturating_add(1).min(16);
        self.not_before = Some(now + wait);
    }
}

/// Returns whether the Pod does not exist any more.
fn is_gone(fault: &ClusterError) -> bool {
    fault.kind == ClusterErrorKind::NotFound
}
