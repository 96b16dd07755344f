//! The fleet: the members, and how they are found.

mod lookup;
mod moves;
mod reads;
mod streams;
mod twins;
mod writes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actors::sandboxes::{Permit, Reaped};
use futures::future::join_all;
use lifecycle::{
    budget,
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    lifetime::Owner,
    log::{LogQuery, LogStream, LogText},
    network::{Enforced, NetworkReport},
    observed::{Status, Uid},
    request::{Change, CreateRequest},
    timeline::Report,
};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use self::streams::Streams;
use crate::{
    backend::{Backend, ClusterChange, ClusterReport, ReaperState, Shown},
    changes::ChangeReader,
    list::Listing,
    member::Member,
    placements::Placements,
    position::{Position, Revision, Start},
    workspaces::Workspaces,
};

pub use self::moves::Move;

/// The retry delay of a request that another one with the same id has delayed.
const RETRY: Duration = Duration::from_secs(2);

/// All clusters. A clone is a handle to the same fleet.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    /// At least one, in the order of their names.
    members: RwLock<Arc<[Member]>>,
    /// The event streams.
    streams: Streams,
    /// How long a cluster is away before its sandboxes are made again elsewhere; `None` for ever.
    loss_timeout: Option<Duration>,
    placements: Arc<Placements>,
    /// The clusters that are the same as another one, which comes first.
    doubles: Mutex<BTreeMap<ClusterName, ClusterName>>,
}

// === impl Fleet ===

impl Fleet {
    /// Creates a fleet of these clusters, at least one. After `loss_timeout` the sandboxes of a cluster that is away may be
    /// made again elsewhere; with `None` they never are.
    #[must_use]
    pub fn new(
        first: Member,
        others: impl IntoIterator<Item = Member>,
        loss_timeout: Option<Duration>,
    ) -> Self {
        let streams = Streams::new(&first);
        let mut members = vec![first];
        members.extend(others);
        members.sort_by(|a, b| a.name().cmp(b.name()));
        keep_requests(&members);
        Self(Arc::new(Inner {
            members: RwLock::new(members.into()),
            streams,
            loss_timeout,
            placements: Arc::default(),
            doubles: Mutex::default(),
        }))
    }

    /// Returns the clusters, in the order of their names.
    #[must_use]
    pub fn members(&self) -> Arc<[Member]> {
        self.0.members.read().clone()
    }

    /// Returns the cluster with this name.
    #[must_use]
    pub fn member(&self, name: &ClusterName) -> Option<Member> {
        self.members().iter().find(|member| member.name() == name).cloned()
    }

    /// Adds a cluster, unless there is one with its name. It counts as one without sandboxes until it has been listed. Open
    /// event streams end, so that clients open new ones, which have its sandboxes too.
    pub fn add(&self, member: Member) {
        let mut members = self.0.members.write();
        if let Err(at) = members.binary_search_by(|other| other.name().cmp(member.name())) {
            let mut all = members.to_vec();
            all.insert(at, member.added());
            keep_requests(&all);
            *members = all.into();
            drop(members);
            self.end_streams();
        }
    }

    /// Ends all waits for a sandbox to be ready, and later ones at once: they return the state that it has reached.
    /// Ends all event streams too.
    pub fn end_waits(&self) {
        for member in &*self.members() {
            member.sandboxes.end_waits();
        }
    }

    /// Ends every actor immediately, also during a call.
    pub fn kill(&self) {
        for member in &*self.members() {
            member.sandboxes.kill();
        }
    }

    /// Lets every actor finish its mailbox within `patience`, then ends them all.
    pub async fn shut_down(&self, patience: Duration) {
        let members = self.members();
        join_all(members.iter().map(|member| member.sandboxes.shut_down(patience))).await;
    }

    /// Waits until the supervisor of a cluster has ended.
    pub async fn ended(&self) {
        let members = self.members();
        let ended = members.iter().map(|member| Box::pin(member.sandboxes.ended()));
        futures::future::select_all(ended).await;
    }
}

/// Lets the Pods of several clusters keep their requests. Those of a single cluster stay as they are: they cannot move.
fn keep_requests(members: &[Member]) {
    for member in members {
        member.sandboxes.keep_requests(members.len() > 1);
    }
}

impl Backend for Fleet {
    type WaitPermit = Vec<Permit>;

    async fn create(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        self.place(request).await
    }

    async fn delete(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        self.remove(id, owner).await
    }

    async fn touch(&self, id: SandboxId, owner: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        match self.find(&self.members(), &id).await? {
            Some(member) => member.sandboxes.touch(id, owner).await,
            None => Ok(None),
        }
    }

    async fn change(
        &self,
        id: SandboxId,
        change: Change,
        owner: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        match self.find(&self.members(), &id).await? {
            Some(member) => member.sandboxes.change(id, change, owner).await,
            None => Ok(None),
        }
    }

    fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        self.members().iter().filter_map(|member| member.sandboxes.reaped(id)).max_by_key(|reaped| reaped.at)
    }

    fn reaper(&self) -> ReaperState {
        let none = ReaperState { stopped_until: None, reaped: 0, dry_runs: 0 };
        self.members().iter().map(|member| member.sandboxes.reaper()).fold(none, |all, one| ReaperState {
            stopped_until: all.stopped_until.max(one.stopped_until),
            reaped: all.reaped + one.reaped,
            dry_runs: all.dry_runs + one.dry_runs,
        })
    }

    fn resume_reaping(&self) -> bool {
        let mut was_stopped = false;
        for member in &*self.members() {
            was_stopped |= member.sandboxes.resume_reaping();
        }
        was_stopped
    }

    fn networks(&self) -> Vec<(ClusterName, NetworkReport)> {
        self.members().iter().map(|member| (member.name().clone(), member.sandboxes.network())).collect()
    }

    fn enforced(&self, cluster: &ClusterName) -> Enforced {
        self.member(cluster).map_or(Enforced::Unknown, |member| member.sandboxes.network().enforced)
    }

    fn check_network(&self) {
        for member in &*self.members() {
            member.sandboxes.check_network();
        }
    }

    fn workspaces(&self) -> Workspaces {
        let of = |member: &Member| Some((member.name().clone(), member.sandboxes.workspaces()?.clone()));
        Workspaces(self.members().iter().filter_map(of).collect())
    }

    async fn get(&self, id: &SandboxId) -> Result<Option<Arc<Shown>>, SandboxError> {
        match self.find(&self.members(), id).await? {
            Some(member) => member.sandboxes.get(id).await,
            None => Ok(None),
        }
    }

    fn wait_permit(&self, id: &SandboxId) -> Result<Vec<Permit>, SandboxError> {
        self.members().iter().map(|member| member.sandboxes.wait_permit(id)).collect()
    }

    async fn settled(&self, permits: Vec<Permit>, end: Instant) -> Result<Option<Status>, SandboxError> {
        self.wait(permits, end).await
    }

    async fn timeline(&self, id: &SandboxId) -> Result<Option<Report>, SandboxError> {
        self.read_timeline(id).await
    }

    async fn log(&self, id: &SandboxId, query: LogQuery) -> Result<Option<LogText>, SandboxError> {
        match self.find(&self.members(), id).await? {
            Some(member) => member.sandboxes.log(id, query).await,
            None => Ok(None),
        }
    }

    async fn follow_log(&self, id: &SandboxId, query: LogQuery) -> Result<Option<LogStream>, SandboxError> {
        match self.find(&self.members(), id).await? {
            Some(member) => member.sandboxes.follow_log(id, query).await,
            None => Ok(None),
        }
    }

    async fn presence(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        self.find_pod(id).await
    }

    async fn changes(&self, start: Start) -> Result<ChangeReader, SandboxError> {
        self.read_changes(start).await
    }

    async fn changes_of(&self, id: &SandboxId, start: Start) -> Result<Option<ChangeReader>, SandboxError> {
        self.read_changes_of(id, start).await
    }

    async fn list(&self, of: &Revision) -> Result<Listing<(SandboxId, Status)>, SandboxError> {
        Ok(self.list_all(of, None, |_| true))
    }

    async fn list_after(
        &self,
        of: &Revision,
        after: Option<SandboxId>,
        matches: impl Fn(&Status) -> bool + Send + Sync,
    ) -> Result<Listing<(SandboxId, Status)>, SandboxError> {
        Ok(self.list_all(of, after.as_ref(), matches))
    }

    fn position(&self, of: &Revision) -> Position {
        self.list_position(of)
    }

    fn cluster_names(&self) -> Vec<ClusterName> {
        self.members().iter().map(|member| member.name().clone()).collect()
    }

    async fn clusters(&self) -> Vec<ClusterReport> {
        let members = self.members();
        join_all(members.iter().map(|member| self.report(member))).await
    }

    async fn cluster(&self, name: &ClusterName) -> Option<ClusterReport> {
        Some(self.report(&self.member(name)?).await)
    }

    async fn change_cluster(&self, name: &ClusterName, change: ClusterChange) -> Option<ClusterReport> {
        let member = self.member(name)?;
        member.change(change);
        let ClusterChange { weight, drain } = change;
        tracing::info!(cluster = %name, weight, drain, "a request has changed the cluster");
        Some(self.report(&member).await)
    }

    async fn move_to(
        &self,
        id: SandboxId,
        to: ClusterName,
        owner: Option<Owner>,
    ) -> Result<Option<Move>, SandboxError> {
        let until = Instant::now() + budget::CREATE;
        // The touch refuses a sandbox that another owner uses.
        match self.touch(id.clone(), owner).await? {
            Some(_) => self.move_sandbox(id, &to, until).await,
            None => Ok(None),
        }
    }

    async fn revision(&self) -> Result<Revision, SandboxError> {
        self.list_revision().await
    }
}
