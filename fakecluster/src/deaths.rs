//! The end of a process in the middle of its work.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Whether the last write of a process takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// It does not.
    Before,
    /// It does, and the process does not see the answer.
    After,
}

/// The writes of a process to all clusters, with the one at which it ends.
#[derive(Debug, Default)]
pub struct Writes {
    count: AtomicU64,
    end: Mutex<Option<(u64, Death)>>,
    is_dead: Mutex<bool>,
    died: Notify,
}

impl Writes {
    /// Returns the number of writes so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Lets the process end at this write, counted from the next one, which is 1.
    pub fn die_at(&self, write: u64, death: Death) {
        *self.end.lock() = Some((self.count() + write, death));
    }

    /// Starts the record of another process.
    pub fn revive(&self) {
        *self.end.lock() = None;
        *self.is_dead.lock() = false;
    }

    /// Waits until the process has ended because of [`Writes::die_at`].
    pub async fn died(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.is_dead.lock()
    }

    /// Counts a write. Returns how the process ends with it, if it does.
    pub(crate) fn next(&self) -> Option<Death> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let death = self.end.lock().filter(|(at, _)| *at == number).map(|(_, death)| death);
        if death.is_some() {
            *self.is_dead.lock() = true;
            self.died.notify_waiters();
            self.died.notify_one();
        }
        death
    }
}
