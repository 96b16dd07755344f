//! The safety belt of all reaping: what is due may still have to wait, and a fleet never goes at once.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{ids::SandboxId, lifetime::Clocks};

/// The window over which reaps are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// A share of a small fleet is less than one sandbox: so many may always go within a window.
pub const ALWAYS_ALLOWED: usize = 5;

/// By how much the wall's clock may differ from the forward one before it counts as stepped. Slewing by NTP
/// stays far below, a sleeping laptop far above.
const STEP: Duration = Duration::from_secs(5);

/// The settings of the belt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReapLimits {
    /// Say what would be reaped, and do not.
    pub dry_run: bool,
    /// Most reaps within a [`WINDOW`].
    pub max_per_minute: Option<u32>,
    /// The share of the fleet, in percent, that may go within a [`WINDOW`] before all reaping stops.
    pub max_share_percent: u8,
    /// For how long a stop holds, unless somebody lifts it.
    pub stop_for: Duration,
    /// How long nothing is reaped after the start, and after a step of the wall's clock.
    pub grace: Duration,
}

/// What was reaped or due lately, and whether reaping is stopped.
#[derive(Debug, Clone)]
pub struct ReapLimiter {
    policy: ReapLimits,
    /// When the reaps of the last window were granted.
    recent: VecDeque<Instant>,
    /// Who was due in the last window, and when that was heard last: the share of the fleet that would go. A cap
    /// that lets few go at once must not hide that all would go.
    due: HashMap<SandboxId, Instant>,
    /// In the order of time; an entry whose time is not the one in `due` is an old one.
    order: VecDeque<(Instant, SandboxId)>,
    /// Who was due when reaping stopped, or since.
    blocked: HashSet<SandboxId>,
    /// Who was turned away by a stop that is over: they may go, and do not make the next one.
    exempt: HashSet<SandboxId>,
    /// How large the fleet was in that window, at its largest.
    total: usize,
    /// Until when nothing is reaped, because of the start or a stepped clock.
    quiet_until: Instant,
    /// Until when nothing is reaped, because too much of the fleet was about to go.
    stopped_until: Option<Instant>,
    /// Both clocks as last read, to notice a step.
    last: Clocks,
}

/// Whether a sandbox that is due may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// It may, and counts as gone.
    Allow,
    /// Ask again then.
    RetryAt(Instant),
    /// It would go, but this is a rehearsal.
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

impl ReapLimiter {
    /// A belt at the start of a process.
    #[must_use]
    pub fn new(policy: ReapLimits, clocks: Clocks) -> Self {
        Self {
            policy,
            recent: VecDeque::new(),
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

    /// Notes when all that is there was first known. Until then nobody's sign of life could be taken in, so that
    /// the start is only then over.
    pub fn start_grace(&mut self, at: Instant) {
        self.quiet_until = self.quiet_until.max(at + self.policy.grace);
    }

    /// Asks for this sandbox, of a fleet of so many, itself included; those that are on their way out may count.
    pub fn ask(&mut self, id: &SandboxId, total: usize, clocks: Clocks) -> Admission {
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
        if !self.exempt.contains(id) {
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
            let oldest = self.recent.front().copied().unwrap_or(now);
            return Admission::RetryAt(oldest + WINDOW);
        }
        self.recent.push_back(now);
        self.exempt.remove(id);
        Admission::Allow
    }

    /// What was granted at this time was certainly not done: it does not count against the rate.
    pub fn give_back(&mut self, granted: Instant) {
        if let Ok(place) = self.recent.binary_search(&granted) {
            self.recent.remove(place);
        }
    }

    /// Until when reaping is stopped, if it is.
    #[must_use]
    pub fn stopped_until(&self, now: Instant) -> Option<Instant> {
        self.stopped_until.filter(|until| now < *until)
    }

    /// Lifts the stop, by a person's will; says whether there was one. Those that it held back may go, as fast as
    /// ever, and the count of the others begins again.
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

    /// How many of these, which are all there is, may go.
    fn granted(limiter: &mut ReapLimiter, who: std::ops::Range<usize>, clocks: Clocks) -> usize {
        let total = who.len();
        let mut gone = 0;
        for n in who {
            gone += usize::from(limiter.ask(&id(n), total - gone, clocks) == Admission::Allow);
        }
        gone
    }

    /// Nothing goes within the grace after the start.
    #[test]
    fn a_start_is_quiet() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        assert_eq!(
            limiter.ask(&id(0), 100, at(start, 59)),
            Admission::RetryAt(start + Duration::from_secs(60))
        );
        assert_eq!(limiter.ask(&id(0), 100, at(start, 60)), Admission::Allow);
    }

    /// A step of the wall's clock, either way, makes another grace; the passing of time does not.
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

    /// So many a minute, and the next when the oldest is a minute old.
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

    /// What was certainly not done frees its place.
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

    /// Past the share of the fleet all stops, until somebody lifts it or the time passes.
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

    /// A cap that lets few of a large fleet go at once does not hide that all of it would.
    #[test]
    fn a_large_fleet_stops_under_the_cap() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        assert_eq!(granted(&mut limiter, 0..10_000, at(start, 100)), 120);
        assert!(limiter.stopped_until(at(start, 100).monotonic).is_some());
        assert!(limiter.resume(at(start, 200).monotonic));
        assert_eq!(granted(&mut limiter, 120..10_000, at(start, 200)), 120, "lifted, at the usual rate");
        assert_eq!(limiter.stopped_until(at(start, 200).monotonic), None);
    }

    /// One that cannot be reaped, and is tried again and again, is one of the fleet and no more.
    #[test]
    fn one_that_is_tried_again_stops_nothing() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        for second in (100..1000).step_by(5) {
            assert_eq!(limiter.ask(&id(0), 20, at(start, second)), Admission::Allow);
        }
    }

    /// The grace after the start begins when it is known what there is.
    #[test]
    fn the_grace_begins_with_the_first_list() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        limiter.start_grace(at(start, 600).monotonic);
        let until = start + Duration::from_secs(660);
        assert_eq!(limiter.ask(&id(0), 100, at(start, 601)), Admission::RetryAt(until));
        assert_eq!(limiter.ask(&id(0), 100, at(start, 660)), Admission::Allow);
    }

    /// Few always may: half of one sandbox is none.
    #[test]
    fn small_fleets_can_end() {
        let (mut limiter, start) = limiter(ReapLimits::default());
        assert_eq!(granted(&mut limiter, 0..ALWAYS_ALLOWED, at(start, 100)), ALWAYS_ALLOWED);
    }

    /// A rehearsal lets nothing go, and counts nothing.
    #[test]
    fn a_rehearsal_says_so() {
        let policy = ReapLimits { dry_run: true, ..ReapLimits::default() };
        let (mut limiter, start) = limiter(policy);
        for n in 0..1000 {
            assert_eq!(limiter.ask(&id(n), 10, at(start, 100)), Admission::DryRun);
        }
    }

    proptest! {
        /// Whatever is asked when, no window of a minute sees more reaps than the cap.
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
