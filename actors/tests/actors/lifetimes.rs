//! Tests of limits, activity and the reaper, with tokio's paused clock.

mod reap_limits;
mod requests;

use std::time::Duration;

use lifecycle::{
    error::{ClusterErrorKind, SandboxError},
    lifetime::{Limits, LimitsPatch, Owner, Policy, ReapReason},
    operation::Operation,
    phase::Phase,
    reap_limiter::ReapLimits,
    request::{Change, CreateRequest},
    spec::Resources,
    traits::Busy,
};
use tokio::time::{Instant, sleep};

use crate::fake::{Fake, STALENESS, id, request};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns reap limits that allow everything.
fn loose() -> ReapLimits {
    ReapLimits {
        max_per_minute: None,
        max_share_percent: 100,
        grace: Duration::ZERO,
        ..ReapLimits::default()
    }
}

fn with(name: &str, ttl: Option<u64>, idle_timeout: Option<u64>) -> CreateRequest {
    let limits = Limits { ttl: ttl.map(seconds), idle_timeout: idle_timeout.map(seconds) };
    CreateRequest { limits, ..request(name) }
}

async fn start(policy: Policy) -> Fake {
    Fake::by(policy, loose()).await.run().await
}

/// Guards that a ttl ends a sandbox within a second, in spite of activity, and that callers and an Event report it.
#[tokio::test(start_paused = true)]
async fn a_ttl_ends_a_sandbox() {
    let fake = start(Policy::default()).await;
    let made = fake.sandboxes.create(with("a", Some(90), None)).await.unwrap();
    assert_eq!(made.expiry.unwrap().reason, ReapReason::Ttl);
    for _ in 0..8 {
        sleep(seconds(10)).await;
        assert!(fake.sandboxes.touch(id("a"), None).await.unwrap().is_some());
    }
    sleep(Duration::from_millis(9_900)).await;
    assert!(fake.holds("a"));
    sleep(seconds(1)).await;
    assert!(!fake.holds("a"));
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap(), None);
    assert_eq!(fake.sandboxes.reaped(&id("a")).unwrap().reason, ReapReason::Ttl);
    assert_eq!(fake.recorded(), ["a TTLExpired"]);
    assert_eq!(fake.sandboxes.reaper().reaped, 1);
    fake.sandboxes.create(with("a", None, None)).await.unwrap();
    assert_eq!(fake.sandboxes.reaped(&id("a")), None, "a new life");
}

/// Guards that activity postpones the reap of an idle sandbox: POST, touch, and GET if the settings say so.
#[tokio::test(start_paused = true)]
async fn signs_of_life_put_the_end_off() {
    for get_counts in [false, true] {
        let fake = start(Policy { get_counts, ..Policy::default() }).await;
        fake.sandboxes.create(with("a", None, Some(30))).await.unwrap();
        sleep(seconds(20)).await;
        fake.sandboxes.touch(id("a"), None).await.unwrap().unwrap();
        sleep(seconds(20)).await;
        fake.sandboxes.create(with("a", None, Some(30))).await.unwrap();
        sleep(seconds(20)).await;
        fake.sandboxes.get(&id("a")).await.unwrap().unwrap();
        sleep(seconds(20)).await;
        assert_eq!(fake.holds("a"), get_counts);
        sleep(seconds(15)).await;
        assert!(!fake.holds("a"));
    }
}

/// Guards that an idle sandbox is probed before its reap: a busy one is kept, and one that does not answer is kept
/// for a while.
#[tokio::test(start_paused = true)]
async fn a_busy_sandbox_stays() {
    let policy = Policy { probe_patience: seconds(120), probe_interval: seconds(10), ..Policy::default() };
    let fake = start(policy).await;
    fake.sandboxes.create(with("busy", None, Some(30))).await.unwrap();
    fake.sandboxes.create(with("mute", None, Some(30))).await.unwrap();
    fake.set_busy("busy", Busy::Yes("/v1/shell/sessions".into()));
    fake.set_busy("mute", Busy::Unanswered("refused".into()));
    sleep(seconds(145)).await;
    assert!(fake.holds("busy") && fake.holds("mute"));
    sleep(seconds(30)).await;
    assert!(!fake.holds("mute"), "patience has its end");
    sleep(seconds(1000)).await;
    assert!(fake.holds("busy"));
    fake.set_busy("busy", Busy::No);
    sleep(seconds(31)).await;
    assert!(!fake.holds("busy"));
}

/// Guards that limits can be shortened, extended and reset to the defaults.
#[tokio::test(start_paused = true)]
async fn limits_can_be_changed() {
    let fake =
        start(Policy { max: Limits { ttl: Some(seconds(600)), idle_timeout: None }, ..Policy::default() })
            .await;
    let made = fake.sandboxes.create(with("a", Some(60), None)).await.unwrap();
    let change = LimitsPatch { ttl: Some(Some(seconds(120))), idle_timeout: None };
    let changed = fake.sandboxes.change(id("a"), change.into(), None).await.unwrap().unwrap();
    let later = changed.expiry.unwrap().expires_at.duration_since(made.expiry.unwrap().expires_at);
    assert_eq!(later.as_secs(), 60);
    sleep(seconds(90)).await;
    assert!(fake.holds("a"));
    let too_long = LimitsPatch { ttl: Some(Some(seconds(601))), idle_timeout: None };
    assert!(matches!(
        fake.sandboxes.change(id("a"), too_long.into(), None).await,
        Err(SandboxError::BadRequest(_))
    ));
    assert!(matches!(
        fake.sandboxes.create(with("b", Some(601), None)).await,
        Err(SandboxError::BadRequest(_))
    ));
    let back = LimitsPatch { ttl: Some(None), idle_timeout: None };
    fake.sandboxes.change(id("a"), back.into(), None).await.unwrap().unwrap();
    sleep(seconds(400)).await;
    assert!(fake.holds("a"), "the settings' bound holds now");
    sleep(seconds(120)).await;
    assert!(!fake.holds("a"));
    assert_eq!(fake.sandboxes.change(id("nope"), back.into(), None).await, Ok(None));
    assert_eq!(fake.sandboxes.touch(id("nope"), None).await, Ok(None));
}

/// Guards that a touch and a PATCH keep what an operator has changed on the Pod and the watch has not shown yet.
#[tokio::test(start_paused = true)]
async fn edits_that_are_not_seen_yet_are_kept() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(60), Some(60))).await.unwrap();
    let edited = Limits { ttl: Some(seconds(9_000)), idle_timeout: Some(seconds(60)) };
    fake.annotate("a", edited, true);
    sleep(seconds(30)).await;
    fake.sandboxes.touch(id("a"), Owner::parse("gateway-1")).await.unwrap().unwrap();
    assert_eq!(fake.annotations("a").limits, edited);
    let longer = LimitsPatch { ttl: None, idle_timeout: Some(Some(seconds(120))) };
    fake.annotate("a", edited, true);
    fake.sandboxes.change(id("a"), longer.into(), None).await.unwrap().unwrap();
    assert_eq!(fake.annotations("a").limits, Limits { idle_timeout: Some(seconds(120)), ..edited });
}

/// Guards that deadlines survive a restart, and are at most a tenth of the idle timeout later.
#[tokio::test(start_paused = true)]
async fn deadlines_outlive_the_process() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("ttl", Some(100), None)).await.unwrap();
    fake.sandboxes.create(with("idle", None, Some(100))).await.unwrap();
    sleep(seconds(40)).await;
    fake.sandboxes.touch(id("idle"), None).await.unwrap().unwrap();
    let fake = fake.restart(Policy::default(), loose()).await;
    sleep(seconds(59)).await;
    assert!(fake.holds("ttl"));
    sleep(seconds(3)).await;
    assert!(!fake.holds("ttl"));
    sleep(seconds(37)).await;
    assert!(fake.holds("idle"), "139 s since the create, 99 s since the touch");
    sleep(seconds(12)).await;
    assert!(!fake.holds("idle"));
}

/// Guards in 2,000 interleavings that a touch during a reap succeeds or fails completely: the sandbox exists exactly if
/// the caller's touch succeeded.
#[tokio::test(start_paused = true)]
async fn a_touch_that_races_a_reap() {
    let (mut kept, mut lost) = (0, 0);
    let fake = start(Policy::default()).await;
    for seed in 0..2_000_u64 {
        // The delays of the touch, of the probe and of the deletes determine the order.
        let name = format!("s-{seed}");
        let draw = |n: u32| {
            Duration::from_micros(seed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17 * n) % 3_000)
        };
        fake.delay(&format!("probe_activity {name}"), draw(1));
        fake.delay(&format!("delete_pod {name}"), draw(2));
        fake.delay(&format!("delete_service {name}"), draw(3));
        fake.sandboxes.create(with(&name, None, Some(10))).await.unwrap();
        sleep(Duration::from_millis(9_999) + draw(0)).await;
        let touched = fake.sandboxes.touch(id(&name), None).await.unwrap();
        sleep(seconds(5)).await;
        assert_eq!(touched.is_some(), fake.holds(&name), "seed {seed}");
        assert_eq!(touched.is_none(), fake.sandboxes.reaped(&id(&name)).is_some(), "seed {seed}");
        if touched.is_some() { kept += 1 } else { lost += 1 }
    }
    assert!(kept > 100 && lost > 100, "both happen: {kept} kept, {lost} lost");
}

/// Guards that steps of the wall clock by an hour in either direction cause no early reap, and delay a reap by at
/// most the grace.
#[tokio::test(start_paused = true)]
async fn steps_of_the_clock() {
    for hour in [-3600, 3600] {
        let reap_limits = ReapLimits { grace: seconds(60), ..loose() };
        let fake = Fake::by(Policy::default(), reap_limits).await.run().await;
        fake.sandboxes.create(with("a", None, Some(300))).await.unwrap();
        sleep(seconds(100)).await;
        fake.step_clock(hour);
        sleep(seconds(199)).await;
        assert!(fake.holds("a"));
        sleep(seconds(62)).await;
        assert!(!fake.holds("a"));
    }
}

/// Guards that during an outage of the cluster no reap is lost or counted, and that due sandboxes are reaped after
/// it.
#[tokio::test(start_paused = true)]
async fn a_reap_during_an_outage() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    fake.refuse("delete_pod a", ClusterErrorKind::Unreachable);
    fake.refuse("delete_service a", ClusterErrorKind::Unreachable);
    sleep(seconds(100)).await;
    assert!(fake.holds("a"));
    assert_eq!((fake.sandboxes.reaper().reaped, fake.sandboxes.reaped(&id("a"))), (0, None));
    assert!(fake.count("delete_pod") < 25, "it does not hammer: {}", fake.count("delete_pod"));
    fake.allow("delete_pod a");
    fake.allow("delete_service a");
    sleep(seconds(6)).await;
    assert!(!fake.holds("a"));
    assert_eq!(fake.sandboxes.reaper().reaped, 1);
}

/// Guards that a sandbox whose Pod was reaped is gone for callers while its Service cannot be deleted, and that the
/// Service is deleted later.
#[tokio::test(start_paused = true)]
async fn half_of_a_reap() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    fake.refuse("delete_service a", ClusterErrorKind::Unreachable);
    sleep(seconds(11)).await;
    assert!(fake.holds_half("a"));
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap(), None);
    assert!(fake.sandboxes.list().await.unwrap().is_empty());
    assert!(fake.sandboxes.touch(id("a"), None).await.unwrap().is_none());
    fake.allow("delete_service a");
    sleep(seconds(60)).await;
    assert!(!fake.holds_half("a") && !fake.holds("a"));
}

/// Guards that nothing is reaped while the view is stale.
#[tokio::test(start_paused = true)]
async fn an_old_view_reaps_nothing() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(100), None)).await.unwrap();
    sleep(seconds(60)).await;
    fake.stall();
    sleep(STALENESS + seconds(100)).await;
    assert!(fake.holds("a"));
}

/// Guards that the reap of an orphan that cannot be deleted is retried with a delay.
#[tokio::test(start_paused = true)]
async fn a_half_that_cannot_be_deleted() {
    for kind in [ClusterErrorKind::Unreachable, ClusterErrorKind::ServerError] {
        let fake = start(Policy::default()).await;
        fake.refuse("delete_pod a", kind);
        fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
        fake.lose_service("a");
        sleep(seconds(300)).await;
        assert!((2..=70).contains(&fake.count("delete_pod")), "{kind:?}: {}", fake.count("delete_pod"));
    }
}

/// Guards that a sandbox that is extended during its reap stays complete: its Service is not deleted without its Pod.
#[tokio::test(start_paused = true)]
async fn what_has_changed_stays_whole() {
    let fake = start(Policy::default()).await;
    fake.delay("delete_pod a", seconds(2));
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    sleep(seconds(11)).await;
    // The delete is in flight.
    let longer = Limits { ttl: Some(seconds(3_600)), idle_timeout: None };
    fake.annotate("a", longer, true);
    sleep(seconds(2)).await;
    fake.annotate("a", longer, false);
    sleep(seconds(600)).await;
    assert!(fake.holds("a"));
    assert_eq!((fake.recorded(), fake.sandboxes.reaper().reaped), (vec![], 0));
}

/// Guards that a sandbox whose limit is extended manually during its activity probe is not reaped for the old limit.
#[tokio::test(start_paused = true)]
async fn a_limit_that_changes_while_it_is_asked() {
    let fake = start(Policy::default()).await;
    fake.delay("probe_activity a", seconds(3));
    fake.sandboxes.create(with("a", None, Some(10))).await.unwrap();
    sleep(seconds(11)).await;
    fake.annotate("a", Limits { ttl: None, idle_timeout: Some(seconds(600)) }, false);
    sleep(seconds(500)).await;
    assert!(fake.holds("a"));
    sleep(seconds(110)).await;
    assert!(!fake.holds("a"));
}

/// Guards that a limit that is shortened manually applies immediately, also if it has passed.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_shortened_by_hand() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(7_200), None)).await.unwrap();
    sleep(seconds(600)).await;
    fake.annotate("a", Limits { ttl: Some(seconds(60)), idle_timeout: None }, false);
    sleep(seconds(1)).await;
    assert!(!fake.holds("a"));
}

/// Guards that `probe_patience` counts from the first unanswered probe: an answer resets it, and a probe that was not
/// sent does not count.
#[tokio::test(start_paused = true)]
async fn patience_counts_silence_alone() {
    let policy = Policy { probe_patience: seconds(600), probe_interval: seconds(60), ..Policy::default() };
    // A conflict prevents the reap, so that the sandbox is probed again after it has answered.
    let fake = start(policy).await;
    fake.refuse("delete_pod a", ClusterErrorKind::Conflict);
    fake.set_busy("a", Busy::Unanswered("refused".into()));
    fake.sandboxes.create(with("a", None, Some(10))).await.unwrap();
    sleep(seconds(30)).await;
    fake.set_busy("a", Busy::No);
    sleep(seconds(700)).await;
    fake.set_busy("a", Busy::Unanswered("refused".into()));
    fake.allow("delete_pod a");
    sleep(seconds(500)).await;
    assert!(fake.holds("a"), "silent for less than the patience");
    sleep(seconds(200)).await;
    assert!(!fake.holds("a"));

    let fake = start(policy).await;
    fake.set_busy("b", Busy::Unasked("too many at once".into()));
    fake.sandboxes.create(with("b", None, Some(10))).await.unwrap();
    sleep(seconds(7_200)).await;
    assert!(fake.holds("b"), "the daemon's trouble is not the sandbox's");
}

/// Guards that an idle timeout that is set later assumes that sandboxes without an activity annotation were used just
/// now.
#[tokio::test(start_paused = true)]
async fn a_default_that_is_set_later() {
    let idle =
        Policy { default: Limits { ttl: None, idle_timeout: Some(seconds(1_800)) }, ..Policy::default() };
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(request("a")).await.unwrap();
    sleep(seconds(10_000)).await;
    fake.sandboxes.touch(id("a"), None).await.unwrap().unwrap();
    assert_eq!(fake.count("write_annotations"), 0, "without a timeout nothing is written");
    let fake = fake.restart(idle, loose()).await;
    sleep(seconds(1_000)).await;
    assert!(fake.holds("a"));
    // A restart does not postpone the reap.
    let fake = fake.restart(idle, loose()).await;
    sleep(seconds(1_790 - 1_000)).await;
    assert!(fake.holds("a"));
    sleep(seconds(195)).await;
    assert!(!fake.holds("a"));

    // An annotation from an earlier idle timeout is not believed either.
    let fake = start(idle).await;
    fake.sandboxes.create(request("b")).await.unwrap();
    let fake = fake.restart(Policy::default(), loose()).await;
    sleep(seconds(10_000)).await;
    fake.sandboxes.touch(id("b"), None).await.unwrap().unwrap();
    let fake = fake.restart(idle, loose()).await;
    sleep(seconds(1_700)).await;
    assert!(fake.holds("b"));
}

/// Guards that activity which cannot be written costs few calls and delays no caller, and is written once that is
/// possible, so that a restart finds it.
#[tokio::test(start_paused = true)]
async fn signs_of_life_that_cannot_be_written() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", None, Some(1_000))).await.unwrap();
    sleep(seconds(500)).await;
    fake.refuse("write_annotations a", ClusterErrorKind::TooManyRequests);
    let begun = Instant::now();
    while begun.elapsed() < seconds(200) {
        fake.sandboxes.touch(id("a"), None).await.unwrap().unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(fake.count("write_annotations") <= 8, "{}", fake.count("write_annotations"));
    fake.allow("write_annotations a");
    sleep(seconds(101)).await;
    let fake = fake.restart(Policy::default(), loose()).await;
    sleep(seconds(890)).await;
    assert!(fake.holds("a"), "990 s since the last touch");
    sleep(seconds(120)).await;
    assert!(!fake.holds("a"));
}

/// Guards that the other reap reasons have their own limits, and do not apply without one.
#[tokio::test(start_paused = true)]
async fn the_other_ways_to_be_stale() {
    let policy = Policy {
        start_timeout: Some(seconds(60)),
        finished_timeout: Some(seconds(30)),
        lost_timeout: Some(seconds(90)),
        ..Policy::default()
    };
    for (phase, ready, limit, reason) in [
        (Phase::Succeeded, false, 30, ReapReason::Finished),
        (Phase::Failed, false, 30, ReapReason::Finished),
        (Phase::Unknown, true, 90, ReapReason::NodeLost),
        (Phase::Pending, false, 60, ReapReason::NeverReady),
    ] {
        let fake = start(policy).await;
        fake.make_unready();
        fake.sandboxes.create(request("a")).await.unwrap();
        fake.set_phase("a", phase, ready);
        sleep(seconds(limit - 1)).await;
        assert!(fake.holds("a"), "{reason:?}");
        sleep(seconds(2)).await;
        assert!(!fake.holds("a"), "{reason:?}");
        assert_eq!(fake.sandboxes.reaped(&id("a")).unwrap().reason, reason);

        let fake = start(Policy::default()).await;
        fake.sandboxes.create(request("a")).await.unwrap();
        fake.set_phase("a", phase, ready);
        sleep(seconds(100_000)).await;
        assert!(fake.holds("a"), "{reason:?} is off by default");
    }
}
