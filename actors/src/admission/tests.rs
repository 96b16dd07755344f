#![allow(clippy::unwrap_used, reason = "a test may")]

use futures::FutureExt as _;
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;

const QUEUE_LIMITS: QueueLimits = QueueLimits { all: 4, per_sandbox: 2 };

fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

proptest! {
    /// Guards that for any sequence of requests no limit is exceeded, no request below the limits is rejected, and no
    /// entry is kept for a released permit.
    #[test]
    fn seats_are_counted(history in prop::collection::vec((any::<bool>(), 0_usize..4), 0..60)) {
        let queue = AdmissionQueue::new(QUEUE_LIMITS);
        let names = ["a", "b", "c", "d"];
        let mut taken: [Vec<Permit>; 4] = Default::default();
        for (comes, who) in history {
            let (all, per_sandbox) = (taken.iter().map(Vec::len).sum::<usize>(), taken[who].len());
            if !comes {
                taken[who].pop();
                continue;
            }
            match queue.enter(&id(names[who])) {
                Ok(permit) => {
                    prop_assert!(all < QUEUE_LIMITS.all && per_sandbox < QUEUE_LIMITS.per_sandbox);
                    taken[who].push(permit);
                }
                Err(Rejected::PerSandbox { taken }) => prop_assert_eq!((taken, per_sandbox), (QUEUE_LIMITS.per_sandbox, QUEUE_LIMITS.per_sandbox)),
                Err(rejected) => prop_assert_eq!((rejected, all), (Rejected::All { taken: QUEUE_LIMITS.all }, QUEUE_LIMITS.all)),
            }
        }
        drop(taken);
        prop_assert_eq!(queue.counts().len(), 0);
    }
}

/// Guards that the retry delay grows with the queue and stays within the patience of a client.
#[test]
fn the_retry_is_the_queues() {
    for (waiting, at_once, held, wanted) in [
        (0, 24, Duration::ZERO, secs(1)),
        (0, 24, secs(2), secs(2)),
        (47, 24, secs(2), secs(4)),
        (240, 24, secs(2), secs(22)),
        (10_000, 24, secs(8), secs(30)),
        (usize::MAX, 0, Duration::MAX, secs(30)),
    ] {
        assert_eq!(retry_after(waiting, at_once, held), wanted, "{waiting} {at_once} {held:?}");
    }
    let lately = (0..30).fold(secs(8), |held, _| counts::average(held, secs(1)));
    assert!(lately < Duration::from_millis(1200), "{lately:?}");
}

/// Guards that slots are given in order of arrival and are limited, and that a request which waits too long gets a
/// retry delay.
#[tokio::test(start_paused = true)]
async fn places_are_given_in_order() {
    let creates = Creates::new(1, QueueLimits { all: 9, per_sandbox: 9 });
    let end = Instant::now() + secs(10);
    let [a, b, c] = ["a", "b", "c"].map(|name| creates.queue.enter(&id(name)).unwrap());
    let first = creates.admit(&a, end, || true).await.unwrap();
    let mut second = Box::pin(creates.admit(&b, end, || true));
    let mut third = Box::pin(creates.admit(&c, end, || true));
    assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
    sleep(secs(3)).await;
    drop(first);
    let second = second.await.unwrap();
    assert!((&mut third).now_or_never().is_none());
    let Err(SandboxError::Overloaded { what, retry_after }) = third.await else {
        panic!("there was one slot")
    };
    assert_eq!(Instant::now(), end);
    assert!(what.contains("'c'") && what.contains("1 others are being made and 2 wait"), "{what}");
    assert_eq!(retry_after, secs(9), "two others wait, and a slot was held for 3 s");
    drop(second);
    creates.admit(&c, end, || true).now_or_never().expect("a free slot is taken, late as it is").unwrap();
}

/// Guards that one POST of a sandbox is admitted at a time, and that it does not wait for a slot that it does not
/// need.
#[tokio::test(start_paused = true)]
async fn a_sandbox_has_one_turn() {
    let creates = Creates::new(1, QueueLimits { all: 9, per_sandbox: 9 });
    let end = Instant::now() + secs(10);
    let [a, again, b] = ["a", "a", "b"].map(|name| creates.queue.enter(&id(name)).unwrap());
    let first = creates.admit(&a, end, || true).await.unwrap();
    let mut second = Box::pin(creates.admit(&again, end, || false));
    assert!((&mut second).now_or_never().is_none(), "its lock is held");
    assert!(creates.admit(&b, end, || false).now_or_never().is_some(), "another sandbox has its own");
    drop(first);
    second.now_or_never().expect("its lock is free").unwrap();
}

/// Guards that after a close new and waiting requests are rejected.
#[tokio::test(start_paused = true)]
async fn a_close_sends_those_away_who_wait() {
    let creates = Creates::new(1, QUEUE_LIMITS);
    let end = Instant::now() + secs(10);
    let [a, b] = ["a", "b"].map(|name| creates.queue.enter(&id(name)).unwrap());
    let _first = creates.admit(&a, end, || true).await.unwrap();
    let mut second = Box::pin(creates.admit(&b, end, || true));
    assert!((&mut second).now_or_never().is_none());
    creates.close();
    assert!(matches!(second.await, Err(SandboxError::ShuttingDown { .. })));
    assert_eq!(creates.queue.enter(&id("c")).err(), Some(Rejected::Closed));
}
