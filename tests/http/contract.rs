//! The recorded requests and responses of DeerFlow's provisioner, over a real socket.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use testkit::contract;

use crate::{
    client::exchange,
    fake::Fake,
    server::{KEY, Server},
};

const RECORDED: &str = include_str!("../recordings/http.json");

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    api_key: Option<String>,
    body: Value,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    content_type: Option<String>,
    allow: Option<String>,
    body: Value,
}

// === impl Request ===

impl Request {
    /// Returns the request's bytes; `{"raw": …}` is a body that is not JSON.
    fn bytes(&self) -> String {
        let body = match &self.body {
            Value::Null => None,
            Value::Object(map) if map.contains_key("raw") => Some(map["raw"].as_str().unwrap().to_owned()),
            body => Some(body.to_string()),
        };
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            bytes.extend([name, ": ", value, "\r\n"]);
        }
        if self.api_key.is_some() {
            bytes.extend(["x-api-key: ", KEY, "\r\n"]);
        }
        match body {
            Some(body) => bytes + &format!("content-length: {}\r\n\r\n{body}", body.len()),
            None => bytes + "\r\n",
        }
    }
}

/// Returns our body without the fields that the recorded one does not have.
fn without_extras(ours: &Value, recorded: &Value) -> Value {
    match (ours, recorded) {
        (Value::Object(ours), Value::Object(recorded)) => recorded
            .iter()
            .map(|(key, value)| {
                (key.clone(), ours.get(key).map_or(Value::Null, |ours| without_extras(ours, value)))
            })
            .collect(),
        (Value::Array(ours), Value::Array(recorded)) if ours.len() == recorded.len() => {
            ours.iter().zip(recorded).map(|(ours, recorded)| without_extras(ours, recorded)).collect()
        }
        (ours, _) => ours.clone(),
    }
}

/// Returns the comparable part of a body: without node ports and phases, and of a validation error only `type` and
/// `loc`.
fn comparable(body: &Value) -> Value {
    let field = |entry: &Value| json!({"type": entry["type"], "loc": entry["loc"]});
    match body {
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("sandbox_url", Value::String(url)) => json!(url.rsplit_once(':').unwrap().0),
                    ("status", Value::String(phase)) if phase == "Pending" => json!("Running"),
                    ("detail", Value::Array(entries)) => entries.iter().map(field).collect(),
                    _ => comparable(value),
                };
                (key.clone(), value)
            })
            .collect(),
        other => other.clone(),
    }
}

/// Guards the recorded status, content type, `Allow` and body of every case. There are two intended differences: an
/// invalid id is a 422 before any call instead of a 500 after one, and a PATCH of a sandbox, which DeerFlow's provisioner
/// does not support, changes its limits; one without a change is a 422 instead of a 405.
#[tokio::test]
async fn recorded_requests_have_the_recorded_responses() {
    let server = Server::start(Fake::default());
    for Case { name: case, request, response } in serde_json::from_str::<Vec<Case>>(RECORDED).unwrap() {
        let answer =
            exchange(server.address, request.bytes()).await.unwrap_or_else(|| panic!("{case}: no answer"));
        let method = request.method.parse().unwrap();
        contract::check(&method, &request.path, &answer)
            .unwrap_or_else(|problem| panic!("{case}: {problem}"));
        assert_eq!(answer.header("content-type"), response.content_type.as_deref(), "{case}");
        if case == "patch" {
            assert_eq!((answer.status, response.status), (422, 405), "{case}");
            assert_eq!(answer.json()["detail"][0]["type"], "value_error", "{case}");
            continue;
        }
        assert_eq!(answer.header("allow"), response.allow.as_deref(), "{case}");
        if case.starts_with("create-id-") && response.status == 500 {
            assert_eq!(answer.status, 422, "{case}");
            assert_eq!(answer.json()["detail"][0]["loc"], json!(["body", "sandbox_id"]), "{case}");
            continue;
        }
        assert_eq!(answer.status, response.status, "{case}: {answer:?}");
        let ours = without_extras(&answer.body, &response.body);
        assert_eq!(comparable(&ours), comparable(&response.body), "{case}");
    }
}

/// Guards that a rejected request makes no call.
#[tokio::test]
async fn refused_requests_make_no_call() {
    for Case { name: case, request, response } in serde_json::from_str::<Vec<Case>>(RECORDED).unwrap() {
        let refused = matches!(response.status, 401 | 405 | 422) || case.starts_with("create-id-");
        if refused && response.status != 200 {
            let server = Server::start(Fake::default());
            exchange(server.address, request.bytes()).await.unwrap();
            assert_eq!(server.fake.calls(), Vec::<String>::new(), "{case}");
        }
    }
}

/// Guards that a trailing slash and a query are ignored.
#[tokio::test]
async fn trailing_slashes_and_queries_are_ignored() {
    let server = Server::start(Fake::with_sandboxes(1));
    for path in ["/health/", "/health?x=1", "/api/sandboxes/", "/api/sandboxes/s0/", "/api/capabilities/?a=b"]
    {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n");
        assert_eq!(exchange(server.address, request).await.unwrap().status, 200, "{path}");
    }
}
