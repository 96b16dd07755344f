//! The log of the changes that callers can see, for any number of readers.
//!
//! The log has the last changes in order, and the last change of each sandbox that exists. The latter are the present
//! state: a client that applies them in order knows what a LIST would tell it. A reader is only a [`Cursor`], so a slow
//! one costs nothing. One that is too late for the last changes reads the present state again.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    num::ParseIntError,
    str::FromStr,
    sync::Arc,
};

use lifecycle::ids::SandboxId;
use parking_lot::{Mutex, MutexGuard};

use super::change::{Change, ChangeKind, Visible};
use crate::reap_log::Reaped;

/// The number of changes that are kept: those of a busy minute. A client that reconnects within it misses nothing.
pub(super) const CAPACITY: usize = 4096;

/// The log.
pub(super) struct ChangeLog {
    epoch: u32,
    records: Mutex<Records>,
}

/// A position in the log, as clients send it back after a disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// A random number of this process. A position of another process is unknown.
    epoch: u32,
    /// The number of the last change before it.
    number: u64,
}

/// The text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a position in the log")]
pub struct PositionError;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the present state.
    Present,
    /// With the first change after this position.
    After(Position),
    /// With a reset, because the client's position cannot be read.
    Reset,
}

/// The place of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursor {
    /// The reader has missed changes, and begins again.
    Reset,
    /// It reads the present state: the last changes with numbers above `after` and up to `until`.
    Present { after: u64, until: u64 },
    /// It reads the changes after this number. At `complete`, its copy is complete.
    Changes { after: u64, complete: Option<u64> },
    /// It follows a sandbox that does not exist. Its copy is complete, unless `incomplete` is set.
    Absent { incomplete: bool },
    /// It has read the end of its sandbox.
    Ended,
}

/// The next item for a reader.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// A change.
    Change(Arc<Change>),
    /// Changes were missed. The present state follows.
    Reset,
    /// A client that has applied everything up to this change has a complete copy.
    Synced(u64),
    /// Nothing at present.
    Nothing,
    /// Nothing any more.
    Ended,
}

#[derive(Default)]
struct Records {
    capacity: usize,
    /// The number of the last change.
    last: u64,
    /// The last changes, with consecutive numbers.
    recent: VecDeque<Arc<Change>>,
    /// The last change of each sandbox that exists, and of those whose end is among the recent changes.
    latest: HashMap<SandboxId, Arc<Change>>,
    /// The last change of each sandbox that exists, by its number.
    present: BTreeMap<u64, Arc<Change>>,
    /// The sandboxes that are being reaped, until their end.
    reaping: HashMap<SandboxId, Reaped>,
    closed: bool,
}

// === impl ChangeLog ===

impl ChangeLog {
    pub(super) fn new(capacity: usize) -> Self {
        Self { epoch: fastrand::u32(..), records: Mutex::new(Records { capacity, ..Records::default() }) }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock()
    }

    /// Adds what a caller now sees of the sandbox. Returns whether this is a change.
    ///
    /// `look` runs under the lock, so that of two changes at the same time the one that is added last has seen both.
    /// It may lock a row; this must not be called with a locked row.
    pub(super) fn publish(&self, id: &SandboxId, look: impl FnOnce() -> Visible) -> bool {
        let mut records = self.records();
        let visible = look();
        records.append(id, visible)
    }

    /// Records that the sandbox is being reaped: its end, if it comes, is this reap.
    pub(super) fn reap_started(&self, id: &SandboxId, reaped: Reaped) {
        self.records().reaping.insert(id.clone(), reaped);
    }

    /// Records that the reap has failed, or that its outcome is unknown.
    pub(super) fn reap_failed(&self, id: &SandboxId) {
        self.records().reaping.remove(id);
    }

    /// Records a reap. Returns whether this is a change: the sandbox was known to be gone, and not why.
    pub(super) fn reaped(&self, id: &SandboxId, reaped: Reaped) -> bool {
        let mut records = self.records();
        match records.latest.get(id).map(|change| change.visible.is_gone()) {
            Some(true) => records.append(id, Visible::Gone(Some(reaped))),
            Some(false) => {
                records.reaping.insert(id.clone(), reaped);
                false
            }
            None => false,
        }
    }

    /// Ends all readers.
    pub(super) fn close(&self) {
        self.records().closed = true;
    }

    /// Returns the position after the last change.
    pub(super) fn last_position(&self) -> Position {
        let number = self.records().last;
        self.position(number)
    }

    pub(super) fn position(&self, number: u64) -> Position {
        Position { epoch: self.epoch, number }
    }

    /// Returns the place of a new reader about all sandboxes.
    pub(super) fn cursor(&self, start: Start) -> Cursor {
        self.records().cursor(start, self.epoch)
    }

    /// Returns the place of a new reader about one sandbox; `None` if it does not exist, and the reader knows that.
    pub(super) fn cursor_of(&self, id: &SandboxId, start: Start) -> Option<Cursor> {
        let records = self.records();
        let cursor = records.cursor(start, self.epoch);
        let latest = records.latest.get(id)?;
        let has_missed = matches!(cursor, Cursor::Changes { after, .. } if after < latest.number);
        (has_missed || !latest.visible.is_gone()).then_some(cursor)
    }

    /// Returns whether a reader about one sandbox that begins after this position reads changes that it has missed.
    pub(super) fn has_missed(&self, id: &SandboxId, position: Position) -> bool {
        let records = self.records();
        let number = records.latest.get(id).map_or(0, |latest| latest.number);
        matches!(records.cursor(Start::After(position), self.epoch), Cursor::Changes { after, .. } if after < number)
    }

    /// Returns the last change of the sandbox; `None` if it does not exist.
    pub(super) fn latest(&self, id: &SandboxId) -> Option<Arc<Change>> {
        let latest = self.records().latest.get(id).cloned()?;
        (!latest.visible.is_gone()).then_some(latest)
    }

    /// Reads on about one sandbox, which may not exist. The reader does not end with it.
    pub(super) fn follow(&self, cursor: &mut Cursor, id: &SandboxId) -> Next {
        let records = self.records();
        if records.closed { Next::Ended } else { records.follow(cursor, id) }
    }

    /// Reads on, about one sandbox or about all.
    pub(super) fn next(&self, cursor: &mut Cursor, only: Option<&SandboxId>) -> Next {
        let records = self.records();
        if records.closed {
            return Next::Ended;
        }
        match only {
            Some(id) => records.next_of(cursor, id),
            None => records.next(cursor),
        }
    }
}

// === impl Records ===

impl Records {
    /// Returns the number of the oldest recent change, or of the next one if there is none.
    fn oldest(&self) -> u64 {
        self.last + 1 - self.recent.len() as u64
    }

    /// Returns the recent change with this number.
    fn recent(&self, number: u64) -> Option<&Arc<Change>> {
        let index = number.checked_sub(self.oldest())?;
        self.recent.get(usize::try_from(index).ok()?)
    }

    fn cursor(&self, start: Start, epoch: u32) -> Cursor {
        match start {
            Start::Present => Cursor::Present { after: 0, until: self.last },
            Start::After(position)
                if position.epoch == epoch && (self.oldest() - 1..=self.last).contains(&position.number) =>
            {
                Cursor::Changes { after: position.number, complete: Some(self.last) }
            }
            Start::After(_) | Start::Reset => Cursor::Reset,
        }
    }

    fn append(&mut self, id: &SandboxId, mut visible: Visible) -> bool {
        let before = self.latest.get(id);
        let was_gone = before.is_none_or(|before| before.visible.is_gone());
        if let Visible::Gone(reaped) = &mut visible
            && !was_gone
        {
            *reaped = reaped.or(self.reaping.remove(id));
        }
        let unknown = Visible::Gone(None);
        let shown = before.map_or(&unknown, |before| &before.visible);
        let Some(kind) = ChangeKind::between(shown, &visible) else { return false };
        let previous = before.map_or(0, |before| before.number);

        self.last += 1;
        let is_gone = visible.is_gone();
        let change = Arc::new(Change::new(self.last, previous, id.clone(), kind, visible));
        self.present.remove(&previous);
        if !is_gone {
            self.present.insert(self.last, change.clone());
        }
        if was_gone {
            self.reaping.remove(id);
        }
        self.latest.insert(id.clone(), change.clone());
        self.recent.push_back(change);
        if self.recent.len() > self.capacity
            && let Some(old) = self.recent.pop_front()
            && old.visible.is_gone()
            && self.latest.get(&old.id).is_some_and(|latest| latest.number == old.number)
        {
            self.latest.remove(&old.id);
        }
        true
    }

    /// Reads on about all sandboxes.
    fn next(&self, cursor: &mut Cursor) -> Next {
        loop {
            match cursor {
                Cursor::Ended | Cursor::Absent { .. } => return Next::Ended,
                Cursor::Reset => {
                    *cursor = Cursor::Present { after: 0, until: self.last };
                    return Next::Reset;
                }
                // A sandbox that was read and is gone since has its end after `until`. If that is no longer kept, the
                // copy would keep the sandbox.
                Cursor::Present { until, .. } if *until + 1 < self.oldest() => *cursor = Cursor::Reset,
                Cursor::Present { after, until } => {
                    // A sandbox that has changed since has its change after `until`, so it comes later.
                    if let Some((number, change)) = self.present.range(*after + 1..).next()
                        && number <= until
                    {
                        *after = *number;
                        return Next::Change(change.clone());
                    }
                    *cursor = Cursor::Changes { after: *until, complete: Some(self.last) };
                }
                Cursor::Changes { after, complete } => {
                    if complete.take_if(|complete| *complete <= *after).is_some() {
                        return Next::Synced(*after);
                    }
                    if *after == self.last {
                        return Next::Nothing;
                    }
                    let Some(change) = self.recent(*after + 1) else {
                        *cursor = Cursor::Reset;
                        continue;
                    };
                    *after += 1;
                    return Next::Change(change.clone());
                }
            }
        }
    }

    /// Reads on about one sandbox.
    fn next_of(&self, cursor: &mut Cursor, id: &SandboxId) -> Next {
        let latest = self.latest.get(id);
        match cursor {
            Cursor::Ended | Cursor::Absent { .. } => Next::Ended,
            Cursor::Reset => {
                *cursor = Cursor::Present { after: 0, until: self.last };
                Next::Reset
            }
            Cursor::Present { .. } => {
                let Some(change) = latest else {
                    *cursor = Cursor::Ended;
                    return Next::Ended;
                };
                *cursor = after(change, Some(change.number));
                Next::Change(change.clone())
            }
            Cursor::Changes { after: read, complete } => {
                // Its end is no longer kept.
                let Some(latest) = latest else {
                    *cursor = Cursor::Reset;
                    return self.next_of(cursor, id);
                };
                if latest.number <= *read {
                    *read = self.last;
                    return if complete.take().is_some() { Next::Synced(self.last) } else { Next::Nothing };
                }
                let mut change = latest;
                while change.previous > *read {
                    let Some(earlier) = self.recent(change.previous) else {
                        *cursor = Cursor::Reset;
                        return self.next_of(cursor, id);
                    };
                    change = earlier;
                }
                *cursor = after(change, *complete);
                Next::Change(change.clone())
            }
        }
    }

    /// Reads on about one sandbox, which may not exist.
    fn follow(&self, cursor: &mut Cursor, id: &SandboxId) -> Next {
        let latest = self.latest.get(id);
        let shown = latest.filter(|change| !change.visible.is_gone());
        match (*cursor, shown) {
            // Changes while the sandbox did not exist for the reader have no effect on its copy.
            (Cursor::Absent { incomplete }, Some(change)) => {
                let complete = incomplete.then_some(change.number);
                *cursor = Cursor::Changes { after: change.number, complete };
                return Next::Change(change.clone());
            }
            (Cursor::Absent { incomplete: true } | Cursor::Present { .. }, None) => {
                *cursor = Cursor::Absent { incomplete: false };
                return Next::Synced(self.last);
            }
            (Cursor::Absent { incomplete: false }, None) => return Next::Nothing,
            // The sandbox does not exist, and there was no change of it since the reader's place.
            (Cursor::Changes { after: read, complete }, None)
                if latest.map_or(read + 1 >= self.oldest(), |gone| gone.number <= read) =>
            {
                *cursor = Cursor::Absent { incomplete: complete.is_some() };
                return self.follow(cursor, id);
            }
            _ => {}
        }
        let complete = match *cursor {
            Cursor::Changes { complete, .. } => complete,
            _ => None,
        };
        let next = self.next_of(cursor, id);
        if *cursor == Cursor::Ended {
            *cursor = Cursor::Absent { incomplete: complete.is_some() };
        }
        next
    }
}

/// Returns the place of a reader of one sandbox that has read this change.
fn after(change: &Change, complete: Option<u64>) -> Cursor {
    if change.visible.is_gone() { Cursor::Ended } else { Cursor::Changes { after: change.number, complete } }
}

// === impl Position ===

impl Position {
    /// Returns whether both are positions in the same log.
    #[must_use]
    pub fn is_of_the_log_of(self, other: Self) -> bool {
        self.epoch == other.epoch
    }

    /// Returns the position before the first change of the same log.
    #[must_use]
    pub fn beginning(self) -> Self {
        Self { number: 0, ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.epoch, self.number)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, number) = text.split_once('-').ok_or(PositionError)?;
        let parsed = || {
            let epoch = u32::from_str_radix(epoch, 16)?;
            Ok::<_, ParseIntError>(Self { epoch, number: number.parse()? })
        };
        parsed().ok().filter(|position| position.to_string() == text).ok_or(PositionError)
    }
}

#[cfg(test)]
mod tests;
