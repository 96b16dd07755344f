//! `kube-runtime`, as controllers in production use it, through hours of faults in moments of real time.
//!
//! Its cache must equal the store at the end. The hour leaves out two kinds of fault, because no real server has them
//! and no client can repair them: lost events, and events in another order. [`weaknesses`] tests them, and the settings
//! that `kube` needs so as not to wait for ever.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod clients;
mod controller;
mod reflectors;
mod weaknesses;
mod workload;

use std::time::Duration;

use simcluster::{Cluster, Effect, Options, Rule};
use tokio::time::{Instant, sleep};

use controller::Keeper;
use reflectors::Reflectors;

/// The namespace of these tests.
const NS: &str = "deer-flow";
const HOUR: Duration = Duration::from_secs(3600);
/// The time for recovery after the faults. The last of `kube`'s fifteen doubling retries waits for 82 s, and with jitter up to
/// twice that. A controller waits so for each of its two watches in turn, and for its own requests.
const RECOVERY: Duration = Duration::from_secs(900);

/// Guards that `kube-runtime` survives all faults, and holds the state of the store afterwards: every object by uid and
/// version, none too many, and each reconciled in its last state.
#[tokio::test(start_paused = true)]
async fn after_an_hour_of_faults_clients_hold_what_the_store_holds() {
    hour(1).await;
}

/// The same with another seed, or with those that `RUNTIME_SEEDS` lists (`7,8,9`).
#[tokio::test(start_paused = true)]
async fn after_another_hour_of_faults_they_do_so_too() {
    #[expect(clippy::disallowed_methods, reason = "whoever hunts for a seed names it on the command line")]
    let seeds = std::env::var("RUNTIME_SEEDS").unwrap_or_else(|_| "2".to_owned());
    for seed in seeds.split(',') {
        hour(seed.trim().parse().unwrap()).await;
    }
}

async fn hour(seed: u64) {
    let options = Options {
        seed: Some(seed),
        // Small, so that it also passes by itself.
        watch_window: 150,
        ..Options::with_namespace(NS)
    };
    let cluster = Cluster::start(options);
    // Every call takes time. Otherwise a controller that is a step behind could write, see its write undone, and repeat
    // this without end in one moment of the paused clock.
    cluster.fault(Rule::new(Effect::Delay(Duration::from_millis(20))));
    let reflectors = Reflectors::start(&cluster);
    let keeper = Keeper::start(&cluster);
    let workload = workload::Workload::new(&cluster, seed).await;
    tokio::join!(
        workload.run(&cluster, HOUR),
        chaos::run(&cluster, 2 * seed, HOUR),
        chaos::run(&cluster, 2 * seed + 1, HOUR),
    );
    let since = Instant::now();
    let wrong = || [reflectors.wrong(&cluster), keeper.wrong(&cluster)].concat();
    while !wrong().is_empty() && since.elapsed() < RECOVERY {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(wrong(), Vec::<String>::new(), "seed {seed}");
    // It stays so while nothing happens but watches that end and begin again.
    sleep(HOUR).await;
    assert_eq!(wrong(), Vec::<String>::new(), "seed {seed}, an hour later");
    // The hour was none of peace, and at its end there was something to be wrong about.
    reflectors.assert_all_kinds_of_failure_were_met();
    assert!(keeper.failures() > 50 && cluster.count("pods", Some(NS)) > 5, "seed {seed}");
}
