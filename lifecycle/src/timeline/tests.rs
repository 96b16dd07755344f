//! Tests of timelines as tables.

mod fixture;
mod properties;

use std::time::Duration;

use self::fixture::*;
use super::{entries::ENTRIES_MAX, *};
use crate::{
    lifetime::ReapReason,
    observed::{PodTimes, ResourceVersion},
    pod_event::PodEvent,
};

/// Guards the question for which the timeline exists: where did the 14 seconds go? Into the pull of this image.
#[test]
fn a_slow_pull_is_the_slowest_step() {
    let mut sandbox = Fixture::requested(5);
    assert_eq!(sandbox.slowest(), "accepted > creating 5");
    sandbox.service = Some(service());
    sandbox.see(20, |_| {});
    sandbox.see(30, scheduled);
    sandbox.event(900, "Pulling", "Pulling image \"registry/image:1\"");
    sandbox.pass(9000);
    assert_eq!(sandbox.slowest(), "pulling > ? 9000");
    assert_eq!((sandbox.report().ready_after, sandbox.report().is_over), (None, false));
    sandbox.event(
        2034,
        "Pulled",
        "Successfully pulled image \"registry/image:1\" in 11s (11s including waiting).",
    );
    sandbox.see(150, started);
    sandbox.see(1861, ready);
    sandbox.pass(60_000);
    let wanted = [
        "accepted +0",
        "creating +5",
        "pod_created +20",
        "service_created +0",
        "scheduled +30",
        "pulling +900",
        "pulled +11034",
        "started +150",
        "ready +1861",
    ];
    assert_eq!(sandbox.steps(), wanted);
    let report = sandbox.report();
    assert_eq!(report.ready_after, Some(Duration::from_millis(14_000)));
    assert_eq!(sandbox.slowest(), "pulling > pulled 11034");
    assert_eq!(report.slowest.unwrap().image(), Some("registry/image:1"));
    assert_eq!(report.steps[0].at, NOON.parse().unwrap());
    assert_eq!(report.steps[8].at, "2026-01-02T12:00:14.25Z".parse().unwrap());
}

/// Guards the stages of a start, which add up to its duration, and that only a whole start that this process has seen has
/// them.
#[test]
fn a_start_has_stages() {
    let mut sandbox = Fixture::requested(5);
    sandbox.service = Some(service());
    sandbox.see(20, |_| {});
    sandbox.see(30, scheduled);
    sandbox.event(100, "Pulling", "Pulling image \"a\"");
    sandbox.event(200, "Pulled", "Successfully pulled image \"a\" in 1s (1s including waiting).");
    sandbox.event(400, "Pulling", "Pulling image \"b\"");
    sandbox.event(800, "Pulled", "Successfully pulled image \"b\" in 1s (1s including waiting).");
    sandbox.see(150, started);
    assert_eq!((sandbox.timeline.was_ready(), sandbox.timeline.start()), (false, None));
    sandbox.see(1000, ready);
    let start = sandbox.timeline.start().unwrap();
    let stages: Vec<_> = start.stages.iter().map(|(stage, took)| (stage.name(), took.as_millis())).collect();
    assert_eq!(
        stages,
        [
            ("accepted", 5),
            ("created", 20),
            ("scheduled", 30),
            ("pulled", 1500),
            ("started", 150),
            ("ready", 1000)
        ]
    );
    assert_eq!(start.total, start.stages.iter().map(|(_, took)| *took).sum());
    let mut adopted = Fixture::new();
    adopted.service = Some(service());
    adopted.see(10, ready);
    assert_eq!((adopted.timeline.was_ready(), adopted.timeline.start()), (true, None));
}

/// Guards that the interval in which most of the time went names the problem that it had, and that repetitions of a problem are one
/// warning.
#[test]
fn the_slowest_interval_names_its_problem() {
    let mut sandbox = Fixture::requested(0);
    sandbox.see(20, scheduled);
    sandbox.warn(1000, "FailedMount", "no such directory");
    sandbox.warn(2000, "FailedMount", "no such directory");
    sandbox.warn(3000, "FailedMount", "still none");
    sandbox.reason = Some(Reason::new("ContainerCreating", None).into());
    sandbox.event(500, "Pulled", "Container image \"i\" already present on machine");
    assert_eq!(sandbox.steps()[3..], ["scheduled +0", "warning +1000", "pulled +6500"]);
    let report = sandbox.report();
    let warning = &report.steps[4];
    assert_eq!(
        (warning.step.count(), warning.last_at),
        (2, Some("2026-01-02T12:00:06.27Z".parse().unwrap()))
    );
    assert!(matches!(report.steps[5].step, Step::Pulled { was_present: true, .. }));
    let problem = report.slowest.unwrap().problem.unwrap();
    assert_eq!((&*problem.name, problem.message.as_deref()), ("FailedMount", Some("still none")));
}

/// Guards that a reason that every start has is not a warning, and that a problem that comes back is another one.
#[test]
fn only_problems_are_warnings() {
    let mut sandbox = Fixture::new();
    sandbox.pod = Some(pod());
    for name in EXPECTED {
        sandbox.warn(10, name, "words");
    }
    sandbox.warn(10, "Unhealthy", "probe failed");
    sandbox.reason = None;
    sandbox.service = Some(service());
    sandbox.see(10, ready);
    sandbox.see(10, |pod| pod.ready = false);
    sandbox.warn(10, "Unhealthy", "probe failed");
    assert_eq!(
        sandbox.steps(),
        ["pod_created +0", "warning +30", "service_created +40", "ready +0", "not_ready +10", "warning +10"]
    );
}

/// Guards that the exit of a container is a warning, unless the sandbox is being deleted.
#[test]
fn an_exit_is_a_warning_before_the_end() {
    let mut sandbox = Fixture::new();
    sandbox.see(0, |_| {});
    sandbox.warn(10, "Error", "exited with code 3");
    sandbox.timeline.record(Step::Deleting(DeleteReason::Requested), None, sandbox.clocks, TEXT_MAX);
    sandbox.see(10, |pod| pod.terminating = true);
    sandbox.warn(10, "Completed", "exited with code 0");
    sandbox.warn(10, "Preempted", "by another Pod");
    assert_eq!(
        sandbox.steps(),
        ["pod_created +0", "warning +10", "deleting +10", "terminating +10", "warning +20"]
    );
}

/// Guards that an image that was on the node already is not what took the time.
#[test]
fn an_image_that_was_present_took_no_time() {
    let mut sandbox = Fixture::requested(0);
    sandbox.see(1, scheduled);
    sandbox.event(9000, "Pulled", "Container image \"i\" already present on machine");
    assert_eq!(sandbox.slowest(), "scheduled > pulled 9000");
    assert_eq!(sandbox.report().slowest.unwrap().image(), None);
    sandbox.event(9900, "Pulled", "Successfully pulled image \"j\" in 9s");
    assert_eq!(sandbox.report().slowest.unwrap().image(), Some("j"));
}

/// Guards that a step that becomes known late is in its place, with a duration that is not negative: two watches and the
/// answers of calls are not ordered with each other.
#[test]
fn a_late_step_is_in_its_place() {
    let mut sandbox = Fixture::requested(10);
    sandbox.service = Some(service());
    sandbox.see(50, |pod| {
        scheduled(pod);
        started(pod);
    });
    sandbox.event(7, "Pulled", "Successfully pulled image \"i\" in 1s");
    sandbox.event(7, "Pulling", "Pulling image \"i\"");
    sandbox.see(100, ready);
    let early = ["accepted +0", "creating +10", "pod_created +50", "scheduled +0", "pulling +0", "pulled +0"];
    assert_eq!(sandbox.steps()[..6], early);
    assert_eq!(sandbox.steps()[6..], ["started +0", "service_created +0", "ready +114"]);
}

/// Guards the timeline after a restart of the daemon: it begins with the times of Kubernetes' own objects and Events, and not
/// with those at which they were listed.
#[test]
fn a_listed_sandbox_has_kubernetes_times() {
    let mut sandbox = Fixture::new();
    sandbox.pass(600_000);
    sandbox.timeline = Timeline::new(sandbox.clocks);
    let mut pod = ObservedPod { created: at(0), ..pod() };
    pod.times = PodTimes { scheduled: at(0), started: at(13), restarts: 2, ready: at(14) };
    pod.ready = true;
    sandbox.pod = Some(pod);
    sandbox.look(0, true);
    sandbox.service = Some(service());
    sandbox.look(3, true);
    for (reason, second) in [("Pulled", 12), ("Pulling", 1)] {
        let event = PodEvent::new(reason, "… image \"i\"", ResourceVersion(1)).unwrap();
        let step = Step::of_event(&event, |image| image.into()).unwrap();
        sandbox.timeline.record(step, at(second), sandbox.clocks, TEXT_MAX);
    }
    let wanted = [
        "pod_created +0",
        "scheduled +0",
        "pulling +1000",
        "pulled +11000",
        "restarted +1000",
        "ready +1000",
    ];
    assert_eq!(sandbox.steps(), wanted);
    assert_eq!(sandbox.report().ready_after, Some(Duration::from_secs(14)));
    assert_eq!(sandbox.slowest(), "pulling > pulled 11000");
    sandbox.see(50, |pod| pod.ready = false);
    assert_eq!(sandbox.steps()[6..], ["not_ready +586303"]);
}

/// Guards that a clock of Kubernetes that is ahead of or behind the daemon's makes no step of the future and no negative duration.
#[test]
fn clocks_that_differ_change_no_order() {
    for skew in [-3600, -1, 1, 3600] {
        let mut sandbox = Fixture::requested(100);
        sandbox.service = Some(service());
        sandbox.look(10, false);
        sandbox.pod = Some(ObservedPod { created: at(skew), ready: true, ..pod() });
        sandbox.pod.as_mut().unwrap().times =
            PodTimes { scheduled: at(skew), started: at(skew - 1), restarts: 0, ready: at(skew) };
        sandbox.look(500, true);
        let report = sandbox.report();
        let names: Vec<_> = report.steps.iter().map(|step| step.step.name()).collect();
        let wanted =
            ["accepted", "creating", "service_created", "pod_created", "scheduled", "started", "ready"];
        let mut sorted = names.clone();
        sorted.retain(|name| *name != "service_created");
        assert_eq!(sorted, [&wanted[..2], &wanted[3..]].concat(), "{skew}: {names:?}");
        assert!(report.steps.is_sorted_by_key(|step| step.at), "{skew}");
        assert!(report.steps.iter().all(|step| step.at <= sandbox.clocks.wall), "{skew}");
    }
}

/// Guards that a step of the wall clock changes no duration and no time.
#[test]
fn a_step_of_the_wall_clock_changes_no_duration() {
    for step in [-3600, 3600] {
        let mut sandbox = Fixture::requested(10);
        sandbox.see(20, |_| {});
        sandbox.clocks.wall += jiff::SignedDuration::from_secs(step);
        sandbox.see(30, scheduled);
        assert_eq!(sandbox.steps(), ["accepted +0", "creating +10", "pod_created +20", "scheduled +30"]);
        assert_eq!(sandbox.report().steps[3].at, "2026-01-02T12:00:00.31Z".parse().unwrap());
    }
}

/// Guards that uses between two other steps are one entry, with the first and the last time.
#[test]
fn touches_are_coalesced() {
    let mut sandbox = Fixture::new();
    sandbox.service = Some(service());
    sandbox.see(0, ready);
    for _ in 0..1000 {
        sandbox.pass(10);
        sandbox.timeline.touch(sandbox.clocks, TEXT_MAX);
    }
    sandbox.warn(5, "Unhealthy", "");
    sandbox.pass(5);
    sandbox.timeline.touch(sandbox.clocks, TEXT_MAX);
    sandbox.see(90, |pod| pod.ready = false);
    sandbox.pass(10);
    sandbox.timeline.touch(sandbox.clocks, TEXT_MAX);
    assert_eq!(sandbox.steps()[2..], ["touched +10", "warning +10005", "not_ready +10100", "touched +10"]);
    let touched = &sandbox.report().steps[2];
    assert_eq!(touched.step.count(), 1001);
    assert_eq!(touched.last_at.unwrap().duration_since(touched.at).as_secs(), 9 + 1);
}

/// Guards the steps of an end and their order, also where the daemon's own step becomes known last.
#[test]
fn an_end_has_its_reason() {
    let reaped = Step::Reaped(ReapReason::Idle);
    let requested = Step::Deleting(DeleteReason::Requested);
    for (step, is_late) in
        [(reaped.clone(), false), (reaped, true), (requested.clone(), false), (requested, true)]
    {
        let mut sandbox = Fixture::new();
        sandbox.service = Some(service());
        sandbox.see(0, ready);
        sandbox.pass(1000);
        let record =
            |sandbox: &mut Fixture| sandbox.timeline.record(step.clone(), None, sandbox.clocks, TEXT_MAX);
        if !is_late {
            record(&mut sandbox);
        }
        sandbox.see(0, |pod| pod.terminating = true);
        sandbox.service = None;
        sandbox.look(2, false);
        sandbox.pod = None;
        sandbox.look(3000, false);
        sandbox.look(3000, false);
        if is_late {
            record(&mut sandbox);
        }
        record(&mut sandbox);
        let wanted = [&format!("{} +1000", step.name()), "terminating +0", "gone +3002"];
        assert_eq!(sandbox.steps()[2..], wanted);
        assert!(sandbox.report().is_over);
    }
}

/// Guards that what others do shows: a restarted container, a Service that was deleted and made again, a Pod that was
/// deleted.
#[test]
fn what_others_do_shows() {
    let mut sandbox = Fixture::new();
    sandbox.service = Some(service());
    sandbox.see(0, |pod| {
        started(pod);
        ready(pod);
    });
    sandbox.see(100, |pod| (pod.ready, pod.times.restarts) = (false, 1));
    sandbox.see(100, |pod| (pod.ready, pod.times.started) = (true, None));
    sandbox.service = None;
    sandbox.look(100, false);
    sandbox.service = Some(service());
    sandbox.look(100, false);
    sandbox.see(100, |pod| pod.terminating = true);
    let wanted = [
        "restarted +100",
        "not_ready +0",
        "ready +100",
        "service_gone +100",
        "not_ready +0",
        "service_created +100",
        "ready +0",
        "terminating +100",
    ];
    assert_eq!(sandbox.steps()[3..], wanted);
}

/// Guards that a POST that had to wait for the end of an earlier sandbox says so.
#[test]
fn a_wait_for_the_predecessor_shows() {
    let mut old = Fixture::new();
    old.see(0, |pod| pod.terminating = true);
    old.pass(1000);
    let received = old.clocks.monotonic;
    old.pod = None;
    old.look(7000, false);
    old.pass(2);
    let new = Timeline::of_request(received, Some(&old.timeline), old.clocks);
    let new = Fixture { timeline: new, ..old };
    assert_eq!(new.steps(), ["accepted +0", "predecessor_gone +7000", "creating +2"]);
    let later = Timeline::of_request(new.clocks.monotonic, Some(&new.timeline), new.clocks);
    assert_eq!(Fixture { timeline: later, ..new }.steps(), ["accepted +0", "creating +0"]);
}

/// Guards that the uses and warnings that are dropped are the oldest, that the steps of the start stay, and that the report says how
/// much is missing.
#[test]
fn the_oldest_warnings_go_first() {
    let mut sandbox = Fixture::requested(0);
    sandbox.service = Some(service());
    sandbox.see(0, ready);
    let start = sandbox.steps();
    for n in 0..100 {
        sandbox.pass(1000);
        sandbox.timeline.touch(sandbox.clocks, TEXT_MAX);
        sandbox.warn(0, &format!("Problem{n}"), &"x".repeat(200));
        sandbox.see(0, |pod| pod.ready = false);
        sandbox.see(0, |pod| pod.ready = true);
    }
    let report = sandbox.report();
    assert_eq!(sandbox.steps()[..start.len()], start[..]);
    assert_eq!(report.steps.len(), ENTRIES_MAX);
    assert_eq!(usize::try_from(report.omitted).unwrap(), start.len() + 400 - ENTRIES_MAX);
    assert!(report.steps.iter().all(|step| step.step.is_progress()), "flaps matter more than warnings");
}

/// Guards that warnings are dropped for newer ones where their texts are too long, and that a timeline without space for texts keeps its steps.
#[test]
fn texts_have_a_bound() {
    let mut sandbox = Fixture::requested(0);
    for n in 0..30 {
        sandbox.warn(1000, &format!("Problem{n}"), &"x".repeat(250));
    }
    let names = |sandbox: &Fixture| {
        let steps = sandbox.report().steps;
        let name = |step: &ReportedStep| match &step.step {
            Step::Warning(warning) => Some(warning.reason.name.to_string()),
            _ => None,
        };
        steps.iter().filter_map(name).collect::<Vec<_>>()
    };
    let kept: Vec<_> = (15..30).map(|n| format!("Problem{n}")).collect();
    assert_eq!(names(&sandbox), kept);
    assert!(sandbox.timeline.text_len() <= TEXT_MAX);
    sandbox.text_max = 600;
    sandbox.warn(1000, "Problem30", &"x".repeat(250));
    assert_eq!(names(&sandbox), ["Problem29", "Problem30"]);
    sandbox.timeline.shrink_to(0);
    assert_eq!((sandbox.timeline.text_len(), sandbox.report().steps.len()), (0, 2));
    assert_eq!(sandbox.report().omitted, 31);
}
