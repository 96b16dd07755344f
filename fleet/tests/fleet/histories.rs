//! Random histories of three clusters: requests, moves, outages of each kind, drains, full clusters and restarts. An oracle
//! compares every answer with the requests so far, and the clusters in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::Duration,
};

use fastrand::Rng;
use fleet::{Member, Move, backend::Backend};
use lifecycle::{error::ClusterErrorKind, ids::SandboxId, observed::Uid, phase::Phase, placement::Terms};
use tokio::time::Instant;

use crate::fake::{LOSS, Mode, STALENESS, World, id, name, pass};

const CLUSTERS: [&str; 3] = ["east", "north", "west"];

/// The number of histories; `SIMULATION_SEEDS` sets another.
const SEEDS: u64 = 60;

/// The steps of a history.
const STEPS: usize = 60;

/// How long after the return of a cluster a twin may live.
const SETTLING: Duration = Duration::from_secs(45);

/// After this time the return of a cluster has been noticed.
const NOTICED: Duration = Duration::from_secs(3);

/// A sandbox, as far as the answers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Absent,
    Present,
    /// A request has failed, so either is right.
    Unknown,
}

struct History {
    world: World,
    rng: Rng,
    expected: BTreeMap<SandboxId, Expected>,
    /// The Pods that callers were given.
    given: BTreeSet<Uid>,
    /// When each cluster has gone, and when it has returned.
    gone: BTreeMap<&'static str, Instant>,
    returned: BTreeMap<&'static str, Instant>,
    moved: BTreeMap<SandboxId, Instant>,
    log: Vec<String>,
}

impl History {
    async fn new(seed: u64) -> Self {
        let expected = (0..5).map(|number| (id(&format!("s{number}")), Expected::Absent)).collect();
        Self {
            world: World::start().await,
            rng: Rng::with_seed(seed),
            expected,
            given: BTreeSet::new(),
            gone: BTreeMap::new(),
            returned: BTreeMap::new(),
            moved: BTreeMap::new(),
            log: vec![],
        }
    }

    fn any_cluster(&mut self) -> &'static str {
        CLUSTERS[self.rng.usize(..CLUSTERS.len())]
    }

    fn any_id(&mut self) -> SandboxId {
        let at = self.rng.usize(..self.expected.len());
        self.expected.keys().nth(at).unwrap().clone()
    }

    async fn step(&mut self) {
        match self.rng.u32(..100) {
            0..30 => self.create().await,
            30..40 => self.delete().await,
            40..55 => self.get().await,
            55..60 => self.move_one().await,
            60..68 => self.leave(),
            68..76 => self.come_back(),
            76..80 => self.change_terms(),
            80..84 => self.change_refusals(),
            84..88 => {
                self.log.push("restart".to_owned());
                self.world.restart().await;
            }
            88..90 => self.wait(LOSS.as_secs() + 10).await,
            _ => {
                let seconds = self.rng.u64(1..60);
                self.wait(seconds).await;
            }
        }
    }

    async fn wait(&mut self, seconds: u64) {
        self.log.push(format!("wait {seconds} s"));
        pass(seconds).await;
    }

    async fn create(&mut self) {
        let id = self.any_id();
        let made = self.world.create(&id).await;
        let words = made.as_ref().map(|status| status.cluster.to_string());
        self.log.push(format!("create {id}: {words:?}"));
        match made {
            Ok(status) => {
                self.expected.insert(id.clone(), Expected::Present);
                // A sandbox that was given before may have a twin that cannot be deleted yet.
                if self.given.insert(status.pod) {
                    self.assert_no_second_one(&id);
                }
            }
            // The sandbox is still there if it was, and may have been made if it was not.
            Err(_) if self.expected[&id] == Expected::Absent => {
                self.expected.insert(id, Expected::Unknown);
            }
            Err(_) => {}
        }
    }

    /// Asserts that a new sandbox is the only one with its id, but for those that no request could see.
    fn assert_no_second_one(&self, id: &SandboxId) {
        let holders = self.world.holders(id);
        let is_excused = |cluster: &&str| {
            let is_away = !self.returned.contains_key(cluster);
            let away = self.gone.get(cluster).filter(|_| is_away).map(Instant::elapsed);
            let is_lost = away.is_some_and(|away| away + STALENESS + NOTICED >= LOSS);
            let is_new = self.returned.get(cluster).is_some_and(|since| since.elapsed() < SETTLING);
            is_lost || is_new
        };
        let moves = self.moved.get(id).is_some_and(|since| since.elapsed() < Duration::from_secs(25 * 60));
        let known = holders.iter().filter(|cluster| !is_excused(cluster)).count();
        assert!(known <= 1 || moves, "{id} is on {holders:?}");
    }

    async fn delete(&mut self) {
        let id = self.any_id();
        // A restart before the return of such a cluster brings back a twin there.
        let is_listed = |member: &Member| member.sandboxes.view().is_listed();
        let are_listed = self.world.fleet().members().iter().all(is_listed);
        let outcome = self.world.fleet().delete(id.clone(), None).await;
        self.log.push(format!("delete {id}: {outcome:?}"));
        let expected = if outcome.is_ok() && are_listed { Expected::Absent } else { Expected::Unknown };
        self.expected.insert(id, expected);
    }

    async fn get(&mut self) {
        let id = self.any_id();
        let shown = self.world.fleet().get(&id).await;
        let words = shown.as_ref().map(|shown| shown.as_ref().map(|status| status.cluster.to_string()));
        self.log.push(format!("get {id}: {words:?}"));
        match (self.expected[&id], shown) {
            (Expected::Present, Ok(None)) => panic!("{id} exists, and is not shown"),
            (Expected::Absent, Ok(Some(status))) => {
                assert_eq!(status.phase, Phase::Terminating, "{id} is deleted, and is shown");
            }
            _ => {}
        }
    }

    async fn move_one(&mut self) {
        let (id, to) = (self.any_id(), self.any_cluster());
        let until = Instant::now() + Duration::from_secs(20);
        let outcome = self.world.fleet().move_sandbox(id.clone(), &name(to), until).await;
        let words = outcome.as_ref().map(|moved| moved.as_ref().map(|moved| matches!(moved, Move::Done(_))));
        self.log.push(format!("move {id} to {to}: {words:?}"));
        if let Ok(None) = outcome {
            assert_ne!(self.expected[&id], Expected::Present, "{id} exists, and does not move");
        }
        self.moved.insert(id, Instant::now());
    }

    fn leave(&mut self) {
        let cluster = self.any_cluster();
        let modes = [Mode::Down, Mode::Silent, Mode::Mute];
        let mode = modes[self.rng.usize(..modes.len())];
        self.log.push(format!("{cluster} is {mode:?}"));
        self.world.set_mode(cluster, mode);
        // A cluster that was back for a moment was not noticed.
        let was_back = self.returned.remove(cluster).is_some_and(|since| since.elapsed() > NOTICED);
        let since = self.gone.entry(cluster).or_insert_with(Instant::now);
        if was_back {
            *since = Instant::now();
        }
    }

    fn come_back(&mut self) {
        let cluster = self.any_cluster();
        if self.gone.contains_key(cluster) && !self.returned.contains_key(cluster) {
            self.log.push(format!("{cluster} is back"));
            self.world.set_mode(cluster, Mode::Up);
            self.returned.insert(cluster, Instant::now());
        }
    }

    fn change_terms(&mut self) {
        let cluster = self.any_cluster();
        let terms = match self.rng.u32(..3) {
            0 => Terms { weight: 0, ..Terms::default() },
            1 => Terms { max_sandboxes: Some(self.rng.u64(0..3)), ..Terms::default() },
            _ => Terms::default(),
        };
        self.log.push(format!("{cluster} has {terms:?}"));
        self.world.set_terms(cluster, terms);
    }

    fn change_refusals(&mut self) {
        let cluster = self.any_cluster();
        let call = ["create_pod", "create_service"][self.rng.usize(..2)];
        let kinds = [
            ClusterErrorKind::QuotaExceeded,
            ClusterErrorKind::NodePortsExhausted,
            ClusterErrorKind::ServerError,
            ClusterErrorKind::Denied,
        ];
        if self.rng.bool() {
            let kind = kinds[self.rng.usize(..kinds.len())];
            self.log.push(format!("{cluster} refuses {call} with {kind:?}"));
            self.world.cluster(cluster).refuse(call, kind);
        } else {
            self.world.cluster(cluster).allow(call);
        }
    }

    /// Lets everything work again, waits until all is settled, and compares the clusters with the answers.
    async fn assert_end(&mut self) {
        for cluster in CLUSTERS {
            self.world.set_mode(cluster, Mode::Up);
            self.world.set_terms(cluster, Terms::default());
            for call in ["create_pod", "create_service"] {
                self.world.cluster(cluster).allow(call);
            }
        }
        pass(30 * 60).await;
        self.world.assert_no_orphans("in the end");
        for (id, expected) in &self.expected {
            let holders = self.world.holders(id);
            let shown = self.world.fleet().get(id).await.unwrap().map(|status| status.cluster.to_string());
            assert_eq!(shown.iter().collect::<Vec<_>>(), holders, "{id}");
            match expected {
                Expected::Absent => assert!(holders.is_empty(), "{id} is deleted, and on {holders:?}"),
                Expected::Present => assert_eq!(holders.len(), 1, "{id} exists, and is on {holders:?}"),
                Expected::Unknown => assert!(holders.len() <= 1, "{id} is on {holders:?}"),
            }
        }
    }
}

/// Shows the steps so far when a history fails.
impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log.join("\n"));
        }
    }
}

/// Guards invariants 1, 3 and 4 over several clusters: no id is lost or doubled, whatever fails in which order.
#[test]
#[expect(clippy::disallowed_methods, reason = "the number of seeds comes from the environment")]
fn every_history_ends_well() {
    let seeds = env::var("SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        println!("seed {seed}");
        runtime.block_on(async {
            let mut history = History::new(seed).await;
            for _ in 0..STEPS {
                history.step().await;
            }
            history.assert_end().await;
        });
    }
}
