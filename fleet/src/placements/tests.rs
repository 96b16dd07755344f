use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;

fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

/// Guards that requests with one id wait for each other, that others do not, and that nothing is kept afterwards.
#[tokio::test(start_paused = true)]
async fn one_id_has_one_turn() {
    let placements = Arc::new(Placements::default());
    let (first, second, other) =
        (placements.enter(&id("a")), placements.enter(&id("a")), placements.enter(&id("b")));
    let turn = first.turn().await;
    let _other = other.turn().await;
    assert!(timeout(Duration::from_secs(60), second.turn()).await.is_err());
    drop((turn, first));
    let turn = second.turn().await;
    assert_eq!(placements.ids.lock().len(), 2);
    drop((turn, second));
    assert_eq!(placements.ids.lock().keys().collect::<Vec<_>>(), [&id("b")]);
    drop(other);
    assert!(placements.ids.lock().is_empty());
}

/// Guards that a DELETE ends the requests before it, also one that waits for its turn, and none after it.
#[tokio::test(start_paused = true)]
async fn a_delete_ends_earlier_requests() {
    let placements = Arc::new(Placements::default());
    let (mut first, second) = (placements.enter(&id("a")), placements.enter(&id("a")));
    let cancelling = placements.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        cancelling.cancel(&id("a"));
        cancelling.cancel(&id("unknown"));
    });
    assert!(!first.is_cancelled());
    first.cancelled().await;
    assert!(second.is_cancelled());
    assert!(!placements.enter(&id("a")).is_cancelled());
}

/// Guards that two placements at the same time cannot both take the last place of a cluster.
#[tokio::test(start_paused = true)]
async fn the_last_place_is_taken_once() {
    let placements = Arc::new(Placements::default());
    let west = ClusterName::parse("west").unwrap();
    let reserve = |name: &str| placements.reserve(&west, &id(name), |ids| !ids.is_empty());
    let first = reserve("a").unwrap();
    assert!(reserve("b").is_none());
    sleep(Duration::from_secs(4)).await;
    assert_eq!(placements.longest(&west), Duration::from_secs(4));
    assert_eq!(placements.reserved(&west, |_| false), 1);
    assert_eq!(placements.reserved(&west, |counted| *counted == id("a")), 0);
    drop(first);
    assert_eq!(placements.longest(&west), Duration::ZERO);
    assert!(reserve("b").is_some());
    assert!(placements.reserved.lock().is_empty());
}
