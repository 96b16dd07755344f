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

/// How long a new connection may take to its first request before it may have to go. Whoever means it sends that
/// right away; a flood would have to renew all connections ten times a second.
const NEW_PATIENCE: Duration = Duration::from_millis(100);

/// How long a connection may be idle, or its answer unread, before it may have to go. Closing an idle one is
/// always allowed, and clients that keep some are used to it.
const KEPT_PATIENCE: Duration = Duration::from_secs(2);

/// The connections that are open.
pub(super) struct Connections {
    /// By their number, which is the order in which they connected.
    peers: Mutex<BTreeMap<u64, Arc<Entry>>>,
    next: AtomicU64,
    /// Where times are counted from.
    start: Instant,
}

/// One open connection; it is not counted any more when this is dropped.
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

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request of it is being answered.
    Busy,
    /// It has made no request yet, for so long.
    New(Duration),
    /// It has made some, and none for so long.
    Idle(Duration),
}

const BUSY: u64 = u64::MAX;

/// Which connection has to go: of those that are new for too long, or else idle for too long, the one that is so the
/// longest. They come in the order in which they connected.
fn choose(peers: impl Iterator<Item = (u64, State)>) -> Option<u64> {
    let mut idlest = None;
    for (number, state) in peers {
        match state {
            // All new ones after it are younger: in a flood the first of them is found at once.
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

    /// Sends one away that does nothing; says whether there was one.
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
    /// Ends when it has to go.
    pub(super) async fn evicted(&self) {
        self.peer.evicted.notified().await;
    }

    /// It has sent a request.
    pub(super) fn asks(&self) {
        self.peer.waits.store(BUSY, Ordering::Relaxed);
    }

    /// Its request is answered.
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

    /// Those who never asked go before those who did, the longest first; who is busy, or has only just come or been
    /// answered, stays.
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

    /// A connection goes once, is told so, and is forgotten when it ends by itself.
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
