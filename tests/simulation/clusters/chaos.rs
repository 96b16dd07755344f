//! Random faults of each cluster, kills of the daemon, and a look at the clusters in between.

use std::time::Duration;

use fastrand::Rng;
use simcluster::{Effect, Refusal, Rule, Verb};
use tokio::time::sleep;

use super::{
    clients::LASTING,
    world::{NAMES, World},
};

/// Injects faults into one cluster forever.
pub async fn reign(world: World, n: usize, mut rng: Rng) {
    let (cluster, name) = (&world.clusters[n], NAMES[n]);
    loop {
        sleep(Duration::from_millis(rng.u64(100..60_000))).await;
        // Half of the outages are shorter than the time after which a cluster is lost.
        let hold = Duration::from_millis(rng.u64(100..180_000));
        let note = |what: &str| world.daemon.history.note(format_args!("{name} {what} for {hold:?}"));
        match rng.u8(0..15) {
            0..3 => {
                note("refuses connections");
                world.oracle.borrow_mut().fault_started(n);
                cluster.set_away(true);
                sleep(hold).await;
                cluster.set_away(false);
                world.oracle.borrow_mut().fault_ended(n);
            }
            3..6 => {
                note("never answers");
                world.oracle.borrow_mut().fault_started(n);
                cluster.stall_watches(true);
                let rule = cluster.fault(Rule::new(Effect::Silent));
                sleep(hold).await;
                cluster.remove_fault(rule);
                cluster.stall_watches(false);
                world.oracle.borrow_mut().fault_ended(n);
            }
            6..8 => {
                let refusal = if rng.bool() { Refusal::Unavailable } else { Refusal::EtcdTimeout };
                note(&format!("answers {refusal:?}"));
                world.oracle.borrow_mut().fault_started(n);
                cluster.cut_watches();
                let rule = cluster.fault(Rule::new(Effect::Refuse(refusal)));
                sleep(hold).await;
                cluster.remove_fault(rule);
                world.oracle.borrow_mut().fault_ended(n);
            }
            8 => {
                note("is slow");
                world.oracle.borrow_mut().fault_started(n);
                let delay = Duration::from_millis(rng.u64(1..12_000));
                let rule = cluster.fault(Rule::new(Effect::Delay(delay)));
                sleep(hold).await;
                cluster.remove_fault(rule);
                world.oracle.borrow_mut().fault_ended(n);
            }
            9 => {
                note("refuses Pods");
                let rule = Rule::new(Effect::Refuse(full())).verb(Verb::Create).resource("pods");
                let rule = cluster.fault(rule);
                sleep(hold).await;
                cluster.remove_fault(rule);
            }
            10 => {
                let resource = ["pods", "services", "services.nodeports"][rng.usize(0..3)];
                note(&format!("has a quota of {resource} that is used up"));
                world.limit(n, Some(resource));
                sleep(hold).await;
                world.limit(n, None);
            }
            11 => {
                note("has no room on its node");
                world.fill_node(n, true);
                sleep(hold).await;
                world.fill_node(n, false);
            }
            12..14 => {
                note("drains");
                world.drain(n, true).await;
                sleep(hold).await;
                world.drain(n, false).await;
            }
            _ => {
                note("restarts");
                cluster.restart();
            }
        }
    }
}

/// Kills the daemon and starts it again, forever.
pub async fn kill(world: World, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.u64(1_000..150_000))).await;
        world.daemon.kill();
        sleep(Duration::from_millis(rng.u64(0..10_000))).await;
        world.start_daemon().await;
    }
}

/// Loses one cluster after the other, and takes away the cluster of a replacement before the first one returns, forever.
pub async fn lose_in_turn(world: World, mut rng: Rng) {
    loop {
        let between =
            |rng: &mut Rng, seconds| Duration::from_millis(rng.u64(seconds) * 1_000 + rng.u64(0..1_000));
        sleep(between(&mut rng, 5..15)).await;
        let is_home = |n: &usize| LASTING.iter().any(|id| world.live_pod(*n, id).is_some());
        let homes: Vec<_> = (0..NAMES.len()).filter(is_home).collect();
        let Some(first) = rng.choice(homes) else { continue };
        world.set_away(first, true);
        let second = loop {
            sleep(Duration::from_secs(1)).await;
            if let Some(second) = world.replacement_of(first) {
                break second;
            }
        };
        sleep(between(&mut rng, 0..5)).await;
        world.set_away(second, true);
        // Most return while the other one is stale, some while it is still known.
        sleep(between(&mut rng, 35..60)).await;
        world.set_away(first, false);
        sleep(between(&mut rng, 10..40)).await;
        world.set_away(second, false);
    }
}

/// Looks forever at the URLs of each sandbox that live, and at the replacements.
pub async fn observe(world: World) {
    loop {
        sleep(Duration::from_secs(5)).await;
        world.oracle.borrow_mut().check_urls(&world);
        if let Some(fresh) = world.fresh().await {
            world.oracle.borrow_mut().check_replacements(&world, fresh);
        }
    }
}

fn full() -> Refusal {
    let message = "pods \"x\" is forbidden: exceeded quota: sandboxes, requested: pods=1, used: pods=9, limited: pods=9";
    Refusal::Other { code: 403, reason: "Forbidden".into(), message: message.to_owned() }
}
