//! The writes beside the recorded requests: the scheduler's, and those of the recorder's node, which accepts every Pod.

use serde_json::{Value, json};
use simcluster::{AccessOptions, Cluster, Effect, NodeOptions, Options, Refusal, Rule, User, Verb};
use tokio::task::JoinHandle;

const WHEN: &str = "2026-11-21T04:20:13Z";

/// The recorder, who may do everything.
const RECORDER: &str = "recorder";

/// The users of the recorded requests: the recorder, and one without any permission.
pub fn users() -> AccessOptions {
    AccessOptions::rbac().token(RECORDER, User::admin()).token("nobody", User::new("provisioner"))
}

/// The token that was shown with a recording. The file does not keep it, only what came of it.
pub fn token(recording: &str) -> Option<&'static str> {
    match recording {
        "pods-list-anonymous" => None,
        "pods-list-bad-token" => Some("unknown"),
        "pod-create-rbac-forbidden" => Some("nobody"),
        _ => Some(RECORDER),
    }
}

/// Brings the cluster to where it was before a recording; a cluster of its own for those that were made elsewhere.
pub async fn before(recording: &str, cluster: &Cluster) -> Option<Cluster> {
    match recording {
        "pod-get" => schedule(cluster, "a"),
        "pod-list-label-selector" => {
            run(cluster, "a");
            schedule(cluster, &generated(cluster));
        }
        "pod-list-partial-metadata" => run(cluster, &generated(cluster)),
        "pod-status-patch" => run(cluster, "applied"),
        "pod-delete-finalizer" => run(cluster, "fin"),
        // The node stopped the Pod that was deleted with a grace period.
        "pod-deletecollection" => drop(cluster.remove("pods", "rec", "a").unwrap()),
        "quota-create" => {
            for pod in cluster.objects("pods", Some("rec")) {
                cluster.remove("pods", "rec", pod["metadata"]["name"].as_str().unwrap()).unwrap();
            }
        }
        "pod-create-quota-exceeded" => run(cluster, "q1"),
        "pod-delete-owner" => run(cluster, "own"),
        // Controllers and the scheduler act some time later.
        "quota-delete" | "svc-get-after-owner-deleted" | "pod-get-unschedulable" => settle().await,
        "apf-429" => fault(cluster, Refusal::TooManyRequests),
        "svc-create-nodeport-range-4" => return Some(full_of_services().await),
        "pod-create-unschedulable" => {
            let node = NodeOptions::default();
            return Some(Cluster::start(Options { node: Some(node), ..Options::default() }));
        }
        "pod-get-node-selector-mismatch" => {
            let mut spec = pod_spec();
            spec["nodeSelector"] = json!({"nope": "x"});
            create(cluster, "default", "sel", spec).await;
        }
        "pod-get-pvc-missing" => {
            let mut spec = pod_spec();
            spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "missing"}}]);
            create(cluster, "default", "pvc", spec).await;
        }
        _ => {}
    }
    None
}

/// Makes the changes that were made while a recorded watch was open.
pub fn during(recording: &str, cluster: &Cluster) -> JoinHandle<()> {
    let watched = ["pods-watch-lifecycle", "pods-watch-selector-leaves"].contains(&recording);
    let cluster = cluster.clone();
    tokio::spawn(async move {
        if !watched {
            return;
        }
        create(&cluster, "rec", "w1", pod_spec()).await;
        schedule(&cluster, "w1");
        run(&cluster, "w1");
        let change = json!({"metadata": {"labels": {"sandbox-id": null}}});
        send(&cluster, "PATCH", "/api/v1/namespaces/rec/pods/w1", &change).await;
        send(&cluster, "DELETE", "/api/v1/namespaces/rec/pods/w1?gracePeriodSeconds=0", &Value::Null).await;
    })
}

/// Removes the faults of one recording.
pub fn after(_: &str, cluster: &Cluster) {
    cluster.clear_faults();
}

/// Lets everything that is due soon happen.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
}

fn fault(cluster: &Cluster, refusal: Refusal) {
    cluster.fault(Rule::new(Effect::Refuse(refusal)));
}

fn generated(cluster: &Cluster) -> String {
    let pods = cluster.objects("pods", Some("rec"));
    let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    names.into_iter().find(|name| name.starts_with("gen-")).unwrap().to_owned()
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": WHEN})
}

/// Writes as the scheduler does.
fn schedule(cluster: &Cluster, pod: &str) {
    let write = |pod: &mut Value| {
        pod["spec"]["nodeName"] = "fake-0".into();
        pod["status"]["conditions"] = json!([condition("PodScheduled")]);
    };
    cluster.put_by("pods", "rec", pod, write);
}

/// Writes as the recorder's node does.
fn run(cluster: &Cluster, pod: &str) {
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    let write = |pod: &mut Value| {
        pod["spec"]["nodeName"] = "fake-0".into();
        let status = &mut pod["status"];
        status["phase"] = "Running".into();
        status["conditions"] = json!(conditions);
        status["hostIP"] = "127.0.0.1".into();
        status["podIP"] = "10.0.0.9".into();
        status["podIPs"] = json!([{"ip": "10.0.0.9"}]);
        status["startTime"] = WHEN.into();
        status["containerStatuses"] = json!([{
            "name": "sandbox", "state": {"running": {"startedAt": WHEN}}, "lastState": {}, "ready": true,
            "restartCount": 0, "image": "img:1", "imageID": "x", "started": true,
        }]);
    };
    cluster.put_by("pods", "rec", pod, write);
}

/// Writes through the handle that do not count as changes of the spec.
trait PutBy {
    fn put_by(&self, resource: &str, namespace: &str, name: &str, write: impl FnOnce(&mut Value));
}

impl PutBy for Cluster {
    fn put_by(&self, resource: &str, namespace: &str, name: &str, write: impl FnOnce(&mut Value)) {
        let mut object = self.object(resource, namespace, name).unwrap();
        write(&mut object);
        self.put(resource, object).unwrap();
    }
}

fn pod_spec() -> Value {
    json!({
        "containers": [{
            "name": "sandbox", "image": "img:1", "imagePullPolicy": "IfNotPresent",
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1000m", "memory": "1Gi"},
            },
        }],
        "restartPolicy": "Always",
    })
}

async fn create(cluster: &Cluster, namespace: &str, name: &str, spec: Value) {
    let labels = json!({"app": "deer-flow-sandbox", "sandbox-id": name});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec});
    send(cluster, "POST", &format!("/api/v1/namespaces/{namespace}/pods"), &pod).await;
    if namespace == "default" {
        settle().await;
    }
}

async fn send(cluster: &Cluster, method: &str, path: &str, body: &Value) {
    use tower::ServiceExt;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {RECORDER}"))
        .header(
            "content-type",
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" },
        )
        .body(http_body_util::Full::new(bytes::Bytes::from(body)))
        .unwrap();
    let answer = cluster.service().oneshot(request).await.unwrap();
    assert!(answer.status().is_success(), "{method} {path}: {answer:?}");
}

/// A cluster whose three node ports are taken.
async fn full_of_services() -> Cluster {
    let options = Options { node_ports: 30000..=30002, ..Options::with_namespace("rec2") };
    let cluster = Cluster::start(Options { node: None, ..options });
    for name in ["np1", "np2", "np3"] {
        let spec = json!({"type": "NodePort", "ports": [{"port": 8080}]});
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
        send(&cluster, "POST", "/api/v1/namespaces/rec2/services", &service).await;
    }
    assert_eq!(cluster.count_calls(Verb::Create, "services"), 3);
    cluster
}
