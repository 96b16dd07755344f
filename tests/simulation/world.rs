//! One history: a cluster, a daemon that may be killed, clients, and what goes wrong.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use actors::sandboxes::Sandboxes;
use fastrand::Rng;
use sandbox_provisioner::{
    run::Core,
    settings::{Settings, environment::Environment, layers::FlagValues, load},
};
use simcluster::{Cluster, Options};
use tokio::time::sleep;

use super::{chaos, clients, oracle::Oracle};

/// The namespace of the sandboxes.
pub const NAMESPACE: &str = "deer-flow";

/// How long the clients and the chaos go on, in the history's own time.
const TURMOIL: Duration = Duration::from_secs(240);

/// How long all is well before the end is looked at: an orphan's grace, a late sight of it, and a removal.
const CALM: Duration = Duration::from_secs(200);

/// What all parts of a history share. All of it runs on one thread.
#[derive(Clone)]
pub struct World {
    pub cluster: Cluster,
    pub oracle: Rc<RefCell<Oracle>>,
    core: Rc<RefCell<Option<Core>>>,
    settings: Rc<Settings>,
}

/// Runs the history of this seed; panics where an invariant is broken.
pub fn run(seed: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, history(seed));
}

async fn history(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let world = World::new(seed).await;
    let clients: Vec<_> =
        (0..4).map(|_| tokio::task::spawn_local(clients::live(world.clone(), rng.fork(), TURMOIL))).collect();
    tokio::select! {
        () = chaos::reign(&world, rng.fork()) => {}
        () = sleep(TURMOIL) => {}
    }
    for client in clients {
        client.await.unwrap();
    }

    world.cluster.clear_faults();
    world.cluster.stall_watches(false);
    world.cluster.set_away(false);
    if world.sandboxes().is_none() {
        world.start_daemon().await;
    }
    sleep(CALM).await;
    let sandboxes = world.sandboxes().unwrap();
    let listed = sandboxes.list().await.unwrap();
    world.oracle.borrow().judge_the_end(&world.cluster, &listed);
}

impl World {
    async fn new(seed: u64) -> Self {
        let cluster = Cluster::start(Options { seed, ..Options::default() });
        let world =
            Self { cluster, oracle: Rc::default(), core: Rc::default(), settings: Rc::new(settings()) };
        world.start_daemon().await;
        world
    }

    /// The daemon's handle, unless it is down.
    pub fn sandboxes(&self) -> Option<Sandboxes> {
        self.core.borrow().as_ref().map(|core| core.sandboxes().clone())
    }

    /// Kills the daemon, in the middle of whatever it does.
    pub fn kill_daemon(&self) {
        *self.core.borrow_mut() = None;
    }

    pub async fn start_daemon(&self) {
        let core = Core::start(&self.settings, Some(self.cluster.clone())).await.unwrap();
        *self.core.borrow_mut() = Some(core);
    }
}

fn settings() -> Settings {
    let variables = HashMap::from([("PROVISIONER_EMBEDDED", "true")]);
    let environment = Environment::from_lookup(|name| variables.get(name).map(Into::into));
    load::for_serving(None, &environment, &FlagValues::default()).map(|loaded| loaded.settings).unwrap()
}
