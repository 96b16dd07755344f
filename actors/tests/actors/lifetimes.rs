//! Limits, signs of life, the reaper and its belt, under a paused clock.

use std::time::Duration;

use lifecycle::{
    error::{ClusterErrorKind, SandboxError},
    lifetime::{Limits, LimitsPatch, Owner, Policy, ReapReason},
    phase::Phase,
    reap_limiter::ReapLimits,
    request::CreateRequest,
    traits::Busy,
};
use tokio::time::{Instant, sleep};

use crate::fake::{Fake, STALENESS, id, request};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A belt that holds nothing back.
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

/// A ttl ends a sandbox whatever happens, within a second of its time; callers and the cluster's people are told.
#[tokio::test(start_paused = true)]
async fn a_ttl_ends_a_sandbox() {
    let fake = start(Policy::default()).await;
    let made = fake.sandboxes.create(with("a", Some(90), None)).await.unwrap();
    assert_eq!(made.expiry.unwrap().cause, ReapReason::Ttl);
    for _ in 0..8 {
        sleep(seconds(10)).await;
        assert!(fake.sandboxes.touch(id("a"), None).await.unwrap().is_some());
    }
    sleep(Duration::from_millis(9_900)).await;
    assert!(fake.holds("a"));
    sleep(seconds(1)).await;
    assert!(!fake.holds("a"));
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap(), None);
    assert_eq!(fake.sandboxes.reaped(&id("a")).unwrap().cause, ReapReason::Ttl);
    assert_eq!(fake.told(), ["a TTLExpired"]);
    assert_eq!(fake.sandboxes.reaper().reaped, 1);
    fake.sandboxes.create(with("a", None, None)).await.unwrap();
    assert_eq!(fake.sandboxes.reaped(&id("a")), None, "a new life");
}

/// Signs of life put an idle sandbox's end off: POST, touch, and a GET where the settings say so.
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

/// Before an idle sandbox goes it is asked itself: a busy one stays, a mute one stays for a while.
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

/// Limits can be changed: shortened, prolonged, and taken back to the settings'.
#[tokio::test(start_paused = true)]
async fn limits_can_be_changed() {
    let fake =
        start(Policy { max: Limits { ttl: Some(seconds(600)), idle_timeout: None }, ..Policy::default() })
            .await;
    let made = fake.sandboxes.create(with("a", Some(60), None)).await.unwrap();
    let change = LimitsPatch { ttl: Some(Some(seconds(120))), idle_timeout: None };
    let changed = fake.sandboxes.change(id("a"), change, None).await.unwrap().unwrap();
    let later = changed.expiry.unwrap().expires_at.duration_since(made.expiry.unwrap().expires_at);
    assert_eq!(later.as_secs(), 60);
    sleep(seconds(90)).await;
    assert!(fake.holds("a"));
    let too_long = LimitsPatch { ttl: Some(Some(seconds(601))), idle_timeout: None };
    assert!(matches!(fake.sandboxes.change(id("a"), too_long, None).await, Err(SandboxError::BadRequest(_))));
    assert!(matches!(
        fake.sandboxes.create(with("b", Some(601), None)).await,
        Err(SandboxError::BadRequest(_))
    ));
    let back = LimitsPatch { ttl: Some(None), idle_timeout: None };
    fake.sandboxes.change(id("a"), back, None).await.unwrap().unwrap();
    sleep(seconds(400)).await;
    assert!(fake.holds("a"), "the settings' bound holds now");
    sleep(seconds(120)).await;
    assert!(!fake.holds("a"));
    assert_eq!(fake.sandboxes.change(id("nope"), back, None).await, Ok(None));
    assert_eq!(fake.sandboxes.touch(id("nope"), None).await, Ok(None));
}

/// A restart in the middle: the deadline holds, and is at most a tenth of the idle timeout later.
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

/// A touch that races a reap wins or loses as a whole, in 2,000 interleavings: a caller who was told that the
/// sandbox is there finds it there, and one who was told that it is gone does not.
#[tokio::test(start_paused = true)]
async fn a_touch_that_races_a_reap() {
    let (mut kept, mut lost) = (0, 0);
    let fake = start(Policy::default()).await;
    for seed in 0..2_000_u64 {
        // The order of things is drawn by the delays: of the touch, of the question, of the deletes.
        let name = format!("s-{seed}");
        let draw = |n: u32| {
            Duration::from_micros(seed.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17 * n) % 3_000)
        };
        fake.delay(&format!("ask {name}"), draw(1));
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

/// Steps of the wall's clock, an hour either way, reap nothing early and keep nothing longer than the grace.
#[tokio::test(start_paused = true)]
async fn steps_of_the_clock() {
    for hour in [-3600, 3600] {
        let belt = ReapLimits { grace: seconds(60), ..loose() };
        let fake = Fake::by(Policy::default(), belt).await.run().await;
        fake.sandboxes.create(with("a", None, Some(300))).await.unwrap();
        sleep(seconds(100)).await;
        fake.step_clock(hour);
        sleep(seconds(199)).await;
        assert!(fake.holds("a"));
        sleep(seconds(62)).await;
        assert!(!fake.holds("a"));
    }
}

/// While the cluster is away nothing is lost and nothing counted; once it is back, what is due goes.
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

/// A sandbox whose Pod was reaped is gone for everybody, also while its Service cannot be deleted; that follows.
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

/// Nothing is reaped on the word of an old view.
#[tokio::test(start_paused = true)]
async fn an_old_view_reaps_nothing() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(100), None)).await.unwrap();
    sleep(seconds(60)).await;
    fake.stall();
    sleep(STALENESS + seconds(100)).await;
    assert!(fake.holds("a"));
}

/// Ten thousand sandboxes that expire in one second go at the rate that is set.
#[tokio::test(start_paused = true)]
async fn a_crowd_goes_at_the_rate_that_is_set() {
    let belt = ReapLimits { max_per_minute: Some(4_000), ..loose() };
    let fake = Fake::by(Policy::default(), belt).await.run().await;
    for n in 0..10_000 {
        fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
    }
    assert_eq!(fake.fleet(), 10_000);
    sleep(seconds(62)).await;
    assert_eq!(fake.fleet(), 6_000);
    sleep(seconds(60)).await;
    assert_eq!(fake.fleet(), 2_000);
    sleep(seconds(60)).await;
    assert_eq!(fake.fleet(), 0);
}

/// When too much of the fleet would go at once, all reaping stops until somebody lifts it; who waits then goes at once.
#[tokio::test(start_paused = true)]
async fn a_fleet_does_not_go_at_once() {
    let belt = ReapLimits { max_share_percent: 50, stop_for: seconds(3_600), ..loose() };
    let fake = Fake::by(Policy::default(), belt).await.run().await;
    for n in 0..100 {
        fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
    }
    sleep(seconds(1_000)).await;
    assert_eq!(fake.fleet(), 50);
    assert!(fake.sandboxes.reaper().stopped_until.is_some());
    assert!(fake.sandboxes.resume_reaping());
    assert!(!fake.sandboxes.resume_reaping());
    sleep(seconds(1)).await;
    assert_eq!(fake.fleet(), 0, "nobody has to wait until the stop would have ended");
}

/// The time that was set lifts a stop too, and so does a restart.
#[tokio::test(start_paused = true)]
async fn a_stop_has_its_end() {
    let belt = ReapLimits { max_share_percent: 50, stop_for: seconds(3_600), ..loose() };
    for restart in [false, true] {
        let mut fake = Fake::by(Policy::default(), belt).await.run().await;
        for n in 0..20 {
            fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
        }
        sleep(seconds(3_000)).await;
        assert_eq!(fake.fleet(), 10);
        if restart {
            fake = fake.restart(Policy::default(), belt).await;
            sleep(seconds(1)).await;
            assert_eq!(fake.fleet(), 5, "and the count begins anew");
        } else {
            sleep(seconds(670)).await;
            assert_eq!(fake.fleet(), 0);
        }
    }
}

/// A large fleet stops although the rate lets few of it go at once.
#[tokio::test(start_paused = true)]
async fn a_cap_does_not_hide_that_a_fleet_goes() {
    let fake = Fake::by(Policy::default(), ReapLimits { grace: Duration::ZERO, ..ReapLimits::default() });
    let fake = fake.await.run().await;
    for n in 0..1_000 {
        fake.sandboxes.create(with(&format!("s-{n}"), Some(60), None)).await.unwrap();
    }
    sleep(seconds(600)).await;
    assert_eq!(fake.fleet(), 880);
    assert!(fake.sandboxes.reaper().stopped_until.is_some());
}

/// One sandbox that cannot be deleted is tried again, told of once it is gone, and stops nobody else.
#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_deleted_stops_nothing() {
    let belt = ReapLimits { grace: Duration::ZERO, max_per_minute: Some(3), ..ReapLimits::default() };
    for kind in [ClusterErrorKind::Forbidden, ClusterErrorKind::ServerError] {
        let fake = Fake::by(Policy::default(), belt).await.run().await;
        fake.refuse("delete_pod a", kind);
        fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
        sleep(seconds(600)).await;
        assert_eq!(fake.sandboxes.reaper().stopped_until, None);
        assert_eq!(fake.told(), Vec::<String>::new(), "nothing was reaped");
        assert_eq!(fake.count("delete_service"), 0, "what cannot go stays whole");
        let most = if kind == ClusterErrorKind::Forbidden { 11 } else { 120 };
        assert!(fake.count("delete_pod") <= most, "{}", fake.count("delete_pod"));
        fake.sandboxes.create(with("b", Some(10), None)).await.unwrap();
        sleep(seconds(12)).await;
        assert!(!fake.holds("b"));
        fake.allow("delete_pod a");
        sleep(seconds(62)).await;
        assert!(!fake.holds("a"));
        assert_eq!(fake.told(), ["b TTLExpired", "a TTLExpired"]);
    }
}

/// Half a sandbox that is due and cannot be deleted is not tried without a pause.
#[tokio::test(start_paused = true)]
async fn a_half_that_cannot_be_deleted() {
    let fake = start(Policy::default()).await;
    fake.refuse("delete_pod a", ClusterErrorKind::ServerError);
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    fake.lose_service("a");
    sleep(seconds(300)).await;
    assert!((2..=70).contains(&fake.count("delete_pod")), "{}", fake.count("delete_pod"));
}

/// Somebody who prolongs a sandbox while it is being reaped finds it whole: its Service does not go without its Pod.
#[tokio::test(start_paused = true)]
async fn what_has_changed_stays_whole() {
    let fake = start(Policy::default()).await;
    fake.delay("delete_pod a", seconds(2));
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    sleep(seconds(11)).await;
    // The call is on its way.
    let longer = Limits { ttl: Some(seconds(3_600)), idle_timeout: None };
    fake.annotate("a", longer, true);
    sleep(seconds(2)).await;
    fake.annotate("a", longer, false);
    sleep(seconds(600)).await;
    assert!(fake.holds("a"));
    assert_eq!((fake.told(), fake.sandboxes.reaper().reaped), (vec![], 0));
}

/// A sandbox that is prolonged by hand while it is being asked is not reaped for the limit that it had.
#[tokio::test(start_paused = true)]
async fn a_limit_that_changes_while_it_is_asked() {
    let fake = start(Policy::default()).await;
    fake.delay("ask a", seconds(3));
    fake.sandboxes.create(with("a", None, Some(10))).await.unwrap();
    sleep(seconds(11)).await;
    fake.annotate("a", Limits { ttl: None, idle_timeout: Some(seconds(600)) }, false);
    sleep(seconds(500)).await;
    assert!(fake.holds("a"));
    sleep(seconds(110)).await;
    assert!(!fake.holds("a"));
}

/// A limit that is shortened by hand holds at once, also where it is past.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_shortened_by_hand() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(7_200), None)).await.unwrap();
    sleep(seconds(600)).await;
    fake.annotate("a", Limits { ttl: Some(seconds(60)), idle_timeout: None }, false);
    sleep(seconds(1)).await;
    assert!(!fake.holds("a"));
}

/// Silence counts from its beginning: an answer ends it, and what was never asked has not been silent.
#[tokio::test(start_paused = true)]
async fn patience_counts_silence_alone() {
    let policy = Policy { probe_patience: seconds(600), probe_interval: seconds(60), ..Policy::default() };
    // Something else than the sandbox holds the reap back, so that it is asked again after it was quiet.
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

/// A start is quiet until it is known what there is and clients could be heard, however long that takes.
#[tokio::test(start_paused = true)]
async fn a_start_without_a_cluster_is_quiet() {
    let belt = ReapLimits { grace: seconds(60), ..loose() };
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", None, Some(300))).await.unwrap();
    let fake = fake.restart_without_watch(Policy::default(), belt).await;
    sleep(seconds(3_600)).await;
    let fake = fake.run().await;
    sleep(seconds(59)).await;
    assert!(fake.holds("a"));
    assert!(fake.sandboxes.touch(id("a"), None).await.unwrap().is_some());
    sleep(seconds(200)).await;
    assert!(fake.holds("a"));
}

/// A default that is set later does not find sandboxes idle whose use nobody wrote down; from then on it is.
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
    // A restart moves that no further.
    let fake = fake.restart(idle, loose()).await;
    sleep(seconds(1_790 - 1_000)).await;
    assert!(fake.holds("a"));
    sleep(seconds(195)).await;
    assert!(!fake.holds("a"));

    // Nor does it believe what was written while there was one before.
    let fake = start(idle).await;
    fake.sandboxes.create(request("b")).await.unwrap();
    let fake = fake.restart(Policy::default(), loose()).await;
    sleep(seconds(10_000)).await;
    fake.sandboxes.touch(id("b"), None).await.unwrap().unwrap();
    let fake = fake.restart(idle, loose()).await;
    sleep(seconds(1_700)).await;
    assert!(fake.holds("b"));
}

/// Signs of life that cannot be written cost few calls and nobody's time, and are written when they can be, so that a
/// restart finds them.
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

/// An owner is protected although its name could not be written.
#[tokio::test(start_paused = true)]
async fn an_owner_that_cannot_be_written() {
    let owner = |name: &str| Some(Owner::parse(name).unwrap());
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(request("a")).await.unwrap();
    fake.refuse("write_annotations a", ClusterErrorKind::Forbidden);
    fake.sandboxes.touch(id("a"), owner("one")).await.unwrap().unwrap();
    assert!(fake.sandboxes.delete(id("a"), owner("two")).await.is_err());
    fake.allow("write_annotations a");
    sleep(seconds(70)).await;
    let fake = fake.restart(Policy::default(), loose()).await;
    assert!(fake.sandboxes.delete(id("a"), owner("two")).await.is_err(), "a restart begins the lease anew");
    sleep(seconds(301)).await;
    fake.sandboxes.delete(id("a"), owner("two")).await.unwrap();
}

/// Nothing goes within the grace after a start.
#[tokio::test(start_paused = true)]
async fn a_start_is_quiet() {
    let belt = ReapLimits { grace: seconds(60), ..loose() };
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    let fake = fake.restart(Policy::default(), belt).await;
    sleep(seconds(59)).await;
    assert!(fake.holds("a"));
    sleep(seconds(2)).await;
    assert!(!fake.holds("a"));
}

/// A rehearsal says who would go, and lets nobody go.
#[tokio::test(start_paused = true)]
async fn a_rehearsal() {
    let fake = Fake::by(Policy::default(), ReapLimits { dry_run: true, ..loose() }).await.run().await;
    fake.sandboxes.create(with("a", Some(10), None)).await.unwrap();
    sleep(seconds(1_000)).await;
    assert!(fake.holds("a"));
    assert_eq!(fake.told(), ["a would TTLExpired"]);
    assert_eq!((fake.sandboxes.reaper().reaped, fake.sandboxes.reaper().rehearsed), (0, 1));
}

/// The other ways to be stale, each with its own limit and none without one.
#[tokio::test(start_paused = true)]
async fn the_other_ways_to_be_stale() {
    let policy = Policy {
        start_timeout: Some(seconds(60)),
        finished_timeout: Some(seconds(30)),
        lost_timeout: Some(seconds(90)),
        ..Policy::default()
    };
    for (phase, ready, limit, cause) in [
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
        assert!(fake.holds("a"), "{cause:?}");
        sleep(seconds(2)).await;
        assert!(!fake.holds("a"), "{cause:?}");
        assert_eq!(fake.sandboxes.reaped(&id("a")).unwrap().cause, cause);

        let fake = start(Policy::default()).await;
        fake.sandboxes.create(request("a")).await.unwrap();
        fake.set_phase("a", phase, ready);
        sleep(seconds(100_000)).await;
        assert!(fake.holds("a"), "{cause:?} is off by default");
    }
}

/// Another owner's DELETE is refused while the first one's lease is fresh, and only then.
#[tokio::test(start_paused = true)]
async fn a_lease_keeps_others_off() {
    let owner = |name: &str| Some(Owner::parse(name).unwrap());
    let fake = start(Policy { owner_lease: seconds(60), ..Policy::default() }).await;
    let mine = CreateRequest { owner: owner("one"), ..request("a") };
    fake.sandboxes.create(mine).await.unwrap();
    let refused = fake.sandboxes.delete(id("a"), owner("two")).await;
    assert!(matches!(refused, Err(SandboxError::Owned { .. })), "{refused:?}");
    sleep(seconds(50)).await;
    fake.sandboxes.touch(id("a"), owner("one")).await.unwrap().unwrap();
    sleep(seconds(50)).await;
    assert!(fake.sandboxes.delete(id("a"), owner("two")).await.is_err(), "the touch has renewed it");
    sleep(seconds(11)).await;
    fake.sandboxes.delete(id("a"), owner("two")).await.unwrap();

    fake.sandboxes.create(CreateRequest { owner: owner("one"), ..request("b") }).await.unwrap();
    fake.sandboxes.delete(id("b"), None).await.expect("who gives no name is not asked");
    fake.sandboxes.create(CreateRequest { owner: owner("one"), ..request("c") }).await.unwrap();
    fake.sandboxes.delete(id("c"), owner("one")).await.expect("its own");
}

/// Thousands of touches cost a write when the deadline moves by a tenth, and nothing else.
#[tokio::test(start_paused = true)]
async fn touches_are_cheap() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", None, Some(100))).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < seconds(100) {
        for _ in 0..20 {
            fake.sandboxes.touch(id("a"), None).await.unwrap().unwrap();
        }
        sleep(seconds(1)).await;
    }
    assert!((9..=10).contains(&fake.count("write_annotations")), "{}", fake.count("write_annotations"));
}
