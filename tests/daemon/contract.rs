//! Sends every recorded request of DeerFlow's provisioner to the daemon, in the recorded order.

use std::collections::HashMap;

use http::Method;
use serde_json::{Value, json};

use testkit::{Answer, Client, Setup};

const KEY: &str = "a-key-of-the-test";

/// Ids that DeerFlow's provisioner passes to Kubernetes and that this program rejects. The difference is intended.
const UNUSABLE_IDS: [&str; 8] = [
    "create-id-uppercase",
    "create-id-underscore",
    "create-id-empty",
    "create-id-slash",
    "create-id-unicode",
    "create-id-52",
    "create-id-trailing-dash",
    "create-id-dotted",
];

/// DeerFlow's provisioner does not support PATCH on a sandbox (405). This program changes limits with it, and the
/// recorded body changes none (422). The difference is intended.
const PATCH: &str = "patch";

#[tokio::test]
async fn the_recordings_hold() {
    let daemon = Setup::new(&[("PROVISIONER_API_KEY", KEY)]).listening().start().await.ready().await;
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../recordings/http.json")).expect("the recordings are JSON");
    assert!(cases.len() >= 67, "some recordings are missing");
    let mut urls = HashMap::new();
    for case in &cases {
        let name = case["case"].as_str().unwrap();
        let before = daemon.calls().len();
        let answer = send(&daemon.client(), &case["request"]).await;
        if UNUSABLE_IDS.contains(&name) {
            assert_eq!(answer.status, 422, "{name}: {answer:?}");
            assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "sandbox_id"]), "{name}");
            assert_eq!(daemon.calls().len(), before, "{name}: it is refused before any call");
            continue;
        }
        if name == PATCH {
            assert_eq!(answer.status, 422, "{name}: {answer:?}");
            assert_eq!(answer.body["detail"][0]["type"], "value_error", "{name}");
            continue;
        }
        compare(name, &case["response"], &answer, &mut urls);
    }
}

async fn send(client: &Client, request: &Value) -> Answer {
    let headers: Vec<_> = request["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let key = (request["api_key"] == "valid").then_some(KEY);
    let body = match &request["body"] {
        Value::Null => None,
        Value::Object(body) if body.contains_key("raw") => Some(body["raw"].as_str().unwrap().to_owned()),
        body => Some(body.to_string()),
    };
    let method: Method = request["method"].as_str().unwrap().parse().unwrap();
    client.with_key(key).send(method, request["path"].as_str().unwrap(), &headers, body.map(Into::into)).await
}

/// Compares status, content type, `Allow` and body, except for node ports and phases. `urls` maps each recorded URL to
/// one of ours.
fn compare(name: &str, recorded: &Value, answer: &Answer, urls: &mut HashMap<String, String>) {
    assert_eq!(answer.status, recorded["status"], "{name}: {answer:?}");
    assert_eq!(json!(answer.header("content-type")), recorded["content_type"], "{name}");
    assert_eq!(json!(answer.header("allow")), recorded["allow"], "{name}");
    match &recorded["body"] {
        Value::String(text) => assert_eq!(answer.text(), *text, "{name}"),
        Value::Object(body) if body.get("detail").is_some_and(Value::is_array) => {
            let kinds = |detail: &Value| -> Vec<Value> {
                detail.as_array().unwrap().iter().map(|e| json!([e["type"], e["loc"]])).collect()
            };
            assert_eq!(kinds(&answer.body["detail"]), kinds(&body["detail"]), "{name}");
        }
        body => compare_json(name, body, &answer.body, urls),
    }
}

/// Compares a body. Our body may have more fields, but it must contain every recorded field with the same value.
fn compare_json(name: &str, recorded: &Value, ours: &Value, urls: &mut HashMap<String, String>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (field, value) in recorded {
                let ours = ours.get(field).unwrap_or_else(|| panic!("{name}: {field} is missing"));
                match field.as_str() {
                    "sandbox_url" => same_url(name, value.as_str().unwrap(), ours.as_str().unwrap(), urls),
                    // The recorded cluster and the embedded one differ in speed.
                    "status" if value == "Running" || value == "Pending" => {
                        assert!(ours == "Running" || ours == "Pending", "{name}: {ours}");
                    }
                    _ => compare_json(name, value, ours, urls),
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            assert_eq!(recorded.len(), ours.len(), "{name}: {ours:?}");
            for (recorded, ours) in recorded.iter().zip(ours) {
                compare_json(name, recorded, ours, urls);
            }
        }
        (recorded, ours) => assert_eq!(recorded, ours, "{name}"),
    }
}

/// Checks that each recorded URL always maps to the same URL of ours, and that both are equal except for the port.
fn same_url(name: &str, recorded: &str, ours: &str, urls: &mut HashMap<String, String>) {
    let without_port = |url: &str| url.rsplit_once(':').map(|(host, _)| host.to_owned());
    assert_eq!(without_port(recorded), without_port(ours), "{name}");
    let known = urls.entry(recorded.to_owned()).or_insert_with(|| ours.to_owned());
    assert_eq!(known, ours, "{name}");
}
