//! A log that a caller follows.

use std::{future::Future, time::Duration};

use futures::StreamExt as _;
use lifecycle::log::LogStream;
use tokio::{sync::OwnedSemaphorePermit, time::sleep};
use tokio_util::sync::CancellationToken;

/// How long after the end of the Pod the last lines may still arrive. The cluster ends the log itself, unless the node is
/// lost.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Returns the log until the Pod is gone or the daemon drains. It keeps the permit until then.
pub(crate) fn until(
    log: LogStream,
    gone: impl Future<Output = ()> + Send + 'static,
    draining: CancellationToken,
    permit: OwnedSemaphorePermit,
) -> LogStream {
    let end = async move {
        let over = async {
            gone.await;
            sleep(LAST_LINES).await;
        };
        tokio::select! {
            () = over => {}
            () = draining.cancelled() => {}
        }
    };
    log.take_until(Box::pin(end))
        .map(move |part| {
            let _kept = &permit;
            part
        })
        .boxed()
}

#[cfg(test)]
mod tests;
