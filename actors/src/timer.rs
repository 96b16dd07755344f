//! The timer: one task that waits for the next deadline of all sandboxes.

use std::collections::HashMap;

use futures::StreamExt as _;
use lifecycle::ids::SandboxId;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::time::{DelayQueue, delay_queue::Key};

/// A handle that sets the deadlines of sandboxes. It is cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Timer {
    requests: mpsc::UnboundedSender<(SandboxId, Option<Instant>)>,
}

/// The receiving end of the timer's channel, for [`run`].
pub(crate) type Requests = mpsc::UnboundedReceiver<(SandboxId, Option<Instant>)>;

// === impl Timer ===

impl Timer {
    pub(crate) fn new() -> (Self, Requests) {
        let (requests, receiver) = mpsc::unbounded_channel();
        (Self { requests }, receiver)
    }

    /// Sets the sandbox's deadline and replaces an earlier one.
    pub(crate) fn set(&self, id: SandboxId, at: Instant) {
        let _ = self.requests.send((id, Some(at)));
    }

    /// Removes the sandbox's deadline.
    pub(crate) fn forget(&self, id: SandboxId) {
        let _ = self.requests.send((id, None));
    }
}

/// Calls `due` for every sandbox whose deadline has passed, until every [`Timer`] is gone.
pub(crate) async fn run(mut requests: Requests, due: impl Fn(SandboxId)) {
    let mut queue = DelayQueue::new();
    let mut keys: HashMap<SandboxId, Key> = HashMap::new();
    loop {
        tokio::select! {
            // A fixed order, so that simulations are reproducible.
            biased;
            request = requests.recv() => match request {
                Some((id, Some(at))) => {
                    if let Some(key) = keys.get(&id) {
                        queue.reset_at(key, at);
                    } else {
                        let key = queue.insert_at(id.clone(), at);
                        keys.insert(id, key);
                    }
                }
                Some((id, None)) => {
                    if let Some(key) = keys.remove(&id) {
                        queue.remove(&key);
                    }
                }
                None => return,
            },
            Some(expired) = queue.next() => {
                let id = expired.into_inner();
                keys.remove(&id);
                due(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(text: &str) -> SandboxId {
        SandboxId::parse(text).unwrap()
    }

    /// Guards that each sandbox is due once, in order of time, at its last deadline, and that a removed deadline is
    /// not due.
    #[tokio::test(start_paused = true)]
    async fn sandboxes_are_due_in_order_at_their_last_deadline() {
        let (timer, requests) = Timer::new();
        let start = Instant::now();
        for (name, seconds) in [("a", 30), ("b", 20), ("a", 10), ("c", 5)] {
            timer.set(id(name), start + Duration::from_secs(seconds));
        }
        timer.forget(id("c"));
        let (told, mut woken) = mpsc::unbounded_channel();
        let task =
            tokio::spawn(run(requests, move |id| told.send((id.to_string(), start.elapsed())).unwrap()));
        assert_eq!(woken.recv().await.unwrap(), ("a".to_owned(), Duration::from_secs(10)));
        assert_eq!(woken.recv().await.unwrap(), ("b".to_owned(), Duration::from_secs(20)));
        drop(timer);
        task.await.unwrap();
        assert_eq!(woken.recv().await, None);
    }
}
