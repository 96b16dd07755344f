//! The writes: a POST goes to the cluster that has the sandbox or that the placement chooses, a DELETE to every cluster that
//! may have it.

use std::time::Duration;

use actors::view::STALE_RETRY;
use futures::future::join_all;
use lifecycle::{
    budget,
    error::{Refusal, SandboxError},
    ids::SandboxId,
    lifetime::Owner,
    observed::Status,
    operation::Operation,
    placement::{
        Candidate, Constraints, Facts, Terms,
        capacity::is_capacity_error,
        choice::{self, Exclusion},
        moving::DataHome,
        replacement::Replacement,
        route::{self, Create, Delete, Reach},
    },
    request::CreateRequest,
    traits::Kind,
};
use tokio::time::{Instant, timeout_at};

use super::{
    Fleet, RETRY,
    lookup::{cluster_away, first_lists, unavailable, winner},
};
use crate::{
    member::Member,
    placements::{Reservation, Reserved, Ticket},
};

/// The time after which a create without an answer is a sign that its cluster is away. The sign may be wrong, for example
/// behind a slow webhook. Such a cluster is asked last for as long as its watch shows nothing either.
const SILENCE: Duration = Duration::from_secs(3);

// === impl Fleet ===

impl Fleet {
    /// Creates the sandbox, or finds it complete. All deadlines count from now, on whichever cluster it is made in the end.
    pub(super) async fn place(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        let received = Instant::now();
        let members = self.members();
        if let [only] = &*members
            && only.takes_everything(&request)
        {
            return only.sandboxes.create_since(request, received).await;
        }
        let id = request.sandbox_id.clone();
        first_lists(&*members).await;
        let ticket = self.0.placements.enter(&id);
        let Ok(_turn) = timeout_at(received + budget::CREATE_SLOT, ticket.turn()).await else {
            let what = format!("another request makes Sandbox '{id}'");
            return Err(SandboxError::Overloaded { what, retry_after: RETRY });
        };
        let found = self.after_termination(&members, &request, received + budget::CREATE_SLOT).await?;
        let (holder, is_replacement) = match found {
            Create::Shown(shown) => {
                let member = winner(&members, &shown, &id).and_then(|index| members.get(index));
                // Without one the sandbox has just ended: the caller asks again.
                let Some(member) = member else { return Err(SandboxError::Restarting { id }) };
                return member.sandboxes.create_since(request, received).await;
            }
            Create::Unavailable(away) => return Err(unavailable(&members, &away, &id)),
            Create::Held { cluster, is_replacement } => (members.get(cluster), is_replacement),
            Create::Place { is_replacement } => (None, is_replacement),
        };
        let request = CreateRequest { replaces: is_replacement.then_some(Replacement::Lost), ..request };
        self.ask_in_turn(&members, holder, &request, received, &ticket).await
    }

    /// Returns which cluster takes the POST of this sandbox. While all that is left of it terminates on a cluster that drains, or
    /// that the request does not want, this waits, at most until `end`: the new Pod would be made on that cluster.
    async fn after_termination(
        &self,
        members: &[Member],
        request: &CreateRequest,
        end: Instant,
    ) -> Result<Create, SandboxError> {
        let id = &request.sandbox_id;
        loop {
            let found = route::create(&self.states(members, id));
            let holder = match &found {
                Create::Shown(shown) => winner(members, shown, id),
                Create::Held { cluster, .. } => Some(*cluster),
                Create::Unavailable(_) | Create::Place { .. } => None,
            };
            let is_ending = |member: &&Member| {
                !member.view().may_live_on(id)
                    && (member.terms().is_draining() || !self.is_wanted(members, member, request))
            };
            let Some(holder) = holder.and_then(|holder| members.get(holder)).filter(is_ending) else {
                return Ok(found);
            };
            // A request that no cluster can fulfil does not wait.
            self.choose(members, request)?;
            if timeout_at(end, holder.view().terminated(id)).await.is_err() {
                return Err(SandboxError::StillTerminating { id: id.clone(), retry_after: RETRY });
            }
        }
    }

    /// Asks one cluster after the other, until one takes the sandbox or fails for another reason than a lack of capacity.
    async fn ask_in_turn(
        &self,
        members: &[Member],
        holder: Option<&Member>,
        request: &CreateRequest,
        received: Instant,
        ticket: &Ticket,
    ) -> Result<Status, SandboxError> {
        let id = &request.sandbox_id;
        let mut refusals = vec![];
        if let Some(holder) = holder {
            match self.ask(holder, request, received, ticket).await? {
                Ok(status) => return Ok(status),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let (order, mut excluded) = match self.choose(members, request) {
            Ok(choice) => choice,
            Err(error) if holder.is_none() => return Err(error),
            Err(_) => (vec![], vec![]),
        };
        for member in order {
            if holder.is_some_and(|holder| holder.name() == member.name()) {
                continue;
            }
            match self.ask(member, request, received, ticket).await? {
                Ok(status) => return Ok(status),
                Err(refusal) => refusals.push(refusal),
            }
        }
        excluded.retain(|refusal| refusals.iter().all(|tried| tried.cluster != refusal.cluster));
        refusals.append(&mut excluded);
        if let (1, [_]) = (members.len(), &*refusals)
            && let Some(only) = refusals.pop()
        {
            return Err(only.of_the_only_cluster());
        }
        Err(SandboxError::NoCluster { id: id.clone(), refusals })
    }

    /// Asks one cluster. The inner error is a refusal for lack of capacity, after which the next cluster may be asked.
    async fn ask(
        &self,
        member: &Member,
        request: &CreateRequest,
        received: Instant,
        ticket: &Ticket,
    ) -> Result<Result<Status, Refusal>, SandboxError> {
        let id = &request.sandbox_id;
        let refused = |why| Ok(Err(Refusal { cluster: member.name().clone(), why: Box::new(why) }));
        if ticket.is_cancelled() {
            return Err(SandboxError::StillTerminating { id: id.clone(), retry_after: RETRY });
        }
        // Later no time is left for a write.
        if Instant::now() >= received + budget::CREATE_SLOT {
            let what = "was not asked, because no time was left".to_owned();
            return refused(SandboxError::Overloaded { what, retry_after: RETRY });
        }
        let _reservation = match self.reserve(member, id) {
            Ok(reservation) => reservation,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match member.sandboxes.create_since(request.clone(), received).await {
            Ok(status) => Ok(Ok(status)),
            // An object that may live on would be a twin of the sandbox that the next cluster makes.
            Err(error)
                if is_capacity_error(&error)
                    && !member.view().may_live_on(id)
                    && !leaves_workspace(member, request, &error) =>
            {
                tracing::info!(sandbox_id = %id, cluster = %member.name(), %error, "the cluster does not take it");
                refused(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Reserves a sandbox on a cluster, until its create has ended.
    ///
    /// # Errors
    /// If the cluster has its maximum of sandboxes, those of creates in progress included.
    pub(super) fn reserve(&self, member: &Member, id: &SandboxId) -> Result<Reservation, Refusal> {
        let max = member.terms().max_sandboxes;
        let view = member.view();
        let is_full = |reserved: &Reserved| {
            let others = reserved.keys().filter(|other| !view.contains(other)).count();
            !view.contains(id) && max.is_some_and(|max| count(view.len() + others) >= max)
        };
        self.0.placements.reserve(member.name(), id, is_full).ok_or_else(|| {
            let what = Exclusion::Full { max: max.unwrap_or_default() }.to_string();
            let why = SandboxError::Overloaded { what, retry_after: STALE_RETRY };
            Refusal { cluster: member.name().clone(), why: Box::new(why) }
        })
    }

    /// Chooses the clusters for a new sandbox: those to ask, in this order, and why the others are not asked.
    pub(super) fn choose<'a>(
        &self,
        members: &'a [Member],
        request: &CreateRequest,
    ) -> Result<(Vec<&'a Member>, Vec<Refusal>), SandboxError> {
        let terms: Vec<Terms> = members.iter().map(Member::terms).collect();
        let candidates: Vec<_> = members
            .iter()
            .zip(&terms)
            .map(|(member, terms)| Candidate { name: member.name(), terms, facts: self.facts(member, terms) })
            .collect();
        let choice = choice::choose(&request.sandbox_id, self.constraints(members, request), &candidates)?;
        let named = |name| members.iter().find(|member| member.name() == name);
        Ok((choice.order.iter().filter_map(|name| named(*name)).collect(), choice.refusals()))
    }

    /// Returns whether a new sandbox of the request may be on the cluster.
    fn is_wanted(&self, members: &[Member], member: &Member, request: &CreateRequest) -> bool {
        self.constraints(members, request).allow(member.name(), &member.terms())
    }

    fn constraints<'a>(&self, members: &'a [Member], request: &'a CreateRequest) -> Constraints<'a> {
        Constraints {
            cluster: request.cluster.as_ref(),
            selector: request.cluster_selector.as_ref(),
            profile: request.profile.as_ref(),
            workspace_in: self.workspace_of(members, request).map(Member::name),
        }
    }

    pub(super) fn facts(&self, member: &Member, terms: &Terms) -> Facts {
        let view = member.view();
        // Only a maximum needs the exact number.
        let reserved = || self.0.placements.reserved(member.name(), |id| view.contains(id));
        let sandboxes = if terms.max_sandboxes.is_some() { count(view.len()) + reserved() } else { 0 };
        let waited = self.0.placements.longest(member.name());
        Facts {
            is_fresh: view.is_fresh(),
            sandboxes,
            accepts_creates: member.sandboxes.accepts_creates(),
            is_silent: waited >= SILENCE && view.age(Kind::Pod).is_some_and(|age| age >= waited),
        }
    }

    /// Returns the cluster that has the workspace of a request, or that may have it because its claims are not known yet;
    /// `None` if there is none, or if the request has no workspace.
    fn workspace_of<'a>(&self, members: &'a [Member], request: &CreateRequest) -> Option<&'a Member> {
        request.profile.as_ref()?;
        let mut unknown = None;
        for member in members {
            // The profile may differ between clusters, and be missing on one.
            let Ok(DataHome::Workspace(id)) = member.sandboxes.data_home(request) else { continue };
            match member.sandboxes.has_workspace(&id) {
                Some(true) => return Some(member),
                None if member.reach(self.0.loss_timeout) == Reach::Stale => unknown = Some(member),
                Some(false) | None => {}
            }
        }
        unknown
    }

    /// Deletes the sandbox on every cluster that has it or may have it.
    ///
    /// A request that makes the sandbox and that came earlier asks no other cluster any more.
    pub(super) async fn remove(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        let members = self.members();
        if let [only] = &*members {
            return only.sandboxes.delete(id, owner).await;
        }
        self.0.placements.cancel(&id);
        let Delete { must, should } = route::delete(&self.states(&members, &id));
        let targets = must.iter().filter_map(|index| members.get(*index));
        let targets: Vec<_> = targets.filter(|member| member.has_joined()).collect();
        let outcomes =
            join_all(targets.iter().map(|member| member.sandboxes.delete(id.clone(), owner.clone()))).await;
        let mut errors: Vec<_> = targets
            .iter()
            .zip(outcomes)
            .filter_map(|(member, outcome)| Some(of_member(member, &id, outcome.err()?)))
            .collect();
        if errors.is_empty() {
            for member in should.iter().filter_map(|index| members.get(*index)) {
                delete_later(member, id.clone(), owner.clone());
            }
            return Ok(());
        }
        // An owner that may not delete the sandbox gets that answer, whatever the other clusters say. A cluster that had the
        // sandbox is named before one that only may have it.
        let is_owned = |error: &SandboxError| matches!(error, SandboxError::Owned { .. });
        let is_guess =
            |error: &SandboxError| matches!(error, SandboxError::ClusterAway { had_it: false, .. });
        let told =
            errors.iter().position(is_owned).or_else(|| errors.iter().position(|error| !is_guess(error)));
        Err(errors.swap_remove(told.unwrap_or(0)))
    }
}

/// Deletes a possible twin on a cluster that has not been listed since the start. Its actor tries again until the cluster
/// is back.
fn delete_later(member: &Member, id: SandboxId, owner: Option<Owner>) {
    let member = member.clone();
    tokio::spawn(async move {
        if let Err(error) = member.sandboxes.delete(id.clone(), owner).await {
            let cluster = member.name();
            tracing::info!(sandbox_id = %id, %cluster, %error, "deleted elsewhere; a twin here is not deleted yet");
        }
    });
}

/// Returns whether the workspace of a refused create stays on the cluster. If the Pod is refused, its new claim is deleted
/// with it. If the Service is refused, the Pod was created, and its claim stays.
fn leaves_workspace(member: &Member, request: &CreateRequest, error: &SandboxError) -> bool {
    let is_of_service = matches!(
        error,
        SandboxError::Refused { operation: Operation::CreateService, .. }
            | SandboxError::Unavailable { operation: Operation::CreateService, .. }
    );
    is_of_service && matches!(member.sandboxes.data_home(request), Ok(DataHome::Workspace(_)))
}

/// Names a cluster that is away in its error.
pub(super) fn of_member(member: &Member, id: &SandboxId, error: SandboxError) -> SandboxError {
    match error {
        SandboxError::Stale { retry_after, .. } | SandboxError::Unavailable { retry_after, .. }
            if !member.view().is_fresh() =>
        {
            cluster_away(member, id, retry_after)
        }
        other => other,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
