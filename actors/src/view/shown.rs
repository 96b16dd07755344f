//! The answer to a GET of a sandbox, kept until the sandbox's row changes.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use lifecycle::observed::Status;

use super::row::Row;

/// The status of a sandbox, and the answer that a reader has written of it. Readers share both.
#[derive(Debug)]
pub struct Shown {
    status: Status,
    answer: OnceLock<Bytes>,
}

/// A row in the map of all rows. Mutable access to the row drops the kept status.
#[derive(Debug, Default)]
pub(super) struct RowCell {
    row: Row,
    shown: OnceLock<Arc<Shown>>,
}

// === impl Shown ===

impl Shown {
    /// Returns the answer that an earlier reader has written; the first one calls `write`. It must depend on nothing but the
    /// sandbox's id and the status.
    ///
    /// # Errors
    /// If `write` fails. The next reader calls it again.
    pub fn answer<E>(&self, write: impl FnOnce(&Status) -> Result<Bytes, E>) -> Result<Bytes, E> {
        if let Some(answer) = self.answer.get() {
            return Ok(answer.clone());
        }
        let answer = write(&self.status)?;
        Ok(self.answer.get_or_init(|| answer).clone())
    }
}

impl From<Status> for Shown {
    fn from(status: Status) -> Self {
        Self { status, answer: OnceLock::new() }
    }
}

impl Deref for Shown {
    type Target = Status;

    fn deref(&self) -> &Status {
        &self.status
    }
}

/// Equal statuses have equal answers.
impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
    }
}

impl Eq for Shown {}

// === impl RowCell ===

impl RowCell {
    /// Returns what a GET shows of the sandbox; `complete` makes the status that callers see of the row's.
    pub(super) fn shown(&self, complete: impl FnOnce(Status) -> Status) -> Option<Arc<Shown>> {
        if let Some(shown) = self.shown.get() {
            return Some(shown.clone());
        }
        let shown = Arc::new(Shown::from(complete(self.row.status()?)));
        // The state of a workspace is not in the row.
        if shown.spec.workspace.is_some() {
            return Some(shown);
        }
        Some(self.shown.get_or_init(|| shown).clone())
    }
}

impl From<Row> for RowCell {
    fn from(row: Row) -> Self {
        Self { row, shown: OnceLock::new() }
    }
}

impl Deref for RowCell {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}

impl DerefMut for RowCell {
    fn deref_mut(&mut self) -> &mut Row {
        self.shown.take();
        &mut self.row
    }
}

#[cfg(test)]
mod tests;
