//! How old the view is: one clock for each of the two watches.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lifecycle::traits::Kind;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::Notify, time::Instant};

/// When each watch was last known to be up to date, and what ails it. Every query reads it, so that reading
/// takes no lock.
#[derive(Debug)]
pub(super) struct Freshness {
    /// How long the view may be answered from without news.
    limit: Duration,
    /// Where the clocks count from.
    start: Instant,
    pods: Clock,
    services: Clock,
    /// Told when both kinds have been listed once. Wakes those who wait in the order in which they came, which a
    /// `watch` channel does not.
    listed: Notify,
    /// When they had been.
    since: OnceLock<Instant>,
}

#[derive(Debug)]
struct Clock {
    /// When the watch was last heard of, in nanoseconds since the start; [`NEVER`] until the first list.
    synced: AtomicU64,
    failing: Mutex<Option<String>>,
}

/// What no clock of ours reaches: it would be after 584 years.
const NEVER: u64 = u64::MAX;

// === impl Freshness ===

impl Freshness {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            start: Instant::now(),
            pods: Clock::default(),
            services: Clock::default(),
            listed: Notify::new(),
            since: OnceLock::new(),
        }
    }

    fn clock(&self, kind: Kind) -> &Clock {
        match kind {
            Kind::Pod => &self.pods,
            Kind::Service => &self.services,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(NEVER - 1)
    }

    /// The watch of this kind has told all that the cluster holds, as of now.
    pub(super) fn listed(&self, kind: Kind) {
        self.clock(kind).set(self.now());
        if self.pods.synced().is_some() && self.services.synced().is_some() {
            self.since.get_or_init(Instant::now);
            self.listed.notify_waiters();
        }
    }

    /// The watch of this kind is up to date as of now; counts only after its first list.
    pub(super) fn synced(&self, kind: Kind) {
        let clock = self.clock(kind);
        if clock.synced().is_some() {
            clock.set(self.now());
        }
    }

    pub(super) fn failing(&self, kind: Kind, why: &str) {
        *self.clock(kind).failing() = Some(why.to_owned());
    }

    /// Whether the view may be answered from.
    pub(super) fn is_fresh(&self) -> bool {
        let now = self.now();
        let limit = u64::try_from(self.limit.as_nanos()).unwrap_or(NEVER - 1);
        [&self.pods, &self.services]
            .into_iter()
            .all(|clock| clock.synced().is_some_and(|synced| now.saturating_sub(synced) <= limit))
    }

    /// What is wrong with the watch of this kind; `None` when it is fresh and well.
    pub(super) fn unready_reason(&self, kind: Kind) -> Option<String> {
        let clock = self.clock(kind);
        let because = clock.failing().as_ref().map_or_else(String::new, |why| format!(": {why}"));
        match clock.synced() {
            None => Some(format!("not listed yet{because}")),
            Some(synced) => {
                let age = Duration::from_nanos(self.now().saturating_sub(synced));
                (age > self.limit).then(|| format!("no news for {} s{because}", age.as_secs()))
            }
        }
    }

    /// Since when it is known what there is; `None` while it is not.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.get().copied()
    }

    /// Waits until both kinds have been listed once, but not longer than this.
    pub(super) async fn first_list(&self, patience: Duration) {
        // It hears what is told from here on, also before it is polled.
        let listed = self.listed.notified();
        if self.since().is_none() {
            let _ = tokio::time::timeout(patience, listed).await;
        }
    }
}

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self { synced: AtomicU64::new(NEVER), failing: Mutex::default() }
    }
}

impl Clock {
    fn synced(&self) -> Option<u64> {
        Some(self.synced.load(Ordering::SeqCst)).filter(|synced| *synced != NEVER)
    }

    fn set(&self, now: u64) {
        self.synced.store(now, Ordering::SeqCst);
        *self.failing() = None;
    }

    fn failing(&self) -> MutexGuard<'_, Option<String>> {
        self.failing.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 6: fresh means that both kinds were listed and both were heard of within the limit.
    #[tokio::test(start_paused = true)]
    async fn both_kinds_have_to_be_fresh() {
        let freshness = Freshness::new(Duration::from_secs(60));
        freshness.synced(Kind::Pod);
        assert!(!freshness.is_fresh(), "news without a list prove nothing");
        freshness.listed(Kind::Pod);
        assert!(!freshness.is_fresh(), "Services are not known yet");
        freshness.listed(Kind::Service);
        assert!(freshness.is_fresh());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(freshness.is_fresh());
        freshness.synced(Kind::Pod);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!freshness.is_fresh(), "Services are too old");
        freshness.failing(Kind::Service, "connection refused");
        assert_eq!(freshness.unready_reason(Kind::Service).unwrap(), "no news for 60 s: connection refused");
        assert_eq!(freshness.unready_reason(Kind::Pod), None);
        freshness.synced(Kind::Service);
        assert!(freshness.is_fresh());
    }

    /// A caller in the first moments waits for the first list, not for ever.
    #[tokio::test(start_paused = true)]
    async fn the_first_list_is_waited_for_with_a_bound() {
        let freshness = Freshness::new(Duration::from_secs(60));
        let start = Instant::now();
        freshness.first_list(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        freshness.listed(Kind::Pod);
        freshness.listed(Kind::Service);
        freshness.first_list(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
