//! Reads and writes beyond what the recordings hold.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simcluster::{Cluster, Options};

use crate::client::{NS, call, create, delete, get, pod, service, still_cluster};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

/// Guards paging: every object once, in order, whatever the page size.
#[tokio::test(start_paused = true)]
async fn pages_make_up_the_whole() {
    let cluster = still_cluster();
    let wanted = ["a", "b", "c", "d", "e"];
    for name in wanted {
        create(&cluster, &pod(name)).await;
    }
    for limit in 1..=6 {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let (_, page) = get(&cluster, &format!("pods?limit={limit}&continue={token}")).await;
            seen.extend(names(&page).into_iter().map(str::to_owned));
            match page["metadata"]["continue"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, wanted, "limit {limit}");
    }
}

/// Guards optimistic concurrency: the second write of the same version is a conflict.
#[tokio::test(start_paused = true)]
async fn a_put_of_a_stale_version_is_a_conflict() {
    let cluster = still_cluster();
    let mut first = create(&cluster, &pod("a")).await;
    let mut second = first.clone();
    first["metadata"]["labels"]["x"] = "1".into();
    second["metadata"]["labels"]["x"] = "2".into();
    assert_eq!(call(&cluster, "PUT", "pods/a", &first).await.0, 200);
    let (status, body) = call(&cluster, "PUT", "pods/a", &second).await;
    assert_eq!((status, &body["reason"]), (409, &"Conflict".into()));
}

/// Guards deletes with a precondition: a new object with the same name stays.
#[tokio::test(start_paused = true)]
async fn a_delete_by_uid_spares_a_successor() {
    let cluster = still_cluster();
    let first = create(&cluster, &pod("a")).await;
    delete(&cluster, "pods/a").await;
    create(&cluster, &pod("a")).await;
    let options = json!({"preconditions": {"uid": first["metadata"]["uid"]}});
    assert_eq!(call(&cluster, "DELETE", "pods/a", &options).await.0, 409);
    assert_eq!(cluster.count("pods", Some(NS)), 1);
}

/// Guards node ports: they come back with the Service, also when its creation failed half way.
#[tokio::test(start_paused = true)]
async fn node_ports_are_given_back() {
    let options = Options { node_ports: 30000..=30000, ..Options::with_namespace(NS) };
    let cluster = Cluster::start(options);
    let mut bad = service("a", "a");
    bad["spec"]["selector"]["sandbox-id"] = "not a label".into();
    assert_eq!(call(&cluster, "POST", "services", &bad).await.0, 422);
    assert_eq!(call(&cluster, "POST", "services", &service("a", "a")).await.0, 201);
    assert_eq!(call(&cluster, "POST", "services", &service("b", "b")).await.0, 500);
    assert_eq!(delete(&cluster, "services/a").await.0, 200);
    let (status, made) = call(&cluster, "POST", "services", &service("b", "b")).await;
    assert_eq!((status, &made["spec"]["ports"][0]["nodePort"]), (201, &30000.into()));
    // A change of type gives it back too.
    let change = json!({"spec": {"type": "ClusterIP"}});
    let (status, changed) = call(&cluster, "PATCH", "services/b", &change).await;
    assert_eq!((status, changed["spec"]["ports"][0].get("nodePort")), (200, None));
    assert_eq!(call(&cluster, "POST", "services", &service("c", "c")).await.0, 201);
}

/// Guards the answers to what cannot be.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let cluster = still_cluster();
    create(&cluster, &pod("a")).await;
    let mut elsewhere = pod("b");
    elsewhere["metadata"]["namespace"] = "other".into();
    for (method, path, body, status) in [
        ("POST", "pods", elsewhere, 400),
        ("POST", "pods", json!([]), 400),
        ("POST", "pods", json!({"metadata": {}, "spec": {}}), 422),
        ("POST", "pods/a", pod("a"), 405),
        ("PUT", "pods", pod("a"), 405),
        ("PUT", "pods/a", pod("b"), 400),
        ("GET", "things", Value::Null, 404),
        ("GET", "pods?labelSelector=a%20b", Value::Null, 400),
        ("GET", "pods?fieldSelector=spec.none%3Dx", Value::Null, 400),
        ("PATCH", "pods/a", json!({"metadata": {"uid": "other"}}), 422),
        ("PATCH", "pods/a", json!({"spec": {"nodeName": "x"}}), 422),
    ] {
        let (found, answer) = call(&cluster, method, path, &body).await;
        assert_eq!(found, status, "{method} {path} {body}: {answer}");
    }
}

/// Guards independence: two clusters with the same seed have the same uids, and objects of one are not in the other.
#[tokio::test(start_paused = true)]
async fn clusters_do_not_meet() {
    let seeded = || Cluster::start(Options { seed: Some(1), node: None, ..Options::with_namespace(NS) });
    let (one, other) = (seeded(), seeded());
    let made = create(&one, &pod("a")).await;
    assert_eq!(other.count("pods", None), 0);
    assert_eq!(create(&other, &pod("a")).await["metadata"]["uid"], made["metadata"]["uid"]);
}

/// Guards that a cluster that is started again does not repeat the uids and generated names of the one before it.
#[tokio::test(start_paused = true)]
async fn without_a_seed_no_uid_is_repeated() {
    let generated = json!({
        "metadata": {"generateName": "a-"},
        "spec": {"containers": [{"name": "c", "image": "img:1"}]},
    });
    let (mut uids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..3 {
        let cluster = still_cluster();
        let namespaces = cluster.objects("namespaces", None);
        let pod = create(&cluster, &generated).await;
        names.insert(pod["metadata"]["name"].to_string());
        for object in namespaces.iter().chain([&pod]) {
            assert!(uids.insert(object["metadata"]["uid"].to_string()), "{object}");
        }
    }
    assert_eq!(names.len(), 3);
}

/// Guards quotas on amounts: requests add up, and ended or deleted Pods do not count.
#[tokio::test(start_paused = true)]
async fn a_quota_counts_amounts_and_forgets_what_is_gone() {
    let cluster = still_cluster();
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"requests.memory": "1Gi", "count/services": "1"}}});
    assert_eq!(call(&cluster, "POST", "resourcequotas", &quota).await.0, 201);
    let asking = |name: &str, memory: &str| {
        let mut pod = pod(name);
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": memory}});
        pod
    };
    create(&cluster, &asking("a", "600Mi")).await;
    let (status, body) = call(&cluster, "POST", "pods", &asking("b", "600Mi")).await;
    let message = "pods \"b\" is forbidden: exceeded quota: q, requested: requests.memory=600Mi, used: \
         requests.memory=600Mi, limited: requests.memory=1Gi";
    assert_eq!((status, &body["message"]), (403, &message.into()));
    cluster.set_phase(NS, "a", "Failed").unwrap();
    create(&cluster, &asking("b", "600Mi")).await;
    delete(&cluster, "pods/b").await;
    create(&cluster, &asking("c", "1Gi")).await;
    assert_eq!(call(&cluster, "POST", "services", &service("a", "a")).await.0, 201);
    assert_eq!(call(&cluster, "POST", "services", &service("b", "b")).await.0, 403);
}
