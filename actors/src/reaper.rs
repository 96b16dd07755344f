//! What all actors ask before one of them reaps: the belt. And what became of it: counts, and a record for
//! callers who come later.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use lifecycle::{
    belt::{Belt, BeltPolicy, Verdict},
    ids::SandboxId,
    lifetime::{Cause, Moment},
    ports::Clock,
};
use tokio::time::Instant;

/// For how long callers are told that a sandbox was reaped, and why.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How many of them are remembered at most; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 10_000;

/// The belt, the record and the counts.
pub(crate) struct Reaper {
    clock: Box<dyn Clock>,
    belt: Mutex<Belt>,
    record: Mutex<Record>,
    reaped: AtomicU64,
    rehearsed: AtomicU64,
}

/// That a sandbox was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
}

/// What the reaper is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaperState {
    /// Until when it is stopped, because too much of the fleet was about to go.
    pub stopped_until: Option<Timestamp>,
    /// How many sandboxes it has reaped since the start.
    pub reaped: u64,
    /// How many it would have reaped, in a rehearsal.
    pub rehearsed: u64,
}

#[derive(Default)]
struct Record {
    by_id: HashMap<SandboxId, (Instant, Reaped)>,
    /// In the order of time; an entry whose time is not the one in `by_id` is an old one.
    order: VecDeque<(Instant, SandboxId)>,
}

// === impl Reaper ===

impl Reaper {
    pub(crate) fn new(policy: BeltPolicy, clock: Box<dyn Clock>) -> Self {
        let belt = Mutex::new(Belt::new(policy, moment(&*clock)));
        let (reaped, rehearsed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { clock, belt, record: Mutex::default(), reaped, rehearsed }
    }

    /// Both clocks.
    pub(crate) fn moment(&self) -> Moment {
        moment(&*self.clock)
    }

    /// Asks for one sandbox of a fleet of so many.
    pub(crate) fn ask(&self, fleet: usize, id: &SandboxId, cause: Cause) -> Verdict {
        let moment = self.moment();
        let mut belt = lock(&self.belt);
        let was_stopped = belt.stopped_until(moment.now).is_some();
        let verdict = belt.ask(fleet, moment);
        if !was_stopped && let Some(until) = belt.stopped_until(moment.now) {
            tracing::error!(until = %moment.wall_at(until), fleet,
                "reaping has stopped: too large a share of all sandboxes was about to go within a minute; \
                 look why, then POST /api/reaper/resume or restart");
        }
        if verdict == Verdict::Rehearsed {
            self.rehearsed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(sandbox_id = %id, cause = cause.name(), "would be reaped: {}", cause.sentence());
        }
        verdict
    }

    /// Notes that the sandbox was reaped.
    pub(crate) fn note(&self, id: &SandboxId, cause: Cause) {
        self.reaped.fetch_add(1, Ordering::Relaxed);
        tracing::info!(sandbox_id = %id, cause = cause.name(), "reaped: {}", cause.sentence());
        let now = Instant::now();
        let reaped = Reaped { cause, at: self.clock.wall() };
        let mut record = lock(&self.record);
        record.by_id.insert(id.clone(), (now, reaped));
        record.order.push_back((now, id.clone()));
        record.forget_old(now);
    }

    /// The sandbox was made anew: what became of its earlier life matters no more.
    pub(crate) fn forget(&self, id: &SandboxId) {
        lock(&self.record).by_id.remove(id);
    }

    pub(crate) fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        let mut record = lock(&self.record);
        record.forget_old(Instant::now());
        record.by_id.get(id).map(|(_, reaped)| *reaped)
    }

    pub(crate) fn state(&self) -> ReaperState {
        let moment = self.moment();
        ReaperState {
            stopped_until: lock(&self.belt).stopped_until(moment.now).map(|until| moment.wall_at(until)),
            reaped: self.reaped.load(Ordering::Relaxed),
            rehearsed: self.rehearsed.load(Ordering::Relaxed),
        }
    }

    /// Lets reaping go on; says whether it had stopped.
    pub(crate) fn lift(&self) -> bool {
        let lifted = lock(&self.belt).lift(self.moment().now);
        if lifted {
            tracing::warn!("reaping goes on, as somebody asked");
        }
        lifted
    }
}

fn moment(clock: &dyn Clock) -> Moment {
    Moment { now: Instant::now().into_std(), wall: clock.wall() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Record ===

impl Record {
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            if self.order.len() <= REMEMBERED_MAX && now.saturating_duration_since(*at) < REMEMBERED {
                return;
            }
            let Some((at, id)) = self.order.pop_front() else { return };
            if self.by_id.get(&id).is_some_and(|(noted, _)| *noted == at) {
                self.by_id.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wall;

    impl Clock for Wall {
        fn wall(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    fn id(n: usize) -> SandboxId {
        SandboxId::parse(&format!("s-{n}")).unwrap()
    }

    /// What was reaped is remembered for an hour, or until it is made anew, and not without bound.
    #[tokio::test(start_paused = true)]
    async fn reaps_are_remembered_for_an_hour() {
        let reaper = Reaper::new(BeltPolicy::default(), Box::new(Wall));
        reaper.note(&id(0), Cause::Idle);
        reaper.note(&id(1), Cause::Ttl);
        assert_eq!(reaper.reaped(&id(0)).unwrap().cause, Cause::Idle);
        reaper.forget(&id(1));
        assert_eq!(reaper.reaped(&id(1)), None);
        tokio::time::advance(Duration::from_secs(1800)).await;
        reaper.note(&id(0), Cause::Finished);
        tokio::time::advance(Duration::from_secs(1800)).await;
        assert_eq!(reaper.reaped(&id(0)).unwrap().cause, Cause::Finished, "the later one counts");
        tokio::time::advance(Duration::from_secs(1800)).await;
        assert_eq!(reaper.reaped(&id(0)), None);
        for n in 0..=REMEMBERED_MAX {
            reaper.note(&id(n), Cause::Ttl);
        }
        assert_eq!(reaper.reaped(&id(0)), None);
        assert!(reaper.reaped(&id(1)).is_some());
    }
}
