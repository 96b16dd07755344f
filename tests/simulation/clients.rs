//! Clients that behave like DeerFlow's: they create, read, list, touch and delete, retry or give up, and rely on the
//! answers.

use std::time::Duration;

use fastrand::Rng;
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{foreign_objects, oracle::Limits, world::World};

/// The sandboxes of all clients. There are few, so that clients share them. Some have limits.
const IDS: [(&str, Limits); 7] = [
    ("s-0", unlimited()),
    ("s-1", unlimited()),
    ("s-2", unlimited()),
    ("s-3", Limits { ttl: Some(Duration::from_secs(45)), idle_timeout: None }),
    ("s-4", Limits { ttl: None, idle_timeout: Some(Duration::from_secs(20)) }),
    ("s-5", Limits { ttl: Some(Duration::from_secs(60)), idle_timeout: Some(Duration::from_secs(15)) }),
    (foreign_objects::TAKEN, unlimited()),
];

const fn unlimited() -> Limits {
    Limits { ttl: None, idle_timeout: None }
}

/// Returns the ids in use.
pub fn ids() -> impl ExactSizeIterator<Item = &'static str> {
    IDS.iter().map(|(id, _)| *id)
}

/// Returns the profile of a sandbox, with or without limits, that has a workspace.
pub fn profile_of(id: &str) -> Option<&'static str> {
    match id {
        "s-1" | "s-4" => Some("keep"),
        "s-2" | "s-5" => Some("delete"),
        _ => None,
    }
}

/// Runs one client for this time.
pub async fn live(world: World, mut rng: Rng, life: Duration) {
    let end = Instant::now() + life;
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.u64(1..3_000))).await;
        let (id, limits) = IDS[rng.usize(0..IDS.len())];
        match rng.u8(0..12) {
            0..=3 => {
                // A failed request is retried or given up.
                for _ in 0..=rng.u8(0..3) {
                    let answer = create(&world, id, limits).await;
                    if answer == Some(200) {
                        break;
                    }
                    sleep(Duration::from_millis(rng.u64(1..2_000))).await;
                }
            }
            4..=5 => drop(delete(&world, id, limits).await),
            6..=7 => drop(touch(&world, id).await),
            8..=9 => {
                if let Some(answer) = world.call(Method::GET, &path(id), None).await {
                    world.oracle.borrow_mut().got(id, &answer);
                }
            }
            10 => {
                let path = format!("{}/presence", path(id));
                if let Some(answer) = world.call(Method::GET, &path, None).await {
                    world.oracle.borrow_mut().present(id, &answer);
                }
            }
            _ => {
                if let Some(answer) = world.call(Method::GET, "/api/sandboxes", None).await
                    && answer.status == 200
                {
                    world.oracle.borrow_mut().listed(&answer.body);
                }
            }
        }
    }
}

/// Sends a POST and reports it to the oracle. Returns the status of the answer, if there is one.
pub async fn create(world: &World, id: &str, limits: Limits) -> Option<u16> {
    let turn = world.oracle.borrow_mut().start(id, limits);
    let mut body = json!({"sandbox_id": id});
    if let Some(profile) = world.profile_of(id) {
        body["profile"] = profile.into();
    }
    for (name, limit) in [("ttl", limits.ttl), ("idle_timeout", limits.idle_timeout)] {
        if let Some(limit) = limit {
            body[name] = format!("{}s", limit.as_secs()).into();
        }
    }
    let answer = world.call(Method::POST, "/api/sandboxes", Some(body)).await;
    world.oracle.borrow_mut().created(&world.cluster, id, &turn, answer.as_ref());
    answer.map(|answer| answer.status)
}

/// Sends a DELETE, like [`create`].
pub async fn delete(world: &World, id: &str, limits: Limits) -> Option<u16> {
    let turn = world.oracle.borrow_mut().start(id, limits);
    let answer = world.call(Method::DELETE, &path(id), None).await;
    world.oracle.borrow_mut().deleted(&world.cluster, id, &turn, answer.as_ref());
    answer.map(|answer| answer.status)
}

/// Sends a touch, like [`create`].
pub async fn touch(world: &World, id: &str) -> Option<u16> {
    let begun = Instant::now();
    let answer = world.call(Method::POST, &format!("{}/touch", path(id)), None).await?;
    world.oracle.borrow_mut().touched(id, begun, &answer);
    Some(answer.status)
}

/// Returns the path of a sandbox.
pub fn path(id: &str) -> String {
    format!("/api/sandboxes/{id}")
}
