//! Reports when the cluster state becomes stale, and when it is fresh again: in the log and to the event streams.

use std::{sync::Arc, time::Duration};

use actors::view::View;
use lifecycle::traits::Kind;
use tokio::time::{Instant, sleep};

/// How often the state is checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reports each change while it is polled, and calls `is_back` when the state is fresh again. It never ends by itself.
///
/// The first list is reported by the readiness check and by the failures of the watch. The state can be stale only after
/// it.
pub(super) async fn report(view: Arc<View>, is_back: impl Fn()) {
    until(&view, true).await;
    // With several clusters, a stream may have started without this one.
    view.wake_readers();
    loop {
        until(&view, false).await;
        view.wake_readers();
        let since = Instant::now();
        let why: Vec<_> = [Kind::Pod, Kind::Service]
            .into_iter()
            .filter_map(|kind| view.unready_reason(kind).map(|why| format!("{kind:?}s: {why}")))
            .collect();
        tracing::warn!(
            why = why.join("; "),
            "cluster state is stale: requests for its sandboxes are answered 503 until it is fresh"
        );
        until(&view, true).await;
        view.wake_readers();
        tracing::info!(stale_for = since.elapsed().as_secs(), "cluster state is fresh again");
        is_back();
    }
}

async fn until(view: &View, fresh: bool) {
    while view.is_fresh() != fresh {
        sleep(INTERVAL).await;
    }
}
