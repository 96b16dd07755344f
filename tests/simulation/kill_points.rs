//! Kills the process before and after every call to the API server, in every operation on a sandbox and in every pair
//! of operations, and restarts it. Clients retry, and nothing else intervenes. The end state must equal that of the
//! undisturbed run.
//!
//! The method follows Sieve (Sun et al., OSDI 2022), which tests Kubernetes controllers in this way. Operations here
//! make few calls, so every kill point is tested: the calls are counted in the undisturbed run, and the process dies at
//! each of them in three ways.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde_json::{Value, json};
use simcluster::{CallMark, Effect, Rule};
use testkit::NAMESPACE;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    clients::path,
    death::{Death, ON_THE_WAY},
    history::History,
    operations::{
        ID, IDLE,
        Operation::{self, Adopt, Create, Delete, Reap, Touch},
        Start::{self, Absent, Due, Kept, Present, Terminating},
    },
    world::{Workspaces, World, simulate},
};

/// The time between the starts of the two operations of a pair.
const APART: Duration = Duration::from_millis(4);

/// A time after which all undisturbed operations are finished. Later calls do not belong to them.
const AT_WORK: Duration = Duration::from_secs(12);

/// Each operation, and each pair of operations on one sandbox.
const SCENARIOS: [(Start, &[Operation]); 28] = [
    (Absent, &[Create]),
    (Present, &[Create]),
    (Terminating, &[Create]),
    (Present, &[Delete]),
    (Due, &[Reap]),
    (Due, &[Touch]),
    (Present, &[Adopt]),
    (Terminating, &[Adopt]),
    (Absent, &[Create, Create]),
    (Terminating, &[Create, Create]),
    (Absent, &[Create, Delete]),
    (Terminating, &[Create, Delete]),
    (Present, &[Create, Delete]),
    (Present, &[Delete, Create]),
    (Present, &[Delete, Delete]),
    (Terminating, &[Delete, Create]),
    (Due, &[Create, Reap]),
    (Due, &[Delete, Reap]),
    (Due, &[Touch, Reap]),
    (Due, &[Reap, Create]),
    (Due, &[Reap, Delete]),
    (Due, &[Reap, Touch]),
    (Absent, &[Create, Adopt]),
    (Present, &[Delete, Adopt]),
    (Present, &[Adopt, Create]),
    (Terminating, &[Adopt, Create]),
    (Present, &[Adopt, Delete]),
    (Due, &[Adopt, Reap]),
];

/// The operations on a sandbox with a workspace. Those that begin without the sandbox find its workspace or none.
const WITH_WORKSPACE: [(Start, &[Operation]); 12] = [
    (Absent, &[Create]),
    (Kept, &[Create]),
    (Terminating, &[Create]),
    (Present, &[Delete]),
    (Due, &[Reap]),
    (Present, &[Adopt]),
    (Kept, &[Adopt]),
    (Absent, &[Create, Delete]),
    (Present, &[Delete, Create]),
    (Due, &[Reap, Create]),
    (Present, &[Delete, Adopt]),
    (Kept, &[Create, Delete]),
];

/// The operations on a kept workspace that expires meanwhile.
const EXPIRING: [(Start, &[Operation]); 4] =
    [(Kept, &[Reap]), (Kept, &[Create]), (Kept, &[Adopt]), (Kept, &[Create, Delete])];

/// The point at which the process dies.
#[derive(Debug, Clone, Copy)]
struct KillPoint {
    /// The number of the call, counted from 1.
    call: u64,
    death: Death,
}

/// The final state of a run.
#[derive(Debug, PartialEq)]
struct End {
    objects: BTreeMap<String, Value>,
    listed: Value,
}

/// Runs the operations and kills the process at the kill point, if there is one. Returns the final state and the number
/// of calls during the operations. The final state is `None` if the kill point was not reached.
async fn run(
    start: Start,
    workspaces: Workspaces,
    operations: &'static [Operation],
    point: Option<KillPoint>,
    history: History,
) -> (Option<End>, u64) {
    let world = World::new(7, history, workspaces).await;
    start.prepare(&world).await;
    let mark = world.cluster.mark();
    let delay = world.cluster.fault(Rule::new(Effect::Delay(ON_THE_WAY)));
    let dies_after = point.map(|KillPoint { call, death }| death.arm(&world.cluster, call, Rule::new));

    let tasks: Vec<_> = (0_u32..)
        .zip(operations)
        .map(|(n, operation)| {
            let world = world.clone();
            tokio::task::spawn_local(async move {
                sleep(APART * n).await;
                operation.attempt(&world, start.limits()).await
            })
        })
        .collect();
    let mut reached = false;
    if let (Some(point), Some(after)) = (point, dies_after) {
        reached = arrives(&world, mark, point.call).await;
        sleep(after).await;
        world.history.note(format_args!("{point:?}"));
        world.kill_daemon();
    } else {
        sleep(AT_WORK).await;
    }
    let calls = world.cluster.calls_since(mark).len() as u64;
    world.cluster.clear_faults();
    world.cluster.remove_fault(delay);
    if !world.is_up() {
        world.start_daemon().await;
    }
    // Unanswered operations are retried in the same order.
    let mut used = None;
    for (task, operation) in tasks.into_iter().zip(operations) {
        let mut answer = task.await.unwrap();
        // For `Adopt`, the start after the kill is the operation.
        if answer.is_none() && *operation != Adopt {
            answer = Some(operation.insist(&world, start.limits()).await);
        }
        used = match operation {
            Create | Touch => answer.filter(|status| *status == 200).map(|_| Instant::now()),
            Delete => None,
            Reap | Adopt => used,
        };
    }
    // Invariant 5: a sandbox whose use was acknowledged exists for its idle timeout, even if the process died
    // meanwhile.
    if let Some(used) = used {
        sleep_until(used + IDLE - AT_WORK - Duration::from_secs(1)).await;
        world.insist(Method::GET, &path(ID), None, &[200]).await;
    }
    world.calm_down().await;
    let end = end(&world).await;
    ((point.is_none() || reached).then_some(end), calls)
}

/// Waits for the n-th call since the mark. Returns false if it does not arrive.
async fn arrives(world: &World, mark: CallMark, call: u64) -> bool {
    for _ in 0..AT_WORK.as_millis() {
        if world.cluster.calls_since(mark).len() as u64 >= call {
            return true;
        }
        sleep(Duration::from_millis(1)).await;
    }
    false
}

async fn end(world: &World) -> End {
    let mut objects = BTreeMap::new();
    for resource in ["pods", "services"] {
        for mut object in world.cluster.objects(resource, Some(NAMESPACE)) {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let metadata = object["metadata"].as_object_mut().unwrap();
            for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
                metadata.remove(field);
            }
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("sandbox-provisioner/last-activity");
            }
            let spec = object["spec"].as_object_mut().unwrap();
            for field in ["clusterIP", "clusterIPs"] {
                spec.remove(field);
            }
            for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                port.as_object_mut().unwrap().remove("nodePort");
            }
            object["status"] = json!(object["status"]["phase"]);
            objects.insert(format!("{resource} {name}"), object);
        }
    }
    for claim in world.cluster.objects("persistentvolumeclaims", Some(NAMESPACE)) {
        let metadata = &claim["metadata"];
        let annotation = |key: &str| &metadata["annotations"][format!("sandbox-provisioner/{key}")];
        let facts = json!({
            "labels": metadata["labels"], "deleted": metadata["deletionTimestamp"],
            "sandbox": annotation("sandbox-id"), "when": annotation("when-deleted"),
            "unused": annotation("unused-since").is_string(), "spec": claim["spec"]["resources"],
        });
        objects.insert(format!("claims {}", metadata["name"]), facts);
    }
    let list = world.insist(Method::GET, "/api/sandboxes", None, &[200]).await.body;
    let listed = list["sandboxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sandbox| json!([sandbox["sandbox_id"], sandbox["status"]]));
    End { objects, listed: listed.collect() }
}

/// Runs the operations on a new cluster and compares the final state. Prints the history after a failure.
fn simulated(
    start: Start,
    workspaces: Workspaces,
    operations: &'static [Operation],
    point: Option<KillPoint>,
    wanted: Option<&End>,
) -> (Option<End>, u64) {
    let hint = format!("{operations:?} of {start:?}, dying at {point:?}");
    History::record(hint, |history| {
        let (end, calls) = simulate(7, run(start, workspaces, operations, point, history));
        if let (Some(end), Some(wanted)) = (&end, wanted) {
            assert_eq!(end.listed, wanted.listed, "what is listed");
            assert!(end.objects.keys().eq(wanted.objects.keys()), "{:?}", end.objects.keys());
            assert_eq!(end, wanted, "what there is");
        }
        (end, calls)
    })
}

/// Kills the process at every point of these scenarios. Returns the number of points.
fn every_kill_point(scenarios: &[(Start, &'static [Operation])], workspaces: Workspaces) -> u32 {
    let mut points = 0;
    for &(start, operations) in scenarios {
        let (undisturbed, calls) = simulated(start, workspaces, operations, None, None);
        let here = points;
        for call in 1..=calls {
            for death in [Death::Before, Death::After, Death::Beside] {
                let point = KillPoint { call, death };
                let (end, _) = simulated(start, workspaces, operations, Some(point), undisturbed.as_ref());
                points += u32::from(end.is_some());
            }
        }
        println!("{operations:?} of {start:?}: {calls} calls, {} kill points", points - here);
    }
    println!("{points} kill points");
    points
}

/// Guards that the final state does not depend on where the process dies.
#[test]
fn wherever_it_dies_it_ends_where_it_should() {
    let points = every_kill_point(&SCENARIOS, Workspaces::None);
    assert!(points >= 60, "{points} kill points are fewer than there were");
}

/// Guards that wherever the process dies, a kept workspace is there with the same claim, one that goes with its sandbox
/// is gone with it, and no claim of others is touched.
#[test]
fn wherever_it_dies_workspaces_are_kept_and_deleted() {
    for profile in ["keep", "delete"] {
        let points = every_kill_point(&WITH_WORKSPACE, Workspaces::All(profile));
        assert!(points >= 60, "{points} kill points are fewer than there were");
    }
}

/// Guards that wherever the process dies, a kept workspace is deleted when its time is over, and not one that a create has
/// taken.
#[test]
fn wherever_it_dies_a_workspace_expires() {
    let points = every_kill_point(&EXPIRING, Workspaces::All("expire"));
    assert!(points >= 20, "{points} kill points are fewer than there were");
}
