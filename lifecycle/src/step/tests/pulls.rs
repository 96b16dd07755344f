//! Tests of the start timeout, which does not count the pull of the Pod's images.

use super::fixture::*;

const SECOND: Duration = Duration::from_secs(1);

/// An event at a second of the sandbox's life.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The view's pull time.
    Pull(Option<PullTime>),
    /// The process is restarted, and does not know the Events of before until the next [`Step::Pull`].
    Restart,
    /// All containers run.
    Run,
    Ready,
}

const RUNNING: Step = Step::Pull(Some(PullTime::Running));

fn took(seconds: u64) -> Step {
    Step::Pull(Some(PullTime::Took(Duration::from_secs(seconds))))
}

/// Runs a sandbox that is not ready, with a start timeout of a minute and an allowance of five minutes for pulls. Returns
/// the second in which it is reaped. Until then its expiry must lie ahead.
fn reaped_after(steps: &[(u64, Step)]) -> Option<u64> {
    let unready =
        ObservedPod { phase: Phase::Pending, ready: false, created: Some(Timestamp::UNIX_EPOCH), ..pod("p") };
    let mut fixture = Fixture::with(Some(unready), Some(service("s")));
    fixture.policy.start_timeout = Some(Duration::from_secs(60));
    fixture.policy.pull_allowance = Duration::from_secs(300);
    let mut actions = fixture.feed(Event::Resync);
    let mut timer = None;
    for second in 0..2000 {
        for (_, step) in steps.iter().filter(|(at, _)| *at == second) {
            match step {
                Step::Pull(pull) => fixture.pull = *pull,
                Step::Restart => {
                    (fixture.sandbox, fixture.pull, timer) = (Sandbox::default(), None, None);
                }
                Step::Run => fixture.seen.pod.as_mut().unwrap().phase = Phase::Running,
                Step::Ready => fixture.seen.pod.as_mut().unwrap().ready = true,
            }
            actions.extend(fixture.feed(Event::Resync));
        }
        if timer.is_some_and(|at| at <= fixture.now) {
            timer = None;
            actions.extend(fixture.feed(Event::Due));
        }
        for action in actions.drain(..) {
            match action {
                Action::SetTimer(at) => timer = Some(timer.map_or(at, |set: Instant| set.min(at))),
                Action::Reap { reason: ReapReason::NeverReady, .. } => return Some(second),
                other => panic!("{other:?} in second {second} of {steps:?}"),
            }
        }
        let expiry = fixture.sandbox.expiry(fixture.context());
        assert!(expiry.is_none_or(|expiry| expiry.expires_at >= fixture.wall), "{second} of {steps:?}");
        fixture.after(SECOND);
    }
    None
}

/// Guards the second in which a sandbox that does not become ready is reaped: the pull of its images does not count, up to
/// its own limit, and the deadline moves when a pull begins or ends.
#[test]
fn the_pull_of_an_image_does_not_count() {
    let unknown = Step::Pull(None);
    for (steps, reaped) in [
        // Without the right to watch Events.
        (&[][..], Some(60)),
        (&[(5, RUNNING), (105, took(100))], Some(160)),
        (&[(5, RUNNING)], Some(360)),
        (&[(5, RUNNING), (359, took(354))], Some(360)),
        (&[(5, RUNNING), (200, took(1))], Some(200)),
        (&[(5, RUNNING), (6, took(1))], Some(61)),
        // Two containers, one after the other.
        (&[(5, RUNNING), (15, took(10)), (20, RUNNING), (40, took(30))], Some(90)),
        // The view has dropped the Events. The last known time holds.
        (&[(5, RUNNING), (15, took(10)), (20, unknown)], Some(70)),
        // After a restart the Events that Kubernetes still holds count again. A Pod's age is known to a second.
        (&[(5, RUNNING), (15, took(10)), (20, Step::Restart), (21, took(10))], Some(71)),
        (&[(5, RUNNING), (20, Step::Restart), (21, RUNNING), (40, took(35))], Some(96)),
        // A Pod that runs may have been ready before the restart.
        (&[(5, RUNNING), (15, took(10)), (16, Step::Run)], Some(70)),
        (&[(5, RUNNING), (15, took(10)), (16, Step::Run), (20, Step::Restart), (21, took(10))], Some(80)),
        // Kubernetes holds them no more.
        (&[(5, RUNNING), (15, took(10)), (20, Step::Restart)], Some(61)),
        (&[(5, RUNNING), (15, took(10)), (69, Step::Ready)], None),
    ] {
        assert_eq!(reaped_after(steps), reaped, "{steps:?}");
    }
}
