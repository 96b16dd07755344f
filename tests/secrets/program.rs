//! The daemon as a process of its own, and all that it says.

use std::{path::Path, process::Stdio, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use super::{
    mark::{is_not_in, secret},
    support::Client,
};

/// A running daemon.
pub struct Program {
    child: Child,
    pub client: Client,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
}

/// The caller's key.
pub fn key() -> &'static str {
    static KEY: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| secret("api-key"));
    &KEY
}

/// The program with these arguments, and nothing but these variables.
pub fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs the program to its end: its status, and all that it says.
pub async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command(arguments, variables).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

// === impl Program ===

impl Program {
    /// A daemon that asks for [`key`] and logs all it can.
    pub async fn start(kubeconfig: &Path, format: &str, more: &[(&str, &str)]) -> Self {
        let usual = [
            ("PROVISIONER_LISTEN", "127.0.0.1:0"),
            ("NODE_HOST", "127.0.0.1"),
            ("PROVISIONER_API_KEY", key()),
            ("PROVISIONER_LOG_LEVEL", "trace"),
            ("PROVISIONER_LOG_FORMAT", format),
            ("KUBECONFIG_PATH", kubeconfig.to_str().unwrap()),
            ("PATH", "/usr/bin:/bin"),
        ];
        let mut child = command(&["serve"], &[&usual, more].concat()).spawn().unwrap();
        let mut err = child.stderr.take().unwrap();
        let err = tokio::spawn(async move {
            let mut said = String::new();
            err.read_to_string(&mut said).await.unwrap();
            said
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the daemon starts");
        let address = first.rsplit("http://").next().unwrap().parse().unwrap();
        let out = tokio::spawn(async move {
            let mut said = first;
            while let Ok(Some(line)) = lines.next_line().await {
                said += &line;
            }
            said
        });
        Self { child, client: Client { address, key: Some(key()) }, out, err }
    }

    /// Asks for everything at once, well and badly, as one who has the key and as one who has another; all the
    /// answers.
    pub async fn ask_for_everything(&self) -> String {
        let (wrong, bearer) = (secret("wrong-key"), format!("Bearer {}", secret("wrong-key")));
        let stranger = Client { key: None, ..self.client.clone() };
        let json = ("content-type", "application/json");
        let problem = ("accept", "application/problem+json");
        let good = r#"{"sandbox_id":"abc","ttl":"1h"}"#;
        let mut asked = Vec::new();
        for (method, path) in [
            (Method::POST, "/api/sandboxes"),
            (Method::GET, "/api/sandboxes"),
            (Method::GET, "/api/sandboxes/abc"),
            (Method::PATCH, "/api/sandboxes/abc"),
            (Method::POST, "/api/sandboxes/abc/touch"),
            (Method::GET, "/api/reaper"),
            (Method::POST, "/api/reaper/resume"),
            (Method::GET, "/api/capabilities"),
            (Method::DELETE, "/api/sandboxes/def"),
            (Method::GET, "/health"),
            (Method::GET, "/livez"),
            (Method::GET, "/readyz?verbose"),
            (Method::GET, "/metrics"),
            (Method::PUT, "/api/sandboxes"),
            (Method::GET, "/nowhere"),
        ] {
            for (client, headers, body) in [
                (&self.client, vec![json], good),
                (&self.client, vec![json, problem], good),
                (&self.client, vec![json], "no json"),
                (&self.client, vec![json], "{}"),
                (&stranger, vec![json, ("x-api-key", wrong.as_str())], good),
                (&stranger, vec![problem, ("authorization", bearer.as_str())], good),
            ] {
                let method = method.clone();
                asked.push(async move {
                    let answer = client.send(method.clone(), path, &headers, Some(Bytes::from(body))).await;
                    format!("{method} {path}: {answer:?}\n")
                });
            }
        }
        join_all(asked).await.concat()
    }

    /// Waits until `/readyz` says this, and says the whole.
    pub async fn until_it_says(&self, words: &str) -> String {
        let mut said = String::new();
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        while !said.contains(words) {
            assert!(tokio::time::Instant::now() < end, "/readyz never said {words:?}, but {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            said = String::from_utf8_lossy(&self.client.get("/readyz?verbose").await.body).into_owned();
        }
        said
    }

    /// Ends the daemon in order; all that it said, from start to end.
    pub async fn stop(mut self) -> String {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("/bin/kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(sent.success());
        self.child.wait().await.unwrap();
        let said = self.out.await.unwrap() + &self.err.await.unwrap();
        is_not_in("the log", &said);
        said
    }
}
