//! An unreachable API server for 90 seconds and a storm of 429: the answers meanwhile, and the time to recover.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Refusal, Rule};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    clients::path,
    history::History,
    world::{Workspaces, World, simulate},
};

/// The time for which answers may come from memory. It is the default of the setting.
const STALENESS_LIMIT: Duration = Duration::from_secs(60);

/// The time after an outage within which the first create must succeed.
const BACK_WITHIN: Duration = Duration::from_secs(5);

async fn with_sandboxes(count: u32) -> World {
    let world = World::new(3, History::default(), Workspaces::None).await;
    for n in 0..count {
        world.insist(Method::POST, "/api/sandboxes", Some(body(&format!("s-{n}"))), &[200]).await;
    }
    sleep(Duration::from_secs(30)).await;
    world
}

fn body(id: &str) -> Value {
    json!({"sandbox_id": id})
}

/// Invariants 6 and 7: guards that during an outage reads are answered from memory until they are stale, that creates
/// are rejected in time, and that the daemon recovers by itself within seconds.
#[test]
fn away_for_a_minute() {
    simulate(1, async {
        let world = with_sandboxes(3).await;
        let begun = Instant::now();
        world.cluster.set_away(true);
        while begun.elapsed() < Duration::from_secs(90) {
            let gone = begun.elapsed();
            let answer = world.call(Method::GET, &path("s-1"), None).await.unwrap();
            // The time of the last update is not known exactly, because bookmarks arrive only at intervals.
            if gone < STALENESS_LIMIT / 2 {
                assert_eq!(answer.status, 200, "after {gone:?}: {}", answer.body);
            } else if gone > STALENESS_LIMIT {
                assert_eq!(answer.status, 503, "after {gone:?}: {}", answer.body);
            }
            let asked = Instant::now();
            let refused = world.call(Method::POST, "/api/sandboxes", Some(body("new"))).await.unwrap();
            assert_eq!(refused.status, 503, "{}", refused.body);
            assert!(asked.elapsed() < Duration::from_secs(25));
            // A POST for an existing sandbox succeeds while the state is known.
            let known = world.call(Method::POST, "/api/sandboxes", Some(body("s-2"))).await.unwrap();
            assert!(known.status == 200 || gone > STALENESS_LIMIT / 2, "after {gone:?}: {}", known.body);
            sleep(Duration::from_secs(1)).await;
        }
        world.cluster.set_away(false);
        let back = Instant::now();
        loop {
            let made = world.call(Method::POST, "/api/sandboxes", Some(body("new"))).await.unwrap();
            let read = world.call(Method::GET, &path("s-1"), None).await.unwrap();
            if (made.status, read.status) == (200, 200) {
                break;
            }
            assert!(back.elapsed() < BACK_WITHIN, "{} {}", made.body, read.body);
            sleep(Duration::from_millis(100)).await;
        }
        assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
    });
}

/// Returns the number of calls within a minute in which sandboxes are created, read and deleted.
async fn minute_of_calls(world: &World) -> usize {
    let mark = world.cluster.mark();
    let end = Instant::now() + Duration::from_secs(60);
    let mut n = 0;
    while Instant::now() < end {
        // Callers do not wait for each other.
        let turn = {
            let (world, id) = (world.clone(), format!("new-{}", n % 5));
            async move {
                let _ = world.call(Method::POST, "/api/sandboxes", Some(body(&id))).await;
                let _ = world.call(Method::GET, &path(&id), None).await;
                sleep(Duration::from_secs(1)).await;
                let _ = world.call(Method::DELETE, &path(&id), None).await;
            }
        };
        tokio::task::spawn_local(turn);
        n += 1;
        sleep(Duration::from_secs(3)).await;
    }
    sleep_until(end).await;
    world.cluster.calls_since(mark).len()
}

fn storm(cluster: &Cluster) {
    cluster.fault(Rule::new(Effect::Refuse(Refusal::TooManyRequests)));
    // Open watches would not be affected by the fault.
    cluster.cut_watches();
}

/// Invariant 10: guards that an API server that returns 429 gets at most three times the calls of a quiet minute with
/// the same callers, and that the daemon recovers by itself afterwards.
#[test]
fn a_storm_of_429() {
    simulate(2, async {
        let world = with_sandboxes(5).await;
        let quiet = minute_of_calls(&world).await;
        sleep(Duration::from_secs(60)).await;
        storm(&world.cluster);
        let stormy = minute_of_calls(&world).await;
        println!("{quiet} calls in a quiet minute, {stormy} in a storm");
        assert!(quiet > 40, "{quiet} calls are no load");
        assert!(stormy <= 3 * quiet, "{stormy} calls in a storm, {quiet} in a quiet minute");
        world.cluster.clear_faults();
        let back = Instant::now();
        world.insist(Method::POST, "/api/sandboxes", Some(body("after")), &[200]).await;
        assert!(back.elapsed() < Duration::from_secs(15), "{:?}", back.elapsed());
        world.calm_down().await;
    });
}
