//! Changes of objects, drawn from a seed.

use std::time::Duration;

use fastrand::Rng;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use simcluster::Cluster;
use tokio::time::{Instant, sleep};

use crate::NS;
use crate::chaos::seconds;
use crate::clients;

/// Few, so that names come again with another uid.
const NAMES: u8 = 20;

/// Creates, changes and deletes objects: some by calls, which faults affect too and whose results are ignored, some
/// through the handle, which faults do not affect.
pub struct Workload {
    random: Rng,
    pods: Api<Pod>,
    services: Api<Service>,
    /// A Pod's, with all the defaults that an API server gives.
    spec: Value,
}

// === impl Workload ===

impl Workload {
    /// Prepares it before the faults start.
    pub async fn new(cluster: &Cluster, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let client = clients::with_deadline(cluster);
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        let template = serde_json::from_value(pod("template", &mut random)).unwrap();
        let template = pods.create(&PostParams::default(), &template).await.unwrap();
        cluster.remove("pods", NS, "template").unwrap();
        Self { random, pods, services: Api::default_namespaced(client), spec: json!(template.spec) }
    }

    /// Goes on for so long.
    pub async fn run(mut self, cluster: &Cluster, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let name = format!("sandbox-{}", self.random.u8(..NAMES));
            match self.random.u8(0..10) {
                0..=5 => self.call(&name).await,
                _ => self.change_directly(cluster, &name),
            }
            sleep(seconds(&mut self.random, 0..10)).await;
        }
    }

    async fn call(&mut self, name: &str) {
        match self.random.u8(0..6) {
            0..=2 => {
                let pod = serde_json::from_value(pod(name, &mut self.random)).unwrap();
                let _ = self.pods.create(&PostParams::default(), &pod).await;
            }
            3 => {
                let note = json!({"metadata": {"annotations": {"note": self.random.u32(..).to_string()}}});
                let _ = self.pods.patch(name, &PatchParams::default(), &Patch::Merge(note)).await;
            }
            4 => {
                let grace = DeleteParams::default().grace_period(self.random.u32(0..30));
                let _ = self.pods.delete(name, &grace).await;
            }
            _ => drop(self.services.delete(name, &DeleteParams::default()).await),
        }
    }

    fn change_directly(&mut self, cluster: &Cluster, name: &str) {
        let there = cluster.object("pods", NS, name).is_some();
        match self.random.u8(0..4) {
            // Only if there is no Pod of that name: an object never changes its uid.
            0 if !there => {
                let mut pod = pod(name, &mut self.random);
                pod["spec"] = self.spec.clone();
                cluster.put("pods", pod).unwrap();
            }
            1 if there => drop(cluster.remove("pods", NS, name).unwrap()),
            _ if there => {
                let note = self.random.u32(..).to_string();
                cluster
                    .change("pods", NS, name, |pod| pod["metadata"]["annotations"]["note"] = note.into())
                    .unwrap();
            }
            _ => {}
        }
    }
}

fn pod(name: &str, random: &mut Rng) -> Value {
    let behaviour = ["crash-loop", "image-pull-error", "never-ready", "succeed", "unschedulable"];
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NS, "labels": {"sandbox-id": name}},
        "spec": {"containers": [{"name": "sandbox", "image": "img:1"}]},
    });
    if random.u8(0..4) == 0
        && let Some(behaviour) = random.choice(behaviour)
    {
        pod["metadata"]["annotations"] = json!({simcluster::BEHAVIOUR_ANNOTATION: behaviour});
    }
    pod
}
