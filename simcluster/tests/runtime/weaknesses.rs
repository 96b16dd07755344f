//! Faults that `kube-runtime` does not survive by itself. A test fails if a later release survives it, or if the fault
//! has no effect; then the settings of the other tests can change.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use kube_runtime::controller::Action;
use kube_runtime::reflector::{self, Store};
use kube_runtime::watcher::{Config, watcher};
use kube_runtime::{Controller, WatchStreamExt};
use serde_json::json;
use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb, WatchFault};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::reflectors::{Held, difference, held, in_cluster, paged, quick};
use crate::{HOUR, NS, clients};

fn keep(tasks: &mut JoinSet<()>, client: kube::Client, config: Config) -> Store<ConfigMap> {
    let (store, writer) = reflector::store();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let events = watcher(api, config).default_backoff().reflect(writer);
    tasks.spawn(events.for_each(|_| std::future::ready(())));
    store
}

fn put(cluster: &Cluster, name: &str) {
    cluster.put("configmaps", json!({"metadata": {"namespace": NS, "name": name}})).unwrap();
}

fn is_right(store: &Store<ConfigMap>, cluster: &Cluster) -> bool {
    difference("configmaps", &held(store), &in_cluster(cluster, "configmaps")).is_empty()
}

/// A list, or the opening of a watch, that is never answered: nothing in `kube` gives up on it. A deadline for the
/// answer's head is all it takes.
#[tokio::test(start_paused = true)]
async fn without_a_deadline_one_silent_answer_stops_a_watcher_for_ever() {
    for verb in [Verb::List, Verb::Watch] {
        let cluster = Cluster::start(Options::with_namespace(NS));
        cluster.fault(Rule::new(Effect::Silent).verb(verb).resource("configmaps").times(2));
        let mut tasks = JoinSet::new();
        let bare = keep(&mut tasks, clients::bare(&cluster), quick());
        let with_deadline = keep(&mut tasks, clients::with_deadline(&cluster), quick());
        sleep(Duration::from_secs(1)).await;
        put(&cluster, "a");
        sleep(24 * HOUR).await;
        assert!(is_right(&with_deadline, &cluster), "{verb}");
        assert!(!is_right(&bare, &cluster), "{verb}");
    }
}

/// An event that the server leaves out is lost to a watcher until something makes it list again. This is also what
/// shows that the comparison of the other tests can fail.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_left_out_is_lost_until_the_next_list() {
    let cluster = Cluster::start(Options::with_namespace(NS));
    let lossy = cluster.fault(Rule::new(Effect::Watch(WatchFault::Lossy(1))));
    let mut tasks = JoinSet::new();
    // Bookmarks come once a minute, and move its version past the lost events.
    let store = keep(&mut tasks, clients::with_deadline(&cluster), Config::default());
    sleep(Duration::from_secs(1)).await;
    put(&cluster, "a");
    sleep(HOUR).await;
    assert!(!is_right(&store, &cluster));
    cluster.remove_fault(lossy);
    cluster.cut_watches();
    sleep(HOUR).await;
    assert!(!is_right(&store, &cluster));
    // Something must have happened since its version, or that is still good.
    cluster.set_away(true);
    put(&cluster, "b");
    cluster.expire_watch_window();
    cluster.set_away(false);
    sleep(Duration::from_secs(60)).await;
    assert!(is_right(&store, &cluster));
}

/// A `Controller` that lists in pages. It reconciles an object as soon as the page with it is there, but in the state
/// before the list: the new one takes effect with the last page, and nothing reconciles it again.
#[tokio::test(start_paused = true)]
async fn a_controller_that_lists_in_pages_misses_what_changed_meanwhile() {
    for (config, misses) in [(paged(), true), (quick(), false)] {
        let cluster = Cluster::start(Options::with_namespace(NS));
        // Time passes between two pages.
        cluster.fault(Rule::new(Effect::Delay(Duration::from_millis(20))));
        let names = || (0..10).map(|n| n.to_string());
        names().for_each(|name| put(&cluster, &name));
        let reconciled = Arc::new(Mutex::new(BTreeMap::new()));
        let api: Api<ConfigMap> = Api::default_namespaced(clients::with_deadline(&cluster));
        let run =
            Controller::new(api, config).run(note, |_, _, _| Action::await_change(), Arc::clone(&reconciled));
        let mut tasks = JoinSet::new();
        tasks.spawn(run.for_each(|_| std::future::ready(())));
        sleep(Duration::from_secs(10)).await;
        cluster.set_away(true);
        for name in names() {
            cluster.change("configmaps", NS, &name, |map| map["data"] = json!({"new": "yes"})).unwrap();
        }
        cluster.expire_watch_window();
        cluster.set_away(false);
        sleep(HOUR).await;
        let there = in_cluster(&cluster, "configmaps");
        assert_eq!(*reconciled.lock().unwrap() != there, misses);
    }
}

/// Records the version of the object, and does nothing else.
async fn note(object: Arc<ConfigMap>, reconciled: Arc<Mutex<Held>>) -> Result<Action, Infallible> {
    let version = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
    reconciled.lock().unwrap().insert(object.name_any(), version);
    Ok(Action::await_change())
}

/// Guards that only a client made of a `Config` retries 429, 503 and 504, also for writes; `Client::new` does not.
/// Neither retries a broken connection.
#[tokio::test(start_paused = true)]
async fn retries_are_the_configuration_s_and_not_the_service_s() {
    let cluster = Cluster::start(Options { node: None, ..Options::with_namespace(NS) });
    let new: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    for (effect, with_retries) in [
        (Effect::Refuse(Refusal::TooManyRequests), 4),
        (Effect::Refuse(Refusal::Unavailable), 4),
        (Effect::Refuse(Refusal::EtcdTimeout), 1),
        (Effect::DropBefore, 1),
    ] {
        for (client, calls) in [(clients::bare(&cluster), 1), (clients::with_retries(&cluster), with_retries)]
        {
            cluster.reset_calls();
            cluster.fault(Rule::new(effect.clone()).verb(Verb::Create).times(3));
            let before = Instant::now();
            let made = Api::<Pod>::default_namespaced(client).create(&PostParams::default(), &new).await;
            assert_eq!((made.is_ok(), cluster.calls().len()), (calls > 1, calls), "{effect:?}");
            assert_eq!(before.elapsed() > Duration::ZERO, calls > 1, "{effect:?}");
            cluster.clear_faults();
            let _ = cluster.remove("pods", NS, "a");
        }
    }
}
