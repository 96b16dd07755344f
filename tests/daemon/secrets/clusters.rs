//! Tests on clusters that accept the daemon, reject it, are unreachable or repeat its credentials.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::{join, join_all};
use http::Method;
use serde_json::{Value, json};
use simcluster::{AccessOptions, Cluster, Options, User};
use testkit::{ServedCluster, command, until};
use tokio::io::AsyncReadExt;

use super::{
    api_server::{Echo, Reply},
    kubeconfig,
    mark::{is_not_in, secret},
    program::{Program, key},
};
use crate::PROGRAM;

/// Starts a cluster with TLS that knows one token.
async fn guarded(user: User) -> ServedCluster {
    let access = AccessOptions::rbac().token(secret("token"), user);
    ServedCluster::https(Cluster::start(Options { access, ..Options::default() })).await
}

/// Returns the line of a kubeconfig with the cluster's certificate authority.
fn authority(cluster: &ServedCluster) -> Vec<String> {
    let authority = STANDARD.encode(cluster.authority.as_ref().unwrap());
    vec![format!("certificate-authority-data: {authority}")]
}

/// Starts a daemon with this kubeconfig, in both log formats. Waits until `/readyz` contains these words, sends every
/// kind of request, and searches all answers and all that is logged.
async fn discloses_nothing(server: &str, cluster: &[String], user: &[String], words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = kubeconfig::write(folder.path(), server, cluster, user);
    let path = &path;
    let in_format = async |format| {
        let program = Program::start(path, format, &[]).await;
        let mut answers = program.until_it_says(words).await;
        answers += &program.ask_for_everything().await;
        is_not_in("an answer", &answers);
        let log = program.stop().await;
        assert!(log.contains("answered") && log.contains("DEBUG"), "the log says something: {log}");
    };
    join(in_format("json"), in_format("text")).await;
}

/// Guards that nothing is disclosed in the log, in an answer or in an object of the cluster, Events included.
#[tokio::test]
async fn on_a_cluster_that_serves() {
    let cluster = guarded(User::admin()).await;
    discloses_nothing(&cluster.url(), &authority(&cluster), &kubeconfig::token(), "readyz check passed")
        .await;

    let folder = tempfile::tempdir().unwrap();
    let path = kubeconfig::write(folder.path(), &cluster.url(), &authority(&cluster), &kubeconfig::token());
    let variables = [("PROVISIONER_REAP_GRACE", "1s")];
    let program = Program::start(&path, "json", &variables).await;
    program.until_it_says("readyz check passed").await;
    let headers = [("x-provisioner-owner", "gateway-1")];
    let body = json!({"sandbox_id": "kept", "ttl": "2s", "thread_id": "t"});
    let made = program.client.call_with(Method::POST, "/api/sandboxes", &headers, Some(body)).await;
    assert_eq!(made.status, 200, "{made:?}");
    let is_ours = |event: &Value| event["reportingComponent"] == "sandbox-provisioner";
    let events = || cluster.cluster.objects("events", None).iter().any(is_ours);
    until("the sandbox is reaped, and an Event says so", async || events()).await;
    for resource in ["pods", "services", "events", "namespaces"] {
        for object in cluster.cluster.objects(resource, None) {
            is_not_in(resource, &object.to_string());
        }
    }
    program.stop().await;
}

/// Guards that unknown credentials, and those without rights, are not part of any message.
#[tokio::test]
async fn on_a_cluster_that_refuses() {
    let cluster = guarded(User::new("somebody")).await;
    let users = [
        (kubeconfig::token(), "Forbidden"),
        (kubeconfig::password(), "Forbidden"),
        (vec![format!("token: \"{}\"", secret("another"))], "Unauthorized"),
    ];
    let checks = users.map(async |(user, words)| {
        discloses_nothing(&cluster.url(), &authority(&cluster), &user, words).await;
    });
    join_all(checks).await;
}

/// Guards the messages for an untrusted certificate, a refused connection and a URL that contains a password.
#[tokio::test]
async fn on_a_cluster_that_cannot_be_reached() {
    let cluster = guarded(User::admin()).await;
    let with_password = format!("https://{}:{}@127.0.0.1:1", secret("user"), secret("password"));
    let url = cluster.url();
    let servers = [
        (url.as_str(), "certificate"),
        ("https://127.0.0.1:1", "Unreachable"),
        (&with_password, "Unreachable"),
    ];
    let checks =
        servers.map(async |(url, words)| discloses_nothing(url, &[], &kubeconfig::token(), words).await);
    join_all(checks).await;
}

/// Guards that an API server or a proxy that repeats the request in its answer discloses nothing.
#[tokio::test]
async fn on_a_cluster_that_repeats_credentials() {
    let clusters = [
        (Reply::Unauthorized, "Unauthorized"),
        (Reply::Forbidden, "Forbidden"),
        (Reply::Broken, "ServerError"),
        (Reply::Unreadable, "could not be understood"),
        (Reply::Refused, "watch"),
    ];
    let checks = clusters.map(async |(reply, words)| {
        let echo = Echo::start(reply).await;
        discloses_nothing(&format!("http://{}", echo.address), &[], &kubeconfig::token(), words).await;
    });
    join_all(checks).await;
}

/// Guards the messages for an invalid kubeconfig, which parsers quote, and for a failing credential plug-in.
#[tokio::test]
async fn with_a_kubeconfig_that_is_broken() {
    let url = "https://127.0.0.1:1";
    let ca = vec![format!("certificate-authority-data: {}", secret("ca"))];
    let broken = [
        (vec![], vec![format!("token: {{{}: 1}}", secret("map"))], "not a valid kubeconfig"),
        (vec![], vec![format!("token: \"{}", secret("unclosed"))], "not a valid kubeconfig"),
        (vec![], vec![format!("client-key-data: {}", secret("key"))], "not usable"),
        (vec![], kubeconfig::broken_key(), "not usable"),
        (ca, kubeconfig::token(), "certificate authority"),
        (vec![], kubeconfig::plugin(1, &secret("plugin-stdout")), "credential plugin"),
        (vec![], kubeconfig::plugin(0, &secret("plugin-stdout")), "credentials"),
        (vec![], kubeconfig::plugin(0, &kubeconfig::credential()), "Unreachable"),
    ];
    let checks =
        broken.map(async |(cluster, user, words)| discloses_nothing(url, &cluster, &user, words).await);
    join_all(checks).await;
}

/// Guards that the embedded cluster writes its token only to the kubeconfig.
#[tokio::test]
async fn the_embedded_clusters_own_token_is_not_disclosed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.yaml");
    let arguments =
        ["cluster", "--listen", "127.0.0.1:0", "--rbac", "--write-kubeconfig", path.to_str().unwrap()];
    let variables = [("PROVISIONER_LOG_LEVEL", "trace"), ("PROVISIONER_LOG_FORMAT", "json")];
    let mut cluster = command(PROGRAM, &arguments, &variables).spawn().unwrap();
    until("the kubeconfig is written", async || path.exists()).await;
    let program = Program::start(&path, "json", &[]).await;
    program.until_it_says("readyz check passed").await;
    let answers = program.ask_for_everything().await;
    let log = program.stop().await;
    cluster.start_kill().unwrap();
    let mut printed = String::new();
    cluster.stdout.take().unwrap().read_to_string(&mut printed).await.unwrap();
    cluster.stderr.take().unwrap().read_to_string(&mut printed).await.unwrap();

    let written = kube::config::Kubeconfig::read_from(&path).unwrap();
    let token = written.auth_infos[0].auth_info.as_ref().unwrap().token.clone().unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&token);
    for (what, text) in [("the cluster", printed), ("an answer", answers), ("the log", log)] {
        assert!(!text.contains(token) && !text.contains(key()), "{what} discloses a secret");
    }
    tokio::time::timeout(Duration::from_secs(10), cluster.wait()).await.unwrap().unwrap();
}
