//! Clients that create, read, list, touch, move and delete, and report each answer to the oracle.

use std::time::Duration;

use fastrand::Rng;
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    counts::Before,
    oracle::home,
    world::{NAMES, SHARES_DATA, World},
};
use crate::clients::path;

/// The sandboxes of all clients. There are few, so that clients share them.
pub const IDS: [&str; 8] = ["f-0", "f-1", "f-2", "f-3", "f-4", "f-5", "f-6", "f-7"];

/// Those of them that no client deletes, so that they exist for long.
pub const LASTING: [&str; 2] = ["f-4", "f-5"];

/// Runs one client for this time.
pub async fn live(world: World, mut rng: Rng, life: Duration) {
    let end = Instant::now() + life;
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.u64(1..4_000))).await;
        let id = IDS[rng.usize(0..IDS.len())];
        let known = world.oracle.borrow().known();
        let is_lasting = LASTING.contains(&id);
        match rng.u8(0..15) {
            0..=3 => {
                // A failed request is retried or given up.
                for _ in 0..=rng.u8(0..3) {
                    if create(&world, id).await == Some(200) {
                        break;
                    }
                    sleep(Duration::from_millis(rng.u64(1..2_000))).await;
                }
            }
            4 if !is_lasting => delete(&world, id).await,
            5..=6 => {
                let path = format!("{}/touch", path(id));
                if let Some(answer) = world.daemon.call(Method::POST, &path, None).await {
                    world.oracle.borrow_mut().got(id, &known, &answer);
                }
            }
            7..=9 => {
                if let Some(answer) = world.daemon.call(Method::GET, &path(id), None).await {
                    world.oracle.borrow_mut().got(id, &known, &answer);
                }
            }
            10 => drop(move_to(&world, id, rng.usize(0..NAMES.len())).await),
            11..=12 if !is_lasting => recreate(&world, id).await,
            _ => {
                if let Some(answer) = world.daemon.call(Method::GET, "/api/sandboxes", None).await
                    && answer.status == 200
                {
                    world.oracle.borrow_mut().listed(&known, &answer);
                }
            }
        }
    }
}

/// Moves sandboxes for this time, like an operator: between clusters that the daemon knows.
pub async fn relocate(world: World, mut rng: Rng, life: Duration) {
    let end = Instant::now() + life;
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.u64(1..8_000))).await;
        let id = IDS[rng.usize(0..IDS.len())];
        let known = world.oracle.borrow().known();
        let Some(answer) = world.daemon.call(Method::GET, &path(id), None).await else { continue };
        world.oracle.borrow_mut().got(id, &known, &answer);
        let Some(fresh) = world.fresh().await.filter(|_| answer.status == 200) else { continue };
        let targets: Vec<_> = (0..NAMES.len())
            .filter(|n| fresh[*n] && SHARES_DATA[*n] && answer.body["cluster"] != NAMES[*n])
            .collect();
        if let Some(to) = rng.choice(targets)
            && move_to(&world, id, to).await == Some(200)
        {
            world.counts.borrow_mut().moves += 1;
        }
    }
}

/// Returns the profile of a sandbox that has a workspace.
pub fn profile_of(id: &str) -> Option<&'static str> {
    match id {
        "f-6" => Some("keep"),
        "f-7" => Some("delete"),
        _ => None,
    }
}

/// Sends a POST and reports it to the oracle. Returns the status of the answer, if there is one.
pub async fn create(world: &World, id: &str) -> Option<u16> {
    let request = world.oracle.borrow_mut().start(id);
    let mut body = json!({"sandbox_id": id});
    if let Some(profile) = profile_of(id) {
        body["profile"] = profile.into();
    }
    let before = Before::look(world, id);
    let answer = world.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    if let Some(answer) = answer.as_ref().filter(|answer| answer.status == 200) {
        before.count(world, id, home(&answer.body).0);
    }
    world.oracle.borrow_mut().created(world, id, &request, answer.as_ref());
    answer.map(|answer| answer.status)
}

/// Deletes a sandbox and creates it again at once.
async fn recreate(world: &World, id: &str) {
    delete(world, id).await;
    create(world, id).await;
}

async fn delete(world: &World, id: &str) {
    let request = world.oracle.borrow_mut().start(id);
    world.oracle.borrow_mut().replacements.deleting(world, id);
    let answer = world.daemon.call(Method::DELETE, &path(id), None).await;
    world.oracle.borrow_mut().deleted(id, &request, answer.as_ref());
}

/// Moves a sandbox to another cluster, like [`create`].
pub async fn move_to(world: &World, id: &str, n: usize) -> Option<u16> {
    let request = world.oracle.borrow_mut().start(id);
    let path = format!("{}/move", path(id));
    let answer = world.daemon.call(Method::POST, &path, Some(json!({"cluster": NAMES[n]}))).await;
    world.oracle.borrow_mut().moved(world, id, n, &request, answer.as_ref());
    answer.map(|answer| answer.status)
}
