//! Who is connected, and who has to go when there is no room left: those who keep a connection and do nothing with
//! it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::Notify, time::Instant};

/// How long a new connection is protected before its first request. Real clients send it at once; a flood would have to
/// reopen all connections ten times per second.
const NEW_PATIENCE: Duration = Duration::from_millis(100);

/// How long an idle connection, or one with an unread response, is protected. HTTP allows the server to close an idle
/// connection at any time, and clients with connection pools expect it.
const KEPT_PATIENCE: Duration = Duration::from_secs(2);

/// The open connections.
pub(super) struct Connections {
    /// By number, in the order in which they connected.
    peers: Mutex<BTreeMap<u64, Arc<Entry>>>,
    next: AtomicU64,
    /// The zero of all times here.
    start: Instant,
}

/// One open connection, which is removed when this is dropped.
pub(super) struct ConnectionGuard {
    connections: Arc<Connections>,
    number: u64,
    peer: Arc<Entry>,
}

struct Entry {
    /// Since when it waits for a request, in milliseconds since the start, doubled, and one more if it has made one
    /// before; [`BUSY`] while one is answered.
    waits: AtomicU64,
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
fn choose(peers: impl Iterator<Item = (u64, State)>) -> Option<u64> {
    let mut idlest = None;
    for (number, state) in peers {
        match state {
            // All later ones are younger, so in a flood the first match is found at once.
            State::New(age) if age >= NEW_PATIENCE => return Some(number),
            State::Idle(age) if age >= KEPT_PATIENCE => idlest = idlest.max(Some((age, number))),
            State::Busy | State::New(_) | State::Idle(_) => {}
        }
    }
    idlest.map(|(_, number)| number)
}

// === impl Room ===

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { peers: Mutex::default(), next: AtomicU64::new(0), start: Instant::now() })
    }

    /// Counts a new connection.
    pub(super) fn enter(self: &Arc<Self>) -> ConnectionGuard {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Entry { waits: AtomicU64::new(self.now() << 1), evicted: Notify::new() });
        self.peers().insert(number, peer.clone());
        ConnectionGuard { connections: self.clone(), number, peer }
    }

    /// Closes one that does nothing; returns whether there was one.
    pub(super) fn evict_idle(&self) -> bool {
        let now = self.now();
        let mut peers = self.peers();
        let Some(number) = choose(peers.iter().map(|(number, peer)| (*number, peer.state(now)))) else {
            return false;
        };
        if let Some(peer) = peers.remove(&number) {
            peer.evicted.notify_one();
        }
        true
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 2)
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.peers.lock()
    }
}

// === impl Member ===

impl ConnectionGuard {
    /// Completes when the connection must close.
    pub(super) async fn evicted(&self) {
        self.peer.evicted.notified().await;
    }

    /// It has sent a request.
    pub(super) fn asks(&self) {
        self.peer.waits.store(BUSY, Ordering::Relaxed);
    }

    /// The response was sent.
    pub(super) fn is_answered(&self) {
        self.peer.waits.store(self.connections.now() << 1 | 1, Ordering::Relaxed);
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.peers().remove(&self.number);
    }
}

// === impl Peer ===

impl Entry {
    fn state(&self, now: u64) -> State {
        let waits = self.waits.load(Ordering::Relaxed);
        if waits == BUSY {
            return State::Busy;
        }
        let age = Duration::from_millis(now.saturating_sub(waits >> 1));
        if waits & 1 == 1 { State::Idle(age) } else { State::New(age) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Connections without any request are closed before idle ones, the longest first. Busy, new and recently idle
    /// connections stay open.
    #[test]
    fn those_who_do_nothing_go_first() {
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

    /// A connection is closed once, is notified, and is removed when it ends by itself.
    #[tokio::test(start_paused = true)]
    async fn the_chosen_one_is_told() {
        let connections = Connections::new();
        let (silent, busy, kept) = (connections.enter(), connections.enter(), connections.enter());
        busy.asks();
        kept.asks();
        kept.is_answered();
        assert!(!connections.evict_idle(), "too early");
        tokio::time::advance(NEW_PATIENCE).await;
        assert!(connections.evict_idle() && !connections.evict_idle());
        assert!(silent.evicted().now_or_never().is_some() && kept.evicted().now_or_never().is_none());
        tokio::time::advance(KEPT_PATIENCE).await;
        assert!(connections.evict_idle() && !connections.evict_idle());
        assert!(kept.evicted().now_or_never().is_some() && busy.evicted().now_or_never().is_none());
        drop(busy);
        assert_eq!(connections.peers().len(), 0);
    }
}
