//! Garbage collection: objects whose owner is gone.

use serde_json::{Value, json};
use simcluster::{Cluster, Options};

use crate::client::{NS, SOON, call, create, delete, pod, service, still_cluster};

/// A Service that a Pod owns.
fn owned(name: &str, pod: &Value) -> Value {
    let mut service = service(name, name);
    let (owner, uid) = (&pod["metadata"]["name"], &pod["metadata"]["uid"]);
    service["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": uid}]);
    service
}

async fn nothing_is_left(cluster: &Cluster) {
    cluster.wait_for("services", Some(NS), SOON, <[_]>::is_empty).await.unwrap();
}

/// Guards that an object is collected when its owner was deleted before it was created, also if a new object has the
/// owner's name.
#[tokio::test(start_paused = true)]
async fn an_object_whose_owner_is_gone_is_collected() {
    let cluster = still_cluster();
    let gone = create(&cluster, &pod("a")).await;
    delete(&cluster, "pods/a").await;
    assert_eq!(call(&cluster, "POST", "services", &owned("late", &gone)).await.0, 201);
    nothing_is_left(&cluster).await;
    let successor = create(&cluster, &pod("a")).await;
    assert_eq!(call(&cluster, "POST", "services", &owned("earlier", &gone)).await.0, 201);
    assert_eq!(call(&cluster, "POST", "services", &owned("now", &successor)).await.0, 201);
    let left = cluster.wait_for("services", Some(NS), SOON, |all| all.len() == 1).await.unwrap();
    assert_eq!(left[0]["metadata"]["name"], "now");
}

/// Guards the collector where more happens at once than the server remembers events of.
#[tokio::test(start_paused = true)]
async fn an_owner_s_end_is_noticed_though_its_event_has_left_the_window() {
    let options = Options { node: None, watch_window: 1, ..Options::with_namespace(NS) };
    let cluster = Cluster::start(options);
    let owner = create(&cluster, &pod("a")).await;
    assert_eq!(call(&cluster, "POST", "services", &owned("s", &owner)).await.0, 201);
    // Through the handle, so that the collector does not run in between.
    cluster.remove("pods", NS, "a").unwrap();
    for name in ["b", "c"] {
        cluster.put("pods", json!({"metadata": {"namespace": NS, "name": name}})).unwrap();
    }
    nothing_is_left(&cluster).await;
}
