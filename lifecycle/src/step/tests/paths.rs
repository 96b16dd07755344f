//! The paths a sandbox takes, one test each, with the cluster's answers written by hand.

use std::time::Duration;

use super::{super::*, bench::*};
use crate::{error::ClusterErrorKind, observed::ObservedService};

/// The quiet case: two writes at once, no read, and the answer.
#[test]
fn a_post_writes_both_and_answers() {
    let mut bench = Bench::new();
    assert_eq!(bench.post(1), [create(Objects::BOTH)]);
    assert!(bench.sandbox.stage.is_unpublished());
    bench.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    assert_eq!(bench.created(DONE, DONE), [made(1)]);
    assert!(!bench.sandbox.stage.is_unpublished());
}

/// A repeated POST makes no call.
#[test]
fn a_post_of_a_whole_sandbox_only_answers() {
    let mut bench = Bench::with(Some(pod("p")), Some(service("s")));
    assert_eq!(bench.post(1), [made(1)]);
}

/// Invariant 6: an old view answers nothing as if it were true now.
#[test]
fn a_post_of_a_whole_sandbox_is_not_answered_from_an_old_view() {
    let mut bench = Bench::with(Some(pod("p")), Some(service("s")));
    bench.fresh = false;
    let actions = bench.post(1);
    assert!(matches!(failure(&actions, 1), SandboxError::Stale { .. }));
}

/// Invariant 3: a half pair is completed by a POST with the one write that is missing.
#[test]
fn a_post_completes_a_half_pair() {
    let mut bench = Bench::with(Some(pod("p")), None);
    assert_eq!(bench.post(1), [create(Objects { pod: false, service: true })]);
    let mut bench = Bench::with(None, Some(service("s")));
    assert_eq!(bench.post(1), [create(Objects { pod: true, service: false })]);
}

/// Invariant 4: a POST waits for the old Pod's end, and then makes a new one.
#[test]
fn a_post_waits_for_a_terminating_pod() {
    let mut bench = Bench::with(Some(dying("p")), None);
    let until = bench.now + POST_PATIENCE;
    assert_eq!(bench.post(1), [Action::SetTimer(until)]);
    assert_eq!(bench.feed(Event::Resync), [Action::SetTimer(until)]);
    bench.seen.pod = None;
    assert_eq!(bench.feed(Event::Resync), [create(Objects::BOTH)]);
}

/// Invariant 7: a POST whose old Pod never ends is told so within its patience, each waiter in its own time.
#[test]
fn a_post_gives_up_on_a_pod_that_does_not_end() {
    let mut bench = Bench::with(Some(dying("p")), None);
    let _ = bench.post(1);
    let _ = bench.after(Duration::from_secs(5)).post(2);
    let actions = bench.after(Duration::from_secs(17)).feed(Event::Due);
    assert!(matches!(failure(&actions, 1), SandboxError::StillTerminating { .. }));
    let second = bench.now + Duration::from_secs(5);
    assert_eq!(actions.last(), Some(&Action::SetTimer(second)));
    let actions = bench.after(Duration::from_secs(5)).feed(Event::Due);
    assert!(matches!(failure(&actions, 2), SandboxError::StillTerminating { .. }));
    assert_eq!(bench.sandbox.stage, Stage::default());
}

/// Invariant 4: when the cluster says that the old Pod terminates, a Service just written is taken back first.
#[test]
fn a_service_is_not_left_attached_to_a_dying_pod() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen.service = Some(service("s"));
    assert_eq!(bench.created(refused(ClusterErrorKind::Terminating), DONE), [Action::Read]);
    bench.seen.pod = Some(dying("old"));
    assert_eq!(bench.feed(Event::Read(Ok(None))), [remove(None, Some("s"))]);
    bench.seen.service = None;
    let actions = bench.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(bench.sandbox.stage, Stage::Waiting(_)), "{actions:?}");
}

/// The pair is rolled back when one of its halves is refused, whichever it is.
#[test]
fn a_refused_half_takes_the_other_back() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen.pod = Some(pod("p"));
    assert_eq!(bench.created(DONE, refused(ClusterErrorKind::QuotaExceeded)), [remove(Some("p"), None)]);
    bench.seen.pod = Some(dying("p"));
    let actions = bench.feed(Event::Deleted { pod: DONE, service: None });
    assert!(matches!(failure(&actions, 1), SandboxError::Unavailable { operation: "Service creation", .. }));

    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen.service = Some(service("s"));
    assert_eq!(bench.created(refused(ClusterErrorKind::Forbidden), DONE), [remove(None, Some("s"))]);
    bench.seen.service = None;
    let actions = bench.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::Refused { operation: "Pod creation", .. }));
    assert_eq!(actions.last(), Some(&Action::Stop));
}

/// A half that was there before is not taken away by somebody's failed POST: it has its own grace.
#[test]
fn a_failed_completion_leaves_what_it_found() {
    let mut bench = Bench::with(Some(pod("p")), None);
    let _ = bench.post(1);
    let actions = bench.created(None, refused(ClusterErrorKind::Forbidden));
    assert!(matches!(failure(&actions, 1), SandboxError::Refused { .. }));
    assert!(!actions.iter().any(|a| matches!(a, Action::Delete { .. })));
}

/// A write whose answer was lost is looked for; found, it counts.
#[test]
fn a_lost_answer_is_looked_for() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen.service = Some(service("s"));
    assert_eq!(bench.created(unknown(), DONE), [Action::Read]);
    bench.seen.pod = Some(pod("p"));
    assert_eq!(bench.feed(Event::Read(Ok(None))), [made(1)]);
}

/// Not found, it is written again, but not for ever.
#[test]
fn a_lost_write_is_repeated_a_bounded_number_of_times() {
    let mut bench = Bench::new();
    let mut actions = bench.post(1);
    let mut rounds = 0;
    while actions == [create(Objects::BOTH)] {
        rounds += 1;
        assert_eq!(bench.created(unknown(), unknown()), [Action::Read]);
        actions = bench.feed(Event::Read(Ok(None)));
    }
    assert_eq!(rounds, MAX_ROUNDS);
    // What the cluster said, and no guess at it.
    assert!(
        matches!(failure(&actions, 1), SandboxError::Unavailable { operation: "Pod creation", fault, .. }
            if fault.kind == ClusterErrorKind::TimedOut)
    );
}

/// When even the look fails, the caller is told, and what may have been made is looked for later and removed.
#[test]
fn a_create_in_doubt_is_cleaned_up_later() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    let _ = bench.created(unknown(), unknown());
    let fault = ClusterError::new(ClusterErrorKind::Unreachable, "");
    let actions = bench.feed(Event::Read(Err(fault)));
    assert!(matches!(failure(&actions, 1), SandboxError::Unavailable { .. }));
    assert_eq!(actions.last(), Some(&Action::SetTimer(bench.now + Duration::from_secs(1))));
    assert!(bench.sandbox.stage.is_unpublished());
    assert_eq!(bench.after(Duration::from_secs(1)).feed(Event::Due), [Action::Read]);
    bench.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    assert_eq!(bench.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
    // Nobody was ever given it: nobody hears of it while it goes, however often that is tried.
    assert!(bench.sandbox.stage.is_unpublished());
    let _ = bench.feed(Event::Deleted { pod: unknown(), service: DONE });
    assert!(bench.sandbox.stage.is_unpublished());
}

/// … unless the client tries again before that: then it gets what was made.
#[test]
fn a_create_in_doubt_is_found_by_the_retry() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    let _ = bench.created(unknown(), unknown());
    let fault = ClusterError::new(ClusterErrorKind::Unreachable, "");
    let _ = bench.feed(Event::Read(Err(fault)));
    bench.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    assert_eq!(bench.post(2), [Action::Read]);
    assert_eq!(bench.feed(Event::Read(Ok(None))), [made(2)]);
}

/// Invariant 2: what was being undone may be gone although it is still seen, when the answer to a delete was lost;
/// a POST looks before it says that it is there.
#[test]
fn what_was_being_undone_is_not_given_unlooked_at() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    let fault = ClusterError::new(ClusterErrorKind::Unreachable, "");
    let _ = bench.created(DONE, unknown());
    let _ = bench.feed(Event::Read(Err(fault)));
    let _ = bench.after(Duration::from_secs(1)).feed(Event::Due);
    assert_eq!(bench.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
    let _ = bench.feed(Event::Deleted { pod: refused(ClusterErrorKind::Unreachable), service: unknown() });
    assert_eq!(bench.post(2), [Action::Read]);
    bench.seen.service = None;
    let only_service = Objects { pod: false, service: true };
    assert_eq!(bench.feed(Event::Read(Ok(None))), [create(only_service)]);
}

/// A name taken by an object that is not ours is a conflict, and only our own half is undone.
#[test]
fn somebody_elses_object_is_left_alone() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen.service = Some(service("s"));
    assert_eq!(bench.created(refused(ClusterErrorKind::AlreadyExists), DONE), [Action::Read]);
    let not_ours = Some("Pod \"sandbox-a\"".into());
    assert_eq!(bench.feed(Event::Read(Ok(not_ours))), [remove(None, Some("s"))]);
    bench.seen.service = None;
    let actions = bench.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::NotOurs { .. }));
}

/// A Service that leads nowhere is replaced; one that we made and that still leads nowhere is a failure.
#[test]
fn a_service_without_a_url_is_replaced_once() {
    let nowhere = ObservedService { url: None, ..service("s") };
    let mut bench = Bench::with(Some(pod("p")), Some(nowhere.clone()));
    assert_eq!(bench.post(1), [remove(None, Some("s"))]);
    bench.seen.service = None;
    let actions = bench.feed(Event::Deleted { pod: None, service: DONE });
    assert_eq!(actions, [create(Objects { pod: false, service: true })]);
    bench.seen.service = Some(nowhere);
    assert_eq!(bench.created(None, DONE), [remove(None, Some("s"))]);
    bench.seen.service = None;
    let actions = bench.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::Refused { .. }));
}

/// A DELETE costs two writes with the uids that were seen, and the answer comes when both are accepted.
#[test]
fn a_delete_removes_both() {
    let mut bench = Bench::with(Some(pod("p")), Some(service("s")));
    assert_eq!(bench.delete(1), [remove(Some("p"), Some("s"))]);
    bench.seen = Observed { pod: Some(dying("p")), service: None };
    assert_eq!(bench.feed(Event::Deleted { pod: DONE, service: DONE }), [gone(1)]);
    bench.seen.pod = None;
    assert_eq!(bench.feed(Event::Resync), [Action::Stop]);
}

/// A DELETE of nothing, or of what is already leaving, makes no call.
#[test]
fn a_delete_of_nothing_only_answers() {
    assert_eq!(Bench::new().delete(1), [gone(1), Action::Stop]);
    assert_eq!(Bench::with(Some(dying("p")), None).delete(1), [gone(1)]);
}

/// While nothing can be known, a DELETE does not claim that there is nothing.
#[test]
fn a_delete_in_the_dark_is_not_acknowledged() {
    let mut bench = Bench::new();
    bench.fresh = false;
    assert!(matches!(failure(&bench.delete(1), 1), SandboxError::Stale { .. }));
}

/// A DELETE that fails is told so, and finished by us without the caller.
#[test]
fn a_failed_delete_is_finished_later() {
    let mut bench = Bench::with(Some(pod("p")), Some(service("s")));
    let _ = bench.delete(1);
    bench.seen.service = None;
    let actions = bench.feed(Event::Deleted { pod: unknown(), service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::Unavailable { operation: "Pod deletion", .. }));
    let Some(Action::SetTimer(at)) = actions.last() else { panic!("{actions:?}") };
    bench.now = *at;
    assert_eq!(bench.feed(Event::Due), [Action::Read]);
    assert_eq!(bench.feed(Event::Read(Ok(None))), [remove(Some("p"), None)]);
    bench.seen.pod = None;
    assert_eq!(bench.feed(Event::Deleted { pod: DONE, service: None }), [Action::Stop]);
}

/// What we made beside somebody else's object goes, also where its first delete failed.
#[test]
fn what_was_made_beside_somebody_elses_object_goes() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    bench.seen.service = Some(service("s"));
    let _ = bench.created(refused(ClusterErrorKind::AlreadyExists), DONE);
    let not_ours = || Event::Read(Ok(Some("Pod \"sandbox-a\"".into())));
    let _ = bench.feed(not_ours());
    let actions = bench.feed(Event::Deleted { pod: None, service: refused(ClusterErrorKind::Forbidden) });
    let Some(Action::SetTimer(at)) = actions.last() else { panic!("{actions:?}") };
    bench.now = *at;
    assert_eq!(bench.feed(Event::Due), [Action::Read]);
    assert_eq!(bench.feed(not_ours()), [remove(None, Some("s"))]);
}

/// A touch tells no more and no less than a read: what is shown is not said to be absent.
#[test]
fn a_touch_tells_what_a_read_would() {
    let touch = || Event::Touch { waiter: Some(9), owner: None };
    let mut whole = Bench::with(Some(pod("p")), Some(service("s")));
    assert_eq!(whole.feed(touch()), [made(9)]);
    let mut going = Bench::with(Some(dying("p")), Some(service("s")));
    assert!(matches!(failure(&going.feed(touch()), 9), SandboxError::StillTerminating { .. }));
    for (pod, service) in [(None, Some(service("s"))), (Some(pod("p")), None)] {
        let mut orphan = Bench::with(pod, service);
        assert!(orphan.feed(touch()).contains(&gone(9)));
    }
    // What a failed DELETE still has to delete is going, too.
    let mut doomed = Bench::with(Some(pod("p")), Some(service("s")));
    let _ = doomed.delete(1);
    let _ = doomed.feed(Event::Deleted { pod: unknown(), service: unknown() });
    assert!(matches!(failure(&doomed.feed(touch()), 9), SandboxError::StillTerminating { .. }));
}

/// A POST after a failed DELETE gets a new life, not what was to go.
#[test]
fn a_post_after_a_failed_delete_removes_first() {
    let mut bench = Bench::with(Some(pod("p")), Some(service("s")));
    let _ = bench.delete(1);
    let _ = bench.feed(Event::Deleted { pod: unknown(), service: unknown() });
    assert_eq!(bench.post(2), [remove(Some("p"), Some("s"))]);
}

/// A DELETE while a POST waits for an old Pod: the POST is told, the DELETE done.
#[test]
fn a_delete_ends_a_waiting_post() {
    let mut bench = Bench::with(Some(dying("p")), None);
    let _ = bench.post(1);
    let actions = bench.delete(2);
    assert!(matches!(failure(&actions, 1), SandboxError::StillTerminating { .. }));
    assert!(actions.contains(&gone(2)));
}

/// Invariant 3: a half that stays alone goes after its grace, and not before.
#[test]
fn an_orphan_is_removed_after_its_grace() {
    for (seen, removal) in [
        (Observed { pod: Some(pod("p")), service: None }, remove(Some("p"), None)),
        (Observed { pod: None, service: Some(service("s")) }, remove(None, Some("s"))),
    ] {
        let mut bench = Bench::new();
        bench.seen = seen;
        let until = bench.now + ORPHAN_GRACE;
        assert_eq!(bench.feed(Event::Resync), [Action::SetTimer(until)]);
        bench.after(Duration::from_secs(59));
        assert_eq!(bench.feed(Event::Resync), [Action::SetTimer(until)]);
        assert_eq!(bench.after(Duration::from_secs(1)).feed(Event::Due), [Action::Read]);
        assert_eq!(bench.feed(Event::Read(Ok(None))), [removal]);
    }
}

/// A half whose other half is there after all, or belongs to somebody by now, is no orphan.
#[test]
fn an_orphan_is_looked_at_before_it_is_removed() {
    let not_ours = Ok(Some("Service \"sandbox-a-svc\"".into()));
    for (result, service) in [(Ok(None), Some(service("s"))), (not_ours, None)] {
        let mut bench = Bench::with(Some(pod("p")), None);
        let _ = bench.feed(Event::Resync);
        let _ = bench.after(ORPHAN_GRACE).feed(Event::Due);
        bench.seen.service = service;
        let actions = bench.feed(Event::Read(result));
        assert!(!actions.iter().any(|action| matches!(action, Action::Delete { .. })), "{actions:?}");
        assert!(matches!(bench.sandbox.stage, Stage::Steady { .. }));
    }
}

/// A Service leads to no Pod but one of ours, whoever has the Pod's name: it is an orphan all the same.
#[test]
fn a_service_beside_somebody_elses_pod_is_an_orphan() {
    let mut bench = Bench::with(None, Some(service("s")));
    let _ = bench.feed(Event::Resync);
    let _ = bench.after(ORPHAN_GRACE).feed(Event::Due);
    let not_ours = Ok(Some("Pod \"sandbox-a\"".into()));
    assert_eq!(bench.feed(Event::Read(not_ours)), [remove(None, Some("s"))]);
}

/// An old view proves no absence: the grace begins when the view can be believed.
#[test]
fn an_orphan_is_not_removed_while_the_view_is_old() {
    let mut bench = Bench::with(Some(pod("p")), None);
    let _ = bench.feed(Event::Resync);
    bench.fresh = false;
    let actions = bench.after(ORPHAN_GRACE).feed(Event::Due);
    assert_eq!(actions, [Action::SetTimer(bench.now + ORPHAN_GRACE)]);
}

/// A pair that becomes whole in time is left in peace, and its next loneliness is counted anew.
#[test]
fn a_completed_pair_is_no_orphan() {
    let mut bench = Bench::with(Some(pod("p")), None);
    let _ = bench.feed(Event::Resync);
    bench.seen.service = Some(service("s"));
    assert_eq!(bench.after(ORPHAN_GRACE).feed(Event::Due), []);
    bench.seen.service = None;
    assert_eq!(bench.feed(Event::Resync), [Action::SetTimer(bench.now + ORPHAN_GRACE)]);
}
