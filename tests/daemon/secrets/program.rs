//! The daemon as a process, and its output.

use std::{path::Path, sync::LazyLock, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use otlp::collector::Collector;
use testkit::{Client, Process, command, within};

use super::mark::{is_not_in, secret};
use crate::PROGRAM;

/// A running daemon that requires [`key`] and logs at every level.
pub struct Program {
    process: Process,
    pub client: Client,
    /// Gets the spans.
    collector: Collector,
}

/// Returns the API key.
pub fn key() -> &'static str {
    static KEY: LazyLock<String> = LazyLock::new(|| secret("api-key"));
    &KEY
}

/// Runs the program to its end. Returns its status and all that it printed.
pub async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command(PROGRAM, arguments, variables).output().await.unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

// === impl Program ===

impl Program {
    pub async fn start(kubeconfig: &Path, format: &str, more: &[(&str, &str)]) -> Self {
        let collector = Collector::start();
        let (endpoint, headers) = (collector.endpoint(), format!("x-key={}", secret("collector-key")));
        let usual = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", &*headers),
            ("PROVISIONER_API_KEY", key()),
            ("PROVISIONER_LOG_LEVEL", "trace"),
            ("PROVISIONER_LOG_FORMAT", format),
            ("KUBECONFIG_PATH", kubeconfig.to_str().unwrap()),
            ("PATH", "/usr/bin:/bin"),
        ];
        let process = Process::serve(PROGRAM, &[&usual, more].concat()).await;
        let client = process.client().with_key(Some(key()));
        Self { process, client, collector }
    }

    /// Sends every kind of request at once, valid and invalid, with the right key and with a wrong one. Returns all
    /// answers.
    pub async fn ask_for_everything(&self) -> String {
        let (wrong, bearer) = (secret("wrong-key"), format!("Bearer {}", secret("wrong-key")));
        let keyless = self.client.with_key(None);
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
            (Method::GET, "/api/clusters"),
            (Method::GET, "/api/profiles"),
            (Method::GET, "/api/network/check"),
            (Method::GET, "/api/workspaces"),
            (Method::GET, "/api/sandboxes?status=Running&label=a&limit=1"),
            (Method::GET, "/api/sandboxes/abc/timeline"),
            (Method::GET, "/openapi.json"),
            (Method::GET, "/docs"),
            (Method::GET, "/ui"),
            (Method::PUT, "/api/sandboxes"),
            (Method::GET, "/nowhere"),
        ] {
            for (client, headers, body) in [
                (&self.client, vec![json], good),
                (&self.client, vec![json, problem], good),
                (&self.client, vec![json], "no json"),
                (&self.client, vec![json], "{}"),
                (&keyless, vec![json, ("x-api-key", wrong.as_str())], good),
                (&keyless, vec![problem, ("authorization", bearer.as_str())], good),
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

    /// Waits until `/readyz` contains these words, and returns all of it.
    pub async fn until_it_says(&self, words: &str) -> String {
        let mut said = String::new();
        within(Duration::from_secs(30), &format!("/readyz contains {words:?}"), async || {
            said = self.client.fetch("/readyz?verbose").await.text();
            said.contains(words)
        })
        .await;
        said
    }

    /// Shuts the daemon down gracefully. Returns all that it printed. No secret is in it or in the exported spans.
    pub async fn stop(self) -> String {
        let printed = self.process.stop().await;
        is_not_in("the log", &printed);
        let spans = self.collector.spans();
        assert!(!spans.is_empty(), "spans are exported: {printed}");
        is_not_in("a span", &format!("{spans:?}"));
        printed
    }
}
