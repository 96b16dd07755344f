//! A scripted backend that records each call.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actors::{
    sandboxes::Reaped,
    view::{self, View},
};
use fleet::{
    Move,
    backend::{ClusterChange, ClusterReport, ClusterState, ReaperState, Shown},
    changes::ChangeReader,
    check::Check,
    list::Listing,
    position::{MemberRevision, Position, Revision, Start},
};
use futures::StreamExt as _;
use jiff::Timestamp;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ClusterName, SandboxId},
    lifetime::{Limits, LimitsPatch, Owner, ReapReason},
    log::{LogQuery, LogStream, LogText},
    network::Enforced,
    observed::{Expiry, Status, Uid},
    phase::Phase,
    placement::Terms,
    request::{Change, CreateRequest},
    spec::ObservedSpec,
    timeline::Report,
    traits::Clock,
};
use sandbox_provisioner::http::Backend;
use tokio::{sync::Notify, time::Instant};

/// The uid of every sandbox's Pod.
pub const UID: &str = "e6edabb4-c58f-4781-964c-8c43eb2987d3";

/// The behaviour of the backend.
#[derive(Clone, Default)]
pub enum Script {
    /// Keeps sandboxes in a map, all of them `Running`.
    #[default]
    Works,
    /// Fails with this error.
    Fails(SandboxError),
    /// Panics.
    Panics,
    /// Never returns.
    Hangs,
    /// Waits for [`Fake::resume`], then works.
    Waits,
}

/// A handle to the backend; clones share its state.
#[derive(Clone, Default)]
pub struct Fake {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    calls: Mutex<Vec<String>>,
    sandboxes: Mutex<BTreeMap<SandboxId, Status>>,
    reaped: Mutex<BTreeMap<SandboxId, Reaped>>,
    stopped_until: Mutex<Option<Timestamp>>,
    /// The changes that streams read, apart from the other calls.
    view: OnceLock<Arc<View>>,
    cluster: Mutex<ClusterState>,
    checks: Mutex<Vec<Check>>,
    timelines: Mutex<BTreeMap<SandboxId, Report>>,
    logs: Mutex<BTreeMap<SandboxId, Vec<u8>>>,
    /// The number of changes of `sandboxes`.
    changes: AtomicU64,
    /// Is notified by each call.
    called: Notify,
    gate: Notify,
}

/// A wall clock that stands still.
struct Wall;

impl Clock for Wall {
    fn wall(&self) -> Timestamp {
        at("2026-01-02T03:04:05Z")
    }
}

// === impl Fake ===

impl Fake {
    pub fn new(script: Script) -> Self {
        let fake = Self::default();
        *fake.shared.script.lock().unwrap() = script;
        fake
    }

    /// Creates a backend with this number of sandboxes.
    pub fn with_sandboxes(count: usize) -> Self {
        let fake = Self::default();
        let mut sandboxes = fake.shared.sandboxes.lock().unwrap();
        sandboxes.extend((0..count).map(|n| (SandboxId::parse(&format!("s{n}")).unwrap(), running())));
        drop(sandboxes);
        fake
    }

    /// Creates a backend that has reaped this sandbox, and whose reaper is stopped.
    pub fn that_reaped(id: &str) -> Self {
        let fake = Self::default();
        let reaped = Reaped { reason: ReapReason::Idle, at: at("2026-01-02T03:04:05.6789Z") };
        fake.shared.reaped.lock().unwrap().insert(SandboxId::parse(id).unwrap(), reaped);
        *fake.shared.stopped_until.lock().unwrap() = Some(at("2026-01-02T04:04:05Z"));
        fake
    }

    /// Creates a backend that reports this of the sandbox.
    pub fn that_reports(id: &str, report: Report) -> Self {
        let fake = Self::default();
        fake.shared.timelines.lock().unwrap().insert(SandboxId::parse(id).unwrap(), report);
        fake
    }

    /// Creates a backend whose sandbox has this log. A follower gets each line on its own, and an error for `broken`.
    pub fn with_log(id: &str, text: &[u8]) -> Self {
        let fake = Self::default();
        fake.shared.logs.lock().unwrap().insert(SandboxId::parse(id).unwrap(), text.to_vec());
        fake
    }

    /// Adds or replaces a sandbox.
    pub fn put(&self, id: &str, status: Status) {
        self.shared.sandboxes.lock().unwrap().insert(SandboxId::parse(id).unwrap(), status);
        self.shared.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Removes a sandbox.
    pub fn remove(&self, id: &str) {
        self.shared.sandboxes.lock().unwrap().remove(&SandboxId::parse(id).unwrap());
        self.shared.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Sets the checks of the cluster.
    pub fn set_checks(&self, checks: Vec<Check>) {
        *self.shared.checks.lock().unwrap() = checks;
    }

    /// Sets the state of the cluster.
    pub fn set_cluster(&self, state: ClusterState) {
        *self.shared.cluster.lock().unwrap() = state;
    }

    /// Returns all calls, such as `get abc` or `touch abc by gateway-1`.
    pub fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Returns the view whose changes the streams show.
    pub fn view(&self) -> &Arc<View> {
        self.shared.view.get_or_init(|| {
            Arc::new(View::new(ClusterName::DEFAULT, Duration::from_secs(60), Arc::new(Wall)))
        })
    }

    /// Waits for the first call.
    pub async fn called(&self) {
        self.shared.called.notified().await;
    }

    /// Resumes one call of [`Script::Waits`].
    pub fn resume(&self) {
        self.shared.gate.notify_one();
    }

    async fn play(&self, call: String) -> Result<(), SandboxError> {
        self.shared.calls.lock().unwrap().push(call);
        self.shared.called.notify_one();
        let script = self.shared.script.lock().unwrap().clone();
        match script {
            Script::Works => Ok(()),
            Script::Fails(failure) => Err(failure),
            Script::Panics => panic!("a scripted panic"),
            Script::Hangs => std::future::pending().await,
            Script::Waits => {
                self.shared.gate.notified().await;
                Ok(())
            }
        }
    }
}

/// Returns a part of a log; an error for the line `broken`.
fn part(line: &[u8]) -> Result<Vec<u8>, ClusterError> {
    if line == b"broken\n" {
        return Err(ClusterError::new(ClusterErrorKind::ServerError, "the connection broke"));
    }
    Ok(line.to_vec())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn by(owner: Option<&Owner>) -> String {
    owner.map_or(String::new(), |owner| format!(" by {}", owner.as_str()))
}

/// Returns a sandbox with limits, the result of a change.
fn limited() -> Status {
    let expiry = Expiry {
        idle_since: at("2026-01-02T03:04:05Z"),
        expires_at: at("2026-01-02T03:19:05Z"),
        reason: ReapReason::Idle,
        held: None,
    };
    Status { expiry: Some(expiry), ..running() }
}

/// Returns a sandbox without limits.
pub fn running() -> Status {
    Status {
        cluster: ClusterName::DEFAULT,
        url: "http://127.0.0.1:31234".into(),
        phase: Phase::Running,
        ready: true,
        reason: None,
        pod: Uid(UID.into()),
        created: None,
        spec: ObservedSpec::default(),
        expiry: None,
    }
}

impl Backend for Fake {
    type WaitPermit = SandboxId;

    fn wait_permit(&self, id: &SandboxId) -> Result<SandboxId, SandboxError> {
        Ok(id.clone())
    }

    async fn settled(&self, id: SandboxId, end: Instant) -> Result<Option<Status>, SandboxError> {
        let left = end.duration_since(Instant::now()).as_millis();
        self.shared.calls.lock().unwrap().push(format!("wait {} for {left} ms", id.as_str()));
        Ok(self.shared.sandboxes.lock().unwrap().get(&id).cloned())
    }

    async fn create(&self, request: CreateRequest) -> Result<Status, SandboxError> {
        let mut call = format!("create {}{}", request.sandbox_id.as_str(), by(request.owner.as_ref()));
        if request.limits != Limits::default() {
            let Limits { ttl, idle_timeout } = request.limits;
            call = format!("{call} for {ttl:?}, {idle_timeout:?}");
        }
        self.play(call).await?;
        // The only rule of the settings that occurs in the recordings.
        if let Some(mount) = request.extra_mounts.first() {
            let text = format!("Extra mount host path is outside DeerFlow state: {}", mount.host_path);
            return Err(SandboxError::BadRequest(text));
        }
        self.shared.sandboxes.lock().unwrap().insert(request.sandbox_id, running());
        self.shared.changes.fetch_add(1, Ordering::SeqCst);
        Ok(running())
    }

    async fn delete(&self, id: SandboxId, owner: Option<Owner>) -> Result<(), SandboxError> {
        self.play(format!("delete {}{}", id.as_str(), by(owner.as_ref()))).await?;
        self.shared.sandboxes.lock().unwrap().remove(&id);
        self.shared.changes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn touch(&self, id: SandboxId, owner: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        self.play(format!("touch {}{}", id.as_str(), by(owner.as_ref()))).await?;
        Ok(self.shared.sandboxes.lock().unwrap().get(&id).cloned())
    }

    async fn change(
        &self,
        id: SandboxId,
        Change { limits, resources }: Change,
        owner: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        let who = format!("{}{}", id.as_str(), by(owner.as_ref()));
        if !resources.is_empty() {
            let amounts = [resources.cpu, resources.memory, resources.ephemeral_storage];
            let amounts: Vec<_> = amounts.into_iter().flatten().collect();
            self.play(format!("resize {who} to {}", amounts.join(", "))).await?;
        }
        if limits != LimitsPatch::default() {
            let LimitsPatch { ttl, idle_timeout } = limits;
            self.play(format!("change {who} to {ttl:?}, {idle_timeout:?}")).await?;
        }
        let mut sandboxes = self.shared.sandboxes.lock().unwrap();
        let Some(status) = sandboxes.get_mut(&id) else { return Ok(None) };
        if limits != LimitsPatch::default() {
            *status = limited();
            self.shared.changes.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Some(status.clone()))
    }

    fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        self.shared.reaped.lock().unwrap().get(id).copied()
    }

    fn reaper(&self) -> ReaperState {
        let stopped_until = *self.shared.stopped_until.lock().unwrap();
        let reaped = self.shared.reaped.lock().unwrap().len() as u64;
        ReaperState { stopped_until, reaped, dry_runs: 0 }
    }

    fn resume_reaping(&self) -> bool {
        self.shared.stopped_until.lock().unwrap().take().is_some()
    }

    async fn get(&self, id: &SandboxId) -> Result<Option<Arc<Shown>>, SandboxError> {
        self.play(format!("get {}", id.as_str())).await?;
        Ok(self.shared.sandboxes.lock().unwrap().get(id).cloned().map(|status| Arc::new(status.into())))
    }

    async fn timeline(&self, id: &SandboxId) -> Result<Option<Report>, SandboxError> {
        self.play(format!("timeline {}", id.as_str())).await?;
        Ok(self.shared.timelines.lock().unwrap().get(id).cloned())
    }

    async fn log(&self, id: &SandboxId, query: LogQuery) -> Result<Option<LogText>, SandboxError> {
        self.play(format!("log of {} {query:?}", id.as_str())).await?;
        let text = self.shared.logs.lock().unwrap().get(id).cloned();
        Ok(text.map(LogText::new))
    }

    async fn follow_log(&self, id: &SandboxId, query: LogQuery) -> Result<Option<LogStream>, SandboxError> {
        self.play(format!("follow log of {} {query:?}", id.as_str())).await?;
        let text = self.shared.logs.lock().unwrap().get(id).cloned();
        Ok(text.map(|text| {
            let parts: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').map(part).collect();
            futures::stream::iter(parts).boxed()
        }))
    }

    async fn presence(&self, id: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        self.play(format!("presence {}", id.as_str())).await?;
        Ok(self.shared.sandboxes.lock().unwrap().get(id).map(|status| status.pod.clone()))
    }

    async fn list(&self, _: &Revision) -> Result<Listing<(SandboxId, Status)>, SandboxError> {
        self.play("list".to_owned()).await?;
        let sandboxes = self.shared.sandboxes.lock().unwrap();
        let all: Vec<_> = sandboxes.iter().map(|(id, status)| (id.clone(), status.clone())).collect();
        Ok(all.into())
    }

    async fn changes(&self, start: Start) -> Result<ChangeReader, SandboxError> {
        self.play("changes".to_owned()).await?;
        let (start, known) = start.of_member(self.view().position());
        Ok(ChangeReader::single(self.view().changes(start), known))
    }

    async fn changes_of(&self, id: &SandboxId, start: Start) -> Result<Option<ChangeReader>, SandboxError> {
        self.play(format!("changes of {}", id.as_str())).await?;
        let (start, known) = start.of_member(self.view().position());
        Ok(self.view().changes_of(id, start).map(|reader| ChangeReader::single(reader, known)))
    }

    fn position(&self, _: &Revision) -> Position {
        format!("0000002a-{}", self.shared.changes.load(Ordering::SeqCst)).parse().unwrap()
    }

    async fn clusters(&self) -> Vec<ClusterReport> {
        vec![ClusterReport {
            name: ClusterName::DEFAULT,
            terms: Terms::default(),
            is_drained: false,
            room: None,
            state: self.shared.cluster.lock().unwrap().clone(),
            checks: self.shared.checks.lock().unwrap().clone(),
        }]
    }

    async fn move_to(
        &self,
        id: SandboxId,
        to: ClusterName,
        owner: Option<Owner>,
    ) -> Result<Option<Move>, SandboxError> {
        self.play(format!("move {} to {to}{}", id.as_str(), by(owner.as_ref()))).await?;
        let mut sandboxes = self.shared.sandboxes.lock().unwrap();
        let Some(status) = sandboxes.get_mut(&id) else { return Ok(None) };
        if to.as_str() == "slow" {
            return Ok(Some(Move::Underway(status.clone().into())));
        }
        status.cluster = to;
        Ok(Some(Move::Done(status.clone().into())))
    }

    async fn change_cluster(&self, name: &ClusterName, change: ClusterChange) -> Option<ClusterReport> {
        self.shared.calls.lock().unwrap().push(format!("change cluster {name} to {change:?}"));
        let mut report = self.clusters().await.into_iter().find(|report| report.name == *name)?;
        report.terms.weight = change.weight.unwrap_or(report.terms.weight);
        report.is_drained = change.drain.unwrap_or(false);
        Some(report)
    }

    async fn revision(&self) -> Result<Revision, SandboxError> {
        let view = Some(view::Revision(self.shared.changes.load(Ordering::SeqCst)));
        let member = MemberRevision { cluster: ClusterName::DEFAULT, view, enforced: Enforced::Unknown };
        Ok([member].into_iter().collect())
    }
}
