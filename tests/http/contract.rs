//! What the original answered, case by case, over a real socket.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client::{Answer, exchange},
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
    /// The request's bytes; `{"raw": …}` is a body that is no JSON.
    fn wire(&self) -> String {
        let body = match &self.body {
            Value::Null => None,
            Value::Object(map) if map.contains_key("raw") => Some(map["raw"].as_str().unwrap().to_owned()),
            body => Some(body.to_string()),
        };
        let mut wire = format!("{} {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            wire.extend([name, ": ", value, "\r\n"]);
        }
        if self.api_key.is_some() {
            wire.extend(["x-api-key: ", KEY, "\r\n"]);
        }
        match body {
            Some(body) => wire + &format!("content-length: {}\r\n\r\n{body}", body.len()),
            None => wire + "\r\n",
        }
    }
}

/// Our body without the fields that the recorded one lacks.
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

/// What is compared of a body: node ports differ, a phase may be ahead, and of a validation error each entry's
/// `type` and `loc` count.
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

fn body_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| json!(answer.body))
}

/// Every recorded case has the recorded status, content type, `Allow` and body. There are two intended differences:
/// an unusable id is a 422 before any call rather than a 500 after one, and a PATCH of a sandbox, which the
/// original does not know, changes its limits: one that changes nothing is a 422 rather than a 405.
#[tokio::test]
async fn the_recorded_cases_are_answered_as_recorded() {
    let server = Server::start(Fake::default());
    for Case { name: case, request, response } in serde_json::from_str::<Vec<Case>>(RECORDED).unwrap() {
        let answer =
            exchange(server.address, request.wire()).await.unwrap_or_else(|| panic!("{case}: no answer"));
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
        let ours = without_extras(&body_of(&answer), &response.body);
        assert_eq!(comparable(&ours), comparable(&response.body), "{case}");
    }
}

/// A request whose body is refused makes no call.
#[tokio::test]
async fn refused_requests_make_no_call() {
    for Case { name: case, request, response } in serde_json::from_str::<Vec<Case>>(RECORDED).unwrap() {
        let refused = matches!(response.status, 401 | 405 | 422) || case.starts_with("create-id-");
        if refused && response.status != 200 {
            let server = Server::start(Fake::default());
            exchange(server.address, request.wire()).await.unwrap();
            assert_eq!(server.fake.calls(), Vec::<String>::new(), "{case}");
        }
    }
}

/// A trailing slash is served as if it were not there, and a query changes nothing.
#[tokio::test]
async fn slashes_and_queries_change_nothing() {
    let server = Server::start(Fake::with_sandboxes(1));
    for path in ["/health/", "/health?x=1", "/api/sandboxes/", "/api/sandboxes/s0/", "/api/capabilities/?a=b"]
    {
        let wire = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n");
        assert_eq!(exchange(server.address, wire).await.unwrap().status, 200, "{path}");
    }
}
