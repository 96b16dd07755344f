//! The loop that accepts the connections of a listener.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The delay after a failed accept, so that a lack of file descriptors does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and serves each in its own task, until `shutdown` completes.
pub(crate) async fn accept<F>(
    listener: &TcpListener,
    serve: impl Fn(TcpStream) -> F,
    shutdown: impl Future<Output = ()> + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small responses must not wait for a delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream));
    }
}
