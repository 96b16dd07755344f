//! Moves a sandbox to another cluster: it is made there as a replacement, becomes ready there, and is then deleted here.
//!
//! Until the new one is ready, all requests are for the old one. A process that ends in between leaves both. If the new one
//! becomes ready, it counts, and the comparison of twins deletes the old one. Otherwise the comparison deletes the new one
//! some time later.

use lifecycle::{
    budget,
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    observed::{Status, Uid},
    placement::{choice, moving, replacement::Replacement, twins::MOVE_PATIENCE},
    request::{Change, CreateRequest},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::Fleet;
use crate::{
    member::Member,
    placements::{Moving, Ticket},
};

/// The outcome of a move, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The sandbox is on the cluster.
    Done(Box<Status>),
    /// It is being made there, and will be moved once it is ready. Until then it is as before.
    Underway(Box<Status>),
}

/// A move that nothing forbids.
struct Plan {
    id: SandboxId,
    from: Member,
    /// The Pod that moves.
    pod: Uid,
    to: Member,
    request: CreateRequest,
    /// Notices each DELETE since before the first check.
    ticket: Ticket,
    /// Ends when the move ends.
    _moving: Moving,
}

/// The first part of a move.
enum Prepared {
    Plan(Box<Plan>),
    /// The sandbox is there already.
    There(Box<Status>),
    /// There is no such sandbox.
    Missing,
}

impl Fleet {
    /// Moves a sandbox to another cluster, and waits for it until this time; `None` if the sandbox does not exist, or was
    /// deleted meanwhile. The move goes on if the caller does not wait for it.
    ///
    /// # Errors
    /// If the sandbox cannot move, or did not become ready there. It stays as it was.
    pub async fn move_sandbox(
        &self,
        id: SandboxId,
        to: &ClusterName,
        until: Instant,
    ) -> Result<Option<Move>, SandboxError> {
        let plan = match self.prepare(id.clone(), to).await? {
            Prepared::Plan(plan) => plan,
            Prepared::There(status) => return Ok(Some(Move::Done(status))),
            Prepared::Missing => return Ok(None),
        };
        let (report, outcome) = oneshot::channel();
        let (fleet, from) = (self.clone(), plan.from.clone());
        tokio::spawn(async move {
            let (id, cluster) = (plan.id.clone(), plan.to.name().clone());
            let moved = fleet.carry_out(*plan).await;
            match &moved {
                Ok(Some(_)) => tracing::info!(sandbox_id = %id, %cluster, "moved to the cluster"),
                Ok(None) => tracing::info!(sandbox_id = %id, %cluster, "deleted while it moved"),
                Err(error) => tracing::warn!(sandbox_id = %id, %cluster, %error, "not moved to the cluster"),
            }
            let _ = report.send(moved);
        });
        match timeout_at(until, outcome).await {
            Ok(Ok(moved)) => Ok(moved?.map(|status| Move::Done(Box::new(status)))),
            Ok(Err(_)) => Err(SandboxError::Restarting { id }),
            Err(_) => Ok(from.view().status(&id).map(|status| Move::Underway(Box::new(status)))),
        }
    }

    /// Checks whether the sandbox can move. Writes nothing.
    async fn prepare(&self, id: SandboxId, to: &ClusterName) -> Result<Prepared, SandboxError> {
        let ticket = self.0.placements.enter(&id);
        let members = self.members();
        let Some(from) = self.find(&members, &id).await?.cloned() else { return Ok(Prepared::Missing) };
        let Some(status) = from.view().status(&id) else { return Ok(Prepared::Missing) };
        let Some(target) = members.iter().find(|member| member.name() == to).cloned() else {
            return Err(choice::unknown_cluster(to, members.iter().map(Member::name)));
        };
        let Some(moving) = self.0.placements.begin_move(&id) else {
            let what = format!("Sandbox '{id}' is being moved");
            return Err(SandboxError::Overloaded { what, retry_after: super::RETRY });
        };
        if from.name() == to {
            return Ok(Prepared::There(Box::new(status)));
        }
        if !from.view().is_whole(&id) {
            return Err(SandboxError::StillTerminating { id, retry_after: super::RETRY });
        }
        let refused = |why: String| SandboxError::MoveRefused { id: id.clone(), cluster: to.clone(), why };
        let request =
            from.sandboxes.read_request(id.clone(), status.pod.clone()).await?.ok_or_else(|| {
                refused(
                    "its Pod does not say how it was requested; it was made while there was one cluster"
                        .to_owned(),
                )
            })?;
        let request =
            CreateRequest { cluster: Some(to.clone()), replaces: Some(Replacement::Move), ..request };
        let home = from.sandboxes.data_home(&request)?;
        let (source, other) = (from.terms(), target.terms());
        moving::check(&home, (from.name(), &source), (target.name(), &other)).map_err(refused)?;
        let choice = self.choose(&members, &request).map_err(|error| match error {
            // The body of the call is right, but the cluster is not one for this sandbox.
            SandboxError::BadRequest(why) => refused(why),
            error => error,
        });
        let (order, refusals) = choice?;
        if order.is_empty() {
            return Err(SandboxError::NoCluster { id, refusals });
        }
        let plan = Plan { id, from, pod: status.pod, to: target, request, ticket, _moving: moving };
        Ok(Prepared::Plan(Box::new(plan)))
    }

    /// Moves the sandbox. Returns its new status, or `None` if it was deleted meanwhile.
    async fn carry_out(&self, plan: Plan) -> Result<Option<Status>, SandboxError> {
        let Plan { id, from, pod, to, request, mut ticket, _moving } = plan;
        // Before the create, so that a move over the limit makes nothing.
        let permit = to.sandboxes.wait_permit(&id)?;
        let received = Instant::now();
        let Ok(turn) = timeout_at(received + budget::CREATE_SLOT, ticket.turn()).await else {
            let what = format!("another request makes Sandbox '{id}'");
            return Err(SandboxError::Overloaded { what, retry_after: super::RETRY });
        };
        // A DELETE that came before the ticket has reached the actor by now.
        let is_there = || {
            let view = from.view();
            view.status(&id).is_some_and(|status| status.pod == pod) && !view.is_being_deleted(&id)
        };
        if !is_there() || ticket.is_cancelled() {
            return Ok(None);
        }
        let reservation = self
            .reserve(&to, &id)
            .map_err(|refusal| SandboxError::NoCluster { id: id.clone(), refusals: vec![refusal] })?;
        let refused =
            |why: String| SandboxError::MoveRefused { id: id.clone(), cluster: to.name().clone(), why };
        let made = tokio::select! {
            biased;
            made = to.sandboxes.create_since(request.clone(), received) => match made {
                Ok(made) => made,
                // The body of the call is right, but the settings there do not allow the sandbox.
                Err(SandboxError::BadRequest(why)) => return Err(refused(why)),
                Err(error) => return Err(error),
            },
            () = ticket.cancelled() => {
                // The DELETE may have come to that cluster before the create.
                to.sandboxes.delete(id, None).await?;
                return Ok(None);
            }
        };
        drop((turn, reservation));
        if made.pod == pod {
            return Err(refused(format!("'{}' and '{}' are names of one cluster", from.name(), to.name())));
        }
        let ready = tokio::select! {
            biased;
            ready = to.sandboxes.settled(permit, Instant::now() + MOVE_PATIENCE) => ready,
            () = ticket.cancelled() => {
                to.sandboxes.discard(id, made.pod).await?;
                return Ok(None);
            }
        };
        let why = match ready {
            Ok(Some(status)) if status.ready && status.pod == made.pod => {
                let status = match repeat_changes(&from, &pod, &to, &status, &request).await {
                    Ok(changed) => changed.unwrap_or(status),
                    Err(error) => {
                        to.sandboxes.discard(id.clone(), made.pod).await?;
                        return Err(refused(format!("a change during the move failed there: {error}")));
                    }
                };
                // After an error the actor tries again, and so does the comparison of twins.
                if let Err(error) = from.sandboxes.discard(id.clone(), pod).await {
                    let cluster = from.name();
                    tracing::warn!(sandbox_id = %id, %cluster, %error, "moved, but not deleted yet");
                }
                return Ok(Some(status));
            }
            Ok(None) if ticket.is_cancelled() || !is_there() => return Ok(None),
            Ok(None) => "it was deleted there before it was ready".to_owned(),
            Ok(Some(_)) if to.sandboxes.is_draining() => {
                to.sandboxes.discard(id, made.pod).await?;
                return Err(SandboxError::ShuttingDown { retry_after: super::RETRY });
            }
            Ok(Some(status)) => match status.reason {
                Some(reason) => format!("it did not become ready there: {}", reason.name),
                None => "it did not become ready there in time".to_owned(),
            },
            Err(error) => format!("whether it is ready there is not known: {error}"),
        };
        to.sandboxes.discard(id.clone(), made.pod).await?;
        Err(refused(why))
    }
}

/// Repeats on the other cluster what has changed since the request was read: limits, resources, the owner, and the last use.
/// Returns the new status if there was a change.
///
/// If the changes cannot be read, there are none: they would be lost with the cluster anyway.
async fn repeat_changes(
    from: &Member,
    pod: &Uid,
    to: &Member,
    made: &Status,
    request: &CreateRequest,
) -> Result<Option<Status>, SandboxError> {
    let id = &request.sandbox_id;
    let now = match from.sandboxes.read_request(id.clone(), pod.clone()).await {
        Ok(now) => now.unwrap_or_else(|| request.clone()),
        Err(error) => {
            tracing::warn!(sandbox_id = %id, cluster = %from.name(), %error, "changes during the move are not known");
            request.clone()
        }
    };
    let change = moving::late_change(request, &now);
    let last_use = |status: Option<Status>| Some(status?.expiry?.idle_since);
    let is_used = last_use(from.view().status(id)) > last_use(Some(made.clone()));
    if change != Change::default() {
        to.sandboxes.change(id.clone(), change, now.owner).await
    } else if is_used || now.owner != request.owner {
        to.sandboxes.touch(id.clone(), now.owner).await
    } else {
        Ok(None)
    }
}
