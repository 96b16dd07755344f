//! The log of failed writes: of lifetime annotations, and of the CPU after the start.

use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    traits::Outcome,
};
use parking_lot::Mutex;

/// The last reported reason why a write of one kind fails.
pub(crate) struct WriteLog {
    reported: Mutex<Option<ClusterErrorKind>>,
    /// Logs a failure.
    warn: fn(&SandboxId, &ClusterError),
}

impl WriteLog {
    /// Creates the log of the writes of activity.
    pub(crate) fn of_activity() -> Self {
        Self { reported: Mutex::default(), warn: activity_failed }
    }

    /// Creates the log of the resizes that no caller has asked for.
    pub(crate) fn of_resizes() -> Self {
        Self { reported: Mutex::default(), warn: resize_failed }
    }

    /// Records the outcome of a write. A failure is logged once, until a write succeeds or fails for another reason.
    pub(crate) fn note(&self, id: &SandboxId, outcome: &Outcome<()>) {
        match outcome {
            Outcome::Done(()) => *self.reported.lock() = None,
            // The Pod is gone or was replaced, so there is nothing to write to.
            Outcome::Refused(fault)
                if matches!(fault.kind, ClusterErrorKind::NotFound | ClusterErrorKind::Conflict) => {}
            Outcome::Refused(fault) | Outcome::Unknown(fault) => {
                let reported = self.reported.lock().replace(fault.kind);
                if reported != Some(fault.kind) {
                    (self.warn)(id, fault);
                }
            }
        }
    }
}

fn activity_failed(id: &SandboxId, fault: &ClusterError) {
    if fault.kind == ClusterErrorKind::Forbidden {
        tracing::warn!(sandbox_id = %id, %fault,
            "not allowed to write on Pods: after a restart of this daemon, sandboxes count as used last when \
             that was last written, and owners are forgotten; give the role the right \"patch\" on \"pods\", \
             as config/rbac.yaml does");
    } else {
        tracing::warn!(sandbox_id = %id, %fault,
            "when a sandbox was used could not be written on its Pod; it is tried again");
    }
}

fn resize_failed(id: &SandboxId, fault: &ClusterError) {
    match fault.kind {
        ClusterErrorKind::NotSupported => tracing::warn!(sandbox_id = %id, %fault,
            "this cluster cannot resize Pods in place: sandboxes keep the start_cpu of their profile; use \
             Kubernetes 1.33 or later, or remove start_cpu"),
        ClusterErrorKind::Forbidden => tracing::warn!(sandbox_id = %id, %fault,
            "not allowed to resize Pods in place: sandboxes keep the start_cpu of their profile; give the role the \
             right \"patch\" on \"pods/resize\", as config/rbac.yaml shows"),
        _ => tracing::warn!(sandbox_id = %id, %fault,
            "the CPU of a ready sandbox could not be lowered to that of its profile; it is tried again"),
    }
}
