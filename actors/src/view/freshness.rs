//! The age of the view, for each of the two watches.

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

/// The time at which each watch was last up to date, and why it fails. Every read checks it, so the check takes no
/// lock.
#[derive(Debug)]
pub(super) struct Freshness {
    /// The staleness limit.
    limit: Duration,
    /// The origin of the times.
    start: Instant,
    pods: Clock,
    services: Clock,
    /// Notified when both kinds have been listed once. It wakes waiters in order of arrival, which a `watch` channel
    /// does not.
    listed: Notify,
    /// The time at which both kinds had been listed.
    since: OnceLock<Instant>,
}

#[derive(Debug)]
struct Clock {
    /// The time at which the watch was last up to date, in nanoseconds since `start`; [`NEVER`] until the first list.
    synced: AtomicU64,
    /// The time since which it was never stale. Like `synced`, [`NEVER`] until the first list.
    unbroken: AtomicU64,
    failing: Mutex<Option<String>>,
}

/// The retry delay while the view is stale.
pub const STALE_RETRY: Duration = Duration::from_secs(5);

/// A time that is never reached: 584 years after the start.
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

    fn limit(&self) -> u64 {
        u64::try_from(self.limit.as_nanos()).unwrap_or(NEVER - 1)
    }

    /// Records a complete list of this kind.
    pub(super) fn listed(&self, kind: Kind) {
        self.clock(kind).set(self.now(), self.limit());
        if self.pods.synced().is_some() && self.services.synced().is_some() {
            self.since.get_or_init(Instant::now);
            self.listed.notify_waiters();
        }
    }

    /// Records that the watch of this kind is up to date. Has no effect before its first list.
    pub(super) fn synced(&self, kind: Kind) {
        let clock = self.clock(kind);
        if clock.synced().is_some() {
            clock.set(self.now(), self.limit());
        }
    }

    pub(super) fn failing(&self, kind: Kind, why: &str) {
        *self.clock(kind).failing() = Some(why.to_owned());
    }

    /// Returns whether reads can be answered from the view.
    pub(super) fn is_fresh(&self) -> bool {
        let now = self.now();
        let limit = self.limit();
        [&self.pods, &self.services]
            .into_iter()
            .all(|clock| clock.synced().is_some_and(|synced| now.saturating_sub(synced) <= limit))
    }

    /// Returns why the watch of this kind is not ready; `None` if it is fresh.
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

    /// Returns the time since the watch of this kind was up to date; `None` before its first list.
    pub(super) fn age(&self, kind: Kind) -> Option<Duration> {
        let synced = self.clock(kind).synced()?;
        Some(Duration::from_nanos(self.now().saturating_sub(synced)))
    }

    /// Returns how long the view has not been fresh: the time since the older watch was up to date, or since the start
    /// before its first list. `None` while it is fresh.
    pub(super) fn away_for(&self) -> Option<Duration> {
        if self.is_fresh() {
            return None;
        }
        Kind::ALL.into_iter().map(|kind| self.age(kind).unwrap_or_else(|| self.start.elapsed())).max()
    }

    /// Returns since when the view has been fresh without a break; `None` while it is not.
    pub(super) fn fresh_since(&self) -> Option<Instant> {
        let since = self.pods.unbroken()?.max(self.services.unbroken()?);
        self.is_fresh().then(|| self.start + Duration::from_nanos(since))
    }

    /// Returns since when all existing objects are known; `None` before that.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.get().copied()
    }

    /// Waits until both kinds have been listed once, at most for `patience`.
    pub(super) async fn first_list(&self, patience: Duration) {
        // Created before the check, so a notification between the check and the wait is not lost.
        let listed = self.listed.notified();
        if self.since().is_none() {
            let _ = tokio::time::timeout(patience, listed).await;
        }
    }
}

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self { synced: AtomicU64::new(NEVER), unbroken: AtomicU64::new(NEVER), failing: Mutex::default() }
    }
}

impl Clock {
    fn synced(&self) -> Option<u64> {
        Some(self.synced.load(Ordering::SeqCst)).filter(|synced| *synced != NEVER)
    }

    fn unbroken(&self) -> Option<u64> {
        Some(self.unbroken.load(Ordering::SeqCst)).filter(|since| *since != NEVER)
    }

    /// Records that the watch is up to date now. With a longer gap than `limit` it was stale.
    fn set(&self, now: u64, limit: u64) {
        if self.synced().is_none_or(|synced| now.saturating_sub(synced) > limit) {
            self.unbroken.store(now, Ordering::SeqCst);
        }
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

    /// Guards invariant 6: the view is fresh only if both kinds were listed and both were up to date within the
    /// limit.
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

    /// Guards that the time since which the view is fresh survives silences within the limit, and no longer ones.
    #[tokio::test(start_paused = true)]
    async fn a_break_restarts_the_time_of_freshness() {
        let freshness = Freshness::new(Duration::from_secs(60));
        let start = Instant::now();
        let since = |freshness: &Freshness| freshness.fresh_since().map(|since| since.duration_since(start));
        let after = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        freshness.listed(Kind::Pod);
        assert_eq!(since(&freshness), None);
        after(1).await;
        freshness.listed(Kind::Service);
        assert_eq!(since(&freshness), Some(Duration::from_secs(1)));
        after(59).await;
        freshness.synced(Kind::Pod);
        freshness.synced(Kind::Service);
        after(60).await;
        assert_eq!(since(&freshness), Some(Duration::from_secs(1)));
        after(1).await;
        assert_eq!(since(&freshness), None, "stale");
        freshness.synced(Kind::Pod);
        assert_eq!(since(&freshness), None, "Services are stale");
        after(2).await;
        freshness.synced(Kind::Service);
        assert_eq!(since(&freshness), Some(Duration::from_secs(123)));
    }

    /// Guards that an early caller waits for the first list, with a limit.
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
