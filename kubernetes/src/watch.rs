//! The shared watch: one list, then a watch, for each kind; what it learns goes to a [`WatchSink`] in order.
//!
//! ```text
//!   follow ── Events ── kube_runtime::watcher ── kube::Api ── transport ── Calls ──▸ API server
//!     │         ▲                                                │
//!     ▼         └──────────────── ConnectionState ◂── WatchBody ─┘
//!   WatchSink     list: Listed, heard    event: Applied, Deleted    up to date: heard
//! ```
//!
//! `kube_runtime` lists and watches. It does not say when its state was last known to be that of the cluster, from
//! which every read learns whether it may answer: it keeps bookmarks, the end of a watch and its reopening to itself,
//! so that a quiet cluster and a dead connection look the same. Therefore the connection is observed: see
//! `body::WatchBody` for what proves that it is alive, and `events::Events` for when that is told.
//!
//! An error ends the watcher, and so does [`RELIST`]. The next watcher begins with a list.

mod body;
mod connection_state;
mod events;
mod transport;

use std::{convert::Infallible, marker::PhantomData, sync::Arc, time::Duration};

use kube_runtime::watcher::Event;
use lifecycle::{
    ids::SandboxId,
    observed::ResourceVersion,
    traits::{Kind, WatchEvent, WatchSink},
};
use tokio::{
    pin, select,
    time::{Instant, sleep},
};

use self::{connection_state::FailedCall, events::Events};
use crate::{
    backoff::{self, Backoff},
    connect::{Connection, WATCH_TIMEOUT},
    fault::{Verb, classify},
    manifest::Template,
    object::SandboxObject,
    observe, retry,
    types::{Pod, Service},
};

/// How long a watch may be silent: its timeout, and as much as its end may be late.
pub const SILENCE_MAX: Duration = WATCH_TIMEOUT.saturating_add(Duration::from_secs(5));

/// An end that comes this much before the timeout is still the timeout's: clocks differ in how they round.
const END_EARLY: Duration = Duration::from_secs(2);

/// How often the whole list is taken while the watch works. It bounds for how long a lost event goes unnoticed, and
/// costs one call in eleven.
pub const RELIST: Duration = Duration::from_secs(300);

/// Timeout of the head of the answer to a watch: it detects a server that accepts the connection and is silent.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Objects a page of a list: what `client-go` asks for. It bounds what is held as JSON at a time, about 10 MiB.
const PAGE: u32 = 500;

/// How long a page may take, its whole body included.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows one kind forever. Ends only when it is dropped.
pub async fn watch(
    connection: Connection,
    template: Arc<Template>,
    kind: Kind,
    sink: Arc<dyn WatchSink>,
) -> Infallible {
    match kind {
        Kind::Pod => Follower::<Pod>::new(connection, template, sink).run().await,
        Kind::Service => Follower::<Service>::new(connection, template, sink).run().await,
    }
}

/// The loop for one kind.
struct Follower<K> {
    connection: Connection,
    template: Arc<Template>,
    sink: Arc<dyn WatchSink>,
    backoff: Backoff,
    /// Whether a failure was logged since the watch was last up to date, so that the log has one line each way.
    failing: bool,
    kind: PhantomData<fn() -> K>,
}

// === impl Follower ===

impl<K: SandboxObject> Follower<K> {
    fn new(connection: Connection, template: Arc<Template>, sink: Arc<dyn WatchSink>) -> Self {
        Self { connection, template, sink, backoff: Backoff::default(), failing: false, kind: PhantomData }
    }

    async fn run(mut self) -> Infallible {
        loop {
            if let Err(failed) = self.follow().await {
                self.failed(failed).await;
            }
        }
    }

    /// Lists and then watches, until the list is to be taken again.
    async fn follow(&mut self) -> Result<(), FailedCall> {
        let mut events = Events::<K>::new(&self.connection);
        let mut listed = Vec::new();
        let relist = sleep(Duration::MAX);
        pin!(relist);
        loop {
            let event = select! {
                // Not a random choice, because a simulation must be repeatable. A watch that ends just now is not
                // opened again before the list.
                biased;
                () = relist.as_mut() => return Ok(()),
                event = events.next(|| self.watching()) => event?,
            };
            match event {
                // Comes before the request of the list is sent. The sink relies on that: an object that is written
                // from now on may be missing from the list although it exists.
                Event::Init => {
                    listed.clear();
                    self.sink.relist_started(K::KIND);
                }
                Event::InitApply(object) => listed.extend(self.observed(&object)),
                Event::InitDone => {
                    let version = events.list_version();
                    tracing::debug!(kind = %K::kind(&()), objects = listed.len(), version, "listed");
                    let of = ResourceVersion::parse(Some(&version));
                    K::emit(&*self.sink, WatchEvent::Listed(std::mem::take(&mut listed), of));
                    self.synced();
                    relist.as_mut().reset(Instant::now() + RELIST);
                }
                Event::Apply(object) => self.applied(&object),
                Event::Delete(object) => self.deleted(&object),
            }
        }
    }

    fn observed(&self, object: &K) -> Option<(SandboxId, K::Observed)> {
        let id = object.sandbox_id()?;
        let observed = object.observed(&self.template, &id)?;
        Some((id, observed))
    }

    /// Tells of an object that exists. One whose labels are selected but do not match its name is not ours; then our
    /// object of that name is gone.
    fn applied(&self, object: &K) {
        if object.sandbox_id().is_none() {
            self.deleted(object);
        } else if let Some((id, observed)) = self.observed(object) {
            K::emit(&*self.sink, WatchEvent::Applied(id, observed));
        }
    }

    /// Tells of an object that is gone. Its name identifies it, because its labels may be what was changed.
    fn deleted(&self, object: &K) {
        let meta = object.meta();
        let id = meta.name.as_deref().and_then(K::parse_name);
        if let (Some(id), Some(uid)) = (id, observe::uid(meta)) {
            let version = ResourceVersion::parse(meta.resource_version.as_deref());
            K::emit(&*self.sink, WatchEvent::Deleted(id, uid, version));
        }
    }

    /// Tells the sink that its state is that of the cluster.
    fn synced(&mut self) {
        self.sink.synced(K::KIND);
        if std::mem::take(&mut self.failing) {
            tracing::info!(kind = %K::kind(&()), "the watch is up to date again");
        }
    }

    /// Notes that the watch works. A list alone does not reset the back-off: if each watch after it failed, that would
    /// be a storm of lists.
    fn watching(&mut self) {
        self.synced();
        self.backoff.reset();
    }

    /// Tells why the watch failed, and waits until it may be tried again.
    async fn failed(&mut self, FailedCall { verb, error }: FailedCall) {
        let failed = classify(verb, &error);
        let doing = if verb == Verb::List { "list" } else { "watch" };
        let why = format!("the {doing} of {}s failed: {}", K::kind(&()), failed.fault);
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(%why, "the watch still has trouble");
        } else {
            tracing::warn!(%why, "the watch has trouble");
        }
        self.sink.failing(K::KIND, &why);
        let longest = backoff::longest_after(&error);
        sleep(self.backoff.wait(longest, failed.fault.retry_after, retry::chance())).await;
    }
}

#[cfg(test)]
mod tests;
