//! Clients as the real one is: they create, ask, list and delete, and take what they are told at its word.

use std::time::Duration;

use fastrand::Rng;
use lifecycle::{
    ids::{SandboxId, UserId},
    request::CreateRequest,
};
use tokio::time::{Instant, sleep};

use super::world::World;

/// How many sandboxes all clients together care for: few, so that they meet.
const IDS: usize = 6;

/// The longest that any answer may take (invariant 7): what the daemon promises, and a little.
const LONGEST: Duration = Duration::from_millis(24_100);

/// Lives for so long.
pub async fn live(world: World, mut rng: Rng, life: Duration) {
    let end = Instant::now() + life;
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.u64(1..3_000))).await;
        let Some(sandboxes) = world.sandboxes() else { continue };
        let id = SandboxId::parse(&format!("s-{}", rng.usize(0..IDS))).unwrap();
        let begun = Instant::now();
        match rng.u8(0..10) {
            0..=3 => {
                let turn = world.oracle.borrow_mut().begin(&id);
                let answer = sandboxes.create(request(&id)).await;
                world.oracle.borrow_mut().created(&world.cluster, &id, &turn, answer);
            }
            4..=5 => {
                let turn = world.oracle.borrow_mut().begin(&id);
                let answer = sandboxes.delete(id.clone(), None).await;
                world.oracle.borrow_mut().deleted(&id, &turn, &answer);
            }
            6..=8 => {
                let answer = sandboxes.get(&id).await;
                world.oracle.borrow().got(&id, answer);
            }
            _ => {
                if let Ok(listed) = sandboxes.list().await {
                    world.oracle.borrow().listed(&listed);
                }
            }
        }
        assert!(begun.elapsed() <= LONGEST, "invariant 7: {id} was answered after {:?}", begun.elapsed());
    }
}

fn request(id: &SandboxId) -> CreateRequest {
    CreateRequest {
        sandbox_id: id.clone(),
        thread_id: None,
        user_id: UserId::default(),
        extra_mounts: vec![],
        include_legacy_skills: false,
        provision_lark_cli_runtime: false,
        provision_lark_cli_broker: false,
        terms: lifecycle::lifetime::Terms::default(),
        owner: None,
    }
}
