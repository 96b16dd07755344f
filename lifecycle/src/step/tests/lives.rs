//! Random lifetimes: activity, changes of limits, restarts and clock steps, compared with a simple model of when a
//! sandbox may be reaped.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{super::*, bench::request};
use crate::{
    lifetime::{Clocks, Limits, WRITE_STEP},
    observed::{ObservedPod, ObservedService, ResourceVersion},
    phase::Phase,
    reap_limiter::{Admission, ReapLimiter, ReapLimits},
};

/// An external event.
#[derive(Debug, Clone)]
enum Deed {
    Post,
    Touch,
    Change(LimitsPatch),
    Delete,
    /// The process is killed and restarted.
    Restart,
    /// The wall clock is stepped by this number of seconds.
    Step(i64),
    /// A session in the sandbox starts or ends.
    Session(bool),
    /// Activity probes start or stop failing.
    Mute(bool),
    Wait(u64),
}

/// The model: the creation time and the last activity.
struct Model {
    created_at: Instant,
    last_activity: Instant,
    /// The accepted delay after a limit, because a restart loses some activity.
    slack: Duration,
}

struct World {
    sandbox: Sandbox<u32>,
    seen: Observed,
    policy: Policy,
    belt: ReapLimiter,
    now: Instant,
    wall: Timestamp,
    wake: Option<Instant>,
    model: Option<Model>,
    asked: u32,
    answered: u32,
    versions: u64,
    busy: bool,
    mute_since: Option<Instant>,
    /// The time of the first failed probe. What happens between two probes is unknown.
    unheard_since: Option<Instant>,
    /// Until when the delay after failed probes is accepted.
    excused_until: Instant,
    reaps: Vec<ReapReason>,
    /// The order of answers and writes.
    order: Vec<&'static str>,
}

impl World {
    fn new(policy: Policy, belt: ReapLimits) -> Self {
        let (now, wall) = (*BASE, Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365));
        Self {
            sandbox: Sandbox::default(),
            seen: Observed::default(),
            policy,
            belt: ReapLimiter::new(belt, Clocks { monotonic: now, wall }),
            now,
            wall,
            wake: None,
            model: None,
            asked: 0,
            answered: 0,
            versions: 0,
            busy: false,
            mute_since: None,
            unheard_since: None,
            excused_until: now,
            reaps: vec![],
            order: vec![],
        }
    }

    fn version(&mut self) -> ResourceVersion {
        self.versions += 1;
        ResourceVersion(self.versions)
    }

    fn limits(&self) -> Limits {
        let asked = self.seen.pod.as_ref().map(|pod| pod.annotations.limits).unwrap_or_default();
        self.policy.limits(asked)
    }

    fn feed(&mut self, mut event: Event<u32>) {
        let id = SandboxId::parse("a").unwrap();
        for round in 0.. {
            assert!(round < 20, "the step does not come to rest: {:?}", self.sandbox);
            let seen = self.seen.clone();
            let policy = self.policy;
            let ctx = Context {
                id: &id,
                now: self.now,
                wall: self.wall,
                policy: &policy,
                seen: &seen,
                fresh: true,
            };
            let (sandbox, actions) = step(std::mem::take(&mut self.sandbox), event, ctx);
            self.sandbox = sandbox;
            let mut outcome = None;
            for action in actions {
                match action {
                    Action::Answer(..) => {
                        self.answered += 1;
                        self.order.push("answered");
                    }
                    Action::SetTimer(at) => self.wake = Some(at),
                    Action::Stop => {}
                    Action::RecordReap(cause) => self.reaps.push(cause),
                    Action::Create { request, halves } => {
                        self.create(request.limits, halves);
                        let done = |half: bool| half.then_some(Outcome::Done(()));
                        outcome =
                            Some(Event::Created { pod: done(halves.pod), service: done(halves.service) });
                    }
                    Action::Delete { .. } => {
                        self.seen = Observed::default();
                        self.model = None;
                        let done = Some(Outcome::Done(()));
                        outcome = Some(Event::Deleted { pod: done.clone(), service: done });
                    }
                    Action::Read => outcome = Some(Event::Read(Ok(None))),
                    Action::Write { uid, annotations } => {
                        self.order.push("written");
                        let version = self.version();
                        let pod = self.seen.pod.as_mut().filter(|pod| pod.uid == uid);
                        let pod = pod.expect("only what is there is written on");
                        pod.annotations = annotations;
                        pod.version = version;
                        outcome = Some(Event::Written(Outcome::Done(())));
                    }
                    Action::Probe { .. } => {
                        let busy = match (self.mute_since, self.busy) {
                            (Some(_), _) => Busy::Unanswered(String::new()),
                            (None, true) => Busy::Yes(String::new()),
                            (None, false) => Busy::No,
                        };
                        let unheard = |since: Instant| self.unheard_since.map_or(since, |u| u.min(since));
                        self.unheard_since = self.mute_since.map(unheard);
                        if let (Busy::Yes(_), Some(model)) = (&busy, &mut self.model) {
                            model.last_activity = self.now;
                        }
                        outcome = Some(Event::Probed(busy));
                    }
                    Action::Reap { pod, service, cause } => {
                        outcome = Some(self.reap(&pod, service.as_ref(), cause));
                    }
                }
            }
            match outcome {
                Some(next) => event = next,
                None => return,
            }
        }
    }

    fn create(&mut self, limits: Limits, halves: Objects) {
        let version = self.version();
        if halves.pod {
            let whole = Timestamp::from_second(self.wall.as_second()).unwrap();
            self.seen.pod = Some(ObservedPod {
                uid: Uid(format!("p{}", version.0).into()),
                version,
                phase: Phase::Running,
                ready: true,
                terminating: false,
                reason: None,
                created: Some(whole),
                spec: ObservedSpec::default(),
                annotations: LifetimeAnnotations {
                    limits,
                    last_activity: limits.idle_timeout.map(|_| whole),
                    owner: None,
                },
            });
            self.model = Some(Model { created_at: self.now, last_activity: self.now, slack: Duration::ZERO });
            self.unheard_since = None;
        }
        if halves.service {
            self.seen.service = Some(ObservedService {
                uid: Uid(format!("s{}", version.0).into()),
                version,
                terminating: false,
                url: Some("http://h:30000".into()),
            });
        }
    }

    /// Checks invariant 5: a sandbox is never reaped early.
    fn reap(
        &mut self,
        pod: &Preconditions,
        service: Option<&Preconditions>,
        cause: ReapReason,
    ) -> Event<u32> {
        let limits = self.limits();
        let model = self.model.as_ref().expect("only what is there is reaped");
        let limit = match cause {
            ReapReason::Ttl => model.created_at + limits.ttl.expect("it has one"),
            ReapReason::Idle => model.last_activity + limits.idle_timeout.expect("it has one"),
            other => panic!("nothing here gives {other:?}"),
        };
        assert!(self.now >= limit, "invariant 5: reaped {:?} early, {cause:?}", limit - self.now);
        let mute_since = self.mute_since.and(self.unheard_since.or(self.mute_since));
        let mute = mute_since.is_some_and(|since| self.now < since + self.policy.probe_patience);
        assert!(
            cause != ReapReason::Idle || !self.busy || self.mute_since.is_some(),
            "a busy sandbox was reaped"
        );
        assert!(cause != ReapReason::Idle || !mute, "a sandbox that could not be asked was reaped");
        assert_eq!(pod.version, self.seen.pod.as_ref().map(|pod| pod.version), "the very state");
        assert!(service.is_some());
        match self.belt.ask(
            &SandboxId::parse("a").unwrap(),
            1,
            Clocks { monotonic: self.now, wall: self.wall },
        ) {
            Admission::Allow => {
                self.seen = Observed::default();
                self.model = None;
                let done = Some(Outcome::Done(()));
                Event::Deleted { pod: done.clone(), service: done }
            }
            Admission::RetryAt(at) => Event::Deferred(at),
            Admission::DryRun => Event::DryRun,
        }
    }

    /// Advances the clocks. Checks that a due sandbox is reaped within a second, unless it is busy or cannot be
    /// probed.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.wake.filter(|at| *at <= until) {
            self.advance(at);
            self.wake = None;
            self.feed(Event::Due);
        }
        self.advance(until);
        if let Some(model) = &self.model {
            let limits = self.limits();
            let late = Duration::from_secs(1);
            let ttl = limits.ttl.map(|ttl| model.created_at + ttl + late + model.slack.min(late));
            let idle = limits.idle_timeout.map(|idle| model.last_activity + idle + late + model.slack);
            assert!(ttl.is_none_or(|limit| self.now <= limit), "a ttl has passed and it lives");
            let excused = self.busy || self.mute_since.is_some() || self.now <= self.excused_until;
            assert!(excused || idle.is_none_or(|limit| self.now <= limit), "an idle timeout has passed");
        }
    }

    fn advance(&mut self, to: Instant) {
        let by = to.saturating_duration_since(self.now);
        self.now += by;
        self.wall += SignedDuration::try_from(by).unwrap();
    }

    fn used(&mut self) {
        if let Some(model) = &mut self.model {
            model.last_activity = self.now;
        }
    }

    fn apply(&mut self, deed: &Deed, asked: Limits) {
        match deed {
            Deed::Post => {
                self.used();
                self.asked += 1;
                let request = request(&SandboxId::parse("a").unwrap());
                let request = Arc::new(CreateRequest { limits: asked, ..CreateRequest::clone(&request) });
                self.feed(Event::Post { request, waiter: self.asked });
            }
            Deed::Touch => {
                self.used();
                self.asked += 1;
                self.feed(Event::Touch { waiter: Some(self.asked), owner: None });
            }
            Deed::Change(change) => {
                self.used();
                self.asked += 1;
                self.feed(Event::Change { change: *change, waiter: self.asked, owner: None });
            }
            Deed::Delete => {
                self.asked += 1;
                self.feed(Event::Delete { waiter: self.asked, owner: None });
            }
            Deed::Restart => {
                self.sandbox = Sandbox::default();
                self.wake = None;
                let slack = self.limits().idle_timeout.unwrap_or_default() / WRITE_STEP;
                if let Some(model) = &mut self.model {
                    // One more second, because Kubernetes truncates times to whole seconds.
                    model.slack = slack + Duration::from_secs(1);
                }
                self.feed(Event::Resync);
            }
            Deed::Step(seconds) => self.wall += SignedDuration::from_secs(*seconds),
            Deed::Session(busy) => {
                // Activity inside the sandbox is probed only at the end of the idle timeout.
                if self.busy && !busy {
                    self.used_by_session();
                }
                self.busy = *busy;
            }
            Deed::Mute(mute) => {
                self.mute_since = mute.then(|| self.mute_since.unwrap_or(self.now));
                // The next probe is sent within the interval.
                self.excused_until = self.now + self.policy.probe_interval + Duration::from_secs(1);
            }
            Deed::Wait(seconds) => self.pass(Duration::from_secs(*seconds)),
        }
    }

    /// Accepts that the end of a session does not count as activity: the sandbox may be reaped immediately or after
    /// the next probe.
    fn used_by_session(&mut self) {
        let idle = self.limits().idle_timeout.unwrap_or_default();
        if let Some(model) = &mut self.model {
            model.slack = model.slack.max(idle + Duration::from_secs(1));
        }
    }
}

fn limit() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((1u64..120).prop_map(Duration::from_secs))
}

fn limits() -> impl Strategy<Value = Limits> {
    (limit(), limit()).prop_map(|(ttl, idle_timeout)| Limits { ttl, idle_timeout })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => Just(Deed::Post),
        4 => Just(Deed::Touch),
        1 => (prop::option::of(limit()), prop::option::of(limit()))
            .prop_map(|(ttl, idle_timeout)| Deed::Change(LimitsPatch { ttl, idle_timeout })),
        1 => Just(Deed::Delete),
        1 => any::<bool>().prop_map(Deed::Session),
        1 => any::<bool>().prop_map(Deed::Mute),
        6 => (0u64..60).prop_map(Deed::Wait),
    ]
}

fn unhindered() -> ReapLimits {
    ReapLimits {
        max_per_minute: None,
        max_share_percent: 100,
        grace: Duration::ZERO,
        ..ReapLimits::default()
    }
}

fn live(deeds: &[Deed], asked: Limits, default: Limits) -> World {
    let policy = Policy {
        default,
        probe_patience: Duration::from_secs(90),
        probe_interval: Duration::from_secs(10),
        ..Policy::default()
    };
    let mut world = World::new(policy, unhindered());
    for deed in deeds {
        world.apply(deed, asked);
    }
    assert_eq!(world.answered, world.asked, "everybody is answered");
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Guards that without clock steps, but with restarts, no sandbox is reaped early, or later than its limit plus a
    /// second (and what a restart may lose).
    #[test]
    fn nothing_goes_early_or_late_through_restarts(
        deeds in prop::collection::vec(prop_oneof![8 => deed(), 1 => Just(Deed::Restart)], 1..40),
        asked in limits(),
        default in limits(),
    ) {
        live(&deeds, asked, default);
    }

    /// Guards the same while the wall clock is stepped by an hour in either direction.
    #[test]
    fn nothing_goes_early_or_late_through_steps_of_the_clock(
        deeds in prop::collection::vec(
            prop_oneof![8 => deed(), 1 => prop::sample::select(vec![-3600, 3600]).prop_map(Deed::Step)],
            1..40,
        ),
        asked in limits(),
        default in limits(),
    ) {
        live(&deeds, asked, default);
    }
}

/// Guards that activity is written when it moves the deadline by a tenth, and not in between.
#[test]
fn touches_are_cheap() {
    let minute = Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) };
    let mut world = World::new(Policy::default(), unhindered());
    world.apply(&Deed::Post, minute);
    let before = world.versions;
    for _ in 0..1000 {
        world.apply(&Deed::Touch, minute);
    }
    assert_eq!(world.versions, before, "no time has passed");
    for _ in 0..60 {
        for _ in 0..10 {
            world.apply(&Deed::Touch, minute);
        }
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.versions - before, 9, "a write for each six seconds");
}

/// Guards that activity is written before it is acknowledged, so that a caller can rely on it even if the process
/// dies immediately after.
#[test]
fn what_is_acknowledged_was_written() {
    let minute = Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) };
    for deed in [Deed::Touch, Deed::Post] {
        let mut world = World::new(Policy::default(), unhindered());
        world.apply(&Deed::Post, minute);
        world.pass(Duration::from_secs(30));
        world.order.clear();
        world.apply(&deed, minute);
        assert_eq!(world.order, ["written", "answered"], "{deed:?}");
    }
}

/// Guards that an idle Pod that gets a new Service for a caller counts as in use, also for a process that only knows
/// the annotations: it is not reaped immediately.
#[test]
fn what_is_completed_is_in_use() {
    let minute = Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) };
    let mut world = World::new(Policy::default(), unhindered());
    world.apply(&Deed::Post, minute);
    world.pass(Duration::from_secs(59));
    world.seen.service = None;
    world.advance(world.now + Duration::from_secs(5));
    world.order.clear();
    world.apply(&Deed::Post, minute);
    assert_eq!(world.order, ["written", "answered"]);
    world.apply(&Deed::Restart, minute);
    world.pass(Duration::from_secs(50));
    assert!(world.reaps.is_empty() && world.seen.is_whole());
}

/// Guards that without limits nothing is written and no timer is set.
#[test]
fn what_has_no_limit_costs_nothing() {
    let mut world = World::new(Policy::default(), unhindered());
    world.apply(&Deed::Post, Limits::default());
    let before = world.versions;
    for _ in 0..100 {
        world.apply(&Deed::Touch, Limits::default());
        world.pass(Duration::from_secs(3600));
    }
    assert_eq!((world.versions, world.wake), (before, None));
}

/// Guards that a dry run reaps nothing, however long it lasts.
#[test]
fn a_rehearsal_reaps_nothing() {
    let limits = Limits { ttl: Some(Duration::from_secs(5)), idle_timeout: None };
    let mut world = World::new(Policy::default(), ReapLimits { dry_run: true, ..unhindered() });
    world.apply(&Deed::Post, limits);
    let until = world.now + Duration::from_secs(24 * 3600);
    while let Some(at) = world.wake.filter(|at| *at <= until) {
        world.advance(at);
        world.wake = None;
        world.feed(Event::Due);
    }
    assert!(world.seen.is_whole() && world.reaps.is_empty());
}

static BASE: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
