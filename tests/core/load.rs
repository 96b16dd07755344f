//! Overload of the whole daemon on a slow embedded cluster.

use fleet::backend::Backend as _;
use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use lifecycle::{budget, error::SandboxError, ids::SandboxId, request::CreateRequest};
use simcluster::{Cluster, Effect, Rule, Verb};
use testkit::{Daemon, NAMESPACE};
use tokio::time::{Instant, sleep, timeout};

/// The default number of concurrent creates: three quarters of 64 calls, two calls each.
const AT_ONCE: usize = 24;

/// A bound for requests that wait for nothing. The embedded cluster's work takes no time on the paused clock.
const AT_ONCE_TIME: Duration = Duration::from_millis(50);

/// Returns the number of unanswered calls of this verb for Pods.
fn pending(cluster: &Cluster, verb: Verb) -> usize {
    let calls = cluster.calls();
    calls.iter().filter(|call| call.verb == verb && call.resource == "pods" && call.status.is_none()).count()
}

fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

fn request(text: &str) -> CreateRequest {
    CreateRequest::new(id(text))
}

/// Guards that a write that the API server never answers delays only its own sandbox.
#[tokio::test(start_paused = true)]
async fn one_call_without_an_answer_delays_no_other() {
    let daemon = Daemon::start().await;
    daemon
        .cluster
        .fault(Rule::new(Effect::Silent).verb(Verb::Create).resource("pods").named("sandbox-stuck"));
    let sandboxes = daemon.fleet();
    let stuck = async {
        let begun = Instant::now();
        let failure = sandboxes.create(request("stuck")).await.unwrap_err();
        assert!(begun.elapsed() <= budget::CREATE, "{:?}: {failure}", begun.elapsed());
    };
    let others = async {
        sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        let names: Vec<_> = (0..200).map(|n| format!("s{n}")).collect();
        let made = join_all(names.iter().map(|name| sandboxes.create(request(name)))).await;
        assert!(made.iter().all(Result::is_ok));
        let gone = join_all(names.iter().map(|name| sandboxes.delete(id(name), None))).await;
        assert!(gone.iter().all(Result::is_ok));
        assert!(begun.elapsed() < AT_ONCE_TIME, "{:?}", begun.elapsed());
    };
    tokio::join!(stuck, others);
}

/// Guards that creates on a slow API server are limited in number and answered within their deadline, that those without
/// a chance are rejected with a time to retry, and that deletes, touches and reads are not delayed.
#[tokio::test(start_paused = true)]
async fn a_flood_of_creates_is_dealt_with() {
    let daemon = Daemon::start().await;
    let sandboxes = daemon.fleet();
    for name in ["old", "older"] {
        sandboxes.create(request(name)).await.unwrap();
    }
    daemon.cluster.fault(Rule::new(Effect::Delay(Duration::from_secs(3))).verb(Verb::Create));
    let names: Vec<_> = (0..400).map(|n| format!("s{n}")).collect();
    let begun = Instant::now();
    let flood = join_all(names.iter().map(|name| async {
        let answer = timeout(budget::CREATE, sandboxes.create(request(name))).await;
        answer.expect("it ends within its deadline")
    }));
    let beside = async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(pending(&daemon.cluster, Verb::Create), AT_ONCE);
        let begun = Instant::now();
        sandboxes.delete(id("old"), None).await.unwrap();
        assert!(sandboxes.get(&id("old")).await.unwrap().is_none());
        assert!(sandboxes.get(&id("older")).await.unwrap().is_some());
        sandboxes.create(request("older")).await.unwrap();
        assert!(sandboxes.touch(id("older"), None).await.unwrap().is_some());
        assert!(begun.elapsed() < AT_ONCE_TIME, "{:?}", begun.elapsed());
    };
    let (answers, ()) = tokio::join!(flood, beside);
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    // A round takes 3 s, and none starts later than 14 s after the requests arrived.
    assert_eq!(made, 5 * AT_ONCE, "{:?}", begun.elapsed());
    for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(matches!(answer, SandboxError::Overloaded { .. }), "{answer:?}");
    }
    sleep(Duration::from_secs(30)).await;
    let counts = ["pods", "services"].map(|resource| daemon.cluster.count(resource, Some(NAMESPACE)));
    assert_eq!(counts, [made + 1; 2], "what was refused was not made");
}

/// Guards that a quiet cluster gets no calls but those of the three watches, each one call every 30 s, a list of Pods and
/// of Services every five minutes, and a list of quotas every minute.
#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_gets_only_the_watches() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    sleep(Duration::from_secs(60)).await;
    let mark = daemon.cluster.mark();
    sleep(Duration::from_secs(600)).await;
    let mut counts = BTreeMap::<_, usize>::new();
    for call in daemon.cluster.calls_since(mark) {
        *counts.entry((call.resource, call.verb.to_string())).or_default() += 1;
    }
    let counts: Vec<_> =
        counts.iter().map(|((resource, verb), n)| format!("{verb} {resource}: {n}")).collect();
    assert_eq!(
        counts,
        [
            "watch events: 20",
            "list pods: 2",
            "watch pods: 20",
            "list resourcequotas: 10",
            "list services: 2",
            "watch services: 20"
        ]
    );
}
