//! The status view: what is known of every sandbox, from which every query is answered.
//!
//! Two sources feed it, in any order: the shared watch, and the answers to our own calls. Each sight carries
//! uid and version, so the view does not depend on which came first.

mod freshness;
mod merge;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, mapref::entry::Entry};
use lifecycle::{
    ids::SandboxId,
    observed::{Expiry, Observation, Observed, ObservedPod, ObservedService, ResourceVersion, Status, Uid},
    traits::{Deletion, Kind, WatchEvent, WatchSink},
};
use parking_lot::{Mutex, MutexGuard};

use self::{
    freshness::Freshness,
    merge::{Change, Gone, Known, Source},
};

/// What is known of every sandbox. It alone knows the map: owned values go in and out, and no guard is held
/// while anything else is called.
pub struct View {
    rows: DashMap<SandboxId, Row>,
    gone: Mutex<Gone>,
    freshness: Freshness,
    /// How many lists of each kind were begun; numbers them.
    pod_lists: AtomicU64,
    service_lists: AtomicU64,
    /// Grows with every change that callers could see, after it was made.
    revision: AtomicU64,
    /// Told of every sandbox whose actor should look again.
    listener: OnceLock<Box<dyn Fn(SandboxId) + Send + Sync>>,
}

/// Which state of the view a list shows: equal revisions show equal lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub u64);

/// Whether a sandbox's Pod exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It does, in whatever phase; this is its uid.
    Present(Uid),
    /// It does not.
    Absent,
    /// A create is under way, or its outcome is not known.
    Unknown,
}

#[derive(Debug, Default)]
struct Row {
    pod: Option<Known<ObservedPod>>,
    service: Option<Known<ObservedService>>,
    /// How long it will live, as its actor has it.
    expiry: Option<Expiry>,
    /// Whether callers are not to hear of it: it is being made and was given to nobody yet.
    unpublished: bool,
    /// Whether the listener was told and the actor has not looked yet: one call to look is enough.
    told: bool,
}

/// One kind of object: where it stands in a row, and which lists are counted for it.
trait Half: Observation + Clone + PartialEq {
    fn slot(row: &mut Row) -> &mut Option<Known<Self>>;
    fn known(row: &Row) -> Option<&Known<Self>>;
    fn lists(view: &View) -> &AtomicU64;
}

// === impl View ===

impl View {
    /// An empty view that may be answered from for `staleness` after its watches were last heard of.
    #[must_use]
    pub fn new(staleness: Duration) -> Self {
        Self {
            rows: DashMap::new(),
            gone: Mutex::default(),
            freshness: Freshness::new(staleness),
            pod_lists: AtomicU64::new(0),
            service_lists: AtomicU64::new(0),
            revision: AtomicU64::new(0),
            listener: OnceLock::new(),
        }
    }

    /// Sets who is told of sandboxes whose actor should look again; the first one stays.
    pub(crate) fn set_listener(&self, listener: impl Fn(SandboxId) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Whether it is recent enough to be answered from.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.freshness.is_fresh()
    }

    /// What is wrong with the watch of this kind; `None` when all is well.
    #[must_use]
    pub fn unready_reason(&self, kind: Kind) -> Option<String> {
        self.freshness.unready_reason(kind)
    }

    /// Since when it is known what there is; `None` until both kinds have been listed once.
    pub(crate) fn known_since(&self) -> Option<tokio::time::Instant> {
        self.freshness.since()
    }

    /// Waits until both kinds have been listed once, but not longer than this.
    pub(crate) async fn first_list(&self, patience: Duration) {
        self.freshness.first_list(patience).await;
    }

    /// What callers are told of the sandbox; `None` where they are told that there is none.
    #[must_use]
    pub fn status(&self, id: &SandboxId) -> Option<Status> {
        let row = self.rows.get(id)?;
        row.status()
    }

    /// All that callers may hear of, in the order of their ids.
    #[must_use]
    pub fn statuses(&self) -> Vec<(SandboxId, Status)> {
        let mut all: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| row.status().map(|status| (row.key().clone(), status)))
            .collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// The present revision. Taken before [`View::statuses`], it is never newer than what they show.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::SeqCst))
    }

    fn new_revision(&self) {
        self.revision.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether anything is known of the sandbox, heard of or not.
    #[must_use]
    pub fn contains(&self, id: &SandboxId) -> bool {
        self.rows.contains_key(id)
    }

    /// Whether the sandbox's Pod exists, apart from what callers may hear of.
    pub(crate) fn presence(&self, id: &SandboxId) -> Presence {
        let Some(row) = self.rows.get(id) else { return Presence::Absent };
        match &row.pod {
            Some(pod) => Presence::Present(pod.sight.uid.clone()),
            None if row.unpublished => Presence::Unknown,
            None => Presence::Absent,
        }
    }

    /// Whether the sandbox has a Pod that is not terminating.
    pub(crate) fn has_usable_pod(&self, id: &SandboxId) -> bool {
        self.rows.get(id).is_some_and(|row| row.pod.as_ref().is_some_and(|known| !known.sight.terminating))
    }

    /// Whether the sandbox is there, with nothing of it on its way out.
    pub(crate) fn is_whole(&self, id: &SandboxId) -> bool {
        self.rows.get(id).is_some_and(|row| row.is_whole())
    }

    /// How many sandboxes something is known of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All that is known of the sandbox, for its actor, which from here on wants to hear of changes again.
    pub(crate) fn look(&self, id: &SandboxId) -> Observed {
        self.rows.get_mut(id).map_or_else(Observed::default, |mut row| {
            row.told = false;
            row.seen()
        })
    }

    /// Sets whether callers may hear of the sandbox.
    pub(crate) fn set_unpublished(&self, id: &SandboxId, unpublished: bool) {
        match self.rows.entry(id.clone()) {
            Entry::Occupied(mut row) => {
                row.get_mut().unpublished = unpublished;
                if row.get().is_void() {
                    row.remove();
                }
            }
            Entry::Vacant(place) if unpublished => {
                place.insert(Row { unpublished, ..Row::default() });
            }
            Entry::Vacant(_) => {}
        }
        self.new_revision();
    }

    /// Sets how long the sandbox will live.
    pub(crate) fn set_expiry(&self, id: &SandboxId, expiry: Option<Expiry>) {
        if let Some(mut row) = self.rows.get_mut(id) {
            row.expiry = expiry;
        }
        self.new_revision();
    }

    /// What our own call wrote or read.
    pub(crate) fn wrote_pod(&self, id: &SandboxId, pod: ObservedPod) {
        self.wrote(id, pod);
    }

    /// What our own call wrote or read.
    pub(crate) fn wrote_service(&self, id: &SandboxId, service: ObservedService) {
        self.wrote(id, service);
    }

    /// What came of our own delete of the Pod of this uid.
    pub(crate) fn removed_pod(&self, id: &SandboxId, uid: &Uid, removal: Deletion<ObservedPod>) {
        self.removed(id, uid, removal);
    }

    /// What came of our own delete of the Service of this uid.
    pub(crate) fn removed_service(&self, id: &SandboxId, uid: &Uid, removal: Deletion<ObservedService>) {
        self.removed(id, uid, removal);
    }

    /// What our own look at the cluster told: what it did not find is gone.
    pub(crate) fn read(&self, id: &SandboxId, before: &Observed, now: Observed) {
        match (now.pod, &before.pod) {
            (Some(pod), _) => self.wrote(id, pod),
            (None, Some(pod)) => self.end::<ObservedPod>(id, &pod.uid, ResourceVersion::NEWEST),
            (None, None) => {}
        }
        match (now.service, &before.service) {
            (Some(service), _) => self.wrote(id, service),
            (None, Some(service)) => self.end::<ObservedService>(id, &service.uid, ResourceVersion::NEWEST),
            (None, None) => {}
        }
    }

    fn wrote<T: Half>(&self, id: &SandboxId, sight: T) {
        let listing = T::lists(self).load(Ordering::SeqCst);
        self.apply(id, sight, Source::OwnCall { listing });
    }

    fn removed<T: Half>(&self, id: &SandboxId, uid: &Uid, removal: Deletion<T>) {
        match removal {
            Deletion::Gone => self.end::<T>(id, uid, ResourceVersion::NEWEST),
            Deletion::Terminating(sight) => self.wrote(id, sight),
        }
    }

    fn apply<T: Half>(&self, id: &SandboxId, sight: T, source: Source) {
        let (change, tell) = {
            let entry = self.rows.entry(id.clone());
            // Asked while the row is held, as `end` notes while it holds it: no sight of an object slips in
            // behind its end.
            if self.gone().outdates(&sight) {
                return;
            }
            let mut row = entry.or_default();
            let change = merge::apply(T::slot(&mut row), sight, source);
            (change, change == Change::Shape && row.wants_telling())
        };
        if change > Change::None {
            self.new_revision();
        }
        self.tell(id, tell);
    }

    /// The object of this uid is gone, and no sight of it up to this version counts any more.
    fn end<T: Half>(&self, id: &SandboxId, uid: &Uid, version: ResourceVersion) {
        let tell = match self.rows.entry(id.clone()) {
            Entry::Vacant(_) => {
                self.gone().note(uid.clone(), version);
                false
            }
            Entry::Occupied(mut row) => {
                self.gone().note(uid.clone(), version);
                let changed = merge::remove(T::slot(row.get_mut()), uid) == Change::Shape;
                let tell = changed && row.get_mut().wants_telling();
                if row.get().is_void() {
                    row.remove();
                }
                tell
            }
        };
        self.new_revision();
        self.tell(id, tell);
    }

    fn gone(&self) -> MutexGuard<'_, Gone> {
        self.gone.lock()
    }

    fn tell(&self, id: &SandboxId, tell: bool) {
        if tell && let Some(listener) = self.listener.get() {
            listener(id.clone());
        }
    }

    /// A whole list: what it holds is there, and what it lacks is gone, unless it could not know of it.
    fn listed<T: Half>(&self, kind: Kind, items: Vec<(SandboxId, T)>, version: ResourceVersion) {
        let listing = T::lists(self).load(Ordering::SeqCst);
        let named: std::collections::HashSet<_> =
            items.iter().map(|(_, sight)| sight.uid().clone()).collect();
        let mut vanished: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| {
                let known = T::known(row.value())?;
                let uid = known.sight.uid();
                (!named.contains(uid) && known.is_disproved_by(listing))
                    .then(|| (row.key().clone(), uid.clone()))
            })
            .collect();
        // In an order that is the same each time, so that a simulation can be run again.
        vanished.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (id, sight) in items {
            self.apply(&id, sight, Source::List { listing });
        }
        for (id, uid) in vanished {
            self.end::<T>(&id, &uid, version);
        }
        self.freshness.listed(kind);
    }

    fn watched<T: Half>(&self, kind: Kind, event: WatchEvent<T>) {
        match event {
            WatchEvent::Applied(id, sight) => self.apply(&id, sight, Source::Watch),
            WatchEvent::Deleted(id, uid, version) => self.end::<T>(&id, &uid, version),
            WatchEvent::Listed(items, version) => self.listed(kind, items, version),
        }
    }
}

impl WatchSink for View {
    fn relist_started(&self, kind: Kind) {
        let lists = match kind {
            Kind::Pod => &self.pod_lists,
            Kind::Service => &self.service_lists,
        };
        lists.fetch_add(1, Ordering::SeqCst);
    }

    fn pods(&self, event: WatchEvent<ObservedPod>) {
        self.watched(Kind::Pod, event);
    }

    fn services(&self, event: WatchEvent<ObservedService>) {
        self.watched(Kind::Service, event);
    }

    fn synced(&self, kind: Kind) {
        self.freshness.synced(kind);
    }

    fn failing(&self, kind: Kind, why: &str) {
        self.freshness.failing(kind, why);
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

// === impl Row ===

impl Row {
    fn seen(&self) -> Observed {
        Observed {
            pod: self.pod.as_ref().map(|known| known.sight.clone()),
            service: self.service.as_ref().map(|known| known.sight.clone()),
        }
    }

    fn status(&self) -> Option<Status> {
        if self.unpublished {
            return None;
        }
        let status = Observed::status_of(
            self.pod.as_ref().map(|known| &known.sight),
            self.service.as_ref().map(|known| &known.sight),
        )?;
        Some(Status { expiry: self.expiry, ..status })
    }

    fn is_whole(&self) -> bool {
        self.pod.as_ref().is_some_and(|known| !known.sight.terminating)
            && self
                .service
                .as_ref()
                .is_some_and(|known| !known.sight.terminating && known.sight.url.is_some())
    }

    /// Whether nothing is left to know.
    fn is_void(&self) -> bool {
        self.pod.is_none() && self.service.is_none() && !self.unpublished
    }

    /// Whether the listener has to be told; notes that it was.
    fn wants_telling(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}

// === impl Half ===

impl Half for ObservedPod {
    fn slot(row: &mut Row) -> &mut Option<Known<Self>> {
        &mut row.pod
    }

    fn known(row: &Row) -> Option<&Known<Self>> {
        row.pod.as_ref()
    }

    fn lists(view: &View) -> &AtomicU64 {
        &view.pod_lists
    }
}

impl Half for ObservedService {
    fn slot(row: &mut Row) -> &mut Option<Known<Self>> {
        &mut row.service
    }

    fn known(row: &Row) -> Option<&Known<Self>> {
        row.service.as_ref()
    }

    fn lists(view: &View) -> &AtomicU64 {
        &view.service_lists
    }
}
