//! A backend that has every sandbox that a request names, does nothing, and records its calls.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use actors::{
    sandboxes::Reaped,
    view::{self, View},
};
use fleet::{
    Move,
    backend::{ReaperState, Shown},
    changes::ChangeReader,
    list::Listing,
    position::{Position, Revision, Start},
};
use jiff::Timestamp;
use lifecycle::{
    error::SandboxError,
    ids::{ClusterName, SandboxId},
    lifetime::Owner,
    log::{LogQuery, LogStream, LogText},
    observed::{Status, Uid},
    phase::Phase,
    request::{Change, CreateRequest},
    spec::ObservedSpec,
    timeline::Report,
    traits::Clock,
};
use parking_lot::Mutex;
use sandbox_provisioner::http::Backend;
use tokio::time::Instant;

/// A call and its sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub what: &'static str,
    pub id: Option<String>,
}

/// The backend; clones share their record.
#[derive(Clone, Default)]
pub struct Recorder {
    calls: Arc<Mutex<Vec<Call>>>,
    /// The sandboxes that lists show, in the order of their ids.
    listed: Arc<[(SandboxId, Status)]>,
}

// === impl Recorder ===

impl Recorder {
    /// Creates a backend whose lists show these sandboxes, which are in the order of their ids.
    pub fn listing(listed: Vec<(SandboxId, Status)>) -> Self {
        Self { calls: Arc::default(), listed: listed.into() }
    }

    /// Returns the calls since the previous use of this function.
    pub fn take(&self) -> Vec<Call> {
        mem::take(&mut *self.calls.lock())
    }

    fn note(&self, what: &'static str, id: Option<&SandboxId>) {
        let call = Call { what, id: id.map(ToString::to_string) };
        self.calls.lock().push(call);
    }
}

/// Returns a sandbox that runs.
pub fn running() -> Status {
    Status {
        cluster: ClusterName::DEFAULT,
        url: "http://127.0.0.1:31234".into(),
        phase: Phase::Running,
        ready: true,
        reason: None,
        pod: Uid("e6edabb4-c58f-4781-964c-8c43eb2987d3".into()),
        created: None,
        spec: ObservedSpec::default(),
        expiry: None,
    }
}

/// A wall clock that stands still.
struct Epoch;

impl Clock for Epoch {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Backend for Recorder {
    type WaitPermit = ();

    fn wait_permit(&self, _: &SandboxId) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn settled(&self, (): (), _: Instant) -> Result<Option<Status>, SandboxError> {
        Ok(Some(running()))
    }

    async fn create(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        self.note("create", Some(&request.sandbox_id));
        Ok(running())
    }

    async fn delete(&self, id: SandboxId, _: Option<Owner>) -> Result<(), SandboxError> {
        self.note("delete", Some(&id));
        Ok(())
    }

    async fn touch(&self, id: SandboxId, _: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        self.note("touch", Some(&id));
        Ok(Some(running()))
    }

    async fn change(
        &self,
        id: SandboxId,
        _: Change,
        _: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        self.note("change", Some(&id));
        Ok(Some(running()))
    }

    fn reaped(&self, _: &SandboxId) -> Option<Reaped> {
        None
    }

    fn reaper(&self) -> ReaperState {
        self.note("reaper", None);
        ReaperState { stopped_until: None, reaped: 0, dry_runs: 0 }
    }

    fn resume_reaping(&self) -> bool {
        self.note("resume", None);
        false
    }

    async fn move_to(
        &self,
        id: SandboxId,
        _: ClusterName,
        _: Option<Owner>,
    ) -> Result<Option<Move>, SandboxError> {
        self.note("move", Some(&id));
        Ok(Some(Move::Done(running().into())))
    }

    async fn get(&self, id: &SandboxId) -> Result<Option<Arc<Shown>>, SandboxError> {
        self.note("get", Some(id));
        Ok(Some(Arc::new(running().into())))
    }

    async fn timeline(&self, id: &SandboxId) -> Result<Option<Report>, SandboxError> {
        self.note("timeline", Some(id));
        Ok(None)
    }

    async fn log(&self, id: &SandboxId, _: LogQuery) -> Result<Option<LogText>, SandboxError> {
        self.note("log", Some(id));
        Ok(None)
    }

    async fn follow_log(&self, id: &SandboxId, _: LogQuery) -> Result<Option<LogStream>, SandboxError> {
        self.note("log", Some(id));
        Ok(None)
    }

    async fn presence(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        self.note("presence", Some(id));
        Ok(Some(running().pod))
    }

    async fn list(&self, _: &Revision) -> Result<Listing<(SandboxId, Status)>, SandboxError> {
        self.note("list", None);
        Ok(self.listed.to_vec().into())
    }

    fn cluster_names(&self) -> Vec<ClusterName> {
        let names: BTreeSet<_> = self.listed.iter().map(|(_, status)| status.cluster.clone()).collect();
        names.into_iter().collect()
    }

    async fn changes(&self, _: Start) -> Result<ChangeReader, SandboxError> {
        self.note("changes", None);
        let view = Arc::new(View::new(ClusterName::DEFAULT, Duration::from_secs(60), Arc::new(Epoch)));
        view.end_readers();
        Ok(ChangeReader::single(view.changes(view::Start::Present), view.position()))
    }

    async fn changes_of(&self, id: &SandboxId, _: Start) -> Result<Option<ChangeReader>, SandboxError> {
        self.note("changes", Some(id));
        Ok(None)
    }

    fn position(&self, _: &Revision) -> Position {
        Position::from_iter([])
    }

    async fn revision(&self) -> Result<Revision, SandboxError> {
        Ok(Revision::from_iter([]))
    }
}
