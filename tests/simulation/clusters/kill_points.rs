//! Kills the process before and after every write of a spill-over, of a replacement with the deletion of its twin, and of a
//! move, and restarts it. The client sends its POST again until it is answered with 200, and nothing else intervenes.

use std::time::Duration;

use http::Method;
use lifecycle::{
    ids::{ClusterName, SandboxId},
    placement::order::sort,
};
use simcluster::{Call, CallMark, Effect, Rule, Verb};
use tokio::time::sleep;

use super::{
    clients,
    world::{LOSS_TIMEOUT, NAMES, World},
};
use crate::{
    clients::path,
    death::{Death, ON_THE_WAY},
    history::History,
    world::simulate,
};

const EAST: usize = 0;
const NORTH: usize = 1;
const WEST: usize = 2;

/// A time after which every operation has ended.
const AT_WORK: Duration = Duration::from_secs(60);

/// The operation during which the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// West refuses an object of this kind, so the sandbox is made on another cluster.
    SpillOver(&'static str),
    /// West is lost, its sandbox is made on another cluster, and west returns. `stays_away`: it returns after the restart alone.
    Replacement { stays_away: bool },
    /// The sandbox moves from west to east.
    Move,
}

/// The write at which the process dies: the number of the write on this cluster, counted from 1.
#[derive(Debug, Clone, Copy)]
struct KillPoint {
    cluster: usize,
    write: u64,
    death: Death,
}

impl Scenario {
    /// Brings the clusters into the state before the operation.
    async fn prepare(self, world: &World, id: &str) {
        // All clusters have been listed.
        sleep(Duration::from_secs(2)).await;
        if let Self::SpillOver(resource) = self {
            world.limit(WEST, Some(resource));
            return;
        }
        assert_eq!(clients::create(world, id).await, Some(200));
        sleep(Duration::from_secs(10)).await;
        if matches!(self, Self::Replacement { .. }) {
            world.oracle.borrow_mut().fault_started(WEST);
            world.clusters[WEST].set_away(true);
            // The state of a cluster is known for a while after it was heard last.
            sleep(LOSS_TIMEOUT + Duration::from_secs(45)).await;
        }
    }

    /// Lets the process do it once, undisturbed or until it dies.
    async fn act(self, world: &World, id: &str) {
        match self {
            Self::SpillOver(_) | Self::Replacement { stays_away: true } => {
                let _ = clients::create(world, id).await;
            }
            Self::Replacement { stays_away: false } => {
                let _ = clients::create(world, id).await;
                self.end_outage(world);
                sleep(AT_WORK).await;
            }
            Self::Move => {
                let _ = clients::move_to(world, id, EAST).await;
                sleep(Duration::from_secs(2)).await;
            }
        }
    }

    fn end_outage(self, world: &World) {
        if matches!(self, Self::Replacement { .. }) && world.clusters[WEST].is_away() {
            world.clusters[WEST].set_away(false);
            world.oracle.borrow_mut().fault_ended(WEST);
        }
    }

    /// Lets the client repeat its POST after the restart, and checks the end.
    async fn recover(self, world: &World, id: &str) {
        if self != (Self::Replacement { stays_away: true }) {
            self.end_outage(world);
        }
        world.start_daemon().await;
        if self == Self::Move {
            // A GET shows it all the time.
            sleep(Duration::from_secs(2)).await;
            world.daemon.insist(Method::GET, &path(id), None, &[200]).await;
        }
        insist(world, id).await;
        self.end_outage(world);
        world.calm_down().await;
        assert_eq!(holders(world, id).len(), 1, "{id} is on one cluster: {:?}", holders(world, id));
        world.daemon.insist(Method::GET, &path(id), None, &[200]).await;
    }
}

/// Sends the POST until it is answered with 200. An orphan may be in the way for its grace, and a cluster that is away for the
/// time after which it is lost.
async fn insist(world: &World, id: &str) {
    for _ in 0..200 {
        if clients::create(world, id).await == Some(200) {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("{id} is never made");
}

/// Returns the clusters that have a Pod of the sandbox.
fn holders(world: &World, id: &str) -> Vec<&'static str> {
    let name = format!("sandbox-{id}");
    let has = |n: &usize| world.objects(*n, "pods").iter().any(|pod| pod["metadata"]["name"] == *name);
    (0..NAMES.len()).filter(has).map(|n| NAMES[n]).collect()
}

fn is_write(call: &Call) -> bool {
    !matches!(call.verb, Verb::Get | Verb::List | Verb::Watch)
}

fn writes(world: &World, cluster: usize, mark: CallMark) -> u64 {
    world.clusters[cluster].calls_since(mark).iter().filter(|call| is_write(call)).count() as u64
}

impl KillPoint {
    /// Blocks the writes from the kill point on. Returns how long after the arrival of the write the process dies.
    fn arm(self, world: &World) -> Duration {
        self.death.arm(&world.clusters[self.cluster], self.write, |effect| Rule::new(effect).writes())
    }

    /// Waits until the write has arrived, and the process dies.
    async fn reached(self, world: &World, mark: CallMark, dies_after: Duration) {
        while writes(world, self.cluster, mark) < self.write {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(dies_after).await;
    }
}

/// Returns an id that the placement gives to west first, and then to east.
fn id() -> String {
    let names = NAMES.map(|name| ClusterName::parse(name).unwrap());
    let is_so = |text: &String| {
        let mut sorted = names.clone();
        sort(&SandboxId::parse(text).unwrap(), &mut sorted, |name| (name, 100));
        sorted.iter().map(ClusterName::as_str).eq([NAMES[WEST], NAMES[EAST], NAMES[NORTH]])
    };
    (0..1000).map(|number| format!("k-{number}")).find(is_so).unwrap()
}

/// Runs the scenario, and kills the process at this point. Returns the number of writes on each cluster.
async fn run(scenario: Scenario, point: Option<KillPoint>, history: History) -> [u64; 3] {
    let world = World::new(7, history).await;
    let id = id();
    scenario.prepare(&world, &id).await;
    let marks: Vec<_> = world.clusters.iter().map(simcluster::Cluster::mark).collect();
    let delay = Rule::new(Effect::Delay(ON_THE_WAY));
    let delays: Vec<_> = world.clusters.iter().map(|cluster| cluster.fault(delay.clone())).collect();
    if let Some(point) = point {
        let dies_after = point.arm(&world);
        tokio::select! {
            biased;
            () = point.reached(&world, marks[point.cluster], dies_after) => {}
            () = scenario.act(&world, &id) => panic!("the write does not come"),
        }
        world.daemon.history.note(format_args!("{point:?}"));
        world.daemon.kill();
    } else {
        scenario.act(&world, &id).await;
        world.daemon.kill();
    }
    let writes = [EAST, NORTH, WEST].map(|n| writes(&world, n, marks[n]));
    for (cluster, delay) in world.clusters.iter().zip(delays) {
        cluster.remove_fault(delay);
        cluster.clear_faults();
    }
    scenario.recover(&world, &id).await;
    writes
}

fn simulated(scenario: Scenario, point: Option<KillPoint>) -> [u64; 3] {
    let hint = format!("{scenario:?}, dying at {point:?}");
    History::record(hint, |history| simulate(7, run(scenario, point, history)))
}

/// Kills the process at every write of the scenario. Returns the number of points.
fn every_kill_point(scenario: Scenario) -> usize {
    let writes = simulated(scenario, None);
    let mut points = vec![];
    for (cluster, count) in writes.into_iter().enumerate() {
        for write in 1..=count {
            points.extend([Death::Before, Death::After].map(|death| KillPoint { cluster, write, death }));
        }
    }
    for point in &points {
        simulated(scenario, Some(*point));
    }
    println!("{scenario:?}: {writes:?} writes, {} kill points", points.len());
    points.len()
}

/// Invariant 1: guards that a process that dies at any write of a spill-over leaves one sandbox in the end, and no orphan on the
/// cluster that has refused it.
#[test]
fn a_spill_over_can_end_at_any_write() {
    for resource in ["pods", "services"] {
        let points = every_kill_point(Scenario::SpillOver(resource));
        assert_eq!(points, 10, "two creates and a delete on west, and two creates on east");
    }
}

/// Invariant 1: guards the same for the replacement of a lost sandbox and for the deletion of the twin after the return.
#[test]
fn a_replacement_can_end_at_any_write() {
    let points = every_kill_point(Scenario::Replacement { stays_away: false });
    assert_eq!(points, 8, "two creates on east, and two deletes on west");
    let points = every_kill_point(Scenario::Replacement { stays_away: true });
    assert_eq!(points, 4, "two creates on east");
}

/// Invariant 1: guards that a process that dies at any write of a move leaves the sandbox on one of both clusters, and that a
/// GET shows it after the restart.
#[test]
fn a_move_can_end_at_any_write() {
    let points = every_kill_point(Scenario::Move);
    assert_eq!(points, 8, "two creates on east, and two deletes on west");
}
