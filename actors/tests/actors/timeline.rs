//! Tests of timelines, with tokio's paused clock.

use std::time::Duration;

use lifecycle::{
    error::ClusterErrorKind,
    lifetime::{Limits, Policy},
    phase::Phase,
    reap_limiter::ReapLimits,
    request::CreateRequest,
};
use tokio::time::sleep;

use crate::fake::{CREATES_AT_ONCE, Fake, STALENESS, TERMINATION, id, request};

/// Returns each step of the sandbox's timeline as `name +milliseconds`, and with its number if that is above 1; none if
/// there is no timeline.
async fn steps(fake: &Fake, name: &str) -> Vec<String> {
    let Some(report) = fake.sandboxes.timeline(&id(name)).await.unwrap() else { return vec![] };
    let line = |step: &lifecycle::timeline::ReportedStep| {
        let count = step.step.count();
        let count = if count > 1 { format!(" x{count}") } else { String::new() };
        format!("{} +{}{count}", step.step.name(), step.duration.as_millis())
    };
    report.steps.iter().map(line).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Guards the timeline of a sandbox from its POST to its DELETE, and that it can be read for an hour after the end.
#[tokio::test(start_paused = true)]
async fn from_post_to_delete() {
    let fake = Fake::start().await;
    fake.make_unready();
    fake.delay("create_pod a", ms(20));
    fake.delay("create_service a", ms(50));
    assert_eq!(steps(&fake, "a").await, [""; 0]);
    fake.sandboxes.create(request("a")).await.unwrap();
    sleep(ms(1000)).await;
    fake.set_phase("a", Phase::Running, true);
    for _ in 0..3 {
        sleep(ms(100)).await;
        fake.sandboxes.touch(id("a"), None).await.unwrap();
    }
    fake.sandboxes.create(request("a")).await.unwrap();
    sleep(ms(700)).await;
    fake.delay("delete_pod a", ms(5));
    fake.sandboxes.delete(id("a"), None).await.unwrap();
    sleep(TERMINATION + ms(1)).await;
    let wanted = [
        "accepted +0",
        "creating +0",
        "pod_created +20",
        "service_created +30",
        "ready +1000",
        "touched +100 x4",
        "deleting +1000",
        "terminating +5",
        "gone +2000",
    ];
    assert_eq!(steps(&fake, "a").await, wanted);
    let report = fake.sandboxes.timeline(&id("a")).await.unwrap().unwrap();
    assert_eq!((report.ready_after, report.is_over), (Some(ms(1050)), true));
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap(), None);
    sleep(Duration::from_secs(3599)).await;
    assert_eq!(steps(&fake, "a").await.len(), 9);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(steps(&fake, "a").await, [""; 0]);
}

/// Guards that the wait for a turn among all creates, and for the end of an earlier sandbox with the same id, shows.
#[tokio::test(start_paused = true)]
async fn waits_before_the_create_show() {
    let fake = Fake::start().await;
    let others: Vec<_> = (0..CREATES_AT_ONCE).map(|n| format!("o{n}")).collect();
    for other in &others {
        fake.delay(&format!("create_pod {other}"), ms(3000));
    }
    let busy = others.iter().map(|other| fake.sandboxes.create(request(other)));
    let late = async {
        sleep(ms(1)).await;
        fake.sandboxes.create(request("a")).await.unwrap()
    };
    futures::join!(futures::future::join_all(busy), late);
    let begin = ["accepted +0", "creating +2999", "pod_created +0"];
    assert_eq!(steps(&fake, "a").await[..3], begin);

    fake.sandboxes.delete(id("a"), None).await.unwrap();
    sleep(ms(500)).await;
    let again = tokio::spawn({
        let sandboxes = fake.sandboxes.clone();
        async move { sandboxes.create(request("a")).await }
    });
    sleep(ms(500)).await;
    assert_eq!(steps(&fake, "a").await.last().unwrap(), "terminating +0", "the earlier one until it is gone");
    again.await.unwrap().unwrap();
    let wanted = ["accepted +0", "predecessor_gone +1500", "creating +0", "pod_created +0"];
    assert_eq!(steps(&fake, "a").await[..4], wanted);
}

/// Guards that a sandbox that no caller has seen has no timeline, while it is created and after it has failed, and that an
/// earlier one keeps its own.
#[tokio::test(start_paused = true)]
async fn an_unpublished_sandbox_is_not_shown() {
    let fake = Fake::start().await;
    fake.sandboxes.create(request("a")).await.unwrap();
    fake.sandboxes.delete(id("a"), None).await.unwrap();
    sleep(TERMINATION * 2).await;
    let earlier = steps(&fake, "a").await;
    assert_eq!(earlier.last().unwrap(), "gone +2000");
    for name in ["a", "b"] {
        fake.delay(&format!("create_service {name}"), ms(1000));
        fake.refuse(&format!("create_service {name}"), ClusterErrorKind::QuotaExceeded);
        let create = fake.sandboxes.create(request(name));
        let look = async {
            sleep(ms(500)).await;
            steps(&fake, name).await
        };
        let (created, seen) = futures::join!(create, look);
        let wanted = if name == "a" { earlier.clone() } else { vec![] };
        assert_eq!(seen, wanted);
        created.unwrap_err();
        sleep(TERMINATION * 2).await;
        assert_eq!(steps(&fake, name).await, wanted);
    }
}

/// Guards that a sandbox that was reaped has the reason, before the end of its Pod.
#[tokio::test(start_paused = true)]
async fn a_reap_has_its_reason() {
    let loose = ReapLimits { max_share_percent: 100, grace: Duration::ZERO, ..ReapLimits::default() };
    let fake = Fake::by(Policy::default(), loose).await.run().await;
    let limits = Limits { ttl: Some(Duration::from_secs(60)), idle_timeout: None };
    fake.sandboxes.create(CreateRequest { limits, ..request("a") }).await.unwrap();
    sleep(Duration::from_secs(70)).await;
    assert!(!fake.holds("a"));
    let report = fake.sandboxes.timeline(&id("a")).await.unwrap().unwrap();
    let reaped = report.steps.iter().find(|step| step.step.name() == "reaped").unwrap();
    assert_eq!(reaped.step, lifecycle::timeline::Step::Reaped(lifecycle::lifetime::ReapReason::Ttl));
    let names: Vec<_> = report.steps.iter().map(|step| step.step.name()).collect();
    assert_eq!(names[names.len() - 3..], ["reaped", "terminating", "gone"]);
}

/// Guards that an orphan that the daemon deletes says so, and can be read although a GET is a 404.
#[tokio::test(start_paused = true)]
async fn an_orphan_shows_what_is_missing() {
    let fake = Fake::start().await;
    fake.sandboxes.create(request("a")).await.unwrap();
    sleep(ms(1000)).await;
    fake.lose_service("a");
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap(), None);
    assert_eq!(steps(&fake, "a").await[5..], ["service_gone +1000", "not_ready +0"]);
    sleep(Duration::from_secs(90)).await;
    assert!(fake.is_empty());
    let report = fake.sandboxes.timeline(&id("a")).await.unwrap().unwrap();
    let orphan = lifecycle::timeline::Step::Deleting(lifecycle::timeline::DeleteReason::Orphan);
    assert!(report.steps.iter().any(|step| step.step == orphan), "{report:?}");
    assert!(report.is_over);
}

/// Guards that after a restart the timeline begins with the times of Kubernetes' own objects, and that a stale view has no
/// timelines.
#[tokio::test(start_paused = true)]
async fn after_a_restart_it_begins_with_the_objects() {
    let fake = Fake::start().await;
    fake.sandboxes.create(request("a")).await.unwrap();
    sleep(Duration::from_secs(100)).await;
    let fake = fake.restart(Policy::default(), ReapLimits::default()).await;
    sleep(Duration::from_secs(5)).await;
    fake.set_phase("a", Phase::Running, false);
    assert_eq!(steps(&fake, "a").await, ["pod_created +0", "ready +100000", "not_ready +5000"]);
    fake.stall();
    sleep(STALENESS * 2).await;
    let failure = fake.sandboxes.timeline(&id("a")).await.unwrap_err();
    assert!(failure.to_string().contains("stale"), "{failure}");
}

/// Guards that a GET that counts as activity is a use.
#[tokio::test(start_paused = true)]
async fn a_get_that_counts_is_a_use() {
    let policy = Policy { get_counts: true, ..Policy::default() };
    let fake = Fake::by(policy, ReapLimits::default()).await.run().await;
    fake.sandboxes.create(request("a")).await.unwrap();
    fake.sandboxes.get(&id("a")).await.unwrap();
    sleep(ms(10)).await;
    assert_eq!(steps(&fake, "a").await.last().unwrap(), "touched +0");
}
