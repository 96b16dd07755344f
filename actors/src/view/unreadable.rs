//! The objects that exist but are too large to be read. Their state is not known, so no answer is made of them.

use std::collections::HashSet;

use dashmap::mapref::entry::Entry;
use lifecycle::{ids::SandboxId, observed::ResourceVersion, traits::Kind};

use super::{
    View,
    row::{Object, Row},
};

// === impl View ===

impl View {
    /// Returns which kind of object of the sandbox exists but was too large to be read: its state is not known.
    pub(crate) fn unreadable(&self, id: &SandboxId) -> Option<Kind> {
        self.rows.get(id)?.unreadable()
    }

    /// Sets which objects are unreadable, as of a complete list.
    pub(super) fn set_unreadable<T: Object>(
        &self,
        unreadable: &HashSet<SandboxId>,
        version: ResourceVersion,
    ) {
        for id in unreadable {
            *T::unreadable(&mut self.rows.entry(id.clone()).or_default()) = Some(version);
        }
        self.all_changed(unreadable.iter().cloned().collect());
    }

    /// Sets that no other objects are unreadable, once all objects of the list are applied: before that, the state of
    /// an object that was unreadable would be the old one, or none.
    pub(super) fn set_others_readable<T: Object>(&self, unreadable: &HashSet<SandboxId>) {
        let mut readable = Vec::new();
        self.rows.retain(|id, row| {
            if !unreadable.contains(id) && T::unreadable(row).take().is_some() {
                readable.push(id.clone());
            }
            let is_void = row.is_void();
            if is_void {
                self.timelines.end(id, &mut row.timeline);
            }
            !is_void
        });
        self.all_changed(readable);
    }

    /// Publishes changes in a fixed order, so that simulations are reproducible.
    fn all_changed(&self, mut ids: Vec<SandboxId>) {
        ids.sort_unstable();
        for id in ids {
            self.changed(&id);
        }
    }

    /// Records that the watch has shown the deletion of an object that was perhaps unreadable.
    pub(super) fn set_readable<T: Object>(&self, id: &SandboxId) {
        if let Entry::Occupied(mut row) = self.rows.entry(id.clone()) {
            *T::unreadable(row.get_mut()) = None;
            self.remove_if_void(row);
        }
    }
}

// === impl Row ===

impl Row {
    /// Returns which kind of object was too large to be read.
    pub(super) fn unreadable(&self) -> Option<Kind> {
        let of_kind = |unreadable: Option<_>, kind| unreadable.map(|_| kind);
        of_kind(self.pod_unreadable, Kind::Pod).or(of_kind(self.service_unreadable, Kind::Service))
    }

    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable().is_some()
    }
}
