//! Tests of every recorded case of the 2.1 line, each with its own settings, set-up steps and cluster.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Map, Value, json};

use testkit::{Answer, Daemon};

use super::{KEY, MOMENT, object, start};

const RECORDED: &str = include_str!("../../recordings/http-2.1.json");

/// Guards that the answers equal those of the 2.1 provisioner. A case with a rule must follow the rule instead.
#[tokio::test(start_paused = true)]
async fn the_recordings_of_the_2_1_line_hold() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(cases.len(), 164, "the recording is whole");
    let mut differences = vec![];
    for case in &cases {
        if let Err(difference) = run(case).await {
            differences.push(format!("{}: {difference}", case["case"].as_str().unwrap()));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

async fn run(case: &Value) -> Result<(), String> {
    let no_settings = Map::new();
    let daemon = start(case["env"].as_object().unwrap_or(&no_settings), None).await;
    for step in case["setup"].as_array().into_iter().flatten() {
        take(&daemon, step).await?;
    }
    tokio::time::sleep(MOMENT).await;
    let dying = object(&daemon, "pods", "sandbox-dy").map(|pod| pod["metadata"]["uid"].clone());
    let before = daemon.objects().len();
    let answer = daemon.with_key(None).request(request(&case["request"])).await.unwrap();
    match case["rule"].as_str() {
        None => same(&daemon, case, &answer),
        Some(rule) => obeys(rule, &answer, dying.as_ref(), daemon.objects().len() - before),
    }
}

/// Performs a set-up step.
async fn take(daemon: &Daemon, step: &Value) -> Result<(), String> {
    let (kind, step) = step.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "http" => {
            let method = step["method"].as_str().unwrap().parse().unwrap();
            let body = (!step["body"].is_null()).then(|| step["body"].clone());
            let answer = daemon.call(method, step["path"].as_str().unwrap(), body).await;
            let expected = step["expect"].as_u64().unwrap_or(200);
            let is_expected = u64::from(answer.status) == expected;
            is_expected.then_some(()).ok_or_else(|| format!("{step}: {answer:?}"))
        }
        "kubernetes" => {
            let status = kubernetes(daemon, step).await;
            status.is_success().then_some(()).ok_or_else(|| format!("{step}: {status}"))
        }
        "until" => {
            for _ in 0..60 {
                if step["status"] == kubernetes(daemon, step).await.as_u16() {
                    return Ok(());
                }
                tokio::time::sleep(MOMENT).await;
            }
            Err(format!("{step}: in vain"))
        }
        other => Err(format!("unknown step {other}")),
    }
}

/// Sends a request of a set-up step to the API server. Its path is below the namespace.
async fn kubernetes(daemon: &Daemon, step: &Value) -> StatusCode {
    let client = kube::Client::new(daemon.cluster.service(), daemon.namespace());
    let path = format!("/api/v1/namespaces/{}{}", daemon.namespace(), step["path"].as_str().unwrap());
    let content_type = step["content_type"].as_str().unwrap_or("application/json");
    let body = if step["body"].is_null() { Vec::new() } else { step["body"].to_string().into_bytes() };
    let request = Request::builder()
        .method(step["method"].as_str().unwrap())
        .uri(path)
        .header("content-type", content_type)
        .body(body.into())
        .unwrap();
    client.send(request).await.unwrap().status()
}

fn request(recorded: &Value) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(recorded["method"].as_str().unwrap())
        .uri(recorded["path"].as_str().unwrap());
    for (name, value) in recorded["headers"].as_object().unwrap() {
        request = request.header(name, HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap());
    }
    if recorded["api_key"] == "valid" {
        request = request.header("x-api-key", KEY);
    }
    let body = match &recorded["body"] {
        Value::Null => String::new(),
        Value::Object(body) if body.contains_key("raw") => body["raw"].as_str().unwrap().to_owned(),
        body => body.to_string(),
    };
    request.body(body.into()).unwrap()
}

/// Compares status, content type, headers and body, except for node ports, uids, phases and additional fields.
fn same(daemon: &Daemon, case: &Value, answer: &Answer) -> Result<(), String> {
    let recorded = &case["response"];
    let check = |what: &str, ours: Value, theirs: &Value| {
        (ours == *theirs).then_some(()).ok_or_else(|| format!("{what} {ours}, recorded {theirs}: {answer:?}"))
    };
    check("status", answer.status.into(), &recorded["status"])?;
    check("content type", json!(answer.header("content-type")), &recorded["content_type"])?;
    for (name, value) in recorded["headers"].as_object().into_iter().flatten() {
        check(name, json!(answer.header(name)), value)?;
    }
    contains(daemon, &answer.body, &recorded["body"]).map_err(|difference| {
        format!("{difference}\n  ours {}\n  recorded {}", answer.body, recorded["body"])
    })
}

/// Checks that our body has every recorded field. An absent field equals null.
fn contains(daemon: &Daemon, ours: &Value, recorded: &Value) -> Result<(), String> {
    match (recorded, ours) {
        (Value::Object(recorded), _) => recorded.iter().try_for_each(|(field, value)| {
            let ours_here = &ours[field];
            match field.as_str() {
                "sandbox_url" => equal(field, &without_port(ours_here), &without_port(value)),
                "container_id" if !value.is_null() => {
                    let name = format!("sandbox-{}", ours["sandbox_id"].as_str().unwrap_or_default());
                    let pod = object(daemon, "pods", &name).unwrap_or_default();
                    equal(field, ours_here, &pod["metadata"]["uid"])
                }
                "status" if value == "Pending" && ours_here == "Running" => Ok(()),
                "detail" if value.is_array() => equal(field, &places(ours_here), &places(value)),
                "sandboxes" => contains(daemon, &sorted(ours_here), &sorted(value)),
                _ => contains(daemon, ours_here, value).map_err(|error| format!("{field}: {error}")),
            }
        }),
        (Value::Array(recorded), Value::Array(ours)) => {
            equal("length", &ours.len().into(), &recorded.len().into())?;
            ours.iter().zip(recorded).try_for_each(|(ours, recorded)| contains(daemon, ours, recorded))
        }
        (recorded, ours) => equal("value", ours, recorded),
    }
}

fn equal(what: &str, ours: &Value, recorded: &Value) -> Result<(), String> {
    if ours == recorded { Ok(()) } else { Err(format!("{what} is {ours}, recorded {recorded}")) }
}

/// Returns a URL without its node port.
fn without_port(url: &Value) -> Value {
    url.as_str().and_then(|url| url.rsplit_once(':')).map_or_else(|| url.clone(), |(host, _)| host.into())
}

/// Returns the `type` and `loc` of each validation error.
fn places(detail: &Value) -> Value {
    detail.as_array().into_iter().flatten().map(|entry| json!([entry["type"], entry["loc"]])).collect()
}

fn sorted(sandboxes: &Value) -> Value {
    let mut sandboxes = sandboxes.as_array().cloned().unwrap_or_default();
    sandboxes.sort_by_key(|sandbox| sandbox["sandbox_id"].as_str().map(str::to_owned));
    sandboxes.into()
}

/// Checks a case with a rule.
fn obeys(rule: &str, answer: &Answer, dying: Option<&Value>, made: usize) -> Result<(), String> {
    let status = answer.status;
    let body = &answer.body;
    let is_json = body.is_object();
    let detail = |text: &str| body["detail"].as_str().is_some_and(|detail| detail.contains(text));
    let is_successor = || {
        let another = status == 200 && dying.is_some_and(|uid| body["container_id"] != *uid);
        another
            || (status == 409 && detail("Existing sandbox is still terminating"))
            || (status == 503 && answer.header("retry-after").is_some())
    };
    let holds = match rule {
        "lenient" => status < 500,
        "unusable-id" => status == 422 && body["detail"][0]["loc"][1] == "sandbox_id" && made == 0,
        "refused-422-or-400" => matches!(status, 400 | 422),
        "not-given" => status == 404 || (matches!(status, 500 | 503) && is_json),
        "no-unhandled-500" => status != 500 || is_json,
        "refused" => matches!(status, 409 | 500 | 503) && is_json,
        "not-the-dying" => is_successor(),
        "not-the-dying-or-capacity" => is_successor() || (status == 409 && detail("shell capacity")),
        "not-the-dying-or-broker" => is_successor() || (status == 409 && detail("Lark broker mode")),
        "lists-one" => lists(body, "one"),
        "lists-ok" => lists(body, "ok"),
        other => return Err(format!("unknown rule {other}")),
    };
    holds.then_some(()).ok_or_else(|| format!("not {rule}: {answer:?}"))
}

fn lists(body: &Value, id: &str) -> bool {
    body["sandboxes"].as_array().is_some_and(|all| all.iter().any(|sandbox| sandbox["sandbox_id"] == id))
}
