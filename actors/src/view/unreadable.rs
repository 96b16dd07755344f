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
        let row = self.rows.get(id)?;
        let of_kind = |unreadable: Option<_>, kind| unreadable.map(|_| kind);
        of_kind(row.pod_unreadable, Kind::Pod).or(of_kind(row.service_unreadable, Kind::Service))
    }

    /// Sets whose object is unreadable, as of a complete list.
    pub(super) fn set_unreadable<T: Object>(
        &self,
        unreadable: &HashSet<&SandboxId>,
        version: ResourceVersion,
    ) {
        self.rows.retain(|id, row| {
            if !unreadable.contains(id) && T::unreadable(row).take().is_some() {
                self.new_revision();
            }
            !row.is_void()
        });
        for id in unreadable {
            *T::unreadable(&mut self.rows.entry((*id).clone()).or_default()) = Some(version);
            self.new_revision();
        }
    }

    /// Records that the watch has shown the deletion of an object that was perhaps unreadable.
    pub(super) fn set_readable<T: Object>(&self, id: &SandboxId) {
        if let Entry::Occupied(mut row) = self.rows.entry(id.clone()) {
            *T::unreadable(row.get_mut()) = None;
            if row.get().is_void() {
                row.remove();
            }
        }
    }
}

// === impl Row ===

impl Row {
    pub(super) fn is_unreadable(&self) -> bool {
        self.pod_unreadable.is_some() || self.service_unreadable.is_some()
    }
}
