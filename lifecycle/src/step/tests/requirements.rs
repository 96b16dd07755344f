//! Tests of POSTs with requirements for an existing Pod: it is never replaced, and never returned if it does not meet
//! them.

use super::fixture::*;
use crate::spec::{Mismatch, ShellSessions};

fn sessions(count: u128) -> CreateRequest {
    CreateRequest { max_shell_sessions: ShellSessions::new(count), ..CreateRequest::new(id()) }
}

fn runtime() -> CreateRequest {
    CreateRequest { provision_lark_cli_runtime: true, ..CreateRequest::new(id()) }
}

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

fn pod_with(count: u128) -> ObservedPod {
    ObservedPod { spec: ObservedSpec::expected(&sessions(count)), ..pod("p") }
}

fn post(fixture: &mut Fixture, request: CreateRequest, waiter: u32) -> Vec<Action<u32>> {
    fixture.request(request, waiter)
}

/// Guards that a sandbox that does not meet the requirements is rejected without a call, and that one that does is
/// returned.
#[test]
fn an_existing_sandbox_is_given_only_if_it_fits() {
    let mut fixture = Fixture::with(Some(pod_with(4)), Some(service("s")));
    let refused = post(&mut fixture, sessions(5), 1);
    assert_eq!(refused, [Action::Answer(1, Err(SandboxError::Mismatch(Mismatch::FewerShellSessions)))]);
    let given = post(&mut fixture, sessions(4), 2);
    assert!(matches!(&given[..], [Action::Answer(2, Ok(Reply::Made(_)))]), "{given:?}");

    let with_broker = ObservedSpec { lark_cli_broker: Some(true), ..ObservedSpec::default() };
    let mut fixture = Fixture::with(Some(ObservedPod { spec: with_broker, ..pod("p") }), Some(service("s")));
    let refused = post(&mut fixture, runtime(), 1);
    assert_eq!(refused, [Action::Answer(1, Err(SandboxError::Mismatch(Mismatch::LarkBroker)))]);
}

/// Guards that a Pod without a Service gets one only for a caller whose requirements it meets.
#[test]
fn a_service_is_created_only_for_a_pod_that_fits() {
    let mut fixture = Fixture::with(Some(pod_with(4)), None);
    let refused = post(&mut fixture, sessions(5), 1);
    assert_eq!(failure(&refused, 1), &SandboxError::Mismatch(Mismatch::FewerShellSessions));
    assert!(!refused.iter().any(|action| matches!(action, Action::Create { .. })), "{refused:?}");
    let created = post(&mut fixture, sessions(4), 2);
    assert_eq!(created, [fixture.create_for(&sessions(4), Objects::SERVICE)]);
}

/// Guards invariant 3: rejected POSTs do not extend the grace of an orphan.
#[test]
fn a_refused_post_does_not_extend_the_grace_of_an_orphan() {
    let mut fixture = Fixture::with(Some(pod_with(4)), None);
    let _ = fixture.feed(Event::Resync);
    let _ = post(fixture.after(ORPHAN_GRACE / 2), sessions(5), 1);
    let actions = fixture.after(ORPHAN_GRACE / 2).feed(Event::Due);
    assert_eq!(actions, [Action::Read]);
}

/// Guards that a stale view does not cause a mismatch, because the Pod that it shows may have been replaced.
#[test]
fn an_old_view_refuses_nobody() {
    let mut fixture = Fixture::with(Some(pod_with(4)), Some(service("s")));
    fixture.fresh = false;
    let actions = post(&mut fixture, sessions(5), 1);
    assert!(matches!(failure(&actions, 1), SandboxError::Stale { .. }));
}

/// Guards that a terminating Pod is not compared, because the caller gets its successor.
#[test]
fn a_terminating_pod_is_waited_for_whatever_it_says() {
    let dying = ObservedPod { terminating: true, ..pod_with(4) };
    let mut fixture = Fixture::with(Some(dying), None);
    let waits = post(&mut fixture, sessions(12), 1);
    assert!(matches!(&waits[..], [Action::SetTimer(_)]), "{waits:?}");
    // The Pod of the pending create does not meet this request.
    let refused = post(&mut fixture, sessions(13), 2);
    assert!(matches!(failure(&refused, 2), SandboxError::StillTerminating { .. }));
    fixture.seen.pod = None;
    let created = fixture.feed(Event::Resync);
    assert_eq!(created, [fixture.create_for(&sessions(12), Objects::BOTH)]);
}

/// Guards that callers that wait together are each compared with their own requirements.
#[test]
fn callers_who_wait_together_are_judged_one_by_one() {
    let mut fixture = Fixture::with(Some(dying("p")), None);
    let _ = post(&mut fixture, sessions(12), 1);
    let _ = post(&mut fixture, sessions(3), 2);
    // Another client creates the sandbox in the meantime.
    (fixture.seen.pod, fixture.seen.service) = (Some(pod_with(4)), Some(service("s")));
    let actions = fixture.feed(Event::Resync);
    assert_eq!(failure(&actions, 1), &SandboxError::Mismatch(Mismatch::FewerShellSessions));
    assert!(matches!(&actions[1..], [Action::Answer(2, Ok(Reply::Made(_)))]), "{actions:?}");
}

/// Guards that a new Pod that an admission webhook has changed, so that it does not meet the requirements, is
/// deleted.
#[test]
fn a_pod_that_came_out_otherwise_is_taken_back() {
    let mut fixture = Fixture::new();
    let _ = post(&mut fixture, sessions(12), 1);
    (fixture.seen.pod, fixture.seen.service) = (Some(pod_with(10)), Some(service("s")));
    let actions = fixture.created(DONE, DONE);
    assert_eq!(failure(&actions, 1), &SandboxError::Mismatch(Mismatch::FewerShellSessions));
    assert_eq!(actions.last(), Some(&remove(Some("p"), Some("s"))));
}

/// Guards that mounts that violate the settings are a bad request if a Pod is to be created, and that an existing Pod
/// is used as it is.
#[test]
fn mounts_that_do_not_fit_are_a_bad_request() {
    let failure_of_mounts = SandboxError::BadRequest("Unsupported extra mount path: /x".to_owned());
    let bad_post = |waiter| {
        let request = CreateRequest::new(id());
        let manifests = Manifests { pod: Err(failure_of_mounts.clone()), ..manifests(&request) };
        let received = Instant::now();
        let until = received + POST_PATIENCE;
        Event::Post { request: Arc::new(request), manifests, waiter, received, until }
    };
    let mut fixture = Fixture::new();
    let actions = fixture.feed(bad_post(1));
    assert_eq!(failure(&actions, 1), &failure_of_mounts);
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    assert_eq!(fixture.feed(bad_post(1)), [made(1)]);
}
