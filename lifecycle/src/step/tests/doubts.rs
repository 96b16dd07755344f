//! Tests of uncertainty: reaps with an unknown outcome, stale views, incomplete sandboxes, and activity probes that
//! fail.

use std::time::Duration;

use super::{super::*, bench::*};
use crate::{
    error::{ClusterError, ClusterErrorKind},
    lifetime::Limits,
    observed::{ObservedPod, ObservedService},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a sandbox whose ttl has passed and whose reap has an unknown outcome.
fn in_doubt() -> Bench {
    let mut old = pod("p");
    old.annotations.limits = Limits { ttl: Some(HOUR), idle_timeout: None };
    old.created = Some(Timestamp::UNIX_EPOCH);
    let mut bench = Bench::with(Some(old), Some(service("s")));
    bench.feed(Event::Resync);
    let actions = bench.after(HOUR * 2).feed(Event::Due);
    assert!(matches!(actions[..], [Action::Reap { cause: ReapReason::Ttl, .. }]), "{actions:?}");
    assert_eq!(bench.feed(Event::Deleted { pod: unknown(), service: None }), [Action::Read]);
    bench
}

fn with_idle_timeout() -> ObservedPod {
    let mut pod = pod("p");
    pod.annotations.limits = Limits { ttl: None, idle_timeout: Some(HOUR) };
    pod.annotations.last_activity = Some(Timestamp::UNIX_EPOCH);
    pod
}

fn cannot_look(bench: &mut Bench) -> Vec<Action<u32>> {
    bench.feed(Event::Read(Err(ClusterError::new(ClusterErrorKind::Unreachable, ""))))
}

/// Guards that a reap with an unknown outcome that succeeded is recorded, and that the Service is deleted.
#[test]
fn a_reap_in_doubt_that_worked_is_brought_to_its_end() {
    let mut bench = in_doubt();
    bench.seen.pod = Some(dying("p"));
    let actions = bench.feed(Event::Read(Ok(None)));
    assert_eq!(actions, [Action::RecordReap(ReapReason::Ttl), remove(None, Some("s"))]);
    bench.seen = Observed::default();
    assert_eq!(bench.feed(Event::Deleted { pod: None, service: DONE }), [Action::Stop]);
}

/// Guards that a reap with an unknown outcome that failed is retried a little later.
#[test]
fn a_reap_in_doubt_that_failed_is_judged_anew() {
    let mut bench = in_doubt();
    let actions = bench.feed(Event::Read(Ok(None)));
    let [Action::SetTimer(at)] = actions[..] else { panic!("{actions:?}") };
    assert!(at > bench.now && bench.sandbox.stage == Stage::default());
    bench.now = at;
    let actions = bench.feed(Event::Due);
    assert!(matches!(actions[..], [Action::Reap { cause: ReapReason::Ttl, .. }]), "{actions:?}");
}

/// Guards that while the outcome is unknown the sandbox is not returned and no use is acknowledged, although the view
/// shows it, and that reads are repeated only at their interval.
#[test]
fn what_is_in_doubt_is_not_given() {
    let mut bench = in_doubt();
    for _ in 0..3 {
        let actions = cannot_look(&mut bench);
        let [Action::SetTimer(at)] = actions[..] else { panic!("{actions:?}") };
        let actions = bench.post(1);
        assert!(matches!(failure(&actions, 1), SandboxError::StillTerminating { .. }), "{actions:?}");
        assert!(!actions.contains(&Action::Read));
        let actions = bench.feed(Event::Touch { waiter: Some(2), owner: None });
        assert!(matches!(failure(&actions, 2), SandboxError::StillTerminating { .. }), "{actions:?}");
        assert_eq!(bench.feed(Event::Resync), [Action::SetTimer(at)]);
        bench.now = at;
        assert_eq!(bench.feed(Event::Due), [Action::Read]);
    }
}

/// Guards that a report of the watch before the next read ends the uncertainty.
#[test]
fn the_watch_ends_the_doubt() {
    let mut bench = in_doubt();
    cannot_look(&mut bench);
    bench.seen = Observed::default();
    assert_eq!(bench.feed(Event::Resync), [Action::RecordReap(ReapReason::Ttl), Action::Stop]);
}

/// Guards that a DELETE does not wait until the outcome of the reap is known.
#[test]
fn what_is_in_doubt_may_be_deleted() {
    let mut bench = in_doubt();
    cannot_look(&mut bench);
    assert_eq!(bench.delete(1), [remove(Some("p"), Some("s"))]);
}

/// Guards that with a stale view a create reads first. An object that the view does not show may be in use, and a
/// later undo must not delete it.
#[test]
fn a_create_in_the_dark_looks_first() {
    let mut bench = Bench::new();
    bench.fresh = false;
    assert_eq!(bench.post(1), [Action::Read]);
    assert!(!bench.sandbox.stage.is_unpublished(), "it may have been given to somebody");
    bench.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    bench.fresh = true;
    assert_eq!(bench.feed(Event::Read(Ok(None))), [made(1)]);

    let mut bench = Bench::new();
    bench.fresh = false;
    bench.post(1);
    let actions = cannot_look(&mut bench);
    assert!(matches!(failure(&actions, 1), SandboxError::Unavailable { .. }), "{actions:?}");
    assert_eq!(bench.sandbox.stage, Stage::default(), "nothing was made, and nothing is to be undone");

    let mut bench = Bench::new();
    bench.fresh = false;
    bench.post(1);
    assert_eq!(bench.feed(Event::Read(Ok(None))), [create(Objects::BOTH)], "it looks once");
}

/// Guards the same for a DELETE of an incomplete sandbox: the other object is deleted too.
#[test]
fn a_delete_in_the_dark_looks_first() {
    let mut bench = Bench::with(Some(pod("p")), None);
    bench.fresh = false;
    assert_eq!(bench.delete(1), [Action::Read]);
    bench.seen.service = Some(service("s"));
    assert_eq!(bench.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
}

/// Guards that a touch with a stale view does not return a status.
#[test]
fn a_touch_in_the_dark_tells_nothing() {
    let mut bench = Bench::with(Some(pod("p")), Some(service("s")));
    bench.feed(Event::Resync);
    bench.fresh = false;
    let actions = bench.feed(Event::Touch { waiter: Some(1), owner: None });
    assert!(matches!(failure(&actions, 1), SandboxError::Stale { .. }), "{actions:?}");
}

/// Guards that an unpublished sandbox stays unpublished, also after another create that first had to delete it has
/// failed.
#[test]
fn half_a_reap_stays_unheard_of() {
    let mut bench = Bench::with(Some(dying("p")), Some(service("s")));
    bench.sandbox.stage = Stage::DeleteBackoff {
        targets: Objects { pod: false, service: true },
        attempt: 0,
        at: Some(bench.now),
        waiters: vec![],
        unpublished: true,
    };
    assert_eq!(bench.post(1), [Action::Read]);
    assert_eq!(bench.feed(Event::Read(Ok(None))), [remove(None, Some("s"))]);
    bench.feed(Event::Deleted { pod: None, service: refused(ClusterErrorKind::Forbidden) });
    assert!(bench.sandbox.stage.is_unpublished(), "{:?}", bench.sandbox.stage);
}

/// Guards that an idle sandbox with a terminating Service is kept as long as one that does not answer, without a
/// probe, and is then reaped.
#[test]
fn an_idle_sandbox_that_cannot_be_asked_is_left_for_a_while() {
    let idle = with_idle_timeout();
    let leaving = ObservedService { terminating: true, ..service("s") };
    let mut bench = Bench::with(Some(idle), Some(leaving));
    bench.feed(Event::Resync);
    bench.after(HOUR * 2);
    let due = bench.now;
    loop {
        let actions = bench.feed(Event::Due);
        match actions[..] {
            [Action::SetTimer(at)] => bench.now = at.max(bench.now + Duration::from_millis(1)),
            [Action::Reap { cause: ReapReason::Idle, service: None, .. }] => break,
            _ => panic!("{actions:?}"),
        }
        assert!(bench.now <= due + bench.policy.probe_patience + bench.policy.probe_interval);
    }
    assert!(bench.now >= due + bench.policy.probe_patience);
}

/// Guards that a busy sandbox is not reaped although its Service was deleted during the probe.
#[test]
fn a_busy_sandbox_that_lost_its_service_stays() {
    let idle = with_idle_timeout();
    let mut bench = Bench::with(Some(idle), Some(service("s")));
    bench.feed(Event::Resync);
    let actions = bench.after(HOUR * 2).feed(Event::Due);
    assert!(matches!(actions[..], [Action::Probe { .. }]), "{actions:?}");
    bench.seen.service = None;
    let actions = bench.feed(Event::Probed(Busy::Yes(String::new())));
    assert!(!actions.iter().any(|action| matches!(action, Action::Reap { .. })), "{actions:?}");
}

/// Guards that a Pod whose create had an unknown outcome is as old as the create, whatever its `creationTimestamp`:
/// the API server's clock may have been stepped.
#[test]
fn what_was_made_in_doubt_is_young() {
    for is_watched in [false, true] {
        let mut bench = Bench::new();
        bench.post(1);
        let mut made_then = pod("p");
        made_then.annotations.limits = Limits { ttl: Some(HOUR), idle_timeout: None };
        made_then.created = Some(bench.wall);
        let both = Observed { pod: Some(made_then), service: Some(service("s")) };
        bench.wall += jiff::SignedDuration::from_hours(24);
        // The watch may have reported the objects before the call timed out.
        if is_watched {
            bench.seen = both.clone();
        }
        assert_eq!(bench.created(unknown(), DONE), [Action::Read]);
        bench.seen = both;
        let actions = bench.feed(Event::Read(Ok(None)));
        let [Action::Answer(1, Ok(_)), Action::SetTimer(at)] = actions[..] else { panic!("{actions:?}") };
        assert_eq!(at, bench.now + HOUR);
    }
}
