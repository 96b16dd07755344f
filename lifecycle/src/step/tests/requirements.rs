//! Tests of POSTs with requirements for an existing Pod: it is never replaced, and never returned if it does not meet
//! them.

use super::{super::*, bench::*};
use crate::{
    observed::ObservedPod,
    spec::{Mismatch, ShellSessions},
};

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

fn post(bench: &mut Bench, request: CreateRequest, waiter: u32) -> Vec<Action<u32>> {
    bench.feed(Event::Post { request: request.into(), waiter })
}

/// Guards that a sandbox that does not meet the requirements is rejected without a call, and that one that does is
/// returned.
#[test]
fn an_existing_sandbox_is_given_only_if_it_fits() {
    let mut bench = Bench::with(Some(pod_with(4)), Some(service("s")));
    let refused = post(&mut bench, sessions(5), 1);
    assert_eq!(refused, [Action::Answer(1, Err(SandboxError::Mismatch(Mismatch::FewerShellSessions)))]);
    let given = post(&mut bench, sessions(4), 2);
    assert!(matches!(&given[..], [Action::Answer(2, Ok(Reply::Made(_)))]), "{given:?}");

    let with_broker = ObservedSpec { lark_cli_broker: Some(true), ..ObservedSpec::default() };
    let mut bench = Bench::with(Some(ObservedPod { spec: with_broker, ..pod("p") }), Some(service("s")));
    let refused = post(&mut bench, runtime(), 1);
    assert_eq!(refused, [Action::Answer(1, Err(SandboxError::Mismatch(Mismatch::LarkBroker)))]);
}

/// Guards that a Pod without a Service gets one only for a caller whose requirements it meets.
#[test]
fn a_service_is_created_only_for_a_pod_that_fits() {
    let mut bench = Bench::with(Some(pod_with(4)), None);
    let refused = post(&mut bench, sessions(5), 1);
    assert_eq!(failure(&refused, 1), &SandboxError::Mismatch(Mismatch::FewerShellSessions));
    assert!(!refused.iter().any(|action| matches!(action, Action::Create { .. })), "{refused:?}");
    let created = post(&mut bench, sessions(4), 2);
    assert!(
        matches!(&created[..], [Action::Create { halves: Objects { pod: false, service: true }, .. }]),
        "{created:?}"
    );
}

/// Guards invariant 3: rejected POSTs do not extend the grace of an orphan.
#[test]
fn a_refused_post_does_not_extend_the_grace_of_an_orphan() {
    let mut bench = Bench::with(Some(pod_with(4)), None);
    let _ = bench.feed(Event::Resync);
    let _ = post(bench.after(ORPHAN_GRACE / 2), sessions(5), 1);
    let actions = bench.after(ORPHAN_GRACE / 2).feed(Event::Due);
    assert_eq!(actions, [Action::Read]);
}

/// Guards that a stale view does not cause a mismatch, because the Pod that it shows may have been replaced.
#[test]
fn an_old_view_refuses_nobody() {
    let mut bench = Bench::with(Some(pod_with(4)), Some(service("s")));
    bench.fresh = false;
    let actions = post(&mut bench, sessions(5), 1);
    assert!(matches!(failure(&actions, 1), SandboxError::Stale { .. }));
}

/// Guards that a terminating Pod is not compared, because the caller gets its successor.
#[test]
fn a_terminating_pod_is_waited_for_whatever_it_says() {
    let dying = ObservedPod { terminating: true, ..pod_with(4) };
    let mut bench = Bench::with(Some(dying), None);
    let waits = post(&mut bench, sessions(12), 1);
    assert!(matches!(&waits[..], [Action::SetTimer(_)]), "{waits:?}");
    // The Pod of the pending create does not meet this request.
    let refused = post(&mut bench, sessions(13), 2);
    assert!(matches!(failure(&refused, 2), SandboxError::StillTerminating { .. }));
    bench.seen.pod = None;
    let created = bench.feed(Event::Resync);
    assert!(
        matches!(&created[..], [Action::Create { request, halves: Objects::BOTH }] if **request == sessions(12)),
        "{created:?}"
    );
}

/// Guards that callers that wait together are each compared with their own requirements.
#[test]
fn callers_who_wait_together_are_judged_one_by_one() {
    let mut bench = Bench::with(Some(dying("p")), None);
    let _ = post(&mut bench, sessions(12), 1);
    let _ = post(&mut bench, sessions(3), 2);
    // Another client creates the sandbox in the meantime.
    (bench.seen.pod, bench.seen.service) = (Some(pod_with(4)), Some(service("s")));
    let actions = bench.feed(Event::Resync);
    assert_eq!(failure(&actions, 1), &SandboxError::Mismatch(Mismatch::FewerShellSessions));
    assert!(matches!(&actions[1..], [Action::Answer(2, Ok(Reply::Made(_)))]), "{actions:?}");
}

/// Guards that a new Pod that an admission webhook has changed, so that it does not meet the requirements, is
/// deleted.
#[test]
fn a_pod_that_came_out_otherwise_is_taken_back() {
    let mut bench = Bench::new();
    let _ = post(&mut bench, sessions(12), 1);
    (bench.seen.pod, bench.seen.service) = (Some(pod_with(10)), Some(service("s")));
    let actions = bench.created(DONE, DONE);
    assert_eq!(failure(&actions, 1), &SandboxError::Mismatch(Mismatch::FewerShellSessions));
    assert_eq!(actions.last(), Some(&remove(Some("p"), Some("s"))));
}

/// Guards that mounts that violate the settings are a bad request, also if that is found only when the Pod is built.
#[test]
fn mounts_that_do_not_fit_are_a_bad_request() {
    let mut bench = Bench::new();
    let _ = bench.post(1);
    let text = "Unsupported extra mount path: /x";
    let fault = ClusterError::new(ClusterErrorKind::Unbuildable, text);
    let actions = bench.created(Some(Outcome::Refused(fault)), refused(ClusterErrorKind::Unbuildable));
    assert_eq!(failure(&actions, 1), &SandboxError::BadRequest(text.to_owned()));
}
