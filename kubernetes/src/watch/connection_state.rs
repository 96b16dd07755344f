//! What the calls of one watcher have shown and the watcher itself does not report.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fault::{CallError, Verb};

/// A failed list or watch.
#[derive(Debug)]
pub struct FailedCall {
    pub verb: Verb,
    pub error: CallError,
}

/// Stands for a [`FailedCall`] that is in the [`ConnectionState`].
///
/// It has no source on purpose: `kube` searches an error's sources for an unexpected end of the body, takes that for
/// the orderly end of the watch, and resumes without a word.
#[derive(Debug, thiserror::Error)]
#[error("the call failed")]
pub struct Recorded;

/// Written by the transport, read between the watcher's events.
#[derive(Debug, Default)]
pub struct ConnectionState(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_synced: bool,
    list_version: String,
    failure: Option<FailedCall>,
}

// === impl ConnectionState ===

impl ConnectionState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that everything the server has sent so far was received.
    pub fn set_synced(&self) {
        self.inner().is_synced = true;
    }

    /// Returns whether [`ConnectionState::set_synced`] was called since this was last asked.
    pub fn take_synced(&self) -> bool {
        std::mem::take(&mut self.inner().is_synced)
    }

    /// Records the version of a page of the list. All pages of a list have one version.
    pub fn set_list_version(&self, version: String) {
        self.inner().list_version = version;
    }

    /// Returns the version of the last list.
    pub fn list_version(&self) -> String {
        self.inner().list_version.clone()
    }

    /// Records why a call failed.
    pub fn fail(&self, verb: Verb, error: CallError) -> Recorded {
        self.inner().failure = Some(FailedCall { verb, error });
        Recorded
    }

    /// Returns why a call failed.
    pub fn take_failure(&self) -> Option<FailedCall> {
        self.inner().failure.take()
    }
}
