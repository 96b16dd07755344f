//! Custom resources, which a cluster has on request.

use serde_json::{Value, json};
use simcluster::{Cluster, Options};

use crate::client::{NS, call, delete, get};

fn policies() -> String {
    format!("/apis/cilium.io/v2/namespaces/{NS}/ciliumnetworkpolicies")
}

fn policy(spec: &Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "a"}, "spec": spec})
}

async fn groups(cluster: &Cluster) -> Vec<String> {
    let (_, groups) = get(cluster, "/apis").await;
    let versions =
        groups["groups"].as_array().unwrap().iter().map(|group| &group["versions"][0]["groupVersion"]);
    versions.map(|version| version.as_str().unwrap().to_owned()).collect()
}

/// Guards that a cluster has a custom resource only on request: otherwise it is not in the groups, which clients read to find
/// out, and not at its path.
#[tokio::test(start_paused = true)]
async fn there_is_none_by_default() {
    let cluster = Cluster::start(Options::with_namespace(NS));
    assert!(
        groups(&cluster).await.iter().all(|group| !group.contains("cilium") && !group.contains("snapshot"))
    );
    for path in ["/apis/cilium.io", "/apis/cilium.io/v2", &policies()] {
        let (status, body) = get(&cluster, path).await;
        assert_eq!(
            (status, &body["message"]),
            (404, &json!("the server could not find the requested resource")),
            "{path}"
        );
    }
    let (status, _) = call(&cluster, "POST", &policies(), &policy(&json!({}))).await;
    assert_eq!(status, 404);
}

/// Guards that an object is stored with all of its fields, is changed by a merge patch, and is listed and deleted.
#[tokio::test(start_paused = true)]
async fn objects_are_stored_as_they_are() {
    let cluster = Cluster::start(Options { custom_resources: true, ..Options::with_namespace(NS) });
    assert!(groups(&cluster).await.contains(&"cilium.io/v2".to_owned()));
    let (_, listed) = get(&cluster, "/apis/cilium.io/v2").await;
    assert_eq!(listed["resources"][0]["name"], "ciliumnetworkpolicies", "{listed}");
    assert_eq!(get(&cluster, "/apis/cilium.io/v1").await.0, 404);

    let spec =
        json!({"egress": [{"toFQDNs": [{"matchPattern": "*.example.com"}]}], "unknown": {"a": [1, null]}});
    let (status, made) = call(&cluster, "POST", &policies(), &policy(&spec)).await;
    assert_eq!((status, &made["spec"], &made["metadata"]["generation"]), (201, &spec, &json!(1)), "{made}");
    assert_eq!((&made["apiVersion"], &made["kind"]), (&json!("cilium.io/v2"), &json!("CiliumNetworkPolicy")));
    let one = format!("{}/a", policies());
    let (status, patched) = call(&cluster, "PATCH", &one, &json!({"spec": {"unknown": null}})).await;
    assert_eq!((status, &patched["spec"]), (200, &json!({"egress": spec["egress"]})), "{patched}");
    assert_eq!(patched["metadata"]["generation"], 2);
    let (_, all) = get(&cluster, &policies()).await;
    assert_eq!(
        (&all["kind"], all["items"].as_array().unwrap().len()),
        (&json!("CiliumNetworkPolicyList"), 1)
    );
    assert_eq!(delete(&cluster, &one).await.0, 200);
    assert_eq!(get(&cluster, &one).await.0, 404);
}
