//! Applies observations to the rows: those of the watch, and the answers to our own calls.

use std::{mem, sync::atomic::Ordering};

use dashmap::mapref::entry::Entry;
use lifecycle::{
    ids::SandboxId,
    observed::{Expiry, Observed, ResourceVersion, Uid},
    traits::Deletion,
};
use parking_lot::MutexGuard;

use super::{
    View,
    merge::{self, Effect, Gone, Source},
    row::{Object, Row},
};

// === impl View ===

impl View {
    /// Sets whether the sandbox is unpublished.
    pub(crate) fn set_unpublished(&self, id: &SandboxId, unpublished: bool) {
        match self.rows.entry(id.clone()) {
            Entry::Occupied(mut row) => {
                row.get_mut().unpublished = unpublished;
                self.note(id, row.get_mut(), false);
                self.remove_if_void(row);
            }
            Entry::Vacant(place) if unpublished => {
                place.insert(Row { unpublished, ..Row::default() }.into());
            }
            Entry::Vacant(_) => {}
        }
        self.changed(id);
    }

    /// Sets whether the actor deletes the sandbox, or will when it can.
    pub(crate) fn set_being_deleted(&self, id: &SandboxId, being_deleted: bool) {
        if let Some(mut row) = self.rows.get_mut(id) {
            row.being_deleted = being_deleted;
        }
    }

    /// Sets the expiry of the sandbox.
    pub(crate) fn set_expiry(&self, id: &SandboxId, expiry: Option<Expiry>) {
        if let Some(mut row) = self.rows.get_mut(id) {
            row.expiry = expiry;
        }
        self.changed(id);
    }

    /// Applies an object from the answer to our own call. The actor looks after its calls, so it is not notified.
    pub(crate) fn wrote<T: Object>(&self, id: &SandboxId, object: T) {
        let listing = T::lists(self).load(Ordering::SeqCst);
        self.apply(id, object, Source::OwnCall { listing });
    }

    /// Applies the result of our own delete of the object with this uid.
    pub(crate) fn deleted<T: Object>(&self, id: &SandboxId, uid: &Uid, deletion: Deletion<T>) {
        match deletion {
            Deletion::Gone => {
                self.end::<T>(id, uid, ResourceVersion::NEWEST);
            }
            Deletion::Terminating(object) => self.wrote(id, object),
        }
    }

    /// Applies the result of our own read. An object that it did not find is gone.
    pub(crate) fn record_lookup(&self, id: &SandboxId, before: &Observed, now: Observed) {
        self.looked_up(id, before.pod.as_ref(), now.pod);
        self.looked_up(id, before.service.as_ref(), now.service);
    }

    fn looked_up<T: Object>(&self, id: &SandboxId, before: Option<&T>, now: Option<T>) {
        match (now, before) {
            (Some(object), _) => self.wrote(id, object),
            (None, Some(object)) => self.deleted::<T>(id, object.uid(), Deletion::Gone),
            (None, None) => {}
        }
    }

    /// Merges an observation. Returns its effect.
    pub(super) fn apply<T: Object>(&self, id: &SandboxId, object: T, source: Source) -> Effect {
        let change = {
            let entry = self.rows.entry(id.clone());
            // Checked while the row is locked, because `end` records a deletion while it holds the lock. So no late
            // observation restores a deleted object.
            if self.gone().outdates(&object) {
                return Effect::None;
            }
            let mut row = entry.or_default();
            // A late answer to an own call may be older than the list.
            let read_again = T::unreadable(&mut row).take_if(|since| object.version() > *since).is_some();
            let change = merge::apply(T::slot(&mut row), object, source);
            row.drop_outdated_events();
            let change = if read_again { Effect::Shape } else { change };
            if change > Effect::None {
                self.note(id, &mut row, matches!(source, Source::List { .. }));
            }
            change
        };
        if change > Effect::None {
            self.changed(id);
        }
        change
    }

    /// Removes the object with this uid. Observations up to this resourceVersion no longer count. Returns the effect.
    pub(super) fn end<T: Object>(&self, id: &SandboxId, uid: &Uid, version: ResourceVersion) -> Effect {
        let change = match self.rows.entry(id.clone()) {
            Entry::Vacant(_) => {
                self.gone().note(uid.clone(), version);
                Effect::None
            }
            Entry::Occupied(mut row) => {
                self.gone().note(uid.clone(), version);
                let change = merge::remove(T::slot(row.get_mut()), uid);
                row.get_mut().drop_outdated_events();
                self.note(id, row.get_mut(), false);
                self.remove_if_void(row);
                change
            }
        };
        self.changed(id);
        change
    }

    pub(super) fn gone(&self) -> MutexGuard<'_, Gone> {
        self.gone.lock()
    }

    /// Notifies the listener of a change that the watch has reported, unless the actor has yet to look after an earlier
    /// notification.
    pub(super) fn notify(&self, id: &SandboxId, change: Effect) {
        let is_first = || self.rows.get_mut(id).is_none_or(|mut row| !mem::replace(&mut row.notified, true));
        if change == Effect::Shape
            && is_first()
            && let Some(listener) = self.listener.get()
        {
            listener(id.clone());
        }
    }
}
