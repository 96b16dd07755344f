//! The timelines: those of existing sandboxes are in the rows of the view, those of the others are kept here for an hour.
//!
//! They are in memory only. After a restart a timeline begins with what Kubernetes' own objects and Events tell.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use lifecycle::{
    ids::SandboxId,
    lifetime::Clocks,
    timeline::{Report, Step, TEXT_MAX, Timeline},
    traits::Clock,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::recent::Recent;

/// The largest size of the texts of all timelines of existing sandboxes, in bytes. It is a tenth of what 20,000 sandboxes
/// need without timelines. Where it is used up, a new warning takes the place of an older one of its sandbox.
const TEXT_TOTAL_MAX: usize = 24 * 1024 * 1024;

/// The largest size of the texts of a timeline whose sandbox is over, in bytes: the last warnings, which say why. All 10,000
/// need at most 10 MiB.
const ENDED_TEXT_MAX: usize = 1024;

/// The number of images whose names are shared by all timelines. A cluster's sandboxes have one, or a few.
const IMAGES_MAX: usize = 16;

/// The timeline of an existing sandbox. Boxed, because rows without a Pod have none.
pub(crate) type Open = Option<Box<Timeline>>;

/// The state that all timelines share, and the timelines of sandboxes that are over.
pub(crate) struct Timelines {
    clock: Arc<dyn Clock>,
    ended: Mutex<Recent<Box<Timeline>>>,
    /// The names of the last images.
    images: Mutex<VecDeque<Arc<str>>>,
    /// The size of the texts of all open timelines, in bytes.
    text: AtomicUsize,
}

// === impl Timelines ===

impl Timelines {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ended: Mutex::default(), images: Mutex::default(), text: AtomicUsize::new(0) }
    }

    /// Begins the timeline of a sandbox that the daemon creates for a POST that arrived at this time.
    pub(crate) fn begin(&self, id: &SandboxId, open: &mut Open, received: std::time::Instant) {
        // Another attempt of the same create.
        if open.as_ref().is_some_and(|timeline| timeline.pod().is_none()) {
            return;
        }
        self.end(id, open);
        let mut ended = self.ended.lock();
        let predecessor = ended.get_mut(id).map(|timeline| &**timeline);
        *open = Some(Timeline::of_request(received, predecessor, self.clocks()).into());
    }

    /// Changes a timeline, which begins now if there is none yet. The change gets the size that its texts may have.
    pub(crate) fn change(&self, open: &mut Open, change: impl FnOnce(&mut Timeline, Clocks, usize)) {
        let clocks = self.clocks();
        let timeline = open.get_or_insert_with(|| Timeline::new(clocks).into());
        let before = timeline.text_len();
        let left = TEXT_TOTAL_MAX.saturating_sub(self.text.load(Ordering::Relaxed));
        change(timeline, clocks, TEXT_MAX.min(before + left));
        self.text.fetch_add(timeline.text_len(), Ordering::Relaxed);
        self.text.fetch_sub(before, Ordering::Relaxed);
    }

    /// Ends a timeline. It is kept for an hour if callers have seen its sandbox.
    pub(crate) fn end(&self, id: &SandboxId, open: &mut Open) {
        let Some(mut timeline) = open.take() else { return };
        self.text.fetch_sub(timeline.text_len(), Ordering::Relaxed);
        if timeline.is_shown() {
            timeline.shrink_to(ENDED_TEXT_MAX);
            self.ended.lock().insert(id, timeline);
        }
    }

    /// Adds a step that happens now.
    pub(crate) fn record(&self, open: &mut Open, step: Step) {
        self.change(open, |timeline, clocks, text_max| timeline.record(step, None, clocks, text_max));
    }

    /// Adds a step to the last timeline that has ended.
    pub(crate) fn record_late(&self, id: &SandboxId, step: Step) {
        let clocks = self.clocks();
        if let Some(timeline) = self.ended.lock().get_mut(id) {
            timeline.record(step, None, clocks, ENDED_TEXT_MAX);
        }
    }

    /// Reports a timeline as of now.
    pub(crate) fn report(&self, timeline: &Timeline) -> Report {
        timeline.report(self.clocks())
    }

    /// Reports the last timeline that has ended.
    pub(crate) fn report_ended(&self, id: &SandboxId) -> Option<Report> {
        let mut ended = self.ended.lock();
        ended.get_mut(id).map(|timeline| self.report(timeline))
    }

    /// Returns the name of an image, which timelines share.
    pub(crate) fn share_image(&self, name: &str) -> Arc<str> {
        let mut images = self.images.lock();
        if let Some(known) = images.iter().find(|known| ***known == *name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        images.push_back(name.clone());
        if images.len() > IMAGES_MAX {
            images.pop_front();
        }
        name
    }

    fn clocks(&self) -> Clocks {
        Clocks { monotonic: Instant::now().into_std(), wall: self.clock.wall() }
    }
}

#[cfg(test)]
mod tests;
