//! The calls that change sandboxes.

use std::sync::Arc;

use lifecycle::{
    budget,
    error::SandboxError,
    ids::SandboxId,
    lifetime::{Limits, LimitsPatch, Owner},
    observed::{Status, Uid},
    operation::Operation,
    request::{Change, CreateRequest},
    step::{Event, Reply},
};
use ractor::{MessagingErr, rpc::CallResult};
use tokio::time::{Instant, timeout_at};

use super::{Inner, Sandboxes};
use crate::{
    admission::{Permit, RETRY},
    messages::{Envelope, Message, Waiter},
    workspaces::within,
};

impl Sandboxes {
    /// Creates the sandbox for a POST that arrives now, or finds it complete.
    ///
    /// # Errors
    /// As from a POST: the request does not fit the settings, too many others are in progress, or the cluster refuses.
    pub async fn create(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        self.create_since(request, Instant::now()).await
    }

    /// Creates the sandbox for a POST that arrived at this time, from which all deadlines count, or finds it complete.
    ///
    /// # Errors
    /// As from [`Sandboxes::create`].
    pub async fn create_since(
        &self,
        request: CreateRequest,
        received: Instant,
    ) -> Result<Status, SandboxError> {
        let id = request.sandbox_id.clone();
        let Inner { common, creates, .. } = &*self.shared;
        let manifests = common.cluster.manifests(&request)?;
        common.policy.allows(request.limits).map_err(SandboxError::BadRequest)?;
        // A complete sandbox is returned without a call to the cluster, so its POST does not wait behind creates.
        let is_there = common.view.is_whole(&id);
        let permit = if is_there {
            self.permit(&id)?
        } else {
            creates.queue.enter(&id).map_err(|rejected| creates.rejection(&id, rejected))?
        };
        let (slot_until, end) = (received + budget::CREATE_SLOT, received + budget::CREATE);
        let until = (received + budget::POST_PATIENCE).into_std();
        let received = received.into_std();
        let call = async {
            common.view.first_list(budget::FIRST_LIST).await;
            if let Err(failure) = self.readable(&id) {
                return Some(Err(failure));
            }
            // An existing Pod is used as it is, whatever mounts this request contains.
            if let Err(failure) = &manifests.pod
                && !common.view.has_usable_pod(&id)
            {
                return Some(Err(failure.clone()));
            }
            let create_permit = if is_there {
                None
            } else {
                // Another POST may have created the sandbox while this one waited for the lock.
                match creates.admit(&permit, slot_until, || !common.view.is_whole(&id)).await {
                    Ok(permit) => Some(permit),
                    Err(failure) => return Some(Err(failure)),
                }
            };
            let event =
                |waiter| Event::Post { request: Arc::new(request), manifests, waiter, received, until };
            self.ask(&id, permit, |waiter| Envelope::of_request(event(waiter), create_permit)).await
        };
        let late = |_| SandboxError::TimedOut { operation: Operation::CreateSandbox, after: budget::CREATE };
        match timeout_at(end, call).await.map_err(late)? {
            Some(Ok(Reply::Made(status))) => {
                self.shared.common.reap_log.forget(&id);
                Ok(common.view.explained(&id, *status))
            }
            Some(Err(failure)) => Err(failure),
            Some(Ok(Reply::Gone)) | None => Err(SandboxError::Restarting { id }),
        }
    }

    /// Deletes the sandbox if it exists. After an error the deletion is still completed, once the cluster allows it.
    ///
    /// # Errors
    /// If the deletion is not known to be complete.
    pub async fn delete(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        self.delete_if(id, owner, None).await
    }

    /// Deletes the sandbox if its Pod still has this uid, regardless of its owner: another cluster has the sandbox. After an error the
    /// deletion is still completed.
    ///
    /// # Errors
    /// As from [`Sandboxes::delete`].
    pub async fn discard(&self, id: SandboxId, pod: Uid) -> Result<(), SandboxError> {
        self.delete_if(id, None, Some(pod)).await
    }

    async fn delete_if(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
        only: Option<Uid>,
    ) -> Result<(), SandboxError> {
        let permit = self.permit(&id)?;
        let call = async {
            self.shared.common.view.first_list(budget::FIRST_LIST).await;
            let delete = |waiter| Envelope::of_request(Event::Delete { waiter, owner, only }, None);
            self.ask(&id, permit, delete).await
        };
        match within(budget::DELETE, Operation::DeleteSandbox, call).await? {
            Some(Ok(Reply::Gone)) => Ok(()),
            // The view knows why.
            Some(Err(SandboxError::Stale { .. })) if !self.view().is_fresh() => Err(self.view().stale()),
            Some(Err(failure)) => Err(failure),
            Some(Ok(Reply::Made(_))) | None => Err(SandboxError::Restarting { id }),
        }
    }

    /// Records activity of the sandbox; `None` if it does not exist.
    ///
    /// # Errors
    /// If the activity is not known to be recorded, or another owner holds the sandbox.
    pub async fn touch(&self, id: SandboxId, owner: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        let touch = |waiter| Envelope::of_request(Event::Touch { waiter: Some(waiter), owner }, None);
        self.of_what_is_there(id, Operation::Touch, Instant::now() + budget::DELETE, touch).await
    }

    /// Changes the sandbox's limits, resizes it in place, or both, and records activity; `None` if it does not exist. Both
    /// are checked before anything is written. The resize comes first.
    ///
    /// # Errors
    /// If a limit is not allowed, or the cluster refuses it.
    pub async fn change(
        &self,
        id: SandboxId,
        Change { limits, resources }: Change,
        owner: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        let until = Instant::now() + budget::DELETE;
        let asked = Limits { ttl: limits.ttl.flatten(), idle_timeout: limits.idle_timeout.flatten() };
        self.shared.common.policy.allows(asked).map_err(SandboxError::BadRequest)?;
        if resources.is_empty() {
            return self.change_limits(id, limits, owner, until).await;
        }
        self.fresh().await?;
        self.readable(&id)?;
        // A sandbox keeps its profile, so the bounds are known without its actor.
        let Some(status) = self.view().status(&id) else { return Ok(None) };
        self.shared.common.cluster.check_resize(status.spec.profile.as_ref(), &resources)?;
        let by = owner.clone();
        let resize = |waiter| Envelope::of_request(Event::Resize { resources, waiter, owner: by }, None);
        // A cluster refuses a resize more often than the limits, which are annotations. Then nothing has changed.
        let resized = self.of_what_is_there(id.clone(), Operation::Resize, until, resize).await?;
        if resized.is_none() || limits == LimitsPatch::default() {
            return Ok(resized);
        }
        let changed = self.change_limits(id, limits, owner, until).await;
        changed.map_err(|error| SandboxError::AfterResize(Box::new(error)))
    }

    /// Changes the limits of a sandbox.
    async fn change_limits(
        &self,
        id: SandboxId,
        change: LimitsPatch,
        owner: Option<Owner>,
        until: Instant,
    ) -> Result<Option<Status>, SandboxError> {
        let change = |waiter| Envelope::of_request(Event::Change { change, waiter, owner }, None);
        self.of_what_is_there(id, Operation::ChangeLimits, until, change).await
    }

    /// Asks the actor of an existing sandbox. A request for an unknown sandbox starts no actor.
    async fn of_what_is_there(
        &self,
        id: SandboxId,
        operation: Operation,
        until: Instant,
        envelope: impl FnOnce(Waiter) -> Envelope,
    ) -> Result<Option<Status>, SandboxError> {
        // If the view shows an incomplete sandbox, the other object may exist.
        if !self.shared.common.view.is_whole(&id) {
            self.fresh().await?;
            self.readable(&id)?;
            if !self.shared.common.view.contains(&id) {
                return Ok(None);
            }
        }
        let permit = self.permit(&id)?;
        let call = self.ask(&id, permit, envelope);
        let answer = timeout_at(until, call)
            .await
            .map_err(|_| SandboxError::TimedOut { operation, after: budget::DELETE })?;
        match answer {
            Some(Ok(Reply::Made(status))) => Ok(Some(self.view().explained(&id, *status))),
            Some(Ok(Reply::Gone)) => Ok(None),
            Some(Err(failure)) => Err(failure),
            None => Err(SandboxError::Restarting { id }),
        }
    }

    /// Asks the sandbox's actor through the supervisor. Returns `None` if the actor failed before it answered.
    async fn ask(
        &self,
        id: &SandboxId,
        permit: Permit,
        envelope: impl FnOnce(Waiter) -> Envelope,
    ) -> Option<Result<Reply, SandboxError>> {
        match self
            .shared
            .supervisor
            .call(|port| Message::Deliver(id.clone(), envelope(Waiter::new(port, permit))))
            .await
        {
            Ok(CallResult::Success(answer)) => Some(answer),
            Ok(CallResult::SenderError | CallResult::Timeout) => None,
            Err(MessagingErr::SendErr(_) | MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => {
                Some(Err(SandboxError::ShuttingDown { retry_after: RETRY }))
            }
        }
    }
}
