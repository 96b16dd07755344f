//! The actors of one process on a cluster in memory.

use std::{ops::Deref, sync::Arc, time::Duration};

use actors::{
    sandboxes::{Rules, Sandboxes},
    streams::Streams,
};
use fakecluster::{FakeCluster, Mode, WallClock};
pub use fakecluster::{TERMINATION, id, request};
use lifecycle::{
    ids::ClusterName,
    lifetime::{LifetimeAnnotations, Limits, Policy},
    phase::Phase,
    reap_limiter::ReapLimits,
    traits::Busy,
};
use tokio::task::JoinHandle;

/// The staleness limit.
pub const STALENESS: Duration = Duration::from_secs(30);

/// The number of creates that are executed concurrently.
pub const CREATES_AT_ONCE: usize = 4;

/// The actors and their cluster.
pub struct Fake {
    pub sandboxes: Sandboxes,
    cluster: Arc<FakeCluster>,
    clock: WallClock,
    watch: Option<JoinHandle<()>>,
}

impl Fake {
    /// Creates a fake whose watch has not started.
    pub async fn new() -> Self {
        Self::by(Policy::default(), ReapLimits::default()).await
    }

    /// Does the same as [`Fake::new`], with these settings.
    pub async fn by(policy: Policy, reap_limits: ReapLimits) -> Self {
        let clock = WallClock::start();
        let cluster = FakeCluster::new(ClusterName::DEFAULT, Arc::default(), clock.clone());
        Self::on(cluster, clock, policy, reap_limits).await
    }

    async fn on(
        cluster: Arc<FakeCluster>,
        clock: WallClock,
        policy: Policy,
        reap_limits: ReapLimits,
    ) -> Self {
        let rules = Rules { staleness: STALENESS, policy, reap_limits, creates_at_once: CREATES_AT_ONCE };
        let sandboxes = cluster.start(rules, Streams::new(8)).await;
        Self { sandboxes, cluster, clock, watch: None }
    }

    pub async fn start() -> Self {
        Self::new().await.run().await
    }

    /// Starts the watch.
    pub async fn run(mut self) -> Self {
        self.watch = Some(self.cluster.watch());
        tokio::task::yield_now().await;
        self
    }

    /// Kills the process and starts another one that adopts the cluster's objects.
    pub async fn restart(self, policy: Policy, reap_limits: ReapLimits) -> Self {
        self.restart_without_watch(policy, reap_limits).await.run().await
    }

    /// Does the same as [`Fake::restart`] during an outage of the cluster: the watch is not started.
    pub async fn restart_without_watch(self, policy: Policy, reap_limits: ReapLimits) -> Self {
        self.sandboxes.kill();
        if let Some(watch) = &self.watch {
            watch.abort();
        }
        self.sandboxes.ended().await;
        Self::on(self.cluster, self.clock, policy, reap_limits).await
    }

    /// Steps the wall clock.
    pub fn step_clock(&self, seconds: i64) {
        self.clock.step(seconds);
    }

    /// Sets the result of the sandbox's activity probes.
    pub fn set_busy(&self, name: &str, busy: Busy) {
        self.state().busy.insert(id(name), busy);
    }

    pub fn set_phase(&self, name: &str, phase: Phase, ready: bool) {
        self.cluster.set_phase(&id(name), phase, ready);
    }

    pub fn annotate(&self, name: &str, limits: Limits, silent: bool) {
        self.cluster.annotate(&id(name), limits, silent);
    }

    pub fn lose_service(&self, name: &str) {
        self.cluster.lose_service(&id(name));
    }

    /// Lets new Pods stay `Pending` and not ready.
    pub fn make_unready(&self) {
        self.state().makes_unready = true;
    }

    /// Stops all reports of the watch.
    pub fn stall(&self) {
        self.state().mode = Mode::Stalled;
    }

    /// Adds a sandbox that an earlier process created.
    pub fn hold(&self, name: &str) {
        self.cluster.add(&id(name), 0);
    }

    /// Returns the recorded Events, such as `a IdleTimeout`.
    pub fn recorded(&self) -> Vec<String> {
        self.state().events.clone()
    }

    pub fn holds(&self, name: &str) -> bool {
        self.cluster.holds(&id(name))
    }

    pub fn annotations(&self, name: &str) -> LifetimeAnnotations {
        self.cluster.annotations(&id(name))
    }

    pub fn holds_half(&self, name: &str) -> bool {
        self.cluster.holds_part(&id(name))
    }
}

/// The cluster's own functions.
impl Deref for Fake {
    type Target = FakeCluster;

    fn deref(&self) -> &FakeCluster {
        &self.cluster
    }
}
