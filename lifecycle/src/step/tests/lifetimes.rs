//! Random lifetimes: activity, changes of limits, restarts and clock steps, compared with a simple model of when a
//! sandbox may be reaped.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{fixture::*, interpreter::Simulation};
use crate::{
    lifetime::{Clocks, WRITE_STEP},
    reap_limiter::{Admission, ReapLimiter, ReapLimits},
};

/// An external event.
#[derive(Debug, Clone)]
enum Step {
    Post,
    Touch,
    Change(LimitsPatch),
    Delete,
    /// The process is killed and restarted.
    Restart,
    /// The wall clock is stepped by this number of seconds.
    ClockStepped(i64),
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

struct LimitedCluster {
    fixture: Fixture,
    limiter: ReapLimiter,
    /// The limits that the last POST asked for.
    asked_limits: Limits,
    model: Option<Model>,
    asked: u32,
    answered: u32,
    versions: u64,
    busy: bool,
    mute_since: Option<Instant>,
    /// The time of the first failed probe. The activity between two probes is unknown.
    unanswered_since: Option<Instant>,
    /// Until when the delay after failed probes is accepted.
    excused_until: Instant,
    reaps: Vec<ReapReason>,
    /// The order of answers and writes.
    order: Vec<&'static str>,
}

impl LimitedCluster {
    fn new(policy: Policy, limits: ReapLimits) -> Self {
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
        let fixture = Fixture { wall, policy, ..Fixture::new() };
        Self {
            limiter: ReapLimiter::new(limits, Clocks { monotonic: fixture.now, wall }),
            asked_limits: Limits::default(),
            model: None,
            asked: 0,
            answered: 0,
            versions: 0,
            busy: false,
            mute_since: None,
            unanswered_since: None,
            excused_until: fixture.now,
            reaps: vec![],
            order: vec![],
            fixture,
        }
    }

    fn version(&mut self) -> ResourceVersion {
        self.versions += 1;
        ResourceVersion(self.versions)
    }

    fn limits(&self) -> Limits {
        let asked = self.fixture.seen.pod.as_ref().map(|pod| pod.annotations.limits).unwrap_or_default();
        self.fixture.policy.limits(asked)
    }

    fn delete_both(&mut self) {
        self.fixture.seen = Observed::default();
        self.model = None;
    }
    /// Advances the clocks. Checks that a due sandbox is reaped within a second, unless it is busy or cannot be
    /// probed.
    fn pass(&mut self, time: Duration) {
        self.pass_time(time);
        let now = self.fixture.now;
        if let Some(model) = &self.model {
            let limits = self.limits();
            let late = Duration::from_secs(1);
            let ttl = limits.ttl.map(|ttl| model.created_at + ttl + late + model.slack.min(late));
            let idle = limits.idle_timeout.map(|idle| model.last_activity + idle + late + model.slack);
            assert!(ttl.is_none_or(|limit| now <= limit), "a ttl has passed and it lives");
            let is_excused = self.busy || self.mute_since.is_some() || now <= self.excused_until;
            assert!(is_excused || idle.is_none_or(|limit| now <= limit), "an idle timeout has passed");
        }
    }

    fn use_sandbox(&mut self) {
        if let Some(model) = &mut self.model {
            model.last_activity = self.fixture.now;
        }
    }

    fn apply(&mut self, step: &Step, asked: Limits) {
        match step {
            Step::Post => {
                self.use_sandbox();
                self.asked += 1;
                self.asked_limits = asked;
                let request = CreateRequest { limits: asked, ..CreateRequest::new(self.fixture.id.clone()) };
                let event = self.fixture.post_event(request, self.asked);
                self.feed(event);
            }
            Step::Touch => {
                self.use_sandbox();
                self.asked += 1;
                self.feed(Event::Touch { waiter: Some(self.asked), owner: None });
            }
            Step::Change(change) => {
                self.use_sandbox();
                self.asked += 1;
                self.feed(Event::Change { change: *change, waiter: self.asked, owner: None });
            }
            Step::Delete => {
                self.asked += 1;
                self.feed(Event::Delete { waiter: self.asked, owner: None, only: None });
            }
            Step::Restart => {
                self.fixture.sandbox = Sandbox::default();
                self.fixture.timer = None;
                let slack = self.limits().idle_timeout.unwrap_or_default() / WRITE_STEP;
                if let Some(model) = &mut self.model {
                    // One more second, because Kubernetes truncates times to whole seconds.
                    model.slack = slack + Duration::from_secs(1);
                }
                self.feed(Event::Resync);
            }
            Step::ClockStepped(seconds) => self.fixture.wall += SignedDuration::from_secs(*seconds),
            Step::Session(busy) => {
                // Activity inside the sandbox is probed only at the end of the idle timeout.
                if self.busy && !busy {
                    self.end_session();
                }
                self.busy = *busy;
            }
            Step::Mute(mute) => {
                self.mute_since = mute.then(|| self.mute_since.unwrap_or(self.fixture.now));
                // The next probe is sent within the interval.
                self.excused_until =
                    self.fixture.now + self.fixture.policy.probe_interval + Duration::from_secs(1);
            }
            Step::Wait(seconds) => self.pass(Duration::from_secs(*seconds)),
        }
    }

    /// Accepts that the end of a session does not count as activity: the sandbox may be reaped immediately or after
    /// the next probe.
    fn end_session(&mut self) {
        let idle = self.limits().idle_timeout.unwrap_or_default();
        if let Some(model) = &mut self.model {
            model.slack = model.slack.max(idle + Duration::from_secs(1));
        }
    }
}

impl Simulation for LimitedCluster {
    fn fixture(&mut self) -> &mut Fixture {
        &mut self.fixture
    }

    fn create(&mut self, objects: Objects) -> Event<u32> {
        let version = self.version();
        let limits = self.asked_limits;
        if objects.pod {
            let whole = Timestamp::from_second(self.fixture.wall.as_second()).unwrap();
            let last_activity = limits.idle_timeout.map(|_| whole);
            self.fixture.seen.pod = Some(ObservedPod {
                version,
                created: Some(whole),
                annotations: LifetimeAnnotations { limits, last_activity, owner: None },
                ..pod(&format!("p{}", version.0))
            });
            let now = self.fixture.now;
            self.model = Some(Model { created_at: now, last_activity: now, slack: Duration::ZERO });
            self.unanswered_since = None;
        }
        if objects.service {
            self.fixture.seen.service =
                Some(ObservedService { version, ..service(&format!("s{}", version.0)) });
        }
        let done = |is_made: bool| is_made.then_some(Outcome::Done(()));
        created(done(objects.pod), done(objects.service))
    }

    fn delete(&mut self, _: Option<Uid>, _: Option<Uid>) -> Event<u32> {
        self.delete_both();
        Event::Deleted { pod: DONE, service: DONE }
    }

    fn read(&mut self) -> Event<u32> {
        Event::Read(Ok(None))
    }

    fn write(&mut self, uid: &Uid, annotations: LifetimePatch) -> Event<u32> {
        self.order.push("written");
        let version = self.version();
        let pod = self.fixture.seen.pod.as_mut().filter(|pod| pod.uid == *uid);
        let pod = pod.expect("only what is there is written on");
        pod.annotations = annotations.applied_to(&pod.annotations);
        pod.version = version;
        Event::Written(Outcome::Done(()))
    }

    fn probe(&mut self) -> Event<u32> {
        let busy = match (self.mute_since, self.busy) {
            (Some(_), _) => Busy::Unanswered(String::new()),
            (None, true) => Busy::Yes(String::new()),
            (None, false) => Busy::No,
        };
        let earliest = |since: Instant| self.unanswered_since.map_or(since, |u| u.min(since));
        self.unanswered_since = self.mute_since.map(earliest);
        if let (Busy::Yes(_), Some(model)) = (&busy, &mut self.model) {
            model.last_activity = self.fixture.now;
        }
        Event::Probed(busy)
    }

    /// Checks invariant 5: a sandbox is never reaped early.
    fn reap(
        &mut self,
        pod: &Preconditions,
        service: Option<&Preconditions>,
        reason: ReapReason,
    ) -> Event<u32> {
        let limits = self.limits();
        let Fixture { now, wall, .. } = self.fixture;
        let model = self.model.as_ref().expect("only what is there is reaped");
        let limit = match reason {
            ReapReason::Ttl => model.created_at + limits.ttl.expect("it has one"),
            ReapReason::Idle => model.last_activity + limits.idle_timeout.expect("it has one"),
            other => panic!("nothing here gives {other:?}"),
        };
        assert!(now >= limit, "invariant 5: reaped {:?} early, {reason:?}", limit - now);
        let mute_since = self.mute_since.and(self.unanswered_since.or(self.mute_since));
        let is_mute = mute_since.is_some_and(|since| now < since + self.fixture.policy.probe_patience);
        assert!(
            reason != ReapReason::Idle || !self.busy || self.mute_since.is_some(),
            "a busy sandbox was reaped"
        );
        assert!(reason != ReapReason::Idle || !is_mute, "a sandbox that could not be asked was reaped");
        assert_eq!(pod.version, self.fixture.seen.pod.as_ref().map(|pod| pod.version), "the very state");
        assert!(service.is_some());
        match self.limiter.ask(&self.fixture.id, 1, Clocks { monotonic: now, wall }) {
            Admission::Allow => {
                self.delete_both();
                Event::Reaped { pod: Outcome::Done(()), service: DONE }
            }
            Admission::RetryAt(at) => Event::Deferred(at),
            Admission::DryRun => Event::DryRun,
        }
    }

    fn answered(&mut self, _: u32, _: &Result<Reply, SandboxError>) {
        self.answered += 1;
        self.order.push("answered");
    }

    fn reaped(&mut self, reason: ReapReason) {
        self.reaps.push(reason);
    }
}

fn limit() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((1u64..120).prop_map(Duration::from_secs))
}

fn limits() -> impl Strategy<Value = Limits> {
    (limit(), limit()).prop_map(|(ttl, idle_timeout)| Limits { ttl, idle_timeout })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Post),
        4 => Just(Step::Touch),
        1 => (prop::option::of(limit()), prop::option::of(limit()))
            .prop_map(|(ttl, idle_timeout)| Step::Change(LimitsPatch { ttl, idle_timeout })),
        1 => Just(Step::Delete),
        1 => any::<bool>().prop_map(Step::Session),
        1 => any::<bool>().prop_map(Step::Mute),
        6 => (0u64..60).prop_map(Step::Wait),
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

fn live(steps: &[Step], asked: Limits, default: Limits) -> LimitedCluster {
    let policy = Policy {
        default,
        probe_patience: Duration::from_secs(90),
        probe_interval: Duration::from_secs(10),
        ..Policy::default()
    };
    let mut cluster = LimitedCluster::new(policy, unhindered());
    for step in steps {
        cluster.apply(step, asked);
    }
    assert_eq!(cluster.answered, cluster.asked, "everybody is answered");
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Guards that without clock steps, but with restarts, no sandbox is reaped early, or later than its limit plus a
    /// second (and what a restart may lose).
    #[test]
    fn nothing_goes_early_or_late_through_restarts(
        steps in prop::collection::vec(prop_oneof![8 => step(), 1 => Just(Step::Restart)], 1..40),
        asked in limits(),
        default in limits(),
    ) {
        live(&steps, asked, default);
    }

    /// Guards the same while the wall clock is stepped by an hour in either direction.
    #[test]
    fn nothing_goes_early_or_late_through_steps_of_the_clock(
        steps in prop::collection::vec(
            prop_oneof![8 => step(), 1 => prop::sample::select(vec![-3600, 3600]).prop_map(Step::ClockStepped)],
            1..40,
        ),
        asked in limits(),
        default in limits(),
    ) {
        live(&steps, asked, default);
    }
}

/// Guards that activity is written when it moves the deadline by a tenth, and not in between.
#[test]
fn touches_are_cheap() {
    let minute = Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) };
    let mut cluster = LimitedCluster::new(Policy::default(), unhindered());
    cluster.apply(&Step::Post, minute);
    let before = cluster.versions;
    for _ in 0..1000 {
        cluster.apply(&Step::Touch, minute);
    }
    assert_eq!(cluster.versions, before, "no time has passed");
    for _ in 0..60 {
        for _ in 0..10 {
            cluster.apply(&Step::Touch, minute);
        }
        cluster.pass(Duration::from_secs(1));
    }
    assert_eq!(cluster.versions - before, 9, "a write for each six seconds");
}

/// Guards that activity is written before it is acknowledged, so that a caller can rely on it even if the process
/// dies immediately after.
#[test]
fn what_is_acknowledged_was_written() {
    let minute = Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) };
    for step in [Step::Touch, Step::Post] {
        let mut cluster = LimitedCluster::new(Policy::default(), unhindered());
        cluster.apply(&Step::Post, minute);
        cluster.pass(Duration::from_secs(30));
        cluster.order.clear();
        cluster.apply(&step, minute);
        assert_eq!(cluster.order, ["written", "answered"], "{step:?}");
    }
}

/// Guards that an idle Pod that gets a new Service for a caller counts as in use, also for a process that only knows
/// the annotations: it is not reaped immediately.
#[test]
fn what_is_completed_is_in_use() {
    let minute = Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) };
    let mut cluster = LimitedCluster::new(Policy::default(), unhindered());
    cluster.apply(&Step::Post, minute);
    cluster.pass(Duration::from_secs(59));
    cluster.fixture.seen.service = None;
    cluster.fixture.after(Duration::from_secs(5));
    cluster.order.clear();
    cluster.apply(&Step::Post, minute);
    assert_eq!(cluster.order, ["written", "answered"]);
    cluster.apply(&Step::Restart, minute);
    cluster.pass(Duration::from_secs(50));
    assert!(cluster.reaps.is_empty() && cluster.fixture.seen.is_whole());
}

/// Guards that without limits nothing is written and no timer is set.
#[test]
fn what_has_no_limit_costs_nothing() {
    let mut cluster = LimitedCluster::new(Policy::default(), unhindered());
    cluster.apply(&Step::Post, Limits::default());
    let before = cluster.versions;
    for _ in 0..100 {
        cluster.apply(&Step::Touch, Limits::default());
        cluster.pass(Duration::from_secs(3600));
    }
    assert_eq!((cluster.versions, cluster.fixture.timer), (before, None));
}

/// Guards that a dry run reaps nothing, however long it lasts.
#[test]
fn a_dry_run_reaps_nothing() {
    let limits = Limits { ttl: Some(Duration::from_secs(5)), idle_timeout: None };
    let mut cluster = LimitedCluster::new(Policy::default(), ReapLimits { dry_run: true, ..unhindered() });
    cluster.apply(&Step::Post, limits);
    cluster.pass_time(Duration::from_secs(24 * 3600));
    assert!(cluster.fixture.seen.is_whole() && cluster.reaps.is_empty());
}
