//! A real Prometheus scrapes the daemon and evaluates the rules that are shipped.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use testkit::{Client, Process, command, within};

use super::PROGRAM;

/// The rules that are shipped.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/monitoring/rules.yaml");

/// How long Prometheus may take for its start and a few scrapes.
const LIMIT: Duration = Duration::from_secs(60);

/// Guards that Prometheus takes each scrape, sees the sandboxes, and evaluates each rule without an error.
#[tokio::test]
#[ignore = "needs Prometheus, which `./dev monitoring` installs"]
async fn prometheus_scrapes_and_evaluates_the_rules() {
    let daemon =
        Process::start(command(PROGRAM, &["serve", "--embedded"], &[("PROVISIONER_LISTEN", "127.0.0.1:0")]))
            .await;
    let client = daemon.client();
    client.until_ready().await;
    client.running("a").await;

    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let arguments = arguments(folder.path(), port);
    let mut prometheus = command("prometheus", &arguments.each_ref().map(String::as_str), &[]);
    prometheus.stdout(Stdio::null()).stderr(Stdio::null());
    let configuration = json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES],
        "scrape_configs": [{
            "job_name": "sandbox-provisioner",
            "static_configs": [{"targets": [daemon.address().to_string()]}]
        }]
    });
    // JSON is YAML.
    std::fs::write(folder.path().join("prometheus.yml"), configuration.to_string()).unwrap();
    let _prometheus = prometheus.spawn().expect("prometheus is installed");
    let prometheus = Client::at(([127, 0, 0, 1], port).into());

    let running = "sandbox_provisioner_sandboxes{status=\"Running\"}";
    within(LIMIT, "Prometheus sees the sandbox", async || query(&prometheus, running).await == ["1"]).await;
    assert_eq!(query(&prometheus, "up").await, ["1"]);
    let evaluated = async || {
        let answer = prometheus.fetch("/api/v1/rules").await;
        let groups = answer.body["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect::<Vec<Value>>()
    };
    // Before the first scrape the alert for a missing daemon is pending.
    within(LIMIT, "each rule is evaluated, and no alert is active", async || {
        let rules = evaluated().await;
        let is_quiet = |rule: &Value| rule["type"] != "alerting" || rule["state"] == "inactive";
        rules.len() > 15 && rules.iter().all(|rule| rule["health"] != "unknown" && is_quiet(rule))
    })
    .await;
    for rule in evaluated().await {
        assert_eq!((&rule["health"], &rule["lastError"]), (&json!("ok"), &Value::Null), "{rule}");
    }
    let series: u32 = query(&prometheus, "scrape_samples_scraped").await[0].parse().unwrap();
    assert!((100..2000).contains(&series), "{series}");
}

fn arguments(folder: &Path, port: u16) -> [String; 3] {
    [
        format!("--config.file={}", folder.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ]
}

/// Returns the values of an expression; none while Prometheus does not answer.
async fn query(prometheus: &Client, expression: &str) -> Vec<String> {
    let path = format!("/api/v1/query?query={}", utf8_percent_encode(expression, NON_ALPHANUMERIC));
    let Ok(answer) = prometheus.try_call(http::Method::GET, &path, None).await else {
        return Vec::new();
    };
    let result = answer.body["data"]["result"].as_array().cloned().unwrap_or_default();
    result.iter().map(|sample| sample["value"][1].as_str().unwrap_or_default().to_owned()).collect()
}
