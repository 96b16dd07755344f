//! Tests under overload: the requests that wait, those that are rejected, and those that must not be affected.

use std::time::Duration;

use futures::future::join_all;
use lifecycle::error::SandboxError;
use tokio::time::{Instant, sleep};

use crate::fake::{CREATES_AT_ONCE, Fake, id, request};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a fake with the sandbox `old` and with these stuck creates, each of which holds a slot.
async fn stuck(names: &[String]) -> Fake {
    let fake = Fake::start().await;
    fake.sandboxes.create(request("old")).await.unwrap();
    for name in names {
        fake.delay(&format!("create_pod {name}"), secs(60));
        tokio::spawn({
            let (sandboxes, request) = (fake.sandboxes.clone(), request(name));
            async move { sandboxes.create(request).await }
        });
    }
    sleep(Duration::from_millis(1)).await;
    fake
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// Checks that requests that create nothing and a POST of an existing sandbox are not delayed.
async fn others_notice_nothing(fake: &Fake) {
    let begun = Instant::now();
    let (old, calls) = (id("old"), fake.calls().len());
    assert!(fake.sandboxes.get(&old).await.unwrap().is_some());
    assert_eq!(fake.sandboxes.list().await.unwrap().len(), 1);
    assert!(fake.sandboxes.touch(old.clone(), None).await.unwrap().is_some());
    fake.sandboxes.create(request("old")).await.unwrap();
    assert_eq!(fake.calls().len(), calls, "none of it needs the cluster");
    fake.sandboxes.delete(old, None).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Guards that the number of concurrent creates is limited, and that the others wait and succeed.
#[tokio::test(start_paused = true)]
async fn creates_wait_for_a_place() {
    let fake = Fake::start().await;
    let names = names("s", 3 * CREATES_AT_ONCE);
    for name in &names {
        fake.delay(&format!("create_pod {name}"), secs(2));
    }
    let begun = Instant::now();
    let creates = join_all(names.iter().map(|name| fake.sandboxes.create(request(name))));
    let counts = async {
        let mut counts = vec![];
        for _ in 0..3 {
            sleep(secs(1)).await;
            counts.push(fake.count("create_pod"));
            sleep(secs(1)).await;
        }
        counts
    };
    let (answers, counts) = futures::join!(creates, counts);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(counts, [1, 2, 3].map(|round| round * CREATES_AT_ONCE));
    assert_eq!(begun.elapsed(), secs(6));
}

/// Guards that while stuck creates hold all slots, another create waits and gets a retry delay within its deadline,
/// and that other requests are not affected.
#[tokio::test(start_paused = true)]
async fn stuck_creates_hold_up_creates_alone() {
    let fake = stuck(&names("stuck", CREATES_AT_ONCE)).await;
    let begun = Instant::now();
    let (refused, ()) = futures::join!(fake.sandboxes.create(request("new")), others_notice_nothing(&fake));
    let Err(SandboxError::Overloaded { what, retry_after }) = refused else { panic!("{refused:?}") };
    assert_eq!(begun.elapsed(), secs(14), "early enough for what would have been begun then");
    assert!(what.contains("'new' could not be made in time"), "{what}");
    assert!(retry_after >= secs(1) && retry_after <= secs(30));
    assert!(!fake.calls().contains(&"create_pod new".to_owned()));
}

/// Guards that one stuck create does not delay the creates of other sandboxes.
#[tokio::test(start_paused = true)]
async fn one_stuck_create_delays_no_other() {
    let fake = stuck(&names("stuck", 1)).await;
    let begun = Instant::now();
    let others = join_all(names("s", 100).iter().map(|name| fake.sandboxes.create(request(name)))).await;
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Guards that any number of requests for one sandbox with a stuck create take one slot and a share of the permits.
#[tokio::test(start_paused = true)]
async fn a_hot_sandbox_delays_no_other() {
    let fake = stuck(&names("hot", 1)).await;
    let begun = Instant::now();
    let hot = async {
        let answers = join_all((0..2000).map(|_| async {
            let answer = fake.sandboxes.create(request("hot0")).await;
            (begun.elapsed(), answer)
        }))
        .await;
        let at_once = |(took, answer): &(Duration, Result<_, SandboxError>)| {
            took.is_zero() && matches!(answer, Err(SandboxError::Overloaded { .. }))
        };
        assert_eq!(answers.iter().filter(|answer| at_once(answer)).count(), 2000 - 255);
        assert!(answers.iter().all(|(took, _)| *took <= secs(24)), "each ends within its deadline");
    };
    let cold = async {
        sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        for name in names("cold", 50) {
            fake.sandboxes.create(request(&name)).await.unwrap();
            fake.sandboxes.delete(id(&name), None).await.unwrap();
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    };
    futures::join!(hot, cold);
}

/// Guards that requests over the limit are rejected immediately with a retry delay, and that deletes have their own
/// permits.
#[tokio::test(start_paused = true)]
async fn the_queue_has_an_end() {
    let fake = stuck(&names("stuck", CREATES_AT_ONCE)).await;
    let begun = Instant::now();
    let many = names("s", 1100);
    let flood = async {
        let answers = join_all(many.iter().map(|name| async {
            let answer = fake.sandboxes.create(request(name)).await;
            (begun.elapsed(), answer)
        }))
        .await;
        let refused: Vec<_> = answers.iter().filter(|(took, _)| took.is_zero()).collect();
        assert_eq!(refused.len(), 1100 - (1024 - CREATES_AT_ONCE));
        for (_, answer) in refused {
            let Err(SandboxError::Overloaded { what, .. }) = answer else { panic!("{answer:?}") };
            assert!(what.contains("4 others are being made and 1020 wait"), "{what}");
        }
        assert!(answers.iter().all(|(took, _)| *took <= secs(24)));
    };
    futures::join!(flood, others_notice_nothing(&fake));
}

/// Guards that a caller that gives up while waiting leaves the queue and nothing is created, and that a create in
/// progress keeps its slot after its caller gives up.
#[tokio::test(start_paused = true)]
async fn those_who_give_up_leave_the_queue() {
    let fake = Fake::start().await;
    let names = names("s", CREATES_AT_ONCE);
    for name in &names {
        fake.delay(&format!("create_pod {name}"), secs(5));
    }
    let mut creates = Box::pin(join_all(names.iter().map(|name| fake.sandboxes.create(request(name)))));
    let mut waiting = Box::pin(fake.sandboxes.create(request("gone")));
    tokio::select! {
        biased;
        _ = &mut creates => panic!("too early"),
        _ = &mut waiting => panic!("too early"),
        () = sleep(secs(1)) => {}
    }
    drop((creates, waiting));
    let begun = Instant::now();
    fake.sandboxes.create(request("next")).await.unwrap();
    assert_eq!(begun.elapsed(), secs(4), "no place was free before");
    assert!(names.iter().all(|name| fake.holds(name)));
    assert_eq!(fake.count("create_pod gone"), 0);
}

/// Guards that POSTs that wait for a Pod to terminate hold no slot.
#[tokio::test(start_paused = true)]
async fn waiting_for_an_end_takes_no_place() {
    let fake = Fake::start().await;
    let names = names("s", 2 * CREATES_AT_ONCE);
    for name in &names {
        fake.sandboxes.create(request(name)).await.unwrap();
        fake.sandboxes.delete(id(name), None).await.unwrap();
    }
    let begun = Instant::now();
    let again = join_all(names.iter().map(|name| fake.sandboxes.create(request(name))));
    let other = async {
        sleep(Duration::from_millis(1)).await;
        fake.sandboxes.create(request("other")).await.unwrap();
        begun.elapsed()
    };
    let (again, other) = futures::join!(again, other);
    assert_eq!(other, Duration::from_millis(1));
    assert!(again.iter().all(Result::is_ok));
    assert_eq!(begun.elapsed(), crate::fake::TERMINATION);
}
