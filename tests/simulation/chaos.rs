//! Random faults, one after the other and sometimes several at once.

use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simcluster::{Effect, Refusal, Rule, Verb, WatchFault};
use testkit::NAMESPACE;
use tokio::time::sleep;

use super::{
    clients,
    oracle::Oracle,
    world::{ANSWER_MAX, World},
};

/// The annotation of another tool.
const NOTE: &str = "example.com/note";

/// Injects faults forever.
pub async fn reign(world: &World, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.u64(100..15_000))).await;
        Oracle::check_pairs(&world.cluster);
        world.oracle.borrow().check_kept(&world.cluster);
        let hold = Duration::from_millis(rng.u64(100..20_000));
        match rng.u8(0..16) {
            0..=5 => {
                let rule = rule(&mut rng);
                world.history.note(format_args!("for {hold:?}: {rule:?}"));
                let rule = world.cluster.fault(rule);
                last(world, &mut rng, hold).await;
                world.cluster.remove_fault(rule);
            }
            6 => {
                let hold = hold * 4;
                world.history.note(format_args!("the API server is away for {hold:?}"));
                world.cluster.set_away(true);
                last(world, &mut rng, hold).await;
                world.cluster.set_away(false);
            }
            7 => {
                world.history.note("watches are cut");
                world.cluster.cut_watches();
            }
            8 => {
                world.history.note("the API server restarts");
                world.cluster.restart();
            }
            9 => {
                let hold = hold * 3;
                world.history.note(format_args!("watches are stalled for {hold:?}"));
                world.cluster.stall_watches(true);
                sleep(hold).await;
                world.cluster.stall_watches(false);
            }
            10 => {
                world.history.note("the watch window expires");
                world.cluster.expire_watch_window();
            }
            11 => {
                let forward = rng.bool();
                world.history.note(format_args!("the clock is stepped, forward: {forward}"));
                world.cluster.step_clock(SignedDuration::from_hours(if forward { 1 } else { -1 }));
                world.oracle.borrow_mut().stepped(forward);
            }
            12 if rng.bool() => grow(world, &mut rng, hold).await,
            12 => change_manually(world, &mut rng),
            _ => {
                world.kill_daemon();
                sleep(hold / 2).await;
                world.start_daemon().await;
            }
        }
    }
}

/// Waits while a fault lasts. Sometimes kills the daemon meanwhile and starts it again during the fault.
async fn last(world: &World, rng: &mut Rng, long: Duration) {
    let troubled = || world.oracle.borrow_mut().note_fault();
    if rng.u8(0..3) == 0 {
        sleep(long.mul_f64(rng.f64() / 2.0)).await;
        troubled();
        world.kill_daemon();
        sleep(long.mul_f64(rng.f64() / 4.0)).await;
        world.start_daemon().await;
        sleep(long / 4).await;
    } else {
        sleep(long).await;
    }
    troubled();
}

/// Lets another tool's annotation on a Pod grow, up to a size that cannot be read, and removes it after this time.
async fn grow(world: &World, rng: &mut Rng, hold: Duration) {
    let id = clients::ids().nth(rng.usize(0..clients::ids().len() - 1)).unwrap();
    let size = rng.usize(1..2 * ANSWER_MAX);
    world.history.note(format_args!("for {hold:?} the Pod of {id} has an annotation of {size} bytes"));
    let grow = |pod: &mut Value| pod["metadata"]["annotations"][NOTE] = "x".repeat(size).into();
    // The Pod may not exist.
    let _ = world.cluster.change("pods", NAMESPACE, &format!("sandbox-{id}"), grow);
    world.oracle.borrow_mut().changed_manually(id);
    last(world, rng, hold).await;
    shrink(world);
}

/// Removes what [`grow`] has added, from all Pods.
pub fn shrink(world: &World) {
    for id in clients::ids() {
        let name = format!("sandbox-{id}");
        let has_note = |pod: &Value| pod["metadata"]["annotations"][NOTE].is_string();
        if world.cluster.object("pods", NAMESPACE, &name).is_some_and(|pod| has_note(&pod)) {
            let shrink = |pod: &mut Value| {
                pod["metadata"]["annotations"].as_object_mut().unwrap().remove(NOTE);
            };
            world.cluster.change("pods", NAMESPACE, &name, shrink).unwrap();
            // The daemon reads the Pod again with its next event or list.
            world.oracle.borrow_mut().changed_manually(id);
        }
    }
}

/// Manually deletes the Pod or the Service of a sandbox.
fn change_manually(world: &World, rng: &mut Rng) {
    let id = clients::ids().nth(rng.usize(0..clients::ids().len() - 1)).unwrap();
    let (resource, name) = if rng.bool() {
        ("pods", format!("sandbox-{id}"))
    } else {
        ("services", format!("sandbox-{id}-svc"))
    };
    if world.cluster.object(resource, NAMESPACE, &name).is_none() {
        return;
    }
    world.oracle.borrow_mut().changed_manually(id);
    world.history.note(format_args!("{resource} {name} is deleted by hand"));
    world.cluster.remove(resource, NAMESPACE, &name).unwrap();
}

/// Returns the rule of an admission webhook that takes up to 40 s for writes of some kind.
fn slow_admission(rng: &mut Rng) -> Rule {
    let rule = Rule::new(Effect::Delay(Duration::from_millis(rng.u64(1..40_000)))).writes();
    match rng.u8(0..4) {
        0 => rule.verb(Verb::Create),
        1 => rule.verb(Verb::Delete),
        2 => rule.resource("pods"),
        _ => rule,
    }
}

/// Returns the rule of an admission webhook that changes what is created, so that it can or cannot be used.
fn mutating_admission(rng: &mut Rng) -> Rule {
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let (resource, patch) = match rng.u8(0..6) {
        0 => ("pods", labels(json!({"app": null, "sandbox-id": null, "team": "x"}))),
        1 => ("pods", labels(json!({"app": "other"}))),
        2 => ("services", labels(json!({"app": null, "sandbox-id": null}))),
        3 => ("services", json!({"spec": {"selector": {"version": "v1"}}})),
        4 => ("pods", labels(json!({"team": "x"}))),
        _ => ("services", labels(json!({"team": "x"}))),
    };
    Rule::new(Effect::Mutate(patch)).verb(Verb::Create).resource(resource)
}

fn rule(rng: &mut Rng) -> Rule {
    let share = rng.f64();
    let seed = rng.u64(..);
    let effect = match rng.u8(0..16) {
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
        10 => Effect::Watch(WatchFault::CutAfter(rng.u64(0..5))),
        11 => Effect::Watch(WatchFault::ExpireAfter(rng.u64(0..5))),
        12 => Effect::CutBody(rng.u64(0..4_000)),
        13 => return slow_admission(rng).share(share, seed),
        14 => return mutating_admission(rng).share(share, seed),
        _ => Effect::Watch(WatchFault::Double),
    };
    let rule = Rule::new(effect);
    let rule = match rng.u8(0..6) {
        0 => rule.verb(Verb::Create),
        1 => rule.verb(Verb::Delete),
        2 => rule.resource("pods"),
        3 => rule.resource("services"),
        4 => rule.verb(Verb::Patch),
        _ => rule,
    };
    rule.share(share, seed)
}
