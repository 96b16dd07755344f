use std::cell::Cell;

use lifecycle::{
    ids::SandboxId,
    lifetime::ReapReason,
    observed::{Expiry, ObservedPod, ObservedService, ResourceVersion, Uid},
    phase::Phase,
    traits::{Deletion, Kind, WatchEvent, WatchSink as _},
    workspace::{PodWorkspace, WhenDeleted, WorkspaceId, claim::ClaimPhase, trouble::ClaimState},
};

use super::{
    super::tests::{id, list, pod, service, view},
    *,
};
use crate::view::View;

/// A change of a sandbox's row.
type Change<'a> = &'a dyn Fn(&View, &SandboxId);

/// A view with a sandbox, which a GET has shown.
fn shown_once() -> (View, SandboxId) {
    let (view, a) = (view(), id("a"));
    view.pods(WatchEvent::Applied(a.clone(), pod("p", 1)));
    view.services(WatchEvent::Applied(a.clone(), service("s", 1)));
    shown(&view, &a).unwrap();
    (view, a)
}

fn shown(view: &View, id: &SandboxId) -> Option<Arc<Shown>> {
    view.shown(id).unwrap()
}

/// Guards that readers share an answer, and that the next change of the sandbox ends that. An answer that could not be
/// written is written again.
#[tokio::test]
async fn an_answer_is_written_once_for_each_change() {
    let (view, a) = shown_once();
    let written = Cell::new(0);
    let answer = || {
        let write = |status: &Status| {
            written.set(written.get() + 1);
            Ok::<_, ()>(Bytes::from(status.phase.name()))
        };
        shown(&view, &a).unwrap().answer(write).unwrap()
    };
    assert_eq!(shown(&view, &a).unwrap().answer(|_| Err("full")), Err("full"));
    assert_eq!((answer(), answer(), written.get()), ("Running".into(), "Running".into(), 1));
    view.pods(WatchEvent::Applied(a.clone(), ObservedPod { phase: Phase::Failed, ..pod("p", 2) }));
    assert_eq!((answer(), answer(), written.get()), ("Failed".into(), "Failed".into(), 2));
}

/// Guards that a GET never shows the state before a change, whatever changes the row.
#[tokio::test]
async fn every_change_of_a_row_is_shown() {
    let version = ResourceVersion(5);
    let expiry = Expiry {
        idle_since: jiff::Timestamp::UNIX_EPOCH,
        expires_at: jiff::Timestamp::UNIX_EPOCH,
        reason: ReapReason::Ttl,
        held: None,
    };
    let changes: [(&str, Change<'_>); 9] = [
        ("a Pod of the watch", &|view, id| {
            view.pods(WatchEvent::Applied(id.clone(), ObservedPod { ready: false, ..pod("p", 2) }));
        }),
        ("a Service of an own write", &|view, id| {
            view.wrote(id, ObservedService { url: Some("http://h:30001".into()), ..service("s", 2) });
        }),
        ("a list with another Pod", &|view, id| {
            view.pods(list(vec![(id.clone(), pod("q", 4))], version));
        }),
        ("a list without the Pod", &|view, _| view.pods(list(vec![], version))),
        ("a deleted Service", &|view, id| {
            view.services(WatchEvent::Deleted(id.clone(), Uid("s".into()), version));
        }),
        ("an own delete", &|view, id| {
            view.deleted(
                id,
                &Uid("p".into()),
                Deletion::Terminating(ObservedPod { terminating: true, ..pod("p", 2) }),
            );
        }),
        ("an expiry", &|view, id| view.set_expiry(id, Some(expiry))),
        ("a create in flight", &|view, id| view.set_unpublished(id, true)),
        ("the end of an outage of the list", &|view, id| {
            let objects = vec![];
            view.pods(WatchEvent::Listed { objects, unreadable: vec![id.clone()], version });
            view.pods(list(vec![(id.clone(), ObservedPod { phase: Phase::Failed, ..pod("p", 6) })], version));
        }),
    ];
    for (what, change) in changes {
        let (view, a) = shown_once();
        let before = view.status(&a);
        change(&view, &a);
        let after = view.status(&a);
        assert_ne!(before, after, "{what}");
        assert_eq!(shown(&view, &a).map(|shown| Status::clone(&shown)), after, "{what}");
    }
}

/// Guards that a sandbox whose object became too large to be read is not shown as before.
#[tokio::test]
async fn what_is_unreadable_is_not_shown() {
    let (view, a) = shown_once();
    view.pods(WatchEvent::Listed {
        objects: vec![],
        unreadable: vec![a.clone()],
        version: ResourceVersion(5),
    });
    assert_eq!(view.shown(&a), Err(Kind::Pod));
}

/// Guards that a change of a workspace's claim, which changes no row, is shown.
#[tokio::test]
async fn a_change_of_a_claim_is_shown() {
    let (view, a) = shown_once();
    let workspace = WorkspaceId::parse("0123456789abcdef0123456789abcdef").unwrap();
    let mut with_workspace = pod("p", 2);
    with_workspace.spec.workspace =
        Some(Arc::new(PodWorkspace { id: workspace.clone(), size: None, when_deleted: None }));
    view.pods(WatchEvent::Applied(a.clone(), with_workspace));
    let size = || shown(&view, &a).unwrap().spec.workspace.as_ref().unwrap().size.clone();
    assert_eq!(size(), None);
    let claim = ClaimState {
        size: "1Gi".into(),
        when_deleted: WhenDeleted::Keep,
        phase: ClaimPhase::Bound,
        terminating: false,
        storage_class: None,
    };
    view.set_claim(&workspace, Some(&claim));
    assert_eq!(size().as_deref(), Some("1Gi"));
}
