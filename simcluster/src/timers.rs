//! Times at which a task has something to do.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// A planned time. The number orders equal times as they were planned.
pub(crate) type Due = (Instant, u64);

/// Values with the times at which they are due.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    due: BTreeMap<Due, T>,
    planned: u64,
}

// === impl Timers ===

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), planned: 0 }
    }
}

impl<T> Timers<T> {
    /// Plans a value.
    pub fn plan(&mut self, wait: Duration, value: T) -> Due {
        self.planned += 1;
        let due = (Instant::now() + wait, self.planned);
        self.due.insert(due, value);
        due
    }

    pub fn cancel(&mut self, due: Due) {
        self.due.remove(&due);
    }

    /// Cancels the values that do not match.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.due.retain(|_, value| keep(value));
    }

    /// Takes the first value that is due.
    pub fn pop(&mut self) -> Option<T> {
        let first = self.due.first_entry()?;
        (first.key().0 <= Instant::now()).then(|| first.remove())
    }

    /// Returns when the next value is due.
    pub fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }
}

/// Waits until a time; for ever without one.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
