//! The effect of the watch's events and lists on the view.

use std::{collections::HashSet, sync::atomic::Ordering};

use lifecycle::{
    exit::ExitLog,
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, ResourceVersion, Uid},
    pod_event::PodEvent,
    traits::{Kind, WatchEvent, WatchSink},
};

use super::{View, merge::Source, row::Object};

// === impl View ===

impl View {
    /// Applies a complete list. An object that is not in the list is gone, unless it was written after the list was
    /// requested. One that is unreadable keeps its state, but no answer is made of it.
    fn listed<T: Object>(
        &self,
        kind: Kind,
        items: Vec<(SandboxId, T)>,
        unreadable: Vec<SandboxId>,
        version: ResourceVersion,
    ) {
        let unreadable: HashSet<_> = unreadable.into_iter().collect();
        self.set_unreadable::<T>(&unreadable, version);
        let listing = T::lists(self).load(Ordering::SeqCst);
        let named: HashSet<_> = items.iter().map(|(_, object)| object.uid().clone()).collect();
        let mut vanished: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| {
                let known = T::known(row.value())?;
                let uid = known.object.uid();
                (!named.contains(uid) && !unreadable.contains(row.key()) && known.is_disproved_by(listing))
                    .then(|| (row.key().clone(), uid.clone()))
            })
            .collect();
        // A fixed order, so that simulations are reproducible.
        vanished.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (id, object) in items {
            let change = self.apply(&id, object, Source::List { listing });
            self.notify(&id, change);
        }
        for (id, uid) in vanished {
            let change = self.end::<T>(&id, &uid, version);
            self.notify(&id, change);
        }
        self.set_others_readable::<T>(&unreadable);
        self.freshness.listed(kind);
    }

    fn watched<T: Object>(&self, kind: Kind, event: WatchEvent<T>) {
        let (id, change) = match event {
            WatchEvent::Applied(id, object) => {
                let change = self.apply(&id, object, Source::Watch);
                (id, change)
            }
            WatchEvent::Deleted(id, uid, version) => {
                self.set_readable::<T>(&id);
                let change = self.end::<T>(&id, &uid, version);
                (id, change)
            }
            WatchEvent::Listed { objects, unreadable, version } => {
                return self.listed(kind, objects, unreadable, version);
            }
        };
        self.notify(&id, change);
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

    fn pod_event(&self, id: &SandboxId, pod: &Uid, event: PodEvent) {
        self.record_event(id, pod, event);
    }

    fn exit_log(&self, id: &SandboxId, pod: &Uid, log: ExitLog) {
        self.logged(id, pod, log);
    }

    fn synced(&self, kind: Kind) {
        self.freshness.synced(kind);
    }

    fn failing(&self, kind: Kind, why: &str) {
        self.freshness.failing(kind, why);
    }
}
