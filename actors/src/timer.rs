//! One task that sleeps until the next of all deadlines.

use lifecycle::{deadlines::Deadlines, ids::SandboxId};
use tokio::{sync::mpsc, time::Instant};

/// Where actors leave word of when they want to be woken. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Timer {
    wishes: mpsc::UnboundedSender<(SandboxId, Option<Instant>)>,
}

/// The other end, until [`run`] takes it.
pub(crate) type Wishes = mpsc::UnboundedReceiver<(SandboxId, Option<Instant>)>;

// === impl Timer ===

impl Timer {
    pub(crate) fn new() -> (Self, Wishes) {
        let (wishes, receiver) = mpsc::unbounded_channel();
        (Self { wishes }, receiver)
    }

    /// Wants the sandbox to be woken at this time, and at no other.
    pub(crate) fn set(&self, id: SandboxId, at: Instant) {
        let _ = self.wishes.send((id, Some(at)));
    }

    /// Wants the sandbox not to be woken.
    pub(crate) fn forget(&self, id: SandboxId) {
        let _ = self.wishes.send((id, None));
    }
}

/// Calls `due` for every sandbox whose time has come, until every [`Timer`] is gone.
pub(crate) async fn run(mut wishes: Wishes, due: impl Fn(SandboxId)) {
    let mut deadlines = Deadlines::default();
    loop {
        let next = deadlines.next().map(Instant::from_std);
        tokio::select! {
            // The order is the same each time, so that a simulation can be run again.
            biased;
            wish = wishes.recv() => match wish {
                Some((id, Some(at))) => {
                    deadlines.set(id, at.into_std());
                }
                Some((id, None)) => deadlines.clear(&id),
                None => return,
            },
            () = sleep_until(next) => {
                let now = Instant::now().into_std();
                while let Some(id) = deadlines.pop_due(now) {
                    due(id);
                }
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(text: &str) -> SandboxId {
        SandboxId::parse(text).unwrap()
    }

    /// Each is woken once, in the order of time, at its last wish; one that was forgotten is not.
    #[tokio::test(start_paused = true)]
    async fn wakes_in_order_at_the_last_wish() {
        let (timer, wishes) = Timer::new();
        let start = Instant::now();
        for (name, seconds) in [("a", 30), ("b", 20), ("a", 10), ("c", 5)] {
            timer.set(id(name), start + Duration::from_secs(seconds));
        }
        timer.forget(id("c"));
        let (told, mut woken) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(wishes, move |id| told.send((id.to_string(), start.elapsed())).unwrap()));
        assert_eq!(woken.recv().await.unwrap(), ("a".to_owned(), Duration::from_secs(10)));
        assert_eq!(woken.recv().await.unwrap(), ("b".to_owned(), Duration::from_secs(20)));
        drop(timer);
        task.await.unwrap();
        assert_eq!(woken.recv().await, None);
    }
}
