//! Tests of the supervisor, the sandbox actors and the view, with a fake cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "actors/fake.rs"]
mod fake;
#[path = "actors/lifetimes.rs"]
mod lifetimes;
#[path = "actors/load.rs"]
mod load;
#[path = "actors/timeline.rs"]
mod timeline;

use std::time::Duration;

use fake::{Fake, id, request};
use lifecycle::{
    error::{ClusterErrorKind, SandboxError},
    operation::Operation,
    phase::Phase,
    request::{CreateRequest, ExtraMount},
    traits::{Kind, WatchSink as _},
};
use tokio::time::{Instant, sleep};

/// Guards that two hundred concurrent callers get one Pod, one Service and one URL.
#[tokio::test(start_paused = true)]
async fn many_posts_of_one_id_make_one_pair() {
    let fake = Fake::start().await;
    let calls = (0..200).map(|_| fake.sandboxes.create(request("a")));
    let answers = futures::future::join_all(calls).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.iter().all(|a| a.as_ref().unwrap().url == first.url));
    assert_eq!(fake.calls(), ["create_pod a", "create_service a"]);
}

/// Guards that existing sandboxes are served immediately after a restart, and that a POST of one makes no call.
#[tokio::test(start_paused = true)]
async fn what_is_there_is_adopted() {
    let fake = Fake::new().await;
    fake.hold("a");
    let fake = fake.run().await;
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap().unwrap().phase, Phase::Running);
    fake.sandboxes.create(request("a")).await.unwrap();
    assert_eq!(fake.sandboxes.list().await.unwrap().len(), 1);
    assert!(fake.calls().is_empty());
}

/// Guards that a sandbox is listed only once it is published.
#[tokio::test(start_paused = true)]
async fn nothing_is_listed_before_it_is_given() {
    let fake = Fake::start().await;
    fake.delay("create_service a", Duration::from_secs(3));
    let creating = tokio::spawn({
        let sandboxes = fake.sandboxes.clone();
        async move { sandboxes.create(request("a")).await }
    });
    sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.sandboxes.list().await.unwrap(), []);
    creating.await.unwrap().unwrap();
    assert_eq!(fake.sandboxes.list().await.unwrap().len(), 1);
}

/// Guards that the actor stops after a DELETE, and that a new POST creates new objects.
#[tokio::test(start_paused = true)]
async fn a_deleted_sandbox_can_be_made_anew() {
    let fake = Fake::start().await;
    let first = fake.sandboxes.create(request("a")).await.unwrap();
    fake.sandboxes.delete(id("a"), None).await.unwrap();
    assert_eq!(fake.sandboxes.get(&id("a")).await.unwrap(), None);
    let start = Instant::now();
    let second = fake.sandboxes.create(request("a")).await.unwrap();
    assert!(start.elapsed() >= fake::TERMINATION, "it waited for the old Pod's end");
    assert_ne!(first.url, second.url);
    fake.sandboxes.delete(id("a"), None).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(fake.sandboxes.view().is_empty());
}

/// Guards invariant 8: a panic in one sandbox's actor fails only the call of its caller.
#[tokio::test(start_paused = true)]
async fn a_panic_touches_one_sandbox_only() {
    let fake = Fake::start().await;
    fake.sandboxes.create(request("b")).await.unwrap();
    fake.panic_once("create_pod a");
    let failure = fake.sandboxes.create(request("a")).await.unwrap_err();
    assert!(matches!(failure, SandboxError::Restarting { .. }), "{failure:?}");
    assert!(fake.sandboxes.get(&id("b")).await.unwrap().is_some());
    fake.sandboxes.create(request("a")).await.unwrap();
    fake.sandboxes.delete(id("b"), None).await.unwrap();
}

/// Guards that after a panic during a create the remaining object is deleted without a request.
#[tokio::test(start_paused = true)]
async fn what_a_panic_leaves_behind_is_removed() {
    let fake = Fake::start().await;
    fake.delay("create_pod a", Duration::from_secs(1));
    fake.panic_once("create_pod a");
    let _ = fake.sandboxes.create(request("a")).await;
    assert!(fake.holds_half("a"), "the Service was written, the Pod was not");
    sleep(Duration::from_secs(70)).await;
    assert!(fake.is_empty(), "{:?}", fake.calls());
}

/// Guards that a call that never ends is answered by its deadline and does not delay other sandboxes.
#[tokio::test(start_paused = true)]
async fn a_stuck_call_delays_only_its_own_sandbox() {
    let fake = Fake::start().await;
    fake.delay("create_pod a", Duration::from_secs(3600));
    fake.delay("read a", Duration::from_secs(3600));
    let start = Instant::now();
    let stuck = fake.sandboxes.create(request("a"));
    let free = async {
        fake.sandboxes.create(request("b")).await.unwrap();
        start.elapsed()
    };
    let (stuck, free) = futures::join!(stuck, free);
    assert!(free < Duration::from_secs(1), "{free:?}");
    assert!(start.elapsed() <= lifecycle::budget::CREATE);
    assert!(matches!(stuck, Err(SandboxError::TimedOut { .. })), "{stuck:?}");
}

/// Guards that the Pod is deleted if its Service is refused.
#[tokio::test(start_paused = true)]
async fn a_refused_service_leaves_no_pod() {
    let fake = Fake::start().await;
    fake.refuse("create_service a", ClusterErrorKind::QuotaExceeded);
    let failure = fake.sandboxes.create(request("a")).await.unwrap_err();
    assert!(matches!(failure, SandboxError::Unavailable { operation: Operation::CreateService, .. }));
    sleep(Duration::from_secs(5)).await;
    assert!(fake.is_empty());
    assert_eq!(fake.calls(), ["create_pod a", "create_service a", "delete_pod a"]);
}

/// Guards invariant 6: a view older than the staleness limit answers nothing.
#[tokio::test(start_paused = true)]
async fn an_old_view_answers_nothing() {
    let fake = Fake::start().await;
    fake.sandboxes.create(request("a")).await.unwrap();
    fake.stall();
    sleep(fake::STALENESS).await;
    assert!(fake.sandboxes.get(&id("a")).await.is_ok());
    sleep(Duration::from_secs(2)).await;
    for failure in [
        fake.sandboxes.get(&id("a")).await.unwrap_err(),
        fake.sandboxes.get(&id("nope")).await.unwrap_err(),
        fake.sandboxes.list().await.unwrap_err(),
        fake.sandboxes.create(request("a")).await.unwrap_err(),
        fake.sandboxes.delete(id("nope"), None).await.unwrap_err(),
    ] {
        assert!(matches!(&failure, SandboxError::Stale { why, .. } if why.contains("watch")), "{failure:?}");
    }
    assert_eq!(fake.sandboxes.unready_checks().len(), 2);
    fake.sandboxes.view().synced(Kind::Pod);
    fake.sandboxes.view().synced(Kind::Service);
    assert!(fake.sandboxes.get(&id("a")).await.unwrap().is_some());
}

/// Guards that a caller waits for the first list, because nothing is known before it.
#[tokio::test(start_paused = true)]
async fn callers_wait_for_the_first_list() {
    let fake = Fake::new().await;
    fake.hold("a");
    let start = Instant::now();
    let a = id("a");
    let get = fake.sandboxes.get(&a);
    let list = async {
        sleep(Duration::from_secs(2)).await;
        fake.report();
    };
    let (answer, ()) = futures::join!(get, list);
    assert!(answer.unwrap().is_some());
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

/// Guards that a request that the settings forbid makes no call and starts no actor. Invalid mounts are accepted for
/// an existing sandbox; everything else is rejected in any case.
#[tokio::test(start_paused = true)]
async fn a_bad_request_spawns_and_calls_nothing() {
    let fake = Fake::start().await;
    let mut bad = request("a");
    let mount = ExtraMount { host_path: "/x".into(), container_path: "/x".into(), read_only: false };
    bad.extra_mounts.push(mount);
    let no_broker = CreateRequest { provision_lark_cli_broker: true, ..request("a") };
    assert!(matches!(fake.sandboxes.create(bad.clone()).await, Err(SandboxError::BadRequest(_))));
    let refused = fake.sandboxes.create(no_broker.clone()).await;
    assert_eq!(refused, Err(SandboxError::LarkBrokerNotConfigured));
    assert!(fake.calls().is_empty());
    fake.sandboxes.create(request("a")).await.unwrap();
    assert!(fake.sandboxes.create(bad.clone()).await.is_ok());
    assert_eq!(fake.sandboxes.create(no_broker).await, Err(SandboxError::LarkBrokerNotConfigured));
    // A terminating sandbox is not returned, so the mounts matter again.
    fake.sandboxes.delete(id("a"), None).await.unwrap();
    assert!(matches!(fake.sandboxes.create(bad).await, Err(SandboxError::BadRequest(_))));
}

/// Guards that a shutdown completes the calls in flight and rejects later requests.
#[tokio::test(start_paused = true)]
async fn shutting_down_finishes_what_is_in_flight() {
    let fake = Fake::start().await;
    fake.delay("create_pod a", Duration::from_secs(2));
    let creating = fake.sandboxes.create(request("a"));
    let leaving = async {
        sleep(Duration::from_secs(1)).await;
        fake.sandboxes.shut_down(Duration::from_secs(10)).await;
    };
    let (created, ()) = futures::join!(creating, leaving);
    created.unwrap();
    fake.sandboxes.ended().await;
    let late = fake.sandboxes.create(request("b")).await;
    assert!(matches!(late, Err(SandboxError::ShuttingDown { .. })), "{late:?}");
}
