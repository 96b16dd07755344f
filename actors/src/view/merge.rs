//! One half of a row: how a sight of an object is merged into what was known of it.

use std::collections::{HashMap, VecDeque};

use lifecycle::observed::{Observation, ResourceVersion, Uid};

/// What is known of one object.
#[derive(Debug, Clone)]
pub(super) struct Known<T> {
    pub(super) sight: T,
    /// The number of the list that was under way when we wrote the object ourselves, until the watch has
    /// shown it: that list may lack it although it is there.
    written_during: Option<u64>,
}

/// What a merge has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// What callers see, but nothing that a decision depends on.
    Looks,
    /// Something that a decision may depend on.
    Shape,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The watch.
    Watch,
    /// The whole list of this number.
    List {
        /// The list's number.
        listing: u64,
    },
    /// The answer to a call of our own, given while the list of this number was the last one begun.
    OwnCall {
        /// The list's number.
        listing: u64,
    },
}

/// The objects that went last, so that a late sight does not bring one back.
///
/// An object that leaves what is watched, because somebody took a label from it, looks gone and may come back: so
/// each is gone as of a version, and a later sight of it counts.
///
/// The watch and our own calls tell of the same object in any order; only sights that cross within moments
/// matter, so a bounded number of them is enough.
#[derive(Debug, Default)]
pub(super) struct Gone {
    order: VecDeque<Uid>,
    uids: HashMap<Uid, ResourceVersion>,
}

/// Merges a sight of an object that is there.
pub(super) fn apply<T: Observation + PartialEq>(
    slot: &mut Option<Known<T>>,
    sight: T,
    source: Source,
) -> Change {
    let written_during = match source {
        Source::Watch | Source::List { .. } => None,
        Source::OwnCall { listing } => Some(listing),
    };
    let Some(known) = slot else {
        *slot = Some(Known { sight, written_during });
        return Change::Shape;
    };
    if known.sight.uid() == sight.uid() {
        if written_during.is_none() {
            known.written_during = None;
        }
        if sight.version() < known.sight.version() || sight == known.sight {
            return Change::None;
        }
        let change = if sight.is_equivalent(&known.sight) { Change::Looks } else { Change::Shape };
        known.sight = sight;
        return change;
    }
    // Another life of the name. The later one counts; versions of one kind order across uids too. Only in a cluster
    // that was put back to an earlier state they do not: there a list tells which life is the present one.
    let replaced = matches!(source, Source::List { listing } if known.is_disproved_by(listing));
    if !replaced && sight.version() < known.sight.version() {
        return Change::None;
    }
    *slot = Some(Known { sight, written_during });
    Change::Shape
}

/// Merges the end of an object; that of another life of the name changes nothing.
pub(super) fn remove<T: Observation>(slot: &mut Option<Known<T>>, uid: &Uid) -> Change {
    if slot.take_if(|known| known.sight.uid() == uid).is_some() { Change::Shape } else { Change::None }
}

impl<T> Known<T> {
    /// Whether a list of this number, which lacks the object, proves that it is gone.
    pub(super) fn is_disproved_by(&self, listing: u64) -> bool {
        self.written_during.is_none_or(|during| during < listing)
    }
}

// === impl Gone ===

impl Gone {
    /// How many are kept: far more than can go within the moments in which sights cross.
    const MAX: usize = 4096;

    /// Notes that the object of this uid was gone as of this version.
    pub(super) fn note(&mut self, uid: Uid, version: ResourceVersion) {
        if let Some(known) = self.uids.get_mut(&uid) {
            *known = version.max(*known);
        } else {
            self.uids.insert(uid.clone(), version);
            self.order.push_back(uid);
            if self.order.len() > Self::MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.uids.remove(&oldest);
            }
        }
    }

    /// Whether the object went after it was seen like this.
    pub(super) fn outdates(&self, sight: &impl Observation) -> bool {
        self.uids.get(sight.uid()).is_some_and(|version| sight.version() <= *version)
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{observed::ObservedPod, phase::Phase};

    use super::*;

    fn pod(uid: &str, version: u64) -> ObservedPod {
        ObservedPod {
            uid: Uid(uid.into()),
            version: ResourceVersion(version),
            phase: Phase::Pending,
            ready: false,
            terminating: false,
            reason: None,
            created: None,
            spec: lifecycle::spec::ObservedSpec::default(),
            annotations: lifecycle::lifetime::LifetimeAnnotations::default(),
        }
    }

    /// An older sight of the same object changes nothing, a newer one tells how much it changes.
    #[test]
    fn the_newer_sight_counts() {
        let mut slot = None;
        assert_eq!(apply(&mut slot, pod("a", 5), Source::Watch), Change::Shape);
        assert_eq!(apply(&mut slot, pod("a", 4), Source::Watch), Change::None);
        let reason = Some(lifecycle::phase::Reason::new("Unschedulable", None));
        assert_eq!(apply(&mut slot, ObservedPod { reason, ..pod("a", 6) }, Source::Watch), Change::Looks);
        let dying = ObservedPod { terminating: true, ..pod("a", 7) };
        assert_eq!(apply(&mut slot, dying, Source::Watch), Change::Shape);
    }

    /// A late sight or end of an earlier life does not touch the present one.
    #[test]
    fn an_earlier_life_changes_nothing() {
        let mut slot = None;
        let _ = apply(&mut slot, pod("new", 9), Source::OwnCall { listing: 1 });
        assert_eq!(apply(&mut slot, pod("old", 8), Source::Watch), Change::None);
        assert_eq!(remove(&mut slot, &Uid("old".into())), Change::None);
        assert_eq!(remove(&mut slot, &Uid("new".into())), Change::Shape);
        assert!(slot.is_none());
    }

    /// A list that was asked for before our own write does not make what we wrote disappear; a later one does,
    /// and so does any once the watch has shown the object.
    #[test]
    fn a_list_disproves_only_what_it_could_hold() {
        let mut slot = None;
        let _ = apply(&mut slot, pod("a", 5), Source::OwnCall { listing: 3 });
        let known = slot.as_ref().unwrap();
        assert!(!known.is_disproved_by(3));
        assert!(known.is_disproved_by(4));
        let _ = apply(&mut slot, pod("a", 5), Source::Watch);
        assert!(slot.as_ref().unwrap().is_disproved_by(3));
    }

    /// In a cluster that was put back, a list's word on which life is the present one counts, whatever the versions
    /// say; but not against what was written while the list was made.
    #[test]
    fn a_list_tells_which_life_is_present() {
        let mut slot = None;
        let _ = apply(&mut slot, pod("old", 900), Source::Watch);
        assert_eq!(apply(&mut slot, pod("new", 8), Source::Watch), Change::None);
        assert_eq!(apply(&mut slot, pod("new", 8), Source::List { listing: 3 }), Change::Shape);
        let mut slot = None;
        let _ = apply(&mut slot, pod("new", 9), Source::OwnCall { listing: 3 });
        assert_eq!(apply(&mut slot, pod("old", 8), Source::List { listing: 3 }), Change::None);
    }

    /// What is gone is so as of a version: a later sight tells that it came back.
    #[test]
    fn what_came_back_is_there() {
        let mut gone = Gone::default();
        gone.note(Uid("a".into()), ResourceVersion(7));
        gone.note(Uid("a".into()), ResourceVersion(6));
        assert!(gone.outdates(&pod("a", 7)));
        assert!(!gone.outdates(&pod("a", 8)));
    }

    /// The memory of what went is bounded, and forgets the oldest first.
    #[test]
    fn gone_is_bounded() {
        let mut gone = Gone::default();
        for n in 0..=Gone::MAX {
            gone.note(Uid(n.to_string().into()), ResourceVersion(7));
        }
        assert!(!gone.outdates(&pod("0", 7)));
        assert!(gone.outdates(&pod("1", 7)));
        assert_eq!(gone.order.len(), gone.uids.len());
    }
}
