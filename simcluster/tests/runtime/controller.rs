//! A controller: it keeps one Service for each Pod.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, PostParams};
use kube::{Client, Error, Resource, ResourceExt};
use kube_runtime::Controller;
use kube_runtime::controller::Action;
use kube_runtime::finalizer::{self, Event, finalizer};
use kube_runtime::reflector::Store;
use serde_json::{Value, json};
use simcluster::Cluster;
use tokio::task::JoinSet;

use crate::reflectors::{difference, held, in_cluster, quick};
use crate::{NS, clients};

/// The finalizer that holds a Pod until the controller has seen its deletion.
const FINALIZER: &str = "simcluster.test/keeper";

/// The time after which each Pod is reconciled again, as controllers in production do.
const RESYNC: Duration = Duration::from_secs(300);

/// The running controller.
pub struct Keeper {
    pods: Store<Pod>,
    context: Arc<Context>,
    tasks: JoinSet<()>,
}

struct Context {
    client: Client,
    /// Uid and version of each Pod that was reconciled.
    reconciled: Mutex<BTreeSet<(String, String)>>,
    failures: AtomicU64,
}

// === impl Keeper ===

impl Keeper {
    /// Starts it; it ends with the value.
    pub fn start(cluster: &Cluster) -> Self {
        let client = clients::with_retries(cluster);
        let context = Context {
            client: clients::with_deadline(cluster),
            reconciled: Mutex::default(),
            failures: AtomicU64::new(0),
        };
        let context = Arc::new(context);
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        // In one page: see `weaknesses`.
        let controller =
            Controller::new(pods, quick()).owns(Api::<Service>::default_namespaced(client), quick());
        let pods = controller.store();
        let run = controller.run(reconcile, again, Arc::clone(&context));
        let mut tasks = JoinSet::new();
        tasks.spawn(run.for_each(|_| std::future::ready(())));
        Self { pods, context, tasks }
    }

    /// How many reconciliations have failed.
    pub fn failures(&self) -> u64 {
        self.context.failures.load(Ordering::Relaxed)
    }

    /// Returns the differences from the cluster that remain once all faults are over.
    pub fn wrong(&self, cluster: &Cluster) -> Vec<String> {
        let there = in_cluster(cluster, "pods");
        let mut wrong = difference("pods of the controller", &held(&self.pods), &there);
        let reconciled = self.context.reconciled.lock().unwrap();
        for (name, version) in there.iter().filter(|(_, version)| !reconciled.contains(version)) {
            wrong.push(format!("pod {name}: {version:?} has not been reconciled"));
        }
        let owned: BTreeSet<_> = cluster.objects("services", Some(NS)).iter().map(owner).collect();
        let pods: BTreeSet<_> = there.into_iter().map(|(name, (uid, _))| (name, uid)).collect();
        if owned != pods {
            wrong.push(format!("services belong to {owned:?}, pods are {pods:?}"));
        }
        if self.tasks.is_empty() {
            wrong.push("the controller has ended".to_owned());
        }
        wrong
    }
}

fn owner(service: &Value) -> (String, String) {
    let owner = &service["metadata"]["ownerReferences"][0];
    (owner["name"].as_str().unwrap_or("").to_owned(), owner["uid"].as_str().unwrap_or("").to_owned())
}

async fn reconcile(pod: Arc<Pod>, context: Arc<Context>) -> Result<Action, finalizer::Error<Error>> {
    let seen = (pod.uid().unwrap_or_default(), pod.resource_version().unwrap_or_default());
    let pods: Api<Pod> = Api::default_namespaced(context.client.clone());
    let services: Api<Service> = Api::default_namespaced(context.client.clone());
    let action = finalizer(&pods, FINALIZER, pod, async |event| {
        if let Event::Apply(pod) = event {
            make_service(&services, &pod).await?;
        }
        // The deletion of a Service is lost if its watch is broken then: the next list only lacks the Service.
        Ok(Action::requeue(RESYNC))
    })
    .await?;
    context.reconciled.lock().unwrap().insert(seen);
    Ok(action)
}

/// Makes the Pod's Service if it has none. One of an earlier Pod of this name is on its way out: the garbage collector
/// takes it, and the watch on Services says so.
async fn make_service(services: &Api<Service>, pod: &Pod) -> Result<(), Error> {
    let service = json!({
        "metadata": {"name": pod.name_any(), "ownerReferences": [pod.controller_owner_ref(&())]},
        "spec": {"type": "NodePort", "selector": {"sandbox-id": pod.name_any()}, "ports": [{"port": 8080}]},
    });
    let service = serde_json::from_value(service).map_err(Error::SerdeError)?;
    match services.create(&PostParams::default(), &service).await {
        Err(Error::Api(status)) if status.is_already_exists() => {
            let there = services.get(&pod.name_any()).await?;
            let ours = there.owner_references().iter().any(|owner| Some(&owner.uid) == pod.uid().as_ref());
            if ours { Ok(()) } else { Err(Error::Api(status)) }
        }
        other => other.map(drop),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a Controller asks for this signature")]
fn again(_: Arc<Pod>, _: &finalizer::Error<Error>, context: Arc<Context>) -> Action {
    context.failures.fetch_add(1, Ordering::Relaxed);
    Action::requeue(Duration::from_secs(5))
}
