//! Tests of the timelines of rows.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use lifecycle::{
    exit::{Exit, ExitLog},
    ids::ClusterName,
    lifetime::LifetimeAnnotations,
    observed::{ObservedPod, ObservedService, PodTimes, ResourceVersion, Uid},
    phase::{Phase, Reason},
    spec::ObservedSpec,
    traits::{Clock, Kind, WatchEvent, WatchSink as _},
};

use super::*;

/// A wall clock that stands still.
struct Noon;

impl Clock for Noon {
    fn wall(&self) -> Timestamp {
        at(0)
    }
}

/// Returns a time this many seconds before noon.
fn at(before: i64) -> Timestamp {
    let noon: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
    Timestamp::from_second(noon.as_second() - before).unwrap()
}

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

fn pod(uid: &str, version: u64) -> ObservedPod {
    ObservedPod {
        uid: Uid(uid.into()),
        version: ResourceVersion(version),
        phase: Phase::Pending,
        ready: false,
        terminating: false,
        reason: None,
        created: Some(at(60)),
        times: PodTimes::default(),
        spec: ObservedSpec::default(),
        annotations: LifetimeAnnotations::default(),
    }
}

fn service(version: u64) -> ObservedService {
    ObservedService {
        uid: Uid("s".into()),
        version: ResourceVersion(version),
        terminating: false,
        url: Some("http://h:30000".into()),
        internal_url: None,
    }
}

fn event(reason: &str, before: i64, is_listed: bool) -> PodEvent {
    let event = PodEvent::new(reason, "… image \"i\" …", ResourceVersion(1)).unwrap();
    event.happened(Some(at(before)), is_listed)
}

fn view() -> View {
    View::new(ClusterName::DEFAULT, Duration::from_secs(60), Arc::new(Noon))
}

/// Reports a complete list with this sandbox.
fn list(view: &View, pod: ObservedPod) {
    for kind in [Kind::Pod, Kind::Service] {
        view.relist_started(kind);
    }
    let version = ResourceVersion(100);
    view.pods(WatchEvent::Listed { objects: vec![(id(), pod)], unreadable: vec![], version });
    view.services(WatchEvent::Listed { objects: vec![(id(), service(2))], unreadable: vec![], version });
}

/// Returns each step of the timeline as `name +milliseconds`.
fn steps(view: &View) -> Vec<String> {
    let steps = view.timeline(&id()).map(|report| report.steps).unwrap_or_default();
    steps.iter().map(|step| format!("{} +{}", step.step.name(), step.duration.as_millis())).collect()
}

/// Guards that the Events of a list count with their own times, also about a Pod that is ready, and those of the watch with
/// the time of their arrival; and that those about another Pod do not count.
#[tokio::test(start_paused = true)]
async fn listed_events_have_their_own_times() {
    let view = view();
    let times = PodTimes { scheduled: Some(at(60)), started: Some(at(40)), restarts: 0, ready: Some(at(38)) };
    list(&view, ObservedPod { times, ready: true, phase: Phase::Running, ..pod("p", 1) });
    view.pod_event(&id(), &Uid("q".into()), event("Pulling", 59, true));
    view.pod_event(&id(), &Uid("p".into()), event("Pulling", 58, true));
    view.pod_event(&id(), &Uid("p".into()), event("Pulled", 41, true));
    let wanted =
        ["pod_created +0", "scheduled +0", "pulling +2000", "pulled +17000", "started +1000", "ready +2000"];
    assert_eq!(steps(&view), wanted);

    let view = self::view();
    list(&view, pod("p", 1));
    tokio::time::advance(Duration::from_millis(1500)).await;
    view.pod_event(&id(), &Uid("p".into()), event("Pulling", 58, false));
    assert_eq!(steps(&view), ["pod_created +0", "pulling +61500"]);
}

/// Guards that a Pod that was replaced begins a new timeline, and that what comes late about the old one does not change it.
#[tokio::test(start_paused = true)]
async fn another_pod_has_another_timeline() {
    let view = view();
    list(&view, pod("p", 1));
    view.pods(WatchEvent::Applied(id(), ObservedPod { ready: true, ..pod("p", 3) }));
    assert_eq!(steps(&view), ["pod_created +0", "ready +60000"]);
    view.pods(WatchEvent::Applied(id(), pod("q", 5)));
    view.pods(WatchEvent::Deleted(id(), Uid("p".into()), ResourceVersion(4)));
    view.pod_event(&id(), &Uid("p".into()), event("Pulling", 1, false));
    assert_eq!(steps(&view), ["pod_created +0"]);
    view.pods(WatchEvent::Deleted(id(), Uid("q".into()), ResourceVersion(6)));
    assert_eq!(steps(&view), ["pod_created +0", "gone +0"]);
    view.services(WatchEvent::Deleted(id(), Uid("s".into()), ResourceVersion(7)));
    assert_eq!((view.len(), steps(&view)), (0, vec!["pod_created +0".to_owned(), "gone +0".to_owned()]));
}

/// Guards that the log of an exit adds its words to the warning about the exit, and that another exit counts.
#[tokio::test(start_paused = true)]
async fn the_log_of_an_exit_is_in_its_warning() {
    let view = view();
    let exit = |second| Exit { container: "sandbox".into(), at: at(second), is_previous: false };
    let crashed = |version, second| {
        let reason = Reason { exit: Some(exit(second).into()), ..Reason::new("Error", Some("exited")) };
        ObservedPod { reason: Some(reason.into()), ..pod("p", version) }
    };
    let warning = || {
        let report = view.timeline(&id()).unwrap();
        let Step::Warning(warning) = report.steps[1].step.clone() else { panic!("{report:?}") };
        (warning.count, warning.reason.message.clone().unwrap().to_string(), report.steps.len())
    };
    list(&view, crashed(1, 20));
    view.exit_log(&id(), &Uid("p".into()), ExitLog::new(exit(20), "no key", 3).unwrap());
    assert_eq!(warning(), (1, "exited; log: no key".to_owned(), 2));
    view.pods(WatchEvent::Applied(id(), crashed(2, 10)));
    assert_eq!(warning(), (2, "exited".to_owned(), 2));
}

/// Guards that an Event that gives the reason is a warning, and that a row without a Pod costs no timeline.
#[tokio::test(start_paused = true)]
async fn reasons_of_events_are_warnings() {
    let view = view();
    list(&view, pod("p", 1));
    view.pod_event(&id(), &Uid("p".into()), event("FailedMount", 1, false));
    let report = view.timeline(&id()).unwrap();
    assert!(
        matches!(&report.steps[1].step, Step::Warning(w) if &*w.reason.name == "FailedMount"),
        "{report:?}"
    );
    let view = self::view();
    view.services(WatchEvent::Applied(id(), service(2)));
    assert!(view.rows.get(&id()).unwrap().timeline.is_none());
    assert_eq!(view.timeline(&id()), None);
}
