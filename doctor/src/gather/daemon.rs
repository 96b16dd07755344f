//! Asks the daemon.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    facts::{DaemonFacts, DaemonList},
    http::{DaemonError, call},
    selection::Selection,
    subject::Subject,
};

/// The check that starts a check of the daemon.
const NETWORK_CHECK: &str = "SP0805";

/// The time for the daemon's check of the network.
const NETWORK_TIME: Duration = Duration::from_secs(90);

/// The interval at which its result is asked for.
const NETWORK_POLL: Duration = Duration::from_secs(1);

pub(super) async fn gather(subject: &Subject, selection: &Selection, deadline: Instant) -> DaemonFacts {
    let daemon = &subject.daemon;
    let url = daemon.url.to_string();
    let mut facts =
        DaemonFacts { url, is_named: daemon.is_named, version: daemon.version, ..DaemonFacts::default() };
    let health = call(Method::GET, &facts.url, "/health", None, deadline).await;
    facts.health = Some(health.map(|answer| answer.status().as_u16()));
    if !matches!(facts.health, Some(Ok(200))) {
        return facts;
    }
    let metrics = async {
        let url = daemon.metrics.as_ref()?.to_string();
        let answer = call(Method::GET, &url, "/metrics", daemon.key.as_ref(), deadline).await;
        Some(answer.map(|answer| String::from_utf8_lossy(answer.body()).into_owned()))
    };
    let network =
        async { if selection.asks_for(NETWORK_CHECK) { Some(check_network(subject).await) } else { None } };
    let ((list, ready), metrics, network) = futures::join!(
        async {
            futures::join!(
                call(Method::GET, &facts.url, "/api/sandboxes", daemon.key.as_ref(), deadline),
                call(Method::GET, &facts.url, "/readyz?verbose", None, deadline)
            )
        },
        metrics,
        network
    );
    facts.list = Some(list.map(|answer| read_list(subject, answer.status().as_u16(), &json(answer.body()))));
    facts.ready = Some(ready.map(|answer| json(answer.body())));
    facts.metrics = metrics;
    facts.network_check = network;
    facts
}

/// Starts the daemon's check, and waits for its result.
async fn check_network(subject: &Subject) -> Result<Value, DaemonError> {
    let (url, path) = (subject.daemon.url.to_string(), "/api/network/check");
    let key = subject.daemon.key.as_ref();
    let end = Instant::now() + NETWORK_TIME;
    let mut report = json(call(Method::POST, &url, path, key, end).await?.body());
    while report.get("checking").and_then(Value::as_bool) == Some(true) && Instant::now() < end {
        sleep(NETWORK_POLL).await;
        report = json(call(Method::GET, &url, path, key, end).await?.body());
    }
    // With several clusters the report has one for each.
    let of_cluster =
        subject.name.as_ref().and_then(|name| report.get("clusters")?.get(name.as_str()).cloned());
    Ok(of_cluster.unwrap_or(report))
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn read_list(subject: &Subject, status: u16, list: &Value) -> DaemonList {
    let items = |field| list.get(field).and_then(Value::as_array).into_iter().flatten();
    let ids = items("sandboxes")
        .filter_map(|sandbox| sandbox.get("sandbox_id").and_then(Value::as_str).map(str::to_owned))
        .collect();
    // Settings with one cluster do not say which of the daemon's clusters it is.
    let is_ours =
        |name: &Value| subject.name.as_ref().is_none_or(|ours| name.as_str() == Some(ours.as_str()));
    DaemonList { status, ids, is_incomplete: items("incomplete").any(is_ours) }
}
