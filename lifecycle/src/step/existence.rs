//! The state machine of existence: handles each event while objects are created or deleted.

use super::{
    decision::{BUSY_RETRY, Decision, Step, after, answer},
    types::{Action, AfterDelete, Event, Existence, Objects, PendingCreate, PendingDelete},
};
use crate::{error::SandboxError, spec::Requirements};

impl Step<'_> {
    pub(super) fn existence<W>(&mut self, existence: Existence<W>, event: Event<W>) -> Decision<W> {
        match (existence, event) {
            // The pending create may not meet this request. A retry is compared with the Pod that exists by then.
            (Existence::Waiting(create), Event::Post { request, waiter, .. })
                if Requirements::of(&request).check(&create.expected).is_err() =>
            {
                (Existence::Waiting(create).into(), answer([waiter], &Err(self.still_terminating())))
            }
            (Existence::Waiting(mut create), Event::Post { request, manifests, waiter, received, until }) => {
                let joining = PendingCreate::new(&request, manifests, waiter, received, until);
                create.waiters.extend(joining.waiters);
                create.pending_owner = joining.pending_owner.or(create.pending_owner);
                self.create(create)
            }
            (Existence::Waiting(create), Event::Delete { waiter, .. }) => {
                // The POST came first, and this DELETE would have removed its sandbox.
                let id = self.ctx.id.clone();
                let failed = create.fail(&SandboxError::StillTerminating { id, retry_after: BUSY_RETRY });
                let delete = PendingDelete { waiters: vec![waiter], ..PendingDelete::of(Objects::BOTH) };
                after(failed, self.delete(delete, AfterDelete::Nothing))
            }
            (Existence::Waiting(create), Event::Resync | Event::Due | Event::Resumed) => self.create(create),

            // The failed create has an unknown outcome and may have succeeded; then this POST uses its objects. A
            // delete with an unknown outcome may also have removed them since, so read first.
            (
                Existence::DeleteBackoff { delete, .. },
                Event::Post { request, manifests, waiter, received, until },
            ) if delete.unpublished => {
                let create = PendingCreate::new(&request, manifests, waiter, received, until);
                let create = PendingCreate { made: delete.targets, ..create };
                (Existence::Creating { create, failure: None }.into(), vec![Action::Read])
            }
            // The requested deletion completes first. Then the sandbox is created again.
            (
                Existence::DeleteBackoff { delete, .. },
                Event::Post { request, manifests, waiter, received, until },
            ) => {
                let create = PendingCreate::new(&request, manifests, waiter, received, until);
                self.delete(delete, AfterDelete::Create(create))
            }
            // The outcome of the earlier attempt is unknown, so read before answering.
            (Existence::DeleteBackoff { mut delete, .. }, Event::Delete { waiter, .. }) => {
                delete.waiters.push(waiter);
                delete.targets = Objects::BOTH;
                (Existence::ConfirmingDelete(delete).into(), vec![Action::Read])
            }
            (Existence::DeleteBackoff { delete, retry_at }, Event::Resync | Event::Due | Event::Resumed) => {
                if self.ctx.now >= retry_at {
                    (Existence::ConfirmingDelete(delete).into(), vec![Action::Read])
                } else {
                    let stage = Existence::DeleteBackoff { delete, retry_at };
                    (stage.into(), vec![Action::SetTimer(retry_at)])
                }
            }

            (Existence::Creating { create, .. }, Event::Created { pod, service }) => {
                self.created(create, pod, service)
            }
            (Existence::Creating { create, failure }, Event::Read(result)) => {
                self.read_after_create(create, failure, result)
            }
            (Existence::ConfirmingOrphan, Event::Read(result)) => self.confirm_orphan(&result),
            (Existence::Deleting { delete, next }, Event::Deleted { pod, service }) => {
                self.deleted(delete, next, [pod, service])
            }
            (Existence::ConfirmingDelete(delete), Event::Read(result)) => {
                self.read_before_delete(delete, result)
            }

            (
                stage @ (Existence::Waiting(_)
                | Existence::DeleteBackoff { .. }
                | Existence::Creating { .. }
                | Existence::ConfirmingOrphan
                | Existence::Deleting { .. }
                | Existence::ConfirmingDelete(_)),
                event,
            ) => self.not_now(stage.into(), event),
        }
    }
}
