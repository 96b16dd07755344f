//! The request that a Pod keeps, for a move to another cluster.

use lifecycle::lifetime::Limits;

use super::*;

/// Guards that the Pod of a cluster among several keeps its request, that a read gives it back with the limits of now, and
/// that the Pod of a single cluster does not keep it.
#[tokio::test(start_paused = true)]
async fn a_pod_keeps_its_request() {
    let request = CreateRequest { profile: None, include_legacy_skills: true, ..CreateRequest::new(id()) };
    let manifest = |cluster: &KubeCluster| -> Value {
        let manifests = cluster.manifests(&request).unwrap();
        serde_json::from_slice(&manifests.pod.unwrap().object).unwrap()
    };
    let (alone, _) = writes(|_, _| Answer::Silence);
    assert_eq!(manifest(&alone)["metadata"]["annotations"]["sandbox-provisioner/request"], Value::Null);
    alone.keep_requests(true);
    let mut made = manifest(&alone);
    made["metadata"]["uid"] = "ua".into();
    made["metadata"]["annotations"]["sandbox-provisioner/ttl"] = "2h".into();

    let (cluster, log) = writes(move |_, _| Answer::Json(200, made.clone()));
    let limits = Limits { ttl: Some(Duration::from_secs(7200)), idle_timeout: None };
    let kept = CreateRequest { limits, ..request.clone() };
    assert_eq!(cluster.read_request(id(), uid()).await, Ok(Some(kept)));
    assert_eq!(log.lines(), ["GET /api/v1/namespaces/rec/pods/sandbox-a"]);
    let other = cluster.read_request(id(), Uid("another".into())).await;
    assert_eq!(other.unwrap_err().kind, ClusterErrorKind::NotFound);
}

/// Guards that a Pod of an earlier release has no request, which is not an error, and that a missing Pod is one.
#[tokio::test(start_paused = true)]
async fn a_pod_may_keep_none() {
    let (cluster, _) = writes(|_, _| Answer::Json(200, pod("a", "ua", 5, "Running")));
    assert_eq!(cluster.read_request(id(), uid()).await, Ok(None));
    let (cluster, _) = writes(|_, _| failure(404, "NotFound", "pods \"sandbox-a\" not found"));
    assert_eq!(cluster.read_request(id(), uid()).await.unwrap_err().kind, ClusterErrorKind::NotFound);
}
