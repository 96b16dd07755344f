//! Tests of uncertainty: reaps with an unknown outcome, stale views, incomplete sandboxes, and activity probes that
//! fail.

use super::fixture::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a sandbox whose ttl has passed and whose reap has an unknown outcome.
fn in_doubt() -> Fixture {
    let mut old = pod("p");
    old.annotations.limits = Limits { ttl: Some(HOUR), idle_timeout: None };
    old.created = Some(Timestamp::UNIX_EPOCH);
    let mut fixture = Fixture::with(Some(old), Some(service("s")));
    fixture.feed(Event::Resync);
    let actions = fixture.after(HOUR * 2).feed(Event::Due);
    assert!(matches!(actions[..], [Action::Reap { reason: ReapReason::Ttl, .. }]), "{actions:?}");
    assert_eq!(fixture.feed(Event::Reaped { pod: unknown().unwrap(), service: None }), [Action::Read]);
    fixture
}

fn with_idle_timeout() -> ObservedPod {
    let mut pod = pod("p");
    pod.annotations.limits = Limits { ttl: None, idle_timeout: Some(HOUR) };
    pod.annotations.last_activity = Some(Timestamp::UNIX_EPOCH);
    pod
}

fn cannot_look(fixture: &mut Fixture) -> Vec<Action<u32>> {
    fixture.feed(Event::Read(Err(ClusterError::new(ClusterErrorKind::Unreachable, ""))))
}

/// Guards that a reap with an unknown outcome that succeeded is recorded, and that the Service is deleted.
#[test]
fn a_reap_in_doubt_that_worked_is_brought_to_its_end() {
    let mut fixture = in_doubt();
    fixture.seen.pod = Some(dying("p"));
    let actions = fixture.feed(Event::Read(Ok(None)));
    assert_eq!(actions, [Action::RecordReap(ReapReason::Ttl), remove(None, Some("s"))]);
    fixture.seen = Observed::default();
    assert_eq!(fixture.feed(Event::Deleted { pod: None, service: DONE }), [Action::Stop]);
}

/// Guards that a reap with an unknown outcome that failed is retried a little later.
#[test]
fn a_reap_in_doubt_that_failed_is_judged_anew() {
    let mut fixture = in_doubt();
    let actions = fixture.feed(Event::Read(Ok(None)));
    let [Action::SetTimer(at)] = actions[..] else { panic!("{actions:?}") };
    assert!(at > fixture.now && fixture.sandbox.stage == Stage::default());
    fixture.now = at;
    let actions = fixture.feed(Event::Due);
    assert!(matches!(actions[..], [Action::Reap { reason: ReapReason::Ttl, .. }]), "{actions:?}");
}

/// Guards that while the outcome is unknown the sandbox is not returned and no use is acknowledged, although the view
/// shows it, and that reads are repeated only at their interval.
#[test]
fn what_is_in_doubt_is_not_given() {
    let mut fixture = in_doubt();
    for _ in 0..3 {
        let actions = cannot_look(&mut fixture);
        let [Action::SetTimer(at)] = actions[..] else { panic!("{actions:?}") };
        let actions = fixture.post(1);
        assert!(matches!(failure(&actions, 1), SandboxError::StillTerminating { .. }), "{actions:?}");
        assert!(!actions.contains(&Action::Read));
        let actions = fixture.feed(Event::Touch { waiter: Some(2), owner: None });
        assert!(matches!(failure(&actions, 2), SandboxError::StillTerminating { .. }), "{actions:?}");
        assert_eq!(fixture.feed(Event::Resync), [Action::SetTimer(at)]);
        fixture.now = at;
        assert_eq!(fixture.feed(Event::Due), [Action::Read]);
    }
}

/// Guards that a report of the watch before the next read ends the uncertainty.
#[test]
fn the_watch_ends_the_doubt() {
    let mut fixture = in_doubt();
    cannot_look(&mut fixture);
    fixture.seen = Observed::default();
    assert_eq!(fixture.feed(Event::Resync), [Action::RecordReap(ReapReason::Ttl), Action::Stop]);
}

/// Guards that a DELETE does not wait until the outcome of the reap is known.
#[test]
fn what_is_in_doubt_may_be_deleted() {
    let mut fixture = in_doubt();
    cannot_look(&mut fixture);
    assert_eq!(fixture.delete(1), [remove(Some("p"), Some("s"))]);
}

/// Guards that with a stale view a create reads first. An object that the view does not show may be in use, and a
/// later undo must not delete it.
#[test]
fn a_create_in_the_dark_looks_first() {
    let mut fixture = Fixture::new();
    fixture.fresh = false;
    assert_eq!(fixture.post(1), [Action::Read]);
    assert!(!fixture.sandbox.stage.is_unpublished(), "it may have been given to somebody");
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    fixture.fresh = true;
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [made(1)]);

    let mut fixture = Fixture::new();
    fixture.fresh = false;
    fixture.post(1);
    let actions = cannot_look(&mut fixture);
    assert!(matches!(failure(&actions, 1), SandboxError::Unavailable { .. }), "{actions:?}");
    assert_eq!(fixture.sandbox.stage, Stage::default(), "nothing was made, and nothing is to be undone");

    let mut fixture = Fixture::new();
    fixture.fresh = false;
    fixture.post(1);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [fixture.create(Objects::BOTH)], "it looks once");
}

/// Guards that a create without an answer in its caller's time fails at once, and that objects it creates later are
/// deleted and never shown.
#[test]
fn a_create_without_an_answer_is_taken_back() {
    let mut fixture = Fixture::new();
    fixture.post(1);
    fixture.after(POST_PATIENCE);
    assert_eq!(fixture.created(unknown(), DONE), [Action::Read]);
    fixture.seen.service = Some(service("s"));
    let actions = fixture.feed(Event::Read(Ok(None)));
    let told = SandboxError::Unanswered { operation: Operation::CreatePod, after: POST_PATIENCE };
    assert_eq!(failure(&actions, 1), &told);
    assert!(
        told.to_string().starts_with("Pod creation was not answered by the API server within 22 s"),
        "{told}"
    );
    assert!(fixture.sandbox.is_unpublished());
    fixture.seen.pod = Some(pod("p"));
    assert_eq!(fixture.after(Duration::from_secs(1)).feed(Event::Due), [Action::Read]);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
}

/// Guards the same for a DELETE of an incomplete sandbox: the other object is deleted too.
#[test]
fn a_delete_in_the_dark_looks_first() {
    let mut fixture = Fixture::with(Some(pod("p")), None);
    fixture.fresh = false;
    assert_eq!(fixture.delete(1), [Action::Read]);
    fixture.seen.service = Some(service("s"));
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
}

/// Guards that a touch with a stale view does not return a status.
#[test]
fn a_touch_in_the_dark_tells_nothing() {
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    fixture.feed(Event::Resync);
    fixture.fresh = false;
    let actions = fixture.feed(Event::Touch { waiter: Some(1), owner: None });
    assert!(matches!(failure(&actions, 1), SandboxError::Stale { .. }), "{actions:?}");
}

/// Guards that an unpublished sandbox stays unpublished, also after another create that first had to delete it has
/// failed.
#[test]
fn half_a_reap_stays_unheard_of() {
    let mut fixture = Fixture::with(Some(dying("p")), Some(service("s")));
    let delete = PendingDelete::unpublished(Objects::SERVICE);
    fixture.sandbox.stage = Existence::DeleteBackoff { delete, retry_at: fixture.now }.into();
    assert_eq!(fixture.post(1), [Action::Read]);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(None, Some("s"))]);
    fixture.feed(Event::Deleted { pod: None, service: refused(ClusterErrorKind::Forbidden) });
    assert!(fixture.sandbox.stage.is_unpublished(), "{:?}", fixture.sandbox.stage);
}

/// Guards that an idle sandbox with a terminating Service is kept as long as one that does not answer, without a
/// probe, and is then reaped.
#[test]
fn an_idle_sandbox_that_cannot_be_asked_is_left_for_a_while() {
    let idle = with_idle_timeout();
    let leaving = ObservedService { terminating: true, ..service("s") };
    let mut fixture = Fixture::with(Some(idle), Some(leaving));
    fixture.feed(Event::Resync);
    fixture.after(HOUR * 2);
    let due = fixture.now;
    loop {
        let actions = fixture.feed(Event::Due);
        match actions[..] {
            [Action::SetTimer(at)] => fixture.now = at.max(fixture.now + Duration::from_millis(1)),
            [Action::Reap { reason: ReapReason::Idle, service: None, .. }] => break,
            _ => panic!("{actions:?}"),
        }
        assert!(fixture.now <= due + fixture.policy.probe_patience + fixture.policy.probe_interval);
    }
    assert!(fixture.now >= due + fixture.policy.probe_patience);
}

/// Guards that a busy sandbox is not reaped although its Service was deleted during the probe.
#[test]
fn a_busy_sandbox_that_lost_its_service_stays() {
    let idle = with_idle_timeout();
    let mut fixture = Fixture::with(Some(idle), Some(service("s")));
    fixture.feed(Event::Resync);
    let actions = fixture.after(HOUR * 2).feed(Event::Due);
    assert!(matches!(actions[..], [Action::Probe { .. }]), "{actions:?}");
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Probed(Busy::Yes(String::new())));
    assert!(!actions.iter().any(|action| matches!(action, Action::Reap { .. })), "{actions:?}");
}

/// Guards that a Pod whose create had an unknown outcome is as old as the create, whatever its `creationTimestamp`:
/// the API server's clock may have been stepped.
#[test]
fn a_create_with_a_lost_answer_is_young() {
    for is_watched in [false, true] {
        let mut fixture = Fixture::new();
        fixture.post(1);
        let mut made_then = pod("p");
        made_then.annotations.limits = Limits { ttl: Some(HOUR), idle_timeout: None };
        made_then.created = Some(fixture.wall);
        let both = Observed { pod: Some(made_then), service: Some(service("s")) };
        fixture.wall += jiff::SignedDuration::from_hours(24);
        // The watch may have reported the objects before the call timed out.
        if is_watched {
            fixture.seen = both.clone();
        }
        assert_eq!(fixture.created(unknown(), DONE), [Action::Read]);
        fixture.seen = both;
        let actions = fixture.feed(Event::Read(Ok(None)));
        let [Action::Answer(1, Ok(_)), Action::SetTimer(at)] = actions[..] else { panic!("{actions:?}") };
        assert_eq!(at, fixture.now + HOUR);
    }
}
