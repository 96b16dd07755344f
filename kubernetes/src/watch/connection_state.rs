//! The results of a watcher's calls that the watcher itself does not report.

use parking_lot::Mutex;

use crate::fault::{CallError, Verb};

/// A failed list or watch.
#[derive(Debug)]
pub struct FailedCall {
    pub verb: Verb,
    pub error: CallError,
}

/// The error that `kube` gets for a [`FailedCall`] in the [`ConnectionState`].
///
/// It has no source on purpose: `kube` searches an error's sources for an unexpected end of the body, treats that as the
/// orderly end of the watch, and resumes silently.
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
    unreadable: Vec<String>,
    failure: Option<FailedCall>,
}

// === impl ConnectionState ===

impl ConnectionState {
    /// Records that everything the server has sent so far was received.
    pub fn set_synced(&self) {
        self.0.lock().is_synced = true;
    }

    /// Returns whether [`ConnectionState::set_synced`] was called since this was last asked.
    pub fn take_synced(&self) -> bool {
        std::mem::take(&mut self.0.lock().is_synced)
    }

    /// Records the version of a page of the list. All pages of a list have one version.
    pub fn set_list_version(&self, version: String) {
        self.0.lock().list_version = version;
    }

    /// Returns the version of the last list.
    pub fn list_version(&self) -> String {
        self.0.lock().list_version.clone()
    }

    /// Records that the list has an object of this name that was not read.
    pub fn add_unreadable(&self, name: String) {
        self.0.lock().unreadable.push(name);
    }

    /// Returns the names of the objects of the last list that were not read.
    pub fn take_unreadable(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unreadable)
    }

    /// Records why a call failed.
    pub fn fail(&self, verb: Verb, error: CallError) -> Recorded {
        self.0.lock().failure = Some(FailedCall { verb, error });
        Recorded
    }

    /// Returns why a call failed.
    pub fn take_failure(&self) -> Option<FailedCall> {
        self.0.lock().failure.take()
    }
}
