//! Claims, volumes and storage classes, as a client sees them.

use std::time::Duration;

use serde_json::{Value, json};
use simcluster::Cluster;

use crate::client::{NS, SOON, call, cluster, create, delete, get, is_ready, pod};

/// A claim of a class; `None` takes the default one.
fn claim(name: &str, class: Option<&str>) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = class.into();
    }
    claim
}

fn mounting(name: &str, claim: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    pod
}

fn put_class(cluster: &Cluster, name: &str, mode: &str, reclaim: &str) {
    let class = json!({
        "metadata": {"name": name}, "provisioner": "csi.example.com", "reclaimPolicy": reclaim,
        "volumeBindingMode": mode, "allowVolumeExpansion": true,
    });
    cluster.put("storageclasses", class).unwrap();
}

async fn make(cluster: &Cluster, claim: &Value) -> Value {
    let (status, made) = call(cluster, "POST", "persistentvolumeclaims", claim).await;
    assert_eq!(status, 201, "{made}");
    made
}

/// Waits until a claim matches, and returns it.
async fn until(cluster: &Cluster, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = |claims: &[Value]| claims.iter().find(|c| c["metadata"]["name"] == name).cloned();
    let seen = |claims: &[Value]| found(claims).is_some_and(|claim| wanted(&claim));
    found(&cluster.wait_for("persistentvolumeclaims", Some(NS), SOON, seen).await.unwrap()).unwrap()
}

async fn bound(cluster: &Cluster, name: &str) -> Value {
    until(cluster, name, |claim| claim["status"]["phase"] == "Bound").await
}

async fn pod_ready(cluster: &Cluster, name: &str) {
    let ready = |pods: &[Value]| pods.iter().any(|pod| pod["metadata"]["name"] == name && is_ready(pod));
    cluster.wait_for("pods", Some(NS), SOON, ready).await.unwrap();
}

fn scheduler_message(cluster: &Cluster, pod: &str) -> Value {
    cluster.object("pods", NS, pod).unwrap()["status"]["conditions"][0]["message"].clone()
}

/// Guards the default class: it is set at the creation, and its claims wait for a Pod and then sit on its node.
#[tokio::test(start_paused = true)]
async fn a_claim_of_the_default_class_waits_for_its_first_pod() {
    let cluster = cluster();
    let made = make(&cluster, &claim("data", None)).await;
    assert_eq!(made["spec"]["storageClassName"], "standard");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(get(&cluster, "persistentvolumeclaims/data").await.1["status"], json!({"phase": "Pending"}));

    create(&cluster, &mounting("a", "data")).await;
    pod_ready(&cluster, "a").await;
    let claim = bound(&cluster, "data").await;
    assert_eq!(claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"], "sim-node");
    let status = json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}});
    assert_eq!(claim["status"], status);
    let volume =
        cluster.object("persistentvolumes", "", claim["spec"]["volumeName"].as_str().unwrap()).unwrap();
    assert_eq!(volume["status"]["phase"], "Bound");
    assert_eq!(volume["spec"]["claimRef"]["uid"], claim["metadata"]["uid"]);
    let term = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!(term["values"], json!(["sim-node"]));
}

/// Guards immediate binding, and that a claim of a class that does not exist stays pending until it does.
#[tokio::test(start_paused = true)]
async fn an_immediate_claim_is_bound_by_itself_once_its_class_exists() {
    let cluster = cluster();
    make(&cluster, &claim("data", Some("fast"))).await;
    create(&cluster, &mounting("a", "data")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(get(&cluster, "persistentvolumeclaims/data").await.1["status"]["phase"], "Pending");
    assert_eq!(
        scheduler_message(&cluster, "a"),
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    );
    put_class(&cluster, "fast", "Immediate", "Delete");
    bound(&cluster, "data").await;
    pod_ready(&cluster, "a").await;
}

/// Guards that a claim in use outlives its deletion until its last Pod has gone, and that no new Pod gets it.
#[tokio::test(start_paused = true)]
async fn a_deleted_claim_stays_while_a_pod_has_it() {
    let cluster = cluster();
    put_class(&cluster, "fast", "Immediate", "Delete");
    make(&cluster, &claim("data", Some("fast"))).await;
    create(&cluster, &mounting("a", "data")).await;
    pod_ready(&cluster, "a").await;
    let (status, answer) = delete(&cluster, "persistentvolumeclaims/data").await;
    assert_eq!((status, &answer["metadata"]["finalizers"]), (200, &json!(["kubernetes.io/pvc-protection"])));
    create(&cluster, &mounting("late", "data")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cluster.object("persistentvolumeclaims", NS, "data").is_some());
    assert_eq!(
        scheduler_message(&cluster, "late"),
        "0/1 nodes are available: persistentvolumeclaim \"data\" is being deleted. not found"
    );
    delete(&cluster, "pods/a").await;
    let gone = |claims: &[Value]| claims.is_empty();
    cluster.wait_for("persistentvolumeclaims", Some(NS), SOON, gone).await.unwrap();
    cluster.wait_for("persistentvolumes", None, SOON, gone).await.unwrap();
}

/// Guards `Retain`: the volume outlives its claim, and goes when it is deleted.
#[tokio::test(start_paused = true)]
async fn a_retained_volume_is_released_and_stays() {
    let cluster = cluster();
    put_class(&cluster, "kept", "Immediate", "Retain");
    make(&cluster, &claim("data", Some("kept"))).await;
    bound(&cluster, "data").await;
    delete(&cluster, "persistentvolumeclaims/data").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let volumes = cluster.objects("persistentvolumes", None);
    assert_eq!(volumes.len(), 1);
    assert_eq!(volumes[0]["status"]["phase"], "Released");
}

/// Guards that a claim whose volume is gone is lost, and what the scheduler says about it.
#[tokio::test(start_paused = true)]
async fn a_claim_without_its_volume_is_lost() {
    let cluster = cluster();
    put_class(&cluster, "fast", "Immediate", "Delete");
    make(&cluster, &claim("data", Some("fast"))).await;
    let volume = bound(&cluster, "data").await["spec"]["volumeName"].as_str().unwrap().to_owned();
    cluster.remove("persistentvolumes", "", &volume).unwrap();
    let lost = until(&cluster, "data", |claim| claim["status"]["phase"] == "Lost").await;
    assert_eq!(lost["status"], json!({"phase": "Lost"}));
    create(&cluster, &mounting("a", "data")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let expected = format!(
        "0/1 nodes are available: persistentvolumeclaim \"data\" bound to non-existent persistentvolume {volume:?}. \
         not found"
    );
    assert_eq!(scheduler_message(&cluster, "a"), expected);
}

/// Guards growth: the class must allow it, the volume grows at once, the file system only under a Pod, and no claim
/// shrinks.
#[tokio::test(start_paused = true)]
async fn a_claim_grows_where_its_class_allows_it() {
    let cluster = cluster();
    put_class(&cluster, "fast", "Immediate", "Delete");
    make(&cluster, &claim("data", Some("fast"))).await;
    let size = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let path = "persistentvolumeclaims/data";
    let (status, answer) = call(&cluster, "PATCH", path, &size("2Gi")).await;
    assert_eq!(status, 422, "it is not bound: {answer}");
    bound(&cluster, "data").await;
    assert_eq!(call(&cluster, "PATCH", path, &size("2Gi")).await.0, 200);
    let pending = |claim: &Value| claim["status"]["conditions"][0]["type"] == "FileSystemResizePending";
    let claim = until(&cluster, "data", pending).await;
    assert_eq!(claim["status"]["capacity"]["storage"], "1Gi");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(get(&cluster, path).await.1["status"]["capacity"]["storage"], "1Gi");
    create(&cluster, &mounting("a", "data")).await;
    let claim = until(&cluster, "data", |claim| claim["status"]["capacity"]["storage"] == "2Gi").await;
    assert_eq!(claim["status"].get("conditions"), None);

    let (status, answer) = call(&cluster, "PATCH", path, &size("1Gi")).await;
    assert_eq!(status, 422);
    let message = "PersistentVolumeClaim \"data\" is invalid: spec.resources.requests.storage: Forbidden: field can \
                   not be less than status.capacity";
    assert_eq!(answer["message"], message);

    make(&cluster, &self::claim("fixed", None)).await;
    create(&cluster, &mounting("b", "fixed")).await;
    bound(&cluster, "fixed").await;
    let (status, answer) = call(&cluster, "PATCH", "persistentvolumeclaims/fixed", &size("2Gi")).await;
    assert_eq!(status, 403);
    let message = "persistentvolumeclaims \"fixed\" is forbidden: only dynamically provisioned pvc can be resized and \
                   the storageclass that provisions the pvc must support resize";
    assert_eq!(answer["message"], message);
}

/// Guards that quotas count claims and their sizes, at the creation and at growth.
#[tokio::test(start_paused = true)]
async fn quotas_count_claims_and_their_sizes() {
    let cluster = cluster();
    put_class(&cluster, "fast", "Immediate", "Delete");
    let hard = json!({"persistentvolumeclaims": "2", "requests.storage": "3Gi"});
    let quota = json!({"metadata": {"name": "q", "namespace": NS}, "spec": {"hard": hard}});
    cluster.put("resourcequotas", quota).unwrap();
    make(&cluster, &claim("a", Some("fast"))).await;
    bound(&cluster, "a").await;
    let mut large = claim("b", Some("fast"));
    large["spec"]["resources"]["requests"]["storage"] = "2500Mi".into();
    let (status, answer) = call(&cluster, "POST", "persistentvolumeclaims", &large).await;
    let message = "persistentvolumeclaims \"b\" is forbidden: exceeded quota: q, requested: requests.storage=2500Mi, \
                   used: requests.storage=1Gi, limited: requests.storage=3Gi";
    assert_eq!((status, &answer["message"]), (403, &json!(message)));
    make(&cluster, &claim("b", Some("fast"))).await;
    let (status, answer) = call(&cluster, "POST", "persistentvolumeclaims", &claim("c", Some("fast"))).await;
    let message = "persistentvolumeclaims \"c\" is forbidden: exceeded quota: q, requested: persistentvolumeclaims=1, \
                   used: persistentvolumeclaims=2, limited: persistentvolumeclaims=2";
    assert_eq!((status, &answer["message"]), (403, &json!(message)));
    let grown = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    let (status, answer) = call(&cluster, "PATCH", "persistentvolumeclaims/a", &grown).await;
    let message = "persistentvolumeclaims \"a\" is forbidden: exceeded quota: q, requested: requests.storage=2Gi, \
                   used: requests.storage=2Gi, limited: requests.storage=3Gi";
    assert_eq!((status, &answer["message"]), (403, &json!(message)));
}

/// Guards that a claim that one Pod alone may use keeps a second Pod waiting.
#[tokio::test(start_paused = true)]
async fn a_claim_for_one_pod_keeps_the_next_one_waiting() {
    let cluster = cluster();
    let mut single = claim("data", None);
    single["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
    make(&cluster, &single).await;
    create(&cluster, &mounting("a", "data")).await;
    pod_ready(&cluster, "a").await;
    create(&cluster, &mounting("b", "data")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        scheduler_message(&cluster, "b"),
        "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod \
         access mode. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found \
         for incoming pod."
    );
    delete(&cluster, "pods/a").await;
    pod_ready(&cluster, "b").await;
}

/// Guards that a local directory is not shared: its provisioner makes no volume for such a claim.
#[tokio::test(start_paused = true)]
async fn a_local_volume_cannot_be_shared() {
    let cluster = cluster();
    let mut shared = claim("data", None);
    shared["spec"]["accessModes"] = json!(["ReadWriteMany"]);
    make(&cluster, &shared).await;
    create(&cluster, &mounting("a", "data")).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(get(&cluster, "persistentvolumeclaims/data").await.1["status"]["phase"], "Pending");
    assert_eq!(
        cluster.object("pods", NS, "a").unwrap()["status"],
        json!({"phase": "Pending", "qosClass": "BestEffort"})
    );
    delete(&cluster, "pods/a").await;
    assert_eq!(cluster.count("pods", Some(NS)), 0);
}

/// Guards a claim that names its volume: it is bound to it once the volume exists.
#[tokio::test(start_paused = true)]
async fn a_claim_that_names_a_volume_gets_that_one() {
    let cluster = cluster();
    let mut named = claim("data", Some(""));
    named["spec"]["volumeName"] = "disk".into();
    make(&cluster, &named).await;
    let volume = json!({
        "metadata": {"name": "disk"},
        "spec": {
            "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/d"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    });
    cluster.put("persistentvolumes", volume).unwrap();
    let claim = bound(&cluster, "data").await;
    assert_eq!(claim["status"]["capacity"]["storage"], "5Gi");
    let volume = cluster.object("persistentvolumes", "", "disk").unwrap();
    assert_eq!(volume["spec"]["claimRef"]["name"], "data");
    assert_eq!(volume["status"]["phase"], "Bound");
}

/// Guards that a claim whose snapshot does not exist stays pending with one Event, as with a CSI driver, and gets its volume
/// once the snapshot exists. A cluster without the custom resource does the same.
#[tokio::test(start_paused = true)]
async fn a_missing_snapshot_keeps_a_claim_pending() {
    for custom_resources in [false, true] {
        let options = simcluster::Options { custom_resources, ..simcluster::Options::with_namespace(NS) };
        let cluster = Cluster::start(options);
        put_class(&cluster, "csi", "Immediate", "Delete");
        let mut wanted = claim("a", Some("csi"));
        wanted["spec"]["dataSource"] =
            json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "golden"});
        make(&cluster, &wanted).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let (_, pending) = get(&cluster, "persistentvolumeclaims/a").await;
        assert_eq!(pending["status"]["phase"], "Pending");
        let events = cluster.objects("events", Some(NS));
        assert_eq!(events.len(), 1, "{events:?}");
        let about = [&events[0]["type"], &events[0]["reason"], &events[0]["involvedObject"]["name"]];
        assert_eq!(about, ["Warning", "ProvisioningFailed", "a"]);
        let message = events[0]["message"].as_str().unwrap();
        assert!(
            message.ends_with("volumesnapshots.snapshot.storage.k8s.io \"golden\" not found"),
            "{message}"
        );
        if custom_resources {
            let snapshot = json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "golden"},
                "spec": {"source": {"persistentVolumeClaimName": "other"}},
            });
            let path = format!("/apis/snapshot.storage.k8s.io/v1/namespaces/{NS}/volumesnapshots");
            assert_eq!(call(&cluster, "POST", &path, &snapshot).await.0, 201);
            bound(&cluster, "a").await;
        }
    }
}
