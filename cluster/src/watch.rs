//! The shared watch: one list-then-watch for each kind, told to a [`WatchSink`] in order.
//!
//! ```text
//!            ┌───────────────── any other end: back-off ────────────────┐
//!            ▼                                                          │
//!   ──▸ Listing ── all pages: Listed, heard ──▸ Watching ── event: Applied, Deleted, heard
//!                                                 ▲   │     bookmark: heard
//!                                                 └───┴──── ended when it was to end: heard
//! ```
//!
//! A watch that ended as it was to is followed by the next one, and every few minutes by a list: see [`RELIST`].
//!
//! This is our own loop over `kube`'s requests, and not `kube_runtime::watcher`, for the sake of `heard`, from
//! which every read learns whether it may answer. The watcher keeps to itself bookmarks, the orderly end of a
//! watch and its silent reopening, so that a quiet cluster and a dead connection look the same from outside;
//! and it resumes after any break, which proves nothing until the next bookmark, where a list proves at once.
//! `kube`'s own event stream, below it, takes a connection that breaks off for an orderly end. Here the proofs
//! are exactly the four of the drawing, each given after all that came before it was told.

pub mod events;
mod kind;
mod list;

use std::{convert::Infallible, sync::Arc, time::Duration};

use kube::{
    client::Body,
    core::{Request, params::WatchParams},
};
use lifecycle::{
    ids::SandboxId,
    observed::ResourceVersion,
    traits::{Kind, WatchEvent, WatchSink},
};
use tokio::time::{Instant, timeout};

use self::{
    events::{Event, Events},
    kind::Watchable,
};
use crate::{
    backoff::{self, Backoff},
    connect::Connection,
    fault::{CallError, Verb, classify},
    manifest::Template,
    names, retry,
    types::{Pod, Service},
};

/// How long the API server is asked to keep a watch open. A quiet watch is proved alive at its end, so this is
/// also how old the state of a quiet cluster gets; the API server's own default, half an hour, and `kube`'s,
/// 290 s, would leave a dead connection unnoticed for as long.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a watch may be silent: its timeout, and as much as its end may be late.
pub const SILENCE_MAX: Duration = TIMEOUT.saturating_add(Duration::from_secs(5));

/// An end that comes this much before the timeout is still the timeout's: clocks differ in how they round.
const END_EARLY: Duration = Duration::from_secs(2);

/// After how long the whole list is taken again although the watch is well: should an event ever be lost on its
/// way, what we tell is wrong for no longer than this. One call in eleven.
pub const RELIST: Duration = Duration::from_secs(300);

/// How long the head of the answer to a watch may take. A server that accepts and is silent is noticed by this.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows one kind for ever, and tells the sink all that it learns. Ends only when it is dropped.
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

/// What the loop does next.
enum State {
    /// Take the whole list.
    Listing,
    /// Follow what changes after this version.
    Watching(String),
}

/// How a watch ended.
enum End {
    /// As it was to: what happened up to now was told, and the next watch goes on from this version.
    InOrder(String),
    /// In any other way: what is known has to be listed anew.
    Broken(Trouble),
}

/// Why the watch does not go on.
struct Trouble {
    verb: Verb,
    error: CallError,
}

/// The loop for one kind.
struct Follower<K> {
    connection: Connection,
    template: Arc<Template>,
    sink: Arc<dyn WatchSink>,
    backoff: Backoff,
    /// Whether trouble was told since things last went well; so that the log has one line each way.
    troubled: bool,
    /// When the list that is followed was asked for.
    listed: Instant,
    kind: std::marker::PhantomData<fn() -> K>,
}

// === impl Follower ===

impl<K: Watchable> Follower<K> {
    fn new(connection: Connection, template: Arc<Template>, sink: Arc<dyn WatchSink>) -> Self {
        Self {
            connection,
            template,
            sink,
            backoff: Backoff::default(),
            troubled: false,
            listed: Instant::now(),
            kind: std::marker::PhantomData,
        }
    }

    async fn run(mut self) -> Infallible {
        let mut state = State::Listing;
        loop {
            state = self.step(state).await;
        }
    }

    async fn step(&mut self, state: State) -> State {
        match state {
            State::Listing => match self.list().await {
                Ok((objects, version)) => {
                    tracing::debug!(kind = K::NAME, objects = objects.len(), version, "listed");
                    let of = ResourceVersion::parse(Some(&version));
                    K::tell(&*self.sink, WatchEvent::Listed(objects, of));
                    self.heard();
                    State::Watching(version)
                }
                Err(error) => self.trouble(Trouble { verb: Verb::List, error }).await,
            },
            State::Watching(version) => match self.follow(version).await {
                End::InOrder(_) if self.listed.elapsed() >= RELIST => State::Listing,
                End::InOrder(version) => State::Watching(version),
                End::Broken(trouble) => self.trouble(trouble).await,
            },
        }
    }

    async fn list(&mut self) -> Result<(Vec<(SandboxId, K::Observed)>, String), CallError> {
        self.listed = Instant::now();
        self.sink.relist_started(K::KIND);
        list::all::<K>(&self.connection, &self.template).await
    }

    /// Opens a watch and follows it to its end.
    async fn follow(&mut self, mut version: String) -> End {
        let broken = |error| End::Broken(Trouble { verb: Verb::Watch, error });
        let opened = Instant::now();
        let mut events = match self.open(&version).await {
            Ok(body) => Events::new(body),
            Err(error) => return broken(error),
        };
        loop {
            let event = match timeout(SILENCE_MAX, events.next::<K>()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) if opened.elapsed() + END_EARLY >= TIMEOUT => {
                    self.well();
                    return End::InOrder(version);
                }
                // An API server that goes away says goodbye like this, and so does a proxy that knows none.
                Ok(Ok(None)) => return broken(CallError::Closed),
                Ok(Err(error)) => return broken(error),
                Err(_) => return broken(CallError::TimedOut { after: SILENCE_MAX }),
            };
            let seen = match event {
                Event::Applied(object) => {
                    self.applied(&object);
                    object.meta().resource_version.clone()
                }
                Event::Deleted(object) => {
                    self.deleted(&object);
                    object.meta().resource_version.clone()
                }
                Event::Bookmark(version) => version,
                Event::Refused(error) => return broken(error),
            };
            if let Some(seen) = seen.filter(|v| !v.is_empty()) {
                version = seen;
            }
            self.well();
        }
    }

    async fn open(&self, version: &str) -> Result<Body, CallError> {
        let seconds = u32::try_from(TIMEOUT.as_secs()).unwrap_or(u32::MAX);
        let params = WatchParams::default().labels(names::SELECTOR).timeout(seconds);
        let request = Request::new(K::url_path(&(), Some(&self.connection.namespace)))
            .watch(&params, version)
            .map_err(|error| CallError::from(kube::Error::BuildRequest(error)))?;
        Ok(self.connection.watch.open(request, HEAD_TIMEOUT).await?.into_body())
    }

    /// An object that carries our selector's labels may still not be ours, if its name is not its id's; then
    /// what we knew under that name is gone.
    fn applied(&self, object: &K) {
        if let Some(id) = object.owner() {
            if let Some(seen) = object.seen(&self.template, &id) {
                K::tell(&*self.sink, WatchEvent::Applied(id, seen));
            }
        } else {
            self.deleted(object);
        }
    }

    /// What is gone is known by its name: its labels may be what was changed.
    fn deleted(&self, object: &K) {
        let meta = object.meta();
        if let (Some(id), Some(uid)) = (object.named(), crate::observe::uid(meta)) {
            let version = ResourceVersion::parse(meta.resource_version.as_deref());
            K::tell(&*self.sink, WatchEvent::Deleted(id, uid, version));
        }
    }

    /// The sink has been told all that the cluster is known to hold.
    fn heard(&mut self) {
        self.sink.synced(K::KIND);
        if std::mem::take(&mut self.troubled) {
            tracing::info!(kind = K::NAME, "the watch is up to date again");
        }
    }

    /// The watch itself works. A list alone does not start the back-off anew: where each watch after it
    /// fails, that would be a storm of lists.
    fn well(&mut self) {
        self.heard();
        self.backoff.reset();
    }

    async fn trouble(&mut self, Trouble { verb, error }: Trouble) -> State {
        let failed = classify(verb, &error);
        let doing = if verb == Verb::List { "list" } else { "watch" };
        let why = format!("the {doing} of {} failed: {}", K::NAME, failed.fault);
        if std::mem::replace(&mut self.troubled, true) {
            tracing::debug!(%why, "the watch still has trouble");
        } else {
            tracing::warn!(%why, "the watch has trouble");
        }
        self.sink.failing(K::KIND, &why);
        let longest = backoff::longest_after(&error);
        let wait = self.backoff.wait(longest, failed.fault.retry_after, retry::chance());
        tokio::time::sleep(wait).await;
        State::Listing
    }
}

#[cfg(test)]
mod tests;
