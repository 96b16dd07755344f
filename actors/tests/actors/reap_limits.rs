//! The reap limits: how many sandboxes are reaped, and how fast.

use super::*;

/// Guards that ten thousand sandboxes that expire in the same second are reaped at the configured rate.
#[tokio::test(start_paused = true)]
async fn a_crowd_goes_at_the_rate_that_is_set() {
    let reap_limits = ReapLimits { max_per_minute: Some(4_000), ..loose() };
    let fake = Fake::by(Policy::default(), reap_limits).await.run().await;
    for n in 0..10_000 {
        fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
    }
    assert_eq!(fake.complete(), 10_000);
    sleep(seconds(62)).await;
    assert_eq!(fake.complete(), 6_000);
    sleep(seconds(60)).await;
    assert_eq!(fake.complete(), 2_000);
    sleep(seconds(60)).await;
    assert_eq!(fake.complete(), 0);
}

/// Guards that all reaping stops if too many sandboxes are due, until an operator resumes it, and that blocked
/// sandboxes are reaped immediately then.
#[tokio::test(start_paused = true)]
async fn a_fleet_does_not_go_at_once() {
    let reap_limits = ReapLimits { max_share_percent: 50, stop_for: seconds(3_600), ..loose() };
    let fake = Fake::by(Policy::default(), reap_limits).await.run().await;
    for n in 0..100 {
        fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
    }
    sleep(seconds(1_000)).await;
    assert_eq!(fake.complete(), 50);
    assert!(fake.sandboxes.reaper().stopped_until.is_some());
    assert!(fake.sandboxes.resume_reaping());
    assert!(!fake.sandboxes.resume_reaping());
    sleep(seconds(1)).await;
    assert_eq!(fake.complete(), 0, "nobody has to wait until the stop would have ended");
}

/// Guards that a stop ends after the configured time and after a restart.
#[tokio::test(start_paused = true)]
async fn a_stop_has_its_end() {
    let reap_limits = ReapLimits { max_share_percent: 50, stop_for: seconds(3_600), ..loose() };
    for restart in [false, true] {
        let mut fake = Fake::by(Policy::default(), reap_limits).await.run().await;
        for n in 0..20 {
            fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
        }
        sleep(seconds(3_000)).await;
        assert_eq!(fake.complete(), 10);
        if restart {
            fake = fake.restart(Policy::default(), reap_limits).await;
            sleep(seconds(1)).await;
            assert_eq!(fake.complete(), 5, "and a new count begins");
        } else {
            sleep(seconds(670)).await;
            assert_eq!(fake.complete(), 0);
        }
    }
}

/// Guards that reaping stops for a large number of sandboxes although the rate lets only a few be reaped at a time.
#[tokio::test(start_paused = true)]
async fn a_cap_does_not_hide_that_a_fleet_goes() {
    let fake = Fake::by(Policy::default(), ReapLimits { grace: Duration::ZERO, ..ReapLimits::default() });
    let fake = fake.await.run().await;
    for n in 0..1_000 {
        fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
    }
    sleep(seconds(600)).await;
    assert_eq!(fake.complete(), 880);
    assert!(fake.sandboxes.reaper().stopped_until.is_some());
}

/// Guards that a sandbox that cannot be deleted is retried, reported only after its reap, and does not block others.
#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_deleted_stops_nothing() {
    let reap_limits = ReapLimits { grace: Duration::ZERO, max_per_minute: Some(3), ..ReapLimits::default() };
    for kind in [ClusterErrorKind::Forbidden, ClusterErrorKind::Unreachable, ClusterErrorKind::ServerError] {
        let fake = Fake::by(Policy::default(), reap_limits).await.run().await;
        fake.refuse("delete_pod a", kind);
        fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
        sleep(seconds(600)).await;
        assert_eq!(fake.sandboxes.reaper().stopped_until, None);
        assert_eq!(fake.recorded(), Vec::<String>::new(), "nothing was reaped");
        assert_eq!(fake.count("delete_service"), 0, "what cannot go stays whole");
        let most = if kind == ClusterErrorKind::Forbidden { 11 } else { 120 };
        assert!(fake.count("delete_pod") <= most, "{}", fake.count("delete_pod"));
        fake.sandboxes.create(with("b", Some(10), None)).await.unwrap();
        sleep(seconds(12)).await;
        assert!(!fake.holds("b"));
        fake.allow("delete_pod a");
        sleep(seconds(62)).await;
        assert!(!fake.holds("a"));
        assert_eq!(fake.recorded(), ["b TTLExpired", "a TTLExpired"]);
    }
}

/// Guards that nothing is reaped after a start until all sandboxes are known and the grace has passed, for an outage
/// of any length.
#[tokio::test(start_paused = true)]
async fn a_start_without_a_cluster_is_quiet() {
    let reap_limits = ReapLimits { grace: seconds(60), ..loose() };
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", None, Some(300))).await.unwrap();
    let fake = fake.restart_without_watch(Policy::default(), reap_limits).await;
    sleep(seconds(3_600)).await;
    let fake = fake.run().await;
    sleep(seconds(59)).await;
    assert!(fake.holds("a"));
    assert!(fake.sandboxes.touch(id("a"), None).await.unwrap().is_some());
    sleep(seconds(200)).await;
    assert!(fake.holds("a"));
}

/// Guards that nothing is reaped within the grace after a start.
#[tokio::test(start_paused = true)]
async fn a_start_is_quiet() {
    let reap_limits = ReapLimits { grace: seconds(60), ..loose() };
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    let fake = fake.restart(Policy::default(), reap_limits).await;
    sleep(seconds(59)).await;
    assert!(fake.holds("a"));
    sleep(seconds(2)).await;
    assert!(!fake.holds("a"));
}

/// Guards that a dry run reports the sandboxes that would be reaped, and reaps none.
#[tokio::test(start_paused = true)]
async fn a_dry_run() {
    let fake = Fake::by(Policy::default(), ReapLimits { dry_run: true, ..loose() }).await.run().await;
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    sleep(seconds(1_000)).await;
    assert!(fake.holds("a"));
    assert_eq!(fake.recorded(), ["a would TTLExpired"]);
    assert_eq!((fake.sandboxes.reaper().reaped, fake.sandboxes.reaper().dry_runs), (0, 1));
}
