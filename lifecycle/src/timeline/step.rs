//! The steps of a timeline.

use std::sync::Arc;

use crate::{
    lifetime::ReapReason,
    named,
    phase::Reason,
    pod_event::{PodEvent, PodEventKind},
};

/// A step in the life of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The POST arrived.
    Accepted,
    /// The Pod of an earlier sandbox with the same id was gone. The POST had to wait for that.
    PredecessorGone,
    /// The daemon began to create the objects, after the wait for its turn.
    Creating,
    /// The Pod exists.
    PodCreated,
    /// The Service exists.
    ServiceCreated,
    /// The Pod has a node.
    Scheduled,
    /// The node pulls this image. The name is empty if the Event does not contain it.
    Pulling(Arc<str>),
    /// This image is on the node.
    Pulled {
        /// The name of the image; empty if the Event does not contain it.
        image: Arc<str>,
        /// Whether it was there before.
        was_present: bool,
    },
    /// The sandbox's container runs.
    Started,
    /// The sandbox's container runs again after an exit.
    Restarted,
    /// The URL works.
    Ready,
    /// The URL works no longer.
    NotReady,
    /// The Service is gone, although the Pod exists.
    ServiceGone,
    /// The sandbox was used.
    Touched(Uses),
    /// The sandbox had a problem.
    Warning(Box<Warning>),
    /// The daemon deletes the sandbox.
    Deleting(DeleteReason),
    /// The daemon has reaped the sandbox.
    Reaped(ReapReason),
    /// The Pod is terminating.
    Terminating,
    /// The Pod is gone.
    Gone,
}

/// Uses of a sandbox without another step in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// Their number.
    pub count: u32,
    /// The time of the last one, in milliseconds since the Unix epoch. The first one is the step's time.
    pub(super) last: i64,
}

/// A problem of a sandbox, or repetitions of it without another step in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The last description.
    pub reason: Arc<Reason>,
    /// How often it came, or changed its description.
    pub count: u32,
    /// The time of the last one, in milliseconds since the Unix epoch. The first one is the step's time.
    pub(super) last: i64,
}

named! {
    /// Why the daemon deletes a sandbox that has not reached a limit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DeleteReason {
        /// A caller has sent a DELETE.
        Requested = "Requested",
        /// The Pod had no Service for longer than the grace of an orphan.
        Orphan = "Orphan",
    }
}

// === impl Step ===

impl Step {
    /// Returns the step that an Event shows. `share` returns an image's name that several timelines can share.
    #[must_use]
    pub fn of_event(event: &PodEvent, share: impl FnOnce(&str) -> Arc<str>) -> Option<Self> {
        let image = || share(event.message.split('"').nth(1).unwrap_or_default());
        match event.kind {
            PodEventKind::Pulling => Some(Self::Pulling(image())),
            PodEventKind::Pulled => {
                Some(Self::Pulled { image: image(), was_present: event.message.contains("already present") })
            }
            _ => None,
        }
    }

    /// Returns the name that callers see.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::PredecessorGone => "predecessor_gone",
            Self::Creating => "creating",
            Self::PodCreated => "pod_created",
            Self::ServiceCreated => "service_created",
            Self::Scheduled => "scheduled",
            Self::Pulling(_) => "pulling",
            Self::Pulled { .. } => "pulled",
            Self::Started => "started",
            Self::Restarted => "restarted",
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::ServiceGone => "service_gone",
            Self::Touched(_) => "touched",
            Self::Warning(_) => "warning",
            Self::Deleting(_) => "deleting",
            Self::Reaped(_) => "reaped",
            Self::Terminating => "terminating",
            Self::Gone => "gone",
        }
    }

    /// Returns the place of a step in the life of every sandbox; `None` for a step that can come at any time.
    ///
    /// The two watches are not ordered with each other or with the answers to the daemon's own calls, so a step can
    /// become known after a later one.
    pub(super) const fn rank(&self) -> Option<u8> {
        Some(match self {
            Self::Accepted => 0,
            Self::PredecessorGone => 1,
            Self::Creating => 2,
            Self::PodCreated => 3,
            Self::Scheduled => 4,
            Self::Pulling(_) | Self::Pulled { .. } => 5,
            Self::Started => 6,
            Self::Ready => 7,
            Self::Deleting(_) | Self::Reaped(_) => 8,
            Self::Terminating => 9,
            Self::Gone => 10,
            Self::ServiceCreated
            | Self::Restarted
            | Self::NotReady
            | Self::ServiceGone
            | Self::Touched(_)
            | Self::Warning(_) => return None,
        })
    }

    /// Returns whether the sandbox came closer to its start or its end by the step. Uses and warnings only happen in
    /// between.
    pub(super) const fn is_progress(&self) -> bool {
        !matches!(self, Self::Touched(_) | Self::Warning(_))
    }

    /// Returns whether the step is one of the end.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self, Self::Deleting(_) | Self::Reaped(_) | Self::Terminating | Self::Gone)
    }

    /// Returns whether this step comes after the other one in the life of every sandbox.
    pub(super) fn follows(&self, other: &Self) -> bool {
        match (other, self) {
            (Self::Pulling(image), Self::Pulled { image: pulled, .. }) => image == pulled,
            _ => other.rank().zip(self.rank()).is_some_and(|(before, after)| before < after),
        }
    }

    /// Returns whether both steps are the same one, so that the later one tells nothing new.
    pub(super) fn is_repeated_by(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Pulling(image), Self::Pulling(again))
            | (Self::Pulled { image, .. }, Self::Pulled { image: again, .. }) => image == again,
            (Self::Deleting(_), Self::Deleting(_))
            | (Self::Reaped(_), Self::Reaped(_))
            | (Self::Gone, Self::Gone) => true,
            _ => false,
        }
    }

    /// Returns the size of its texts, in bytes.
    pub(super) fn text_len(&self) -> usize {
        match self {
            Self::Pulling(image) | Self::Pulled { image, .. } => image.len(),
            Self::Warning(warning) => warning.text_len(),
            _ => 0,
        }
    }

    /// Returns the image that the step is about.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Pulling(image) | Self::Pulled { image, .. } => {
                Some(image).map(|i| &**i).filter(|i| !i.is_empty())
            }
            _ => None,
        }
    }

    /// Returns how often a step came that stands for several.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::Touched(uses) => uses.count,
            Self::Warning(warning) => warning.count,
            _ => 1,
        }
    }

    /// Returns the last time of a step that stands for several.
    pub(super) fn last(&self) -> Option<i64> {
        match self {
            Self::Touched(uses) => Some(uses.last),
            Self::Warning(warning) => Some(warning.last),
            _ => None,
        }
    }
}

// === impl Warning ===

impl Warning {
    fn text_len(&self) -> usize {
        self.reason.name.len() + self.reason.message.as_deref().map_or(0, str::len)
    }
}

// === impl DeleteReason ===

impl DeleteReason {
    /// Returns the reason as a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Requested => "a client has deleted the sandbox",
            Self::Orphan => "the sandbox's Pod had no Service",
        }
    }
}
