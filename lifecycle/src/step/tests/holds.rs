//! Tests of the hold that callers see for a sandbox that has reached a limit.

use std::time::Duration;

use super::{super::*, bench::*};
use crate::{
    hold::{Held, HoldReason},
    lifetime::Limits,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a sandbox whose limit is reached, and the actions that follow.
fn due(limits: Limits) -> (Bench, Vec<Action<u32>>) {
    let mut pod = pod("p");
    pod.created = Some(Timestamp::UNIX_EPOCH);
    pod.annotations.last_activity = Some(Timestamp::UNIX_EPOCH);
    pod.annotations.limits = limits;
    let mut bench = Bench::with(Some(pod), Some(service("s")));
    bench.feed(Event::Resync);
    let actions = bench.after(HOUR * 2).feed(Event::Due);
    (bench, actions)
}

fn idle() -> Bench {
    let (bench, actions) = due(Limits { ttl: None, idle_timeout: Some(HOUR) });
    assert!(matches!(actions[..], [Action::Probe { .. }]), "{actions:?}");
    bench
}

fn expired() -> Bench {
    let (bench, actions) = due(Limits { ttl: Some(HOUR), idle_timeout: None });
    assert!(matches!(actions[..], [Action::Reap { .. }]), "{actions:?}");
    bench
}

fn held(bench: &Bench) -> Option<Held> {
    let ctx = Context {
        id: &bench.id,
        now: bench.now,
        wall: bench.wall,
        policy: &bench.policy,
        seen: &bench.seen,
        fresh: bench.fresh,
    };
    let lifetime = bench.sandbox.prospects(ctx).unwrap();
    assert!(lifetime.expires_at <= bench.wall, "it has reached its limit");
    lifetime.held
}

fn at(bench: &Bench, wait: Duration) -> Timestamp {
    bench.wall.saturating_add(jiff::SignedDuration::try_from(wait).unwrap()).unwrap()
}

/// Guards that each hold is reported with its reason and the time at which it ends.
#[test]
fn each_hold_is_told_with_its_reason_and_its_end() {
    let mut bench = expired();
    let _ = bench.feed(Event::Deferred(bench.now + Duration::from_secs(7)));
    let until = at(&bench, Duration::from_secs(7));
    assert_eq!(held(&bench), Some(Held { reason: HoldReason::ReapLimits, until }));

    let mut bench = expired();
    let _ = bench.feed(Event::DryRun);
    assert_eq!(held(&bench).map(|held| held.reason), Some(HoldReason::DryRun));

    let mut bench = expired();
    let _ = bench.feed(Event::Deleted { pod: refused(ClusterErrorKind::Forbidden), service: None });
    assert_eq!(held(&bench).map(|held| held.reason), Some(HoldReason::DeleteFailed));

    let mut bench = idle();
    let _ = bench.feed(Event::Probed(Busy::Unasked(String::new())));
    let until = at(&bench, bench.policy.probe_interval);
    assert_eq!(held(&bench), Some(Held { reason: HoldReason::ProbeNotSent, until }));
}

/// Guards that a sandbox which does not answer is reported as held until `probe_patience` ends, not until the next
/// probe.
#[test]
fn a_sandbox_that_does_not_answer_is_held_for_its_patience() {
    let mut bench = idle();
    let until = at(&bench, bench.policy.probe_patience);
    let unanswered = || Event::Probed(Busy::Unanswered(String::new()));
    for _ in 0..2 {
        let _ = bench.feed(unanswered());
        assert_eq!(held(&bench), Some(Held { reason: HoldReason::ProbeUnanswered, until }));
        let interval = bench.policy.probe_interval;
        let actions = bench.after(interval).feed(Event::Due);
        assert!(matches!(actions[..], [Action::Probe { .. }]), "{actions:?}");
    }
}

/// Guards that a sandbox that was used again is no longer held.
#[test]
fn a_use_ends_the_hold() {
    let mut bench = idle();
    let _ = bench.feed(Event::Probed(Busy::Unanswered(String::new())));
    let actions = bench.post(1);
    let Some(Action::Write { .. }) = actions.last() else { panic!("{actions:?}") };
    let actions = bench.feed(Event::Written(Outcome::Done(())));
    let [Action::Answer(1, Ok(Reply::Made(status))), ..] = &actions[..] else { panic!("{actions:?}") };
    let lifetime = status.expiry.unwrap();
    assert!(lifetime.expires_at > bench.wall && lifetime.held.is_none(), "{lifetime:?}");
}
