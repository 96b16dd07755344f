//! The events of one `kube_runtime` watcher, and the times at which its state is up to date.

use std::{future::poll_fn, sync::Arc};

use futures::{StreamExt, stream::BoxStream};
use kube::Api;
use kube_runtime::watcher::{self, Config, Event, watcher};

use super::{
    connection_state::{ConnectionState, FailedCall},
    page_size::{self, PageSize},
    transport,
};
use crate::{
    connect::{Connection, WATCH_TIMEOUT},
    fault::{CallError, Verb},
    object::WatchedObject,
};

/// One watcher. Drop it at its first error: it would resume the watch, which proves nothing until the next event or
/// bookmark, while a list proves the state at once.
pub struct Events<K> {
    watcher: BoxStream<'static, watcher::Result<Event<K>>>,
    state: Arc<ConnectionState>,
}

// === impl Events ===

impl<K: WatchedObject> Events<K> {
    /// Creates a watcher of the objects that `selected` selects. It makes no call before [`Events::next`].
    pub fn new(connection: &Connection, page_size: &PageSize, selected: Config) -> Self {
        let state = Arc::<ConnectionState>::default();
        let client = transport::client(connection, &state, page_size);
        let seconds = u32::try_from(WATCH_TIMEOUT.as_secs()).unwrap_or(u32::MAX);
        // The list is read from the cluster's store, not from a cache that may lag behind (the default): a restart
        // never goes back in time.
        let config = selected.page_size(page_size::MAX).timeout(seconds);
        let api = Api::namespaced(client, connection.namespace());
        Self { watcher: watcher(api, config).boxed(), state }
    }

    /// Waits for the next event. Calls `synced` whenever all events that the server sent so far have been returned.
    ///
    /// That is when the body proved that everything was received, and the watcher is pending: it waits for the server
    /// only after it has returned each event of the frames that it took from the body.
    ///
    /// # Errors
    /// Returns the failed list or watch. No later event can be trusted.
    pub async fn next(&mut self, mut synced: impl FnMut()) -> Result<Event<K>, FailedCall> {
        let event = poll_fn(|cx| {
            let event = self.watcher.poll_next_unpin(cx);
            if event.is_pending() && self.state.take_synced() {
                synced();
            }
            event
        });
        match event.await {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.state.take_failure().unwrap_or_else(|| unreadable(error))),
            None => Err(FailedCall { verb: Verb::Watch, error: CallError::Closed }),
        }
    }

    /// Returns the version of the last list.
    pub fn list_version(&self) -> String {
        self.state.list_version()
    }

    /// Returns the names of the objects of the last list that were too large to be read.
    pub fn take_unreadable(&self) -> Vec<String> {
        self.state.take_unreadable()
    }
}

/// Converts an error that is not recorded by the connection: an error event, or data that cannot be parsed.
fn unreadable(error: watcher::Error) -> FailedCall {
    match error {
        watcher::Error::WatchError(status) => {
            let error = CallError::Answered { code: status.code, status: Some(status), retry_after: None };
            FailedCall { verb: Verb::Watch, error }
        }
        watcher::Error::InitialListFailed(_) => FailedCall { verb: Verb::List, error: CallError::Unreadable },
        watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => FailedCall { verb: Verb::Watch, error: CallError::Unreadable },
    }
}
