//! The reap limits: bounds on how many sandboxes are reaped, and how fast. A due sandbox may have to wait.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

use crate::{ids::SandboxId, lifetime::Clocks};

/// The sliding window in which reaps are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The number of sandboxes that the share always allows within a window. A share of a few sandboxes may be less than
/// one.
pub const ALWAYS_ALLOWED: usize = 5;

/// The difference between the wall clock and the monotonic clock from which the wall clock counts as stepped. Slewing
/// by NTP stays far below it; a suspended laptop is far above.
const STEP: Duration = Duration::from_secs(5);

/// The settings of the reap limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReapLimits {
    /// Whether reaping is a dry run: reaps are reported and not executed.
    pub dry_run: bool,
    /// The maximum number of reaps within a [`WINDOW`].
    pub max_per_minute: Option<u32>,
    /// The percentage of all sandboxes that may be due within a [`WINDOW`]. If more are due, all reaping stops.
    pub max_share_percent: u8,
    /// How long a stop lasts, unless an operator ends it.
    pub stop_for: Duration,
    /// How long nothing is reaped after the start, and after a step of the wall clock.
    pub grace: Duration,
}

/// The reaps and due sandboxes of the last window, and whether reaping is stopped. Workspaces have a limiter of their own,
/// with their ids.
#[derive(Debug, Clone)]
pub struct ReapLimiter<K = SandboxId> {
    policy: ReapLimits,
    /// When the reaps of the last window were allowed.
    recent: VecDeque<Instant>,
    /// The place in `recent` whose end the next deferred sandbox waits for.
    next_place: usize,
    /// The sandboxes that were due in the last window, with the time of their last request. They count towards the
    /// share even if they were not allowed: a low rate must not hide that nearly all sandboxes are due.
    due: HashMap<K, Instant>,
    /// The requests in order of time. An entry whose time differs from that in `due` is outdated.
    order: VecDeque<(Instant, K)>,
    /// The sandboxes that were due when reaping stopped, or became due since.
    blocked: HashSet<K>,
    /// The sandboxes that a past stop blocked. They may be reaped and do not count towards the next stop.
    exempt: HashSet<K>,
    /// The largest number of existing sandboxes within the window.
    total: usize,
    /// Until when nothing is reaped, after the start or a step of the wall clock.
    quiet_until: Instant,
    /// Until when nothing is reaped, because too many sandboxes were due.
    stopped_until: Option<Instant>,
    /// Both clocks as last read, to detect a step.
    last: Clocks,
}

/// The answer to a request to reap a due sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// The sandbox may be reaped, and counts as reaped.
    Allow,
    /// The request must be repeated at this time.
    RetryAt(Instant),
    /// The sandbox would be reaped, but reaping is a dry run.
    DryRun,
}

// === impl ReapLimits ===

impl Default for ReapLimits {
    fn default() -> Self {
        Self {
            dry_run: false,
            max_per_minute: Some(120),
            max_share_percent: 50,
            stop_for: Duration::from_secs(3600),
            grace: Duration::from_secs(60),
        }
    }
}

// === impl ReapLimiter ===

impl<K: Clone + Eq + Hash> ReapLimiter<K> {
    /// Creates the limiter at the start of a process.
    #[must_use]
    pub fn new(policy: ReapLimits, clocks: Clocks) -> Self {
        Self {
            policy,
            recent: VecDeque::new(),
            next_place: 0,
            due: HashMap::new(),
            order: VecDeque::new(),
            blocked: HashSet::new(),
            exempt: HashSet::new(),
            total: 0,
            quiet_until: clocks.monotonic + policy.grace,
            stopped_until: None,
            last: clocks,
        }
    }

    /// Starts the grace once all existing sandboxes are known. Before that, their activity could not be recorded.
    pub fn start_grace(&mut self, at: Instant) {
        self.quiet_until = self.quiet_until.max(at + self.policy.grace);
    }

    /// Asks to reap a sandbox. `total` is the number of existing sandboxes, including this one; it may include
    /// terminating ones.
    pub fn ask(&mut self, id: &K, total: usize, clocks: Clocks) -> Admission {
        self.ask_counted(id, Some(total), clocks)
    }

    /// Asks to delete a workspace whose sandbox was seen to end. It does not count towards the share: the end of many
    /// sandboxes is also that of their workspaces.
    pub fn ask_uncounted(&mut self, id: &K, clocks: Clocks) -> Admission {
        self.ask_counted(id, None, clocks)
    }

    fn ask_counted(&mut self, id: &K, total: Option<usize>, clocks: Clocks) -> Admission {
        let now = clocks.monotonic;
        self.notice_step(clocks);
        self.forget_old(now);
        if let Some(until) = self.stopped_until {
            if now < until {
                self.blocked.insert(id.clone());
                return Admission::RetryAt(until);
            }
            self.end_stop();
        }
        if now < self.quiet_until {
            return Admission::RetryAt(self.quiet_until);
        }
        if self.policy.dry_run {
            return Admission::DryRun;
        }
        if let Some(total) = total.filter(|_| !self.exempt.contains(id)) {
            self.total = if self.due.is_empty() { total } else { self.total.max(total) };
            self.due.insert(id.clone(), now);
            self.order.push_back((now, id.clone()));
            let share = self.total * usize::from(self.policy.max_share_percent) / 100;
            if self.due.len() > share.max(ALWAYS_ALLOWED) && self.policy.max_share_percent < 100 {
                let until = now + self.policy.stop_for;
                self.stopped_until = Some(until);
                self.blocked = self.due.keys().cloned().collect();
                return Admission::RetryAt(until);
            }
        }
        if let Some(max) = self.policy.max_per_minute
            && self.recent.len() >= max as usize
        {
            // Each waits for another of the next reaps that are possible. If all waited for the first, all would ask then, and
            // be probed before.
            let place = if self.next_place < self.recent.len() { self.next_place } else { 0 };
            self.next_place = place + 1;
            return Admission::RetryAt(self.recent.get(place).copied().unwrap_or(now) + WINDOW);
        }
        self.recent.push_back(now);
        self.exempt.remove(id);
        Admission::Allow
    }

    /// Returns a reap that was allowed at this time and certainly not executed, so that it does not count towards the
    /// rate.
    pub fn give_back(&mut self, granted: Instant) {
        if let Ok(place) = self.recent.binary_search(&granted) {
            self.recent.remove(place);
        }
    }

    /// Returns until when reaping is stopped, if it is.
    #[must_use]
    pub fn stopped_until(&self, now: Instant) -> Option<Instant> {
        self.stopped_until.filter(|until| now < *until)
    }

    /// Ends a stop on request of an operator. Returns whether there was one. The blocked sandboxes may be reaped at
    /// the usual rate, and the count of the others starts again.
    pub fn resume(&mut self, now: Instant) -> bool {
        let stopped = self.stopped_until(now).is_some();
        self.end_stop();
        stopped
    }

    fn end_stop(&mut self) {
        if self.stopped_until.take().is_some() {
            self.exempt = std::mem::take(&mut self.blocked);
            self.due.clear();
            self.order.clear();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= WINDOW;
        while self.recent.front().is_some_and(|at| is_old(*at)) {
            self.recent.pop_front();
            self.next_place = self.next_place.saturating_sub(1);
        }
        while self.order.front().is_some_and(|(at, _)| is_old(*at)) {
            let Some((at, id)) = self.order.pop_front() else { return };
            if self.due.get(&id) == Some(&at) {
                self.due.remove(&id);
            }
        }
    }

    fn notice_step(&mut self, clocks: Clocks) {
        let expected = self.last.wall_at(clocks.monotonic);
        let off = clocks.wall.duration_since(expected).unsigned_abs();
        if off > STEP {
            self.quiet_until = self.quiet_until.max(clocks.monotonic + self.policy.grace);
        }
        self.last = clocks;
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn at(start: Instant, seconds: u64) -> Clocks {
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        Clocks { monotonic: start + Duration::from_secs(seconds), wall }
    }

    fn limiter(policy: ReapLimits) -> (ReapLimiter, Instant) {
        let start = Instant::now();
        (ReapLimiter::new(policy, at(start, 0)), start)
    }

    fn id(n: usize) -> SandboxId {
        SandboxId::parse(&format!("s-{n}")).unwrap()
    }

    /// Returns how many of these sandboxes, which are all that exist, are allowed.
    fn granted(limiter: &mut ReapLimiter, who: std::ops::Range<usize>, clocks: Clocks) -> usize {
        let total = who.len();
        let mut gone = 0;
        for n in who {
            gone += usize::from(limiter.ask(&id(n), total - gone, clocks) == Admission::Allow);
        }
        gone
    }

    /// Guards that nothing is reaped within the grace after the start.
    #[test]
    fn a_start_is_quiet() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        assert_eq!(
            limiter.ask(&id(0), 100, at(start, 59)),
            Admission::RetryAt(start + Duration::from_secs(60))
        );
        assert_eq!(limiter.ask(&id(0), 100, at(start, 60)), Admission::Allow);
    }

    /// Guards that a step of the wall clock, in either direction, starts another grace, and that elapsed time does
    /// not.
    #[test]
    fn a_stepped_clock_is_quiet() {
        for hours in [-1, 1] {
            let (mut limiter, start) = limiter(ReapLimits::default());
            assert_eq!(limiter.ask(&id(0), 100, at(start, 3600)), Admission::Allow);
            let mut stepped = at(start, 3700);
            stepped.wall += SignedDuration::from_hours(hours);
            let until = start + Duration::from_secs(3760);
            assert_eq!(limiter.ask(&id(0), 100, stepped), Admission::RetryAt(until));
            let mut later = at(start, 3760);
            later.wall += SignedDuration::from_hours(hours);
            assert_eq!(limiter.ask(&id(0), 100, later), Admission::Allow);
        }
    }

    /// Guards the maximum rate: the next reap is allowed when the oldest is a minute old.
    #[test]
    fn the_rate_is_capped() {
        let policy = ReapLimits { max_per_minute: Some(10), max_share_percent: 100, ..ReapLimits::default() };
        let (mut limiter, start) = limiter(policy);
        assert_eq!(granted(&mut limiter, 0..20, at(start, 100)), 10);
        assert_eq!(
            limiter.ask(&id(10), 990, at(start, 130)),
            Admission::RetryAt(start + Duration::from_secs(160))
        );
        assert_eq!(granted(&mut limiter, 10..30, at(start, 160)), 10);
    }

    /// Guards that each deferred sandbox asks again when another reap is possible, and that all ask within a minute: each request
    /// may cost a probe.
    #[test]
    fn the_deferred_do_not_all_ask_at_once() {
        let policy = ReapLimits { max_per_minute: Some(10), max_share_percent: 100, ..ReapLimits::default() };
        let (mut limiter, start) = limiter(policy);
        for second in 0..10 {
            assert_eq!(granted(&mut limiter, 0..1, at(start, 100 + second)), 1);
        }
        let mut retries = |who: std::ops::Range<usize>, second| -> Vec<u64> {
            who.map(|n| match limiter.ask(&id(n), 990, at(start, second)) {
                Admission::RetryAt(at) => at.duration_since(start).as_secs(),
                other => panic!("{other:?}"),
            })
            .collect()
        };
        assert_eq!(retries(10..22, 120), [160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 160, 161]);
        assert_eq!(retries(22..24, 121), [162, 163]);
    }

    /// Guards that a reap that was certainly not executed does not count towards the rate.
    #[test]
    fn what_was_not_done_is_given_back() {
        let policy = ReapLimits { max_per_minute: Some(1), ..ReapLimits::default() };
        let (mut limiter, start) = limiter(policy);
        for second in (100..1000).step_by(5) {
            let clocks = at(start, second);
            assert_eq!(
                limiter.ask(&id(0), 1, clocks),
                Admission::Allow,
                "one that is tried again is still one"
            );
            limiter.give_back(clocks.monotonic);
        }
    }

    /// Guards that all reaping stops above the share, until an operator resumes it or the stop ends.
    #[test]
    fn a_fleet_does_not_go_at_once() {
        let policy = ReapLimits { max_per_minute: None, ..ReapLimits::default() };
        let until = |start| start + Duration::from_secs(3700);
        for lifted in [false, true] {
            let (mut limiter, start) = limiter(policy);
            assert_eq!(granted(&mut limiter, 0..100, at(start, 100)), 50);
            assert_eq!(limiter.stopped_until(at(start, 101).monotonic), Some(until(start)));
            assert_eq!(limiter.ask(&id(50), 50, at(start, 1000)), Admission::RetryAt(until(start)));
            let then = if lifted { 1000 } else { 3700 };
            assert_eq!(limiter.resume(at(start, then).monotonic), lifted);
            assert_eq!(granted(&mut limiter, 50..100, at(start, then)), 50, "whom it held back may go");
            assert_eq!(granted(&mut limiter, 100..200, at(start, then)), 50, "the others count anew");
        }
    }

    /// Guards that the rate limit does not hide that too many of the existing sandboxes are due.
    #[test]
    fn a_large_fleet_stops_under_the_cap() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        assert_eq!(granted(&mut limiter, 0..10_000, at(start, 100)), 120);
        assert!(limiter.stopped_until(at(start, 100).monotonic).is_some());
        assert!(limiter.resume(at(start, 200).monotonic));
        assert_eq!(granted(&mut limiter, 120..10_000, at(start, 200)), 120, "lifted, at the usual rate");
        assert_eq!(limiter.stopped_until(at(start, 200).monotonic), None);
    }

    /// Guards that a sandbox whose reap is retried counts once.
    #[test]
    fn one_that_is_tried_again_stops_nothing() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        for second in (100..1000).step_by(5) {
            assert_eq!(limiter.ask(&id(0), 20, at(start, second)), Admission::Allow);
        }
    }

    /// Guards that the grace starts with the first complete list.
    #[test]
    fn the_grace_begins_with_the_first_list() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        limiter.start_grace(at(start, 600).monotonic);
        let until = start + Duration::from_secs(660);
        assert_eq!(limiter.ask(&id(0), 100, at(start, 601)), Admission::RetryAt(until));
        assert_eq!(limiter.ask(&id(0), 100, at(start, 660)), Admission::Allow);
    }

    /// Guards that a few reaps are always allowed, because half of one sandbox is none.
    #[test]
    fn small_fleets_can_end() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        assert_eq!(granted(&mut limiter, 0..ALWAYS_ALLOWED, at(start, 100)), ALWAYS_ALLOWED);
    }

    /// Guards that a dry run allows nothing and counts nothing.
    #[test]
    fn a_rehearsal_says_so() {
        let policy = ReapLimits { dry_run: true, ..ReapLimits::default() };
        let (mut limiter, start) = limiter(policy);
        for n in 0..1000 {
            assert_eq!(limiter.ask(&id(n), 10, at(start, 100)), Admission::DryRun);
        }
    }

    proptest! {
        /// Guards that no window of a minute contains more reaps than the maximum, for any sequence of requests.
        #[test]
        fn no_minute_sees_more_than_the_cap(waits in prop::collection::vec(0u64..40, 1..200), cap in 1u32..8) {
            let policy = ReapLimits { max_per_minute: Some(cap), max_share_percent: 100, ..ReapLimits::default() };
            let (mut limiter, start) = limiter(policy);
            let mut now = 60;
            let mut granted: Vec<u64> = vec![];
            for (n, wait) in waits.into_iter().enumerate() {
                now += wait;
                if limiter.ask(&id(n % 20), 1000, at(start, now)) == Admission::Allow {
                    granted.push(now);
                }
                let recent = granted.iter().filter(|at| now - **at < 60).count();
                prop_assert!(recent <= cap as usize);
            }
        }
    }
}
