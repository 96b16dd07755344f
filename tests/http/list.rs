//! Lists with parameters, tags and compression.

use std::{io::Read as _, sync::Arc};

use flate2::read::GzDecoder;
use fleet::backend::{ClusterState, Creates};
use lifecycle::{
    ids::{ProfileName, ThreadId, UserId},
    labels::Labels,
    observed::Status,
    phase::{Phase, Reason},
    spec::{ObservedSpec, Origin},
};
use sandbox_provisioner::admin::Check;
use serde_json::{Value, json};
use testkit::Answer;

use crate::{
    client::exchange,
    fake::{Fake, running},
    server::{KEY, Server},
};

async fn get(server: &Server, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{headers}\r\n");
    exchange(server.address, request).await.unwrap()
}

async fn ids(server: &Server, query: &str) -> Vec<String> {
    let answer = get(server, &format!("/api/sandboxes?{query}"), "").await;
    assert_eq!(answer.status, 200, "{query}: {answer}");
    let sandboxes = answer.body["sandboxes"].as_array().unwrap();
    assert_eq!(answer.body["count"], sandboxes.len(), "{query}");
    sandboxes.iter().map(|sandbox| sandbox["sandbox_id"].as_str().unwrap().to_owned()).collect()
}

/// Returns a sandbox of this user with this label `tier`.
fn of(user: &str, tier: &str) -> Status {
    let origin = Origin {
        thread_id: ThreadId::parse("t-1"),
        user_id: UserId::parse(user),
        labels: Labels::new([("tier", tier)]),
        replaces: None,
        first_created: None,
    };
    let spec = ObservedSpec {
        origin: Arc::new(origin),
        profile: ProfileName::parse("large"),
        ..ObservedSpec::default()
    };
    Status { spec, ..running() }
}

/// Guards that the list without parameters is as DeerFlow's provisioner sends it, in the same bytes as before there were
/// parameters, whichever other parameters a client adds.
#[tokio::test]
async fn the_plain_list_keeps_its_bytes() {
    let server = Server::start(Fake::default());
    server.fake.put("b", of("alice", "large"));
    server.fake.put("a", running());
    let sandbox = |id: &str, more: &str| {
        format!(
            r#"{{"sandbox_id":"{id}","sandbox_url":"http://127.0.0.1:31234","status":"Running","max_shell_sessions":10,"container_id":"{}","lark_cli_broker":false,"ready":true{more}}}"#,
            crate::fake::UID
        )
    };
    let profile = r#","profile":"large""#;
    let expected = format!(r#"{{"sandboxes":[{},{}],"count":2}}"#, sandbox("a", ""), sandbox("b", profile));
    for path in ["/api/sandboxes", "/api/sandboxes/", "/api/sandboxes?x=1&Status=Running&wait=ready"] {
        let answer = get(&server, path, "").await;
        assert_eq!(answer.bytes, expected, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("content-encoding"), None);
    }
}

/// Guards that a list with a parameter shows the thread, the user and the labels, as the answer about one sandbox does, and
/// that several parameters select the sandboxes that match all.
#[tokio::test]
async fn a_list_is_filtered() {
    let server = Server::start(Fake::default());
    let pending = Status {
        phase: Phase::Pending,
        ready: false,
        reason: Some(Reason::new("Unschedulable", None).into()),
        ..of("bob", "small")
    };
    for (id, status) in
        [("a", of("alice", "large")), ("b", of("alice", "small")), ("c", pending), ("d", running())]
    {
        server.fake.put(id, status);
    }
    for (query, expected) in [
        ("user_id=alice", &["a", "b"][..]),
        ("user_id=alice,bob", &["a", "b", "c"]),
        ("user_id=alice&label=tier%3Dsmall", &["b"]),
        ("label=!tier", &["d"]),
        ("status=Pending&status=Failed", &["c"]),
        ("reason=Unschedulable", &["c"]),
        ("profile=large&thread_id=t-1&status=Running", &["a", "b"]),
        ("cluster=default", &["a", "b", "c", "d"]),
    ] {
        assert_eq!(ids(&server, query).await, expected, "{query}");
    }
    let list = get(&server, "/api/sandboxes?user_id=alice&limit=1", "").await;
    let expected = json!({
        "sandbox_id": "a", "sandbox_url": "http://127.0.0.1:31234", "status": "Running",
        "max_shell_sessions": 10, "container_id": crate::fake::UID, "lark_cli_broker": false, "ready": true,
        "thread_id": "t-1", "user_id": "alice", "labels": {"tier": "large"}, "profile": "large",
    });
    assert_eq!(list.body["sandboxes"][0], expected);
    assert_eq!(get(&server, "/api/sandboxes/a", "").await.body, expected);
    let other = get(&server, "/api/sandboxes/d", "").await.body;
    for field in ["thread_id", "user_id", "labels"] {
        assert_eq!(other.get(field), None, "{field}");
    }
}

/// Guards that pages show each sandbox that exists all the time exactly once, while others come and go, even if the last
/// one on a page goes.
#[tokio::test]
async fn pages_survive_changes() {
    let server = Server::start(Fake::with_sandboxes(0));
    for n in 0..10 {
        server.fake.put(&format!("s{n}"), running());
    }
    let (mut seen, mut token, mut remaining) = (Vec::new(), String::new(), Vec::new());
    for page in 0.. {
        let path = format!("/api/sandboxes?limit=3{token}");
        let answer = get(&server, &path, "").await;
        let sandboxes = answer.body["sandboxes"].as_array().unwrap();
        seen.extend(sandboxes.iter().map(|sandbox| sandbox["sandbox_id"].as_str().unwrap().to_owned()));
        remaining.push(answer.body["remaining"].as_u64().unwrap());
        let Some(next) = answer.body.get("continue") else { break };
        token = format!("&continue={}", next.as_str().unwrap());
        match page {
            0 => {
                server.fake.remove("s2");
                server.fake.put("s1a", running());
                server.fake.put("s3a", running());
            }
            1 => server.fake.remove("s0"),
            _ => {}
        }
    }
    assert_eq!(seen, ["s0", "s1", "s2", "s3", "s3a", "s4", "s5", "s6", "s7", "s8", "s9"]);
    assert_eq!(remaining, [7, 5, 2, 0]);
    assert_eq!(ids(&server, "limit=1000").await.len(), 10);
    let last = get(&server, "/api/sandboxes?limit=10", "").await;
    assert_eq!((last.body["remaining"].as_u64(), last.body.get("continue")), (Some(0), None));
}

/// Guards that an invalid value of a parameter is a 422 that names it, and makes no call.
#[tokio::test]
async fn an_invalid_parameter_is_named() {
    let server = Server::start(Fake::default());
    let answer = get(&server, "/api/sandboxes?status=running&limit=0&continue=x&label=a%3Db%3Dc", "").await;
    assert_eq!(answer.status, 422);
    let texts: Vec<_> = answer.body["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["loc"].clone(), error["msg"].as_str().unwrap()))
        .collect();
    let loc = |name: &str| json!(["query", name]);
    assert_eq!(
        texts,
        [
            (
                loc("status"),
                "Input should be 'Pending', 'Running', 'Succeeded', 'Failed', 'Unknown' or 'Terminating'"
            ),
            (loc("label"), "Value error, this is not a label selector: found \"=\", expected ',' or the end"),
            (loc("limit"), "Input should be greater than 0"),
            (
                loc("continue"),
                "Value error, the token is not one that a list has returned; list again without it"
            ),
        ]
    );
    assert_eq!(server.fake.calls(), Vec::<String>::new());
}

/// Guards that a list of a cluster that does not exist is a 422 that names those that exist, whichever tag the client sends.
#[tokio::test]
async fn an_unknown_cluster_is_not_an_empty_list() {
    let server = Server::start(Fake::with_sandboxes(1));
    for query in ["cluster=west", "cluster=default,west", "cluster=west&limit=1&continue=MS9h"] {
        let answer = get(&server, &format!("/api/sandboxes?{query}"), "if-none-match: *\r\n").await;
        assert_eq!(answer.status, 422, "{query}: {answer}");
        let error = &answer.body["detail"][0];
        assert_eq!(error["msg"], "Input should be 'default'", "{query}");
        assert_eq!((&error["loc"], &error["input"]), (&json!(["query", "cluster"]), &json!("west")));
    }
    assert_eq!(server.fake.calls(), Vec::<String>::new());
}

/// Guards that a client that sends the tag of its list gets a body only after a change, with and without parameters.
#[tokio::test]
async fn an_unchanged_list_is_not_sent_again() {
    let server = Server::start(Fake::with_sandboxes(2));
    for path in ["/api/sandboxes", "/api/sandboxes?status=Running"] {
        let first = get(&server, path, "").await;
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(first.header("vary"), Some("accept-encoding"));
        let calls = server.fake.calls().len();
        let second = get(&server, path, &format!("if-none-match: {tag}\r\n")).await;
        assert_eq!((second.status, second.bytes.len()), (304, 0), "{path}");
        assert_eq!((second.header("etag"), second.header("content-type")), (Some(&*tag), None));
        assert_eq!(server.fake.calls().len(), calls, "the list was not made");
        server.fake.put("s9", running());
        let third = get(&server, path, &format!("if-none-match: {tag}\r\n")).await;
        assert_eq!(third.status, 200, "{path}");
        assert_ne!(third.header("etag"), Some(&*tag));
        server.fake.remove("s9");
    }
    let page = get(&server, "/api/sandboxes?limit=1", "").await;
    let version = page.body["version"].as_str().unwrap();
    assert_eq!(page.header("etag"), Some(&*format!("W/\"{version}\"")));
}

/// Guards that a large list is compressed for clients that accept it, once for each change, and that others get the same
/// list as it is.
#[tokio::test]
async fn a_large_list_is_compressed() {
    let server = Server::start(Fake::with_sandboxes(1000));
    let gzip = "accept-encoding: gzip, deflate\r\n";
    for path in ["/api/sandboxes", "/api/sandboxes?status=Running"] {
        let plain = get(&server, path, "").await;
        assert!(plain.bytes.len() > 128 << 10, "{}", plain.bytes.len());
        let compressed = get(&server, path, gzip).await;
        assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(compressed.header("content-type"), Some("application/json"));
        assert_eq!(compressed.header("etag"), plain.header("etag"));
        assert!(compressed.bytes.len() < plain.bytes.len() / 10, "{}", compressed.bytes.len());
        let mut text = Vec::new();
        GzDecoder::new(&*compressed.bytes).read_to_end(&mut text).unwrap();
        assert_eq!(text, plain.bytes, "{path}");
        let again = get(&server, path, gzip).await;
        assert_eq!(again.bytes, compressed.bytes);
        let refused = get(&server, path, "accept-encoding: gzip;q=0\r\n").await;
        assert_eq!(refused.header("content-encoding"), None);
    }
    let small = Server::start(Fake::with_sandboxes(3));
    assert_eq!(get(&small, "/api/sandboxes", gzip).await.header("content-encoding"), None);
}

/// Guards the answer about the only cluster, healthy and not.
#[tokio::test]
async fn the_cluster_is_shown() {
    let fake = Fake::default();
    let creates = Creates { running: 2, waiting: 1, running_max: 24, room: 1021 };
    fake.set_cluster(ClusterState {
        version: Some("v1.36.0".into()),
        fresh_since: Some("2026-01-02T03:04:05.123456Z".parse().unwrap()),
        sandboxes: [("Running", 3), ("Pending", 1)].into(),
        ready: 2,
        creates,
    });
    let server = Server::start(fake);
    let expected = json!({
        "count": 1,
        "clusters": [{
            "name": "default", "ready": true, "weight": 100, "drain": false, "max_sandboxes": null, "room": null,
            "labels": {}, "profiles": null, "version": "v1.36.0", "fresh_since": "2026-01-02T03:04:05.123Z",
            "sandboxes": {"count": 4, "ready": 2, "by_status": {"Pending": 1, "Running": 3}},
            "creates": {"running": 2, "running_max": 24, "waiting": 1, "room": 1021},
            "problems": [],
        }],
    });
    assert_eq!(get(&server, "/api/clusters", "").await.body, expected);

    let check = |name, optional| Check { name, outcome: Err(format!("{name} fails")), optional };
    let checks = vec![
        check("watch-pods", false),
        Check { name: "namespace", outcome: Ok(()), optional: false },
        check("watch-events", true),
    ];
    let fake = Fake::default();
    fake.set_checks(checks);
    let away = Server::start(fake);
    let cluster = get(&away, "/api/clusters", "").await.body["clusters"][0].clone();
    assert_eq!(
        (&cluster["ready"], &cluster["version"], &cluster["fresh_since"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(
        cluster["problems"],
        json!([
            {"check": "watch-pods", "message": "watch-pods fails", "optional": false},
            {"check": "watch-events", "message": "watch-events fails", "optional": true},
        ])
    );
    let refused =
        exchange(away.address, "POST /api/clusters HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\n\r\n");
    assert_eq!(refused.await.unwrap().status, 405);
    let without_key = exchange(away.address, "GET /api/clusters HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(without_key.await.unwrap().status, 401);
}
