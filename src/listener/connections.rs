//! The open connections, and which idle one is closed when there are too many.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// How long a new connection is protected before its first request. Real clients send it at once; a flood would have to
/// reopen all connections ten times per second.
const NEW_PATIENCE: Duration = Duration::from_millis(100);

/// How long an idle connection, or one with an unread response, is protected. HTTP allows the server to close an idle
/// connection at any time, and clients with connection pools expect it.
const IDLE_PATIENCE: Duration = Duration::from_secs(2);

/// The open connections.
pub(super) struct Connections {
    /// By number, in the order in which they connected.
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
    next: AtomicU64,
    /// The zero of all times here.
    start: Instant,
}

/// One open connection, which is removed when this is dropped.
pub(super) struct ConnectionGuard {
    connections: Arc<Connections>,
    number: u64,
    entry: Arc<Entry>,
}

struct Entry {
    /// Since when the connection waits for a request, in milliseconds since the start, doubled, plus 1 if it has sent
    /// a request before; [`BUSY`] while a request is answered.
    idle_since: AtomicU64,
    evicted: Notify,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request is being answered.
    Busy,
    /// It has sent no request yet, for this long.
    New(Duration),
    /// It has sent requests before, and none for this long.
    Idle(Duration),
}

const BUSY: u64 = u64::MAX;

/// Chooses the connection to close: the longest one of those that are new for too long, or else of those that are idle
/// for too long. The connections come in the order in which they connected.
fn choose(connections: impl Iterator<Item = (u64, State)>) -> Option<u64> {
    let mut idlest = None;
    for (number, state) in connections {
        match state {
            // All later ones are younger, so in a flood the first match is found at once.
            State::New(age) if age >= NEW_PATIENCE => return Some(number),
            State::Idle(age) if age >= IDLE_PATIENCE => idlest = idlest.max(Some((age, number))),
            State::Busy | State::New(_) | State::Idle(_) => {}
        }
    }
    idlest.map(|(_, number)| number)
}

// === impl Connections ===

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), next: AtomicU64::new(0), start: Instant::now() })
    }

    /// Adds a new connection.
    pub(super) fn enter(self: &Arc<Self>) -> ConnectionGuard {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry { idle_since: AtomicU64::new(self.now() << 1), evicted: Notify::new() });
        self.entries.lock().insert(number, entry.clone());
        ConnectionGuard { connections: self.clone(), number, entry }
    }

    /// Evicts one idle connection. Returns whether there was one.
    pub(super) fn evict_idle(&self) -> bool {
        let now = self.now();
        let mut entries = self.entries.lock();
        let Some(number) = choose(entries.iter().map(|(number, entry)| (*number, entry.state(now)))) else {
            return false;
        };
        if let Some(entry) = entries.remove(&number) {
            entry.evicted.notify_one();
        }
        true
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 2)
    }
}

// === impl ConnectionGuard ===

impl ConnectionGuard {
    /// Completes when the connection must close.
    pub(super) async fn evicted(&self) {
        self.entry.evicted.notified().await;
    }

    /// Marks the connection as busy.
    pub(super) fn start_request(&self) {
        self.entry.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Marks the connection as idle.
    pub(super) fn end_request(&self) {
        self.entry.idle_since.store(self.connections.now() << 1 | 1, Ordering::Relaxed);
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.entries.lock().remove(&self.number);
    }
}

// === impl Entry ===

impl Entry {
    fn state(&self, now: u64) -> State {
        let since = self.idle_since.load(Ordering::Relaxed);
        if since == BUSY {
            return State::Busy;
        }
        let age = Duration::from_millis(now.saturating_sub(since >> 1));
        if since & 1 == 1 { State::Idle(age) } else { State::New(age) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Guards that connections without any request are closed before idle ones, the longest first. Busy, new and recently idle
    /// connections stay open.
    #[test]
    fn new_connections_are_evicted_before_idle_ones() {
        use State::{Busy, Idle, New};
        for (states, goes) in [
            (&[][..], None),
            (&[Busy, New(ms(99)), Idle(ms(1999))], None),
            (&[Busy, Idle(ms(9000)), New(ms(300)), New(ms(100))], Some(2)),
            (&[Idle(ms(2000)), Idle(ms(3000)), New(ms(10))], Some(1)),
        ] {
            let peers = states.iter().enumerate().map(|(number, state)| (number as u64, *state));
            assert_eq!(choose(peers), goes, "{states:?}");
        }
    }

    /// Guards that a connection is closed once, is notified, and is removed when it ends by itself.
    #[tokio::test(start_paused = true)]
    async fn an_evicted_connection_is_notified_once() {
        let connections = Connections::new();
        let (silent, busy, idle) = (connections.enter(), connections.enter(), connections.enter());
        busy.start_request();
        idle.start_request();
        idle.end_request();
        assert!(!connections.evict_idle(), "no connection is idle long enough");
        tokio::time::advance(NEW_PATIENCE).await;
        assert!(connections.evict_idle() && !connections.evict_idle());
        assert!(silent.evicted().now_or_never().is_some() && idle.evicted().now_or_never().is_none());
        tokio::time::advance(IDLE_PATIENCE).await;
        assert!(connections.evict_idle() && !connections.evict_idle());
        assert!(idle.evicted().now_or_never().is_some() && busy.evicted().now_or_never().is_none());
        drop(busy);
        assert_eq!(connections.entries.lock().len(), 0);
    }
}
