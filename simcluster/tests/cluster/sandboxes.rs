//! Sandboxes that answer on real sockets. These tests run in real time.

use simcluster::{Cluster, NodeOptions, Options, SessionKind, Times};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{NS, SOON, call, create, delete, is_ready, pod, service};

async fn ask(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Asks until the answer is as wanted, within a bound.
async fn ask_until(port: u16, wanted: impl Fn(Option<&str>) -> bool) {
    let asking = async {
        while !wanted(ask(port, "/v1/sandbox").await.as_deref()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, asking).await.unwrap();
}

/// Guards the promise behind a URL: it answers while the Pod is ready, and refuses before and after.
#[tokio::test]
async fn a_sandbox_answers_while_it_is_ready() {
    let node = NodeOptions { times: Times::INSTANT, ..NodeOptions::default() };
    let cluster = Cluster::start(Options {
        sandbox_servers: Some([127, 0, 0, 1].into()),
        node: Some(node),
        ..Options::with_namespace(NS)
    });
    let (_, made) = call(&cluster, "POST", "services", &service("a-svc", "a")).await;
    let port = u16::try_from(made["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    assert_eq!(ask(port, "/v1/sandbox").await, None);
    create(&cluster, &pod("a")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    ask_until(port, |answer| {
        answer.is_some_and(|a| a.starts_with("HTTP/1.1 200") && a.contains("\"pod\":\"a\""))
    })
    .await;
    // Its sessions can be listed.
    let sessions = async || ask(port, "/v1/bash/sessions").await.unwrap();
    assert!(sessions().await.contains("\"data\":[]"), "{}", sessions().await);
    cluster.begin_session(NS, "a", SessionKind::Bash, "s1");
    assert!(sessions().await.contains("\"session_id\":\"s1\""), "{}", sessions().await);
    cluster.end_session(NS, "a", SessionKind::Bash, "s1");
    assert!(!sessions().await.contains("s1"));
    assert!(ask(port, "/v1/other").await.unwrap().starts_with("HTTP/1.1 404"));
    delete(&cluster, "pods/a?gracePeriodSeconds=0").await;
    ask_until(port, |answer| answer.is_none()).await;
    // The port stays reserved until the Service is deleted.
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
    delete(&cluster, "services/a-svc").await;
}

/// Guards that the sandbox servers stop when the last handle of the cluster is dropped.
#[tokio::test]
async fn sandboxes_end_with_the_last_handle() {
    let cluster = Cluster::start(Options {
        sandbox_servers: Some([127, 0, 0, 1].into()),
        node: Some(NodeOptions { times: Times::INSTANT, ..NodeOptions::default() }),
        ..Options::with_namespace(NS)
    });
    let (_, made) = call(&cluster, "POST", "services", &service("a-svc", "a")).await;
    let port = u16::try_from(made["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    create(&cluster, &pod("a")).await;
    ask_until(port, |answer| answer.is_some()).await;
    let handle = cluster.clone();
    drop(cluster);
    assert!(ask(port, "/v1/sandbox").await.is_some());
    drop(handle);
    ask_until(port, |answer| answer.is_none()).await;
}
