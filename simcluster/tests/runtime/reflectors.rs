//! Reflectors: local copies of what the cluster holds, each kept in another way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, PartialObjectMeta};
use kube::{Resource, ResourceExt};
use kube_runtime::WatchStreamExt;
use kube_runtime::reflector::{self, Store};
use kube_runtime::watcher::{self, Config, watcher};
use serde::de::DeserializeOwned;
use simcluster::Cluster;
use tokio::task::JoinSet;

use crate::{NS, clients};

/// Objects by name, each with its uid and version.
pub type Held = BTreeMap<String, (String, String)>;

/// The local copies, and what their watchers met.
pub struct Reflectors {
    /// Lists in small pages, so that a page can expire before the next; no retries but the watcher's own.
    pods: Store<Pod>,
    /// Streams its lists, with the retries of kube's own configuration.
    services: Store<Service>,
    /// Asks for metadata alone.
    metadata: Store<PartialObjectMeta<Pod>>,
    met: Arc<Mutex<BTreeSet<&'static str>>>,
    tasks: JoinSet<()>,
}

// === impl Reflectors ===

impl Reflectors {
    /// Starts them; they end with the value.
    pub fn start(cluster: &Cluster) -> Self {
        let mut all = Self {
            pods: reflector::store().0,
            services: reflector::store().0,
            metadata: reflector::store().0,
            met: Arc::default(),
            tasks: JoinSet::new(),
        };
        let client = clients::with_deadline(cluster);
        all.pods = all.keep(Api::default_namespaced(client.clone()), paged());
        all.metadata = all.keep(Api::default_namespaced(client), quick().any_semantic());
        let client = clients::with_retries(cluster);
        all.services = all.keep(Api::default_namespaced(client), quick().streaming_lists());
        all
    }

    fn keep<K>(&mut self, api: Api<K>, config: Config) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let met = Arc::clone(&self.met);
        let events = watcher(api, config).default_backoff().reflect(writer);
        // Not `try_for_each`, which ends for good at the first error.
        self.tasks.spawn(events.for_each(move |event| {
            let kind = match event {
                Ok(_) => "an event",
                Err(watcher::Error::InitialListFailed(_)) => "a list that failed",
                Err(watcher::Error::WatchStartFailed(_)) => "a watch that did not open",
                Err(watcher::Error::WatchError(_)) => "an expired version",
                Err(watcher::Error::WatchFailed(_)) => "a watch that broke",
                Err(watcher::Error::NoResourceVersion) => "an object without a version",
            };
            met.lock().unwrap().insert(kind);
            std::future::ready(())
        }));
        store
    }

    /// In which they differ from the cluster; nothing, if they do not.
    pub fn wrong(&self, cluster: &Cluster) -> Vec<String> {
        [
            difference("pods", &held(&self.pods), &in_cluster(cluster, "pods")),
            difference("services", &held(&self.services), &in_cluster(cluster, "services")),
            difference("metadata of pods", &held(&self.metadata), &in_cluster(cluster, "pods")),
        ]
        .concat()
    }

    /// Panics unless the watchers met every way to fail that there is, and none that there should not be.
    pub fn assert_all_kinds_of_failure_were_met(&self) {
        let all = [
            "a list that failed",
            "a watch that broke",
            "a watch that did not open",
            "an event",
            "an expired version",
        ];
        assert_eq!(*self.met.lock().unwrap(), BTreeSet::from(all));
    }
}

/// A watcher's settings with short watches, so that one that hangs is given up soon.
pub fn quick() -> Config {
    Config::default().timeout(30)
}

/// As [`quick`], with lists in small pages.
pub fn paged() -> Config {
    quick().page_size(4)
}

/// Returns the objects that a reflector holds.
pub fn held<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> Held {
    let of = |object: Arc<K>| {
        (object.name_any(), (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default()))
    };
    store.state().into_iter().map(of).collect()
}

/// Returns the objects that the cluster holds.
pub fn in_cluster(cluster: &Cluster, resource: &str) -> Held {
    let text = |object: &serde_json::Value, key| object["metadata"][key].as_str().unwrap_or("").to_owned();
    let objects = cluster.objects(resource, Some(NS));
    objects.iter().map(|o| (text(o, "name"), (text(o, "uid"), text(o, "resourceVersion")))).collect()
}

/// In which one differs from the other, in words.
pub fn difference(what: &str, here: &Held, there: &Held) -> Vec<String> {
    let names: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    let differ = names.into_iter().filter(|name| here.get(*name) != there.get(*name));
    differ.map(|n| format!("{what} {n}: {:?} here, {:?} there", here.get(n), there.get(n))).collect()
}
