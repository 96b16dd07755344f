//! The handle through which the program's routes ask for sandboxes.

use std::{future::Future, sync::Arc, time::Duration};

use lifecycle::{
    budget,
    error::SandboxError,
    ids::SandboxId,
    lifetime::{Limits, LimitsPatch, Owner, Policy},
    observed::{Status, Uid},
    reap_limiter::ReapLimits,
    request::CreateRequest,
    step::{Event, Reply},
    traits::{Clock, Cluster, Kind},
};
pub use ractor::SpawnErr;
use ractor::{Actor, ActorRef, MessagingErr, rpc::CallResult};
use tokio::time::Instant;

pub use crate::reaper::{Reaped, ReaperState};
use crate::{
    admission::{AdmissionQueue, Creates, Permit, QueueLimits, RETRY},
    reaper::Reaper,
    sandbox::{Envelope, Shared, Waiter},
    supervisor::{Message, Supervisor},
    timer::{self, Timer},
    view::{Presence, Revision, View},
};

/// How many creates may be under way, waiting ones included, and how many of everything else that changes
/// sandboxes. As many as there are connections by default; of one sandbox a quarter, which leaves room for others
/// when one is stuck.
const QUEUE_LIMITS: QueueLimits = QueueLimits { all: 1024, per_sandbox: 256 };

/// How many GETs that count as signs of life may be on their way: one of each sandbox is enough.
const VIEW_LIMITS: QueueLimits = QueueLimits { all: usize::MAX, per_sandbox: 1 };

/// When to ask again while what is known of the cluster is too old.
const STALE_RETRY: Duration = Duration::from_secs(5);

/// What the sandboxes are kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// For how long answers may be given after the watch was last heard of.
    pub staleness: Duration,
    /// How long sandboxes may live.
    pub policy: Policy,
    /// What holds the reaper back.
    pub belt: ReapLimits,
    /// How many creates are worked on at once; others wait.
    pub creates_at_once: usize,
}

/// A handle on the supervisor and the status view. Every request clones it, at the price of one count.
#[derive(Clone)]
pub struct Sandboxes {
    shared: Arc<Inner>,
}

/// Ends the supervisor with the timer: without its deadlines nothing that went wrong would be put right.
struct ShareFate(ActorRef<Message>);

struct Inner {
    /// What the actors have too.
    common: Arc<Shared>,
    supervisor: ActorRef<Message>,
    creates: Creates,
    /// For DELETE, PATCH and touch: creates leave them room, whatever happens.
    changes: Arc<AdmissionQueue>,
    /// For GETs that count as signs of life.
    views: Arc<AdmissionQueue>,
}

// === impl Sandboxes ===

impl Sandboxes {
    /// Starts the supervisor and what belongs to it on the present `tokio` runtime.
    ///
    /// What the shared watch learns has to be fed into [`Sandboxes::view`]; answers may be given for
    /// `staleness` after it was last heard of.
    ///
    /// # Errors
    /// When the supervisor cannot be spawned.
    pub async fn start(cluster: Arc<dyn Cluster>, rules: Rules, clock: impl Clock) -> Result<Self, SpawnErr> {
        let Rules { staleness, policy, belt, creates_at_once } = rules;
        let (timer, requests) = Timer::new();
        let common = Arc::new(Shared {
            cluster,
            view: Arc::new(View::new(staleness)),
            timer,
            policy,
            reaper: Reaper::new(belt, Box::new(clock)),
        });
        let (supervisor, _) = Actor::spawn(None, Supervisor, common.clone()).await?;
        let told = supervisor.clone();
        common.view.set_listener(move |id| {
            let _ = told.cast(Message::Changed(id));
        });
        let woken = supervisor.clone();
        let fate = ShareFate(supervisor.clone());
        // It ends by itself, when the last actor and with it the last timer's handle is gone.
        tokio::spawn(async move {
            let _fate = fate;
            timer::run(requests, |id| {
                let _ = woken.cast(Message::Due(id));
            })
            .await;
        });
        let inner = Inner {
            common,
            supervisor,
            creates: Creates::new(creates_at_once, QUEUE_LIMITS),
            changes: AdmissionQueue::new(QUEUE_LIMITS),
            views: AdmissionQueue::new(VIEW_LIMITS),
        };
        Ok(Self { shared: Arc::new(inner) })
    }

    /// The status view, to be fed by the shared watch.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.shared.common.view
    }

    /// Makes the sandbox, or finds it made. Ends within [`budget::CREATE`].
    ///
    /// # Errors
    /// A [`SandboxError`] that says whether to try again.
    pub async fn create(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        let id = request.sandbox_id.clone();
        let Inner { common, creates, .. } = &*self.shared;
        common.cluster.check(&request)?;
        common.policy.allows(request.limits).map_err(SandboxError::BadRequest)?;
        // What is there is given without a call to the cluster: it waits behind nothing that makes some.
        let is_there = common.view.is_whole(&id);
        let permit = if is_there {
            self.permit(&id)?
        } else {
            creates.room.enter(&id).map_err(|full| creates.refusal(&id, full))?
        };
        let request = Arc::new(request);
        let place_until = Instant::now() + budget::CREATE_TURN;
        let call = async {
            common.view.first_list(budget::FIRST_LIST).await;
            // An existing Pod is given as it is, whatever mounts this request names.
            if let Err(failure) = common.cluster.check_manifests(&request)
                && !common.view.has_usable_pod(&id)
            {
                return Some(Err(failure));
            }
            let pass = if is_there {
                None
            } else {
                // Another's POST may have made it while this one waited for its turn.
                match creates.pass(&permit, place_until, || !common.view.is_whole(&id)).await {
                    Ok(pass) => Some(pass),
                    Err(failure) => return Some(Err(failure)),
                }
            };
            let event = |waiter| Event::Post { request, waiter };
            self.ask(&id, permit, |waiter| Envelope::of_request(event(waiter), pass)).await
        };
        match within(budget::CREATE, "Sandbox creation", call).await? {
            Some(Ok(Reply::Made(status))) => {
                self.shared.common.reaper.forget(&id);
                Ok(status)
            }
            Some(Err(failure)) => Err(failure),
            Some(Ok(Reply::Gone)) | None => Err(SandboxError::Restarting { id }),
        }
    }

    /// Deletes the sandbox, or finds it gone. Answers within [`budget::DELETE`].
    ///
    /// # Errors
    /// A [`SandboxError`]; the deletion is finished all the same, once the cluster allows.
    pub async fn delete(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        let permit = self.permit(&id)?;
        let call = async {
            self.shared.common.view.first_list(budget::FIRST_LIST).await;
            self.ask(&id, permit, |waiter| Envelope::of_request(Event::Delete { waiter, owner }, None)).await
        };
        match within(budget::DELETE, "Sandbox deletion", call).await? {
            Some(Ok(Reply::Gone)) => Ok(()),
            Some(Err(failure)) => Err(failure),
            Some(Ok(Reply::Made(_))) | None => Err(SandboxError::Restarting { id }),
        }
    }

    /// Notes a sign of life of the sandbox; `None` when there is none.
    ///
    /// # Errors
    /// As [`Sandboxes::delete`].
    pub async fn touch(&self, id: SandboxId, owner: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        let touch = |waiter| Event::Touch { waiter: Some(waiter), owner }.into();
        self.of_what_is_there(id, "Touch", touch).await
    }

    /// Changes the sandbox's limits, and notes a sign of life; `None` when there is none.
    ///
    /// # Errors
    /// [`SandboxError::BadRequest`] for limits beyond the settings' own; else as [`Sandboxes::delete`].
    pub async fn change(
        &self,
        id: SandboxId,
        change: LimitsPatch,
        owner: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        let asked = Limits { ttl: change.ttl.flatten(), idle_timeout: change.idle_timeout.flatten() };
        self.shared.common.policy.allows(asked).map_err(SandboxError::BadRequest)?;
        let change = |waiter| Envelope::of_request(Event::Change { change, waiter, owner }, None);
        self.of_what_is_there(id, "Change of the limits", change).await
    }

    /// Asks the actor of a sandbox that is known; an unknown one costs nothing.
    async fn of_what_is_there(
        &self,
        id: SandboxId,
        operation: &'static str,
        envelope: impl FnOnce(Waiter) -> Envelope,
    ) -> Result<Option<Status>, SandboxError> {
        // Of what is known by halves the other may be there unseen.
        if !self.shared.common.view.is_whole(&id) {
            self.fresh().await?;
            if !self.shared.common.view.contains(&id) {
                return Ok(None);
            }
        }
        let permit = self.permit(&id)?;
        let call = self.ask(&id, permit, envelope);
        match within(budget::DELETE, operation, call).await? {
            Some(Ok(Reply::Made(status))) => Ok(Some(status)),
            Some(Ok(Reply::Gone)) => Ok(None),
            Some(Err(failure)) => Err(failure),
            None => Err(SandboxError::Restarting { id }),
        }
    }

    /// When and why the sandbox was reaped, if that was within the last hour and it was not made anew since.
    #[must_use]
    pub fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        self.shared.common.reaper.reaped(id)
    }

    /// What the reaper is at.
    #[must_use]
    pub fn reaper(&self) -> ReaperState {
        self.shared.common.reaper.state()
    }

    /// Lets the reaper go on after it had stopped; says whether it had.
    #[must_use]
    pub fn resume_reaping(&self) -> bool {
        let lifted = self.shared.common.reaper.resume();
        if lifted {
            // Those that it held back would else wait until the stop would have ended.
            let _ = self.shared.supervisor.cast(Message::Resumed);
        }
        lifted
    }

    /// What is known of the sandbox; `None` when there is none. Answered from memory.
    ///
    /// # Errors
    /// [`SandboxError::Stale`] while nothing can be told for sure.
    pub async fn get(&self, id: &SandboxId) -> Result<Option<Status>, SandboxError> {
        self.fresh().await?;
        let status = self.shared.common.view.status(id);
        // Where one is on its way already, this GET adds nothing to it.
        if status.is_some()
            && self.shared.common.policy.get_counts
            && let Ok(permit) = self.shared.views.enter(id)
        {
            let _ = self.shared.supervisor.cast(Message::Deliver(id.clone(), Envelope::of_view(permit)));
        }
        Ok(status)
    }

    /// The uid of the sandbox's Pod, whatever its phase and whether or not it has a Service; `None` when there is no
    /// Pod. Answered from memory, and not counted as a use.
    ///
    /// # Errors
    /// [`SandboxError::Stale`] if the answer is unknown, also while the Pod may be being created.
    pub async fn presence(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        self.fresh().await?;
        match self.shared.common.view.presence(id) {
            Presence::Present(uid) => Ok(Some(uid)),
            Presence::Absent => Ok(None),
            Presence::Unknown => Err(SandboxError::Stale {
                why: "the Pod may be being created".to_owned(),
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    /// All sandboxes that callers may know of, in the order of their ids. Answered from memory.
    ///
    /// # Errors
    /// [`SandboxError::Stale`] while nothing can be told for sure.
    pub async fn list(&self) -> Result<Vec<(SandboxId, Status)>, SandboxError> {
        self.fresh().await?;
        Ok(self.shared.common.view.statuses())
    }

    /// Which state of things [`Sandboxes::list`] would show now, for whoever keeps an earlier list: equal revisions
    /// show equal lists. A revision taken before a list is never newer than it.
    ///
    /// # Errors
    /// As [`Sandboxes::list`].
    pub async fn revision(&self) -> Result<Revision, SandboxError> {
        self.fresh().await?;
        Ok(self.shared.common.view.revision())
    }

    /// What stands in the way of serving, by name; empty when all is well.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        [("watch-pods", Kind::Pod), ("watch-services", Kind::Service)]
            .into_iter()
            .filter_map(|(name, kind)| self.shared.common.view.unready_reason(kind).map(|why| (name, why)))
            .collect()
    }

    /// Waits until the supervisor has ended. Nothing can be asked for from then on: unless
    /// [`Sandboxes::shut_down`] ended it, the process had better be started anew.
    pub async fn ended(&self) {
        let _ = self.shared.supervisor.get_cell().wait(None).await;
    }

    /// Ends every actor at once, in the middle of whatever it does.
    pub fn kill(&self) {
        self.close();
        self.shared.supervisor.get_cell().kill();
    }

    /// Lets every actor finish what it was asked, for so long at the most, and ends them all.
    pub async fn shut_down(&self, patience: Duration) {
        self.close();
        self.shared.supervisor.get_cell().drain_children_and_wait(Some(patience)).await;
        let _ = self.shared.supervisor.stop_and_wait(None, Some(Duration::from_secs(1))).await;
    }

    fn close(&self) {
        self.shared.creates.close();
        self.shared.changes.close();
        self.shared.views.close();
    }

    /// A seat for a request that makes nothing.
    fn permit(&self, id: &SandboxId) -> Result<Permit, SandboxError> {
        self.shared.changes.enter(id).map_err(|full| full.into_failure(id))
    }

    async fn fresh(&self) -> Result<(), SandboxError> {
        if self.shared.common.view.is_fresh() {
            return Ok(());
        }
        self.shared.common.view.first_list(budget::FIRST_LIST).await;
        if self.shared.common.view.is_fresh() {
            return Ok(());
        }
        let why: Vec<_> = self.missing().into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
        Err(SandboxError::Stale { why: why.join("; "), retry_after: STALE_RETRY })
    }

    /// Asks the supervisor, and through it the sandbox's actor; `None` when the actor failed meanwhile.
    async fn ask(
        &self,
        id: &SandboxId,
        permit: Permit,
        envelope: impl FnOnce(Waiter) -> Envelope,
    ) -> Option<Result<Reply, SandboxError>> {
        match self
            .shared
            .supervisor
            .call(|port| Message::Deliver(id.clone(), envelope(Waiter::new(port, permit))), None)
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

impl Drop for ShareFate {
    fn drop(&mut self) {
        self.0.stop(None);
    }
}

async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    call: impl Future<Output = T>,
) -> Result<T, SandboxError> {
    tokio::time::timeout(deadline, call)
        .await
        .map_err(|_| SandboxError::TimedOut { operation, after: deadline })
}
