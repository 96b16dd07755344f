//! Tests of the paths through the state machine, with given outcomes of the calls.

use super::fixture::*;

/// Guards that a POST makes two parallel writes and no read, and is then answered.
#[test]
fn a_post_writes_both_and_answers() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.post(1), [fixture.create(Objects::BOTH)]);
    assert!(fixture.sandbox.stage.is_unpublished());
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    assert_eq!(fixture.created(DONE, DONE), [made(1)]);
    assert!(!fixture.sandbox.stage.is_unpublished());
}

/// Guards that a repeated POST makes no call.
#[test]
fn a_post_of_a_whole_sandbox_only_answers() {
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    assert_eq!(fixture.post(1), [made(1)]);
}

/// Guards invariant 6: a POST is not answered from a stale view.
#[test]
fn a_post_of_a_whole_sandbox_is_not_answered_from_an_old_view() {
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    fixture.fresh = false;
    let actions = fixture.post(1);
    assert!(matches!(failure(&actions, 1), SandboxError::Stale { .. }));
}

/// Guards invariant 3: a POST completes an orphan with the one missing write.
#[test]
fn a_post_completes_a_half_pair() {
    let mut fixture = Fixture::with(Some(pod("p")), None);
    assert_eq!(fixture.post(1), [fixture.create(Objects { pod: false, service: true })]);
    let mut fixture = Fixture::with(None, Some(service("s")));
    assert_eq!(fixture.post(1), [fixture.create(Objects { pod: true, service: false })]);
}

/// Guards invariant 4: a POST waits until the old Pod is gone, and then creates a new one.
#[test]
fn a_post_waits_for_a_terminating_pod() {
    let mut fixture = Fixture::with(Some(dying("p")), None);
    let until = fixture.now + POST_PATIENCE;
    assert_eq!(fixture.post(1), [Action::SetTimer(until)]);
    assert_eq!(fixture.feed(Event::Resync), [Action::SetTimer(until)]);
    fixture.seen.pod = None;
    assert_eq!(fixture.feed(Event::Resync), [fixture.create(Objects::BOTH)]);
}

/// Guards invariant 7: while the old Pod does not terminate, each waiter is answered within its own patience.
#[test]
fn a_post_gives_up_on_a_pod_that_does_not_end() {
    let mut fixture = Fixture::with(Some(dying("p")), None);
    let _ = fixture.post(1);
    let _ = fixture.after(Duration::from_secs(5)).post(2);
    let actions = fixture.after(Duration::from_secs(17)).feed(Event::Due);
    assert!(matches!(failure(&actions, 1), SandboxError::StillTerminating { .. }));
    let second = fixture.now + Duration::from_secs(5);
    assert_eq!(actions.last(), Some(&Action::SetTimer(second)));
    let actions = fixture.after(Duration::from_secs(5)).feed(Event::Due);
    assert!(matches!(failure(&actions, 2), SandboxError::StillTerminating { .. }));
    assert_eq!(fixture.sandbox.stage, Stage::default());
}

/// Guards invariant 4: if the old Pod is terminating, a Service that was just created is deleted first.
#[test]
fn a_service_is_not_left_attached_to_a_dying_pod() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen.service = Some(service("s"));
    assert_eq!(fixture.created(refused(ClusterErrorKind::Terminating), DONE), [Action::Read]);
    fixture.seen.pod = Some(dying("old"));
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(None, Some("s"))]);
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Deleted { pod: None, service: DONE });
    assert!(
        matches!(&fixture.sandbox.stage, Stage::Existence(e) if matches!(**e, Existence::Waiting(_))),
        "{actions:?}"
    );
}

/// Guards that if one object is refused, the other is deleted, for both objects.
#[test]
fn a_refused_half_takes_the_other_back() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen.pod = Some(pod("p"));
    assert_eq!(fixture.created(DONE, refused(ClusterErrorKind::QuotaExceeded)), [remove(Some("p"), None)]);
    fixture.seen.pod = Some(dying("p"));
    let actions = fixture.feed(Event::Deleted { pod: DONE, service: None });
    assert!(matches!(
        failure(&actions, 1),
        SandboxError::Unavailable { operation: Operation::CreateService, .. }
    ));

    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen.service = Some(service("s"));
    assert_eq!(fixture.created(refused(ClusterErrorKind::Forbidden), DONE), [remove(None, Some("s"))]);
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::Refused { operation: Operation::CreatePod, .. }));
    assert_eq!(actions.last(), Some(&Action::Stop));
}

/// Guards that a failed POST does not delete an object that existed before. It is an orphan with its own grace.
#[test]
fn a_failed_completion_leaves_what_it_found() {
    let mut fixture = Fixture::with(Some(pod("p")), None);
    let _ = fixture.post(1);
    let actions = fixture.created(None, refused(ClusterErrorKind::Forbidden));
    assert!(matches!(failure(&actions, 1), SandboxError::Refused { .. }));
    assert!(!actions.iter().any(|a| matches!(a, Action::Delete { .. })));
}

/// Guards that a create with an unknown outcome is followed by a read, and that an object which the read finds
/// counts.
#[test]
fn a_lost_answer_is_looked_for() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen.service = Some(service("s"));
    assert_eq!(fixture.created(unknown(), DONE), [Action::Read]);
    fixture.seen.pod = Some(pod("p"));
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [made(1)]);
}

/// Guards that a create is repeated if the read finds nothing, a limited number of times.
#[test]
fn a_lost_write_is_repeated_a_bounded_number_of_times() {
    let mut fixture = Fixture::new();
    let mut actions = fixture.post(1);
    let mut rounds = 0;
    while actions == [fixture.create(Objects::BOTH)] {
        rounds += 1;
        assert_eq!(fixture.created(unknown(), unknown()), [Action::Read]);
        actions = fixture.feed(Event::Read(Ok(None)));
    }
    assert_eq!(rounds, MAX_ATTEMPTS);
    // The error is the cluster's own.
    assert!(
        matches!(failure(&actions, 1), SandboxError::Unavailable { operation: Operation::CreatePod, fault, .. }
            if fault.kind == ClusterErrorKind::TimedOut)
    );
}

/// Guards that if the read fails too, the caller gets an error, and the objects are deleted later if they exist.
#[test]
fn a_create_in_doubt_is_cleaned_up_later() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    let _ = fixture.created(unknown(), unknown());
    let fault = ClusterError::new(ClusterErrorKind::Unreachable, "");
    let actions = fixture.feed(Event::Read(Err(fault)));
    assert!(matches!(failure(&actions, 1), SandboxError::Unavailable { .. }));
    assert_eq!(actions.last(), Some(&Action::SetTimer(fixture.now + Duration::from_secs(1))));
    assert!(fixture.sandbox.stage.is_unpublished());
    assert_eq!(fixture.after(Duration::from_secs(1)).feed(Event::Due), [Action::Read]);
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
    // The sandbox is unpublished, and stays so for any number of attempts to delete it.
    assert!(fixture.sandbox.stage.is_unpublished());
    let _ = fixture.feed(Event::Deleted { pod: unknown(), service: DONE });
    assert!(fixture.sandbox.stage.is_unpublished());
}

/// Guards that a client that retries before that gets the created objects.
#[test]
fn a_create_in_doubt_is_found_by_the_retry() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    let _ = fixture.created(unknown(), unknown());
    let fault = ClusterError::new(ClusterErrorKind::Unreachable, "");
    let _ = fixture.feed(Event::Read(Err(fault)));
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    assert_eq!(fixture.post(2), [Action::Read]);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [made(2)]);
}

/// Guards invariant 2: a POST reads the objects of an undone create before it returns them. They may be gone although
/// the view shows them, because the outcome of the delete is unknown.
#[test]
fn what_was_being_undone_is_not_given_unlooked_at() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    let fault = ClusterError::new(ClusterErrorKind::Unreachable, "");
    let _ = fixture.created(DONE, unknown());
    let _ = fixture.feed(Event::Read(Err(fault)));
    let _ = fixture.after(Duration::from_secs(1)).feed(Event::Due);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(Some("p"), Some("s"))]);
    let _ = fixture.feed(Event::Deleted { pod: refused(ClusterErrorKind::Unreachable), service: unknown() });
    assert_eq!(fixture.post(2), [Action::Read]);
    fixture.seen.service = None;
    let only_service = Objects { pod: false, service: true };
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [fixture.create(only_service)]);
}

/// Guards that a foreign object with the name is a conflict, and that only our own object is deleted.
#[test]
fn a_foreign_object_is_left_alone() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen.service = Some(service("s"));
    assert_eq!(fixture.created(refused(ClusterErrorKind::AlreadyExists), DONE), [Action::Read]);
    let not_ours = Some(foreign("Pod \"sandbox-a\""));
    assert_eq!(fixture.feed(Event::Read(Ok(not_ours))), [remove(None, Some("s"))]);
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::NotOurs { .. }));
}

/// Guards that a Service without a URL is replaced, and that the create fails if the new one has no URL either.
#[test]
fn a_service_without_a_url_is_replaced_once() {
    let nowhere = ObservedService { url: None, internal_url: Some("http://s".into()), ..service("s") };
    let mut fixture = Fixture::with(Some(pod("p")), Some(nowhere.clone()));
    assert_eq!(fixture.post(1), [remove(None, Some("s"))]);
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Deleted { pod: None, service: DONE });
    assert_eq!(actions, [fixture.create(Objects { pod: false, service: true })]);
    fixture.seen.service = Some(nowhere);
    assert_eq!(fixture.created(None, DONE), [remove(None, Some("s"))]);
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Deleted { pod: None, service: DONE });
    assert!(matches!(failure(&actions, 1), SandboxError::Refused { .. }));
}

/// Guards that a DELETE makes two writes with the observed uids, and is answered when both are accepted.
#[test]
fn a_delete_removes_both() {
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    assert_eq!(fixture.delete(1), [remove(Some("p"), Some("s"))]);
    fixture.seen = Observed { pod: Some(dying("p")), service: None };
    assert_eq!(fixture.feed(Event::Deleted { pod: DONE, service: DONE }), [gone(1)]);
    fixture.seen.pod = None;
    assert_eq!(fixture.feed(Event::Resync), [Action::Stop]);
}

/// Guards that a DELETE makes no call if the sandbox does not exist or is already terminating.
#[test]
fn a_delete_of_nothing_only_answers() {
    assert_eq!(Fixture::new().delete(1), [gone(1), Action::Stop]);
    assert_eq!(Fixture::with(Some(dying("p")), None).delete(1), [gone(1)]);
}

/// Guards that a DELETE with a stale view does not report that the sandbox does not exist.
#[test]
fn a_delete_in_the_dark_is_not_acknowledged() {
    let mut fixture = Fixture::new();
    fixture.fresh = false;
    assert!(matches!(failure(&fixture.delete(1), 1), SandboxError::Stale { .. }));
}

/// Guards that the caller of a failed DELETE gets an error, and that the deletion is completed later.
#[test]
fn a_failed_delete_is_finished_later() {
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    let _ = fixture.delete(1);
    fixture.seen.service = None;
    let actions = fixture.feed(Event::Deleted { pod: unknown(), service: DONE });
    assert!(matches!(
        failure(&actions, 1),
        SandboxError::Unavailable { operation: Operation::DeletePod, .. }
    ));
    let Some(Action::SetTimer(at)) = actions.last() else { panic!("{actions:?}") };
    fixture.now = *at;
    assert_eq!(fixture.feed(Event::Due), [Action::Read]);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(Some("p"), None)]);
    fixture.seen.pod = None;
    assert_eq!(fixture.feed(Event::Deleted { pod: DONE, service: None }), [Action::Stop]);
}

/// Guards that an object that was created beside a foreign object is deleted, also if the first delete fails.
#[test]
fn an_object_beside_a_foreign_one_is_deleted() {
    let mut fixture = Fixture::new();
    let _ = fixture.post(1);
    fixture.seen.service = Some(service("s"));
    let _ = fixture.created(refused(ClusterErrorKind::AlreadyExists), DONE);
    let not_ours = || Event::Read(Ok(Some(foreign("Pod \"sandbox-a\""))));
    let _ = fixture.feed(not_ours());
    let actions = fixture.feed(Event::Deleted { pod: None, service: refused(ClusterErrorKind::Forbidden) });
    let Some(Action::SetTimer(at)) = actions.last() else { panic!("{actions:?}") };
    fixture.now = *at;
    assert_eq!(fixture.feed(Event::Due), [Action::Read]);
    assert_eq!(fixture.feed(not_ours()), [remove(None, Some("s"))]);
}

/// Guards that a touch and a GET agree on whether a sandbox exists.
#[test]
fn a_touch_tells_what_a_read_would() {
    let touch = || Event::Touch { waiter: Some(9), owner: None };
    let mut whole = Fixture::with(Some(pod("p")), Some(service("s")));
    assert_eq!(whole.feed(touch()), [made(9)]);
    let mut going = Fixture::with(Some(dying("p")), Some(service("s")));
    assert!(matches!(failure(&going.feed(touch()), 9), SandboxError::StillTerminating { .. }));
    for (pod, service) in [(None, Some(service("s"))), (Some(pod("p")), None)] {
        let mut orphan = Fixture::with(pod, service);
        assert!(orphan.feed(touch()).contains(&gone(9)));
    }
    // A sandbox whose DELETE has failed counts as terminating too.
    let mut doomed = Fixture::with(Some(pod("p")), Some(service("s")));
    let _ = doomed.delete(1);
    let _ = doomed.feed(Event::Deleted { pod: unknown(), service: unknown() });
    assert!(matches!(failure(&doomed.feed(touch()), 9), SandboxError::StillTerminating { .. }));
}

/// Guards that a POST after a failed DELETE gets a new sandbox, not the one to delete.
#[test]
fn a_post_after_a_failed_delete_removes_first() {
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    let _ = fixture.delete(1);
    let _ = fixture.feed(Event::Deleted { pod: unknown(), service: unknown() });
    assert_eq!(fixture.post(2), [remove(Some("p"), Some("s"))]);
}

/// Guards that a DELETE fails a POST that waits for an old Pod, and is executed.
#[test]
fn a_delete_ends_a_waiting_post() {
    let mut fixture = Fixture::with(Some(dying("p")), None);
    let _ = fixture.post(1);
    let actions = fixture.delete(2);
    assert!(matches!(failure(&actions, 1), SandboxError::StillTerminating { .. }));
    assert!(actions.contains(&gone(2)));
}

/// Guards invariant 3: an orphan is deleted after its grace, and not before.
#[test]
fn an_orphan_is_removed_after_its_grace() {
    for (seen, removal) in [
        (Observed { pod: Some(pod("p")), service: None }, remove(Some("p"), None)),
        (Observed { pod: None, service: Some(service("s")) }, remove(None, Some("s"))),
    ] {
        let mut fixture = Fixture::new();
        fixture.seen = seen;
        let until = fixture.now + ORPHAN_GRACE;
        assert_eq!(fixture.feed(Event::Resync), [Action::SetTimer(until)]);
        fixture.after(Duration::from_secs(59));
        assert_eq!(fixture.feed(Event::Resync), [Action::SetTimer(until)]);
        assert_eq!(fixture.after(Duration::from_secs(1)).feed(Event::Due), [Action::Read]);
        assert_eq!(fixture.feed(Event::Read(Ok(None))), [removal]);
    }
}

/// Guards that an object is not an orphan if the read finds its counterpart or a foreign object with that name.
#[test]
fn an_orphan_is_looked_at_before_it_is_removed() {
    let not_ours = Ok(Some(foreign("Service \"sandbox-a-svc\"")));
    for (result, service) in [(Ok(None), Some(service("s"))), (not_ours, None)] {
        let mut fixture = Fixture::with(Some(pod("p")), None);
        let _ = fixture.feed(Event::Resync);
        let _ = fixture.after(ORPHAN_GRACE).feed(Event::Due);
        fixture.seen.service = service;
        let actions = fixture.feed(Event::Read(result));
        assert!(!actions.iter().any(|action| matches!(action, Action::Delete { .. })), "{actions:?}");
        assert!(matches!(fixture.sandbox.stage, Stage::Steady { .. }));
    }
}

/// Guards that a Service beside a foreign Pod is an orphan, because it selects only Pods with our labels.
#[test]
fn a_service_beside_a_foreign_pod_is_an_orphan() {
    let mut fixture = Fixture::with(None, Some(service("s")));
    let _ = fixture.feed(Event::Resync);
    let _ = fixture.after(ORPHAN_GRACE).feed(Event::Due);
    let not_ours = Ok(Some(foreign("Pod \"sandbox-a\"")));
    assert_eq!(fixture.feed(Event::Read(not_ours)), [remove(None, Some("s"))]);
}

/// Guards that a Service beside a Pod whose labels have been changed is kept, because the Pod may be in use, and that it
/// is looked at again after another grace.
#[test]
fn a_service_beside_a_relabelled_pod_is_kept() {
    let mut fixture = Fixture::with(None, Some(service("s")));
    let _ = fixture.feed(Event::Resync);
    let _ = fixture.after(ORPHAN_GRACE).feed(Event::Due);
    let relabelled = Foreign { is_relabelled: true, ..foreign("Pod \"sandbox-a\"") };
    let again = fixture.now + ORPHAN_GRACE;
    assert_eq!(fixture.feed(Event::Read(Ok(Some(relabelled)))), [Action::SetTimer(again)]);
    assert_eq!(fixture.after(ORPHAN_GRACE).feed(Event::Due), [Action::Read]);
}

/// Guards that objects that a mutating admission has changed, Pod or Service, are deleted, and that the error then
/// names the field.
#[test]
fn an_altered_object_is_taken_back() {
    let altered = || {
        let fault = ClusterError::new(ClusterErrorKind::Mutated, "metadata.labels");
        Some(Outcome::Done(Creation::Altered((), fault)))
    };
    let as_sent = || Some(Outcome::Done(Creation::AsSent(())));
    for (pod_outcome, service_outcome, operation) in [
        (altered(), as_sent(), Operation::CreatePod),
        (as_sent(), altered(), Operation::CreateService),
        (altered(), altered(), Operation::CreatePod),
    ] {
        let mut fixture = Fixture::new();
        let _ = fixture.post(1);
        (fixture.seen.pod, fixture.seen.service) = (Some(pod("p")), Some(service("s")));
        let actions = fixture.feed(Event::Created { pod: pod_outcome, service: service_outcome });
        assert_eq!(actions, [remove(Some("p"), Some("s"))]);
        assert!(fixture.sandbox.is_unpublished());
        (fixture.seen.pod, fixture.seen.service) = (Some(dying("p")), None);
        let actions = fixture.feed(Event::Deleted { pod: DONE, service: DONE });
        assert!(
            matches!(failure(&actions, 1), SandboxError::Refused { operation: told, fault }
                if *told == operation && fault.kind == ClusterErrorKind::Mutated),
            "{actions:?}"
        );
    }
}

/// Guards that the grace starts when the view is fresh, because a stale view does not prove that an object is absent.
#[test]
fn an_orphan_is_not_removed_while_the_view_is_old() {
    let mut fixture = Fixture::with(Some(pod("p")), None);
    let _ = fixture.feed(Event::Resync);
    fixture.fresh = false;
    let actions = fixture.after(ORPHAN_GRACE).feed(Event::Due);
    assert_eq!(actions, [Action::SetTimer(fixture.now + ORPHAN_GRACE)]);
}

/// Guards that an orphan that becomes complete is kept, and that its next grace starts from zero.
#[test]
fn a_completed_pair_is_no_orphan() {
    let mut fixture = Fixture::with(Some(pod("p")), None);
    let _ = fixture.feed(Event::Resync);
    fixture.seen.service = Some(service("s"));
    assert_eq!(fixture.after(ORPHAN_GRACE).feed(Event::Due), []);
    fixture.seen.service = None;
    assert_eq!(fixture.feed(Event::Resync), [Action::SetTimer(fixture.now + ORPHAN_GRACE)]);
}
