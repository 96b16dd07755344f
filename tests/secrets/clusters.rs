//! A daemon on clusters that serve it, refuse it, cannot be reached, or repeat its own credentials to it.

use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::Value;
use simcluster::{AccessOptions, Cluster, Options, Tls, User};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    api_server::{Answer, Echo},
    kubeconfig,
    mark::{is_not_in, secret},
    program::{Program, command, key},
    support::until,
};

/// A cluster behind TLS that knows one token.
struct Guarded {
    cluster: Cluster,
    url: String,
    authority: String,
    server: JoinHandle<()>,
}

impl Guarded {
    async fn start(user: User) -> Self {
        let access = AccessOptions::rbac().token(secret("token"), user);
        let cluster = Cluster::start(Options { access, ..Options::default() });
        let tls = Tls::generate(&[]).unwrap();
        let authority = tls.authority().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let serve = simcluster::serve_tls(listener, cluster.clone(), tls, std::future::pending());
        Self { cluster, url, authority, server: tokio::spawn(serve) }
    }

    fn authority(&self) -> Vec<String> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        vec![format!("certificate-authority-data: {}", STANDARD.encode(&self.authority))]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A daemon on this kubeconfig, in both formats of the log: waits for `/readyz` to say these words, asks for
/// everything, and looks through all that comes back and all that is logged.
async fn tells_nothing(server: &str, cluster: &[String], user: &[String], words: &str) {
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

/// All goes well: nothing is told in the log, in an answer, or in what is written to the cluster, Events included.
#[tokio::test]
async fn on_a_cluster_that_serves() {
    let guarded = Guarded::start(User::admin()).await;
    tells_nothing(&guarded.url, &guarded.authority(), &kubeconfig::token(), "readyz check passed").await;

    let folder = tempfile::tempdir().unwrap();
    let path = kubeconfig::write(folder.path(), &guarded.url, &guarded.authority(), &kubeconfig::token());
    let variables = [("PROVISIONER_REAP_GRACE", "1s")];
    let program = Program::start(&path, "json", &variables).await;
    program.until_it_says("readyz check passed").await;
    let headers = [("content-type", "application/json"), ("x-provisioner-owner", "gateway-1")];
    let body = r#"{"sandbox_id":"kept","ttl":"2s","thread_id":"t"}"#;
    let made = program.client.send(http::Method::POST, "/api/sandboxes", &headers, Some(body.into())).await;
    assert_eq!(made.status, 200, "{made:?}");
    let is_ours = |event: &Value| event["reportingComponent"] == "sandbox-provisioner";
    let events = || guarded.cluster.objects("events", None).iter().any(is_ours);
    until("the sandbox is reaped, and an Event says so", async || events()).await;
    for resource in ["pods", "services", "events", "namespaces"] {
        for object in guarded.cluster.objects(resource, None) {
            is_not_in(resource, &object.to_string());
        }
    }
    program.stop().await;
}

/// The credentials are not known, or give no right: what is said of it holds none of them.
#[tokio::test]
async fn on_a_cluster_that_refuses() {
    let guarded = &Guarded::start(User::new("somebody")).await;
    let users = [
        (kubeconfig::token(), "Forbidden"),
        (kubeconfig::password(), "Forbidden"),
        (vec![format!("token: \"{}\"", secret("another"))], "Unauthorized"),
    ];
    let told = users.map(async |(user, words)| {
        tells_nothing(&guarded.url, &guarded.authority(), &user, words).await;
    });
    join_all(told).await;
}

/// The certificate is not trusted, nobody listens, or the server's URL has a password in it.
#[tokio::test]
async fn on_a_cluster_that_cannot_be_reached() {
    let guarded = Guarded::start(User::admin()).await;
    let with_password = format!("https://{}:{}@127.0.0.1:1", secret("user"), secret("password"));
    let servers = [
        (guarded.url.as_str(), "certificate"),
        ("https://127.0.0.1:1", "Unreachable"),
        (&with_password, "Unreachable"),
    ];
    let told = servers.map(async |(url, words)| tells_nothing(url, &[], &kubeconfig::token(), words).await);
    join_all(told).await;
}

/// What the API server, or a proxy before it, says may hold what it was sent.
#[tokio::test]
async fn on_a_cluster_that_repeats_credentials() {
    let clusters = [
        (Answer::Unauthorized, "Unauthorized"),
        (Answer::Forbidden, "Forbidden"),
        (Answer::Broken, "ServerError"),
        (Answer::Unreadable, "could not be understood"),
        (Answer::Refused, "watch"),
    ];
    let told = clusters.map(async |(answer, words)| {
        let echo = Echo::start(answer).await;
        tells_nothing(&format!("http://{}", echo.address), &[], &kubeconfig::token(), words).await;
    });
    join_all(told).await;
}

/// The kubeconfig itself is broken, in ways that parsers like to quote, or its credential plug-in is.
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
    let told = broken.map(async |(cluster, user, words)| tells_nothing(url, &cluster, &user, words).await);
    join_all(told).await;
}

/// The embedded cluster gives out a token of its own: in the kubeconfig, and nowhere else.
#[tokio::test]
async fn the_embedded_clusters_own_token_is_not_told() {
    use tokio::io::AsyncReadExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.yaml");
    let arguments =
        ["cluster", "--listen", "127.0.0.1:0", "--rbac", "--write-kubeconfig", path.to_str().unwrap()];
    let variables = [("PROVISIONER_LOG_LEVEL", "trace"), ("PROVISIONER_LOG_FORMAT", "json")];
    let mut cluster = command(&arguments, &variables).spawn().unwrap();
    until("the kubeconfig is written", async || path.exists()).await;
    let program = Program::start(&path, "json", &[]).await;
    program.until_it_says("readyz check passed").await;
    let answers = program.ask_for_everything().await;
    let log = program.stop().await;
    cluster.start_kill().unwrap();
    let mut said = String::new();
    cluster.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
    cluster.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();

    let written = kube::config::Kubeconfig::read_from(&path).unwrap();
    let token = written.auth_infos[0].auth_info.as_ref().unwrap().token.clone().unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&token);
    for (what, text) in [("the cluster", said), ("an answer", answers), ("the log", log)] {
        assert!(!text.contains(token) && !text.contains(key()), "{what} tells a secret");
    }
    tokio::time::timeout(Duration::from_secs(10), cluster.wait()).await.unwrap().unwrap();
}
