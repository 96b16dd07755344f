use std::{path::Path, sync::Arc};

use http::Request;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::connect::Limits;

/// Guards that credentials are renewed before their end, and files are read each minute.
#[test]
fn the_next_renewal_is_computed() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let s = Duration::from_secs;
    let at = |seconds: i64| Some(now + jiff::SignedDuration::from_secs(seconds));
    for (expires_at, has_files, due) in [
        (None, false, None),
        (None, true, Some((s(60), Cause::Interval))),
        (at(3600), false, Some((s(3540), Cause::Expiring))),
        (at(3600), true, Some((s(60), Cause::Interval))),
        (at(100), false, Some((s(50), Cause::Expiring))),
        (at(100), true, Some((s(50), Cause::Expiring))),
        (at(0), false, Some((s(0), Cause::Expiring))),
        (at(-100), false, Some((s(0), Cause::Expiring))),
    ] {
        assert_eq!(due_in(expires_at, now, has_files), due, "{expires_at:?} {has_files}");
    }
    assert_eq!(
        [0, 1, 2, 5, 6, 60].map(|failures| waits().nth(failures).unwrap()),
        [s(1), s(2), s(4), s(32), s(60), s(60)]
    );
}

/// An API server that takes one token, and a kubeconfig's directory.
struct ApiServer {
    directory: tempfile::TempDir,
    port: u16,
    wanted: Arc<Mutex<&'static str>>,
    connection: Connection,
}

impl ApiServer {
    async fn new() -> Self {
        let wanted = Arc::new(Mutex::new("t1"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, wanted.clone()));
        let connection = Connection::new("rec", Limits::default());
        Self { directory: tempfile::tempdir().unwrap(), port, wanted, connection }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    /// Writes a kubeconfig with this user for this port.
    fn kubeconfig(&self, port: u16, user: &str) {
        self.write(
            "config",
            &format!(
                "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
                 users: [{{name: u, user: {{{user}}}}}]\n"
            ),
        );
    }

    fn options(&self) -> Options {
        Options {
            kubeconfig: self.path().join("config"),
            setting: "KUBECONFIG_PATH".to_owned(),
            context: None,
            in_cluster: None,
            api_server: None,
            tls_server_name: None,
            insecure_skip_tls_verify: false,
        }
    }

    /// Connects, and keeps the credentials valid while `check` runs.
    async fn keeping<F: Future<Output = ()>>(&self, check: F) {
        let options = self.options();
        let opened = self.connection.open(&options).await.unwrap();
        assert!(self.call().await, "the first credentials are taken");
        tokio::select! {
            _ = self.connection.keep_credentials(&options, opened) => {}
            () = check => {}
        }
    }

    /// Makes a call. Returns whether the API server took the credentials.
    async fn call(&self) -> bool {
        let request = Request::get("/version").body(Vec::new()).unwrap();
        let calls = self.connection.calls().unwrap();
        calls.request::<serde_json::Value>(request, Duration::from_secs(5)).await.is_ok()
    }

    /// Calls until the credentials are taken, for at most 20 s.
    async fn call_until_taken(&self) {
        for _ in 0..200 {
            if self.call().await {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the new credentials are not used");
    }
}

/// Answers each connection once: 200 to the wanted token, 401 to any other.
async fn serve(listener: TcpListener, wanted: Arc<Mutex<&'static str>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&request[..read]).to_lowercase();
        let taken = text.contains(&format!("authorization: bearer {}\r\n", *wanted.lock()));
        let status = if taken { "200 OK" } else { "401 Unauthorized" };
        let body = "{\"kind\":\"Pod\"}";
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// Guards that a plugin is run again after a 401, once for many refused calls, with and without an expiry.
#[tokio::test]
async fn a_plugin_is_run_again_after_a_401() {
    for expiry in ["", ",\"expirationTimestamp\":\"2126-01-01T00:00:00Z\""] {
        let server = ApiServer::new().await;
        // A shell runs the script: a program that was just written may be busy in another test's process.
        server.write(
            "plug",
            &format!(
                "echo run >> runs\nprintf '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
                 \"kind\":\"ExecCredential\",\"status\":{{\"token\":\"%s\"{expiry}}}}}' \"$(cat tok)\"\n"
            ),
        );
        server.write("tok", "t1");
        let script = format!("cd {0} && . ./plug", server.path().display());
        server.kubeconfig(
            server.port,
            &format!(
                "exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [\"-c\", {script:?}], \
                 interactiveMode: Never}}"
            ),
        );
        let runs = || std::fs::read_to_string(server.path().join("runs")).unwrap().lines().count();
        server
            .keeping(async {
                assert_eq!(runs(), 1, "one run for all clients");
                server.write("tok", "t2");
                *server.wanted.lock() = "t2";
                futures::future::join_all((0..20).map(|_| server.call())).await;
                server.call_until_taken().await;
                assert_eq!(runs(), 2, "one run for all refused calls");
            })
            .await;
    }
}

/// Guards that a kubeconfig that was replaced is read again after a 401.
#[tokio::test]
async fn a_replaced_kubeconfig_is_read_after_a_401() {
    let server = ApiServer::new().await;
    server.kubeconfig(server.port, "token: t1");
    server
        .keeping(async {
            server.kubeconfig(server.port, "token: t2");
            *server.wanted.lock() = "t2";
            assert!(!server.call().await);
            server.call_until_taken().await;
        })
        .await;
}

/// Guards that a kubeconfig that now names another API server is not followed there: the sandboxes are elsewhere.
#[tokio::test]
async fn a_kubeconfig_for_another_server_is_not_followed() {
    let (server, other) = (ApiServer::new().await, ApiServer::new().await);
    server.kubeconfig(server.port, "token: t1");
    let options = server.options();
    let opened = server.connection.open(&options).await.unwrap();
    server.kubeconfig(other.port, "token: t1");
    let error = opened.reread(&options).await.unwrap_err().to_string();
    assert!(error.contains("now names another API server; restart the daemon"), "{error}");
    std::fs::remove_file(server.path().join("config")).unwrap();
    assert!(opened.reread(&options).await.unwrap().is_equivalent(&opened), "a missing file changes nothing");
}

/// Guards that a token file that was replaced is read after a 401 at once, and each minute without one.
#[tokio::test]
async fn a_replaced_token_file_is_read() {
    let server = ApiServer::new().await;
    server.kubeconfig(server.port, "tokenFile: tok");
    server.write("tok", "t1\n");
    server
        .keeping(async {
            server.write("tok", "t2\n");
            *server.wanted.lock() = "t2";
            assert!(!server.call().await);
            server.call_until_taken().await;
        })
        .await;
    let options = server.options();
    let opened = server.connection.open(&options).await.unwrap();
    assert!(opened.has_files());
    server.write("tok", "t3");
    let reloaded = opened.reload().await.unwrap();
    assert!(server.connection.renew(&opened, reloaded).unwrap().is_some());
    *server.wanted.lock() = "t3";
    assert!(server.call().await);
}
