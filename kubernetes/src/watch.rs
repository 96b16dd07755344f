//! The shared watch: lists and then watches each kind, and passes the events to a [`WatchSink`] in order.
//!
//! ```text
//!   follow ── Events ── kube_runtime::watcher ── kube::Api ── transport ── Calls ──▸ API server
//!     │         ▲                                                │
//!     ▼         └──────────────── ConnectionState ◂── WatchBody ─┘
//!   WatchSink     list: Listed, synced    event: Applied, Deleted    up to date: synced
//! ```
//!
//! `kube_runtime` lists and watches, but does not report when its state was last up to date, which decides whether reads
//! are answered: it hides bookmarks, the end of a watch and its reopening, so that a quiet cluster and a dead connection
//! look the same. Therefore the connection is observed: `body::WatchBody` detects proofs that the connection is alive,
//! and `events::Events` reports them at the right time.
//!
//! An error ends the watcher, and so does [`RELIST`]. The next watcher begins with a list.

mod body;
pub(crate) mod claims;
mod connection_state;
mod events;
mod failures;
mod oversized;
mod page_size;
pub(crate) mod pod_events;
mod transport;

use std::{collections::BTreeSet, convert::Infallible, marker::PhantomData, sync::Arc, time::Duration};

use kube_runtime::watcher::{Config, Event};
use lifecycle::{
    ids::SandboxId,
    observed::ResourceVersion,
    traits::{Kind, WatchEvent, WatchSink},
};
use tokio::{
    pin, select,
    time::{Instant, sleep},
};

use self::{connection_state::FailedCall, events::Events, failures::Failures, page_size::PageSize};
use crate::{
    backoff::{self, Backoff},
    connect::{Connection, WATCH_TIMEOUT},
    fault::{Verb, classify},
    manifest::Template,
    names,
    object::SandboxObject,
    observe, retry,
    types::{Pod, Service},
};

/// The maximum silence of a watch: its timeout, and a tolerance for a late end.
pub const SILENCE_MAX: Duration = WATCH_TIMEOUT.saturating_add(Duration::from_secs(5));

/// An end at most this long before the timeout is due to the timeout: clocks round differently.
const END_EARLY: Duration = Duration::from_secs(2);

/// The interval of full lists while the watch works. It limits how long a lost event goes unnoticed, and costs one call
/// in eleven.
pub const RELIST: Duration = Duration::from_secs(300);

/// The timeout for the head of the answer to a watch. It detects a server that accepts the connection and is silent.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest silence while a page of a list is read.
const PAGE_SILENCE: Duration = Duration::from_secs(10);

/// The timeout for a whole page. A page that takes longer is requested again with fewer objects.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Watches one kind. Ends only when it is dropped.
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
    page_size: PageSize,
    failures: Failures,
    /// The names of the objects that were too large to be read in the last list.
    unreadable: BTreeSet<String>,
    kind: PhantomData<fn() -> K>,
}

// === impl Follower ===

impl<K: SandboxObject> Follower<K> {
    fn new(connection: Connection, template: Arc<Template>, sink: Arc<dyn WatchSink>) -> Self {
        Self {
            connection,
            template,
            sink,
            backoff: Backoff::default(),
            page_size: PageSize::default(),
            failures: Failures::default(),
            unreadable: BTreeSet::new(),
            kind: PhantomData,
        }
    }

    async fn run(mut self) -> Infallible {
        loop {
            if let Err(failed) = self.follow().await {
                self.failed(failed).await;
            }
        }
    }

    /// Lists and then watches, until the next full list is due.
    async fn follow(&mut self) -> Result<(), FailedCall> {
        let mut events =
            Events::<K>::new(&self.connection, &self.page_size, Config::default().labels(names::SELECTOR));
        let mut listed = Vec::new();
        let relist = sleep(Duration::MAX);
        pin!(relist);
        loop {
            let event = select! {
                // Not a random choice, because a simulation must be repeatable. A watch that ends at this moment is not
                // opened again before the list.
                biased;
                () = relist.as_mut() => return Ok(()),
                event = events.next(|| self.watching()) => event?,
            };
            match event {
                // This precedes the request for the list. The sink relies on that: an object that is written from now on
                // may be missing from the list although it exists.
                Event::Init => {
                    listed.clear();
                    self.sink.relist_started(K::KIND);
                }
                Event::InitApply(object) => listed.extend(self.observed(&object)),
                Event::InitDone => {
                    let version = events.list_version();
                    tracing::debug!(kind = %K::kind(&()), objects = listed.len(), version, "listed");
                    let unreadable = self.unreadable(events.take_unreadable());
                    let objects = std::mem::take(&mut listed);
                    let version = ResourceVersion::parse(Some(&version));
                    self.connection.metrics().listed(K::KIND.name());
                    K::emit(&*self.sink, WatchEvent::Listed { objects, unreadable, version });
                    self.synced();
                    relist.as_mut().reset(Instant::now() + RELIST);
                }
                Event::Apply(object) => self.applied(&object),
                Event::Delete(object) => self.deleted(&object),
            }
        }
    }

    /// Returns the sandboxes whose object was too large to be read. Logs each name that the last list did not have.
    fn unreadable(&mut self, names: Vec<String>) -> Vec<SandboxId> {
        let before = std::mem::take(&mut self.unreadable);
        self.unreadable = names.into_iter().collect();
        for name in self.unreadable.difference(&before) {
            tracing::warn!(
                kind = %K::kind(&()), name, "the object is too large to be read; its sandbox is answered 503 until it is smaller or deleted"
            );
        }
        self.unreadable.iter().filter_map(|name| K::parse_name(name)).collect()
    }

    fn observed(&self, object: &K) -> Option<(SandboxId, K::Observed)> {
        let id = object.sandbox_id()?;
        let observed = object.observed(&self.template, &id)?;
        Some((id, observed))
    }

    /// Reports an object that exists. If its labels match the selector but not its name, it is not ours, and our object
    /// of that name is gone.
    fn applied(&self, object: &K) {
        if object.sandbox_id().is_none() {
            self.deleted(object);
        } else if let Some((id, observed)) = self.observed(object) {
            K::emit(&*self.sink, WatchEvent::Applied(id, observed));
        }
    }

    /// Reports an object that is gone. Its name identifies it, because its labels may have changed.
    fn deleted(&self, object: &K) {
        let meta = object.meta();
        let id = meta.name.as_deref().and_then(K::parse_name);
        if let (Some(id), Some(uid)) = (id, observe::uid(meta)) {
            let version = ResourceVersion::parse(meta.resource_version.as_deref());
            K::emit(&*self.sink, WatchEvent::Deleted(id, uid, version));
        }
    }

    /// Reports that the state is up to date.
    fn synced(&mut self) {
        self.sink.synced(K::KIND);
        if self.failures.up_to_date(Instant::now()) {
            tracing::info!(kind = %K::kind(&()), "the watch is up to date again");
        }
    }

    /// Records that the watch works. A list alone does not reset the back-off: if each watch after it failed, that would
    /// cause a storm of lists.
    fn watching(&mut self) {
        self.synced();
        self.backoff.reset();
    }

    /// Reports the error, and waits until the next try.
    async fn failed(&mut self, FailedCall { verb, error }: FailedCall) {
        let failed = classify(verb, &error);
        let doing = if verb == Verb::List { "list" } else { "watch" };
        let why = format!("the {doing} of {}s failed: {}", K::kind(&()), failed.fault);
        if self.failures.is_new(&why, Instant::now()) {
            tracing::warn!(%why, "the watch is failing");
        } else {
            tracing::debug!(%why, "the watch is still failing");
        }
        self.connection.metrics().watch_failed(K::KIND.name(), failed.fault.kind);
        self.sink.failing(K::KIND, &why);
        let longest = backoff::longest_after(&error);
        sleep(self.backoff.wait(longest, failed.fault.retry_after, retry::jitter())).await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
