//! Tests of the hold that callers see for a sandbox that has reached a limit.

use super::fixture::*;
use crate::hold::{Held, HoldReason};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a sandbox whose limit is reached, and the actions that follow.
fn due(limits: Limits) -> (Fixture, Vec<Action<u32>>) {
    let mut pod = pod("p");
    pod.created = Some(Timestamp::UNIX_EPOCH);
    pod.annotations.last_activity = Some(Timestamp::UNIX_EPOCH);
    pod.annotations.limits = limits;
    let mut fixture = Fixture::with(Some(pod), Some(service("s")));
    fixture.feed(Event::Resync);
    let actions = fixture.after(HOUR * 2).feed(Event::Due);
    (fixture, actions)
}

fn idle() -> Fixture {
    let (fixture, actions) = due(Limits { ttl: None, idle_timeout: Some(HOUR) });
    assert!(matches!(actions[..], [Action::Probe { .. }]), "{actions:?}");
    fixture
}

fn expired() -> Fixture {
    let (fixture, actions) = due(Limits { ttl: Some(HOUR), idle_timeout: None });
    assert!(matches!(actions[..], [Action::Reap { .. }]), "{actions:?}");
    fixture
}

fn held(fixture: &Fixture) -> Option<Held> {
    let lifetime = fixture.sandbox.expiry(fixture.context()).unwrap();
    assert!(lifetime.expires_at <= fixture.wall, "it has reached its limit");
    lifetime.held
}

fn at(fixture: &Fixture, wait: Duration) -> Timestamp {
    fixture.wall.saturating_add(jiff::SignedDuration::try_from(wait).unwrap()).unwrap()
}

/// Guards that each hold is reported with its reason and the time at which it ends.
#[test]
fn each_hold_is_told_with_its_reason_and_its_end() {
    let mut fixture = expired();
    let _ = fixture.feed(Event::Deferred(fixture.now + Duration::from_secs(7)));
    let until = at(&fixture, Duration::from_secs(7));
    assert_eq!(held(&fixture), Some(Held { reason: HoldReason::ReapLimits, until }));

    let mut fixture = expired();
    let _ = fixture.feed(Event::DryRun);
    assert_eq!(held(&fixture).map(|held| held.reason), Some(HoldReason::DryRun));

    let mut fixture = expired();
    let _ = fixture.feed(Event::Reaped { pod: refused(ClusterErrorKind::Forbidden).unwrap(), service: None });
    assert_eq!(held(&fixture).map(|held| held.reason), Some(HoldReason::DeleteFailed));

    let mut fixture = idle();
    let _ = fixture.feed(Event::Probed(Busy::Unasked(String::new())));
    let until = at(&fixture, fixture.policy.probe_interval);
    assert_eq!(held(&fixture), Some(Held { reason: HoldReason::ProbeNotSent, until }));
}

/// Guards that a sandbox which does not answer is reported as held until `probe_patience` ends, not until the next
/// probe.
#[test]
fn a_sandbox_that_does_not_answer_is_held_for_its_patience() {
    let mut fixture = idle();
    let until = at(&fixture, fixture.policy.probe_patience);
    let unanswered = || Event::Probed(Busy::Unanswered(String::new()));
    for _ in 0..2 {
        let _ = fixture.feed(unanswered());
        assert_eq!(held(&fixture), Some(Held { reason: HoldReason::ProbeUnanswered, until }));
        let interval = fixture.policy.probe_interval;
        let actions = fixture.after(interval).feed(Event::Due);
        assert!(matches!(actions[..], [Action::Probe { .. }]), "{actions:?}");
    }
}

/// Guards that a sandbox that was used again is no longer held.
#[test]
fn a_use_ends_the_hold() {
    let mut fixture = idle();
    let _ = fixture.feed(Event::Probed(Busy::Unanswered(String::new())));
    let actions = fixture.post(1);
    let Some(Action::Write { .. }) = actions.last() else { panic!("{actions:?}") };
    let actions = fixture.feed(Event::Written(Outcome::Done(())));
    let [Action::Answer(1, Ok(Reply::Made(status))), ..] = &actions[..] else { panic!("{actions:?}") };
    let lifetime = status.expiry.unwrap();
    assert!(lifetime.expires_at > fixture.wall && lifetime.held.is_none(), "{lifetime:?}");
}
