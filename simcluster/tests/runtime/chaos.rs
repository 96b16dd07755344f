//! Faults, drawn from a seed.

use std::time::Duration;

use fastrand::Rng;
use simcluster::{Cluster, Effect, Refusal, Rule, Verb, WatchFault};
use tokio::time::{Instant, sleep};

/// Applies one random fault after another for this long. Several may run on one cluster; each removes its own faults.
pub async fn run(cluster: &Cluster, seed: u64, length: Duration) {
    let mut random = Rng::with_seed(seed);
    let end = Instant::now() + length;
    while Instant::now() < end {
        let hold = seconds(&mut random, 1..90);
        match random.u8(0..16) {
            0 => {
                cluster.set_away(true);
                sleep(hold).await;
                cluster.set_away(false);
            }
            1 => {
                cluster.stall_watches(true);
                sleep(hold).await;
                cluster.stall_watches(false);
            }
            2 => cluster.cut_watches(),
            3 => cluster.expire_watch_window(),
            4 => cluster.restart(),
            _ => {
                let rule = cluster.fault(rule(&mut random));
                sleep(hold).await;
                cluster.remove_fault(rule);
            }
        }
        sleep(seconds(&mut random, 0..20)).await;
    }
}

fn rule(random: &mut Rng) -> Rule {
    let rule = match random.u8(0..10) {
        0..=3 => Rule::new(Effect::Refuse(refusal(random))),
        4 => Rule::new(Effect::Delay(seconds(random, 1..20))),
        5 => Rule::new(Effect::DropBefore),
        6 => Rule::new(Effect::DropAnswer),
        7 => Rule::new(Effect::HangAnswer),
        8 => Rule::new(Effect::Silent),
        _ => Rule::new(Effect::CutBody(random.u64(0..20_000))),
    };
    let rule = match random.u8(0..8) {
        0..=2 => Rule::new(Effect::Watch(watch_fault(random))),
        3 => rule.verb(Verb::List),
        4 => rule.verb(Verb::Watch),
        5 => rule.writes(),
        _ => rule,
    };
    match random.u8(0..4) {
        0 => rule,
        1 => rule.times(random.u64(1..10)),
        2 => rule.nth(random.u64(1..5)),
        _ => rule.share(random.f64(), random.u64(..)),
    }
}

fn refusal(random: &mut Rng) -> Refusal {
    match random.u8(0..7) {
        0 => Refusal::TooManyRequests,
        1 => Refusal::EtcdTimeout,
        2 => Refusal::Unavailable,
        3 => Refusal::Forbidden,
        4 => Refusal::Unauthorized,
        5 => Refusal::Other { code: 410, reason: "Expired".into(), message: "too old".into() },
        _ => Refusal::Other {
            code: 504,
            reason: "Timeout".into(),
            message: "Too large resource version".into(),
        },
    }
}

fn watch_fault(random: &mut Rng) -> WatchFault {
    match random.u8(0..7) {
        0 => WatchFault::Stall,
        1 => WatchFault::StallAfter(random.u64(0..10)),
        2 => WatchFault::CutAfter(random.u64(0..10)),
        3 => WatchFault::Expired,
        4 => WatchFault::ExpireAfter(random.u64(0..10)),
        5 => WatchFault::Late(seconds(random, 1..30)),
        _ => WatchFault::Double,
    }
}

pub fn seconds(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range.start * 1000..range.end * 1000))
}
