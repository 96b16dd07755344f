//! Resizes: for a caller, and once a sandbox with more CPU for its start is ready.

use super::fixture::*;
use crate::spec::Resources;

fn cpu(limit: &str) -> Resources {
    Resources { cpu: Some(limit.to_owned()), ..Resources::NONE }
}

fn resize(waiter: u32) -> Event<u32> {
    Event::Resize { resources: cpu("2"), waiter, owner: None }
}

/// Returns the call for a caller.
fn call() -> Action<u32> {
    Action::Resize { uid: uid("p"), resources: cpu("2"), after_start: false }
}

/// Returns the call that lowers the CPU of this Pod.
fn lowering(pod: &str) -> Action<u32> {
    Action::Resize { uid: uid(pod), resources: cpu("1"), after_start: true }
}

/// Returns a Pod that is to get one core once it is ready.
fn boosted(ready: bool) -> ObservedPod {
    let spec = ObservedSpec { cpu_after_start: Some("1".into()), ..ObservedSpec::default() };
    ObservedPod { ready, spec, ..pod("p") }
}

fn whole(pod: ObservedPod) -> Fixture {
    Fixture::with(Some(pod), Some(service("s")))
}

fn timer(actions: &[Action<u32>]) -> Option<Instant> {
    actions.iter().find_map(|action| if let Action::SetTimer(at) = action { Some(*at) } else { None })
}

fn fault(kind: ClusterErrorKind) -> Outcome<()> {
    Outcome::Refused(ClusterError::new(kind, "why"))
}

/// Guards that a caller gets one call to the cluster, and then the sandbox, or the error that says what went wrong.
#[test]
fn a_caller_resizes_a_sandbox() {
    let failure =
        |kind| SandboxError::Refused { operation: Operation::Resize, fault: ClusterError::new(kind, "why") };
    let terminating = SandboxError::StillTerminating {
        id: SandboxId::parse("a").unwrap(),
        retry_after: Duration::from_secs(5),
    };
    for (outcome, expected) in [
        (Outcome::Done(()), None),
        (fault(ClusterErrorKind::NotSupported), Some(SandboxError::ResizeNotSupported)),
        (fault(ClusterErrorKind::Invalid), Some(SandboxError::ResizeRefused("why".to_owned()))),
        (fault(ClusterErrorKind::Denied), Some(SandboxError::ResizeRefused("why".to_owned()))),
        (fault(ClusterErrorKind::Forbidden), Some(failure(ClusterErrorKind::Forbidden))),
        (fault(ClusterErrorKind::NotFound), Some(terminating.clone())),
        (fault(ClusterErrorKind::Conflict), Some(terminating)),
        (
            Outcome::Unknown(ClusterError::new(ClusterErrorKind::TimedOut, "why")),
            Some(SandboxError::Unavailable {
                operation: Operation::Resize,
                fault: ClusterError::new(ClusterErrorKind::TimedOut, "why"),
                retry_after: Duration::from_secs(5),
            }),
        ),
    ] {
        let mut fixture = whole(pod("p"));
        assert_eq!(fixture.feed(resize(1)), [call()]);
        let actions = fixture.feed(Event::Resized(outcome.clone()));
        match expected {
            None => {
                assert!(matches!(&actions[..], [Action::Answer(1, Ok(Reply::Made(_))), ..]), "{actions:?}");
            }
            Some(error) => assert_eq!(actions[0], Action::Answer(1, Err(error)), "{outcome:?}"),
        }
        assert_eq!(fixture.feed(resize(2)), [call()], "the sandbox is steady again");
    }
}

/// Guards that only a complete sandbox is resized.
#[test]
fn only_a_complete_sandbox_is_resized() {
    for (pod, service) in
        [(None, Some(service("s"))), (Some(pod("p")), None), (Some(dying("p")), None), (None, None)]
    {
        let mut fixture = Fixture::with(pod, service);
        let actions = fixture.feed(resize(1));
        assert!(matches!(actions[0], Action::Answer(1, Ok(Reply::Gone))), "{actions:?}");
    }
    let mut fixture = Fixture::with(Some(dying("p")), Some(service("s")));
    let actions = fixture.feed(resize(1));
    assert!(
        matches!(actions[0], Action::Answer(1, Err(SandboxError::StillTerminating { .. }))),
        "{actions:?}"
    );
}

/// Guards when the CPU of a sandbox is lowered: in a complete, ready sandbox that has more than it is to have, also if
/// this process has not seen its start.
#[test]
fn a_ready_sandbox_is_lowered_to_its_cpu() {
    let lowers = |fixture: &mut Fixture| fixture.feed(Event::Resync) == [lowering("p")];
    assert!(lowers(&mut whole(boosted(true))));
    assert!(!lowers(&mut whole(boosted(false))), "it is not ready");
    assert!(!lowers(&mut whole(pod("p"))), "it has its CPU");
    assert!(!lowers(&mut Fixture::with(Some(boosted(true)), None)), "it has no Service");
    assert!(!lowers(&mut whole(ObservedPod { terminating: true, ..boosted(true) })));
    let mut stale = whole(boosted(true));
    stale.fresh = false;
    let actions = stale.feed(Event::Resync);
    assert!(timer(&actions).is_some_and(|at| at > stale.now), "it looks again: {actions:?}");
}

/// Guards that one call is in flight at a time, and that a request in between gets a retryable error.
#[test]
fn one_resize_is_in_flight_at_a_time() {
    let mut fixture = whole(boosted(true));
    assert_eq!(fixture.feed(Event::Resync), [lowering("p")]);
    for event in [Event::Resync, Event::Due] {
        assert_eq!(fixture.feed(event), []);
    }
    let actions = fixture.feed(resize(1));
    assert!(matches!(&actions[..], [Action::Answer(1, Err(_))]), "{actions:?}");
    fixture.seen.pod = Some(pod("p"));
    assert_eq!(timer(&fixture.feed(Event::Resized(Outcome::Done(())))), None, "nothing is left to do");
}

/// Guards the time of the next attempt after each outcome: soon after one that passes, later each time, and rarely after
/// one that only an operator can change.
#[test]
fn attempts_back_off() {
    let seconds = |outcome: &Outcome<()>| {
        let mut fixture = whole(boosted(true));
        let mut event = Event::Resync;
        let mut waits = vec![];
        for _ in 0..9 {
            assert_eq!(fixture.feed(event), [lowering("p")]);
            let actions = fixture.feed(Event::Resized(outcome.clone()));
            let at = timer(&actions).unwrap();
            waits.push((at - fixture.now).as_secs());
            assert_eq!(fixture.feed(Event::Resync), [], "no sooner");
            fixture.advance_to(at);
            event = Event::Due;
        }
        waits
    };
    let passing = [5, 10, 20, 40, 80, 160, 300, 300, 300];
    assert_eq!(seconds(&unknown().unwrap()), passing);
    assert_eq!(seconds(&fault(ClusterErrorKind::Unreachable)), passing);
    assert_eq!(seconds(&Outcome::Done(())), passing, "the Pod does not change");
    for kind in [ClusterErrorKind::NotSupported, ClusterErrorKind::Forbidden, ClusterErrorKind::Invalid] {
        assert_eq!(seconds(&fault(kind)), [3600; 9], "{kind:?}");
    }
}

/// Guards that the attempts of one Pod do not delay those of its replacement.
#[test]
fn a_new_pod_has_its_own_attempts() {
    let mut fixture = whole(boosted(true));
    fixture.feed(Event::Resync);
    fixture.feed(Event::Resized(fault(ClusterErrorKind::Forbidden)));
    fixture.seen.pod = Some(ObservedPod { uid: uid("q"), ..boosted(true) });
    assert_eq!(fixture.feed(Event::Resync), [lowering("q")]);
}
