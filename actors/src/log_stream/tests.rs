use std::sync::Arc;

use futures::{future, stream};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Returns a log with one line that does not end.
fn endless() -> LogStream {
    stream::once(future::ready(Ok(b"line\n".to_vec()))).chain(stream::pending()).boxed()
}

async fn permits() -> (Arc<Semaphore>, OwnedSemaphorePermit) {
    let all = Arc::new(Semaphore::new(1));
    let permit = all.clone().acquire_owned().await.unwrap();
    (all, permit)
}

/// Guards that a log that Kubernetes does not end, as when the node is lost, ends soon after the Pod, and then frees
/// its permit.
#[tokio::test(start_paused = true)]
async fn it_ends_with_the_pod() {
    let (all, permit) = permits().await;
    let start = Instant::now();
    let mut log = until(endless(), sleep(MINUTE), CancellationToken::new(), permit);
    assert_eq!(log.next().await, Some(Ok(b"line\n".to_vec())));
    assert_eq!(all.available_permits(), 0);
    assert_eq!(log.next().await, None);
    assert_eq!(start.elapsed(), MINUTE + LAST_LINES);
    drop(log);
    assert_eq!(all.available_permits(), 1);
}

/// Guards that the drain ends it at once, and that without either it goes on.
#[tokio::test(start_paused = true)]
async fn it_ends_with_the_daemon() {
    let (_all, permit) = permits().await;
    let draining = CancellationToken::new();
    let mut log = until(endless(), future::pending(), draining.clone(), permit);
    assert!(log.next().await.is_some());
    assert!(timeout(MINUTE, log.next()).await.is_err());
    draining.cancel();
    assert_eq!(timeout(Duration::ZERO, log.next()).await, Ok(None));
}
