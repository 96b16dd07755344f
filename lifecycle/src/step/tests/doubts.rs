//! A reap whose outcome is not known.

use std::time::Duration;

use super::{super::*, bench::*};
use crate::{
    failure::{Fault, FaultKind},
    lifetime::Terms,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A sandbox that has reached its time to live, and whose reap was answered by nobody.
fn in_doubt() -> Bench {
    let mut old = pod("p");
    old.marks.terms = Terms { ttl: Some(HOUR), idle_timeout: None };
    old.created = Some(Timestamp::UNIX_EPOCH);
    let mut bench = Bench::with(Some(old), Some(service("s")));
    bench.feed(Event::Look);
    let actions = bench.after(HOUR * 2).feed(Event::Due);
    assert!(matches!(actions[..], [Action::Reap { cause: Cause::Ttl, .. }]), "{actions:?}");
    assert_eq!(bench.feed(Event::Removed { pod: unknown(), service: None }), [Action::Read]);
    bench
}

fn cannot_look(bench: &mut Bench) -> Vec<Action<u32>> {
    bench.feed(Event::Read(Err(Fault::new(FaultKind::Unreachable, ""))))
}

/// It took effect: that is noted, and the other half follows.
#[test]
fn a_reap_in_doubt_that_worked_is_brought_to_its_end() {
    let mut bench = in_doubt();
    bench.seen.pod = Some(dying("p"));
    let actions = bench.feed(Event::Read(Ok(None)));
    assert_eq!(actions, [Action::Record(Cause::Ttl), remove(None, Some("s"))]);
    bench.seen = Seen::default();
    assert_eq!(bench.feed(Event::Removed { pod: None, service: DONE }), [Action::Retire]);
}

/// It did not: the sandbox rests, and is judged anew a little later.
#[test]
fn a_reap_in_doubt_that_failed_is_judged_anew() {
    let mut bench = in_doubt();
    let actions = bench.feed(Event::Read(Ok(None)));
    let [Action::WakeAt(at)] = actions[..] else { panic!("{actions:?}") };
    assert!(at > bench.now && bench.sandbox.stage == Stage::default());
    bench.now = at;
    let actions = bench.feed(Event::Due);
    assert!(matches!(actions[..], [Action::Reap { cause: Cause::Ttl, .. }]), "{actions:?}");
}

/// While nobody knows, the sandbox is given to nobody and no use of it is acknowledged, though the view shows it; and it
/// is looked at again and again, and no more often than that.
#[test]
fn what_is_in_doubt_is_not_given() {
    let mut bench = in_doubt();
    for _ in 0..3 {
        let actions = cannot_look(&mut bench);
        let [Action::WakeAt(at)] = actions[..] else { panic!("{actions:?}") };
        let actions = bench.post(1);
        assert!(matches!(failure(&actions, 1), Failure::StillTerminating { .. }), "{actions:?}");
        assert!(!actions.contains(&Action::Read));
        let actions = bench.feed(Event::Touch { waiter: Some(2), owner: None });
        assert!(matches!(failure(&actions, 2), Failure::StillTerminating { .. }), "{actions:?}");
        assert_eq!(bench.feed(Event::Look), [Action::WakeAt(at)]);
        bench.now = at;
        assert_eq!(bench.feed(Event::Due), [Action::Read]);
    }
}

/// The watch may tell before it is looked at.
#[test]
fn the_watch_ends_the_doubt() {
    let mut bench = in_doubt();
    cannot_look(&mut bench);
    bench.seen = Seen::default();
    assert_eq!(bench.feed(Event::Look), [Action::Record(Cause::Ttl), Action::Retire]);
}

/// Whoever wants it gone need not wait for that.
#[test]
fn what_is_in_doubt_may_be_deleted() {
    let mut bench = in_doubt();
    cannot_look(&mut bench);
    assert_eq!(bench.delete(1), [remove(Some("p"), Some("s"))]);
}
