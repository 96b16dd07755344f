//! The safety belt of all reaping: what is due may still have to wait, and a fleet never goes at once.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{ids::SandboxId, lifetime::Moment};

/// The window over which reaps are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// A share of a small fleet is less than one sandbox: so many may always go within a window.
pub const ALWAYS_ALLOWED: usize = 5;

/// By how much the wall's clock may differ from the forward one before it counts as stepped. Slewing by NTP
/// stays far below, a sleeping laptop far above.
const STEP: Duration = Duration::from_secs(5);

/// The settings of the belt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeltPolicy {
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
pub struct Belt {
    policy: BeltPolicy,
    /// When the reaps of the last window were granted.
    recent: VecDeque<Instant>,
    /// Who was due in the last window, and when that was heard last: the share of the fleet that would go. A cap
    /// that lets few go at once must not hide that all would go.
    due: HashMap<SandboxId, Instant>,
    /// In the order of time; an entry whose time is not the one in `due` is an old one.
    order: VecDeque<(Instant, SandboxId)>,
    /// Who was due when reaping stopped, or since.
    turned_away: HashSet<SandboxId>,
    /// Who was turned away by a stop that is over: they may go, and do not make the next one.
    excused: HashSet<SandboxId>,
    /// How large the fleet was in that window, at its largest.
    fleet: usize,
    /// Until when nothing is reaped, because of the start or a stepped clock.
    quiet_until: Instant,
    /// Until when nothing is reaped, because too much of the fleet was about to go.
    stopped_until: Option<Instant>,
    /// Both clocks as last read, to notice a step.
    last: Moment,
}

/// Whether a sandbox that is due may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It may, and counts as gone.
    Go,
    /// Ask again then.
    NotBefore(Instant),
    /// It would go, but this is a rehearsal.
    Rehearsed,
}

// === impl BeltPolicy ===

impl Default for BeltPolicy {
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

// === impl Belt ===

impl Belt {
    /// A belt at the start of a process.
    #[must_use]
    pub fn new(policy: BeltPolicy, moment: Moment) -> Self {
        Self {
            policy,
            recent: VecDeque::new(),
            due: HashMap::new(),
            order: VecDeque::new(),
            turned_away: HashSet::new(),
            excused: HashSet::new(),
            fleet: 0,
            quiet_until: moment.now + policy.grace,
            stopped_until: None,
            last: moment,
        }
    }

    /// Notes when all that is there was first known. Until then nobody's sign of life could be taken in, so that
    /// the start is only then over.
    pub fn begun(&mut self, at: Instant) {
        self.quiet_until = self.quiet_until.max(at + self.policy.grace);
    }

    /// Asks for this sandbox, of a fleet of so many, itself included; those that are on their way out may count.
    pub fn ask(&mut self, id: &SandboxId, fleet: usize, moment: Moment) -> Verdict {
        let now = moment.now;
        self.notice_step(moment);
        self.forget_old(now);
        if let Some(until) = self.stopped_until {
            if now < until {
                self.turned_away.insert(id.clone());
                return Verdict::NotBefore(until);
            }
            self.end_stop();
        }
        if now < self.quiet_until {
            return Verdict::NotBefore(self.quiet_until);
        }
        if self.policy.dry_run {
            return Verdict::Rehearsed;
        }
        if !self.excused.contains(id) {
            self.fleet = if self.due.is_empty() { fleet } else { self.fleet.max(fleet) };
            self.due.insert(id.clone(), now);
            self.order.push_back((now, id.clone()));
            let share = self.fleet * usize::from(self.policy.max_share_percent) / 100;
            if self.due.len() > share.max(ALWAYS_ALLOWED) && self.policy.max_share_percent < 100 {
                let until = now + self.policy.stop_for;
                self.stopped_until = Some(until);
                self.turned_away = self.due.keys().cloned().collect();
                return Verdict::NotBefore(until);
            }
        }
        if let Some(max) = self.policy.max_per_minute
            && self.recent.len() >= max as usize
        {
            let oldest = self.recent.front().copied().unwrap_or(now);
            return Verdict::NotBefore(oldest + WINDOW);
        }
        self.recent.push_back(now);
        self.excused.remove(id);
        Verdict::Go
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
    pub fn lift(&mut self, now: Instant) -> bool {
        let stopped = self.stopped_until(now).is_some();
        self.end_stop();
        stopped
    }

    fn end_stop(&mut self) {
        if self.stopped_until.take().is_some() {
            self.excused = std::mem::take(&mut self.turned_away);
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

    fn notice_step(&mut self, moment: Moment) {
        let expected = self.last.wall_at(moment.now);
        let off = moment.wall.duration_since(expected).unsigned_abs();
        if off > STEP {
            self.quiet_until = self.quiet_until.max(moment.now + self.policy.grace);
        }
        self.last = moment;
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn at(start: Instant, seconds: u64) -> Moment {
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        Moment { now: start + Duration::from_secs(seconds), wall }
    }

    fn belt(policy: BeltPolicy) -> (Belt, Instant) {
        let start = Instant::now();
        (Belt::new(policy, at(start, 0)), start)
    }

    fn id(n: usize) -> SandboxId {
        SandboxId::parse(&format!("s-{n}")).unwrap()
    }

    /// How many of these, which are all there is, may go.
    fn granted(belt: &mut Belt, who: std::ops::Range<usize>, moment: Moment) -> usize {
        let fleet = who.len();
        let mut gone = 0;
        for n in who {
            gone += usize::from(belt.ask(&id(n), fleet - gone, moment) == Verdict::Go);
        }
        gone
    }

    /// Nothing goes within the grace after the start.
    #[test]
    fn a_start_is_quiet() {
        let (mut belt, start) = belt(BeltPolicy::default());
        assert_eq!(belt.ask(&id(0), 100, at(start, 59)), Verdict::NotBefore(start + Duration::from_secs(60)));
        assert_eq!(belt.ask(&id(0), 100, at(start, 60)), Verdict::Go);
    }

    /// A step of the wall's clock, either way, makes another grace; the passing of time does not.
    #[test]
    fn a_stepped_clock_is_quiet() {
        for hours in [-1, 1] {
            let (mut belt, start) = belt(BeltPolicy::default());
            assert_eq!(belt.ask(&id(0), 100, at(start, 3600)), Verdict::Go);
            let mut stepped = at(start, 3700);
            stepped.wall += SignedDuration::from_hours(hours);
            let until = start + Duration::from_secs(3760);
            assert_eq!(belt.ask(&id(0), 100, stepped), Verdict::NotBefore(until));
            let mut later = at(start, 3760);
            later.wall += SignedDuration::from_hours(hours);
            assert_eq!(belt.ask(&id(0), 100, later), Verdict::Go);
        }
    }

    /// So many a minute, and the next when the oldest is a minute old.
    #[test]
    fn the_rate_is_capped() {
        let policy = BeltPolicy { max_per_minute: Some(10), max_share_percent: 100, ..BeltPolicy::default() };
        let (mut belt, start) = belt(policy);
        assert_eq!(granted(&mut belt, 0..20, at(start, 100)), 10);
        assert_eq!(
            belt.ask(&id(10), 990, at(start, 130)),
            Verdict::NotBefore(start + Duration::from_secs(160))
        );
        assert_eq!(granted(&mut belt, 10..30, at(start, 160)), 10);
    }

    /// What was certainly not done frees its place.
    #[test]
    fn what_was_not_done_is_given_back() {
        let policy = BeltPolicy { max_per_minute: Some(1), ..BeltPolicy::default() };
        let (mut belt, start) = belt(policy);
        for second in (100..1000).step_by(5) {
            let moment = at(start, second);
            assert_eq!(belt.ask(&id(0), 1, moment), Verdict::Go, "one that is tried again is still one");
            belt.give_back(moment.now);
        }
    }

    /// Past the share of the fleet all stops, until somebody lifts it or the time passes.
    #[test]
    fn a_fleet_does_not_go_at_once() {
        let policy = BeltPolicy { max_per_minute: None, ..BeltPolicy::default() };
        let until = |start| start + Duration::from_secs(3700);
        for lifted in [false, true] {
            let (mut belt, start) = belt(policy);
            assert_eq!(granted(&mut belt, 0..100, at(start, 100)), 50);
            assert_eq!(belt.stopped_until(at(start, 101).now), Some(until(start)));
            assert_eq!(belt.ask(&id(50), 50, at(start, 1000)), Verdict::NotBefore(until(start)));
            let then = if lifted { 1000 } else { 3700 };
            assert_eq!(belt.lift(at(start, then).now), lifted);
            assert_eq!(granted(&mut belt, 50..100, at(start, then)), 50, "whom it held back may go");
            assert_eq!(granted(&mut belt, 100..200, at(start, then)), 50, "the others count anew");
        }
    }

    /// A cap that lets few of a large fleet go at once does not hide that all of it would.
    #[test]
    fn a_large_fleet_stops_under_the_cap() {
        let (mut belt, start) = belt(BeltPolicy::default());
        assert_eq!(granted(&mut belt, 0..10_000, at(start, 100)), 120);
        assert!(belt.stopped_until(at(start, 100).now).is_some());
        assert!(belt.lift(at(start, 200).now));
        assert_eq!(granted(&mut belt, 120..10_000, at(start, 200)), 120, "lifted, at the usual rate");
        assert_eq!(belt.stopped_until(at(start, 200).now), None);
    }

    /// One that cannot be reaped, and is tried again and again, is one of the fleet and no more.
    #[test]
    fn one_that_is_tried_again_stops_nothing() {
        let (mut belt, start) = belt(BeltPolicy::default());
        for second in (100..1000).step_by(5) {
            assert_eq!(belt.ask(&id(0), 20, at(start, second)), Verdict::Go);
        }
    }

    /// The grace after the start begins when it is known what there is.
    #[test]
    fn the_grace_begins_with_the_first_list() {
        let (mut belt, start) = belt(BeltPolicy::default());
        belt.begun(at(start, 600).now);
        let until = start + Duration::from_secs(660);
        assert_eq!(belt.ask(&id(0), 100, at(start, 601)), Verdict::NotBefore(until));
        assert_eq!(belt.ask(&id(0), 100, at(start, 660)), Verdict::Go);
    }

    /// Few always may: half of one sandbox is none.
    #[test]
    fn small_fleets_can_end() {
        let (mut belt, start) = belt(BeltPolicy::default());
        assert_eq!(granted(&mut belt, 0..ALWAYS_ALLOWED, at(start, 100)), ALWAYS_ALLOWED);
    }

    /// A rehearsal lets nothing go, and counts nothing.
    #[test]
    fn a_rehearsal_says_so() {
        let policy = BeltPolicy { dry_run: true, ..BeltPolicy::default() };
        let (mut belt, start) = belt(policy);
        for n in 0..1000 {
            assert_eq!(belt.ask(&id(n), 10, at(start, 100)), Verdict::Rehearsed);
        }
    }

    proptest! {
        /// Whatever is asked when, no window of a minute sees more reaps than the cap.
        #[test]
        fn no_minute_sees_more_than_the_cap(waits in prop::collection::vec(0u64..40, 1..200), cap in 1u32..8) {
            let policy = BeltPolicy { max_per_minute: Some(cap), max_share_percent: 100, ..BeltPolicy::default() };
            let (mut belt, start) = belt(policy);
            let mut now = 60;
            let mut granted: Vec<u64> = vec![];
            for (n, wait) in waits.into_iter().enumerate() {
                now += wait;
                if belt.ask(&id(n % 20), 1000, at(start, now)) == Verdict::Go {
                    granted.push(now);
                }
                let recent = granted.iter().filter(|at| now - **at < 60).count();
                prop_assert!(recent <= cap as usize);
            }
        }
    }
}
