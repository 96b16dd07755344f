//! The `kube` client against the cluster, in process and over a socket.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use simcluster::serve;

use crate::client::{NS, SOON, cluster, is_ready, pod, service};

/// Guards that `kube` understands the answers: create, list, patch, watch, delete.
#[tokio::test(start_paused = true)]
async fn kube_works_in_process() {
    let cluster = cluster();
    let client = kube::Client::new(cluster.service(), NS);
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let services: Api<Service> = Api::default_namespaced(client);
    let new: Pod = serde_json::from_value(pod("a")).unwrap();
    let made = pods.create(&PostParams::default(), &new).await.unwrap();
    let error = pods.create(&PostParams::default(), &new).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.is_already_exists()));
    let new: Service = serde_json::from_value(service("a-svc", "a")).unwrap();
    let made_service = services.create(&PostParams::default(), &new).await.unwrap();
    assert!(made_service.spec.unwrap().ports.unwrap()[0].node_port.is_some());

    let version = made.metadata.resource_version.unwrap();
    let mut events = Box::pin(pods.watch(&WatchParams::default(), &version).await.unwrap());
    loop {
        let WatchEvent::Modified(pod) = events.next().await.unwrap().unwrap() else { panic!("not a change") };
        if is_ready(&serde_json::to_value(&pod).unwrap()) {
            break;
        }
    }
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"k": "v"}}}));
    pods.patch("a", &PatchParams::default(), &patch).await.unwrap();
    let listed = pods.list(&ListParams::default().labels("sandbox-id=a")).await.unwrap();
    assert_eq!(listed.items[0].metadata.annotations.as_ref().unwrap()["k"], "v");
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    cluster.wait_for("pods", Some(NS), SOON, <[_]>::is_empty).await.unwrap();
    services.delete("a-svc", &DeleteParams::default()).await.unwrap();
    assert_eq!(cluster.count("services", Some(NS)), 0);
}

/// Guards the server on a listener, and that its end cuts open connections.
#[tokio::test]
async fn kube_works_over_a_socket() {
    let cluster = cluster();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, cluster.clone(), async {
        let _ = stopped.await;
    }));
    let mut config = kube::Config::new(uri);
    config.default_namespace = NS.to_owned();
    let client = kube::Client::try_from(config).unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let new: Pod = serde_json::from_value(pod("a")).unwrap();
    pods.create(&PostParams::default(), &new).await.unwrap();
    assert_eq!(client.apiserver_version().await.unwrap().git_version, "v1.36.2");
    // From then on the Pod does not change, so the first event is also the last.
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    let mut events = Box::pin(pods.watch(&WatchParams::default(), "0").await.unwrap());
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))));
    stop.send(()).unwrap();
    tokio::time::timeout(SOON, server).await.unwrap().unwrap();
    let rest = tokio::time::timeout(SOON, events.collect::<Vec<_>>()).await.unwrap();
    assert!(rest.last().is_none_or(Result::is_err));
}
