//! Merging: combines an observation of an object with the known state of the object in a row.

use std::collections::{HashMap, VecDeque};

use lifecycle::observed::{Observation, ResourceVersion, Uid};

/// The known state of one object.
#[derive(Debug, Clone)]
pub(crate) struct Known<T> {
    pub(super) object: T,
    /// The number of the list that was in flight when we wrote the object, until the watch has shown it. That list
    /// may not contain the object although it exists.
    written_during: Option<u64>,
}

/// The effect of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// Nothing has changed.
    None,
    /// The status has changed, but nothing that a decision depends on.
    Looks,
    /// Something that a decision may depend on has changed.
    Shape,
}

/// The source of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// An event of the watch.
    Watch,
    /// The complete list with this number.
    List {
        /// The number of the list.
        listing: u64,
    },
    /// The answer to our own call. The list with this number was the last one started by then.
    OwnCall {
        /// The number of the list.
        listing: u64,
    },
}

/// The objects that were deleted last, so that a late observation does not restore one.
///
/// An object that loses its labels looks deleted to the watch and may return. An object is therefore gone as of a
/// resourceVersion, and a later observation counts.
///
/// The watch and our own calls report the same object in any order. Only observations shortly after the deletion
/// matter, so a bounded number of entries is enough.
#[derive(Debug, Default)]
pub(super) struct Gone {
    order: VecDeque<Uid>,
    uids: HashMap<Uid, ResourceVersion>,
}

/// Merges an observation of an existing object.
pub(super) fn apply<T: Observation + PartialEq>(
    slot: &mut Option<Known<T>>,
    mut object: T,
    source: Source,
) -> Effect {
    let written_during = match source {
        Source::Watch | Source::List { .. } => None,
        Source::OwnCall { listing } => Some(listing),
    };
    let Some(known) = slot else {
        *slot = Some(Known { object, written_during });
        return Effect::Shape;
    };
    if known.object.uid() == object.uid() {
        if written_during.is_none() {
            known.written_during = None;
        }
        object.follow(&known.object);
        if object.version() < known.object.version() || object == known.object {
            return Effect::None;
        }
        let change = if object.is_equivalent(&known.object) { Effect::Looks } else { Effect::Shape };
        known.object = object;
        return change;
    }
    // Another object with the same name. The newer one counts, because resourceVersions of one kind are ordered
    // across uids. The exception is a cluster restored from a backup: there a list shows which object exists.
    let replaced = matches!(source, Source::List { listing } if known.is_disproved_by(listing));
    if !replaced && object.version() < known.object.version() {
        return Effect::None;
    }
    *slot = Some(Known { object, written_during });
    Effect::Shape
}

/// Merges the deletion of an object. A deletion of another object with the same name changes nothing.
pub(super) fn remove<T: Observation>(slot: &mut Option<Known<T>>, uid: &Uid) -> Effect {
    if slot.take_if(|known| known.object.uid() == uid).is_some() { Effect::Shape } else { Effect::None }
}

impl<T> Known<T> {
    /// Returns whether a list with this number, which does not contain the object, proves that it is gone.
    pub(super) fn is_disproved_by(&self, listing: u64) -> bool {
        self.written_during.is_none_or(|during| during < listing)
    }
}

// === impl Gone ===

impl Gone {
    /// The maximum number of entries: far more than are deleted while a late observation can arrive.
    const MAX: usize = 4096;

    /// Records that the object with this uid was gone as of this resourceVersion.
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

    /// Returns whether the object was deleted after this observation.
    pub(super) fn outdates(&self, object: &impl Observation) -> bool {
        self.uids.get(object.uid()).is_some_and(|version| object.version() <= *version)
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{
        observed::ObservedPod,
        phase::Phase,
        resize::{Resize, ResizeState},
        spec::ObservedSpec,
    };

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
            times: lifecycle::observed::PodTimes::default(),
            spec: ObservedSpec::default(),
            annotations: lifecycle::lifetime::LifetimeAnnotations::default(),
        }
    }

    /// Guards that a resize which the cluster does not report any more is done, that it stays so, and that another Pod has
    /// none.
    #[test]
    fn a_resize_that_is_over_is_done() {
        let resize = |state| Some(Box::new(Resize { state, ..Resize::DONE }));
        let with = |version, state| {
            let spec = ObservedSpec { resize: resize(state), ..ObservedSpec::default() };
            ObservedPod { spec, ..pod("a", version) }
        };
        let mut slot = None;
        let mut seen = |object: ObservedPod| {
            let effect = apply(&mut slot, object, Source::Watch);
            let state = slot.as_ref().and_then(|known| Some(known.object.spec.resize.as_ref()?.state));
            (effect, state)
        };
        assert_eq!(seen(pod("a", 1)), (Effect::Shape, None));
        let proposed = Some(ResizeState::Proposed);
        assert_eq!(seen(with(2, ResizeState::Proposed)), (Effect::Looks, proposed));
        assert_eq!(seen(pod("a", 3)), (Effect::Looks, Some(ResizeState::Done)));
        assert_eq!(seen(pod("a", 3)), (Effect::None, Some(ResizeState::Done)));
        assert_eq!(seen(pod("a", 2)), (Effect::None, Some(ResizeState::Done)), "an older observation");
        assert_eq!(seen(pod("b", 4)), (Effect::Shape, None));
    }

    /// Guards that an older observation of the same object changes nothing, and that a newer one reports its effect.
    #[test]
    fn the_newer_observation_counts() {
        let mut slot = None;
        assert_eq!(apply(&mut slot, pod("a", 5), Source::Watch), Effect::Shape);
        assert_eq!(apply(&mut slot, pod("a", 4), Source::Watch), Effect::None);
        let reason = Some(lifecycle::phase::Reason::new("Unschedulable", None).into());
        assert_eq!(apply(&mut slot, ObservedPod { reason, ..pod("a", 6) }, Source::Watch), Effect::Looks);
        let dying = ObservedPod { terminating: true, ..pod("a", 7) };
        assert_eq!(apply(&mut slot, dying, Source::Watch), Effect::Shape);
    }

    /// Guards that a late observation or deletion of an earlier object with the same name does not affect the current
    /// one.
    #[test]
    fn an_earlier_life_changes_nothing() {
        let mut slot = None;
        let _ = apply(&mut slot, pod("new", 9), Source::OwnCall { listing: 1 });
        assert_eq!(apply(&mut slot, pod("old", 8), Source::Watch), Effect::None);
        assert_eq!(remove(&mut slot, &Uid("old".into())), Effect::None);
        assert_eq!(remove(&mut slot, &Uid("new".into())), Effect::Shape);
        assert!(slot.is_none());
    }

    /// Guards that a list requested before our own write does not remove the written object. A later list does, and
    /// so does any list after the watch has shown the object.
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

    /// Guards that in a restored cluster a list determines which object exists, for any resourceVersions, except
    /// against our own write during the list.
    #[test]
    fn a_list_tells_which_life_is_present() {
        let mut slot = None;
        let _ = apply(&mut slot, pod("old", 900), Source::Watch);
        assert_eq!(apply(&mut slot, pod("new", 8), Source::Watch), Effect::None);
        assert_eq!(apply(&mut slot, pod("new", 8), Source::List { listing: 3 }), Effect::Shape);
        let mut slot = None;
        let _ = apply(&mut slot, pod("new", 9), Source::OwnCall { listing: 3 });
        assert_eq!(apply(&mut slot, pod("old", 8), Source::List { listing: 3 }), Effect::None);
    }

    /// Guards that an object is gone as of a resourceVersion: a later observation means that it returned.
    #[test]
    fn what_came_back_is_there() {
        let mut gone = Gone::default();
        gone.note(Uid("a".into()), ResourceVersion(7));
        gone.note(Uid("a".into()), ResourceVersion(6));
        assert!(gone.outdates(&pod("a", 7)));
        assert!(!gone.outdates(&pod("a", 8)));
    }

    /// Guards that the record of deletions is bounded and drops the oldest first.
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
