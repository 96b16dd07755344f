//! What goes wrong, one thing after the other and sometimes several at once.

use std::time::Duration;

use fastrand::Rng;
use simcluster::{Effect, Refusal, Rule, Verb, WatchFault};
use tokio::time::sleep;

use super::world::World;

/// Makes trouble for ever.
pub async fn reign(world: &World, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.u64(100..15_000))).await;
        match rng.u8(0..12) {
            0..=4 => {
                let rule = world.cluster.fault(rule(&mut rng));
                sleep(Duration::from_millis(rng.u64(100..20_000))).await;
                world.cluster.remove_fault(rule);
            }
            5 => {
                world.cluster.set_away(true);
                sleep(Duration::from_millis(rng.u64(100..90_000))).await;
                world.cluster.set_away(false);
            }
            6 => world.cluster.cut_watches(),
            7 => world.cluster.restart(),
            8 => {
                world.cluster.stall_watches(true);
                sleep(Duration::from_millis(rng.u64(100..60_000))).await;
                world.cluster.stall_watches(false);
            }
            9 => world.cluster.expire_watch_window(),
            _ => {
                world.kill_daemon();
                sleep(Duration::from_millis(rng.u64(1..10_000))).await;
                world.start_daemon().await;
            }
        }
    }
}

fn rule(rng: &mut Rng) -> Rule {
    let share = rng.f64();
    let seed = rng.u64(..);
    let effect = match rng.u8(0..11) {
        0 => Effect::Refuse(Refusal::TooManyRequests),
        1 => Effect::Refuse(Refusal::EtcdTimeout),
        2 => Effect::Refuse(Refusal::Unavailable),
        3 => Effect::Refuse(Refusal::Forbidden),
        4 => Effect::Delay(Duration::from_millis(rng.u64(1..12_000))),
        5 => Effect::DropBefore,
        6 => Effect::DropAnswer,
        7 => Effect::HangAnswer,
        8 => Effect::Silent,
        9 => Effect::Watch(WatchFault::Late(Duration::from_millis(rng.u64(1..9_000)))),
        _ => Effect::Watch(WatchFault::Double),
    };
    let rule = Rule::new(effect);
    let rule = match rng.u8(0..5) {
        0 => rule.verb(Verb::Create),
        1 => rule.verb(Verb::Delete),
        2 => rule.resource("pods"),
        3 => rule.resource("services"),
        _ => rule,
    };
    rule.share(share, seed)
}
