//! The entries of one timeline: in order of time, and bounded in number and size.

use std::sync::Arc;

use super::step::{Step, Uses, Warning};
use crate::phase::Reason;

/// The largest number of entries: the steps of a start and an end, and a few dozen that repeat.
pub(super) const ENTRIES_MAX: usize = 48;

/// How many entries are allocated at once. A usual sandbox has eight from its POST to readiness.
const GROWTH: usize = 4;

/// The entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    /// The size of all texts, in bytes.
    text: usize,
    /// The number of entries that were dropped.
    omitted: u32,
}

/// A step and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// In milliseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) step: Step,
}

// === impl Entries ===

impl Entries {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        self.list.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn text_len(&self) -> usize {
        self.text
    }

    pub(super) fn omitted(&self) -> u32 {
        self.omitted
    }

    /// Returns whether a step with this rank is among the entries.
    pub(super) fn has_rank(&self, rank: Option<u8>) -> bool {
        rank.is_some() && self.list.iter().any(|entry| entry.step.rank() == rank)
    }

    /// Inserts a step. One that every sandbox has comes after the steps before it and before those after it, whenever
    /// it becomes known; all others come last. So do its repetitions.
    pub(super) fn insert(&mut self, step: Step, at: i64, text_max: usize) {
        if self.list.iter().any(|entry| entry.step.is_repeated_by(&step)) {
            return;
        }
        let is_pull = matches!(step, Step::Pulling(_) | Step::Pulled { .. });
        let (index, at) = if step.rank().is_some() && (is_pull || !self.has_rank(step.rank())) {
            self.place(&step, at)
        } else {
            (self.list.len(), at.max(self.end()))
        };
        self.text += step.text_len();
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact(GROWTH);
        }
        self.list.insert(index, Entry { at, step });
        self.shrink_to(text_max);
    }

    /// Returns where a step belongs, and its time, which is not before that of an earlier step and not after that of a
    /// later one.
    fn place(&self, step: &Step, at: i64) -> (usize, i64) {
        let first = self.list.iter().position(|entry| entry.step.follows(step)).unwrap_or(self.list.len());
        let earlier = self.list[..first].iter().rfind(|entry| step.follows(&entry.step));
        let at = at.max(earlier.map_or(i64::MIN, |entry| entry.at));
        let at = at.min(self.list.get(first).map_or(i64::MAX, |entry| entry.at));
        let index = self.list[..first].iter().position(|entry| entry.at > at).unwrap_or(first);
        (index, at)
    }

    /// Returns the time of the last entry.
    fn end(&self) -> i64 {
        self.list.last().map_or(i64::MIN, |entry| entry.at)
    }

    /// Adds a use, to those since the last other step if there are some.
    pub(super) fn touch(&mut self, at: i64, text_max: usize) {
        let at = at.max(self.end());
        let found = self.recent().find_map(|step| match step {
            Step::Touched(uses) => Some(uses),
            _ => None,
        });
        if let Some(uses) = found {
            *uses = Uses { count: uses.count.saturating_add(1), last: at.max(uses.last) };
        } else {
            self.insert(Step::Touched(Uses { count: 1, last: at }), at, text_max);
        }
    }

    /// Adds a warning, to one of the same name since the last other step if there is one.
    pub(super) fn warn(&mut self, reason: Arc<Reason>, at: i64, text_max: usize) {
        let at = at.max(self.end());
        let found = self.recent().find_map(|step| match step {
            Step::Warning(warning) if warning.reason.name == reason.name => Some(warning),
            _ => None,
        });
        let Some(warning) = found else {
            let warning = Warning { reason, count: 1, last: at };
            return self.insert(Step::Warning(Box::new(warning)), at, text_max);
        };
        // The log of an exit comes after the exit.
        let has_more_words = reason.exit.is_some() && reason.exit == warning.reason.exit;
        let count = warning.count.saturating_add(u32::from(!has_more_words));
        **warning = Warning { reason, count, last: at.max(warning.last) };
        self.text = self.list.iter().map(|entry| entry.step.text_len()).sum();
        self.shrink_to(text_max);
    }

    /// Returns the uses and warnings since the last other step, the newest first.
    fn recent(&mut self) -> impl Iterator<Item = &mut Step> {
        self.list.iter_mut().rev().map(|entry| &mut entry.step).take_while(|step| !step.is_progress())
    }

    /// Drops entries until they are within the limits: first uses and warnings, the oldest first. The steps that each start
    /// and each end has stay.
    pub(super) fn shrink_to(&mut self, text_max: usize) {
        while self.list.len() > ENTRIES_MAX || self.text > text_max {
            let must_free_text = self.text > text_max;
            let candidates = self.list.iter().enumerate().filter_map(|(index, entry)| {
                let worth = self.worth(index)?;
                (!must_free_text || entry.step.text_len() > 0).then_some((worth, index))
            });
            let Some((_, index)) = candidates.min() else { return };
            self.text -= self.list.remove(index).step.text_len();
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Returns how much an entry matters; `None` for one that stays.
    fn worth(&self, index: usize) -> Option<u8> {
        let step = &self.list[index].step;
        let is_first = || !self.list[..index].iter().any(|before| before.step.name() == step.name());
        match step {
            Step::Touched(_) | Step::Warning(_) => Some(0),
            Step::Pulling(_) | Step::Pulled { .. } => Some(2),
            Step::NotReady | Step::Restarted | Step::ServiceGone => Some(1),
            _ if is_first() => None,
            _ => Some(1),
        }
    }
}
