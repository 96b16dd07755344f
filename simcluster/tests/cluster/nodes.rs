//! A cluster with several nodes.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::{Cluster, NodeOptions, Options};

use crate::client::{NS, SOON, call, create, delete, is_ready, pod};

fn cluster(nodes: usize) -> Cluster {
    Cluster::start(Options { node: Some(NodeOptions::several(nodes)), ..Options::with_namespace(NS) })
}

async fn until(cluster: &Cluster, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = |pods: &[Value]| pods.iter().find(|p| p["metadata"]["name"] == name).cloned();
    let seen = |pods: &[Value]| found(pods).is_some_and(|pod| wanted(&pod));
    found(&cluster.wait_for("pods", Some(NS), SOON, seen).await.unwrap()).unwrap()
}

async fn node_of(cluster: &Cluster, name: &str) -> String {
    let pod = until(cluster, name, is_ready).await;
    pod["spec"]["nodeName"].as_str().unwrap().to_owned()
}

fn spec_with(name: &str, key: &str, value: Value) -> Value {
    let mut pod = pod(name);
    pod["spec"][key] = value;
    pod
}

fn message(cluster: &Cluster, pod: &str) -> String {
    let pod = cluster.object("pods", NS, pod).unwrap();
    pod["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

fn reasons(cluster: &Cluster, pod: &str) -> Vec<Value> {
    let events = cluster.objects("events", Some(NS));
    let about = events.iter().filter(|event| event["involvedObject"]["name"] == pod);
    about.map(|event| json!([event["reason"], event["message"]])).collect()
}

/// Guards that the nodes are there with their names, zones and addresses, and that Pods run on all of them.
#[tokio::test(start_paused = true)]
async fn pods_run_on_all_nodes() {
    let cluster = cluster(3);
    let label = |node: &Value, key: &str| node["metadata"]["labels"][key].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let nodes: Vec<_> = cluster
        .objects("nodes", None)
        .iter()
        .map(|node| {
            let address = node["status"]["addresses"][0]["address"].as_str().unwrap().to_owned();
            let zone = label(node, "topology.kubernetes.io/zone");
            format!("{} {zone} {address}", label(node, "kubernetes.io/hostname"))
        })
        .collect();
    let expected =
        ["sim-node zone-a 192.0.2.2", "sim-node-2 zone-b 192.0.2.3", "sim-node-3 zone-c 192.0.2.4"];
    assert_eq!(nodes, expected);
    let mut used = Vec::new();
    for name in ["a", "b", "c"] {
        create(&cluster, &pod(name)).await;
        used.push(node_of(&cluster, name).await);
    }
    used.sort();
    assert_eq!(used, ["sim-node", "sim-node-2", "sim-node-3"]);
    let on_third = cluster.objects("pods", Some(NS));
    let third = on_third.iter().find(|pod| pod["spec"]["nodeName"] == "sim-node-3").unwrap();
    assert_eq!(third["status"]["hostIP"], "192.0.2.4");
}

/// Guards that Pods that keep away from each other take a node each, and that the next one waits for a place.
#[tokio::test(start_paused = true)]
async fn pods_that_keep_apart_take_a_node_each() {
    let cluster = cluster(2);
    let term = json!({
        "labelSelector": {"matchLabels": {"app": "deer-flow-sandbox"}}, "topologyKey": "kubernetes.io/hostname",
    });
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let apart = |name: &str| spec_with(name, "affinity", affinity.clone());
    create(&cluster, &apart("a")).await;
    create(&cluster, &apart("b")).await;
    assert_ne!(node_of(&cluster, "a").await, node_of(&cluster, "b").await);
    create(&cluster, &apart("c")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        message(&cluster, "c"),
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, \
         preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    );
    delete(&cluster, "pods/a").await;
    until(&cluster, "c", is_ready).await;
}

/// Guards taints that are set while the cluster runs: Pods avoid the node, and go there once they tolerate it.
#[tokio::test(start_paused = true)]
async fn a_taint_keeps_pods_away() {
    let cluster = cluster(2);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let taint = |node: &str| {
        let taints = json!([{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]);
        cluster.change("nodes", "", node, |node| node["spec"]["taints"] = taints).unwrap();
    };
    taint("sim-node");
    create(&cluster, &pod("a")).await;
    assert_eq!(node_of(&cluster, "a").await, "sim-node-2");
    taint("sim-node-2");
    create(&cluster, &pod("b")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        message(&cluster, "b").starts_with("0/2 nodes are available: 2 node(s) had untolerated taint(s).")
    );
    let tolerations =
        json!([{"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]);
    create(&cluster, &spec_with("c", "tolerations", tolerations)).await;
    until(&cluster, "c", is_ready).await;
}

/// Guards that a local volume keeps its Pod on its node, and what happens to a network volume that another node has.
#[tokio::test(start_paused = true)]
async fn a_volume_binds_pods_to_a_node() {
    let cluster = cluster(2);
    let class = json!({"metadata": {"name": "net"}, "provisioner": "csi.example.com", "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate"});
    cluster.put("storageclasses", class).unwrap();
    let on = |name: &str, claim: &str, node: &str| {
        let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
        let mut pod = spec_with(name, "volumes", volumes);
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        pod
    };
    for (name, class) in [("local", "standard"), ("net", "net")] {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}}});
        let claim = json!({"metadata": {"name": name}, "spec": spec});
        assert_eq!(call(&cluster, "POST", "persistentvolumeclaims", &claim).await.0, 201);
        create(&cluster, &on(&format!("{name}-1"), name, "sim-node-2")).await;
        assert_eq!(node_of(&cluster, &format!("{name}-1")).await, "sim-node-2");
        create(&cluster, &on(&format!("{name}-2"), name, "sim-node")).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        message(&cluster, "local-2"),
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) didn't match Pod's \
         node affinity/selector. no new claims to deallocate, preemption: 0/2 nodes are available: 2 \
         Preemption is not helpful for scheduling."
    );
    let waiting = cluster.object("pods", NS, "net-2").unwrap();
    let state = &waiting["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
    assert_eq!((state, &waiting["spec"]["nodeName"]), (&json!("ContainerCreating"), &json!("sim-node")));
    let claim = cluster.object("persistentvolumeclaims", NS, "net").unwrap();
    let volume = claim["spec"]["volumeName"].as_str().unwrap();
    let why = format!("Multi-Attach error for volume {volume:?} Volume is already used by pod(s) net-1");
    assert!(reasons(&cluster, "net-2").contains(&json!(["FailedAttachVolume", why])));
    delete(&cluster, "pods/net-1").await;
    until(&cluster, "net-2", is_ready).await;
}
