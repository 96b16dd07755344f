//! Tests of the view with observations that arrive late, twice or out of order.

use std::{
    mem,
    sync::{Arc, atomic::AtomicUsize},
};

use lifecycle::{
    exit::{Exit, ExitLog},
    observed::{ObservedPod, ObservedService, ResourceVersion, Uid},
    phase::{Phase, Reason},
    pod_event::PodEvent,
    pull::PullTime,
    traits::{Deletion, WatchEvent, WatchSink as _},
};

use super::*;

pub(super) fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

/// A wall clock that stands still.
struct Noon;

impl Clock for Noon {
    fn wall(&self) -> jiff::Timestamp {
        "2026-01-02T12:00:00Z".parse().unwrap()
    }
}

pub(super) fn pod(uid: &str, version: u64) -> ObservedPod {
    ObservedPod {
        uid: Uid(uid.into()),
        version: ResourceVersion(version),
        phase: Phase::Running,
        ready: true,
        terminating: false,
        reason: None,
        created: None,
        times: PodTimes::default(),
        spec: lifecycle::spec::ObservedSpec::default(),
        annotations: lifecycle::lifetime::LifetimeAnnotations::default(),
    }
}

pub(super) fn service(uid: &str, version: u64) -> ObservedService {
    ObservedService {
        uid: Uid(uid.into()),
        version: ResourceVersion(version),
        terminating: false,
        url: Some("http://h:30000".into()),
        internal_url: None,
    }
}

/// Returns a complete list without unreadable objects.
pub(super) fn list<T>(objects: Vec<(SandboxId, T)>, version: ResourceVersion) -> WatchEvent<T> {
    WatchEvent::Listed { objects, unreadable: vec![], version }
}

pub(super) fn view() -> View {
    View::new(ClusterName::DEFAULT, Duration::from_secs(60), Arc::new(Noon))
}

/// Guards that a sandbox is shown only with both objects, as `Terminating` while its Pod is, and never while
/// unpublished.
#[tokio::test]
async fn a_sandbox_is_shown_only_with_both_objects() {
    let view = view();
    view.wrote(&id("a"), pod("p", 1));
    assert_eq!(view.status(&id("a")), None);
    view.wrote(&id("a"), service("s", 1));
    assert_eq!(view.status(&id("a")).unwrap().phase, Phase::Running);
    view.set_unpublished(&id("a"), true);
    assert_eq!(view.status(&id("a")), None);
    assert!(view.statuses().is_empty());
    view.set_unpublished(&id("a"), false);
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { terminating: true, ..pod("p", 2) }));
    assert_eq!(view.status(&id("a")).unwrap().phase, Phase::Terminating);
    view.pods(WatchEvent::Deleted(id("a"), Uid("p".into()), ResourceVersion(3)));
    assert_eq!(view.status(&id("a")), None);
}

/// Guards that presence depends only on the Pod, and that a create in flight does not count as an absent Pod.
#[tokio::test]
async fn presence_is_about_the_pod_alone() {
    let view = view();
    let present = Presence::Present(Uid("p".into()));
    assert_eq!(view.presence(&id("a")), Presence::Absent);
    view.set_unpublished(&id("a"), true);
    assert_eq!(view.presence(&id("a")), Presence::Unknown);
    view.wrote(&id("a"), pod("p", 1));
    assert_eq!(view.presence(&id("a")), present, "nobody was given it yet, but it exists");
    view.set_unpublished(&id("a"), false);
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { terminating: true, ..pod("p", 2) }));
    assert_eq!(view.presence(&id("a")), present);
    view.wrote(&id("a"), service("s", 1));
    view.pods(WatchEvent::Deleted(id("a"), Uid("p".into()), ResourceVersion(3)));
    assert_eq!(view.presence(&id("a")), Presence::Absent, "a Service does not count");
}

/// Guards that a late event of a deleted object does not restore it, whichever source reported the deletion.
#[tokio::test]
async fn the_dead_stay_dead() {
    let view = view();
    view.wrote(&id("a"), service("s", 1));
    view.deleted::<ObservedService>(&id("a"), &Uid("s".into()), Deletion::Gone);
    view.services(WatchEvent::Applied(id("a"), service("s", 1)));
    assert!(!view.contains(&id("a")));
    view.services(WatchEvent::Deleted(id("a"), Uid("s".into()), ResourceVersion(2)));
    view.wrote(&id("a"), service("s", 1));
    assert!(view.is_empty(), "the answer to a create that came after the end");
}

/// Guards that a list started before our own write does not hide the written object, and that the next list does.
#[tokio::test]
async fn an_old_list_does_not_hide_a_new_sandbox() {
    let view = view();
    view.relist_started(Kind::Pod);
    view.wrote(&id("new"), pod("p", 9));
    view.pods(list(vec![(id("old"), pod("q", 1))], ResourceVersion(8)));
    assert!(view.contains(&id("new")));
    view.relist_started(Kind::Pod);
    view.pods(list(vec![], ResourceVersion(10)));
    assert!(view.is_empty());
}

/// Guards that an object which lost its labels and has them again is shown, whether an event or a list reported the
/// loss.
#[tokio::test]
async fn what_comes_back_is_known_again() {
    let view = view();
    view.pods(WatchEvent::Applied(id("a"), pod("p", 1)));
    view.pods(WatchEvent::Deleted(id("a"), Uid("p".into()), ResourceVersion(2)));
    assert!(view.is_empty());
    view.pods(WatchEvent::Applied(id("a"), pod("p", 2)));
    assert!(view.is_empty(), "as it was when it left");
    view.pods(WatchEvent::Applied(id("a"), pod("p", 3)));
    assert!(view.contains(&id("a")));
    view.pods(list(vec![], ResourceVersion(4)));
    assert!(view.is_empty());
    view.pods(WatchEvent::Applied(id("a"), pod("p", 5)));
    assert!(view.contains(&id("a")));
}

/// Guards that no answer is made of an object that is too large to be read, whether it was known before or not, and that
/// it is not taken for gone.
#[tokio::test]
async fn an_unreadable_object_is_neither_shown_nor_gone() {
    let view = view();
    view.pods(list(vec![(id("a"), pod("p", 1))], ResourceVersion(4)));
    view.services(list(vec![(id("a"), service("s", 1)), (id("b"), service("t", 1))], ResourceVersion(4)));
    let unreadable = |version| WatchEvent::Listed {
        objects: vec![],
        unreadable: vec![id("a"), id("b")],
        version: ResourceVersion(version),
    };
    view.pods(unreadable(10));
    for id in [id("a"), id("b")] {
        assert_eq!(view.unreadable(&id), Some(Kind::Pod));
        assert_eq!(view.status(&id), None);
        assert!(view.contains(&id) && !view.is_whole(&id));
    }
    assert!(view.statuses().is_empty());
    assert_eq!(view.snapshot(&id("a")).pod.unwrap().uid, Uid("p".into()), "as it was before");
    // An answer that is older than the list changes nothing.
    view.wrote(&id("a"), pod("p", 9));
    assert_eq!(view.unreadable(&id("a")), Some(Kind::Pod));

    let revision = view.revision();
    view.pods(WatchEvent::Applied(id("a"), pod("p", 11)));
    assert_eq!(view.unreadable(&id("a")), None);
    assert_eq!(view.status(&id("a")).unwrap().phase, Phase::Running);
    assert_ne!(view.revision(), revision);
    view.pods(WatchEvent::Deleted(id("b"), Uid("q".into()), ResourceVersion(12)));
    assert_eq!(view.unreadable(&id("b")), None);
    assert!(view.contains(&id("b")), "its Service");
}

/// Guards that a later list with or without an unreadable object replaces the known state.
#[tokio::test]
async fn a_later_list_settles_what_was_unreadable() {
    let view = view();
    let unreadable = vec![id("a"), id("b"), id("c")];
    view.services(WatchEvent::Listed { objects: vec![], unreadable, version: ResourceVersion(10) });
    assert_eq!(view.unreadable(&id("a")), Some(Kind::Service));
    assert_eq!(view.len(), 3);
    view.pods(list(vec![(id("a"), pod("p", 1))], ResourceVersion(10)));
    view.services(WatchEvent::Listed {
        objects: vec![(id("a"), service("s", 1))],
        unreadable: vec![id("c")],
        version: ResourceVersion(20),
    });
    assert!(view.status(&id("a")).is_some());
    assert!(!view.contains(&id("b")));
    assert_eq!(view.unreadable(&id("c")), Some(Kind::Service));
    view.services(list(vec![(id("a"), service("s", 1))], ResourceVersion(30)));
    assert_eq!(view.len(), 1);
}

/// Guards that statuses are sorted by id, for any order of events.
#[tokio::test]
async fn statuses_are_in_order() {
    let view = view();
    for name in ["c", "a", "b-2", "b"] {
        view.wrote(&id(name), pod(&format!("pod-{name}"), 1));
        view.wrote(&id(name), service(name, 1));
    }
    let ids: Vec<_> = view.statuses().into_iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(ids, ["a", "b", "b-2", "c"]);
}

/// Guards that an actor is notified once until it has looked, and not of changes that no decision depends on.
#[tokio::test]
async fn news_are_notified_once_until_looked_at() {
    let view = view();
    let notified = Arc::new(AtomicUsize::new(0));
    let count = notified.clone();
    view.set_listener(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    view.pods(WatchEvent::Applied(id("a"), pod("p", 1)));
    view.services(WatchEvent::Applied(id("a"), service("s", 1)));
    assert_eq!(notified.load(Ordering::SeqCst), 1);
    view.snapshot(&id("a"));
    let reason = Some(Reason::new("Unschedulable", None).into());
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { reason, ..pod("p", 2) }));
    assert_eq!(notified.load(Ordering::SeqCst), 1, "a reason changes no decision");
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { terminating: true, ..pod("p", 3) }));
    assert_eq!(notified.load(Ordering::SeqCst), 2);
}

/// Guards that an actor is notified of the Events that move the start timeout, because the pull of an image does not count,
/// and of no others.
#[tokio::test]
async fn the_begin_and_the_end_of_a_pull_are_notified() {
    let view = view();
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { ready: false, ..pod("p", 1) }));
    let notified = Arc::new(AtomicUsize::new(0));
    let count = notified.clone();
    view.set_listener(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let tell = |uid: &str, reason: &str, version, second| {
        view.snapshot(&id("a"));
        let event = PodEvent::new(reason, "words", ResourceVersion(version)).unwrap();
        let first_at = Some(jiff::Timestamp::from_second(second).unwrap());
        view.pod_event(&id("a"), &Uid(uid.into()), PodEvent { first_at, ..event });
        notified.swap(0, Ordering::SeqCst)
    };
    assert_eq!(tell("p", "FailedScheduling", 1, 0), 0);
    assert_eq!(tell("another", "Pulling", 2, 10), 0);
    assert_eq!(view.pull_time(&id("a")), None);
    assert_eq!(tell("p", "Pulling", 3, 10), 1);
    assert_eq!(view.pull_time(&id("a")), Some(PullTime::Running));
    assert_eq!(tell("p", "Pulling", 4, 10), 0, "it is tried again");
    assert_eq!(tell("p", "BackOff", 5, 20), 0);
    assert_eq!(tell("p", "Pulled", 6, 40), 1);
    assert_eq!(view.pull_time(&id("a")), Some(PullTime::Took(Duration::from_secs(31))));
    assert_eq!(tell("p", "Unhealthy", 7, 41), 0);
}

/// Guards that the lines of a log are shown with the end that they belong to, and are dropped with another end, another Pod
/// or once the Pod is ready.
#[tokio::test]
async fn the_lines_of_a_log_are_shown_with_their_end() {
    let view = view();
    let exit = |second| {
        let at = jiff::Timestamp::from_second(second).unwrap();
        Exit { container: "sandbox".into(), at, is_previous: false }
    };
    let crashed = |version, second| {
        let reason = Reason { exit: Some(exit(second).into()), ..Reason::new("Error", Some("exited")) };
        ObservedPod { ready: false, reason: Some(reason.into()), ..pod("p", version) }
    };
    let message = || {
        let reason = view.status(&id("a")).unwrap().reason?;
        Some(reason.message.clone().unwrap().to_string())
    };
    let tell = |uid: &str, second, words| {
        view.exit_log(&id("a"), &Uid(uid.into()), ExitLog::new(exit(second), words, 3).unwrap());
    };
    view.services(WatchEvent::Applied(id("a"), service("s", 1)));
    view.pods(WatchEvent::Applied(id("a"), crashed(1, 10)));
    tell("another", 10, "of another Pod");
    assert_eq!(message().as_deref(), Some("exited"));
    let before = view.revision();
    tell("p", 10, "no key");
    assert_ne!(view.revision(), before);
    assert_eq!(message().as_deref(), Some("exited; log: no key"));
    view.pods(WatchEvent::Applied(id("a"), crashed(2, 20)));
    assert_eq!(message().as_deref(), Some("exited"));
    view.pods(WatchEvent::Applied(id("a"), pod("p", 3)));
    tell("p", 20, "too late");
    assert_eq!(message(), None);
    view.pods(WatchEvent::Applied(id("a"), crashed(4, 20)));
    assert_eq!(message().as_deref(), Some("exited"));
}

/// Guards that an actor is not notified of its own writes, and that no change of the watch around them is lost.
#[tokio::test]
async fn own_writes_do_not_notify() {
    let view = view();
    let notified = Arc::new(AtomicUsize::new(0));
    let count = notified.clone();
    view.set_listener(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let is_notified = || notified.swap(0, Ordering::SeqCst) > 0;
    view.wrote(&id("a"), pod("p", 1));
    view.wrote(&id("a"), service("s", 1));
    view.pods(WatchEvent::Applied(id("a"), pod("p", 1)));
    assert!(!is_notified(), "the watch shows only what was written");
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { ready: false, ..pod("p", 2) }));
    assert!(is_notified(), "changed after the write, before the actor has looked");
    view.snapshot(&id("a"));
    view.deleted(
        &id("a"),
        &Uid("p".into()),
        Deletion::Terminating(ObservedPod { terminating: true, ..pod("p", 3) }),
    );
    view.deleted::<ObservedService>(&id("a"), &Uid("s".into()), Deletion::Gone);
    assert!(!is_notified());
    view.pods(WatchEvent::Deleted(id("a"), Uid("p".into()), ResourceVersion(4)));
    assert!(is_notified(), "the last object is gone");
    view.wrote(&id("a"), pod("q", 5));
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { phase: Phase::Failed, ..pod("q", 6) }));
    view.record_lookup(&id("a"), &view.snapshot(&id("a")), Observed::default());
    assert!(is_notified(), "changed before a read");
    assert!(view.is_empty());
}

/// Guards that every change that callers could see creates a new revision, and that others do not.
#[tokio::test]
async fn editions_tell_lists_apart() {
    let view = view();
    let mut last = view.revision();
    let mut is_new = |view: &View| mem::replace(&mut last, view.revision()) != view.revision();
    view.wrote(&id("a"), pod("p", 1));
    assert!(is_new(&view));
    view.wrote(&id("a"), pod("p", 1));
    assert!(!is_new(&view), "seen twice");
    view.wrote(&id("a"), service("s", 1));
    assert!(is_new(&view));
    view.pods(WatchEvent::Applied(id("a"), ObservedPod { phase: Phase::Failed, ..pod("p", 2) }));
    assert!(is_new(&view));
    view.set_unpublished(&id("a"), true);
    assert!(is_new(&view));
    view.services(WatchEvent::Deleted(id("a"), Uid("s".into()), ResourceVersion(2)));
    assert!(is_new(&view));
}

/// Guards that a wait ends with the first status that is ready, failed or gone, that no change is missed, that changes
/// of other sandboxes do not matter, and that nothing is kept of a wait that has ended or was dropped.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_change_that_settles_it() {
    let view = Arc::new(view());
    let starting = |version| ObservedPod { ready: false, phase: Phase::Pending, ..pod("p", version) };
    view.wrote(&id("a"), starting(1));
    view.wrote(&id("a"), service("s", 1));
    let spawn = || {
        let view = view.clone();
        tokio::spawn(async move { view.settled(&id("a")).await })
    };
    let pause = || tokio::time::sleep(Duration::from_secs(1));

    let (ready, dropped) = (spawn(), spawn());
    pause().await;
    view.wrote(&id("b"), pod("q", 1));
    view.pods(WatchEvent::Applied(id("a"), starting(2)));
    pause().await;
    assert!(!ready.is_finished() && !dropped.is_finished());
    dropped.abort();
    view.pods(WatchEvent::Applied(id("a"), pod("p", 3)));
    let started = tokio::time::Instant::now();
    assert!(ready.await.unwrap().unwrap().ready);
    assert!(view.settled(&id("a")).await.unwrap().ready);
    assert_eq!(started.elapsed(), Duration::ZERO);

    let failed = ObservedPod { ready: false, phase: Phase::Failed, ..pod("p", 5) };
    let gone = WatchEvent::Deleted(id("a"), Uid("p".into()), ResourceVersion(6));
    for (event, wanted) in [(WatchEvent::Applied(id("a"), failed), Some(Phase::Failed)), (gone, None)] {
        view.pods(WatchEvent::Applied(id("a"), starting(4)));
        let settled = view.clone();
        let wait = tokio::spawn(async move { settled.settled(&id("a")).await });
        pause().await;
        view.pods(event);
        assert_eq!(wait.await.unwrap().map(|status| status.phase), wanted);
        view.pods(WatchEvent::Applied(id("a"), starting(7)));
    }
    drop(dropped.await);
    assert!(view.waits.is_empty());
}
